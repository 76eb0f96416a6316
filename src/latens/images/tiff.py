"""TIFF files: tifffile reads their structure, this module turns the samples into pixels.

- Which pages make an image, and which pages are its channels: `latens.images.tiff_pages`.
- Tiles and strips, one plane for each sample or all in one, both byte orders, BigTIFF, and samples of 1 to 64 bits are read.
- Unsigned integers of 8 to 16 bits keep their values, of fewer bits the largest becomes 255. Signed and longer integers
  and floats become float32. "Min-is-white" is turned round.
- Extra samples that are alpha are laid on white; others are further channels. Palettes and CMYK become RGB.
- LZW, deflate, PackBits, LZMA and Zstandard are unpacked by Pillow's libtiff; JPEG and fax files are read by Pillow alone.
  Other compressions are read where imagecodecs is installed.

Source: TIFF 6.0 (Adobe, 1992) with Technical Note 3 (floating-point predictor).
"""

import io
import logging
import struct
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from latens.images.opening import refuse_large
from latens.images.pixels import MOST_CHANNELS, WHITE
from latens.images.samples import COLOURS, Alpha, Kind, kept_type, values_of_samples
from latens.images.tiff_pages import Plane, images_of

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

__all__ = ["TiffLook", "has_range_of_bytes", "is_tiff", "look_at_tiff", "tiff_values"]

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # classic and BigTIFF, little and big endian
BY_LIBTIFF = {5, 8, 32773, 32946, 34925, 50000}  # LZW, deflate, PackBits, old deflate, LZMA, Zstandard
BY_PILLOW = {2, 3, 4, 6, 7, 32771}  # fax and JPEG
LARGEST_RATIO = {1: 1, 5: 4096, 8: 1100, 32773: 128, 32946: 1100}  # unpacked bytes for each byte; more is impossible
PREDICTOR_DIFFERENCES, PREDICTOR_FLOATS = 2, 3
GREY = {0: "inverted", 1: "grey"}
KINDS: dict[int, Kind] = {0: "inverted", 1: "grey", 2: "rgb", 5: "cmyk"}  # of the tag PhotometricInterpretation


class TiffLook(NamedTuple):
    """What the header of a TIFF says of the images in it.

    Args:
        size: (H, W) as stored.
        orientation: 1 to 8.
        grey: whether they are grey.
        dtype: the type in which their values are kept.
        channels: of an image.
        names: of the channels; empty where the file says none.
        pages: how many images there are.
        word: what they are called.
    """

    size: tuple[int, int]
    orientation: int
    grey: bool
    dtype: str
    channels: int
    names: tuple[str, ...]
    pages: int
    word: str


def is_tiff(head: bytes) -> bool:
    """Whether a file that starts with these bytes is a TIFF."""
    return head[:4] in MAGIC


def look_at_tiff(file: IO[bytes]) -> TiffLook:
    """Read the header.

    Raises:
        ValueError: the file is damaged or has no page that can be read.
    """
    with _opened(file) as tiff:
        stack = images_of(tiff)
        key = stack.key
        _check_size(key)
        _check_kind(key)
        each = _channels(key)
        grey = key.photometric in GREY and each == stack.planes == 1
        dtype = "uint8" if key.photometric == 3 or _is_pillows(key) else kept_type(_kind(key), _most_bits(key))
        size = (key.imagelength, key.imagewidth)
        names = stack.names if len(stack.names) == each * stack.planes else ()
        return TiffLook(size, _orientation(key), grey, dtype, each * stack.planes, names, len(stack), stack.word)


def tiff_values(file: IO[bytes], numbers: Sequence[int] | None = (0,)) -> Iterator[tuple[np.ndarray, int]]:
    """Images with the values that the file has, and their orientation (1 where they are upright already).

    Args:
        file: opened for reading.
        numbers: which images, from 0; None for all of them as the channels of one.

    Returns:
        One after another (H, W, C) of uint8, uint16 or float32, see `latens.images.samples.values_of_samples`.

    Raises:
        ValueError: for what the rules refuse; any error of Pillow or tifffile for damaged files.
    """
    with _opened(file) as tiff:
        stack = images_of(tiff)
        key = stack.key
        _check_size(key)
        _check_kind(key)
        upright = 1 if _is_pillows(key) else _orientation(key)
        for number in [None] if numbers is None else numbers:
            if number is not None and number >= len(stack):
                raise ValueError(f"{stack.word[:-1]} {number + 1} of {len(stack)}")
            rows = stack.numbers.reshape(-1) if number is None else stack.numbers[number]
            if len(rows) * _channels(key) > MOST_CHANNELS:
                raise ValueError(f"{len(rows) * _channels(key)} channels; allowed are up to {MOST_CHANNELS}")
            planes = [_plane_values(tiff, file, stack.plane(int(row))) for row in rows]
            yield (planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)), upright


