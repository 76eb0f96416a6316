"""`detect`: how odd new images are, where, and how sure that is, by a run of normal images."""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows, gather
from latens.computed.encoding import read_for_run, refuse_run_folder
from latens.detection.conformal import decide, least_false_alarms, p_values
from latens.detection.contract import Detector, Floats, Seen
from latens.errors import RunError, UsageError
from latens.images import Dataset, Images
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.tables import Table
from latens.text import counted, listed

__all__ = ["DEFAULT_DETECTOR", "DETECTORS", "USUAL_FALSE_ALARMS", "Block", "Detection", "normal_classes", "prepare"]

DETECTORS: Table[type[Detector]] = Table(
    "detector",
    {
        "combined": "latens.detection.combined:CombinedDetector",
        "reconstruction": "latens.detection.reconstruction:ReconstructionDetector",
        "structural": "latens.detection.structural:StructuralDetector",
        "neighbours": "latens.detection.neighbours:NeighboursDetector",
        "features": "latens.detection.patches:FeaturesDetector",
    },
    group="detectors",
)
"""Name -> class of `Detector`, made without arguments."""

DEFAULT_DETECTOR = "combined"
USUAL_FALSE_ALARMS = 0.01
FITTED = 2000  # train images that a detector learns from, at most
FITTED_VALUES = 1 << 25  # pixels of them, at most
CALIBRATED = 10_000  # images, at most: p-values down to 1 in 10,000 are fine enough
BLOCK_VALUES = 1 << 21  # pixels of a block
FEWEST_NORMAL = 8  # train images; of fewer no spread can be told


@dataclass(frozen=True, eq=False)
class Block:
    """What was found of some images.

    Args:
        ids: str (B,).
        pixels: (B, C, H, W), as the model takes them.
        scores: float64 (B,); higher is odder.
        p_values: float64 (B,).
        odd: bool (B,), the decision.
        maps: float32 (B, H, W), or None.
        seen: the same images with their reconstructions.
        labels: int64 (B,) by the class names of the source, or None.
    """

    ids: NDArray[np.str_]
    pixels: NDArray[Any]
    scores: NDArray[np.float64]
    p_values: NDArray[np.float64]
    odd: NDArray[np.bool_]
    maps: Floats | None
    seen: Seen
    labels: NDArray[np.int64] | None


@dataclass(eq=False)
class Detection:
    """A detector that was fitted to a run's normal images and calibrated on those that training did not see.

    Args:
        run: whose model encodes and decodes.
        detector: fitted.
        name: of the detector.
        calibration: float64 (n,), scores of normal images that neither saw.
        false_alarms: α of the decision.
        level: of a map, above which a place of a normal image rarely lies: the (1 - α) quantile of each image's highest place.
        notes: for the user, a sentence each.
    """

    run: Run
    detector: Detector
    name: str
    calibration: NDArray[np.float64]
    false_alarms: float
    level: float
    notes: list[str]

    @property
    def threshold(self) -> float:
        """The least score that is called odd."""
        n = len(self.calibration)
        allowed = math.floor(self.false_alarms * (n + 1) * (1 + 1e-12)) - 1  # calibration images at or above an odd score
        ordered = np.sort(self.calibration)[::-1]
        return float(np.nextafter(ordered[allowed], np.inf))

    def of(self, pixels: NDArray[Any], ids: Sequence[str] | None = None, labels: Any = None) -> Block:
        """What is found of images (B, C, H, W) of the model's shape and type; all at once in memory."""
        seen = Seen(pixels, self.run)
        measured = self.detector.measure(seen)
        p = p_values(self.calibration, measured.scores)
        odd = decide(p, self.false_alarms, len(self.calibration))
        names = np.arange(len(pixels)).astype(str) if ids is None else np.asarray(ids, dtype=str)
        return Block(names, pixels, measured.scores, p, odd, measured.maps, seen, labels)


