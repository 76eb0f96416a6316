"""A linear path beside a network: principal component analysis, to which the convolutions only add what they can improve.

Each half computes layers(x) + linear(x). The decoder adds further principal components as well, which it predicts from those that
a latent holds. All this is set from the train images before the first step (`latens.training.linear_start`), and is not trained;
the last layers of the convolutions are then set to zero. So training starts as PCA of as many numbers, or better, however few
images there are.
"""

from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from latens.networks import Network
from latens.networks.convolutional import convolutional
from latens.networks.dense import dense
from latens.networks.half import Half

__all__ = ["FromLinear", "Further", "LinearPath", "ToLinear", "linear_path", "squared_distances"]

NUM_CENTRES = 1024
MOST_FURTHER = 3  # times the numbers of a latent
MOST_STORED = 1 << 23  # numbers of all further directions together


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


class Further(nn.Module):
    """Further directions of an image, in amounts predicted from its latent: directions · amounts · exp(-|z / scale - centres|²).

    Args:
        num_latents: D.
        num_directions: R.
        outputs: P, numbers of an image.

    `centres` (K, D), `scale` (D,), `amounts` (R, K) and `directions` (P, R) are buffers. As long as the amounts are zero, nothing
    is added; weights stored by a version without them are read so.
    """

    centres: Tensor
    scale: Tensor
    amounts: Tensor
    directions: Tensor

    def __init__(self, num_latents: int, num_directions: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(NUM_CENTRES, num_latents))
        self.register_buffer("scale", torch.ones(num_latents))
        self.register_buffer("amounts", torch.zeros(num_directions, NUM_CENTRES))
        self.register_buffer("directions", torch.zeros(outputs, num_directions))
        self.register_load_state_dict_pre_hook(_without_further)  # type: ignore[no-untyped-call]  # torch has no types for it

    def forward(self, z: Tensor) -> Tensor:  # (B, D) -> (B, P)
        """Predict the amounts, and sum the directions."""
        near = torch.exp(-squared_distances(z / self.scale, self.centres))
        return nn.functional.linear(nn.functional.linear(near, self.amounts), self.directions)


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """The squared distance of each row of (n, D) to each of (m, D): (n, m)."""
    lengths = a.square().sum(1)[:, None] + b.square().sum(1)
    return (lengths - 2 * a @ b.mT).clamp_min(0)


def _without_further(module: nn.Module, stored: dict[str, Any], prefix: str, *_: Any) -> None:
    empty = {prefix + name: torch.zeros_like(buffer) for name, buffer in module.named_buffers()}
    if not empty.keys() & stored.keys():
        empty[f"{prefix}scale"] += 1
        stored.update(empty)


class FromLinear(LinearPath):
    """A decoder with a linear path: (B, D) -> (B, C, H, W), linear(z) + further(z) + layers(z / spread).

    `further` is None for images of no more numbers than a latent has.
    """

    def __init__(self, layers: Half, num_latents: int, outputs: int) -> None:
        super().__init__(layers, num_latents, outputs, num_latents)
        num_directions = min(MOST_FURTHER * num_latents, outputs - num_latents, max(1, MOST_STORED // outputs))
        self.further = Further(num_latents, num_directions, outputs) if num_directions > 0 else None

    def forward(self, z: Tensor) -> Tensor:
        """Sum all paths."""
        made: Tensor = self.layers(z / self.spread)
        flat = nn.functional.linear(z, self.weight, self.bias)
        if self.further is not None:
            flat = flat + self.further(z)
        return made + flat.view(made.shape)


def linear_path(image_shape: tuple[int, int, int], encoded: int, latent_dim: int) -> Network:
    """Make the pair of encoder and decoder: the convolutional network with a linear path beside each half; of rows the dense one.

    Args:
        image_shape: (C, H, W), H and W from 8 to 512; or (1, 1, F), a row of features.
        encoded: number of features that the encoder returns; no activation follows them.
        latent_dim: number of features that the decoder takes.

    Use it for a few thousand images or fewer, of which a network alone learns less than PCA; the recipe `fast` does. Without
    training the linear maps are random directions.

    >>> network = linear_path((1, 28, 28), 64, 64)
    >>> network.decoder(network.encoder(torch.rand(2, 1, 28, 28))).shape
    torch.Size([2, 1, 28, 28])
    """
    pixels = prod(image_shape)
    inner = (dense if image_shape[:2] == (1, 1) else convolutional)(image_shape, encoded, latent_dim)
    assert isinstance(inner.encoder, Half)
    assert isinstance(inner.decoder, Half)
    encoder = ToLinear(inner.encoder, pixels, encoded, encoded)
    decoder = FromLinear(inner.decoder, latent_dim, pixels)
    with torch.no_grad():
        directions = torch.randn(max(encoded, latent_dim), pixels) / pixels**0.5
        encoder.weight.copy_(directions[:encoded])
        decoder.weight.copy_(directions[:latent_dim].T)
    return Network(encoder, decoder)
