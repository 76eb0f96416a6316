"""The regularised autoencoder: explicit penalties on latent and decoder in place of the noise of a variational one."""

import torch
from torch import Tensor

from latens.errors import UsageError
from latens.losses import Losses, half_squared_norm, jacobian_norm, squared_error
from latens.models.checks import check_choice, check_number, make_network
from latens.models.contract import Model

__all__ = ["PENALTIES", "RegularisedModel"]

# What weighs each penalty where nothing is said.
PENALTIES = {"weight_decay": 1e-6, "gradient": 1e-3, "none": 0.0}


class RegularisedModel(Model):
    """RAE: deterministic, with penalties that keep the latent small and the decoder smooth.

    Args:
        image_shape: (C, H, W), C of 1 or 3, H and W from 8 to 256.
        latent_dim: D, at least 1.
        network: a name of `NETWORKS`.
        penalty: of the decoder: `"weight_decay"`, the squared norm of its weights, `"gradient"`, that of its Jacobian at the
            latents of the batch (about three times the work, see `latens.losses.jacobian_norm`), or `"none"`.
        latent_weight: of ½‖z‖² beside a mean squared error over pixels.
        decoder_weight: of the penalty; by default 1e-6 for the weights, 1e-3 for the Jacobian.

    Raises:
        UsageError: a shape, a dimension or an option that is not allowed.
        UnknownName: no such network.

    The loss is the mean squared error + latent_weight * ½‖z‖² + decoder_weight * penalty. Without the decoder's penalty the
    decoder could scale a small latent up again.

    Use it where samples come from a distribution that is fitted to the latents afterwards, such as a mixture: it reconstructs
    about as well as a plain autoencoder, and its latents lie closer together. It has no prior.
    Source: Ghosh et al., "From variational to deterministic autoencoders", 2020, equations 8 to 10.

    >>> model = RegularisedModel((1, 28, 28), 8, latent_weight=0.1)
    >>> sorted(model.loss(torch.rand(2, 1, 28, 28)).parts)
    ['latent_norm', 'penalty', 'squared_error']
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        network: str = "convolutional",
        penalty: str = "weight_decay",
        latent_weight: float = 1e-5,
        decoder_weight: float | None = None,
    ) -> None:
        check_choice("penalty", penalty, list(PENALTIES))
        check_number("latent_weight", latent_weight)
        if decoder_weight is not None:
            check_number("decoder_weight", decoder_weight)
            if penalty == "none":
                raise UsageError(
                    f"decoder_weight is {decoder_weight:g} with penalty=none, which weighs nothing; leave out one"
                )
        super().__init__(image_shape, make_network(image_shape, latent_dim, network))
        self.penalty, self.latent_weight = penalty, latent_weight
        self.decoder_weight = PENALTIES[penalty] if decoder_weight is None else decoder_weight
        if penalty == "gradient":
            self.twice_differentiated = ("decoder",)

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The squared error, the weighted size of the latent and the weighted penalty of the decoder: (B, C, H, W) -> (B,)."""
        z = self.encode(x)
        error = squared_error(x, self.decode(z))
        norm = half_squared_norm(z.to(x.dtype))
        total, parts = error + self.latent_weight * norm, {"squared_error": error, "latent_norm": norm}
        if self.penalty != "none":
            parts["penalty"] = self._penalty(z, generator).to(x.dtype)
            total = total + self.decoder_weight * parts["penalty"]
        return Losses(total, parts)

    def _penalty(self, z: Tensor, generator: torch.Generator | None) -> Tensor:  # -> (B,)
        if self.penalty == "gradient":
            return jacobian_norm(self.decode, z, generator)
        weights = [
            weight for weight in self.decoder.parameters() if weight.ndim > 1
        ]  # a bias makes nothing less smooth
        return torch.stack([weight.square().sum() for weight in weights]).sum().expand(len(z))
