"""Pictures that are far from all others."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latens.algebra import principal_axes
from latens.arrays import blocks, let_go
from latens.errors import UsageError
from latens.images.pixels import to_floats
from latens.together import for_each

__all__ = ["Views", "picture_statistics", "strangeness", "strangeness_of_new", "variances"]

SMALLEST = 1e-3  # share of the widest direction's spread under which a direction of latent space is not in use
ROWS = 4096
VALUES = 1 << 18  # pixels of a block of which statistics are computed: they keep to the cache
CLIPPED = 4.0  # robust standard deviations beyond which a statistic does not count for the covariance
SHRINKAGE = 0.05  # added to the covariance's diagonal, so that statistics which say the same are not counted twice
DARK = 1e-3  # added to standard deviations before logarithms: a constant picture has none


def strangeness(
    latents: NDArray[Any],
    distances: NDArray[Any],
    errors: NDArray[Any],
    spreads: NDArray[Any],
    statistics: NDArray[Any] | None = None,
) -> NDArray[np.float64]:
    """How far each picture is from all others; 0 for usual ones, and the larger the stranger.

    Each of four views gives the number of robust standard deviations of its logarithm above the median. The score is the root of
    the sum of their squares, where a view that finds a picture more usual than the median counts 0. A single view is enough: a
    model that was trained with the strange pictures among the others reconstructs some of them well, and has put some among
    the others. Noise, for example, is encoded near the mean of all latents.

    - The distance to the k-th nearest latent. With k = 50 a few dozen strange pictures that are alike do not hide one another.
    - The distance from the mean in units of the spread of each principal direction, which sees directions that few pictures use.
    - The squared error, as a share of what there was to reconstruct.
    - The distance from the median in the space of plain statistics of the pixels, which owe nothing to the model.

    Args:
        latents: (N, D), finite.
        distances: (N,), of each to its k-th nearest other.
        errors: (N,), mean squared error of each reconstruction.
        spreads: (N,), mean squared difference of each picture from the mean picture; see `variances`.
        statistics: (N, S) of the pixels, see `picture_statistics`; None leaves the fourth view out.

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
    if statistics is not None and (statistics.ndim != 2 or len(statistics) != num):
        raise UsageError(f"{num} latents have statistics of shape {statistics.shape}; (N, S) is needed")
    views = [distances, _mahalanobis(latents), errors / np.maximum(spreads, np.finfo(np.float32).eps)]
    if statistics is not None:
        views.append(_from_median(statistics))
    above = np.stack([np.maximum(_standardised(view), 0) for view in views])
    score: NDArray[np.float64] = np.sqrt(np.square(above).sum(0))
    return score


class Views(NamedTuple):
    """What `strangeness` sees of some images; see there.

    Args:
        latents: (N, D).
        distances: (N,), of each to its k-th nearest train latent.
        errors: (N,).
        spreads: (N,).
        statistics: (N, S).
    """

    latents: NDArray[Any]
    distances: NDArray[Any]
    errors: NDArray[Any]
    spreads: NDArray[Any]
    statistics: NDArray[Any]


def strangeness_of_new(usual: Views, new: Views) -> NDArray[np.float64]:
    """How far new images are from usual ones: as `strangeness`, by the medians and spreads of the usual ones alone.

    Args:
        usual: train images, say. Not those that the scores are compared with: what is fitted to images sees them as more usual
            than it sees others of the same kind.
        new: the others; however many are odd, they don't move what is usual.

    Returns:
        The strangeness of the new ones, float64 (M,).
    """
    num = len(usual.latents)
    both = [np.concatenate([first, second]).astype(np.float64) for first, second in zip(usual, new, strict=True)]
    latents, distances, errors, spreads, statistics = both
    views = [
        distances,
        _mahalanobis(latents, num),
        errors / np.maximum(spreads, np.finfo(np.float32).eps),
        _from_median(statistics, num),
    ]
    above = np.stack([np.maximum(_standardised(view, num), 0) for view in views])
    score: NDArray[np.float64] = np.sqrt(np.square(above).sum(0))
    return score[num:]


def variances(pixels: NDArray[Any], mean: NDArray[Any]) -> NDArray[np.float64]:
    """The mean squared difference of each picture from a mean picture, pixels in [0, 1].

    Args:
        pixels: uint8, or floats in [0, 1], (N, C, H, W), in memory or memory-mapped; read in blocks.
        mean: (C, H, W), in [0, 1].

    Returns:
        float64 (N,).
    """
    found = [
        np.square(to_floats(block) - mean.astype(np.float32)).mean((1, 2, 3), dtype=np.float64)
        for block in blocks(pixels, ROWS)
    ]
    return np.concatenate(found)


