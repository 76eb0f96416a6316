"""A data set in numbers, and as a contact sheet."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from latens.arrays import blocks
from latens.errors import UsageError
from latens.images.contract import Dataset, Images
from latens.images.pixels import WHITE, as_bytes, composite, in_unit, shown_channels
from latens.images.plan import block_length
from latens.images.split import content_hashes

__all__ = ["contact_sheet", "pick_evenly", "rows_of_classes", "summary"]

GAP, GAP_GREY = 2, 128  # pixels between two pictures of a contact sheet, and their grey


def summary(dataset: Dataset) -> dict[str, Any]:
    """What `latens data` prints, of types that JSON has.

    Args:
        dataset: from `load_images`.

    Returns:
        `name`, `source`, `shape` [C, H, W], `dtype`, `value_range`, `channel_names`, `show` (how images are shown),
        `num_train`, `num_test`, `classes` (a list of name, train, test), `columns` (a list of name, kind, missing, and low and
        high of numbers or different and commonest of text),
        `pixel_mean` and `pixel_std` of the train part in [0, 1], `duplicates` (pictures that equal an earlier one),
        `duplicates_across` (test pictures that are in the train part as well), `notes` and `fingerprint`.
    """
    mean, std = _moments(dataset.train)
    train, test = _hashes(dataset.train), _hashes(dataset.test)
    in_train = set(train)
    return {
        "name": dataset.name,
        "source": dataset.source,
        "shape": list(dataset.shape),
        **dataset.format.to_json(),
        "num_train": len(dataset.train),
        "num_test": len(dataset.test),
        "classes": _classes(dataset),
        "columns": [_column(dataset, name) for name in dataset.train.columns],
        "pixel_mean": mean,
        "pixel_std": std,
        "duplicates": len(train) + len(test) - len(in_train.union(test)),
        "duplicates_across": sum(digest in in_train for digest in test),
        "notes": list(dataset.notes),
        "fingerprint": dataset.fingerprint,
    }


def _column(dataset: Dataset, name: str) -> dict[str, Any]:
    """The facts of one column of a table, of both parts."""
    values = np.concatenate([dataset.train.columns[name], dataset.test.columns[name]])
    if values.dtype.kind == "U":
        counts = Counter(values[values != ""].tolist())
        facts = {"different": len(counts), "commonest": [value for value, _ in counts.most_common(5)]}
        return {"name": name, "kind": "text", "missing": int((values == "").sum()), **facts}
    present = values[np.isfinite(values)]
    low, high = (float(present.min()), float(present.max())) if len(present) else (None, None)
    return {"name": name, "kind": "number", "missing": len(values) - len(present), "low": low, "high": high}


def _blocks(images: Images) -> Iterator[np.ndarray]:
    for block in blocks(images.pixels, block_length(images.shape)):
        yield np.ascontiguousarray(block)


def _moments(images: Images) -> tuple[float, float]:
    """Mean and standard deviation of all pixels in [0, 1]; of bytes exact: from how often each of the 256 values occurs."""
    if not images.format.is_plain:
        count, length = images.pixels.size, block_length(images.shape)
        mean = sum(float(block.sum(dtype=np.float64)) for block in blocks(images.inputs, length)) / count
        squares = sum(float(((block - mean) ** 2).sum(dtype=np.float64)) for block in blocks(images.inputs, length))
        return mean, float(np.sqrt(squares / count))
    counts = np.zeros(WHITE + 1, dtype=np.int64)
    for block in _blocks(images):
        counts += np.bincount(block.reshape(-1), minlength=WHITE + 1)
    values, weights = in_unit(np.arange(WHITE + 1)), counts / counts.sum()
    mean = float(values @ weights)
    return mean, float(np.sqrt((values - mean) ** 2 @ weights))


def _hashes(images: Images) -> list[bytes]:
    return [digest for block in _blocks(images) for digest in content_hashes(block)]


def _classes(dataset: Dataset) -> list[dict[str, Any]]:
    if dataset.train.labels is None or dataset.test.labels is None:
        return []
    count = dataset.num_classes
    train, test = (np.bincount(labels, minlength=count) for labels in (dataset.train.labels, dataset.test.labels))
    return [{"name": name, "train": int(train[k]), "test": int(test[k])} for k, name in enumerate(dataset.class_names)]


def contact_sheet(images: Images, rows: int = 8, columns: int = 12, seed: int = 0) -> np.ndarray:
    """Pictures side by side, as many of each class as of any other, class after class.

    Args:
        images: what to show.
        rows: of pictures.
        columns: of pictures.
        seed: which of a class are picked; the same seed picks the same.

    Returns:
        uint8 (height, width, 1 or 3), images as they are shown, 2 grey pixels apart; places without an image are grey.

    Raises:
        UsageError: rows or columns are not positive.
    """
    if rows < 1 or columns < 1:
        raise UsageError(f"a contact sheet of {rows} x {columns} images; allowed is at least 1 x 1")
    height, width = images.shape[1:]
    channels = shown_channels(images.shape[0], images.show)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), GAP_GREY, dtype=np.uint8)
    for place, row in enumerate(pick_evenly(images, rows * columns, seed)):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        shown = composite(images.inputs[[row]], images.show)[0]
        sheet[top : top + height, left : left + width] = as_bytes(shown).transpose(1, 2, 0)
    return sheet


def pick_evenly(images: Images, count: int, seed: int) -> np.ndarray:
    """Rows of at most `count` images, int64, the classes in turn until there are enough, then sorted by class."""
    if images.labels is None:
        return np.random.default_rng(seed).permutation(len(images))[:count]
    return rows_of_classes(images.labels, len(images), count, seed)


def rows_of_classes(labels: np.ndarray | None, num: int, count: int, seed: int = 0) -> np.ndarray:
    """At most `count` of so many rows, int64, spread over all classes: the classes in turn until there are enough.

    Where there are more classes than rows, classes are drawn too.

    Args:
        labels: int (num,), or None: then all rows are one class.
        num: how many rows there are.
        count: how many are wanted.
        seed: of the draws.

    Returns:
        The rows, sorted by class and, without labels, in their order.

    >>> rows_of_classes(np.repeat([0, 1, 2], 50), 150, 6) // 50
    array([0, 0, 1, 1, 2, 2])
    """
    random = np.random.default_rng(seed)
    order = random.permutation(num)
    if labels is None:
        chosen: np.ndarray = np.sort(order[:count])
        return chosen
    classes, index = np.unique(labels[order], return_inverse=True)
    turn = np.empty(num, dtype=np.int64)
    for label in range(len(classes)):
        members = np.flatnonzero(index == label)
        turn[members] = np.arange(len(members))  # the how-manieth of its class an image is
    chosen = order[np.lexsort((random.permutation(len(classes))[index], turn))[:count]]
    by_class: np.ndarray = chosen[np.argsort(labels[chosen], kind="stable")]
    return by_class
