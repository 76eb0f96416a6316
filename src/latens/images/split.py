"""The split of a source without a test part: a tenth of its images, of each class, chosen by their content."""

import hashlib
from collections.abc import Sequence

import numpy as np

__all__ = ["content_hashes", "split_by_class", "split_by_content"]


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


def split_by_class(hashes: "np.ndarray | Sequence[bytes]", labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same within each class, so that each class of at least two different images has a test image.

    Of the tenth of all, rounded up, each class gets its share (the largest remainders are rounded up), and at least one. Equal
    images are one group, which counts to the class of the smallest label among them.

    Args:
        hashes: as for `split_by_content`.
        labels: int (N,), of each image its class.

    Returns:
        As `split_by_content`.
    """
    _, group_of, counts = np.unique(np.asarray(hashes), return_inverse=True, return_counts=True)
    class_of = np.full(len(counts), np.iinfo(np.int64).max)
    np.minimum.at(class_of, group_of, labels)
    classes, number_of = np.unique(class_of, return_inverse=True)
    sizes = np.bincount(number_of, weights=counts).astype(np.int64)
    quotas = _quotas(sizes, np.bincount(number_of))
    to_test = np.zeros(len(counts), dtype=bool)
    for number in range(len(classes)):
        groups = np.flatnonzero(number_of == number)  # ascending by hash
        fits = counts[groups] <= quotas[number]
        taken = np.where(fits, counts[groups], 0)
        chosen = fits & (np.cumsum(taken) - taken < quotas[number])
        if not chosen.any() and quotas[number]:
            chosen[counts[groups].argmin()] = True
        to_test[groups[chosen]] = True
    if not to_test.any():  # every class has equal images only
        return split_by_content(hashes)
    is_test = to_test[group_of]
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)


def _quotas(sizes: np.ndarray, num_groups: np.ndarray) -> np.ndarray:
    """Of each class how many of its images the test part gets."""
    wanted = -(-int(sizes.sum()) // 10)
    shares = wanted * sizes / sizes.sum()
    quotas = np.floor(shares).astype(np.int64)
    remainders = shares - quotas
    quotas = np.where(num_groups > 1, np.maximum(quotas, 1), 0)
    # Largest remainders first, of equal ones the first class; a class that was raised to one has had its share.
    for number in np.argsort(-np.where(shares < 1, -1, remainders), kind="stable"):
        if quotas.sum() >= wanted:
            break
        if num_groups[number] > 1 and shares[number] >= 1 and quotas[number] + 1 < sizes[number]:
            quotas[number] += 1
    return quotas
