"""The variational autoencoder: the encoder gives a distribution; the decoder's variance is estimated by default."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latens.errors import UsageError
from latens.losses import Losses, bernoulli_nll, gaussian_nll, normal_kl, squared_error
from latens.models.checks import check_choice, check_number, make_network
from latens.models.contract import Model
from latens.models.matching import Matching
from latens.models.rules import First, standard_normal

__all__ = ["LIKELIHOODS", "VariationalModel"]

LIKELIHOODS = ("calibrated", "fixed", "bernoulli")
FIXED_VARIANCE = 0.01  # a tenth of the brightness either way
SMALLEST_VARIANCE = 1e-6  # four times finer than the steps of 8 bit
MEMORY = 100  # batches over which the calibrated variance is averaged
COLLAPSED = 0.01  # nats
MATCHED = "matched"
# A step's change of the sharpness, as a share of the gap between the logarithms of the mean squares; it follows in some hundred
# steps, slower than the network follows it.
SHARPENING = 0.05
SHARPEST = 4.0


class VariationalModel(Model):
    """The VAE: the encoder puts out a Gaussian, the latent is drawn from it, and it costs what it tells beyond the prior.

    Args:
        image_shape: (C, H, W), C of 1 or 3, H and W from 8 to 256.
        latent_dim: D, at least 1.
        network: a name of `NETWORKS`.
        beta: weight of the KL divergence; other than 1 the loss is no bound any more, and `bound` still is.
        free_bits: nats that each unit may tell for nothing, against units that collapse.
        likelihood: of a pixel: `"calibrated"`, a Gaussian of the variance that fits best, `"fixed"`, one of a given variance, or
            `"bernoulli"`, for pictures of black and white.
        variance: of the fixed Gaussian, of pixels in [0, 1]; 0.01 by default.
        match: weight of the divergence of all latents together from the prior, which is a part of the KL divergence, beyond the
            weight that it has there; above 0 a small network learns it along (`latens.models.matching`). It makes the prior
            sample well; 10 is strong.
        sharpness: of decoded images, with `likelihood=bernoulli`: the logits of a decoded pixel are so many times those of the
            likelihood. The most likely probabilities are the mean of all images that a latent may stand for, which is greyer than
            any of them; 1 decodes that mean, more decodes an image nearer to one of them, at some squared error. `"matched"`
            finds it along the training, from the end of the warm-up on, such that decoded pixels have the mean square that the
            images' have.
        warmup: steps of training over which `beta` and `match` rise from 0, so that no unit collapses before it is of use.

    Raises:
        UsageError: a shape, a dimension or an option that is not allowed, or a variance that nothing uses.
        UnknownName: no such network.

    The loss is the negative evidence lower bound in nats an image, with all constants: -log p(x|z) + beta * KL(q(z|x) ‖ N(0, I)).
    The variance of a Gaussian decoder is what weighs the two against each other. Taken as 1, as squared errors silently do,
    the KL divergence weighs hundreds of times too much for pixels in [0, 1]; the calibrated one is the mean squared error
    itself, the optimum in closed form, of each batch while training and its running mean afterwards. A density of pixels may
    be above 1, so that this loss may be negative. With `"bernoulli"` a grey picture stands for all that come of drawing its
    pixels.

    Choose it for a latent without holes that can be sampled from a known prior, to know how probable a picture is, and to see how
    many numbers the pictures need: units that it can do without collapse, and it says so.
    Source: Kingma and Welling, "Auto-encoding variational Bayes", 2014, equation 10; beta: Higgins et al., "beta-VAE", 2017; free
    bits: Kingma et al., "Improved variational inference with inverse autoregressive flow", 2016, equation 15; the calibrated
    variance: Rybkin, Daniilidis and Levine, "Simple and effective VAE training with calibrated decoders", 2021, equation 5.

    >>> model = VariationalModel((1, 28, 28), 64)
    >>> mu, logvar = model.encode_distribution(torch.zeros(2, 1, 28, 28))
    >>> mu.shape, logvar.shape
    (torch.Size([2, 64]), torch.Size([2, 64]))
    """

    variance: Tensor  # of a pixel
    batches: Tensor  # of which it is the mean
    steps: Tensor | None  # of training that were taken
    sharpness: Tensor | None  # where it is matched

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_dim: int,
        network: str = "convolutional",
        beta: float = 1.0,
        free_bits: float = 0.0,
        likelihood: str = "calibrated",
        variance: float | None = None,
        match: float = 0.0,
        warmup: int = 0,
        sharpness: float | str = 1.0,
    ) -> None:
        check_number("beta", beta)
        check_number("free_bits", free_bits)
        check_number("match", match)
        check_number("warmup", warmup)
        check_choice("likelihood", likelihood, LIKELIHOODS)
        if variance is not None:
            check_number("variance", variance, above=0)
            if likelihood != "fixed":
                raise UsageError(
                    f"variance is {variance:g} with likelihood={likelihood}; only likelihood=fixed takes one"
                )
        if isinstance(sharpness, str):
            check_choice("sharpness", sharpness, [MATCHED])
        else:
            check_number("sharpness", sharpness, above=0)
        if sharpness != 1 and likelihood != "bernoulli":
            raise UsageError(
                f"sharpness is {sharpness} with likelihood={likelihood}; only likelihood=bernoulli takes one"
            )
        super().__init__(
            image_shape,
            make_network(image_shape, latent_dim, network, encoded=2 * latent_dim),
            after_encoder=[First(latent_dim)],
            after_decoder=[nn.Sigmoid()] if likelihood == "bernoulli" else [],
        )
        self.beta, self.free_bits, self.likelihood = beta, free_bits, likelihood
        start = {"calibrated": 1.0, "fixed": FIXED_VARIANCE if variance is None else variance}
        self.register_buffer("variance", torch.tensor(start.get(likelihood, 1.0)))
        self.register_buffer("batches", torch.zeros(()))
        # Neither is there where it is not used, so that stored weights of earlier versions can be read.
        self.match, self.warmup = match, warmup
        self.matching = Matching(latent_dim) if match else None
        self.learned_prior = "local-mixture" if match else ""
        self.register_buffer("steps", torch.zeros(()) if warmup else None)
        self.fixed_sharpness = 1.0 if sharpness == MATCHED else float(sharpness)
        self.register_buffer("sharpness", torch.ones(()) if sharpness == MATCHED else None)

    def encode_distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the logarithm of the variance of each picture's latent: (B, C, H, W) -> (B, D), (B, D)."""
        mu, logvar = self.encoder(x).flatten(1).to(x.dtype).chunk(2, dim=1)
        return mu, logvar

    def sample_prior(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """New latents from N(0, I): (n, D)."""
        return torch.randn(n, self.latent_dim, generator=generator, device=self.variance.device)

    def log_prior(self, z: Tensor) -> Tensor:
        """The log density of N(0, I): (B, D) -> (B,)."""
        return standard_normal(z)

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The negative evidence lower bound, one draw of the latent a sample: (B, C, H, W) -> (B,), nats an image."""
        mu, logvar = self.encode_distribution(x)
        z = _draw(mu, logvar, generator)
        reconstruction, error = self._reconstruction(x, z, calibrating=self.training)
        units = normal_kl(mu, logvar)  # (B, D)
        kl = units.sum(1)
        paid = kl
        if self.free_bits:  # a unit's mean over the batch counts, so that one that is below moves freely
            free = units.mean(0, keepdim=True) < self.free_bits
            paid = torch.where(free, self.free_bits, units).sum(1)
        parts = {
            "squared_error": error,
            "reconstruction": reconstruction,
            "kl": kl,
            "negative_bound": reconstruction + kl,
        }
        risen = self._risen()
        total = reconstruction + risen * self.beta * paid
        if self.matching is not None:
            parts["aggregate_kl"], error = self.matching(z, generator)
            total = total + risen * self.match * parts["aggregate_kl"] + error
        return Losses(total, parts)

    def _risen(self) -> Tensor | float:
        """The share of their weights that the divergences have at this step; each step of training counts."""
        if self.steps is None:
            return 1.0
        if self.training:
            self.steps += 1
        return (self.steps / self.warmup).clamp(max=1)

    def _reconstruction(self, x: Tensor, z: Tensor, calibrating: bool = False) -> tuple[Tensor, Tensor]:
        """-log p(x|z) in nats and the mean squared error, each (B,)."""
        y: Tensor = self.decoder(self.shaped(z))
        if self.decodes_logits:
            pixels = y.detach().sigmoid()
            if calibrating:
                self._match_sharpness(x, pixels)
            sharpness = self.fixed_sharpness if self.sharpness is None else self.sharpness.clone()
            return bernoulli_nll(x, y / sharpness), squared_error(x, pixels)
        error = squared_error(x, y)
        variance = (
            self._calibrated(error.detach()) if calibrating and self.likelihood == "calibrated" else self.variance
        )
        return gaussian_nll(error, variance, x[0].numel()), error.detach()

    def _match_sharpness(self, x: Tensor, pixels: Tensor) -> None:
        """A step of the sharpness towards that at which decoded pixels have the mean square of the images'."""
        if self.sharpness is None:
            return
        change = x.square().mean().clamp(min=SMALLEST_VARIANCE).log() - pixels.square().mean().log()
        change = change.nan_to_num(0.0, 0.0, 0.0)  # a spoilt step leaves no trace
        begun = 1.0 if self.steps is None else (self.steps >= self.warmup).to(change.dtype)
        factor = (SHARPENING * begun * change).exp().to(self.sharpness.dtype)
        self.sharpness.copy_((self.sharpness * factor).clamp(1, SHARPEST))

    def _calibrated(self, error: Tensor) -> Tensor:
        """The variance that fits this batch best, which also goes into the running mean."""
        variance = error.mean().clamp(min=SMALLEST_VARIANCE)
        kept = torch.where(torch.isfinite(variance), variance, self.variance)  # a spoilt step leaves no trace
        self.batches += 1
        self.variance.lerp_(kept.to(self.variance.dtype), 1 / self.batches.clamp(max=MEMORY))
        return variance

    @torch.no_grad()
    def bound(self, x: Tensor, k: int = 1, generator: torch.Generator | None = None) -> Tensor:
        """The importance-weighted lower bound of log p(x).

        Args:
            x: (B, C, H, W) in [0, 1].
            k: draws of the latent, at least 1; 1 is the evidence lower bound, and as k grows it approaches log p(x).
            generator: of the draws.

        Returns:
            (B,), nats an image; the higher the better.

        Source: Burda, Grosse and Salakhutdinov, "Importance weighted autoencoders", 2016, equation 8.
        """
        if k < 1:
            raise UsageError(f"k is {k}; at least 1 draw is needed")
        mu, logvar = self.encode_distribution(x)
        weights = [self._log_weight(x, mu, logvar, generator) for _ in range(k)]
        return torch.stack(weights).logsumexp(0) - math.log(k)

    def _log_weight(self, x: Tensor, mu: Tensor, logvar: Tensor, generator: torch.Generator | None) -> Tensor:
        """The logarithm of p(x|z) p(z) / q(z|x) of one draw, (B,)."""
        z = _draw(mu, logvar, generator)
        prior = -0.5 * z.square()
        posterior = -0.5 * ((z - mu).square() * (-logvar).exp() + logvar)  # the constants of both cancel
        return (prior - posterior).sum(1) - self._reconstruction(x, z)[0]

    def remarks(self, x: Tensor) -> Sequence[str]:
        """States how many units have collapsed onto the prior: their divergence is below 0.01 nats on these images."""
        collapsed = int((normal_kl(*self.encode_distribution(x)).mean(0) < COLLAPSED).sum())
        left = self.latent_dim - collapsed
        if not left:
            return (
                "all latent units have collapsed: every image gets the same latent; use a smaller beta, or free_bits",
            )
        return (
            f"{collapsed} of {self.latent_dim} latent units have collapsed and carry no information; {left} would be enough",
        ) * (collapsed > 0)


def _draw(mu: Tensor, logvar: Tensor, generator: torch.Generator | None) -> Tensor:
    noise = torch.empty_like(mu).normal_(generator=generator)
    return mu + noise * (0.5 * logvar).exp()
