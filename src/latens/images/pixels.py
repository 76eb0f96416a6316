"""Type, range and channels of pixels, and every conversion between stored bytes and floats.

Images are stored as uint8 (N, C, H, W); C is 1 (grey) or 3 (RGB), 0 is black and `WHITE` is white. Networks, scores and
figures see float32 in [0, 1]. No other module divides by 255 or knows what a number of channels means; a test holds that.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

__all__ = [
    "CHANNELS",
    "DTYPE",
    "WHITE",
    "colour_word",
    "from_picture",
    "from_samples",
    "in_unit",
    "is_grey",
    "narrowed",
    "picture_mode",
    "quantised",
    "shown_in_rgb",
    "to_floats",
    "to_picture",
    "to_uint8",
    "to_unit",
    "with_channels",
]

DTYPE = np.dtype(np.uint8)  # of stored pixels
WHITE = 255  # the stored value that is 1.0 for a network
GREY, RGB = 1, 3
CHANNELS = (GREY, RGB)  # allowed numbers of channels


def is_grey(channels: int) -> bool:
    """Whether images of so many channels are grey.

    >>> is_grey(1), is_grey(3)
    (True, False)
    """
    return channels == GREY


def colour_word(channels: int) -> str:
    """The kind of image in a word: "grey" or "colour"."""
    return "grey" if is_grey(channels) else "colour"


def picture_mode(channels: int) -> str:
    """Pillow's mode of an image of so many channels."""
    return "L" if is_grey(channels) else "RGB"


def to_floats(pixels: np.ndarray) -> np.ndarray:
    """Stored pixels as networks see them.

    Args:
        pixels: uint8, any shape; or floats, which are in [0, 1] already.

    Returns:
        float32 in [0, 1], the same shape.

    >>> to_floats(np.array([0, 51, 255], np.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    """
    floats = pixels.astype(np.float32)
    return floats / np.float32(WHITE) if pixels.dtype == DTYPE else floats


def to_unit(pixels: "torch.Tensor", dtype: "torch.dtype | None" = None) -> "torch.Tensor":
    """The same for a tensor, on its device and in its memory order.

    Args:
        pixels: uint8, any shape; or floats, which are in [0, 1] already.
        dtype: of the result; float32 by default.
    """
    import torch

    dtype = dtype or torch.float32
    if pixels.dtype != torch.uint8:
        return pixels.to(dtype)
    if pixels.is_cuda and dtype == torch.get_default_dtype():
        return pixels / WHITE  # one kernel, not two; either way torch multiplies by 1 / 255 there
    return pixels.to(dtype).div_(WHITE)


def in_unit(values: Any) -> Any:
    """Means of stored pixels (numbers or arrays of floats) on the scale from 0 to 1."""
    return values / WHITE


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Floats about [0, 1] as stored pixels: clipped to [0, 1], times 255, rounded.

    >>> to_uint8(np.array([-0.1, 0.5, 1.2])).tolist()
    [0, 128, 255]
    """
    rounded: np.ndarray = np.rint(np.clip(values, 0, 1) * WHITE)
    return rounded.astype(DTYPE)


def narrowed(values: np.ndarray, white: int) -> np.ndarray:
    """Whole numbers from 0 to `white` as stored pixels: scaled so that `white` becomes 255, and rounded.

    >>> narrowed(np.array([0, 257, 65535]), 65535).tolist()
    [0, 1, 255]
    """
    return np.rint(values / (white / WHITE)).astype(DTYPE)


def quantised(values: "torch.Tensor") -> "torch.Tensor":
    """Floats in place as they would come back from stored pixels: clipped to [0, 1], in steps of 1/255."""
    return values.clamp_(0, 1).mul_(WHITE).round_().div_(WHITE)


def to_picture(pixels: np.ndarray) -> Image.Image:
    """Stored pixels (C, H, W) as a Pillow image of mode L or RGB."""
    plain = pixels[0] if is_grey(len(pixels)) else pixels.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(plain))


def from_samples(samples: np.ndarray) -> Image.Image:
    """Stored pixels (H, W, C) as a Pillow image of mode L or RGB."""
    return to_picture(samples.transpose(2, 0, 1))


def from_picture(picture: Image.Image) -> np.ndarray:
    """A Pillow image of mode L or RGB as stored pixels (C, H, W)."""
    array = np.asarray(picture)
    return array[np.newaxis] if array.ndim == 2 else array.transpose(2, 0, 1)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Stored pixels (n, C, H, W) with so many channels: grey repeated, or colour weighted as Pillow does (ITU-R 601-2)."""
    if pixels.shape[1] == channels:
        return pixels
    if is_grey(pixels.shape[1]):
        return np.repeat(pixels, channels, axis=1)
    converted = [from_picture(to_picture(picture).convert(picture_mode(channels))) for picture in pixels]
    return np.stack(converted) if converted else np.empty((0, channels, *pixels.shape[2:]), DTYPE)


def shown_in_rgb(pixels: np.ndarray) -> np.ndarray:
    """Images as they are drawn: uint8 (N, H, W, 3), grey ones with three equal channels.

    Args:
        pixels: uint8, or floats about [0, 1], (N, C, H, W).
    """
    shown = (pixels if pixels.dtype == DTYPE else to_uint8(pixels)).transpose(0, 2, 3, 1)  # (N, H, W, C)
    return np.broadcast_to(shown, (*shown.shape[:3], RGB))
