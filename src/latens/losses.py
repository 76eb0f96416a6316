"""The terms that losses are made of: pure functions, one value a sample. They are reduced in one place, `training.py`."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "Losses",
    "bernoulli_nll",
    "gaussian_nll",
    "half_squared_norm",
    "jacobian_norm",
    "mean_discrepancy",
    "mean_magnitude",
    "normal_kl",
    "squared_error",
]

IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of the kernels in the released code of Tolstikhin et al.


@dataclass(frozen=True)
class Losses:
    """What a model's loss is: the total that is minimised and its named parts, each (B,).

    Every model has a part `squared_error`, the mean over C, H and W, so that the training of any two can be compared.
    """

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


def squared_error(x: Tensor, y: Tensor) -> Tensor:
    """The mean squared difference of two images.

    Args:
        x: (B, C, H, W).
        y: (B, C, H, W).

    Returns:
        (B,), the mean over C, H and W.

    >>> squared_error(torch.zeros(2, 1, 2, 2), torch.full((2, 1, 2, 2), 0.5))
    tensor([0.2500, 0.2500])
    """
    return F.mse_loss(y, x, reduction="none").flatten(1).mean(1)  # one pass forward and one back


def mean_magnitude(z: Tensor) -> Tensor:
    """The mean of |z| over the numbers of each latent: (B, D) -> (B,).

    >>> mean_magnitude(torch.tensor([[3.0, -1.0]]))
    tensor([2.])
    """
    return z.abs().mean(1)


def half_squared_norm(z: Tensor) -> Tensor:
    """Half of the squared norm of each latent: (B, D) -> (B,).

    Source: Ghosh et al., "From variational to deterministic autoencoders", 2020, equation 8.

    >>> half_squared_norm(torch.tensor([[3.0, 4.0]]))
    tensor([12.5000])
    """
    return 0.5 * z.square().sum(1)


def normal_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of N(mu, exp(logvar)) from N(0, 1), unit by unit.

    Args:
        mu: (B, D).
        logvar: (B, D), the logarithm of the variance.

    Returns:
        (B, D), nats; their sum over D is that of the whole diagonal Gaussian.

    Source: Kingma and Welling, "Auto-encoding variational Bayes", 2014, appendix B.

    >>> normal_kl(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))
    tensor([[0., 2.]])
    """
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar)


def gaussian_nll(squared_error: Tensor, variance: Tensor | float, num_pixels: int) -> Tensor:
    """The negative log density of an image whose pixels are Gaussian around the reconstruction, constants and all.

    Args:
        squared_error: (B,), the mean over pixels.
        variance: of every pixel, above 0; a number or a tensor ().
        num_pixels: C * H * W.

    Returns:
        (B,), nats an image; negative where the density is above 1.

    >>> gaussian_nll(torch.tensor([0.0, 1.0]), 1 / (2 * math.pi), num_pixels=2)
    tensor([0.0000, 6.2832])
    """
    spread = torch.as_tensor(variance, dtype=squared_error.dtype, device=squared_error.device)
    return 0.5 * num_pixels * ((2 * math.pi * spread).log() + squared_error / spread)


def bernoulli_nll(x: Tensor, logits: Tensor) -> Tensor:
    """The negative log-likelihood of images whose pixels are 1 with the probability sigmoid(logits).

    Args:
        x: (B, C, H, W) in [0, 1]. Of a grey pixel it is the mean over drawing it as 1 with that probability.
        logits: (B, C, H, W).

    Returns:
        (B,), nats an image.

    >>> bernoulli_nll(torch.ones(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)) / math.log(2)
    tensor([2.])
    """
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def mean_discrepancy(z: Tensor, prior: Tensor, scale: float = 1.0) -> Tensor:
    """The squared maximum mean discrepancy of two samples, unbiased, as values whose mean it is.

    Args:
        z: (B, D), latents.
        prior: (B, D), as many draws from the standard normal distribution.
        scale: of the kernels' widths.

    Returns:
        (B,); each says how far one latent, with the draw beside it, is from where the prior would have it. They may be negative.

    The kernel is a sum of inverse multiquadratics, c / (c + ‖a - b‖²), with c = 2 D `scale` times 0.1 to 10: the mean
    squared distance of two draws from the prior is 2 D.

    Source: Tolstikhin et al., "Wasserstein auto-encoders", 2018, algorithm 2 and section 4.

    >>> one, two = torch.zeros(2, 3), torch.zeros(2, 3)
    >>> mean_discrepancy(one, two)
    tensor([0., 0.])
    """
    others = max(len(z) - 1, 1)  # a batch of one has no pairs
    within = [_kernel(a, a, scale).fill_diagonal_(0).sum(1) / others for a in (z, prior)]
    across = _kernel(z, prior, scale)
    return within[0] + within[1] - across.mean(1) - across.mean(0)


def _kernel(a: Tensor, b: Tensor, scale: float) -> Tensor:  # (B, D), (B, D) -> (B, B)
    # Not by torch.cdist, whose gradient at a distance of 0 is NaN.
    squares = a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2 * a @ b.T
    distance = squares.clamp(min=0)
    widths = [2 * a.shape[1] * scale * factor for factor in IMQ_SCALES]
    return torch.stack([width / (width + distance) for width in widths]).sum(0)


def jacobian_norm(decode: Callable[[Tensor], Tensor], z: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """How much decoded pixels change with the latent: an unbiased estimate of the squared norm of the decoder's Jacobian.

    Args:
        decode: (B, D) -> (B, C, H, W), each sample by itself, and twice differentiable.
        z: (B, D).
        generator: of the direction in pixel space, one a sample, along which it is measured.

    Returns:
        (B,), ‖∂x/∂z‖² (Frobenius) over the number of pixels; differentiable where gradients are on.

    For v from N(0, I) the mean of ‖vᵀJ‖² is ‖J‖².
    Source: Ghosh et al., "From variational to deterministic autoencoders", 2020, equation 9; the estimate: Hutchinson, "A
    stochastic
    estimator of the trace of the influence matrix", 1989.
    """
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        z = z if z.requires_grad else z.detach().requires_grad_()
        x = decode(z)
        direction = torch.empty_like(x).normal_(generator=generator)
        (gradient,) = torch.autograd.grad(x, z, direction, create_graph=differentiable)
    return gradient.square().sum(1) / x[0].numel()
