"""A folder of images: headers are read, one size and one form is chosen, files are decoded in parallel.

Size: what `size` says. Without it the commonest size (ties: the larger) if both of its sides are within 8 to 128
pixels, otherwise 64 pixels for the longer side in the median shape of all images. Images of any other size are resized to
it by `latens.images.fit`. Which files count: `latens.images.tree`. What they mean: `latens.images.folder_layout`. Which
images they hold, and in which form these are kept: `latens.images.folder_images`. How a file becomes pixels:
`latens.images.decode`.
"""

import contextlib
import hashlib
import os
import warnings
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from latens.errors import ImagesDamaged, ImagesEmpty
from latens.images.arrays import refuse_labels
from latens.images.assemble import MINIMUM_TRAIN
from latens.images.cache import cached_dataset
from latens.images.channel_folders import ChannelFolders, open_channels
from latens.images.contract import MINIMUM_SIDE, Dataset, Shape
from latens.images.decode import Look, decode_picture, look_at, read_values, reason_of
from latens.images.fit import fit_note
from latens.images.folder_images import Failure, FolderImage, Form, form_of, images_of_files, pixels_of
from latens.images.folder_layout import FolderLayout, FolderPart, lay_out
from latens.images.opening import is_passing
from latens.images.pixels import CHANNELS
from latens.images.plan import RULES, Block, Options, Part, Plan, Refused, Size, block_length
from latens.images.table_in_folder import take_tables, with_tables
from latens.images.tree import refuse_run, walk
from latens.text import counted, shown

__all__ = ["FOLDER", "FolderSource", "choose_size", "plan_file", "plan_files"]

LARGEST_OWN_SIDE = 128  # pixels; a commonest size beyond it is not kept without being asked for
OTHERWISE = 64  # pixels, the longer side then
STEP = 4  # of the shorter one where shapes differ, so that nearly square is square
ALL_PAGES = "(pages, --pages all: one image each)"
CHUNK_OF_PAGES = 256  # of the same file, which is opened anew for each task
CHUNK = 16  # files a task: few enough to keep all threads busy with few files, enough that handing over costs little
MAXIMUM_THREADS = 16

T = TypeVar("T")
U = TypeVar("U")


class FolderSource:
    """A folder of all that Pillow opens, in class folders, train and test folders, or flat."""

    def accepts(self, source: Any) -> bool:
        """Whether it is a folder."""
        return isinstance(source, str | os.PathLike) and os.path.isdir(source)

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, from the cache where it was decoded before.

        Raises:
            ImagesEmpty: there are no pictures in it, or too few.
            ImagesDamaged: none of them can be read, or not all and `strict` was asked for.
            ImagesError: the folder is a run of latens, or has a test part without a train part.
        """
        root = Path(source).absolute()
        channels = open_channels(root, options.channels, options.follow_links) if options.channels else None
        layout = self._layout(root, options, channels)
        with _naming(layout), warnings.catch_warnings():
            # Pillow warns of odd metadata and of large pictures; what can't be used is named in the notes.
            warnings.simplefilter("ignore")
            return cached_dataset(
                root,
                [],
                options,
                lambda: _with_enough(_plan(root, layout, options, channels)),
                state=_state(root, layout, channels),
                notes=layout.notes,
                again=partial(_reason_now, root, layout, options.white, channels),
            )

    def plan(self, source: Any, options: Options) -> Plan:
        """One part or two, in the order of their names; a test part may stand alone.

        Raises:
            ImagesError: as for `read`, but no number of pictures is too small.
        """
        root = Path(source).absolute()
        channels = open_channels(root, options.channels, options.follow_links) if options.channels else None
        layout = self._layout(root, options, channels, for_training=False)
        with _naming(layout):
            plan = _plan(root, layout, options, channels)
        return replace(plan, notes=(*layout.notes, *plan.notes))

    def _layout(
        self, root: Path, options: Options, channels: ChannelFolders | None, for_training: bool = True
    ) -> FolderLayout:
        refuse_run(root)
        refuse_labels(options, str(root))
        tree = walk(root, options.follow_links) if channels is None else channels.trees[0]
        problems = tree.problems()
        if options.strict and problems:
            raise ImagesDamaged(
                f"{root}: can't be read as a whole: {'; '.join(problems)}; mend that, or leave out strict"
            )
        placed = take_tables(tree, options)
        layout = lay_out(tree, for_training, keep_masks=options.keep_masks, rules=options.rules)
        if channels is not None:
            layout = channels.matched(layout)
            # A table beside the folders of the channels is of all of them.
            placed = placed or [one for one in take_tables(walk(root, options.follow_links), options) if not one[0]]
        return with_tables(layout, placed, options, for_training, {} if channels is None else channels.plain)


FOLDER = FolderSource()


@contextlib.contextmanager
def _naming(layout: FolderLayout) -> Iterator[None]:
    """Add what was left out to an error: three pictures are too few, since a hundred others can't be read."""
    try:
        yield
    except (ImagesEmpty, ImagesDamaged) as error:
        raise type(error)("; ".join([str(error), *layout.notes])) from None


