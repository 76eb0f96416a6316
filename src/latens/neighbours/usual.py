"""Distances as multiples of the usual distance between data."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.neighbours.search import nearest_neighbours

__all__ = ["distance_ratios", "in_usual_distances", "usual_distance"]

MOST_ASKED = 10_000  # latents whose nearest is looked for


def usual_distance(latents: NDArray[Any]) -> float:
    """The median distance of a latent to its nearest neighbour among the others, (N, D) -> one number; NaN for a single one.

    Where that is 0, because most latents are duplicates, it is the median between different ones; 0 only where all are the same.
    Of more than 10,000, the median is that of 10,000 evenly spaced ones; their neighbours are looked for among all.
    """
    if len(latents) < 2:
        return float("nan")
    if len(latents) <= MOST_ASKED:
        found = float(np.median(nearest_neighbours(latents, k=1)[0]))
    else:
        rows = np.linspace(0, len(latents) - 1, MOST_ASKED).round().astype(np.int64)
        found = float(
            np.median(nearest_neighbours(latents, latents[rows], 2)[0][:, 1])
        )  # the first is the latent itself
    different = latents if found > 0 else np.unique(latents, axis=0)
    return found if len(different) in (1, len(latents)) else usual_distance(different)


def distance_ratios(latents: NDArray[Any], points: NDArray[Any], usual: float | None = None) -> NDArray[np.float64]:
    """Distance of each point from the data, as a multiple of the usual distance between data.

    Args:
        latents: of the data, (N, D), finite.
        points: (M, D), finite.
        usual: the `usual_distance` of the latents, where it is known.

    Returns:
        Distance of each point to the nearest data latent over the usual distance, (M,): 0 on a data latent, 1 as far as data
        lie from each other. NaN where there is a single data latent; infinity where all data are the same.
    """
    usual = usual_distance(latents) if usual is None else usual
    return in_usual_distances(nearest_neighbours(latents, points, 1)[0][:, 0], usual)


def in_usual_distances(distances: NDArray[Any], usual: float) -> NDArray[np.float64]:
    """Distances as multiples of the usual one; NaN where there is none, and where it is 0, infinity for all that are not 0."""
    distances = distances.astype(np.float64)
    if usual > 0 or np.isnan(usual):
        return distances / usual
    return np.where(distances > 0, np.inf, 0.0)
