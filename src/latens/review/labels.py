"""Labels that the neighbours contradict."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.neighbours import nearest_neighbours

__all__ = ["NEAREST", "doubtful_labels"]

NEAREST = 3  # of a class, whose mean distance is that to the class


def doubtful_labels(
    latents: NDArray[Any],
    labels: NDArray[Any],
    neighbours: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Say of each label how much nearer, in latent space, the picture is to another class than to its own.

    The distance to a class is the mean distance to its three nearest other members. Doubt is the logarithm of the distance to
    the own class over that to the nearest other one: above 0 the neighbours contradict, at 0.69 the other class is twice as near.
    A vote says how many neighbours contradict, but of wrong labels in a clear place all do, and so it can't order them.

    Args:
        latents: (N, D), finite.
        labels: int (N,), 0 or more.
        neighbours: distances and rows of the nearest others of each, both (N, k), as `nearest_neighbours` gives them, where they
            are known already; they only say which labels need no closer look.

    Returns:
        Doubt, float64 (N,), NaN of a class with no more than three members, and the nearest other class, int64 (N,), -1 where
        there is none. Where the doubt is below 0, both may be a bound and the class of a lesser neighbour.

    Raises:
        UsageError: shapes that don't fit.

    Source: Proedrou, Nouretdinov, Vovk and Gammerman, "Transductive confidence machines for pattern recognition", 2002 (the
    ratio, there with all other classes together); Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in
    dataset labels", 2021 (labels ranked by what all other data says of them).

    >>> z = np.array([[0.0], [1.0], [2.0], [3.0], [20.0], [21.0], [22.0], [23.0], [1.5]])
    >>> doubt, other = doubtful_labels(z, np.array([0, 0, 0, 0, 1, 1, 1, 1, 1]))
    >>> int(doubt.argmax()), int(other[8])
    (8, 0)
    """
    if latents.ndim != 2 or labels.shape != latents.shape[:1]:
        raise UsageError(f"latents have shape {latents.shape}, labels {labels.shape}; (N, D) and (N,) are needed")
    doubt = np.full(len(latents), np.nan)
    suggested = np.full(len(latents), -1, np.int64)
    classes, counts = np.unique(labels, return_counts=True)
    known = classes[counts > NEAREST]
    rows = np.flatnonzero(np.isin(labels, known))
    if len(known) < 2:
        return doubt, suggested
    if neighbours is not None:
        bound = _bound(*neighbours, labels)[rows]
        doubt[rows] = bound
        rows = rows[bound > 0]
    if len(rows):
        doubt[rows], suggested[rows] = _exact(latents, labels, known, rows)
    return doubt, suggested


def _bound(distances: NDArray[Any], indices: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """What the doubt is at most, by some nearest neighbours of each: infinite where they hold too few of the own class."""
    own = labels[indices] == labels[:, None]
    distance_to_own = _mean_of_first(distances, own, np.inf)
    # All other classes together are no farther than any of them, and what is not among the neighbours no nearer than the last.
    distance_to_others = _mean_of_first(distances, ~own, distances[:, -1:])
    return _log_ratio(distance_to_own, distance_to_others)


def _mean_of_first(distances: NDArray[Any], chosen: NDArray[np.bool_], missing: Any) -> NDArray[np.float64]:
    """The mean of the first three chosen distances of each row, with `missing` in the place of those that there are not."""
    number = chosen.cumsum(1)
    taken = np.where(chosen & (number <= NEAREST), distances.astype(np.float64), 0).sum(1)
    lacking = NEAREST - np.minimum(number[:, -1], NEAREST)
    each = np.broadcast_to(missing, (len(lacking), 1))[:, 0]
    mean: NDArray[np.float64] = (taken + lacking * np.where(lacking > 0, each, 0)) / NEAREST
    return mean


def _exact(
    latents: NDArray[Any], labels: NDArray[Any], classes: NDArray[Any], rows: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Doubt and nearest other class of some rows, by the distances to every class."""
    found = np.empty((len(rows), len(classes)))
    for place, label in enumerate(classes):
        members = np.flatnonzero(labels == label)
        distances, indices = nearest_neighbours(latents[members], latents[rows], NEAREST + 1)
        others = members[indices] != rows[:, None]
        others[others.all(1), -1] = False  # of four others the nearest three
        found[:, place] = distances[others].reshape(len(rows), NEAREST).mean(1)
    own = classes == labels[rows][:, None]
    others = np.where(own, np.inf, found)
    return _log_ratio(found[own], others.min(1)), classes[others.argmin(1)].astype(np.int64)


def _log_ratio(own: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of one distance over another; 0 where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(own == other, 0.0, np.log(own) - np.log(other))
