"""The layout of a folder of pictures: which files are the train part, which the test part, and what their classes are.

- **Parts**. Where a train folder lies beside a test folder, at any level, these are the parts: `data/train` and `data/test`,
  or `cat/train` and `cat/test` for each class (`folder_parts` says which names count). Of test, holdout, evaluation, validation
  and development folders the first kind that there is makes the test part. Validation and development folders beside another
  test part are trained on; holdout and evaluation folders are left out, as is what lies beside the parts. A test folder beside
  other folders or pictures is the test part, and these are trained on. A train folder without a test folder is the train part
  if it is alone, or holds class folders and has at most one folder beside it.
  Otherwise everything is one part, which is split later.
- **Classes**. Without the folders that only wrap all others, the first folder on the way to a picture is its class, if there
  are two or more. Pictures beside class folders are left out; where they are the majority, there are no classes. Names
  that differ only in how accents are stored, or in capital letters between the two parts, are one class.
- **Masks**. `ground_truth` is left out, and so are `masks`, `labels` and the like beside `images`, and masks that are named
  after an image, see `latens.images.masks`.

Everything that is left out is named in a note.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from latens.errors import ImagesEmpty, ImagesError
from latens.images.folder_parts import (
    IMAGES,
    MASKS,
    TEST_ORDER,
    TRAIN,
    TRAINED_ON,
    TRUTH,
    PartName,
    partners,
    plain,
    read_name,
)
from latens.images.masks import take_masks
from latens.images.plan import RULES
from latens.images.tree import Node, Tree
from latens.text import counted, listed, natural_key, shown

__all__ = ["FolderLayout", "FolderPart", "lay_out"]


@dataclass(frozen=True)
class FolderPart:
    """The files of a part.

    Args:
        name: "train", "test" or "all".
        path: its folder, or the whole folder where it lies in several.
        files: from the root, in natural order.
        states: of each file, what `file_state` says.
        labels: of each file its class, an index, or None.
        columns: as `Images.columns`.
    """

    name: str
    path: Path
    files: list[str]
    states: list[str]
    labels: list[int] | None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class FolderLayout:
    """The parts and classes of a folder."""

    parts: tuple[FolderPart, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
    """Pictures of one folder.

    Args:
        node: the folder.
        part: the kind of part that it lies in, or None.
        top: the folder of that part.
        way: the folders on the way to it that are no parts.
    """

    node: Node
    part: str | None
    top: Node | None
    way: tuple[str, ...]


@dataclass
class _Reading:
    """What is known of a folder while its layout is being read."""

    root: Node
    groups: list[_Group] = field(default_factory=list)
    beside: list[Node] = field(default_factory=list)  # folders beside the parts
    loose: list[str] = field(default_factory=list)  # pictures beside the parts
    masks: dict[int, Node] = field(default_factory=dict)  # by identity: a folder may be looked at twice
    notes: list[str] = field(default_factory=list)
    only_truth: bool = False  # whether all pictures lie in folders of masks, which then are what was meant
    rules: int = RULES
    paired: bool = False  # whether a train folder lies beside a test folder anywhere


def lay_out(tree: Tree, for_training: bool = True, *, keep_masks: bool = False, rules: int = RULES) -> FolderLayout:
    """Find the parts and classes of a tree by the rules of this file.

    Args:
        tree: from `walk`.
        for_training: whether a test part without a train part is refused; otherwise it is the only part.
        keep_masks: whether masks are images like others.
        rules: see `latens.images.plan.RULES`; 1 leaves out a validation part beside a test part, and knows masks only by the
            names of folders.

    Raises:
        ImagesEmpty: there are no pictures in it, or only masks.
        ImagesError: a test part without a train part.
    """
    root = tree.root
    if not root.total:
        raise ImagesEmpty(
            f"{root.path}: no images in this folder{tree.contents()}; give a folder of .png, .jpg or other image files"
        )
    reading = _Reading(root, rules=rules)
    if not keep_masks and rules > 1:
        reading.notes += take_masks(tree)
    reading.only_truth = keep_masks or not _has_more_than_truth(root)
    reading.paired = any(_pairs(node) for node in _all_nodes(root))
    _collect(reading, root, None, None, ())
    parts = _parts(reading, for_training)
    parts = [(name, _unwrapped(groups)) for name, groups in parts]
    parts = _without_wrappers(parts)
    class_names, numbers = _classes(reading, parts)
    made = tuple(_part(reading, name, groups, numbers) for name, groups in parts)
    return FolderLayout(made, class_names, tuple(_notes(reading, tree)))


def _all_nodes(node: Node) -> Iterator[Node]:
    yield node
    for folder in node.folders:
        yield from _all_nodes(folder)


# ---- parts


def _pairs(node: Node) -> dict[str, PartName]:
    """The folders in it that are certainly parts: train beside test."""
    return partners([child.name for child in node.full()])


def _holds_pairs(node: Node) -> bool:
    return any(_pairs(inner) for inner in _all_nodes(node))


def _collect(reading: _Reading, node: Node, part: str | None, top: Node | None, way: tuple[str, ...]) -> None:
    """Find the part and the class of each picture in and below a folder."""
    children = _without_masks(reading, node)
    pairs = _pairs(node) if part in (None, TRAIN) else {}
    alone = {} if pairs or part else _alone(reading, node, children)
    found = pairs or alone
    if not found:
        reading.groups.append(_Group(node, part, top, way))
        for child in children:
            _collect(reading, child, part, top, (*way, child.name))
        return
    # Beside a test folder alone lies what is trained on; beside a train folder nothing that is used.
    rest_is_trained_on = not pairs and all(one.kind != TRAIN for one in found.values()) and not reading.paired
    if rest_is_trained_on:
        reading.groups.append(_Group(node, TRAIN, node, way))
    else:
        reading.loose += [node.inside(name) for name in node.pictures]
    several = {_own(one) for one in found.values() if one.kind == TRAIN}
    for child in children:
        name = found.get(child.name)
        if name is not None:
            words = (*way, _own(name)) if len(several) > 1 and _own(name) else way
            _collect_part(reading, child, name.kind, words)
        elif rest_is_trained_on:
            _collect(reading, child, TRAIN, node, (*way, child.name))
        elif alone and reading.paired and _holds_pairs(child):
            _collect(reading, child, part, top, (*way, child.name))
        else:
            reading.beside.append(child)


def _own(name: PartName) -> str:
    """The rest of a part's name, by which trainA and trainB differ."""
    return " ".join([*name.own, name.letter]).strip()


