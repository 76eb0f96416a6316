"""Tags that a person gives to images, kept in the run's folder as a journal."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from latens.errors import UsageError
from latens.explorer.journal import append_change, changes_in, not_a_change

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
        for number, change in changes_in(self.path, "tags"):
            try:
                ids = tags.setdefault(change["tag"], {})
                for one in change["ids"]:
                    ids[one] = None
                    if not change["on"]:
                        del ids[one]
            except (KeyError, TypeError) as error:
                raise not_a_change(self.path, number, "tags", error) from None
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
        append_change(self.path, {"tag": tag, "on": on, "ids": list(ids)})

    def as_csv(self) -> str:
        """One line an image and tag: `id,tag`."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "tag"))
        writer.writerows((one, tag) for tag, ids in self.read().items() for one in ids)
        return file.getvalue()
