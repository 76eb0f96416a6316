"""Can a run generate? Samples of each sampler against the test images, and what lies between the latents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from latens.features import Features, features_for
from latens.images import Dataset
from latens.metrics import Scores
from latens.metrics.generation import prepare_references, score_generation, score_references
from latens.metrics.references import FEWEST, References
from latens.models.contract import HasPrior
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.samplers import SAMPLERS, SLOW_SAMPLERS
from latens.verdict import SAMPLER_GROUP

__all__ = ["NUM_SAMPLES", "samplers_named", "score_samplers"]

NUM_SAMPLES = 10_000  # of each sampler, or as many as there are test images where those are fewer


def samplers_named(run: Run, names: Sequence[str] | None) -> tuple[str, ...]:
    """The samplers that names stand for.

    Args:
        run: whose samplers.
        names: of `SAMPLERS`; None are those of the verdict, `("all",)` every one that this run's model can have.

    Raises:
        UnknownName: there is no such sampler.
    """
    if names is None or list(names) == ["all"]:
        without = {"prior"} if not isinstance(run.model, HasPrior) else set()
        without |= set(SLOW_SAMPLERS) if names is None else set()
        return tuple(name for name in SAMPLERS if name not in without)
    for name in names:
        SAMPLERS[name]
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True, eq=False)
class _Seen:
    """The run's images as the features show them."""

    features: Features
    references: References
    real_agreement: float | None


def score_samplers(
    run: Run, images: Dataset, samplers: Sequence[str], progress: Progress | None = None
) -> dict[str, Scores]:
    """Score what a run generates, by the protocols.

    Args:
        run: with latents.
        images: what it was trained on.
        samplers: names of `SAMPLERS`; each is fitted where it was not yet, and kept.
        progress: shows how far it is.

    Returns:
        Group -> scores: `generation` of the decoder and the data, `generation: NAME` of each sampler.
    """
    progress = progress or Silent()
    if min(len(images.train), len(images.test)) < FEWEST:
        note = f"generation is left out: under {FEWEST} images in a part there is nothing to compare"
        return {"generation": Scores((), (note,))}
    seen = _look(run, images, progress)
    groups = {"generation": score_references(seen.references)}
    with progress.stage("samplers") as tick:
        for done, name in enumerate(samplers):
            tick(done, len(samplers), name)
            groups[SAMPLER_GROUP + name] = _score_sampler(run, name, seen, min(NUM_SAMPLES, len(images.test)))
    return groups


def _look(run: Run, images: Dataset, progress: Progress) -> _Seen:
    features = features_for(images, progress, device=run.device)
    with progress.stage("features") as tick:
        parts: list[Any] = []
        for done, pixels in enumerate((images.test.pixels, images.train.pixels, None)):
            tick(done, 3)
            parts.append(features(run.reconstruct(images.test.pixels) if pixels is None else pixels))
        test, train, rebuilt = parts
    references = prepare_references(
        test, train, features=features.protocol, reconstructed=rebuilt, seed=run.recipe.config.seed
    )
    predicted, labels = features.classify(test), images.test.labels
    agreement = None if predicted is None or labels is None else float((predicted == labels).mean())
    return _Seen(features, references, agreement)


def _score_sampler(run: Run, name: str, seen: _Seen, num: int) -> Scores:
    seed = run.recipe.config.seed
    samples = run.sample(num, name, seed)
    found = seen.features(samples.images)
    clusters = samples.labels is not None and run.labels_of(None) is None
    return score_generation(
        found,
        seen.references,
        sampler=name,
        asked=None if clusters else samples.labels,
        predicted=seen.features.classify(found),
        real_agreement=seen.real_agreement,
        seed=seed,
    )
