"""The training of a flow."""

import torch
import torch.nn.functional as F
from torch import Tensor

from latens.networks.velocity import Velocity, quarter_turn
from latens.samplers.contract import Tick
from latens.training.optimisers import learning_rate_factor, make_optimisers

__all__ = ["train_velocity"]

RATE, MATRIX_RATE, BETA2 = 2e-3, 0.02, 0.98  # of Adam, of Muon, of Adam's second moment
WARMUP = 30  # steps


def train_velocity(
    net: Velocity,
    points: Tensor,
    means: Tensor,
    factors: Tensor,
    index: Tensor,
    *,
    steps: int,
    batch: int,
    progress: Tick = lambda done, total: None,
) -> None:
    """Match the flow from a Gaussian a class to points, along arcs between a random pair each.

    Args:
        net: is trained in place.
        points: (N, D).
        means: of the Gaussians, (K, D), about those of the classes.
        factors: square roots of their covariances, (K, D, D).
        index: of the class of each point, int64 (N,).
        steps: how many.
        batch: pairs of a step.
        progress: called with (done, total) after each step.

    The arc mean + cos(a) start + sin(a) end, for a from 0 to a quarter turn, keeps the covariance where both ends have the same:
    a class that is normal needs no velocity at all, which is what the network begins with.
    """
    random = torch.Generator().manual_seed(0)
    optimisers = make_optimisers(net, "muon", RATE, MATRIX_RATE, BETA2)
    rates = [optimiser.param_groups[0]["lr"] for optimiser in optimisers]
    queue = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        while len(queue) < batch:
            queue = torch.cat([queue, torch.randperm(len(points), generator=random)])
        rows, queue = queue[:batch], queue[batch:]
        label, mean = index[rows], means[index[rows]]
        noise = torch.randn(mean.shape, generator=random)
        start, end = torch.bmm(factors[label], noise[:, :, None])[:, :, 0], points[rows] - mean
        angle = quarter_turn(batch, points.device, random)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        loss = F.mse_loss(net(mean + cos * start + sin * end, angle, label), cos * end - sin * start)
        net.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser, rate in zip(optimisers, rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * learning_rate_factor(step, steps, WARMUP, True)
            optimiser.step()
        progress(step + 1, steps)
