"""Data sets that give samples: torch's `Dataset`, `IterableDataset` and `DataLoader`, Hugging Face's with a transform or without
images as files, and iterators of Python.

They are read sample by sample. Few come into memory, as arrays do; from `IN_MEMORY` on they go to a file as they come, so that a
stream of any length takes no memory. An object has no file by which the cache could know it: it is found again by its content.
"""

import hashlib
import shutil
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latens.errors import ImagesEmpty, ImagesError
from latens.files import cache_folder
from latens.images.arrays import PART_LAYOUTS, RawPart, plan_arrays, raw_array, refuse_labels, stacked
from latens.images.assemble import assemble
from latens.images.cache import cached_dataset
from latens.images.contract import Dataset
from latens.images.finish import finish
from latens.images.given import as_array
from latens.images.layout import number_labels
from latens.images.npy_store import NpyStore, writing
from latens.images.plan import BLOCK_BYTES, Options, Plan
from latens.text import bytes_text

__all__ = ["SAMPLES", "SampleSource"]

IMAGES = ("image", "img", "pixel_values", "images", "x", "input", "inputs", "png", "jpg", "jpeg", "webp")
LABELS = ("label", "labels", "fine_label", "target", "class", "y", "cls")
SPLITS = {"train": "train", "test": "test", "validation": "validation", "valid": "validation", "val": "validation"}
IN_MEMORY = 1 << 28  # bytes of images
RESERVE = 1 << 30  # bytes of the disk that a stream leaves free: it may never end


class SampleSource:
    """An object that gives samples: an image; or a pair of image and label; or a dict with both.

    Names of classes are those of the object: torchvision's `classes`, or `features` with a `ClassLabel`. A `DataLoader`'s batches
    are taken apart again.
    """

    def accepts(self, source: Any) -> bool:
        """Whether it gives samples and is no array, list or path."""
        if isinstance(source, Mapping):
            return bool(source) and all(map(_is_read, source.values()))
        return _is_read(source)

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, in memory; of many samples memory-mapped from the cache.

        Raises:
            ImagesEmpty: it gives no samples.
            ImagesError: they are no images of one shape.
        """
        parts = _gathered(source, options)
        options = replace(options, labels=None)
        if not any(part.digest for part in parts):
            plan = _plan(parts, options)
            return finish(plan, assemble(plan, progress=options.progress, value_range=options.value_range), options)
        told = [str(value) for part in parts for value in (part.raw.name, part.digest, _labels_digest(part.raw.labels))]
        digest = hashlib.sha256("\n".join(told).encode()).hexdigest()
        place = cache_folder() / "samples" / digest  # no file: the content tells that it is the same
        dataset: Dataset = cached_dataset(place, [], options, lambda: _plan(parts, options))
        return replace(dataset, source="array")

    def plan(self, source: Any, options: Options) -> Plan:
        """One part; of several splits the parts train and test."""
        return _plan(_gathered(source, options), replace(options, labels=None))


SAMPLES = SampleSource()


@dataclass(frozen=True, eq=False)
class _Part:
    """The samples of a part. Digest: of images that are in a file; "" for those in memory."""

    raw: RawPart
    notes: tuple[str, ...]
    white: int | None
    digest: str


def _is_read(source: Any) -> bool:
    if isinstance(source, str | bytes | list | tuple | np.ndarray | Mapping) or hasattr(source, "__array__"):
        return False
    return _gives_samples(source) or _is_loader(source) or _is_stream(source)


def _gives_samples(source: Any) -> bool:
    return hasattr(source, "__getitem__") and hasattr(source, "__len__")


def _is_loader(source: Any) -> bool:
    return hasattr(source, "batch_sampler")


def _is_stream(source: Any) -> bool:
    """Whether it gives its samples in its own order and does not say how many."""
    data = sys.modules.get("torch.utils.data")  # who has such a data set has imported it
    return isinstance(source, Iterator) or (data is not None and isinstance(source, data.IterableDataset))


def _plan(parts: list[_Part], options: Options) -> Plan:
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    white = next((part.white for part in parts if part.white is not None), None)
    if white is not None:
        options = replace(options, white=None)  # it was used
    plan = plan_arrays("array", "array", [part.raw for part in parts], options, notes=notes)
    return plan if white is None else replace(plan, white=white)


def _gathered(source: Any, options: Options) -> list[_Part]:
    """The samples of all parts that are used: one, or train and test."""
    if not isinstance(source, Mapping):
        return [_part(source, "all", options)]
    refuse_labels(options, "splits")
    given = {SPLITS[name]: part for name, part in source.items() if name in SPLITS}
    layout = PART_LAYOUTS.get(frozenset(given))
    if layout is None:
        raise ImagesError(
            f"splits {', '.join(map(str, source))}; train, test and validation are known: give one of them"
        )
    # A split for validation is left out where there is a test split.
    return [_part(given[names[0]], name, options) for name, names in layout]


def _part(source: Any, name: str, options: Options) -> _Part:
    where = f"the {type(source).__name__}"
    pile, labels = _Pile(where, options), []
    try:
        for image, label in _samples(source):
            pile.add(image)
            labels.append(label)
        if not labels:
            raise ImagesEmpty(f"{where} gives no samples")
        array, notes, white, digest = pile.finished()
    except BaseException:
        pile.discard()
        raise
    told = options.labels
    if told is None and all(label is not None for label in labels):
        told = _named(labels, _class_names(source))
    raw = raw_array(name, where, array)
    return _Part(
        replace(raw, labels=None if told is None else number_labels(told, len(array), where)), notes, white, digest
    )


def _labels_digest(labels: np.ndarray | None) -> str:
    return (
        "" if labels is None else hashlib.sha256(repr(labels.tolist()).encode("utf-8", "backslashreplace")).hexdigest()
    )


class _Pile:
    """Images as they come: a list, and a file of the cache as soon as they are many."""

    def __init__(self, where: str, options: Options) -> None:
        self._where, self._options = where, options
        self._images: list[Any] = []
        self._held = 0  # bytes in the list
        self._store: NpyStore | None = None
        self._hash = hashlib.sha256()
        self._notes: tuple[str, ...] = ()
        self._white: int | None = None

    def add(self, image: Any) -> None:
        """Take the next one."""
        if not isinstance(image, Image.Image):
            image = as_array(image, f"a sample of {self._where}")
        self._images.append(image)
        self._held += (
            image.nbytes if isinstance(image, np.ndarray) else image.width * image.height * len(image.getbands())
        )
        if self._held >= (IN_MEMORY if self._store is None else BLOCK_BYTES):
            self._write()

    def finished(self) -> tuple[np.ndarray, tuple[str, ...], int | None, str]:
        """All of them (N, …), in memory or memory-mapped; notes on them; what was read as white; the digest of a file, or ""."""
        if self._store is None:
            return *stacked(self._images, self._options), ""
        if self._images:
            self._write()
        array = self._store.close()
        # The file is as long there as the plan that reads it.
        weakref.finalize(array, shutil.rmtree, self._store.path.parent, ignore_errors=True)
        return array, self._notes, self._white, self._hash.hexdigest()

    def discard(self) -> None:
        """Remove what is on disk."""
        if self._store is not None:
            self._store.file.close()
            shutil.rmtree(self._store.path.parent, ignore_errors=True)

    def _write(self) -> None:
        images, self._images, self._held = self._images, [], 0
        options = self._options if self._white is None else replace(self._options, white=self._white)
        array, notes, white = stacked(images, options)
        array = np.ascontiguousarray(array)
        if self._store is None:
            self._begin(array)
            self._notes, self._white = tuple(f"of the first {len(images)} samples: {note}" for note in notes), white
        store = self._store
        assert store is not None
        if (array.shape[1:], array.dtype) != (store.shape, store.dtype):
            raise ImagesError(
                f"{self._where} gives images of shape {array.shape[1:]} and type {array.dtype} after {store.length} of shape"
                f" {store.shape} and type {store.dtype}; bring all to one size and colour mode"
            )
        free = shutil.disk_usage(store.path.parent).free
        if free < array.nbytes + RESERVE:
            raise ImagesError(
                f"{store.path.parent.parent}: after {store.length} samples of {self._where} {bytes_text(free)} are free, and"
                f" {bytes_text(RESERVE)} are left so; set LATENS_CACHE to a folder with room, or end the stream:"
                " itertools.islice(samples, N)"
            )
        store.append(array)
        self._hash.update(array.data)

    def _begin(self, array: np.ndarray) -> None:
        entries = cache_folder() / "unpacked"
        with writing(entries):
            entries.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(".tmp", ".", entries))
            self._store = NpyStore(folder / "samples.npy", 0, array.shape[1:], array.dtype)
        self._hash.update(repr((array.shape[1:], array.dtype.str)).encode())


def _samples(source: Any) -> Iterator[tuple[Any, Any]]:
    """Each sample's image and label; None where it has none."""
    loader = _is_loader(source)
    batched = loader and source.batch_sampler is not None
    for sample in source if loader or _is_stream(source) else (source[row] for row in range(len(source))):
        image, label = _taken_apart(source, sample)
        if not batched:
            yield image, label
            continue
        labels: Iterable[Any] = [None] * len(image) if label is None else label
        yield from zip(image, labels, strict=True)


