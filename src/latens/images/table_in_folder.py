"""Tables of the images of a folder: those that are asked for, and those that lie beside the images."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from latens.errors import ImagesError, LatensError, UsageError
from latens.images.folder_layout import FolderLayout, FolderPart
from latens.images.folder_parts import IMAGES, TRAIN, plain, read_name
from latens.images.plan import AUTO, Options
from latens.images.table import Told, tell
from latens.images.table_files import ImageTable, read_table
from latens.images.tree import Node, Tree
from latens.text import natural_key, shown

__all__ = ["take_tables", "with_tables"]

# Of several in one folder the first is read.
FOUND = [f"{name}.{ending}" for name in ("metadata", "labels") for ending in ("csv", "jsonl", "tsv", "parquet")]
DEEPEST = 2  # folders below the first in which a table is looked for

Placed = list[tuple[str, Path]]  # the folder from the root, and the file


def take_tables(tree: Tree, options: Options) -> Placed:
    """The tables beside the images that are read without being asked for; the tree no longer names a table that is used."""
    if isinstance(options.table, ImageTable):
        if options.table.path is not None:
            _forget(tree, options.table.path)
        return []
    if options.table != AUTO:
        return []
    placed = list(_found(tree.root, set(tree.files), 0))
    for _, path in placed:
        _forget(tree, path)
    return placed


def _found(node: Node, files: set[str], depth: int) -> Iterator[tuple[str, Path]]:
    by_name = {name.casefold(): name for name in (file.rpartition("/")[2] for file in files if _inside(node, file))}
    for name in FOUND:
        if name in by_name:
            yield node.relative, node.path / by_name[name]
            return
    children = node.full()
    for child in children if depth < DEEPEST else ():
        # Not in the folders of classes: what lies there is about something else.
        if len(children) == 1 or plain(child.name) in IMAGES or read_name(child.name) is not None:
            yield from _found(child, files, depth + 1)


def _inside(node: Node, file: str) -> bool:
    return file.rpartition("/")[0] == node.relative


def _forget(tree: Tree, path: Path) -> None:
    path = path.absolute()
    tree.files[:] = [file for file in tree.files if (tree.root.path / file).absolute() != path]


def with_tables(
    layout: FolderLayout,
    placed: Placed,
    options: Options,
    for_training: bool = True,
    also: Mapping[str, str] = MappingProxyType({}),
) -> FolderLayout:
    """The layout with the classes, parts and columns that its tables say.

    A table that is asked for decides what it tells, whatever the folders are called. One that was found decides on classes
    and parts only where the folders say nothing; and it is no error if it can't be used.

    Args:
        layout: of the folder.
        placed: from `take_tables`.
        options: with the table that was asked for.
        for_training: whether images may be left out because a table that was found has no label for them.
        also: of some files another name, by which a table may call them where it does not know them by their own.

    Raises:
        ImagesError: the table that was asked for can't be used, or names a part for training in which nothing is.
    """
    ids = [file for part in layout.parts for file in part.files]
    if isinstance(options.table, ImageTable):
        about = _about(options.table, layout)
        names = [also.get(one, one) for one in ids] if also else None
        told = tell(options.table, ids, options.label_column, strict=options.strict, about=about, also=names)
        return _applied(layout, told)
    if options.label_column is not None and not placed:
        raise UsageError(f"label column {options.label_column!r} without a table; give one (table, --table)")
    tolds, notes = [], []
    for folder, path in placed:
        try:
            tolds.append(_told(read_table(path), folder, ids, layout, options, for_training, also))
        except LatensError as error:
            if options.label_column is not None or options.strict:
                raise
            notes.append(f"a table beside the images was not used: {error}")
    for told in tolds:
        notes += told.notes
    if tolds:
        layout = _applied(layout, replace(_merged(tolds), notes=()))
    return replace(layout, notes=(*notes, *layout.notes))


def _about(table: ImageTable, layout: FolderLayout) -> list[bool] | None:
    """Of each image whether a table called train.csv or test.csv is about it: about those of this part only."""
    part = None if table.path is None else read_name(table.path.stem)
    if part is None or part.own or len(layout.parts) == 1:
        return None
    name = "train" if part.kind == TRAIN else "test"
    return [one.name == name for one in layout.parts for _ in one.files]


def _told(
    table: ImageTable,
    folder: str,
    ids: list[str],
    layout: FolderLayout,
    options: Options,
    for_training: bool,
    also: Mapping[str, str],
) -> Told:
    """What a table that was found says of all images."""
    start = f"{folder}/" if folder else ""
    rows = [row for row, one in enumerate(ids) if one.startswith(start)]
    if not rows:
        raise ImagesError(f"{table.where}: no images beside it are used")
    own = [ids[row].removeprefix(start) for row in rows]
    names = [also.get(ids[row], ids[row]).removeprefix(start) for row in rows] if also else None
    asked = options.label_column
    labels, parts = not layout.class_names or asked is not None, len(layout.parts) == 1
    table = replace(table, where=shown(f"{start}{Path(table.where).name}"))
    told = tell(table, own, asked, labels=labels, parts=parts, also=names)
    labelled = len(own) if told.labels is None or asked is not None else sum(map(bool, told.labels))
    if (2 * labelled if for_training else labelled) < len(own):
        told = tell(table, own, labels=False, parts=False, also=names)
        note = (
            f"labels not taken, since only {labelled:,} of {len(own):,} images have one"
            " (table, --table: take them, leave out the rest)"
        )
        told = replace(told, notes=(*told.notes, f"{table.where}: {note}"))
    elif not labels:
        note = "classes are the folders (table, --table: those of the table)"
        told = replace(told, notes=(*told.notes, f"{table.where}: {note}"))

    def spread(values: list[str] | None) -> list[str] | None:
        if values is None:
            return None
        every = [""] * len(ids)
        for row, value in zip(rows, values, strict=True):
            every[row] = value
        return every

    columns = {name: _spread(column, rows, len(ids)) for name, column in told.columns.items()}
    return Told(_spread(told.rows, rows, len(ids)), spread(told.labels), spread(told.parts), columns, told.notes)


def _spread(column: np.ndarray, rows: list[int], count: int) -> np.ndarray:
    """A column of some images as one of all; no value for the others."""
    if len(rows) == count:
        return column
    if column.dtype.kind == "i":
        column = column.astype(np.float64)
    every = np.full(count, "" if column.dtype.kind == "U" else np.nan, column.dtype)
    every[rows] = column
    return every


def _merged(tolds: list[Told]) -> Told:
    """Tables of several folders, each of its own images, as one."""
    first, *others = tolds
    for other in others:
        columns: dict[str, np.ndarray] = dict(first.columns)
        for name, column in other.columns.items():
            columns[name] = _first_of(columns[name], column) if name in columns else column
        first = Told(first.rows, _text(first.labels, other.labels), _text(first.parts, other.parts), columns, ())
    return first


def _text(one: list[str] | None, other: list[str] | None) -> list[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return [a or b for a, b in zip(one, other, strict=True)]


def _first_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    if one.dtype.kind == "U" or other.dtype.kind == "U":
        a, b = (np.where(column == "nan", "", column) for column in (one.astype(str), other.astype(str)))
        return np.where(a == "", b, a)
    return np.where(np.isnan(one), other, one)


def _applied(layout: FolderLayout, told: Told) -> FolderLayout:
    files = [file for part in layout.parts for file in part.files]
    states = [state for part in layout.parts for state in part.states]
    names = [part.name for part in layout.parts for _ in part.files]
    labels: list[Any] | None = None
    if layout.class_names:
        labels = [label for part in layout.parts for label in part.labels or []]
    class_names = layout.class_names
    use = np.ones(len(files), dtype=bool)
    if told.labels is not None:
        class_names = tuple(sorted({label for label in told.labels if label}, key=natural_key))
        number = {name: index for index, name in enumerate(class_names)}
        labels = [number.get(label, -1) for label in told.labels]
        use &= np.array(labels) >= 0
    if told.parts is not None:
        use &= np.array(told.parts) != "-"
        split = "test" in told.parts
        names = [("test" if part == "test" else "train") if split else "all" for part in told.parts]
    paths = {part.name: part.path for part in layout.parts}
    whole = next(iter(paths.values())) if len(paths) == 1 else Path()
    made = []
    for name in ("all", "train", "test"):
        rows = [row for row in np.flatnonzero(use).tolist() if names[row] == name]
        if not rows:
            continue
        made.append(
            FolderPart(
                name,
                paths.get(name, whole),
                [files[row] for row in rows],
                [states[row] for row in rows],
                None if labels is None else [labels[row] for row in rows],
                {column: values[rows] for column, values in told.columns.items()},
            )
        )
    if [part.name for part in made] == ["test"]:
        raise ImagesError(f"{told.notes[0]}: only test images have a label; name train images in the table too")
    if [part.name for part in made] == ["train"]:
        made = [replace(made[0], name="all")]
    return FolderLayout(tuple(made), class_names, (*told.notes, *layout.notes))
