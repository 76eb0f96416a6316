"""By the distance of the latent to its nearest normal latents."""

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows
from latens.detection.contract import Detector, Floats, Measured, Seen
from latens.detection.places import TINY
from latens.neighbours import Neighbours

__all__ = ["NeighboursDetector"]

KEPT = 50_000  # latents, at most: more cost time and change little
ENOUGH = 2000  # latents to learn usual distances from
NEAREST = 3
EXPONENT = 0.5  # by which directions of large spread are shrunk: 0 leaves latents as they are, 1 whitens them
SMALLEST = 1e-3  # share of the largest spread under which a direction is not in use


class NeighboursDetector(Detector):
    """The mean distance to the three nearest normal latents, with directions of large spread shrunk to the root of their spread.

    Source: the distance to neighbours as a score, Sun et al., "Out-of-distribution detection with deep nearest neighbors", 2022.
    """

    summary = "distance of the latent to the nearest normal ones"
    has_maps = False

    def fit(self, normal: Seen, latents: Floats) -> None:
        """Keep the normal latents."""
        kept = latents[drawn_rows(len(latents), KEPT)].astype(np.float64)
        self.mean = kept.mean(0)
        variances, self.axes = np.linalg.eigh(np.cov(kept - self.mean, rowvar=False).reshape(kept.shape[1], -1))
        spreads = np.sqrt(np.maximum(variances, 0))
        used = spreads > SMALLEST * max(float(spreads.max()), TINY)
        # A direction that no normal image uses is as odd as the least used one.
        least = float(spreads[used].min()) if used.any() else 1.0
        self.scales = np.maximum(spreads, least) ** -EXPONENT
        self.memory = self._turned(kept)
        self.search = Neighbours(self.memory)

    def _turned(self, latents: NDArray[np.floating]) -> Floats:
        turned: Floats = (((latents - self.mean) @ self.axes) * self.scales).astype(np.float32)
        return turned

    def measure(self, seen: Seen) -> Measured:
        """The mean distance to the nearest normal latents."""
        distances, _ = self.search.nearest(self._turned(seen.latents), min(NEAREST, len(self.memory)))
        return Measured(distances.mean(1, dtype=np.float64))

    def usual(self) -> NDArray[np.float64]:
        """The same of normal latents themselves, each without itself."""
        rows = drawn_rows(len(self.memory), ENOUGH)
        distances, _ = self.search.nearest(self.memory[rows], min(NEAREST + 1, len(self.memory)))
        found: NDArray[np.float64] = distances[:, 1:].mean(1, dtype=np.float64)
        return found
