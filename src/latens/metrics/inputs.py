"""What metrics are given: images, latents, and functions of the model, of its samplers and of its maps."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows, gather
from latens.left_out import LeftOut
from latens.metrics.planted import planted_features
from latens.metrics.references import References, prepare_references, some
from latens.metrics.score import Scores
from latens.neighbours import Neighbours
from latens.progress import Progress, Silent

__all__ = ["Arrays", "Drawn", "FeatureFunction", "Inputs", "Kept", "MapOfLatents", "Part", "anew"]

REBUILT = 1_000  # train images whose reconstructions show what the decoder's sharpness allows


Arrays = dict[str, NDArray[Any]]
# What a function of the images alone gives, by its name and settings.
Kept = Callable[[str, Callable[[], Arrays]], Arrays]


def anew(name: str, compute: Callable[[], Arrays]) -> Arrays:
    """What `compute` gives; nothing is kept."""
    return compute()


class FeatureFunction(Protocol):
    """A fixed function from images (N, C, H, W) to features (N, F); `latens.features.Features` is one."""

    @property
    def protocol(self) -> str:
        """Its name, and the first digits of the digest of its weights."""
        ...

    def __call__(self, pixels: Any) -> NDArray[np.float32]:
        """The features of images, uint8 or float in [0, 1]."""
        ...

    def classify(self, pixels_or_features: Any) -> NDArray[np.int64] | None:
        """The class of each, (N,); None where the features know no classes."""
        ...


class MapOfLatents(Protocol):
    """A map in two dimensions; those of `latens.maps` are such."""

    coordinates: NDArray[np.float32]

    def place(self, latents: NDArray[Any]) -> NDArray[np.float32]:
        """Where latents (M, D) belong on the map, (M, 2)."""
        ...


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one part.

    Args:
        pixels: (N, C, H, W), in memory or memory-mapped.
        latents: (N, D).
        labels: int (N,), or None.
        ids: the name of each.
        features: of the images, (N, F), where they are known already; see `Inputs.features`.
    """

    pixels: NDArray[Any]
    latents: NDArray[Any]
    labels: NDArray[Any] | None = None
    ids: Sequence[str] | NDArray[Any] | None = None
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a sampler drew.

    Args:
        latents: (M, D).
        images: of these latents, (M, C, H, W).
        asked: the class asked for of each, (M,), or None.
        keeps_data: whether the sampler draws from latents of train images that it keeps.
    """

    latents: NDArray[Any]
    images: NDArray[Any]
    asked: NDArray[Any] | None = None
    keeps_data: bool = False


@dataclass(eq=False)
class Inputs:
    """What `Metric.score` is given. What is expensive is computed when it is first asked for, and kept.

    Args:
        train: the train part.
        test: the test part.
        encode: images -> latents (B, D); None where that says nothing of the decoder.
        decode: latents (B, D) -> images (B, C, H, W), float about [0, 1].
        reconstruct: images -> their reconstructions.
        class_names: of the labels.
        seed: of what is drawn.
        make_features: gives the features through which sets of images are compared.
        encoder: the name of the encoder that the user gave these features by; empty for latens's own.
        make_statistics: gives others, by which single images are told from real ones where the former do not; None for none.
        samplers: the names of those that are to be scored.
        at_once: those of them that may be scored beside each other, by a thread each: `sample` must be safe there.
        sample: name of a sampler and a number -> what it draws.
        map: name -> the map of the latents of `mapped`.
        map_scores: name -> the scores of that map alone.
        mapped: the latents on the maps, and their labels.
        probe: a number a class -> latents of the class-means probe (P, D) and the class of each (P,); None without labels.
        kept: gives what depends on the images alone; it may have it from an earlier run of the same images.
        progress: shows how far it is.
        left: keeps the reasons of what could not be scored.
    """

    train: Part
    test: Part
    encode: Callable[[NDArray[Any]], NDArray[Any]] | None
    decode: Callable[[NDArray[Any]], NDArray[Any]]
    reconstruct: Callable[[NDArray[Any]], NDArray[Any]]
    class_names: Sequence[str] = ()
    seed: int = 0
    make_features: Callable[[], FeatureFunction] | None = None
    encoder: str = ""
    make_statistics: Callable[[], FeatureFunction] | None = None
    samplers: Sequence[str] = ()
    at_once: Collection[str] = ()
    sample: Callable[[str, int], Drawn] | None = None
    map: Callable[[str], MapOfLatents] | None = None
    map_scores: Callable[[str], Scores] | None = None
    mapped: tuple[NDArray[Any], NDArray[Any] | None] | None = None
    probe: Callable[[int], tuple[NDArray[Any], NDArray[Any]]] | None = None
    kept: Kept = anew
    progress: Progress = field(default_factory=Silent)
    left: LeftOut = field(default_factory=LeftOut)

    @property
    def latent_dim(self) -> int:
        """D, the numbers of a latent."""
        return int(self.test.latents.shape[1])

    @cached_property
    def near_train(self) -> Neighbours:
        """The train latents, to be searched."""
        return Neighbours(self.train.latents)

    @cached_property
    def features(self) -> FeatureFunction:
        """The features through which sets of images are compared."""
        assert self.make_features is not None, "these inputs come without features"
        return self.make_features()

    @property
    def test_features(self) -> NDArray[np.float32]:
        """The features of the test images, (M, F)."""
        return self._real_features["test"]

    @cached_property
    def _real_features(self) -> Arrays:
        """The features of the images of both parts, and of planted ones."""
        features = self.features

        def seen() -> Arrays:
            with self.progress.stage("features") as tick:
                found = {}
                for done, (name, part) in enumerate((("test", self.test), ("train", self.train))):
                    tick(done, 3)
                    found[name] = features(part.pixels) if part.features is None else part.features
                tick(2, 3)
                return {**found, **planted_features(self.train.pixels, features, self.seed)}

        # The name of a given encoder does not tell its weights.
        return seen() if self.encoder else self.kept(f"features {features.protocol}, seed {self.seed}", seen)

    @cached_property
    def references(self) -> References:
        """The features of real images and of reconstructions, and what real images get in place of samples."""
        features = self.features
        planted = dict(self._real_features)
        test, train = planted.pop("test"), planted.pop("train")
        rebuilt = features(self.reconstruct(self.test.pixels))
        return prepare_references(
            test, train, features=features.protocol, reconstructed=rebuilt, planted=planted, seed=self.seed
        )

    @cached_property
    def realism(self) -> tuple[FeatureFunction, References]:
        """The features by which single images are told from real ones, and the references by these.

        They are those of sets, where these see that blurred and cross-faded images are not real; or else the statistics, where
        these see more.
        """
        own = self.features, self.references
        if self.references.seen == len(self.references.planted) or self.make_statistics is None:
            return own
        with self.progress.stage("image statistics") as tick:
            features = self.make_statistics()
            tick(1, 4)
            test = features(self.test.pixels)
            tick(2, 4)
            train = features(gather(self.train.pixels, some(len(self.train.pixels), self.seed)))
            tick(3, 4)
            planted = planted_features(self.train.pixels, features, self.seed)
            some_train = gather(self.train.pixels, drawn_rows(len(self.train.pixels), REBUILT, self.seed))
            rebuilt = features(self.reconstruct(some_train))
        found = prepare_references(
            test, train, features=features.protocol, planted=planted, rebuilt_train=rebuilt, seed=self.seed
        )
        return (features, found) if found.seen > self.references.seen else own

    @cached_property
    def real_agreement(self) -> float | None:
        """The share of test images to which the classifier of the features gives their label."""
        if self.test.labels is None:
            return None
        predicted = self.features.classify(self.test_features)
        return None if predicted is None else float((predicted == self.test.labels).mean())
