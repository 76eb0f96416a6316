"""Scores, p-values and decisions on very many images in parts, see `latens.parts`."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from numpy.typing import NDArray

from latens.computed.in_parts import WorkOnImages
from latens.detection import DEFAULT_DETECTOR
from latens.detection.detections import images_to_judge, judged
from latens.detection.fitted import fit_detector
from latens.parts import ROWS, Share, WrittenParts, write_parts
from latens.progress import Progress
from latens.runs import Run

__all__ = ["detect_in_parts"]


class DetectionsOfImages(WorkOnImages):
    """The shard function of detection, see `detect_in_parts`. The detector is fitted once, when this is opened."""

    holds: ClassVar[str] = "detections"

    def __init__(
        self,
        run: Run,
        source: Any,
        reading: Mapping[str, Any],
        *,
        method: str,
        false_alarms: float | None,
        features: Any,
        seed: int,
    ) -> None:
        super().__init__(run, images_to_judge(run, source, reading), reading)
        self.method, self.seed = method, seed
        self.fitted = fit_detector(run, method, features=features, seed=seed)
        self.calibration = self.fitted.calibrated(false_alarms)

    @property
    def agreed(self) -> Mapping[str, Any]:
        """Also the detector, and its threshold: it is another one where other features or other normal images were seen."""
        detector = {
            "method": self.method,
            "seed": self.seed,
            "false_alarms": repr(self.calibration.false_alarms),
            "normal_images": len(self.calibration),
        }
        return {**super().agreed, "detector": detector, "threshold": self.calibration.threshold}

    @property
    def metadata(self) -> Mapping[str, str]:
        """Also the method, and what its decisions rest on."""
        return {
            **super().metadata,
            "method": self.method,
            "false_alarms": repr(self.calibration.false_alarms),
            "threshold": repr(self.calibration.threshold),
            "normal_images": str(len(self.calibration)),
        }

    @property
    def notes(self) -> Sequence[str]:
        """Also of the calibration."""
        return [*super().notes, *self.calibration.notes]

    def table(self, rows: range) -> Mapping[str, NDArray[Any]]:
        """See `Detections.columns`."""
        return judged(self.fitted, self.calibration, self.given, rows, method=self.method)[0].columns()


def detect_in_parts(
    run: Run,
    source: Any,
    folder: str | os.PathLike[str],
    *,
    method: str = DEFAULT_DETECTOR,
    false_alarms: float | None = None,
    features: Any = None,
    seed: int = 0,
    share: Share | None = None,
    rows: int = ROWS,
    engine: str = "here",
    progress: Progress | None = None,
    **reading: Any,
) -> WrittenParts:
    """Judge images into `detections-NNNNN-of-NNNNN.parquet`, each of so many images in the source's order.

    The columns are those of `Detections.columns`; scores, p-values and decisions are those of `detect_images`. Each process fits
    the detector once, to the same normal images. There are no heat maps, and nothing is evaluated.

    Args:
        run: complete; trained on normal images.
        source: as for `detect_images`.
        folder: made where it is not there.
        method: as for `detect_images`.
        false_alarms: as for `detect_images`.
        features: as for `detect_images`.
        seed: as for `detect_images`.
        share: which of the parts this process writes, see `latens.parts.write_parts`.
        rows: images of a part.
        engine: who writes them, a name of `latens.parts.ENGINES`.
        progress: shows the progress.
        **reading: as for `detect_images`.

    Raises:
        UnknownName: there is no such method or engine.
        UsageError: rows below 1; or as `detect_images`.
        RunError: the folder holds parts of other weights, images, detectors, options or versions of latens; or as
            `detect_images`.
        MissingExtra: neither polars nor pyarrow is installed, or what the engine needs is not.
        ImagesError: the images can't be read.
    """
    detector = {"method": method, "false_alarms": false_alarms, "features": features, "seed": seed}
    work = partial(DetectionsOfImages, run, source, reading, **detector)
    return write_parts(work, folder, share=share, rows=rows, engine=engine, progress=progress)
