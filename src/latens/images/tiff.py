"""TIFF files: tifffile reads their structure, this module turns the samples into pixels.

- The first page counts that is neither a thumbnail nor a mask. Tiles and strips, one plane for each sample or all in one,
  both byte orders, BigTIFF, and samples of 1 to 16 bits or of floats are read.
- Unsigned integers are scaled so that the largest number of their depth is white ("min-is-white" the other way round),
  floats lie in [0, 1]. Integers of more than 16 bits and signed ones are refused, since nothing says which value is white.
- Extra samples that are alpha are laid on white, others are ignored. Palettes and CMYK become RGB.
- LZW, deflate, PackBits, LZMA and Zstandard are unpacked by Pillow's libtiff; JPEG and fax files are read by Pillow alone.
  Other compressions are read where imagecodecs is installed.

Source: TIFF 6.0 (Adobe, 1992) with Technical Note 3 (floating-point predictor).
"""

import io
import logging
import struct
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from latens.images.pixels import WHITE
from latens.images.samples import Alpha, Kind, image_of_samples

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

__all__ = ["TiffLook", "is_tiff", "largest_in_tiff", "look_at_tiff", "read_tiff", "tiff_samples"]

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, little and big endian
BY_LIBTIFF = {5, 8, 32773, 32946, 34925, 50000}  # LZW, deflate, PackBits, old deflate, LZMA, Zstandard
BY_PILLOW = {2, 3, 4, 6, 7, 32771}  # fax and JPEG
LARGEST_RATIO = {1: 1, 5: 4096, 8: 1100, 32773: 128, 32946: 1100}  # unpacked bytes for each byte; more is impossible
REDUCED, MASK = 1, 4  # bits of NewSubfileType
PREDICTOR_DIFFERENCES, PREDICTOR_FLOATS = 2, 3
GREY = {0: "inverted", 1: "grey"}


class TiffLook(NamedTuple):
    """What the header of a TIFF says: (H, W) as stored, the orientation 1 to 8, whether grey, deep, of several pages."""

    size: tuple[int, int]
    orientation: int
    grey: bool
    deep: bool  # unsigned integers of 16 bits
    several: bool


def is_tiff(head: bytes) -> bool:
    """Whether a file that starts with these bytes is a TIFF."""
    return head[:4] in MAGIC


def look_at_tiff(file: IO[bytes]) -> TiffLook:
    """Read the header.

    Raises:
        ValueError: the file is damaged or has no page that can be read.
    """
    with _opened(file) as tiff:
        page, number = _first_page(tiff)
        _check_size(page)
        deep = page.photometric in (0, 1, 2) and page.bitspersample == 16 and _is_unsigned(page)
        return TiffLook(
            (page.imagelength, page.imagewidth),
            _orientation(page),
            page.photometric in GREY,
            deep,
            _has_page(tiff, number + 1),
        )


def read_tiff(file: IO[bytes], white: int | None) -> tuple[Image.Image, int]:
    """The first page as it is stored, and its orientation (1 where it is upright already).

    Args:
        file: opened for reading.
        white: the number that is white where samples reach beyond it; by default the largest of their depth.

    Returns:
        An image of mode L or RGB, or of a mode of Pillow's that becomes one.

    Raises:
        ValueError: for what the rules refuse; any error of Pillow or tifffile for damaged files.
    """
    with _opened(file) as tiff:
        page, number = _first_page(tiff)
        _check_size(page)
        if page.compression in BY_PILLOW or page.photometric in (6, 8, 9, 10):  # YCbCr, L*a*b*
            return _by_pillow(file, page, number), 1
        samples = _samples(tiff, page)
        return _image(page, samples, white), _orientation(page)


def largest_in_tiff(file: IO[bytes]) -> int | None:
    """The largest number of the first page's colours; None where the range of its numbers is known from its kind.

    Raises:
        Exception: as `read_tiff`.
    """
    with _opened(file) as tiff:
        page, _ = _first_page(tiff)
        _check_size(page)
        colours = {0: 1, 1: 1, 2: 3}.get(int(page.photometric))
        if (
            colours is None
            or page.compression in BY_PILLOW
            or _most_bits(page) not in (8, 16)
            or not _is_unsigned(page)
        ):
            return None
        return int(_samples(tiff, page)[..., :colours].max())


