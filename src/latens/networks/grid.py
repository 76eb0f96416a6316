"""A network whose latent is a grid over the image: a few numbers for each cell of its narrowest map."""

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from latens.errors import UsageError
from latens.networks import Network
from latens.networks.half import Half
from latens.networks.layers import MapToVector, VectorToMap

__all__ = ["GridToMap", "MapToGrid", "on_grid"]


class MapToGrid(nn.Module):
    """A 1 × 1 convolution whose output is flattened cell by cell: (B, C, H, W) -> (B, H * W * numbers).

    Args:
        channels: C.
        numbers: of each cell.
    """

    def __init__(self, channels: int, numbers: int) -> None:
        super().__init__()
        drawn = nn.Conv2d(channels, numbers, 1)
        self.weight, self.bias = drawn.weight, cast(nn.Parameter, drawn.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The numbers of a cell depend on its own channels only."""
        return F.conv2d(x, self.weight, self.bias).permute(0, 2, 3, 1).flatten(1)


class GridToMap(nn.Module):
    """The inverse direction, by another 1 × 1 convolution: (B, H * W * numbers) -> (B, C, H, W).

    Args:
        numbers: of each cell.
        channels: C.
        size: (H, W).
    """

    def __init__(self, numbers: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        drawn = nn.Conv2d(numbers, channels, 1)
        self.weight, self.bias, self.size = drawn.weight, cast(nn.Parameter, drawn.bias), size

    def forward(self, z: Tensor) -> Tensor:
        """The channels of a cell depend on its own numbers only."""
        grid = z.reshape(z.shape[0], *self.size, -1).permute(0, 3, 1, 2)  # channels_last already
        return F.conv2d(grid, self.weight, self.bias)


def on_grid(network: Network, latent_dim: int) -> Network:
    """A network whose narrow ends work cell by cell instead of by dense layers over the whole map.

    Args:
        network: whose encoder ends in a `MapToVector` and whose decoder begins with a `VectorToMap`.
        latent_dim: D, a multiple of the cells of that map.

    Raises:
        UsageError: another kind of network, or another dimension.

    >>> from latens.networks.convolutional import convolutional
    >>> network = on_grid(convolutional((1, 28, 28), 98, 98), 98)
    >>> network.encoder[-1].weight.shape, network.decoder[0].size
    (torch.Size([2, 32, 1, 1]), (7, 7))
    """
    encoder, decoder = (list(half) if isinstance(half, nn.Sequential) else [half] for half in network)
    last, first = encoder[-1], decoder[0]
    if not isinstance(last, MapToVector) or not isinstance(first, VectorToMap):
        raise UsageError(
            "a latent on a grid needs a network that narrows to a map, as the convolutional one; this one does not"
        )
    height, width = size = (last.kernel_size[0], last.kernel_size[1])
    cells = height * width
    if size != first.kernel_size or latent_dim % cells:
        near = max(1, round(latent_dim / cells)) * cells
        raise UsageError(
            f"latent dimension is {latent_dim}; on a grid of {height} x {width} a multiple of {cells} is needed, such as {near}"
        )
    numbers = latent_dim // cells
    return Network(
        Half(*encoder[:-1], MapToGrid(last.in_channels, numbers)),
        Half(GridToMap(numbers, first.out_channels, size), *decoder[1:]),
        (latent_dim,),
    )
