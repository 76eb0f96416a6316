"""The network that the flow learns, its training, and the way along it."""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Velocity", "carry", "train_velocity"]

CONDITION = 64  # numbers that tell the blocks of the angle and the class
WAVES = 8  # frequencies in which they see the angle
WARMUP = 30  # steps
BATCH_CARRIED = 2000


class Velocity(nn.Module):
    """The velocity of a point at an angle of its way: a residual perceptron whose blocks are modulated by angle and class.

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


def train_velocity(net: Velocity, points: Tensor, index: Tensor, steps: int, batch: int, rate: float) -> None:
    """Match the flow from normal noise to points, along arcs between a random pair each.

    Args:
        net: is trained in place.
        points: (N, D), about standard normal in each class.
        index: of the class of each, int64 (N,).
        steps: how many.
        batch: pairs of a step.
        rate: of Adam; it falls to zero linearly.
    """
    random = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(net.parameters(), lr=rate, betas=(0.9, 0.98), fused=True)
    queue = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        while len(queue) < batch:
            queue = torch.cat([queue, torch.randperm(len(points), generator=random)])
        rows, queue = queue[:batch], queue[batch:]
        end = points[rows]
        start = torch.randn(end.shape, generator=random)
        angle = (torch.arange(batch) + torch.rand(batch, generator=random)) * (math.pi / 2 / batch)
        cos, sin = angle.cos()[:, None], angle.sin()[:, None]
        predicted = net(cos * start + sin * end, angle, index[rows])
        loss = F.mse_loss(predicted, cos * end - sin * start)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimiser.param_groups:
            group["lr"] = rate * min((step + 1) / WARMUP, 1 - step / steps)
        optimiser.step()


@torch.no_grad()
def carry(net: Velocity, x: Tensor, index: Tensor, steps: int) -> Tensor:  # (N, D), (N,) -> (N, D)
    """Carry noise along the flow, by Heun's method in equal steps."""
    angles = torch.linspace(0, math.pi / 2, steps + 1).tolist()
    done = [x[:0]]
    for part, label in zip(torch.split(x, BATCH_CARRIED), torch.split(index, BATCH_CARRIED), strict=True):
        at: Callable[[float], Tensor] = part.new_ones(len(part)).mul
        for now, then in pairwise(angles):
            velocity = net(part, at(now), label)
            ahead = net(part + (then - now) * velocity, at(then), label)
            part = part + (then - now) / 2 * (velocity + ahead)
        done.append(part)
    return torch.cat(done)
