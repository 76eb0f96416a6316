"""Reading one image file. The rules:

- Values are those of the file: bytes, unsigned 16 bits, or float32 for signed integers, longer ones and floats. Of fewer
  than 8 bits the largest number becomes 255. What is black and white: `latens.images.ranges`.
- Grey stays one channel if all images of a data set are grey; grey among RGB becomes RGB. Grey is what the file says
  (modes 1, L, LA, 16-bit, float), not what its colours happen to be; a palette is RGB.
- Transparency (alpha, a transparent palette entry or colour) is laid on white.
- CMYK, YCbCr, HSV and L*a*b* become RGB.
- The orientation that a camera wrote (EXIF) is applied.
- Of several pages, z-slices or frames one is read, by default the first; or all of them as channels.
- An image of another shape is padded, cropped or stretched with antialiasing, see `latens.images.fit`.

TIFF is read by `latens.images.tiff`, FITS by `latens.images.fits`, DICOM by `latens.images.dicom`, deep PNG by
`latens.images.png`, deep PGM by `latens.images.pnm`, everything else by Pillow. Named pipes, sockets and devices are never
opened.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from latens.images.contract import MINIMUM_SIDE
from latens.images.dicom import dicom_values, is_dicom, look_at_dicom
from latens.images.fit import fit_picture
from latens.images.fits import fits_values, is_fits, look_at_fits
from latens.images.opening import open_regular, refuse_large
from latens.images.pixels import CHANNELS, WHITE, from_picture, is_grey, picture_mode
from latens.images.plan import Size
from latens.images.png import GREY_TYPES, has_late_metadata, png_head, png_values
from latens.images.pnm import pnm_depth, pnm_values
from latens.images.samples import image_in_bytes
from latens.images.tiff import has_range_of_bytes, is_tiff, look_at_tiff, tiff_values
from latens.images.white import DEEP_WHITE

__all__ = [
    "Look",
    "decode_picture",
    "is_grey_mode",
    "largest_number",
    "look_at",
    "open_picture",
    "picture_formats",
    "picture_suffixes",
    "plain_picture",
    "read_values",
    "reason_of",
    "upright_picture",
]

# EPS would start Ghostscript; the others are stubs that know a name but no pixels, or need Windows.
REFUSED_FORMATS = {"EPS", "WMF", "PDF", "MPEG", "HDF5", "GRIB", "BUFR", "FITS"}  # FITS: latens.images.fits reads it
COMMON_FORMATS = (
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "WEBP",
    "TIFF",
)  # Pillow tries them in turn
GREY_MODES = {"1", "L", "LA", "La", "I", "F"}
MODE_BYTES = {
    "1": 1,
    "L": 1,
    "P": 1,
    "I;16": 2,
    "I;16B": 2,
    "I;16L": 2,
    "I;16N": 2,
}  # of a pixel in Pillow; 4 in all others
CONVERTED_BYTES = 4  # of a pixel in RGB, into which it is converted
STRIP = 1 << 22  # pixels that are converted at a time: steps in between take up to 16 bytes a pixel
WEBP_BYTES = 12  # of a pixel: two canvases of its decoder, and Pillow's
WEBP_MASK = 0x3FFF
SCALED_FORMATS = ("JPEG", "MPO")
LONGEST_REASON = 160  # letters
HEAD_BYTES = 132  # as far as the mark of DICOM
ORIENTATION = 0x0112  # the EXIF tag
EXIF_KEYS = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"}  # of Pillow's info, where it can stand
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {  # by orientation, for (C, H, W)
    1: lambda a: a,
    2: lambda a: a[:, :, ::-1],
    3: lambda a: a[:, ::-1, ::-1],
    4: lambda a: a[:, ::-1],
    5: lambda a: a.swapaxes(1, 2),
    6: lambda a: a.swapaxes(1, 2)[:, :, ::-1],
    7: lambda a: a[:, ::-1, ::-1].swapaxes(1, 2),
    8: lambda a: a.swapaxes(1, 2)[:, ::-1],
}
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
        dtype: the type in which its values are kept: "uint8", "uint16" or "float32".
        channels: of an image.
        names: of the channels; empty where the file says none.
        pages: how many images the file holds.
        word: what they are called: pages, z-slices or frames.
        window: the values (low, high) that the file says are black and white, or None.
    """

    size: Size
    grey: bool
    dtype: str = "uint8"
    channels: int = 1
    names: tuple[str, ...] = ()
    pages: int = 1
    word: str = "pages"
    window: tuple[float, float] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is an ordinary image: bytes, grey or RGB."""
        return self.dtype == "uint8" and self.channels in CHANNELS and not self.names and self.window is None


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


def open_picture(file: IO[bytes]) -> Image.Image:
    """Open a picture by Pillow, in one of the formats that are read; its pixels are decoded later.

    Raises:
        Exception: any error of Pillow; ValueError if it is too large. A JPEG may be larger: it can be decoded at a smaller scale.
    """
    webp = _webp_size(_head(file))
    if webp is not None:  # Pillow takes memory for all of it before it looks at its size
        refuse_large(*webp, WEBP_BYTES)
    picture = Image.open(file, formats=picture_formats())
    if picture.format not in SCALED_FORMATS:
        converted = 0 if picture.mode == "RGB" else CONVERTED_BYTES
        refuse_large(picture.height, picture.width, MODE_BYTES.get(picture.mode, 4) + converted)
    return picture


def _webp_size(head: bytes) -> Size | None:
    """(H, W) of a WebP by its first bytes; None for what is none. Source: RFC 9649, sections 2.5 to 2.7."""
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[27:30], "little"), 1 + int.from_bytes(head[24:27], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits >> 14 & WEBP_MASK), 1 + (bits & WEBP_MASK)
    return int.from_bytes(head[28:30], "little") & WEBP_MASK, int.from_bytes(head[26:28], "little") & WEBP_MASK


def look_at(path: Path) -> Look:
    """Read the header of a picture.

    Raises:
        Exception: any error of Pillow, tifffile, astropy or pydicom; ValueError if the image is too small or not a file.
    """
    with open_regular(path) as file:
        look, turned = _look(file, path.name)
    height, width = look.size[::-1] if turned else look.size
    if min(width, height) < MINIMUM_SIDE:
        raise ValueError(f"too small: {height} x {width} pixels, at least {MINIMUM_SIDE} are needed")
    return look._replace(size=(height, width))


def _look(file: IO[bytes], name: str) -> tuple[Look, bool]:
    """What the header says, with the size as it is stored, and whether the image lies on its side."""
    head = _head(file)
    if is_fits(head, name):
        fits = look_at_fits(file)
        return Look(
            fits.size, is_grey(fits.channels), fits.dtype, fits.channels, pages=fits.pages, word="planes"
        ), False
    if is_dicom(head, name):
        dicom = look_at_dicom(file)
        channels = CHANNELS[0] if dicom.grey else CHANNELS[1]
        found = Look(dicom.size, dicom.grey, dicom.dtype, channels, (), dicom.pages, "frames", dicom.window)
        return found, False
    if is_tiff(head):
        tiff = look_at_tiff(file)
        look = Look(tiff.size, tiff.grey, tiff.dtype, tiff.channels, tiff.names, tiff.pages, tiff.word)
        return look, tiff.orientation in SIDEWAYS
    png, most = png_head(head), pnm_depth(file)
    with open_picture(file) as picture:
        width, height = picture.size
        # Pillow has 16 bits of grey and alpha as the four bytes of RGBA.
        grey = _is_grey(picture) if png is None else png.colour in GREY_TYPES
        frames = _frames(picture)
        dtype = _kept_type(picture)
        if (png is not None and png.bits == 16) or most > WHITE:
            dtype = "uint16"
        # Asking a PNG for EXIF decodes all of it where none stands before the pixels: only if some follows them.
        early = not EXIF_KEYS.isdisjoint(picture.info)
        knows = png is None or early or has_late_metadata(file)
        turned = knows and _turn(picture) in SIDEWAYS
    return Look((height, width), grey, dtype, CHANNELS[0 if grey else 1], pages=frames, word="frames"), turned


def decode_picture(
    path: Path, size: Size, channels: int, white: int | None = None, fit: str = "pad", page: int = 0
) -> np.ndarray:
    """Decode an ordinary image (`Look.is_plain`) by the rules of this file.

    Args:
        path: the file.
        size: (H, W) to come.
        channels: 1 for grey, 3 for RGB.
        white: the number that becomes 255; by default 255.
        fit: how an image of another shape comes to the size, see `latens.images.fit`.
        page: which image of the file, from 0.

    Returns:
        uint8 (C, H, W).

    Raises:
        Exception: any error of Pillow, tifffile, astropy or pydicom; ValueError for what the rules refuse.
    """
    with open_regular(path) as file:
        head = _head(file)
        others = _values_of_others(file, path.name, head, [page])
        if others is not None:
            values, orientation = next(others)
            picture = _in_bytes(values, white)
        else:
            # An open file, not its name: by name Pillow would map some files and get turned ones wrong (seen in 13.0).
            picture = open_picture(file)
            if page:
                picture.seek(page)
            # A large JPEG is decoded at an eighth to a half, yet at least at twice what is needed.
            picture.draft("", (2 * max(size), 2 * max(size)))
            png = png_head(head)
            flat = None if png is None or page else png_values(picture, file, png)
            picture.load()
            orientation = _turn(picture)
            whole = picture.mode == "L" and (png is None or png.bits == 8)
            if flat is not None:
                picture = _in_bytes(flat, white if whole else None)
            elif white is not None and white < WHITE and whole:
                picture = _in_bytes(np.asarray(picture)[..., None], white)
        with picture:
            upright = _turned(plain_picture(picture, channels, white), orientation)
            return from_picture(fit_picture(upright, size, fit))


def _in_bytes(values: np.ndarray, white: int | None) -> Image.Image:
    return image_in_bytes(values, WHITE if white is None or not is_grey(values.shape[2]) else min(white, WHITE))


def read_values(path: Path, pages: Sequence[int] | None = (0,)) -> Iterator[np.ndarray]:
    """The values of images as their file has them, the right way up.

    Args:
        path: the file.
        pages: which images of the file, from 0; None for all of them as the channels of one.

    Returns:
        One after another uint8, uint16 or float32 (C, H, W).

    Raises:
        Exception: as `decode_picture`.
    """
    with open_regular(path) as file:
        head = _head(file)
        found = _values_of_others(file, path.name, head, pages)
        for values, orientation in _values_by_pillow(file, head, pages) if found is None else found:
            yield np.ascontiguousarray(UPRIGHT[orientation](values.transpose(2, 0, 1)))


def _values_of_others(
    file: IO[bytes], name: str, head: bytes, pages: Sequence[int] | None
) -> Iterator[tuple[np.ndarray, int]] | None:
    """The values (H, W, C) of files that Pillow doesn't read as they are, with their orientation; None for all others."""
    if is_dicom(head, name):
        return ((values, 1) for values in dicom_values(file, pages))
    if is_fits(head, name):
        return ((values, 1) for values in fits_values(file, pages))
    if is_tiff(head):
        return tiff_values(file, pages)
    return iter([(pnm_values(file), 1)]) if pnm_depth(file) > WHITE else None