def tiff_samples(file: IO[bytes]) -> np.ndarray:
    """The samples of the first page, (H, W, S) in their own type."""
    with _opened(file) as tiff:
        page, _ = _first_page(tiff)
        _check_size(page)
        return _samples(tiff, page)


class _opened:
    """A file as tifffile has it; its errors as ValueErrors, its warnings (of odd metadata) unprinted."""

    def __init__(self, file: IO[bytes]) -> None:
        from tifffile import TiffFile

        _quiet()
        file.seek(0)
        try:
            self.tiff = TiffFile(file)
        except Exception as error:
            raise ValueError(_reason(error)) from None

    def __enter__(self) -> "TiffFile":
        return self.tiff

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.tiff.close()
        known = (ValueError, OSError, MemoryError, Image.DecompressionBombError)
        if isinstance(error, Exception) and not isinstance(error, known):
            raise ValueError(_reason(error)) from None  # a damaged header leads tifffile and this module astray


def _quiet() -> None:
    """Keep Python from printing tifffile's warnings if logging is not set up."""
    log = logging.getLogger("tifffile")
    if not log.handlers:
        log.addHandler(logging.NullHandler())


def _reason(error: Exception) -> str:
    return f"damaged TIFF ({str(error).partition(chr(10))[0][:60] or type(error).__name__})"


def _first_page(tiff: "TiffFile") -> tuple["TiffPage", int]:
    number = 0
    while _has_page(tiff, number):
        page: Any = tiff.pages[number]
        if not int(page.subfiletype) & (REDUCED | MASK):
            return page, number
        number += 1
    if number == 0:
        raise ValueError("a TIFF without pages")
    first: Any = tiff.pages[0]
    return first, 0


def _has_page(tiff: "TiffFile", number: int) -> bool:
    try:
        tiff.pages[number]
    except IndexError:
        return False
    return True


def _check_size(page: "TiffPage") -> None:
    """Refuse what is no flat image, and what would need more memory than any image."""
    height, width = page.imagelength, page.imagewidth
    if min(height, width) < 1:
        raise ValueError("an empty picture")
    if page.imagedepth > 1:
        raise ValueError(f"a volume of {page.imagedepth} layers; save the layers as pictures")
    if height * width > 2 * (Image.MAX_IMAGE_PIXELS or height * width):
        raise Image.DecompressionBombError
    stored = sum(page.databytecounts)
    needed = height * width * page.samplesperpixel * _most_bits(page) // 8
    ratio = LARGEST_RATIO.get(int(page.compression))
    if ratio is not None and needed > ratio * stored:
        raise ValueError("ends too early")


def _most_bits(page: "TiffPage") -> int:
    bits: Any = page.bitspersample  # one number, or one for each sample where they differ
    return max(bits) if isinstance(bits, tuple) else int(bits)


def _orientation(page: "TiffPage") -> int:
    tag = page.tags.get(274)
    value = tag.value if tag is not None else 1
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1


def _is_unsigned(page: "TiffPage") -> bool:
    return int(page.sampleformat or 1) in (1, 4)  # 4: undefined, which readers take as unsigned


def _image(page: "TiffPage", samples: np.ndarray, white: int | None) -> Image.Image:
    bits = _most_bits(page)
    count = samples.shape[2]
    if page.photometric == 3:
        return _through_palette(page, samples, bits)
    kinds: dict[int, Kind] = {0: "inverted", 1: "grey", 2: "rgb", 5: "cmyk"}
    kind = kinds.get(int(page.photometric))
    if kind is None:
        raise ValueError(f"pixels of the kind {_word(page.photometric)}; save it as grey or RGB")
    colours = {"inverted": 1, "grey": 1, "rgb": 3, "cmyk": 4}[kind]
    if count < colours:
        raise ValueError(f"{count} samples a pixel, although {_word(page.photometric)} needs {colours}")
    if samples.dtype.kind in "iu" and bits > 16:
        raise ValueError(f"{bits}-bit integers; save it with 8 or 16 bits")
    largest = (1 << bits) - 1
    if white is None or kind == "cmyk" or bits < 8:
        white = largest
    return image_of_samples(samples, min(white, largest), kind, _alpha(page, count, colours))


