"""One Gaussian with a full covariance; with labels, one a class as well."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latens.algebra import covariance, factor
from latens.samplers.contract import Cost, Tick
from latens.samplers.density import Normals
from latens.samplers.learned import Learned

__all__ = ["GaussianSampler"]


class GaussianSampler(Learned):
    """Normal noise with the mean and covariance of the latents, or of those of a class where labels are asked for.

    The covariance of a class is drawn towards the mean one within classes, which counts as much as D latents: a class with
    fewer latents than dimensions has none of its own (Friedman 1989, regularised discriminant analysis).
    """

    fills_zeros: ClassVar[bool] = True
    cost: ClassVar[Cost] = "instant"
    names: ClassVar[tuple[str, ...]] = ("mean", "factor", "class_means", "class_factors")

    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        dim = latents.shape[1]
        learned = {
            "mean": latents.mean(0),
            "factor": factor(covariance(latents)),
            "class_means": np.empty((0, dim)),
            "class_factors": np.empty((0, dim, dim)),
        }
        if labels is None:
            return learned
        groups = [latents[labels == label] for label in np.unique(labels)]
        own = [covariance(group) for group in groups]
        within = sum(len(group) * matrix for group, matrix in zip(groups, own, strict=True)) / len(latents)
        mixed = [
            (len(group) * matrix + dim * within) / (len(group) + dim) for group, matrix in zip(groups, own, strict=True)
        ]
        learned["class_means"] = np.stack([group.mean(0) for group in groups])
        learned["class_factors"] = np.stack([factor(matrix) for matrix in mixed])
        return learned

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        noise = random.standard_normal((n, len(self.arrays["mean"])))
        if index is None:
            whole: NDArray[np.float64] = self.arrays["mean"] + noise @ self.arrays["factor"].T
            return whole
        drawn = np.empty_like(noise)
        for label in np.unique(index):
            rows = index == label
            drawn[rows] = self.arrays["class_means"][label] + noise[rows] @ self.arrays["class_factors"][label].T
        return drawn

    def _normals(self, of_classes: bool) -> Normals | None:
        names = ("class_means", "class_factors") if of_classes else ("mean", "factor")
        means, factors = (self.arrays[name].astype(np.float64) for name in names)
        if not of_classes:
            means, factors = means[None], factors[None]
        return Normals(np.ones(len(means)), means, lambda one: factors[one] @ factors[one].T, np.arange(len(means)))
