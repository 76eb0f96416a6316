"""The terms that losses are made of: pure functions, one value a sample. They are reduced in one place, `training.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor

__all__ = ["Losses", "squared_error"]


@dataclass(frozen=True)
class Losses:
    """What a model's loss is: the total that is minimised and its named parts, each (B,)."""

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