def _collect_part(reading: _Reading, node: Node, kind: str, way: tuple[str, ...]) -> None:
    """A part's folder, without the folders that only wrap it: seg_train/seg_train, val/images."""
    top = node
    while True:
        children = _without_masks(reading, node)
        if node.pictures or len(children) != 1:
            break
        inner = read_name(children[0].name)
        if not (plain(children[0].name) in IMAGES or (inner is not None and inner.kind == kind)):
            break
        node = children[0]
    _collect(reading, node, kind, top, way)


def _alone(reading: _Reading, node: Node, children: list[Node]) -> dict[str, PartName]:
    """Folders that are parts though no partner lies beside them."""
    read = {child.name: one for child in children if (one := read_name(child.name)) is not None and not one.own}
    if reading.paired:  # parts are how this folder is sorted: cat/train and cat/test, and dog/train alone
        return {name: one for name, one in read.items() if not any(_holds_pairs(c) for c in children if c.name == name)}
    if not _is_top(reading, node):
        return {}
    others = len(children) - len(read)
    trains = {name: one for name, one in read.items() if one.kind == TRAIN}
    if trains:
        (first, *more) = [child for child in children if child.name in trains]
        sorted_inside = bool(first.full())
        fits = others + len(more) == 0 or (others + len(more) == 1 and sorted_inside)
        return trains if fits and first.total >= len(node.pictures) else {}
    if others or node.pictures or len(read) == 1:
        return {name: one for name, one in read.items() if not one.ambiguous}
    return read


