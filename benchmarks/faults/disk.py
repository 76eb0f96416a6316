"""No space, no permission, and errors of the disk, at the n-th write of a command, for one n after the other until it succeeds.

    python benchmarks/faults/disk.py [--long] [--commands NAME,NAME] [--calls NAME,NAME] [--json FILE]

fsync(2), rename(2) or write(2) of the n-th call fails with ENOSPC or EIO, and so do all later ones: a disk that is full stays
full. The command must end with an error of the disk that names a file of the run, or complete and say what it left out; the
folder must open with every byte as written; and the same command must succeed once there is space. write(2) is what Python's
files do below their buffers, and open(2) for writing fails with EACCES. Then a disk that is really full: a tmpfs of some kB more
than the run has (where it may be mounted), a run that belongs to somebody else, and a cache folder that is full or somebody
else's. The short form takes three n of each: the first, one amid and the last.
"""

import argparse
import builtins
import errno
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from damage import blobs
from kills import damage_of, started, wait
from PIL import Image
from tally import Tally, fault_parser, finish

import latens
from latens.computed import map_run
from latens.detection import detect_images
from latens.experiment import review, score
from latens.explorer import write_html
from latens.progress import Silent
from latens.report.detections import write_detections
from latens.runs import record, start_run

OUT, PAGE = "detections", "explorer.html"  # what `detect` and `export` write, here into the run's folder
SHORT = 3  # n of each command and call
FAULTS = (
    *(("fsync", errno.ENOSPC), ("fsync", errno.EIO), ("replace", errno.ENOSPC)),
    *(("write", errno.ENOSPC), ("write", errno.EIO), ("open", errno.EACCES)),
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
NOBODY = 65_534  # the user who owns nothing
COMMANDS: dict[str, Callable[[Path], object]] = {
    "resume": lambda folder: latens.resume(folder, device="cpu", progress=Silent()),
    "score": lambda folder: score(latens.open_run(folder), ["gaussian"], progress=Silent()),
    "map": lambda folder: map_run(latens.open_run(folder), "pca"),
    "review": lambda folder: review(latens.open_run(folder), progress=Silent()),
    "detect": lambda folder: detect(latens.open_run(folder)),
    "export": lambda folder: write_html(latens.open_run(folder), folder / PAGE),
}


def main() -> None:
    parser = fault_parser(__doc__)
    part = "only these, without a tmpfs; several processes share the full count"
    parser.add_argument("--commands", type=listed(list(COMMANDS)), metavar="NAME,NAME", help=part)
    parser.add_argument("--calls", type=listed(sorted({call for call, _ in FAULTS})), metavar="NAME,NAME", help=part)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pixels = blobs(np.random.default_rng(0))
    tallies = []
    with tempfile.TemporaryDirectory() as temporary:
        done = Path(temporary) / "done"
        latens.run(pixels, out=done, latent_dim=4, epochs=3, device="cpu", progress=Silent())
        stopped = stopped_run(pixels, Path(temporary) / "stopped")
        for name in args.commands or COMMANDS:
            # A whole training for each n takes long: the short form lets its writes fail by fsync and rename alone.
            faults = FAULTS[:3] if name == "resume" and not args.long else FAULTS
            for call, number in [one for one in faults if not args.calls or one[0] in args.calls]:
                tallies.append(Tally(f"{errno.errorcode[number]} at the n-th {call} of `{name}`"))
                source = stopped if name == "resume" else done
                tried(COMMANDS[name], source, Path(temporary) / "try", call, number, tallies[-1], args.long)
        if not args.commands and not args.calls:
            tallies += [full_disk(done, stopped, Path(temporary) / "mounted", args.long), forbidden(done, stopped)]
    sys.exit(finish(tallies, args.json))


def listed(names: Sequence[str]) -> Callable[[str], list[str]]:
    """The type of an option that takes some of `names`, with commas between them."""

    def read(text: str) -> list[str]:
        chosen = text.split(",")
        unknown = set(chosen) - set(names)
        if unknown:
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}; there are {', '.join(names)}")
        return chosen

    return read


def detect(run: latens.Run) -> None:
    """Judge some images, and write the tables, the page and the pictures."""
    images = blobs(np.random.default_rng(0))[:5]
    write_detections(detect_images(run, images), images, run.path / OUT)


