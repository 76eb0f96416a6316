"""`detect_images`: how odd new images are, where, and how sure that is; and `Detections`, the result."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latens.computed.given_images import GivenImages
from latens.detection import DEFAULT_DETECTOR
from latens.detection.contract import Floats
from latens.detection.evaluation import Evaluation, evaluate
from latens.detection.fitted import (
    Calibration,
    Fitted,
    digests_of,
    fit_detector,
    images_at_once,
    normal_classes,
)
from latens.detection.truth import NORMAL_WORDS, masks_of, truth_folder
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.text import counted, listed

__all__ = ["Detections", "Drawn", "detect_images", "drawn", "images_to_judge", "judged"]

MOST_MAP_BYTES = 1 << 30  # of maps that are kept in memory


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found of new images, in their own order.

    Args:
        ids: str (N,).
        scores: float64 (N,); higher is odder.
        p_values: float64 (N,), the share of normal images that are at least as odd; see `latens.detection.conformal`.
        odd: bool (N,), the decision.
        maps: float32 (N, H, W), where each image is odd, in the spread of normal images at that place; or None.
        labels: int64 (N,), indices into `class_names`, or None.
        class_names: of the new images' own classes.
        method: a name of `latens.detection.DETECTORS`.
        calibration: the normal images that p-values and decision rest on.
        evaluation: AUROC and more, where the truth is known; or None.
        notes: for the user, a sentence each.
        fitted: the detector.
        reading: how the new images were read, options of `GivenImages`.
        table: further columns of a table beside the new images, each (N,).
    """

    ids: NDArray[np.str_]
    scores: NDArray[np.float64]
    p_values: NDArray[np.float64]
    odd: NDArray[np.bool_]
    maps: Floats | None
    labels: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    method: str
    calibration: Calibration
    evaluation: Evaluation | None
    notes: tuple[str, ...]
    fitted: Fitted = field(repr=False)
    reading: Mapping[str, Any] = field(default_factory=dict, repr=False)
    table: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Detections({int(self.odd.sum())} of {len(self)} odd, method {self.method!r}, {len(self.calibration)} normal)"

    @property
    def false_alarms(self) -> float:
        """α, the share of normal images that may be called odd."""
        return self.calibration.false_alarms

    @property
    def threshold(self) -> float:
        """A score above this is called odd."""
        return self.calibration.threshold

    @property
    def worst_first(self) -> NDArray[np.int64]:
        """Rows by score, the oddest first, (N,)."""
        order: NDArray[np.int64] = np.argsort(-self.scores, kind="stable")
        return order

    def columns(self) -> dict[str, NDArray[Any]]:
        """What detections.csv holds, each (N,): id, score, p_value, odd, class where there are classes, columns of a table.

        A column of the table that has one of these names is called table_NAME.
        """
        found: dict[str, NDArray[Any]] = {
            "id": self.ids,
            "score": self.scores,
            "p_value": self.p_values,
            "odd": self.odd,
        }
        if self.labels is not None:
            found["class"] = np.array(self.class_names)[self.labels]
        return found | {f"table_{name}" if name in found else name: column for name, column in self.table.items()}

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict an image."""
        columns = self.columns()
        return [
            dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)
        ]

    def to_pandas(self) -> Any:
        """A table with one row an image; pandas is needed."""
        import pandas

        return pandas.DataFrame(self.columns())

    def as_csv(self) -> str:
        """A table with a line of names and one row an image; odd is yes or no."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        columns = self.columns() | {"odd": np.where(self.odd, "yes", "no")}
        table.writerow(columns)
        numbers = {"score": ".6g", "p_value": ".6g"}
        shown = [
            [format(v, numbers[name]) if name in numbers else v for v in c.tolist()] for name, c in columns.items()
        ]
        table.writerows(zip(*shown, strict=True))
        return text.getvalue()

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return {
            "method": self.method,
            "images": len(self),
            "odd": int(self.odd.sum()),
            "false_alarms": self.false_alarms,
            "threshold": self.threshold,
            "calibration_images": len(self.calibration),
            "notes": list(self.notes),
            "evaluation": None if self.evaluation is None else self.evaluation.as_dicts(),
            "detections": self.to_dicts(),
        }


def detect_images(
    run: Run,
    source: Any,
    *,
    method: str = DEFAULT_DETECTOR,
    false_alarms: float | None = None,
    features: Any = None,
    maps: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
    **reading: Any,
) -> Detections:
    """How odd new images are beside the normal ones of a run, where, and how sure that is.

    Args:
        run: complete; trained on normal images.
        source: the new images: as for `load_images`, or one image file, or `Images`. Of a folder in the layout of MVTec
            (`latens.detection.truth`) the test part is taken.
        method: a name of `latens.detection.DETECTORS`.
        false_alarms: the share of normal images that may be called odd; 0.01 by default, or the least that the run's normal
            images allow.
        features: of the method `features`: an encoder, see `latens.encoders`.
        maps: whether to keep the maps of all images.
        seed: of draws.
        progress: shows the progress.
        **reading: how the images are read: `strict`, `table`, `value_range`, `pages` and others of `GivenImages`.

    Returns:
        Scores, p-values, decisions and maps; with AUROC and more where the images' classes tell normal from odd.

    Raises:
        UnknownName: there is no such method.
        UsageError: too few normal images for the `false_alarms` that was asked for.
        RunError: the run has no model or images, or no normal images that training did not see.
        ImagesError: the new images can't be read.
    """
    progress = progress or Silent()
    given = images_to_judge(run, source, reading)
    fitted = fit_detector(run, method, features=features, seed=seed, progress=progress)
    calibration = fitted.calibrated(false_alarms)  # an α that is out of reach is refused before the new images are read
    _, height, width = run.image_shape
    keeps = maps and 4 * given.total * height * width <= MOST_MAP_BYTES
    with progress.stage("detect", "images") as tick:
        found, own = judged(fitted, calibration, given, method=method, maps=keeps, tick=tick)
    notes = [*given.notes, *calibration.notes]
    if own.any():
        notes.append(
            f"{counted(int(own.sum()), 'new image')} are normal test images of the run: each is compared with the others of these"
        )
    if maps and not keeps:
        notes.append("the maps of so many images are not kept in memory; ask for fewer images at a time")
    return _evaluated(replace(found, notes=tuple(notes), reading=reading), run, source, seed)