def has_range_of_bytes(file: IO[bytes]) -> bool:
    """Whether it is grey of 8 bits, whose range is not known from its kind."""
    with _opened(file) as tiff:
        key = images_of(tiff).key
        return key.photometric in GREY and _most_bits(key) == 8 and not _is_pillows(key)


def _plane_values(tiff: "TiffFile", file: IO[bytes], plane: "Plane") -> np.ndarray:
    key = plane.key
    if _is_pillows(key):
        picture = _by_pillow(file, key, plane.number)
        plain = picture if picture.mode in ("L", "RGB") else picture.convert("L" if picture.mode == "1" else "RGB")
        array = np.asarray(plain)
        return array[..., None] if array.ndim == 2 else array
    samples = _samples(tiff, plane)
    if key.photometric == 3:
        return _through_palette(key, samples, _most_bits(key))
    kind = KINDS[int(key.photometric)]
    if samples.shape[2] < COLOURS[kind]:
        raise ValueError(f"{samples.shape[2]} samples a pixel, although {_word(key.photometric)} needs {COLOURS[kind]}")
    return values_of_samples(samples, _most_bits(key), kind, _alpha(key, samples.shape[2], COLOURS[kind]))


def _check_kind(page: "TiffPage") -> None:
    """Refuse pixels of kinds that are no grey values and no colours."""
    if int(page.photometric) not in KINDS and page.photometric != 3 and not _is_pillows(page):
        raise ValueError(f"pixels of the kind {_word(page.photometric)}; save it as grey or RGB")


def _channels(page: "TiffPage") -> int:
    """How many channels one page has; alpha is none."""
    if page.photometric == 3 or _is_pillows(page):
        return 1 if int(page.photometric) in GREY else 3
    kind = KINDS[int(page.photometric)]
    if kind == "cmyk":
        return 3
    count = int(page.samplesperpixel)
    return COLOURS[kind] if _alpha(page, count, COLOURS[kind]) != "none" else count


def _kind(page: "TiffPage") -> str:
    """The kind of its numbers as NumPy has it."""
    return {2: "i", 3: "f"}.get(int(page.sampleformat or 1), "u")


def _is_pillows(page: "TiffPage") -> bool:
    """Whether Pillow alone reads it: fax, JPEG, YCbCr and L*a*b*."""
    return page.compression in BY_PILLOW or page.photometric in (6, 8, 9, 10)


class _opened:
    """A file as tifffile has it; its errors as ValueErrors, its warnings (of odd metadata) unprinted."""

    def __init__(self, file: IO[bytes]) -> None:
        from tifffile import TiffFile

        _quiet()
        _check_directories(file)
        file.seek(0)
        try:
            self.tiff = TiffFile(file, _multifile=False)  # what lies in other files is no image of this one
        except Exception as error:
            raise ValueError(_reason(error)) from None

    def __enter__(self) -> "TiffFile":
        return self.tiff

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.tiff.close()
        known = (ValueError, OSError, MemoryError, Image.DecompressionBombError)
        if isinstance(error, Exception) and not isinstance(error, known):
            raise ValueError(_reason(error)) from None  # a damaged header leads tifffile and this module astray


def _check_directories(file: IO[bytes]) -> None:
    """Refuse a file whose directories claim more bytes than it has: tifffile would read each of their entries.

    What is damaged in another way is left to tifffile. Source: TIFF 6.0, section 2; BigTIFF.

    Raises:
        ValueError: they overlap, or end behind the file.
    """
    size = left = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    count, entry, following = ("Q", 20, "Q") if big else ("H", 12, "I")
    place = struct.unpack_from(order + following, head.ljust(16, b"\0"), 8 if big else 4)[0]
    while 0 < place < size:
        file.seek(place)
        entries = _number(file, order + count)
        length = struct.calcsize(order + count) + entries * entry
        left -= length
        if left < 0:
            raise ValueError("damaged TIFF (its directories claim more than the file has)")
        file.seek(place + length)
        place = _number(file, order + following)


