"""Work on files that somebody else made, in a process of its own: no network, no other programs, so much memory and time.

Such a file may have been made to harm who reads it, and libraries that read it have faults. What the process may not do fails in
it with an error; what it tried is said. The limits are those of the system: Linux has all of them; macOS keeps to no limit of
memory, Windows has none and no namespaces either, and there the audit hook alone refuses connections and programs.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from latens import errors
from latens.errors import LatensError, UsageError, lacks_memory
from latens.memory import memory_size

__all__ = ["isolated"]

NEW_USER, NEW_NETWORK = 0x10000000, 0x40000000  # unshare(2): CLONE_NEWUSER, CLONE_NEWNET
CONNECTIONS = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo")
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn")
SECONDS = 600  # of processor time, those of all threads together
# What Python's own `platform` and `ctypes.util` start where packages are imported: refused as well, and no sign of harm.
HARMLESS = {"uname", "ldconfig", "gcc", "cc", "ld", "objdump", "lsb_release"}


def isolated(task: str, *words: str, path: str | os.PathLike[str], memory: int) -> None:
    """Call a function with some words in a process of its own.

    Args:
        task: `module:function`. Its module is imported before the limits begin.
        *words: given to it.
        path: the file or folder that it reads; named by errors.
        memory: bytes that it may take beyond those of the imported module; no more than this machine has, since the size of a
            file that has holes says nothing.

    Raises:
        LatensError: the function raised it there.
        UsageError: the process ended without an answer, took too much memory or more than `SECONDS` of processor time, or tried
            what it may not.
    """
    if not sys.executable:
        raise UsageError(f"{path}: can't be read safely: Python does not say where its own program is (sys.executable)")
    # -P: a folder `latens` where the command was given is not ours.
    most = min(memory, memory_size() or memory)
    command = [sys.executable, "-P", "-m", "latens.isolated", task, str(most), str(SECONDS), *words]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "answer.json"  # what libraries print goes nowhere
        quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        done = subprocess.run([*command, str(file)], check=False, **quiet)  # noqa: S603 - our own program, and no shell
        answer: dict[str, Any] = (
            json.loads(file.read_bytes()) if file.is_file() else {"reason": _ended(done.returncode)}
        )
    if answer.get("tried"):
        raise UsageError(f"{path}: refused, since reading it tried {answer['tried']}")
    if answer.get("reason"):
        raise UsageError(f"{path}: can't be read: in a process of its own {answer['reason']}")
    if answer.get("kind"):
        raise getattr(errors, answer["kind"], UsageError)(answer["text"])


def _ended(status: int) -> str:
    if hasattr(signal, "SIGXCPU") and status == -signal.SIGXCPU:
        return f"it did not end within {SECONDS:,} s of processor time"
    return f"it was ended by signal {-status}" if status < 0 else f"it ended with status {status}"


def main() -> None:
    """The process itself: TASK MEMORY SECONDS WORD... FILE."""
    task, memory, seconds, *words, file = sys.argv[1:]
    module, name = task.split(":")
    _leave_network()  # before a library starts threads: the system wants one thread for it
    function = getattr(import_module(module), name)
    tried = _confine(int(memory), int(seconds))
    answer: dict[str, Any] = {}
    try:
        function(*words)
    except LatensError as error:
        answer = {"kind": type(error).__name__, "text": str(error)}
    except Exception as error:
        failed = f"it failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        answer = {
            "reason": f"it needed more than {int(memory) >> 20:,} MB of memory" if lacks_memory(error) else failed
        }
    answer["tried"] = ", ".join(sorted(set(tried)))
    Path(file).write_bytes(json.dumps(answer).encode())
    os._exit(0)  # nothing that a file left behind is run at the end


def _leave_network() -> None:
    """Go into a network of its own that reaches nothing, where the system allows it."""
    if sys.platform != "linux":
        return
    import ctypes

    library, user, group = ctypes.CDLL(None), os.getuid(), os.getgid()
    if library.unshare(NEW_NETWORK) == 0:
        return
    with suppress(OSError):  # without the system's help the audit hook refuses connections
        if library.unshare(NEW_USER | NEW_NETWORK) == 0:
            for file, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                with open(f"/proc/self/{file}", "w") as out:
                    out.write(text)


def _limit(what: int, limit: int) -> None:
    """Set a limit of the system, where that is not lower already."""
    import resource

    most = resource.getrlimit(what)[1]
    resource.setrlimit(what, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def _confine(memory: int, seconds: int) -> list[str]:
    """Begin the limits. What is tried in spite of them goes to the list that is returned."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        _limit(resource.RLIMIT_AS, used + memory)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _limit(resource.RLIMIT_CPU, seconds + int(time.process_time()) + 1)
    tried: list[str] = []

    def hook(event: str, details: tuple[Any, ...]) -> None:
        if event.startswith(CONNECTIONS):
            tried.append("to open a connection")
        elif event.startswith(PROGRAMS):
            program = (
                os.path.basename(os.fsdecode(details[0])) if details and isinstance(details[0], str | bytes) else ""
            )
            if program not in HARMLESS:
                tried.append(f"to start a program ({program or event})")
        else:
            return
        raise PermissionError(f"not allowed here: {event}")

    sys.addaudithook(hook)
    return tried


if __name__ == "__main__":
    main()
