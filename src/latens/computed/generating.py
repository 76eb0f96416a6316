"""Can a run generate? Samples of each sampler against the test images, and what lies between the latents."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from latens.computed.mapping import NOISES
from latens.features import Features, features_for
from latens.images import Dataset
from latens.left_out import LeftOut
from latens.metrics import Scores
from latens.metrics.continuity import BEYOND, hole_distance, score_continuity, score_sampled_latents
from latens.metrics.generation import prepare_references, score_generation, score_references
from latens.metrics.hidden import hidden_points, score_hidden, shown_among_own
from latens.metrics.neighbourhoods import inside_balls
from latens.metrics.references import FEWEST, References, some
from latens.neighbours import nearest_neighbours
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.folder import TEST, TRAIN
from latens.samplers import SAMPLERS, samplers_for
from latens.samplers.class_means import ClassMeansSampler
from latens.verdict import SAMPLER_GROUP

__all__ = ["NUM_SAMPLES", "attempted", "samplers_named", "score_samplers"]

NUM_SAMPLES = 10_000  # of each sampler, or as many as there are test images where those are fewer
PROBE_POINTS = 50  # a class, by which the map is judged


def samplers_named(run: Run, names: Sequence[str] | None) -> tuple[str, ...]:
    """The samplers that names stand for.

    Args:
        run: whose samplers.
        names: of `SAMPLERS`; None are those of the verdict, `("all",)` every one that this run's model can have.

    Raises:
        UnknownName: there is no such sampler.
    """
    if names is None or list(names) == ["all"]:
        return samplers_for(run.model, every=names is not None)
    for name in names:
        SAMPLERS[name]
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True, eq=False)
class _Seen:
    """The run's images as the features show them, and how far data lie from each other in latent space."""

    features: Features
    references: References
    real_agreement: float | None
    hole: float


def attempted(left: LeftOut, group: str, compute: Callable[[], Scores]) -> Scores:
    """The scores of a group, or a note on why they could not be computed.

    A score that is not a finite number can't be kept: it is left out of its group.
    """
    with left.attempt(f"scores {group}"):
        computed = compute()
        spoilt = [score.name for score in computed.scores if not math.isfinite(score.value)]
        json.dumps(dict(computed.details), allow_nan=False)
        notes = (*computed.notes, f"left out, as not finite: {', '.join(spoilt)}") if spoilt else computed.notes
        scores = tuple(score for score in computed.scores if score.name not in spoilt)
        return replace(computed, scores=scores, notes=notes)
    return Scores((), (f"left out: {left.reasons[f'scores {group}']}",))


def score_samplers(
    run: Run,
    images: Dataset,
    samplers: Sequence[str],
    progress: Progress | None = None,
    left: LeftOut | None = None,
) -> dict[str, Scores]:
    """Score what a run generates and what lies between its latents, by the protocols.

    Args:
        run: with latents and a t-SNE map.
        images: what it was trained on.
        samplers: names of `SAMPLERS`; each is fitted where it was not yet, and kept.
        progress: shows how far it is.
        left: keeps the reasons of the groups that could not be scored.

    Returns:
        Group -> scores: `generation` of the decoder and the data, `generation: NAME` of each sampler, `continuity`.
    """
    progress = progress or Silent()
    if min(len(images.train), len(images.test)) < FEWEST:
        note = f"left out: under {FEWEST} images in a part there is nothing to compare"
        return {group: Scores((), (note,)) for group in ("generation", "continuity")}
    left = left or LeftOut(progress.say)
    found: list[_Seen] = []
    groups = {"generation": attempted(left, "generation", lambda: _generation(run, images, progress, found))}
    if not found:
        return groups
    seen = found[0]
    for name in samplers:
        if not SAMPLERS[name].by_default():  # fitting one is a stage of its own
            with left.attempt(f"sampler {name}"):
                run.sampler(name, progress)
    samplers = [name for name in samplers if f"sampler {name}" not in left.reasons]
    with progress.stage("samplers") as tick:
        for done, name in enumerate(samplers):
            tick(done, len(samplers) + 1, name)
            score = partial(_score_sampler, run, name, seen, min(NUM_SAMPLES, len(images.test)))
            groups[SAMPLER_GROUP + name] = attempted(left, SAMPLER_GROUP + name, score)
        tick(len(samplers), len(samplers) + 1, "continuity")
        groups["continuity"] = attempted(left, "continuity", partial(_score_continuity, run, images, seen))
    return groups


