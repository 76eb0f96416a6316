"""Exact nearest neighbours, block by block, on the CPU or a GPU: for maps, metrics, the probe and the explorer.

A matrix product in float32 finds somewhat more candidates than asked for; their distances are then computed again as
differences in float64. A bound on the rounding error of the product tells for each row whether a neighbour could have been
missed; such rows (close points beside an outlier by orders of magnitude) are searched by a product in float64, and what is
still doubtful by differences alone. Points that are repeated are searched once, see `_search_repeated`. So the result is that
of a search in float64, ties going to the smaller index, for any block size, and memory stays bounded.
"""

import ctypes
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.native import Scan, library
from latens.neighbours.layout import PACK, Layout, layout_of

__all__ = ["CLEAR", "TOGETHER", "Neighbours", "Prepared", "nearest_neighbours", "rounding"]

BLOCK_BYTES = 1 << 26  # of one block of scores (and of one gathered block of candidates): 64 MiB
FARTHEST = 1e3  # times the points' own reach that queries may lie from them, to be searched with what was prepared
CLEAR = 1e-3  # share of a squared distance that its rounding may be
GROUP = 16  # columns whose least is found before the columns are ranked
UNIT = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}  # rounding units
FEW = 16  # doubtful rows of a block: they are searched by differences at once
REPEATED = 0.75  # share of distinct points below which each is searched once
TOGETHER = 48  # queries of a task in neighbours.c
SCANNED = 16_384  # queries at a time; half of them where many neighbours are asked for
MOST_SCANNED = 1024  # candidates; of more there is so much to keep that a product does as well
WIDEST_SCANNED = 256  # numbers of a point


