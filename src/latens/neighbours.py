"""Exact nearest neighbours, block by block, on the CPU or a GPU: for maps, metrics, the probe and the explorer.

A matrix product in float32 finds somewhat more candidates than asked for; their distances are then computed again as
differences in float64. A bound on the rounding error of the product says of each row whether a neighbour could have been
missed; such rows (duplicates, outliers by orders of magnitude) are searched by differences alone. So the result is that of
a search in float64, ties going to the smaller index, whatever the block size, and memory stays bounded.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latens.errors import UsageError

__all__ = ["nearest_neighbours", "neighbours_kept"]

BLOCK_BYTES = 1 << 26  # of one block of scores (and of one gathered block of candidates): 64 MiB
CLEAR = 1e-3  # share of a squared distance that its rounding may be
GROUP = 16  # columns whose least is found before the columns are ranked
UNIT = 2.0**-24  # rounding unit of float32


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
        block: queries at a time; None: as many as keep it in about 64 MiB. It does not change the result.
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
        rows = block or max(1, min(4096, BLOCK_BYTES // (4 * search.num_points)))
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
        self.factor = self.factor.T
        self.scores = torch.empty(0, 0, device=device)

    def _scaled(self, rows: torch.Tensor) -> torch.Tensor:
        return ((rows.double() - self.centre) / self.scale).float()

    def block(self, start: int, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Distances and indices of the queries from `start` to `stop`."""
        scaled = self._scaled(self.queries[start:stop])
        rows = torch.cat([scaled, torch.ones(len(scaled), 1, device=self.device)], 1)
        if len(self.scores) < len(rows):  # made once: fresh memory at each block costs more than the product
            self.scores = torch.empty(len(rows), self.factor.shape[1], device=self.device)
        scores = torch.mm(rows, self.factor, out=self.scores[: len(rows)])
        if self.exclude:
            own = torch.arange(start, stop, device=self.device)
            scores[own - start, own] = torch.inf
        values, candidates = self._smallest(scores)
        norms = scaled.double().norm(dim=1)
        if not self.exact:
            squares = values[:, : self.k].double().add_(norms.square()[:, None]).clamp_(min=0)
            if (self._rounding(norms, squares[:, -1].sqrt()) < CLEAR * squares[:, -1]).all():
                return (squares.sqrt_() * self.scale).float().cpu(), candidates[:, : self.k].cpu()
        if self.exclude:
            # Where every point is a candidate, the own one is among them: it must not come back by its true distance.
            candidates = torch.where(candidates == own[:, None], self.num_points, candidates)
        distances, indices = self._order(start, candidates)
        if self.candidates < self.num_points - int(self.exclude):
            self._repair(start, norms, values[:, -1], distances, indices)
        return distances.float().cpu(), indices.cpu()

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


def neighbours_kept(latents: NDArray[Any], coordinates: NDArray[Any], k: int = 10) -> NDArray[np.float32]:
    """Say of each point which share of its k nearest on a map are among its k nearest in latent space.

    A neighbour that is exactly as far as the k-th counts as one: which of several equal latents comes first is chance.

    Args:
        latents: (N, D), finite.
        coordinates: (N, 2), finite: where the map puts them.
        k: how many neighbours; N - 1 where there are fewer.

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
    last = nearest_neighbours(latents, k=k)[1][:, -1:]
    kept = np.empty(len(latents), np.float32)
    rows = max(1, BLOCK_BYTES // (8 * (k + 1) * latents.shape[1]))
    for start in range(0, len(latents), rows):
        here = slice(start, start + rows)
        others = latents[np.concatenate([last[here], on_map[here]], 1)].astype(np.float64)
        squares = ((others - latents[here, None]) ** 2).sum(2)
        kept[here] = (squares[:, 1:] <= squares[:, :1]).mean(1)
    return kept
