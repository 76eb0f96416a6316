"""A `.npy` file of pictures, memory-mapped, so that it may be larger than memory."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from latens.errors import ImagesDamaged, ImagesError
from latens.files import DAMAGED_ARRAY
from latens.images.arrays import plan_arrays, raw_array
from latens.images.cache import cached_dataset
from latens.images.contract import Dataset
from latens.images.plan import Options, Plan
from latens.text import bytes_text

__all__ = ["NPY", "NpySource", "is_file_like"]


class NpySource:
    """One array of pictures; labels may be given beside it."""

    def accepts(self, source: Any) -> bool:
        """Whether it is a file whose name ends with .npy."""
        return is_file_like(source, ".npy")

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, from the cache where it was read before.

        Raises:
            ImagesError: the file is damaged, or isn't an array of pictures.
        """
        path = Path(source).absolute()
        return cached_dataset(path, [path], options, lambda: self.plan(path, options))

    def plan(self, source: Any, options: Options) -> Plan:
        """The array as one part, in its own order."""
        path = Path(source).absolute()
        part = raw_array("all", str(path), _map(path), options.labels)
        return plan_arrays(path.stem, str(path), [part], options)


NPY = NpySource()


def is_file_like(source: Any, suffix: str) -> bool:
    """Whether a source is a path with this suffix to a file that exists."""
    if not isinstance(source, str | os.PathLike):
        return False
    path = Path(source)
    return path.suffix.lower() == suffix and os.path.isfile(path)  # Path.is_file raises without permission


def _map(path: Path) -> np.ndarray:
    """The array, memory-mapped; mapping it checks the header against the size of the file."""
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            read_header = (
                np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read_header(file)
        if dtype.hasobject:
            raise ImagesError(
                f"{path}: holds Python objects, which are never unpickled; save a plain array: np.save(file, np.stack(images))"
            )
        if 0 in shape:
            return np.empty(shape, dtype=dtype)  # an empty file can't be mapped
        expected, there = math.prod(shape) * dtype.itemsize, path.stat().st_size
        if expected > there:
            raise ImagesDamaged(
                f"{path}: ends too early: {bytes_text(there)} of about {bytes_text(expected)}; save or get the file again"
            )
        mapped: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        return mapped
    except DAMAGED_ARRAY as error:
        raise ImagesDamaged(
            f"{path}: not readable as .npy ({_first_line(error)}); save or get the file again"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
