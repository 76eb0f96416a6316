"""Base of maps without a formula: new latents and the inverse are computed from the nearest points.

Such a map is a list of coordinates and the latents they belong to. A new latent goes where its nearest latents are; a
point of the map has the latents of its nearest coordinates, weighted by distance.
"""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.maps.affinities import perplexity_weights
from latens.maps.contract import Map
from latens.neighbours import Neighbours

__all__ = ["NUM_PLACING", "Surface", "checked_latents", "checked_points", "checked_state"]

NUM_PLACING = (
    25  # neighbours by which a latent is placed, and their perplexity: what openTSNE's transform takes as well
)
PERPLEXITY_PLACING = 5.0
NUM_INVERSE = 10
ROWS = 8192  # queries at a time


class Surface(Map):
    """A map made of coordinates and latents; subclasses differ in the origin of the coordinates."""

    def __init__(self) -> None:
        self.latents: NDArray[np.float32] = np.empty((0, 0), np.float32)

    @abstractmethod
    def fit(self, latents: NDArray[Any], seed: int = 0, progress: Callable[[int, int], object] | None = None) -> Self:
        """See `Map.fit`."""

    def _set(self, latents: NDArray[np.float32], coordinates: NDArray[np.float32], trust: NDArray[np.float32]) -> None:
        self.latents, self.coordinates, self.trust = latents, coordinates, trust
        # Points that coincide on the map are one site with their mean latent: with two latents at one point there is
        # no continuous way back.
        sites, site_of = np.unique(self.coordinates, axis=0, return_inverse=True)
        sums = np.zeros((len(sites), latents.shape[1]))
        np.add.at(sums, site_of.reshape(-1), latents)
        self._near, self._near_sites = Neighbours(latents), Neighbours(sites)
        self._site_latents = (sums / np.bincount(site_of.reshape(-1))[:, None]).astype(np.float32)

    def place(self, latents: NDArray[Any]) -> NDArray[np.float32]:
        """Put new latents at the geometric median of where their nearest latents are.

        The 25 nearest count by Gaussian weights of perplexity 5. A median, because a mean of two clusters lies in
        neither.

        Args:
            latents: (M, D), finite.

        Returns:
            float32 (M, 2).
        """
        latents = checked_latents(latents, self.latents.shape[1])
        k = min(NUM_PLACING, len(self.latents))
        placed = np.empty((len(latents), 2), np.float32)
        for start in range(0, len(latents), ROWS):
            placed[start : start + ROWS] = self.place_among(*self._near.nearest(latents[start : start + ROWS], k))
        return placed

    def place_among(self, distances: NDArray[Any], indices: NDArray[Any]) -> NDArray[np.float32]:
        """The places of new latents by their nearest latents, where these are known: (M, 25) each -> float32 (M, 2)."""
        weights = perplexity_weights(distances, min(PERPLEXITY_PLACING, max(1.0, distances.shape[1] / 3)))
        return _geometric_median(self.coordinates[indices].astype(np.float64), weights).astype(np.float32)

    def inverse(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """Mix the latents of the 10 nearest points of the map.

        Their weights, ((R - d) / (R d))² with R the distance of the eleventh, fall to zero before another takes their
        place, so that the mix is continuous; at a point of the map it is that point's latent
        (Franke and Nielson 1980, the modified Shepard method).

        Args:
            points: (M, 2), finite.

        Returns:
            float32 (M, D).
        """
        points = checked_points(points)
        k = min(NUM_INVERSE + 1, len(self._near_sites.points))
        latents = np.empty((len(points), self.latents.shape[1]), np.float32)
        for start in range(0, len(points), ROWS):
            distances, indices = self._near_sites.nearest(points[start : start + ROWS], k)
            weights = _shepard_weights(distances.astype(np.float64), whole=k <= NUM_INVERSE)
            mixed = np.einsum("mk,mkd->md", weights, self._site_latents[indices].astype(np.float64))
            latents[start : start + ROWS] = mixed
        return latents

    def state(self) -> dict[str, NDArray[Any]]:
        """Coordinates, trust and the note."""
        return {"coordinates": self.coordinates, "trust": self.trust, "note": np.array(self.note)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], latents: NDArray[Any]) -> Self:
        """See `Map.restore`."""
        latents = checked_latents(latents)
        checked_state(state, ("coordinates", "trust"), len(latents))
        restored = cls()
        restored.note = str(state["note"]) if "note" in state else ""
        restored._set(latents, *(np.ascontiguousarray(state[name], np.float32) for name in ("coordinates", "trust")))
        return restored


