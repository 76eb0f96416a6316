"""The convolutional network with hidden layers between the smallest map and the latent, for latents of few numbers.

The network of the reference experiment reads its latent off the smallest map by one linear layer, and so the decoder starts. A
latent of few numbers has to be folded more than that: with these layers the prior of a variational model comes much nearer to
the data (docs/log.md).
"""

from itertools import pairwise

from torch import nn

from latens.networks import Network
from latens.networks.convolutional import MAX_CHANNELS, halvings
from latens.networks.half import Half
from latens.networks.layers import MapToVector, VectorToMap

__all__ = ["deep"]

WIDTH = 128  # of the hidden layers: the time of Muon's step grows with its cube


def deep(image_shape: tuple[int, int, int], encoded: int, latent_dim: int) -> Network:
    """Make the pair of encoder and decoder.

    Args:
        image_shape: (C, H, W), H and W from 8 to 512.
        encoded: number of features that the encoder returns; no activation follows them.
        latent_dim: number of features that the decoder takes.

    Dense layers are written as convolutions over a whole map or over one place, which the kernels of `Half` compute.

    Use it where the latent is small, or is to be sampled from a prior; the recipe `generative` does.

    >>> network = deep((1, 28, 28), 32, 16)
    >>> sum(p.numel() for half in network for p in half.parameters())
    450465
    """
    channels, *size = image_shape
    sizes = halvings(*size)
    widths = [channels, *(min(16 << stage, MAX_CHANNELS) for stage in range(len(sizes) - 1))]
    stages = list(zip(pairwise(widths), pairwise(sizes), strict=True))

    encoder: list[nn.Module] = []
    for (wide, narrow), _ in stages:
        encoder += [nn.Conv2d(wide, narrow, 3, stride=2, padding=1), nn.ReLU()]
    encoder += [nn.Conv2d(widths[-1], WIDTH, sizes[-1]), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 1), nn.ReLU()]
    encoder += [MapToVector(WIDTH, (1, 1), encoded)]

    decoder: list[nn.Module] = [VectorToMap(latent_dim, WIDTH, (1, 1)), nn.ReLU(), nn.ConvTranspose2d(WIDTH, WIDTH, 1)]
    decoder += [nn.ReLU(), nn.ConvTranspose2d(WIDTH, widths[-1], sizes[-1])]
    for (wide, narrow), (large, small) in reversed(stages):
        lost = (large[0] - 2 * small[0] + 1, large[1] - 2 * small[1] + 1)  # see `convolutional`
        decoder += [nn.ReLU(), nn.ConvTranspose2d(narrow, wide, 3, stride=2, padding=1, output_padding=lost)]
    return Network(Half(*encoder), Half(*decoder))
