"""IDX files, the format of MNIST: a magic number, the lengths of the axes, then the bytes; gzipped or not.

Source of the format: http://yann.lecun.com/exdb/mnist/, "File formats": two zero bytes, the type (8: unsigned byte),
the number of axes, each length as a big-endian 32-bit integer.
"""

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from latens.errors import ImagesDamaged, ImagesError
from latens.images.arrays import PART_LAYOUTS, RawPart, join_parts, plan_arrays, refuse_labels
from latens.images.assemble import assemble
from latens.images.cache import cached_dataset
from latens.images.contract import Dataset
from latens.images.finish import finish
from latens.images.layout import number_labels
from latens.images.plan import DEFLATE_RATIO, Options, Plan, is_bomb
from latens.text import listed, shown

__all__ = ["IDX", "IdxFile", "IdxSource", "find_idx_pairs", "plan_named", "raw_idx", "read_named"]

NAME = re.compile(r"(?P<prefix>.*?)(?P<kind>images|labels)[-._]idx\d[-._]ubyte(?P<gz>\.gz)?", re.IGNORECASE)
WORDS = (("train", "train"), ("t10k", "test"), ("test", "test"), ("val", "validation"))
PLACES = ("", "raw", "MNIST/raw")  # the latter two: what torchvision makes below its root


@dataclass(frozen=True)
class IdxFile:
    """An IDX file of unsigned bytes. Its header has been read and checked.

    Args:
        path: the file.
        shape: as its header states.
    """

    path: Path
    shape: tuple[int, ...]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "IdxFile":
        """Read the header and compare it with the size of the file.

        Raises:
            ImagesDamaged: not an IDX file of bytes, or its header claims more than the file holds.
        """
        path = Path(path)
        with _reading(path), _open(path) as stream:
            magic = _exactly(stream, 4, path)
            if magic[:2] != b"\0\0" or magic[2] != 8 or not 1 <= magic[3] <= 4:
                raise ImagesDamaged(
                    f"{path}: wrong magic number {magic.hex()}; an IDX file of unsigned bytes starts with 000008 and the number "
                    "of axes (1 to 4): get the file again"
                )
            shape = struct.unpack(f">{magic[3]}I", _exactly(stream, 4 * magic[3], path))
        file = cls(path, tuple(int(n) for n in shape))
        file._check_size()
        return file

    def _check_size(self) -> None:
        stated, held = math.prod(self.shape) + 4 + 4 * len(self.shape), self.path.stat().st_size
        packed = self.path.suffix.lower() == ".gz"
        if stated > (held * DEFLATE_RATIO if packed else held) or is_bomb(stated, held):
            raise ImagesDamaged(
                f"{self.path}: its header states {stated} bytes ({' x '.join(map(str, self.shape))}), more than its "
                f"{held} bytes can hold; the file is cut off or damaged: get it again"
            )

    def read(self, length: int) -> Iterator[np.ndarray]:
        """The array in consecutive pieces of at most `length` rows; never more bytes than the header states.

        Raises:
            ImagesDamaged: the file ends too early, goes on for too long, or its check sum is wrong.
        """
        row_bytes = math.prod(self.shape[1:])
        with _reading(self.path), _open(self.path) as stream:
            _exactly(stream, 4 + 4 * len(self.shape), self.path)
            for start in range(0, self.shape[0], length):
                rows = min(length, self.shape[0] - start)
                content = _exactly(stream, rows * row_bytes, self.path)
                yield np.frombuffer(content, dtype=np.uint8).reshape(rows, *self.shape[1:])
            if stream.read(1):
                raise ImagesDamaged(
                    f"{self.path}: goes on after the {' x '.join(map(str, self.shape))} bytes that its header states; "
                    "the file is damaged: get it again"
                )

    def array(self) -> np.ndarray:
        """All of it, uint8, for labels."""
        return np.concatenate(list(self.read(1 << 20)) or [np.empty(self.shape, dtype=np.uint8)])