def _alpha(page: "TiffPage", count: int, colours: int) -> Alpha:
    if count <= colours:
        return "none"
    extra = [int(value) for value in page.extrasamples]
    if not extra and colours == 3 and count == 4:
        return "straight"  # the tag is missing; Pillow reads such files so too
    kinds: dict[int, Alpha] = {1: "premultiplied", 2: "straight"}
    return kinds.get(extra[0], "none") if extra else "none"


def _through_palette(page: "TiffPage", samples: np.ndarray, bits: int) -> Image.Image:
    colours = page.colormap
    if colours is None or samples.dtype.kind != "u" or bits > 16:
        raise ValueError("a palette picture without a palette")
    indices = samples[..., 0]
    if int(indices.max()) >= colours.shape[1]:
        raise ValueError(f"a colour {indices.max()} that its palette of {colours.shape[1]} lacks")
    # Colours have 16 bits, written as 257 or as 256 times a byte; some programs forget both, which libtiff allows for, too.
    high = colours >> 8 if colours.max() > WHITE else colours
    rgb = high.T[indices].astype(np.uint8)
    alpha = _alpha(page, samples.shape[2], 1) if bits == 8 else "none"
    return image_of_samples(np.dstack([rgb, samples[..., 1:].astype(np.uint8)]), WHITE, "rgb", alpha)


def _by_pillow(file: IO[bytes], page: "TiffPage", number: int) -> Image.Image:
    plain = page.imagelength * page.imagewidth * page.samplesperpixel
    if page.photometric == 6 and page.compression == 1 and sum(page.databytecounts) < plain:
        raise ValueError("YCbCr with fewer colours than pixels; save it as RGB")
    if _most_bits(page) > 8:
        raise ValueError(f"{_word(page.compression)} of {_most_bits(page)} bits; save it as plain TIFF or as PNG")
    file.seek(0)
    picture = Image.open(file, formats=["TIFF"])
    picture.seek(number)
    picture.load()
    return picture


def _word(value: Any) -> str:
    """A code of TIFF's by its name."""
    return str(getattr(value, "name", value)).replace("_", " ").lower()


def _samples(tiff: "TiffFile", page: "TiffPage") -> np.ndarray:
    """(H, W, S), in native byte order."""
    if page.compression != 1 and page.compression not in BY_LIBTIFF:
        return _by_imagecodecs(page)
    bits: Any = page.bitspersample
    if isinstance(bits, tuple):
        raise ValueError(f"samples of {', '.join(map(str, bits))} bits; save it with 8 bits each")
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    each = page.samplesperpixel // planes
    result: np.ndarray | None = None
    for number, (plane, top, left, height, width) in enumerate(_places(page, planes)):
        if number >= min(len(page.dataoffsets), len(page.databytecounts)):
            raise ValueError("ends too early")
        content = _segment(tiff, page, number, height, _row_bytes(page, width, each))
        block = _unpack(tiff, page, content, height, width, each)
        if result is None:
            result = np.zeros((page.imagelength, page.imagewidth, page.samplesperpixel), block.dtype)
        here = result[top : top + height, left : left + width, plane * each : (plane + 1) * each]
        here[:] = block[: here.shape[0], : here.shape[1]]
    assert result is not None, "a picture has at least one segment"
    return result


def _by_imagecodecs(page: "TiffPage") -> np.ndarray:
    try:
        array = page.asarray(maxworkers=1)
    except ImportError:
        raise ValueError(_needs_imagecodecs(page)) from None
    except (ValueError, NotImplementedError, KeyError) as error:
        if "imagecodecs" in str(error):
            raise ValueError(_needs_imagecodecs(page)) from None
        raise ValueError(_reason(error)) from None
    if array.ndim == 2:
        return array[..., None]
    return array.transpose(1, 2, 0) if page.planarconfig == 2 and page.samplesperpixel > 1 else array


def _needs_imagecodecs(page: "TiffPage") -> str:
    return f"compressed by {_word(page.compression)}, which needs: pip install imagecodecs"


