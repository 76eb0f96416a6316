"""Tags that a person gives to images, kept in the run's folder.

The file is a journal: each change is one line, appended in one write. So two tabs, or two processes, can tag at the same time and
neither undoes what the other did.
"""

import csv
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
            RunDamaged: the file is not what was written.
        """
        tags: dict[str, dict[str, None]] = {}
        if not self.path.exists():
            return {}
        for number, line in enumerate(self.path.read_text(encoding="utf-8").splitlines(), 1):
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
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, line)
        finally:
            os.close(file)

    def as_csv(self) -> str:
        """One line an image and tag: `id,tag`."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "tag"))
        writer.writerows((one, tag) for tag, ids in self.read().items() for one in ids)
        return file.getvalue()
