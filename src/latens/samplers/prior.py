"""The prior: the distribution that the model itself assumes for its latents."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.models.contract import HasPrior, HasPriorDensity
from latens.models.rules import standard_normal
from latens.samplers.contract import Cost, Tick
from latens.samplers.learned import Learned

__all__ = ["PriorSampler"]

BLOCK = 256  # samples that the model draws at a time


class PriorSampler(Learned):
    """The prior of a model; a standard normal where none is given. It uses only the dimension of the latents.

    It has no classes, also when it is fitted with labels.

    Args:
        draw: (n, seed) -> (n, D), the same for the same seed.
        density: (N, D) -> (N,), the log density of what it draws; None where it has none or it is not known.

    >>> PriorSampler().fit(np.zeros((5, 3))).sample(2).shape
    (2, 3)
    """

    cost: ClassVar[Cost] = "instant"
    names: ClassVar[tuple[str, ...]] = ("dim",)

    def __init__(
        self,
        draw: Callable[[int, int], NDArray[Any]] | None = None,
        density: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None,
    ) -> None:
        super().__init__()
        self.draw, self.density = draw, _standard_normal if draw is None else density

    @classmethod
    def unavailable(cls, model: object) -> str:
        """See `Sampler.unavailable`."""
        return "" if isinstance(model, HasPrior) else "the model has no prior to draw from"

    @classmethod
    def options_for(cls, model: Any, device: torch.device) -> Mapping[str, Any]:
        """See `Sampler.options_for`."""

        def draw(n: int, seed: int) -> NDArray[Any]:
            with torch.no_grad():
                z = model.sample_prior(n, torch.Generator(device).manual_seed(seed))
            latents: NDArray[Any] = z.float().cpu().numpy()
            return latents

        def density(latents: NDArray[np.float64]) -> NDArray[np.float64]:
            with torch.no_grad():
                log: Any = model.log_prior(torch.from_numpy(latents).to(device))
            return np.asarray(log.cpu().numpy(), np.float64)

        return {"draw": draw, "density": density if isinstance(model, HasPriorDensity) else None}

    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        return {"classes": np.empty(0, np.int64), "dim": np.array([latents.shape[1]])}

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        dim = int(self.arrays["dim"][0])
        if self.draw is None:
            return random.standard_normal((n, dim))
        # Blocks of one size, a seed each, so that the first n of more samples are the same n.
        seeds = random.integers(2**31, size=-(-n // BLOCK)).tolist()
        blocks = [np.asarray(self.draw(BLOCK, seed)) for seed in seeds]
        drawn = np.concatenate(blocks)[:n] if blocks else np.empty((0, dim))
        if drawn.shape != (n, dim):
            raise UsageError(
                f"the prior drew latents of shape {drawn.shape}; the latents it was fitted to need ({n}, {dim})"
            )
        return drawn

    @property
    def no_density(self) -> str:
        """See `Sampler.no_density`."""
        return super().no_density if self.density is None else ""

    def log_prob(self, latents: NDArray[Any], labels: NDArray[Any] | None = None) -> NDArray[np.float64]:
        """See `Sampler.log_prob`."""
        if self.density is None or not self.arrays:
            return super().log_prob(latents, labels)  # which refuses
        if labels is not None:
            self._index(len(latents), np.asarray(labels))  # which refuses, as there are no classes
        return self.density(np.asarray(latents, np.float64))


def _standard_normal(latents: NDArray[np.float64]) -> NDArray[np.float64]:
    log: NDArray[np.float64] = standard_normal(torch.from_numpy(latents)).numpy()
    return log