def judged(
    fitted: Fitted,
    calibration: Calibration,
    given: GivenImages,
    rows: range | None = None,
    *,
    method: str,
    maps: bool = False,
    tick: Callable[[int, int], object] | None = None,
) -> tuple[Detections, NDArray[np.bool_]]:
    """What a detector says of images, all or some rows that follow one another; not evaluated, and without notes.

    Args:
        fitted: the detector.
        calibration: of it.
        given: the images.
        rows: which of them; None means all.
        method: the detector's name.
        maps: whether to keep the maps.
        tick: see `GivenImages.blocks`.

    Returns:
        The detections, and bool (N,), which of the images are among those that the detector is calibrated on.
    """
    ids, scores, digests = [np.empty(0, "U1")], [np.empty(0)], [np.empty(0, "U1")]
    labels: list[NDArray[np.int64]] = []
    columns: dict[str, list[NDArray[Any]]] = {}
    kept: list[Floats] = []
    for block in given.blocks(tick, rows):
        ids.append(block.ids)
        digests.append(digests_of(block.pixels))
        if block.labels is not None:
            labels.append(block.labels)
        for name, column in block.columns.items():
            columns.setdefault(name, []).append(column)
        for _, measured in _measured(fitted, block.pixels):
            scores.append(measured.scores)
            if maps and measured.maps is not None:
                kept.append(measured.maps)
    all_scores, own = np.concatenate(scores), np.isin(np.concatenate(digests), fitted.digests)
    p = calibration.p_values(all_scores, own)
    found = Detections(
        ids=np.concatenate(ids).astype(str),
        scores=all_scores,
        p_values=p,
        odd=calibration.decide(p),
        maps=np.concatenate(kept) if kept else None,
        labels=np.concatenate(labels) if labels else None,
        class_names=tuple(given.class_names),
        method=method,
        calibration=calibration,
        evaluation=None,
        notes=(),
        fitted=fitted,
        table={name: np.concatenate(column) for name, column in columns.items()},
    )
    return found, own


def images_to_judge(run: Run, source: Any, reading: Mapping[str, Any]) -> GivenImages:
    """The new images; of a whole MVTec folder the test part, since its train part was trained on."""
    given = GivenImages(run, source, **reading)
    if truth_folder(source) is None or given.images is not None:
        return given
    return GivenImages(run, source, "test", as_it_is=True, **reading) if "test" in given.parts else given


def _measured(fitted: Fitted, pixels: NDArray[Any]) -> Iterator[Any]:
    step = images_at_once(fitted.run.image_shape)
    for start in range(0, len(pixels), step):
        yield fitted.measure(pixels[start : start + step])


def _evaluated(found: Detections, run: Run, source: Any, seed: int) -> Detections:
    """With AUROC and more, where the classes tell which images are normal."""
    if found.labels is None:
        return found
    usual = set(normal_classes(run.images)) or NORMAL_WORDS
    names = np.array(found.class_names)[found.labels]
    odd = ~np.isin(names, [name for name in found.class_names if name in usual or name.lower() in usual])
    masks = None if found.maps is None else masks_of(run, source, found.ids, odd)
    evaluation = evaluate(found.scores, odd, names, found.maps, masks, seed)
    notes = found.notes + tuple(f"not evaluated: {note}" for note in evaluation.notes)
    if not evaluation.measures:
        notes += (f"normal classes are {listed(sorted(usual))}",) if odd.all() else ()
        return Detections(**{**vars(found), "notes": notes})
    return Detections(**{**vars(found), "evaluation": evaluation, "notes": notes})


class Drawn(NamedTuple):
    """An image to draw: its row, pixels (C, H, W) as the model takes them, and map (H, W) or None."""

    row: int
    pixels: NDArray[Any]
    heat: Floats | None


def drawn(found: Detections, source: Any, rows: NDArray[np.int64]) -> Iterator[Drawn]:
    """Chosen images with their maps, in ascending order; the source is read once more.

    Args:
        found: what `detect_images` gave for this source.
        source: the same.
        rows: int (M,), into `found`.
    """
    wanted, done = np.unique(rows), 0
    for block in images_to_judge(found.fitted.run, source, found.reading).blocks():
        here = wanted[(wanted >= done) & (wanted < done + len(block.ids))] - done
        first, done = done, done + len(block.ids)
        step = images_at_once(found.fitted.run.image_shape)
        for start in range(0, len(here), step):
            some = here[start : start + step]
            pixels = block.pixels[some]
            # Where the maps are too many to be kept, they are made once more.
            maps = found.maps[first + some] if found.maps is not None else found.fitted.measure(pixels)[1].maps
            for k, row in enumerate(some):
                yield Drawn(int(first + row), pixels[k], None if maps is None else maps[k])
