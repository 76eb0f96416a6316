"""Bringing a picture to a size: the shorter side is fitted with antialiasing, then the centre is cut out."""

import numpy as np
from PIL import Image

from latens.images.pixels import from_picture, to_picture
from latens.images.plan import Size

__all__ = ["centre_box", "fit_picture", "fit_pixels"]


def centre_box(width: int, height: int, size: Size) -> tuple[float, float, float, float]:
    """The largest centred box of a picture that has the proportions of a size: (left, top, right, bottom).

    >>> centre_box(200, 100, (64, 64))
    (50.0, 0.0, 150.0, 100.0)
    """
    scale = min(width / size[1], height / size[0])
    box_width, box_height = min(scale * size[1], width), min(scale * size[0], height)
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, left + box_width, top + box_height


def fit_picture(picture: Image.Image, size: Size) -> Image.Image:
    """Resize (bicubic, antialiased) and crop a picture of mode L or RGB to exactly (H, W).

    Cutting the box first and resizing it is the same picture as resizing all and cutting then, and cheaper.
    """
    height, width = size
    if (picture.height, picture.width) == (height, width):
        return picture
    return picture.resize((width, height), Image.Resampling.BICUBIC, box=centre_box(*picture.size, size))


def fit_pixels(pixels: np.ndarray, size: Size) -> np.ndarray:
    """The same for many pictures in an array.

    Args:
        pixels: uint8 (n, C, H, W).
        size: (H, W) to come.

    Returns:
        uint8 (n, C, *size).
    """
    if pixels.shape[2:] == size:
        return pixels
    result = np.empty((*pixels.shape[:2], *size), dtype=np.uint8)
    for row, picture in enumerate(pixels):
        result[row] = from_picture(fit_picture(to_picture(picture), size))
    return result
