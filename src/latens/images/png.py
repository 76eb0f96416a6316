"""PNG files that Pillow reads with too few bits: 16-bit samples, and transparent colours of other depths than 8."""

import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from latens.images.pixels import WHITE
from latens.images.samples import Alpha, Kind, values_of_samples

__all__ = ["GREY_TYPES", "PngHead", "has_late_metadata", "png_head", "png_values"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY_TYPES = (0, 4)  # of colour
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


def png_values(picture: Image.Image, file: IO[bytes], head: PngHead) -> np.ndarray | None:
    """The values of a PNG, (H, W, C) of uint8 or uint16, or None where Pillow's own reading is right.

    Args:
        picture: the same file as Pillow opened it; its pixels are loaded here.
        file: the file.
        head: its header.
    """
    key = picture.info.get("transparency") if head.colour in (0, 2) else None
    if head.bits < 16 and key is None:
        return None
    samples = _samples(picture, file, head)
    bits = max(head.bits, 8)  # fewer are spread over 0 to 255 when they are read
    kind: Kind = "grey" if head.colour in GREY_TYPES else "rgb"
    alpha: Alpha = "straight" if head.colour in (4, 6) else "none"
    values = values_of_samples(samples, bits, kind, alpha)
    if key is not None:
        wanted = np.atleast_1d(key) * (WHITE // ((1 << head.bits) - 1) if head.bits < 8 else 1)
        transparent = (samples == wanted).all(2, keepdims=True)
        values = np.where(transparent, np.iinfo(values.dtype).max, values).astype(values.dtype)
    return values


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
