"""Two runs beside each other: the images that both have, their maps laid onto each other, and what tells the two runs apart."""

from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import LatensError, RunError, UsageError
from latens.explorer.columns import EVERY, Column, Rows
from latens.maps.procrustes import FEWEST, Alignment, align
from latens.metrics.meanings import meaning_of, title_of
from latens.metrics.score import Score
from latens.progress import Tick
from latens.runs.run import TEST, TRAIN

if TYPE_CHECKING:
    from latens.explorer.view import View

__all__ = ["DIFFERING", "NONE", "SHARED", "Pair", "pair", "pair_columns"]

DIFFERING = "other-neighbours"  # the list of images whose neighbours differ most
SHARED = "shared"  # the column of the share of neighbours that are the same
NONE = -(2**31)  # in place of the row of an image that the other run does not have
NEAREST = 10
LISTED = 500
BLOCK = 4096  # images whose neighbours are looked for at a time, after which the progress is told
TRIED = 64  # images of which it is checked that both runs mean the same by an id


def pair(first: "View", second: "View") -> "Pair":
    """Link two views, each of which then knows the other.

    Raises:
        RunError, UsageError: see `Pair`.
    """
    found = Pair(first, second)
    first.pair = second.pair = found
    second.work = first.work  # one page waits for what is fitted for either
    return found


