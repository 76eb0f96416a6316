"""No space, and errors of the disk, at the n-th write of a command, for one n after the other until it succeeds.

    python benchmarks/faults/disk.py [--long] [--json FILE]

fsync(2), or rename(2), of the n-th call fails with ENOSPC or EIO, and so do all later ones: a disk that is full stays full. The
command must end with an error of the disk that names a file of the run, or complete and say what it left out; the folder must
open with every byte as written; and the same command must succeed once there is space. The short form takes five n of each,
from the first to the last.
"""

import errno
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
from kills import damage_of
from tally import Tally, fault_parser, finish

import latens
from latens.computed import map_run
from latens.experiment import review, score
from latens.progress import Silent
from latens.runs import record, start_run

SHORT = 5  # n of each command and call
FAULTS = (("fsync", errno.ENOSPC), ("fsync", errno.EIO), ("replace", errno.ENOSPC))
COMMANDS: dict[str, Callable[[Path], object]] = {
    "resume": lambda folder: latens.resume(folder, device="cpu", progress=Silent()),
    "score": lambda folder: score(latens.open_run(folder), ["gaussian"], progress=Silent()),
    "map": lambda folder: map_run(latens.open_run(folder), "pca"),
    "review": lambda folder: review(latens.open_run(folder), progress=Silent()),
}


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    pixels = blobs(np.random.default_rng(0))
    tallies = []
    with tempfile.TemporaryDirectory() as temporary:
        done = Path(temporary) / "done"
        latens.run(pixels, out=done, latent_dim=4, epochs=3, device="cpu", progress=Silent())
        stopped = stopped_run(pixels, Path(temporary) / "stopped")
        for name, command in COMMANDS.items():
            for call, number in FAULTS:
                tallies.append(Tally(f"{errno.errorcode[number]} at the n-th {call} of `{name}`"))
                source = stopped if name == "resume" else done
                tried(command, source, Path(temporary) / "try", call, number, tallies[-1], args.long)
    sys.exit(finish(tallies, args.json))


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
        found.add(len(calls) >= nth, problem or damage_of(folder) or again(command, folder))


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
    return damage_of(folder)


@contextmanager
def failing(call: str, number: int, nth: int | None) -> Iterator[list[None]]:
    """A disk on which the n-th call and all later ones fail, None for none; yields a list of all calls."""
    real, calls = getattr(os, call), []

    def counted(*args: object, **options: object) -> object:
        calls.append(None)
        if nth is not None and len(calls) >= nth:
            raise OSError(number, os.strerror(number))
        return real(*args, **options)

    setattr(os, call, counted)
    try:
        yield calls
    finally:
        setattr(os, call, real)


if __name__ == "__main__":
    main()
