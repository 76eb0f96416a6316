"""A folder of pictures: headers are read, one size and number of channels is chosen, files are decoded in parallel.

Size: what `size` says. Without it the commonest size (ties: the larger) if both of its sides are within 8 to 128
pixels, otherwise 64 pixels for the longer side in the median shape of all images. Images of any other size are resized to
it by `latens.images.fit`. Which files count: `latens.images.tree`. What they mean: `latens.images.folder_layout`. How a
file becomes pixels: `latens.images.decode`.
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
from typing import Any, NamedTuple, TypeVar

import numpy as np

from latens.errors import ImagesDamaged, ImagesEmpty
from latens.images.arrays import refuse_labels
from latens.images.cache import cached_dataset
from latens.images.contract import MINIMUM_SIDE, Dataset, Shape
from latens.images.decode import Look, decode_picture, largest_number, look_at, reason_of
from latens.images.fit import fit_note
from latens.images.folder_layout import FolderLayout, FolderPart, lay_out
from latens.images.opening import is_passing
from latens.images.pixels import CHANNELS, WHITE, is_grey
from latens.images.plan import RULES, Block, Options, Part, Plan, Refused, Size, block_length
from latens.images.table_in_folder import take_tables, with_tables
from latens.images.tree import refuse_run, walk
from latens.images.white import DEEP_WHITE, choose_white
from latens.text import counted, shown

__all__ = ["FOLDER", "FolderSource", "choose_size", "plan_file", "plan_files"]

LARGEST_OWN_SIDE = 128  # pixels; a commonest size beyond it is not kept without being asked for
OTHERWISE = 64  # pixels, the longer side then
STEP = 4  # of the shorter one where shapes differ, so that nearly square is square
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
        layout = self._layout(root, options)
        with _naming(layout), warnings.catch_warnings():
            # Pillow warns of odd metadata and of large pictures; what can't be used is named in the notes.
            warnings.simplefilter("ignore")
            return cached_dataset(
                root,
                [],
                options,
                lambda: _plan(root, layout, options),
                state=_state(root, layout),
                notes=layout.notes,
                again=partial(_reason_now, root, layout, options.white),
            )

    def plan(self, source: Any, options: Options) -> Plan:
        """One part or two, in the order of their names; a test part may stand alone.

        Raises:
            ImagesError: as for `read`, but no number of pictures is too small.
        """
        root = Path(source).absolute()
        layout = self._layout(root, options, for_training=False)
        with _naming(layout):
            plan = _plan(root, layout, options)
        return replace(plan, notes=(*layout.notes, *plan.notes))

    def _layout(self, root: Path, options: Options, for_training: bool = True) -> FolderLayout:
        refuse_run(root)
        refuse_labels(options, str(root))
        tree = walk(root)
        problems = tree.problems()
        if options.strict and problems:
            raise ImagesDamaged(
                f"{root}: can't be read as a whole: {'; '.join(problems)}; mend that, or leave out strict"
            )
        placed = take_tables(tree, options)
        layout = lay_out(tree, for_training, keep_masks=options.keep_masks, rules=options.rules)
        return with_tables(layout, placed, options, for_training)


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


def _state(root: Path, layout: FolderLayout) -> Iterator[str]:
    """Everything that decides the content of an entry; notes on what was left out are made at each load."""
    yield root.resolve().name
    yield from layout.class_names
    for part in layout.parts:
        yield part.name
        yield from part.states
        yield from map(str, part.labels or [])
        for name, column in part.columns.items():
            yield name
            yield f"{column.dtype} {hashlib.sha256(column.tobytes()).hexdigest()}"


def _reason_now(root: Path, layout: FolderLayout, white: int | None, refused: Refused, shape: Shape) -> str | None:
    """Why a file that was refused can't be used now; None if it can."""
    (part,) = (part for part in layout.parts if part.name == refused.part)
    path = root / part.files[refused.row]
    try:
        look_at(path)
        decode_picture(path, shape[1:], shape[0], white)
    except Exception as error:  # as in decode_chunk
        return shown(reason_of(error))
    return None


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


def _plan(root: Path, layout: FolderLayout, options: Options) -> Plan:
    files = [root / file for part in layout.parts for file in part.files]
    looks = [look for chunk in _in_order(_look_chunk, _chunks(files, CHUNK)) for look in chunk]
    good = [look for look in looks if isinstance(look, Look)]
    if not good:
        raise ImagesDamaged(
            f"{root}: none of its {counted(len(files), 'picture')} can be used; the first: "
            f"{shown(files[0].relative_to(root))} ({looks[0].reason})"  # type: ignore[union-attr]
        )
    size = options.size or choose_size((look.size for look in good), options.rules)
    channels = CHANNELS[0] if options.grey or all(look.grey for look in good) else CHANNELS[1]
    shape = (channels, *size)
    white, said = _white(files, looks, channels, options)
    parts, start = [], 0
    for part in layout.parts:
        parts.append(_part(root, part, looks[start : start + len(part.files)], shape, white, options.fit))
        start += len(part.files)
    notes = _picture_notes(good, size, channels, options)
    class_names = tuple(shown(name) for name in layout.class_names)
    notes = [*notes, *said]
    return Plan(
        shown(root.resolve().name), str(root), shape, class_names, tuple(parts), tuple(notes), white, options.rules
    )


