"""The review of a run's own images: findings are computed, kept in the run as review.csv, and read again."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import blocks, gather
from latens.computed.given_features import features_of_run
from latens.computed.review.duplicates import near_duplicates
from latens.computed.review.labels import doubtful_labels
from latens.computed.review.moved import moved_duplicates
from latens.computed.review.outliers import picture_statistics, strangeness, variances
from latens.computed.with_images import kept_with
from latens.errors import RunDamaged, UsageError
from latens.images import Dataset
from latens.images.pixels import in_unit
from latens.metrics.inputs import Arrays
from latens.neighbours import nearest_neighbours, reach_of
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import TRAIN

__all__ = ["FEWEST", "FILE", "KINDS", "Finding", "Review", "kept_neighbours", "picker", "read_review", "review_run"]

FILE = "review.csv"
NEAR = "neighbours.npz"
STORED = 16  # nearest of each, that a run keeps
KINDS = ("worst-rebuilt", "far-from-all", "near-duplicate", "doubtful-label")
PARTS = ("train", "test")
NEIGHBOURS = 50  # of each picture; for outliers: more than there may be odd images of one kind
CANDIDATES = 10  # nearest in latent space, of which a duplicate is one
KEPT = 100  # findings of a kind that a run keeps at least
ROWS = 4096  # of images at a time
FEWEST = 10  # images; with fewer there is nothing to compare with


@dataclass(frozen=True)
class Finding:
    """One picture, or pair of pictures, that is worth a look.

    Args:
        kind: one of `KINDS`.
        row: of the picture in latents.npz: the train part, then the test part.
        id: its file name, or number.
        part: `"train"` or `"test"`.
        label: name of its class; empty without labels.
        score: worst-rebuilt: the mean squared error; far-from-all: see `strangeness`; near-duplicate: the distance of the two as
            a share of what is usual between neighbours; doubtful-label: see `doubtful_labels`.
        suggested: doubtful-label: the class that the neighbours have.
        other_row: near-duplicate: the other picture; -1 elsewhere.
        other_id: its name.
        other_part: its part.
        other_label: its class.
    """

    kind: str
    row: int
    id: str
    part: str
    label: str
    score: float
    suggested: str = ""
    other_row: int = -1
    other_id: str = ""
    other_part: str = ""
    other_label: str = ""

    @property
    def across_parts(self) -> bool:
        """Whether it is a pair of which one picture is in the train part and the other in the test part."""
        return self.other_row >= 0 and self.part != self.other_part

    @property
    def image(self) -> str:
        """The name of the image, or of the two, each with its part."""
        return f"{self.part} {self.id}" + (f" and {self.other_part} {self.other_id}" if self.other_row >= 0 else "")

    @property
    def labelled(self) -> str:
        """Its label, with the one that is suggested, or that of the other picture where that is another."""
        other = self.suggested or (self.other_label if self.other_label != self.label else "")
        return f"{self.label} → {other}" if self.suggested else f"{self.label}, {other}" if other else self.label


@dataclass(frozen=True)
class Review:
    """All findings, kind by kind, in each the most striking first.

    Args:
        findings: what was found.
        num_images: among how many.
        features: the encoder by whose features neighbours were found; empty for the latents.
    """

    findings: tuple[Finding, ...]
    num_images: int
    features: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of findings that there are, in the order of `KINDS`."""
        return tuple(kind for kind in KINDS if self.of_kind(kind))

    def of_kind(self, kind: str) -> tuple[Finding, ...]:
        """The findings of one of the `KINDS`."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def first(self, most: int) -> "Review":
        """The same with at most so many findings of each kind."""
        findings = tuple(finding for kind in self.kinds for finding in self.of_kind(kind)[:most])
        return replace(self, findings=findings)

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        findings = [asdict(finding) for finding in self.findings]
        return {"num_images": self.num_images, "features": self.features, "findings": findings}

    def as_csv(self) -> str:
        """A table with a line of names, one row a finding."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["num_images", *(field.name for field in fields(Finding)), "features"])
        table.writerows([self.num_images, *vars(finding).values(), self.features] for finding in self.findings)
        return text.getvalue()


