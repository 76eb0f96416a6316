"""Latents that are searched: of a run or a file, memory-mapped; or of a folder of parts, read one part at a time."""

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import RunDamaged, UsageError
from latens.files import map_npy, map_npz
from latens.neighbours import nearest_stored
from latens.runs import Run
from latens.runs.run import LATENT_ARRAYS, LATENTS, TRAIN, WEIGHTS
from latens.sheets import is_whole_parquet, parquet_columns, parquet_rows
from latens.text import counted, shown

__all__ = [
    "Stored",
    "StoredArrays",
    "StoredParts",
    "files_of_parts",
    "stored_arrays",
    "stored_latents",
    "stored_parts",
]

NEEDED = "a .npz of `latens encode` or a .npy of latents (N, D) is needed"


class Stored(ABC):
    """Latents with the ids, parts and labels of their images, where they are known."""

    dim: int  # numbers of a latent

    @abstractmethod
    def __len__(self) -> int:
        """How many latents."""

    @abstractmethod
    def row_of(self, name: str) -> int | None:
        """The row of an image by its id; None where it is not there."""

    @abstractmethod
    def latent(self, row: int) -> NDArray[Any]:
        """One latent, (1, D)."""

    @abstractmethod
    def nearest(
        self, queries: NDArray[Any], k: int, without: NDArray[np.int64], progress: Callable[[int, int], object]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """See `nearest_stored`."""

    @abstractmethod
    def ids(self, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        """The ids of rows, of their shape."""

    @abstractmethod
    def parts(self, rows: NDArray[np.int64]) -> NDArray[np.str_] | None:
        """`"train"` or `"test"` of each; None where there are no such parts."""

    @abstractmethod
    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.str_] | None:
        """The name of each one's class; None without labels."""


def stored_latents(run: Run, within: str | os.PathLike[str] | None = None) -> Stored:
    """A run's latents, or those of a file or a folder of parts.

    Args:
        run: whose latents are taken, if nothing is named.
        within: see `stored_arrays`; or a folder that `latens encode -o FOLDER/` wrote.

    Raises:
        UsageError: it is not there, or holds no latents, or those of other weights, or a part of them is missing.
        RunError: the run has no latents yet.
    """
    if within is not None and Path(os.path.expanduser(within)).is_dir():
        return stored_parts(run, within)
    return StoredArrays(run, stored_arrays(run, within))


def stored_parts(run: Run, folder: str | os.PathLike[str]) -> "StoredParts":
    """The latents of a folder of parts that `latens encode -o FOLDER/` wrote by a run.

    Raises:
        UsageError: there is no such folder, or it holds no latents, or those of other weights, or a part is missing or cut.
    """
    path = Path(os.path.expanduser(folder))
    if not path.is_dir():
        raise UsageError(
            f"{shown(folder)}: no such folder; `latens encode RUN DATA -o FOLDER/` writes parts of latents"
        )
    parts = StoredParts(path)
    _check_weights(run, path)
    return parts


def stored_arrays(run: Run, within: str | os.PathLike[str] | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of a run's latents, or of a file of latents, memory-mapped where they are not compressed.

    Args:
        run: whose latents are taken, if no file is named.
        within: an .npz with `latents` (N, D) and perhaps `ids`, `labels` and `class_names`, or an .npy (N, D).

    Raises:
        UsageError: the file is not there, or holds no latents.
        RunError: the run has no latents yet.
    """
    if within is None:
        with run.folder.open(LATENTS) as file:
            return map_npz(file, LATENT_ARRAYS)
    path = Path(os.path.expanduser(within))
    if not path.is_file():
        raise UsageError(f"{shown(within)}: no such file; {NEEDED}")
    if path.suffix.lower() not in (".npz", ".npy"):
        raise UsageError(f"{shown(within)}: {NEEDED}")
    try:
        arrays = map_npz(path, ("latents",)) if path.suffix.lower() == ".npz" else {"latents": map_npy(path)}
    except RunDamaged as error:
        raise UsageError(str(error)) from None
    latents = arrays["latents"]
    if latents.ndim > 2:
        arrays["latents"] = latents = latents.reshape(len(latents), -1)
    if latents.ndim != 2 or latents.dtype.kind not in "fiu":
        raise UsageError(
            f"{shown(within)}: latents of shape {latents.shape} and type {latents.dtype}; (N, D) numbers are needed"
        )
    for name in ("ids", "labels"):
        if name in arrays and arrays[name].shape != (len(latents),):
            raise UsageError(
                f"{shown(within)}: {counted(len(latents), 'latent')} and {name} of shape {arrays[name].shape}; one each is needed"
            )
    return arrays


class StoredArrays(Stored):
    """Latents in arrays, see `stored_arrays`."""

    def __init__(self, run: Run, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.run, self.arrays, self.latents = run, arrays, arrays["latents"]
        self.dim = self.latents.shape[1]

    def __len__(self) -> int:
        return len(self.latents)

    def row_of(self, name: str) -> int | None:
        """Where there are no ids, the number of a row is its id."""
        if "ids" not in self.arrays:
            return int(name) if name.isascii() and name.isdecimal() and int(name) < len(self) else None
        places = np.flatnonzero(self.arrays["ids"] == name)
        return int(places[0]) if len(places) else None

    def latent(self, row: int) -> NDArray[Any]:
        """See `Stored`."""
        return np.asarray(self.latents[row : row + 1])

    def nearest(
        self, queries: NDArray[Any], k: int, without: NDArray[np.int64], progress: Callable[[int, int], object]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """See `nearest_stored`."""
        return nearest_stored(self.latents, queries, k, without=without, progress=progress)

    def ids(self, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        """See `Stored`."""
        return (self.arrays["ids"][rows] if "ids" in self.arrays else rows).astype(str)

    def parts(self, rows: NDArray[np.int64]) -> NDArray[np.str_] | None:
        """See `Stored`."""
        return np.where(self.arrays["part"][rows] == TRAIN, "train", "test") if "part" in self.arrays else None

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.str_] | None:
        """See `Stored`."""
        if "labels" not in self.arrays:
            return None
        names = np.array([*self.arrays.get("class_names", self.run.class_names), ""], dtype=str)
        labels = self.arrays["labels"][rows].astype(np.int64)
        known = (labels >= 0) & (labels < len(names) - 1)
        found: NDArray[np.str_] = names[np.where(known, labels, len(names) - 1)]
        return found


class StoredParts(Stored):
    """Latents in a folder of parts, in the order of their numbers; no more than one part is in memory.

    Args:
        folder: of `latens encode -o FOLDER/`.

    Raises:
        UsageError: it holds no latents, or a part is missing or cut.
        MissingExtra: neither polars nor pyarrow is installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = files_of_parts(folder)
        self.counts = [parquet_rows(file) for file in self.files]
        self.starts = np.cumsum([0, *self.counts])
        self.dim = self._latents(0).shape[1]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def row_of(self, name: str) -> int | None:
        """See `Stored`; the ids of one part after the other are read."""
        for file, start in zip(self.files, self.starts, strict=False):
            places = np.flatnonzero(parquet_columns(file, ["id"])["id"].astype(str) == name)
            if len(places):
                return int(start + places[0])
        return None

    def latent(self, row: int) -> NDArray[Any]:
        """See `Stored`."""
        number = self._part_of(row)
        place = row - int(self.starts[number])
        return self._latents(number)[place : place + 1]

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Part after part the row of its first latent, and its latents (N, D)."""
        for number, start in enumerate(self.starts[:-1].tolist()):
            yield start, self._latents(number)

    def latents(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The latents of rows (M,), which must ascend: float32 (M, D)."""
        found = np.empty((len(rows), self.dim), np.float32)
        for number in self._used(rows):
            inside = slice(*np.searchsorted(rows, self.starts[number : number + 2]).tolist())
            found[inside] = self._latents(number)[rows[inside] - self.starts[number]]
        return found

    def nearest(
        self, queries: NDArray[Any], k: int, without: NDArray[np.int64], progress: Callable[[int, int], object]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """See `nearest_stored`: the nearest of each part, and of these the nearest."""
        distances, rows = np.empty((len(queries), 0)), np.empty((len(queries), 0), np.int64)
        for number, start in enumerate(self.starts[:-1].tolist()):
            progress(start, len(self))
            # One more than is wanted: a query may find itself in one of the parts.
            near, places = nearest_stored(self._latents(number), queries, k + 1)
            near[places + start == without[:, None]] = np.inf
            distances, rows = np.concatenate([distances, near], 1), np.concatenate([rows, places + start], 1)
            order = np.argsort(distances, axis=1, kind="stable")[:, : k + 1]
            distances, rows = np.take_along_axis(distances, order, 1), np.take_along_axis(rows, order, 1)
        progress(len(self), len(self))
        most = min(k, len(self) - int((without >= 0).any()))
        return distances[:, :most], rows[:, :most]

    def ids(self, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        """See `Stored`."""
        return self._texts("id", rows)

    def parts(self, rows: NDArray[np.int64]) -> None:
        """There are none."""

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.str_] | None:
        """See `Stored`."""
        return self._texts("label", rows) if any(self._has(number, "label") for number in self._used(rows)) else None

    def _latents(self, number: int) -> NDArray[np.float32]:
        return parquet_columns(self.files[number], ["latent"])["latent"]

    def _part_of(self, row: int) -> int:
        return int(np.searchsorted(self.starts, row, side="right")) - 1

    def _used(self, rows: NDArray[np.int64]) -> Iterator[int]:
        yield from np.unique(np.searchsorted(self.starts, rows, side="right") - 1).tolist()

    def _has(self, number: int, column: str) -> bool:
        return column in parquet_columns(self.files[number], None)

    def _texts(self, column: str, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        found = np.full(rows.shape, "", dtype=object)
        for number in self._used(rows):
            if self._has(number, column):
                inside = (rows >= self.starts[number]) & (rows < self.starts[number + 1])
                texts = parquet_columns(self.files[number], [column])[column]
                found[inside] = ["" if one is None else str(one) for one in texts[rows[inside] - self.starts[number]]]
        return found.astype(str)


def files_of_parts(
    folder: Path, holds: str = "latents", written_by: str = "`latens encode RUN DATA -o FOLDER/`"
) -> list[Path]:
    """The files of all parts of a folder, in order.

    Args:
        folder: that holds them.
        holds: what they hold, see `latens.parts.Work`.
        written_by: the command that wrote them, in words.

    Raises:
        UsageError: there are none, or one is missing or cut.
    """
    matches = (re.fullmatch(rf"{holds}-(\d+)-of-(\d+)\.parquet", path.name) for path in folder.iterdir())
    there = {int(match[1]): (int(match[2]), folder / match[0]) for match in matches if match}
    if not there:
        raise UsageError(f"{shown(folder)}: holds no parts of {holds}; {written_by} writes them")
    count = max(count for count, _ in there.values())
    missing = [number for number in range(count) if number not in there or not is_whole_parquet(there[number][1])]
    if missing or len(there) != count:
        raise UsageError(
            f"{shown(folder)}: {counted(len(missing), 'part')} of {count} missing or cut, the first of them number"
            f" {missing[0] if missing else count}; the line that wrote the others writes them: {written_by}"
        )
    return [there[number][1] for number in range(count)]


def _check_weights(run: Run, folder: Path) -> None:
    """Refuse latents of other weights, where the folder's plan says of which they are."""
    try:
        weights = json.loads((folder / "parts.json").read_bytes()[:100_000]).get("weights", "")
    except (OSError, ValueError, RecursionError, AttributeError):
        return
    if weights != run.folder.files.get(WEIGHTS, ""):
        raise UsageError(
            f"{shown(folder)}: its latents are of other weights than {run.path}; give the run that wrote them"
        )
