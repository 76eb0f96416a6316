"""The rule by which a source without a test part is split: a tenth is set aside, chosen by what the pictures show."""

import hashlib

import numpy as np

__all__ = ["content_hashes", "split_by_content"]


def content_hashes(pixels: np.ndarray) -> list[bytes]:
    """A 16-byte BLAKE2b hash of each picture.

    Args:
        pixels: uint8 (N, C, H, W).
    """
    pixels = np.ascontiguousarray(pixels)
    return [hashlib.blake2b(picture.data, digest_size=16).digest() for picture in pixels]


def split_by_content(hashes: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Split 9:1 so that neither order nor file names matter and equal pictures stay together.

    The pictures are walked through by ascending hash, equal ones as one group, and go to the test part until it holds a
    tenth of all, rounded up. A group larger than that tenth stays in the train part, so that many copies of one blank
    picture don't become the test. Where this leaves the test part empty, the smallest group (the first by hash) makes it.

    Args:
        hashes: one for each picture, from `content_hashes`.

    Returns:
        The ascending rows of the train part and of the test part, int64. One of them is empty if all pictures are equal.
    """
    groups: dict[bytes, list[int]] = {}
    for row, digest in enumerate(hashes):
        groups.setdefault(digest, []).append(row)
    wanted = -(-len(hashes) // 10)
    test: list[int] = []
    for digest in sorted(groups):
        if len(test) >= wanted:
            break
        if len(groups[digest]) <= wanted:
            test += groups[digest]
    if not test and len(groups) > 1:
        test = min((len(rows), digest, rows) for digest, rows in groups.items())[2]
    is_test = np.zeros(len(hashes), dtype=bool)
    is_test[test] = True
    return np.flatnonzero(~is_test), np.flatnonzero(is_test)
