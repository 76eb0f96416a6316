"""The distribution of all latents of a data set together, learned beside the model, and drawn to the normal prior."""

import math

import torch
from torch import Tensor, nn

from latens.networks.velocity import Velocity, quarter_turn

__all__ = ["Matching"]

WIDTH, NUM_BLOCKS = 128, 3  # of the velocity's network
STEEPEST = 3.0  # of the tangent that weighs an angle: near a quarter turn it has no bound


class Matching(nn.Module):
    """How far the latents of all images together are from N(0, I), by the velocity of a flow between the two.

    Args:
        latent_dim: D.

    Between normal noise and a latent z lie the points cos(a) noise + sin(a) z, for a from 0 to a quarter turn. Where the latents
    of all images together are standard normal, so are these points at each a, and they have no velocity. A small network learns
    the velocity v that they do have, by flow matching. Then Kullback and Leibler's divergence of the latents' distribution from
    N(0, I) is the integral over a of tan(a) E‖v‖², and its gradient at a point is tan(a) v: it leads from where there are too
    many latents to where there are too few.

    A variational model's own divergence is a sum of two: what the latent tells of the image, and this one. More weight for this
    one alone brings the prior near to the latents, and costs the reconstruction less than more weight for both does.

    Source: the two parts: Hoffman and Johnson, "ELBO surgery", 2016, equation 8; a weight of its own: Zhao, Song and Ermon,
    "InfoVAE", 2019, equation 6; the gradient by a network of the velocity or the score: Luo et al., "Diff-Instruct", 2023,
    equation 7; the velocity: Lipman et al., "Flow matching for generative modeling", 2023.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.velocity = Velocity(latent_dim, 1, WIDTH, NUM_BLOCKS)

    def forward(self, z: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """The divergence of a batch of latents, and how badly the network knows the velocity.

        Args:
            z: (B, D), each of another image.
            generator: of the noise and of the angles.

        Returns:
            The divergence in nats, (B,), whose mean it is; its gradient moves the latents, not the network. And the squared error
            of the velocity, (B,), whose gradient moves the network, not the latents.
        """
        angle = quarter_turn(len(z), z.device, generator).to(z.dtype)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        noise = torch.empty_like(z).normal_(generator=generator)
        still = z.detach()
        velocity = self.velocity(cos * noise + sin * still, angle, torch.zeros_like(angle, dtype=torch.int64))
        error = (velocity - (cos * still - sin * noise)).square().sum(1)
        found = velocity.detach()
        steepness = (sin / cos).clamp(max=STEEPEST)
        value = math.pi / 2 * (steepness * found.square()).sum(1)
        pushed = (sin * steepness * found * z).sum(1)
        return value + pushed - pushed.detach(), error
