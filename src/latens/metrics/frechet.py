"""The Fréchet distance: how far apart two sets of features are, if each is taken for a normal distribution."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Moments", "frechet_deviation", "frechet_distance", "moments"]

RESAMPLES = 40


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean, float64 (F,), and covariance, float64 (F, F), of features."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def moments(features: NDArray[Any], counts: NDArray[Any] | None = None) -> Moments:
    """The mean and the unbiased covariance of features.

    Args:
        features: (N, F), N at least 2.
        counts: (N,), how often each is taken; once by default.
    """
    x = np.asarray(features, np.float64)
    weights = np.ones(len(x)) if counts is None else counts.astype(np.float64)
    total = weights.sum()
    mean = weights @ x / total
    centred = x - mean
    return Moments(mean, (centred * weights[:, None]).T @ centred / (total - 1))


def frechet_distance(x: Moments, y: Moments) -> float:
    """The squared Fréchet distance of two normal distributions: |μx - μy|² + tr(Σx + Σy - 2 (Σx Σy)^½).

    The root's trace is taken of the symmetric matrix Σx^½ Σy Σx^½, which has the same eigenvalues as Σx Σy and can't have
    complex or negative ones but by rounding.

    Source: Dowson and Landau 1982; of features: Heusel et al. 2017, equation 6.

    >>> line = lambda mean, variance: Moments(np.array([mean]), np.array([[variance]]))
    >>> frechet_distance(line(0.0, 4.0), line(3.0, 1.0))  # 3² + (2 - 1)²
    10.0
    """
    values, vectors = np.linalg.eigh(x.covariance)
    root = vectors * np.sqrt(values.clip(0))
    # root root' = Σx; root' Σy root has the eigenvalues of Σx^½ Σy Σx^½.
    product = np.linalg.eigvalsh(root.T @ y.covariance @ root).clip(0)
    gap = x.mean - y.mean
    traces = np.trace(x.covariance) + np.trace(y.covariance) - 2 * np.sqrt(product).sum()
    return max(0.0, float(gap @ gap + traces))


def frechet_deviation(x: NDArray[Any], y: NDArray[Any], seed: int = 0, resamples: int = RESAMPLES) -> float:
    """The standard deviation of the distance, by the bootstrap: both sets of features are drawn again with repetition.

    The mean over the draws is no better estimate: its bias is twice that of the distance. Where
    the true distance is near 0 the deviation comes out too large, by up to √3, never too small.

    Args:
        x: (N, F).
        y: (M, F).
        seed: of the draws.
        resamples: how many.
    """
    random = np.random.default_rng(seed)
    middle = np.asarray(y).mean(0, dtype=np.float64)  # near it, single precision is enough for the spread of the draws
    near = [np.asarray(np.asarray(a, np.float64) - middle, np.float32) for a in (x, y)]
    values = []
    for _ in range(resamples):
        drawn = [_drawn_again(a, random.multinomial(len(a), np.full(len(a), 1 / len(a)))) for a in near]
        values.append(frechet_distance(*drawn))
    return float(np.std(values, ddof=1))


def _drawn_again(x: NDArray[np.float32], counts: NDArray[np.int64]) -> Moments:
    """`moments` of features near zero, summed in single precision."""
    total = counts.sum()
    weighted = x * counts[:, None].astype(np.float32)
    mean = weighted.sum(0, dtype=np.float64) / total
    squares = (weighted.T @ x).astype(np.float64)
    return Moments(mean, (squares - total * np.outer(mean, mean)) / (total - 1))