def prepare(
    run: Run,
    *,
    method: str = DEFAULT_DETECTOR,
    false_alarms: float | None = None,
    features: str | None = None,
    left_out: Callable[[Images], NDArray[np.bool_]] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Detection:
    """Fit a detector to the normal images of a run, and calibrate it on those that training did not see.

    Normal are all images of the train part; of the test part those whose class is one of the train part's.

    Args:
        run: with a model and its images.
        method: a name of `DETECTORS`.
        false_alarms: the share of normal images that may be called odd, 0.01 by default. If there are too few images for
            that default, the least possible is taken, and said.
        features: of the detector `features`: an encoder, see `latens.features.encoders`.
        left_out: which images may not be used to calibrate, bool (N,): those that will be detected.
        seed: of the draw of images.
        progress: shows the progress.

    Raises:
        UnknownName: there is no such detector.
        UsageError: too few normal images for the `false_alarms` that was asked for.
        RunError: the run has no model, or too few normal images.
    """
    progress = progress or Silent()
    kind = DETECTORS[method]
    images = run.images
    if len(images.train) < FEWEST_NORMAL:
        raise RunError(f"{run.path}: was trained on {len(images.train)} images; detect needs {FEWEST_NORMAL} or more")
    detector = kind(features) if features is not None else kind()
    chosen = drawn_rows(len(images.train), min(FITTED, max(FEWEST_NORMAL, FITTED_VALUES // math.prod(images.shape))), seed)
    with progress.stage("normal images", "images") as tick:
        detector.fit(Seen(gather(images.train.pixels, chosen), run), run.of_part("latents", 0))
        rows = _calibration_rows(run, images, left_out)
        if len(rows) > CALIBRATED:
            rows = rows[drawn_rows(len(rows), CALIBRATED, seed)]
        scores, highest = [], []
        size = max(1, BLOCK_VALUES // math.prod(images.shape))
        for start in range(0, len(rows), size):
            found = detector.measure(Seen(gather(images.test.pixels, rows[start : start + size]), run))
            scores.append(found.scores)
            if found.maps is not None:
                highest.append(found.maps.max((1, 2)))
            tick(min(start + size, len(rows)), len(rows))
    calibration = np.concatenate(scores)
    notes: list[str] = []
    alpha = _allowed(false_alarms, len(calibration), notes)
    decide(np.ones(1), alpha, len(calibration))  # an α that is out of reach is refused before any work on new images
    level = float(np.quantile(np.concatenate(highest), 1 - alpha)) if highest else math.nan
    return Detection(run, detector, method, calibration, alpha, level, notes)


def _allowed(asked: float | None, num: int, notes: list[str]) -> float:
    if asked is not None:
        return float(asked)
    if least_false_alarms(num) <= USUAL_FALSE_ALARMS:
        return USUAL_FALSE_ALARMS
    least = math.ceil(least_false_alarms(num) * 1000) / 1000
    notes.append(
        f"with {counted(num, 'normal image')} that training did not see, {least:.1%} false alarms are the fewest that can be"
        f" promised; {round(1 / USUAL_FALSE_ALARMS) - 1} such images allow {USUAL_FALSE_ALARMS:.0%}"
    )
    return least


def normal_classes(images: Dataset) -> tuple[str, ...]:
    """The classes that training saw, which count as normal; none without labels."""
    if images.train.labels is None:
        return ()
    return tuple(images.class_names[k] for k in np.unique(images.train.labels))


def _calibration_rows(
    run: Run, images: Dataset, left_out: Callable[[Images], NDArray[np.bool_]] | None
) -> NDArray[np.int64]:
    """Rows of the test part that are normal and may be used."""
    test = images.test
    usable = np.ones(len(test), bool)
    if test.labels is not None and images.train.labels is not None:
        usable &= np.isin(test.labels, np.unique(images.train.labels))
    known = int(usable.sum())
    if left_out is not None:
        usable &= ~left_out(test)
    rows: NDArray[np.int64] = np.flatnonzero(usable)
    if not len(rows):
        why = (
            "all of them are among the new images: keep some normal images out of these"
            if known
            else f"its test part has none of the classes {listed(normal_classes(images))}"
        )
        raise RunError(f"{run.path}: has no normal images that training did not see, to calibrate on; {why}")
    return rows


def digests(pixels: NDArray[Any]) -> NDArray[np.str_]:
    """The content of each image (N, C, H, W) as a short text, by which copies are found."""
    return np.array([hashlib.blake2b(np.ascontiguousarray(one).data, digest_size=12).hexdigest() for one in pixels])
