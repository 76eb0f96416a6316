"""The plain autoencoder: the squared error of a picture that went through a narrow latent, and nothing else."""

import torch
from torch import Tensor, nn

from latens.losses import Losses, mean_magnitude, squared_error
from latens.models.checks import check_choice, check_number, make_network
from latens.models.contract import Model

__all__ = ["ACTIVATIONS", "AutoencoderModel"]

ACTIVATIONS = ("relu", "none")


class AutoencoderModel(Model):
    """The notebook's model: encoder, ReLU on the latent, decoder; the loss is the mean squared error.

    Args:
        image_shape: (C, H, W), C of 1 or 3, H and W from 8 to 256.
        latent_dim: D, at least 1.
        network: a name of `NETWORKS`.
        activation: of the latent: `"relu"` as in the notebook, or `"none"`.
        noise: standard deviation of the Gaussian noise that is added to a picture before it is encoded, while training; what has
            to be rebuilt is the picture without it. 0.1 to 0.5 are usual; encoding is always without noise.
        sparsity: weight of the mean of |z| over the latent's numbers, beside a mean squared error; 0.001 leaves few above 0.

    Raises:
        UsageError: a shape, a dimension or an option that is not allowed.
        UnknownName: no such network.

    Choose it to compress and to compare; it has no prior to sample from. With noise it learns what pictures have in common rather
    than to copy; with sparsity each picture is told by few units.
    Source: Rumelhart, Hinton and Williams, "Learning internal representations by error propagation", 1986; the noise: Vincent et
    al., "Extracting and composing robust features with denoising autoencoders", 2008; the sparsity: Ng, "Sparse autoencoder",
    CS294A lecture notes, 2011, with the L1 norm for its penalty.

    >>> model = AutoencoderModel((1, 28, 28), 64)
    >>> model.encode(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        network: str = "convolutional",
        activation: str = "relu",
        noise: float = 0.0,
        sparsity: float = 0.0,
    ) -> None:
        check_choice("activation", activation, ACTIVATIONS)
        check_number("noise", noise)
        check_number("sparsity", sparsity)
        made = make_network(image_shape, latent_dim, network)
        super().__init__(image_shape, made, after_encoder=[nn.ReLU()] if activation == "relu" else [])
        self.activation, self.noise, self.sparsity = activation, noise, sparsity

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The squared error of the reconstruction, and the weighted size of the latent where it is to be sparse: (B,)."""
        z = self.encode(self._spoilt(x, generator))
        error = squared_error(x, self.decode(z))
        if not self.sparsity:
            return Losses(error, {"squared_error": error})
        magnitude = mean_magnitude(z)
        return Losses(error + self.sparsity * magnitude, {"squared_error": error, "magnitude": magnitude})

    def _spoilt(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.noise or not self.training:
            return x
        # Drawn in the order in which x lies in memory, so that the sum lies so too.
        noise = torch.empty_like(x).normal_(0, self.noise, generator=generator)
        return x + noise