def _places(page: "TiffPage", planes: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Position of each segment: plane, top, left, height, width (tiles may reach beyond the picture)."""
    height, width = page.imagelength, page.imagewidth
    if page.is_tiled:
        tall, wide = page.tilelength, page.tilewidth
    else:
        tall, wide = min(page.rowsperstrip or height, height), width
    for plane in range(planes):
        for top in range(0, height, tall):
            for left in range(0, width, wide):
                rows = tall if page.is_tiled else min(tall, height - top)
                yield plane, top, left, rows, wide


def _row_bytes(page: "TiffPage", width: int, each: int) -> int:
    return -(-width * each * _most_bits(page) // 8)


def _segment(tiff: "TiffFile", page: "TiffPage", number: int, rows: int, row_bytes: int) -> bytes:
    """A segment's bytes, unpacked."""
    handle = tiff.filehandle
    handle.seek(page.dataoffsets[number])
    content = handle.read(page.databytecounts[number])
    if page.fillorder == 2:
        content = np.packbits(np.unpackbits(np.frombuffer(content, np.uint8)), bitorder="little").tobytes()
    if page.compression != 1:
        content = _unpacked(content, page.compression, rows, row_bytes)
    if len(content) < rows * row_bytes:
        raise ValueError("ends too early")
    return content[: rows * row_bytes]


def _unpacked(content: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """Unpack a compressed segment by libtiff, which gets a file of one strip of 8-bit grey that holds the segment."""
    tags = [
        (256, row_bytes), (257, rows), (258, 8), (259, int(compression)), (262, 1),
        (273, 8), (277, 1), (278, rows), (279, len(content)),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    padded = content + b"\0" * (len(content) % 2)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(padded))
    file = io.BytesIO(head + padded + struct.pack("<H", len(tags)) + directory + struct.pack("<I", 0))
    try:
        with Image.open(file, formats=["TIFF"]) as picture:
            return picture.tobytes()
    except (OSError, SyntaxError):
        raise ValueError("damaged TIFF (its pixels can't be unpacked)") from None


def _unpack(tiff: "TiffFile", page: "TiffPage", content: bytes, rows: int, width: int, each: int) -> np.ndarray:
    """A segment's samples, (rows, width, each)."""
    bits, numbers = _most_bits(page), width * each
    order = tiff.byteorder
    form = int(page.sampleformat or 1)
    if form == 3 and bits in (16, 32, 64):
        if page.predictor == PREDICTOR_FLOATS:
            return _undo_floats(content, rows, width, each, bits // 8)
        return np.frombuffer(content, f"{order}f{bits // 8}").reshape(rows, width, each).astype(f"=f{bits // 8}")
    if form not in (1, 2, 4):
        raise ValueError(f"samples of the kind {_word(page.sampleformat)} with {bits} bits; save it with 8 or 16 bits")
    kind = "i" if form == 2 else "u"
    if bits in (8, 16, 32, 64):
        values = np.frombuffer(content, f"{order}{kind}{bits // 8}").reshape(rows, width, each)
        values = values.astype(f"={kind}{bits // 8}")
        if page.predictor == PREDICTOR_DIFFERENCES:
            values = np.cumsum(values, axis=1, dtype=values.dtype)
        return values
    if bits > 16 or page.predictor != 1:
        raise ValueError(f"{bits}-bit integers; save it with 8 or 16 bits")
    if kind == "i":
        raise ValueError("signed integers; nothing says which value is white: save it as unsigned 8 or 16 bits")
    stream = np.unpackbits(np.frombuffer(content, np.uint8)).reshape(rows, -1)[:, : numbers * bits]
    powers = (1 << np.arange(bits)[::-1]).astype(np.uint16)
    packed: np.ndarray = (stream.reshape(rows, width, each, bits) * powers).sum(3, dtype=np.uint16)
    return packed.astype(np.uint8 if bits <= 8 else np.uint16)


def _undo_floats(content: bytes, rows: int, width: int, each: int, size: int) -> np.ndarray:
    """Technical Note 3: bytes of like weight lie together, highest first, as differences from their left neighbours."""
    differences = np.frombuffer(content, np.uint8).reshape(rows, size * width, each)
    summed = np.cumsum(differences, axis=1, dtype=np.uint8).reshape(rows, size, width * each)
    together = np.ascontiguousarray(summed.transpose(0, 2, 1))
    floats: np.ndarray = together.view(f">f{size}").reshape(rows, width, each).astype(f"=f{size}")
    return floats
