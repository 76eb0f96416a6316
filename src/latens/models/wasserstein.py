"""The Wasserstein autoencoder: the squared error, and a penalty that matches the distribution of latents to the prior."""

import torch
from torch import Tensor

from latens.losses import Losses, mean_discrepancy, squared_error
from latens.models.checks import check_choice, check_number, make_network
from latens.models.contract import Model
from latens.models.matching import Matching
from latens.models.rules import standard_normal

__all__ = ["WassersteinModel"]

# What weighs each discrepancy where nothing is said.
WEIGHTS = {"kernel": 0.01, "flow": 1e-3}


class WassersteinModel(Model):
    """WAE-MMD: a deterministic encoder; the distribution of all latents is matched to N(0, I).

    Args:
        image_shape: (C, H, W), C of 1 or 3, H and W from 8 to 256.
        latent_dim: D, at least 1.
        network: a name of `NETWORKS`.
        weight: of the discrepancy beside a mean squared error over pixels; 0.01 by default, 0.001 of a flow's.
        scale: of the kernels' widths, see `latens.losses.mean_discrepancy`.
        discrepancy: how the distance to the prior is measured: `"kernel"`, or `"flow"`, the divergence in nats that a small
            network learns along (`latens.models.matching`), which sees more.

    Raises:
        UsageError: a shape, a dimension or an option that is not allowed.
        UnknownName: no such network.

    With the kernel the loss is the mean squared error + weight * MMD²(latents of the batch, as many draws from the prior),
    unbiased, so that it may be a little below 0 where the two agree.

    Use it for sharper images than a variational model's with a prior to sample from. Single latents get no noise: only their
    distribution is matched, and where the data have fewer dimensions than the latent they can't fill it.
    Source: Tolstikhin et al., "Wasserstein auto-encoders", 2018, equation 4 and algorithm 2.

    >>> WassersteinModel((1, 28, 28), 8).sample_prior(3).shape
    torch.Size([3, 8])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        network: str = "convolutional",
        weight: float | None = None,
        scale: float = 1.0,
        discrepancy: str = "kernel",
    ) -> None:
        check_choice("discrepancy", discrepancy, list(WEIGHTS))
        weight = WEIGHTS[discrepancy] if weight is None else weight
        check_number("weight", weight)
        check_number("scale", scale, above=0)
        super().__init__(image_shape, make_network(image_shape, latent_dim, network))
        self.weight, self.scale = weight, scale
        self.matching = Matching(latent_dim) if discrepancy == "flow" else None
        self.learned_prior = "local-mixture" if discrepancy == "flow" else ""

    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """New latents from N(0, I): (n, D)."""
        return torch.randn(n, self.latent_dim, generator=generator, device=self.device)

    def log_prior(self, z: Tensor) -> Tensor:
        """The log density of N(0, I): (B, D) -> (B,)."""
        return standard_normal(z)

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The squared error and the weighted discrepancy from the prior: (B, C, H, W) -> (B,)."""
        z = self.encode(x)
        error = squared_error(x, self.decode(z))
        z = z.to(x.dtype)  # distances of many numbers are beyond bfloat16
        if self.matching is not None:
            divergence, unknown = self.matching(z, generator)
            return Losses(
                error + self.weight * divergence + unknown, {"squared_error": error, "discrepancy": divergence}
            )
        discrepancy = mean_discrepancy(z, torch.empty_like(z).normal_(generator=generator), self.scale)
        return Losses(error + self.weight * discrepancy, {"squared_error": error, "discrepancy": discrepancy})
