"""How well a map shows the neighbourhoods of latent space."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latens.arrays import drawn_rows
from latens.errors import UsageError
from latens.metrics.inputs import Inputs
from latens.metrics.score import BaselineKind, Definition, Metric, Protocol, Scores
from latens.metrics.votes import vote
from latens.neighbours import nearest_neighbours, neighbours_kept

__all__ = ["METRIC", "score_map", "trustworthiness"]

K = 10
K_VOTES = 5
MOST = 20_000  # points whose ranks are looked at; more are a sample of as many
BLOCK_BYTES = 1 << 24

DEFINITIONS = (
    Definition(
        "trustworthiness",
        "Whether images that are neighbours on the map are near each other in latent space as well: 1 if always, 0.5 for points"
        " at random.",
        "higher",
    ),
    Definition(
        "neighbour_recall",
        "Share of the 10 nearest images in latent space that are among the 10 nearest on the map.",
        "higher",
    ),
    Definition(
        "map_knn_accuracy",
        "Share of images whose class is that of most of their 5 nearest neighbours on the map.",
        "higher",
    ),
)


def trustworthiness(latents: NDArray[Any], coordinates: NDArray[Any], k: int = K, seed: int = 0) -> float:
    """Trustworthiness (Venna and Kaski 2001): how near in latent space the neighbours on a map are; at most 1.

    Args:
        latents: (N, D), finite.
        coordinates: (N, 2), finite.
        k: how many neighbours on the map; under N / 2.
        seed: of the sample of 20,000 points that is taken of more.

    Returns:
        1 less the mean excess of the latent ranks of the map's neighbours over k, scaled to [0, 1].

    Raises:
        UsageError: not one latent a point, or too few points for k.
    """
    num = len(latents)
    if len(coordinates) != num or not 1 <= k < num / 2:
        raise UsageError(
            f"{num} latents, {len(coordinates)} points on the map and k = {k}; one latent a point and k under N / 2 are needed"
        )
    on_map = torch.from_numpy(nearest_neighbours(coordinates, k=k)[1])
    rows = drawn_rows(num, MOST, seed)
    centred = torch.from_numpy(np.asarray(latents, np.float64) - np.mean(latents, 0, dtype=np.float64))
    norms = centred.square().sum(1)
    # Equal distances must stay equal through the rounding of the product.
    slack = 1e-12 * float(norms.max())
    excess = 0.0
    block = max(1, BLOCK_BYTES // (8 * num))
    for start in range(0, len(rows), block):
        here = torch.from_numpy(rows[start : start + block])
        squares = torch.addmm(norms, centred[here], centred.T, alpha=-2) + norms[here, None]
        limits = squares.gather(1, on_map[here]) - slack
        squares[torch.arange(len(here)), here] = torch.inf  # no point is before its own neighbours
        # Counted by numpy: torch takes twenty times as long to sum booleans.
        all_squares = squares.numpy()
        for column in limits.T.numpy():
            ranks = 1 + np.count_nonzero(all_squares < column[:, None], axis=1)
            excess += float(np.maximum(ranks - k, 0).sum())
    return 1 - excess * 2 / (len(rows) * k * (2 * num - 3 * k - 1))


def score_map(
    latents: NDArray[Any],
    coordinates: NDArray[Any],
    labels: NDArray[Any] | None = None,
    *,
    kept: NDArray[np.float32] | None = None,
    baseline_coordinates: NDArray[Any] | None = None,
    baseline_name: str = "",
    split: str = "test",
    seed: int = 0,
) -> Scores:
    """Score a map.

    Args:
        latents: (N, D), finite.
        coordinates: (N, 2), finite: where the map puts them.
        labels: int (N,), or None.
        kept: what `neighbours_kept` says of this map, float32 (N,), where it is known already.
        baseline_coordinates: another map of the same latents, beside which this one is shown; by default points at random.
        baseline_name: what that map is called.
        split: the part of the images that the latents are of.
        seed: of the sample by which trustworthiness is measured on more than 20,000 points.

    Returns:
        `trustworthiness`, `neighbour_recall` and, with labels, `map_knn_accuracy`.

    Raises:
        UsageError: not one latent, or label, a point.
    """
    num = len(latents)
    if len(coordinates) != num or (labels is not None and len(labels) != num):
        raise UsageError(
            f"{num} latents, {len(coordinates)} points on the map"
            + ("" if labels is None else f" and {len(labels)} labels")
            + "; as many of each are needed"
        )
    if num < 4:
        return Scores((), (f"the scores of the map are left out: {num} points have no neighbourhoods",))
    k = min(K, (num - 1) // 2)
    protocols = _protocols(num, k, split, seed)
    values = _values(latents, coordinates, labels, k, seed, kept if k == K else None)
    kind: BaselineKind = "method"
    if baseline_coordinates is not None:
        baselines = _values(latents, baseline_coordinates, labels, k, seed)
    else:
        baseline_name, kind = "points at random", "chance"
        baselines = {"trustworthiness": 0.5, "neighbour_recall": k / (num - 1)}
        if labels is not None:
            shares = np.unique(labels, return_counts=True)[1] / num
            baselines["map_knn_accuracy"] = float(shares.max())
    names = {"map_knn_accuracy": "the commonest class"} if baseline_coordinates is None else {}
    scores = tuple(
        one.score(
            values[one.name],
            protocols[one.name],
            baselines[one.name],
            baseline_name=names.get(one.name, baseline_name),
            baseline_kind=kind,
        )
        for one in DEFINITIONS
        if one.name in values
    )
    notes = () if labels is not None else ("map_knn_accuracy is left out: there are no labels",)
    return Scores(scores, notes)


def _protocols(num: int, k: int, split: str, seed: int) -> dict[str, Protocol]:
    looked = min(num, MOST)
    drawn_from, seed_of_draw = (num, seed) if num > MOST else (None, None)
    votes = {"k": min(K_VOTES, num - 1)}
    of_ranks = "ranks in latent space of the nearest on the map"
    of_recall = "share of the nearest in latent space that are among the nearest on the map"
    of_votes = "class by the nearest on the map, leave one out, majority, ties to the nearest"
    return {
        "trustworthiness": Protocol(of_ranks, looked, drawn_from, split, seed_of_draw, settings={"k": k}),
        "neighbour_recall": Protocol(of_recall, num, split=split, settings={"k": k}),
        "map_knn_accuracy": Protocol(of_votes, num, split=split, settings=votes),
    }


def _values(
    latents: NDArray[Any],
    coordinates: NDArray[Any],
    labels: NDArray[Any] | None,
    k: int,
    seed: int,
    kept: NDArray[np.float32] | None = None,
) -> dict[str, float]:
    kept = neighbours_kept(latents, coordinates, k) if kept is None else kept
    values = {
        "trustworthiness": trustworthiness(latents, coordinates, k, seed),
        "neighbour_recall": float(kept.mean(dtype=np.float64)),
    }
    if labels is not None:
        indices = nearest_neighbours(coordinates, k=min(K_VOTES, len(latents) - 1))[1]
        values["map_knn_accuracy"] = float((vote(labels[indices]) == labels).mean())
    return values


def _score(inputs: Inputs) -> Scores:
    """The scores of the t-SNE map, beside those of PCA's."""
    assert inputs.map_scores is not None, "these inputs come without maps"
    plain, found = inputs.map_scores("pca"), inputs.map_scores("tsne")
    beside = {score.name: score.value for score in plain.scores}
    scores = tuple(
        replace(score, baseline=beside[score.name], baseline_name="PCA's map", baseline_kind="method")
        for score in found.scores
    )
    return Scores(subjects={"tsne": Scores(scores, found.notes)})


METRIC = Metric("Map: how well does the map show the neighbourhoods of latent space?", DEFINITIONS, _score)
