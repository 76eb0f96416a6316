"""Exact nearest neighbours among points that lie in a file: one pass over it, and nothing is prepared or copied.

`nearest_neighbours` prepares its points for many queries. For a few queries among millions of points that would cost more than
the search. Here the file is read once, block by block. Bounds of the distances in float32 say which points can be among the
nearest; the distances of those are computed again in float64. So the result is that of a search in float64, ties going to the
smaller index.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latens.arrays import gather
from latens.device import yielding_threads
from latens.errors import UsageError

__all__ = ["nearest_stored"]

# A block of points (B, D) -> lower bounds of their distances to each query, (M, B), and how far above they may lie.
_Bounds = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]

BLOCK_VALUES = 1 << 22  # numbers of a block: 16 MiB as float32
FEW = 6  # queries that are searched by differences; more by one product
TOGETHER = 256  # queries of one pass over the file
UNIT = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}  # rounding units
TINY = 1e-18  # distances below it lose digits, as their squares underflow


def nearest_stored(
    points: NDArray[Any],
    queries: NDArray[Any],
    k: int = 10,
    *,
    without: NDArray[np.int64] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the k nearest points of each query, nearest first; equal distances are ordered by index.

    Args:
        points: (N, D) numbers, finite, in memory or memory-mapped; they are read in order, once for 256 queries.
        queries: (M, D) numbers, finite.
        k: how many neighbours, at least 1; where fewer points are left, there are fewer.
        without: a row of `points` that each query must not find, int64 (M,): itself; -1 for none.
        progress: called with what is done of what there is to do, in points or queries.

    Returns:
        Euclidean distances, float64 (M, k), and rows of `points`, int64 (M, k).

    Raises:
        UsageError: shapes that do not fit, or numbers that are not finite.

    >>> points = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    >>> nearest_stored(points, points[:1], 2, without=np.array([0]))
    (array([[1., 5.]]), array([[2, 1]]))
    """
    if points.ndim != 2 or queries.ndim != 2 or points.shape[1] != queries.shape[1]:
        raise UsageError(
            f"latents and queries have shapes {points.shape} and {queries.shape}; they must be (N, D) and (M, D), D the same"
        )
    if k < 1:
        raise UsageError(f"{k} neighbours were asked for; give k of at least 1")
    if not np.isfinite(queries).all():
        raise UsageError("queries hold NaN or infinity; only finite numbers have neighbours")
    without = np.full(len(queries), -1) if without is None else np.asarray(without, np.int64)
    k = min(k, len(points) - int((without >= 0).any()))
    if k < 1 or not len(queries):
        return np.empty((len(queries), max(k, 0))), np.empty((len(queries), max(k, 0)), np.int64)
    queries = queries.astype(np.float64)
    quiet = yielding_threads() if points.size > BLOCK_VALUES else nullcontext()
    with quiet, torch.inference_mode():
        candidates = []
        for first in range(0, len(queries), TOGETHER):
            part = slice(first, first + TOGETHER)
            tick = progress if len(queries) <= TOGETHER and progress else _no_progress
            candidates += _candidates(points, torch.from_numpy(queries[part]), k, without[part], tick)
            if progress and tick is _no_progress:
                progress(min(first + TOGETHER, len(queries)), len(queries))
    found = [_ordered(points, query, rows, k) for query, rows in zip(queries, candidates, strict=True)]
    return np.stack([one[0] for one in found]), np.stack([one[1] for one in found])


