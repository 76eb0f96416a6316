"""Latents of very many images as a folder of Parquet files, written by any number of processes, each its share of them."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latens.computed.encoding import encode_given
from latens.computed.given_images import GivenImages
from latens.errors import RunError, UsageError
from latens.exports.latents_file import check_parquet, write_latents
from latens.files import atomic_write, json_content, remove_abandoned
from latens.images.assemble import refused_line
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import WEIGHTS
from latens.text import shown

__all__ = ["ROWS", "Share", "WrittenParts", "encode_in_parts", "share_of_process"]

ROWS = 10_000  # images of a part
PLAN = "parts.json"
LARGEST = 100_000  # bytes of the plan that are read
# Pairs of environment variables that launchers set: the number of a process, and how many there are.
LAUNCHERS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))


@dataclass(frozen=True)
class Share:
    """Which parts one of several processes writes: those with the numbers index, index + count, …

    Raises:
        UsageError: index is not among 0 to count - 1.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UsageError(
                f"share {self.index}/{self.count}: the first number is one of 0 to {max(self.count, 1) - 1}"
            )

    @classmethod
    def from_text(cls, text: str) -> "Share":
        """A share as it is written.

        >>> Share.from_text("3/8")
        Share(index=3, count=8)
        """
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal()):
            raise UsageError(f"share {text!r}; write INDEX/COUNT, such as 0/8 for the first of eight processes")
        return cls(int(index), int(count))


@dataclass(frozen=True)
class WrittenParts:
    """What one process has done.

    Args:
        folder: that holds the parts.
        parts: how many there are, of all processes.
        written: how many of them this process has written.
        there: how many of its share were there already.
        images: how many images it has encoded.
        notes: what a user should be told.
    """

    folder: str
    parts: int
    written: int
    there: int
    images: int
    notes: tuple[str, ...]


def share_of_process() -> Share:
    """The share of this process, by what torchrun or SLURM's srun say of it; all parts where neither started it."""
    for index, count in LAUNCHERS:
        if os.environ.get(index, "").isdecimal() and os.environ.get(count, "").isdecimal():
            return Share(int(os.environ[index]), int(os.environ[count]))
    return Share()


def encode_in_parts(
    run: Run,
    source: Any,
    folder: str | os.PathLike[str],
    part: str = "all",
    *,
    share: Share | None = None,
    rows: int = ROWS,
    progress: Progress | None = None,
    **reading: Any,
) -> WrittenParts:
    """Encode images into `latents-NNNNN-of-NNNNN.parquet`, each of so many images in the source's order.

    A part is written as a whole or not at all, and one that is there is not made again: a process that was stopped goes on, and
    any number of processes on any machines that see the folder can work at once, each on its share. The first one writes
    `parts.json`, which says of which weights and images the parts are; the others check it.

    Args:
        run: whose model encodes.
        source: as for `encode_source`.
        folder: made where it is not there.
        part: as for `encode_source`.
        share: which of the parts this process writes; by default by what its launcher says, see `share_of_process`.
        rows: images of a part.
        progress: shows the progress.
        **reading: as for `encode_source`.

    Raises:
        UsageError: rows below 1; or as `encode_source`.
        RunError: the folder holds parts of other weights, images or numbers of rows.
        MissingExtra: neither polars nor pyarrow is installed.
        ImagesError: the images can't be read.
    """
    if rows < 1:
        raise UsageError(f"{rows} images a part; at least 1 is needed")
    check_parquet()
    share, progress = share or share_of_process(), progress or Silent()
    given, place = GivenImages(run, source, part, **reading), Path(folder)
    count = -(-given.total // rows)
    remove_abandoned(place)  # of processes that were killed
    _check_plan(place, _plan(run, given, part, rows, count, reading))
    mine = range(share.index, count, share.count)
    files = {number: place / f"latents-{number:05}-of-{count:05}.parquet" for number in mine}
    missing = [number for number in mine if not files[number].exists()]
    images = 0
    with progress.stage("parts", "parts") as tick:
        for done, number in enumerate(missing):
            tick(done, len(missing), files[number].name)
            arrays = encode_given(run, given, range(number * rows, min((number + 1) * rows, given.total)))
            write_latents(run, arrays, files[number])
            images += len(arrays["ids"])
        tick(len(missing), len(missing))
    left_out = [refused_line(given.refused, images + len(given.refused))] if given.refused else []
    notes = tuple(dict.fromkeys([*given.notes, *left_out]))
    return WrittenParts(str(folder), count, len(missing), len(mine) - len(missing), images, notes)


def _plan(run: Run, given: GivenImages, part: str, rows: int, count: int, reading: dict[str, Any]) -> dict[str, Any]:
    """What all processes must agree on."""
    names = hashlib.sha256()
    for one in given.ids:
        names.update(one.encode("utf-8", "surrogateescape") + b"\n")
    return {
        "format": 1,
        "weights": run.folder.files.get(WEIGHTS, ""),
        "images": given.total,
        "ids": names.hexdigest(),
        "part": part,
        "reading": {
            name: str(value) for name, value in sorted(reading.items()) if value is not None and value is not False
        },
        "rows": rows,
        "parts": count,
    }


def _check_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write the plan where there is none, and compare it with that which is there."""
    path = folder / PLAN
    if not path.exists():
        if folder.is_dir() and any(not one.name.startswith(".") for one in folder.iterdir()):
            raise RunError(f"{shown(folder)}: holds other files, and no {PLAN}; choose an empty folder")
        atomic_write(path, json_content(plan))
    try:
        with path.open("rb") as file:
            there = json.loads(file.read(LARGEST))
    except (ValueError, RecursionError):
        raise RunError(f"{shown(path)}: not readable; choose another folder, or delete it with all parts") from None
    words = {
        "weights": "weights",
        "images": "images",
        "ids": "images",
        "rows": "numbers of rows",
        "part": "parts of the data",
        "reading": "options of reading",
    }
    other = [words.get(name, name) for name in plan if not isinstance(there, dict) or there.get(name) != plan[name]]
    if other:
        raise RunError(
            f"{shown(folder)}: its parts are of other {other[0]} than asked for now; give the same run, images and options, or"
            " choose another folder"
        )