def picture_statistics(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Plain statistics of each picture, by which noise, drawings, scans and empty pictures differ from photographs.

    They are: brightness, contrast and colourfulness; how rough the picture is, how much of that is at the finest scale, and
    whether it is rougher along one axis than along the other; the share of equal neighbours; how much of the contrast is left
    at a coarse scale, and how evenly it is spread over the picture; how alike the colour channels are.

    Args:
        pixels: uint8, or floats in [0, 1], (N, C, H, W), in memory or memory-mapped; read in blocks.

    Returns:
        float64 (N, S), most of them logarithms; in grey pictures those of colour are 0.
    """
    rows = max(1, VALUES // int(np.prod(pixels.shape[1:])))

    def of_block(start: int) -> NDArray[np.float64]:
        found = _statistics(to_floats(pixels[start : start + rows]).astype(np.float64))
        let_go(pixels)
        return found

    return np.concatenate(for_each(range(0, len(pixels), rows), of_block))


def _statistics(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(B, C, H, W) in [0, 1] -> (B, S)."""
    grey = x.mean(1)
    steps = [np.diff(x, axis=axis) for axis in (3, 2)]
    across, down = (_size(step) for step in steps)
    finest = _size(np.diff(x, 2, axis=3)) + _size(np.diff(x, 2, axis=2))
    contrast = x.reshape(len(x), -1).std(1) + DARK
    flat = sum((step == 0).mean((1, 2, 3)) if step.size else np.ones(len(x)) for step in steps)
    coarse, even = _of_scales(grey)
    return np.stack(
        [
            x.mean((1, 2, 3)),
            np.log(contrast),
            (x.max(1) - x.min(1)).mean((1, 2)),
            np.log((across + down) / contrast),
            np.log(finest / (across + down)),
            np.log(across / down),
            np.asarray(flat),
            coarse,
            even,
            _likeness(x),
        ],
        axis=1,
    )


def _size(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean absolute difference of each picture, never quite 0, (B,)."""
    if not differences.size:
        return np.full(len(differences), DARK / 10)
    size: NDArray[np.float64] = np.abs(differences).reshape(len(differences), -1).mean(1) + DARK / 10
    return size


def _of_scales(grey: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a grid of some 8 cells a side leaves of the contrast, and how unevenly the contrast is spread over the cells, (B,)."""
    num, height, width = grey.shape
    side = max(2, min(height, width) // 8)
    if min(height, width) < 2 * side:
        return np.zeros(num), np.zeros(num)
    cells = grey[:, : height // side * side, : width // side * side]
    cells = cells.reshape(num, height // side, side, width // side, side)
    means, deviations = cells.mean((2, 4)), cells.std((2, 4))
    coarse = np.log((means.std((1, 2)) + DARK) / (grey.std((1, 2)) + DARK))
    return coarse, np.log((deviations.std((1, 2)) + DARK) / (deviations.mean((1, 2)) + DARK))


def _likeness(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean correlation of each channel with the next, by Fisher's transformation, (B,); 0 of grey pictures."""
    if x.shape[1] == 1:
        return np.zeros(len(x))
    flat = (x - x.mean((2, 3), keepdims=True)).reshape(len(x), x.shape[1], -1)
    flat /= np.sqrt(np.square(flat).sum(2, keepdims=True)) + 10 * DARK
    likeness = np.einsum("bcp,bcp->b", flat, np.roll(flat, 1, axis=1)) / x.shape[1]
    alike: NDArray[np.float64] = np.arctanh(np.clip(likeness, -0.999, 0.999))
    return alike


# Below, `num` is of the rows that say what is usual: the first ones, or all.


def _from_median(statistics: NDArray[Any], num: int | None = None) -> NDArray[np.float64]:
    """The distance from the median, in units of the spread in each direction, by what lies within it: outliers do not count."""
    z = np.stack([_robust(column, num) for column in statistics.T.astype(np.float64)], 1)
    kept = np.clip(z[:num], -CLIPPED, CLIPPED)
    covariance = np.atleast_2d(np.cov(kept.T)) + SHRINKAGE * np.eye(z.shape[1])
    distances: NDArray[np.float64] = np.sqrt(np.einsum("ij,jk,ik->i", z, np.linalg.inv(covariance), z))
    return distances


def _mahalanobis(latents: NDArray[Any], num: int | None = None) -> NDArray[np.float64]:
    """The distance of each from the mean, every direction in use measured in its own spread."""
    centred = latents.astype(np.float64) - latents[:num].mean(0, dtype=np.float64)
    squares, axes = principal_axes(centred[:num])
    used = squares > SMALLEST**2 * squares[0]
    whitened = centred @ axes[used].T / np.sqrt(squares[used] / len(centred[:num]))
    distances: NDArray[np.float64] = np.sqrt(np.square(whitened).sum(1))
    return distances


def _standardised(values: NDArray[Any], num: int | None = None) -> NDArray[np.float64]:
    """Robust standard scores of the logarithms, (N,); where most are equal, 1 above and -1 below them."""
    values = values.astype(np.float64)
    positive = values[values > 0]
    if not len(positive):
        return np.zeros(len(values))
    logs = np.log(np.maximum(values, positive.min()))
    from_median = logs - np.median(logs[:num])
    spread = 1.4826 * np.median(np.abs(from_median[:num]))
    scores: NDArray[np.float64] = from_median / spread if spread > 0 else np.sign(from_median)
    return scores


def _robust(values: NDArray[np.float64], num: int | None = None) -> NDArray[np.float64]:
    """Standard scores by the median and the median absolute deviation, which outliers do not move; 0 where all are equal."""
    from_median = values - np.median(values[:num])
    usual = np.abs(from_median[:num])
    spread = 1.4826 * float(np.median(usual)) or float(usual.mean())
    scores: NDArray[np.float64] = from_median / spread if spread > 1e-9 else np.zeros(len(values))
    return scores
