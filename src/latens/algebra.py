"""Linear algebra that several rooms share, in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["RunningMoments", "axes_of_scatter", "covariance", "factor", "principal_axes"]

Floats = NDArray[np.float64]


def principal_axes(centred: NDArray[Any]) -> tuple[Floats, Floats]:
    """The principal axes of points about their mean, largest variance first, by the smaller of two decompositions.

    Args:
        centred: points less their mean, float64 (N, D).

    Returns:
        The sum of squares along each axis, not negative, (K,); and the axes, of length 1, (K, D), the largest component of each
        positive, since the sign of an eigenvector is arbitrary. K is D, or min(N, D) where D is more than N.
    """
    if centred.shape[1] <= centred.shape[0]:
        return axes_of_scatter(centred.T @ centred)
    _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
    return lengths**2, _turned(axes)


def axes_of_scatter(scatter: Floats) -> tuple[Floats, Floats]:
    """What `principal_axes` gives for points whose products about their mean have this sum, (D, D)."""
    squares, columns = np.linalg.eigh(scatter)
    return squares[::-1].clip(0), _turned(columns[:, ::-1].T)


def _turned(axes: Floats) -> Floats:
    """Axes with their largest component positive."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return axes * np.where(largest < 0, -1.0, 1.0)


class RunningMoments:
    """Count, mean and scatter of points that come block by block, in float64.

    Each block is centred on its own mean, and merged by the difference of the means: nothing cancels, wherever the points lie
    (Chan, Golub and LeVeque 1983, equation 2.1).

    Args:
        dim: numbers of a point.

    >>> moments = RunningMoments(1)
    >>> for block in ([[1.0], [2.0]], [[6.0]]):
    ...     moments.add(np.array(block))
    >>> moments.count, moments.mean, moments.covariance
    (3, array([3.]), array([[4.66666667]]))
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.mean: Floats = np.zeros(dim)  # (D,)
        self.scatter: Floats = np.zeros((dim, dim))  # the sum of products about the mean, (D, D)

    def add(self, points: NDArray[Any]) -> None:
        """Take in points (N, D), finite."""
        if len(points):
            mean = points.mean(0, dtype=np.float64)
            centred = points - mean
            self._merge(len(points), mean, centred.T @ centred)

    def merge(self, other: "RunningMoments") -> None:
        """Take in the points that another has taken in."""
        if other.count:
            self._merge(other.count, other.mean, other.scatter)

    @property
    def covariance(self) -> Floats:
        """(D, D), as `covariance` has it: the scatter over the count."""
        return self.scatter / max(1, self.count)

    def _merge(self, count: int, mean: Floats, scatter: Floats) -> None:
        total, apart = self.count + count, mean - self.mean
        self.scatter += scatter + np.outer(apart, apart) * (self.count * count / total)
        self.mean = self.mean + apart * (count / total)
        self.count = total


def covariance(latents: NDArray[np.float64]) -> NDArray[np.float64]:
    """The covariance (D, D) of latents (N, D); zero where there is one."""
    centred = latents - latents.mean(0)
    matrix: NDArray[np.float64] = centred.T @ centred / len(latents)
    return matrix


def factor(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A square root A of a covariance, A Aᵀ = matrix; units that never vary get no noise (a Cholesky factor would not exist)."""
    variances, directions = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = directions * np.sqrt(np.maximum(variances, 0))
    root[np.diag(matrix) == 0] = 0  # otherwise rounding would add noise
    return root
