"""PNG files that Pillow reads with too few bits: 16-bit samples, and transparent colours of other depths than 8."""

import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from latens.images.pixels import WHITE
from latens.images.samples import Alpha, Kind, image_of_samples
from latens.images.white import DEEP_WHITE

__all__ = ["PngHead", "has_late_metadata", "largest_in_png", "png_head", "read_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
METADATA = {b"eXIf", b"zTXt", b"tEXt", b"iTXt"}  # where an orientation can stand


class PngHead(NamedTuple):
    """Bits a sample, the colour type of the standard (0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA)."""

    bits: int
    colour: int


def png_head(head: bytes) -> PngHead | None:
    """From the first 26 bytes of a file; None if it is no PNG."""
    if len(head) < 26 or head[:8] != SIGNATURE or head[12:16] != b"IHDR":
        return None
    return PngHead(head[24], head[25])


def has_late_metadata(file: IO[bytes]) -> bool:
    """Whether metadata that may tell the orientation follow the pixels, as the standard allows."""
    place, names = file.tell(), list(_chunks(file))
    file.seek(place)
    return b"IDAT" in names and not METADATA.isdisjoint(names[names.index(b"IDAT") :])


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(len(SIGNATURE))
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">I4s", head)
        yield name
        if name == b"IEND":
            return
        file.seek(length + 4, 1)


def read_png(picture: Image.Image, file: IO[bytes], head: PngHead, white: int | None) -> Image.Image | None:
    """A PNG as an image of mode L or RGB, or None where Pillow's own reading is right.

    Args:
        picture: the same file as Pillow opened it; its pixels are loaded here.
        file: the file.
        head: its header.
        white: the number that is white where samples of 16 bits reach beyond it; by default 65535.
    """
    key = picture.info.get("transparency") if head.colour in (0, 2) else None
    if head.bits < 16 and key is None:
        return None
    samples = _samples(picture, file, head)
    white = (white or DEEP_WHITE) if head.bits == 16 else WHITE
    kind: Kind = "grey" if head.colour in (0, 4) else "rgb"
    alpha: Alpha = "straight" if head.colour in (4, 6) else "none"
    result = image_of_samples(samples, white, kind, alpha)
    if key is not None:
        # Fewer than 8 bits were spread over 0 to 255 when they were read.
        wanted = np.atleast_1d(key) * (WHITE // ((1 << head.bits) - 1) if head.bits < 8 else 1)
        result.paste("white", mask=Image.fromarray((samples == wanted).all(2)))
    return result


def largest_in_png(picture: Image.Image, file: IO[bytes], head: PngHead) -> int | None:
    """The largest number of its colours; None where the range of its numbers is known from its kind."""
    if head.bits == 8 and head.colour == 0:
        return int(np.asarray(picture).max())
    if head.bits == 16:
        return int(_samples(picture, file, head)[..., : 1 if head.colour in (0, 4) else 3].max())
    return None


def _samples(picture: Image.Image, file: IO[bytes], head: PngHead) -> np.ndarray:
    """(H, W, S): uint16 for 16 bits; uint8 for fewer bits, scaled to 0 to 255."""
    if head.bits < 16:
        picture.load()
        array = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
    elif head.colour == 0:
        picture.load()
        array = np.asarray(picture)
    elif head.colour == 4:  # four bytes a pixel, which are the four bytes of an RGBA image
        _read_as(picture, "RGBA")
        array = np.ascontiguousarray(np.asarray(picture)).view(">u2").astype(np.uint16)
    else:
        # Pillow keeps one byte of two: the high ones, or, if their order is called little endian, the low ones.
        picture.load()
        file.seek(0)
        with Image.open(file, formats=["PNG"]) as again:
            _read_as(again, f"{again.mode};16L")
            low = np.asarray(again)
        array = np.asarray(picture).astype(np.uint16) << 8 | low
    return array[..., None] if array.ndim == 2 else array


def _read_as(picture: Image.Image, raw_mode: str) -> None:
    """Load the pixels under another raw mode of Pillow."""
    assert hasattr(picture, "tile")
    picture.tile = [tile._replace(args=raw_mode) for tile in picture.tile]
    picture.load()
