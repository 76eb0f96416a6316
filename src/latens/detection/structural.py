"""By the structural error: differences from the reconstruction that keep their sign over an area."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from latens.detection.contract import Detector, Floats, Measured, Seen
from latens.detection.graphs import Peak, StructuralGraph
from latens.detection.places import PEAK, WIDTH, PlaceScale, peak, smoothed, smoothing
from latens.detection.standard import UsualScore

__all__ = ["StructuralDetector"]

LEAST_LEVEL = 1e-4  # of an image's median difference, in [0, 1]
ABOVE_ZERO = 5.0  # added to a peak before its logarithm: those of normal images begin at about 0


class StructuralDetector(Detector):
    """The peak of the smoothed difference of image and reconstruction, calibrated place by place.

    The difference is smoothed with its sign, so that noise, which has none, cancels: a spot, a crack or a missing part remains.
    It is looked at twice: as it is, and divided by the image's own median difference. A rough image is rebuilt less well
    everywhere, and a defect is somewhere; but an image that is rebuilt badly everywhere is odd as well.

    The map has the difference without its sign too, smoothed likewise: a texture that is wrong, or a mark of light and dark side
    by side, cancels with its sign, and where it lies would not be seen.
    """

    summary = "peak of the smoothed difference from the reconstruction"
    has_graph = True

    def fit(self, normal: Seen, latents: Floats) -> None:
        """Learn the usual difference of each place."""
        views = _views(_signed(normal))
        self.scales = [PlaceScale().fit(view) for view in views]
        self.usual = [UsualScore(_scored(scale(view))) for scale, view in zip(self.scales, views, strict=True)]
        self.unsigned = [PlaceScale().fit(view) for view in _views(_unsigned(normal))]

    def measure(self, seen: Seen) -> Measured:
        """The mean over both views of that over the oddest hundredth of the places; and the mean of all maps."""
        maps = [scale(view) for scale, view in zip(self.scales, _views(_signed(seen)), strict=True)]
        scores = sum(usual(_scored(one)) for usual, one in zip(self.usual, maps, strict=True))
        others = [scale(view) for scale, view in zip(self.unsigned, _views(_unsigned(seen)), strict=True)]
        where = ((maps[0] + maps[1]) / 2 + others[0] + others[1]) / 3
        return Measured(np.asarray(scores) / 2, where.astype(np.float32))

    def graph(self, shape: tuple[int, int, int]) -> StructuralGraph:
        """See `Detector.graph`."""
        return StructuralGraph(
            smoothing(shape),
            Peak(PEAK),
            [scale.graph() for scale in self.scales],
            [usual.graph() for usual in self.usual],
            [scale.graph() for scale in self.unsigned],
            LEAST_LEVEL,
            ABOVE_ZERO,
        )


def _signed(seen: Seen) -> Floats:
    """How strong the difference is at each place, (B, H, W), smoothed with its sign."""
    sigma = WIDTH * max(seen.residuals.shape[2:])
    difference = gaussian_filter(seen.residuals, (0, 0, sigma, sigma), mode="nearest", truncate=3)
    # Of several channels the root of the sum of squares: a change of hue counts like one of brightness.
    strength: Floats = np.sqrt(np.square(difference).mean(1))
    return strength


def _unsigned(seen: Seen) -> Floats:
    """The same, smoothed without its sign."""
    return smoothed(np.sqrt(np.square(seen.residuals).mean(1)))


def _views(strength: Floats) -> tuple[Floats, Floats]:
    """As it is, and divided by each image's own median."""
    level = np.maximum(np.median(strength, axis=(1, 2), keepdims=True), LEAST_LEVEL)
    relative: Floats = (strength / level).astype(np.float32)
    return strength, relative


def _scored(maps: Floats) -> NDArray[np.float64]:
    return np.maximum(peak(maps) + ABOVE_ZERO, 0)
