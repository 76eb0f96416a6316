"""From a plan to the train and the test part: decode in blocks, split where there is no test part, check the result."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from latens.arrays import let_go
from latens.errors import ImagesDamaged, ImagesEmpty, ImagesError
from latens.images.contract import Images, Progress, Shape, fingerprint_of
from latens.images.doubts import doubts
from latens.images.pixels import DTYPE, Range, named_channels
from latens.images.plan import Part, Plan, Refused, block_length
from latens.images.ranges import RangeWish, choose_range
from latens.images.split import content_hashes, split_by_class, split_by_content
from latens.text import counted, listed

__all__ = ["MINIMUM_TRAIN", "Assembled", "MemoryStore", "Store", "assemble", "refused_line"]

EXAMPLES = 3
MINIMUM_TRAIN = 8  # pictures; fewer are too few for training


class Store(Protocol):
    """Takes the pixels of one part."""

    def append(self, pixels: np.ndarray) -> None:
        """Take the next pictures, (n, C, H, W)."""

    def close(self) -> np.ndarray:
        """All that was appended, (N, C, H, W)."""


class MemoryStore:
    """A part in memory.

    Args:
        count: at most so many pictures come.
        shape: (C, H, W).
        dtype: of the pixels.
    """

    def __init__(self, count: int, shape: Shape, dtype: np.dtype = DTYPE) -> None:
        self._pixels = np.empty((count, *shape), dtype=dtype)
        self._length = 0

    def append(self, pixels: np.ndarray) -> None:
        """Take the next pictures, (n, C, H, W)."""
        self._pixels[self._length : self._length + len(pixels)] = pixels
        self._length += len(pixels)

    def close(self) -> np.ndarray:
        """All that was appended, (N, C, H, W)."""
        return self._pixels[: self._length]


MakeStore = Callable[[str, int, Shape, np.dtype], Store]  # (part, at most so many, (C, H, W), type of the pixels)


@dataclass(frozen=True, eq=False)
class Assembled:
    """A decoded plan."""

    train: Images
    test: Images
    notes: tuple[str, ...]
    refused: tuple[Refused, ...]
    num_files: int


@dataclass(frozen=True, eq=False)
class _Decoded:
    part: Part
    pixels: np.ndarray
    sha256: str
    rows: np.ndarray
    refused: tuple[Refused, ...]
    hashes: np.ndarray  # of each picture's pixels

    @property
    def ids(self) -> np.ndarray:
        ids: np.ndarray = self.part.ids[self.rows]
        return ids

    @property
    def labels(self) -> np.ndarray | None:
        return None if self.part.labels is None else self.part.labels[self.rows]

    @property
    def columns(self) -> Mapping[str, np.ndarray]:
        return {name: column[self.rows] for name, column in self.part.columns.items()}


def assemble(
    plan: Plan,
    make_store: MakeStore | None = None,
    progress: Progress | None = None,
    value_range: RangeWish = None,
) -> Assembled:
    """Decode a plan into stores.

    Args:
        plan: the source.
        make_store: makes the store of a part; memory by default.
        progress: called with (pictures done, pictures in all).
        value_range: which numbers are 0 and 1, see `latens.images.ranges`; by default what the plan says, or its rule.

    Raises:
        ImagesDamaged: no file could be read.
        ImagesEmpty: too few pictures.
        ImagesError: all pictures are equal.
    """
    if make_store is None:
        make_store = _memory
    total = sum(len(part.ids) for part in plan.parts)
    decoded, done = [], 0
    for part in plan.parts:
        decoded.append(_decode(part, plan, make_store, progress, done, total))
        done += len(part.ids)
    refused = tuple(item for one in decoded for item in one.refused)
    for one in decoded:
        if len(one.rows) == 0:
            first = f": {one.refused[0].id} ({one.refused[0].reason})" if one.refused else ""
            raise ImagesDamaged(f"{one.part.where}: none of its {len(one.part.ids)} files can be used{first}")
    notes = list(plan.notes)
    if refused:
        notes.append(refused_line(refused, total))
    if len(decoded) == 1:
        by_class = plan.rules > 1 and decoded[0].labels is not None and len(plan.class_names) > 1
        decoded = _set_aside(decoded[0], plan, make_store, by_class)
        counts = [len(one.rows) for one in decoded]
        chosen = "chosen in each class by content" if by_class else "chosen by content"
        notes.append(f"no test part: {counts[1]} of {sum(counts)} images, {chosen}, were set aside as one")
    train, test = decoded
    if len(train.rows) < MINIMUM_TRAIN:
        raise ImagesEmpty(
            f"{train.part.where}: {counted(len(train.rows), 'image')} to train on; at least {MINIMUM_TRAIN} are needed "
            "(besides one to test on): add more" + (f"; {refused_line(refused, total)}" if refused else "")
        )
    notes += _in_both(train, test)
    class_names, numbers, class_notes = _classes(plan, train, test)
    names = plan.channel_names or named_channels(plan.shape[0])
    wish = plan.value_range if value_range is None else value_range
    value_ends, said = choose_range(wish, [train.pixels, test.pixels], names, plan.type_range)
    images = [_finish(one, class_names, numbers, value_ends, names) for one in (train, test)]
    odd = doubts(images[0], train.hashes)
    return Assembled(images[0], images[1], (*notes, *class_notes, *said, *odd), refused, total)


def refused_line(refused: tuple[Refused, ...], total: int) -> str:
    """One line on the files that were left out, the first three by name."""
    named = listed([f"{item.id} ({item.reason})" for item in refused], 3)
    return f"{len(refused)} of {total} files can't be used and were left out: {named}"


def _memory(part: str, count: int, shape: Shape, dtype: np.dtype) -> Store:
    return MemoryStore(count, shape, dtype)


def _decode(
    part: Part, plan: Plan, make_store: MakeStore, progress: Progress | None, done: int, total: int
) -> _Decoded:
    store, pixel_hash = make_store(part.name, len(part.ids), plan.shape, plan.dtype), hashlib.sha256()
    rows: list[np.ndarray] = []
    refused: list[Refused] = []
    hashes = [np.empty(0, dtype="S16")]
    for block in part.blocks():
        pixels = np.ascontiguousarray(block.pixels)
        assert pixels.dtype == plan.dtype, f"{part.where}: {pixels.dtype} pixels, although its plan says {plan.dtype}"
        store.append(pixels)
        rows.append(block.rows)
        refused += block.refused
        hashes.append(np.array(content_hashes(pixels), dtype="S16"))
        if part.name != "all":
            pixel_hash.update(pixels.data)
        done += len(block.rows) + len(block.refused)
        if progress is not None:
            progress(done, total)
    together = np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)
    return _Decoded(part, store.close(), pixel_hash.hexdigest(), together, tuple(refused), np.concatenate(hashes))


def _set_aside(everything: _Decoded, plan: Plan, make_store: MakeStore, by_class: bool) -> list[_Decoded]:
    labels = everything.labels
    chosen = split_by_content(everything.hashes)
    if by_class and labels is not None:
        in_classes = split_by_class(everything.hashes, labels)
        if len(in_classes[0]) >= min(MINIMUM_TRAIN, len(chosen[0])):  # of a few images in many classes too few are left
            chosen = in_classes
    if min(len(rows) for rows in chosen) == 0:
        count = len(everything.rows)
        if count == 1:
            needed = (
                f"at least {MINIMUM_TRAIN + 1} are needed, {MINIMUM_TRAIN} to train on and one to test on: add more"
            )
            raise ImagesEmpty(f"{everything.part.where}: 1 image; {needed}")
        raise ImagesError(f"{everything.part.where}: all of its {count} images are equal; give images that differ")
    result, length = [], block_length(plan.shape)
    for name, rows in zip(("train", "test"), chosen, strict=True):
        store, pixel_hash = make_store(name, len(rows), plan.shape, plan.dtype), hashlib.sha256()
        for start in range(0, len(rows), length):
            pixels = np.ascontiguousarray(everything.pixels[rows[start : start + length]])
            store.append(pixels)
            pixel_hash.update(pixels.data)
            let_go(everything.pixels)
        original = everything.rows[rows]
        result.append(
            _Decoded(everything.part, store.close(), pixel_hash.hexdigest(), original, (), everything.hashes[rows])
        )
    return result


def _in_both(train: _Decoded, test: _Decoded) -> list[str]:
    """A note on pictures that are in both parts: a test on pictures of the training says nothing about new ones."""
    both = np.flatnonzero(np.isin(test.hashes, train.hashes))
    if not len(both):
        return []
    order = np.argsort(train.hashes, kind="stable")
    first = order[np.searchsorted(train.hashes[order], test.hashes[both[:EXAMPLES]])]
    pairs = [f"{test.ids[row]} is {train.ids[twin]}" for row, twin in zip(both, first, strict=False)]
    more = f" and {len(both) - EXAMPLES:,} more" if len(both) > EXAMPLES else ""
    return [
        f"{len(both):,} of {len(test.hashes):,} test images are in the train part too, with equal pixels: "
        f"{', '.join(pairs)}{more}; scores on them say nothing about new images"
    ]


def _classes(plan: Plan, train: _Decoded, test: _Decoded) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """The classes with pictures in either part, the new number of each old class, and notes on the others."""
    if train.labels is None or test.labels is None:
        return (), np.empty(0, dtype=np.int64), []
    count = len(plan.class_names)
    in_train = np.bincount(train.labels, minlength=count) > 0
    in_test = np.bincount(test.labels, minlength=count) > 0
    used = in_train | in_test
    notes = []
    for chosen, words in (
        (~used, "classes without an image that can be used were left out"),
        (in_train & ~in_test, "classes without a test image"),
        (in_test & ~in_train, "classes without a train image"),
    ):
        if chosen.any():
            notes.append(f"{words}: {listed(_named(plan, chosen))}")
    return tuple(_named(plan, used)), np.cumsum(used) - 1, notes


def _named(plan: Plan, mask: np.ndarray) -> list[str]:
    return [name for name, chosen in zip(plan.class_names, mask, strict=True) if chosen]


def _finish(
    one: _Decoded, class_names: tuple[str, ...], numbers: np.ndarray, chosen: Range, names: tuple[str, ...]
) -> Images:
    labels = None if one.labels is None or not class_names else numbers[one.labels].astype(np.int64)
    fingerprint = fingerprint_of(one.pixels.shape, one.sha256, labels, class_names, one.pixels.dtype, chosen)
    ids = one.part.ids[one.rows]
    return Images(one.pixels, ids, labels, class_names, fingerprint, one.columns, chosen, names)
