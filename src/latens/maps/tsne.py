"""t-SNE by our own engine, from nearest neighbours; openTSNE is the reference in its tests and the fallback."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from latens.maps.affinities import joint_affinities
from latens.maps.descent import descend
from latens.maps.pca import principal_plane
from latens.maps.surface import Surface, checked_latents
from latens.neighbours import MANY, Cells, can_search_cells, nearest_neighbours, neighbours_kept

__all__ = ["PERPLEXITY", "TSNEMap"]

PERPLEXITY = 30.0


class TSNEMap(Surface):
    """t-distributed stochastic neighbour embedding (van der Maaten and Hinton 2008).

    Args:
        device: where to compute.
        perplexity: about how many neighbours of each point count; a third of the other points where that is less.

    It is started from the first two principal components; the optimisation is described in `latens.maps.descent`. If it ends in
    numbers that are not finite, openTSNE (Poličar, Stražar and Zupan 2024) makes the map with its defaults, and the map's note
    says so. Of 200,000 latents and more the neighbours are approximate, see `latens.neighbours.cells`, which the note says too.
    """

    title: ClassVar[str] = "t-SNE"
    meaning: ClassVar[str] = "t-SNE, which keeps neighbours together"
    cost: ClassVar[Literal["quick", "long"]] = "long"

    def __init__(self, device: str | torch.device = "cpu", perplexity: float = PERPLEXITY) -> None:
        super().__init__()
        self.device, self.perplexity = torch.device(device), perplexity

    def fit(self, latents: NDArray[Any], seed: int = 0, progress: Callable[[int, int], object] | None = None) -> Self:
        """Lay the latents out so that neighbours stay neighbours. See `Map.fit`."""
        latents = checked_latents(latents)
        perplexity = max(1.0, min(self.perplexity, (len(latents) - 1) / 3))
        reduced = f" (the most that {len(latents)} points allow)" if perplexity < self.perplexity else ""
        self.note = f"perplexity {perplexity:.3g}{reduced}"
        if len(latents) == 1:
            self._set(latents, np.zeros((1, 2), np.float32), np.ones(1, np.float32))
            return self
        start = _start(latents, seed)
        k = min(len(latents) - 1, int(3 * perplexity))
        if len(latents) >= MANY and self.device.type == "cpu" and can_search_cells():
            distances, found = Cells(latents).nearest(k=k)
            self.note += ", of approximate neighbours"
        else:
            distances, found = nearest_neighbours(latents, k=k, device=self.device, exact=False)
        indices = found.astype(np.int32)
        del found  # of a million points most of a gigabyte
        affinities = joint_affinities(distances, indices, perplexity)
        coordinates, divergence = descend(affinities, start, self.device, progress)
        del affinities
        if not np.isfinite(divergence) or not np.isfinite(coordinates).all():
            coordinates = _by_opentsne(distances, indices, perplexity, start, seed)
            self.note += "; by openTSNE, because the faster engine did not end in finite numbers"
        self._set(latents, coordinates, neighbours_kept(latents, coordinates, known=(distances, indices)))
        return self


def _by_opentsne(
    distances: NDArray[np.float32],
    indices: NDArray[Any],
    perplexity: float,
    start: NDArray[np.float64],
    seed: int,
) -> NDArray[np.float32]:
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    threads = torch.get_num_threads()
    known = PrecomputedNeighbors(indices.astype(np.int64), _scaled(distances))
    affinities = PerplexityBasedNN(knn_index=known, perplexity=perplexity, n_jobs=threads)
    embedding = TSNEEmbedding(start, affinities, random_state=seed, n_jobs=threads)
    embedding.optimize(250, exaggeration=12, momentum=0.8, inplace=True)
    embedding.optimize(500, momentum=0.8, inplace=True)
    return np.array(embedding, dtype=np.float32)


def _scaled(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distances with mean 1: the search for a Gaussian's width begins at 1 and gives up after so many halvings."""
    scaled = distances.astype(np.float64)
    return scaled / (scaled.mean() or 1.0)


def _start(latents: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """The principal components, scaled down as t-SNE needs them, with noise that separates equal latents."""
    mean, components, _ = principal_plane(latents)
    start = (latents - mean) @ components
    spread = start[:, 0].std()
    noise = np.random.default_rng(seed).normal(size=start.shape)
    # Equal latents have no components: then the start is noise alone.
    return start / spread * 1e-4 + noise * 1e-6 if spread > 0 else noise * 1e-4
