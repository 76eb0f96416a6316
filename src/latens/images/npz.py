"""A `.npz` file: images, or a train and a test part, with their labels, under the names that the field uses for them."""

import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from latens.errors import ImagesDamaged, ImagesError, LabelsError, UsageError
from latens.files import DAMAGED_ARRAY
from latens.images.arrays import PART_LAYOUTS, RawPart, join_parts, plan_arrays, refuse_labels
from latens.images.cache import cached_dataset
from latens.images.contract import Dataset
from latens.images.given import label_array
from latens.images.layout import check_dtype, number_labels
from latens.images.names import role_of
from latens.images.npy import is_file_like
from latens.images.plan import DEFLATE_RATIO, Options, Plan, is_bomb
from latens.text import listed, shown

__all__ = ["NPZ", "NpzMember", "NpzSource"]

MAXIMUM_LABEL_BYTES = 1 << 30
READ_BYTES = 1 << 20  # read at a time


@dataclass(frozen=True)
class NpzMember:
    """One array of an .npz. Its header has been read and compared with the size that the archive states.

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
    def short(self) -> str:
        """The name without its ending."""
        return shown(self.name.removesuffix(".npy"))

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.path}: {self.short}"

    @classmethod
    def open(cls, archive: zipfile.ZipFile, path: Path, name: str) -> "NpzMember":
        """Read the header.

        Raises:
            ImagesDamaged: it states another number of bytes than the member has.
        """
        with archive.open(name) as stream:
            shape, fortran, dtype = _read_header(stream)
            start = stream.tell()
        member = cls(path, name, shape, dtype, fortran)
        held, stated = archive.getinfo(name).file_size - start, math.prod(shape) * dtype.itemsize
        if held > DEFLATE_RATIO * path.stat().st_size or is_bomb(held, path.stat().st_size):
            raise ImagesDamaged(
                f"{member.where}: claims {held} unpacked bytes, more than the file can hold; get it again"
            )
        if not dtype.hasobject and held != stated:
            raise ImagesDamaged(
                f"{member.where}: its header states {stated} bytes (shape {shape}, {dtype}), it has {held}; "
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
                f"{self.where}: labels of shape {self.shape} are too large; one for each image is allowed"
            )
        with _reading(self.path), zipfile.ZipFile(self.path) as archive, archive.open(self.name) as stream:
            _read_header(stream)
            flat = np.frombuffer(_exactly(stream, math.prod(self.shape) * self.dtype.itemsize), dtype=self.dtype)
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


class NpzSource:
    """An .npz with `images` and perhaps `labels`, or with `x_train`, `y_train`, `x_test`, `y_test` as Keras has them.

    Names are understood by `latens.images.names`. Every array is used or named in a note.
    """

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
        return cached_dataset(path, [path], options, lambda: self.plan(path, options))

    def plan(self, source: Any, options: Options) -> Plan:
        """One part or two, in their own order."""
        path = Path(source).absolute()
        raws, class_names, notes = _parts(path)
        return plan_arrays(path.stem, str(path), raws, options, class_names, tuple(notes))


NPZ = NpzSource()


class _reading:
    """Turns every error of reading an archive into `ImagesDamaged`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, MemoryError):
            raise ImagesError(
                f"{self.path}: not enough memory to read it; end other programs, or save fewer images"
            ) from None
        if isinstance(error, DAMAGED_ARRAY):
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise ImagesDamaged(f"{self.path}: not readable as .npz ({reason}); save or get the file again") from None


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return tuple(int(n) for n in shape), bool(fortran), dtype


def _exactly(stream: IO[bytes], count: int) -> bytes:
    """Exactly `count` bytes, read in pieces, so that memory grows with the file and not with what its header claims."""
    content = bytearray()
    while len(content) < count:
        piece = stream.read(min(READ_BYTES, count - len(content)))
        if not piece:
            raise EOFError("an array ends too early")
        content += piece
    return bytes(content)


def _read_columns(stream: IO[bytes], member: NpzMember, length: int) -> Iterator[np.ndarray]:
    """The same of an array in Fortran order, which has to be read into memory as a whole."""
    flat = np.frombuffer(_exactly(stream, math.prod(member.shape) * member.dtype.itemsize), dtype=member.dtype)
    array = flat.reshape(member.shape, order="F")
    for start in range(0, len(array), length):
        yield array[start : start + length]


