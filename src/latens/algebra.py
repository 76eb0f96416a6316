"""Linear algebra that several rooms share, in float64."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["principal_axes"]

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
