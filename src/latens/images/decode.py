"""Reading one picture file. The rules:

- Grey stays one channel if all pictures of a data set are grey, otherwise all are RGB. Grey is what the file says
  (modes 1, L, LA, 16-bit, float), not what its colours happen to be; a palette is RGB.
- Transparency (alpha, a transparent palette entry or colour) is laid on white.
- Unsigned integers of every depth are scaled so that the largest number of the depth becomes 255, and rounded: of 16 bits
  65535, unless the data set says that a smaller number is white. Floats must lie in [0, 1]; 32-bit and signed integers
  are refused, since nothing says which value is white.
- CMYK, YCbCr, HSV and L*a*b* become RGB.
- The orientation that a camera wrote (EXIF) is applied.
- Of an animation or of several pages the first is taken.
- An image of another shape is padded, cropped or stretched with antialiasing, see `latens.images.fit`.

TIFF is read by `latens.images.tiff`, deep PNG by `latens.images.png`, everything else by Pillow. Named pipes, sockets and
devices are never opened.
"""

from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from latens.images.contract import MINIMUM_SIDE
from latens.images.fit import fit_picture
from latens.images.opening import open_regular
from latens.images.pixels import WHITE, from_picture, picture_mode
from latens.images.plan import Size
from latens.images.png import PngHead, has_late_metadata, largest_in_png, png_head, read_png
from latens.images.samples import image_of_samples
from latens.images.tiff import is_tiff, largest_in_tiff, look_at_tiff, read_tiff
from latens.images.white import DEEP_WHITE

__all__ = [
    "Look",
    "decode_picture",
    "is_grey_mode",
    "largest_number",
    "look_at",
    "picture_formats",
    "picture_suffixes",
    "plain_picture",
    "reason_of",
    "upright_picture",
]

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
EIGHT = PngHead(8, 0)  # what other formats are like: 8 bits a number
ORIENTATION = 0x0112  # the EXIF tag
EXIF_KEYS = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}  # of Pillow's info, where it can stand
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange height and width
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
    """The facts in the header of an image file.

    Args:
        size: (H, W), the right way up.
        grey: whether it is grey.
        deep: whether it holds unsigned integers of 16 bits.
        several: whether it has more than one page or frame, of which the first counts.
    """

    size: Size
    grey: bool
    deep: bool = False
    several: bool = False


@cache
def picture_formats() -> tuple[str, ...]:
    """The formats that are read: all of Pillow's that are pictures, and HEIF where pillow-heif is installed."""
    Image.init()
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:  # not installed, or not for this system
        pass
    return COMMON_FORMATS + tuple(sorted(set(Image.OPEN) - REFUSED_FORMATS - set(COMMON_FORMATS)))


@cache
def picture_suffixes() -> frozenset[str]:
    """The endings of file names, in lower case, that mark a file as an image."""
    formats = set(picture_formats())
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in formats)


def look_at(path: Path) -> Look:
    """Read the header of a picture.

    Raises:
        Exception: any error of Pillow or tifffile; ValueError if the image is too small or not a file.
    """
    with open_regular(path) as file:
        head = _head(file)
        if is_tiff(head):
            look = look_at_tiff(file)
            height, width = look.size
            turned, grey, deep, several = look.orientation in SIDEWAYS, look.grey, look.deep, look.several
        else:
            png = png_head(head)
            with Image.open(file, formats=picture_formats()) as picture:
                width, height = picture.size
                grey, several = _is_grey(picture), _has_frames(picture)
                deep = _is_deep(picture) or (png is not None and png.bits == 16)
                # Asking a PNG for EXIF decodes all of it where none stands before the pixels: only if some follows them.
                early = not EXIF_KEYS.isdisjoint(picture.info)
                knows = png is None or early or has_late_metadata(file)
                turned = knows and _turn(picture) in SIDEWAYS
    if turned:
        height, width = width, height
    if min(width, height) < MINIMUM_SIDE:
        raise ValueError(f"too small: {height} x {width} pixels, at least {MINIMUM_SIDE} are needed")
    return Look((height, width), grey, deep, several)


