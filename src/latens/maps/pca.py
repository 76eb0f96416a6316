"""PCA: the two directions in which the latents vary most. Quick and linear; distances on it are real distances in the plane."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from latens.algebra import RunningMoments, axes_of_scatter, principal_axes
from latens.errors import UsageError
from latens.maps.contract import Map
from latens.maps.surface import checked_latents, checked_points, checked_state
from latens.neighbours import neighbours_kept

__all__ = ["PCAMap", "principal_plane"]


def principal_plane(latents: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The plane in which the latents (N, D) vary most: their mean, two directions (D, 2), and its share of the variance."""
    mean = latents.mean(0, dtype=np.float64)
    return mean, *_widest(*principal_axes(latents - mean))


def _widest(squares: NDArray[np.float64], axes: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The two widest of some principal axes, (D, 2), and their share of the variance."""
    components = np.zeros((axes.shape[1], 2))
    components[:, : len(axes)] = axes[:2].T
    total = max(float(squares.sum()), np.finfo(np.float64).tiny)
    return components, max(0.0, float(squares[:2].sum())) / total


class PCAMap(Map):
    """Principal components: the map projects onto a plane; its inverse gives points of that plane."""

    title: ClassVar[str] = "PCA"
    meaning: ClassVar[str] = "PCA, the flat view along the two widest directions"

    def fit(self, latents: NDArray[Any], seed: int = 0, progress: Callable[[int, int], object] | None = None) -> Self:
        """Find the plane; nothing is drawn, so the seed does not matter. See `Map.fit`."""
        latents = checked_latents(latents)
        self._show(latents, *principal_plane(latents))
        if progress is not None:
            progress(1, 1)
        return self

    @classmethod
    def of_moments(cls, moments: RunningMoments, latents: NDArray[Any]) -> Self:
        """The plane of all points of which these are the moments, as a map of some of them, (N, D)."""
        made = cls()
        made._show(checked_latents(latents), moments.mean, *_widest(*axes_of_scatter(moments.scatter)))
        return made

    def _show(
        self, latents: NDArray[np.float32], mean: NDArray[np.float64], components: NDArray[np.float64], share: float
    ) -> None:
        self.mean, self.components, self.note = mean, components, f"{share:.0%} of the variance"
        self.coordinates = self.place(latents)
        self.trust = neighbours_kept(latents, self.coordinates)

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
        latents = checked_latents(latents)
        checked_state(state, ("mean", "components", "coordinates", "trust"), len(latents))
        dim = latents.shape[1]
        if state["mean"].shape != (dim,) or state["components"].shape != (dim, 2):
            raise UsageError(
                f"the plane of a map lies in {state['mean'].shape} numbers, the latents in {dim}; fit it again"
            )
        restored = cls()
        restored.mean, restored.components = state["mean"], state["components"]
        restored.coordinates, restored.trust = state["coordinates"], state["trust"]
        restored.note = str(state["note"]) if "note" in state else ""
        return restored
