"""Pictures that are far from all others."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.images.mapped import blocks
from latens.images.pixels import to_floats

__all__ = ["strangeness", "variances"]

SMALLEST = 1e-3  # share of the widest direction's spread under which a direction of latent space is not in use
ROWS = 4096


def strangeness(
    latents: NDArray[Any], distances: NDArray[Any], errors: NDArray[Any], spreads: NDArray[Any]
) -> NDArray[np.float64]:
    """Say of each picture how far it is from all others; larger is stranger, usual ones lie about 0.

    Three views, each as the number of robust standard deviations of its logarithm, are added up: a model that was trained with
    the strange pictures among the others has learned to rebuild some of them, and has put some amidst others.

    - The distance to the k-th nearest latent. With k = 50 a few dozen strange pictures that are alike do not hide one another.
    - The distance from the mean in units of the spread of each principal direction, which sees directions that few pictures use.
    - The squared error, as a share of what there was to rebuild.

    Args:
        latents: (N, D), finite.
        distances: (N,), of each to its k-th nearest other.
        errors: (N,), mean squared error of each reconstruction.
        spreads: (N,), mean squared difference of each picture from the mean picture; see `variances`.

    Returns:
        float64 (N,).

    Raises:
        UsageError: shapes that don't fit.

    Source: Sun et al., "Out-of-distribution detection with deep nearest neighbors", 2022 (the first view); Lee et al., "A simple
    unified framework for detecting out-of-distribution samples", 2018, equation 2, with one class (the second).

    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(200, 4))
    >>> z[7] += 20
    >>> distances = np.linalg.norm(z - z.mean(0), axis=1)
    >>> int(strangeness(z, distances, np.ones(200), np.ones(200)).argmax())
    7
    """
    num = len(latents)
    if latents.ndim != 2 or any(array.shape != (num,) for array in (distances, errors, spreads)):
        shapes = ", ".join(str(array.shape) for array in (latents, distances, errors, spreads))
        raise UsageError(
            f"latents, distances, errors and spreads have shapes {shapes}; (N, D) and three of (N,) are needed"
        )
    shares = errors / np.maximum(spreads, np.finfo(np.float32).eps)
    return _standardised(distances) + _standardised(_mahalanobis(latents)) + _standardised(shares)


def variances(pixels: NDArray[np.uint8], mean: NDArray[Any]) -> NDArray[np.float64]:
    """The mean squared difference of each picture from a mean picture, pixels in [0, 1].

    Args:
        pixels: uint8 (N, C, H, W), in memory or memory-mapped; read in blocks.
        mean: (C, H, W), in [0, 1].

    Returns:
        float64 (N,).
    """
    found = [
        np.square(to_floats(block) - mean.astype(np.float32)).mean((1, 2, 3), dtype=np.float64)
        for block in blocks(pixels, ROWS)
    ]
    return np.concatenate(found)


def _mahalanobis(latents: NDArray[Any]) -> NDArray[np.float64]:
    """The distance of each from the mean, every direction in use measured in its own spread."""
    centred = latents.astype(np.float64) - latents.mean(0, dtype=np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    used = values > SMALLEST**2 * values[-1]
    whitened = centred @ vectors[:, used] / np.sqrt(values[used])
    distances: NDArray[np.float64] = np.sqrt(np.square(whitened).sum(1))
    return distances


def _standardised(values: NDArray[Any]) -> NDArray[np.float64]:
    """Robust standard scores of the logarithms: of the median and the median absolute deviation, which outliers do not move."""
    values = values.astype(np.float64)
    positive = values[values > 0]
    if not len(positive):
        return np.zeros(len(values))
    logs = np.log(np.maximum(values, positive.min()))
    from_median = logs - np.median(logs)
    spread = 1.4826 * np.median(np.abs(from_median))
    scores: NDArray[np.float64] = from_median / spread if spread > 0 else np.sign(from_median)
    return scores