def _is_top(reading: _Reading, node: Node) -> bool:
    """Whether all other folders only wrap this one."""
    top = reading.root
    while top is not node:
        full = top.full()
        if len(full) != 1:
            return False
        top = full[0]
    return True


def _without_masks(reading: _Reading, node: Node) -> list[Node]:
    children = node.full()
    images = {child.name for child in children if _is_images(child.name)}
    masks = [child for child in children if _is_mask(child.name, bool(images))]
    if not masks or reading.only_truth:
        return children
    reading.masks |= {id(mask): mask for mask in masks}
    return [child for child in children if id(child) not in reading.masks]


def _has_more_than_truth(node: Node) -> bool:
    inner = (child for child in node.full() if not _is_mask(child.name, beside_images=False))
    return bool(node.pictures) or any(map(_has_more_than_truth, inner))


def _is_images(name: str) -> bool:
    part = read_name(name)
    return plain(name) in IMAGES or (part is not None and not part.own)


def _is_mask(name: str, beside_images: bool) -> bool:
    part = read_name(name)
    own = "".join(part.own) if part is not None else plain(name)
    return own in TRUTH or (beside_images and own in MASKS)


def _parts(reading: _Reading, for_training: bool) -> list[tuple[str, list[_Group]]]:
    groups = [group for group in reading.groups if group.node.pictures]
    if not groups:
        raise ImagesEmpty(
            f"{reading.root.path}: only masks ({listed(mask.relative for mask in reading.masks.values())}) and no other "
            "images; to train on them, give one of these folders"
        )
    kinds = [kind for kind in TEST_ORDER if any(group.part == kind for group in groups)]
    train = [group for group in groups if group.part == TRAIN]
    if kinds and not train:  # pictures above a lone test folder
        groups = [replace(group, part=TRAIN, top=reading.root) if group.part is None else group for group in groups]
        train = [group for group in groups if group.part == TRAIN]
    if not train and not (kinds and for_training):
        return [("all", groups)]
    if not train:
        names = listed(dict.fromkeys(group.top.relative for group in groups if group.top is not None))
        raise ImagesError(
            f"{reading.root.path}: has {names} but no train folder; rename one of them to train, or give one of them alone"
        )
    for group in groups:
        if group.part is None:
            reading.loose += [group.node.inside(name) for name in group.node.pictures]
    for kind in kinds[1:]:
        if kind in TRAINED_ON and reading.rules > 1:
            joined = [group for group in groups if group.part == kind]
            named = listed(dict.fromkeys(group.top.relative for group in joined if group.top is not None))
            count = counted(_count(joined), "image")
            reading.notes.append(f"the {kind} part ({named}, {count}) was joined to the train part")
            train += joined
            continue
        left = [group.top for group in groups if group.part == kind and group.top is not None]
        reading.beside += {id(top): top for top in left}.values()
    if not kinds:
        return [("all", train)]
    test = [group for group in groups if group.part == kinds[0]]
    if kinds[0] != "test" or any(group.top is reading.root for group in train):
        tops = dict.fromkeys(group.top.relative for group in test if group.top is not None)
        reading.notes.append(f"the test part is the folder {listed(tops)}")
    return [("train", train), ("test", test)]


# ---- classes

_Parts = list[tuple[str, list[_Group]]]


def _unwrapped(groups: list[_Group]) -> list[_Group]:
    """Class names in one form of Unicode: a file system may store é as one sign or as two."""
    return [
        _Group(group.node, group.part, group.top, tuple(unicodedata.normalize("NFC", name) for name in group.way))
        for group in groups
    ]