def decode_picture(path: Path, size: Size, channels: int, white: int | None = None, fit: str = "pad") -> np.ndarray:
    """Decode a picture by the rules of this file.

    Args:
        path: the file.
        size: (H, W) to come.
        channels: 1 for grey, 3 for RGB.
        white: the number that is white where a picture's numbers reach beyond it; by default the largest of their depth.
        fit: how an image of another shape comes to the size, see `latens.images.fit`.

    Returns:
        uint8 (C, H, W).

    Raises:
        Exception: any error of Pillow or tifffile; ValueError for what the rules refuse.
    """
    with open_regular(path) as file:
        head = _head(file)
        if is_tiff(head):
            picture, orientation = read_tiff(file, white)
        else:
            # An open file, not its name: by name Pillow would map some files and get turned ones wrong (seen in 13.0).
            picture = Image.open(file, formats=picture_formats())
            # A large JPEG is decoded at an eighth to a half, yet at least at twice what is needed.
            picture.draft("", (2 * max(size), 2 * max(size)))
            png = png_head(head)
            flat = None if png is None else read_png(picture, file, png, white)
            picture.load()
            orientation = _turn(picture)
            if (
                flat is None
                and white is not None
                and white < WHITE
                and picture.mode == "L"
                and (png or EIGHT).bits == 8
            ):
                flat = image_of_samples(np.asarray(picture)[..., None], white, "grey")
            picture = flat or picture
        with picture:
            upright = _turned(plain_picture(picture, channels, white), orientation)
            return from_picture(fit_picture(upright, size, fit))


def largest_number(path: Path) -> int | None:
    """The largest number in a picture of 8 or 16 bits; None where the range of its numbers is known from its kind.

    Raises:
        Exception: as `decode_picture`.
    """
    with open_regular(path) as file:
        head = _head(file)
        if is_tiff(head):
            return largest_in_tiff(file)
        with Image.open(file, formats=picture_formats()) as picture:
            if png := png_head(head):
                return largest_in_png(picture, file, png)
            whole = picture.mode == "L" or _is_deep(picture)
            return int(np.asarray(picture).max()) if whole else None


def upright_picture(picture: Image.Image, channels: int, white: int | None = None) -> Image.Image:
    """A Pillow image of any mode in mode L or RGB, turned as its EXIF says.

    Args:
        picture: in any mode.
        channels: 1 for grey, 3 for RGB.
        white: the number that is white in pictures of 16 bits; 65535 by default.

    Raises:
        Exception: any error of Pillow; ValueError for what the rules refuse.
    """
    picture.load()
    return _turned(plain_picture(picture, channels, white), _turn(picture))


def _turned(picture: Image.Image, orientation: int) -> Image.Image:
    turn = TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def _head(file: IO[bytes]) -> bytes:
    head = file.read(26)
    file.seek(0)
    return head


def _has_frames(picture: Image.Image) -> bool:
    # A camera's MPO holds the same view again, as a preview or for the other eye.
    return picture.format != "MPO" and bool(getattr(picture, "is_animated", False))


def reason_of(error: Exception) -> str:
    """Why a picture can't be used, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture that Pillow knows"
    if isinstance(error, Image.DecompressionBombError):
        return "too large"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).partition("\n")[0]
    return text[:100] if text else type(error).__name__


def is_grey_mode(mode: str) -> bool:
    """Whether Pillow's images of a mode are grey."""
    return mode in GREY_MODES or mode.startswith("I;16")


def _is_grey(picture: Image.Image) -> bool:
    return is_grey_mode(picture.mode)


def _is_deep(picture: Image.Image) -> bool:
    # Pillow brings every PGM of more than 8 bits to 0..65535 in mode I; in any other format that mode means 32 bits.
    return picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format == "PPM")


def _turn(picture: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where it can't be read."""
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except Exception:  # broken EXIF is common; the picture is still good
        return 1


def plain_picture(picture: Image.Image, channels: int, white: int | None = None) -> Image.Image:
    """A Pillow image of any mode in mode L or RGB, by the rules of this file.

    Args:
        picture: in any mode.
        channels: 1 for grey, 3 for RGB.
        white: the number that is white in pictures of 16 bits; 65535 by default.

    Raises:
        ValueError: for what the rules refuse.
    """
    mode = picture_mode(channels)
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        picture = _eight_bit(picture, white or DEEP_WHITE)
    elif picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        # Premultiplied modes can be converted into one other mode each.
        direct = {"La": "LA", "RGBa": "RGBA"}.get(picture.mode)
        colour = (picture.convert(direct) if direct else picture).convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
    if picture.mode not in ("1", "L", "RGB"):
        picture = picture.convert("RGB")  # HSV, LAB, CMYK, YCbCr and palettes: the way to grey goes through RGB
    return picture if picture.mode == mode else picture.convert(mode)


def _eight_bit(picture: Image.Image, white: int) -> Image.Image:
    if picture.mode == "I" and not _is_deep(picture):
        raise ValueError("32-bit integers; save it with 8 or 16 bits")
    samples = np.asarray(picture)
    if picture.mode != "F":
        samples = samples.astype(np.uint16)
    return image_of_samples(samples[..., None], white, "grey")
