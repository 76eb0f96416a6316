"""Scores of different units on one scale: robust standard deviations of their logarithms over normal images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.detection.graphs import Usual

__all__ = ["UsualScore"]

LEAST = 1e-6  # of the spread of a logarithm
TO_SIGMA = 1.4826  # median absolute deviation -> standard deviation of a normal distribution


class UsualScore:
    """Median and spread of the logarithm of a positive score over normal images.

    >>> round(float(UsualScore(np.array([1.0, np.e, np.e**2]))(np.array([np.e]))[0]), 6)
    0.0
    """

    def __init__(self, scores: NDArray[Any]) -> None:
        logs = _log(scores)
        self.middle = float(np.median(logs))
        self.spread = max(TO_SIGMA * float(np.median(np.abs(logs - self.middle))), LEAST)

    def graph(self) -> Usual:
        """The same as a module of torch."""
        return Usual(self.middle, self.spread)

    def __call__(self, scores: NDArray[Any]) -> NDArray[np.float64]:
        """Scores (B,) in robust standard deviations above the median."""
        found: NDArray[np.float64] = (_log(scores) - self.middle) / self.spread
        return found


def _log(scores: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.log(np.maximum(np.asarray(scores, np.float64), np.finfo(np.float32).tiny))
    return found
