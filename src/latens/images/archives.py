"""Archives of image files: .zip, and .tar with or without compression; also several .tar, as WebDataset has its shards."""

import gzip
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from latens.errors import ImagesDamaged
from latens.images.arrays import refuse_labels
from latens.images.contract import Dataset
from latens.images.kinds import is_hidden
from latens.images.packed_rows import part_of
from latens.images.plan import Options, Plan, most_unpacked
from latens.images.shards import Shards
from latens.images.unpacked import files_of, plan_unpacked, read_unpacked
from latens.text import shown

__all__ = ["ARCHIVE", "TAR", "ArchiveSource", "of_archives", "place_of", "plan_of_archives"]

ZIP, TAR = (".zip",), (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
DAMAGED = (  # what the standard library raises for a damaged or encrypted archive
    *(
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        gzip.BadGzipFile,
        RuntimeError,
        ValueError,
    ),
    *(KeyError, IndexError, TypeError, OverflowError, MemoryError),
    *(FileExistsError, IsADirectoryError, NotADirectoryError),  # one name of a file and of a folder
)
PIECE = 1 << 20  # bytes that are copied at a time

Member = tuple[
    str, int, Callable[[], IO[bytes] | None]
]  # the name in the archive, how long it says it is, how to open it


class ArchiveSource:
    """A .zip or .tar of what could be a folder, or a folder of .tar: their files are unpacked into the cache once."""

    def accepts(self, source: Any) -> bool:
        """Whether it is one of these, by the names alone."""
        return isinstance(source, str | os.PathLike) and bool(_files(Path(source)))

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set.

        Raises:
            ImagesDamaged: an archive can't be read, is encrypted, or unpacks to more than it can hold.
            ImagesError: as for a folder.
        """
        path = Path(source).absolute()
        return of_archives(path, _stem(path), _files(path), options)

    def plan(self, source: Any, options: Options) -> Plan:
        """As of a folder."""
        path = Path(source).absolute()
        return plan_of_archives(path, _stem(path), _files(path), options)


ARCHIVE = ArchiveSource()


def of_archives(source: Path | str, name: str, files: Sequence[Path], options: Options) -> Dataset:
    """The data set of one archive, or of several shards."""
    refuse_labels(options, str(source))
    return read_unpacked(source, name, files, lambda folder: _unpack_all(files, folder), options)


def plan_of_archives(source: Path | str, name: str, files: Sequence[Path], options: Options) -> Plan:
    """Its plan, see `Source.plan`."""
    refuse_labels(options, str(source))
    return plan_unpacked(source, name, files, lambda folder: _unpack_all(files, folder), options)


def _files(path: Path) -> list[Path]:
    # Beside shards of images lie tables of what is in them, as img2dataset writes them.
    return files_of(path, ZIP + TAR if path.is_file() else TAR, also=(".parquet", ".idx"))


def _stem(path: Path) -> str:
    name = path.name
    ending = max((one for one in ZIP + TAR if name.lower().endswith(one)), key=len, default="")
    return name.removesuffix(name[len(name) - len(ending) :])


def _unpack_all(files: Sequence[Path], folder: Path) -> None:
    """Write the files of all archives into a folder, and a table of what files that share a key say of each other."""
    shards = Shards(folder)
    for file in files:
        place = folder if len(files) == 1 else shards.place()
        twice = _unpack(file, place)
        if len(files) > 1 or not file.name.lower().endswith(ZIP):
            shards.take(place, file, part_of(_stem(file)), twice)
    shards.write_table()


def _unpack(path: Path, folder: Path) -> list[str]:
    """Write an archive's regular files into a folder; links, devices, and hidden files are left out.

    Returns:
        Names that are there more than once; the last counts, as where files were appended to an archive.
    """
    written: set[Path] = set()
    twice = []
    members = _of_zip if path.name.lower().endswith(ZIP) else _of_tar
    left = most_unpacked(path.stat().st_size)
    try:
        for name, stated, open_member in members(path):
            target = place_of(name, folder)
            if target is None:
                continue
            if stated > left:
                raise _too_much(path)
            stream = open_member()
            if stream is not None:
                with stream:
                    left -= _write(stream, target, left, path)
                twice += [name] if target in written else []
                written.add(target)
    except DAMAGED as error:
        raise ImagesDamaged(
            f"{path}: not readable as an archive ({shown(str(error)) or type(error).__name__}); unpack it yourself and give the"
            " folder, or get the file again"
        ) from None
    return twice


def _too_much(path: Path) -> ImagesDamaged:
    return ImagesDamaged(f"{path}: unpacks to more than images of its size are; get it again")


def _of_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, info.file_size, lambda info=info: archive.open(info)  # type: ignore[misc]  # of a default


def _of_tar(path: Path) -> Iterator[Member]:
    with tarfile.open(path) as archive:
        for info in archive:
            if info.isreg():
                yield info.name, info.size, lambda info=info: archive.extractfile(info)  # type: ignore[misc]  # of a default


def place_of(name: str, folder: Path) -> Path | None:
    """Where a file goes: always below the folder; None for hidden files and those of systems."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    parts = [part.replace(":", "_") for part in parts]  # of drives
    hidden = [is_hidden(part, folder=number < len(parts) - 1) for number, part in enumerate(parts)]
    return None if not parts or any(hidden) else folder.joinpath(*parts)


def _write(stream: IO[bytes], target: Path, most: int, path: Path) -> int:
    """Copy a file of an archive; the number of its bytes.

    Raises:
        ImagesDamaged: there are more than `most`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with open(target, "wb") as file:
        while piece := stream.read(PIECE):
            written += len(piece)
            if written > most:
                raise _too_much(path)
            file.write(piece)
    return written
