"""t-SNE by openTSNE, fed with exact neighbours."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from latens.maps.pca import PCAMap
from latens.maps.surface import Surface, checked_latents
from latens.neighbours import nearest_neighbours

__all__ = ["TSNEMap"]

PERPLEXITY = 30.0
EXAGGERATED, PLAIN = 250, 500  # iterations: openTSNE's own
EVERY = 25  # iterations between two calls of progress
LEAST_GAIN = 0.015  # of the divergence, over 50 iterations
# Points from which the grid is quicker than the tree: 16 s against 10 s at 3,000, 43 against 58 at 10,000 (a busy machine).
FFT_FROM = 7000


class TSNEMap(Surface):
    """t-distributed stochastic neighbour embedding (van der Maaten and Hinton 2008), as openTSNE does it.

    Perplexity 30, or a third of the other points where that is less; started from the first two principal components;
    the rest is openTSNE's default (Poličar, Stražar and Zupan 2024): 250 iterations exaggerated twelvefold, 500 plain; these
    stop early when 50 of them lower the divergence by less than 1.5 %. The last are the slowest: the map has grown.
    """

    def fit(self, latents: NDArray[Any], seed: int = 0, progress: Callable[[int, int], object] | None = None) -> Self:
        """Lay the latents out so that neighbours stay neighbours. See `Map.fit`."""
        latents = checked_latents(latents)
        perplexity = max(1.0, min(PERPLEXITY, (len(latents) - 1) / 3))
        reduced = f" (of {len(latents)} points no more is possible)" if perplexity < PERPLEXITY else ""
        self.note = f"perplexity {perplexity:.3g}{reduced}"
        coordinates = np.zeros((len(latents), 2))
        if len(latents) > 1:
            coordinates = _embed(latents, perplexity, seed, progress)
        self._set(latents, coordinates)
        return self


def _embed(
    latents: NDArray[np.float32], perplexity: float, seed: int, progress: Callable[[int, int], object] | None
) -> NDArray[np.float64]:
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    threads = torch.get_num_threads()
    distances, indices = nearest_neighbours(latents, k=min(len(latents) - 1, int(3 * perplexity)))
    known = PrecomputedNeighbors(indices, _scaled(distances))
    affinities = PerplexityBasedNN(knn_index=known, perplexity=perplexity, n_jobs=threads)
    embedding = TSNEEmbedding(
        _start(latents, seed),
        affinities,
        negative_gradient_method="fft" if len(latents) >= FFT_FROM else "bh",
        random_state=seed,
        n_jobs=threads,
        # Without a callback the work is the same; so the map does not depend on whether somebody watches.
        callbacks=_Watcher(progress),
        callbacks_every_iters=EVERY,
        learning_rate="auto",
    )
    embedding.optimize(EXAGGERATED, exaggeration=12, momentum=0.8, inplace=True)
    embedding.optimize(PLAIN, momentum=0.8, inplace=True)
    if progress is not None:
        progress(EXAGGERATED + PLAIN, EXAGGERATED + PLAIN)
    return np.array(embedding, dtype=np.float64)


class _Watcher:
    """Counts the iterations of both phases for a progress bar, and ends the plain one when little is gained."""

    def __init__(self, progress: Callable[[int, int], object] | None) -> None:
        self.progress = progress
        self.done = 0
        self.errors: list[float] = []

    def __call__(self, iteration: int, error: float, embedding: object) -> bool:
        self.done += EVERY
        if self.progress is not None:
            self.progress(self.done, EXAGGERATED + PLAIN)
        if self.done <= EXAGGERATED:
            return False
        self.errors.append(error)
        return len(self.errors) > 2 and self.errors[-3] - error < LEAST_GAIN * self.errors[-3]


def _scaled(distances: NDArray[np.float32]) -> NDArray[np.float64]:
    """Distances with mean 1: the search for a Gaussian's width begins at 1 and gives up after so many halvings."""
    scaled = distances.astype(np.float64)
    return scaled / (scaled.mean() or 1.0)


def _start(latents: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """The principal components, as small as t-SNE wants them, with noise that parts equal latents."""
    start = PCAMap().fit(latents).coordinates.astype(np.float64)
    spread = start[:, 0].std()
    noise = np.random.default_rng(seed).normal(size=start.shape)
    # Latents that are all alike have no components: then the noise is all there is.
    return start / spread * 1e-4 + noise * 1e-6 if spread > 0 else noise * 1e-4
