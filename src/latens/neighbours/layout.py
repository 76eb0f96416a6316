"""How points lie for a search by the kernels: along their principal axes, and near ones together.

The first few axes hold most of the variance. The product of two points along them, and that of the lengths of what is left,
bound the whole product, so that the kernels finish few of them; and where near points and near queries lie together, those few
are in few blocks.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

__all__ = ["PACK", "Layout", "layout_of", "long_axes"]

PACK = 32  # points that lie together in neighbours.c
FEWEST, NARROWEST = 32 * PACK, 12  # points, and numbers of a point, from which on it is worth while
LEFT = 0.4  # share of the variance that the first axes may leave
LOOKED_AT = 8192  # points by which the axes are found
HALVED = 0.36  # of a normal variable's variance is left in either half
SAFE = 1 + 2.0**-20  # times the lengths: a bound must stand their rounding


class Layout(NamedTuple):
    """An order of N points, and a tree of halves by which queries find their place in it.

    Args:
        dim: D.
        axes: (D, D), columns: the principal axes, the longest first; None leaves points as they are.
        ends: ascending numbers of first axes, after which products are bounded.
        order: int64 (N,), the points.
        splits: of each level of the tree the axis, and the values at which its nodes are halved, (1,), (2,), (4,), …
        starts: int64, the place in `order` of the first point of each leaf.
    """

    dim: int
    axes: torch.Tensor | None
    ends: tuple[int, ...]
    order: NDArray[np.int64]
    splits: list[tuple[int, NDArray[np.float64]]]
    starts: NDArray[np.int64]

    def place(self, rows: torch.Tensor) -> NDArray[np.int64]:
        """The place in the order of where some queries (M, D), along the axes, would lie, int64 (M,)."""
        node = np.zeros(len(rows), np.int64)
        for axis, values in self.splits:
            node = 2 * node + (rows[:, axis].numpy() >= values[node])
        found: NDArray[np.int64] = self.starts[node]
        return found

    def turned(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows (M, D), float64, along the axes, rounded to float32: where points are equal, all sums are of equal numbers."""
        return (rows if self.axes is None else rows @ self.axes).float().double()

    def packed(self, points: torch.Tensor) -> torch.Tensor:
        """Points (N, D), in order and along the axes, as the kernels take them: float32 (blocks, numbers, 32)."""
        numbers = torch.zeros(-(-len(points) // PACK) * PACK, self.stretches[-1])
        numbers[: len(points)] = self._numbers(-2 * points, points.float().square().sum(1), SAFE)
        numbers[len(points) :, self.stretches[0] - 1] = torch.inf  # points that are not there are never near
        return numbers.view(-1, PACK, numbers.shape[1]).transpose(1, 2).contiguous()

    def rows(self, queries: torch.Tensor) -> torch.Tensor:
        """Queries (M, D), along the axes, as the kernels take them: float32 (M, numbers)."""
        return self._numbers(queries, torch.ones(len(queries), dtype=queries.dtype), 1)

    @property
    def stretches(self) -> list[int]:
        """The ends of the stretches of a row of the kernels; the first has one more number, a length is between each two."""
        return [1 + end + place for place, end in enumerate((*self.ends, self.dim))]

    def _numbers(self, x: torch.Tensor, more: torch.Tensor, longer: float) -> torch.Tensor:
        parts, begin = [], 0
        for end in (*self.ends, self.dim):
            # The sum of what is small comes before what is large: less of it is rounded away.
            parts += [x[:, begin:end], *([] if begin else [more[:, None]])]
            parts += [x[:, end:].norm(dim=1, keepdim=True) * longer] if end < self.dim else []
            begin = end
        return torch.cat(parts, 1).float()


def layout_of(points: torch.Tensor) -> Layout:
    """The layout for points (N, D), float64, centred and finite; that of points without long axes leaves them as they are."""
    num, dim = points.shape
    plain = Layout(dim, None, (), np.arange(num), [], np.zeros(1, np.int64))
    if num < FEWEST or dim < NARROWEST:
        return plain
    axes, ends, variances = long_axes(points[:: -(-num // LOOKED_AT)])
    if axes is None:
        return plain
    return Layout(dim, axes, ends, *_halved((points @ axes[:, : ends[0]]).numpy(), variances[: ends[0]].numpy()))


def long_axes(points: torch.Tensor) -> tuple[torch.Tensor | None, tuple[int, ...], torch.Tensor]:
    """The axes and the ends of a `Layout` for points (N, D), float64, centred; and the variance along each axis, times N."""
    dim = points.shape[1]
    variances, axes = torch.linalg.eigh(points.T @ points)
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
    held = torch.cumsum(variances, 0) / variances.sum()
    first = 4 * (1 + int((held[3::4] < 1 - LEFT).sum()))
    if dim < NARROWEST or not first <= dim / 2:
        return None, (), variances
    return axes, tuple(first * 2**step for step in range(8) if first * 2**step < dim), variances


def _halved(
    points: NDArray[np.float64], variances: NDArray[np.float64]
) -> tuple[NDArray[np.int64], list[tuple[int, NDArray[np.float64]]], NDArray[np.int64]]:
    """Order, splits and starts of a tree that halves points (N, A) along the axis with the largest variance left."""
    num, left = len(points), variances.copy()
    levels = int(np.log2(num / PACK))
    places = -(-num // 2**levels) * 2**levels
    nodes = np.concatenate([np.arange(num), np.full(places - num, -1)])[None]  # -1: no point
    splits = []
    for _ in range(levels):
        axis = int(left.argmax())
        left[axis] *= HALVED
        values = np.where(nodes < 0, np.inf, points[nodes, axis])
        half = nodes.shape[1] // 2
        order = np.argpartition(values, half, axis=1)
        splits.append((axis, np.take_along_axis(values, order[:, half : half + 1], 1)[:, 0]))
        nodes = np.take_along_axis(nodes, order, 1).reshape(-1, half)
    counts = (nodes >= 0).sum(1)
    return nodes[nodes >= 0], splits, np.minimum(np.cumsum(counts) - counts, num - 1)
