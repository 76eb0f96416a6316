"""The layer kinds that every network is a flat sequence of.

| kind | what it is |
|---|---|
| `torch.nn.Conv2d` | convolution |
| `torch.nn.ConvTranspose2d` | transposed convolution |
| `MapToVector` | the convolution whose kernel covers the whole map: (B, C, H, W) -> (B, F) |
| `VectorToMap` | the transposed convolution of a vector: (B, F) -> (B, C, H, W) |
| `torch.nn.ReLU` | the positive part |

The two kinds of our own are computed as the dense layers that they are; their weights have the shape, the initialisation and
the state_dict names of the convolutions, so that weights come and go between the two.
"""

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LAYER_KINDS", "MapToVector", "VectorToMap"]


class MapToVector(nn.Conv2d):
    """A convolution whose kernel covers the whole map, as a dense layer.

    Args:
        channels: C of the map.
        size: (H, W) of the map, which is the kernel.
        features: F of the vector.

    Equal to `torch.nn.Conv2d(channels, features, size)` followed by `flatten(1)`.
    """

    def __init__(self, channels: int, size: tuple[int, int], features: int) -> None:
        super().__init__(channels, features, size)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, F)
        """Multiply the map, as one row, with the weight."""
        # Height and width first: with x and the weight in channels_last both are views, not copies.
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (F, H * W * C)
        return F.linear(x.permute(0, 2, 3, 1).flatten(1), weight, self.bias)


class VectorToMap(nn.ConvTranspose2d):
    """A transposed convolution of a vector, as a dense layer.

    Args:
        features: F of the vector.
        channels: C of the map.
        size: (H, W) of the map, which is the kernel.

    Equal to `torch.nn.ConvTranspose2d(features, channels, size)` of the vector as a 1 × 1 map.
    """

    def __init__(self, features: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__(features, channels, size)

    def forward(self, z: Tensor, output_size: list[int] | None = None) -> Tensor:  # (B, F) -> (B, C, H, W)
        """Multiply the vector with the weight, and lay the product out as a map."""
        assert output_size is None
        assert self.bias is not None
        height, width = self.kernel_size
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (F, H * W * C)
        x: Tensor = F.linear(z, weight.t(), self.bias.repeat(height * width))
        return x.reshape(len(z), height, width, -1).permute(0, 3, 1, 2)  # channels_last already


LAYER_KINDS = (nn.Conv2d, nn.ConvTranspose2d, MapToVector, VectorToMap, nn.ReLU)
