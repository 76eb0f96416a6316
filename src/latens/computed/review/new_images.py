"""Review of new images by a run: which are near-duplicates of its images or of each other, odd, or doubtful in their label."""

import csv
import io
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import blocks, drawn_rows, gather
from latens.computed.given_features import features_of_run
from latens.computed.given_images import GivenImages
from latens.computed.review.duplicates import near_duplicates
from latens.computed.review.findings import CANDIDATES, FEWEST, NEIGHBOURS, picker
from latens.computed.review.labels import doubtful_labels
from latens.computed.review.outliers import Views, picture_statistics, strangeness_of_new, variances
from latens.errors import UsageError
from latens.images import Dataset
from latens.images.pixels import to_floats
from latens.latents import decode_latents, encode_images
from latens.neighbours import Neighbours, nearest_neighbours
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import TEST, TRAIN
from latens.text import counted, shown

__all__ = ["KINDS_OF_NEW", "NewImage", "NewReview", "review_new"]

FALSE_ALARMS = 0.01  # share of usual images that are called odd
MOST_USUAL = 10_000  # train images that say what is usual
ROWS = 4096
KINDS_OF_NEW = ("near-duplicate", "odd", "doubtful-label")


@dataclass(frozen=True)
class NewImage:
    """What was found about one new image.

    Args:
        id: its file name, or number.
        label: name of its class; empty without labels.
        odd: whether it is farther from the run's images than nearly all of its test images are.
        odd_score: see `latens.computed.review.strangeness`; higher is odder.
        p_value: the share of the run's test images that are at least as odd, itself counted.
        squared_error: of its reconstruction, mean over pixels.
        duplicate_of: the id of the image that it is nearly the same as; empty if there is none.
        duplicate_part: `"train"`, `"test"`, or `"new"` for another of the new images.
        duplicate_distance: their distance as a share of what is usual between neighbours; NaN if there is none.
        doubtful: whether its neighbours contradict its label.
        doubt: see `doubtful_labels`; NaN where there are no labels, or too few of its class.
        suggested: the class that its neighbours have, where its label is doubtful.
    """

    id: str
    label: str
    odd: bool
    odd_score: float
    p_value: float
    squared_error: float
    duplicate_of: str = ""
    duplicate_part: str = ""
    duplicate_distance: float = float("nan")
    doubtful: bool = False
    doubt: float = float("nan")
    suggested: str = ""


@dataclass(frozen=True, eq=False)
class NewReview:
    """The review of new images.

    Args:
        images: what was found about each, in their own order.
        pixels: of each, as the model takes them, (N, C, H, W).
        partners: rows of near-duplicates: of each image the row of the other one, counted through the run's images and then
            the new ones; -1 where there is none, int64 (N,).
        num_run: images of the run that they were compared with.
        notes: what a user should be told.
        features: the encoder by whose features neighbours were found; empty for the latents.
    """

    images: tuple[NewImage, ...]
    pixels: np.ndarray
    partners: NDArray[np.int64]
    num_run: int
    notes: tuple[str, ...] = ()
    features: str = ""

    def rows_of(self, kind: str) -> list[int]:
        """Rows of the `"odd"`, `"near-duplicate"` or `"doubtful-label"` ones, the most striking first."""
        if kind == "odd":
            rows = [row for row, one in enumerate(self.images) if one.odd]
            return sorted(rows, key=lambda row: -self.images[row].odd_score)
        if kind == "near-duplicate":
            rows = [row for row, one in enumerate(self.images) if one.duplicate_of]
            return sorted(rows, key=lambda row: self.images[row].duplicate_distance)
        rows = [row for row, one in enumerate(self.images) if one.doubtful]
        return sorted(rows, key=lambda row: -self.images[row].doubt)

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists; NaN is None."""
        images = [
            {name: None if value != value else value for name, value in asdict(one).items()} for one in self.images
        ]
        counts = {kind: len(self.rows_of(kind)) for kind in KINDS_OF_NEW}
        return {
            "num_images": len(images),
            "num_run": self.num_run,
            "features": self.features,
            **counts,
            "images": images,
            "notes": list(self.notes),
        }

    def as_csv(self) -> str:
        """A table with a line of names, one row an image; what is not known is empty."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow([field.name for field in fields(NewImage)])
        table.writerows(["" if value != value else value for value in asdict(one).values()] for one in self.images)
        return text.getvalue()


