"""PCA: the two directions in which the latents vary most. Quick and linear; distances on it are real distances in the plane."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from latens.algebra import principal_axes
from latens.maps.contract import Map
from latens.maps.surface import checked_latents, checked_points, checked_state
from latens.neighbours import neighbours_kept

__all__ = ["PCAMap", "principal_plane"]


def principal_plane(latents: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The plane in which the latents (N, D) vary most: their mean, two directions (D, 2), and its share of the variance."""
    mean = latents.mean(0, dtype=np.float64)
    centred = latents - mean
    squares, axes = principal_axes(centred)
    components = np.zeros((centred.shape[1], 2))
    components[:, : len(axes)] = axes[:2].T
    total = max(float(squares.sum()), np.finfo(np.float64).tiny)
    return mean, components, max(0.0, float(squares[:2].sum())) / total


class PCAMap(Map):
    """Principal components: the map projects onto a plane; its inverse gives points of that plane."""

    title: ClassVar[str] = "PCA"
    meaning: ClassVar[str] = "PCA, the flat view along the two widest directions"

    def fit(self, latents: NDArray[Any], seed: int = 0, progress: Callable[[int, int], object] | None = None) -> Self:
        """Find the plane; nothing is drawn, so the seed does not matter. See `Map.fit`."""
        latents = checked_latents(latents)
        self.mean, self.components, share = principal_plane(latents)
        self.note = f"{share:.0%} of the variance"
        self.coordinates = self.place(latents)
        self.trust = neighbours_kept(latents, self.coordinates)
        if progress is not None:
            progress(1, 1)
        return self

    def place(self, latents: NDArray[Any]) -> NDArray[np.float32]:
        """Project latents (M, D) onto the plane: float32 (M, 2)."""
        latents = checked_latents(latents, len(self.mean))
        placed: NDArray[np.float32] = ((latents - self.mean) @ self.components).astype(np.float32)
        return placed

    def inverse(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """The points of the plane as latents: (M, 2) -> float32 (M, D)."""
        latents: NDArray[np.float32] = (self.mean + checked_points(points) @ self.components.T).astype(np.float32)
        return latents

    @property
    def plane(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Map.plane`."""
        return self.mean.astype(np.float32), self.components.astype(np.float32)

    def state(self) -> dict[str, NDArray[Any]]:
        """The plane, the coordinates, trust and the note."""
        return {
            "mean": self.mean,
            "components": self.components,
            "coordinates": self.coordinates,
            "trust": self.trust,
            "note": np.array(self.note),
        }

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], latents: NDArray[Any]) -> Self:
        """See `Map.restore`."""
        checked_state(state, ("mean", "components", "coordinates", "trust"), len(checked_latents(latents)))
        restored = cls()
        restored.mean, restored.components = state["mean"], state["components"]
        restored.coordinates, restored.trust = state["coordinates"], state["trust"]
        restored.note = str(state["note"]) if "note" in state else ""
        return restored
