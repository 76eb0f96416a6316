"""The convolutional network of the reference experiment, for images of any shape.

Strided 3 × 3 convolutions halve the image until it is at most 8 wide; one convolution over the whole remaining map makes the
vector. The decoder mirrors this. For 1 × 28 × 28 and 64 features the layers are exactly those of the reference experiment.
"""

from itertools import pairwise

from torch import nn

from latens.networks import Network
from latens.networks.half import Half
from latens.networks.layers import MapToVector, VectorToMap

__all__ = ["convolutional", "halvings"]

MAX_CHANNELS = 128
SMALLEST_MAP = 8


def convolutional(image_shape: tuple[int, int, int], encoded: int, latent_dim: int) -> Network:
    """Make the pair of encoder and decoder.

    Args:
        image_shape: (C, H, W), H and W from 8 to 512.
        encoded: number of features that the encoder returns; no activation follows them.
        latent_dim: number of features that the decoder takes.

    Source: Sangyun Won, "Autoencoder Implementation", 2024, section 1.

    >>> network = convolutional((1, 28, 28), 64, 64)
    >>> sum(p.numel() for half in network for p in half.parameters())
    210369
    """
    channels, *size = image_shape
    sizes = halvings(*size)
    widths = [channels, *(min(16 << stage, MAX_CHANNELS) for stage in range(len(sizes) - 1))]
    stages = list(zip(pairwise(widths), pairwise(sizes), strict=True))

    encoder: list[nn.Module] = []
    for (wide, narrow), _ in stages:
        encoder += [nn.Conv2d(wide, narrow, 3, stride=2, padding=1), nn.ReLU()]
    encoder += [MapToVector(widths[-1], sizes[-1], encoded)]

    decoder: list[nn.Module] = [VectorToMap(latent_dim, widths[-1], sizes[-1])]
    for (wide, narrow), (large, small) in reversed(stages):
        # Halving loses whether the size was even; output_padding restores it.
        lost = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)
        decoder += [nn.ReLU(), nn.ConvTranspose2d(narrow, wide, 3, stride=2, padding=1, output_padding=lost)]
    return Network(Half(*encoder), Half(*decoder))


def halvings(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes of a map from an image's own down to at most 8 a side, each half of the one before, rounded up; at least three.

    >>> halvings(28, 28)
    [(28, 28), (14, 14), (7, 7)]
    """
    sizes = [(height, width)]
    while len(sizes) < 3 or max(sizes[-1]) > SMALLEST_MAP:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes
