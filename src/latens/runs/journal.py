"""Journals in a run's folder: each change is one line of JSON, appended in one write.

So two tabs, or two processes, can change something at the same time and neither undoes what the other did.

Each line has a check sum, `sum`: the CRC-32 of the change without it, see `_sum_of`. Lines of earlier versions have none.
"""

import errno
import json
import os
import stat
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from latens.errors import RunDamaged
from latens.files import MAX_JSON, atomic_write, name_the_file, open_regular
from latens.runs.record import locked_for_writing, own_file
from latens.text import quoted

__all__ = ["JOURNALS", "PATHS", "TAGS", "append_change", "changes_in", "not_a_change", "problem_in", "put_aside"]

TAGS, PATHS = "tags.jsonl", "paths.jsonl"
JOURNALS = {TAGS: "tags", PATHS: "paths"}  # in a run's folder, and what their changes are of
SUM = "sum"
EARLIER = {"tag", "on", "id", "ids", "at", "undo", "path", "way", "stops"}  # of changes without a sum
MOST = 4 * MAX_JSON  # bytes of a journal that are read
MOST_KNOWN = 1 << 23  # bytes of a journal whose changes stay in memory
JOURNALS_KNOWN = 4  # as many as two runs have, which a page can show beside each other
ASIDE = ".damaged"  # after a journal's name: the file of the lines that could not be read

# Whole lines that were read, and the change in each; those that were kept first come first.
_KNOWN: dict[Path, tuple[bytes, tuple[Any, ...]]] = {}
_KNOWN_LOCK = threading.Lock()


def changes_in(path: Path, what: str) -> Iterator[tuple[int, Any]]:
    """The changes in a journal and the numbers of their lines, from 1; none where there is no file.

    The file is read each time, but only lines that were not there before are parsed: of the others the bytes are compared.

    Args:
        path: of the journal.
        what: its changes are of, such as "tags", for the error. They are not to be modified.

    Raises:
        RunDamaged: the file can't be read, or a whole line is not JSON, or not what was written.
    """
    text = _text(path)
    known, changes = _KNOWN.get(path, (b"", ()))
    if not text.startswith(known):
        known, changes = b"", ()
    yield from enumerate(changes, 1)
    new = []
    for number, line in enumerate(_lines(text[len(known) :]), len(changes) + 1):
        try:
            new.append(_change_in(line))
        except ValueError as error:
            aside = f"; `latens check {quoted(path.parent)} --repair` puts it aside and keeps the others"
            raise RunDamaged(f"{not_a_change(path, number, what, error)}{aside}") from None
        yield number, new[-1]
    if new and text.endswith(b"\n") and len(text) <= MOST_KNOWN:
        with _KNOWN_LOCK:
            _KNOWN.pop(path, None)
            while len(_KNOWN) >= JOURNALS_KNOWN:
                del _KNOWN[next(iter(_KNOWN))]
            _KNOWN[path] = text, (*changes, *new)


def not_a_change(path: Path, number: int, what: str, error: Exception) -> RunDamaged:
    """The error of a line that cannot be read."""
    return RunDamaged(f"{path}: line {number} is not a change of {what} ({error})")


def append_change(path: Path, change: dict[str, Any], wanted: Callable[[], bool] = lambda: True) -> None:
    """Append a change with the time, whole or not at all; the file is made where there is none.

    Args:
        path: of the journal.
        change: what to append.
        wanted: whether to append it, asked when no other process can change the journal any more.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
        RunDamaged: it is no file, a link that leads out of the run's folder, or longer than a journal is read.
    """
    own_file(path.parent, path.name)
    change = change | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    line = json.dumps({SUM: _sum_of(change), **change}, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
    with locked_for_writing(path.parent):
        if not wanted():
            return
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0), 0o644)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise OSError(errno.EINVAL, "not a regular file")
                if os.fstat(file).st_size > MOST:
                    raise _too_long(path)
                _append(file, line)
            finally:
                os.close(file)
        except OSError as error:
            name_the_file(error, path)
            raise


