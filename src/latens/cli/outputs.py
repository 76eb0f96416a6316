"""Files that a command is asked to write: checked before any work is done."""

import os
from pathlib import Path

from latens.errors import UsageError
from latens.text import listed, shown

__all__ = ["is_folder", "output_file", "output_folder", "output_place"]


def output_file(path: str | None, *endings: str) -> None:
    """Refuse the name of a file that could not be written, or whose ending promises another kind of content.

    Args:
        path: what the user gave; None passes.
        endings: the allowed ones, in lower case; none allows any.

    Raises:
        UsageError: it is a folder, lies below a file or in a folder without write permission, or has another ending.
    """
    if path is None:
        return
    given = Path(path)
    if given.is_dir() or path.endswith(("/", os.sep)):
        raise UsageError(f"{shown(path)}: a folder; the name of a file is needed")
    if endings and given.suffix.lower() not in endings:
        raise UsageError(f"{shown(path)}: ends with {shown(given.suffix) or 'nothing'}; allowed: {listed(endings)}")
    there = next(folder for folder in given.absolute().parents if os.path.lexists(folder))
    if not there.is_dir():
        raise UsageError(f"{shown(path)}: {shown(there)} is not a folder; choose another place")
    if not os.access(there, os.W_OK):
        raise UsageError(f"{shown(path)}: the folder {shown(there)} can't be written to; choose another place")


def output_folder(path: str, overwrite: bool = False) -> None:
    """Refuse the name of a folder that could not be made or written to, or that holds something already.

    Args:
        path: what the user gave.
        overwrite: whether it may hold something: files of the same names are replaced.

    Raises:
        UsageError: it is a file, lies below one, or in a folder without write permission; or it is not empty.
    """
    given = Path(path)
    there = next(folder for folder in (given.absolute(), *given.absolute().parents) if os.path.lexists(folder))
    if not there.is_dir():
        raise UsageError(f"{shown(path)}: {shown(there)} is a file; the name of a folder is needed")
    if not os.access(there, os.W_OK):
        raise UsageError(f"{shown(path)}: the folder {shown(there)} can't be written to; choose another place")
    if given.is_dir() and any(given.iterdir()) and not overwrite:
        raise UsageError(
            f"{shown(path)}: the folder is not empty; choose another, or replace files of the same names: --overwrite"
        )


def is_folder(path: str) -> bool:
    """Whether a name is of a folder: one without an ending, one that ends with a slash, or a folder that is there."""
    return Path(path).is_dir() or path.endswith(("/", os.sep)) or not Path(path).suffix


def output_place(path: str, *endings: str, overwrite: bool = False) -> None:
    """Refuse the name of a file as `output_file` does; and of a folder, if it holds something already.

    Args:
        path: a name with an ending is a file; one without, one that ends with a slash, and a folder that is there, a folder.
        endings: those of files that can be written, in lower case.
        overwrite: whether a folder may hold something: files of the same names are replaced.

    Raises:
        UsageError: it can't be written.
    """
    given = Path(path)
    if not is_folder(path):
        if given.suffix.lower() not in endings:
            raise UsageError(
                f"{shown(path)}: ends with {shown(given.suffix)}; allowed: {listed(endings)}, or a folder, whose name ends with /"
            )
        output_file(path, *endings)
        return
    output_folder(path, overwrite)
