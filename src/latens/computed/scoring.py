"""The scores of a run: every metric of `METRICS` is given what it needs, and all scores go into metrics.json."""

import json
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from latens.computed.given_features import GivenFeatures, RunFeatures, features_of_run
from latens.computed.mapping import NOISES
from latens.computed.with_images import kept_with
from latens.errors import RunError
from latens.features import features_for
from latens.features.statistics import ImageStatistics
from latens.images import Dataset, Images
from latens.latents import encode_images, reconstruct_images
from latens.left_out import LeftOut
from latens.metrics import METRICS, Scores, ScoreTable
from latens.metrics.generation import NUM_SAMPLES
from latens.metrics.inputs import Drawn, Inputs, Part
from latens.metrics.score import finite
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import TEST, TRAIN
from latens.samplers import SAMPLERS, samplers_for
from latens.samplers.class_means import ClassMeansSampler

MOST_AT_ONCE = 1 << 26  # bytes of one sampler's images, for several to be scored at once

__all__ = ["inputs_of", "samplers_named", "score_maps", "score_run"]


def score_run(
    run: Run,
    images: Dataset,
    progress: Progress | None = None,
    samplers: Sequence[str] | None = None,
    left: LeftOut | None = None,
    features: Any = None,
) -> ScoreTable:
    """Compute the scores of a run, metric by metric, into metrics.json.

    A metric that fails, whatever the reason, is left out with a note, and so is a sampler: no score stops a run.

    Args:
        run: with latents and maps.
        images: what it was trained on.
        progress: shows how far it is.
        samplers: whose samples are scored, see `samplers_named`.
        left: keeps the reasons of what could not be scored; each has a note too.
        features: an encoder, see `latens.encoders`: images are compared by its features in place of latens's own, and
            what they say of the classes stands beside what the latents say.

    Raises:
        UnknownName: there is no such sampler.
        RunError: a sampler was asked for that this run's model cannot have.
        UsageError: there is no such encoder, or it fails.
    """
    progress = progress or Silent()
    left = left or LeftOut(progress.say)
    given = None if features is None else features_of_run(run, features, images, progress)
    inputs = inputs_of(run, images, samplers_named(run, samplers), progress, left, given)
    groups: dict[str, Scores] = {}
    with progress.stage("scores") as tick:
        for done, name in enumerate(METRICS):
            tick(done, len(METRICS), name)
            groups[name] = _attempted(name, inputs)
    table = ScoreTable.of_groups(groups)
    run.save("metrics.json", table.as_json())
    return table


def score_maps(run: Run, images: Dataset) -> None:
    """Put the scores of a run's maps as they are now into metrics.json, in place of those of earlier maps; if it was scored.

    Args:
        run: with latents and maps.
        images: what it was trained on.
    """
    if "metrics.json" not in run.record["files"]:
        return
    found = _attempted("map", inputs_of(run, images))
    run.save("metrics.json", run.scores.with_group("map", found).as_json())


def _attempted(name: str, inputs: Inputs) -> Scores:
    """The scores of a metric, or a note on why they could not be computed."""
    with inputs.left.attempt(f"scores {name}"):
        found = METRICS[name].score(inputs)
        json.dumps(dict(found.details), allow_nan=False)
        return finite(found)
    return Scores((), (f"left out: {inputs.left.reasons[f'scores {name}']}",))


def samplers_named(run: Run, names: Sequence[str] | None) -> tuple[str, ...]:
    """The samplers that names stand for.

    Args:
        run: whose samplers.
        names: of `SAMPLERS`; None are those of the verdict, `("all",)` every one that this run's model can have.

    Raises:
        UnknownName: there is no such sampler.
        RunError: this run's model cannot have one of them.
    """
    if names is None or list(names) == ["all"]:
        return samplers_for(run.model, every=names is not None)
    for name in names:
        reason = SAMPLERS[name].unavailable(run.model)
        if reason:
            others = ", ".join(samplers_for(run.model))
            raise RunError(f"{run.path}: sampler {name!r} is not available ({reason}); take another: {others}")
    return tuple(dict.fromkeys(names))


