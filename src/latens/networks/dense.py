"""Dense layers alone: the network that knows nothing of neighbouring pixels."""

from math import prod

from torch import nn

from latens.networks import Network
from latens.networks.half import Half
from latens.networks.layers import MapToVector, VectorToMap

__all__ = ["dense"]

WIDTHS = (256, 256)  # Muon's step grows with the cube: (1024, 512) made it sixty times as long as all the rest
MOST_WEIGHTS = 1 << 24  # between an image and the first layer, whose width a large image lowers


def dense(image_shape: tuple[int, int, int], encoded: int, latent_dim: int) -> Network:
    """Make the pair of encoder and decoder, two hidden layers each.

    Args:
        image_shape: (C, H, W), H and W from 8 to 256.
        encoded: the number of features that the encoder puts out; no activation follows them.
        latent_dim: the number of features that the decoder takes in.

    Choose it to see what convolutions are worth, and for pictures whose pixels have no neighbours.

    Source: Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006.

    >>> network = dense((1, 28, 28), 64, 64)
    >>> [type(layer).__name__ for layer in network.encoder]
    ['MapToVector', 'SiLU', 'Linear', 'SiLU', 'Linear']
    """
    channels, *size = image_shape
    outer, inner = (min(width, max(64, MOST_WEIGHTS // prod(image_shape))) for width in WIDTHS)
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
