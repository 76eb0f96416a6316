"""The plain autoencoder: the squared error of a picture that went through a narrow latent, and nothing else."""

import torch
from torch import Tensor

from latens.errors import UsageError
from latens.losses import Losses, squared_error
from latens.models.contract import Model
from latens.networks import NETWORKS

__all__ = ["ACTIVATIONS", "Autoencoder"]

ACTIVATIONS = ("relu", "none")
SIZES = (8, 256)


class Autoencoder(Model):
    """The notebook's model: encoder, ReLU on the latent, decoder; the loss is the mean squared error.

    Args:
        image_shape: (C, H, W), C of 1 or 3, H and W from 8 to 256.
        latent_dim: D, at least 1.
        network: a name of `NETWORKS`.
        activation: of the latent: `"relu"` as in the notebook, or `"none"`.

    Raises:
        UsageError: a shape, a dimension or an activation that is not allowed.
        UnknownName: no such network.

    Choose it to compress and to compare; it has no prior to sample from.
    Source: Rumelhart, Hinton and Williams, "Learning internal representations by error propagation", 1986.

    >>> model = Autoencoder((1, 28, 28), 64)
    >>> model.encode(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        network: str = "convolutional",
        activation: str = "relu",
    ) -> None:
        super().__init__()
        _check(image_shape, latent_dim, activation)
        self.image_shape = image_shape
        self.latent_dim = latent_dim
        self.encoder, self.decoder = NETWORKS[network](image_shape, latent_dim, latent_dim)
        self.activation = activation

    def encode(self, x: Tensor) -> Tensor:
        """The latent of each picture: (B, C, H, W) -> (B, D)."""
        z: Tensor = self.encoder(x)
        return z.relu() if self.activation == "relu" else z

    def decode(self, z: Tensor) -> Tensor:
        """The picture of each latent: (B, D) -> (B, C, H, W), about [0, 1] but not held to it."""
        x: Tensor = self.decoder(z)
        return x

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The squared error of the reconstruction, one value a sample: (B, C, H, W) -> (B,)."""
        error = squared_error(x, self.decode(self.encode(x)))
        return Losses(error, {"squared_error": error})


def _check(image_shape: tuple[int, int, int], latent_dim: int, activation: str) -> None:
    low, high = SIZES
    channels, height, width = image_shape
    if channels not in (1, 3) or not low <= height <= high or not low <= width <= high:
        raise UsageError(
            f"images are {channels} x {height} x {width}; 1 or 3 channels and {low} to {high} pixels a side are allowed;"
            " use --size"
        )
    if latent_dim < 1:
        raise UsageError(f"latent dimension is {latent_dim}; at least 1 is needed")
    if activation not in ACTIVATIONS:
        raise UsageError(f"activation is {activation!r}; known: {', '.join(ACTIVATIONS)}")
