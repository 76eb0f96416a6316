"""What the rest of latens knows of a model."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from latens.losses import Losses
from latens.networks.half import Half

__all__ = ["HasPrior", "Model", "Watched"]


class Model(nn.Module, ABC):
    """An abstract model: images of one shape, latents of one dimension, and a loss of its own.

    Pixels are in [0, 1]. A model with a prior is also a `HasPrior`, one that can go wrong in ways of its own a `Watched`.
    """

    image_shape: tuple[int, int, int]  # (C, H, W)
    latent_dim: int  # D
    encoder: Half
    decoder: Half
    decodes_logits: bool = False  # the decoder puts out logits, which `decode` turns into pixels
    twice_differentiated: tuple[
        str, ...
    ] = ()  # halves that the loss differentiates twice, which torch's form alone allows

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """The latent of each picture, the same at each call: (B, C, H, W) -> (B, D)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """The picture of each latent, about [0, 1] but not held to it: (B, D) -> (B, C, H, W)."""

    @abstractmethod
    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """What is minimised, one value a sample: (B, C, H, W) -> (B,).

        All noise is drawn from the generator, which lives where x does; None is torch's own. Nothing else is read from the host,
        so that a step can be replayed (`latens.training.graphs`). The parts hold `squared_error`, the mean over pixels.
        """

    def output_start(self, pixel: float) -> float:
        """Where the decoder's last bias starts for pictures of this mean: there, or at its logit for a decoder of logits."""
        held = min(max(pixel, 0.01), 0.99)  # the logit of pictures that are all black is none
        return math.log(held / (1 - held)) if self.decodes_logits else pixel


@runtime_checkable
class HasPrior(Protocol):
    """A model that knows where its latents come from; one without a prior does not pretend to have one."""

    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """New latents, (n, D)."""


@runtime_checkable
class Watched(Protocol):
    """A model that is looked at after each epoch of training, for what the loss does not show."""

    def remarks(self, x: Tensor) -> Sequence[str]:
        """What a person should know, a sentence each, judged by some test images (B, C, H, W): units that have collapsed, …"""
