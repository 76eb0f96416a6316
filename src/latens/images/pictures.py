"""Images as a source holds them: in their own order, not split, none too few. A model that is trained already takes these."""

import os
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from latens.arrays import blocks
from latens.errors import ImagesDamaged, ImagesError, UsageError
from latens.images.assemble import refused_line
from latens.images.contract import Dataset, Shape
from latens.images.folder import plan_file
from latens.images.folder_images import PAGES
from latens.images.kinds import is_picture
from latens.images.load import checked_links, checked_masks, file_options, reader_of, table_option
from latens.images.pixels import (
    PixelFormat,
    Range,
    as_range,
    channel_word,
    colour_word,
    inputs_of,
    whole_range,
    with_channels,
)
from latens.images.plan import RULES, Block, Options, Part, Plan, Refused, block_length
from latens.images.ranges import BY_DATA, BY_TYPE, RangeWish, checked_count, checked_range

__all__ = ["Pictures", "numbered_by", "read_pictures"]


@dataclass(eq=False)
class Pictures:
    """The result of `read_pictures`.

    Args:
        plan: its parts, ids, labels and class names.
        shape: (C, H, W) in which `blocks` gives them.
        format: by which they are read.
        strict: whether a file that can't be used is an error.
        notes: notes for the user; complete once all blocks were read.
        refused: files that could not be used, as far as they were met.
    """

    plan: Plan
    shape: Shape
    format: PixelFormat
    strict: bool = False
    notes: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def parts(self) -> tuple[Part, ...]:
        """One part "all", or "train" and "test"."""
        return self.plan.parts

    def blocks(self, part: Part, rows: range | None = None) -> Iterator[Block]:
        """The images of a part as models take them, (n, C, H, W), bytes or floats in [0, 1], and the rows of the part.

        Args:
            part: one of `parts`.
            rows: of the part, which follow one another; None gives all.

        Raises:
            ImagesDamaged: a file can't be used and `strict` was asked for, or none can.
        """
        used = 0
        for block in part.blocks() if rows is None else part.of_rows(rows):
            self.refused += block.refused
            if self.strict and block.refused:
                first = block.refused[0]
                raise ImagesDamaged(
                    f"{part.where}: {first.id} can't be used ({first.reason}); repair it, or leave out strict"
                )
            used += len(block.rows)
            if len(block.rows):
                pixels = with_channels(block.pixels, self.shape[0])
                yield block._replace(pixels=np.asarray(inputs_of(pixels, self.format.value_range)))
        if not used and rows is None:
            why = f": {self.refused[0].id} ({self.refused[0].reason})" if self.refused else ""
            raise ImagesDamaged(f"{part.where}: none of its {len(part.ids)} files can be used{why}")

    def note_refused(self) -> None:
        """Add the note on files that were left out, once all blocks were read."""
        if self.refused:
            self.notes.append(refused_line(tuple(self.refused), sum(len(part.ids) for part in self.parts)))


