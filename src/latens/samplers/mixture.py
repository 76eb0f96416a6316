"""A mixture of Gaussians, as many as held-out latents ask for."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latens.samplers.learned import Learned, subset

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

__all__ = ["MixtureSampler"]

MOST = 10_000  # latents that the fit looks at, and those by which the setting is chosen: they bound its time
MOST_CHOOSING = 4_000
AT_LEAST = 100  # latents of each class among them, where there are as many
HELD_OUT = 5  # one latent in so many judges the settings
ROOM = 8  # latents at least for each component
WHOLE = ((1, "full"), (5, "full"), (10, "full"), (20, "full"), (40, "diag"))
A_CLASS = ((1, "full"), (2, "full"), (4, "full"), (8, "diag"))
REGULAR = 1e-4  # added to variances, where the mean variance of a unit is 1


class MixtureSampler(Learned):
    """Gaussian mixtures: one over all latents, or one a class where there are labels, drawn by the share of each class.

    The number of components and the form of their covariances are those of a short list under which held-out latents are
    likeliest. Units that never vary keep their value.
    """

    names: ClassVar[tuple[str, ...]] = ("weights", "means", "factors", "owners")

    def _learn(self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None) -> dict[str, NDArray[Any]]:
        centre, deviations = latents.mean(0), latents.std(0)
        live = deviations > 1e-7 * max(float(deviations.max()), np.finfo(np.float64).tiny)
        scale = float(np.sqrt((deviations[live] ** 2).mean())) if live.any() else 1.0
        rows = subset(latents, MOST)
        if labels is not None:  # a class must not be missed for being rare
            few = [np.flatnonzero(labels == label)[:AT_LEAST] for label in np.unique(labels)]
            rows = np.union1d(rows, np.concatenate(few))
        scaled = (latents[rows][:, live] - centre[live]) / scale
        owners = np.zeros(len(rows), np.int64) if labels is None else np.searchsorted(np.unique(labels), labels[rows])
        shares = np.ones(1) if labels is None else np.unique(labels, return_counts=True)[1] / len(labels)
        groups = [scaled[owners == owner] for owner in range(len(shares))]
        mixtures = _best(groups, WHOLE if labels is None else A_CLASS) if live.any() else [None] * len(groups)
        parts = [_parts(mixture, live, len(centre)) for mixture in mixtures]
        return {
            "weights": np.concatenate([share * part[0] for share, part in zip(shares, parts, strict=True)]),
            "means": np.concatenate([part[1] for part in parts]) * scale + centre,
            "factors": np.concatenate([part[2] for part in parts]) * scale,
            "owners": np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]),
        }

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        weights, owners = self.arrays["weights"].astype(np.float64), self.arrays["owners"]
        chances = random.random(n)
        noise = random.standard_normal((n, self.arrays["means"].shape[1]))
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


def _best(groups: Sequence[NDArray[np.float64]], settings: Sequence[tuple[int, str]]) -> "list[GaussianMixture]":
    """A mixture for each group, all of the setting under which the groups' held-out latents are likeliest."""
    most = max(AT_LEAST, MOST_CHOOSING // len(groups))
    few = [group[subset(group, most)] for group in groups]
    scores = []
    for components, kind in settings:
        total = 0.0
        for group in few:
            held = np.arange(len(group)) % HELD_OUT == HELD_OUT - 1
            if held.any():
                total += _fit(group[~held], components, kind).score_samples(group[held]).sum()
        scores.append(total)
    components, kind = settings[int(np.argmax(scores))]
    return [_fit(group, components, kind) for group in groups]


def _fit(latents: NDArray[np.float64], components: int, kind: str) -> "GaussianMixture":
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    components = max(1, min(components, len(latents) // ROOM, len(np.unique(latents, axis=0))))
    if len(latents) == 1:
        latents = np.repeat(latents, 2, axis=0)  # scikit-learn wants two; the variance is then REGULAR
    mixture = GaussianMixture(components, covariance_type=kind, reg_covar=REGULAR, max_iter=30, random_state=0)
    with warnings.catch_warnings():
        # Thirty rounds are close enough; the choice is judged by held-out latents all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(latents)


def _parts(
    mixture: "GaussianMixture | None", live: NDArray[np.bool_], dim: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights (T,), means (T, D) and factors (T, D, D) of a mixture over the live units; None: nothing varies."""
    if mixture is None:
        return np.ones(1), np.zeros((1, dim)), np.zeros((1, dim, dim))
    count = len(mixture.weights_)
    means, factors = np.zeros((count, dim)), np.zeros((count, dim, dim))
    means[:, live] = mixture.means_
    full = mixture.covariance_type == "full"
    roots = [np.linalg.cholesky(c) if full else np.diag(np.sqrt(c)) for c in mixture.covariances_]
    factors[np.ix_(np.ones(count, np.bool_), live, live)] = np.stack(roots)
    return mixture.weights_, means, factors