def _number(file: IO[bytes], form: str) -> int:
    """The next number of a file; 0 where it ends before."""
    content = file.read(struct.calcsize(form))
    return int(struct.unpack(form, content)[0]) if len(content) == struct.calcsize(form) else 0


def _quiet() -> None:
    """Keep Python from printing tifffile's warnings if logging is not set up."""
    log = logging.getLogger("tifffile")
    if not log.handlers:
        log.addHandler(logging.NullHandler())


def _reason(error: Exception) -> str:
    return f"damaged TIFF ({str(error).partition(chr(10))[0][:60] or type(error).__name__})"


def _check_size(page: "TiffPage") -> None:
    """Refuse what is no flat image, and what would need more memory than any image."""
    height, width = page.imagelength, page.imagewidth
    if min(height, width) < 1:
        raise ValueError("an empty image")
    if page.imagedepth > 1:
        raise ValueError(f"a volume of {page.imagedepth} layers; save the layers as images")
    refuse_large(height, width, max(1, page.samplesperpixel * _most_bits(page) // 8))
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


def _alpha(page: "TiffPage", count: int, colours: int) -> Alpha:
    if count <= colours:
        return "none"
    extra = [int(value) for value in page.extrasamples]
    if not extra and colours == 3 and count == 4:
        return "straight"  # the tag is missing; Pillow reads such files so too
    kinds: dict[int, Alpha] = {1: "premultiplied", 2: "straight"}
    return kinds.get(extra[0], "none") if extra else "none"


def _through_palette(page: "TiffPage", samples: np.ndarray, bits: int) -> np.ndarray:
    colours = page.colormap
    if colours is None or samples.dtype.kind != "u" or bits > 16:
        raise ValueError("a palette image without a palette")
    indices = samples[..., 0]
    if int(indices.max()) >= colours.shape[1]:
        raise ValueError(f"a colour {indices.max()} that its palette of {colours.shape[1]} lacks")
    # Colours have 16 bits, written as 257 or as 256 times a byte; some programs forget both, which libtiff allows for, too.
    high = colours >> 8 if colours.max() > WHITE else colours
    rgb = high.T[indices].astype(np.uint8)
    alpha = _alpha(page, samples.shape[2], 1) if bits == 8 else "none"
    return values_of_samples(
        rgb if alpha == "none" else np.dstack([rgb, samples[..., 1:2].astype(np.uint8)]), 8, "rgb", alpha
    )


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


def _samples(tiff: "TiffFile", plane: Plane) -> np.ndarray:
    """(H, W, S), in native byte order."""
    page = plane.key
    if page.compression != 1 and page.compression not in BY_LIBTIFF:
        return _by_imagecodecs(plane.page)
    bits: Any = page.bitspersample
    if isinstance(bits, tuple):
        raise ValueError(f"samples of {', '.join(map(str, bits))} bits; save it with 8 bits each")
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    each = page.samplesperpixel // planes
    result: np.ndarray | None = None
    for number, (sample, top, left, height, width) in enumerate(_places(page, planes)):
        if number >= min(len(plane.offsets), len(plane.counts)):
            raise ValueError("ends too early")
        content = _segment(tiff, plane, number, height, _row_bytes(page, width, each))
        block = _unpack(tiff, page, content, height, width, each)
        if result is None:
            result = np.zeros((page.imagelength, page.imagewidth, page.samplesperpixel), block.dtype)
        here = result[top : top + height, left : left + width, sample * each : (sample + 1) * each]
        here[:] = block[: here.shape[0], : here.shape[1]]
    assert result is not None, "an image has at least one segment"
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


def _segment(tiff: "TiffFile", plane: Plane, number: int, rows: int, row_bytes: int) -> bytes:
    """A segment's bytes, unpacked."""
    page, handle = plane.key, tiff.filehandle
    handle.seek(plane.offsets[number])
    content = handle.read(plane.counts[number])
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
        raise ValueError(f"signed integers of {bits} bits; save it with 8 or 16 bits")
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
