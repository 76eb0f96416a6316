"""Sources that are packed: what they hold is written once as a folder of image files in the cache, and that folder is read.

So every rule for folders holds for them: classes, train and test parts, tables, what is left out and said. Memory holds one file
at a time.
"""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Sequence
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

__all__ = ["plan_unpacked", "read_unpacked"]

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
    place = hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()[:16]
    state = hashlib.sha256("\n".join(file_state(file) for file in files).encode(errors="surrogatepass"))
    entry = entries / f"{place}-{state.hexdigest()[:16]}"
    folder = entry / (name or "images")
    if folder.is_dir():
        return folder
    unfinished = entries / f".{entry.name}.{uuid.uuid4().hex}.tmp"
    try:
        (unfinished / folder.name).mkdir(parents=True)
        unpack(unfinished / folder.name)
        for other in entries.glob(f"{place}-*"):
            shutil.rmtree(other, ignore_errors=True)
        _publish(unfinished, entry)
    except OSError as error:
        raise ImagesError(
            f"{error.filename or entries}: the cache can't be written ({error.strerror or error}); set LATENS_CACHE to a"
            " folder with room"
        ) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _publish(unfinished: Path, entry: Path) -> None:
    try:
        os.rename(unfinished, entry)
    except OSError:
        if not entry.exists():
            raise
        # Another process was first with the same content.
