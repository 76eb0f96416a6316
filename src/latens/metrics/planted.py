"""Images that are known to be bad, made of real ones: blurred, and cross-fades of two. They show what a score can see."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows, gather
from latens.images.pixels import to_floats

__all__ = ["BLURRED", "FADED", "blurred", "cross_fades", "planted_features"]

BLURRED, FADED = "blurred", "cross-faded"
WIDTH = 1 / 16  # standard deviation of the blur, as a share of an image's width
MOST = 1_000  # images of each kind
VALUES = 1 << 23  # pixels that are handled at once: 32 MiB as float32


def blurred(images: NDArray[Any]) -> NDArray[np.float32]:
    """Images blurred by a normal kernel, whose standard deviation is a sixteenth of their width.

    Args:
        images: floats in [0, 1], (N, C, H, W).
    """
    from scipy.ndimage import gaussian_filter

    deviation = images.shape[3] * WIDTH
    result: NDArray[np.float32] = gaussian_filter(images, (0, 0, deviation, deviation), mode="nearest")
    return result


def cross_fades(images: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float32]:
    """The mean of two images, pixel by pixel.

    Args:
        images: floats in [0, 1], (N, C, H, W).
        others: as many.
    """
    faded: NDArray[np.float32] = (images + others) / np.float32(2)
    return faded


def planted_features(
    pixels: Any, features: Callable[[NDArray[Any]], NDArray[Any]], seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """The features of at most 1,000 real images, blurred, and of as many cross-fades of two of them.

    Args:
        pixels: of real images, uint8 or floats in [0, 1], (N, C, H, W), N at least 2.
        features: images -> features (B, F).
        seed: of what is drawn.

    Returns:
        `blurred` and `cross-faded` -> float32 (M, F).
    """
    rows = np.random.default_rng(seed).permutation(drawn_rows(len(pixels), MOST, seed))
    others = np.roll(rows, 1)
    block = max(1, VALUES // int(np.prod(pixels.shape[1:])))
    found: dict[str, list[NDArray[Any]]] = {BLURRED: [], FADED: []}
    for start in range(0, len(rows), block):
        here = slice(start, start + block)
        first, second = (to_floats(gather(pixels, which[here])) for which in (rows, others))
        found[BLURRED].append(features(blurred(first)))
        found[FADED].append(features(cross_fades(first, second)))
    return {kind: np.concatenate(parts).astype(np.float32) for kind, parts in found.items()}
