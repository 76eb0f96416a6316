"""The network of the flow, its training, and the integration along it."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latens.samplers.contract import Tick
from latens.training.optimisers import learning_rate_factor, make_optimisers

__all__ = ["Velocity", "carry", "train_velocity"]

CONDITION = 64  # numbers that tell the blocks of the angle and the class
WAVES = 8  # frequencies by which the angle is encoded
RATE, MATRIX_RATE, BETA2 = 2e-3, 0.02, 0.98  # of Adam, of Muon, of Adam's second moment
WARMUP = 30  # steps
BATCH_CARRIED = 2000


class Velocity(nn.Module):
    """The velocity of a point at an angle of its path: a residual perceptron whose blocks are modulated by angle and class.

    Args:
        dim: D of the points.
        num_classes: K.
        width: of the hidden layers.
        num_blocks: each normalises, scales and shifts (Perez et al. 2018, FiLM), and adds a perceptron of one hidden layer.

    It begins at zero.
    """

    frequencies: Tensor

    def __init__(self, dim: int, num_classes: int, width: int, num_blocks: int) -> None:
        super().__init__()
        self.dim, self.num_classes = dim, num_classes
        self.register_buffer("frequencies", torch.arange(1.0, WAVES + 1), persistent=False)
        self.angle = nn.Linear(2 * WAVES, CONDITION)
        self.label = nn.Embedding(num_classes, CONDITION)
        self.enter = nn.Linear(dim, width)
        self.modulate = nn.ModuleList(nn.Linear(CONDITION, 2 * width) for _ in range(num_blocks))
        self.first = nn.ModuleList(nn.Linear(width, width) for _ in range(num_blocks))
        self.second = nn.ModuleList(nn.Linear(width, width) for _ in range(num_blocks))
        self.leave = nn.Linear(width, dim)
        for layer in (*self.modulate, *self.second, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, angle: Tensor, index: Tensor) -> Tensor:  # (B, D), (B,), (B,) -> (B, D)
        """The velocity of each point."""
        waves = angle[:, None] * self.frequencies
        condition = F.silu(self.angle(torch.cat([waves.cos(), waves.sin()], 1)) + self.label(index))
        hidden = self.enter(x)
        for modulate, first, second in zip(self.modulate, self.first, self.second, strict=True):
            scale, shift = modulate(condition).chunk(2, 1)
            seen = F.layer_norm(hidden, hidden.shape[1:]) * (1 + scale) + shift
            hidden = hidden + second(F.silu(first(seen)))
        velocity: Tensor = self.leave(F.silu(F.layer_norm(hidden, hidden.shape[1:])))
        return velocity


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
        # Stratified angles: one in each equal part of the quarter turn, for a lower variance.
        angle = (torch.arange(batch) + torch.rand(batch, generator=random)) * (math.pi / 2 / batch)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        loss = F.mse_loss(net(mean + cos * start + sin * end, angle, label), cos * end - sin * start)
        net.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser, rate in zip(optimisers, rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * learning_rate_factor(step, steps, WARMUP, True)
            optimiser.step()
        progress(step + 1, steps)


@torch.no_grad()
def carry(net: Velocity, x: Tensor, index: Tensor, steps: int) -> Tensor:  # (N, D), (N,) -> (N, D)
    """Carry points along the flow, by Heun's method in equal steps."""
    angles = torch.linspace(0, math.pi / 2, steps + 1).tolist()
    done = [x[:0]]
    for part, label in zip(torch.split(x, BATCH_CARRIED), torch.split(index, BATCH_CARRIED), strict=True):
        ones = part.new_ones(len(part))
        for now, then in pairwise(angles):
            velocity = net(part, now * ones, label)
            ahead = net(part + (then - now) * velocity, then * ones, label)
            part = part + (then - now) / 2 * (velocity + ahead)
        done.append(part)
    return torch.cat(done)
