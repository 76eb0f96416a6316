"""The layer kinds that every network is a flat sequence of.

| kind | what it is |
|---|---|
| `torch.nn.Conv2d` | convolution |
| `torch.nn.ConvTranspose2d` | transposed convolution |
| `MapToVector` | the convolution whose kernel covers the whole map: (B, C, H, W) -> (B, F) |
| `VectorToMap` | the transposed convolution of a vector: (B, F) -> (B, C, H, W) |
| `torch.nn.Linear` | from vector to vector |
| `torch.nn.ReLU` | the positive part |
| `torch.nn.SiLU` | x · sigmoid(x), the smooth one |
| `ResidualBlock` | x + convolution(SiLU(convolution(SiLU(x)))), both 3 × 3 |
| `SubPixel` | a 3 × 3 convolution to four times the channels, laid out as twice the height and width, cut to a size |

`MapToVector` and `VectorToMap` are computed as the dense layers that they are; their weights have the shape, the initialisation
and the state_dict names of the convolutions, so that weights come and go between the two.
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
        """Multiply the vector with the weight, and lay the product out as a map."""
        assert output_size is None
        assert self.bias is not None
        height, width = self.kernel_size
        weight = self.weight.permute(0, 2, 3, 1).flatten(1)  # (F, H * W * C)
        x: Tensor = F.linear(z, weight.t(), self.bias.repeat(height * width))
        return x.reshape(len(z), height, width, -1).permute(0, 3, 1, 2)  # channels_last already


class ResidualBlock(nn.Module):
    """What two convolutions add to a map: x + second(SiLU(first(SiLU(x)))).

    Args:
        channels: C of the map, before, between and after.

    Source: He et al., "Identity mappings in deep residual networks", 2016, figure 4e, without the normalisation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        """Add to the map what the two convolutions make of it."""
        y: Tensor = self.second(F.silu(self.first(F.silu(x))))
        return x + y


class SubPixel(nn.Conv2d):
    """A 3 × 3 convolution to 4 · C channels, of which each four become 2 × 2 pixels; what is beyond the size is cut off.

    Args:
        in_channels: of the map that comes in.
        channels: C of the map that goes out.
        size: (H, W) of the map that goes out; of the one that comes in, each half of that, rounded up.

    The four kernels of a channel start alike, so that a new layer repeats each pixel and draws no checkerboard.

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
        """Convolve, lay out, cut."""
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
