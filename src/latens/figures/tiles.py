"""Many small images on one sheet, composed into one array: two hundred axes would take matplotlib ten seconds."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from latens.errors import UsageError
from latens.images.pixels import MOST_CHANNELS, WHITE, shown_in_rgb, to_floats

__all__ = ["FRAME", "check_images", "compose", "drawn_side", "grid_png", "to_rgb", "zoom"]

FRAME = 1  # pixels of grey around each picture, so that a white one has an edge
GREY = 205


def check_images(images: np.ndarray, name: str) -> np.ndarray:
    """The images as they came, once it is sure that they are (N, C, H, W) and at least one.

    Raises:
        UsageError: they are not.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not images.size or images.shape[1] > MOST_CHANNELS:
        raise UsageError(
            f"{name}: got shape {images.shape}; (N, C, H, W) with C from 1 to {MOST_CHANNELS} and N at least 1 is needed"
        )
    return images


def to_rgb(images: np.ndarray, autoscale: bool = False) -> np.ndarray:
    """Pictures as they are shown: uint8 (N, H, W, 3), grey over [0, 1].

    Images of other numbers of channels than 1 and 3 are shown by `latens.images.pixels.default_show`.

    Args:
        images: uint8, or float in [0, 1] (what lies outside is cut), (N, C, H, W).
        autoscale: stretch each picture from its darkest to its brightest value, as matplotlib's imshow does unasked.
    """
    values = to_floats(images)
    values = np.nan_to_num(values, nan=0, posinf=1, neginf=0)
    if autoscale:
        low = values.min(axis=(1, 2, 3), keepdims=True)
        span = values.max(axis=(1, 2, 3), keepdims=True) - low
        values = (values - low) / np.where(span > 0, span, 1)
    return shown_in_rgb(values)


def zoom(pictures: np.ndarray, target: int, *, exact: bool = False) -> np.ndarray:
    """Pictures at about a size on the sheet: enlarged by whole pixels, never blurred; shrunk by averaging.

    Args:
        pictures: uint8 (N, H, W, 3).
        target: the wanted length of the longer side in pixels.
        exact: shrink whatever is larger; otherwise only what is more than half as large again.
    """
    height, width = pictures.shape[1:3]
    longer = max(height, width)
    side = drawn_side(longer, target, exact=exact)
    if side < longer:
        size = (max(1, round(width * side / longer)), max(1, round(height * side / longer)))
        return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in pictures])
    return pictures.repeat(side // longer, axis=1).repeat(side // longer, axis=2)


def drawn_side(longer: int, target: int, *, exact: bool = False) -> int:
    """The longer side of a picture on the sheet, where it has so many pixels and is zoomed to a target.

    >>> drawn_side(28, 58), drawn_side(128, 58), drawn_side(80, 58), drawn_side(80, 58, exact=True)
    (56, 58, 80, 58)
    """
    if longer > (target if exact else 1.5 * target):
        return target
    return max(1, round(target / longer)) * longer


def compose(pictures: np.ndarray, places: Sequence[tuple[int, int]], size: tuple[int, int]) -> np.ndarray:
    """One white sheet with the pictures on it.

    Args:
        pictures: uint8 (N, H, W, 3).
        places: for each picture its left and upper edge in pixels.
        size: width and height of the sheet.

    Returns:
        uint8 (height, width, 3).
    """
    width, height = size
    sheet = np.full((height, width, 3), WHITE, np.uint8)
    tall, wide = pictures.shape[1:3]
    for picture, (x, y) in zip(pictures, places, strict=True):
        sheet[max(y - FRAME, 0) : y + tall + FRAME, max(x - FRAME, 0) : x + wide + FRAME] = GREY
        sheet[y : y + tall, x : x + wide] = picture
    return sheet


def grid_png(images: np.ndarray, columns: int, target: int = 48) -> bytes:
    """Pictures in rows on one sheet with nothing else, as PNG.

    Args:
        images: uint8, or float in [0, 1], (N, C, H, W).
        columns: pictures per row.
        target: the wanted length of a picture's longer side in pixels.
    """
    pictures = zoom(to_rgb(check_images(images, "images")), target)
    tall, wide = pictures.shape[1:3]
    across, down = wide + 2 * FRAME, tall + 2 * FRAME
    places = [(FRAME + i % columns * across, FRAME + i // columns * down) for i in range(len(pictures))]
    sheet = compose(pictures, places, (columns * across, -(-len(pictures) // columns) * down))
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="PNG")
    return buffer.getvalue()