def _values_by_pillow(file: IO[bytes], head: bytes, pages: Sequence[int] | None) -> Iterator[tuple[np.ndarray, int]]:
    with open_picture(file) as picture:
        if pages is None:
            frames = [_pillow_values(picture, file, head, page) for page in range(_frames(picture))]
            yield np.concatenate(frames, axis=2), _turn(picture)
        for page in pages or ():
            yield _pillow_values(picture, file, head, page), _turn(picture)


def _pillow_values(picture: Image.Image, file: IO[bytes], head: bytes, page: int) -> np.ndarray:
    if page or picture.tell():
        picture.seek(page)
    png = png_head(head)
    flat = None if png is None or page else png_values(picture, file, png)
    if flat is not None:
        return flat
    picture.load()
    if picture.mode.startswith("I;16"):
        return np.asarray(picture).astype(np.uint16)[..., None]
    if picture.mode in ("I", "F"):
        return np.asarray(picture).astype(np.float32)[..., None]
    channels = CHANNELS[0 if _is_grey(picture) else 1]
    return from_picture(plain_picture(picture, channels)).transpose(1, 2, 0)


def largest_number(path: Path, page: int = 0) -> int | None:
    """The largest number of a grey image of 8 bits; None where the range of its numbers is known from its kind.

    Raises:
        Exception: as `decode_picture`.
    """
    with open_regular(path) as file:
        head = _head(file)
        others = _values_of_others(file, path.name, head, [page])
        if others is not None:
            return int(next(others)[0].max()) if is_tiff(head) and has_range_of_bytes(file) else None
        with open_picture(file) as picture:
            if page:
                picture.seek(page)
            png = png_head(head)
            return int(np.asarray(picture).max()) if picture.mode == "L" and (png is None or png.bits == 8) else None


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
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return head


