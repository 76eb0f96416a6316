"""The picture files of a folder, and everything in it that is not read.

- Files count by their ending; a file without ending counts if its first bytes are those of a picture.
- Hidden files and folders and those that systems make (`@eaDir`, `$RECYCLE.BIN`, `__MACOSX`, `Thumbs.db`) don't count.
- A folder with a `run.json` is a run of latens, one with a `compare.json` a comparison: neither is read, nor are the
  figures beside a report.
- Links are followed, but not in circles, not to a folder that the root lies in, and to one folder at most twice; those that
  lead out of the root only where that is asked for.
- Pipes, sockets and devices are never opened.
- A folder that can't be listed is left out.

`Tree.notes` names everything that is left out, grouped by reason, except for small files of systems (`.DS_Store`).
"""

import contextlib
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from latens.errors import ImagesDamaged, ImagesError
from latens.files import cache_folder
from latens.images.kinds import (
    SYSTEM_FILES,
    UNREADABLE_PICTURES,
    advice_for,
    ending_of,
    is_hidden,
    is_picture,
    picture_format,
)
from latens.images.opening import file_state, first_bytes
from latens.text import counted, listed, natural_key, quoted, shown

__all__ = ["Node", "Tree", "is_run", "refuse_run", "walk"]

DEEPEST = 100  # folders within folders; deeper is a mistake, and Python's own limit is not far
MARKERS = {"run.json": "run", "compare.json": "comparison"}  # what latens writes into its own folders
GENERATOR = b'<meta name="generator" content="latens">'
TIMES = 2  # that one folder is read, where links lead to it: a few links could make thousands of copies of it
EXAMPLES, ENDINGS = 3, 10


@dataclass(eq=False)
class Node:
    """A folder.

    Args:
        path: where it is.
        relative: the same from the root, "" for the root.
        pictures: names of the picture files directly in it, in natural order.
        states: of each picture, what `file_state` says.
        folders: those directly in it, in natural order.
        holds_more: whether it or a folder below has anything that was left out.
        total: how many pictures there are in it and below.
    """

    path: Path
    relative: str
    pictures: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    folders: list["Node"] = field(default_factory=list)
    holds_more: bool = False
    total: int = 0

    @property
    def name(self) -> str:
        """Name of the folder itself."""
        return self.path.name

    def inside(self, name: str) -> str:
        """The path of something in it from the root."""
        return f"{self.relative}/{name}" if self.relative else name

    def full(self) -> list["Node"]:
        """The subfolders that have pictures."""
        return [folder for folder in self.folders if folder.total]

    def empty(self) -> list[str]:
        """The subfolders in it and below that have nothing at all in them, from the root."""
        if not self.total and not self.holds_more:
            return [self.relative]
        return [name for folder in self.folders for name in folder.empty()]


