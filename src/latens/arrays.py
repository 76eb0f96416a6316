"""Rows of arrays: drawn at random, gathered, or block by block, also of a file that is mapped into memory."""

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["Picked", "blocks", "drawn_rows", "gather", "held_out", "is_mapped", "let_go", "read_ahead", "read_alone"]

TOGETHER = 64  # rows from all over a file: a system may bring in 2 MB around each
AHEAD = 1 << 17  # bytes of one piece of advice: Linux may ignore what goes beyond


class Picked:
    """Some rows of an array, as an array: they are read where they are asked for.

    Args:
        array: (N, ...), in memory or memory-mapped.
        rows: int (M,), ascending.
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self.array, self.rows, self.dtype = array, rows, array.dtype
        self.shape: tuple[int, ...] = (len(rows), *array.shape[1:])

    @property
    def nbytes(self) -> int:
        """Of these rows."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """A copy of some rows: by a slice or by numbers."""
        return gather(self.array, self.rows[rows])


def let_go(array: np.ndarray) -> None:
    """Drop what was read of a memory-mapped file from this process's memory; it is read again where it is asked for.

    The system does the same, but only when memory runs short: until then a pass over a file of 10 GB counts as 10 GB of this
    process. Only maps opened for reading are touched (a private copy would lose what was written to it), and nothing happens
    to arrays in memory, or on systems without madvise(2).

    Args:
        array: any array.
    """
    pages = _pages_of(array)
    if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)


def is_mapped(array: np.ndarray) -> bool:
    """Whether an array is read from a file that is mapped for reading."""
    return _pages_of(array) is not None


def read_ahead(array: np.ndarray, rows: slice) -> None:
    """Ask the system to read rows of a memory-mapped file that will be needed soon, without waiting for them.

    Nothing happens to arrays in memory, or on systems without madvise(2).

    Args:
        array: any array, contiguous.
        rows: with a start and a stop.
    """
    if isinstance(array, Picked):
        first, last = array.rows[rows.start], array.rows[rows.stop - 1]
        return read_ahead(array.array, slice(int(first), int(last) + 1))
    pages = _pages_of(array)
    if pages is None or not hasattr(mmap, "MADV_WILLNEED"):
        return
    part = getattr(array, "stored", array)[rows]
    start = part.ctypes.data - np.frombuffer(pages, np.uint8).ctypes.data
    for place in range(start - start % mmap.PAGESIZE, start + part.nbytes, AHEAD):
        pages.madvise(mmap.MADV_WILLNEED, place, min(AHEAD, len(pages) - place))


@contextmanager
def read_alone(array: np.ndarray) -> Iterator[None]:
    """Inside, a page of a memory-mapped file that is missing is read alone; what is needed is asked for by `read_ahead`.

    Systems read up to 8 MB around a missing page. Where rows are taken from all over a file, and memory is limited by a control
    group, that drives out what was read ahead, and the next row is missing, too.

    Args:
        array: any array; nothing happens to those in memory, or on systems without madvise(2).
    """
    pages = _pages_of(array)
    if pages is None or not hasattr(mmap, "MADV_RANDOM"):
        yield
        return
    pages.madvise(mmap.MADV_RANDOM)
    try:
        yield
    finally:
        pages.madvise(mmap.MADV_NORMAL)


def _pages_of(array: np.ndarray) -> mmap.mmap | None:
    """The map that an array was opened for reading with, or None."""
    root: Any = array.array if isinstance(array, Picked) else array
    root = getattr(root, "stored", root)  # `Scaled` reads from the array it holds
    while isinstance(root.base, np.ndarray):
        root = root.base
    pages: object = root.base
    read_only = isinstance(root, np.memmap) and root.mode == "r"
    return pages if read_only and isinstance(pages, mmap.mmap) else None


def blocks(array: np.ndarray, length: int) -> Iterator[np.ndarray]:
    """An array from its first row to its last in blocks of at most `length` rows, of which a mapped file's leave memory again.

    Args:
        array: (N, ...), in memory or memory-mapped.
        length: rows, at least 1.

    Returns:
        Views, none for an empty array; use each before you ask for the next.
    """
    for start in range(0, len(array), length):
        yield array[start : start + length]
        let_go(array)


def gather(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """A copy of some rows, from anywhere in an array; of a mapped file little stays in memory.

    Args:
        array: (N, ...), in memory or memory-mapped.
        rows: int (M,), indices.

    Returns:
        (M, ...), in memory.
    """
    if not isinstance(array, np.memmap):
        picked: np.ndarray = array[rows]
        return picked
    result = np.empty((len(rows), *array.shape[1:]), array.dtype)
    for start in range(0, len(rows), TOGETHER):
        part = slice(start, start + TOGETHER)
        result[part] = array[rows[part]]
        let_go(array)
    return result


def drawn_rows(num: int, most: int, seed: int | np.random.Generator = 0) -> np.ndarray:
    """Rows for work that does not need all of them: all, or `most` drawn without repetition.

    Args:
        num: of rows there are.
        most: how many are drawn at most.
        seed: of the draw, or the generator to draw with; nothing is drawn where all rows are taken.

    Returns:
        int64 (min(num, most),), ascending.

    >>> drawn_rows(3, 5).tolist(), len(drawn_rows(100, 5))
    ([0, 1, 2], 5)
    """
    if num <= most:
        return np.arange(num)
    rows: np.ndarray = np.sort(np.random.default_rng(seed).choice(num, most, replace=False))
    return rows


def held_out(num: int, share: int, most: int | None = None) -> np.ndarray:
    """Which of some rows are held out, one in `share`, to choose by them: bool (num,).

    They are drawn, for the same number always the same: rows in turn may be of one kind. The images of MNIST come alternately
    from two groups of writers, so that every tenth is from one group alone.

    Args:
        num: of rows there are.
        share: 1 or more.
        most: how many are held out at most.

    >>> held_out(40, 10).sum(), held_out(40, 10, most=3).sum(), held_out(9, 10).any()
    (np.int64(4), np.int64(3), np.False_)
    """
    held = np.zeros(num, np.bool_)
    count = num // share
    held[drawn_rows(num, count if most is None else min(count, most))] = True
    return held
