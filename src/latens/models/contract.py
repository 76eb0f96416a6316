"""The contract of a model: what the rest of latens knows of it."""

import math
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from latens.errors import UsageError
from latens.losses import Losses
from latens.networks import Network

__all__ = ["HasPrior", "HasPriorDensity", "Model", "Prepared", "Watched", "evaluating"]


class Model(nn.Module, ABC):
    """An abstract model: images of one shape, latents of one shape, a pair of networks and a loss.

    Args:
        image_shape: (C, H, W).
        network: encoder, decoder and the shape of a latent; any `nn.Module`s. A `Half` is faster where its kernels are built.
        after_encoder: modules without weights that turn the encoder's output (B, F) into latents (B, D): an activation, the
            choice of the mean (`latens.models.rules`).
        after_decoder: modules without weights that turn the decoder's output into pixels, such as a sigmoid.

    Pixels are in [0, 1]. Outside the model latents are flat, (N, D), for any `latent_shape`. What follows the two halves is
    declared here once, and read by everything that walks through a model: its drawing and the explorer's page in one file.
    A model with a prior is also a `HasPrior`, one that checks itself during training a `Watched`. A subclass may also call
    `super().__init__()` and set `image_shape`, `latent_shape`, `encoder` and `decoder` itself.

    Raises:
        UsageError: the network does not state the shape of its latent.
    """

    image_shape: tuple[int, int, int]  # (C, H, W)
    latent_shape: tuple[int, ...]  # (D,) or (c, h, w)
    encoder: nn.Module
    decoder: nn.Module
    after_encoder: nn.Sequential
    after_decoder: nn.Sequential
    # Standard deviation of the noise that training adds to an image before it is encoded; above 0 the model removes noise.
    input_noise: float = 0.0
    # Halves that the loss differentiates twice, which the kernels of `Half` can't.
    twice_differentiated: tuple[str, ...] = ()
    # Whether the loss reads from the host, so that a step on a GPU can't be replayed.
    reads_host: bool = False
    # Whether the encoder was trained with the decoder, so that an image which is decoded well leads back to its latent.
    trained_together: bool = True
    # The sampler that is this model's learned prior: fitted to its latents after training, and scored by default.
    learned_prior: str = ""

    def __init__(
        self,
        image_shape: tuple[int, int, int] | None = None,
        network: Network | None = None,
        *,
        after_encoder: Sequence[nn.Module] = (),
        after_decoder: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        if image_shape is not None:
            self.image_shape = image_shape
        if network is not None:
            if network.latent_shape is None:
                raise UsageError(
                    "the network does not state its latent_shape; give Network(encoder, decoder, latent_shape)"
                )
            self.latent_shape = tuple(network.latent_shape)
            self.encoder, self.decoder = network.encoder, network.decoder
        self.after_encoder, self.after_decoder = nn.Sequential(*after_encoder), nn.Sequential(*after_decoder)

    @property
    def latent_dim(self) -> int:
        """D, the number of values of a latent."""
        return math.prod(self.latent_shape)

    @latent_dim.setter
    def latent_dim(self, value: int) -> None:
        """A latent is a vector of so many values, unless `latent_shape` says otherwise."""
        if math.prod(getattr(self, "latent_shape", ())) != value:
            self.latent_shape = (value,)

    @property
    def decodes_logits(self) -> bool:
        """Whether the decoder's output is logits, which a sigmoid turns into pixels."""
        return len(self.after_decoder) > 0 and isinstance(self.after_decoder[-1], nn.Sigmoid)

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU for a model without any."""
        return next((tensor.device for tensor in self._tensors()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights, in which the model computes; float32 for a model without any."""
        return next((tensor.dtype for tensor in self._tensors() if tensor.is_floating_point()), torch.float32)

    def _tensors(self) -> Iterator[Tensor]:
        yield from self.parameters()
        yield from self.buffers()

    def encode(self, x: Tensor) -> Tensor:
        """The latent of each picture, the same at each call: (B, C, H, W) -> (B, D)."""
        z: Tensor = self.after_encoder(self.encoder(x).flatten(1))
        return z

    def decode(self, z: Tensor) -> Tensor:
        """The picture of each latent, about [0, 1] but not held to it: (B, D) -> (B, C, H, W)."""
        x: Tensor = self.after_decoder(self.decoder(self.shaped(z)))
        return x

    def shaped(self, z: Tensor) -> Tensor:
        """Flat latents as the decoder takes them: (B, D) -> `(B, *latent_shape)`."""
        return z if len(self.latent_shape) == 1 else z.reshape(z.shape[0], *self.latent_shape)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of each picture: (B, C, H, W) -> (B, C, H, W)."""
        return self.decode(self.encode(x))

    @abstractmethod
    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The loss, one value per sample: (B, C, H, W) -> (B,).

        All noise is drawn from the generator, which lives where x does; None is torch's own. Nothing else is read from the host,
        so that a step can be replayed (`latens.training.graphs`). The parts hold `squared_error`, the mean over pixels.
        """

    def output_start(self, pixel: float) -> float:
        """Where the decoder's last bias starts for pictures of this mean: there, or at its logit for a decoder of logits."""
        held = min(max(pixel, 0.01), 0.99)  # the logit of pictures that are all black is not finite
        return math.log(held / (1 - held)) if self.decodes_logits else pixel


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; afterwards each part of the model is in the mode in which it was.

    With several threads inside, the model stays in evaluation mode until the last has left.
    """
    with _EVALUATED_LOCK:
        inside, training = _EVALUATED.get(model, (0, []))
        _EVALUATED[model] = inside + 1, training or [module for module in model.modules() if module.training]
        model.eval()
    try:
        yield
    finally:
        with _EVALUATED_LOCK:
            inside, training = _EVALUATED.pop(model)
            if inside > 1:
                _EVALUATED[model] = inside - 1, training
            else:
                for module in training:
                    module.training = True


# Models in evaluation mode: how often, and the parts that were in training mode before.
_EVALUATED: dict[nn.Module, tuple[int, list[nn.Module]]] = {}
_EVALUATED_LOCK = threading.Lock()


@runtime_checkable
class HasPrior(Protocol):
    """A model with a distribution over latents to draw from."""

    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """New latents, (n, D)."""


@runtime_checkable
class HasPriorDensity(HasPrior, Protocol):
    """A model whose prior has a density that is known."""

    def log_prior(self, z: Tensor) -> Tensor:
        """The natural logarithm of the prior's density at latents: (B, D) -> (B,)."""


@runtime_checkable
class Prepared(Protocol):
    """A model of which a part is computed from the images before the first step."""

    def prepare(self, *parts: Any, progress: Callable[[int, int], None] | None = None) -> None:
        """Compute what is missing; called again before a training goes on.

        Args:
            *parts: images as models take them, (N, C, H, W); the first is learned from, the others are only encoded later.
            progress: called with (done, total) images.
        """


@runtime_checkable
class Watched(Protocol):
    """A model that is checked after each epoch of training, for what the loss does not show."""

    def remarks(self, x: Tensor) -> Sequence[str]:
        """Notes for the user, one sentence each, from some test images (B, C, H, W): collapsed units, …"""
