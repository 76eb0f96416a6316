"""Columns to colour the points by: classes or numbers, one value a point; the user's own come from a CSV by id."""

import csv
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.figures.palette import class_colours
from latens.runs import Run
from latens.runs.run import TRAIN
from latens.runs.tables import COLUMN
from latens.text import natural_key

__all__ = [
    "CONTRADICTED",
    "EVERY",
    "NO_VALUE",
    "PREDICTED",
    "Column",
    "Rows",
    "columns_of",
    "read_columns",
    "values_of",
]

Rows = NDArray[np.int64] | slice  # of images of the train part
EVERY = slice(None)

PREDICTED = "predicted"  # name of the column with the class of the neighbours
CONTRADICTED = "contradicted"  # and of that with how many of them have another class
NO_VALUE = 65_535  # the class of a point that has none
MOST_CLASSES = 1000
MOST_SHARE = 0.5  # of the points: a run's column of text with more different values is no column of classes


@dataclass(frozen=True)
class Column:
    """One value a point.

    Args:
        name: by which it is asked for.
        title: in words.
        kind: `"class"`, or `"number"`.
        names: of the classes, in the order of their numbers.
        unit: of the numbers.
        better: which numbers are better, where that can be said.
        load: gives the values (N,); called once.
        load_train: gives those of some images of the train part, where they are not points, by their rows, int64 (M,), or a slice
            of them; None where it says nothing of them.
    """

    name: str
    title: str
    kind: Literal["class", "number"]
    names: Sequence[str] = ()
    unit: str = ""
    better: Literal["lower", "higher", ""] = ""
    load: Callable[[], NDArray[Any] | None] = lambda: None
    load_train: Callable[[Rows], NDArray[Any] | None] | None = None

    def info(self, palette: str) -> dict[str, Any]:
        """`ColumnInfo` of the page's types.js, its classes in the colours of a palette."""
        return {
            "name": self.name,
            "title": self.title,
            "kind": self.kind,
            "names": list(self.names),
            "colours": list(class_colours(len(self.names), palette)),
            "unit": self.unit,
            "better": self.better,
        }

    @cached_property
    def values(self) -> NDArray[Any]:
        """uint16 (N,) for classes, float32 (N,) for numbers (NaN where there is none)."""
        return self._as_values(self.load())

    @cached_property
    def values_of_train(self) -> NDArray[Any]:
        """The same of the images of the train part, of a column that has `load_train`."""
        assert self.load_train is not None
        return self._as_values(self.load_train(EVERY))

    def of_train(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """The same of some of these images, (M,); those of a column that says nothing of them have no value."""
        return self._no_values(len(rows)) if self.load_train is None else self._as_values(self.load_train(rows))

    def of(self, part: str, num_train: int) -> NDArray[Any]:
        """The values of a part, `"test"` or `"train"`, or of both, the test part first.

        Args:
            part: of the images.
            num_train: images of the train part.
        """
        if part == "test":
            return self.values
        train = self._no_values(num_train) if self.load_train is None else self.values_of_train
        return train if part == "train" else np.concatenate([self.values, train])

    def _no_values(self, num: int) -> NDArray[Any]:
        return self._as_values(np.full(num, NO_VALUE if self.kind == "class" else np.nan))

    def _as_values(self, loaded: NDArray[Any] | None) -> NDArray[Any]:
        assert loaded is not None
        return np.ascontiguousarray(loaded, np.uint16 if self.kind == "class" else np.float32)

    def value(self, point: int) -> dict[str, Any]:
        """The value of one image, by its point or, below 0, its row: `Value` of the page's types.js."""
        value = self.values[point] if point >= 0 else self.values_of_train[point]
        if self.kind == "number":
            return {"title": self.title, "value": float(value), "unit": self.unit}
        return {"title": self.title, "value": "" if value == NO_VALUE else self.names[value], "unit": ""}


def read_columns(path: str | os.PathLike[str], ids: Sequence[str], train_ids: Sequence[str] = ()) -> tuple[Column, ...]:
    """The user's own columns.

    Args:
        path: a CSV with a header; one column is `id`. A column is numbers where each of its values is one; else classes.
        ids: of the points, in order; points that the file does not name have no value, and rows of other ids are passed over.
        train_ids: of the images that are not points, in order.

    Raises:
        UsageError: no such file, no CSV, no column `id`, an id twice, none of the ids, or too many classes.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise UsageError(f"{path}: not readable as CSV ({error})") from None
    if not rows or "id" not in rows[0]:
        raise UsageError(f"{path}: has no column id; the first line must name the columns, and one of them must be id")
    if bad := next((number for number, row in enumerate(rows, 2) if None in row or None in row.values()), 0):
        raise UsageError(f"{path}: line {bad} has another number of values than the first line has names")
    found = {row["id"]: row for row in rows}
    if len(found) < len(rows):
        raise UsageError(f"{path}: has an id twice; each id may have one line")
    if not any(one in found for one in ids):
        raise UsageError(f"{path}: has none of the map's images; their ids look like {ids[0]!r}")
    names = [name for name in rows[0] if name != "id"]
    every = [*ids, *train_ids]
    return tuple(
        _column(path, name, [found[one][name] if one in found else "" for one in every], len(ids)) for name in names
    )


def columns_of(run: Run, part: int | None) -> tuple[Column, ...]:
    """The columns of the table of a run's images, for the images of one part.

    Text of more different values than can be told apart by colour, such as names, is left out.
    """
    found = []
    for name, every in run.columns.items():
        column = run.of_part(COLUMN + name, part)
        train = run.of_part(COLUMN + name, TRAIN)
        if column.dtype.kind != "U":
            title, unit = _titled(name)
            number = partial(Column, f"table:{name}", title, "number", unit=unit)
            found.append(
                number(load=partial(column.astype, np.float32), load_train=train.astype(np.float32).__getitem__)
            )
            continue
        classes = sorted(set(every.tolist()) - {""}, key=natural_key)
        if 1 <= len(classes) <= min(MOST_CLASSES, MOST_SHARE * len(column)):
            load, of_train = partial(_codes, classes, column), partial(_codes_at, classes, train)
            found.append(Column(f"table:{name}", name, "class", classes, load=load, load_train=of_train))
    return tuple(found)


def values_of(run: Run, row: int) -> list[dict[str, Any]]:
    """What the table of a run's images says of one of them, by its row of latents.npz: `Value` of the page's types.js each."""
    found = []
    for name, column in run.columns.items():
        text = column.dtype.kind == "U"
        title, unit = (name, "") if text else _titled(name)
        found.append({"title": title, "value": str(column[row]) if text else float(column[row]), "unit": unit})
    return found


def _titled(name: str) -> tuple[str, str]:
    """The title and the unit in the name of a column of numbers.

    >>> _titled("area (µm²)"), _titled("age [years]"), _titled("depth")
    (('area', 'µm²'), ('age', 'years'), ('depth', ''))
    """
    found = re.fullmatch(r"(.*\S)\s*(?:\(([^()]+)\)|\[([^\[\]]+)\])", name)
    return (found[1], found[2] or found[3]) if found else (name, "")


def _codes(classes: Sequence[str], texts: Iterable[str]) -> NDArray[np.uint16]:
    code = {text: index for index, text in enumerate(classes)}
    return np.array([code.get(text, NO_VALUE) for text in texts], np.uint16)


def _codes_at(classes: Sequence[str], texts: NDArray[Any], rows: Rows) -> NDArray[np.uint16]:
    return _codes(classes, texts[rows])


def _column(path: Any, name: str, texts: list[str], num: int) -> Column:
    """A column of the values of all images, those of the points first."""
    try:
        numbers = np.array([float(text) if text else np.nan for text in texts], np.float32)
    except ValueError:
        classes = sorted({text for text in texts if text})
        if len(classes) > MOST_CLASSES:
            raise UsageError(
                f"{path}: {name} has {len(classes)} different values; at most {MOST_CLASSES} can be told apart"
            ) from None
        return Column(f"own:{name}", name, "class", classes, **_loads(_codes(classes, texts), num))
    title, unit = _titled(name)
    return Column(f"own:{name}", title, "number", unit=unit, **_loads(numbers, num))


def _loads(values: NDArray[Any], num: int) -> dict[str, Any]:
    """What loads the values of the points, which come first, and of the images of the train part, where there are any."""
    return {"load": lambda: values[:num], "load_train": values[num:].__getitem__ if len(values) > num else None}