@dataclass(eq=False)
class Tree:
    """A folder with all that is in it.

    Args:
        root: the folder.
        files: what is no picture, from the root.
        hidden: hidden files and folders, and those made by systems.
        closed: folders that the system refused to list, with its reason.
        unreadable: files that it refused to look at, with its reason.
        special: pipes, sockets and devices.
        circles: links that lead back to a folder above.
        outside: links that lead out of the root, where these are not followed.
        repeated: folders that were read as often as one is, by other links.
        times: how often each folder was read, by its real path.
        own: folders that latens wrote.
        too_deep: folders below the deepest that is read.
    """

    root: Node
    files: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    closed: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    circles: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    times: Counter[str] = field(default_factory=Counter)
    own: list[str] = field(default_factory=list)
    too_deep: list[str] = field(default_factory=list)

    def problems(self) -> list[str]:
        """Files that should have been read and were not, one phrase per group; `strict` refuses them."""
        found = []
        for what, refused in (("folder", self.closed), ("file", self.unreadable)):
            if refused:
                named = listed([f"{name} ({reason})" for name, reason in refused], EXAMPLES)
                found.append(f"{counted(len(refused), what)} that the system refused to read: {named}")
        if self.special:
            found.append(f"pipes, sockets and devices: {listed(self.special, EXAMPLES)}")
        if self.too_deep:
            found.append(f"what lies more than {DEEPEST} folders deep: {listed(self.too_deep, 1)}")
        pictures = [name for name in self.files if ending_of(name) in UNREADABLE_PICTURES]
        return [*found, *_by_ending("images in a format that Pillow does not read", pictures)]

    def notes(self) -> list[str]:
        """All that was left out, one note a group."""
        others = [name for name in self.files if ending_of(name) not in UNREADABLE_PICTURES]
        found = [f"left out, {group}" for group in (*self.problems(), *_by_ending("not images by their names", others))]
        found += self._renamed(self.files)
        if self.own:
            found.append(f"left out, written by latens: {listed(self.own)}")
        if self.circles:
            found.append(f"left out, links to a folder above them: {listed(self.circles, EXAMPLES)}")
        if self.outside:
            advice = "to follow them: links='all' (--links all)"
            found.append(f"left out, links that lead out of the folder: {listed(self.outside, EXAMPLES)}; {advice}")
        if self.repeated:
            found.append(f"left out, links to folders that were read {TIMES} times: {listed(self.repeated, EXAMPLES)}")
        if self.hidden:
            names = Counter(name.rpartition("/")[2] for name in self.hidden)
            often = [name if count == 1 else f"{name} ({count} times)" for name, count in names.most_common()]
            found.append(f"left out, hidden or made by the system: {listed(often)}")
        return found

    def contents(self) -> str:
        """The other files in a folder without images, for a message."""
        said = self.notes()
        return f" ({'; '.join(said)})" if said else ""

    def _renamed(self, names: Iterable[str]) -> list[str]:
        """The first file of each unknown ending that is a picture by its content."""
        first: dict[str, str] = {}
        for name in names:
            first.setdefault(ending_of(name), name)
        found = []
        for name in list(first.values())[:20]:
            try:
                known = picture_format(first_bytes(self.root.path / name))
            except OSError:
                continue
            if known not in (None, "HEIF", "AVIF"):
                found.append(f"{shown(name)} is a {known} image by its content; give it that ending to have it read")
        return found


def _by_ending(reason: str, names: list[str]) -> list[str]:
    """One sentence on files that were left out: of each ending how many, and the first by name."""
    if not names:
        return []
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(ending_of(name), []).append(name)
    order = sorted(groups, key=lambda ending: (-len(groups[ending]), ending))
    kinds = [f"{len(groups[ending]):,} {ending or 'without ending'} ({listed(groups[ending], 2)})" for ending in order]
    more = f" and files of {counted(len(kinds) - ENDINGS, 'other ending')}" if len(kinds) > ENDINGS else ""
    advice = advice_for(order)
    return [f"{reason}: {', '.join(kinds[:ENDINGS])}{more}" + (f"; {advice}" if advice else "")]


def walk(root: Path, follow_links: bool) -> Tree:
    """Read the whole tree of a folder.

    Args:
        root: the folder; it may be a link itself.
        follow_links: whether links that lead out of it are followed.

    Raises:
        ImagesDamaged: the folder itself can't be listed.
    """
    tree = Tree(Node(root, ""))
    try:
        _fill(tree, tree.root, (os.path.realpath(root),), os.path.realpath(cache_folder()), follow_links)
    except OSError as error:
        raise ImagesDamaged(
            f"{root}: the folder can't be listed ({error.strerror}); make it readable or give another"
        ) from None
    return tree


def _fill(tree: Tree, node: Node, above: tuple[str, ...], cache: str, follow_links: bool) -> None:
    """List a folder and those below it.

    Raises:
        OSError: it can't be listed.
    """
    with os.scandir(node.path) as listing:
        entries = sorted(listing, key=lambda entry: natural_key(entry.name))
    for entry in entries:
        if not follow_links and entry.is_symlink() and not _leads_into(entry.path, above[0]):
            tree.outside.append(node.inside(entry.name))
            node.holds_more = True
        elif _is_folder(entry):
            _add_folder(tree, node, entry, above, cache, follow_links)
        else:
            _add_file(tree, node, entry)
    node.holds_more |= any(folder.holds_more for folder in node.folders)
    node.total = len(node.pictures) + sum(folder.total for folder in node.folders)


