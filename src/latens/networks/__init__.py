"""Networks: pairs of an encoder and a decoder for images of any shape (C, H, W).

A network is a function of the image shape and of the number of features at its narrow end. It does not know what the features
mean: the activation of the latent, the loss and the noise belong to the model.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latens.tables import Table

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NETWORKS", "Network"]


@dataclass(frozen=True, eq=False)
class Network:
    """An encoder (B, C, H, W) -> (B, encoded) and a decoder (B, *latent_shape) -> (B, C, H, W).

    Args:
        encoder: any module; a `latens.networks.half.Half` has kernels for some layers. Its output is flattened, so that
            (B, c, h, w) is as good as (B, c * h * w).
        decoder: any module.
        latent_shape: of one latent as the decoder takes it, (D,) or (c, h, w); None stands for (latent_dim,).

    >>> encoder, decoder = NETWORKS["dense"]((1, 8, 8), 4, 4)
    """

    encoder: "nn.Module"
    decoder: "nn.Module"
    latent_shape: tuple[int, ...] | None = None

    def __iter__(self) -> "Iterator[nn.Module]":
        yield self.encoder
        yield self.decoder


NETWORKS: Table[Callable[..., Network]] = Table(
    "network",
    {
        "convolutional": "latens.networks.convolutional:convolutional",
        "linear-path": "latens.networks.linear_path:linear_path",
        "residual": "latens.networks.residual:residual",
        "dense": "latens.networks.dense:dense",
        "deep": "latens.networks.deep:deep",
    },
    group="networks",
)
"""Name -> function (image_shape, encoded, latent_dim) -> Network."""
