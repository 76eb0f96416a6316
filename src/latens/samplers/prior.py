"""The prior: the distribution that the model itself assumes for its latents."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.models.contract import HasPrior
from latens.samplers.contract import Cost, Tick
from latens.samplers.learned import Learned

__all__ = ["PriorSampler"]

BLOCK = 256  # samples that the model draws at a time


class PriorSampler(Learned):
    """The prior of a model; a standard normal where none is given. It uses only the dimension of the latents.

    It has no classes, also when it is fitted with labels.

    Args:
        draw: (n, seed) -> (n, D), the same for the same seed.

    >>> PriorSampler().fit(np.zeros((5, 3))).sample(2).shape
    (2, 3)
    """

    cost: ClassVar[Cost] = "instant"
    names: ClassVar[tuple[str, ...]] = ("dim",)

    def __init__(self, draw: Callable[[int, int], NDArray[Any]] | None = None) -> None:
        super().__init__()
        self.draw = draw

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

        return {"draw": draw}

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
