"""What the model itself says that latents are drawn from."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.samplers.contract import Tick
from latens.samplers.learned import Learned

__all__ = ["PriorSampler"]


class PriorSampler(Learned):
    """The prior of a model; a standard normal where none is given. It learns nothing of the latents but their dimension.

    It has no classes, whatever labels it is shown.

    Args:
        draw: (n, seed) -> (n, D), the same for the same seed.

    >>> PriorSampler().fit(np.zeros((5, 3))).sample(2).shape
    (2, 3)
    """

    names: ClassVar[tuple[str, ...]] = ("dim",)

    def __init__(self, draw: Callable[[int, int], NDArray[Any]] | None = None) -> None:
        super().__init__()
        self.draw = draw

    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        return {"classes": np.empty(0, np.int64), "dim": np.array([latents.shape[1]])}

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        dim = int(self.arrays["dim"][0])
        if self.draw is None:
            return random.standard_normal((n, dim))
        drawn = np.asarray(self.draw(n, int(random.integers(2**31))))
        if drawn.shape != (n, dim):
            raise UsageError(
                f"the prior drew latents of shape {drawn.shape}; the latents it was fitted to need ({n}, {dim})"
            )
        return drawn