def _by_differences(asked: torch.Tensor, dtype: torch.dtype) -> _Bounds:
    """Bounds of distances by differences: each is off by a share of itself at most."""
    rounded = asked.to(dtype)
    moved = (
        (rounded.double() - asked).norm(dim=1, keepdim=True).to(dtype)
    )  # a query that is rounded moves its distances

    def bounds(block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        share = (block.shape[1] + 8) * UNIT[dtype]
        distances = torch.cdist(rounded, block, compute_mode="donot_use_mm_for_euclid_dist")
        slack = distances * share + moved + TINY
        return distances - slack, 2 * slack

    return bounds


def _by_products(asked: torch.Tensor, dtype: torch.dtype) -> _Bounds:
    """Bounds of squared distances by one product for many queries: each is off by a share of the squared norms.

    Each is less the part of its query's norm, which is the same for all points.
    """
    centre = asked.mean(0).to(dtype)  # of points near the queries little cancels
    rounded = (asked - centre.double()).to(dtype)
    norms = rounded.square().sum(1, keepdim=True)

    def bounds(block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        # Errors of a sum of D terms grow like √D (Higham and Mary 2019), here with a margin; (|x| + |y|)² ≤ 2 |x|² + 2 |y|².
        share = 2 * (16 + 4 * block.shape[1] ** 0.5) * UNIT[dtype]
        centred = block - centre
        others = centred.square().sum(1)  # (B,)
        low = torch.addmm(((1 - share) * others)[None], rounded, centred.T, alpha=-2)
        return low, 2 * share * (others[None] + norms) + TINY**2

    return bounds


def _candidates(
    points: NDArray[Any],
    asked: torch.Tensor,
    k: int,
    without: NDArray[np.int64],
    progress: Callable[[int, int], object],
) -> list[NDArray[np.int64]]:
    """Rows among which the k nearest of each query are, by bounds in float32; in float64, if the points are."""
    dtype = torch.float32 if points.dtype.kind == "f" and points.dtype.itemsize <= 4 else torch.float64
    bounds = (_by_differences if len(asked) <= FEW else _by_products)(asked, dtype)
    kept = [_Nearest(k) for _ in asked]
    length = max(1, BLOCK_VALUES // max(1, points.shape[1], len(asked)))
    for start in range(0, len(points), length):
        block = _tensor(points[start : start + length], dtype)
        lows, gaps = bounds(block)
        if not torch.isfinite(gaps.sum()):
            if not torch.isfinite(block).all():
                raise UsageError("latents hold NaN or infinity; only finite numbers have neighbours")
            # Too large for the type: any of these may be near.
            gaps = torch.where(torch.isfinite(gaps + lows), gaps, torch.inf)
            lows = torch.where(torch.isfinite(gaps), lows, torch.finfo(dtype).min)
        for one, low, gap, own in zip(kept, lows, gaps.expand_as(lows), without.tolist(), strict=True):
            if start <= own < start + len(block):
                low[own - start] = torch.inf
            one.take(low, gap, start)
        progress(min(start + length, len(points)), len(points))
    return [one.rows[one.rows != own].numpy() for one, own in zip(kept, without.tolist(), strict=True)]


class _Nearest:
    """The points that can be among the k nearest, as far as the file was read."""

    def __init__(self, k: int) -> None:
        self.k, self.limit = k, torch.inf
        self.lows = self.highs = torch.empty(0, dtype=torch.float64)
        self.rows = torch.empty(0, dtype=torch.int64)

    def take(self, low: torch.Tensor, gap: torch.Tensor, start: int) -> None:
        """Points whose distances lie at most a gap above a bound, (B,) each, the first of them in row `start`."""
        near = (low <= self.limit).nonzero().flatten()
        if not len(near):
            return
        lows = low[near].double()
        self.lows, self.highs = torch.cat([self.lows, lows]), torch.cat([self.highs, lows + gap[near].double()])
        self.rows = torch.cat([self.rows, near + start])
        if len(self.rows) >= self.k:
            self.limit = float(self.highs.kthvalue(self.k).values)
            inside = self.lows <= self.limit
            self.lows, self.highs, self.rows = self.lows[inside], self.highs[inside], self.rows[inside]


def _no_progress(done: int, total: int) -> None:
    """Nothing is shown."""


def _ordered(
    points: NDArray[Any], query: NDArray[np.float64], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The k nearest of some rows, by differences in float64."""
    rows = np.sort(rows)
    length = max(1, BLOCK_VALUES // max(1, points.shape[1]))
    parts = [rows[first : first + length] for first in range(0, len(rows), length)]
    distances = np.concatenate(
        [np.sqrt(np.square(gather(points, part).astype(np.float64) - query).sum(1)) for part in parts]
    )
    order = np.argsort(distances, kind="stable")[:k]
    return distances[order], rows[order]


def _tensor(block: NDArray[Any], dtype: torch.dtype) -> torch.Tensor:
    """A block as a tensor: without a copy where the file holds what is needed."""
    wanted = np.dtype(np.float32) if dtype == torch.float32 else np.dtype(np.float64)
    plain = np.asarray(block)
    if plain.dtype != wanted or not plain.flags.c_contiguous or not plain.flags.writeable:
        plain = np.array(plain, dtype=wanted, order="C")
    return torch.from_numpy(plain)
