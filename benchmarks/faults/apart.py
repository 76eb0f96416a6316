"""Work on what somebody else made, each in a process of its own that is limited and watched.

Such a process may take 20 s of processor time, 1 GB more than before and 90 s by the clock. An audit hook notes what reading must
never do: load a pickle's class, start a process, open a socket, compile code. Beside what is read lies a folder of the user's
own: no name and no byte of its files may come out, and none of them may change.
"""

import base64
import os
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from kills import wait

from latens.errors import LatensError, lacks_memory

__all__ = ["TOKEN", "Case", "Private", "one_line", "outcomes"]

SECONDS, LONGEST, MORE_BYTES = 20, 90.0, 1 << 30  # processor time; by the clock
NEVER = ("pickle.find_class", "subprocess.Popen", "socket.connect", "os.system", "os.exec", "os.posix_spawn", "compile")
TOKEN = "canary-5d1f0c6e9b"  # noqa: S105 - in what is private
LEAKS = [TOKEN.encode(), b"root:x:0:"] + [
    base64.b64encode(b"-" * start + TOKEN.encode())[4 : len(TOKEN)] for start in range(3)
]


class Private:
    """A folder of the user's own, beside what somebody sent them.

    Args:
        folder: where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Make it anew: texts, lines of JSON, and files that look like those that latens cleans away."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "pictures").mkdir(parents=True)
        for name, text in {
            "letter.txt": f"{TOKEN}\n",
            "lines.jsonl": f'{{"tag": "{TOKEN}", "on": true, "ids": ["0"], "epoch": 1, "train_loss": "{TOKEN}"}}\n',
            f"pictures/{TOKEN}.png": "no picture",
            ".letter.txt.0123456789abcdef.new": TOKEN,
            ".letter.txt.0123456789abcdef0123456789abcdef.tmp": TOKEN,
        }.items():
            (self.folder / name).write_text(text)

    def content(self) -> dict[str, bytes]:
        """All files and what they hold."""
        return {str(path): path.read_bytes() for path in sorted(self.folder.rglob("*")) if path.is_file()}


class Case(NamedTuple):
    """Something hostile, and what is done with it.

    Args:
        name: of the case.
        prepare: makes it in a folder that is given, before the limits begin.
        work: is done with the folder; it gives what went wrong.
    """

    name: str
    prepare: Callable[[Path], object]
    work: Callable[[Path], list[str]]


def outcomes(cases: Iterable[Case], folder: Path, at_once: int = 2) -> Iterator[tuple[str, str]]:
    """The names of the cases and what went wrong; empty where nothing did.

    Args:
        cases: what is tried.
        folder: where each gets a folder of its own while it is tried.
        at_once: so many processes.
    """
    working: list[tuple[str, Path, int, float]] = []
    for number, case in enumerate(cases):
        place = folder / str(number)
        place.mkdir()
        working.append((case.name, place, _started(case, place), time.monotonic()))
        while len(working) >= at_once:
            yield from _ended(working)
    while working:
        yield from _ended(working)


def one_line(name: str, work: Callable[[], object]) -> str:
    """What is wrong with how something is done: an error that is not latens's, or one of several lines.

    A lack of memory, whoever says so, is a line on the command line and on the page.
    """
    try:
        work()
    except LatensError as error:
        return f"{name}: more than one line: {error}" if "\n" in str(error) else ""
    except Exception as error:
        if lacks_memory(error):
            return ""
        frames = traceback.extract_tb(error.__traceback__)
        place = next((one for one in reversed(frames) if "latens" in one.filename), frames[-1])
        at = f"{Path(place.filename).name}, line {place.lineno}"
        return f"{name}: {type(error).__name__} in {at}: {' '.join(str(error).split())[:200]}"
    return ""


def _ended(working: list[tuple[str, Path, int, float]]) -> Iterator[tuple[str, str]]:
    """Those that have ended, after waiting a moment; they are taken from the list."""
    for one in list(working):
        name, place, child, since = one
        status = wait(child, 0)
        late = status is None and time.monotonic() - since > LONGEST
        if status is None and not late:
            continue
        if late:
            os.kill(child, signal.SIGKILL)
            wait(child)
        told = place.with_suffix(".told")
        problem = told.read_text() if told.exists() else ""
        if late:
            problem = f"took more than {LONGEST:.0f} s"
        elif status:
            problem = f"ended with status {status} {problem}"
        elif not told.exists():
            problem = "ended without a word"
        working.remove(one)
        shutil.rmtree(place, ignore_errors=True)
        for path in place.parent.glob(f"{place.name}.*"):
            path.unlink()
        if problem:  # at once, since all of them take long
            print(f"{name}: {problem}", file=sys.stderr, flush=True)
        yield name, f"{name}: {problem}" if problem else ""
    time.sleep(0.005)


def _started(case: Case, place: Path) -> int:
    child = os.fork()
    if child:
        return child
    said = os.open(place.with_suffix(".said"), os.O_WRONLY | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(said, stream)
    private = Private(place / "private")
    private.fill()
    before = private.content()
    case.prepare(place)
    problems = _judged(lambda: case.work(place))
    if private.content() != before:
        problems.append("changed files of the user's own")
    sys.stdout.flush()
    problems += [f"gave away what is private: {name}" for name in _leaks(place)]
    place.with_suffix(".told").write_text("; ".join(problems)[:2_000])
    os._exit(0)


def _leaks(place: Path) -> list[str]:
    """Where something private can be read, apart from its own folder."""
    found = []
    for path in [place.with_suffix(".said"), *place.rglob("*")]:
        if path.is_relative_to(place / "private") or path.is_symlink() or not path.is_file():
            continue
        if path.stat().st_size < 1 << 28 and any(leak in (content := path.read_bytes()) for leak in LEAKS):
            found.append(f"{path.name} {content[:100]!r}")
    return found


def _judged(work: Callable[[], list[str]]) -> list[str]:
    """Do some work under the limits and the audit hook, and say what was wrong."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_BYTES, used + MORE_BYTES))
    spent = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (spent + SECONDS, spent + SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done: list[str] = []
    own = [True]

    def hook(event: str, details: tuple[Any, ...]) -> None:
        # Source without a file is a header of numpy's, which is parsed and not run.
        harmless = event == "compile" and details[1] in (None, "<unknown>")
        reads_apart = event == "subprocess.Popen" and details[1][2:4] == ["-m", "latens.isolated"]
        if own[0] and event.startswith(NEVER) and not harmless and not reads_apart:
            done.append(f"{event} {details!r}"[:200])

    sys.addaudithook(hook)
    problems: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            problems += work()
        except BaseException as error:
            problems.append(f"{type(error).__name__}: {str(error)[:300]}")
    own[0] = False
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, spent + SECONDS + 5))
    return problems + sorted(set(done))