class Pair:
    """Two views whose images are the same where their ids are. All of it is computed when it is first needed.

    Args:
        first: whose map stays as it is.
        second: whose map is laid onto it.

    Raises:
        RunError: one of them has no latents yet.
        UsageError: no image is in both.
    """

    def __init__(self, first: "View", second: "View") -> None:
        self.first, self.second = first, second
        self._alignments: dict[tuple[str, str], Alignment | None] = {}
        for view in (first, second):
            if not view.ready:
                raise RunError(f"{view.run.path}: has no latents yet, so it can't be shown beside another run")
        if not self.num_shared:
            looks = [f"{view.run.path} has ids like {str(view.ids[0])!r}" for view in (first, second)]
            raise UsageError(f"the two runs share no image, so there is nothing to link: {' and '.join(looks)}")

    def other(self, view: "View") -> "View":
        """The view beside a view."""
        return self.second if view is self.first else self.first

    def rows(self, view: "View") -> NDArray[np.int32]:
        """The row in the other run of each image of a view, int32: rows as `View.row_of` has them, from -first on; or `NONE`."""
        there, first = self.other(view).row_of_id, self.other(view).first
        return np.array([there[one] - first if one in there else NONE for one in view.row_of_id], np.int32)

    @cached_property
    def num_shared(self) -> int:
        """How many images both runs have."""
        return len(self.first.row_of_id.keys() & self.second.row_of_id.keys())

    @cached_property
    def points(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The images that are on both maps: their points on the first, and on the second; int64 (M,) each."""
        there = {str(one): point for point, one in enumerate(self.second.ids)}
        pairs = [(point, there[str(one)]) for point, one in enumerate(self.first.ids) if str(one) in there]
        both = np.array(pairs, np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    # ---- maps

    def names(self, name: str) -> tuple[str, str]:
        """The maps that are shown beside each other by the name of a map of either; where one has no such map, its first one.

        Raises:
            UnknownName: neither has it.
        """
        if name not in (*self.first.map_names, *self.second.map_names):
            self.first.map(name)
        first, second = (name if name in view.map_names else view.map_names[0] for view in (self.first, self.second))
        return first, second

    def alignment(self, name: str) -> Alignment | None:
        """How the second's map is laid onto the first's; None where too few images are on both, or all on one place."""
        names = self.names(name)
        if names not in self._alignments:
            mine, theirs = self.points
            places = [self.first.map(names[0]).coordinates[mine], self.second.map(names[1]).coordinates[theirs]]
            self._alignments[names] = None
            if len(mine) >= FEWEST and all(np.ptp(one, axis=0).max() > 0 for one in places):
                self._alignments[names] = align(places[1], places[0])
        return self._alignments[names]

    def placed(
        self, view: "View", name: str, part: str = "test", train: Sequence[Rows] = (EVERY, EVERY)
    ) -> tuple[str, NDArray[Any], NDArray[Any], Alignment | None]:
        """A map of a view as it is shown beside the other one.

        Their own points lay the maps onto each other; images of the train part go along with the map that they are placed on.

        Args:
            view: of the two.
            name: of the map.
            part: of the explorer's `PARTS`, whose images are shown on both.
            train: which images of the train part of the first and of the second are placed; all by default.

        Returns:
            Its name; where its images lie among those of the first's map, (N, 2); all places that the frame of both has to hold;
            and how they are laid there: None for the first's map, and where the two cannot be laid onto each other.
        """
        names, found = self.names(name), self.alignment(name)
        each = [
            one.map(own).coordinates
            if part == "test"
            else np.concatenate([one.map(own).coordinates, one.placed(own, rows)])
            for one, own, rows in zip((self.first, self.second), names, train, strict=True)
        ]
        if found is not None:
            each[1] = found.apply(each[1])
        which = int(view is not self.first)
        held = each[which] if found is None else np.concatenate(each)
        shown = each[which][view.count :] if part == "train" else each[which]
        return names[which], shown, held, found if which else None

    # ---- what tells them apart

    @property
    def num_near(self) -> int:
        """How many nearest images are compared."""
        return min(NEAREST, len(self.points[0]) - 1)

    @cached_property
    def _shares(self) -> NDArray[np.float32]:
        from latens.neighbours import neighbours_kept

        mine, theirs = self.points
        return neighbours_kept(self.first.latents[mine], self.second.latents[theirs], self.num_near)

    def shared_neighbours(self, view: "View") -> NDArray[np.float32]:
        """Of each point the share of its nearest images that are so in the other run, too: among those that are on both maps.

        Returns:
            float32 (N,) in [0, 1]; NaN where the image is not on both maps, or is the only one.
        """
        shares = np.full(len(view.latents), np.nan, np.float32)
        if self.num_near >= 1:
            shares[self.points[view is not self.first]] = self._shares
        return shares

    def shared_of_train(self, view: "View", rows: Rows) -> NDArray[np.float32]:
        """The same of images of the train part: of their nearest among the images that are on both maps.

        Args:
            view: of the two.
            rows: of its train part, (M,).

        Returns:
            float32 (M,) in [0, 1]; NaN where the image is of the train part of one run only.
        """
        other = self.other(view)
        twin = self.rows(view)[: view.first][rows]
        both = (twin >= -other.first) & (twin < 0)
        mine, theirs = self.points if view is self.first else self.points[::-1]
        shares = np.full(len(twin), np.nan, np.float32)

        def kept(tick: Tick) -> NDArray[np.float32]:
            from latens.neighbours import Neighbours, placed_neighbours_kept

            known = Neighbours(view.latents[mine]), Neighbours(other.latents[theirs])
            own = view.run.of_part("latents", TRAIN)[rows][both]
            twins = other.run.of_part("latents", TRAIN)[twin[both] + other.first]
            found = np.empty(len(own), np.float32)
            for start in range(0, len(own), BLOCK):
                here, there = (np.ascontiguousarray(z[start : start + BLOCK], np.float32) for z in (own, twins))
                found[start : start + BLOCK] = placed_neighbours_kept(*known, here, there, self.num_near)
                tick(min(start + BLOCK, len(own)), len(own))
            return found

        if self.num_near >= 1:
            shares[both] = view.once(f"column {SHARED}", rows, kept)
        return shares

    def differing(self, view: "View") -> list[dict[str, Any]]:
        """The images whose nearest differ most between the two runs, the least shared first.

        Returns:
            `Finding` of the page's types.js each.
        """
        shares = self.shared_neighbours(view)
        rows = np.flatnonzero(np.isfinite(shares))
        worst = rows[np.argsort(shares[rows], kind="stable")[:LISTED]]
        names, labels, parts = view.run.class_names, view.labels, view.run.of_part("part", view.part)
        return [
            {
                "kind": DIFFERING,
                "id": str(view.ids[row]),
                "part": "test" if parts[row] == TEST else "train",
                "label": "" if labels is None else names[labels[row]],
                "score": float(shares[row]),
                "suggested": "",
                "other_id": "",
                "point": int(row),
            }
            for row in worst
        ]

    @cached_property
    def same_test(self) -> bool:
        """Whether both were scored on the same images, cut and scaled alike."""
        data = [view.run.record["data"] for view in (self.first, self.second)]
        ids = [set(view.run.of_part("ids", TEST).tolist()) for view in (self.first, self.second)]
        return bool(data[0]["fingerprint"] == data[1]["fingerprint"] and ids[0] == ids[1])

    @cached_property
    def scores(self) -> list[dict[str, Any]]:
        """The scores of both runs side by side: `ComparedScore` of the page's types.js each, in the order of the first's."""
        found = [_scores_of(view) for view in (self.first, self.second)]
        return [
            _compared(found[0].get(column), found[1].get(column), self.same_test) for column in {**found[0], **found[1]}
        ]

    @cached_property
    def notes(self) -> list[str]:
        """What a person must know who compares the two, one sentence each."""
        names = [view.run.name for view in (self.first, self.second)]
        said = [
            f"{name} was not scored."
            for name, view in zip(names, (self.first, self.second), strict=True)
            if not _scores_of(view)
        ]
        if not self.same_test:
            said.append(
                "The two runs were scored on different test images, or on the same ones cut or scaled otherwise:"
                " no score is called better."
            )
        others, tried = self._other_pictures()
        if others:
            said.append(
                f"Of {tried} shared ids that were looked at, {others} have other pixels in the two runs:"
                " these may be different images."
            )
        return said

    def _other_pictures(self) -> tuple[int, int]:
        """Of some shared images, how many have other pixels in the two runs, and of how many that can be said."""
        data = [view.run.record["data"]["fingerprint"] for view in (self.first, self.second)]
        mine, theirs = self.points
        if data[0] == data[1] or not len(mine) or self.first.run.image_shape != self.second.run.image_shape:
            return 0, 0
        some = np.unique(np.linspace(0, len(mine) - 1, TRIED).astype(np.int64))
        try:
            pixels = [
                view.inputs(rows[some] + view.first) for view, rows in ((self.first, mine), (self.second, theirs))
            ]
        except (LatensError, OSError):
            return 0, 0
        return int((pixels[0] != pixels[1]).reshape(len(some), -1).any(1).sum()), len(some)

    def facts(self, view: "View") -> dict[str, Any]:
        """What links a view to the other: `Link` of the page's types.js, but for its rows."""
        return {
            "first": view.first,
            "other_first": self.other(view).first,
            "none": NONE,
            "shared": self.num_shared,
            "mapped": len(self.points[0]),
            "nearest": max(0, self.num_near),
            "notes": self.notes,
            "scores": self.scores,
        }


def pair_columns(view: "View") -> list[Column]:
    """What the points of a view can be coloured by beside another run."""
    if view.pair is None:
        return []
    pair, other = view.pair, view.pair.other(view)
    title, unit = f"neighbours shared with {other.run.name}", f"of its {max(0, pair.num_near)} nearest"
    load, load_train = partial(pair.shared_neighbours, view), partial(pair.shared_of_train, view)
    return [Column(SHARED, title, "number", unit=unit, load=load, load_train=load_train)]


def _scores_of(view: "View") -> dict[str, Score]:
    return {score.column: score for score in view.run.scores} if "metrics.json" in view.run.record["files"] else {}


def _compared(first: Score | None, second: Score | None, same_test: bool) -> dict[str, Any]:
    known = first or second
    assert known is not None
    alike = first is not None and second is not None and first.protocol.comparable == second.protocol.comparable
    better = first.better_than(second) if alike and same_test and first and second else None
    return {
        "group": title_of(known.group),
        "subject": known.subject,
        "name": known.name,
        "unit": known.unit,
        "direction": known.direction,
        "meaning": meaning_of(known),
        "values": [None if one is None else one.value for one in (first, second)],
        "intervals": [None if one is None or one.low is None else [one.low, one.high] for one in (first, second)],
        "protocols": ["" if one is None else str(one.protocol) for one in (first, second)],
        "alike": alike,
        "better": "" if better is None else "first" if better else "second",
        "sure": bool(
            better is not None and first and second and (first.surely_below(second) or second.surely_below(first))
        ),
    }
