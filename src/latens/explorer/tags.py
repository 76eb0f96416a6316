"""Tags that a person gives to images, kept in the run's folder as a journal.

To undo a change is a line, too: the tags are then what they are without that change alone, and what another tab did stays.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from latens.errors import UsageError
from latens.runs.journal import TAGS, append_change, changes_in, not_a_change
from latens.sheets import no_formula

__all__ = ["Tags"]

LONGEST = 60  # characters of a tag
MOST_IDS = 100_000  # in one change


class Tags:
    """The tags of a run.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / TAGS

    def read(self) -> dict[str, list[str]]:
        """Each tag and the ids that have it, in the order in which they got it; tags that no image has are left out.

        Raises:
            RunDamaged: a whole line of the file is no change of tags.
        """
        tags: dict[str, dict[str, None]] = {}
        changes = list(changes_in(self.path, "tags"))
        undone: dict[str, bool] = {}
        for number, change in changes:
            if not isinstance(change, dict):
                raise not_a_change(self.path, number, "tags", TypeError("no object"))
            if "undo" in change:
                if not isinstance(change["undo"], str) or not isinstance(change.get("on"), bool):
                    raise not_a_change(self.path, number, "tags", TypeError("undo without a name or on"))
                undone[change["undo"]] = change["on"]
        for number, change in changes:
            try:
                if "undo" in change:
                    continue
                if undone.get(change.get("id", "")):
                    continue
                ids = tags.setdefault(change["tag"], {})
                for one in change["ids"]:
                    ids[one] = None
                    if not change["on"]:
                        del ids[one]
            except (KeyError, TypeError) as error:
                raise not_a_change(self.path, number, "tags", error) from None
        return {tag: list(ids) for tag, ids in tags.items() if ids}

    def change(self, tag: str, ids: Sequence[str], on: bool = True) -> str:
        """Give a tag to images, or take it away.

        Args:
            tag: a short text in one line.
            ids: of the images.
            on: give it, or take it away.

        Returns:
            What the change is called, for `undo`.

        Raises:
            UsageError: the tag is empty, too long or holds control characters, or there are no ids, or too many.
        """
        tag = tag.strip()
        if not tag or len(tag) > LONGEST or not tag.isprintable():
            raise UsageError(f"a tag must be a text of 1 to {LONGEST} printable characters")
        if not 1 <= len(ids) <= MOST_IDS:
            raise UsageError(f"{len(ids)} images were to be tagged; from 1 to {MOST_IDS:,} are allowed")
        name = token_hex(6)
        append_change(self.path, {"tag": tag, "on": on, "id": name, "ids": list(ids)})
        return name

    def undo(self, change: str, undone: bool = True) -> None:
        """Take back a change, or do it again; all other changes stay, also those of the same tag and images.

        Args:
            change: what `change` called it.
            undone: take it back, or do it again.

        Raises:
            UsageError: there is no such change.
        """
        if not any("tag" in one and one.get("id") == change for _, one in changes_in(self.path, "tags")):
            raise UsageError(
                f"this change of tags is not in {self.path.name} (any more), so it can't be undone or done again"
            )
        append_change(self.path, {"undo": change, "on": undone})

    def as_csv(self) -> str:
        """One line an image and tag: `id,tag`."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("id", "tag"))
        writer.writerows((no_formula(one), no_formula(tag)) for tag, ids in self.read().items() for one in ids)
        return file.getvalue()
