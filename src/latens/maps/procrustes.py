"""Procrustes: the turn, mirroring, scale and shift that lay a map onto another one of the same images."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError

__all__ = ["FEWEST", "Alignment", "align"]

FEWEST = 3  # pairs of points; with two every map fits every other one

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Where points lie among others: (p - origin) @ rotation * scale + target.

    Args:
        rotation: an orthogonal matrix (K, K): a turn, with or without a mirroring.
        scale: that gives both the same size: the same root mean square distance from their means.
        origin: the mean of the points that were laid onto others, (K,).
        target: the mean of those others, (K,).
        disparity: what is left of the squared distances where both have the size 1, in [0, 1]: 0 where they are the same but for
            turn, mirroring, scale and shift; 1 where they have nothing in common.
        count: how many pairs of points it rests on.
    """

    rotation: Floats
    scale: float
    origin: Floats
    target: Floats
    disparity: float
    count: int

    def apply(self, points: NDArray[Any]) -> Floats:
        """Points (N, K) where they lie among the others, float64 (N, K)."""
        moved: Floats = (points - self.origin) @ self.rotation * self.scale + self.target
        return moved

    def undo(self, points: NDArray[Any]) -> Floats:
        """The other way: `apply` gives these points (N, K) again."""
        moved: Floats = (points - self.target) / self.scale @ self.rotation.T + self.origin
        return moved

    @property
    def mirrored(self) -> bool:
        """Whether the rotation mirrors."""
        return bool(np.linalg.det(self.rotation) < 0)

    @property
    def angle(self) -> float:
        """Of points in a plane: the turn in degrees against the clock, in (-180, 180].

        Where they are mirrored, that is done first, and makes y to -y.
        """
        return math.degrees(math.atan2(self.rotation[0, 1], self.rotation[0, 0]))

    def as_json(self) -> dict[str, Any]:
        """Its fields, and the turn in words that people use; ready for JSON."""
        found = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}
        return {**found, "mirrored": self.mirrored, "angle": self.angle}


def align(points: NDArray[Any], onto: NDArray[Any]) -> Alignment:
    """Lay points onto others: with the same mean and size, and the turn or mirroring with the least sum of squared distances.

    The scale of least squares would shrink what fits badly, until of two maps with nothing in common one is a dot on the other.

    Args:
        points: (N, K), finite, N at least 3.
        onto: (N, K), finite: the point that each belongs to, in the same order.

    Raises:
        UsageError: shapes that differ, fewer than three pairs, numbers that are not finite, or points all on one place.

    Source: Schönemann, "A generalized solution of the orthogonal Procrustes problem", 1966; the disparity is that of Gower 1975,
    as in scipy.spatial.procrustes.

    >>> square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    >>> found = align(square, 3 * square[:, ::-1] + 5)
    >>> found.mirrored, round(found.scale, 6), round(found.disparity, 6)
    (True, 3.0, 0.0)
    """
    if points.ndim != 2 or points.shape != onto.shape:
        raise UsageError(f"points have the shapes {points.shape} and {onto.shape}; both must be (N, K), the same")
    if len(points) < FEWEST:
        raise UsageError(f"{len(points)} pairs of points; to lay maps onto each other {FEWEST} are needed")
    x, y = (np.asarray(given, np.float64) for given in (points, onto))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise UsageError("points hold NaN or infinity; only finite ones can be laid onto each other")
    origin, target = x.mean(0), y.mean(0)
    x, y = x - origin, y - target
    sizes = float(np.square(x).sum()), float(np.square(y).sum())
    if not min(sizes) > 0:
        raise UsageError("all points lie on one place, so there is no turn that lays them onto the others")
    left, lengths, right = np.linalg.svd(x.T @ y)
    total = float(lengths.sum())
    disparity = min(1.0, max(0.0, 1 - total**2 / (sizes[0] * sizes[1])))
    return Alignment(left @ right, math.sqrt(sizes[1] / sizes[0]), origin, target, disparity, len(x))
