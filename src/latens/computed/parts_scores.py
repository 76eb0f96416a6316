"""Scores of the latents of a folder of parts: what they say of latents without images, in two passes at most."""

import os
from collections.abc import Callable

import numpy as np

from latens.algebra import RunningMoments, axes_of_scatter
from latens.arrays import drawn_rows
from latens.computed.parts_map import moments_of_parts
from latens.computed.stored import StoredParts, stored_parts
from latens.errors import UsageError
from latens.metrics.frechet import Moments, frechet_distance
from latens.metrics.intervals import of_ratio
from latens.metrics.representation import ACTIVE, KNN, K, rank_of_squares, scores_of_units
from latens.metrics.score import Definition, Protocol, Score, Scores
from latens.metrics.score_table import ScoreTable
from latens.metrics.votes import vote
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.text import shown
from latens.training.recipes import MAX_SEED, whole_number

__all__ = ["ASKED", "score_parts"]

ASKED = 2_000  # latents whose neighbours are searched
SPLIT = "encoded"

APART = Definition(
    "frechet_latents",
    "The Fréchet distance between these latents and others: how far apart their means and covariances are.",
    "lower",
)


def score_parts(
    run: Run,
    within: str | os.PathLike[str],
    *,
    against: str | os.PathLike[str] | None = None,
    asked: int = ASKED,
    seed: int | None = None,
    progress: Progress | None = None,
) -> ScoreTable:
    """Score the latents of a folder of parts; one part is in memory at a time.

    Args:
        run: whose model made them.
        within: the folder that `latens encode -o FOLDER/` wrote.
        against: another such folder, to be compared with.
        asked: latents that are drawn for `knn_accuracy`; their neighbours are searched among all, exactly.
        seed: of the draw; None takes the run's.
        progress: shows the progress.

    Returns:
        `active_units`, `effective_rank` and `zero_fraction` of all latents; with classes `knn_accuracy`, each among all others,
        with its interval; against others `frechet_latents`.

    Raises:
        UsageError: no latents of this run there, a part is missing or cut, or latents that are not finite.
    """
    asked = whole_number("the number of latents", asked, 1)
    chosen = run.recipe.config.seed if seed is None else whole_number("seed", seed, 0, MAX_SEED)
    stored, others = stored_parts(run, within), None if against is None else stored_parts(run, against)
    if not len(stored) or (others is not None and len(others) < 2):
        raise UsageError(f"{shown(within if not len(stored) else against)}: holds too few latents to score")
    progress = progress or Silent()
    zeros = [0]
    moments = moments_of_parts(stored, progress, lambda latents: zeros.append(int((latents == 0).sum())))
    scores = _of_units(moments, sum(zeros))
    found, notes = _of_neighbours(run, stored, asked, chosen, progress)
    scores = [*found, *scores]
    if others is not None:
        pair = [_as_features(one) for one in (moments, moments_of_parts(others, progress))]
        about = Protocol("squared distance of two normal distributions of latents", len(stored), split=SPLIT)
        scores.append(APART.score(frechet_distance(*pair), about))
    return ScoreTable.of_groups({"representation": Scores(tuple(scores), notes)})


def _of_units(moments: RunningMoments, zeros: int) -> list[Score]:
    active = int((np.diag(moments.covariance) > ACTIVE).sum())
    size = float(np.sqrt(np.trace(moments.scatter) + moments.count * moments.mean @ moments.mean))
    shape = (moments.count, len(moments.mean))
    rank = rank_of_squares(axes_of_scatter(moments.scatter)[0], size)
    return scores_of_units(active, rank, zeros / (shape[0] * shape[1]), shape, SPLIT)


def _of_neighbours(
    run: Run, stored: StoredParts, asked: int, seed: int, progress: Progress
) -> tuple[list[Score], tuple[str, ...]]:
    """The share of some latents whose class most of the nearest others have."""
    rows = drawn_rows(len(stored), asked, seed)
    labels = stored.labels(rows)
    if labels is None or len(stored) < 2 or not (known := labels != "").any():
        return [], ("kNN accuracy is left out: there are no classes",)
    rows, labels = rows[known], labels[known]
    tick: Callable[[int, int], object]
    with progress.stage("neighbours", "latents") as tick:
        near = stored.nearest(stored.latents(rows), K, rows, tick)[1]
    voters = stored.labels(near)
    assert voters is not None
    accuracy = float((vote(voters) == labels).mean())
    commonest = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
    drawn = len(rows) < len(stored)
    about = Protocol(
        "class by the nearest other latents, Euclidean, majority, ties to the nearest",
        len(rows),
        len(stored) if drawn else None,
        split=SPLIT,
        seed=seed if drawn else None,
        settings={"k": near.shape[1], "searched": len(stored)},
    )
    interval = of_ratio(accuracy, len(rows))
    return [
        KNN.score(accuracy, about, commonest, interval, baseline_name="the commonest class", baseline_kind="chance")
    ], ()


def _as_features(moments: RunningMoments) -> Moments:
    return Moments(moments.mean, moments.scatter / max(1, moments.count - 1))