def _picture_notes(looks: Sequence[Look], size: Size, channels: int, options: Options) -> list[str]:
    notes = []
    others, grey = sum(look.size != size for look in looks), sum(look.grey for look in looks)
    target = f"{size[0]} x {size[1]} pixels"
    cost = fit_note((look.size for look in looks), size, options.fit)
    cost = f"; {cost}" if cost else ""
    if others and options.size is None and others == len(looks):
        height, width = Counter(look.size for look in looks).most_common(1)[0][0]
        notes.append(f"resized to {target}; the commonest size is {height} x {width} (size, --size: another){cost}")
    elif others == len(looks):
        notes.append(f"resized to {target}{cost}")
    elif others:
        notes.append(f"{others} of {len(looks)} pictures had other sizes and were resized to {target}{cost}")
    if grey and not is_grey(channels):
        notes.append(f"{grey} grey pictures among {len(looks)} were turned into RGB (grey, --grey: all grey)")
    elif options.grey and grey < len(looks):
        notes.append(f"{len(looks) - grey} colour images among {len(looks)} were turned into grey, as asked")
    several = sum(look.several for look in looks)
    if several:
        notes.append(f"{several} of {len(looks)} files hold several pages or frames, of which the first was taken")
    return notes


def _white(
    files: Sequence[Path], looks: Sequence["Look | _Failure"], channels: int, options: Options
) -> tuple[int | None, tuple[str, ...]]:
    """The number that is white in all pictures, and what to say of it; see `latens.images.white`."""
    deep = [file for file, look in zip(files, looks, strict=True) if isinstance(look, Look) and look.deep]
    if options.white is not None:
        if not deep and (options.white >= WHITE or not is_grey(channels)):
            return None, (f"white was not used: no picture has numbers above {WHITE}",)
        return options.white, ()
    if deep:
        white, notes = choose_white(
            (one for part in _in_order(_largest, _chunks(deep, CHUNK)) for one in part), deep=True
        )
        return white or DEEP_WHITE, notes
    if not is_grey(channels):
        return None, ()
    return choose_white((one for file in files for one in _largest([file])), deep=False)


def _largest(files: Sequence[Path]) -> list[int]:
    """The largest number in each picture that can be read; a very large one where its range is known from its kind."""
    result = []
    for file in files:
        with contextlib.suppress(Exception):  # as above; it is named when it is decoded
            found = largest_number(file)
            result.append(DEEP_WHITE if found is None else found)
    return result


def _part(
    root: Path, part: FolderPart, looks: Sequence["Look | _Failure"], shape: Shape, white: int | None, fit: str
) -> Part:
    ids = np.array([shown(file) for file in part.files], dtype=str)
    labels = None if part.labels is None else np.array(part.labels, dtype=np.int64)

    def decode_chunk(rows: range) -> Block:
        pixels = np.empty((len(rows), *shape), dtype=np.uint8)
        used: list[int] = []
        refused: list[Refused] = []
        for row in rows:
            look = looks[row]
            if isinstance(look, _Failure):
                refused.append(Refused(str(ids[row]), look.reason, row, part.name, look.passing))
                continue
            try:
                pixels[len(used)] = decode_picture(root / part.files[row], shape[1:], shape[0], white, fit)
                used.append(row)
            except Exception as error:  # Pillow's plugins raise any error on broken files; none may end the run
                refused.append(Refused(str(ids[row]), shown(reason_of(error)), row, part.name, is_passing(error)))
        return Block(pixels[: len(used)], np.array(used, dtype=np.int64), tuple(refused))

    def blocks() -> Iterator[Block]:
        length = min(CHUNK, block_length(shape))
        yield from _in_order(decode_chunk, _chunks(range(len(ids)), length))

    return Part(part.name, str(part.path), ids, labels, blocks, part.columns)


class _Failure(NamedTuple):
    """Why the header of a file can't be read, and whether the system is the reason."""

    reason: str
    passing: bool


def _look_chunk(files: Sequence[Path]) -> list[Look | _Failure]:
    """The facts in the header of each file, or the reason why it can't be used."""
    result: list[Look | _Failure] = []
    for file in files:
        try:
            result.append(look_at(file))
        except Exception as error:  # as above
            result.append(_Failure(shown(reason_of(error)), is_passing(error)))
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
