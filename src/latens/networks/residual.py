"""Residual blocks between strided convolutions, and a decoder that grows by sub-pixel convolutions: today's practice.

No normalisation: each picture is seen alone, and with Muon these few blocks do not need it (docs/log.md).
"""

from itertools import pairwise

from torch import nn

from latens.networks import Network
from latens.networks.convolutional import halvings
from latens.networks.half import Half
from latens.networks.layers import MapToVector, ResidualBlock, SubPixel, VectorToMap

__all__ = ["residual"]

FIRST_CHANNELS, MAX_CHANNELS = 32, 128


def residual(image_shape: tuple[int, int, int], encoded: int, latent_dim: int) -> Network:
    """Make the pair of encoder and decoder.

    Args:
        image_shape: (C, H, W), H and W from 8 to 256.
        encoded: the number of features that the encoder puts out; no activation follows them.
        latent_dim: the number of features that the decoder takes in.

    Choose it where the error counts more than the time: the recipe `best`.

    >>> network = residual((1, 28, 28), 64, 64)
    >>> [type(layer).__name__ for layer in network.decoder]
    ['VectorToMap', 'ResidualBlock', 'SubPixel', 'ResidualBlock', 'SubPixel']
    """
    channels, *size = image_shape
    sizes = halvings(*size)
    widths = [channels, *(min(FIRST_CHANNELS << stage, MAX_CHANNELS) for stage in range(len(sizes) - 1))]

    encoder: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        encoder += [nn.Conv2d(wide, narrow, 3, stride=2, padding=1), ResidualBlock(narrow)]
    encoder += [nn.SiLU(), MapToVector(widths[-1], sizes[-1], encoded)]

    decoder: list[nn.Module] = [VectorToMap(latent_dim, widths[-1], sizes[-1])]
    for narrow, wide, large in zip(widths[:0:-1], widths[-2::-1], sizes[-2::-1], strict=True):
        decoder += [ResidualBlock(narrow), SubPixel(narrow, wide, large)]
    return Network(Half(*encoder), Half(*decoder))
