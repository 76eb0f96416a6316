"""Generation: are samples like real images, are all kinds among them, and are they no copies of train images?"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.metrics.continuity import SAMPLED, hole_distance, score_sampled_latents
from latens.metrics.copies import cells_of, distances_to, three_sample_statistic
from latens.metrics.inputs import Inputs
from latens.metrics.intervals import Interval, of_mean, of_share
from latens.metrics.kernel import KernelSet, kernel_sums
from latens.metrics.neighbourhoods import neighbourhoods
from latens.metrics.references import DEFINITIONS as OF_REFERENCES
from latens.metrics.references import (
    FEWEST,
    FEWEST_OF_FRECHET,
    FRECHET,
    KERNEL,
    References,
    check_features,
    frechet,
    kid,
    prepare_references,
    score_references,
    some,
)
from latens.metrics.score import KEEPS_DATA, Definition, Direction, Metric, Protocol, Score, Scores, together
from latens.progress import Tick
from latens.together import for_each

__all__ = ["METRIC", "NUM_SAMPLES", "prepare_references", "score_generation", "score_references"]

FEWEST_OF_KERNEL = 1_000  # samples by which the kernel distance is measured
NUM_SAMPLES = 10_000  # of each sampler, or as many as there are test images where those are fewer


def _real(name: str, meaning: str, beside: str = "train images", direction: Direction = "higher") -> Definition:
    return Definition(name, meaning, direction, baseline=beside, baseline_kind="real images")


DEFINITIONS = (
    _real(
        "frechet",
        "Fréchet distance (FD): how far the generated images as a whole are from the test images, compared by features that"
        " a small network computes. 0 would be no difference.",
        direction="lower",
    ),
    _real(
        "kid",
        "Kernel distance (KID): another measure of how far generated images are from the test images, which is fair with few"
        " images too; about 0 if there is no difference.",
        direction="lower",
    ),
    _real(
        "kid_share",
        "The kernel distance as a share of that of plainly bad images, which are blurred or cross-faded real ones. Real images"
        " get about 0, bad ones 1 and more.",
        direction="lower",
    ),
    _real("precision", "Share of generated images that look like real ones: they lie close to some real image."),
    _real("recall", "Share of real images that the sampler can make: they lie close to some generated image."),
    _real(
        "density",
        "How crowded with real images the places of the generated ones are; 1 is as crowded as for real ones. Precision that a"
        " single odd image cannot raise.",
    ),
    _real("coverage", "Share of real images that have a generated one close by. Low where whole kinds are missing."),
    _real(
        "memorised",
        "Share of generated images that are nearly copies of a train image: nearer to one than 99 of 100 test images are.",
        "test images",
        "lower",
    ),
    Definition(
        "three_sample",
        "Whether generated images are closer to the train images than test images are. About 0 is right; below -3 they are"
        " copies, far above 0 they are unlike any real image.",
        "zero",
        "standard deviations",
    ),
    _real(
        "class_agreement",
        "Share of generated images that show the class that was asked for, as a classifier sees it.",
        "test images",
    ),
)
_BY_NAME = {one.name: one for one in DEFINITIONS}


def score_generation(
    samples: NDArray[Any],
    references: References,
    *,
    sampler: str,
    asked: NDArray[Any] | None = None,
    predicted: NDArray[Any] | None = None,
    real_agreement: float | None = None,
    more: NDArray[Any] | None = None,
    realism: tuple[NDArray[Any], References] | None = None,
    seed: int = 0,
) -> Scores:
    """Score samples against the test images.

    Args:
        samples: features of decoded samples, (M, F), finite; 10,000 of them at most are taken.
        references: of real images, by the same features; see `prepare_references`.
        sampler: the name of the sampler, for the details.
        asked: int (M,), the class that each sample was asked to be of; None where none was.
        predicted: int (M,), the class that the features' classifier gives each; None where it has no classes.
        real_agreement: the share of test images to which that classifier gives their label, for the baseline.
        more: features of more decoded samples, (L, F), by which the kernel distance is measured where test images are few: the
            more samples, the narrower its interval; None takes the samples.
        realism: other features of the same samples, `more` or else `samples`, and the references by these: precision, recall,
            density and coverage are measured by them.
        seed: of what is drawn.

    Returns:
        `frechet` (from 2,000 images on), `kid`, `kid_share` where the references have planted images, `precision`,
        `recall`, `density`, `coverage`, `memorised`, `three_sample`,
        `class_agreement`, as far as they can be measured, with 95 % intervals.

    Raises:
        UsageError: shapes that don't fit, numbers that are not finite, or under four samples.
    """
    check_features(sample=samples, test=references.test)
    rows = some(len(samples), seed)
    notes = list(references.scores.notes[:1]) if references.num_shared else []
    agreement = _class_agreement(len(samples), asked, predicted, real_agreement, rows, references.features, notes)
    num, samples = len(samples), np.asarray(samples[rows], np.float32)
    if len(samples) != references.num_real:
        notes.append(
            f"baselines are of {references.num_real:,} train images, the scores of {len(samples):,} samples:"
            " with other numbers the baselines differ"
        )
    every = samples if more is None else np.asarray(more, np.float32)
    singles, by = (
        (samples, references) if realism is None else (np.asarray(realism[0][:num][rows], np.float32), realism[1])
    )
    scores = [
        *_distances(samples, every, references, seed, notes),
        *_of_neighbourhoods(singles, by),
        *_of_copies(samples, references, seed, notes),
        *agreement,
    ]
    return Scores(tuple(scores), tuple(notes), {"sampler": sampler, "features": references.features})


def _protocol(what: str, num: int, references: References, seed: int | None = None, **settings: int) -> Protocol:
    return Protocol(
        f"samples against test images; {what}",
        len(references.test),
        seed=seed,
        features=references.features,
        settings={"samples": num, **settings},
    )


def _distances(
    samples: NDArray[Any], more: NDArray[Any], references: References, seed: int, notes: list[str]
) -> list[Score]:
    scores: list[Score] = []
    of_more = KernelSet(more)
    own, between = kernel_sums(of_more), kernel_sums(of_more, references.kernel_set)
    if min(len(samples), len(references.test)) < FEWEST_OF_FRECHET:
        notes.append(
            f"frechet is left out: under {FEWEST_OF_FRECHET:,} images it is mostly bias; see kid and its interval"
        )
    else:
        found = frechet(samples, references.test, references.moments, seed)
        about = _protocol(FRECHET, len(samples), references, seed)
        beside = references.real.get("floor")
        scores.append(_BY_NAME["frechet"].score(found.value, about, beside, (found.low, found.high)))
    found = kid(own, between, references.kernel)
    about, beside = _protocol(KERNEL, len(more), references), references.real.get("kid_floor")
    scores.append(_BY_NAME["kid"].score(found.value, about, beside, (found.low, found.high)))
    if references.tells:
        value, interval = references.share_of_planted(own, between)
        about = _protocol(f"{KERNEL}; as a share of that of blurred or cross-faded images", len(more), references)
        scores.append(_BY_NAME["kid_share"].score(value, about, references.real.get("kid_share"), interval))
    return scores


def _of_neighbourhoods(samples: NDArray[Any], references: References) -> list[Score]:
    k = references.k if len(samples) > references.k else len(samples) - 1
    # Balls of real images are known for one k; fewer samples than that have balls of their own size.
    balls = (references.radii, references.weights) if k == references.k else (None, None)
    found = neighbourhoods(references.test, samples, k, balls[0], real_weights=balls[1])
    values: dict[str, tuple[float, Interval]] = {
        "precision": (float(found.precise.mean()), of_share(found.precise)),
        "recall": (float(found.recalled.mean()), of_share(found.recalled)),
        "density": (float(found.density.mean()), of_mean(found.density)),
        "coverage": (float(found.covered.mean()), of_share(found.covered)),
    }
    sources = {"precision": "Kynkäänniemi et al. 2019", "recall": "Kynkäänniemi et al. 2019"}
    return [
        _BY_NAME[name].score(
            value,
            _protocol(
                f"balls to the k-th nearest neighbour ({sources.get(name, 'Naeem et al. 2020')}), interval with the balls"
                " held fixed",
                len(samples),
                references,
                k=k,
            ),
            references.real[name],
            interval,
        )
        for name, (value, interval) in values.items()
    ]


def _of_copies(samples: NDArray[Any], references: References, seed: int, notes: list[str]) -> list[Score]:
    if not references.copies:
        notes.append("memorised and three_sample are left out: most images stand in both parts")
        return []
    distances = distances_to(references.near_train, samples)
    copied = distances < references.copied_within
    num_train = len(references.train)
    memorised = _protocol(
        "share of samples nearer to a train image than the 1st percentile of test images",
        len(samples),
        references,
        train_images=num_train,
    )
    scores = [_BY_NAME["memorised"].score(copied.mean(), memorised, 0.01, of_share(copied))]
    cells = cells_of(references.centres, samples)
    statistic = three_sample_statistic(distances, references.test_distances, cells, references.test_cells)
    if statistic is None:
        notes.append("three_sample is left out: no cell of k-means has 20 samples and 20 test images")
    else:
        about = _protocol(
            "C_T of Meehan et al. 2020 in cells of k-means, distances to the nearest train image, below -3: copies",
            len(samples),
            references,
            seed,
            cells=len(references.centres),
            train_images=num_train,
        )
        scores.append(_BY_NAME["three_sample"].score(statistic, about))
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
    what = "share of samples to which the classifier of the features gives the class asked for"
    about = Protocol(what, features=features, settings={"samples": len(agree)})
    return [_BY_NAME["class_agreement"].score(agree.mean(), about, real_agreement, of_share(agree))]


def _score(inputs: Inputs) -> Scores:
    """The scores of the data and the decoder, and as subjects those of each sampler."""
    if min(len(inputs.train.pixels), len(inputs.test.pixels)) < FEWEST:
        return Scores((), (f"left out: with fewer than {FEWEST} images in a part there is nothing to compare",))
    found = score_references(inputs.references.with_realism_of(inputs.realism[1]))
    hole = hole_distance(inputs.near_train, inputs.test.latents) if inputs.samplers else 0.0
    with inputs.progress.stage("samplers") as tick:
        told = _Told(tick, len(inputs.samplers))

        def scored(name: str) -> Scores:
            with told.of(name), inputs.left.attempt(f"scores generation: {name}"):
                of_sampler = _score_sampler(inputs, name, hole)
                notes = tuple(note for note in of_sampler.notes if note not in found.notes)
                return Scores(of_sampler.scores, notes)
            return Scores((), (f"left out: {inputs.left.reasons[f'scores generation: {name}']}",))

        # Small steps, most of what a fit and its scores are, gain little of a second thread: each has one of its own.
        at_once = [name for name in inputs.samplers if name in inputs.at_once]
        subjects = dict(zip(at_once, for_each(at_once, scored) if at_once else [], strict=True))
        subjects |= {name: scored(name) for name in inputs.samplers if name not in subjects}
    return Scores(found.scores, found.notes, found.details, {name: subjects[name] for name in inputs.samplers})


class _Told:
    """Tells the progress which samplers are being scored, maybe by several threads.

    Args:
        tick: of the progress.
        total: the number of samplers.
    """

    def __init__(self, tick: Tick, total: int) -> None:
        self.tick, self.total = tick, total
        self.done, self.names, self.lock = 0, list[str](), Lock()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """A sampler is scored inside."""
        with self.lock:
            self.names.append(name)
            self.tick(self.done, self.total, ", ".join(self.names))
        yield
        with self.lock:
            self.names.remove(name)
            self.done += 1


def _score_sampler(inputs: Inputs, name: str, hole: float) -> Scores:
    assert inputs.sample is not None, "samplers come with a way to draw from them"
    num = min(NUM_SAMPLES, len(inputs.test.pixels))
    drawn = inputs.sample(name, max(num, FEWEST_OF_KERNEL))
    more = inputs.features(drawn.images)
    features = more[:num]
    see, by = inputs.realism
    of_pictures = score_generation(
        features,
        inputs.references,
        sampler=name,
        asked=None if drawn.asked is None else drawn.asked[:num],
        predicted=inputs.features.classify(features),
        more=more if len(more) > num else None,
        real_agreement=inputs.real_agreement,
        realism=None if by is inputs.references else (see(drawn.images), by),
        seed=inputs.seed,
    )
    of_latents = score_sampled_latents(
        drawn.latents[:num],
        inputs.near_train,
        hole,
        sampler=name,
        decode=inputs.decode,
        encode=inputs.encode,
        seed=inputs.seed,
    )
    found = together(of_pictures, of_latents)
    return _keeping_data(found) if drawn.keeps_data else found


def _keeping_data(found: Scores) -> Scores:
    """Scores whose protocols say that the sampler keeps latents of the train images, which the verdict reads there."""
    about = [replace(one.protocol, settings={**one.protocol.settings, KEEPS_DATA: True}) for one in found.scores]
    told = [replace(score, protocol=protocol) for score, protocol in zip(found.scores, about, strict=True)]
    return replace(found, scores=tuple(told))


METRIC = Metric("Generation: are generated images like real ones?", (*OF_REFERENCES, *DEFINITIONS, *SAMPLED), _score)