def _taken_apart(source: Any, sample: Any) -> tuple[Any, Any]:
    if isinstance(sample, Mapping):
        image = next((sample[name] for name in IMAGES if name in sample), None)
        if image is None:
            raise ImagesError(
                f"the {type(source).__name__} gives samples with {', '.join(map(str, sample))}; one of {', '.join(IMAGES)} is"
                " needed for the image"
            )
        return image, next((sample[name] for name in LABELS if name in sample), None)
    if isinstance(sample, tuple | list):
        if not sample:
            raise ImagesError(f"the {type(source).__name__} gives empty samples")
        return sample[0], sample[1] if len(sample) > 1 else None
    return sample, None


def _class_names(source: Any) -> list[str]:
    """The names of the classes that a data set states, by torchvision's or Hugging Face's way; none where it states none."""
    features = getattr(source, "features", None)
    if isinstance(features, Mapping):
        names = next((getattr(features[name], "names", None) for name in LABELS if name in features), None)
        return [str(name) for name in names or ()]
    own = getattr(getattr(source, "dataset", source), "classes", None)
    return [str(name) for name in own] if isinstance(own, list | tuple) else []


def _named(labels: list[Any], names: list[str]) -> Any:
    numbers = [as_array(label, "a label") for label in labels]
    if names and all(one.ndim == 0 and one.dtype.kind in "iu" and 0 <= int(one) < len(names) for one in numbers):
        return np.array([names[int(one)] for one in numbers])
    return [one.item() if one.ndim == 0 else one for one in numbers]
