"""What is known of some images as one table: class, columns, place on a map, tags."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.explorer.columns import NO_VALUE, Column
from latens.explorer.tags import Tags
from latens.explorer.view import View
from latens.runs.run import TEST

__all__ = ["table_of"]


def table_of(view: View, points: Sequence[Any], map: str, part: str = "test") -> dict[str, NDArray[Any]]:
    """The columns of the page for some images, one row each: id, part, class and all others, x and y on a map, tags.

    Args:
        view: of the run.
        points: see `View.row_of`. Images that are not on the map have a class, an error and tags, and no other value.
        map: whose places are given, in its own units; "" for none.
        part: of `PARTS`, whose images are on the map.

    Returns:
        By name, (N,) each: texts, or float32 with NaN where there is no value. The columns `cluster`, `trust of the place` and
        `reconstruction error` have those names, those of a table their own; how odd the images are is there where
        it has been asked for. Tags are separated by "; ".

    Raises:
        UsageError: there is no such image, or see `View.placed`.
    """
    latents = view.run.latents
    rows = np.array([view.row_of(point) for point in points], np.int64)
    on_map = rows - view.first
    shown = (on_map >= 0) if part == "test" else np.ones(len(rows), np.bool_)
    found: dict[str, NDArray[Any]] = {
        "id": latents["ids"][rows].astype(str),
        "part": np.where(latents["part"][rows] == TEST, "test", "train"),
    }
    for column in view.all_columns:
        if column.name.startswith("trust:") and column.name != f"trust:{map}":
            continue
        if column.name.startswith("odd:") and not view.odd_known:
            continue  # a table is no reason to fit a detector
        found[_free(_title(column), found)] = _values(view, column, rows, on_map, part)
    if map:
        places = view.map(map).coordinates
        if part != "test":
            places = np.concatenate([places, view.placed(map)])  # rows below 0 count from their end
        for axis, name in enumerate("xy"):
            found[_free(name, found)] = np.where(shown, places[np.where(shown, on_map, 0), axis], np.nan)
    tags: dict[str, list[str]] = {}
    for tag, ids in Tags(view.run.path).read().items():
        for one in ids:
            tags.setdefault(one, []).append(tag)
    found[_free("tags", found)] = np.array(["; ".join(tags.get(one, ())) for one in found["id"].tolist()], object)
    return found


def _title(column: Column) -> str:
    kind, _, name = column.name.partition(":")
    return name if kind in ("table", "own") else column.title


def _values(view: View, column: Column, rows: NDArray[np.int64], on_map: NDArray[np.int64], part: str) -> NDArray[Any]:
    if column.name == "error":
        errors: NDArray[Any] = view.run.latents["squared_error"][rows]
        return errors
    if column.name == "label":
        names = np.array([*view.run.class_names, ""], object)
        classes: NDArray[Any] = names[view.run.latents["labels"][rows]]
        return classes
    there = (on_map >= 0) | (part != "test")
    values = view.column(column.name, "test" if part == "test" else "both")[np.where(there, on_map, 0)]
    if column.kind == "number":
        return np.where(there, values, np.float32(np.nan))
    names = np.array([*column.names, ""], object)
    codes = np.where(there & (values != NO_VALUE), values, len(column.names))
    texts: NDArray[Any] = names[codes]
    return texts


def _free(name: str, taken: dict[str, Any]) -> str:
    """A name that no other column has; a column of the user's own table may be called x."""
    return name if name not in taken else _free(f"{name}_", taken)