def half_of(folder: Path, killed: bool = False) -> str:
    """What is half written, or left over, of what `detect` and `export` write; empty where nothing is.

    A process that was killed may leave a temporary file, which the next one deletes.
    """
    for path in [*folder.glob(f"*{PAGE}*"), *(folder / OUT).rglob("*")]:
        if not path.is_file():
            continue
        if killed and path.name.startswith(".") and path.suffix == ".tmp":
            continue
        content = path.read_bytes()
        whole = {
            ".html": content.rstrip().endswith(b"</html>"),
            ".csv": content.count(b"\n") == 6,
            ".parquet": content.endswith(b"PAR1"),
            ".png": content.endswith(b"IEND\xaeB`\x82"),
        }.get(path.suffix)
        if not whole:
            return f"{path.relative_to(folder)}: {'half written' if whole is False else 'left over'}"
    return ""


def stopped_run(pixels: np.ndarray, folder: Path) -> Path:
    """A run that was stopped after its first epoch."""
    images = latens.load_images(pixels)
    recipe = latens.RECIPES["fast"](images).with_options(latent_dim=4, epochs=3)
    run = start_run(images, recipe, folder)
    steps = record(run, latens.train(run.model, images, recipe.config))
    next(iter(steps))
    steps.close()
    return folder


def tried(
    command: Callable[[Path], object], source: Path, folder: Path, call: str, number: int, found: Tally, every: bool
) -> None:
    """Let one call after the other fail; all of them, or some from the first to the last."""
    copied(source, folder)
    with failing(call, number, None) as calls:
        command(folder)
    total, made = len(calls), set(latens.open_run(folder).folder.files)
    for nth in range(1, total + 1) if every else np.unique(np.linspace(1, total, SHORT).round().astype(int)).tolist():
        copied(source, folder)
        with failing(call, number, nth) as calls:
            problem = outcome(command, folder, number, made)
        found.add(len(calls) >= nth, problem or damage_of(folder) or half_of(folder) or again(command, folder))


