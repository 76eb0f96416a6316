"""Detection: is a new image odd, where, and how sure is that. A run of normal images is what it is compared with."""

from typing import TYPE_CHECKING

from latens.tables import Table, lazy_names

if TYPE_CHECKING:
    from latens.detection.contract import Detector as Detector
    from latens.detection.contract import Measured as Measured
    from latens.detection.contract import Seen as Seen
    from latens.detection.detections import Detections as Detections
    from latens.detection.detections import detect_images as detect_images

__all__ = ["DEFAULT_DETECTOR", "DETECTORS", "Detections", "Detector", "Measured", "Seen", "detect_images"]

DETECTORS: "Table[type[Detector]]" = Table(
    "method",
    {
        "combined": "latens.detection.combined:CombinedDetector",
        "reconstruction": "latens.detection.reconstruction:ReconstructionDetector",
        "structural": "latens.detection.structural:StructuralDetector",
        "neighbours": "latens.detection.neighbours:NeighboursDetector",
        "features": "latens.detection.patches:FeaturesDetector",
    },
    group="detectors",
)
"""Name -> class of `Detector`."""

DEFAULT_DETECTOR = "combined"

# The command line reads the names of the detectors; that must not import torch.
__getattr__ = lazy_names(
    __name__,
    {
        "Detections": "detections",
        "Detector": "contract",
        "Measured": "contract",
        "Seen": "contract",
        "detect_images": "detections",
    },
)
