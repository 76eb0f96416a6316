"""A folder of parts as one process sees it: the plan that all agree on, which parts are there, and how one is made."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from latens import __version__
from latens.errors import RunError, UsageError
from latens.files import atomic_write, json_content, locked, remove_abandoned
from latens.parts.contract import Made, Work
from latens.sheets import as_parquet, check_parquet, is_whole_parquet, parquet_rows
from latens.text import shown

__all__ = ["PartsFolder", "made_here"]

PLAN, LOCK = "parts.json", ".parts.lock"
LARGEST = 100_000  # bytes of the plan that are read
TO_A_THOUSANDTH = 1e-3
WORDS = {  # what an entry of the plan is called where it differs
    "format": "versions of latens",
    "latens": "versions of latens",
    "holds": "contents",
    "ids": "images",
    "rows": "numbers of rows",
    "part": "parts of the data",
    "reading": "options of reading",
    "detector": "detectors",
    "threshold": "detectors",
    "sample": "samples",
    "seed": "seeds",
}


class PartsFolder:
    """The parts of a folder, `HOLDS-NNNNN-of-NNNNN.parquet`, each of so many rows in the source's order.

    The first process writes `parts.json`, which says of what the parts are; the others check it.

    Args:
        open_work: opens what is computed. It can be pickled, so that other processes open the same folder.
        path: the folder; made where it is not there.
        rows: of a part.

    Raises:
        UsageError: rows below 1.
        MissingExtra: neither polars nor pyarrow is installed.
        RunError: the folder holds parts of something else, or other files.
    """

    def __init__(self, open_work: Callable[[], Work], path: str | os.PathLike[str], rows: int) -> None:
        if rows < 1:
            raise UsageError(f"{rows} images a part; at least 1 is needed")
        check_parquet()
        self.open_work, self.path, self.rows = open_work, Path(path), rows
        self.work = open_work()
        self.count = -(-self.work.total // rows)
        remove_abandoned(self.path)  # of processes that were killed
        plan = {"format": 2, "latens": __version__, "holds": self.work.holds, **self.work.agreed}
        _check_plan(self.path, {**plan, "rows": rows, "parts": self.count})

    def file(self, number: int) -> Path:
        """The file of a part."""
        return self.path / f"{self.work.holds}-{number:05}-of-{self.count:05}.parquet"

    def is_there(self, number: int) -> bool:
        """Whether a part is written, and its end is there too."""
        return is_whole_parquet(self.file(number))

    def make(self, number: int) -> Made:
        """Write a part, as a whole or not at all; one that was written since is left as it is."""
        if self.is_there(number):
            return Made(number, parquet_rows(self.file(number)), (), tuple(self.work.notes))
        before = len(self.work.left_out)
        columns = self.work.table(range(number * self.rows, min((number + 1) * self.rows, self.work.total)))
        metadata = {f"latens.{name}": value for name, value in self.work.metadata.items()}
        atomic_write(self.file(number), as_parquet(columns, metadata))
        return Made(number, len(columns["id"]), tuple(self.work.left_out[before:]), tuple(self.work.notes))


def made_here(parts: PartsFolder, numbers: Sequence[int]) -> Iterator[Made]:
    """The engine that is this process: one part after the other."""
    for number in numbers:
        yield parts.make(number)


def _check_plan(folder: Path, plan: Mapping[str, Any]) -> None:
    """Write the plan where there is none, and compare it with that which is there."""
    path = folder / PLAN
    if not path.exists():
        if folder.is_dir() and any(not one.name.startswith(".") for one in folder.iterdir()):
            raise RunError(f"{shown(folder)}: holds other files, and no {PLAN}; choose an empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / LOCK):  # of processes that begin at once with other plans, one must win
            if not path.exists():
                atomic_write(path, json_content(plan))
    try:
        with path.open("rb") as file:
            there = json.loads(file.read(LARGEST))
    except (ValueError, RecursionError):
        raise RunError(f"{shown(path)}: not readable; choose another folder, or delete it with all parts") from None
    for name, value in plan.items():
        if not isinstance(there, dict) or not _same(there.get(name), value):
            raise RunError(
                f"{shown(folder)}: its parts are of other {WORDS.get(name, name)} than asked for now; give the same run, images"
                " and options, with the same latens, or choose another folder"
            )


def _same(there: object, value: object) -> bool:
    if isinstance(value, float) and isinstance(there, int | float):
        return math.isclose(there, value, rel_tol=TO_A_THOUSANDTH)
    return there == value
