"""A latent of the data, moved a little: as near to the data as something new can be."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.neighbours import nearest_neighbours
from latens.samplers.learned import Learned, subset

__all__ = ["JitterSampler"]

MOST = 10_000  # latents that are kept


class JitterSampler(Learned):
    """A random latent of the data plus noise about as long as its distance to its nearest neighbour times `scale`.

    The noise has the proportions of the latents' standard deviations, so that units that never vary stay still.

    Args:
        scale: length of the noise in distances to the nearest neighbour, 0 or more.
    """

    names: ClassVar[tuple[str, ...]] = ("latents", "labels", "distances", "proportions")

    def __init__(self, scale: float = 0.5) -> None:
        super().__init__()
        if not (np.isfinite(scale) and scale >= 0):
            raise UsageError(f"scale is {scale}; it must be 0 or more")
        self.scale = scale

    def _learn(self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None) -> dict[str, NDArray[Any]]:
        rows = subset(latents, MOST)
        if labels is not None:
            # One of each class at least, however rare.
            rows = np.union1d(rows, np.unique(labels, return_index=True)[1])
        kept = latents[rows]
        alone = len(kept) < 2
        distances = np.zeros(len(kept)) if alone else nearest_neighbours(kept, k=1)[0][:, 0].astype(np.float64)
        deviations = latents.std(0)
        return {
            "latents": kept,
            "labels": np.empty(0, np.int64) if labels is None else labels[rows],
            "distances": distances,
            "proportions": deviations / (np.linalg.norm(deviations) or 1.0),
        }

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        latents, chances = self.arrays["latents"], random.random(n)
        if index is None:
            rows = (chances * len(latents)).astype(np.int64)
        else:
            rows = np.empty(n, np.int64)
            for label in np.unique(index):
                members = np.flatnonzero(self.arrays["labels"] == self.classes[label])
                mine = index == label
                rows[mine] = members[(chances[mine] * len(members)).astype(np.int64)]
        noise = random.standard_normal((n, latents.shape[1])) * self.arrays["proportions"]
        drawn: NDArray[np.float64] = latents[rows] + self.scale * self.arrays["distances"][rows, None] * noise
        return drawn
