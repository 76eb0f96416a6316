"""`Images`, one part of a data set, and `Dataset`, its train and test parts."""

import hashlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latens.arrays import blocks

__all__ = ["MAXIMUM_SIDE", "MINIMUM_SIDE", "Dataset", "Images", "Progress", "Shape", "fingerprint_of", "make_images"]

MINIMUM_SIDE, MAXIMUM_SIDE = 8, 256  # pixels; what the networks take

Progress = Callable[[int, int], object]  # (pictures done, pictures in all)
Shape = tuple[int, int, int]  # (C, H, W)


@dataclass(frozen=True, eq=False)
class Images:
    """Pictures with their names and labels, in memory or memory-mapped.

    Args:
        pixels: uint8 (N, C, H, W); C is 1 or 3.
        ids: str (N,), a file name relative to the folder or the row number, unique within a data set.
        labels: int64 (N,), indices into `class_names`, or None.
        class_names: empty without labels.
        fingerprint: SHA-256 over shape, pixels, labels and class names.
        columns: further columns of a table by their names, each (N,): float64 (NaN where there is no value), int64 or str.
    """

    pixels: np.ndarray
    ids: np.ndarray
    labels: np.ndarray | None
    class_names: tuple[str, ...]
    fingerprint: str
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.pixels.shape[0])

    def __getitem__(self, index: Any) -> Any:
        """By a whole number one image as an array, uint8 (C, H, W); by a slice or an array several as `Images`, see `take`."""
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
        return make_images(self.pixels[chosen], self.ids[chosen], labels, self.class_names, columns)


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
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the labels; empty without labels."""
        return self.train.class_names

    @property
    def num_classes(self) -> int:
        """How many classes there are; 0 without labels."""
        return self.train.num_classes


def fingerprint_of(
    shape: Sequence[int], pixels_sha256: str, labels: np.ndarray | None, class_names: Sequence[str]
) -> str:
    """The fingerprint of a part, from the SHA-256 of its pixels, which is computed while they are decoded.

    Args:
        shape: (N, C, H, W).
        pixels_sha256: of the uint8 pixels in C order, in hexadecimal.
        labels: int64 (N,) or None.
        class_names: in the order of the labels.
    """
    labels_sha256 = None if labels is None else hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
    parts = {
        "shape": [int(n) for n in shape],
        "pixels": pixels_sha256,
        "labels": labels_sha256,
        "class_names": list(class_names),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def make_images(
    pixels: np.ndarray,
    ids: np.ndarray,
    labels: np.ndarray | None,
    class_names: Sequence[str] = (),
    columns: Mapping[str, np.ndarray] | None = None,
) -> Images:
    """`Images` of arrays of the right types, with their fingerprint.

    Args:
        pixels: uint8 (N, C, H, W).
        ids: str (N,).
        labels: int64 (N,) or None.
        class_names: in the order of the labels.
        columns: see `Images`.
    """
    assert pixels.dtype == np.uint8, pixels.dtype
    assert pixels.ndim == 4, pixels.shape
    pixel_hash = hashlib.sha256()
    for block in blocks(pixels, 4096):  # a memory-mapped part never comes into memory whole
        pixel_hash.update(np.ascontiguousarray(block).data)
    fingerprint = fingerprint_of(pixels.shape, pixel_hash.hexdigest(), labels, class_names)
    return Images(pixels, ids, labels, tuple(class_names), fingerprint, dict(columns or {}))