def copied(source: Path, folder: Path) -> None:
    """Make a folder a copy of another."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)


def outcome(command: Callable[[Path], object], folder: Path, number: int, made: set[str]) -> str:
    """What is wrong with how a command ended; empty where it said what happened, or made all files in spite of it."""
    try:
        command(folder)
    except OSError as error:
        named = error.errno == number and str(folder) in str(error.filename or "")
        hidden = Path(str(error.filename or "")).name.startswith(".")
        return "" if named and not hidden else f"the error names {error.filename!r}: {error}"
    except latens.LatensError as error:
        return "" if str(folder) in str(error) else f"the message names no file: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    run = latens.open_run(folder)
    complete = made <= set(run.folder.files)  # a file that could not be renamed is there under its staged name
    return "" if complete or run.record.get("left_out") else "it says that all was saved"


def again(command: Callable[[Path], object], folder: Path) -> str:
    """What is wrong with the same command on a disk with space; empty where it succeeds."""
    try:
        command(folder)
    except Exception as error:
        return f"with space again: {type(error).__name__}: {error}"
    return damage_of(folder) or half_of(folder)


@contextmanager
def failing(call: str, number: int, nth: int | None) -> Iterator[list[None]]:
    """A disk on which the n-th call and all later ones fail, None for none; yields a list of all calls."""
    calls: list[None] = []

    def check(path: Any = None) -> None:
        calls.append(None)
        if nth is not None and len(calls) >= nth:
            raise OSError(number, os.strerror(number), path)

    if call in ("write", "open"):
        with opened_by(check, call):
            yield calls
        return
    real = getattr(os, call)

    def counted(*args: object, **options: object) -> object:
        check()
        return real(*args, **options)

    setattr(os, call, counted)
    try:
        yield calls
    finally:
        setattr(os, call, real)


class Raw(io.FileIO):
    """A file whose writes are checked before they are done."""

    check: Callable[[], None]

    def write(self, content: Any, /) -> int:
        """Write, unless the check raises."""
        self.check()
        return super().write(content)


@contextmanager
def opened_by(check: Callable[..., None], call: str) -> Iterator[None]:
    """Check each write, or each opening for writing, of files that are opened meanwhile; also by os.open and os.write."""
    real_open, real_os_open, real_write = builtins.open, os.open, os.write

    def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        if "b" not in mode or not set(mode) & set("wxa+"):
            return real_open(file, mode, *args, **options)
        if call == "open":
            check(str(file))
        raw = Raw(file, mode.replace("b", ""), opener=options.get("opener"))
        raw.check = check if call == "write" else lambda: None
        return io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

    def os_open(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if call == "open" and flags & WRITES:
            check(str(path))
        return real_os_open(path, flags, *args, **options)

    def os_write(file: int, content: Any, /) -> int:
        if call == "write" and file > 2:
            check()
        return real_write(file, content)

    builtins.open, os.open, os.write = opened, os_open, os_write  # type: ignore[assignment]
    try:
        yield
    finally:
        builtins.open, os.open, os.write = real_open, real_os_open, real_write


def full_disk(done: Path, stopped: Path, mounted: Path, every: bool) -> Tally:
    """Commands on a tmpfs that has some kB more than what is there."""
    found = Tally("a tmpfs with some kB left: " + ", ".join(f"`{name}`" for name in COMMANDS))
    mounted.mkdir()
    for name, command in COMMANDS.items():
        source = stopped if name == "resume" else done
        size = sum(4_096 * (-(-path.stat().st_size // 4_096) + 1) for path in source.rglob("*")) >> 10
        for more in np.unique(np.geomspace(4, 2_000, 24 if every else 4).round().astype(int)).tolist():
            words = ["mount", "-t", "tmpfs", "-o", f"size={size + more}k", "tmpfs", str(mounted)]
            mounting = subprocess.run(words, capture_output=True, text=True)
            if mounting.returncode:
                found.not_tried = f"a tmpfs can't be mounted here: {mounting.stderr.strip()[:200]}"
                return found
            try:
                folder = mounted / "run"
                shutil.copytree(source, folder)
                with failing("fsync", 0, None) as calls:
                    problem = outcome(command, folder, errno.ENOSPC, set())
                full = not problem and bool(calls)
                larger = ["mount", "-o", "remount,size=1g", str(mounted)]
                subprocess.run(larger, check=True, capture_output=True)
                found.add(full, problem or damage_of(folder) or half_of(folder) or again(command, folder))
            finally:
                away = ["umount", "--lazy", str(mounted)]  # arrays of the run may still be mapped
                subprocess.run(away, check=True, capture_output=True)
    return found


def forbidden(done: Path, stopped: Path) -> Tally:
    """Commands of a user who may read a run and not write it, and who may not write the cache."""
    found = Tally("no permission to write the run, or the cache")
    if os.geteuid() != 0:
        found.not_tried = "only root can become another user"
        return found
    for name, command in COMMANDS.items():
        source = stopped if name == "resume" else done
        with tempfile.TemporaryDirectory() as temporary:
            os.chmod(temporary, 0o755)  # noqa: S103 - others may read it
            folder = Path(temporary) / "run"
            copied(source, folder)
            problem = as_nobody(lambda command=command, folder=folder: outcome(command, folder, errno.EACCES, set()))
            found.add(True, f"{name}: {problem}" if problem else damage_of(folder) or again(command, folder))
    with tempfile.TemporaryDirectory() as temporary:
        os.chmod(temporary, 0o755)  # noqa: S103 - others may read it
        images = Path(temporary) / "images"
        images.mkdir()
        for number, pixels in enumerate(blobs(np.random.default_rng(0))[:12]):
            Image.fromarray(pixels).save(images / f"{number}.png")
        cache = Path(temporary) / "cache"
        cache.mkdir()

        def load() -> str:
            os.environ["LATENS_CACHE"] = str(cache)
            try:
                latens.load_images(images)
            except latens.LatensError as error:
                said = str(error)
                return "" if str(cache) in said and "\n" not in said else f"the message does not name the cache: {said}"
            except Exception as error:
                return f"{type(error).__name__}: {error}"
            return "it says nothing"

        problem = as_nobody(load)
        found.add(True, f"the cache: {problem}" if problem else "")
    return found


def as_nobody(work: Callable[[], str]) -> str:
    """What some work says in a process of a user who owns nothing."""
    reading, writing = os.pipe()

    def told() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        os.write(writing, work().encode("utf-8", "replace")[:2_000])

    child = started(told)
    os.close(writing)
    status = wait(child)
    said = os.read(reading, 4_096).decode()
    os.close(reading)
    return said or (f"status {status}" if status else "")


if __name__ == "__main__":
    main()
