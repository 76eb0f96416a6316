"""A mixture of Gaussians; the number of components is chosen by held-out likelihood."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latens.arrays import drawn_rows, held_out
from latens.samplers.contract import Tick
from latens.samplers.density import Normals
from latens.samplers.em import Mixture, fit_mixture, improve
from latens.samplers.learned import Learned, chances_and_noise

__all__ = ["WHOLE", "MixtureSampler", "best_mixtures", "prior_strength"]

MOST = 60_000  # latents that the fit looks at, and those of the first rounds: they bound its time
MOST_FIRST = 20_000
AT_LEAST = 100  # latents of each class among them, where there are as many
HELD_OUT = 6  # one latent in so many is held out, to choose the setting
ROOM = 8  # latents at least for each component
ROUNDS = (12, 4)  # over the first latents, then over all
WHOLE = ((1, False), (10, True), (10, False), (40, False), (100, False), (200, False))  # components, diagonal
A_CLASS = ((1, False), (5, True), (5, False), (10, False), (20, False), (40, False))
MOST_NUMBERS = 2**26  # of the covariances of all components: a setting with more is left out
PATIENCE = 0.1  # nats a latent that more components must gain


class MixtureSampler(Learned):
    """Gaussian mixtures: one over all latents, or one a class where there are labels, drawn by the share of each class.

    The number of components and the form of their covariances, full or diagonal, are chosen from a short list by the
    likelihood of held-out latents. Covariances are drawn towards their mean, which counts as much as D / 4 latents. Units that
    never vary keep their value; zeros of a ReLU are handled as `fill_zeros` says.
    """

    fills_zeros: ClassVar[bool] = True
    names: ClassVar[tuple[str, ...]] = ("weights", "means", "factors", "owners")

    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        centre, deviations = latents.mean(0), latents.std(0)
        live = deviations > 1e-7 * max(float(deviations.max()), np.finfo(np.float64).tiny)
        scale = float(np.sqrt((deviations[live] ** 2).mean())) if live.any() else 1.0
        rows = drawn_rows(len(latents), MOST)
        if labels is not None:  # so that rare classes are not missed
            few = [np.flatnonzero(labels == label)[:AT_LEAST] for label in np.unique(labels)]
            rows = np.union1d(rows, np.concatenate(few))
        scaled = torch.from_numpy((latents[rows][:, live] - centre[live]) / scale).float()
        owners = np.zeros(len(rows), np.int64) if labels is None else np.searchsorted(np.unique(labels), labels[rows])
        shares = np.ones(1) if labels is None else np.unique(labels, return_counts=True)[1] / len(labels)
        groups = [scaled[torch.from_numpy(owners == owner)] for owner in range(len(shares))]
        mixtures = (
            best_mixtures(groups, WHOLE if labels is None else A_CLASS, progress)
            if live.any()
            else [None] * len(groups)
        )
        parts = [_parts(mixture, live) for mixture in mixtures]
        return {
            "weights": np.concatenate([share * part[0] for share, part in zip(shares, parts, strict=True)]),
            "means": np.concatenate([part[1] for part in parts]) * scale + centre,
            "factors": np.concatenate([part[2] for part in parts]) * scale,
            "owners": np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]),
        }

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        weights, owners = self.arrays["weights"].astype(np.float64), self.arrays["owners"]
        chances, noise = chances_and_noise(random, n, self.arrays["means"].shape[1])
        chosen = np.empty(n, np.int64)
        for owner in [None] if index is None else np.unique(index):
            mine = np.arange(len(weights)) if owner is None else np.flatnonzero(owners == owner)
            rows = slice(None) if index is None else index == owner
            edges = np.cumsum(weights[mine]) / weights[mine].sum()
            chosen[rows] = mine[np.searchsorted(edges[:-1], chances[rows], side="right")]
        drawn = np.empty_like(noise)
        for component in np.unique(chosen):
            rows = chosen == component
            drawn[rows] = self.arrays["means"][component] + noise[rows] @ self.arrays["factors"][component].T
        return drawn

    def _normals(self, of_classes: bool) -> Normals | None:
        factors = self.arrays["factors"].astype(np.float64)
        weights, means, owners = (self.arrays[name] for name in ("weights", "means", "owners"))
        return Normals(weights, means, lambda one: factors[one] @ factors[one].T, owners)


def best_mixtures(groups: Sequence[Tensor], settings: Sequence[tuple[int, bool]], progress: Tick) -> list[Mixture]:
    """A mixture for each group, all of the setting under which the groups' held-out latents are likeliest.

    Args:
        groups: points (N, D) of each, about unit variance.
        settings: numbers of components, with whether covariances are diagonal.
        progress: called with (done, total) settings.
    """
    held = [torch.from_numpy(held_out(len(group), HELD_OUT)) for group in groups]
    best: tuple[float, list[Mixture], bool] | None = None
    most = MOST_NUMBERS // (len(groups) * groups[0].shape[1] ** 2)
    settings = [setting for setting in settings if setting[0] <= max(1, most)]
    for done, (components, diagonal) in enumerate(settings):
        progress(done, len(settings))
        fitted = [_fit(g[~rows], components, diagonal, len(groups)) for g, rows in zip(groups, held, strict=True)]
        total = sum(
            float(m.score(g[rows]).sum()) for m, g, rows in zip(fitted, groups, held, strict=True) if rows.any()
        )
        score = total / max(1, sum(int(rows.sum()) for rows in held))
        if best is None or score > best[0] + PATIENCE:
            best = score, fitted, diagonal
        elif not diagonal:
            break  # more components would cost time and gain nothing
    assert best is not None
    _, mixtures, diagonal = best
    return [improve(m, g, prior_strength(g), diagonal, ROUNDS[1]) for m, g in zip(mixtures, groups, strict=True)]


def _fit(group: Tensor, components: int, diagonal: bool, groups: int) -> Mixture:
    components = max(1, min(components, len(group) // ROOM, len(np.unique(group.numpy(), axis=0))))
    most = max(AT_LEAST, MOST_FIRST // groups)
    first = group[torch.linspace(0, len(group) - 1, min(most, len(group))).long()]
    mixture = fit_mixture(first, components, prior_strength(group), diagonal, ROUNDS[0])
    return improve(mixture, group, prior_strength(group), diagonal, ROUNDS[1]) if len(first) < len(group) else mixture


def prior_strength(group: Tensor) -> float:
    """How many points the mean covariance counts for: a quarter of the dimensions of points (N, D), at least 1."""
    return max(1.0, group.shape[1] / 4)


def _parts(
    mixture: Mixture | None, live: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights (T,), means (T, D) and factors (T, D, D) of a mixture over the live units; None: nothing varies."""
    dim = len(live)
    if mixture is None:
        return np.ones(1), np.zeros((1, dim)), np.zeros((1, dim, dim))
    count = len(mixture.weights)
    means, factors = np.zeros((count, dim)), np.zeros((count, dim, dim))
    means[:, live] = mixture.means.double().numpy()
    factors[np.ix_(np.ones(count, np.bool_), live, live)] = mixture.factors.double().numpy()
    return mixture.weights.double().numpy(), means, factors
