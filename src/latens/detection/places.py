"""Maps of where an image is odd: smoothed, and calibrated place by place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from latens.detection.graphs import Scale, Smoothing

__all__ = ["PEAK", "TINY", "WIDTH", "PlaceScale", "peak", "smoothed", "smoothing"]

WIDTH = 1 / 32  # standard deviation of the smoothing, as a share of the image's longer side
LEAST_SPREAD = 0.1  # of the mean spread over all places, that each place has at least
BY_ALL = 8  # images' worth of the spread over all places that is mixed into that of each place
TINY = float(np.finfo(np.float32).tiny)
PEAK = 0.01  # share of the places that make the score of a map

Floats = NDArray[np.float32]


def smoothed(maps: NDArray[Any]) -> Floats:
    """Maps (N, H, W) without what is smaller than a few pixels: a lone pixel is noise, a defect is an area."""
    sigma = WIDTH * max(maps.shape[1:])
    found: Floats = gaussian_filter(np.asarray(maps, np.float32), (0, sigma, sigma), mode="nearest", truncate=3)
    return found


def smoothing(shape: tuple[int, int, int]) -> Smoothing:
    """The same as a module of torch, for images (C, H, W)."""
    _, height, width = shape
    return Smoothing(height, width, WIDTH * max(height, width))


def peak(maps: NDArray[Any]) -> NDArray[np.float64]:
    """The score of each map (N, H, W): the mean over the oddest hundredth of its places, (N,)."""
    flat = maps.reshape(len(maps), -1)
    top = max(1, round(PEAK * flat.shape[1]))
    found: NDArray[np.float64] = np.partition(flat, -top, axis=1)[:, -top:].mean(1, dtype=np.float64)
    return found


class PlaceScale:
    """Mean and spread over normal images at each place.

    Edges that a model always rebuilds badly are as usual there, and do not glow. With few images the spread of a place is
    uncertain: that over all places is mixed in.
    """

    def fit(self, maps: NDArray[Any]) -> "PlaceScale":
        """From maps of normal images, (N, H, W)."""
        values = np.asarray(maps, np.float64)
        self.mean = values.mean(0)
        variance = values.var(0)
        mixed = (len(values) * variance + BY_ALL * variance.mean()) / (len(values) + BY_ALL)
        spread = np.sqrt(mixed)
        self.spread = np.maximum(spread, max(LEAST_SPREAD * float(spread.mean()), TINY))
        return self

    def graph(self) -> Scale:
        """The same as a module of torch."""
        return Scale(self.mean, self.spread)

    def __call__(self, maps: NDArray[Any]) -> Floats:
        """Maps (B, H, W) in the unit of the spread over normal images, 0 for the usual value of the place."""
        found: Floats = ((maps - self.mean) / self.spread).astype(np.float32)
        return found