def _geometric_median(points: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The place with the least weighted sum of distances, by Weiszfeld's iteration: (M, k, 2), (M, k) -> (M, 2)."""
    median: NDArray[np.float64] = np.einsum("mk,mkd->md", weights, points)
    # A floor keeps the iteration off the points themselves; it is small beside the neighbours' own extent.
    floor = 1e-4 * np.linalg.norm(np.ptp(points, axis=1), axis=1)[:, None] + np.finfo(np.float64).tiny
    for _ in range(32):
        pull = weights / np.maximum(np.linalg.norm(points - median[:, None], axis=2), floor)
        pull /= pull.sum(1, keepdims=True)
        median = np.einsum("mk,mkd->md", pull, points)
    return median


def _shepard_weights(distances: NDArray[np.float64], whole: bool) -> NDArray[np.float64]:
    """Weights of the nearest sites, nearest first: (M, k) -> (M, k), each row with sum 1."""
    nearest, farthest = distances[:, :1], distances[:, -1:]
    ratio = np.divide(nearest, distances, out=np.ones_like(distances), where=distances > 0)
    if not whole:  # else all sites there are take part, and none has to fade
        ratio = ratio * (1 - np.divide(distances, farthest, out=np.zeros_like(distances), where=farthest > 0))
    weights = ratio**2
    total = weights.sum(1, keepdims=True)
    # All are exactly as far as the last one: they get equal weights.
    weights = np.where(total > 0, weights, 1.0)
    normalised: NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return normalised


def checked_latents(latents: NDArray[Any], dim: int | None = None) -> NDArray[np.float32]:
    """Latents as float32 (N, D).

    Raises:
        UsageError: another shape, no latents (when a map is fitted: `dim` None), or not finite.
    """
    latents = np.ascontiguousarray(latents, np.float32)
    wanted = "(N, D)" if dim is None else f"(M, {dim})"
    if latents.ndim != 2 or (dim is not None and latents.shape[1] != dim) or (dim is None and 0 in latents.shape):
        raise UsageError(f"latents have shape {latents.shape}; a map takes {wanted}, at least one number each")
    if not np.isfinite(latents).all():
        raise UsageError("latents hold NaN or infinity; a map takes finite numbers: look at the model that made them")
    return latents


def checked_points(points: NDArray[Any]) -> NDArray[np.float32]:
    """Points of a map as float32 (M, 2).

    Raises:
        UsageError: another shape, or not finite.
    """
    points = np.ascontiguousarray(points, np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise UsageError(f"points of a map have shape {points.shape}; they must be (M, 2)")
    if not np.isfinite(points).all():
        raise UsageError("points of a map hold NaN or infinity; only finite ones lie on it")
    return points


def checked_state(state: Mapping[str, NDArray[Any]], names: tuple[str, ...], num_latents: int) -> None:
    """See that a map's state has its arrays and fits the latents.

    Raises:
        UsageError: it does not.
    """
    missing = [name for name in names if name not in state]
    if missing:
        raise UsageError(f"a map's state lacks {', '.join(missing)}; fit the map again")
    if state["coordinates"].shape != (num_latents, 2) or state["trust"].shape != (num_latents,):
        raise UsageError(
            f"a map of {len(state['coordinates'])} points does not fit {num_latents} latents; fit it to these latents"
        )