def read_pictures(
    source: Any,
    shape: Shape,
    *,
    strict: bool = False,
    labels: Any = None,
    white: int | None = None,
    fit: str = "pad",
    read_by: PixelFormat | None = None,
    value_range: Any = None,
    masks: str | None = None,
    links: str | None = None,
    layout: str | None = None,
    table: Any = None,
    label_column: str | None = None,
    pages: str | None = None,
    channels: Sequence[str | os.PathLike[str]] | None = None,
    nan: float | None = None,
) -> Pictures:
    """Read images for a model that is there: any number, one file too, brought to its size and channels.

    Args:
        source: as for `load_images`; or one image file; or a `Dataset`.
        shape: (C, H, W) that the model takes. Other sizes are resized, grey becomes colour and colour grey.
        strict: refuse files that can't be read, instead of leaving them out with a note.
        labels: for an array or an .npy file, one an image.
        white: as for `load_images`.
        fit: as for `load_images`.
        read_by: the format of the model's own images, by whose range these are read; by default that of 8-bit images.
        value_range: the range of these images, where it is not the model's: see `load_images`; "data" is refused, since other
            images of the same kind would then be read otherwise.
        masks: as for `load_images`.
        links: as for `load_images`.
        layout: as for `load_images`.
        table: as for `load_images`.
        label_column: as for `load_images`.
        pages: as for `load_images`.
        channels: as for `load_images`.
        nan: as for `load_images`.

    Raises:
        ImagesError: the source can't be read, or has channels that can't be brought to the model's.
    """
    read_by = read_by or PixelFormat.usual(shape[0])
    wish = checked_range(value_range)
    if wish == BY_DATA:
        raise UsageError(
            f"the range {BY_DATA!r} is for a data set; images for a run are read by fixed numbers: its own range, LOW HIGH,"
            f" or {BY_TYPE!r}"
        )
    files = file_options(source, pages, channels, nan)
    options = Options(
        shape[1:],
        strict,
        labels,
        white=white,
        fit=fit,
        layout=layout,
        table=table_option(table, source, RULES, {}),
        label_column=label_column,
        value_range=wish or (None if read_by.is_plain else read_by.value_range),
        keep_masks=checked_masks(masks) == "keep",
        follow_links=checked_links(links) == "all",
        pages=files.get("pages", PAGES[0]),
        channels=tuple(files.get("channels", ())),
        nan=nan,
    )
    plan = _plan(source, options)
    notes = list(plan.notes)
    if plan.shape[0] != shape[0] and {plan.shape[0], shape[0]} != {1, 3}:
        raise ImagesError(
            f"{plan.source}: images of {channel_word(plan.shape[0])}; the model takes {channel_word(shape[0])}: give images of"
            " the same channels"
        )
    if wish is not None:
        read_by = PixelFormat(plan.dtype.name, _range_of(wish, plan, shape[0]), read_by.channel_names)
    elif read_by.is_plain and plan.dtype != read_by.dtype:
        # The model knows bytes only: others are read by all of their type's range, or by what the source says of them.
        value_range = plan.value_range or whole_range(plan.dtype, plan.shape[0])
        read_by = PixelFormat(plan.dtype.name, as_range(value_range[0], shape[0]), read_by.channel_names)
        low, high = value_range[0]
        notes.append(
            f"{plan.dtype} images were read by the range {low:g} to {high:g}; the model was trained on 8-bit images"
        )
    elif plan.dtype != read_by.dtype:
        notes.append(
            f"{plan.dtype} images were read by the range of the model's own {read_by.dtype} images, number by number"
        )
    if plan.shape[0] != shape[0]:
        notes.append(
            f"{colour_word(plan.shape[0])} images were turned into {colour_word(shape[0])}, as the model takes them"
        )
    return Pictures(plan, shape, read_by, strict, notes)


def _range_of(wish: RangeWish, plan: Plan, channels: int) -> Range:
    """The range that was asked for, one pair for each of the model's channels."""
    pairs = (plan.type_range or whole_range(plan.dtype, 1)) if isinstance(wish, str) else wish
    if len(pairs or ()) == 1 or plan.shape[0] != channels:  # grey in colour or colour in grey: one pair serves all
        pairs = (pairs or whole_range(plan.dtype, 1))[:1] * channels
    assert pairs is not None
    return checked_count(pairs, channels)


def _plan(source: Any, options: Options) -> Plan:
    if isinstance(source, Dataset):
        return _plan_of(source)
    if isinstance(source, str | os.PathLike):
        source = os.path.expanduser(source)
        path = Path(source)
        if os.path.isfile(path) and is_picture(str(path), path.name):
            return plan_file(path, options)
    reader = reader_of(source)
    # A plug-in need not know of plans: its data set then comes with a split.
    if not hasattr(reader, "plan"):
        return _plan_of(reader.read(source, options))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan: Plan = reader.plan(source, options)
    return plan


def _plan_of(images: Dataset) -> Plan:
    """A data set that was read already, as a plan."""

    def part(name: str) -> Part:
        one = images.train if name == "train" else images.test

        def decode() -> Iterator[Block]:
            row = 0
            for pixels in blocks(one.pixels, block_length(images.shape)):
                yield Block(pixels, np.arange(row, row + len(pixels)))
                row += len(pixels)

        return Part(name, f"{images.source}: {name}", one.ids, one.labels, decode, one.columns)

    return Plan(
        images.name,
        images.source,
        images.shape,
        images.class_names,
        (part("train"), part("test")),
        dtype=images.train.pixels.dtype,
        channel_names=images.channel_names,
    )


def numbered_by(known: Sequence[str], names: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """New numbers for the classes of other images: those of a model's classes, and further ones for what it does not know.

    Args:
        known: the model's classes, in the order of their numbers.
        names: of the images' own classes, in the order of theirs.

    Returns:
        The new number of each of `names`, int64, and all class names by number: `known`, then the unknown ones.

    >>> numbered_by(["cat", "dog", "owl"], ["dog", "fox", "owl"])
    (array([1, 3, 2]), ('cat', 'dog', 'owl', 'fox'))
    """
    every = list(known)
    index = {unicodedata.normalize("NFC", name): number for number, name in enumerate(known)}
    numbers = []
    for name in names:
        key = unicodedata.normalize("NFC", name)
        if key not in index:
            index[key] = len(every)
            every.append(name)
        numbers.append(index[key])
    return np.array(numbers, dtype=np.int64), tuple(every)
