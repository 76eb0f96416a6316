"""The contract of a path, and the checks that all methods share."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError

__all__ = ["LatentPath", "checked_data", "checked_ends", "one_latent"]


def _no_rows() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


def _no_places() -> NDArray[np.float64]:
    return np.empty(0)


@dataclass(frozen=True)
class LatentPath:
    """A path from one latent to another.

    Args:
        way: one of `PATHS`.
        latents: the points, first and last included, float32 (steps, D).
        rows: rows of the data latents that the path passes, in order, with its ends if they are data; int64 (P,), empty
            for a method that does not follow data.
        places: where on the path each of them lies, as a share of its length, from 0 to 1, (P,).
        note: a remark on how it was made; may be empty.
    """

    way: str
    latents: NDArray[np.float32]
    rows: NDArray[np.int64] = field(default_factory=_no_rows)
    places: NDArray[np.float64] = field(default_factory=_no_places)
    note: str = ""

    @property
    def length(self) -> float:
        """The length of the line through all points, in the latents' unit."""
        return float(np.linalg.norm(np.diff(self.latents.astype(np.float64), axis=0), axis=1).sum())


def one_latent(latent: Any, name: str) -> NDArray[np.float64]:
    """One latent as float64 (D,); what `encode` gives for one image, (1, D), is taken as well.

    Raises:
        UsageError: another shape, or not finite.
    """
    z = np.asarray(latent, dtype=np.float64)
    if z.ndim == 2 and len(z) == 1:
        z = z[0]
    if z.ndim != 1 or not z.size:
        raise UsageError(f"{name} has the shape {z.shape}; one latent, (D,), is needed")
    if not np.isfinite(z).all():
        raise UsageError(f"{name} holds NaN or infinity; finite numbers are needed")
    return z


def checked_ends(start: Any, end: Any, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both ends of a path as float64 (D,).

    Raises:
        UsageError: they are not two latents of one length, or there are fewer than two steps.
    """
    first, last = one_latent(start, "start"), one_latent(end, "end")
    if first.shape != last.shape:
        raise UsageError(f"start has {len(first)} numbers and end {len(last)}; two latents of one model are needed")
    if steps < 2:
        raise UsageError(f"steps is {steps}; a path has its two ends at least, so 2 or more are needed")
    return first, last


def checked_data(latents: Any, dim: int | None = None) -> NDArray[np.float32]:
    """The latents of the data, float32 (N, D), at least one.

    Raises:
        UsageError: another shape, none, or not finite.
    """
    data = np.asarray(latents, dtype=np.float32)
    if data.ndim != 2 or not data.size or (dim is not None and data.shape[1] != dim):
        raise UsageError(
            f"the data's latents have the shape {data.shape}; (N, {'D' if dim is None else dim}), N at least 1, is needed"
        )
    if not np.isfinite(data).all():
        raise UsageError("the data's latents hold NaN or infinity; finite numbers are needed")
    return data
