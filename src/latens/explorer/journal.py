"""Journals in a run's folder: each change is one line of JSON, appended in one write.

So two tabs, or two processes, can change something at the same time and neither undoes what the other did.
"""

import errno
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latens.errors import RunDamaged

__all__ = ["append_change", "changes_in", "not_a_change"]


def changes_in(path: Path, what: str) -> Iterator[tuple[int, Any]]:
    """The changes in a journal and the numbers of their lines, from 1; none where there is no file.

    Args:
        path: of the journal.
        what: its changes are of, such as "tags", for the error.

    Raises:
        RunDamaged: a whole line is not JSON.
    """
    if not path.exists():
        return
    text = path.read_bytes()
    # A last line without its end was torn by a full disk or a crash: that change was never confirmed, so it does not count.
    whole = text[: text.rfind(b"\n") + 1]
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        try:
            yield number, json.loads(line)
        except ValueError as error:
            raise not_a_change(path, number, what, error) from None


def not_a_change(path: Path, number: int, what: str, error: Exception) -> RunDamaged:
    """The error of a line that cannot be read."""
    return RunDamaged(f"{path}: line {number} is not a change of {what} ({error})")


def append_change(path: Path, change: dict[str, Any]) -> None:
    """Append a change with the time, whole or not at all; the file is made where there is none.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    line = (
        json.dumps(change | {"at": datetime.now(UTC).isoformat(timespec="seconds")}, ensure_ascii=False).encode()
        + b"\n"
    )
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _append(file, line, path.name)
    finally:
        os.close(file)


def _append(file: int, line: bytes, name: str) -> None:
    """Append a line whole or not at all."""
    before = os.fstat(file).st_size
    if before:
        os.lseek(file, 0, os.SEEK_SET)
        with os.fdopen(os.dup(file), "rb") as reader:
            whole = reader.read().rfind(b"\n") + 1
        if whole < before and os.fstat(file).st_size == before:  # a torn last line would run into this one
            os.ftruncate(file, whole)
            before = whole
    written = os.write(file, line)
    if written != len(line):  # the disk is full
        if os.fstat(file).st_size == before + written:  # else another process has appended since
            os.ftruncate(file, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
