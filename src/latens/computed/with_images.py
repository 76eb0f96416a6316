"""What scores and the review need of the images alone, kept in the cache: the next run of the same images has it at once."""

import hashlib
from collections.abc import Callable

from latens.errors import LatensError
from latens.files import cache_folder, read_npz, write_npz
from latens.images import Dataset
from latens.metrics.inputs import Arrays, Kept
from latens.progress import Progress

__all__ = ["kept_with"]

VERSION = 1  # to be raised where a function whose results are kept computes otherwise
MOST = 2**28  # bytes of a result that is kept


def kept_with(images: Dataset, progress: Progress) -> Kept:
    """A function that gives what was kept under a name, or computes and keeps it; for `Inputs.kept` and the review.

    A file of the cache has one result, by the fingerprint of the images and a digest of the name that it is asked for by. What
    is damaged is made again. A file that cannot be written is said, and nothing is kept.

    Args:
        images: whose results are kept.
        progress: says what could not be kept.
    """

    def kept(name: str, compute: Callable[[], Arrays]) -> Arrays:
        key = hashlib.sha256(f"{VERSION} {name}".encode()).hexdigest()[:16]
        path = cache_folder() / "scored" / f"{images.fingerprint[:32]}-{key}.npz"
        if path.exists():
            try:
                return read_npz(path)
            except (LatensError, OSError):
                pass  # it can be made again
        found = compute()
        if sum(array.nbytes for array in found.values()) <= MOST:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_npz(path, found)
            except OSError as error:
                progress.say(f"not kept for later runs: {name} ({error})")
        return found

    return kept
