"""What the disk holds between two system calls of a command: each of these states opens, with every byte as written.

    python benchmarks/faults/states.py [--long] [--json FILE]

Before each call that changes a file's name or length (open for writing, rename, remove, truncate, fsync), the run's folder is
copied: it is what a process that is killed there leaves. Each copy must open with every byte as written, and before
run.json is there, there is nothing to lose. The long form also goes on with the command on each tenth copy, to the end.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from damage import blobs
from disk import COMMANDS, half_of, stopped_run
from kills import damage_of
from tally import Tally, fault_parser, finish

import latens
from latens.explorer.tags import Tags
from latens.progress import Silent
from latens.runs.record import is_run

GO_ON = 10  # of so many states, one is gone on from
WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
RENAMES = ("os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir")


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    pixels = blobs(np.random.default_rng(0))
    states = States()
    tallies = []
    with tempfile.TemporaryDirectory() as temporary:
        done, stopped, folder = (Path(temporary) / name for name in ("done", "stopped", "try"))
        latens.run(pixels, out=done, latent_dim=4, epochs=3, device="cpu", progress=Silent())
        stopped_run(pixels, stopped)
        commands: dict[str, tuple[Path | None, Callable[[Path], object]]] = {
            "run": (None, lambda path: latens.run(pixels, out=path, latent_dim=4, epochs=3, progress=Silent())),
            **{name: (stopped if name == "resume" else done, command) for name, command in COMMANDS.items()},
            "tags": (done, tag),
        }
        for name, (source, command) in commands.items():
            tallies.append(Tally(f"states of the disk between the system calls of `{name}`"))
            copies = Path(temporary) / "copies"
            shutil.rmtree(folder, ignore_errors=True)
            if source is not None:
                shutil.copytree(source, folder)
            with states.kept(folder, copies):
                command(folder)
            for number, copy in enumerate(sorted(copies.iterdir())):
                there = is_run(copy)
                problem = damage_of(copy) or half_of(copy, killed=True) if there else ""
                if args.long and there and not problem and not number % GO_ON:
                    problem = went_on(COMMANDS["resume"] if name == "run" else command, copy)
                tallies[-1].add(there, f"state {number}: {problem}" if problem else "")
            shutil.rmtree(copies)
    sys.exit(finish(tallies, args.json))


def tag(folder: Path) -> None:
    """Some changes of tags."""
    tags = Tags(folder)
    for number in range(20):
        tags.change("odd", [str(number)])
        tags.read()


def went_on(command: Callable[[Path], object], folder: Path) -> str:
    """What is wrong with a command that starts from a state; empty where it ends as it should."""
    try:
        command(folder)
    except Exception as error:
        return f"going on: {type(error).__name__}: {error}"
    return damage_of(folder) or half_of(folder)


class States:
    """Copies of a folder before each call that changes it."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.copies = Path()
        self.number = 0
        self.fsync = os.fsync
        sys.addaudithook(self._hook)

    @contextmanager
    def kept(self, folder: Path, copies: Path) -> Iterator[None]:
        """Copy the folder before each call of the work inside."""
        copies.mkdir()
        self.folder, self.copies, self.number = folder, copies, 0
        os.fsync = self._synced
        try:
            yield
        finally:
            self.folder, os.fsync = None, self.fsync

    def _synced(self, file: int) -> None:
        self._copy()
        self.fsync(file)

    def _hook(self, event: str, details: tuple[object, ...]) -> None:
        if self.folder is None:
            return
        writes = event in RENAMES or (event == "open" and isinstance(details[2], int) and details[2] & WRITE)
        if writes and str(self.folder) in str(details[0]):
            self._copy()

    def _copy(self) -> None:
        folder, self.folder = self.folder, None  # copying is no work of the command
        try:
            if folder is not None and folder.is_dir():
                shutil.copytree(folder, self.copies / f"{self.number:06}", copy_function=linked)
                self.number += 1
        finally:
            self.folder = folder


def linked(source: str, to: str) -> None:
    """A file as it is now. Files that are replaced as a whole need no copy of their bytes, journals do."""
    if source.endswith(".jsonl"):
        shutil.copy(source, to)
    else:
        os.link(source, to)


if __name__ == "__main__":
    main()
