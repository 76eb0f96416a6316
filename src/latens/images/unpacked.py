"""Sources that are packed: what they hold is written once as a folder of image files in the cache, and that folder is read.

So every rule for folders holds for them: classes, train and test parts, tables, what is left out and said. Memory holds one file
at a time.
"""

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from latens.errors import ImagesError
from latens.files import cache_folder, locked
from latens.images.contract import Dataset
from latens.images.folder import FOLDER
from latens.images.opening import file_state
from latens.images.packed_rows import TABLE
from latens.images.plan import AUTO, Options, Plan
from latens.images.table_files import read_table
from latens.text import natural_key, shown

__all__ = ["entry_of", "files_of", "make_entry", "plan_unpacked", "publish", "read_unpacked", "unfinished_folder"]

Unpack = Callable[[Path], None]  # writes image files into a folder
ABANDONED = 7 * 24 * 3600  # seconds after which an unfinished folder belongs to a process that was killed
BESIDE = (".md", ".txt", ".json", "")  # endings of what may lie beside packed files; anything else is to be looked at


def files_of(path: Path, endings: Sequence[str], also: Sequence[str] = ()) -> list[Path]:
    """A packed file, or those of a folder that holds nothing else; none where there are others.

    Args:
        path: a file or a folder.
        endings: of packed files, in lower case.
        also: endings of further files that may lie in the folder.
    """
    if path.is_file():
        return [path] if path.name.lower().endswith(tuple(endings)) else []
    with suppress(OSError):
        found = [one for one in path.iterdir() if not one.name.startswith(".")] if path.is_dir() else []
        packed = [one for one in found if one.name.lower().endswith(tuple(endings)) and not one.is_dir()]
        others = set(found) - set(packed)
        if not any(one.is_dir() or one.suffix.lower() not in (*BESIDE, *also) for one in others):
            return sorted(packed, key=lambda one: natural_key(one.name))
    return []


def read_unpacked(source: Any, name: str, files: Sequence[Path], unpack: Unpack, options: Options) -> Dataset:
    """The data set of a packed source.

    Args:
        source: absolute, what gives it again.
        name: of the data set.
        files: all files that it is made of.
        unpack: writes them out; called where they have changed.
        options: see `load_images`.

    Raises:
        ImagesError: of `unpack`, or as for a folder.
    """
    folder = _unpacked(str(source), name, files, unpack)
    dataset: Dataset = FOLDER.read(folder, _with_own_table(folder, options))
    return replace(dataset, name=shown(name), source=str(source))


def plan_unpacked(source: Any, name: str, files: Sequence[Path], unpack: Unpack, options: Options) -> Plan:
    """Its plan, see `Source.plan`."""
    folder = _unpacked(str(source), name, files, unpack)
    return replace(FOLDER.plan(folder, _with_own_table(folder, options)), name=shown(name), source=str(source))


def _with_own_table(folder: Path, options: Options) -> Options:
    """Options with the table that was written beside the folder, which decides on classes, whatever its folders are called."""
    table = folder.parent / TABLE
    return (
        replace(options, table=replace(read_table(table), where=TABLE))
        if options.table == AUTO and table.exists()
        else options
    )


def _unpacked(source: str, name: str, files: Sequence[Path], unpack: Unpack) -> Path:
    """The folder in the cache, of the files as they are now; folders of earlier states are removed."""
    entries = cache_folder() / "unpacked"
    entry = entry_of(entries, source, [file_state(file) for file in files])
    folder = name or "images"

    def write(unfinished: Path) -> None:
        (unfinished / folder).mkdir()
        unpack(unfinished / folder)

    make_entry(entry, write)
    return entry / folder


def make_entry(entry: Path, write: Callable[[Path], None]) -> None:
    """Make the folder of `entry_of` where it is not there; those of earlier states are removed.

    Of several processes one makes it, and the others wait.

    Args:
        entry: the folder.
        write: writes its content into another one.

    Raises:
        ImagesError: of `write`, or the system refused to write it.
    """
    if entry.is_dir():
        return
    place = entry.name.partition("-")[0]
    with unfinished_folder(entry.parent, place) as unfinished:
        if entry.is_dir():
            return
        write(unfinished)
        for other in entry.parent.glob(f"{place}-*"):
            shutil.rmtree(other, ignore_errors=True)
        publish(unfinished, entry)


def entry_of(entries: Path, source: str, states: Sequence[str]) -> Path:
    """The folder `PLACE-STATE` among the entries of a cache, for a source as it is now."""
    place, state = (
        hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16] for text in (source, "\n".join(states))
    )
    return entries / f"{place}-{state}"


@contextmanager
def unfinished_folder(entries: Path, place: str = "") -> Iterator[Path]:
    """A new folder, for `publish`; what is left of it is removed.

    Args:
        entries: where it is.
        place: one process at a time has a folder of this name; "" for any number.

    Raises:
        ImagesError: the system refused to write it.
    """
    unfinished = entries / f".{place}{uuid.uuid4().hex}.tmp"
    try:
        entries.mkdir(parents=True, exist_ok=True)
        with locked(entries / f".{place}.lock") if place else nullcontext():
            for other in entries.glob(".*.tmp"):
                with suppress(FileNotFoundError):  # another process has just removed its own
                    if time.time() - other.stat().st_mtime > ABANDONED:
                        shutil.rmtree(other, ignore_errors=True)
            unfinished.mkdir()
            yield unfinished
    except OSError as error:
        raise ImagesError(
            f"{error.filename or entries}: the cache can't be written ({error.strerror or error}); set LATENS_CACHE to a"
            " folder with room"
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def publish(unfinished: Path, entry: Path) -> None:
    """Give a finished folder its name, whole."""
    try:
        os.rename(unfinished, entry)
    except OSError:
        if not entry.exists():
            raise
        # Another process was first with the same content.
