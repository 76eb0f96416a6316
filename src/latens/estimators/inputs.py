"""What an estimator is given, as a model takes it, and back: images, or rows of plain features.

A model takes (N, C, H, W) in [0, 1]. Images get there by their range, as `latens.images.ranges` chooses it. A row of features
is an image of one line: each feature is standardised, and all of them are scaled by one factor so that the rows of `fit` lie in
[0, 1]. Nothing is rounded, and of features nothing is clipped: a new row may lie outside.
"""

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.images import Dataset, Images
from latens.images.contract import Shape
from latens.images.layout import check_sides, kept_dtype, to_pixels
from latens.images.pixels import Range, named_channels, to_floats
from latens.images.ranges import choose_range

__all__ = ["Features", "Inputs", "Pictures", "as_dataset", "picture_axes"]

LOOKED_AT = 256  # rows by which an epoch is followed


class Inputs(Protocol):
    """How the arrays of one estimator become what its model takes, and back."""

    @property
    def shape(self) -> Shape:
        """(C, H, W) of what the model takes."""

    @property
    def unit(self) -> float:
        """The unit of errors, in the model's own: 1 for images; a standard deviation for features."""

    def to_model(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Float32 (N, C, H, W)."""

    def from_model(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """The rows of which `to_model` makes x, in the shape and unit of the estimator's own."""


@dataclass(frozen=True)
class Features:
    """Rows of plain features.

    Args:
        mean: of each feature, float64 (F,).
        spread: the standard deviation of each; 1 where a feature never varies.
        reach: the largest distance from the mean in `fit`, in standard deviations.
    """

    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    reach: float

    @classmethod
    def of(cls, rows: NDArray[Any]) -> Self:
        """Those of the rows (N, F) of `fit`."""
        mean, spread = rows.mean(0, dtype=np.float64), rows.std(0, dtype=np.float64)
        # A feature that is the same everywhere has a spread of rounding errors.
        spread = np.where(spread > 1e-12 * np.abs(mean), spread, 1.0)
        return cls(mean, spread, float(np.abs((rows - mean) / spread).max(initial=0)) or 1.0)

    @property
    def shape(self) -> Shape:
        """(1, 1, F)."""
        return 1, 1, len(self.mean)

    @property
    def unit(self) -> float:
        """A standard deviation."""
        return 1 / (2 * self.reach)

    def to_model(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """See `Inputs.to_model`."""
        x: NDArray[np.float32] = ((rows - self.mean) / self.spread * self.unit + 0.5).astype(np.float32)
        return x.reshape(len(x), *self.shape)

    def from_model(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Inputs.from_model`."""
        rows = (x.reshape(len(x), -1).astype(np.float64) - 0.5) / self.unit * self.spread + self.mean
        return rows.astype(np.float32)


@dataclass(frozen=True)
class Pictures:
    """Images.

    Args:
        given: the shape of one as it is given, (H, W) or (H, W, C).
        flat: whether they are given as rows.
        value_range: of each channel the numbers that are 0 and 1 for the model.
    """

    given: tuple[int, ...]
    flat: bool
    value_range: Range = ()

    @property
    def shape(self) -> Shape:
        """(C, H, W)."""
        height, width, *channels = self.given
        return (channels or [1])[0], height, width

    @property
    def unit(self) -> float:
        """The whole range of an image."""
        return 1.0

    def pixels(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Images as they are given as stored pixels (N, C, H, W), with the numbers that they hold.

        Raises:
            ImagesError: a side is too small or too large, or the values are no numbers.
        """
        check_sides(self.shape, "X")
        ends = (0.0, 0.0) if rows.dtype.kind in "bf" else (float(rows.min()), float(rows.max()))
        array = rows.reshape(len(rows), *self.given)
        layout = "NHWC" if array.ndim == 4 else None
        return to_pixels(array, "X", dtype=kept_dtype(rows.dtype, *ends), layout=layout)

    def ranged(self, rows: NDArray[Any]) -> "Pictures":
        """The same with the range of these images, those of `fit`."""
        pixels = self.pixels(rows)
        value_range, _ = choose_range(None, [pixels], named_channels(self.shape[0]))
        return Pictures(self.given, self.flat, value_range)

    def to_model(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """See `Inputs.to_model`; what lies outside of the range is clipped."""
        return to_floats(self.pixels(rows), self.value_range)

    def from_model(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Inputs.from_model`."""
        ends = np.array(self.value_range, np.float32)[:, :, None, None]
        images = ends[:, 0] + x * (ends[:, 1] - ends[:, 0])  # (N, C, H, W)
        images = images.transpose(0, 2, 3, 1).reshape(len(x), *self.given)
        return images.reshape(len(x), -1) if self.flat else images


def picture_axes(image_shape: Any) -> tuple[int, ...]:
    """The argument `image_shape` of an estimator as (H, W) or (H, W, C).

    Raises:
        UsageError: it is neither.
    """
    try:
        axes = tuple(int(side) for side in image_shape)
    except (TypeError, ValueError):
        axes = ()
    if len(axes) not in (2, 3) or min(axes) < 1:
        raise UsageError(f"image_shape is {image_shape!r}; (H, W) or (H, W, C) of the images is needed")
    return axes


def as_dataset(x: NDArray[np.float32]) -> Dataset:
    """What a model is given (N, C, H, W) in [0, 1] as a data set; the test part, which is only looked at, is some of it."""
    parts = [Images(rows, np.arange(len(rows)).astype(str), None, (), "") for rows in (x, x[:LOOKED_AT])]
    return Dataset("array", "array", parts[0], parts[1], (), {}, "")
