"""Check sums of long files, one for each block: computed while they are written, compared when they are opened."""

import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

__all__ = ["BLOCK", "BlockSums", "block_sums"]

BLOCK = 1 << 22  # bytes
MAXIMUM_THREADS = 8


class BlockSums:
    """CRC-32 of each block of 4 MiB of what passes by. A single changed byte always changes its block's."""

    def __init__(self) -> None:
        self._done: list[int] = []
        self._crc = self._filled = 0

    def update(self, array: np.ndarray) -> None:
        """Take the next bytes: those of a contiguous array."""
        content = array.reshape(-1).view(np.uint8).data
        while len(content):
            piece = content[: BLOCK - self._filled]
            self._crc = zlib.crc32(piece, self._crc)
            self._filled += len(piece)
            content = content[len(piece) :]
            if self._filled == BLOCK:
                self._done.append(self._crc)
                self._crc = self._filled = 0

    def result(self) -> list[int]:
        """The check sums of all blocks; the last may be short."""
        return [*self._done, self._crc] if self._filled else list(self._done)


def block_sums(path: Path, start: int) -> list[int]:
    """The same of what lies in a file behind its first `start` bytes, in parallel.

    Raises:
        OSError: it can't be read.
    """
    starts = range(start, path.stat().st_size, BLOCK)
    threads = max(1, min(MAXIMUM_THREADS, os.cpu_count() or 1, len(starts) // 4))

    def some(first: int) -> list[int]:
        buffer, sums = memoryview(bytearray(BLOCK)), []
        with open(path, "rb") as file:
            for place in starts[first::threads]:
                file.seek(place)
                sums.append(zlib.crc32(buffer[: file.readinto(buffer)]))
        return sums

    result = [0] * len(starts)
    with ThreadPoolExecutor(threads, thread_name_prefix="latens-checksums") as pool:
        for first, sums in enumerate(pool.map(some, range(threads))):
            result[first::threads] = sums
    return result
