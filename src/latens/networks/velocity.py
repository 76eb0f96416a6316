"""The velocity of a flow between normal noise and latents."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Velocity", "carry", "quarter_turn"]

CONDITION = 64  # numbers that tell the blocks of the angle and the class
WAVES = 8  # frequencies by which the angle is encoded
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


def quarter_turn(batch: int, device: torch.device, generator: torch.Generator | None = None) -> Tensor:
    """Angles of a quarter turn, one in each of so many equal parts of it, for a lower variance: (B,), ascending."""
    within = torch.empty(batch, device=device).uniform_(generator=generator)
    return (torch.arange(batch, device=device) + within) * (math.pi / 2 / batch)


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
