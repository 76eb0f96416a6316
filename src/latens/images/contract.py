"""`Images`, one part of a data set, and `Dataset`, its train and test parts."""

import hashlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from latens.arrays import blocks
from latens.images.pixels import (
    DTYPE,
    DTYPES,
    MOST_CHANNELS,
    PixelFormat,
    Range,
    inputs_of,
    is_plain,
    named_channels,
    whole_range,
)

__all__ = ["MAXIMUM_SIDE", "MINIMUM_SIDE", "Dataset", "Images", "Progress", "Shape", "fingerprint_of", "make_images"]

MINIMUM_SIDE, MAXIMUM_SIDE = 8, 512  # pixels; what the networks take

Progress = Callable[..., object]  # (pictures done, pictures in all); while files are fetched (done, in all, text)
Shape = tuple[int, int, int]  # (C, H, W)


@dataclass(frozen=True, eq=False)
class Images:
    """Pictures with their names and labels, in memory or memory-mapped.

    Args:
        pixels: uint8, uint16 or float32 (N, C, H, W), C from 1 to 64: the numbers that the source holds.
        ids: str (N,), a file name relative to the folder or the row number, unique within a data set.
        labels: int64 (N,), indices into `class_names`, or None.
        class_names: empty without labels.
        fingerprint: SHA-256 over shape, pixels, labels and class names; unless they are ordinary bytes also over type and
            range.
        columns: further columns of a table by their names, each (N,): float64 (NaN where there is no value), int64 or str.
        value_range: of each channel the numbers (low, high) that are 0 and 1 for networks, scores and figures.
        channel_names: one a channel.
        show: how they are shown, such as "red=3,green=2,blue=1"; "" for the default, see `latens.images.pixels`.
    """

    pixels: np.ndarray
    ids: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    fingerprint: str
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    value_range: Range = ()
    channel_names: tuple[str, ...] = ()
    show: str = ""

    def __post_init__(self) -> None:
        channels = int(self.pixels.shape[1])
        if not self.value_range:
            object.__setattr__(self, "value_range", whole_range(self.pixels.dtype, channels))
        if not self.channel_names:
            object.__setattr__(self, "channel_names", named_channels(channels))

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def __getitem__(self, index: Any) -> Any:
        """By a whole number one image as an array (C, H, W); by a slice or an array several as `Images`, see `take`."""
        return self.take(index) if isinstance(index, slice) or np.ndim(index) else self.pixels[operator.index(index)]

    def __repr__(self) -> str:
        classes = f"{self.num_classes} classes" if self.labels is not None else "no labels"
        return f"Images({len(self)} of {self.shape}, {classes}, {self.fingerprint[:12]})"

    @property
    def shape(self) -> Shape:
        """(C, H, W)."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    @property
    def inputs(self) -> np.ndarray:
        """The pixels as networks, scores and figures take them: ordinary bytes themselves, others as float32 in [0, 1].

        Floats are made of the rows that are asked for, see `latens.images.pixels.Scaled`.
        """
        return inputs_of(self.pixels, self.value_range)

    @property
    def format(self) -> PixelFormat:
        """Type, range, names of the channels and how they are shown."""
        return PixelFormat(self.pixels.dtype.name, self.value_range, self.channel_names, self.show)

    @property
    def num_classes(self) -> int:
        """How many classes there are; 0 without labels."""
        return len(self.class_names)

    def take(self, indices: "np.ndarray | Sequence[int] | slice") -> "Images":
        """These pictures only, in this order, in memory (a slice stays a view of the file).

        Args:
            indices: int (M,), bool (N,), or a slice.

        Returns:
            Images with a fingerprint of their own, that of any other `Images` with the same content.
        """
        chosen: Any = indices if isinstance(indices, slice) else np.asarray(indices)
        if not isinstance(chosen, slice) and chosen.size == 0:
            chosen = chosen.astype(np.int64)  # an empty list would be float
        labels = None if self.labels is None else self.labels[chosen]
        columns = {name: column[chosen] for name, column in self.columns.items()}
        return make_images(
            self.pixels[chosen],
            self.ids[chosen],
            labels,
            self.class_names,
            columns,
            value_range=self.value_range,
            channel_names=self.channel_names,
            show=self.show,
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """A train and a test part of the same shape and classes.

    Args:
        name: `"mnist"`, or the name of the folder or file.
        source: what to give to `load_images` to get the same again.
        train: what is trained on.
        test: what is measured on; never trained on.
        notes: for the user, each a sentence.
        options: the options that were given to `load_images`.
        fingerprint: SHA-256 of the two parts' fingerprints.
        rules: by which they were read, see `latens.images.plan.RULES`.
    """

    name: str
    source: str
    train: Images
    test: Images
    notes: tuple[str, ...]
    options: dict[str, Any]
    fingerprint: str
    rules: int = 2

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, train={self.train!r}, test={self.test!r})"

    @property
    def shape(self) -> Shape:
        """(C, H, W)."""
        return self.train.shape

    @property
    def value_range(self) -> Range:
        """Of each channel the numbers that are 0 and 1 for networks, scores and figures."""
        return self.train.value_range

    @property
    def channel_names(self) -> tuple[str, ...]:
        """One a channel."""
        return self.train.channel_names

    @property
    def show(self) -> str:
        """How the images are shown; "" for the default."""
        return self.train.show

    @property
    def format(self) -> PixelFormat:
        """Type, range, names of the channels and how they are shown."""
        return self.train.format

    def shown_by(self, show: str) -> "Dataset":
        """The same images, shown in another way."""
        return replace(self, train=replace(self.train, show=show), test=replace(self.test, show=show))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the labels; empty without labels."""
        return self.train.class_names

    @property
    def num_classes(self) -> int:
        """How many classes there are; 0 without labels."""
        return self.train.num_classes


