"""Arrays and lists as sources, and the code that all sources made of arrays share: from raw parts to a plan."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latens.arrays import blocks
from latens.errors import ImagesEmpty, ImagesError, ImagesNotFound, UsageError
from latens.images.assemble import assemble
from latens.images.contract import Dataset, Shape
from latens.images.decode import is_grey_mode, reason_of, upright_picture
from latens.images.finish import finish
from latens.images.fit import fit_note, fit_picture, fit_pixels
from latens.images.given import as_array
from latens.images.layout import check_dtype, check_sides, kept_dtype, number_labels, picture_shape, to_pixels
from latens.images.pixels import (
    CHANNELS,
    DTYPE,
    WHITE,
    Range,
    colour_word,
    from_picture,
    is_grey,
    stored_dtype,
    with_channels,
)
from latens.images.plan import Block, Options, Part, Plan, block_length
from latens.images.table_of_arrays import with_table
from latens.images.white import DEEP_WHITE, choose_white
from latens.text import natural_key, shown

__all__ = [
    "ARRAY",
    "PART_LAYOUTS",
    "ArraySource",
    "RawPart",
    "join_parts",
    "len_of",
    "plan_arrays",
    "raw_array",
    "refuse_labels",
    "stacked",
]


# Which parts a source has -> the parts that are made of them; a validation part is the test part where there is no other.
PART_LAYOUTS = {
    frozenset({"all"}): [("all", ["all"])],
    frozenset({"train"}): [("all", ["train"])],
    frozenset({"train", "test"}): [("train", ["train"]), ("test", ["test"])],
    frozenset({"train", "validation"}): [("train", ["train"]), ("test", ["validation"])],
    frozenset({"train", "validation", "test"}): [("train", ["train", "validation"]), ("test", ["test"])],
    frozenset({"all", "test"}): [("train", ["all"]), ("test", ["test"])],
    frozenset({"all", "validation"}): [("train", ["all"]), ("test", ["validation"])],
    frozenset({"all", "validation", "test"}): [("train", ["all", "validation"]), ("test", ["test"])],
}


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
        ids: str (N,); by default the row, behind the part's name where there are two.
        array: the same in memory or memory-mapped, where any rows can be taken from it.
    """

    name: str
    where: str
    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[int], Iterator[np.ndarray]]
    labels: np.ndarray | None = None
    ids: np.ndarray | None = None
    array: np.ndarray | None = None


