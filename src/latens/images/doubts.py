"""Warnings about a set whose images can't be what was meant: nearly all black, of one value, or alike."""

import numpy as np

from latens.arrays import gather
from latens.images.contract import Images
from latens.images.pixels import to_floats

__all__ = ["doubts"]

LOOKED_AT, VALUES = 1000, 1 << 24  # at most so many images, and so many of their pixels
SHARE = 0.5  # of the images, from which on it is said
DARK = 0.05  # of the range: all darker pixels are black to the eye
NEARLY_ALL = 0.995  # of an image's pixels
FLAT = 0.01  # of the range, between an image's darkest and brightest pixel
ALIKE = 0.02  # of the range, root mean square


def doubts(images: Images, hashes: np.ndarray) -> list[str]:
    """One line where most of the images are odd, or none.

    Args:
        images: those to train on.
        hashes: (N,), of each image's pixels.
    """
    count = max(1, min(len(images), LOOKED_AT, VALUES // int(np.prod(images.shape))))
    rows = np.linspace(0, len(images) - 1, count).round().astype(np.int64)
    values = to_floats(gather(images.pixels, rows), images.value_range).reshape(count, -1)
    flat = np.ptp(values, axis=1) < FLAT
    black = flat | ((values < DARK).mean(axis=1) >= NEARLY_ALL)
    equal = 1 - len(np.unique(hashes)) / max(1, len(hashes))
    alike = np.sqrt(np.square(values - values.mean(axis=0)).mean(axis=1)) < ALIKE
    # The first that is true is said: images of one value are black, equal and alike too.
    for share, what in (
        (flat.mean(), "have one value everywhere"),
        (black.mean(), "are nearly black"),
        (equal, "are equal to another one"),
        (alike.mean(), f"are nearly alike: they differ from their mean by less than {ALIKE:.0%} of the range"),
    ):
        if share >= SHARE:
            advice = "check the files, or the range that is read as 0 to 1 (value_range, --range)"
            return [f"warning: {share:.0%} of the images {what}; {advice}"]
    return []