def _leads_into(link: str, root: str) -> bool:
    """Whether a link leads to what lies in a folder; one to a folder above, or to nothing, is left out for that reason."""
    real = os.path.realpath(link)
    return Path(real).is_relative_to(root) or Path(root).is_relative_to(real) or not os.path.exists(real)


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or gone a moment ago
        return False


def _add_folder(
    tree: Tree, node: Node, entry: "os.DirEntry[str]", above: tuple[str, ...], cache: str, follow_links: bool
) -> None:
    inside = node.inside(entry.name)
    real = os.path.realpath(entry.path)
    if real == cache:
        node.holds_more = True
        return
    left = None
    if is_hidden(entry.name, folder=True):
        left = tree.hidden
    elif is_run(entry.path) or (entry.name == "figures" and _holds_report(node.path)):
        left = tree.own
    elif real in above or Path(above[0]).is_relative_to(real):
        left = tree.circles
    elif real != os.path.join(above[0], inside) and tree.times[real] >= TIMES:
        left = tree.repeated
    elif len(above) >= DEEPEST:
        left = tree.too_deep
    if left is not None:
        left.append(inside)
        node.holds_more = True
        return
    tree.times[real] += 1
    child = Node(Path(entry.path), inside)
    try:
        _fill(tree, child, (*above, real), cache, follow_links)
    except OSError as error:
        tree.closed.append((inside, _reason(error)))
        child.holds_more = True
    node.folders.append(child)


def _add_file(tree: Tree, node: Node, entry: "os.DirEntry[str]") -> None:
    inside = node.inside(entry.name)
    if is_hidden(entry.name, folder=False):
        # .DS_Store, .gitignore and the like are not images of the user; a hidden image file is named.
        if not _is_system_file(entry.name) and is_picture(entry.path, entry.name.lstrip(".")):
            tree.hidden.append(inside)
        node.holds_more = True
        return
    try:
        # On Windows a listing knows neither inode nor time of change.
        status = os.stat(entry.path) if sys.platform == "win32" else entry.stat()
    except OSError as error:
        if ending_of(entry.name) and not is_picture(entry.path, entry.name):
            tree.files.append(inside)
        else:
            tree.unreadable.append((inside, _reason(error)))
        node.holds_more = True
        return
    if not stat.S_ISREG(status.st_mode):
        tree.special.append(inside)
        node.holds_more = True
    elif is_picture(entry.path, entry.name):
        node.pictures.append(entry.name)
        node.states.append(file_state(inside, status))
    else:
        tree.files.append(inside)
        node.holds_more = True


def _is_system_file(name: str) -> bool:
    return name.startswith("._") or name.casefold() in SYSTEM_FILES


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether latens wrote this folder: it holds the record of a run or of a comparison."""
    return any(os.path.isfile(os.path.join(folder, marker)) for marker in MARKERS)


def _holds_report(folder: Path) -> bool:
    """Whether a report of latens lies in it: a report can be copied with its figures and without the run."""
    for name in ("report.html", "compare.html"):
        with contextlib.suppress(OSError):
            if GENERATOR in first_bytes(folder / name, 1024):
                return True
    return False


def refuse_run(folder: Path) -> None:
    """Refuse a run as a source of pictures: its charts are no data.

    Raises:
        ImagesError: the folder is a run or a comparison.
    """
    for marker, kind in MARKERS.items():
        if os.path.isfile(folder / marker):
            look = f"to look at it: latens {'explore' if kind == 'run' else 'compare --runs'} {quoted(folder)}"
            raise ImagesError(
                f"{folder}: a {kind} of latens (it holds a {marker}), not images; give the folder of images"
                + (f" ({look})" if kind == "run" else "")
            )
