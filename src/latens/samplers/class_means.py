"""Class means: the mean latent of a class, plus noise; the probe of the reference experiment."""

from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows
from latens.errors import UsageError
from latens.samplers.contract import Cost, Tick
from latens.samplers.density import Normals
from latens.samplers.learned import Learned

__all__ = ["ClassMeansSampler"]

NUM_CLUSTERS = 10
MOST = 20_000  # latents that k-means looks at


class ClassMeansSampler(Learned):
    """Mean latent of each class plus `noise_std` times normal noise, the classes in turn.

    Without labels, k-means clusters stand in for classes (`clustered` is then true); their numbers are the labels.

    Args:
        noise_std: of the noise in each latent unit, 0 or more, in the latents' own unit; the reference experiment's is 1.
        unit: of `noise_std`: `"latent"`, or `"spread"`, the root mean square of each class's own standard deviations.
    """

    cost: ClassVar[Cost] = "instant"
    names: ClassVar[tuple[str, ...]] = ("means", "clustered")

    def __init__(self, noise_std: float = 1.0, unit: Literal["latent", "spread"] = "latent") -> None:
        super().__init__()
        if not (np.isfinite(noise_std) and noise_std >= 0):
            raise UsageError(f"noise_std is {noise_std}; it must be 0 or more")
        if unit not in ("latent", "spread"):
            raise UsageError(f"unit is {unit!r}; it must be 'latent' or 'spread'")
        self.noise_std, self.unit = noise_std, unit

    @property
    def clustered(self) -> bool:
        """Whether the classes are clusters that k-means found."""
        return bool(self.arrays["clustered"])

    @property
    def means(self) -> NDArray[np.float32]:
        """The mean latent of each class, float32 (K, D)."""
        means: NDArray[np.float32] = self.arrays["means"]
        return means

    @property
    def centres(self) -> NDArray[np.float32]:
        """See `Sampler.centres`."""
        return self.means

    @property
    def spreads(self) -> NDArray[np.float32]:
        """The spread of each class, float32 (K,): the root mean square of its standard deviations over the units."""
        # Samplers stored by earlier versions lack them: for those the unit is that of the latents.
        spreads: NDArray[np.float32] = self.arrays.get("spreads", np.ones(len(self.means), np.float32))
        return spreads

    def with_noise(self, noise: float, unit: str = "spread") -> Self:
        """See `Sampler.with_noise`."""
        return type(self).restore(self.arrays, {"noise_std": noise, "unit": unit})

    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        clustered = labels is None
        labels = _clusters(latents) if labels is None else labels
        classes = np.unique(labels)
        groups = [latents[labels == label] for label in classes]
        means = np.stack([group.mean(0) for group in groups])
        spreads = np.sqrt([group.var(0).mean() for group in groups])
        return {"classes": classes, "means": means, "spreads": spreads, "clustered": np.array(int(clustered))}

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        index = np.arange(n) % len(self.classes) if index is None else index
        noise = self.noise_std * random.standard_normal((n, self.means.shape[1]))
        return self.means[index] + (noise if self.unit == "latent" else noise * self.spreads[index, None])

    def _normals(self, of_classes: bool) -> Normals | None:
        if not self.noise_std:
            return None
        count, width = self.means.shape
        spreads = np.ones(count) if self.unit == "latent" else self.spreads.astype(np.float64)
        noise = (self.noise_std * spreads) ** 2
        return Normals(np.ones(count), self.means, lambda one: noise[one] * np.eye(width), np.arange(count))


def _clusters(latents: NDArray[np.float64]) -> NDArray[np.int64]:
    from sklearn.cluster import KMeans

    seen = latents[drawn_rows(len(latents), MOST)]
    num = min(NUM_CLUSTERS, len(np.unique(seen, axis=0)))
    labels: NDArray[np.int64] = KMeans(num, n_init=3, random_state=0).fit(seen).predict(latents).astype(np.int64)
    return labels
