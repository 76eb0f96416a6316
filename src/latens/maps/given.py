"""A map from coordinates made elsewhere: by UMAP, by another t-SNE, by hand."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.maps.surface import Surface, checked_latents
from latens.neighbours import neighbours_kept

__all__ = ["GivenMap"]


class GivenMap(Surface):
    """Coordinates as they were given; new latents and the inverse are computed from the nearest points.

    Args:
        coordinates: numbers (N, 2), finite, one row a latent, in the same order; None only for `restore`.
    """

    title: ClassVar[str] = "given coordinates"
    meaning: ClassVar[str] = "coordinates that were given"

    def __init__(self, coordinates: NDArray[Any] | None = None) -> None:
        super().__init__()
        self._given = coordinates

    def fit(self, latents: NDArray[Any], seed: int = 0, progress: Callable[[int, int], object] | None = None) -> Self:
        """Take the latents that the coordinates stand for; nothing is computed but trust. See `Map.fit`.

        Raises:
            UsageError: the coordinates are not finite numbers (N, 2), one row a latent.
        """
        latents = checked_latents(latents)
        coordinates = np.asarray(self._given)
        if coordinates.dtype.kind not in "fiu" or coordinates.shape != (len(latents), 2):
            raise UsageError(
                f"coordinates have shape {coordinates.shape} and type {coordinates.dtype};"
                f" numbers ({len(latents)}, 2) are needed, one row for each latent in the same order"
            )
        coordinates = coordinates.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(coordinates).all(1))
        if len(bad):
            raise UsageError(f"coordinates hold NaN or infinity ({len(bad)} rows, the first is row {bad[0]})")
        self.note = "given coordinates"
        self._set(latents, coordinates, neighbours_kept(latents, coordinates))
        if progress is not None:
            progress(1, 1)
        return self
