"""The command line: one function a command, each a few lines of the Python API. It holds no logic of its own.

`commands` does what was asked, `arguments` says what can be asked, `output` prints.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from latens.cli.arguments import parser
from latens.cli.output import Output
from latens.errors import LatensError, RunElsewhere, UsageError, lacks_memory
from latens.memory import take_buffers
from latens.progress import helper_number

__all__ = ["main", "parser"]

LIGHT = ("data", "runs", "check", "doctor", "completion")  # commands that compute nothing, but for `check --repair`
SECONDS_FOR_PROCESS_0 = 15.0  # to say what is wrong; torchrun ends all processes as soon as one has failed

START = """\
latens trains an autoencoder on your images and shows what it learned. Three lines to start with:
  latens run mnist              train on the digits that come with it; ends with a report to open
  latens data FOLDER            what is in your own folder of images
  latens --help                 all commands"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0: done; 2: something the user gave is wrong, said in one line; 130: interrupted."""
    code = _command(sys.argv[1:] if arguments is None else arguments)
    team = sys.modules.get("latens.training.team")
    if team is not None:
        team.end_process(code)  # returns where this process is alone
    return code


def _command(arguments: Sequence[str]) -> int:
    _set_up_threads()
    words = list(arguments)
    with Output(as_json=any(len(word) > 3 and "--json".startswith(word) for word in words)) as output:
        try:
            args = parser().parse_args(words)
            if args.command is None:
                output.answer({"commands": "latens --help"}, START)
                return 0
            args.advice = ""
            return _carry_out(args, output)
        except UsageError as error:  # of the words themselves
            return _failed(error, output)
    return 2  # the output can't be written, which was said


def _carry_out(args: argparse.Namespace, output: Output) -> int:
    try:
        if args.command not in LIGHT or getattr(args, "repair", False):
            take_buffers()
        answer = args.function(args)
        if not helper_number():
            output.answer(*answer)
    except LatensError as error:
        return _failed(error, output)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        return _say(f"not enough memory; {_what_to_lower(args)}", "MemoryError", output)
    except OSError as error:
        if output.is_broken_by(error):
            raise
        return _say(f"{error.filename or 'a file'}: {error.strerror or error}", type(error).__name__, output)
    except KeyboardInterrupt:
        output.say(f"\nlatens: stopped{args.advice}")
        return 130
    return 0


def _what_to_lower(args: argparse.Namespace) -> str:
    """What needs less memory, of the options that the command has."""
    options = {"batch_size": "smaller batches (--batch-size)", "size": "smaller images (--size)"}
    there = [text for name, text in options.items() if hasattr(args, name)]
    return f"{' or '.join(there)} need less" if there else "end other programs, or give this one more"


def _failed(error: LatensError, output: Output) -> int:
    if helper_number() and isinstance(error, RunElsewhere):
        return 0  # it has helped
    return _say(str(error), type(error).__name__, output)


def _say(text: str, kind: str, output: Output) -> int:
    helper = helper_number()
    if helper:  # process 0 may say the same, and then torchrun ends this one
        time.sleep(SECONDS_FOR_PROCESS_0)
    return output.fail(f"process {helper}: {text}" if helper else text, kind)


def _set_up_threads() -> None:
    """Say how torch's threads wait and take memory; it must be said before torch is loaded.

    Threads that wait by spinning are quickest alone; on a busy machine they take the processor from what they wait for,
    and training is several times slower (docs/decisions/0004-waiting-threads.md).
    """
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.75 * (os.cpu_count() or 1):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages: less time in the kernel