def nearest_neighbours(
    points: NDArray[Any],
    queries: NDArray[Any] | None = None,
    k: int = 10,
    *,
    exclude_self: bool | None = None,
    block: int | None = None,
    device: str | torch.device = "cpu",
    exact: bool = True,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the k nearest points of each query, nearest first; equal distances are ordered by index.

    Args:
        points: (N, D) numbers, finite.
        queries: (M, D) numbers, finite; None: the points themselves.
        k: how many neighbours, 1 to N (N - 1 where a point does not count as its own neighbour).
        exclude_self: leave each point out of its own neighbours (by index: a duplicate counts). Only without `queries`,
            where it is the default.
        block: queries at a time; None: as many as keep it in some 64 MiB. It does not change the result.
        device: where to compute.
        exact: order by differences in float64. False takes the products in float32 where their rounding is small beside the
            distances (a thousandth of the squared distance of the k-th at most), and differences elsewhere.

    Returns:
        Euclidean distances, float32 (M, k), and indices into `points`, int64 (M, k).

    Raises:
        UsageError: shapes that do not fit, numbers that are not finite, or more neighbours than there are points.
    """
    own = queries is None
    exclude = own if exclude_self is None else exclude_self
    if exclude and not own:
        raise UsageError("exclude_self=True goes with the points' own neighbours only; leave queries out")
    queries_array = points if queries is None else queries
    _check_shapes(points, queries_array, k, exclude)
    _check_finite("points", points)
    if not own:
        _check_finite("queries", queries_array)
    with torch.inference_mode():
        prepared = Prepared(points, torch.device(device), queries_array)
        return _search(prepared, queries_array, k, exclude, exact, block)


class Neighbours:
    """Points that are searched many times, a few queries at a time: the preparation is done once.

    Several threads may search at a time.

    Args:
        points: (N, D) numbers, finite, N at least 1; kept, and not to be changed.

    Raises:
        UsageError: as `nearest_neighbours`.
    """

    def __init__(self, points: NDArray[Any]) -> None:
        _check_shapes(points, points, 1, False)
        _check_finite("points", points)
        self.points = points
        with torch.inference_mode():
            self._prepared = Prepared(points, torch.device("cpu"))

    def __len__(self) -> int:
        """How many points."""
        return len(self.points)

    def nearest(self, queries: NDArray[Any], k: int = 1) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """See `nearest_neighbours`: what it gives for these points and queries (M, D)."""
        _check_shapes(self.points, queries, k, False)
        _check_finite("queries", queries)
        with torch.inference_mode():
            if _reach(_tensor(queries), self._prepared.centre) > FARTHEST * self._prepared.scale:
                return nearest_neighbours(self.points, queries, k)  # whose squares might overflow beside these points
            return _search(self._prepared, queries, k, False, True)


def _search(
    prepared: "Prepared", queries: NDArray[Any], k: int, exclude: bool, exact: bool, block: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    if prepared.repeats is not None:
        return _search_repeated(prepared.repeats, None if exclude else queries, k, exact, block)
    return _searched(prepared, queries, k, exclude, exact, block, np.float32)


def _searched(
    prepared: "Prepared",
    queries: NDArray[Any],
    k: int,
    exclude: bool,
    exact: bool,
    block: int | None,
    dtype: type[np.floating[Any]] = np.float64,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    search = _Search(prepared, queries, k, exclude, exact)
    rows = block or (search.scan.rows if search.scan else max(1, min(4096, BLOCK_BYTES // (4 * prepared.num_points))))
    # Filled block by block: of a million points a second copy would be a gigabyte.
    distances, indices = np.empty((len(queries), k), dtype), np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), rows):
        found = search.block(start, min(start + rows, len(queries)))
        distances[start : start + rows], indices[start : start + rows] = (one.numpy() for one in found)
    return distances, indices


def _check_shapes(points: NDArray[Any], queries: NDArray[Any], k: int, exclude: bool) -> None:
    if points.ndim != 2 or queries.ndim != 2 or points.shape[1] != queries.shape[1]:
        raise UsageError(
            f"points and queries have shapes {points.shape} and {queries.shape}; they must be (N, D) and (M, D), D the same"
        )
    most = len(points) - int(exclude)
    if not 1 <= k <= most:
        what = "other points" if exclude else "points"
        raise UsageError(f"{k} neighbours were asked for and there are {most} {what}; give k from 1 to {most}")


def _check_finite(name: str, array: NDArray[Any]) -> None:
    # The sum is finite unless a term is not (or float64 overflows, which is as bad), and costs no array of booleans.
    if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)) and not np.isfinite(array).all():
        raise UsageError(f"{name} hold NaN or infinity; only finite numbers have neighbours")


class Prepared:
    """Points as searches need them."""

    def __init__(self, points: NDArray[Any], device: torch.device, queries: NDArray[Any] | None = None) -> None:
        self.device = device
        self.num_points, self.dim = points.shape
        self.given = points
        # Differences are taken of what was given; the product works on centred, scaled copies, whose squares neither
        # cancel nor overflow.
        self.points = _tensor(points).to(device)
        self.centre = self.points.mean(0, dtype=torch.float64)
        others = 0.0 if queries is None or queries is points else _reach(_tensor(queries).to(device), self.centre)
        self.scale = max(_reach(self.points, self.centre), others) or 1.0

    @cached_property
    def repeats(self) -> "_Repeats | None":
        """The distinct points, where many are repeated."""
        first, inverse = _distinct_rows(self.points)
        return _Repeats(self, first, inverse) if len(first) < REPEATED * self.num_points else None

    def scaled(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows as the products take them, before they are rounded to float32."""
        return (rows.double() - self.centre) / self.scale

    @cached_property
    def factor(self) -> torch.Tensor:
        """Scores are |y|² - 2 x·y, as one product of [x, 1] and [-2 y, |y|²]: the latter, (D + 1, N) and some of no point."""
        factor = torch.zeros(-(-self.num_points // GROUP) * GROUP, self.dim + 1, device=self.device)
        factor[self.num_points :, self.dim] = torch.inf
        for start in range(0, self.num_points, 8192):
            scaled = self.scaled(self.points[start : start + 8192]).float()
            factor[start : start + len(scaled), : self.dim] = -2 * scaled
            factor[start : start + len(scaled), self.dim] = scaled.square().sum(1)
        return factor.T

    @cached_property
    def packed(self) -> tuple[Layout, torch.Tensor]:
        """The points as the kernels take them, and in which order."""
        scaled = self.scaled(self.points)
        layout = layout_of(scaled)
        return layout, layout.packed(layout.turned(scaled[torch.from_numpy(layout.order)]))


class _Repeats:
    """Points of which many are equal, by the distinct ones, in the order in which they come first."""

    def __init__(self, prepared: Prepared, first: NDArray[np.int64], inverse: NDArray[np.int64]) -> None:
        self.inverse = inverse  # (N,): which distinct point each is
        self.members = np.argsort(inverse, kind="stable")  # the points, those of one distinct point together
        self.counts = np.bincount(inverse)
        self.starts = np.cumsum(self.counts) - self.counts
        self.points = prepared.points[torch.from_numpy(first).to(prepared.device)].cpu().numpy()
        self.prepared = Prepared(self.points, prepared.device)
        self.prepared.__dict__["repeats"] = None  # they are distinct


def _distinct_rows(points: torch.Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first row of each value, ascending, and for every row the place of its value among them."""
    rows = np.ascontiguousarray((points + 0).cpu().numpy())  # -0 becomes 0
    words = rows.view(np.uint8).reshape(len(rows), -1)
    words = np.pad(words, [(0, 0), (0, -words.shape[1] % 4)]).view(np.uint32)
    keys = (words * np.random.default_rng(0).integers(1, 2**63, words.shape[1], np.uint64)).sum(1)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    if not (rows[first[inverse]] == rows).all():  # two values with one key
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return first[order], place[inverse.reshape(-1)]


def _search_repeated(
    repeats: _Repeats, queries: NDArray[Any] | None, k: int, exact: bool, block: int | None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Search each distinct point once, and put its members, by index, where it was found; None asks for the points' own."""
    own = queries is None
    need = k + own  # the point itself is among those found
    asked = repeats.points if queries is None else queries
    distinct = min(need, len(repeats.counts))
    far, found = _searched(repeats.prepared, asked, distinct, False, exact, block)
    if own:
        far, found = far[repeats.inverse], found[repeats.inverse]
    distances, indices = np.empty((len(found), k), np.float32), np.empty((len(found), k), np.int64)
    for start in range(0, len(found), 4096):
        here = slice(start, start + 4096)
        excluded = np.arange(len(found))[here] if own else None
        distances[here], indices[here] = _members(repeats, far[here], found[here], k, need, excluded)
    return distances, indices


def _members(
    repeats: _Repeats,
    far: NDArray[np.float64],
    found: NDArray[np.int64],
    k: int,
    need: int,
    excluded: NDArray[np.int64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k nearest members of the distinct points found, by distance, then by index."""
    counts = repeats.counts[found]
    before = np.cumsum(counts, 1) - counts  # members of those that come before
    tied = np.zeros(far.shape, np.bool_)
    tied[:, 1:] = far[:, 1:] == far[:, :-1]
    before = np.maximum.accumulate(np.where(tied, 0, before), axis=1)  # of those that are nearer
    taken = np.clip(need - before, 0, counts).reshape(-1)
    row = np.repeat(np.arange(len(found)).repeat(found.shape[1]), taken)
    inside = np.arange(taken.sum()) - np.repeat(np.cumsum(taken) - taken, taken)
    members = repeats.members[np.repeat(repeats.starts[found].reshape(-1), taken) + inside]
    distances = np.repeat(far.reshape(-1), taken)
    if excluded is not None:
        others = members != excluded[row]
        row, members, distances = row[others], members[others], distances[others]
    order = np.lexsort((members, distances, row))
    row, members, distances = row[order], members[order], distances[order]
    place = np.arange(len(row)) - np.searchsorted(row, np.arange(len(found)))[row]
    chosen = place < k
    return distances[chosen].reshape(len(found), k), members[chosen].reshape(len(found), k)


def rounding(dim: int, norms: torch.Tensor, kth: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A bound on the error of the scores of points as near as the k-th.

    Such a point has a norm of at most |x| + d; the error of its score is that of a sum of D terms (which grows like √D:
    Higham and Mary 2019) of at most (2|x| + d)² together, with a margin.
    """
    bound: torch.Tensor = (16 + 4 * dim**0.5) * UNIT[dtype] * (2 * norms + kth).square()
    return bound


class _Search:
    """One search: block after block of queries."""

    def __init__(self, prepared: Prepared, queries: NDArray[Any], k: int, exclude: bool, exact: bool) -> None:
        self.prepared, self.k, self.exclude, self.exact = prepared, k, exclude, exact
        self.device, self.points = prepared.device, prepared.points
        self.num_points, self.dim, self.scale = prepared.num_points, prepared.dim, prepared.scale
        self.candidates = min(self.num_points, k + max(8, k // 8))
        self.queries = self.points if queries is prepared.given else _tensor(queries).to(self.device)
        self.grouped = self.num_points >= 8 * GROUP * self.candidates
        self.scan: _Scan | None = None
        if (
            self.device.type == "cpu"
            and self.candidates <= MOST_SCANNED
            and self.dim <= WIDEST_SCANNED
            and library() is not None
        ):
            self.scan = _Scan(prepared, self.candidates)
        self.scores = torch.empty(0, 0, device=self.device)

    def block(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Distances and indices of the queries from `start` to `stop`."""
        scaled = self.prepared.scaled(self.queries[start:stop])
        if self.scan is not None:
            scaled = self.scan.layout.turned(scaled)
            values, candidates = self.scan.smallest(scaled, start if self.exclude else -1)
        else:
            values, candidates = self._smallest(self._scores(scaled := scaled.float(), start))
        norms = scaled.double().norm(dim=1)
        if not self.exact:
            squares = values[:, : self.k].double().add_(norms.square()[:, None]).clamp_(min=0)
            if (rounding(self.dim, norms, squares[:, -1].sqrt()) < CLEAR * squares[:, -1]).all():
                return (squares.sqrt_() * self.scale).cpu(), candidates[:, : self.k].cpu()
        if self.exclude:
            # Where every point is a candidate, the own one is among them: it must not come back by its true distance.
            own = torch.arange(start, stop, device=self.device)[:, None]
            candidates = torch.where(candidates == own, self.num_points, candidates)
        distances, indices = self._order(torch.arange(start, stop, device=self.device), candidates)
        if self.candidates < self.num_points - int(self.exclude):
            self._repair(start, norms, values[:, -1], distances, indices)
        return distances.cpu(), indices.cpu()

    def _scores(self, rows: torch.Tensor, start: int) -> torch.Tensor:
        if len(self.scores) < len(rows):  # made once: fresh memory at each block costs more than the product
            self.scores = torch.empty(len(rows), self.prepared.factor.shape[1], device=self.device)
        rows = torch.cat([rows, torch.ones(len(rows), 1, device=self.device)], 1)
        scores = torch.mm(rows, self.prepared.factor, out=self.scores[: len(rows)])
        if self.exclude:
            queries = torch.arange(len(rows), device=self.device)
            scores[queries, start + queries] = torch.inf
        return scores

    def _smallest(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The smallest scores of each row, in order, and where they are.

        Of many columns only the minima of groups are ranked first: the c smallest scores lie in the c groups with the smallest
        minima, because each of those groups has a score that is as small.
        """
        if not self.grouped:
            return scores.topk(self.candidates, largest=False)
        # A group is every so many columns, so that minima are taken of long runs.
        members = scores.view(len(scores), GROUP, -1)
        groups = members.amin(1).topk(self.candidates, largest=False, sorted=False).indices
        inside = members.gather(2, groups[:, None].expand(-1, GROUP, -1)).flatten(1)
        values, places = inside.topk(self.candidates, largest=False)
        member = places.div(self.candidates, rounding_mode="floor")
        return values, member * members.shape[2] + groups.gather(1, places % self.candidates)

    def _order(self, asked: torch.Tensor, candidates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The k nearest of the candidates of each query asked for by their distances in float64, then by index."""
        candidates = candidates.sort(1).values
        outside = candidates >= self.num_points
        inside = candidates.clamp(max=self.num_points - 1)
        distances = torch.empty(candidates.shape, dtype=torch.float64, device=self.device)
        rows = max(1, BLOCK_BYTES // (8 * candidates.shape[1] * self.dim))
        for first in range(0, len(candidates), rows):
            part = slice(first, first + rows)
            here = self.queries[asked[part]].double()
            distances[part] = (self.points[inside[part]].double() - here[:, None]).square().sum(2)
        distances = distances.sqrt().masked_fill(outside, torch.inf)
        distances, order = distances.sort(dim=1, stable=True)
        return distances[:, : self.k].contiguous(), candidates.gather(1, order)[:, : self.k].contiguous()

    def _repair(
        self, start: int, norms: torch.Tensor, worst: torch.Tensor, distances: torch.Tensor, indices: torch.Tensor
    ) -> None:
        """Search again, by differences, the rows where rounding could have hidden a neighbour."""
        kth = distances[:, -1] / self.scale
        error = rounding(self.dim, norms, kth)
        doubtful = (worst.double() + norms.square() - error <= kth.square()).nonzero().flatten()
        if len(doubtful) > FEW:
            doubtful = self._repair_in_double(start, doubtful, distances, indices)
        everything = torch.arange(self.num_points, device=self.device)
        rows = max(1, BLOCK_BYTES // (8 * self.dim))
        for row in doubtful.tolist():
            here = self.queries[start + row].double()
            squares = torch.empty(self.num_points, dtype=torch.float64, device=self.device)
            for first in range(0, self.num_points, rows):
                part = self.points[first : first + rows]
                squares[first : first + rows] = (part.double() - here).square().sum(1)
            if self.exclude:
                squares[start + row] = torch.inf
            bound = squares.kthvalue(self.k).values
            near = everything[squares <= bound]
            order = squares[near].sort(stable=True).indices[: self.k]
            indices[row] = near[order]
            distances[row] = squares[near[order]].sqrt()

    def _repair_in_double(
        self, start: int, rows: torch.Tensor, distances: torch.Tensor, indices: torch.Tensor
    ) -> torch.Tensor:
        """Search rows again by a product in float64; those are returned of which even that can't be sure."""
        points = (self.points.double() - self.prepared.centre) / self.scale
        squares = points.square().sum(1)
        left = []
        for some in torch.split(rows, max(1, BLOCK_BYTES // (8 * self.num_points))):
            here = (self.queries[start + some].double() - self.prepared.centre) / self.scale
            scores = torch.addmm(squares, here, points.T, alpha=-2)
            if self.exclude:
                scores[torch.arange(len(some)), start + some] = torch.inf
            values, candidates = scores.topk(self.candidates, largest=False)
            distances[some], indices[some] = self._order(start + some, candidates)
            kth = distances[some, -1] / self.scale
            norms = here.norm(dim=1)
            error = rounding(self.dim, norms, kth, torch.float64)
            left.append(some[values[:, -1] + norms.square() - error <= kth.square()])
        return torch.cat(left)


class _Scan:
    """The same search as `_Search`, by kernels in C that keep the product in registers."""

    def __init__(self, prepared: Prepared, candidates: int) -> None:
        self.layout, self.packed = prepared.packed
        self.names = torch.from_numpy(self.layout.order)
        self.threads, self.candidates = torch.get_num_threads(), candidates
        self.rows = SCANNED if candidates <= PACK * 4 else SCANNED // 4
        self.room = 2 * candidates + 2 * PACK
        self.keys = torch.empty(self.threads * TOGETHER * self.room, dtype=torch.int64)

    def smallest(self, turned: torch.Tensor, own: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The smallest scores of each row, in order, and where they are; row i is not to find point own + i, unless it is -1."""
        places = self.layout.place(turned)
        order = torch.from_numpy(np.argsort(places, kind="stable"))  # near queries want the same points
        start = torch.from_numpy(places)[order] // PACK
        owns = torch.full(order.shape, -1) if own < 0 else own + order
        rows = self.layout.rows(turned[order])
        values = torch.empty(len(rows), self.candidates)
        indices = torch.empty(values.shape, dtype=torch.int64)
        ends = torch.tensor(self.layout.stretches)
        scan = Scan(len(self.names), rows.shape[1], len(rows), self.candidates, self.room, len(ends))
        given = {"ends": ends, "packed": self.packed, "rows": rows, "names": self.names, "own": owns, "start": start}
        for name, tensor in (given | {"values": values, "indices": indices, "keys": self.keys}).items():
            setattr(scan, name, tensor.data_ptr())
        kernels = library()
        assert kernels is not None, "a scan is made where there are kernels"
        kernels.latens_nearest(ctypes.byref(scan), self.threads)
        back = torch.argsort(order)
        return values[back], indices[back]


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    if array.dtype not in (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.uint8)):
        array = array.astype(np.float64)
    if not array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array)
    return torch.from_numpy(array)


def _reach(rows: torch.Tensor, centre: torch.Tensor) -> float:
    """The largest distance from the centre along one axis."""
    if not len(rows):
        return 0.0
    low, high = rows.amin(0).double(), rows.amax(0).double()
    return float(torch.maximum(high - centre, centre - low).max())
