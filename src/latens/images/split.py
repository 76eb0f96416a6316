"""The split of a source without a test part: a tenth of its pictures, chosen by their content."""

import hashlib
from collections.abc import Sequence

import numpy as np

__all__ = ["content_hashes", "split_by_content"]


def content_hashes(pixels: np.ndarray) -> list[bytes]:
    """A 16-byte BLAKE2b hash of each picture.

    Args:
        pixels: uint8 (N, C, H, W).
    """
    pixels = np.ascontiguousarray(pixels)
    return [hashlib.blake2b(picture.data, digest_size=16).digest() for picture in pixels]


def split_by_content(hashes: "np.ndarray | Sequence[bytes]") -> tuple[np.ndarray, np.ndarray]:
    """Split 9:1 so that neither order nor file names matter and equal pictures stay together.

    The pictures are walked through by ascending hash, equal ones as one group, and go to the test part until it holds a
    tenth of all, rounded up. A group larger than that tenth stays in the train part, so that many copies of one blank
    picture don't become the test. Where this leaves the test part empty, the smallest group (the first by hash) makes it.

    Args:
        hashes: one for each picture, from `content_hashes`; of one length, as they are or as an array of bytes.

    Returns:
        The ascending rows of the train part and of the test part, int64. One of them is empty if all pictures are equal.
    """
    # Arrays throughout: of a million pictures, lists of rows by hash would take more memory than all else.
    _, group_of, counts = np.unique(np.asarray(hashes), return_inverse=True, return_counts=True)
    wanted = -(-len(group_of) // 10)
    fits = counts <= wanted
    sizes = np.where(fits, counts, 0)
    before = np.cumsum(sizes) - sizes  # in the test part when a group's turn comes
    to_test = fits & (before < wanted)
    if not to_test.any() and len(counts) > 1:
        to_test[counts.argmin()] = True
    is_test = to_test[group_of]
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
