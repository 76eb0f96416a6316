"""Arrays given directly, and what every source that is made of arrays shares: raw parts become a plan."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from latens.errors import ImagesEmpty, ImagesError, UsageError
from latens.images.assemble import assemble
from latens.images.contract import Dataset, Shape
from latens.images.finish import finish
from latens.images.fit import fit_pixels
from latens.images.layout import check_dtype, check_sides, number_labels, picture_shape, to_pixels
from latens.images.mapped import blocks
from latens.images.plan import Block, Options, Part, Plan, block_length

__all__ = ["ARRAY", "ArraySource", "RawPart", "plan_arrays", "raw_array", "refuse_labels"]


@dataclass(frozen=True, eq=False)
class RawPart:
    """Pictures of a source as it holds them.

    Args:
        name: "train", "test" or "all".
        where: file or array, for messages.
        shape: of the whole array.
        dtype: its type.
        read: gives the array in consecutive pieces of at most n pictures.
        labels: (N,), checked by `number_labels`, or None.
    """

    name: str
    where: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[int], Iterator[np.ndarray]]
    labels: np.ndarray | None = None


class ArraySource:
    """An array of pictures, or a list of equally large ones."""

    def accepts(self, source: Any) -> bool:
        """Whether it is an array, a tensor, or a list."""
        if isinstance(source, str | bytes | os.PathLike):
            return False
        return isinstance(source, list | tuple | np.ndarray) or hasattr(source, "__array__")

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, in memory.

        Raises:
            ImagesError: shape, type or values are not those of pictures.
        """
        array = _stack(source) if isinstance(source, list | tuple) else np.asarray(source)
        part = raw_array("all", "the array", array, options.labels)
        plan = plan_arrays("array", "array", [part], options)
        return finish(plan, assemble(plan, progress=options.progress), options)


ARRAY = ArraySource()


def _stack(pictures: Sequence[Any]) -> np.ndarray:
    """One array of a list of arrays."""
    arrays = [np.asarray(picture) for picture in pictures]
    if not arrays:
        raise ImagesEmpty("the list has no pictures in it")
    for row, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ImagesError(
                f"the list has pictures of different shapes: {arrays[0].shape} in row 0, {array.shape} in row {row}; "
                "bring them to one size, or give the folder of files, which are resized"
            )
    return np.stack(arrays)


def raw_array(name: str, where: str, array: np.ndarray, labels: Any = None) -> RawPart:
    """A part of an array that is in memory or memory-mapped."""
    count = len(array) if array.ndim else 0
    checked = None if labels is None else number_labels(labels, count, where)
    return RawPart(name, where, array.shape, array.dtype, partial(blocks, array), checked)


def plan_arrays(
    name: str,
    source: str,
    raws: Sequence[RawPart],
    options: Options,
    class_names: tuple[str, ...] | None = None,
) -> Plan:
    """The plan of one raw part, or of a train and a test part.

    Args:
        name: of the data set.
        source: what gives it again.
        raws: one part, or train and test.
        options: size is what matters here.
        class_names: of the labels 0, 1, …; by default the values that occur in the labels.

    Raises:
        ImagesError: the arrays are not pictures, or the two parts don't fit together.
    """
    shapes = [_checked_shape(raw, options) for raw in raws]
    if shapes[0] != shapes[-1]:
        raise ImagesError(
            f"the train part ({raws[0].where}) has pictures of (C, H, W) {shapes[0]} and the test part ({raws[-1].where}) of "
            f"{shapes[-1]}; both must be the same"
            + ("" if shapes[0][0] != shapes[-1][0] else ": give a size (--size 32)")
        )
    labels, names = _number_classes(raws, class_names)
    prefixes = [f"{raw.name}/" if len(raws) > 1 else "" for raw in raws]
    parts = [
        Part(raw.name, raw.where, _row_ids(prefix, raw.shape[0]), numbers, _blocks(raw, shapes[0], options))
        for raw, prefix, numbers in zip(raws, prefixes, labels, strict=True)
    ]
    notes = _size_notes(raws[0], shapes[0])
    return Plan(name, source, shapes[0], names, tuple(parts), notes)


def _checked_shape(raw: RawPart, options: Options) -> Shape:
    if not raw.shape or 0 in raw.shape:
        raise ImagesEmpty(f"{raw.where}: an array of shape {raw.shape} has no pictures in it")
    check_dtype(raw.dtype, raw.where)
    shape = picture_shape(raw.shape, raw.where)
    if options.size is None:
        check_sides(shape, raw.where)
        return shape
    return shape[0], *options.size


def _size_notes(raw: RawPart, shape: Shape) -> tuple[str, ...]:
    _, height, width = picture_shape(raw.shape, raw.where)
    if (height, width) == shape[1:]:
        return ()
    return (f"resized and cropped from {height} x {width} to {shape[1]} x {shape[2]} pixels",)


def _number_classes(
    raws: Sequence[RawPart], class_names: tuple[str, ...] | None
) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """Labels as indices into the class names, the same for all parts."""
    found = [raw.labels for raw in raws]
    present = [labels for labels in found if labels is not None]
    if not present:
        return found, ()
    if len(present) != len(found):
        labelled = next(raw.where for raw in raws if raw.labels is not None)
        bare = next(raw.where for raw in raws if raw.labels is None)
        raise ImagesError(f"{labelled} has labels and {bare} has none; give both parts labels, or neither")
    if len({labels.dtype.kind for labels in present}) > 1:
        raise ImagesError(f"{raws[0].where} and {raws[-1].where}: one has labels of text, the other of numbers")
    if class_names is not None:
        for raw, labels in zip(raws, present, strict=True):
            if labels.min() < 0 or labels.max() >= len(class_names):
                raise ImagesError(
                    f"{raw.where}: labels from {labels.min()} to {labels.max()} for {len(class_names)} classes"
                )
        return list(present), class_names
    values = np.unique(np.concatenate(present))
    return [np.searchsorted(values, labels).astype(np.int64) for labels in present], tuple(str(v) for v in values)


def _row_ids(prefix: str, count: int) -> np.ndarray:
    return np.array([f"{prefix}{row}" for row in range(count)], dtype=str)


def _blocks(raw: RawPart, shape: Shape, options: Options) -> Callable[[], Iterator[Block]]:
    original = picture_shape(raw.shape, raw.where)

    def decode() -> Iterator[Block]:
        row = 0
        for piece in raw.read(block_length(original)):
            pixels = to_pixels(piece, raw.where, row)
            if options.size is not None:
                pixels = fit_pixels(pixels, options.size)
            yield Block(pixels, np.arange(row, row + len(pixels)))
            row += len(pixels)

    return decode


def refuse_labels(options: Options, where: str) -> None:
    """Labels given apart belong to arrays only.

    Raises:
        UsageError: they were given.
    """
    if options.labels is not None:
        raise UsageError(f"{where}: labels are taken from the source; labels= goes with an array or an .npy file only")
