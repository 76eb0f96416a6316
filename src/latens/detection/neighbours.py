"""By the distance to what is near among the normal images."""

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows
from latens.detection.contract import Detector, Floats, Measured, Seen
from latens.detection.graphs import NeighboursGraph
from latens.detection.places import TINY
from latens.detection.standard import UsualScore
from latens.neighbours import Neighbours

__all__ = ["NeighboursDetector"]

KEPT = 50_000  # latents, at most: more cost time and change little
NEAREST = 20  # normal latents that span the plane
EXPONENT = 0.5  # by which directions of large spread are shrunk: 0 leaves latents as they are, 1 whitens them
SMALLEST = 1e-3  # share of the largest spread under which a direction is not in use
ROUNDING = 1e-10  # of the mean square of a latent: a squared distance below it is none
RIDGE = 0.3  # of the mean square of the neighbours around their centre: keeps the plane from reaching far beyond them


class NeighboursDetector(Detector):
    """The distance of an image to the plane through its nearest normal images.

    In the latent space it is the distance to the plane through the twenty nearest normal latents, with directions of large spread
    shrunk to the root of their spread. What the decoder leaves stands at a right angle to the latent space; its square is added,
    each of the two divided by what is usual.

    Source: planes through neighbours, Vincent and Bengio, "K-local hyperplane and convex distance nearest neighbor algorithms",
    2002; the distance to neighbours in a latent space as a score, Sun et al., "Out-of-distribution detection with deep nearest
    neighbors", 2022; the error beside the distance, Zong et al., "Deep autoencoding Gaussian mixture model", 2018.
    """

    summary = "distance to the plane through the nearest normal latents, and the error of the reconstruction"
    has_maps = False
    has_graph = True

    def fit(self, normal: Seen, latents: Floats) -> None:
        """Keep the normal latents, and learn the usual distances."""
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
        # Each image without itself: the nearest is its own latent.
        away, left = self._from_plane(normal, 1), _left(normal)
        # Where most images are copies, what is left of their distances is rounding.
        rounding = ROUNDING * float(np.square(self.memory, dtype=np.float64).sum(1).mean())
        self.units = max(float(np.median(away)), rounding, TINY), max(float(np.median(left)), TINY)
        self.usual = UsualScore(self._joined(away, left))

    def measure(self, seen: Seen) -> Measured:
        """Both distances as one, in robust standard deviations over normal images."""
        return Measured(self.usual(self._joined(self._from_plane(seen), _left(seen))))

    def graph(self, shape: tuple[int, int, int]) -> NeighboursGraph:
        """See `Detector.graph`."""
        return NeighboursGraph(
            self.mean, self.axes * self.scales, self.memory, self.units, self.usual.graph(), NEAREST, RIDGE
        )

    def _joined(self, away: NDArray[np.float64], left: NDArray[np.float64]) -> NDArray[np.float64]:
        return away / self.units[0] + left / self.units[1]

    def _turned(self, latents: NDArray[np.floating]) -> Floats:
        turned: Floats = (((latents - self.mean) @ self.axes) * self.scales).astype(np.float32)
        return turned

    def _from_plane(self, seen: Seen, without: int = 0) -> NDArray[np.float64]:
        """The squared distance of each latent to the plane through its nearest ones, but for the `without` very nearest, (B,)."""
        z = self._turned(seen.latents)
        _, rows = self.search.nearest(z, min(NEAREST + without, len(self.memory)))
        near = self.memory[rows[:, min(without, rows.shape[1] - 1) :]]  # (B, k, D)
        first = near[:, 0]
        centre = first + (near - first[:, None]).mean(1)  # of copies of one point that very point
        spans, from_centre = near - centre[:, None], z - centre
        gram = (spans @ spans.transpose(0, 2, 1)).astype(np.float64)
        count = gram.shape[1]
        ridge = np.maximum(RIDGE * np.trace(gram, axis1=1, axis2=2) / count, TINY)
        gram += ridge[:, None, None] * np.eye(count)
        weights = np.linalg.solve(gram, (spans @ from_centre[:, :, None]).astype(np.float64))
        off = from_centre - (weights.transpose(0, 2, 1) @ spans)[:, 0]
        found: NDArray[np.float64] = np.square(off).sum(1, dtype=np.float64)
        return found


def _left(seen: Seen) -> NDArray[np.float64]:
    """The mean squared error of the reconstruction, (B,)."""
    found: NDArray[np.float64] = np.square(seen.residuals).mean((1, 2, 3), dtype=np.float64)
    return found
