"""Flow matching: a small network carries normal noise to the latents."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.samplers.learned import Learned, covariance, factor
from latens.samplers.velocity import Velocity, carry, train_velocity

__all__ = ["FlowSampler"]

RATE = 2e-3
PASSES = 40
WAY = 20  # steps from noise to latents


class FlowSampler(Learned):
    """A flow from normal noise to the latents, each class whitened by itself.

    Args:
        steps: of training at most, 0 or more; with none it draws from a Gaussian a class. Few latents are passed through
            `PASSES` times only, lest it learn them by heart.
        batch: latents of a step, 1 or more.
        width: of the network, 1 or more.
        num_blocks: of the network, 0 or more.

    Source: Lipman et al., "Flow matching for generative modeling", 2023.
    """

    fills_zeros: ClassVar[bool] = True
    names: ClassVar[tuple[str, ...]] = ("means", "factors", "shares", "width", "parameters")

    def __init__(self, steps: int = 2000, batch: int = 512, width: int = 384, num_blocks: int = 3) -> None:
        super().__init__()
        for name, value, least in [
            ("steps", steps, 0), ("batch", batch, 1), ("width", width, 1), ("num_blocks", num_blocks, 0)
        ]:  # fmt: skip
            if value < least:
                raise UsageError(f"{name} is {value}; it must be {least} or more")
        self.steps, self.batch, self.width, self.num_blocks = steps, batch, width, num_blocks

    def _learn(self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None) -> dict[str, NDArray[Any]]:
        index = np.zeros(len(latents), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
        shares = np.bincount(index) / len(index)
        groups = [latents[index == k] for k in range(len(shares))]
        own = [covariance(group) for group in groups]
        within = np.tensordot(shares, np.stack(own), 1)
        counts = [len(group) for group in groups]
        dim = latents.shape[1]
        factors = [factor((n * c + dim * within) / (n + dim)) for n, c in zip(counts, own, strict=True)]
        means = [group.mean(0) for group in groups]
        white = np.empty_like(latents)
        for k, group in enumerate(groups):
            white[index == k] = (group - means[k]) @ np.linalg.pinv(factors[k], rcond=1e-4).T
        net = self._network(dim, len(shares))
        batch = min(self.batch, len(latents))
        steps = min(self.steps, PASSES * len(latents) // batch)
        train_velocity(net, torch.from_numpy(white).float(), torch.from_numpy(index), steps, batch, RATE)
        return {
            "means": np.stack(means),
            "factors": np.stack(factors),
            "shares": shares,
            "width": np.array([self.width, self.num_blocks]),
            "parameters": torch.nn.utils.parameters_to_vector(net.parameters()).detach().numpy(),
        }

    def _network(self, dim: int, num_classes: int) -> Velocity:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return Velocity(dim, num_classes, self.width, self.num_blocks)

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        means, factors, shares = self.arrays["means"], self.arrays["factors"], self.arrays["shares"]
        chances = random.random(n)
        if index is None:
            index = np.searchsorted(np.cumsum(shares)[:-1] / shares.sum(), chances, side="right")
        noise = torch.from_numpy(random.standard_normal((n, means.shape[1]))).float()
        width, num_blocks = self.arrays["width"].tolist()
        net = Velocity(means.shape[1], len(shares), width, num_blocks)
        torch.nn.utils.vector_to_parameters(torch.from_numpy(self.arrays["parameters"]), net.parameters())
        white = carry(net, noise, torch.from_numpy(index), WAY).numpy()
        drawn = np.empty_like(white)
        for k in np.unique(index):
            drawn[index == k] = means[k] + white[index == k] @ factors[k].T
        return drawn
