"""A `.npz` file: images, or a train and a test part, with their labels, under the names that the field uses for them."""

import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from latens.errors import ImagesDamaged, ImagesError
from latens.images.arrays import RawPart, plan_arrays, refuse_labels
from latens.images.cache import cached_dataset
from latens.images.contract import Dataset
from latens.images.layout import check_dtype, number_labels
from latens.images.npy import is_file_like
from latens.images.plan import DEFLATE_RATIO, Options, Plan

__all__ = ["NPZ", "NpzMember", "NpzSource"]

# part -> the names of its images and of its labels (compared in lower case); a file has one of them at most
NAMES = {
    "train": (
        ("x_train", "train_images", "train_x", "images_train"),
        ("y_train", "train_labels", "train_y", "labels_train"),
    ),
    "test": (("x_test", "test_images", "test_x", "images_test"), ("y_test", "test_labels", "test_y", "labels_test")),
    "all": (("images", "x", "data", "pixels", "arr_0"), ("labels", "y", "targets", "arr_1")),
}
MAXIMUM_LABEL_BYTES = 1 << 30
READ_BYTES = 1 << 20  # zipfile gives at most what is asked for, in pieces


@dataclass(frozen=True)
class NpzMember:
    """One array of an .npz whose header has been read and held against the size that the archive states.

    Args:
        path: the archive.
        name: of the member, with .npy.
        shape: of the array.
        dtype: its type.
        fortran: whether it is stored column by column.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.path}: {self.name.removesuffix('.npy')}"

    @classmethod
    def open(cls, archive: zipfile.ZipFile, path: Path, name: str) -> "NpzMember":
        """Read the header.

        Raises:
            ImagesDamaged: it promises another number of bytes than the member has.
        """
        with archive.open(name) as stream:
            shape, fortran, dtype = _read_header(stream)
            start = stream.tell()
        member = cls(path, name, shape, dtype, fortran)
        held, promised = archive.getinfo(name).file_size - start, math.prod(shape) * dtype.itemsize
        if held > DEFLATE_RATIO * path.stat().st_size:
            raise ImagesDamaged(
                f"{member.where}: claims {held} unpacked bytes, more than the file can hold; get it again"
            )
        if not dtype.hasobject and held != promised:
            raise ImagesDamaged(
                f"{member.where}: its header promises {promised} bytes (shape {shape}, {dtype}), it has {held}; "
                "save or get the file again"
            )
        return member

    def read(self, length: int) -> Iterator[np.ndarray]:
        """The array in consecutive pieces of at most `length` rows, unpacked as they are asked for.

        Raises:
            ImagesDamaged: the member ends early or its check sum is wrong.
        """
        check_dtype(self.dtype, self.where)
        row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        with _reading(self.path), zipfile.ZipFile(self.path) as archive, archive.open(self.name) as stream:
            _read_header(stream)
            if self.fortran:
                yield from _read_columns(stream, self, length)
                return
            for start in range(0, self.shape[0], length):
                rows = min(length, self.shape[0] - start)
                content = _exactly(stream, rows * row_bytes)
                yield np.frombuffer(content, dtype=self.dtype).reshape(rows, *self.shape[1:])
            stream.read(1)  # past the end, where zipfile compares the check sum

    def array(self) -> np.ndarray:
        """All of it, for labels."""
        if self.dtype.hasobject:
            raise ImagesError(f"{self.where}: holds Python objects, which are never unpickled; save integers or text")
        if math.prod(self.shape) * self.dtype.itemsize > MAXIMUM_LABEL_BYTES:
            raise ImagesError(
                f"{self.where}: labels of shape {self.shape} are absurdly large; one for each picture is allowed"
            )
        with _reading(self.path), zipfile.ZipFile(self.path) as archive, archive.open(self.name) as stream:
            _read_header(stream)
            flat = np.frombuffer(_exactly(stream, math.prod(self.shape) * self.dtype.itemsize), dtype=self.dtype)
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


class NpzSource:
    """An .npz with `images` and perhaps `labels`, or with `x_train`, `y_train`, `x_test`, `y_test` as Keras has them."""

    def accepts(self, source: Any) -> bool:
        """Whether it is a file whose name ends with .npz."""
        return is_file_like(source, ".npz")

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, from the cache where it was read before.

        Raises:
            ImagesError: the file is damaged, or has no arrays of pictures under a known name.
        """
        path = Path(source).absolute()
        refuse_labels(options, str(path))

        def plan() -> Plan:
            return plan_arrays(path.stem, str(path), _parts(path), options)

        return cached_dataset(path, [path], options, plan)


NPZ = NpzSource()


class _reading:
    """Whatever goes wrong with reading an archive is damage to it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        damage = (
            zipfile.BadZipFile,
            EOFError,
            OSError,
            ValueError,
            KeyError,
            NotImplementedError,
            RuntimeError,
            zlib.error,
        )
        # struct, tokenize: what numpy's reader of headers lets through from the standard library
        if isinstance(error, (*damage, TypeError, OverflowError, struct.error, tokenize.TokenError)):
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ImagesDamaged(f"{self.path}: not readable as .npz ({reason}); save or get the file again") from None


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return tuple(int(n) for n in shape), bool(fortran), dtype


def _exactly(stream: IO[bytes], count: int) -> bytes:
    """So many bytes, in pieces: memory grows with what is there, not with what was promised."""
    content = bytearray()
    while len(content) < count:
        piece = stream.read(min(READ_BYTES, count - len(content)))
        if not piece:
            raise EOFError("an array ends too early")
        content += piece
    return bytes(content)


def _read_columns(stream: IO[bytes], member: NpzMember, length: int) -> Iterator[np.ndarray]:
    """An array that is stored column by column has to come into memory whole."""
    flat = np.frombuffer(_exactly(stream, math.prod(member.shape) * member.dtype.itemsize), dtype=member.dtype)
    array = flat.reshape(member.shape, order="F")
    for start in range(0, len(array), length):
        yield array[start : start + length]


def _parts(path: Path) -> list[RawPart]:
    with _reading(path), zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy").lower(): name for name in archive.namelist() if name.endswith(".npy")}
        found = {part: [_member(archive, path, names, allowed, part) for allowed in NAMES[part]] for part in NAMES}
    given = [part for part in NAMES if found[part][0] is not None]
    if given not in (["train", "test"], ["train"], ["all"]):
        raise ImagesError(
            f"{path}: has the arrays {', '.join(sorted(names)) or '(none)'}; allowed are images with labels, or x_train, "
            "y_train, x_test, y_test (labels may be missing): save them under these names"
        )
    return [_raw("all" if len(given) == 1 else part, *found[part]) for part in given]


def _member(
    archive: zipfile.ZipFile, path: Path, names: dict[str, str], allowed: tuple[str, ...], part: str
) -> NpzMember | None:
    present = [name for name in allowed if name in names]
    if len(present) > 1:
        raise ImagesError(f"{path}: {' and '.join(present)} could both be meant as {part!r}; keep one of them")
    return NpzMember.open(archive, path, names[present[0]]) if present else None


def _raw(name: str, images: NpzMember | None, labels: NpzMember | None) -> RawPart:
    assert images is not None, "only parts with images come here"
    count = images.shape[0] if images.shape else 0
    values = None if labels is None else number_labels(labels.array(), count, labels.where)
    return RawPart(name, images.where, images.shape, images.dtype, images.read, values)
