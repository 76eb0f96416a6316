"""Labels that the neighbours contradict."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.neighbours import nearest_neighbours

__all__ = ["NEAREST", "doubtful_labels"]

NEAREST = 3  # of a class, whose mean distance is that to the class
LOOKED_AT = 50  # neighbours that say whether a label needs a closer look
BALANCE = 0.5  # share of what distances to a common class are shorter by; all of it would be for classes of one spread
SCALE_BY = 20  # neighbours by which the dimension of the latents is estimated
AWAY = 0.25  # weight of how far the other class is, beside how much nearer


def doubtful_labels(
    latents: NDArray[Any],
    labels: NDArray[Any],
    neighbours: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """How much nearer, in latent space, each image is to another class than to that of its label.

    The distance to a class is the mean distance to its three nearest other members. Doubt is the logarithm of the distance to
    the own class over that to the nearest other one, less a quarter of the logarithm by which the latter is more than is usual in
    that class: a wrong label lies where its true class does, an odd picture away from every class. Above 0 the neighbours
    contradict. A vote says how many of them do, but of wrong labels in a clear place all do, and so it can't order them.

    A common class has members nearly everywhere, and would be suggested for most labels: of n points in d dimensions the nearest
    is about n^(-1/d) away. The distances to a class are divided by the root of that: all of it would suggest the rare classes too
    often.

    Args:
        latents: (N, D), finite.
        labels: int (N,), 0 or more.
        neighbours: distances and rows of the nearest others of each, both (N, k), as `nearest_neighbours` gives them, where they
            are known already; they only say which labels need no closer look.

    Returns:
        Doubt, float64 (N,), NaN of a class with no more than three members, and the nearest other class, int64 (N,). Where the
        doubt is not above 0, it is a bound, and the class -1.

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
    classes = classes[counts > NEAREST]
    if len(classes) < 2:
        return doubt, suggested
    distances, indices = neighbours or nearest_neighbours(latents, k=min(LOOKED_AT, len(latents) - 1))
    same = labels[indices] == labels[:, None]
    scales = _scales(counts[counts > NEAREST], distances)
    place = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)  # of another class any will do: it stays NaN
    own = _own(latents, labels, classes, distances, same) * scales[place]
    bound = _log_ratio(own, _least(distances, ~same) * scales.min())
    known = np.isin(labels, classes)
    doubt[known] = np.minimum(bound, 0)[known]
    rows = np.flatnonzero(known & (bound > 0))
    if len(rows):
        usual = np.array([np.median(own[labels == label]) for label in classes])
        doubt[rows], nearest = _exact(latents, labels, classes, rows, own, usual, scales)
        suggested[rows] = np.where(doubt[rows] > 0, nearest, -1)
    return doubt, suggested


def _scales(counts: NDArray[np.int64], distances: NDArray[Any]) -> NDArray[np.float64]:
    """What the distances to each class are multiplied by, by the number of its members, (K,).

    The dimension is the maximum likelihood estimate of Levina and Bickel, 2004, of which the inverses are averaged.
    """
    near = np.sort(distances[:, :SCALE_BY].astype(np.float64), axis=1)
    near = near[near[:, 0] > 0]  # copies have no dimension
    if not len(near) or near.shape[1] < 2:
        return np.ones(len(counts))
    inverse = float(np.log(near[:, -1:] / near[:, :-1]).mean())
    scales: NDArray[np.float64] = (counts / counts.mean()) ** (BALANCE * inverse)
    return scales


def _own(
    latents: NDArray[Any], labels: NDArray[Any], classes: NDArray[Any], distances: NDArray[Any], same: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The distance of each to its class, (N,), exact in these classes: searched for where too few are among the neighbours."""
    own = _least(distances, same)
    lacking = same.sum(1) < NEAREST
    for label in classes:
        members = labels == label
        rows = np.flatnonzero(members & lacking)
        if len(rows):
            found = nearest_neighbours(latents[members], latents[rows], NEAREST + 1)[0]
            own[rows] = found[:, 1:].mean(1, dtype=np.float64)  # the nearest is itself, or as near
    return own


def _least(distances: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far the three nearest of some kind are at least, in the mean, by the nearest neighbours of any kind.

    In the place of those that are not among these stands the last, which they can't be nearer than.
    """
    taken = np.where(chosen & (chosen.cumsum(1) <= NEAREST), distances.astype(np.float64), 0).sum(1)
    lacking = NEAREST - np.minimum(chosen.sum(1), NEAREST)
    least: NDArray[np.float64] = (taken + lacking * distances[:, -1]) / NEAREST
    return least


def _exact(
    latents: NDArray[Any],
    labels: NDArray[Any],
    classes: NDArray[Any],
    rows: NDArray[Any],
    own: NDArray[np.float64],
    usual: NDArray[np.float64],
    scales: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Doubt and nearest other class of some rows, by the distances to every class; `own` and `usual` are scaled already."""
    found = np.full((len(rows), len(classes)), np.inf)
    for place, label in enumerate(classes):
        others = labels[rows] != label
        if others.any():
            distances = nearest_neighbours(latents[labels == label], latents[rows[others]], NEAREST)[0]
            found[others, place] = distances.mean(1, dtype=np.float64) * scales[place]
    nearest = found.argmin(1)
    distance = found.min(1)
    away = np.maximum(_log_ratio(distance, usual[nearest]), 0)
    with np.errstate(invalid="ignore"):  # infinity less infinity: nothing is usual there
        doubt = np.nan_to_num(_log_ratio(own[rows], distance) - AWAY * away, nan=0.0, posinf=np.inf, neginf=-np.inf)
    return doubt, classes[nearest].astype(np.int64)


def _log_ratio(own: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of one distance over another; 0 where both are."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(own == other, 0.0, np.log(own) - np.log(other))