def plan_file(path: Path, options: Options) -> Plan:
    """The plan of one image file: a folder of which only this file counts, without labels."""
    return plan_files([path.name], path.parent.absolute(), options)


def plan_files(files: Sequence[str], root: Path, options: Options, labels: np.ndarray | None = None) -> Plan:
    """The plan of a list of image files, in its order.

    Args:
        files: absolute, or relative to the root.
        root: the folder that they lie in.
        options: as for a folder.
        labels: int64 (N,), indices; the caller puts the class names into the plan.
    """
    numbers = None if labels is None else labels.tolist()
    layout = FolderLayout((FolderPart("all", root, list(files), [""] * len(files), numbers),), (), ())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        return _plan(root, layout, options)


def _state(root: Path, layout: FolderLayout, channels: ChannelFolders | None) -> Iterator[str]:
    """Everything that decides the content of an entry; notes on what was left out are made at each load."""
    yield from () if channels is None else channels.states
    yield root.resolve().name
    yield from layout.class_names
    for part in layout.parts:
        yield part.name
        yield from part.states
        yield from map(str, part.labels or [])
        for name, column in part.columns.items():
            yield name
            yield f"{column.dtype} {hashlib.sha256(column.tobytes()).hexdigest()}"


def _reason_now(
    root: Path,
    layout: FolderLayout,
    white: int | None,
    channels: ChannelFolders | None,
    refused: Refused,
    shape: Shape,
) -> str | None:
    """Why a file that was refused can't be used now; None if it can."""
    (part,) = (part for part in layout.parts if part.name == refused.part)
    name, _, page = refused.id.rpartition("#")  # several images of a file are called file.tif#1, …
    file = next((one for one in part.files if shown(one) in (refused.id, name)), None)
    if file is None:
        return None
    plain = shown(file) == refused.id
    try:
        for path in _paths(root, file, channels):
            look = look_at(path)
            if plain and look.is_plain and channels is None and shape[0] in CHANNELS:
                decode_picture(path, shape[1:], shape[0], white)
            else:
                next(read_values(path, [0 if plain else int(page) - 1]))
    except Exception as error:  # as in decode_chunk
        return shown(reason_of(error))
    return None


def _paths(root: Path, file: str, channels: ChannelFolders | None) -> tuple[Path, ...]:
    """The files of an image: one, or one a channel."""
    return (root / file,) if channels is None else channels.partners[file]