def _too_long(path: Path) -> RunDamaged:
    return RunDamaged(f"{path}: longer than {MOST >> 20} MiB")


def problem_in(path: Path) -> str:
    """What is wrong with a journal, in one line; empty where each of its lines is what was written, or there is none."""
    try:
        for _ in changes_in(path, JOURNALS[path.name]):
            pass
    except RunDamaged as error:
        return str(error)
    return ""


def put_aside(path: Path) -> None:
    """Take the lines that can't be read out of a journal, into a file beside it; all others stay.

    Raises:
        RunDamaged: the file can't be read at all.
        OSError: the disk is full, or the folder cannot be written.
    """
    with locked_for_writing(path.parent):
        lines = list(_lines(_text(path)))
        damaged = [line for line in lines if not _is_change(line)]
        aside = path.with_name(path.name + ASIDE)
        before = own_file(path.parent, aside.name).read_bytes() if aside.exists() else b""
        atomic_write(aside, before + b"".join(line + b"\n" for line in damaged))
        atomic_write(path, b"".join(line + b"\n" for line in lines if _is_change(line)))


def _text(path: Path) -> bytes:
    """All of a journal; nothing where there is none."""
    try:
        with open_regular(own_file(path.parent, path.name)) as file:
            text = file.read(MOST + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise RunDamaged(f"{path}: not readable ({error.strerror})") from None
    if len(text) > MOST:
        raise _too_long(path)
    return text


def _lines(text: bytes) -> Iterator[bytes]:
    """The lines of a journal, without their ends."""
    *lines, last = text.split(b"\n")
    yield from lines
    # A last line without its end was torn by a full disk or a crash: that change was never confirmed, so it does not count.
    whole = _whole_part(last)
    if whole:
        yield whole


def _whole_part(last: bytes) -> bytes:
    """What counts of a last line without its end: nothing where it was torn, all of it where only the end is damaged."""
    return next((part for part in (last, last[:-1]) if _is_change(part)), b"")


def _is_change(line: bytes) -> bool:
    try:
        _change_in(line)
    except ValueError:
        return False
    return True


def _change_in(line: bytes) -> Any:
    """The change in a line.

    Raises:
        ValueError: it is not JSON, or not what was written.
    """
    try:
        change = json.loads(line)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(change, dict):
        return change
    written = change.pop(SUM, None)
    if written is None and not set(change) <= EARLIER:
        raise ValueError("its check sum is missing")
    if written is not None and written != _sum_of(change):
        raise ValueError("its check sum differs")
    return change


def _sum_of(change: dict[str, Any]) -> str:
    plain = json.dumps(change, sort_keys=True, separators=(",", ":"))
    return f"{zlib.crc32(plain.encode()):08x}"


def _append(file: int, line: bytes) -> None:
    """Append a line whole or not at all, after all others."""
    before = os.fstat(file).st_size
    if before and _tail(file, before - 1) != b"\n":
        before = _mend_end(file, before)
    try:
        written = os.write(file, line)
        if written != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(file)
    except OSError:
        with suppress(OSError):  # what is left is a torn line, which does not count
            os.ftruncate(file, before)
        raise


def _mend_end(file: int, size: int) -> int:
    """Remove a torn last line, or end a whole one, so that the next does not run into it. Returns the new size."""
    text = _tail(file, 0)
    start = text.rfind(b"\n") + 1
    whole = _whole_part(text[start:])
    os.ftruncate(file, start + len(whole))
    if whole and os.write(file, b"\n") != 1:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return start + len(whole) + bool(whole)


def _tail(file: int, start: int) -> bytes:
    """The bytes of an open file from a place on."""
    os.lseek(file, start, os.SEEK_SET)
    with os.fdopen(os.dup(file), "rb") as reader:
        return reader.read()
