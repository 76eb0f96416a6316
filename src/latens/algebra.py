"""Linear algebra that several rooms share, in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["covariance", "factor", "principal_axes"]

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
        squares, columns = np.linalg.eigh(centred.T @ centred)
        squares, axes = squares[::-1].clip(0), columns[:, ::-1].T
    else:
        _, lengths, axes = np.linalg.svd(centred, full_matrices=False)
        squares = lengths**2
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return squares, axes * np.where(largest < 0, -1.0, 1.0)


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