def choose_size(sizes: Iterable[Size], rules: int = RULES) -> Size:
    """The size (H, W) that a folder gets when none was asked for.

    Args:
        sizes: (H, W) of its images.
        rules: 1 makes large images square, as it was done before rectangles stayed rectangles.

    >>> choose_size([(32, 32), (32, 32), (500, 375)]), choose_size([(500, 375)])
    ((32, 32), (64, 48))
    """
    counts = Counter(sizes)
    commonest = max(counts, key=lambda size: (counts[size], size[0] * size[1], size))
    if min(commonest) >= MINIMUM_SIDE and max(commonest) <= LARGEST_OWN_SIDE:
        return commonest
    if rules == 1:
        return OTHERWISE, OTHERWISE
    shape = float(np.median(np.repeat([height / width for height, width in counts], list(counts.values()))))
    step = 1 if len(counts) == 1 else STEP
    height, width = (min(OTHERWISE, step * round(OTHERWISE * one / step)) for one in (shape, 1 / shape))
    return max(MINIMUM_SIDE, height), max(MINIMUM_SIDE, width)


def _plan(root: Path, layout: FolderLayout, options: Options, channels: ChannelFolders | None = None) -> Plan:
    files = [[_paths(root, file, channels) for file in part.files] for part in layout.parts]
    flat = [path for part in files for paths in part for path in paths]
    looks = iter([look for chunk in _in_order(_look_chunk, _chunks(flat, CHUNK)) for look in chunk])
    names = () if channels is None else channels.names
    images: list[list[FolderImage]] = []
    several: list[Look] = []
    for part, paths in zip(layout.parts, files, strict=True):
        found = [tuple(next(looks) for _ in one) for one in paths]
        several += [one[0] for one in found if isinstance(one[0], Look) and one[0].pages > 1]
        images.append(images_of_files([shown(file) for file in part.files], paths, found, options, names))
    together = [image for part in images for image in part]
    good = [image.look for image in together if isinstance(image.look, Look)]
    if not good:
        first = together[0].look
        assert isinstance(first, Failure), "none is good"
        if len(together) == 1:
            raise ImagesDamaged(f"{root / together[0].id}: can't be used ({first.reason})")
        raise ImagesDamaged(
            f"{root}: none of its {counted(len(together), 'image')} can be used; the first: {together[0].id} ({first.reason})"
        )
    form, said = form_of(together, options, _each)
    fitting = [look for look in good if not form.refusal(look)]
    size = options.size or choose_size((look.size for look in fitting), options.rules)
    shape = (form.channels, *size)
    parts = [
        _part(root, part, those, shape, form, options.fit) for part, those in zip(layout.parts, images, strict=True)
    ]
    notes = (*_picture_notes(fitting, size, options), *_page_notes(several, len(flat), len(together), options), *said)
    class_names = tuple(shown(name) for name in layout.class_names)
    return Plan(
        shown(root.resolve().name),
        str(root),
        shape,
        class_names,
        tuple(parts),
        notes,
        form.white,
        options.rules,
        dtype=form.dtype,
        value_range=form.value_range,
        channel_names=form.names,
    )


def _with_enough(plan: Plan) -> Plan:
    """A plan to train by, unless its files are few and hold more pages than are read."""
    count = sum(len(part.ids) for part in plan.parts)
    pages = next((note for note in plan.notes if note.endswith(ALL_PAGES)), None)
    if count <= MINIMUM_TRAIN and pages is not None:
        needed = f"at least {MINIMUM_TRAIN + 1} are needed, {MINIMUM_TRAIN} to train on and one to test on"
        raise ImagesEmpty(f"{plan.source}: {counted(count, 'image')}; {needed}; {pages}")
    return plan


def _picture_notes(looks: Sequence[Look], size: Size, options: Options) -> list[str]:
    others = sum(look.size != size for look in looks)
    target = f"{size[0]} x {size[1]} pixels"
    cost = fit_note((look.size for look in looks), size, options.fit)
    cost = f"; {cost}" if cost else ""
    if others and options.size is None and others == len(looks):
        height, width = Counter(look.size for look in looks).most_common(1)[0][0]
        return [f"resized to {target}; the commonest size is {height} x {width} (size, --size: another){cost}"]
    if others == len(looks):
        return [f"resized to {target}{cost}"]
    return [f"{others} of {len(looks)} images had other sizes and were resized to {target}{cost}"] if others else []


