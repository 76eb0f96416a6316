"""What of a run goes into a file of a size: how many images, and how fine their pictures are.

What is given up first is what is missed least: train images, other channels, then fine pictures, then images, then the encoder.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.text import bytes_text, counted

__all__ = ["Content", "Costs", "evenly", "fitted", "ladder", "left_out", "small"]

MOST_IMAGES = 50_000  # among which a page finds neighbours by comparing all of them in 10 ms
FINEST = 256  # pixels, the most that a picture has a side
FINE, COARSE = 24, 12  # pixels a side; a digit or a face is still told apart at the second
MANY, FEW = 2_000, 100  # images
CLOSE = 0.95  # of the size, with which one is content
TRIES = 6
T = TypeVar("T")


@dataclass(frozen=True)
class Content:
    """What of a run is in the file.

    Args:
        images: how many, evenly spaced over the points of the map.
        train: how many of the train part beside them, see `evenly`.
        side: of their pictures, the longer one, pixels; 0 for none.
        layers: whether all channels of the pictures are in it, so that other channels can be looked at.
        encoder: whether the encoder is in it, for the round trip and to find images by a picture.
    """

    images: int
    side: int
    layers: bool
    encoder: bool
    train: int = 0


@dataclass(frozen=True)
class Costs:
    """What contents need, bytes of the file, by measurements of few images.

    Args:
        fixed: the page, the decoder, the samplers.
        encoder: the encoder.
        image: all of an image but its picture.
        train: the same of an image of the train part.
        picture: a picture of a side, without (False) or with all channels.
    """

    fixed: float
    encoder: float
    image: float
    train: float
    picture: Callable[[int, bool], float]

    def of(self, content: Content) -> float:
        """An estimate for a content."""
        picture = self.picture(content.side, content.layers) if content.side else 0.0
        images = content.images * (self.image + picture) + content.train * (self.train + picture)
        return self.fixed + self.encoder * content.encoder + images


def ladder(most: Content) -> list[Content]:
    """Contents from the most to the least, small steps apart.

    >>> steps = ladder(Content(images=10_000, side=64, layers=False, encoder=True))
    >>> steps[0].side, steps[-1]
    (64, Content(images=100, side=12, layers=False, encoder=False, train=0))
    """
    steps = [replace(most, train=train) for train in _counts(most.train, 0)]
    most = steps[-1]
    steps += [replace(most, side=side) for side in _sides(most.side, FINE)]
    if most.layers:
        most = replace(most, layers=False)
        steps += [replace(most, side=side) for side in _sides(most.side, FINE)]
    least = steps[-1]
    steps += [replace(least, images=images) for images in _counts(most.images, MANY)]
    steps += [replace(steps[-1], side=side) for side in _sides(least.side, COARSE)]
    steps += [replace(steps[-1], images=images) for images in _counts(steps[-1].images, FEW)]
    if most.encoder:
        steps += [replace(one, encoder=False) for one in steps if one.images <= MANY]
    return list(dict.fromkeys(steps))


def _sides(most: int, least: int) -> list[int]:
    sides = [most]
    while sides[-1] > least:
        sides.append(max(least, sides[-1] - max(1, sides[-1] // 48)))
    return sides


def _counts(most: int, least: int) -> list[int]:
    counts = [most]
    while counts[-1] > least:
        counts.append(max(least, int(counts[-1] * 0.98)))
    return counts


def fitted(
    steps: Sequence[Content], costs: Costs, make: Callable[[Content], T], length: Callable[[T], int], size: int
) -> T:
    """The fullest content that a size allows, made.

    Estimates choose, and what was made is measured: where it is too large, or much smaller than it may be, another is made.

    Args:
        steps: from the most to the least.
        costs: what they need.
        make: makes the file of one.
        length: the bytes of what was made.
        size: bytes that it may have.

    Raises:
        UsageError: even the least is larger.
    """
    estimates = [costs.of(step) for step in steps]
    best: T | None = None
    low, high = 0, len(steps)  # those before `low` are too large, those from `high` on are small enough
    scale, tries, found = 1.0, 0, 0
    while low < high and (best is None or tries < TRIES):
        step = next((i for i in range(low, high) if estimates[i] * scale <= size), high - 1)
        made = make(steps[step])
        found, tries = length(made), tries + 1
        scale = 1.005 * found / estimates[step]
        if found > size:
            low = step + 1
            continue
        best, high = made, step
        if found >= CLOSE * size:
            break
    if best is None:
        raise UsageError(
            f"{bytes_text(size)} are too few for this run: with {counted(steps[-1].images, 'image')} and without the encoder"
            f" the file would have {bytes_text(found)}"
        )
    return best


def evenly(labels: NDArray[np.int64] | None, num: int) -> NDArray[np.int64]:
    """An order of images of which each beginning has as many of every class as there are, or one more or less.

    Args:
        labels: of the images, (N,); those below 0, which have no class, count as one.
        num: how many images there are, N.

    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 2])
    >>> labels[evenly(labels, 8)].tolist()
    [0, 1, 2, 0, 1, 0, 1, 0]
    """
    mixed = np.random.default_rng(0).permutation(num)
    if labels is None:
        return mixed
    classes = labels[mixed]
    by_class = np.argsort(classes, kind="stable")
    _, sizes = np.unique(classes, return_counts=True)
    rank = np.empty(num, np.int64)
    rank[by_class] = np.arange(num) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return mixed[np.lexsort((classes, rank))]


def left_out(content: Content, images: int, train: int, shape: tuple[int, int], layers: bool) -> list[str]:
    """What a file does not have of a run, in words.

    Args:
        content: of the file.
        images: points of the run's map.
        train: images of the train part that can be placed on it.
        shape: (H, W) of its images.
        layers: whether its images have channels that are not shown at first.
    """
    said = []
    if content.images < images:
        said.append(f"{content.images:,} of {images:,} images, evenly spaced; distances are among these")
    if content.train < train:
        kept = f"{content.train:,} of {train:,} train images, evenly over the classes"
        said.append(kept if content.train else f"none of {train:,} train images")
    if 0 < content.side < max(shape):
        height, width = small(shape, content.side)
        said.append(f"pictures of {width} × {height} pixels in place of {shape[1]} × {shape[0]}")
    if layers and content.side and not content.layers:
        said.append("other channels and contrasts of decoded images only")
    if not content.encoder:
        said.append("no encoder: no round trip, and no images found by a picture")
    return said


def small(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(H, W) of pictures whose longer side is given.

    >>> small((100, 50), 24)
    (24, 12)
    """
    share = min(1.0, side / max(shape))
    return max(1, round(shape[0] * share)), max(1, round(shape[1] * share))
