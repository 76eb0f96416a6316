"""Approximate nearest neighbours among very many points: of each query those in the cells of k-means that lie nearest to it.

An exact search of a million points compares each with all others. Here points are put into cells, and only those of a few cells
are compared, by the same kernels: an inverted file (Sivic and Zisserman 2003) without codes.
"""

import ctypes
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latens.arrays import drawn_rows
from latens.native import Scan, library
from latens.neighbours.centres import moved_centres, nearest_centre
from latens.neighbours.layout import PACK, Layout, long_axes
from latens.neighbours.search import CLEAR, TOGETHER, Prepared, nearest_neighbours, rounding

__all__ = ["MANY", "Cells", "can_search_cells"]

MANY = 200_000  # points, from which on an exact search of all takes minutes

CELLS = 2.0  # times the root of the number of points
PROBED = 12  # cells nearest to a query; compared are the points of all that a task of queries probes
TRAINED = 32  # points a cell that k-means is fitted to
ROUNDS = 5  # of k-means
ROWS = 128 * TOGETHER  # queries at a time


def can_search_cells() -> bool:
    """Whether the kernels are there that search in cells."""
    kernels = library()
    return kernels is not None and hasattr(kernels, "latens_nearest_among")


class Cells:
    """Points in cells, to be searched approximately; ask `can_search_cells` first.

    Args:
        points: (N, D) numbers, finite; kept, and not to be changed.
        probed: how many of the cells nearest to a query are searched, at least.

    The same points give the same cells and results on one machine.
    """

    def __init__(self, points: NDArray[Any], probed: int = PROBED) -> None:
        self.points = points
        with torch.inference_mode():
            self._prepared = Prepared(points, torch.device("cpu"))
            looked = self._prepared.scaled(self._prepared.points[:: max(1, len(points) // 8192)])
            axes, ends, _ = long_axes(looked)
            self._layout = Layout(points.shape[1], axes, ends, np.empty(0, np.int64), [], np.empty(0, np.int64))
            self._centres = self._trained(max(1, round(CELLS * len(points) ** 0.5)))
            self._probed = min(probed, len(self._centres))
            self._pack()

    def __len__(self) -> int:
        """How many points."""
        return len(self.points)

    def nearest(
        self, queries: NDArray[Any] | None = None, k: int = 10
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The k nearest points of each query, nearest first, as far as the cells hold them; see `nearest_neighbours`.

        Args:
            queries: (M, D), finite; None: the points themselves, each without itself.
            k: how many.
        """
        own = queries is None
        asked = self.points if queries is None else queries
        distances, indices = np.empty((len(asked), k), np.float32), np.empty((len(asked), k), np.int64)
        with torch.inference_mode():
            # Near queries want the same cells.
            order = self._order if own else np.argsort(self._cell_of(asked), kind="stable")
            for start in range(0, len(order), ROWS):
                rows = order[start : start + ROWS]
                distances[rows], indices[rows] = self._searched(asked, rows, k, own)
        return distances, indices

    def _turned(self, points: NDArray[Any]) -> torch.Tensor:
        return self._layout.turned(self._prepared.scaled(torch.from_numpy(np.ascontiguousarray(points))))

    def _trained(self, cells: int) -> torch.Tensor:
        """The centres of k-means of some of the points, along the axes, float32 (K, D)."""
        some = self._turned(self.points[drawn_rows(len(self.points), TRAINED * cells)]).float()
        centres = some[torch.from_numpy(drawn_rows(len(some), cells, 1))]
        for _ in range(ROUNDS):
            centres = moved_centres(some, centres)
        return centres

    def _cell_of(self, points: NDArray[Any]) -> NDArray[np.int64]:
        """The number of the nearest centre of each point, (M,)."""
        blocks = (points[start : start + ROWS] for start in range(0, len(points), ROWS))
        found = [nearest_centre(self._turned(block).float(), self._centres).numpy() for block in blocks]
        return np.concatenate([np.empty(0, np.int64), *found])

    def _pack(self) -> None:
        """Lay the points out, those of a cell together, each cell in packs of its own."""
        cell_of = self._cell_of(self.points)
        self._order = order = np.argsort(cell_of, kind="stable")
        counts = np.bincount(cell_of, minlength=len(self._centres))
        ends, packed, names = np.cumsum(counts), [], []
        for end, count in zip(ends.tolist(), counts.tolist(), strict=True):
            members = order[end - count : end]
            packed.append(self._layout.packed(self._turned(self.points[members])))
            names.append(np.resize(members, len(packed[-1]) * PACK) if count else members)
        self._packed, self._names = torch.cat(packed), torch.from_numpy(np.concatenate(names))
        self._blocks = np.array([len(one) for one in packed])
        self._starts = np.cumsum(self._blocks) - self._blocks

    def _searched(
        self, asked: NDArray[Any], chosen: NDArray[np.int64], k: int, own: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        turned = self._turned(asked[chosen])
        values, indices = self._smallest(turned, chosen if own else np.full(len(chosen), -1), k)
        norms = turned.norm(dim=1)
        squares = values.double().add_(norms.square()[:, None]).clamp_(min=0)
        distances, found = (squares.sqrt() * self._prepared.scale).numpy(), indices.numpy()
        last = squares[:, -1]
        doubtful = rounding(turned.shape[1], norms, last.sqrt()) >= CLEAR * last
        rows = np.flatnonzero(doubtful.numpy() & torch.isfinite(last).numpy())
        if len(rows):  # products are rounded too much: differences tell
            others = self.points[found[rows]].astype(np.float64)  # (R, k, D)
            apart = np.sqrt(np.square(others - asked[chosen[rows], None]).sum(2))
            by_distance = np.argsort(apart, axis=1, kind="stable")
            distances[rows] = np.take_along_axis(apart, by_distance, 1)
            found[rows] = np.take_along_axis(found[rows], by_distance, 1)
        few = np.flatnonzero(~torch.isfinite(last).numpy())  # the cells hold too few
        if len(few):
            distances[few], found[few] = _exact(self.points, asked, chosen[few], k, own)
        return distances, found

    def _smallest(self, turned: torch.Tensor, own: NDArray[np.int64], k: int) -> tuple[torch.Tensor, torch.Tensor]:
        rows, threads = self._layout.rows(turned), torch.get_num_threads()
        starts, blocks = self._visited(turned.float())
        values, indices = torch.empty(len(rows), k), torch.empty(len(rows), k, dtype=torch.int64)
        room = 2 * k + 2 * PACK
        ends, keys = torch.tensor(self._layout.stretches), torch.empty(threads * TOGETHER * room, dtype=torch.int64)
        scan = Scan(len(self._names), rows.shape[1], len(rows), k, room, len(ends))
        given = {"ends": ends, "packed": self._packed, "rows": rows, "names": self._names, "own": torch.from_numpy(own)}
        for name, tensor in (given | {"values": values, "indices": indices, "keys": keys}).items():
            setattr(scan, name, tensor.data_ptr())
        kernels = library()
        assert kernels is not None, "ask can_search_cells() first"
        kernels.latens_nearest_among(ctypes.byref(scan), starts.ctypes.data, blocks.ctypes.data, threads)
        return values, indices

    def _visited(self, rows: torch.Tensor) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The packs that each task of 48 queries visits: where its list begins, (T + 1,), and all lists, nearest cells first."""
        apart = _to_centres(rows, self._centres)
        near = apart.topk(self._probed, largest=False, sorted=False).indices
        task = torch.arange(len(rows)) // TOGETHER
        # Of the cells that a query of the task probes.
        least = torch.full((int(task[-1]) + 1, apart.shape[1]), torch.inf)
        least.view(-1).scatter_reduce_(
            0, (task[:, None] * apart.shape[1] + near).view(-1), apart.gather(1, near).view(-1), "amin"
        )
        probed = torch.isfinite(least).sum(1).numpy()
        cells = least.sort(1).indices.numpy()[np.arange(apart.shape[1]) < probed[:, None]]  # of all tasks
        counts = self._blocks[cells]
        ends = np.cumsum(counts)
        blocks = np.repeat(self._starts[cells] - ends + counts, counts) + np.arange(ends[-1])
        return np.concatenate([[0], ends[np.cumsum(probed) - 1]]), blocks.astype(np.int32)


def _to_centres(rows: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Squared distances of rows (M, D) to centres (K, D), (M, K)."""
    return torch.addmm(centres.square().sum(1), rows, centres.T, alpha=-2).add_(rows.square().sum(1)[:, None])


def _exact(
    points: NDArray[Any], asked: NDArray[Any], rows: NDArray[np.int64], k: int, own: bool
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    distances, indices = nearest_neighbours(points, asked[rows], min(k + own, len(points)))
    if not own:
        return distances, indices
    others = indices != rows[:, None]
    others[:, -1] &= ~others.all(1)  # a point among more equal ones than are found may miss itself
    return distances[others].reshape(len(rows), k), indices[others].reshape(len(rows), k)
