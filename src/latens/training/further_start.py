"""The start of further components: those that a latent does not hold, predicted from those that it holds.

Slices of a volume, frames of a film or views of a turning object lie on a curve. Along it, components that are left out of a
latent follow from those that are kept. Kernel ridge regression finds how, with Gaussians about train images as its features;
their width and the ridge are those with the least error on images held out.

Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, equation 8.14 (subset of regressors).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from latens.networks.linear_path import NUM_CENTRES, squared_distances

__all__ = [
    "OTHERS",
    "RIDGES",
    "WIDTHS",
    "Fitted",
    "Smoothness",
    "choose_smoothness",
    "fit_further",
    "further_directions",
]

WIDTHS = (0.25, 1.0, 4.0)  # of the median squared distance of latents
OTHERS = (
    (0.0, 0.25),
    (0.0, 1.0),
    (1.0, 1.0),
    (1.0, 4.0),
)  # whitening, and the width as a multiple of the best at a half
RIDGES = (1e-3, 1e-2, 0.1, 1.0, 10.0)
EXTRA, ROUNDS = 16, 3
LEAST = 1e-8  # of the largest eigenvalue of the centres' kernel, that is kept
LEAST_SPREAD = 1e-3  # of the largest, for whitening
CLEAR = 0.999  # of the error without them, that it must be below with further components


@dataclass(frozen=True)
class Smoothness:
    """How further components are predicted.

    Args:
        width: squared length of the Gaussians, as a share of the median squared distance of latents.
        ridge: what is added to the diagonal of the features' products.
        whitening: the power of the spread of each number of a latent that it is divided by: 0 leaves the numbers as they are,
            with 1 all count alike.
        count: how many further components are predicted, the leading ones.
    """

    width: float
    ridge: float
    whitening: float
    count: int

    def __str__(self) -> str:
        return f"{self.count} further components by Gaussians of width {self.width:g} with a ridge of {self.ridge:g}"


@dataclass(frozen=True)
class Fitted:
    """amounts · exp(-|z / scale - centres|²) for latents z (n, D): centres (K, D), scale (D,), amounts (R, K); all float64."""

    centres: Tensor
    scale: Tensor
    amounts: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        """The predicted amounts, (n, R) float64."""
        return torch.exp(-squared_distances(z.double() / self.scale, self.centres)) @ self.amounts.T


def further_directions(rest: Tensor, num: int) -> Tensor:
    """The leading directions (P, R) of what a linear path leaves of images (N, P), by subspace iteration."""
    width = min(*rest.shape, num + EXTRA)
    drawn = torch.randn(rest.shape[1], width, generator=torch.Generator().manual_seed(0), dtype=rest.dtype)
    for _ in range(ROUNDS):
        drawn = torch.linalg.qr(rest.T @ (rest @ drawn))[0]
    seen = rest @ drawn
    turn = torch.linalg.eigh(seen.T @ seen)[1].flip(1)
    directions: Tensor = drawn @ turn[:, :num]
    return directions


def fit_further(z: Tensor, amounts: Tensor, smoothness: Smoothness) -> Fitted:
    """Fit the prediction of amounts (N, R) from latents (N, D)."""
    return _Regression(z, amounts[:, : smoothness.count], smoothness.width, smoothness.whitening).fitted(
        smoothness.ridge
    )


def choose_smoothness(z: Tensor, amounts: Tensor, held: Tensor, held_amounts: Tensor) -> Smoothness | None:
    """The prediction with the least error on images held out; None if nothing is gained.

    Args:
        z: latents (N, D).
        amounts: (N, R), to predict.
        held: latents (n, D) of images held out.
        held_amounts: theirs, (n, R).
    """
    before = held_amounts.double().square().sum(0)
    best, least = None, CLEAR * float(before.sum())

    def look(width: float, whitening: float) -> None:
        nonlocal best, least
        regression = _Regression(z, amounts, width, whitening)
        for ridge in RIDGES:
            gains = (before - (regression.fitted(ridge)(held) - held_amounts).square().sum(0)).cumsum(0)
            count = int(gains.argmax()) + 1
            if (error := float(before.sum() - gains[count - 1])) < least:
                best, least = Smoothness(width, ridge, whitening, count), error

    for width in WIDTHS:
        look(width, 0.5)
    first = best.width if best is not None else 1.0
    for whitening, times in OTHERS:
        look(first * times, whitening)
    return best


class _Regression:
    """Kernel ridge regression of one width, for any ridge: all in float64."""

    def __init__(self, z: Tensor, amounts: Tensor, width: float, whitening: float) -> None:
        z = z.double()
        spread = z.std(0, correction=0)
        calm = spread.clamp_min(LEAST_SPREAD * float(spread.max()) + 1e-12) ** whitening
        u = z / calm
        chosen = u[torch.linspace(0, len(u) - 1, min(len(u), NUM_CENTRES)).round().long()]
        to_centres = squared_distances(u, chosen)
        length = max(width * float(to_centres.median()), torch.finfo(torch.float32).tiny)
        self.scale, self.centres = calm * length**0.5, chosen / length**0.5
        values, turn = torch.linalg.eigh(torch.exp(-squared_distances(self.centres, self.centres)))
        kept = values > LEAST * values[-1]
        whitener = turn[:, kept] / values[kept].sqrt()
        features = torch.exp(-to_centres / length) @ whitener
        self.values, turn = torch.linalg.eigh(features.T @ features)
        self.turned = whitener @ turn
        self.products = turn.T @ (features.T @ amounts.double())

    def fitted(self, ridge: float) -> Fitted:
        weights = self.turned @ (self.products / (self.values.clamp_min(0) + ridge)[:, None])
        return Fitted(self.centres, self.scale, weights.T)
