"""A detector that is fitted to the normal images of a run, and calibrated on those that training did not see."""

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows, gather
from latens.detection import DEFAULT_DETECTOR, DETECTORS
from latens.detection.conformal import decide, least_false_alarms, p_values
from latens.detection.contract import Detector, Measured, Seen
from latens.errors import RunError
from latens.images import Dataset
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import TRAIN
from latens.text import counted, listed

__all__ = [
    "USUAL_FALSE_ALARMS",
    "Calibration",
    "Fitted",
    "digests_of",
    "fit_detector",
    "images_at_once",
    "normal_classes",
]

USUAL_FALSE_ALARMS = 0.01
FITTED = 2000  # train images that a detector learns from, at most
FITTED_VALUES = 1 << 25  # pixels of them, at most
CALIBRATED = 2500  # images, at most: p-values down to 1 in 2,501 are fine enough
BLOCK_VALUES = 1 << 20  # pixels that are measured at once; in memory several times as float32


@dataclass(frozen=True, eq=False)
class Calibration:
    """What is usual for normal images that neither the model nor the detector has seen.

    Args:
        scores: float64 (n,).
        false_alarms: α, the share of normal images that may be called odd.
        level: of maps: the highest place of a share 1 - α of the images lies below it; NaN for a detector without maps.
        notes: for the user, a sentence each.
    """

    scores: NDArray[np.float64]
    false_alarms: float
    level: float
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    def p_values(self, scores: NDArray[np.float64], own: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """See `latens.detection.conformal.p_values`."""
        return p_values(self.scores, scores, own)

    def decide(self, p: NDArray[np.float64]) -> NDArray[np.bool_]:
        """See `latens.detection.conformal.decide`."""
        return decide(p, self.false_alarms, len(self))

    @property
    def threshold(self) -> float:
        """A score above this is called odd, one at or below it is not."""
        reached = (
            math.floor(self.false_alarms * (len(self) + 1) * (1 + 1e-9)) - 1
        )  # normal scores that an odd one may tie with
        return float(np.sort(self.scores)[::-1][reached])


@dataclass(frozen=True, eq=False)
class Fitted:
    """A detector with what it gives for the images to calibrate on.

    Args:
        run: whose model encodes and decodes.
        detector: fitted.
        scores: float64 (n,), of the normal images of the test part.
        highest: float32 (n,), the highest place of each map; NaN for a detector without maps.
        digests: str (n,), their content, see `digests_of`.
    """

    run: Run
    detector: Detector
    scores: NDArray[np.float64]
    highest: NDArray[np.float32]
    digests: NDArray[np.str_]

    def measure(self, pixels: NDArray[Any]) -> tuple[Seen, Measured]:
        """What the detector says of images (B, C, H, W) as the model takes them."""
        seen = Seen(pixels, self.run)
        return seen, self.detector.measure(seen)

    def calibrated(self, false_alarms: float | None = None) -> Calibration:
        """Calibrated by the normal images.

        Args:
            false_alarms: α; 0.01 by default, or the least possible where there are too few images for that, which is said.

        Raises:
            UsageError: too few images for the α that was asked for.
        """
        scores, notes = self.scores, []
        alpha = USUAL_FALSE_ALARMS if false_alarms is None else float(false_alarms)
        if false_alarms is None and least_false_alarms(len(scores)) > alpha:
            alpha = math.ceil(least_false_alarms(len(scores)) * 1000) / 1000
            notes.append(
                f"with {counted(len(scores), 'normal image')} that training did not see, {alpha:.1%} false alarms are the fewest"
                f" that can be promised; {round(1 / USUAL_FALSE_ALARMS) - 1} such images allow {USUAL_FALSE_ALARMS:.0%}"
            )
        decide(np.ones(1), alpha, len(scores))  # refuses an α that is out of reach
        return Calibration(scores, alpha, float(np.quantile(self.highest, 1 - alpha)), tuple(notes))


def fit_detector(
    run: Run,
    method: str = DEFAULT_DETECTOR,
    *,
    features: Any = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Fitted:
    """Fit a detector to the normal images of a run.

    Normal are all images of the train part; of the test part those whose class is one of the train part's.

    Args:
        run: complete, with its images at hand.
        method: a name of `DETECTORS`.
        features: of the detector `features`: an encoder, see `latens.encoders`.
        seed: of the draw of images.
        progress: shows the progress.

    Raises:
        UnknownName: there is no such detector.
        UsageError: features for a detector without, or none for one that needs them.
        RunError: the run has no model, or no normal images that training did not see.
    """
    detector = DETECTORS[method].made(features)
    images = run.images
    most = min(FITTED, max(1, FITTED_VALUES // math.prod(images.shape)))
    rows = _normal_rows(run, images)
    rows = rows[drawn_rows(len(rows), CALIBRATED, seed)]
    scores, highest, digests = [], [], []
    with (progress or Silent()).stage("normal images", "images") as tick:
        chosen = gather(images.train.inputs, drawn_rows(len(images.train), most, seed))
        detector.fit(Seen(chosen, run), run.of_part("latents", TRAIN))
        step = images_at_once(images.shape)
        for start in range(0, len(rows), step):
            pixels = gather(images.test.inputs, rows[start : start + step])
            found = detector.measure(Seen(pixels, run))
            scores.append(found.scores)
            highest.append(np.full(len(pixels), np.nan) if found.maps is None else found.maps.max((1, 2)))
            digests.append(digests_of(pixels))
            tick(min(start + step, len(rows)), len(rows))
    return Fitted(
        run, detector, np.concatenate(scores), np.concatenate(highest).astype(np.float32), np.concatenate(digests)
    )


def images_at_once(shape: tuple[int, int, int]) -> int:
    """How many images (C, H, W) are measured at once."""
    return max(1, BLOCK_VALUES // math.prod(shape))


def normal_classes(images: Dataset) -> tuple[str, ...]:
    """The classes that training saw, which count as normal; none without labels."""
    if images.train.labels is None:
        return ()
    return tuple(images.class_names[k] for k in np.unique(images.train.labels))


def _normal_rows(run: Run, images: Dataset) -> NDArray[np.int64]:
    """Rows of the test part that are normal."""
    labels = images.test.labels
    if labels is None or images.train.labels is None:
        return np.arange(len(images.test))
    rows: NDArray[np.int64] = np.flatnonzero(np.isin(labels, np.unique(images.train.labels)))
    if not len(rows):
        raise RunError(
            f"{run.path}: has no normal images that training did not see, to calibrate on: its test part has none of the classes"
            f" {listed(normal_classes(images))}; add some to the test part and train again"
        )
    return rows


def digests_of(pixels: NDArray[Any]) -> NDArray[np.str_]:
    """The content of each image (N, C, H, W) as a short text, by which copies are found."""
    return np.array([hashlib.blake2b(np.ascontiguousarray(one).data, digest_size=12).hexdigest() for one in pixels])
