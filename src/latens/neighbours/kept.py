"""The share of the neighbours in latent space that a map keeps."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.neighbours.cells import MANY, Cells, can_search_cells
from latens.neighbours.search import BLOCK_BYTES, CLEAR, Neighbours, nearest_neighbours

__all__ = ["neighbours_kept", "placed_neighbours_kept"]


def neighbours_kept(
    latents: NDArray[Any],
    coordinates: NDArray[Any],
    k: int = 10,
    known: tuple[NDArray[np.float32], NDArray[Any]] | None = None,
) -> NDArray[np.float32]:
    """For each point, the share of its k nearest on a map are among its k nearest in latent space.

    A neighbour that is exactly as far as the k-th counts as one: the order of equal latents is arbitrary.

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
    # In a plane the nearest cells hold all of the nearest points.
    many = len(coordinates) >= MANY and can_search_cells()
    on_map = (Cells(coordinates).nearest(k=k) if many else nearest_neighbours(coordinates, k=k))[1]
    last = _kth_neighbour(latents, k, known)
    kept = np.empty(len(latents), np.float32)
    for here in _parts(len(latents), k + 1, latents.shape[1]):
        others = np.concatenate([last[here], on_map[here]], 1)
        squares = _squares(latents, latents[here], others)
        kept[here] = (squares[:, 1:] <= squares[:, :1]).mean(1)
    return kept


def placed_neighbours_kept(
    latents: Neighbours | Cells,
    coordinates: Neighbours | Cells,
    placed: NDArray[Any],
    places: NDArray[Any],
    k: int = 10,
    near: NDArray[Any] | None = None,
) -> NDArray[np.float32]:
    """What `neighbours_kept` is of a map's own points, for latents that were placed on it later.

    Args:
        latents: of the map's points, (N, D).
        coordinates: theirs, (N, 2).
        placed: the latents that were placed, (M, D), finite.
        places: where the map puts them, (M, 2), finite.
        k: how many neighbours among the map's points; N where there are fewer.
        near: the nearest of the map's latents to each, nearest first, (M, K), K at least k, where they are known.

    Returns:
        float32 (M,) in [0, 1]: the share of the k nearest points on the map that are among the k nearest in latent space.

    Raises:
        UsageError: the two do not have the same number of rows, or are not finite.
    """
    if len(placed) != len(places):
        raise UsageError(f"{len(placed)} latents and {len(places)} places on the map; there must be one for each")
    points = latents.points
    k = min(k, len(points))
    kept = np.empty(len(placed), np.float32)
    for here in _parts(len(placed), k + 1, points.shape[1]):
        found = latents.nearest(placed[here], k)[1] if near is None else near[here]
        others = np.concatenate([found[:, k - 1 : k], coordinates.nearest(places[here], k)[1]], 1)
        squares = _squares(points, placed[here], others)
        kept[here] = (squares[:, 1:] <= squares[:, :1]).mean(1)
    return kept


def _kth_neighbour(
    points: NDArray[Any], k: int, known: tuple[NDArray[np.float32], NDArray[Any]] | None
) -> NDArray[np.int64]:
    """One of those that are as far from each point as its k-th nearest: (N, 1)."""
    if known is None or known[1].shape[1] < 2 * k:
        return nearest_neighbours(points, k=k)[1][:, -1:]
    farther, farthest = (known[0][:, column].astype(np.float64) for column in (2 * k - 1, -1))
    indices = known[1][:, : 2 * k]
    last, squares = np.empty((len(points), 1), np.int64), np.empty(len(points))
    for here in _parts(len(points), 2 * k, points.shape[1]):
        some = _squares(points, points[here], indices[here])
        kth = np.argpartition(some, k - 1, 1)[:, k - 1 : k]
        last[here] = np.take_along_axis(indices[here], kth, 1)
        squares[here] = np.take_along_axis(some, kth, 1)[:, 0]
    # The squares that ordered them may be off by a share of the last one: is there room for one that was left out?
    doubtful = squares + 2 * CLEAR * farthest**2 >= farther**2
    if doubtful.any():
        last[doubtful] = nearest_neighbours(points, points[doubtful], k + 1)[1][:, -1:]
    return last


def _parts(num: int, others: int, dim: int) -> Iterator[slice]:
    """As many rows at a time as keep the differences to so many others within a block."""
    rows = max(1, BLOCK_BYTES // (8 * others * dim))
    return (slice(start, start + rows) for start in range(0, num, rows))


def _squares(points: NDArray[Any], of: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Squared distances of (B, D) to some of the points, row by row: float64, of the shape of `others`, (B, k)."""
    squares: NDArray[np.float64] = ((points[others].astype(np.float64) - of[:, None]) ** 2).sum(2)
    return squares
