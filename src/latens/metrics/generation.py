"""Are samples like real images, of all kinds, and no copies?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.metrics.copies import cells_of, distances_to, three_sample_statistic
from latens.metrics.intervals import Interval, of_mean, of_share
from latens.metrics.neighbourhoods import neighbourhoods
from latens.metrics.references import (
    FEWEST_OF_FRECHET,
    FRECHET,
    KERNEL,
    References,
    check_features,
    distance,
    prepare_references,
    score_references,
    some,
)
from latens.metrics.score import Score, Scores, about

__all__ = ["prepare_references", "score_generation", "score_references"]


def score_generation(
    samples: NDArray[Any],
    references: References,
    *,
    sampler: str,
    asked: NDArray[Any] | None = None,
    predicted: NDArray[Any] | None = None,
    real_agreement: float | None = None,
    seed: int = 0,
) -> Scores:
    """Score samples against the test images.

    Args:
        samples: features of decoded samples, (M, F), finite; 10,000 of them at most are taken.
        references: what `prepare_references` made of the same features of real images.
        sampler: the name of the sampler, for the details.
        asked: int (M,), the class that each sample was asked to be of; None where none was.
        predicted: int (M,), the class that the features' classifier gives each; None where it has no classes.
        real_agreement: the share of test images to which that classifier gives their label, for the baseline.
        seed: of what is drawn.

    Returns:
        `frechet` (from 2,000 images on), `kid`, `precision`, `recall`, `density`, `coverage`, `memorised`, `three_sample`,
        `class_agreement`, each that can be said, with its 95 % interval.

    Raises:
        UsageError: shapes that don't fit, numbers that are not finite, or under four samples.
    """
    check_features(sample=samples, test=references.test)
    rows = some(len(samples), seed)
    notes: list[str] = []
    agreement = _class_agreement(len(samples), asked, predicted, real_agreement, rows, references.features, notes)
    samples = np.asarray(samples[rows], np.float32)
    if len(samples) != references.num_real:
        notes.append(
            f"baselines are of {references.num_real:,} train images, the scores of {len(samples):,} samples:"
            " other numbers give other floors"
        )
    scores = [
        *_distances(samples, references, seed, notes),
        *_of_neighbourhoods(samples, references),
        *_of_copies(samples, references, seed, notes),
        *agreement,
    ]
    return Scores(tuple(scores), tuple(notes), {"sampler": sampler, "features": references.features})


def _protocol(what: str, num: int, references: References, seed: int | None = None) -> str:
    against = f"{num:,} samples against test; {what}; features: {references.features}"
    return about(against, "test", len(references.test), seed)


def _distances(samples: NDArray[Any], references: References, seed: int, notes: list[str]) -> list[Score]:
    scores = []
    kinds = {"frechet": (FRECHET, "floor"), "kid": (KERNEL, "kid_floor")}
    if min(len(samples), len(references.test)) < FEWEST_OF_FRECHET:
        del kinds["frechet"]
        notes.append(
            f"frechet is left out: under {FEWEST_OF_FRECHET:,} images it is mostly bias; kid and its interval stand for it"
        )
    for kind, (what, floor) in kinds.items():
        found = distance(kind, samples, references.test, references.moments, references.kernel, seed)
        beside = (references.real.get(floor), "train images" if floor in references.real else "")
        protocol = _protocol(what, len(samples), references, seed if kind == "frechet" else None)
        scores.append(Score(kind, found.value, "", "lower", *beside, protocol, found.low, found.high))
    return scores


def _of_neighbourhoods(samples: NDArray[Any], references: References) -> list[Score]:
    k = references.k if len(samples) > references.k else len(samples) - 1
    # Balls of real images are known for one k; fewer samples than that have balls of their own size.
    balls = references.radii if k == references.k else None
    found = neighbourhoods(references.test, samples, k, balls)
    values: dict[str, tuple[float, Interval]] = {
        "precision": (float(found.precise.mean()), of_share(found.precise)),
        "recall": (float(found.recalled.mean()), of_share(found.recalled)),
        "density": (float(found.density.mean()), of_mean(found.density)),
        "coverage": (float(found.covered.mean()), of_share(found.covered)),
    }
    sources = {"precision": "Kynkäänniemi et al. 2019", "recall": "Kynkäänniemi et al. 2019"}
    return [
        Score(
            name,
            value,
            "",
            "higher",
            references.real[name],
            "train images",
            _protocol(
                f"balls to the {k}th nearest neighbour ({sources.get(name, 'Naeem et al. 2020')}), interval with the balls"
                " held fixed",
                len(samples),
                references,
            ),
            *interval,
        )
        for name, (value, interval) in values.items()
    ]


def _of_copies(samples: NDArray[Any], references: References, seed: int, notes: list[str]) -> list[Score]:
    distances = distances_to(references.train, samples)
    copied = distances < references.copied_within
    num_train = f"{len(references.train):,} train images"
    memorised = _protocol(
        f"share of samples nearer to one of {num_train} than the 1st percentile of test images",
        len(samples),
        references,
    )
    scores = [
        Score("memorised", float(copied.mean()), "", "lower", 0.01, "test images", memorised, *of_share(copied)),
    ]
    cells = cells_of(references.centres, samples)
    statistic = three_sample_statistic(distances, references.test_distances, cells, references.test_cells)
    if statistic is None:
        notes.append("three_sample is left out: no cell of k-means has 20 samples and 20 test images")
    else:
        protocol = _protocol(
            f"C_T of Meehan et al. 2020 in {len(references.centres)} cells of k-means, distances to {num_train}, below -3:"
            " copies",
            len(samples),
            references,
            seed,
        )
        scores.append(Score("three_sample", statistic, "standard deviations", "higher", None, "", protocol))
    return scores


def _class_agreement(
    num: int,
    asked: NDArray[Any] | None,
    predicted: NDArray[Any] | None,
    real_agreement: float | None,
    rows: NDArray[np.int64],
    features: str,
    notes: list[str],
) -> list[Score]:
    for name, classes in (("asked", asked), ("predicted", predicted)):
        if classes is not None and classes.shape != (num,):
            raise UsageError(f"{num} samples have {name} classes of shape {classes.shape}; one for each is needed")
    if asked is None or predicted is None:
        why = "the samples were asked for no class" if asked is None else "the features know no classes"
        notes.append(f"class_agreement is left out: {why}")
        return []
    agree = np.asarray(asked[rows] == predicted[rows])
    protocol = f"share of {len(agree):,} samples to which the classifier of {features} gives the class asked for"
    beside = "" if real_agreement is None else "test images"
    score = Score(
        "class_agreement", float(agree.mean()), "", "higher", real_agreement, beside, protocol, *of_share(agree)
    )
    return [score]
