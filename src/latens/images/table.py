"""What a table says of images: which row is which image, its class, its part, and further columns.

- **Names**. One column names the images: by the path, by its end, by the file name, with or without ending, in any case, or by
  the number that the file name is. It is found by its values, not by its own name.
- **Labels**. The column that was asked for, otherwise the first that is called label, class, category, target or alike and whose
  values can be classes; otherwise columns of 0 and 1 of which one is 1 in each row, one a class.
- **Parts**. A column split, set, subset or partition whose values are words for train, test and validation.
- Every other column is kept: whole numbers, numbers or text.

Nothing is lost without a word: rows of images that are not there, images that are named twice, and images without a row are each
one note.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from latens.errors import LabelsError, TableError, UsageError
from latens.images.folder_parts import TEST_ORDER, TRAIN, TRAINED_ON, read_name
from latens.images.table_files import ImageTable
from latens.text import counted, listed, shown

__all__ = ["Told", "joined_parts", "tell"]

LABELS = (
    *(
        "label",
        "labels",
        "class",
        "classname",
        "category",
        "target",
        "labelname",
        "categoryname",
        "species",
        "diagnosis",
        "dx",
    ),
    *("y", "classid", "labelid", "categoryid", "classes", "targets", "categories", "tag", "kind"),
)
SPLITS = ("split", "set", "subset", "partition", "part", "usage", "traintest", "splits")
CODES = {"0": "train", "1": "validation", "2": "test"}  # as CelebA has them; taken only where all three occur
ROWS = (
    "id",
    "index",
    "row",
    "rowid",
    "imageid",
    "idx",
    "number",
    "rownumber",
    "column1",
)  # names of columns that number rows
NAMING = re.compile("id|name|file|image|img|path", re.IGNORECASE)
TRIED = 500  # values of a column that are looked for at first
EXAMPLES = 3
MOST_SHARE = 0.5  # of all images: a column with more classes than this share is no label unless it is asked for
FEWEST_CLASSES = 20  # up to so many are classes however few images there are
ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}$")
NO_VALUE = {"", "na", "n/a", "nan", "null", "none", "?"}


@dataclass(frozen=True, eq=False)
class Told:
    """What a table says of N images.

    Args:
        rows: int64 (N,), the row of each image; -1 for those without.
        labels: the class of each image, "" where it has none; or None.
        parts: of each image "train", "test", "-" where it is in neither, "" where nothing is said; or None.
        columns: as `Images.columns`.
        notes: for the user, the first on what was used.
    """

    rows: np.ndarray
    labels: list[str] | None
    parts: list[str] | None
    columns: Mapping[str, np.ndarray]
    notes: tuple[str, ...]


def tell(
    table: ImageTable,
    ids: Sequence[str],
    label_column: str | None = None,
    *,
    labels: bool = True,
    parts: bool = True,
    in_order: bool = False,
    strict: bool = False,
    about: Sequence[bool] | None = None,
    also: Sequence[str] | None = None,
) -> Told:
    """Match a table with images.

    Args:
        table: from `read_table`.
        ids: of the images, paths with / or numbers of rows.
        label_column: the column of the classes, or None to find it.
        labels: whether a column is looked for that holds the classes.
        parts: whether a column is looked for that holds the parts.
        in_order: whether rows may be meant in the order of the images, which are numbered and have no names.
        about: of each image whether the table may name it; by default all.
        also: of each image another name, by which the table may call it where no column holds the ids.
        strict: whether rows without an image, and images with rows that differ, are errors.

    Raises:
        UsageError: there is no such column.
        LabelsError: the column that was asked for holds no classes.
        TableError: no column names the images; or, with `strict`, names fit no image.
    """
    named = ids if about is None else [one if may else "" for one, may in zip(ids, about, strict=True)]
    table = _with_its_header(table, named)
    if label_column is not None and label_column not in table.columns:
        raise UsageError(f"{table.where}: no column {label_column!r}; it has {listed(table.columns, 20)}")
    try:
        name, found, how = _names(table, named, in_order)
    except TableError:
        if also is None:
            raise
        with suppress(TableError):
            return tell(table, also, label_column, labels=labels, parts=parts, strict=strict, about=about)
        raise
    rows, notes = _rows(table, name, found, ids, strict)
    where = shown(table.where)
    columns = {one: values for one, values in table.columns.items() if one != name}
    have = rows >= 0

    def of_images(values: Sequence[str]) -> list[str]:
        return [values[row] if row >= 0 else "" for row in rows.tolist()]

    split = _split_column(columns) if parts else None
    in_parts = None
    if split is not None:
        values = columns.pop(split)
        kinds = _kinds(values)
        in_parts, said = joined_parts([kinds[value] for value in of_images(values)])
        notes += [f"{where}: {shown(split)}: {one}" for one in said]
    elif parts:
        for name in columns:
            if _plain(name) in SPLITS[:1]:  # it is called split, and means something else
                words = listed(list(dict.fromkeys(filter(None, columns[name]))), EXAMPLES)
                notes.append(f"{where}: {shown(name)}: no parts taken, since {words} are no words for train and test")
    label, classes, from_what = None, None, ""
    if labels:
        label, said = _label_column(columns, rows[have], label_column, table.where)
        notes += said
    if label is not None:
        classes = [_class_name(value) for value in of_images(columns.pop(label))]
        from_what = shown(label)
    elif labels and (hot := _one_hot(columns)):
        classes = [_class_name(value) for value in of_images(_hot_names(hot, columns))]
        from_what = f"the columns of 0 and 1 {listed(hot)}"
        columns = {one: values for one, values in columns.items() if one not in hot}
    bare = [one for row, one in enumerate(ids) if not (rows[row] >= 0 if classes is None else classes[row])]
    if bare:
        what = "without a row" if classes is None else "without a label, left out"
        notes.append(f"{where}: {counted(len(bare), 'image')} {what}: {listed(bare, EXAMPLES)}")
    kept = {one: _typed(of_images(values)) for one, values in columns.items()}
    use = [how]
    if classes is not None:
        use.append(f"labels from {from_what} ({counted(len(set(classes) - {''}), 'class', 'classes')})")
    if split is not None:
        use.append(f"parts from {shown(split)}")
    if kept:
        use.append(f"columns {listed(kept, 10)}")
    if labels and classes is None and kept:
        use.append("no labels (label_column, --label-column: the column of the classes)")
    first = f"{where}: rows of {int(have.sum()):,} of {len(ids):,} images, {'; '.join(use)}"
    return Told(rows, classes, in_parts, kept, (first, *notes))


def _with_its_header(table: ImageTable, ids: Sequence[str]) -> ImageTable:
    """The table, its first line as values where it names an image itself."""
    if not table.header or not any(map(ENDING.search, table.columns)):
        return table
    index = _Index(ids, _path)
    if not any(ENDING.search(name) and index.find(name) >= 0 for name in table.columns):
        return table
    bare = table.without_header()
    if len(bare.columns) == 2:  # a name and a class
        names = list(bare.columns)
        label = names[1] if index.find(bare.columns[names[0]][0]) >= 0 else names[0]
        return ImageTable(
            bare.where,
            {("label" if name == label else name): values for name, values in bare.columns.items()},
            bare.digest,
            bare.path,
        )
    return bare


# ---- names


def _path(name: str) -> str:
    if name.isascii() and "\\" not in name and "//" not in name and name.strip("./ ") == name:
        return name  # as most are
    parts = unicodedata.normalize("NFC", name.strip()).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _without_ending(name: str) -> str:
    return ENDING.sub("", _path(name))


def _folded(name: str) -> str:
    return _without_ending(name).casefold()


def _number(name: str) -> str:
    stem = _without_ending(name).rpartition("/")[2]
    return str(int(stem)) if stem.isascii() and stem.isdigit() else ""


def _last(name: str) -> str:
    return _folded(name).rpartition("/")[2]


# From the strictest way to compare names to the loosest.
WAYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("file names", _path),
    ("file names without ending", _without_ending),
    ("file names in any case", _folded),
    ("last parts of file names", _last),
    ("numbers of files", _number),
)


class _Index:
    """Images by their names and by the ends of their paths."""

    def __init__(self, ids: Sequence[str], key: Callable[[str], str]) -> None:
        self.key = key
        self.whole: dict[str, int] = {}
        self.ends: dict[str, int] = {}  # -2 where several images have this end
        for row, one in enumerate(ids):
            name = key(one)
            if not name:
                continue
            self.whole[name] = -2 if name in self.whole else row
            slash = name.find("/")
            while slash >= 0:
                end = name[slash + 1 :]
                self.ends[end] = -2 if end in self.ends else row
                slash = name.find("/", slash + 1)

    def find(self, value: str) -> int:
        """The row of an image, -1 if there is none of this name, -2 if there are several."""
        name = self.key(value)
        if not name:
            return -1
        for known in (self.whole, self.ends):
            if name in known:
                return known[name]
        parts = name.split("/")  # a longer path than ours: where the images lay when the table was written
        return next((self.whole[end] for k in range(1, len(parts)) if (end := "/".join(parts[k:])) in self.whole), -1)


def _names(table: ImageTable, ids: Sequence[str], in_order: bool) -> tuple[str | None, np.ndarray, str]:
    """The column that names the images, the image of each of its rows, and in words how they were matched."""
    enough = min(len(ids), len(table)) / 2
    columns = table.columns
    if in_order:  # numbered images: only columns that are called so number them
        columns = {name: values for name, values in columns.items() if _plain(name) in ROWS}
    best: tuple[int, str, np.ndarray, str] | None = None
    ways = [(words, key, quickly) for quickly in (True, False) for words, key in WAYS]
    for words, key, quickly in ways:
        if not quickly and (best is not None or len(table) <= TRIED):
            break
        index = _Index(ids, key)
        for name, values in columns.items():
            known = {value: index.find(value) for value in dict.fromkeys(_some(values) if quickly else values)}
            if quickly and max(known.values()) < 0:
                continue  # a long column of something else
            known |= {value: index.find(value) for value in dict.fromkeys(values) if value not in known}
            found = np.array([known[value] for value in values], dtype=np.int64)
            count = len(np.unique(found[found >= 0]))
            # Any column of small numbers holds some that are numbers of files: then it must name most images, each once.
            alike = all(value.isdigit() for value in values if value) and not NAMING.search(name)
            if (alike or key is _number) and (2 * count < len(ids) or count < (found >= 0).sum()):
                continue
            if count > (best[0] if best else 0):
                best = count, name, found, f"by {words} in {shown(name)}"
        if best is not None and best[0] >= enough:
            break
    if best is not None and best[0] >= max(1, enough / 10):
        return best[1:]
    if in_order and len(table) == len(ids):
        return None, np.arange(len(ids)), "in order"
    if in_order:
        raise TableError(
            f"{table.where}: {counted(len(table), 'row')} for {counted(len(ids), 'image')}, and no column id or index that "
            f"numbers them from 0; give one row an image, in order"
        )
    first = next(filter(None, ids), "")
    tried = listed([f"{shown(name)} ({shown(values[0])[:40]!r}, …)" for name, values in table.columns.items()], 6)
    raise TableError(
        f"{table.where}: no column names the images, which are called like {first!r}; tried {tried}; give a column of file "
        "names, with or without folders and endings"
    )


def _some(values: Sequence[str]) -> list[str]:
    """Some values, evenly spaced."""
    return [values[row] for row in np.unique(np.linspace(0, len(values) - 1, TRIED).astype(int)).tolist()]


def _rows(
    table: ImageTable, name: str | None, found: np.ndarray, ids: Sequence[str], strict: bool
) -> tuple[np.ndarray, list[str]]:
    """The row of each image, and notes on names that fit none, or several, or are there twice."""
    rows = np.full(len(ids), -1, dtype=np.int64)
    twice: dict[int, int] = {}
    differ: set[int] = set()
    for row, image in enumerate(found.tolist()):
        if image < 0:
            continue
        if rows[image] < 0:
            rows[image] = row
            continue
        twice[image] = twice.get(image, 1) + 1
        if any(values[row] != values[rows[image]] for one, values in table.columns.items() if one != name):
            differ.add(image)
    names = table.columns[name] if name is not None else []
    absent = [names[row] for row in np.flatnonzero(found == -1).tolist()]
    several = [names[row] for row in np.flatnonzero(found == -2).tolist()]
    where, notes = shown(table.where), []
    if absent:
        notes.append(f"{where}: {counted(len(absent), 'row')} of images that are not there: {listed(absent, EXAMPLES)}")
    if several:
        notes.append(
            f"{where}: {counted(len(several), 'row')} whose name several images have, not used: {listed(several, EXAMPLES)}"
        )
    if twice:
        told = f", {len(differ):,} of them with values that differ" if differ else ""
        named = listed([ids[image] for image in twice], EXAMPLES)
        notes.append(
            f"{where}: {counted(len(twice), 'image')} named more than once{told}; the first row counts: {named}"
        )
    if strict and (absent or several or differ):
        raise TableError(f"{'; '.join(notes)}; mend the table, or leave out strict")
    return rows, notes


# ---- roles


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _split_column(columns: Mapping[str, list[str]]) -> str | None:
    for name, values in columns.items():
        if _plain(name) not in SPLITS:
            continue
        kinds = set(_kinds(values).values())
        if None not in kinds and TRAIN in kinds:
            return name
    return None


def _kinds(values: Sequence[str]) -> dict[str, str | None]:
    """The kind of part that each value means, "" for no value, None for another word."""
    present = set(values)
    if present - {""} == set(CODES):
        return {"": "", **CODES}
    read = {value: read_name(value) for value in present}
    kinds = {value: part.kind if part is not None and not part.own else None for value, part in read.items()}
    return {**kinds, "": ""}


def joined_parts(kinds: Sequence[str | None]) -> tuple[list[str], list[str]]:
    """The part of each image by its kind, and notes: the one rule for validation sets.

    The first kind there is of test, holdout, evaluation, validation and development is the test part. Beside another test part
    validation and development images are trained on, and holdout and evaluation images are left out ("-").

    >>> joined_parts(["train", "validation", "test"])[0], joined_parts(["train", "validation"])[0]
    (['train', 'train', 'test'], ['train', 'test'])
    """
    present = [kind for kind in TEST_ORDER if kind in kinds]
    test, others = (present[0], present[1:]) if present else ("", [])
    to = {TRAIN: "train", "": "", test: "test" if test else ""}
    notes = []
    for kind in others:
        trained = kind in TRAINED_ON
        to[kind] = "train" if trained else "-"
        count = counted(sum(one == kind for one in kinds), "image")
        notes.append(f"the {kind} part ({count}) was {'joined to the train part' if trained else 'left out'}")
    if test not in ("", "test"):
        notes.append(f"the test part is the {test} part")
    return [to[kind or ""] for kind in kinds], notes


def _label_column(
    columns: Mapping[str, list[str]], rows: np.ndarray, asked: str | None, where: str
) -> tuple[str | None, list[str]]:
    """The column of the classes, or None; and notes."""
    if asked is not None:
        if asked not in columns:
            raise UsageError(f"{where}: the column {asked!r} names the images or their parts; give another as labels")
        problem = _no_classes([columns[asked][row] for row in rows.tolist()], asked=True)
        if problem:
            raise LabelsError(
                f"{where}: the column {asked!r} {problem}; give a column of text or whole numbers as labels"
            )
        return asked, []
    by_name: dict[str, str] = {}
    for name in columns:
        by_name.setdefault(_plain(name), name)
    notes: list[str] = []
    for known in LABELS:
        if known in by_name:
            name = by_name[known]
            problem = _no_classes([columns[name][row] for row in rows.tolist()], asked=False)
            if not problem:
                return name, notes
            notes.append(f"{shown(where)}: the column {shown(name)} {problem}, and was not taken as labels")
    return None, notes


def _one_hot(columns: Mapping[str, list[str]]) -> list[str]:
    """The columns of 0 and 1, where one of them is 1 in each row: one a class."""
    binary = [name for name, values in columns.items() if set(values) <= {"0", "1", "0.0", "1.0"}]
    if len(binary) < 2:
        return []
    ones = np.array([[value[0] == "1" for value in columns[name]] for name in binary])
    return binary if (ones.sum(axis=0) == 1).all() and (ones.sum(axis=1) > 0).sum() > 1 else []


def _hot_names(names: Sequence[str], columns: Mapping[str, list[str]]) -> list[str]:
    """Of each row the name of the column that is 1."""
    ones = np.array([[value[0] == "1" for value in columns[name]] for name in names])
    return [names[k] for k in ones.argmax(axis=0).tolist()]


def _no_classes(values: Sequence[str], asked: bool) -> str:
    """Why values are no classes, or ""."""
    present = {value for value in values if value}
    if len(present) < 2:
        return "has fewer than two different values"
    numbers = _numbers(list(present))
    few = asked and len(present) <= FEWEST_CLASSES  # such as grades of 0, 0.5 and 1
    if numbers is not None and not few and not all(math.isnan(number) or number.is_integer() for number in numbers):
        return "holds numbers that are not whole"
    if not asked and len(present) > max(FEWEST_CLASSES, MOST_SHARE * len(values)):
        return f"has {len(present):,} different values for {len(values):,} images"
    return ""


def _class_name(value: str) -> str:
    return shown(unicodedata.normalize("NFC", value))


def _numbers(values: Sequence[str]) -> list[float] | None:
    """Values as numbers, NaN where there is none; None where one is text."""
    found = []
    for value in values:
        if value.casefold() in NO_VALUE:
            found.append(float("nan"))
            continue
        if re.match(r"[+-]?0\d", value):
            return None  # 007 is a name
        try:
            found.append(float(value))
        except ValueError:
            return None
    return found


def _typed(values: list[str]) -> np.ndarray:
    """A column as int64, float64 (NaN where there is no value) or str."""
    numbers = _numbers(values)
    if numbers is None or np.isnan(array := np.array(numbers, dtype=np.float64)).all():
        return np.array([unicodedata.normalize("NFC", value) for value in values], dtype=str)
    whole = np.isfinite(array).all() and (array == np.rint(array)).all() and np.abs(array).max(initial=0) < 2**53
    return array.astype(np.int64) if whole else array
