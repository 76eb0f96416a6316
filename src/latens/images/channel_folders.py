"""Images whose channels lie in a folder each: `--channels dapi gfp`, matched by the names of their files.

The folders are looked for in the folder of the data set, then as paths of their own, then anywhere below the folder of the data
set: in `train/dapi`, `train/gfp`, `test/dapi`, `test/gfp` a channel has a folder in each part, as it may have one in each
class. The first channel decides on parts, classes and names of the images. A file fits one of another channel if both have the
same path, but for the folder of the channel and the ending; or the same without the name of the channel: `img1_dapi.tif` and
`img1_gfp.tif`. Of the two rules the one that matches more files counts. Files without a partner in each channel are left out,
and named.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

from latens.errors import ImagesEmpty, ImagesError, ImagesNotFound, UsageError
from latens.images.folder_layout import FolderLayout
from latens.images.kinds import ending_of
from latens.images.tree import Node, Tree, walk
from latens.text import counted, listed, shown

__all__ = ["ChannelFolders", "are_inside", "checked_channels", "open_channels"]

EXAMPLES = 3


def checked_channels(channels: object) -> tuple[str, ...]:
    """The argument `channels` of `load_images`: folders, in the order of the channels.

    Raises:
        UsageError: it is no list of folders, or one is there twice.
    """
    if channels is None:
        return ()
    several = [channels] if isinstance(channels, str | Path) else channels
    if not isinstance(several, Sequence) or not all(isinstance(one, str | Path) and str(one) for one in several):
        raise UsageError(f"channels {channels!r}; give the folders of the channels, such as channels=['dapi', 'gfp']")
    names = tuple(str(one).rstrip("/\\") or str(one) for one in several)
    if not names:
        raise UsageError("channels is empty; give the folders of the channels, such as channels=['dapi', 'gfp']")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"channels names {twice!r} twice; give each folder once")
    return names


@dataclass(frozen=True, eq=False)
class ChannelFolders:
    """The folders of the channels.

    Args:
        names: of the channels.
        trees: what is in each folder.
        partners: of a file of the first folder, the files of all channels.
        plain: of the same file its path without folder and name of the channel, as tables may call the image.
        states: of all files of the other folders, see `file_state`.
        notes: for the user.
    """

    names: tuple[str, ...]
    trees: tuple[Tree, ...]
    partners: dict[str, tuple[Path, ...]]
    plain: dict[str, str]
    states: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def base(self) -> Path:
        """The first folder, from which the files of the layout are named."""
        return self.trees[0].root.path

    def matched(self, layout: FolderLayout) -> FolderLayout:
        """A layout of the first folder with only those files that have a partner in each channel."""
        parts = []
        for part in layout.parts:
            rows = [row for row, file in enumerate(part.files) if file in self.partners]
            labels = None if part.labels is None else [part.labels[row] for row in rows]
            files, states = [part.files[row] for row in rows], [part.states[row] for row in rows]
            parts.append(replace(part, files=files, states=states, labels=labels))
        for part in parts:
            if not part.files:
                raise ImagesEmpty(f"{part.path}: no image of the {part.name} part has a file in each channel")
        return replace(layout, parts=tuple(parts), notes=(*layout.notes, *self.notes))


def open_channels(root: Path, channels: Sequence[str], follow_links: bool) -> ChannelFolders:
    """Find the folders of the channels and match their files.

    Args:
        root: the folder of the data set.
        channels: from `checked_channels`.
        follow_links: see `latens.images.tree.walk`.

    Raises:
        ImagesNotFound: one of them is not there.
        ImagesEmpty: there are no images in one.
        ImagesError: no file has a partner, or two files of a folder fit the same image.
    """
    found = [_open(root, channel, follow_links) for channel in channels]
    trees = [tree for tree, _ in found]
    names = [PurePath(channel).name for channel in channels]
    if len(set(names)) < len(names):
        names = list(channels)
    files = [dict(_files(tree.root)) for tree in trees]
    for tree, some in zip(trees, files, strict=True):
        if not some:
            raise ImagesEmpty(f"{tree.root.path}: no images in this folder of a channel{tree.contents()}")
    first = list(files[0])
    places = [
        {file: _outside(channel, file) if nested else file for file in some}
        for some, channel, (_, nested) in zip(files, channels, found, strict=True)
    ]
    partners: list[dict[str, str]] = [{file: file for file in first}]
    for name, tree, others in zip(names[1:], trees[1:], places[1:], strict=True):
        partners.append(_matches(places[0], others, names[0], name, tree))
    whole = [file for file in first if all(file in one for one in partners)]
    if not whole:
        lacking = next(place for place, one in enumerate(partners) if not one or not set(one) & set(first))
        raise ImagesError(
            f"{root}: no file of {shown(names[0])} has a partner in {shown(names[lacking])}: they are called like "
            f"{shown(first[0])} and {shown(next(iter(files[lacking])))}; give them the same names, but for that of the channel"
        )
    notes = [f"{counted(len(names), 'channel')} from the folder{'s'[: len(names) > 1]} {listed(names, 8)}"]
    for place, (name, tree) in enumerate(zip(names, trees, strict=True)):
        used = {partners[place][file] for file in whole}
        alone = [file for file in files[place] if file not in used]
        if alone:
            notes.append(
                f"left out, {counted(len(alone), 'file')} of {shown(name)} without a partner in each channel: "
                f"{listed(alone, EXAMPLES)}"
            )
        if place:
            notes += [f"{shown(name)}: left out, {one}" for one in tree.problems()]
    chosen = {
        file: tuple(tree.root.path / one[file] for tree, one in zip(trees, partners, strict=True)) for file in whole
    }
    plain = {file: _without(names[0], places[0][file]) for file in whole}
    states = tuple(state for some in files[1:] for state in some.values())
    return ChannelFolders(tuple(names), tuple(trees), chosen, plain, (*names, *states), tuple(notes))


def are_inside(root: Path, channels: Sequence[str]) -> bool:
    """Whether each channel has a folder in a folder, directly or anywhere below it."""
    direct = [not Path(one).is_absolute() and (root / one).is_dir() for one in channels]
    if all(direct):
        return True
    below = walk(root, follow_links=True).root
    return all(near or _only(below, one).total for near, one in zip(direct, channels, strict=True))


def _open(root: Path, channel: str, follow_links: bool) -> tuple[Tree, bool]:
    """What is in the folder of a channel, or in all folders of its name below the root; and whether it is the latter."""
    for path in (root / channel, Path(channel).expanduser().absolute()):
        if path.is_dir():
            return walk(path, follow_links), False
    if root.is_dir():
        tree = walk(root, follow_links)
        below = _only(tree.root, channel)
        if below.total:
            return replace(tree, root=below), True
    inside = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    there = f"; there are {listed(inside, 8)}" if inside else ""
    raise ImagesNotFound(f"channel {channel!r}: no such folder in {root}, and no such path{there}")


def _only(node: Node, channel: str) -> Node:
    """A folder with only those images that lie in folders of a channel, as if they lay in the folders that hold these."""
    made = Node(node.path, node.relative, holds_more=node.holds_more)
    for child in node.folders:
        if f"/{child.relative}".endswith(f"/{channel}"):
            made.pictures += [f"{child.name}/{one}" for one in child.pictures]
            made.states += child.states
            made.folders += child.folders
        elif (below := _only(child, channel)).total:
            made.folders.append(below)
    made.total = len(made.pictures) + sum(folder.total for folder in made.folders)
    return made


def _outside(channel: str, file: str) -> str:
    """A path without the folder of a channel.

    >>> _outside("dapi", "train/dapi/a/1.tif")
    'train/a/1.tif'
    """
    return f"/{file}".replace(f"/{channel}/", "/", 1)[1:]


def _files(node: Node) -> list[tuple[str, str]]:
    """The image files in and below a folder, from it, with their states."""
    found = [(node.inside(name), state) for name, state in zip(node.pictures, node.states, strict=True)]
    return [*found, *(file for folder in node.folders for file in _files(folder))]


def _matches(first: Mapping[str, str], others: Mapping[str, str], name: str, other: str, tree: Tree) -> dict[str, str]:
    """Of each file of the first folder its partner in another one, where there is one; both with their paths to compare."""
    found: dict[str, str] = {}
    for here, there in ((_stem, _stem), (partial(_without, name), partial(_without, other))):
        places: dict[str, str] = {}
        twice: dict[str, tuple[str, str]] = {}
        for file, path in others.items():
            key = there(path)
            if key in places:
                twice[key] = places[key], file
            places[key] = file
        keys = {file: here(path) for file, path in first.items()}
        matched = {file: places[key] for file, key in keys.items() if key in places}
        if len(matched) > len(found):
            clash = next((twice[keys[file]] for file in matched if keys[file] in twice), None)
            if clash:
                raise ImagesError(f"{tree.root.path}: {clash[0]} and {clash[1]} fit the same image; remove one of them")
            found = matched
    return found


def _stem(file: str) -> str:
    """A path without its ending."""
    return file[: len(file) - len(ending_of(file))] if ending_of(file) else file


def _without(channel: str, file: str) -> str:
    """A path without its ending and without the name of a channel in its last part.

    >>> _without("dapi", "a/img1_DAPI.tif"), _without("gfp", "gfp-img1.tif"), _without("ch1", "ch10_x.tif")
    ('a/img1', 'img1', 'ch10_x')
    """
    path = PurePosixPath(_stem(file))
    inner = rf"(?<![a-z0-9]){re.escape(channel)}(?![a-z0-9])"
    name = re.sub(rf"[-_. ]*{inner}(?=$)|{inner}[-_. ]*", "", path.name, count=1, flags=re.IGNORECASE)
    return str(path.with_name(name)) if name else str(path)
