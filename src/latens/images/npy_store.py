"""Pixels that go to an .npy file as they come: parts of the cache's entries, and samples that are too many for memory."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from latens.errors import ImagesError
from latens.images.checksums import BlockSums
from latens.images.contract import Shape
from latens.text import bytes_text

__all__ = ["NpyStore", "writing"]


class NpyStore:
    """A part that goes to an .npy file as it comes, a `Store`.

    Written, not mapped: a disk that runs full then is an error, where a mapped page would kill the process.

    Args:
        path: of the file, which isn't there yet, in a folder of the cache's entries.
        count: at most so many images come; 0 if that is not known.
        shape: (C, H, W), or whatever one image has.
        dtype: of the pixels.

    Raises:
        ImagesError: the disk has too little room.
    """

    def __init__(self, path: Path, count: int, shape: Shape, dtype: np.dtype) -> None:
        self.path, self.shape, self.dtype, self.length = path, shape, dtype, 0
        self.sums = BlockSums()
        needed, free = count * int(np.prod(shape)) * dtype.itemsize, shutil.disk_usage(path.parent).free
        if needed > free:
            raise ImagesError(
                f"{path.parent.parent}: the decoded images need {bytes_text(needed)}, {bytes_text(free)} are free; "
                "set LATENS_CACHE to a folder with room, or give a smaller size (--size 64)"
            )
        self.file = open(path, "xb")  # noqa: SIM115 - closed by close(), after many calls
        self._write_header(count)
        self.start = self.file.tell()

    def _write_header(self, count: int) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (count, *self.shape),
        }
        np.lib.format.write_array_header_1_0(self.file, header)

    def append(self, pixels: np.ndarray) -> None:
        """Take the next images, (n, *shape), contiguous."""
        with writing(self.path.parent.parent):
            self.file.write(pixels.data)
        self.sums.update(pixels)
        self.length += len(pixels)

    def close(self) -> np.ndarray:
        """All that was appended, memory-mapped."""
        with writing(self.path.parent.parent):
            # The number of pictures is known only now; numpy leaves room for it to grow, so the header keeps its length.
            self.file.seek(0)
            self._write_header(self.length)
            assert self.file.tell() == self.start, "the header of an .npy file has changed its length"
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
        if self.length == 0:
            return np.empty((0, *self.shape), dtype=self.dtype)
        mapped: np.ndarray = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return mapped


@contextlib.contextmanager
def writing(entries: Path) -> Iterator[None]:
    """What the system refuses while the cache is written, as an `ImagesError`."""
    try:
        yield
    except OSError as error:
        raise ImagesError(
            f"{error.filename or entries}: the cache can't be written ({error.strerror or error}); set LATENS_CACHE to a "
            "folder with room"
        ) from None
