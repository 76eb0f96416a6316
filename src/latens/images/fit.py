"""Bringing an image to a size, with antialiasing, by one of three rules for an image of another shape.

- `pad`: all of the image, as large as it fits, in the middle; the rest has the median colour of the image's own border. It
  is the default: nothing is cut off, and nothing is distorted.
- `crop`: the largest box of the right shape in the middle; what lies outside is cut off.
- `stretch`: all of the image, its height and width scaled each by itself.

Where an image has the shape already, all three are the same.
"""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from latens.errors import UsageError
from latens.images.pixels import CHANNELS, DTYPE, from_picture, to_picture
from latens.images.plan import Size
from latens.images.words import FITS

__all__ = [
    "FITS",
    "centre_box",
    "checked_fit",
    "default_fit",
    "fit_note",
    "fit_picture",
    "fit_pixels",
    "inner_size",
    "padded",
    "share_lost",
]


def checked_fit(fit: object) -> str:
    """The argument `fit` of `load_images`.

    Raises:
        UsageError: it is no name of `FITS`.
    """
    if fit not in FITS:
        raise UsageError(f"fit {fit!r}; allowed are {', '.join(FITS)}")
    return str(fit)


def default_fit(rules: int) -> str:
    """How images of another shape come to the size where nothing was asked for, see `latens.images.plan.RULES`."""
    return "crop" if rules == 1 else "pad"


def centre_box(width: int, height: int, size: Size) -> tuple[float, float, float, float]:
    """The largest centred box of a picture that has the proportions of a size: (left, top, right, bottom).

    >>> centre_box(200, 100, (64, 64))
    (50.0, 0.0, 150.0, 100.0)
    """
    scale = min(width / size[1], height / size[0])
    box_width, box_height = min(scale * size[1], width), min(scale * size[0], height)
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, left + box_width, top + box_height


def inner_size(height: int, width: int, size: Size) -> Size:
    """The size (H, W) of an image within the size that it is padded to.

    >>> inner_size(100, 200, (64, 64)), inner_size(112, 92, (64, 53))
    ((32, 64), (64, 53))
    """
    scale = min(size[0] / height, size[1] / width)
    return max(1, min(size[0], round(height * scale))), max(1, min(size[1], round(width * scale)))


def fit_picture(picture: Image.Image, size: Size, fit: str = "pad") -> Image.Image:
    """Bring a picture of mode L or RGB to exactly (H, W), bicubic and antialiased.

    Args:
        picture: of any size.
        size: (H, W) to come.
        fit: a name of `FITS`.
    """
    height, width = size
    if (picture.height, picture.width) == (height, width):
        return picture
    if fit == "pad":
        inner = inner_size(picture.height, picture.width, size)
        resized = picture.resize(inner[::-1], Image.Resampling.BICUBIC)
        return resized if inner == size else to_picture(padded(from_picture(resized), size))
    # Cutting the box first and resizing it is the same picture as resizing all and cutting then, and cheaper.
    box = centre_box(*picture.size, size) if fit == "crop" else None
    return picture.resize((width, height), Image.Resampling.BICUBIC, box=box)


def padded(pixels: np.ndarray, size: Size) -> np.ndarray:
    """An image in the middle of a larger one that has the median of its border in each channel.

    Args:
        pixels: (C, h, w), of any type.
        size: (H, W), at least (h, w).

    Returns:
        (C, *size), of the same type.

    >>> padded(np.full((1, 1, 2), 7, np.uint8), (3, 2)).tolist()
    [[[7, 7], [7, 7], [7, 7]]]
    """
    channels, height, width = pixels.shape
    border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    # An element and not the mean of two, so that labels and masks get no value which they don't have.
    colour = np.sort(border, axis=1)[:, border.shape[1] // 2]
    result = np.empty((channels, *size), pixels.dtype)
    result[:] = colour[:, None, None]
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    result[:, top : top + height, left : left + width] = pixels
    return result


def fit_pixels(pixels: np.ndarray, size: Size, fit: str = "pad") -> np.ndarray:
    """The same for many pictures in an array.

    Args:
        pixels: (n, C, H, W), uint8, uint16 or float32.
        size: (H, W) to come.
        fit: a name of `FITS`.

    Returns:
        (n, C, *size), of the same type.
    """
    if pixels.shape[2:] == size:
        return pixels
    result = np.empty((*pixels.shape[:2], *size), dtype=pixels.dtype)
    ordinary = pixels.dtype == DTYPE and pixels.shape[1] in CHANNELS
    for row, picture in enumerate(pixels):
        if ordinary:
            result[row] = from_picture(fit_picture(to_picture(picture), size, fit))
        else:
            result[row] = _fit_values(picture, size, fit)
    return result


def _fit_values(pixels: np.ndarray, size: Size, fit: str) -> np.ndarray:
    """An image (C, H, W) of any type: each channel as 32-bit floats, within its own smallest and largest value."""
    inner = inner_size(pixels.shape[1], pixels.shape[2], size) if fit == "pad" else size
    way = "crop" if fit == "crop" else "stretch"  # padding comes last
    result = np.empty((len(pixels), *inner), pixels.dtype)
    for channel, values in enumerate(pixels):
        resized = np.asarray(fit_picture(Image.fromarray(values.astype(np.float32)), inner, way))
        fitted: np.ndarray = np.clip(resized, values.min(), values.max())  # bicubic curves overshoot at edges
        result[channel] = np.rint(fitted) if values.dtype.kind == "u" else fitted
    return result if inner == size else padded(result, size)


def share_lost(height: int, width: int, size: Size, fit: str) -> float:
    """What a rule costs: the share of the image that is cut off, of the result that is padding, or by which one side is
    scaled more than the other.

    >>> share_lost(100, 200, (64, 64), "crop"), share_lost(100, 200, (64, 64), "pad"), share_lost(50, 50, (8, 8), "pad")
    (0.5, 0.5, 0.0)
    """
    if fit == "pad":
        inner = inner_size(height, width, size)
        return 1 - inner[0] * inner[1] / (size[0] * size[1])
    across, down = size[1] / width, size[0] / height
    return 1 - min(across, down) / max(across, down)


def fit_note(sizes: Iterable[Size], size: Size, fit: str) -> str:
    """What a rule costs the images that have another shape, in words that follow on "resized"; "" where it costs nothing.

    Args:
        sizes: (H, W) of each image.
        size: (H, W) that they come to.
        fit: a name of `FITS`.
    """
    lost = np.array([share_lost(*one, size, fit) for one in sizes])
    # Less than half a pixel along the shorter side is rounding.
    others = lost[lost > 0.5 / min(size)]
    if not len(others):
        return ""
    share = f"{np.median(others):.0%}"
    of = "each" if len(others) == len(lost) else f"the {len(others):,} images of another shape"
    if fit == "crop":
        return f"a median {share} of {of} is cut off (fit, --fit pad keeps all of it)"
    if fit == "pad":
        kept = f"a median {share} of {of} is padding in the colour of its border"
        return f"{kept} (fit, --fit crop or stretch: another way)"
    return f"a median {share} of {of} is stretched (fit, --fit pad keeps its shape)"
