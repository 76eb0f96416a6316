"""The contract of a sampler: everything that the rest of latens uses of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from latens.errors import UsageError

if TYPE_CHECKING:
    # The names of the samplers are read by the command line; that must not cost the import of numpy.
    import numpy as np
    import torch
    from numpy.typing import NDArray

__all__ = ["Cost", "Sampler", "Tick"]

Tick = Callable[[int, int], object]  # (done, total) of work that takes long
Cost = Literal["instant", "quick", "long"]  # of fitting 60,000 latents: under a second, seconds, a minute or more


class Sampler(ABC):
    """A source of new latents, fitted to those of a data set.

    A subclass describes itself to other rooms by: `cost`, `keeps_data`, `unavailable`, `options_for`, `centres`.
    """

    cost: ClassVar[Cost] = "quick"
    keeps_data: ClassVar[bool] = False  # its state holds latents of training images

    @classmethod
    def by_default(cls) -> bool:
        """Whether a run is scored with it by default: quick to fit, and no copy of the data."""
        return cls.cost != "long" and not cls.keeps_data

    @classmethod
    def unavailable(cls, model: object) -> str:
        """Why it can't draw latents for a model, as a part of a sentence ("the model has no prior"); empty where it can."""
        return ""

    @classmethod
    def options_for(cls, model: Any, device: "torch.device") -> Mapping[str, Any]:
        """The constructor's arguments that depend on the model, which works on this device; most samplers have none."""
        return {}

    @property
    def centres(self) -> "NDArray[np.float32] | None":
        """The latent of each class (K, D) to which nothing but independent normal noise is added; None where it draws otherwise.

        A sampler with centres has `with_noise`. The exported page stores centres, and draws the noise itself; of other samplers
        it stores some draws.
        """
        return None

    @property
    def spreads(self) -> "NDArray[np.float32] | None":
        """The spread of each class, the unit of `with_noise`, float32 (K,); for samplers with `centres` only."""
        return None

    def with_noise(self, noise: float, unit: str = "spread") -> Self:
        """The same sampler with other noise; for samplers with `centres` only.

        Args:
            noise: 0 or more.
            unit: `"spread"`, each class's own spread, or `"latent"`, the latents' own unit.
        """
        raise NotImplementedError

    @property
    @abstractmethod
    def classes(self) -> "NDArray[np.int64]":
        """The labels that `sample` can be asked for, int64 (K,), ascending; empty where it was fitted without any."""

    @abstractmethod
    def labels_for(self, n: int) -> "NDArray[np.int64] | None":
        """Labels for n samples, the classes in turn, int64 (n,); None where there are no classes."""

    @abstractmethod
    def fit(self, latents: "NDArray[Any]", labels: "NDArray[Any] | None" = None, progress: Tick | None = None) -> Self:
        """Learn from latents.

        Args:
            latents: (N, D), finite, N at least 1.
            labels: int (N,), the class of each, 0 or more; or None.
            progress: called with (done, total) during a long fit.

        Raises:
            UsageError: other shapes, no latents, numbers that are not finite, or labels below 0.
        """

    @abstractmethod
    def sample(self, n: int, seed: int = 0, labels: "NDArray[Any] | None" = None) -> "NDArray[np.float32]":
        """Draw new latents.

        Args:
            n: how many, 0 or more.
            seed: the same seed and labels give the same latents, and the first of them when more are asked for.
            labels: int (n,), the class of each sample; None leaves the choice to the sampler.

        Returns:
            float32 (n, D).

        Raises:
            UsageError: n below 0, labels of another length, or a class that the sampler has not seen.
        """

    @property
    def no_density(self) -> str:
        """Why it has no density, as a part of a sentence ("it keeps latents"); empty where `log_prob` gives it."""
        return "its density is not known"

    def log_prob(self, latents: "NDArray[Any]", labels: "NDArray[Any] | None" = None) -> "NDArray[np.float64]":
        """The natural logarithm of the density of its draws at some latents.

        Args:
            latents: (N, D), such as `run.encode` gives.
            labels: int (N,): the density of the draws of this class, each; None takes that of all draws.

        Returns:
            float64 (N,), in nats.

        Raises:
            UsageError: it has none, see `no_density`; or the draws do not fill all dimensions; or other shapes.
        """
        raise UsageError(f"{type(self).__name__} has no log_prob: {self.no_density}")

    @abstractmethod
    def state(self) -> "dict[str, NDArray[Any]]":
        """The fitted state, as float32 and int64 arrays."""

    @classmethod
    @abstractmethod
    def restore(cls, state: "Mapping[str, NDArray[Any]]", options: Mapping[str, Any] | None = None) -> Self:
        """The sampler that `state()` was taken of; options are its constructor's.

        Raises:
            UsageError: the state is not of this kind of sampler.
        """
