"""The features that a given encoder sees in a run's images, kept in the run, and what they say of classes and of other images."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import blocks
from latens.encoders import Encoder, encoder_of
from latens.errors import UsageError
from latens.images import Dataset
from latens.images.pixels import to_floats
from latens.metrics import Scores
from latens.metrics.given_features import K, score_classes
from latens.metrics.votes import vote
from latens.neighbours import Neighbours
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import TEST, TRAIN

__all__ = ["GivenFeatures", "RunFeatures", "features_of_run"]

AT_ONCE = 32  # images; an encoder enlarges them to a few hundred pixels a side
CHECKED = 4  # images by which kept features are compared with what the encoder gives now
ALIKE = 1e-3  # share of the length of a feature vector that another batch or thread may change

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class RunFeatures:
    """The features of a run's images.

    Args:
        run: whose images.
        encoder: which sees them.
        seen: as the encoder gives them, float32 (N, F), in the order of latens.npz: the train part, then the test part.
    """

    run: Run
    encoder: Encoder
    seen: Floats

    @property
    def name(self) -> str:
        """The encoder as it was asked for."""
        return self.encoder.name

    @property
    def vectors(self) -> Floats:
        """As they are compared: each feature in units of its spread over the train images, each vector of length 1, (N, F)."""
        return self.compared(self.seen)

    def compared(self, seen: Floats) -> Floats:
        """Other images' features (M, F) in the same units."""
        train = self.seen[self.run.latents["part"] == TRAIN]
        mean, spread = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
        used = spread > 1e-6 * max(float(spread.max()), float(np.finfo(np.float32).tiny))
        units = (seen[:, used] - mean[used]) / spread[used] if used.any() else np.zeros((len(seen), 1))
        lengths = np.linalg.norm(units, axis=1, keepdims=True)
        found: Floats = (units / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32)
        return found

    def of_part(self, part: int | None) -> Floats:
        """`vectors` of one part, or of all images for None."""
        return self.vectors if part is None else self.vectors[self.run.latents["part"] == part]

    def of(self, pixels: NDArray[Any]) -> Floats:
        """What the encoder sees in images as the model takes them, (M, C, H, W) -> float32 (M, F).

        Raises:
            UsageError: the encoder fails.
        """
        return seen_by(self.encoder, self.run.shown)(pixels)

    def class_scores(self) -> Scores:
        """How many of the test images have the class of their neighbours, among features and among latents."""
        run = self.run
        labels = [run.labels_of(part) for part in (TRAIN, TEST)]
        return score_classes(
            [self.of_part(part) for part in (TRAIN, TEST)],
            [run.of_part("latents", part) for part in (TRAIN, TEST)],
            labels,
            self.name,
        )


class GivenFeatures:
    """The features of a given encoder as those by which images are compared; see `latens.metrics.inputs.FeatureFunction`.

    Args:
        found: of the run whose images they are compared with.
    """

    def __init__(self, found: RunFeatures) -> None:
        self.found = found
        self._train: Neighbours | None = None

    @property
    def protocol(self) -> str:
        """The encoder's name, as protocols have it."""
        return self.found.name

    def __call__(self, pixels: Any) -> Floats:
        """The features of images as the model takes or gives them, (M, C, H, W) -> float32 (M, F); see `RunFeatures.compared`.

        Raises:
            UsageError: the encoder fails.
        """
        return self.found.compared(self.found.of(np.asarray(pixels)))

    def classify(self, pixels_or_features: Any) -> NDArray[np.int64] | None:
        """The class of most of the five train images with the nearest features, int64 (M,); None without labels."""
        labels = self.found.run.labels_of(TRAIN)
        if labels is None:
            return None
        features = pixels_or_features if getattr(pixels_or_features, "ndim", 0) == 2 else self(pixels_or_features)
        if self._train is None:
            self._train = Neighbours(self.found.of_part(TRAIN))
        found: NDArray[np.int64] = vote(labels[self._train.nearest(features, min(K, len(labels)))[1]])
        return found


def seen_by(encoder: Encoder, shown: Callable[[NDArray[Any]], NDArray[Any]]) -> Callable[[NDArray[Any]], Floats]:
    """A function from images as a model takes them to their features (M, F).

    Args:
        encoder: it gets them as they are shown, with one or three channels.
        shown: see `Run.shown`.
    """

    def see(pixels: NDArray[Any]) -> Floats:
        found = [encoder.vectors(to_floats(shown(block))) for block in blocks(pixels, AT_ONCE)]
        if len({one.shape[1] for one in found}) > 1:
            raise UsageError(f"features {encoder.name}: gives another number of features from one batch to the next")
        return np.concatenate(found)

    return see


def features_of_run(
    run: Run, features: Any, images: Dataset | None = None, progress: Progress | None = None
) -> RunFeatures:
    """The features of a run's own images: kept ones, where the encoder still gives the same, or new ones, which are kept.

    Args:
        run: with latents.
        features: an encoder, see `latens.encoders`.
        images: of the run; by default they are loaded.
        progress: shows the progress.

    Raises:
        UsageError: no such encoder, or it fails.
        MissingExtra: a package that it needs is not installed.
        RunError: the run has no latents yet, or its images have changed.
    """
    if isinstance(features, RunFeatures):
        return features
    encoder = encoder_of(features)
    images = run.images if images is None else images
    see, num, file = seen_by(encoder, run.shown), len(run.latents["part"]), f"features/{_slug(encoder.name)}.npz"
    first = see(images.train.inputs[:CHECKED])
    if file in run.record["files"]:
        kept = run.folder.load(file).get("features")
        if kept is not None and kept.shape == (num, first.shape[1]) and _alike(kept[: len(first)], first):
            return RunFeatures(run, encoder, kept)
    found, done = np.empty((num, first.shape[1]), np.float32), 0
    with (progress or Silent()).stage("given features", "images") as tick:
        for part in (images.train, images.test):
            for pixels in blocks(part.inputs, AT_ONCE):
                found[done : done + len(pixels)] = see(pixels)
                tick(done := done + len(pixels), num)
    run.write_arrays(file, {"features": found, "encoder": np.array(encoder.name)})
    return RunFeatures(run, encoder, found)


def _alike(kept: Floats, now: Floats) -> bool:
    return bool((np.linalg.norm(kept - now, axis=1) <= ALIKE * np.linalg.norm(now, axis=1)).all())


def _slug(name: str) -> str:
    """A name as a part of a file name. Two encoders of one name write over each other's, which `_alike` notices."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")[-80:] or "encoder"
