"""Data sets that give samples: torch's `Dataset` and `DataLoader`, Hugging Face's with a transform or without images as files.

They are read sample by sample, and come into memory as arrays do: an object has no file by which the cache could know it again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from latens.errors import ImagesEmpty, ImagesError
from latens.images.arrays import ARRAY, PART_LAYOUTS
from latens.images.assemble import assemble
from latens.images.contract import Dataset
from latens.images.finish import finish
from latens.images.given import as_array
from latens.images.plan import Options, Plan

__all__ = ["SAMPLES", "SampleSource"]

IMAGES = ("image", "img", "pixel_values", "images", "x", "input", "inputs")
LABELS = ("label", "labels", "fine_label", "target", "class", "y")
SPLITS = {"train": "train", "test": "test", "validation": "validation", "valid": "validation", "val": "validation"}


class SampleSource:
    """An object that gives samples: an image; or a pair of image and label; or a dict with both.

    Names of classes are those of the object: torchvision's `classes`, or `features` with a `ClassLabel`. A `DataLoader`'s batches
    are taken apart again.
    """

    def accepts(self, source: Any) -> bool:
        """Whether it gives samples and is no array, list or path."""
        if isinstance(source, str | bytes | list | tuple | np.ndarray) or hasattr(source, "__array__"):
            return False
        if isinstance(source, Mapping):
            return bool(source) and all(_gives_samples(part) for part in source.values())
        return _gives_samples(source) or hasattr(source, "batch_sampler")

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, in memory.

        Raises:
            ImagesEmpty: it gives no samples.
            ImagesError: they are no images of one shape.
        """
        plan = self.plan(source, options)
        return finish(plan, assemble(plan, progress=options.progress, value_range=options.value_range), options)

    def plan(self, source: Any, options: Options) -> Plan:
        """One part; of several splits the parts train and test."""
        if not isinstance(source, Mapping):
            return _plan(source, "all", options)
        given = {SPLITS[name]: part for name, part in source.items() if name in SPLITS}
        layout = PART_LAYOUTS.get(frozenset(given))
        if layout is None:
            raise ImagesError(
                f"splits {', '.join(map(str, source))}; train, test and validation are known: give one of them"
            )
        # A split for validation is left out where there is a test split.
        plans = [_plan(given[names[0]], name, options) for name, names in layout]
        parts = tuple(part for plan in plans for part in plan.parts)
        return replace(plans[0], parts=parts)


SAMPLES = SampleSource()


def _gives_samples(source: Any) -> bool:
    return hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, Mapping)


def _plan(source: Any, name: str, options: Options) -> Plan:
    images, labels = [], []
    for image, label in _samples(source):
        images.append(image)
        labels.append(label)
    if not images:
        raise ImagesEmpty(f"the {type(source).__name__} gives no samples")
    has_labels = all(label is not None for label in labels)
    named = _named(labels, _class_names(source)) if has_labels else None
    own = options if options.labels is not None or named is None else replace(options, labels=named)
    plan = ARRAY.plan(images, own)
    parts = tuple(
        replace(part, name=name, ids=np.char.add(f"{name}/", part.ids) if name != "all" else part.ids)
        for part in plan.parts
    )
    return replace(plan, parts=parts)


def _samples(source: Any) -> Iterator[tuple[Any, Any]]:
    """Each sample's image and label; None where it has none."""
    batched = hasattr(source, "batch_sampler") and source.batch_sampler is not None
    for sample in source if batched or not _gives_samples(source) else (source[row] for row in range(len(source))):
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
