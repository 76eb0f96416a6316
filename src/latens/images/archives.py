"""Archives of image files: .zip, and .tar with or without compression."""

import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from latens.errors import ImagesDamaged
from latens.images.arrays import refuse_labels
from latens.images.contract import Dataset
from latens.images.kinds import is_hidden
from latens.images.plan import Options, Plan, most_unpacked
from latens.images.unpacked import plan_unpacked, read_unpacked
from latens.text import shown

__all__ = ["ARCHIVE", "ArchiveSource"]

ZIP, TAR = (".zip",), (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
DAMAGED = (  # what the standard library raises for a damaged or encrypted archive
    *(
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        EOFError,
        RuntimeError,
        ValueError,
    ),
    *(KeyError, IndexError, TypeError, OverflowError, MemoryError),
)
PIECE = 1 << 20  # bytes that are copied at a time

Member = tuple[
    str, int, Callable[[], IO[bytes] | None]
]  # the name in the archive, how long it says it is, how to open it


class ArchiveSource:
    """A .zip or .tar of what could be a folder: its files are unpacked into the cache once."""

    def accepts(self, source: Any) -> bool:
        """Whether it is a file of such a name."""
        if not isinstance(source, str | os.PathLike) or not os.path.isfile(source):
            return False
        return os.fspath(source).lower().endswith(ZIP + TAR)

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set.

        Raises:
            ImagesDamaged: the archive can't be read, is encrypted, or unpacks to more than it can hold.
            ImagesError: as for a folder.
        """
        path = Path(source).absolute()
        refuse_labels(options, str(path))
        return read_unpacked(path, _stem(path), [path], lambda folder: _unpack(path, folder), options)

    def plan(self, source: Any, options: Options) -> Plan:
        """As of a folder."""
        path = Path(source).absolute()
        refuse_labels(options, str(path))
        return plan_unpacked(path, _stem(path), [path], lambda folder: _unpack(path, folder), options)


ARCHIVE = ArchiveSource()


def _stem(path: Path) -> str:
    name = path.name
    ending = max((one for one in ZIP + TAR if name.lower().endswith(one)), key=len)
    return name[: -len(ending)]


def _unpack(path: Path, folder: Path) -> None:
    """Write an archive's regular files into a folder; links, devices, and hidden files are left out."""
    members = _of_zip if path.name.lower().endswith(ZIP) else _of_tar
    left = most_unpacked(path.stat().st_size)
    try:
        for name, stated, open_member in members(path):
            target = _place_of(name, folder)
            if target is None:
                continue
            if stated > left:
                raise _too_much(path)
            stream = open_member()
            if stream is not None:
                with stream:
                    left -= _write(stream, target, left, path)
    except DAMAGED as error:
        raise ImagesDamaged(
            f"{path}: not readable as an archive ({shown(str(error)) or type(error).__name__}); unpack it yourself and give the"
            " folder, or get the file again"
        ) from None


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


def _place_of(name: str, folder: Path) -> Path | None:
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
