"""By the structural error: differences from the reconstruction that keep their sign over an area."""

import numpy as np
from scipy.ndimage import gaussian_filter

from latens.detection.contract import Detector, Floats, Measured, Seen
from latens.detection.places import PlaceScale, peak

__all__ = ["StructuralDetector"]

WIDTH = 1 / 16  # standard deviation of the smoothing, as a share of the image's longer side


class StructuralDetector(Detector):
    """The smoothed difference of image and reconstruction, calibrated place by place; the score is its peak.

    The difference is smoothed with its sign, so that noise, which has none, cancels: a spot, a crack or a missing part remains.
    """

    summary = "peak of the smoothed difference from the reconstruction"

    def fit(self, normal: Seen, latents: Floats) -> None:
        """Learn the usual difference of each place."""
        self.scale = PlaceScale().fit(self._differences(normal))

    def measure(self, seen: Seen) -> Measured:
        """The mean over the oddest hundredth of the map, and the map."""
        maps = self.scale(self._differences(seen))
        return Measured(peak(maps), maps)

    @staticmethod
    def _differences(seen: Seen) -> Floats:
        sigma = WIDTH * max(seen.residuals.shape[2:])
        # Of several channels the root of the sum of squares: a change of hue counts like one of brightness.
        difference = gaussian_filter(seen.residuals, (0, 0, sigma, sigma), mode="nearest", truncate=3)
        found: Floats = np.sqrt(np.square(difference).mean(1))
        return found
