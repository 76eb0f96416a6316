"""The quantised autoencoder: each latent number has a few levels, and a prior over them is learned in the same training."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from latens.errors import UsageError
from latens.losses import Losses, squared_error
from latens.models.checks import check_choice, make_network
from latens.models.code_prior import CodePrior
from latens.models.contract import Model
from latens.models.rules import Levels
from latens.networks.grid import on_grid

__all__ = ["QuantisedModel"]

LEVELS = (2, 256)


class QuantisedModel(Model):
    """FSQ: every latent number is rounded to one of a few levels in [-1, 1]; a prior over the codes is learned.

    Args:
        image_shape: (C, H, W), C of 1 or 3, H and W from 8 to 256.
        latent_dim: D, at least 1.
        network: a name of `NETWORKS`.
        levels: L of each number, 2 to 256: an image takes D log2 L bits.
        spatial: place the latent on the network's narrowest map, with D / (h * w) numbers for each cell, which depend on
            their part of the image only; otherwise each number depends on all of it. For 28 x 28 and the convolutional network
            D is 49, 98, …

    Raises:
        UsageError: a shape, a dimension or an option that is not allowed.
        UnknownName: no such network.

    The latent is round((tanh(e) + 1) / 2 * (L - 1)) of the encoder's output e, scaled to [-1, 1]; gradients pass the rounding
    unchanged. The loss is the mean squared error; there is no codebook that could collapse. In the same pass `CodePrior`
    learns the distribution of the codes; its loss, nats per image, changes the prior's weights only, so that the sum of
    the two needs no weight.

    Use it to measure how many bits an image takes, and to sample from a learned distribution.
    Source: Mentzer et al., "Finite scalar quantization: VQ-VAE made simple", 2024, section 3.1, with levels placed alike for
    even and odd
    numbers; the prior in a stage of its own: van den Oord, Vinyals and Kavukcuoglu, "Neural discrete representation
    learning", 2017.

    >>> model = QuantisedModel((1, 28, 28), 4, levels=3)
    >>> set(model.encode(torch.rand(8, 1, 28, 28)).unique().tolist()) <= {-1.0, 0.0, 1.0}
    True
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        network: str = "convolutional",
        levels: int = 8,
        spatial: bool = False,
    ) -> None:
        if type(levels) is not int or not LEVELS[0] <= levels <= LEVELS[1]:
            raise UsageError(f"levels is {levels!r}; a whole number from {LEVELS[0]} to {LEVELS[1]} is needed")
        check_choice("spatial", spatial, (False, True))
        made = make_network(image_shape, latent_dim, network)
        super().__init__(image_shape, on_grid(made, latent_dim) if spatial else made, after_encoder=[Levels(levels)])
        self.levels = levels
        self.prior = CodePrior(latent_dim, levels)

    def codes(self, x: Tensor) -> Tensor:
        """The level of each latent number, on a grid cell by cell: (B, C, H, W) -> int64 (B, D), 0 to L - 1."""
        return self._quantise(x)[1]

    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """New latents from the learned prior: (n, D)."""
        return self._rule.values(self.prior.sample(n, generator))

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The squared error, and the prior's negative log-likelihood of the codes in nats: (B, C, H, W) -> (B,)."""
        z, codes = self._quantise(x)
        error = squared_error(x, self.decode(z))
        nll = self.prior.nll(codes).to(x.dtype)
        return Losses(error + nll, {"squared_error": error, "prior": nll})

    def _quantise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The latent, with the gradient of the values before rounding, and its codes."""
        return self._rule.quantise(self.encoder(x).flatten(1).to(x.dtype))

    @property
    def _rule(self) -> Levels:
        rule = self.after_encoder[0]
        assert isinstance(rule, Levels)
        return rule

    @torch.no_grad()
    def code_use(self, x: Tensor) -> Mapping[str, float]:
        """How much of the capacity of the codes is used.

        Args:
            x: (B, C, H, W), the more the better: a level that is seen in one picture of a thousand needs thousands.

        Returns:
            `levels_used`: share of all levels of all numbers that some picture takes; `still`: how many numbers are the same
            for all pictures; `capacity`: D log2 L; `entropy`: the sum of the entropies of the numbers one by one; `prior`:
            the prior's mean code length; `perplexity`: the geometric mean over numbers of how many levels are in use, evenly
            counted. All three in bits an image.
        """
        codes = self.codes(x)
        share = torch.nn.functional.one_hot(codes, self.levels).to(x.dtype).mean(0)  # (D, L)
        entropy = torch.special.entr(share).sum(1) / math.log(2)  # (D,), bits
        return {
            "levels_used": float((share > 0).to(x.dtype).mean()),
            "still": int((share.max(1).values == 1).sum()),
            "capacity": self.latent_dim * math.log2(self.levels),
            "entropy": float(entropy.sum()),
            "perplexity": float(2 ** entropy.mean()),
            "prior": float(self.prior.nll(codes).mean()) / math.log(2),
        }

    def remarks(self, x: Tensor) -> Sequence[str]:
        """States how many bits an image takes, and how many latent numbers are constant."""
        use = self.code_use(x)
        said = [
            f"{use['levels_used']:.0%} of the levels are used; an image takes {use['prior']:.0f} bits by the prior,"
            f" {use['entropy']:.0f} number by number, of {use['capacity']:.0f}"
        ]
        if use["still"]:
            said.append(f"{use['still']:.0f} of {self.latent_dim} latent numbers are the same for every image")
        return said
