"""The notebook's probe: the mean latent of a class, plus noise."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.samplers.contract import Tick
from latens.samplers.learned import Learned, subset

__all__ = ["ClassMeansSampler"]

NUM_CLUSTERS = 10
MOST = 20_000  # latents that k-means looks at


class ClassMeansSampler(Learned):
    """Mean latent of each class plus `noise_std` times normal noise, the classes in turn.

    Without labels, k-means clusters stand in for classes (`clustered` is then true); their numbers are the labels.

    Args:
        noise_std: of the noise in each latent unit, 0 or more, in the latents' own unit; the notebook's is 1.
    """

    names: ClassVar[tuple[str, ...]] = ("means", "clustered")

    def __init__(self, noise_std: float = 1.0) -> None:
        super().__init__()
        if not (np.isfinite(noise_std) and noise_std >= 0):
            raise UsageError(f"noise_std is {noise_std}; it must be 0 or more")
        self.noise_std = noise_std

    @property
    def clustered(self) -> bool:
        """Whether the classes are clusters that k-means found."""
        return bool(self.arrays["clustered"])

    @property
    def means(self) -> NDArray[np.float32]:
        """The mean latent of each class, float32 (K, D)."""
        means: NDArray[np.float32] = self.arrays["means"]
        return means

    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        clustered = labels is None
        labels = _clusters(latents) if labels is None else labels
        classes = np.unique(labels)
        means = np.stack([latents[labels == label].mean(0) for label in classes])
        return {"classes": classes, "means": means, "clustered": np.array(int(clustered))}

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        index = np.arange(n) % len(self.classes) if index is None else index
        return self.means[index] + self.noise_std * random.standard_normal((n, self.means.shape[1]))


def _clusters(latents: NDArray[np.float64]) -> NDArray[np.int64]:
    from sklearn.cluster import KMeans

    seen = latents[subset(latents, MOST)]
    num = min(NUM_CLUSTERS, len(np.unique(seen, axis=0)))
    labels: NDArray[np.int64] = KMeans(num, n_init=3, random_state=0).fit(seen).predict(latents).astype(np.int64)
    return labels