def fingerprint_of(
    shape: Sequence[int],
    pixels_sha256: str,
    labels: np.ndarray | None,
    class_names: Sequence[str],
    dtype: "np.dtype | str" = DTYPE,
    value_range: Range = (),
) -> str:
    """The fingerprint of a part, from the SHA-256 of its pixels, which is computed while they are decoded.

    Args:
        shape: (N, C, H, W).
        pixels_sha256: of the pixels in C order, in hexadecimal.
        labels: int64 (N,) or None.
        class_names: in the order of the labels.
        dtype: of the pixels.
        value_range: of each channel; by default all of the type's.
    """
    labels_sha256 = None if labels is None else hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
    parts: dict[str, Any] = {
        "shape": [int(n) for n in shape],
        "pixels": pixels_sha256,
        "labels": labels_sha256,
        "class_names": list(class_names),
    }
    value_range = value_range or whole_range(dtype, int(shape[1]))
    if not is_plain(dtype, value_range):
        parts |= {"dtype": np.dtype(dtype).name, "value_range": [list(pair) for pair in value_range]}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def make_images(
    pixels: np.ndarray,
    ids: np.ndarray,
    labels: np.ndarray | None,
    class_names: Sequence[str] = (),
    columns: Mapping[str, np.ndarray] | None = None,
    *,
    value_range: Range = (),
    channel_names: Sequence[str] = (),
    show: str = "",
) -> Images:
    """`Images` of arrays of the right types, with their fingerprint.

    Args:
        pixels: uint8, uint16 or float32 (N, C, H, W), C from 1 to 64.
        ids: str (N,).
        labels: int64 (N,) or None.
        class_names: in the order of the labels.
        columns: see `Images`.
        value_range: of each channel; by default all of the type's, [0, 1] of floats.
        channel_names: one a channel; by default see `named_channels`.
        show: how they are shown; "" for the default.
    """
    assert pixels.dtype in DTYPES, pixels.dtype
    assert pixels.ndim == 4, pixels.shape
    assert pixels.shape[1] <= MOST_CHANNELS, pixels.shape
    pixel_hash = hashlib.sha256()
    for block in blocks(pixels, 4096):  # a memory-mapped part never comes into memory whole
        pixel_hash.update(np.ascontiguousarray(block).data)
    fingerprint = fingerprint_of(pixels.shape, pixel_hash.hexdigest(), labels, class_names, pixels.dtype, value_range)
    names = tuple(channel_names)
    return Images(pixels, ids, labels, tuple(class_names), fingerprint, dict(columns or {}), value_range, names, show)
