"""Images in the rows of a table, written as image files and a table of the other columns beside them."""

import csv
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from latens.images.folder_parts import read_name
from latens.images.kinds import picture_format
from latens.text import shown

__all__ = [
    "LABEL",
    "TABLE",
    "PackedRow",
    "TableRow",
    "cut",
    "first_images",
    "part_of",
    "plain_values",
    "write_rows",
    "write_table",
]

IMAGES = ("image", "img", "pixel_values", "picture", "jpg", "png")  # of several columns of images the first of these
ENDINGS = {"JPEG": "jpg", "JPEG 2000": "jp2", "TIFF": "tif", "DICOM": "dcm"}
SHARD = re.compile(r"[-_.]?\d+(-of-\d+)?$")  # train-00000-of-00003
TABLE = "metadata.csv"  # which the rules of folders find
LONGEST = 1000  # letters of a text
FILE, SPLIT, LABEL = "image_file", "split", "label"

TableRow = tuple[str, str, Mapping[str, Any]]  # file, part, other values


class PackedRow(NamedTuple):
    """One row.

    Args:
        stem: of the name of its file.
        content: the bytes of an image file.
        part: train, test or validation; "" where nothing says it.
        columns: its other values, see `plain_values`.
    """

    stem: str
    content: bytes
    part: str
    columns: Mapping[str, Any]


def write_rows(folder: Path, rows: Iterable[PackedRow]) -> str:
    """Write each row's image as a file, and one table of all other columns. Memory holds one image at a time.

    Returns:
        SHA-256 of all that was written.
    """
    digest = hashlib.sha256()
    told: list[TableRow] = []
    for row in rows:
        form = picture_format(row.content[:132].ljust(132, b"\0")) or ""
        name = f"{row.stem}.{ENDINGS.get(form, form.lower() or 'bin')}"
        (folder / name).write_bytes(row.content)
        told.append((name, row.part, row.columns))
        digest.update(hashlib.sha256(row.content).digest() + repr(told[-1]).encode("utf-8", "surrogatepass"))
    write_table(folder, told)
    return digest.hexdigest()


def write_table(folder: Path, rows: Sequence[TableRow]) -> None:
    """The table of image files; beside them the rules of folders find it. Parts count where there are several."""
    split = len({part for _, part, _ in rows if part}) > 1
    told = [{FILE: name, **({SPLIT: part} if split else {}), **columns} for name, part, columns in rows]
    with open(folder / TABLE, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in told for name in row)))
        writer.writeheader()
        writer.writerows(told)


def part_of(stem: str) -> str:
    """The part by the beginning of a shard's name: train, test, validation or alike; "" for none.

    >>> part_of("train-00000-of-00003"), part_of("val-000012"), part_of("photos-1")
    ('train', 'validation', '')
    """
    read = read_name(SHARD.sub("", SHARD.sub("", stem)))
    return read.kind if read is not None else ""


def first_images(columns: Sequence[str]) -> str:
    """Of several columns of images the one that is read."""
    return min(columns, key=lambda name: (_rank(name), columns.index(name)))


def _rank(name: str) -> int:
    return IMAGES.index(name.lower()) if name.lower() in IMAGES else len(IMAGES)


def plain_values(row: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """A row's values as a table has them: classes by their names; lists, structs and bytes are left out.

    Args:
        row: values by name.
        names: of the classes of each column that numbers classes. The first such column is called `label`, unless another is.
    """
    plain: dict[str, Any] = {}
    label = next(iter(names), None) if LABEL not in row else None
    for name, value in row.items():
        if isinstance(value, list | tuple | dict | bytes):
            continue
        if name in names and isinstance(value, int):
            value = names[name][value] if 0 <= value < len(names[name]) else ""  # -1: no label
        known = LABEL if name == label else shown(name)
        text = cut(value) if isinstance(value, str) else value
        plain[f"column:{known}" if known == FILE else known] = "" if text is None else text
    return plain


def cut(text: str) -> str:
    """A text as a table has it: no zero byte, and not so long that a column of texts takes more memory than the images."""
    text = text.replace("\0", "")
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
