"""One picture file becomes pixels, by written rules.

- Grey stays one channel if all pictures of a data set are grey, otherwise all are RGB. Grey is what the file says
  (modes 1, L, LA, 16-bit, float), not what its colours happen to be; a palette is RGB.
- Transparency (alpha, a transparent palette entry or colour) is laid on white.
- 16-bit grey is divided by 257 and rounded, so that 65535 becomes 255; 1 bit becomes 0 and 255; floats must lie in
  [0, 1]; 32-bit integers are refused, since nothing says how large white is.
- CMYK and YCbCr become RGB.
- The orientation that a camera wrote (EXIF) is applied.
- Of an animation the first frame is taken.
- The shorter side is fitted with antialiasing, then the centre is cut out.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from latens.images.contract import MINIMUM_SIDE
from latens.images.fit import fit_picture
from latens.images.pixels import from_picture, narrowed, picture_mode, to_uint8
from latens.images.plan import Size

__all__ = ["Look", "decode_picture", "look_at", "picture_formats", "picture_suffixes", "reason_of"]

# EPS would start Ghostscript; the others are stubs that know a name but no pixels, or need Windows.
REFUSED_FORMATS = {"EPS", "WMF", "PDF", "MPEG", "HDF5", "GRIB", "BUFR"}
COMMON_FORMATS = (
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "WEBP",
    "TIFF",
)  # Pillow tries them in turn
GREY_MODES = {"1", "L", "LA", "La", "I", "F"}
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Look(NamedTuple):
    """What the header of a picture says: its size (H, W) the right way up, and whether it is grey."""

    size: Size
    grey: bool


@cache
def picture_formats() -> tuple[str, ...]:
    """The formats that are read: all of Pillow's that are pictures."""
    Image.init()
    return COMMON_FORMATS + tuple(sorted(set(Image.OPEN) - REFUSED_FORMATS - set(COMMON_FORMATS)))


@cache
def picture_suffixes() -> frozenset[str]:
    """The endings of file names, in lower case, by which pictures are told from other files."""
    formats = set(picture_formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def look_at(path: Path) -> Look:
    """Read the header of a picture.

    Raises:
        Exception: whatever Pillow raises where it can't; ValueError if the picture is too small.
    """
    with open(path, "rb") as file, Image.open(file, formats=picture_formats()) as picture:
        width, height = picture.size
        # Asking a PNG for EXIF would decode all of it, unless it stands before the pixels. TIFF is turned by Pillow itself.
        knows = "exif" in picture.info if picture.format == "PNG" else picture.format != "TIFF"
        if knows and _turn(picture) in (5, 6, 7, 8):
            width, height = height, width
        if min(width, height) < MINIMUM_SIDE:
            raise ValueError(f"too small: {height} x {width} pixels, at least {MINIMUM_SIDE} are needed")
        return Look((height, width), _is_grey(picture))


def decode_picture(path: Path, size: Size, channels: int) -> np.ndarray:
    """Decode a picture by the rules of this file.

    Args:
        path: the file.
        size: (H, W) to come.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 (C, H, W).

    Raises:
        Exception: whatever Pillow raises where it can't; ValueError for what the rules refuse.
    """
    # An open file, not its name: by name Pillow would map an uncompressed TIFF and get turned ones wrong (seen in 13.0).
    with open(path, "rb") as file, Image.open(file, formats=picture_formats()) as picture:
        # A large JPEG is decoded at an eighth to a half, yet at least at twice what is needed.
        picture.draft("", (2 * max(size), 2 * max(size)))
        picture.load()
        plain = _plain(picture, channels)
        turn = TURNS.get(_turn(picture))
        upright = plain if turn is None else plain.transpose(turn)
    return from_picture(fit_picture(upright, size))


def reason_of(error: Exception) -> str:
    """Why a picture can't be used, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture that Pillow knows"
    if isinstance(error, Image.DecompressionBombError):
        return "absurdly large"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).partition("\n")[0]
    return text[:100] if text else type(error).__name__


def _is_grey(picture: Image.Image) -> bool:
    return picture.mode in GREY_MODES or picture.mode.startswith("I;16")


def _turn(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where it can't be read."""
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # EXIF is written by anybody; a broken one must not cost the picture
        return 1


def _plain(picture: Image.Image, channels: int) -> Image.Image:
    """The picture in mode L or RGB."""
    mode = picture_mode(channels)
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        picture = _eight_bit(picture)
    elif picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        # Premultiplied modes have but one way out each.
        direct = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode)
        colour = (picture.convert(direct) if direct else picture).convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
    return picture if picture.mode == mode else picture.convert(mode)


def _eight_bit(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    if picture.mode == "F":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ValueError("floats outside [0, 1]")
        return Image.fromarray(to_uint8(values))
    # Pillow brings every PGM of more than 8 bits to 0..65535 in mode I; in any other format that mode means 32 bits.
    if picture.mode == "I" and picture.format != "PPM":
        raise ValueError("32-bit integers; save it with 8 or 16 bits")
    return Image.fromarray(narrowed(values, 65535))
