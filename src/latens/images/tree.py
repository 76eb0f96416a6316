"""A folder of pictures: which files, which parts, which classes.

- `train` beside `test` (any case; `training` and `testing` too) are the two parts. Without `test`, one of `val`, `valid`
  and `validation` is the test part; beside `test` it is left out. Without either the train part is split. What else
  lies there is left out. Everything left out is said.
- Two or more subfolders with pictures are classes, named by the subfolder, with all the pictures below it; pictures
  beside them are left out, unless they are the majority: then the subfolders mean nothing and there are no classes.
- A single subfolder is walked into: it is how archives unpack.
- Hidden files and folders, `__MACOSX` and `Thumbs.db` don't count, nor do files whose ending isn't that of a picture.
  Links are followed, but not in circles.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from latens.errors import ImagesDamaged, ImagesEmpty, ImagesError
from latens.images.decode import picture_suffixes

__all__ = ["FolderLayout", "FolderPart", "Node", "lay_out", "walk"]

TRAIN, TEST = {"train", "training"}, {"test", "testing"}
VALIDATION = {"val", "valid", "validation"}
IGNORED = {"__macosx", "thumbs.db", "desktop.ini"}


@dataclass(eq=False)
class Node:
    """A folder.

    Args:
        path: where it is.
        relative: the same from the root, "" for the root.
        pictures: names of the picture files directly in it, in natural order.
        folders: those directly in it, in natural order.
        others: how many files in it and below are no pictures.
    """

    path: Path
    relative: str
    pictures: list[str] = field(default_factory=list)
    folders: list["Node"] = field(default_factory=list)
    others: int = 0

    @property
    def name(self) -> str:
        """Of the folder itself."""
        return self.path.name

    def files(self) -> list[str]:
        """All pictures in it and below, relative to the root."""
        prefix = f"{self.relative}/" if self.relative else ""
        below = [file for folder in self.folders for file in folder.files()]
        return [prefix + name for name in self.pictures] + below

    def count(self) -> int:
        """How many pictures there are in it and below."""
        return len(self.pictures) + sum(folder.count() for folder in self.folders)

    def full(self) -> list["Node"]:
        """The subfolders that have pictures."""
        return [folder for folder in self.folders if folder.count()]

    def empty(self) -> list[str]:
        """The subfolders that have none, relative to the root."""
        return [folder.relative for folder in self.folders if not folder.count()]


@dataclass(frozen=True)
class FolderPart:
    """The files of a part, and the class of each (an index) or None."""

    name: str
    path: Path
    files: list[str]
    labels: list[int] | None


@dataclass(frozen=True)
class FolderLayout:
    """What a folder was understood as."""

    parts: tuple[FolderPart, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def walk(root: Path) -> Node:
    """Read the whole tree of a folder.

    Raises:
        ImagesDamaged: a folder can't be listed.
    """
    return _walk(root, "", (os.path.realpath(root),))


def _walk(path: Path, relative: str, above: tuple[str, ...]) -> Node:
    node = Node(path, relative)
    try:
        entries = sorted(os.scandir(path), key=lambda entry: _natural(entry.name))
    except OSError as error:
        raise ImagesDamaged(
            f"{path}: the folder can't be listed ({error.strerror}); make it readable or move it away"
        ) from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name.lower() in IGNORED:
            continue
        inside = f"{relative}/{entry.name}" if relative else entry.name
        if _is_folder(entry):
            real = os.path.realpath(entry.path)
            if real not in above:
                node.folders.append(_walk(Path(entry.path), inside, (*above, real)))
        elif os.path.splitext(entry.name)[1].lower() in picture_suffixes():
            node.pictures.append(entry.name)
        else:
            node.others += 1
    node.others += sum(folder.others for folder in node.folders)
    return node


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """A key by which img2 comes before img10."""
    pieces = re.split(r"(\d+)", name.casefold())
    return [(int(piece), "") if piece.isdecimal() and piece.isascii() else (-1, piece) for piece in pieces], name


def lay_out(root: Node) -> FolderLayout:
    """Understand a tree by the rules of this file.

    Raises:
        ImagesEmpty: there are no pictures in it.
        ImagesError: a test part without a train part.
    """
    if not root.count():
        others = f" (but {root.others} other files)" if root.others else ""
        raise ImagesEmpty(
            f"{root.path}: no pictures in this folder{others}; give a folder of .png, .jpg or other picture files"
        )
    node, notes = root, []
    while not node.pictures and len(node.full()) == 1 and node.full()[0].name.lower() not in TRAIN:
        notes += [f"the folder {name!r} has no pictures" for name in node.empty()]
        node = node.full()[0]
    train = _named(node, TRAIN)
    parts = [("all", node)]
    if train is not None:
        parts, said = _split_layout(node, train)
        notes += said
    elif node.full() and not node.pictures and all(child.name.lower() in TEST | VALIDATION for child in node.full()):
        names = ", ".join(child.name for child in node.full())
        raise ImagesError(f"{node.path}: has {names} but no train; rename one of them, or give one of them")
    class_names, said = _class_names([child for _, child in parts])
    files = tuple(_part(name, child, class_names) for name, child in parts)
    return FolderLayout(files, tuple(class_names), (*notes, *said))


def _named(node: Node, names: set[str]) -> Node | None:
    return next((child for child in node.full() if child.name.lower() in names), None)


def _split_layout(node: Node, train: Node) -> tuple[list[tuple[str, Node]], list[str]]:
    test = _named(node, TEST) or _named(node, VALIDATION)
    left = [child.name for child in node.full() if child is not train and child is not test]
    notes = [f"left out beside {train.name}: the folder {name!r}" for name in left]
    if node.pictures:
        notes.append(f"left out beside {train.name}: {len(node.pictures)} pictures ({node.pictures[0]}, …)")
    if test is None:
        return [("all", train)], notes
    if test.name.lower() in VALIDATION:
        notes.append(f"the test part is the folder {test.name!r}")
    return [("train", train), ("test", test)], notes


def _class_names(nodes: Sequence[Node]) -> tuple[list[str], list[str]]:
    """The classes of all parts together (none if there is but one), and what to say of what isn't in them."""
    names = sorted({child.name for node in nodes for child in node.full()}, key=_natural)
    loose = sum(len(node.pictures) for node in nodes)
    total = sum(node.count() for node in nodes)
    if len(names) == 1:
        return [], [f"all classes but one are empty ({names[0]}): no labels"] if any(
            node.empty() for node in nodes
        ) else []
    if not names:
        return [], []
    if 2 * loose > total:
        return [], [
            f"most pictures lie beside the subfolders ({', '.join(names[:3])}, …), which were not taken as classes"
        ]
    notes = [f"the class folder {name!r} is empty" for node in nodes for name in node.empty()]
    if loose:
        first = next(node for node in nodes if node.pictures)
        notes.append(f"left out beside the class folders: {loose} pictures ({first.pictures[0]}, …)")
    _check_labelled(nodes)
    return names, notes


def _check_labelled(nodes: Sequence[Node]) -> None:
    for node in nodes:
        if not node.full():
            other = next(child for child in nodes if child.full())
            raise ImagesError(
                f"{other.path} has class folders and {node.path} has none; sort both into the same class folders, or give "
                f"{other.path} alone"
            )


def _part(name: str, node: Node, class_names: list[str]) -> FolderPart:
    if not class_names:
        return FolderPart(name, node.path, node.files(), None)
    files, labels = [], []
    for child in node.full():
        below = child.files()
        files += below
        labels += [class_names.index(child.name)] * len(below)
    return FolderPart(name, node.path, files, labels)