def _frames(picture: Image.Image) -> int:
    # A camera's MPO holds the same view again, as a preview or for the other eye.
    return 1 if picture.format == "MPO" else int(getattr(picture, "n_frames", 1))


def reason_of(error: Exception) -> str:
    """Why a picture can't be used, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows"
    if isinstance(error, Image.DecompressionBombError):
        return "too large"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = str(error).partition("\n")[0]
    return text[:LONGEST_REASON] if text else type(error).__name__


def is_grey_mode(mode: str) -> bool:
    """Whether Pillow's images of a mode are grey."""
    return mode in GREY_MODES or mode.startswith("I;16")


def _is_grey(picture: Image.Image) -> bool:
    return is_grey_mode(picture.mode)


def _kept_type(picture: Image.Image) -> str:
    if picture.mode.startswith("I;16"):
        return "uint16"
    return "float32" if picture.mode in ("I", "F") else "uint8"


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
    if picture.mode == mode and "transparency" not in picture.info:
        return picture
    if picture.width * picture.height <= STRIP:
        return _plain(picture, mode, white)
    plain, rows = Image.new(mode, picture.size), max(1, STRIP // picture.width)
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        plain.paste(_plain(strip, mode, white), (0, top))
    return plain


def _plain(picture: Image.Image, mode: str, white: int | None) -> Image.Image:
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
    if picture.mode == "I":
        raise ValueError("32-bit integers; save it with 8 or 16 bits")
    samples = np.asarray(picture)
    return image_in_bytes((samples if picture.mode == "F" else samples.astype(np.uint16))[..., None], white)
