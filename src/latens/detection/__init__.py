"""Detection: is a new image odd, where, and how sure is that. A run of normal images is what it is compared with."""

from latens.detection.contract import Detector, Measured, Seen
from latens.detection.fitted import DEFAULT_DETECTOR, DETECTORS
from latens.detection.detections import Detections, detect_images

__all__ = ["DEFAULT_DETECTOR", "DETECTORS", "Detections", "Detector", "Measured", "Seen", "detect_images"]
