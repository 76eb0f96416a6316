"""The plain autoencoder: the squared error of the reconstruction is the only loss."""

import torch
from torch import Tensor, nn

from latens.losses import Losses, mean_magnitude, squared_error
from latens.models.checks import check_choice, check_number, make_network
from latens.models.contract import Model

__all__ = ["ACTIVATIONS", "AutoencoderModel"]

ACTIVATIONS = ("relu", "none")


class AutoencoderModel(Model):
    """The model of the reference experiment: encoder, ReLU on the latent, decoder; the loss is the mean squared error.

    Args:
        image_shape: (C, H, W), C of 1 or 3, H and W from 8 to 256.
        latent_dim: D, at least 1.
        network: a name of `NETWORKS`.
        activation: of the latent: `"relu"` as in the reference experiment, or `"none"`.
        noise: standard deviation of the Gaussian noise that is added to an image before it is encoded, in training only. The
            target is the image without noise. 0.1 to 0.5 are usual.
        sparsity: weight of the mean of |z| relative to the mean squared error; with 0.001 few latent values stay above 0.

    Raises:
        UsageError: a shape, a dimension or an option that is not allowed.
        UnknownName: no such network.

    Use it to compress and to compare; it has no prior to sample from. With noise it is a denoising autoencoder; with sparsity
    each image activates few units.
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
        self.input_noise = noise

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The squared error of the reconstruction, and with sparsity the weighted mean of |z|: (B,)."""
        z = self.encode(self._noisy(x, generator))
        error = squared_error(x, self.decode(z))
        if not self.sparsity:
            return Losses(error, {"squared_error": error})
        magnitude = mean_magnitude(z)
        return Losses(error + self.sparsity * magnitude, {"squared_error": error, "magnitude": magnitude})

    def _noisy(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.noise or not self.training:
            return x
        # With the memory order of x, so that the sum has it too.
        noise = torch.empty_like(x).normal_(0, self.noise, generator=generator)
        return x + noise
