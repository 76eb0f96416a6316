"""Nearest neighbours by what an earlier search found: kept with a run, and good enough for most later questions."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.neighbours.search import BLOCK_BYTES, CLEAR

__all__ = ["nearest_of_known", "reach_of"]


def reach_of(distances: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """Up to which distance the k nearest that were found are all that there are.

    Args:
        distances: (N, K) of `nearest_neighbours` with `exact=False`, K above k.
        k: how many of them are kept.

    Returns:
        float32 (N,): what the squares that ordered them may be off by is taken away.
    """
    squares = distances[:, k - 1].astype(np.float64) ** 2 - 2 * CLEAR * distances[:, -1].astype(np.float64) ** 2
    reach: NDArray[np.float32] = np.nextafter(np.sqrt(squares.clip(min=0)).astype(np.float32), np.float32(0))
    return reach


def nearest_of_known(
    points: NDArray[Any],
    near: NDArray[np.int32],
    reach: NDArray[np.float32],
    rows: NDArray[np.int64],
    k: int,
    among: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The k nearest others of some points among some of them, as an exact search gives them, where that can be told.

    Args:
        points: (N, D), finite.
        near: (N, K), the nearest others of each, in any order.
        reach: (N,), up to which distance these are all, see `reach_of`.
        rows: of the points, (M,).
        k: at most K.
        among: (N,), which points count.

    Returns:
        Indices, int64 (M, k), nearest first, equal distances by index; and of which rows they are known to be right, (M,).
    """
    found, sure = np.empty((len(rows), k), np.int64), np.empty(len(rows), np.bool_)
    step = max(1, BLOCK_BYTES // (8 * near.shape[1] * points.shape[1]))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        others = np.sort(near[some].astype(np.int64), axis=1)
        squares = ((points[others].astype(np.float64) - points[some][:, None]) ** 2).sum(2)
        squares[~among[others]] = np.inf
        order = np.argsort(squares, axis=1, kind="stable")[:, :k]
        found[start : start + step] = np.take_along_axis(others, order, 1)
        last = np.sqrt(np.take_along_axis(squares, order[:, -1:], 1)[:, 0])
        sure[start : start + step] = last < reach[some]
    return found, sure