def _page_notes(several: Sequence[Look], num_files: int, num_images: int, options: Options) -> list[str]:
    if not several:
        return []
    words = {look.word for look in several}
    word = words.pop() if len(words) == 1 else "pages or frames"
    most = max(look.pages for look in several)
    files = f"{len(several)} of {num_files} files hold several {word} (up to {most})"
    if options.pages == "all":
        return [f"{files}: each is an image, {num_images:,} in all"]
    if options.pages == "channels":
        return [f"{files}: they are the channels of one image"]
    return [f"{files}, of which the first was taken {ALL_PAGES}"]


def _part(root: Path, part: FolderPart, images: Sequence[FolderImage], shape: Shape, form: Form, fit: str) -> Part:
    ids = np.array([image.id for image in images], dtype=str)
    labels = None if part.labels is None else np.array([part.labels[image.row] for image in images], dtype=np.int64)
    paged = len(images) > len(part.files)

    def decode_chunk(rows: range) -> Block:
        pixels = np.empty((len(rows), *shape), dtype=form.dtype)
        used: list[int] = []
        refused: list[Refused] = []
        wanted: list[int] = []
        for row in rows:
            look = images[row].look
            why = look if isinstance(look, Failure) else Failure(form.refusal(look))
            if why.reason:
                refused.append(Refused(str(ids[row]), why.reason, row, part.name, why.passing))
            else:
                wanted.append(row)
        for row, found in zip(wanted, _pixels([images[row] for row in wanted], form, shape, fit), strict=True):
            if isinstance(found, Exception):
                refused.append(Refused(str(ids[row]), shown(reason_of(found)), row, part.name, is_passing(found)))
                continue
            pixels[len(used)] = found
            used.append(row)
        return Block(pixels[: len(used)], np.array(used, dtype=np.int64), tuple(refused))

    def some(rows: range) -> Iterator[Block]:
        length = min(CHUNK_OF_PAGES if paged else CHUNK, block_length(shape))
        yield from _in_order(decode_chunk, _chunks(rows, length))

    def blocks() -> Iterator[Block]:
        return some(range(len(ids)))

    own = [image.row for image in images]
    columns = {name: column[own] for name, column in part.columns.items()}
    return Part(part.name, str(part.path), ids, labels, blocks, columns, some)


def _pixels(images: Sequence[FolderImage], form: Form, shape: Shape, fit: str) -> Iterator[np.ndarray | Exception]:
    """Images one after another, or the errors that make them unusable."""
    if not form.is_plain:
        yield from pixels_of(images, form, shape[1:], fit)
        return
    for image in images:
        try:
            yield decode_picture(image.paths[0], shape[1:], shape[0], form.white, fit)
        except Exception as error:  # Pillow's plugins raise any error on broken files; none may end the run
            yield error


def _each(function: Callable[[FolderImage], T], images: Iterable[FolderImage]) -> Iterator[T]:
    """A function's results for images, in their order, from threads."""
    yield from _in_order(function, iter(images))


def _look_chunk(files: Sequence[Path]) -> list[Look | Failure]:
    """The facts in the header of each file, or the reason why it can't be used."""
    result: list[Look | Failure] = []
    for file in files:
        try:
            result.append(look_at(file))
        except Exception as error:  # as above
            result.append(Failure(shown(reason_of(error)), is_passing(error)))
    return result


def _chunks(items: Sequence[T], length: int) -> Iterator[Any]:
    return (items[start : start + length] for start in range(0, len(items), length))


def _in_order(function: Callable[[T], U], items: Iterator[T]) -> Iterator[U]:
    """Results in the order of the items, from threads (Pillow decodes without holding the interpreter's lock).

    Only a few results wait at a time, however slow the one who takes them is.
    """
    threads = min(MAXIMUM_THREADS, os.cpu_count() or 1)
    waiting: deque[Future[U]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="latens-images")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        with contextlib.suppress(RuntimeError):
            pool.shutdown(wait=True, cancel_futures=True)