def _parts(path: Path) -> tuple[list[RawPart], tuple[str, ...] | None, list[str]]:
    """The parts of a file, the names of its classes if it has them, and notes on the rest."""
    with _reading(path), zipfile.ZipFile(path) as archive:
        members = {
            name.removesuffix(".npy"): NpzMember.open(archive, path, name)
            for name in archive.namelist()
            if name.endswith(".npy")
        }
        others = [name for name in archive.namelist() if not name.endswith((".npy", "/"))]
    found, notes = _by_role(path, members)
    given = [part for part in ("train", "validation", "test", "all") if (part, "images") in found]
    parts = PART_LAYOUTS.get(frozenset(given))
    if parts is None:
        raise ImagesError(
            f"{path}: has the arrays {listed(sorted(members)) or '(none)'}"
            + (f", and so the parts {' and '.join(given)}" if given else "")
            + "; allowed are images with labels, or x_train, y_train, x_test, y_test (labels may be missing): "
            "save them under these names"
        )
    labels, said = _labels(found)
    notes += said
    raws, used = [], {("all", "names")}
    for name, sources in parts:
        used |= {(part, kind) for part in sources for kind in ("images", *(["labels"] if part in labels else []))}
        raw, said = join_parts(
            [_raw(name, found[part, "images"], labels.get(part)) for part in sources],
            found[sources[-1], "images"].short,
        )
        raws.append(raw)
        notes += said
    class_names = _class_names(found.get(("all", "names")), raws)
    if class_names is None:
        used.discard(("all", "names"))
    if given == ["train", "validation"]:
        notes.append(f"the test part is {found['validation', 'images'].short}")
    unused = {name: member for name, member in members.items() if member not in [found.get(role) for role in used]}
    if unused or others:
        told = [f"{name} ({_described(member)})" for name, member in unused.items()] + others
        notes.append(f"not used: {listed(told)}")
    return raws, class_names, notes


def _by_role(path: Path, members: dict[str, NpzMember]) -> tuple[dict[tuple[str, str], NpzMember], list[str]]:
    """Each array by its part and its role there ("images", "labels" or "names"), and notes."""
    found: dict[tuple[str, str], NpzMember] = {}
    for name, member in members.items():
        role = role_of(name)
        if role is None:
            continue
        if role[1] == "labels" and _is_text(member) and role[0] == "all" and ("all", "labels") in _roles(members, name):
            role = ("all", "names")  # "classes" beside "labels"
        if role in found:
            raise ImagesError(
                f"{path}: {found[role].short} and {member.short} could both be meant as the {role[1]} of {role[0]!r}; "
                "keep one of them"
            )
        found[role] = member
    notes = []
    if not any(kind == "images" for _, kind in found):
        pictures = [name for name, member in members.items() if role_of(name) is None and _could_be_pictures(member)]
        if len(pictures) == 1:
            found["all", "images"] = members[pictures[0]]
            notes.append(f"{shown(pictures[0])} was taken as the images, since no other array has 3 or 4 axes")
    return found, notes


def _roles(members: dict[str, NpzMember], but: str) -> set[tuple[str, str] | None]:
    return {role_of(name) for name in members if name != but}


def _is_text(member: NpzMember) -> bool:
    return len(member.shape) == 1 and member.dtype.kind in "SU"


def _could_be_pictures(member: NpzMember) -> bool:
    return len(member.shape) in (3, 4) and member.dtype.kind in "buif" and min(member.shape) > 0


def _described(member: NpzMember) -> str:
    kind = "Python objects" if member.dtype.hasobject else str(member.dtype)
    return f"{' x '.join(map(str, member.shape)) or 'one value'}, {kind}"


def _class_names(member: NpzMember | None, raws: list[RawPart]) -> tuple[str, ...] | None:
    """Names for labels that are their indices; None where there are no names that fit."""
    numbers = [raw.labels for raw in raws if raw.labels is not None]
    if member is None or not _is_text(member) or not numbers:
        return None
    if any(labels.dtype.kind != "i" or labels.min() < 0 or labels.max() >= member.shape[0] for labels in numbers):
        return None
    names = tuple(shown(name) for name in label_array(member.array(), member.where).tolist())
    return names if len(set(names)) == len(names) else None


def _labels(found: dict[tuple[str, str], NpzMember]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The labels of each part that has images, and a note where they are no classes (masks, several classes a picture).

    Raises:
        ImagesError: there are more or fewer of them than images.
    """
    labels: dict[str, np.ndarray] = {}
    for (part, kind), member in found.items():
        if kind != "labels" or (part, "images") not in found:
            continue
        try:
            labels[part] = label_array(member.array(), member.short)
        except (LabelsError, UsageError) as error:
            return {}, [f"labels were not used: {error}"]
        images = found[part, "images"]
        number_labels(labels[part], images.shape[0] if images.shape else 0, member.where)
    return labels, []


def _raw(name: str, images: NpzMember, labels: np.ndarray | None) -> RawPart:
    return RawPart(name, images.where, images.shape, images.dtype, images.read, labels)
