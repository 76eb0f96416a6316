"""The content of a report as plain data, independent of run folders, so that any numbers can be shown."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from latens.metrics import Score
from latens.metrics.score_table import Note
from latens.verdict import Verdict

__all__ = ["DataFacts", "FoundImage", "NetworkFacts", "PriorFacts", "ProbeFacts", "Story", "TrainingFacts"]


@dataclass(frozen=True)
class DataFacts:
    """The pictures.

    Args:
        name: "mnist", or the folder's name.
        source: what was given to load them.
        shape: (C, H, W).
        train: how many in the train part.
        test: how many in the test part.
        class_names: empty without labels.
        class_counts: class -> (in train, in test).
        notes: notes for the reader ("resized to 64 x 64").
        fingerprint: SHA-256 in hexadecimal.
    """

    name: str
    source: str
    shape: tuple[int, int, int]
    train: int
    test: int
    class_names: tuple[str, ...] = ()
    class_counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def num_values(self) -> int:
        """Numbers in one picture."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class NetworkFacts:
    """The trained network: names, sizes (the number of weights or None), and the name and shape of each stage in order."""

    model: str
    network: str
    latent_dim: int
    parameters: int | None
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True)
class TrainingFacts:
    """The facts of training.

    Args:
        recipe: its name.
        epochs: passes over the train part that were made.
        batch_size: images a step.
        settings: more that the result depends on, in the words that are shown ("optimiser" -> "muon").
        seed: of the weights and the order of the images.
        device: its name.
        threads: of the processor.
        seconds: that it took; None where it is not known (imported weights).
        images_per_second: or None.
        history: one mapping an epoch: epoch, step, train_loss, test_mse, learning_rate, elapsed.
        elsewhere: it was trained by other code: only its epochs and history are known.
    """

    recipe: str
    epochs: int
    batch_size: int
    seed: int
    device: str
    threads: int
    settings: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    images_per_second: float | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    elsewhere: bool = False


@dataclass(frozen=True)
class ProbeFacts:
    """The probe: a latent a class, and how far each lies from the data.

    Args:
        names: of the classes or clusters.
        noise_std: standard deviation of the noise that was added.
        clusters: k-means clusters stand in for classes.
        distance_ratios: distance of each to the nearest data latent, as a multiple of the reference; empty if not known.
        reference: what 1.0 means ("the median distance of a data latent to its nearest neighbour").
        notes: more sentences.
    """

    names: tuple[str, ...]
    noise_std: float
    clusters: bool = False
    distance_ratios: tuple[float, ...] = ()
    reference: str = "the median distance between a data latent and its nearest neighbour"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundImage:
    """An image, or a pair of images, to check.

    Args:
        image: what it is called, with its part.
        label: of its class; empty without.
        score: how striking it is, see `latens.computed.review`.
        across_parts: whether it is a pair with one image in the train part and the other in the test part.
    """

    image: str
    label: str
    score: float
    across_parts: bool = False


@dataclass(frozen=True)
class PriorFacts:
    """How the reference experiment goes on: a model with a prior, and a plain autoencoder of the same images beside it.

    Args:
        learned: the sampler that is the learned prior; empty for a model without one.
        plain: the name of the run of a plain autoencoder, or empty.
        plain_scores: its scores.
        plain_headline: of its verdict.
        command: that makes such a run.
    """

    learned: str = ""
    plain: str = ""
    plain_scores: tuple[Score, ...] = ()
    plain_headline: str = ""
    command: str = ""


@dataclass(frozen=True)
class Story:
    """Everything that a report tells.

    Args:
        title: of the page.
        command: the command line that repeats the run.
        data: the pictures.
        network: what was trained.
        training: how; None of a model from elsewhere.
        scores: in the order in which they are shown; those of one group stand together.
        score_notes: what was left out and why.
        figures: name -> PNG file; those of `FIGURES`, and "contact-sheet", "map-NAME".
        probe: or None.
        verdict: or None where the run was not judged.
        prior: of a model with a prior, or None.
        worst: id and squared error of the images that are rebuilt worst, worst first.
        findings: kind of finding -> images or pairs, the most striking first; see `latens.computed.review`.
        reviewed: among how many images these were found; 0 if there was no review.
        reviewed_by: the encoder by whose features they were found; empty for the latents.
        versions: program -> version.
        run_path: the run's folder.
        mapped: the images that maps and the probe show: "test", or "train and test".
        created: when, as text.
        notes: notes for the reader, shown first ("training was stopped after epoch 3 of 5").
    """

    title: str
    command: str
    data: DataFacts
    network: NetworkFacts
    training: TrainingFacts | None
    scores: tuple[Score, ...] = ()
    score_notes: tuple[Note, ...] = ()
    figures: Mapping[str, Path] = field(default_factory=dict)
    probe: ProbeFacts | None = None
    verdict: Verdict | None = None
    prior: PriorFacts | None = None
    worst: tuple[tuple[str, float], ...] = ()
    findings: Mapping[str, tuple[FoundImage, ...]] = field(default_factory=dict)
    reviewed: int = 0
    reviewed_by: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    run_path: str = ""
    mapped: str = "test"
    created: str = ""
    notes: tuple[str, ...] = ()

    def score(self, name: str) -> Score | None:
        """The first score of that name with a finite value, or None."""
        return next((row for row in self.scores if row.name == name and math.isfinite(row.value)), None)
