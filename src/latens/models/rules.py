"""What models do with the output of their encoder, as modules without weights; `torch.nn.ReLU` is another.

They are declared as `Model.after_encoder`. The explorer's page in one file computes those that `explorer/page/layers.js` lists.
"""

import math

from torch import Tensor, nn

__all__ = ["First", "Levels", "standard_normal"]


def standard_normal(z: Tensor) -> Tensor:
    """The natural logarithm of the density of N(0, I): (B, D) -> (B,)."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)


class First(nn.Module):
    """The first numbers of each row, such as the means of an encoder that gives means and variances: (B, F) -> (B, count)."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Keep the first numbers."""
        return x[:, : self.count]


class Levels(nn.Module):
    """Numbers rounded to one of a few levels in [-1, 1]: (B, D) -> (B, D). Gradients pass the rounding unchanged.

    Args:
        levels: L, at least 2.

    Source: Mentzer et al., "Finite scalar quantization: VQ-VAE made simple", 2024, section 3.1.

    >>> Levels(3)(torch.tensor([[-9.0, 0.1, 9.0]]))
    tensor([[-1.,  0.,  1.]])
    """

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        """Round to the levels."""
        return self.quantise(x)[0]

    def quantise(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The rounded numbers (B, D), and the level of each, int64 (B, D) from 0 to L - 1; of NaN, NaN and level 0."""
        soft = (x.tanh() + 1) / 2 * (self.levels - 1)  # (B, D), 0 to L - 1
        codes = soft.detach().round()
        return self.values(codes + (soft - soft.detach())), codes.nan_to_num().long()  # NaN as a whole number is none

    def values(self, codes: Tensor) -> Tensor:
        """Levels from 0 to L - 1 as numbers in [-1, 1]."""
        return codes / ((self.levels - 1) / 2) - 1
