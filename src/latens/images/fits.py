"""FITS images, read by astropy (an extra: `pip install "latens[fits]"`).

- The first image of the file that has data counts, in the primary part or an extension, packed (`.fz`, `.fits.gz`) or not.
- BSCALE and BZERO are applied, BLANK becomes NaN. Bytes and unsigned 16-bit integers keep their type, all others are float32.
- Rows are in the order of the file, as astropy gives them: the first is the lowest where FITS viewers draw it.
- Each plane of a cube is a page. Where CTYPE3 says RGB its three planes are the colours of one image.

Source: FITS 4.0 (IAU, 2018), sections 4.4 and 5.
"""

import gzip
import math
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np

from latens.images.opening import refuse_large
from latens.images.samples import kept_type

__all__ = ["FITS_SUFFIXES", "FitsLook", "fits_values", "is_fits", "look_at_fits"]

BYTES_EACH = 4  # of a value as it is kept, float32 at most
FITS_SUFFIXES = (".fits", ".fit", ".fts", ".fz", ".fits.gz", ".fit.gz", ".fts.gz")
SIGNATURE, GZIP = b"SIMPLE  =", b"\x1f\x8b"


class FitsLook(NamedTuple):
    """What the header of a FITS file says: (H, W), the type of its values, channels of an image, and how many images."""

    size: tuple[int, int]
    dtype: str
    channels: int
    pages: int


def is_fits(head: bytes, name: str) -> bool:
    """Whether a file is FITS, by its first bytes or its name."""
    return head.startswith(SIGNATURE) or name.lower().endswith(FITS_SUFFIXES)


class _opened:
    """The first image of a file as astropy has it."""

    def __init__(self, file: IO[bytes]) -> None:
        try:
            from astropy.io import fits
        except ImportError:
            raise ValueError('FITS, which needs: pip install "latens[fits]"') from None
        file.seek(0)
        packed = file.read(2) == GZIP
        file.seek(0)
        opened: Any = gzip.open(file) if packed else file  # noqa: SIM115 - closed by __exit__
        self.parts = fits.open(opened, memmap=False, lazy_load_hdus=True)

    def __enter__(self) -> Any:
        from astropy.io import fits

        kinds = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)
        for part in self.parts:
            shape: tuple[int, ...] = (
                part.shape if isinstance(part, kinds) and not isinstance(part, fits.GroupsHDU) else ()
            )
            if len(shape) >= 2 and 0 not in shape:
                refuse_large(shape[-2], shape[-1], BYTES_EACH)
                return part
        raise ValueError("FITS without an image (tables and spectra are none)")

    def __exit__(self, *exception: object) -> None:
        self.parts.close()


def _is_colour(part: Any) -> bool:
    return len(part.shape) >= 3 and part.shape[-3] == 3 and "RGB" in str(part.header.get("CTYPE3", "")).upper()


def look_at_fits(file: IO[bytes]) -> FitsLook:
    """Read the header.

    Raises:
        ValueError: it has no image, or astropy is missing.
        Exception: any error of astropy for damaged files.
    """
    with _opened(file) as part:
        *others, height, width = part.shape
        header = part.header
        scale, zero = float(header.get("BSCALE", 1)), float(header.get("BZERO", 0))
        bits = int(header["BITPIX"])
        plain = scale == 1 and "BLANK" not in header and (bits, zero) in ((8, 0), (16, 32768))
        channels = others.pop() if _is_colour(part) else 1
        dtype = kept_type("u", bits) if plain else "float32"
        return FitsLook((int(height), int(width)), dtype, channels, math.prod(others))


def fits_values(file: IO[bytes], numbers: Sequence[int] | None = (0,)) -> Iterator[np.ndarray]:
    """Images one after another, (H, W, C) of uint8, uint16 or float32.

    Args:
        file: opened for reading.
        numbers: which images of a cube, from 0; None for all planes as the channels of one image.

    Raises:
        Exception: as `look_at_fits`.
    """
    with _opened(file) as part:
        shape = tuple(part.shape)
        inner = len(shape) if numbers is None else 3 if _is_colour(part) else 2
        outer = shape[: len(shape) - inner]
        for number in [0] if numbers is None else numbers:
            place = tuple(int(one) for one in np.unravel_index(number, outer)) if outer else ()
            plane = np.asarray(part.section[place] if place else part.data)
            values = plane.reshape(-1, *shape[-2:]).transpose(1, 2, 0)
            kept = np.dtype(kept_type(values.dtype.kind, 8 * values.dtype.itemsize))
            with np.errstate(over="ignore"):  # what float32 doesn't hold becomes infinite, and is named as such
                yield np.ascontiguousarray(values.astype(kept))