def inputs_of(
    run: Run,
    images: Dataset,
    samplers: Sequence[str] = (),
    progress: Progress | None = None,
    left: LeftOut | None = None,
    given: RunFeatures | None = None,
) -> Inputs:
    """What metrics are given of a run.

    Args:
        run: with latents.
        images: what it was trained on.
        samplers: the names of those whose samples are scored; each is fitted where it was not yet, and kept.
        progress: shows how far it is.
        left: keeps the reasons of what could not be scored.
        given: features of a given encoder, by which images are compared; None takes latens's own.
    """
    progress = progress or Silent()
    seed, mapped = run.recipe.config.seed, run.mapped_part
    at_once = _at_once(run, samplers)

    def sample(name: str, num: int) -> Drawn:
        # Fitting is a stage of its own, where no other one is fitted at the same time.
        run.sampler(name, Silent() if name in at_once else progress)
        samples = run.sample(num, name, seed, _asked_of(run, name, num, seed))
        # Clusters stand in for classes where there are no labels; nothing can be said of those.
        asked = samples.labels if run.labels_of(None) is not None else None
        return Drawn(samples.latents, samples.images, asked, SAMPLERS[name].keeps_data)

    def probe(each: int) -> tuple[np.ndarray, np.ndarray]:
        fitted = ClassMeansSampler(noise_std=NOISES[-1]).fit(run.of_part("latents", mapped), run.labels_of(mapped))
        classes = fitted.labels_for(each * len(fitted.classes))
        assert classes is not None, "class means have classes"
        return fitted.sample(len(classes), seed, classes), classes

    return Inputs(
        train=_part(run, images.train, TRAIN, given),
        test=_part(run, images.test, TEST, given),
        # Of a given encoder, a good image too leads elsewhere: it sees that the image was made.
        encode=partial(encode_images, run.model) if run.model.trained_together else None,
        decode=run.decode,
        reconstruct=partial(reconstruct_images, run.model),
        class_names=images.class_names,
        seed=seed,
        make_features=(
            partial(features_for, images, progress, device=run.device)
            if given is None
            else partial(GivenFeatures, given)
        ),
        encoder="" if given is None else given.name,
        make_statistics=lambda: ImageStatistics(images.train.inputs, images.format.is_plain),
        samplers=samplers,
        at_once=at_once,
        sample=sample,
        map=run.map,
        map_scores=run.map_scores,
        mapped=(run.of_part("latents", mapped), run.labels_of(mapped)),
        probe=probe,
        kept=kept_with(images, progress),
        progress=progress,
        left=left or LeftOut(progress.say),
    )


def _at_once(run: Run, samplers: Sequence[str]) -> tuple[str, ...]:
    """The samplers that are fitted and scored beside each other: those that are quick to fit, since an interrupt waits for them.

    None are where a GPU decodes, or where the images of several would take much memory.
    """
    size = 4 * math.prod(run.image_shape) * min(NUM_SAMPLES, int((run.latents["part"] == TEST).sum()))
    if size > MOST_AT_ONCE or run.model.device.type != "cpu":
        return ()
    return tuple(name for name in samplers if SAMPLERS[name].cost != "long")


def _part(run: Run, images: Images, part: int, given: RunFeatures | None) -> Part:
    features = None if given is None else given.of_part(part)
    return Part(images.inputs, run.of_part("latents", part), images.labels, images.ids, features)


def _asked_of(run: Run, name: str, num: int, seed: int) -> np.ndarray | None:
    """Classes to ask a sampler for, by their share of the train images: the test images have no two classes alike either."""
    labels = run.labels_of(TRAIN)
    if labels is None or not len(run.sampler(name).classes):
        return None
    drawn: np.ndarray = np.random.default_rng(seed).choice(labels, num)
    return drawn
