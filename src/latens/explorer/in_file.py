"""The images of a run that one file holds, and what is known of them, by the numbers that they have in the file."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import LatensError
from latens.explorer.columns import Column, values_of
from latens.explorer.pair import DIFFERING, NONE
from latens.explorer.paths import Paths
from latens.explorer.routes import findings_of, lists
from latens.explorer.view import View, frame_of
from latens.runs.run import TEST

__all__ = ["InFile", "findings"]


@dataclass(frozen=True)
class InFile:
    """Some images of a run: those of the train part first, then points of the map.

    The page numbers them as all images of a run, see `View.row_of`: the points from 0 on, those of the train part below 0.

    Args:
        view: of the run.
        points: of the map, int64 (N,).
        train: rows of the train part, ascending, int64 (M,); none where the map shows all images.
    """

    view: View
    points: NDArray[np.int64]
    train: NDArray[np.int64]

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Rows of latents.npz, (M + N,)."""
        return np.concatenate([self.train, self.points + self.view.first])

    @cached_property
    def latents(self) -> NDArray[np.float32]:
        """(M + N, D)."""
        return np.ascontiguousarray(self.view.run.latents["latents"][self.rows], np.float32)

    @cached_property
    def ids(self) -> list[str]:
        """One an image."""
        return [str(one) for one in self.view.run.latents["ids"][self.rows]]

    @cached_property
    def numbers(self) -> Mapping[int, int]:
        """The number in the file of each image, by its point."""
        first = len(self.train)
        return {row - self.view.first: place - first for place, row in enumerate(self.rows.tolist())}

    def places(self, map: str) -> NDArray[np.float32]:
        """Where they lie on a map, (M + N, 2), in its own units."""
        own = self.view.map(map).coordinates[self.points]
        if not len(self.train):
            return own
        return np.concatenate([self.view.placed(map, self.train), own])

    def frame(self, map: str, other: "InFile | None" = None) -> dict[str, float]:
        """What `View.map_points` says of the frame of a map, which holds those of both parts, and those of the run beside it."""
        if not len(self.train):
            facts, _ = self.view.map_points(map)
            return {side: facts[side] for side in ("left", "bottom", "size")}
        if self.view.pair is None or other is None:
            return frame_of(np.concatenate([self.view.map(map).coordinates, self.view.placed(map, self.train)]))
        pair = self.view.pair
        trains = [self.train, other.train] if self.view is pair.first else [other.train, self.train]
        return frame_of(pair.placed(self.view, map, "both", trains)[2])

    def column(self, column: Column) -> NDArray[Any]:
        """The values of a column, (M + N,)."""
        own = column.values[self.points]
        return np.concatenate([column.of_train(self.train), own]) if len(self.train) else own

    @cached_property
    def test_rows(self) -> NDArray[np.int64]:
        """Those of the points that are of the test part, as rows of that part, (K,)."""
        tested = self.view.run.part == TEST
        rows = self.points + self.view.first
        found: NDArray[np.int64] = (np.cumsum(tested) - 1)[rows[tested[rows]]]
        return found

    def table(self) -> list[dict[str, Any]]:
        """What the table of the run's images says of them, by column."""
        run = self.view.run
        each = [values_of(run, int(row)) for row in self.rows] if run.columns else []
        return [
            {
                "title": columns[0]["title"],
                "unit": columns[0]["unit"],
                "values": [None if one["value"] != one["value"] else one["value"] for one in columns],
            }
            for columns in zip(*each, strict=True)
        ]

    def of_these(self, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those of a list's images that are among them, by their numbers in the file: `Finding` of the page's types.js each."""
        return [one | {"point": self.numbers[one["point"]]} for one in found if one["point"] in self.numbers]

    def paths(self, maps: Sequence[str]) -> list[dict[str, Any]]:
        """The paths that are kept with the run, whose images and maps are all in the file."""
        kept = []
        for one in Paths(self.view.run.path).resolved(self.view):
            images = [row for stop in one["stops"] if isinstance(stop, list) for row in stop]
            elsewhere = any("map" in stop and stop["map"] not in maps for stop in one["stops"])
            if one["lost"] or elsewhere or any(row not in self.numbers for row in images):
                continue
            stops = [[self.numbers[row] for row in stop] if isinstance(stop, list) else stop for stop in one["stops"]]
            kept.append({**one, "stops": stops})
        return kept

    def linked(self, other: "InFile") -> NDArray[np.int32]:
        """Of each image the number of the same one in the file of the run beside it, or `NONE`, (M + N,)."""
        assert self.view.pair is not None
        there = self.view.pair.rows(self.view)[self.rows]
        return np.array([other.numbers.get(int(row), NONE) for row in there], np.int32)


def findings(view: View) -> dict[str, list[dict[str, Any]]]:
    """The lists of images to check that the run has, by kind."""
    found = {}
    for kind in lists() if view.pair is None else (*lists(), DIFFERING):
        with suppress(LatensError):  # it was not reviewed
            found[kind] = findings_of(view, kind)
    return found