def review_new(
    run: Run, source: Any, *, features: Any = None, progress: Progress | None = None, **reading: Any
) -> NewReview:
    """Review images that a run has not seen: near-duplicates of its images or of each other, odd ones, doubtful labels.

    Odd is what is farther from the run's images than 99 % of its test images are, or than all of them where there are fewer than
    99. Labels are compared with those of the run by the names of the classes.

    Args:
        run: complete, with its images.
        source: as for `load_images`; one file will do; or `Images`.
        features: an encoder, see `latens.encoders`: neighbours are those in its features, in place of the latents.
        progress: shows how far it is.
        **reading: how the images are read: `strict`, `table`, `value_range`, `pages` and others of `GivenImages`.

    Raises:
        UsageError: the run has fewer than ten test images to compare with, or the source is a run's folder; or there is no such
            encoder, or it fails.
        RunError: the run has no latents yet, or its images have changed.
        ImagesError: the new images can't be read.
    """
    stored, images = run.latents, run.images
    num, test = len(stored["latents"]), stored["part"] == TEST
    if int(test.sum()) < FEWEST:
        raise UsageError(
            f"{shown(run.path)}: {counted(int(test.sum()), 'test image')}; what is usual is learned from at least {FEWEST}"
        )
    given = GivenImages(run, source, **reading)
    seen = None if features is None else features_of_run(run, features, images, progress)
    points = stored["latents"] if seen is None else seen.vectors
    with (progress or Silent()).stage("review", "steps") as tick:
        tick(0, 4, "new images")
        pixels, ids, latents, errors, labels = _encoded(run, given)
        tick(1, 4, "far from all others")
        of_new = latents if seen is None else seen.compared(seen.of(pixels))
        usual, held_out, new = _views(run, images, pixels, latents, errors, points, of_new)
        usual_scores, scores = strangeness_of_new(usual, held_out), strangeness_of_new(usual, new)
        at_least = len(usual_scores) - np.searchsorted(np.sort(usual_scores), scores, side="left")
        p_values = (1 + at_least) / (len(usual_scores) + 1)
        tick(2, 4, "near-duplicates")
        every = np.concatenate([points, of_new])
        neighbours = nearest_neighbours(every, k=min(NEIGHBOURS, len(every) - 1), exact=False)
        partners, shares = _nearest_copies(images, pixels, num, neighbours[1][:, :CANDIDATES])
        tick(3, 4, "doubtful labels")
        doubt, suggested, own = _doubts(run, given, every, labels, neighbours)
    limit = max(FALSE_ALARMS, 1 / (len(usual_scores) + 1))
    every_id = np.concatenate([stored["ids"].astype(str), ids])
    parts = np.concatenate([np.where(stored["part"] == TRAIN, "train", "test"), np.full(len(ids), "new")])
    found = []
    for row, id in enumerate(ids.tolist()):
        one = NewImage(
            id, own[row], bool(p_values[row] <= limit), float(scores[row]), float(p_values[row]), float(errors[row])
        )
        if (other := int(partners[row])) >= 0:
            copied, part = str(every_id[other]), str(parts[other])
            one = replace(one, duplicate_of=copied, duplicate_part=part, duplicate_distance=float(shares[row]))
        found.append(replace(one, doubtful=bool(doubt[row] > 0), doubt=float(doubt[row]), suggested=suggested[row]))
    return NewReview(tuple(found), pixels, partners, num, tuple(given.notes), "" if seen is None else seen.name)


