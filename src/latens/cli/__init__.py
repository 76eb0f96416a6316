"""The command line: one function a command, each a few lines of the Python API. It holds no logic of its own.

`commands` does what was asked, `arguments` says what can be asked.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from latens.cli.arguments import parser
from latens.errors import LatensError
from latens.text import shown, shown_lines

__all__ = ["main", "parser"]

START = """\
latens trains an autoencoder on your images and shows what it learned. Three lines to start with:
  latens run mnist              train on the digits that come with it; ends with a report to open
  latens data FOLDER            what is in your own folder of images
  latens --help                 all commands"""

GO_ON = {
    "run": "`latens run --resume` goes on with the latest run",
    "compare": "the same command goes on, with --out and the folder where it was left out",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0: done; 2: something the user gave is wrong, said in one line; 130: interrupted."""
    _set_up_threads()
    args = parser().parse_args(arguments)
    if args.command is None:
        print(START)
        return 0
    try:
        result, text = args.function(args)
        print(json.dumps(result, indent=2, ensure_ascii=False) if args.json else shown_lines(text))
    except LatensError as error:
        return _fail(args, str(error), type(error).__name__)
    except OSError as error:
        return _fail(args, f"{error.filename or 'file'}: {error.strerror or error}", type(error).__name__)
    except KeyboardInterrupt:
        print(f"\nlatens: stopped; {GO_ON.get(args.command, GO_ON['run'])}", file=sys.stderr)
        return 130
    return 0


def _set_up_threads() -> None:
    """Say how torch's threads wait and take memory; it must be said before torch is loaded.

    Threads that wait by spinning are quickest alone; on a busy machine they take the processor from what they wait for,
    and training is several times slower (docs/decisions/0004-waiting-threads.md).
    """
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.75 * (os.cpu_count() or 1):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # large pages: less time in the kernel


def _fail(args: argparse.Namespace, message: str, kind: str) -> int:
    if args.json:
        print(json.dumps({"error": message, "kind": kind}, ensure_ascii=False))
    print(f"latens: {shown(message)}", file=sys.stderr)
    return 2
