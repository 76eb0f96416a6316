"""The density of Gaussian mixtures, which several samplers are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.special import logsumexp

from latens.errors import UsageError

__all__ = ["Normals", "log_density"]


class Normals(NamedTuple):
    """A mixture of Gaussians.

    Args:
        weights: (T,), above 0; of all components together they may have any sum.
        means: (T, D).
        covariance: component -> (D, D).
        owners: (T,), the index of the class of each component.
    """

    weights: NDArray[Any]
    means: NDArray[Any]
    covariance: Callable[[int], NDArray[np.float64]]
    owners: NDArray[np.int64]


def log_density(latents: NDArray[np.float64], normals: Normals, index: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """The natural logarithm of the density at some latents (N, D), of all components or of those of a class each: (N,).

    Raises:
        UsageError: a covariance is singular.
    """
    found = np.empty(len(latents))
    for owner in [None] if index is None else np.unique(index):
        rows = np.ones(len(latents), np.bool_) if index is None else index == owner
        mine = np.flatnonzero(np.ones(len(normals.weights)) if owner is None else normals.owners == owner)
        shares = normals.weights[mine].astype(np.float64)
        each = np.stack([_log_normal(latents[rows] - normals.means[one], normals.covariance(int(one))) for one in mine])
        found[rows] = logsumexp(each, axis=0, b=(shares / shares.sum())[:, None])
    return found


def _log_normal(deviations: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log density of a Gaussian at deviations (N, D) from its mean: (N,)."""
    still = np.flatnonzero(np.diag(covariance) <= 0)
    if len(still):
        raise UsageError(
            f"latent number {still[0]} never varies, so there is no density over all numbers; fit a sampler to the others"
        )
    try:
        root = cholesky(covariance, lower=True)
    except LinAlgError:
        raise UsageError(
            "a covariance is singular: some latent numbers follow from others, so there is no density over all of them"
        ) from None
    scaled = solve_triangular(root, deviations.T, lower=True)
    width = deviations.shape[1]
    log: NDArray[np.float64] = (
        -0.5 * np.square(scaled).sum(0) - np.log(np.diag(root)).sum() - 0.5 * width * np.log(2 * np.pi)
    )
    return log