class _reading:
    """Turns every error of reading a file into `ImagesDamaged`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, EOFError | OSError | zlib.error):
            raise ImagesDamaged(f"{self.path}: not readable ({error}); get the file again") from None


def _open(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return open(path, "rb")


def _exactly(stream: IO[bytes], count: int, path: Path) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise ImagesDamaged(f"{path}: ends too early; the file is cut off: get it again")
    return content


def find_idx_pairs(folder: Path) -> dict[str, tuple[Path, Path | None]]:
    """The image file and the label file of each part of a folder of IDX files.

    "train" in front of "images" makes the train part, "t10k" or "test" the test part, "val" the validation part, anything
    else all. An unpacked file goes before its gzipped twin.

    Returns:
        part -> (images, labels or None); empty if there are no IDX files of images.

    Raises:
        ImagesError: two image files for one part.
    """
    found: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.suffix.lower() == ".gz", path.name)):
        match = NAME.fullmatch(path.name)
        if match is None or path.name.startswith(".") or not path.is_file():
            continue
        prefix = match["prefix"].lower()
        part = next((part for word, part in WORDS if word in prefix), "all")
        key = (part, match["kind"].lower())
        before = found.setdefault(key, path)
        if before.name.removesuffix(".gz") != path.name.removesuffix(".gz"):
            raise ImagesError(
                f"{folder}: {before.name} and {path.name} are both the {key[1]} of the part {part!r}; "
                "keep one pair for each part in a folder"
            )
    parts = [part for part in ("train", "validation", "test", "all") if (part, "images") in found]
    return {part: (found[part, "images"], found.get((part, "labels"))) for part in parts}


def raw_idx(name: str, images: Path, labels: Path | None) -> RawPart:
    """One pair of files as a raw part.

    Raises:
        ImagesDamaged: a file is damaged.
        ImagesError: the two don't fit together.
    """
    pictures = IdxFile.open(images)
    if len(pictures.shape) < 3:
        raise ImagesDamaged(
            f"{images}: has {len(pictures.shape)} axes, images have 3 or 4; is it a file of labels under a wrong name?"
        )
    values = None
    if labels is not None:
        numbers = IdxFile.open(labels)
        if len(numbers.shape) != 1:
            raise ImagesDamaged(
                f"{labels}: has {len(numbers.shape)} axes, labels have 1; is it a file of images under a wrong name?"
            )
        if numbers.shape[0] != pictures.shape[0]:
            raise ImagesError(
                f"{labels} has {numbers.shape[0]} labels, but {images} has {pictures.shape[0]} images; "
                "they don't belong together: get both again"
            )
        values = number_labels(numbers.array(), pictures.shape[0], str(labels))
    return RawPart(name, str(images), pictures.shape, np.dtype(np.uint8), pictures.read, values)


def plan_named(name: str, folder: Path, class_names: tuple[str, ...], options: Options) -> Plan:
    """The plan of a data set with a name, see `read_named`."""
    refuse_labels(options, name)
    raws, notes = _parts(folder, find_idx_pairs(folder))
    return plan_arrays(name, name, raws, options, class_names, notes)


def read_named(name: str, folder: Path, class_names: tuple[str, ...], options: Options) -> Dataset:
    """A data set with a name, from a folder that has its train and t10k files, into memory.

    Unpacking it takes a few tenths of a second, so that a cache would gain nothing.

    Args:
        name: of the data set, which is its source as well.
        folder: where the four files are.
        class_names: of the labels 0, 1, …
        options: labels are refused.

    Raises:
        ImagesDamaged: a file is damaged (gzip's check sum finds that).
    """
    plan = plan_named(name, folder, class_names, options)
    return finish(plan, assemble(plan, progress=options.progress, value_range=options.value_range), options)


class IdxSource:
    """A folder with IDX files: train and t10k (or test), or one pair, which is split."""

    def accepts(self, source: Any) -> bool:
        """Whether the folder, or the folders that torchvision makes below it, has IDX files."""
        return _place(source) is not None

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, from the cache where it was read before.

        Raises:
            ImagesError: a file is damaged, or they don't fit together.
        """
        root = Path(source).absolute()
        refuse_labels(options, str(root))
        _, pairs = _pairs(root)
        files = [path for pair in pairs.values() for path in pair if path is not None]
        return cached_dataset(root, files, options, lambda: self.plan(root, options))

    def plan(self, source: Any, options: Options) -> Plan:
        """One part or two, in their own order."""
        root = Path(source).absolute()
        raws, notes = _parts(*_pairs(root))
        return plan_arrays(root.resolve().name, str(root), raws, options, notes=notes)


IDX = IdxSource()


def _pairs(root: Path) -> tuple[Path, dict[str, tuple[Path, Path | None]]]:
    """Where the files are, and which belong together."""
    place = _place(root)
    assert place is not None, "accepts() was asked before"
    pairs = find_idx_pairs(place)
    if not pairs:
        raise ImagesError(f"{place}: IDX files of labels without images; put the file of images beside them")
    return place, pairs


def _place(source: Any) -> Path | None:
    if not isinstance(source, str | os.PathLike):
        return None
    for place in PLACES:
        try:
            folder = Path(source) / place
            if any(NAME.fullmatch(name) for name in os.listdir(folder)):
                return folder
        except OSError:
            continue
    return None


def _parts(folder: Path, pairs: dict[str, tuple[Path, Path | None]]) -> tuple[list[RawPart], tuple[str, ...]]:
    """The parts that are made of the files, and notes on them."""
    parts = PART_LAYOUTS.get(frozenset(pairs))
    if parts is None:
        raise ImagesError(
            f"{folder}: IDX files of the parts {', '.join(pairs)}; allowed are train and t10k, or one pair"
        )
    raws, notes = [], []
    for name, sources in parts:
        raw, said = join_parts([raw_idx(name, *pairs[source]) for source in sources], shown(pairs[sources[-1]][0].name))
        raws.append(raw)
        notes += said
    if set(pairs) == {"train", "validation"}:
        notes.append(f"the test part is {shown(pairs['validation'][0].name)}")
    used = {path.name.removesuffix(".gz") for pair in pairs.values() for path in pair if path is not None}
    names = sorted({name.removesuffix(".gz") for name in os.listdir(folder) if NAME.fullmatch(name)} - used)
    if names:
        notes.append(f"not used: {listed(names)}")
    return raws, tuple(notes)
