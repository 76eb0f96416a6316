"""The combination of two detectors: by places of the image, and by its latent as a whole."""

from latens.detection.contract import Detector, Floats, Measured, Seen
from latens.detection.graphs import CombinedGraph
from latens.detection.neighbours import NeighboursDetector
from latens.detection.structural import StructuralDetector

__all__ = ["CombinedDetector"]


class CombinedDetector(Detector):
    """The structural score plus that of the neighbours, both in robust standard deviations over normal images.

    A defect that is small changes the latent little, but not the place where it is; an image of another kind that the decoder
    can build is seen by its latent alone.
    """

    summary = "structural error and distance to the nearest normal images together"
    has_graph = True

    def __init__(self) -> None:
        self.structural, self.neighbours = StructuralDetector(), NeighboursDetector()

    def fit(self, normal: Seen, latents: Floats) -> None:
        """Fit both."""
        self.structural.fit(normal, latents)
        self.neighbours.fit(normal, latents)

    def measure(self, seen: Seen) -> Measured:
        """The sum, and the map of the structural error."""
        found = self.structural.measure(seen)
        return Measured(found.scores + self.neighbours.measure(seen).scores, found.maps)

    def graph(self, shape: tuple[int, int, int]) -> CombinedGraph:
        """See `Detector.graph`."""
        return CombinedGraph(self.structural.graph(shape), self.neighbours.graph(shape))
