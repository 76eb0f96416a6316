"""`Plan`: a source before it is decoded, as one or two parts that yield their pictures in blocks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from latens.images.contract import Progress, Shape
from latens.images.pixels import DTYPE, Range
from latens.images.ranges import RangeWish

__all__ = [
    "AUTO",
    "BLOCK_BYTES",
    "DEFLATE_RATIO",
    "RULES",
    "Block",
    "Options",
    "Part",
    "Plan",
    "Refused",
    "Size",
    "Source",
    "block_length",
    "is_bomb",
    "most_unpacked",
]

BLOCK_BYTES = 1 << 24  # of pixels in memory at a time
DEFLATE_RATIO = 1100  # gzip and zip reach 1032 to 1 at most: a header that promises more is wrong

BOMB_RATIO, BOMB_BYTES = 200, 1 << 30  # photographs and drawings pack to a half to a hundredth
Size = tuple[int, int]  # (H, W)

# The version of the rules by which a source is read, kept with a run so that it finds its images as it was trained on them.
# 1: a tenth of all images is the test part, and images of another shape are cropped. 2: a tenth of each class; padded. 3: links
# that lead out of a folder are not followed.
RULES = 3
AUTO = "auto"


class Refused(NamedTuple):
    """A file that can't be used.

    Args:
        id: of the picture.
        reason: why, in a few words.
        row: its row in the part's ids.
        part: the part's name.
        passing: whether the system refused, and not the content: it is tried again next time.
    """

    id: str
    reason: str
    row: int = -1
    part: str = ""
    passing: bool = False


@dataclass(frozen=True)
class Options:
    """The options of `load_images`.

    Args:
        size: (H, W) of the pictures that come out, or None for their own.
        strict: whether a file that can't be read is an error instead of a note.
        labels: int or str (N,), only for arrays.
        white: the whole number that is white, or None to choose it by the values found.
        fit: how an image of another shape comes to the size, a name of `latens.images.fit.FITS`.
        grey: whether colour images become grey.
        rules: the version of the rules of reading, see `RULES`.
        table: an `ImageTable`, `AUTO` to read one that lies beside the images of a folder, or None.
        label_column: the table's column of the classes, or None to find it.
        keep_masks: whether masks beside images are images too.
        follow_links: whether links that lead out of a folder are followed.
        progress: called with (pictures done, pictures in all).
        asked: the same as the user wrote it, for `Dataset.options`.
        value_range: which numbers are 0 and 1, see `latens.images.ranges`; None for the default rule.
        show: how images are shown, see `latens.images.pixels.checked_show`.
        layout: "NCHW" or "NHWC", where the axes of an array leave it open; None to find out.
        pages: which images of a file with several count, see `latens.images.folder_images.PAGES`.
        channels: the folders of the channels, where each has one, see `latens.images.channel_folders`.
        nan: the value for what is not a number or infinite; None refuses it.
    """

    size: Size | None = None
    strict: bool = False
    labels: Any = None
    progress: Progress | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    white: int | None = None
    fit: str = "pad"
    grey: bool = False
    rules: int = RULES
    value_range: RangeWish = None
    show: str = ""
    layout: str | None = None
    table: Any = None
    label_column: str | None = None
    keep_masks: bool = False
    follow_links: bool = False
    pages: str = "first"
    channels: tuple[str, ...] = ()
    nan: float | None = None


class Block(NamedTuple):
    """Some decoded pictures of a part.

    Args:
        pixels: (n, C, H, W), of the plan's dtype.
        rows: int64 (n,), which of the part's ids they are; ascending from block to block.
        refused: files of this block that can't be used.
    """

    pixels: np.ndarray
    rows: np.ndarray
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, eq=False)
class Part:
    """The train or the test pictures of a source, or all of them where it has no parts.

    Args:
        name: "train", "test" or "all".
        where: the file or folder, for messages.
        ids: str (N,).
        labels: int64 (N,), indices into the plan's class names, or None.
        blocks: decodes; memory holds a few blocks at a time.
        columns: as `Images.columns`.
        some: decodes a range of rows; None where a source is decoded from its beginning only.
    """

    name: str
    where: str
    ids: np.ndarray
    labels: np.ndarray | None
    blocks: Callable[[], Iterator[Block]]
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    some: Callable[[range], Iterator[Block]] | None = None

    def of_rows(self, rows: range) -> Iterator[Block]:
        """As `blocks`, only some rows that follow one another."""
        if self.some is not None:
            yield from self.some(rows)
            return
        for block in self.blocks():
            inside = (block.rows >= rows.start) & (block.rows < rows.stop)
            yield Block(block.pixels[inside], block.rows[inside], tuple(r for r in block.refused if r.row in rows))
            if len(block.rows) and block.rows[-1] >= rows.stop - 1:
                return


@dataclass(frozen=True, eq=False)
class Plan:
    """A source, ready to be decoded.

    Args:
        name: the data set's name.
        source: what gives it again.
        shape: (C, H, W) of all its pictures.
        class_names: in the order of the labels; empty without labels.
        parts: one part "all", or "train" and "test".
        notes: for the user, each a sentence.
        white: the whole number that was read as white, where bytes were scaled so that it became 255 (masks).
        rules: see `RULES`.
        dtype: of the pixels in all blocks, one of `latens.images.pixels.DTYPES`.
        value_range: where the source says which numbers are 0 and 1; None to choose it by the rule of `latens.images.ranges`.
        type_range: all numbers of the source's type, where they are kept in another; None for those of `dtype`.
        channel_names: one a channel; by default see `latens.images.pixels.named_channels`.
    """

    name: str
    source: str
    shape: Shape
    class_names: tuple[str, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()
    white: int | None = None
    rules: int = RULES
    dtype: np.dtype = DTYPE
    value_range: Range | None = None
    type_range: Range | None = None
    channel_names: tuple[str, ...] = ()


class Source(Protocol):
    """A kind of source: an entry of `SOURCES`."""

    def accepts(self, source: Any) -> bool:
        """Whether this is a source of its kind; a quick check that raises nothing."""

    def read(self, source: Any, options: Options) -> Any:
        """The `Dataset`.

        Raises:
            ImagesError: with one line that names the file and what to do.
        """

    def plan(self, source: Any, options: Options) -> Plan:
        """All its images in their own order, not split; `encode` reads them so. A plug-in may lack it: see `read_pictures`.

        Raises:
            ImagesError: as above.
        """


def block_length(shape: Shape) -> int:
    """How many pictures make a block."""
    return max(1, min(4096, BLOCK_BYTES // int(np.prod(shape))))


def is_bomb(unpacked: int, packed: int) -> bool:
    """Whether a packed file unpacks to so much more than it has that it is made to fill a disk, and holds no images.

    >>> is_bomb(47_040_016, 9_912_422), is_bomb(20 << 30, 20 << 20)
    (False, True)
    """
    return unpacked > most_unpacked(packed)


def most_unpacked(packed: int) -> int:
    """The most bytes that a packed file of images is unpacked to, see `is_bomb`."""
    return max(BOMB_BYTES, BOMB_RATIO * packed)
