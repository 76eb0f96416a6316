"""The layer kinds of the networks of latens.

| kind | description |
|---|---|
| `torch.nn.Conv2d` | convolution |
| `torch.nn.ConvTranspose2d` | transposed convolution |
| `MapToVector` | the convolution whose kernel covers the whole map: (B, C, H, W) -> (B, F) |
| `VectorToMap` | the transposed convolution of a vector: (B, F) -> (B, C, H, W) |
| `torch.nn.Linear` | from vector to vector |
| `torch.nn.ReLU` | max(x, 0) |
| `torch.nn.SiLU` | x · sigmoid(x) |
| `ResidualBlock` | x + convolution(SiLU(convolution(SiLU(normalised x)))), 3 × 3 and then 1 × 1 |
| `SubPixel` | a 3 × 3 convolution to four times the channels, rearranged to twice the height and width, cropped to a size |

`MapToVector` and `VectorToMap` are computed as dense layers. Their weights have the shape, the initialisation and the state_dict
names of the equivalent convolutions, so that weights can be exchanged.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["LAYER_KINDS", "MapToVector", "ResidualBlock", "SubPixel", "VectorToMap"]


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
        """Multiply the vector with the weight, and reshape the product to a map."""
        assert output_size is None
        assert self.bias is not None
        height, width = self.kernel_size
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (F, H * W * C)
        x: Tensor = F.linear(z, weight.t(), self.bias.repeat(height * width))
        return x.reshape(z.shape[0], height, width, -1).permute(0, 3, 1, 2)  # channels_last already


class ResidualBlock(nn.Module):
    """A residual block of two convolutions, 3 × 3 and 1 × 1: x + second(SiLU(first(SiLU(norm(x))))).

    Args:
        channels: C of the map, before, between and after.

    The norm takes mean and variance over all values of one image's map, so that an image does not depend on its batch.

    Source: He et al., "Identity mappings in deep residual networks", 2016, figure 4e; Wu and He, "Group normalization", 2018,
    with one group.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        """Add the output of the two convolutions to the map."""
        y: Tensor = self.second(F.silu(self.first(F.silu(self.norm(x)))))
        return x + y


class SubPixel(nn.Conv2d):
    """A 3 × 3 convolution to 4 · C channels, of which each four become 2 × 2 pixels; the result is cropped to the size.

    Args:
        in_channels: of the input.
        channels: C of the output.
        size: (H, W) of the output; the input has half of each, rounded up.

    The four kernels of a channel start with equal weights, so that a new layer repeats each pixel without a checkerboard pattern.

    Source: Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
    network", 2016, equation 4; Aitken et al., "Checkerboard artifact free sub-pixel convolution", 2017, for the start.
    """

    def __init__(self, in_channels: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__(in_channels, 4 * channels, 3, padding=1)
        self.size = size
        with torch.no_grad():
            assert self.bias is not None
            for parameter in (self.weight, self.bias):
                parameter.copy_(parameter[::4].repeat_interleave(4, 0))

    def forward(self, x: Tensor) -> Tensor:  # (B, in, (H + 1) // 2, (W + 1) // 2) -> (B, C, H, W)
        """Convolve, rearrange, crop."""
        height, width = self.size
        return F.pixel_shuffle(super().forward(x), 2)[:, :, :height, :width]


LAYER_KINDS = (
    nn.Conv2d,
    nn.ConvTranspose2d,
    MapToVector,
    VectorToMap,
    nn.Linear,
    nn.ReLU,
    nn.SiLU,
    ResidualBlock,
    SubPixel,
)
