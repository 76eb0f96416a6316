"""Whether samples are copies of train images, by two measures of the distance to the nearest train image."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.neighbours import Neighbours, nearest_neighbours

__all__ = ["cell_centres", "cells_of", "distances_to", "three_sample_statistic"]

CELLS = 10
FEWEST = 20  # of both in a cell that counts
MOST_CLUSTERED = 10_000


def distances_to(train: NDArray[Any] | Neighbours, features: NDArray[Any]) -> NDArray[np.float32]:
    """The distance of each of some features (M, F) to the nearest of the train images', float32 (M,).

    Args:
        train: features (N, F); as `Neighbours` where they are asked several times: the preparation is done once.
        features: (M, F).
    """
    found = (
        train.nearest(features)
        if isinstance(train, Neighbours)
        else nearest_neighbours(train, features, 1, exact=False)
    )
    distances: NDArray[np.float32] = found[0][:, 0]
    return distances


def cell_centres(train: NDArray[Any], seed: int = 0) -> NDArray[np.float32]:
    """Centres (10, F) of cells that the train images' features (N, F) fall into: k-means, on 10,000 of them at most."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    few = train if len(train) <= MOST_CLUSTERED else train[:: len(train) // MOST_CLUSTERED]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct images than cells
        found = KMeans(min(CELLS, len(few)), n_init=1, random_state=seed).fit(np.asarray(few))
    centres: NDArray[np.float32] = found.cluster_centers_.astype(np.float32)
    return centres


def cells_of(centres: NDArray[Any], features: NDArray[Any]) -> NDArray[np.int64]:
    """The cell of each of some features (M, F), int64 (M,)."""
    cells: NDArray[np.int64] = nearest_neighbours(centres, features, 1)[1][:, 0]
    return cells


def three_sample_statistic(
    sample_distances: NDArray[Any],
    test_distances: NDArray[Any],
    sample_cells: NDArray[np.int64],
    test_cells: NDArray[np.int64],
) -> float | None:
    """The statistic C_T of the three-sample test for copying.

    In each cell with 20 samples and 20 test images at least: how many standard deviations the Mann-Whitney count of samples
    farther from the train images than test images lies from what chance gives; the mean over cells, weighted by test images.
    About 0 where samples are as far from the train images as other real images are; far below (-3) where they are copied;
    far above where they are unlike any.

    Source: Meehan, Chaudhuri and Dasgupta 2020, "A non-parametric test to detect data-copying in generative models",
    the statistic C_T. Distances are to the nearest of all train images, not only of those in the cell.

    Args:
        sample_distances: (M,), of samples to the nearest train image.
        test_distances: (N,), of test images.
        sample_cells: int (M,).
        test_cells: int (N,).

    Returns:
        C_T, or None where no cell has enough of both.
    """
    from scipy.stats import rankdata

    total = weight = 0.0
    for cell in np.unique(test_cells):
        samples, others = sample_distances[sample_cells == cell], test_distances[test_cells == cell]
        m, n = len(samples), len(others)
        if min(m, n) < FEWEST:
            continue
        ranks = rankdata(np.concatenate([samples, others]))[:m]
        farther = float(ranks.sum()) - m * (m + 1) / 2
        total += n * (farther - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12)
        weight += n
    return total / weight if weight else None
