"""Pictures that are nearly the same as another one."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import gather
from latens.errors import UsageError
from latens.together import for_each

__all__ = ["near_duplicates", "pairs_of_distances"]

USUAL = 5  # the neighbour whose distance is what is usual around a picture
EXPECTED = 0.05  # pictures of all with so near a neighbour by chance
LARGEST = 0.5  # share of what is usual, in any case
FLOOR = 0.25  # of the median of all: among many copies of one picture the copies are what is usual
VALUES = 1 << 18  # pixels of a block of images that are compared: they keep to the cache


def near_duplicates(
    pixels: NDArray[Any] | Callable[[NDArray[Any]], NDArray[Any]], neighbours: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find pairs of pictures that are much nearer to each other, pixel by pixel, than neighbours usually are.

    Of each picture the distances in pixels to its nearest in latent space are taken, without what they differ in brightness as
    a whole, and divided by the fifth: what is usual around it. Points spread evenly over d dimensions have a neighbour nearer
    than a share t of the fifth with a probability of 1 - (1 - t^d)^4. The median of the smallest shares gives d, and d the share
    under which, of all pictures, a twentieth of one is expected.

    Args:
        pixels: uint8, or float32 in [0, 1], (N, C, H, W), in memory or memory-mapped; or a function that gives the images of
            some rows.
        neighbours: int (N, k), rows of the nearest others in latent space, k of 5 or more: the candidates.

    Returns:
        Pairs of rows, int64 (P, 2), the smaller row first; and of each its distance as a share of what is usual around the two,
        float64 (P,). The nearest pair is first.

    Raises:
        UsageError: shapes that don't fit.

    Source: the distribution is that of Facco, d'Errico, Rodriguez and Laio, "Estimating the intrinsic dimension of datasets by a
    minimal neighborhood information", 2017, there with the second neighbour.

    >>> rng = np.random.default_rng(0)
    >>> pixels = rng.integers(0, 200, (50, 1, 8, 8), dtype=np.uint8)
    >>> pixels[31] = pixels[4] + 3
    >>> order = np.argsort(np.square(pixels[:, None] - pixels.astype(float)).sum((2, 3, 4)), 1)
    >>> near_duplicates(pixels, order[:, 1:11])[0].tolist()
    [[4, 31]]
    """
    if neighbours.ndim != 2 or neighbours.shape[1] < USUAL or (not callable(pixels) and len(pixels) != len(neighbours)):
        got = "" if callable(pixels) else f", pixels {pixels.shape}"
        raise UsageError(
            f"neighbours have shape {neighbours.shape}{got}; (N, k) and (N, C, H, W) are needed, k at least 5"
        )
    distances = _distances(pixels if callable(pixels) else lambda rows: gather(pixels, rows), neighbours)
    return pairs_of_distances(distances, neighbours)


def pairs_of_distances(
    distances: NDArray[np.float64], neighbours: NDArray[Any], share: float | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs whose distance is much less than what is usual around the two, see `near_duplicates`.

    Args:
        distances: (N, k), of each image to its candidates, k at least 5.
        neighbours: int (N, k), the rows of the candidates.
        share: of what is usual, under which a pair is one; None finds it by the distances to the nearest, see there.
    """
    usual = np.partition(distances, USUAL - 1, axis=1)[:, USUAL - 1]
    usual = np.maximum(usual, FLOOR * np.median(usual))
    threshold = _threshold(_shares(distances.min(1), usual)) if share is None else share
    shares = _shares(distances, np.minimum(usual[:, None], usual[neighbours]))
    rows, places = np.nonzero(shares <= threshold)
    partners = neighbours[rows, places]
    pairs = np.stack([np.minimum(rows, partners), np.maximum(rows, partners)], 1).astype(np.int64)
    pairs, first = np.unique(pairs, axis=0, return_index=True)
    found = shares[rows, places][first]
    order = np.argsort(found, kind="stable")
    return pairs[order], found[order]


def _distances(pick: Callable[[NDArray[Any]], NDArray[Any]], neighbours: NDArray[Any]) -> NDArray[np.float64]:
    """Euclidean distances in pixels of each picture to its candidates, but for a difference in brightness, (N, k)."""
    num, size = len(neighbours), pick(np.arange(1)).size
    length = max(1, VALUES // size)
    starts = range(0, num, length)

    def rows_from(start: int) -> NDArray[Any]:
        return np.arange(start, min(start + length, num))

    def flat(rows: NDArray[Any]) -> NDArray[Any]:
        return pick(rows).reshape(len(rows), size)

    sums = np.concatenate(for_each(starts, lambda start: flat(rows_from(start)).sum(1, dtype=np.float64)))
    result = np.empty(neighbours.shape)

    def compare(start: int) -> None:
        rows = rows_from(start)
        here = flat(rows).astype(np.float32)
        for place, others in enumerate(neighbours[rows].T):
            difference = here - flat(others)
            # Taken away before squares are summed: single precision would not cancel.
            difference -= ((sums[rows] - sums[others]) / size)[:, None].astype(np.float32)
            result[rows, place] = np.sqrt(np.einsum("ij,ij->i", difference, difference))

    for_each(starts, compare)
    return result


def _shares(distances: NDArray[np.float64], usual: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distances as shares of what is usual; 0 for the same picture even where that is usual."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distances > 0, distances / usual, 0.0)


def _threshold(nearest: NDArray[np.float64]) -> float:
    """The share of the usual distance under which no picture's nearest is expected by chance."""
    real = nearest[nearest > 0]
    if not len(real):
        return 0.0
    median = min(float(np.median(real)), 1 - 1e-6)
    dimension = np.log(1 - 0.5 ** (1 / (USUAL - 1))) / np.log(median)
    return float(min(LARGEST, (EXPECTED / (len(real) * (USUAL - 1))) ** (1 / dimension)))
