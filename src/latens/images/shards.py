"""Shards of WebDataset: `KEY.jpg`, `KEY.cls` and `KEY.json` are one sample, whose id is the key.

A key is a name up to the first dot behind its folder. `.cls` is the class, a number or a name; the values of `.json`, an
object, and the text of `.txt` are columns. A sample of several images gives several, which keep their whole names. See
https://github.com/webdataset/webdataset, "The WebDataset Format".
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from latens.errors import ImagesDamaged
from latens.images.kinds import is_picture, picture_format
from latens.images.opening import first_bytes
from latens.images.packed_rows import LABEL, TableRow, cut, plain_values, write_table
from latens.text import natural_key, shown

__all__ = ["Shards"]

CLASS, VALUES, TEXT = "cls", "json", "txt"
MOST_TOLD = 1 << 20  # bytes of what is told of an image
MOST_COLUMNS = 1000


class Shards:
    """The unpacked files of one archive or several, brought into one folder, and what files of the same key say of images.

    Args:
        folder: that is to hold the image files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[TableRow] = []
        self.have_classes = True

    def place(self) -> Path:
        """An empty folder to unpack a further shard into."""
        place = self.folder.with_name(f".{self.folder.name}.shard")
        place.mkdir()
        return place

    def take(self, place: Path, archive: Path, part: str, twice: Sequence[str]) -> None:
        """Take what an archive was unpacked to: images get the names of their keys; what is told of them is read and removed.

        Args:
            place: from `place`, or the folder itself, if there is one archive.
            archive: for messages.
            part: of all its images, "" for none.
            twice: names that are in the archive more than once.

        Raises:
            ImagesDamaged: what is told of an image can't be read, or a key is there twice.
        """
        names = sorted(_names(place), key=natural_key)
        images = [name for name in names if is_picture(str(place / name), PurePosixPath(name).name)]
        told = _told(names, images)
        if told and twice:
            raise ImagesDamaged(f"{archive}: holds {shown(twice[0])} twice; each sample needs a key of its own")
        columns = {key: _columns(place, archive, members) for key, members in told.items()}
        read = {name for members in told.values() for name in members.values()}
        for name in read:
            (place / name).unlink()
        alone = {key for key, count in Counter(map(_key, images)).items() if count == 1} if told else set()
        self.have_classes &= all(CLASS in told.get(_key(name), ()) for name in images)
        is_image = set(images)
        for name in (one for one in names if one not in read):
            by_key = name in is_image and _key(name) in alone and _is_known(place / name)
            target = self._moved(place / name, _key(name) if by_key else name, archive)
            if name in is_image and (told or place != self.folder):
                self.rows.append((target, part, columns.get(_key(name), {})))
        if place != self.folder:
            shutil.rmtree(place)

    def _moved(self, file: Path, wanted: str, archive: Path) -> str:
        """Move a file into the folder; what has the name of a file of an earlier shard gets that of its own shard before it."""
        if file == self.folder / wanted:
            return wanted
        while (self.folder / wanted).exists():
            wanted = f"{archive.name.partition('.')[0]}-{wanted.replace('/', '-')}"
        (self.folder / wanted).parent.mkdir(parents=True, exist_ok=True)
        os.rename(file, self.folder / wanted)
        return wanted

    def write_table(self) -> None:
        """Write what is told of the images, if anything is.

        Raises:
            ImagesDamaged: it has more columns than a table can have.
        """
        columns = {name for _, _, row in self.rows for name in row}
        if len(columns) > MOST_COLUMNS:
            told = f"{len(columns):,} different values are told of its images"
            raise ImagesDamaged(f"{self.folder.name}: {told}; at most {MOST_COLUMNS:,} can be columns")
        if not columns and not any(part for _, part, _ in self.rows):
            return
        # Where every image has a class, that is its class, whatever folders the keys name: see `latens.images.unpacked`.
        write_table(self.folder.parent if self.have_classes else self.folder, self.rows)


def _names(place: Path) -> Iterator[str]:
    for root, _, files in os.walk(place):
        for file in files:
            yield (Path(root) / file).relative_to(place).as_posix()


def _key(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}"


def _told(names: list[str], images: list[str]) -> dict[str, dict[str, str]]:
    """Of each key of an image the files that tell of it, by their endings; none where few images have any."""
    keys = dict.fromkeys(map(_key, images))
    told: dict[str, dict[str, str]] = {}
    for name in names:
        ending = PurePosixPath(name).name.partition(".")[2].lower()
        if ending in (CLASS, VALUES, TEXT) and _key(name) in keys:
            told.setdefault(_key(name), {})[ending] = name
    described = sum(CLASS in members or VALUES in members for members in told.values())
    return told if described and 2 * described >= len(keys) else {}


def _is_known(file: Path) -> bool:
    """Whether a file is known as an image by its first bytes, also without its ending."""
    return picture_format(first_bytes(file, 132).ljust(132, b"\0")) is not None


def _columns(place: Path, archive: Path, members: Mapping[str, str]) -> dict[str, Any]:
    """What the files of a key tell of its image."""
    columns: dict[str, Any] = {}
    for ending, name in sorted(members.items(), reverse=True):  # text, values, class: the later one decides
        try:
            with open(place / name, "rb") as file:
                content = file.read(MOST_TOLD + 1)
            if len(content) > MOST_TOLD:
                raise ValueError(f"longer than {MOST_TOLD >> 20} MiB")
            text = content.decode("utf-8-sig").strip()
            values = json.loads(text) if ending == VALUES else None
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else shown(error)
            raise ImagesDamaged(
                f"{archive}: {shown(name)} can't be read ({reason}); mend it and pack it anew"
            ) from None
        if isinstance(values, dict):
            columns |= plain_values(values, {})
        elif ending == TEXT:
            columns[TEXT] = cut(text)
        elif ending == CLASS:
            if LABEL in columns:
                columns[f"{VALUES}:{LABEL}"] = columns[LABEL]
            columns[LABEL] = cut(text)
    return columns
