"""A linear path beside a network: principal component analysis, to which the convolutions only add what they can improve.

Each half computes layers(x) + linear(x). The linear maps are set from the train images before the first step
(`latens.training.linear_start`), and are not trained; the last layers of the convolutions are then set to zero. So training
starts as PCA of as many numbers, however few images there are.
"""

from math import prod

import torch
from torch import Tensor, nn

from latens.networks import Network
from latens.networks.convolutional import convolutional
from latens.networks.half import Half

__all__ = ["FromLinear", "LinearPath", "ToLinear", "linear_path"]


class LinearPath(nn.Module):
    """A half with a fixed linear map beside its layers: the sum of both.

    Args:
        layers: the trained half.
        inputs: numbers of one input.
        outputs: numbers of one output.
        num_latents: numbers of a latent, which have a `spread`: what `layers` see or give is measured in it.

    `weight` (outputs, inputs), `bias` (outputs,) and `spread` (num_latents,) are buffers: stored with the weights, never trained.
    """

    weight: Tensor
    bias: Tensor
    spread: Tensor

    def __init__(self, layers: Half, inputs: int, outputs: int, num_latents: int) -> None:
        super().__init__()
        self.layers = layers
        self.register_buffer("weight", torch.zeros(outputs, inputs))
        self.register_buffer("bias", torch.zeros(outputs))
        self.register_buffer("spread", torch.ones(num_latents))

    @torch.no_grad()
    def start_linear(self) -> None:
        """Let the layers add nothing at first: the weights of the last one become zero."""
        last = [layer for layer in self.layers if isinstance(getattr(layer, "weight", None), nn.Parameter)][-1]
        for parameter in last.parameters():
            parameter.zero_()


class ToLinear(LinearPath):
    """An encoder with a linear path: (B, C, H, W) -> (B, F), linear(x) + spread · layers(x)."""

    def forward(self, x: Tensor) -> Tensor:
        """Sum both paths."""
        linear = nn.functional.linear(x.flatten(1), self.weight, self.bias)
        found: Tensor = self.layers(x)
        return linear + found.flatten(1) * self.spread


class FromLinear(LinearPath):
    """A decoder with a linear path: (B, D) -> (B, C, H, W), linear(z) + layers(z / spread)."""

    def forward(self, z: Tensor) -> Tensor:
        """Sum both paths."""
        made: Tensor = self.layers(z / self.spread)
        return made + nn.functional.linear(z, self.weight, self.bias).view(made.shape)


def linear_path(image_shape: tuple[int, int, int], encoded: int, latent_dim: int) -> Network:
    """Make the pair of encoder and decoder: the convolutional network with a linear path beside each half.

    Args:
        image_shape: (C, H, W), H and W from 8 to 256.
        encoded: number of features that the encoder returns; no activation follows them.
        latent_dim: number of features that the decoder takes.

    Use it for a few thousand images or fewer, of which a network alone learns less than PCA; the recipe `fast` does. Without
    training the linear maps are random directions.

    >>> network = linear_path((1, 28, 28), 64, 64)
    >>> network.decoder(network.encoder(torch.rand(2, 1, 28, 28))).shape
    torch.Size([2, 1, 28, 28])
    """
    pixels = prod(image_shape)
    inner = convolutional(image_shape, encoded, latent_dim)
    assert isinstance(inner.encoder, Half)
    assert isinstance(inner.decoder, Half)
    encoder = ToLinear(inner.encoder, pixels, encoded, encoded)
    decoder = FromLinear(inner.decoder, latent_dim, pixels, latent_dim)
    with torch.no_grad():
        directions = torch.randn(max(encoded, latent_dim), pixels) / pixels**0.5
        encoder.weight.copy_(directions[:encoded])
        decoder.weight.copy_(directions[:latent_dim].T)
    return Network(encoder, decoder)
