"""Residual blocks between strided convolutions, and a decoder of sub-pixel convolutions.

The norms see one image at a time. Without them the same number of steps leaves nearly twice the error (docs/log.md).
"""

from itertools import pairwise

from torch import nn

from latens.networks import Network
from latens.networks.convolutional import halvings
from latens.networks.half import Half
from latens.networks.layers import MapToVector, ResidualBlock, SubPixel, VectorToMap

__all__ = ["residual"]

FIRST_CHANNELS, MAX_CHANNELS = 32, 128
BLOCKS = 2  # a stage


def residual(image_shape: tuple[int, int, int], encoded: int, latent_dim: int) -> Network:
    """Make the pair of encoder and decoder.

    Args:
        image_shape: (C, H, W), H and W from 8 to 512.
        encoded: number of features that the encoder returns; no activation follows them.
        latent_dim: number of features that the decoder takes.

    Use it where the error matters more than the time; the recipe `best` does.

    >>> network = residual((1, 28, 28), 64, 64)
    >>> [type(layer).__name__ for layer in network.decoder]
    ['VectorToMap', 'ResidualBlock', 'ResidualBlock', 'SubPixel', 'ResidualBlock', 'ResidualBlock', 'SubPixel']
    """
    channels, *size = image_shape
    sizes = halvings(*size)
    widths = [channels, *(min(FIRST_CHANNELS << stage, MAX_CHANNELS) for stage in range(len(sizes) - 1))]

    encoder: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        encoder += [nn.Conv2d(wide, narrow, 3, stride=2, padding=1), *_blocks(narrow)]
    encoder += [nn.SiLU(), MapToVector(widths[-1], sizes[-1], encoded)]

    decoder: list[nn.Module] = [VectorToMap(latent_dim, widths[-1], sizes[-1])]
    for narrow, wide, large in zip(widths[:0:-1], widths[-2::-1], sizes[-2::-1], strict=True):
        decoder += [*_blocks(narrow), SubPixel(narrow, wide, large)]
    return Network(Half(*encoder), Half(*decoder))


def _blocks(channels: int) -> list[nn.Module]:
    return [ResidualBlock(channels) for _ in range(BLOCKS)]