def _encoded(run: Run, given: GivenImages) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Pixels, ids, latents, squared errors and labels of the new images."""
    pixels, ids, latents, errors, labels = [], [], [], [], []
    for block in given.blocks():
        z = encode_images(run.model, block.pixels)
        difference = decode_latents(run.model, z) - to_floats(block.pixels)
        pixels.append(np.array(block.pixels))
        ids.append(block.ids)
        latents.append(z)
        errors.append(np.square(difference).mean(axis=(1, 2, 3)))
        if block.labels is not None:
            labels.append(block.labels)
    return (
        np.concatenate(pixels),
        np.concatenate(ids).astype(str),
        np.concatenate(latents),
        np.concatenate(errors),
        np.concatenate(labels) if labels else None,
    )


def _views(
    run: Run,
    images: Dataset,
    pixels: np.ndarray,
    latents: np.ndarray,
    errors: np.ndarray,
    points: np.ndarray,
    of_new: np.ndarray,
) -> tuple[Views, Views, Views]:
    """What the oddity is seen by: of train images, which say what is usual, of the run's test images, and of the new ones.

    Neighbours are those among `points` of the run and `of_new`: latents, or the features of a given encoder.
    """
    train, part = run.of_part("latents", TRAIN), run.latents["part"]
    near = Neighbours(np.ascontiguousarray(points[part == TRAIN], np.float32))
    k = min(NEIGHBOURS, len(train))
    inputs = images.train.inputs
    mean = sum(to_floats(block).sum(0, dtype=np.float64) for block in blocks(inputs, ROWS)) / len(inputs)

    def views(z: np.ndarray, squared: np.ndarray, some: np.ndarray, at: np.ndarray) -> Views:
        distances = near.nearest(np.ascontiguousarray(at, np.float32), k)[0][:, -1]
        return Views(z, distances, squared, variances(some, np.asarray(mean)), picture_statistics(some))

    rows = drawn_rows(len(train), MOST_USUAL)
    usual = views(
        train[rows], run.of_part("squared_error", TRAIN)[rows], gather(inputs, rows), points[part == TRAIN][rows]
    )
    held_out = views(
        run.of_part("latents", TEST), run.of_part("squared_error", TEST), images.test.inputs, points[part == TEST]
    )
    return usual, held_out, views(latents, errors, pixels, of_new)


def _nearest_copies(
    images: Dataset, pixels: np.ndarray, num: int, neighbours: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each new image the row that it is a near-duplicate of, -1 for none, and how near: one of the run's, if there is one."""
    of_run = picker(images)

    def pick(rows: NDArray[Any]) -> NDArray[Any]:
        # As floats, since a source of other pixels than the run's is read as floats beside its bytes.
        result = np.empty((len(rows), *pixels.shape[1:]), np.float32)
        new = rows >= num
        result[~new], result[new] = to_floats(of_run(rows[~new])), to_floats(pixels[rows[new] - num])
        return result

    partners, shares = np.full(len(pixels), -1), np.full(len(pixels), np.nan)
    pairs, found = near_duplicates(pick, neighbours)
    for (first, second), share in zip(pairs.tolist(), found.tolist(), strict=True):
        for row, other in ((first, second), (second, first)):
            if row >= num and (partners[row - num] < 0 or (other < num <= partners[row - num])):
                partners[row - num], shares[row - num] = other, share
    return partners, shares


def _doubts(
    run: Run, given: GivenImages, every: np.ndarray, labels: np.ndarray | None, neighbours: Any
) -> tuple[NDArray[np.float64], list[str], list[str]]:
    """Of each new image the doubt in its label, the class that its neighbours suggest, and the name of its own."""
    known = run.labels_of(None)
    count = len(every) - len(run.latents["latents"])
    if labels is None:
        return np.full(count, np.nan), [""] * count, [""] * count
    numbers, names = given.numbered(labels)
    own = [str(names[label]) for label in numbers]
    if known is None:
        return np.full(count, np.nan), [""] * count, own
    doubt, other = doubtful_labels(every, np.concatenate([known, numbers]), neighbours)
    doubt, other = doubt[-count:], other[-count:]
    return (
        doubt,
        [str(names[label]) if label >= 0 and value > 0 else "" for value, label in zip(doubt, other, strict=True)],
        own,
    )
