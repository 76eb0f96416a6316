"""By the reconstruction error: what the model can't rebuild is odd."""

import numpy as np

from latens.detection.contract import Detector, Floats, Measured, Seen
from latens.detection.graphs import ReconstructionGraph
from latens.detection.places import PlaceScale, smoothed, smoothing

__all__ = ["ReconstructionDetector"]


class ReconstructionDetector(Detector):
    """The mean squared error of the reconstruction; its map is the squared error, calibrated place by place."""

    summary = "squared error of the reconstruction"
    has_graph = True

    def fit(self, normal: Seen, latents: Floats) -> None:
        """Learn the usual error of each place."""
        self.scale = PlaceScale().fit(self._errors(normal))

    def measure(self, seen: Seen) -> Measured:
        """The mean squared error over all pixels, and its map."""
        scores = np.square(seen.residuals).mean((1, 2, 3), dtype=np.float64)
        return Measured(scores, self.scale(self._errors(seen)))

    def graph(self, shape: tuple[int, int, int]) -> ReconstructionGraph:
        """See `Detector.graph`."""
        return ReconstructionGraph(smoothing(shape), self.scale.graph())

    @staticmethod
    def _errors(seen: Seen) -> Floats:
        return smoothed(np.square(seen.residuals).mean(1))
