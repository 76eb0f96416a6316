"""Tags that a person gives to images, kept in the run's folder.

The file is a journal: each change is one line, appended in one write. So two tabs, or two processes, can tag at the same time and
neither undoes what the other did.
"""

import csv
import errno
import io
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from latens.errors import RunDamaged, UsageError

__all__ = ["FILE", "Tags"]

FILE = "tags.jsonl"
LONGEST = 60  # characters of a tag
MOST_IDS = 100_000  # in one change


class Tags:
    """The tags of a run.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def read(self) -> dict[str, list[str]]:
        """Each tag and the ids that have it, in the order in which they got it; tags that no image has are left out.

        Raises:
            RunDamaged: a whole line of the file is no change of tags.
        """
        tags: dict[str, dict[str, None]] = {}
        if not self.path.exists():
            return {}
        text = self.path.read_bytes()
        # A last line without its end was torn by a full disk or a crash: that change was never confirmed, so it does not count.
        whole = text[: text.rfind(b"\n") + 1]
        for number, line in enumerate(whole.split(b"\n")[:-1], 1):
            try:
                change = json.loads(line)
                ids = tags.setdefault(change["tag"], {})
                for one in change["ids"]:
                    ids[one] = None
                    if not change["on"]:
                        del ids[one]
            except (ValueError, KeyError, TypeError) as error:
                raise RunDamaged(f"{self.path}: line {number} is not a change of tags ({error})") from None
        return {tag: list(ids) for tag, ids in tags.items() if ids}

    def change(self, tag: str, ids: Sequence[str], on: bool = True) -> None:
        """Give a tag to images, or take it away.

        Args:
            tag: a short text in one line.
            ids: of the images.
            on: give it, or take it away.

        Raises:
            UsageError: the tag is empty, too long or holds control characters, or there are no ids, or too many.
        """
        tag = tag.strip()
        if not tag or len(tag) > LONGEST or not tag.isprintable():
            raise UsageError(f"a tag must be a text of 1 to {LONGEST} printable characters")
        if not 1 <= len(ids) <= MOST_IDS:
            raise UsageError(f"{len(ids)} images were to be tagged; from 1 to {MOST_IDS:,} are allowed")
        change = {"tag": tag, "on": on, "at": datetime.now(UTC).isoformat(timespec="seconds"), "ids": list(ids)}
        line = json.dumps(change, ensure_ascii=False).encode() + b"\n"
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            _append(file, line)
        finally:
            os.close(file)

    def as_csv(self) -> str:
        """One line an image and tag: `id,tag`."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "tag"))
        writer.writerows((one, tag) for tag, ids in self.read().items() for one in ids)
        return file.getvalue()


def _append(file: int, line: bytes) -> None:
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
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), FILE)
