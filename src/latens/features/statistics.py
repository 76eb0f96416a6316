"""Plain statistics of images at several scales, which tell blurred and cross-faded images from real ones."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from latens.arrays import drawn_rows, gather
from latens.errors import UsageError
from latens.images.pixels import quantised, to_unit

__all__ = ["ImageStatistics"]

VERSION = 1  # of the statistics, part of the protocol
LARGEST_SIDE = 128  # pixels; larger images are averaged down to at most that
SMALLEST_SIDE = 6  # of the coarsest scale
LOOKED_AT = 10_000  # images by which statistics are whitened
RIDGE, FEW_IMAGES = 0.05, 0.1  # of the mean variance, added before whitening; the latter times statistics over images
CLIPPED = 4.0  # spreads beyond which a statistic counts no more: a ball around one odd image would hold most others
FAINT = 1e-4  # added before logarithms: a constant image has no differences
QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
VALUES = 1 << 20  # pixels that are looked at once
MOST_CHANNELS = 8  # that are compared with the first


class ImageStatistics:
    """A fixed function from images to numbers, whitened by those of some real images.

    At each scale, halved down to six pixels, of five differences of the mean channel (first and second along both axes, and
    across): the logarithm of their mean size, and how uneven they are, by the ratios of the 1-, 2- and 4-norms. Blur takes away
    small ones, and a cross-fade of two images has more but fainter edges. Besides, quantiles of the brightness, the contrast,
    and how the other channels differ from the first.

    Args:
        pixels: of real images, uint8, or float32 in [0, 1], (N, C, H, W).
        rounds: whether floats are rounded to 8 bits first, as real images of 8 bits are.

    Source: sparse differences as the mark of natural images: Field, "Relations between the statistics of natural images and the
    response properties of cortical cells", 1987; sharpness by them: Mittal, Moorthy and Bovik, "No-reference image quality
    assessment in the spatial domain", 2012.
    """

    def __init__(self, pixels: NDArray[Any], rounds: bool = True) -> None:
        self.image_shape, self.rounds = tuple(pixels.shape[1:]), rounds
        self.centre: NDArray[np.float64] | None = None
        plain = self(gather(pixels, drawn_rows(len(pixels), LOOKED_AT))).astype(np.float64)
        middle, spread = plain.mean(0), plain.std(0)
        spread[spread < 1e-6] = np.inf  # what never varies says nothing
        units = np.clip((plain - middle) / spread, -CLIPPED, CLIPPED)
        squares, axes = np.linalg.eigh(np.cov(units, rowvar=False) if len(units) > 1 else np.eye(plain.shape[1]))
        squares = np.maximum(squares, 0)
        ridge = max(RIDGE, FEW_IMAGES * plain.shape[1] / len(plain)) * squares.mean() + np.finfo(np.float32).tiny
        self.centre, self.spread, self.whitening = middle, spread, axes / np.sqrt(squares + ridge)

    @property
    def protocol(self) -> str:
        """The name, as protocols have it."""
        return f"image statistics {VERSION}"

    def __call__(self, pixels: Any) -> NDArray[np.float32]:
        """The statistics of images.

        Args:
            pixels: (N, C, H, W), uint8, or floats about [0, 1], which are clamped.

        Returns:
            float32 (N, S).

        Raises:
            UsageError: another shape.
        """
        pixels = np.asarray(pixels.cpu() if isinstance(pixels, Tensor) else pixels)
        if pixels.ndim != 4 or pixels.shape[1:] != self.image_shape:
            raise UsageError(f"images have the shape {pixels.shape}; these statistics take {('N', *self.image_shape)}")
        rows = max(1, VALUES // int(np.prod(self.image_shape)))
        found = np.concatenate([self._of(pixels[start : start + rows]) for start in range(0, len(pixels), rows)])
        if self.centre is not None:
            found = np.clip((found - self.centre) / self.spread, -CLIPPED, CLIPPED) @ self.whitening
        return found.astype(np.float32)

    def classify(self, pixels_or_features: Any) -> None:
        """None: these know no classes."""
        return

    def _of(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        x = to_unit(torch.from_numpy(np.array(pixels)))
        if pixels.dtype != np.uint8:
            x = quantised(x) if self.rounds else x.clamp(0, 1)
        factor = -(-max(x.shape[2:]) // LARGEST_SIDE)
        if factor > 1:
            x = F.avg_pool2d(x, factor, ceil_mode=True)
        return _statistics(x).double().numpy()


def _statistics(x: Tensor) -> Tensor:
    """(B, C, H, W) in [0, 1] -> (B, S)."""
    grey = x.mean(1)
    found: list[Tensor] = []
    scale = grey
    while not found or min(scale.shape[1:]) >= SMALLEST_SIDE:
        found += [one for difference in _differences(scale) for one in _sizes(difference)]
        if min(scale.shape[1:]) < 2:
            break
        scale = F.avg_pool2d(scale[:, None], 2)[:, 0]
    found += list(torch.quantile(grey.flatten(1), torch.tensor(QUANTILES), dim=1))
    found.append((grey.flatten(1).std(1, unbiased=False) + 10 * FAINT).log())
    for channel in range(1, min(x.shape[1], MOST_CHANNELS)):
        difference = (x[:, channel] - x[:, 0]).flatten(1)
        found += [difference.mean(1), difference.std(1, unbiased=False)]
    return torch.stack(found, 1)


def _differences(x: Tensor) -> list[Tensor]:
    """First and second differences of (B, H, W) along both axes, and across."""
    return [
        x[:, :, 1:] - x[:, :, :-1],
        x[:, 1:] - x[:, :-1],
        x[:, :, 2:] - 2 * x[:, :, 1:-1] + x[:, :, :-2],
        x[:, 2:] - 2 * x[:, 1:-1] + x[:, :-2],
        x[:, 1:, 1:] + x[:, :-1, :-1] - x[:, 1:, :-1] - x[:, :-1, 1:],
    ]


def _sizes(difference: Tensor) -> list[Tensor]:
    """The logarithms of the mean size, and of how much larger the mean is of order 2, and of order 4 beside that, (B,) each."""
    size = difference.abs().flatten(1)
    if not size.shape[1]:
        return [torch.zeros(len(size))] * 3
    squares = size.square()
    first = size.mean(1) + FAINT
    second = squares.mean(1).sqrt() + FAINT
    fourth = squares.square().mean(1).sqrt().sqrt() + FAINT
    return [first.log(), (second / first).log(), (fourth / second).log()]