def review_run(
    run: Run,
    images: Dataset | None = None,
    *,
    most: int = 100,
    features: Any = None,
    progress: Progress | None = None,
) -> Review:
    """Find the images of a run, train and test, that a person should look at, and keep them in the run.

    The model is not needed: latents and errors are read from the run. There are at most `most` doubtful labels
    and near-duplicates, and always `most` of the worst reconstructions and of the outliers.

    Args:
        run: with latents.
        images: what it was trained on; by default they are loaded again.
        most: findings of a kind that are returned, at least 1; the run keeps 100 at least.
        features: an encoder, see `latens.encoders`: neighbours are those in its features, in place of the latents, for
            all but the worst reconstructions.
        progress: shows how far it is.

    Raises:
        UsageError: `most` below 1, or fewer than ten pictures; or there is no such encoder, or it fails.
        RunError: the run has no latents yet, or its images have changed.
    """
    images = run.images if images is None else images
    latents, errors = run.latents["latents"], run.latents["squared_error"]
    if most < 1 or len(latents) < FEWEST:
        raise UsageError(f"{most} findings of {len(latents)} images: at least 1, of at least {FEWEST}, are needed")
    asked, most = most, max(most, KEPT)
    found = None if features is None else features_of_run(run, features, images, progress)
    points = latents if found is None else found.vectors
    with (progress or Silent()).stage("review", "steps") as tick:
        tick(0, 4, "neighbours")
        neighbours = nearest_neighbours(points, k=min(NEIGHBOURS, len(points) - 1), exact=False)
        about = _Describer(run)
        findings = [about.finding("worst-rebuilt", row, errors) for row in _largest(errors, most)]
        tick(1, 4, "far from all others")
        strange = strangeness(latents, neighbours[0][:, -1], errors, _spreads(images), _statistics(images))
        findings += [about.finding("far-from-all", row, strange) for row in _largest(strange, most)]
        tick(2, 4, "near-duplicates")
        pick = picker(images)
        pairs, shares = near_duplicates(pick, neighbours[1][:, :CANDIDATES])
        moved, of_moved = _moved(images, pick, len(latents), pairs, progress or Silent())
        findings += about.pairs(np.concatenate([pairs, moved]), np.concatenate([shares, of_moved]), most)
        tick(3, 4, "doubtful labels")
        findings += _doubtful(points, about, neighbours, most)
    review = Review(tuple(findings), len(latents), "" if found is None else found.name)
    run.save(FILE, review.as_csv().encode())
    if found is None and len(latents) > NEIGHBOURS:
        near, reach = neighbours[1][:, :STORED].astype(np.int32), reach_of(neighbours[0], STORED)
        run.write_arrays(NEAR, {"near": near, "reach": reach, "latents": _digest(run)})
    return review.first(asked)


