"""Classification by the nearest neighbours."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.neighbours import nearest_neighbours

__all__ = ["knn_accuracy", "vote"]


def vote(labels: NDArray[Any]) -> NDArray[Any]:
    """The class that most neighbours have; of equally frequent ones, that of the nearest neighbour.

    Args:
        labels: (M, k) of the neighbours, nearest first, k at least 1.

    Returns:
        (M,), of the same type.
    """
    counts = (labels[:, :, None] == labels[:, None, :]).sum(2)
    winner = counts.argmax(1)  # the first of the largest, so the nearest
    chosen: NDArray[Any] = np.take_along_axis(labels, winner[:, None], 1)[:, 0]
    return chosen


def knn_accuracy(
    train: NDArray[Any], train_labels: NDArray[Any], test: NDArray[Any], test_labels: NDArray[Any], k: int = 5
) -> float:
    """Share of test points that the k nearest train points classify correctly, by `vote`.

    Args:
        train: (N, D), finite.
        train_labels: int (N,).
        test: (M, D), finite.
        test_labels: int (M,).
        k: how many; N where there are fewer.

    Returns:
        In [0, 1].
    """
    indices = nearest_neighbours(train, test, min(k, len(train)))[1]
    return float((vote(train_labels[indices]) == test_labels).mean())