class ArraySource:
    """An array or tensor of pictures, or a list of arrays, tensors, Pillow images or paths of image files."""

    def accepts(self, source: Any) -> bool:
        """Whether it is an array, a tensor, a list or a Pillow image."""
        if isinstance(source, str | bytes | os.PathLike):
            return False
        return isinstance(source, list | tuple | np.ndarray | Image.Image) or hasattr(source, "__array__")

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, in memory.

        Raises:
            ImagesError: shape, type or values are not those of pictures.
        """
        plan = self.plan(source, options)
        return finish(plan, assemble(plan, progress=options.progress, value_range=options.value_range), options)

    def plan(self, source: Any, options: Options) -> Plan:
        """The array as one part, in its own order."""
        if isinstance(source, Image.Image):
            source = [source]
        array = None if isinstance(source, list | tuple) else as_array(source, "the array")
        if array is not None and (array.ndim != 1 or array.dtype.kind not in "OUT"):
            return plan_arrays("array", "array", [raw_array("all", "the array", array, options.labels)], options)
        pictures = list(source) if array is None else array.tolist()
        if pictures and {_kind(picture) for picture in pictures} == {"path"}:
            return _of_files(pictures, options)
        array, notes, white = stacked(pictures, options)
        if white is not None:
            options = replace(options, white=None)  # it was used
        raw = raw_array("all", "the list", array, options.labels)
        plan = plan_arrays("array", "array", [raw], options, notes=notes)
        return plan if white is None else replace(plan, white=white)


ARRAY = ArraySource()


def _of_files(paths: Sequence[str | os.PathLike[str]], options: Options) -> Plan:
    """The plan of a list of image files, each with its name as given."""
    from latens.images.folder import plan_files  # which imports this module

    missing = [path for path in paths if not os.path.exists(os.path.expanduser(path))]
    if missing:
        raise ImagesNotFound(
            f"the list names {len(missing)} of {len(paths)} files that are not there, {os.fspath(missing[0])!r} first; "
            f"paths are relative to {os.getcwd()}"
        )
    files = [os.path.abspath(os.path.expanduser(path)) for path in paths]
    labels: np.ndarray | None = None
    names: tuple[str, ...] = ()
    if options.labels is not None:
        (labels,), names = _numbered([number_labels(options.labels, len(files), "the list")])
    plan = plan_files(files, Path(os.path.commonpath([os.path.dirname(file) for file in files])), options, labels)
    (part,) = plan.parts
    ids = np.array([shown(os.fspath(path)) for path in paths], dtype=str)
    if len(set(ids.tolist())) < len(ids):
        ids = np.array([f"{row} {name}" for row, name in enumerate(ids.tolist())], dtype=str)
    part = replace(part, ids=ids, where="the list")
    plan = replace(plan, name="array", source="array", class_names=names, parts=(part,))
    return with_table(plan, options, in_order=False)


def stacked(pictures: Sequence[Any], options: Options) -> tuple[np.ndarray, tuple[str, ...], int | None]:
    """One array of a list of arrays, tensors or Pillow images, notes on it, and the number that was read as white.

    Raises:
        ImagesError: they are no images, or not of one kind, shape and type.
    """
    if not pictures:
        raise ImagesEmpty("the list has no images in it")
    kinds = {_kind(picture) for picture in pictures}
    if len(kinds) > 1:
        rows = [next(row for row, picture in enumerate(pictures) if _kind(picture) == kind) for kind in sorted(kinds)]
        told = " and ".join(f"{type(pictures[row]).__name__} (row {row})" for row in sorted(rows)[:2])
        raise ImagesError(f"the list mixes {told}; give arrays only, or Pillow images only")
    if kinds == {"image"}:
        return _stack_pictures(pictures, options)
    arrays = [as_array(picture, f"row {row} of the list") for row, picture in enumerate(pictures)]
    for row, array in enumerate(arrays):
        if array.dtype.kind not in "buif":
            raise ImagesError(
                f"row {row} of the list is no image: {type(pictures[row]).__name__}; give arrays, tensors or Pillow images"
            )
        if array.shape != arrays[0].shape:
            raise ImagesError(
                f"the list has images of different shapes: {arrays[0].shape} in row 0, {array.shape} in row {row}; "
                "bring them to one size, or give the folder of files, which are resized"
            )
        if array.dtype.kind != arrays[0].dtype.kind:
            raise ImagesError(
                f"the list has images of different types: {arrays[0].dtype} in row 0, {array.dtype} in row {row}; "
                "give all of them in one type"
            )
    return np.stack(arrays), (), None


def _kind(picture: Any) -> str:
    if isinstance(picture, str | os.PathLike):
        return "path"
    return "image" if isinstance(picture, Image.Image) else "array"


def _stack_pictures(
    pictures: Sequence[Image.Image], options: Options
) -> tuple[np.ndarray, tuple[str, ...], int | None]:
    """The same for Pillow images of any mode, by the rules for files: grey only if all are grey."""
    grey = sum(is_grey_mode(picture.mode) for picture in pictures)
    channels = CHANNELS[0] if options.grey or grey == len(pictures) else CHANNELS[1]
    plain: list[Image.Image] = []
    notes: list[str] = []
    white = None
    deep = [picture for picture in pictures if picture.mode.startswith("I;16")]
    if all(picture.mode.startswith("I;16") or picture.mode in ("I", "F") for picture in pictures):
        return _stack_deep(pictures, options)
    if deep:
        chosen, said = choose_white((int(np.asarray(picture).max(initial=0)) for picture in deep), deep=True)
        white = options.white or chosen or DEEP_WHITE
        notes += said if options.white is None else ()
    for row, picture in enumerate(pictures):
        try:
            plain.append(upright_picture(picture, channels, white))
        except Exception as error:  # Pillow's plugins raise anything on broken files
            raise ImagesError(f"row {row} of the list: an image that can't be used: {reason_of(error)}") from None
    sizes = [(picture.height, picture.width) for picture in plain]
    others = sum(size != (options.size or sizes[0]) for size in sizes)
    if others and options.size is None:
        row = next(row for row, size in enumerate(sizes) if size != sizes[0])
        raise ImagesError(
            f"the list has images of different sizes: {sizes[0][0]} x {sizes[0][1]} in row 0, {sizes[row][0]} x "
            f"{sizes[row][1]} in row {row}; give a size to bring them to: load_images(images, size=64)"
        )
    if grey and not is_grey(channels):
        notes.append(f"{grey} grey images among {len(pictures)} were turned into RGB")
    if others and options.size is not None:
        height, width = options.size
        target = f"{height} x {width} pixels"
        cost = fit_note(sizes, options.size, options.fit)
        cost = f"; {cost}" if cost else ""
        notes.append(f"{others} of {len(pictures)} images had other sizes and were resized to {target}{cost}")
        plain = [fit_picture(picture, options.size, options.fit) for picture in plain]
    return np.stack([from_picture(picture) for picture in plain]), tuple(notes), white


def _stack_deep(pictures: Sequence[Image.Image], options: Options) -> tuple[np.ndarray, tuple[str, ...], int | None]:
    """The same for grey Pillow images of more than 8 bits: their numbers as they are."""
    arrays = [np.asarray(picture) for picture in pictures]
    row = next((row for row, array in enumerate(arrays) if array.shape != arrays[0].shape), None)
    if row is not None and options.size is None:
        height, width = arrays[0].shape
        raise ImagesError(
            f"the list has images of different sizes: {height} x {width} in row 0, {arrays[row].shape[0]} x "
            f"{arrays[row].shape[1]} in row {row}; give a size to bring them to: load_images(images, size=64)"
        )
    notes: tuple[str, ...] = ()
    if row is not None and options.size is not None:
        height, width = options.size
        others = sum(array.shape != options.size for array in arrays)
        target = f"{height} x {width} pixels"
        notes = (f"{others} of {len(pictures)} images had other sizes and were resized and cropped to {target}",)
        kept = [array.astype(kept_dtype(array.dtype, array.min(), array.max())) for array in arrays]
        arrays = [fit_pixels(array[None, None], options.size)[0, 0] for array in kept]
    return np.stack(arrays), notes, None


def raw_array(name: str, where: str, array: np.ndarray, labels: Any = None) -> RawPart:
    """A part of an array that is in memory or memory-mapped."""
    count = len(array) if array.ndim else 0
    checked = None if labels is None else number_labels(labels, count, where)
    return RawPart(name, where, array.shape, array.dtype, partial(blocks, array), checked, array=array)


def join_parts(raws: Sequence[RawPart], called: str) -> tuple[RawPart, list[str]]:
    """A train part and a validation part as one train part; the validation part is left out where it doesn't fit.

    Args:
        raws: one or two parts.
        called: what the last of them is called in the source.

    Returns:
        The joined part, and notes on it.
    """
    if len(raws) == 1:
        return raws[0], []
    train, validation = raws
    if train.shape[1:] != validation.shape[1:]:
        reason: str | None = (
            f"its images have the shape {validation.shape[1:]}, those of the train part {train.shape[1:]}"
        )
    elif (train.labels is None) != (validation.labels is None):
        reason = f"it has {'no ' if validation.labels is None else ''}labels, unlike the train part"
    elif train.labels is not None and validation.labels is not None and _is_text(train) != _is_text(validation):
        reason = "its labels are of another kind than those of the train part"
    else:
        reason = None
    if reason is not None:
        return train, [f"not used: the validation part {called} ({len_of(validation)} images), since {reason}"]

    def read(length: int) -> Iterator[np.ndarray]:
        yield from train.read(length)
        yield from validation.read(length)

    labels = None
    if train.labels is not None and validation.labels is not None:
        labels = np.concatenate([train.labels, validation.labels])
    ids = np.concatenate([_row_ids("train/", len_of(train)), _row_ids("validation/", len_of(validation))])
    shape = (len_of(train) + len_of(validation), *train.shape[1:])
    dtype = np.promote_types(train.dtype, validation.dtype)
    joined = RawPart(train.name, train.where, shape, dtype, read, labels, ids)
    return joined, [f"the validation part {called} ({len_of(validation)} images) was joined to the train part"]


def len_of(raw: RawPart) -> int:
    """How many pictures it has."""
    return raw.shape[0] if raw.shape else 0


def _is_text(raw: RawPart) -> bool:
    return raw.labels is not None and raw.labels.dtype.kind == "U"


def plan_arrays(
    name: str,
    source: str,
    raws: Sequence[RawPart],
    options: Options,
    class_names: tuple[str, ...] | None = None,
    notes: tuple[str, ...] = (),
) -> Plan:
    """The plan of one raw part, or of a train and a test part.

    Args:
        name: of the data set.
        source: what gives it again.
        raws: one part, or train and test.
        options: size is what matters here.
        class_names: of the labels 0, 1, …; by default the values that occur in the labels.
        notes: notes for the user about the source.

    Raises:
        ImagesError: the arrays are not pictures, or the two parts don't fit together.
    """
    shapes = [_checked_shape(raw, options) for raw in raws]
    if shapes[0] != shapes[-1]:
        raise ImagesError(
            f"the train part ({raws[0].where}) has images of (C, H, W) {shapes[0]} and the test part ({raws[-1].where}) of "
            f"{shapes[-1]}; both must be the same"
            + ("" if shapes[0][0] != shapes[-1][0] else ": give a size (--size 32)")
        )
    if len({raw.dtype.kind == "f" for raw in raws}) > 1:
        told = " and ".join(f"{raw.where} is {raw.dtype}" for raw in raws)
        raise ImagesError(f"{told}: of whole numbers and floats one is needed; save both parts in one type")
    labels, names, on_labels = _number_classes(raws, class_names)
    dtype = DTYPE if options.rules == 1 else _stored(raws)
    white, said = _white(raws, options) if dtype == DTYPE else (None, ())
    value_range = None
    if options.white is not None and dtype.kind == "u" and dtype != DTYPE:
        value_range = ((0.0, float(options.white)),) * shapes[0][0]
    elif options.white is not None and dtype != DTYPE:
        said = (f"white was not used: it is for whole numbers, and these are {raws[0].dtype}",)
    prefixes = [f"{raw.name}/" if len(raws) > 1 else "" for raw in raws]
    parts = [
        Part(
            raw.name,
            raw.where,
            _row_ids(prefix, raw.shape[0]) if raw.ids is None else raw.ids,
            numbers,
            decode := _blocks(raw, shapes[0], options, white, dtype),
            some=None if raw.array is None else decode,
        )
        for raw, prefix, numbers in zip(raws, prefixes, labels, strict=True)
    ]
    notes = (*notes, *on_labels, *_size_notes(raws[0], shapes[0], options), *said)
    plan = Plan(
        name,
        source,
        shapes[0],
        names,
        tuple(parts),
        notes,
        white,
        rules=options.rules,
        dtype=dtype,
        value_range=value_range,
        type_range=_type_range(raws[0].dtype, shapes[0][0]),
    )
    return with_table(plan, options)


def _checked_shape(raw: RawPart, options: Options) -> Shape:
    if not raw.shape or 0 in raw.shape:
        raise ImagesEmpty(f"{raw.where}: an array of shape {raw.shape} has no images in it")
    check_dtype(raw.dtype, raw.where)
    shape = picture_shape(raw.shape, raw.where, options.layout)
    if options.grey and shape[0] not in CHANNELS:
        raise UsageError(f"grey (--grey) goes with colour images; these are {colour_word(shape[0])} images")
    channels = CHANNELS[0] if options.grey else shape[0]
    if options.size is None:
        check_sides(shape, raw.where)
        return channels, *shape[1:]
    return channels, *options.size


def _size_notes(raw: RawPart, shape: Shape, options: Options) -> tuple[str, ...]:
    _, height, width = picture_shape(raw.shape, raw.where, options.layout)
    if (height, width) == shape[1:]:
        return ()
    cost = fit_note([(height, width)], shape[1:], options.fit)
    cost = f"; {cost}" if cost else ""
    return (f"resized from {height} x {width} to {shape[1]} x {shape[2]} pixels{cost}",)


def _number_classes(
    raws: Sequence[RawPart], class_names: tuple[str, ...] | None
) -> tuple[list[np.ndarray | None], tuple[str, ...], tuple[str, ...]]:
    """Labels as indices into the class names, the same for all parts, and notes on them."""
    present = [raw.labels for raw in raws if raw.labels is not None]
    unused: list[np.ndarray | None] = [None] * len(raws)
    if not present:
        return unused, (), ()
    if len(present) != len(raws):
        labelled = next(raw.where for raw in raws if raw.labels is not None)
        bare = next(raw.where for raw in raws if raw.labels is None)
        return unused, (), (f"labels were not used: {shown(labelled)} has some and {shown(bare)} has none",)
    if len({labels.dtype.kind == "U" for labels in present}) > 1:
        where = f"those of {shown(raws[0].where)} and of {shown(raws[-1].where)}"
        return unused, (), (f"labels were not used: of {where} one are text and the other numbers",)
    if class_names is not None:
        for raw, labels in zip(raws, present, strict=True):
            if labels.min() < 0 or labels.max() >= len(class_names):
                raise ImagesError(
                    f"{raw.where}: labels from {labels.min()} to {labels.max()} for {len(class_names)} classes"
                )
        return list(present), class_names, ()
    return *_numbered(present), ()


def _numbered(present: Sequence[np.ndarray]) -> tuple[list[np.ndarray | None], tuple[str, ...]]:
    """Labels as indices into the sorted values that occur: text in natural order, as folders have it."""
    values, numbers = np.unique(np.concatenate(present), return_inverse=True)
    if values.dtype.kind == "U":
        order = sorted(range(len(values)), key=lambda row: natural_key(str(values[row])))
        numbers = np.argsort(order)[numbers]
        values = values[order]
    ends = np.cumsum([len(labels) for labels in present])[:-1]
    return list(np.split(numbers.astype(np.int64), ends)), tuple(shown(str(value)) for value in values)


def _row_ids(prefix: str, count: int) -> np.ndarray:
    return np.array([f"{prefix}{row}" for row in range(count)], dtype=str)


def _stored(raws: Sequence[RawPart]) -> np.dtype:
    """The type in which the pixels of all parts are kept; integers of other types than uint8 and uint16 are read for it."""
    found = []
    for raw in raws:
        least = most = 0.0
        if raw.dtype.kind == "i" or (raw.dtype.kind == "u" and raw.dtype.itemsize > 2):
            for piece in raw.read(block_length((1, 1, max(1, int(np.prod(raw.shape[1:])))))):
                least, most = min(least, float(piece.min(initial=0))), max(most, float(piece.max(initial=0)))
        found.append(kept_dtype(raw.dtype, least, most))
    return stored_dtype(*found)


def _type_range(dtype: np.dtype, channels: int) -> Range | None:
    """All numbers of integers that are kept in another type than their own."""
    if dtype.kind not in "iu":
        return None
    limits = np.iinfo(dtype)
    return ((float(limits.min), float(limits.max)),) * channels


def _white(raws: Sequence[RawPart], options: Options) -> tuple[int | None, tuple[str, ...]]:
    """The whole number that becomes 255 in all parts, which are kept as bytes, and notes on it."""
    whole = [raw for raw in raws if raw.dtype.kind in "ui"]
    if options.white is not None:
        most = options.white if options.rules == 1 else min(options.white, WHITE)
        return (most, ()) if whole else (None, (f"white was not used: these are {raws[0].dtype}",))
    if options.value_range is not None:
        return None, ()
    largest = (
        int(piece.max(initial=0))
        for raw in whole
        for piece in raw.read(block_length(picture_shape(raw.shape, raw.where, options.layout)))
    )
    if options.rules > 1:
        return choose_white(largest, deep=False)
    deep = bool(whole) and all(raw.dtype.kind == "u" and raw.dtype.itemsize == 2 for raw in whole)
    white, notes = choose_white(largest, deep)
    return (DEEP_WHITE if deep and white is None else white), notes


def _blocks(
    raw: RawPart, shape: Shape, options: Options, white: int | None, dtype: np.dtype
) -> Callable[..., Iterator[Block]]:
    """A function that decodes all rows, or a range of them where the source is an array."""
    original = picture_shape(raw.shape, raw.where, options.layout)

    def decode(rows: range | None = None) -> Iterator[Block]:
        pieces, row = raw.read(block_length(original)), 0
        if rows is not None and raw.array is not None:
            pieces, row = blocks(raw.array[rows.start : rows.stop], block_length(original)), rows.start
        for piece in pieces:
            pixels = to_pixels(piece, raw.where, row, white, dtype, options.layout, options.nan)
            if options.size is not None:
                pixels = fit_pixels(pixels, options.size, options.fit)
            pixels = with_channels(pixels, shape[0])
            yield Block(pixels, np.arange(row, row + len(pixels)))
            row += len(pixels)

    return decode


def refuse_labels(options: Options, where: str) -> None:
    """Refuse labels that were given for a source which has its own.

    Raises:
        UsageError: they were given.
    """
    if options.labels is not None:
        raise UsageError(f"{where}: labels are taken from the source; labels= goes with an array or an .npy file only")