def _moved(
    images: Dataset,
    pick: Callable[[NDArray[Any]], NDArray[Any]],
    num: int,
    known: NDArray[np.int64],
    progress: Progress,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The pairs of `moved_duplicates` that are not known; they are looked for once, and kept with the images."""

    def found() -> Arrays:
        pairs, shares = moved_duplicates(pick, num)
        return {"pairs": pairs, "shares": shares}

    kept = kept_with(images, progress)("moved duplicates", found)
    pairs, shares = kept["pairs"], kept["shares"]
    new = ~np.isin(pairs @ [num, 1], known @ [num, 1])
    return pairs[new], shares[new]


def kept_neighbours(run: Run) -> tuple[NDArray[np.int32], NDArray[np.float32]] | None:
    """The nearest others of each latent that the review of a run has found, train and test together.

    Returns:
        Their rows, (N, 16), and up to which distance these are all, (N,), see `latens.neighbours.reach_of`; None where the run
        was not reviewed, or has other latents since.

    Raises:
        RunDamaged: the file is not what was written.
    """
    if NEAR not in run.record["files"]:
        return None
    found = run.folder.load(NEAR, ("near", "reach", "latents"))
    return None if found["latents"] != _digest(run) else (found["near"], found["reach"])


def _digest(run: Run) -> NDArray[Any]:
    """What tells the latents of a run from others."""
    return np.array(run.record["files"].get("latents.npz", ""))


def read_review(run: Run) -> Review:
    """The review that is kept in a run.

    Raises:
        RunError: it was not reviewed yet.
        RunDamaged: its file is not what was written.
    """
    path = run.checked(FILE)
    kinds = {"row": int, "score": float, "other_row": int}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        findings = [
            Finding(**{field.name: kinds.get(field.name, str)(row[field.name]) for field in fields(Finding)})
            for row in rows
        ]
        return Review(tuple(findings), int(rows[0]["num_images"]), rows[0].get("features", ""))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise RunDamaged(f"{path}: not readable as a review ({error})") from None


def _largest(values: NDArray[Any], most: int) -> NDArray[np.int64]:
    return np.argsort(-values, kind="stable")[:most]


def _spreads(images: Dataset) -> NDArray[np.float64]:
    """How much there is to reconstruct in each image: its mean squared difference from the mean train image."""
    train = images.train.inputs
    total = sum(block.sum(0, dtype=np.float64) for block in blocks(train, ROWS)) / len(train)
    mean = in_unit(total) if train.dtype.kind == "u" else total
    return np.concatenate([variances(part.inputs, mean) for part in (images.train, images.test)])


def _statistics(images: Dataset) -> NDArray[np.float64]:
    return np.concatenate([picture_statistics(part.inputs) for part in (images.train, images.test)])


def picker(images: Dataset) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """A function that gives the images of some rows of both parts, one after the other: uint8, or floats in [0, 1]."""
    train, test = images.train.inputs, images.test.inputs
    first = len(train)

    def pick(rows: NDArray[Any]) -> NDArray[Any]:
        result = np.empty((len(rows), *images.shape), train.dtype)
        of_train = rows < first
        result[of_train] = gather(train, rows[of_train])
        result[~of_train] = gather(test, rows[~of_train] - first)
        return result

    return pick


def _doubtful(points: NDArray[Any], about: "_Describer", neighbours: Any, most: int) -> Iterator[Finding]:
    if about.labels is None:
        return
    doubt, suggested = doubtful_labels(points, about.labels, neighbours)
    for row in _largest(np.nan_to_num(doubt, nan=-np.inf, posinf=np.inf), most):
        if doubt[row] > 0:
            yield about.finding("doubtful-label", row, doubt, suggested=about.class_name(suggested[row]))


class _Describer:
    """The names of rows of latents.npz."""

    def __init__(self, run: Run) -> None:
        self.ids, self.names = run.latents["ids"], run.class_names
        self.parts = np.where(run.latents["part"] == TRAIN, *PARTS)
        self.labels = run.labels_of(None)

    def class_name(self, label: int) -> str:
        return self.names[label] if 0 <= label < len(self.names) else ""

    def names_of(self, row: int) -> tuple[int, str, str, str]:
        label = "" if self.labels is None else self.class_name(int(self.labels[row]))
        return int(row), str(self.ids[row]), str(self.parts[row]), label

    def finding(self, kind: str, row: int, scores: NDArray[Any], **more: Any) -> Finding:
        return Finding(kind, *self.names_of(row), float(scores[row]), **more)

    def pairs(self, pairs: NDArray[Any], shares: NDArray[Any], most: int) -> Iterator[Finding]:
        for (row, other), share in zip(pairs[:most], shares[:most], strict=True):
            yield Finding("near-duplicate", *self.names_of(row), float(share), "", *self.names_of(other))