def _generation(run: Run, images: Dataset, progress: Progress, found: list[_Seen]) -> Scores:
    """The scores of decoder and data; what was seen of the images goes into `found`, for the samplers."""
    found.append(_look(run, images, progress))
    return score_references(found[0].references)


def _look(run: Run, images: Dataset, progress: Progress) -> _Seen:
    features = features_for(images, progress, device=run.device)
    with progress.stage("features") as tick:
        test = features(images.test.pixels)
        tick(1, 3)
        rebuilt = features(run.reconstruct(images.test.pixels))
        tick(2, 3)
        train = features(images.train.pixels)
    references = prepare_references(
        test, train, features=features.protocol, reconstructed=rebuilt, seed=run.recipe.config.seed
    )
    predicted, labels = features.classify(test), images.test.labels
    agreement = None if predicted is None or labels is None else float((predicted == labels).mean())
    hole = hole_distance(run.of_part("latents", TRAIN), run.of_part("latents", TEST))
    return _Seen(features, references, agreement, hole)


def _score_sampler(run: Run, name: str, seen: _Seen, num: int) -> Scores:
    seed = run.recipe.config.seed
    samples = run.sample(num, name, seed, _asked_of(run, name, num, seed))
    found = seen.features(samples.images)
    clusters = samples.labels is not None and run.labels_of(None) is None
    of_pictures = score_generation(
        found,
        seen.references,
        sampler=name,
        asked=None if clusters else samples.labels,
        predicted=seen.features.classify(found),
        real_agreement=seen.real_agreement,
        seed=seed,
    )
    of_latents = score_sampled_latents(
        samples.latents,
        run.of_part("latents", TRAIN),
        seen.hole,
        sampler=name,
        decode=run.decode,
        encode=run.encode,
        seed=seed,
    )
    return _together(of_pictures, of_latents)


def _asked_of(run: Run, name: str, num: int, seed: int) -> np.ndarray | None:
    """Classes to ask a sampler for, by their share of the train images: the test images have no two classes alike either."""
    labels = run.labels_of(TRAIN)
    if labels is None or not len(run.sampler(name).classes):
        return None
    drawn: np.ndarray = np.random.default_rng(seed).choice(labels, num)
    return drawn


def _score_continuity(run: Run, images: Dataset, seen: _Seen) -> Scores:
    seed = run.recipe.config.seed
    rows = some(len(images.test), seed)  # those whose features the references hold
    between = score_continuity(
        run.of_part("latents", TEST)[rows],
        None if images.test.labels is None else images.test.labels[rows],
        seen.references,
        decode=run.decode,
        encode=run.encode,
        features=seen.features,
        pixels=images.test.pixels[rows],
        seed=seed,
    )
    return _together(between, _score_map_hides(run, seen, seed))


def _score_map_hides(run: Run, seen: _Seen, seed: int) -> Scores:
    """What the t-SNE map hides of the notebook's probe, of which it is given many points in place of one a class."""
    part = run.mapped_part
    latents, labels = run.of_part("latents", part), run.labels_of(part)
    if labels is None:
        return Scores((), ("hidden_holes is left out: there are no labels",))
    if len(latents) < 2:
        return Scores((), ("hidden_holes is left out: one image has no neighbours",))
    probe = ClassMeansSampler(noise_std=NOISES[-1]).fit(latents, labels)
    classes = probe.labels_for(PROBE_POINTS * len(probe.classes))
    assert classes is not None, "the probe was fitted with labels"
    points, shown = probe.sample(len(classes), seed, classes), run.map("tsne")
    apart = np.quantile(nearest_neighbours(latents, k=1)[0], BEYOND)
    places = shown.place(points)
    hidden = hidden_points(
        points,
        classes,
        places,
        latents=latents,
        labels=labels,
        coordinates=shown.coordinates,
        limit=float(apart),
    )
    clear = inside_balls(seen.references.test, seen.references.radii, seen.features(run.decode(points)))
    among_own = shown_among_own(classes, places, labels, shown.coordinates)
    return score_hidden(hidden, "t-SNE", among_own & ~clear)


def _together(*parts: Scores) -> Scores:
    """Several scores as one group."""
    return Scores(
        tuple(score for part in parts for score in part.scores),
        tuple(note for part in parts for note in part.notes),
        {name: value for part in parts for name, value in part.details.items()},
    )
