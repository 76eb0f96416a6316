"""The order in which training takes the images: at random from all of them, or, of more than fit into memory, from a window."""

from collections.abc import Callable, Iterator

import numpy as np

from latens.arrays import is_mapped
from latens.images import Dataset
from latens.memory import memory_size

__all__ = ["batches", "window_for"]

BLOCKS = 256  # in a window: a batch comes from about as many places of the file as it has images
FITS, WINDOW = 1 / 2, 1 / 8  # of the memory: the largest train part that is shuffled as a whole, and a window of others


def window_for(images: Dataset) -> int:
    """The number of images that are shuffled together, where the train part does not fit into memory; 0 where it does.

    It depends on the images and on the memory of this machine (`latens.memory`), not on how much of that is free.
    """
    pixels, memory = images.train.pixels, memory_size()
    if not is_mapped(pixels) or not memory or pixels.nbytes <= FITS * memory:
        return 0
    return max(BLOCKS, int(WINDOW * memory) // (pixels.nbytes // len(pixels)))


def batches(
    num_images: int,
    batch_size: int,
    seed: int,
    epoch: int,
    window: int = 0,
    ahead: Callable[[slice], object] | None = None,
) -> Iterator[np.ndarray]:
    """The order of the images as index arrays, a pure function of the numbers given.

    Args:
        num_images: N.
        batch_size: B.
        seed: of the training.
        epoch: its number.
        window: 0 shuffles all images. Otherwise they are cut into blocks of a 256th of so many, which lie together in the file.
            The blocks are shuffled, and then the images of each 256 of them: so many are read, from their places one after
            another, before the next.
        ahead: called with each block of a window, at the latest when the window before it begins.

    Returns:
        int64 (B,), the last one shorter; each of the N rows comes once.

    >>> [batch.tolist() for batch in batches(5, 2, seed=0, epoch=1)] == [b.tolist() for b in batches(5, 2, 0, 1)]
    True
    """
    rest = np.empty(0, np.int64)
    for rows in _windows(num_images, np.random.default_rng((seed, epoch)), window, ahead):
        rows = np.concatenate([rest, rows])
        whole = len(rows) - len(rows) % batch_size
        for start in range(0, whole, batch_size):
            yield rows[start : start + batch_size]
        rest = rows[whole:]
    if len(rest):
        yield rest


def _windows(
    num_images: int, random: np.random.Generator, window: int, ahead: Callable[[slice], object] | None
) -> Iterator[np.ndarray]:
    """The rows of each window, shuffled."""
    if not window:
        yield random.permutation(num_images)
        return
    length = max(1, window // BLOCKS)
    starts = random.permutation(-(-num_images // length)) * length
    together = max(1, window // length)
    parts = [starts[first : first + together] for first in range(0, len(starts), together)]
    for number, part in enumerate(parts):
        if ahead is not None:
            for start in np.concatenate(parts[:2] if number == 0 else [part[:0], *parts[number + 1 : number + 2]]):
                ahead(slice(int(start), min(num_images, int(start) + length)))
        rows = (part[:, None] + np.arange(length)).ravel()
        yield random.permutation(rows[rows < num_images])
