"""Masks that lie beside images: images of a few values, each with a partner of the same name. They are no images to train on.

- in the same folder, named after their image: `a.png` and `a_mask.png`, `a_seg.png`, `a_gt_1.png`
- in the same folder, with another ending: `a.jpg` and `a.png`
- in a folder of their own: `defects/a.jpg` and `masks/a.png`

The name alone is not enough, since there are classes called mask: some of the files are looked into, and only images of at
most a few values (or of black and white, but for compression) are masks. `latens.images.folder_layout` leaves out further
folders by their name alone, such as `ground_truth`.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from latens.images.decode import open_picture
from latens.images.folder_parts import MASKS, TRUTH, plain
from latens.images.opening import open_regular
from latens.images.pixels import WHITE
from latens.images.tree import Node, Tree
from latens.text import counted, listed

__all__ = ["few_values", "take_masks"]

WORDS = r"masks?|seg|segmentation|segm|gt|ground[ _.-]?truth|labels?|annotations?|annot|anno|roi"
NAMED = re.compile(rf"(?P<stem>.+?)[ _.-]+(?:{WORDS})(?:[ _.-]?\d+)?", re.IGNORECASE)
LOSSLESS = {".png", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".pbm", ".webp"}
LOOKED_AT = 8  # of the files of one kind
MOST_VALUES = 16  # different colours in a mask
EXTREME = 16  # of 8 bits: so near to black or white is black or white, but for compression
SURE = 0.98  # the share of such pixels


class _Pair(NamedTuple):
    """A file that may be a mask, and the image that it would be of."""

    node: Node
    mask: str
    image: Path


def take_masks(tree: Tree) -> list[str]:
    """Take masks beside images out of a tree, and say so.

    Args:
        tree: from `walk`; its nodes are changed.
    """
    notes = []
    for find, partner_differs in ((_by_name, False), (_by_ending, True), (_in_folders, True)):
        pairs = list(find(tree.root))
        if not pairs or not _are_masks(pairs, partner_differs):
            continue
        gone: dict[int, set[str]] = {}
        for pair in pairs:
            gone.setdefault(id(pair.node), set()).add(pair.mask)
        _remove(tree.root, gone)
        named = listed([pair.node.inside(pair.mask) for pair in pairs], 3)
        notes.append(
            f"left out, {counted(len(pairs), 'mask')} beside the images: {named} (masks, --masks keep: read them as images)"
        )
    return notes


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _by_name(node: Node) -> Iterator[_Pair]:
    stems = {_stem(name): name for name in node.pictures}
    for name in node.pictures:
        match = NAMED.fullmatch(_stem(name))
        if match is not None and match["stem"] in stems:
            yield _Pair(node, name, node.path / stems[match["stem"]])
    for folder in node.folders:
        yield from _by_name(folder)


def _by_ending(node: Node) -> Iterator[_Pair]:
    same: dict[str, list[str]] = {}
    for name in node.pictures:
        same.setdefault(_stem(name), []).append(name)
    for names in same.values():
        lossless = [name for name in names if Path(name).suffix.lower() in LOSSLESS]
        others = [name for name in names if name not in lossless]
        if len(names) == 2 and len(lossless) == 1:  # a JPEG and a PNG
            yield _Pair(node, lossless[0], node.path / others[0])
    for folder in node.folders:
        yield from _by_ending(folder)


def _in_folders(node: Node) -> Iterator[_Pair]:
    children = node.full()
    masks = [child for child in children if plain(child.name) in MASKS | TRUTH]
    images: dict[str, Path] = {_stem(name): node.path / name for name in node.pictures}
    for child in children:
        if child not in masks:
            images |= {_stem(inside): child.path / inside for _, _, inside in _files(child)}
    for folder in masks:
        pairs = []
        for where, name, inside in _files(folder):
            stem = _stem(inside)
            match = NAMED.fullmatch(stem)
            image = images.get(stem) or (images.get(match["stem"]) if match is not None else None)
            if image is None:
                break
            pairs.append(_Pair(where, name, image))
        else:
            yield from pairs
    for child in children:
        if child not in masks:
            yield from _in_folders(child)


def _files(node: Node, way: str = "") -> Iterator[tuple[Node, str, str]]:
    """Each image in and below a folder: where it lies, its name, and its path from the folder."""
    for name in node.pictures:
        yield node, name, way + name
    for folder in node.folders:
        yield from _files(folder, f"{way}{folder.name}/")


def _are_masks(pairs: Sequence[_Pair], partner_differs: bool) -> bool:
    some = [pairs[row] for row in np.unique(np.linspace(0, len(pairs) - 1, LOOKED_AT).round().astype(int))]
    masks = sum(few_values(pair.node.path / pair.mask) for pair in some)
    images = sum(not few_values(pair.image) for pair in some) if partner_differs else len(some)
    return 8 * min(masks, images) >= 7 * len(some)


def few_values(path: Path) -> bool:
    """Whether an image has at most a few different colours, or only black and white but for compression."""
    try:
        with open_regular(path) as file, open_picture(file) as picture:
            picture.load()
            if picture.getcolors(MOST_VALUES) is not None:
                return True
            grey = np.asarray(picture.convert("L"))
    except Exception:  # Pillow's plugins raise any error; what can't be read is named when it is decoded
        return False
    return bool(((grey < EXTREME) | (grey > WHITE - EXTREME)).mean() >= SURE)


def _remove(node: Node, gone: dict[int, set[str]]) -> None:
    names = gone.get(id(node), set())
    if names:
        kept = [row for row, name in enumerate(node.pictures) if name not in names]
        node.pictures[:] = [node.pictures[row] for row in kept]
        node.states[:] = [node.states[row] for row in kept]
        node.holds_more = True
    for folder in node.folders:
        _remove(folder, gone)
    node.holds_more |= any(folder.holds_more for folder in node.folders)
    node.total = len(node.pictures) + sum(folder.total for folder in node.folders)
