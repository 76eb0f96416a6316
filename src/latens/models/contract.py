"""What the rest of latens knows of a model."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from latens.losses import Losses
from latens.networks.half import Half

__all__ = ["Model"]


class Model(nn.Module, ABC):
    """An abstract model: images of one shape, latents of one dimension, and a loss of its own.

    Pixels are in [0, 1]. A model with a prior adds `sample_prior(n, generator)`; one without does not pretend to have one.
    """

    image_shape: tuple[int, int, int]  # (C, H, W)
    latent_dim: int  # D
    encoder: Half
    decoder: Half

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """The latent of each picture, the same at each call: (B, C, H, W) -> (B, D)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """The picture of each latent, about [0, 1] but not held to it: (B, D) -> (B, C, H, W)."""

    @abstractmethod
    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """What is minimised, one value a sample: (B, C, H, W) -> (B,). The generator is for models that draw noise."""