def _without_wrappers(parts: _Parts) -> _Parts:
    """Without the folders that all pictures have in common: it is how archives unpack."""
    while True:
        firsts = {group.way[:1] for _, groups in parts for group in groups}
        if len(firsts) != 1 or firsts == {()}:
            return parts
        parts = [
            (name, [_Group(group.node, group.part, group.top, group.way[1:]) for group in groups])
            for name, groups in parts
        ]


def _classes(reading: _Reading, parts: _Parts) -> tuple[tuple[str, ...], dict[str, int]]:
    """The names of the classes, and the number of each name of a folder."""
    spellings = [{group.way[0] for group in groups if group.way} for _, groups in parts]
    names = sorted(set().union(*spellings), key=natural_key)
    if len(names) < 2:
        return (), {}
    unsorted = [name for name, groups in parts if 2 * _count(groups, loose=True) > _count(groups)]
    if len(unsorted) == len(parts):
        reading.notes.append(
            f"most images lie beside the subfolders ({listed(names, 3)}), which were not taken as classes"
        )
        return (), {}
    if unsorted:
        reading.notes.append(
            f"no labels: most images of the {unsorted[0]} part lie in no class folder; sort them into the class folders, or "
            "give the train folder alone"
        )
        return (), {}
    same = _same_but_case(spellings) if len(spellings) == 2 else {}
    if same:
        pairs = listed([f"{other} is {name}" for other, name in same.items()])
        reading.notes.append(f"class folders whose names differ only in capital letters are one class: {pairs}")
    kept = [name for name in names if name not in same]
    if len(kept) < 2:
        return (), {}
    places = {name: number for number, name in enumerate(kept)}
    numbers = {name: places[same.get(name, name)] for name in names}
    for _, groups in parts:
        reading.loose += [group.node.inside(name) for group in groups if not group.way for name in group.node.pictures]
    return tuple(kept), numbers


def _count(groups: Sequence[_Group], loose: bool = False) -> int:
    return sum(len(group.node.pictures) for group in groups if not (loose and group.way))


def _same_but_case(spellings: list[set[str]]) -> dict[str, str]:
    """Names of the test part that the train part has in other capital letters: cat there is Cat here."""
    train, test = spellings
    folded: dict[str, list[str]] = {}
    for name in train:
        folded.setdefault(name.casefold(), []).append(name)
    same = {}
    for name in sorted(test - train):
        others = [other for other in test if other.casefold() == name.casefold()]
        match = folded.get(name.casefold(), [])
        if len(match) == 1 and len(others) == 1:
            same[name] = match[0]
    return same


def _part(reading: _Reading, name: str, groups: list[_Group], numbers: dict[str, int]) -> FolderPart:
    files: list[str] = []
    states: list[str] = []
    labels: list[int] = []
    for group in groups:
        if numbers and not group.way:
            continue
        files += [group.node.inside(picture) for picture in group.node.pictures]
        states += group.node.states
        labels += [numbers[group.way[0]]] * len(group.node.pictures) if numbers else []
    tops = {id(group.top): group.top for group in groups}
    (top,) = tops.values() if len(tops) == 1 else (None,)
    return FolderPart(name, (top or reading.root).path, files, states, labels if numbers else None)


def _notes(reading: _Reading, tree: Tree) -> list[str]:
    notes = list(reading.notes)
    if reading.masks:
        named = listed([f"{mask.relative} ({counted(mask.total, 'image')})" for mask in reading.masks.values()])
        notes.append(f"left out, masks and not images: {named}")
    if reading.beside:
        named = listed([f"{node.relative} ({counted(node.total, 'image')})" for node in reading.beside])
        notes.append(f"left out, folders beside the train and test part: {named}")
    if reading.loose:
        notes.append(
            f"left out, {counted(len(reading.loose), 'image')} in no class or part: {listed(reading.loose, 3)}"
        )
    empty = [shown(name) for name in reading.root.empty()]
    if empty:
        notes.append(f"folders with nothing in them: {listed(empty)}")
    return [*notes, *tree.notes()]
