"""Sources that are packed: what they hold is written once as a folder of image files in the cache, and that folder is read.

So every rule for folders holds for them: classes, train and test parts, tables, what is left out and said. Memory holds one file
at a time.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from latens.errors import ImagesError
from latens.files import cache_folder
from latens.images.contract import Dataset
from latens.images.folder import FOLDER
from latens.images.opening import file_state
from latens.images.plan import Options, Plan
from latens.text import shown

__all__ = ["entry_of", "plan_unpacked", "publish", "read_unpacked", "unfinished_folder"]

Unpack = Callable[[Path], None]  # writes image files into a folder


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
    dataset: Dataset = FOLDER.read(folder, options)
    return replace(dataset, name=shown(name), source=str(source))


def plan_unpacked(source: Any, name: str, files: Sequence[Path], unpack: Unpack, options: Options) -> Plan:
    """Its plan, see `Source.plan`."""
    folder = _unpacked(str(source), name, files, unpack)
    return replace(FOLDER.plan(folder, options), name=shown(name), source=str(source))


def _unpacked(source: str, name: str, files: Sequence[Path], unpack: Unpack) -> Path:
    """The folder in the cache, of the files as they are now; folders of earlier states are removed."""
    entries = cache_folder() / "unpacked"
    entry = entry_of(entries, source, [file_state(file) for file in files])
    if not entry.is_dir():
        with unfinished_folder(entries) as unfinished:
            folder = unfinished / (name or "images")
            folder.mkdir()
            unpack(folder)
            publish(unfinished, entry, entries.glob(f"{entry.name.partition('-')[0]}-*"))
    return entry / (name or "images")


def entry_of(entries: Path, source: str, states: Sequence[str]) -> Path:
    """The folder `PLACE-STATE` among the entries of a cache, for a source as it is now."""
    place, state = (
        hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16] for text in (source, "\n".join(states))
    )
    return entries / f"{place}-{state}"


@contextmanager
def unfinished_folder(entries: Path) -> Iterator[Path]:
    """A new folder, for `publish`; what is left of it is removed.

    Raises:
        ImagesError: the system refused to write it.
    """
    unfinished = entries / f".{uuid.uuid4().hex}.tmp"
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
    except OSError as error:
        raise ImagesError(
            f"{error.filename or entries}: the cache can't be written ({error.strerror or error}); set LATENS_CACHE to a"
            " folder with room"
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def publish(unfinished: Path, entry: Path, outdated: Iterable[Path] = ()) -> None:
    """Give a finished folder its name, whole; outdated ones are removed before."""
    for other in outdated:
        if other != entry:
            shutil.rmtree(other, ignore_errors=True)
    try:
        os.rename(unfinished, entry)
    except OSError:
        if not entry.exists():
            raise
        # Another process was first with the same content.
