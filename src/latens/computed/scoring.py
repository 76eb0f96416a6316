"""The scores of a run: what is true of it, in numbers, into metrics.json."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from latens.computed.generating import attempted, samplers_named, score_samplers
from latens.images import Dataset
from latens.left_out import LeftOut
from latens.metrics import METRICS, Scores
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.folder import TEST, TRAIN

__all__ = ["score_run"]


def score_run(
    run: Run,
    images: Dataset,
    progress: Progress | None = None,
    samplers: Sequence[str] | None = None,
    left: LeftOut | None = None,
) -> dict[str, Any]:
    """Compute the scores of a run, group by group, into metrics.json.

    Args:
        run: with latents and maps.
        images: what it was trained on.
        progress: shows how far it is.
        samplers: whose samples are scored, see `samplers_named`.
        left: keeps the reasons of the groups that could not be scored; each has a note too.

    Returns:
        `scores`, a list of dicts: group, name, value, unit, better, baseline, baseline_name, protocol, low, high; `notes` by
        group on what was left out; `details` by group: errors by class, the worst images.

    Raises:
        UnknownName: there is no such sampler.
        RunError: the prior was asked for, and the model has none.
    """
    progress, seed = progress or Silent(), run.recipe.config.seed
    chosen = samplers_named(run, samplers)
    left = left or LeftOut(progress.say)
    groups: dict[str, Scores] = {}
    with progress.stage("scores") as tick:
        for done, (name, compute) in enumerate(_SCORED.items()):
            tick(done, len(_SCORED), name)
            groups[name] = attempted(left, name, partial(compute, run, images, seed))
    groups |= score_samplers(run, images, chosen, progress, left)
    result = {
        "scores": [{"group": group, **asdict(score)} for group, found in groups.items() for score in found.scores],
        "notes": {group: "; ".join(found.notes) for group, found in groups.items() if found.notes},
        "details": {group: dict(found.details) for group, found in groups.items() if found.details},
    }
    run.save("metrics.json", result)
    return result


def _score_reconstruction(run: Run, images: Dataset, seed: int) -> Scores:
    return METRICS["reconstruction"](
        images.train.pixels,
        images.test.pixels,
        run.reconstruct,
        run.recipe.latent_dim,
        labels=images.test.labels,
        class_names=images.class_names,
        ids=images.test.ids,
        seed=seed,
    )


def _score_representation(run: Run, images: Dataset, seed: int) -> Scores:
    return METRICS["representation"](
        run.of_part("latents", TRAIN),
        run.of_part("latents", TEST),
        images.train.labels,
        images.test.labels,
        train_pixels=images.train.pixels,
        test_pixels=images.test.pixels,
        seed=seed,
    )


def _score_map(run: Run, images: Dataset, seed: int) -> Scores:
    """The scores of the t-SNE map, beside those of PCA's."""
    plain = run.map_scores("pca")
    beside = {score.name: score.value for score in plain.scores}
    found = run.map_scores("tsne")
    scores = [replace(score, baseline=beside[score.name], baseline_name="PCA's map") for score in found.scores]
    return Scores(tuple(scores), found.notes)


_SCORED = {"reconstruction": _score_reconstruction, "representation": _score_representation, "map": _score_map}
