"""Exact nearest neighbours, block by block, on the CPU or a GPU: for maps, metrics, the probe and the explorer.

A matrix product in float32 finds somewhat more candidates than asked for; their distances are then computed again as
differences in float64. A bound on the rounding error of the product says of each row whether a neighbour could have been
missed; such rows (duplicates, outliers by orders of magnitude) are searched by differences alone. So the result is that of
a search in float64, ties going to the smaller index, whatever the block size, and memory stays bounded.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.native import Scan, library

__all__ = ["distance_ratios", "in_usual_distances", "nearest_neighbours", "neighbours_kept", "usual_distance"]

BLOCK_BYTES = 1 << 26  # of one block of scores (and of one gathered block of candidates): 64 MiB
CLEAR = 1e-3  # share of a squared distance that its rounding may be
GROUP = 16  # columns whose least is found before the columns are ranked
UNIT = 2.0**-24  # rounding unit of float32
PACK, TOGETHER = 32, 48  # points that lie together, and queries of a task, in neighbours.c
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
    _check(points, queries_array, k, exclude)
    with torch.inference_mode():
        search = _Search(points, queries_array, k, exclude, torch.device(device), exact)
        rows = block or (4096 if search.scan else max(1, min(4096, BLOCK_BYTES // (4 * search.num_points))))
        parts = [
            search.block(start, min(start + rows, search.num_queries)) for start in range(0, len(queries_array), rows)
        ]
    if not parts:
        return np.empty((0, k), np.float32), np.empty((0, k), np.int64)
    distances = torch.cat([part[0] for part in parts]).numpy()
    indices = torch.cat([part[1] for part in parts]).numpy()
    return distances, indices


def _check(points: NDArray[Any], queries: NDArray[Any], k: int, exclude: bool) -> None:
    if points.ndim != 2 or queries.ndim != 2 or points.shape[1] != queries.shape[1]:
        raise UsageError(
            f"points and queries have shapes {points.shape} and {queries.shape}; they must be (N, D) and (M, D), D the same"
        )
    most = len(points) - int(exclude)
    if not 1 <= k <= most:
        what = "other points" if exclude else "points"
        raise UsageError(f"{k} neighbours were asked for and there are {most} {what}; give k from 1 to {most}")
    for name, array in (("points", points), ("queries", queries)):
        # The sum is finite unless a term is not (or float64 overflows, which is as bad), and costs no array of booleans.
        if array.dtype.kind == "f" and not np.isfinite(array.sum(dtype=np.float64)) and not np.isfinite(array).all():
            raise UsageError(f"{name} hold NaN or infinity; only finite numbers have neighbours")


class _Search:
    """One search: the points prepared once, then block after block of queries."""

    def __init__(
        self, points: NDArray[Any], queries: NDArray[Any], k: int, exclude: bool, device: torch.device, exact: bool
    ) -> None:
        self.k, self.exclude, self.device, self.exact = k, exclude, device, exact
        self.num_points, self.dim = points.shape
        self.num_queries = len(queries)
        self.candidates = min(self.num_points, k + max(8, k // 8))
        # Differences are taken of what was given; the product works on centred, scaled copies, whose squares neither
        # cancel nor overflow.
        self.points = _tensor(points).to(device)
        self.queries = self.points if queries is points else _tensor(queries).to(device)
        self.centre = self.points.mean(0, dtype=torch.float64)
        self.scale = max(_reach(self.points, self.centre), _reach(self.queries, self.centre)) or 1.0
        # Scores are |y|² - 2 x·y: as one product of [x, 1] and [-2 y, |y|²].
        self.grouped = self.num_points >= 8 * GROUP * self.candidates
        width = -(-self.num_points // GROUP) * GROUP if self.grouped else self.num_points
        self.factor = torch.zeros(width, self.dim + 1, device=device)
        self.factor[self.num_points :, self.dim] = torch.inf
        for start in range(0, self.num_points, 8192):
            scaled = self._scaled(self.points[start : start + 8192])
            self.factor[start : start + len(scaled), : self.dim] = -2 * scaled
            self.factor[start : start + len(scaled), self.dim] = scaled.square().sum(1)
        self.scan: _Scan | None = None
        if (
            device.type == "cpu"
            and self.candidates <= MOST_SCANNED
            and self.dim <= WIDEST_SCANNED
            and library() is not None
        ):
            self.scan = _Scan(self.factor[: self.num_points], self.candidates)
        self.factor = self.factor.T
        self.scores = torch.empty(0, 0, device=device)

    def _scaled(self, rows: torch.Tensor) -> torch.Tensor:
        return ((rows.double() - self.centre) / self.scale).float()

    def block(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Distances and indices of the queries from `start` to `stop`."""
        scaled = self._scaled(self.queries[start:stop])
        rows = torch.cat([scaled, torch.ones(len(scaled), 1, device=self.device)], 1)
        if self.scan is not None:
            values, candidates = self.scan.smallest(rows, start if self.exclude else -1)
        else:
            values, candidates = self._smallest(self._scores(rows, start))
        norms = scaled.double().norm(dim=1)
        if not self.exact:
            squares = values[:, : self.k].double().add_(norms.square()[:, None]).clamp_(min=0)
            if (self._rounding(norms, squares[:, -1].sqrt()) < CLEAR * squares[:, -1]).all():
                return (squares.sqrt_() * self.scale).float().cpu(), candidates[:, : self.k].cpu()
        if self.exclude:
            # Where every point is a candidate, the own one is among them: it must not come back by its true distance.
            own = torch.arange(start, stop, device=self.device)[:, None]
            candidates = torch.where(candidates == own, self.num_points, candidates)
        distances, indices = self._order(start, candidates)
        if self.candidates < self.num_points - int(self.exclude):
            self._repair(start, norms, values[:, -1], distances, indices)
        return distances.float().cpu(), indices.cpu()

    def _scores(self, rows: torch.Tensor, start: int) -> torch.Tensor:
        if len(self.scores) < len(rows):  # made once: fresh memory at each block costs more than the product
            self.scores = torch.empty(len(rows), self.factor.shape[1], device=self.device)
        scores = torch.mm(rows, self.factor, out=self.scores[: len(rows)])
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

    def _order(self, start: int, candidates: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The k nearest of the candidates by their distances in float64, then by index."""
        candidates = candidates.sort(1).values
        outside = candidates >= self.num_points
        inside = candidates.clamp(max=self.num_points - 1)
        distances = torch.empty(candidates.shape, dtype=torch.float64, device=self.device)
        rows = max(1, BLOCK_BYTES // (8 * candidates.shape[1] * self.dim))
        for first in range(0, len(candidates), rows):
            part = slice(first, min(first + rows, len(candidates)))
            here = self.queries[start + first : start + part.stop].double()
            distances[part] = (self.points[inside[part]].double() - here[:, None]).square().sum(2)
        distances = distances.sqrt().masked_fill(outside, torch.inf)
        distances, order = distances.sort(dim=1, stable=True)
        return distances[:, : self.k].contiguous(), candidates.gather(1, order)[:, : self.k].contiguous()

    def _rounding(self, norms: torch.Tensor, kth: torch.Tensor) -> torch.Tensor:
        """A bound on the error of the scores of points as near as the k-th.

        Such a point has a norm of at most |x| + d; the error of its score is that of a sum of D terms (which grows like √D:
        Higham and Mary 2019) of at most (2|x| + d)² together, with a margin.
        """
        bound: torch.Tensor = (16 + 4 * self.dim**0.5) * UNIT * (2 * norms + kth).square()
        return bound

    def _repair(
        self, start: int, norms: torch.Tensor, worst: torch.Tensor, distances: torch.Tensor, indices: torch.Tensor
    ) -> None:
        """Search again, by differences, the rows where rounding could have hidden a neighbour."""
        kth = distances[:, -1] / self.scale
        error = self._rounding(norms, kth)
        doubtful = (worst.double() + norms.square() - error <= kth.square()).nonzero().flatten()
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


class _Scan:
    """What `_Search` does with a product and a ranking, by kernels in C that keep the product in registers."""

    def __init__(self, factor: torch.Tensor, candidates: int) -> None:
        num, width = factor.shape
        packed = torch.zeros(-(-num // PACK) * PACK, width)
        packed[:num] = factor
        packed[num:, -1] = torch.inf
        self.packed = packed.view(-1, PACK, width).transpose(1, 2).contiguous()
        self.threads, self.candidates = torch.get_num_threads(), candidates
        self.room = 2 * candidates + 2 * PACK
        self.keys = torch.empty(self.threads * TOGETHER * self.room, dtype=torch.int64)
        self.num_points, self.width = num, width

    def smallest(self, rows: torch.Tensor, own: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The smallest scores of each row, in order, and where they are; row i is not to find point own + i, unless it is -1."""
        values = torch.empty(len(rows), self.candidates)
        indices = torch.empty(values.shape, dtype=torch.int64)
        scan = Scan(self.num_points, self.width, len(rows), self.candidates, self.room, own)
        for name, tensor in (("packed", self.packed), ("rows", rows), ("values", values), ("indices", indices)):
            setattr(scan, name, tensor.data_ptr())
        scan.keys = self.keys.data_ptr()
        kernels = library()
        assert kernels is not None, "a scan is made where there are kernels"
        kernels.latens_scan(ctypes.byref(scan), self.threads)
        return values, indices


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


def neighbours_kept(
    latents: NDArray[Any],
    coordinates: NDArray[Any],
    k: int = 10,
    known: tuple[NDArray[np.float32], NDArray[np.int64]] | None = None,
) -> NDArray[np.float32]:
    """Say of each point which share of its k nearest on a map are among its k nearest in latent space.

    A neighbour that is exactly as far as the k-th counts as one: which of several equal latents comes first is chance.

    Args:
        latents: (N, D), finite.
        coordinates: (N, 2), finite: where the map puts them.
        k: how many neighbours; N - 1 where there are fewer.
        known: what `nearest_neighbours` says of the latents, be it with `exact=False`: saves a search, and changes nothing.

    Returns:
        float32 (N,) in [0, 1]; 1 where there is one point only.

    Raises:
        UsageError: the two do not have the same number of rows, or are not finite.
    """
    if len(latents) != len(coordinates):
        raise UsageError(f"{len(latents)} latents and {len(coordinates)} points on the map; there must be one for each")
    k = min(k, len(latents) - 1)
    if k < 1:
        return np.ones(len(latents), np.float32)
    on_map = nearest_neighbours(coordinates, k=k)[1]
    last = _kth_neighbour(latents, k, known)
    kept = np.empty(len(latents), np.float32)
    for here in _parts(len(latents), k + 1, latents.shape[1]):
        others = np.concatenate([last[here], on_map[here]], 1)
        squares = _squares(latents, here, others)
        kept[here] = (squares[:, 1:] <= squares[:, :1]).mean(1)
    return kept


def usual_distance(latents: NDArray[Any]) -> float:
    """The median distance of a latent to its nearest neighbour among the others, (N, D) -> one number; NaN for a single one."""
    return float(np.median(nearest_neighbours(latents, k=1)[0])) if len(latents) > 1 else float("nan")


def distance_ratios(latents: NDArray[Any], points: NDArray[Any], usual: float | None = None) -> NDArray[np.float64]:
    """How far each point lies from the data, as a multiple of what is usual between data.

    Args:
        latents: of the data, (N, D), finite.
        points: (M, D), finite.
        usual: the `usual_distance` of the latents, where it is known.

    Returns:
        Distance of each point to the nearest data latent over the usual distance, (M,): 0 on a data latent, 1 as far as data
        lie from each other. NaN where there is a single data latent; infinity where most data are duplicates.
    """
    usual = usual_distance(latents) if usual is None else usual
    return in_usual_distances(nearest_neighbours(latents, points, 1)[0][:, 0], usual)


def in_usual_distances(distances: NDArray[Any], usual: float) -> NDArray[np.float64]:
    """Distances as multiples of the usual one; NaN where there is none, and where it is 0, infinity for all that are not 0."""
    distances = distances.astype(np.float64)
    if usual > 0 or np.isnan(usual):
        return distances / usual
    return np.where(distances > 0, np.inf, 0.0)


def _kth_neighbour(
    points: NDArray[Any], k: int, known: tuple[NDArray[np.float32], NDArray[np.int64]] | None
) -> NDArray[np.int64]:
    """One of those that are as far from each point as its k-th nearest: (N, 1)."""
    if known is None or known[1].shape[1] < 2 * k:
        return nearest_neighbours(points, k=k)[1][:, -1:]
    distances, indices = known[0].astype(np.float64), known[1][:, : 2 * k]
    last, squares = np.empty((len(points), 1), np.int64), np.empty(len(points))
    for here in _parts(len(points), 2 * k, points.shape[1]):
        some = _squares(points, here, indices[here])
        kth = np.argpartition(some, k - 1, 1)[:, k - 1 : k]
        last[here] = np.take_along_axis(indices[here], kth, 1)
        squares[here] = np.take_along_axis(some, kth, 1)[:, 0]
    # The squares that ordered them may be off by a share of the last one: is there room for one that was left out?
    doubtful = squares + 2 * CLEAR * distances[:, -1] ** 2 >= distances[:, 2 * k - 1] ** 2
    if doubtful.any():
        last[doubtful] = nearest_neighbours(points, points[doubtful], k + 1)[1][:, -1:]
    return last


def _parts(num: int, others: int, dim: int) -> Iterator[slice]:
    """As many rows at a time as keep the differences to so many others within a block."""
    rows = max(1, BLOCK_BYTES // (8 * others * dim))
    return (slice(start, start + rows) for start in range(0, num, rows))


def _squares(points: NDArray[Any], here: slice, others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Squared distances of some points to others, row by row: float64 (rows of `here`, columns of `others`)."""
    squares: NDArray[np.float64] = ((points[others].astype(np.float64) - points[here, None]) ** 2).sum(2)
    return squares
