"""PGM and PPM of more than 8 bits with the numbers that the file has: Pillow scales or cuts them.

Source: the pgm and ppm pages of Netpbm.
"""

import re
from typing import IO

import numpy as np

from latens.images.opening import refuse_large

__all__ = ["pnm_depth", "pnm_values"]

HEAD = re.compile(rb"P([2356])" + rb"(?:\s|#[^\n\r]*[\n\r])+(\d+)" * 3 + rb"(?:\s|#[^\n\r]*[\n\r])")
LONGEST_HEAD = 4096  # bytes, comments among them
CHANNELS = {2: 1, 3: 3, 5: 1, 6: 3}


def _head(file: IO[bytes]) -> tuple[int, int, int, int, int] | None:
    """The kind, width, height and largest number of a file, and where its numbers begin; None where it is none of these."""
    file.seek(0)
    found = HEAD.match(file.read(LONGEST_HEAD)) if file.read(1) == b"P" and file.seek(0) == 0 else None
    file.seek(0)
    return None if found is None else (*(int(number) for number in found.groups()), found.end())  # type: ignore[return-value]


def pnm_depth(file: IO[bytes]) -> int:
    """The largest number that a PGM or PPM says it can have; 0 for other files."""
    head = _head(file)
    return 0 if head is None else head[3]


def pnm_values(file: IO[bytes]) -> np.ndarray:
    """The numbers of a file of more than 8 bits, uint16 (H, W, C).

    Raises:
        ValueError: it ends too early, or says that it has more than 16 bits.
    """
    head = _head(file)
    assert head is not None, "asked for by pnm_depth"
    kind, width, height, most, start = head
    if most > 65535:
        raise ValueError(f"numbers up to {most}, although 65535 is the largest that the format allows")
    refuse_large(height, width, 2 * CHANNELS[kind])
    count = width * height * CHANNELS[kind]
    file.seek(start)
    if kind in (2, 3):
        numbers = np.array(file.read(8 * count + 4096).split()[:count], dtype=np.int64)
        if numbers.size and (numbers.min() < 0 or numbers.max() > most):
            raise ValueError(f"a number beyond 0 to {most}")
    else:
        numbers = np.frombuffer(file.read(2 * count), ">u2", count=-1)
    if len(numbers) < count:
        raise ValueError("ends too early")
    return numbers.astype(np.uint16).reshape(height, width, CHANNELS[kind])
