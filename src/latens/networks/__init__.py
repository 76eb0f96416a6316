"""Networks: pairs of an encoder and a decoder for images of any shape (C, H, W).

A network is a function of the image shape and of the number of features at its narrow end. It knows nothing of what
the features mean: the activation of the latent, the loss and the noise belong to the model.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from latens.tables import Table

if TYPE_CHECKING:
    from latens.networks.half import Half

__all__ = ["NETWORKS", "Network"]


class Network(NamedTuple):
    """An encoder (B, C, H, W) -> (B, encoded) and a decoder (B, latent_dim) -> (B, C, H, W), flat sequences of layer kinds."""

    encoder: "Half"
    decoder: "Half"


NETWORKS: Table[Callable[..., Network]] = Table(
    "network",
    {
        "convolutional": "latens.networks.convolutional:convolutional",
        "residual": "latens.networks.residual:residual",
        "dense": "latens.networks.dense:dense",
    },
    group="networks",
)
"""Name -> function (image_shape, encoded, latent_dim) -> Network."""
