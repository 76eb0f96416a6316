"""Dense layers only: a network that does not use which pixels are neighbours."""

from math import prod

from torch import nn

from latens.networks import Network
from latens.networks.half import Half
from latens.networks.layers import MapToVector, VectorToMap

__all__ = ["dense"]

WIDTHS = (
    256,
    256,
)  # the time of Muon's step grows with the cube: at (1024, 512) it took sixty times as long as all the rest
FEWEST, PER_NUMBER = (
    64,
    4,
)  # the least width, and the width for each number of an image: a row of few features needs less
MOST_WEIGHTS = 1 << 24  # between an image and the first layer; a large image makes that layer narrower


def dense(image_shape: tuple[int, int, int], encoded: int, latent_dim: int) -> Network:
    """Make the pair of encoder and decoder, two hidden layers each.

    Args:
        image_shape: (C, H, W), H and W from 8 to 512; or (1, 1, F), a row of features.
        encoded: number of features that the encoder returns; no activation follows them.
        latent_dim: number of features that the decoder takes.

    Use it to measure what convolutions contribute, and for images whose neighbouring pixels are not related.

    Source: Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006.

    >>> network = dense((1, 28, 28), 64, 64)
    >>> [type(layer).__name__ for layer in network.encoder]
    ['MapToVector', 'SiLU', 'Linear', 'SiLU', 'Linear']
    """
    channels, *size = image_shape
    numbers = prod(image_shape)
    outer, inner = (min(width, max(FEWEST, min(PER_NUMBER * numbers, MOST_WEIGHTS // numbers))) for width in WIDTHS)
    encoder = [
        MapToVector(channels, (size[0], size[1]), outer),
        nn.SiLU(),
        nn.Linear(outer, inner),
        nn.SiLU(),
        nn.Linear(inner, encoded),
    ]
    decoder = [
        nn.Linear(latent_dim, inner),
        nn.SiLU(),
        nn.Linear(inner, outer),
        nn.SiLU(),
        VectorToMap(outer, channels, (size[0], size[1])),
    ]
    return Network(Half(*encoder), Half(*decoder))
