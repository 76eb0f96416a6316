"""Interpolation: paths between latents, directions through them, and latent arithmetic, over plain arrays.

`interpolate` goes from one latent to another by one of `PATHS`, `latent_arithmetic` adds and takes away, `traverse` goes along
the directions in which the latents vary most. `latens.neighbours.distance_ratios` gives their
distance from the data.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from latens.tables import Table, lazy_names

if TYPE_CHECKING:
    from latens.interpolation.between_two import interpolate as interpolate
    from latens.interpolation.contract import LatentPath as LatentPath
    from latens.interpolation.directions import Traversals as Traversals
    from latens.interpolation.directions import kept_in_range as kept_in_range
    from latens.interpolation.directions import latent_arithmetic as latent_arithmetic
    from latens.interpolation.directions import principal_directions as principal_directions
    from latens.interpolation.directions import traverse as traverse

_HOMES = {
    "LatentPath": "contract",
    "Traversals": "directions",
    "interpolate": "between_two",
    "kept_in_range": "directions",
    "latent_arithmetic": "directions",
    "principal_directions": "directions",
    "traverse": "directions",
}

__all__ = [
    "PATHS",
    "LatentPath",
    "Traversals",
    "interpolate",
    "kept_in_range",
    "latent_arithmetic",
    "principal_directions",
    "traverse",
]

PATHS: "Table[Callable[..., LatentPath]]" = Table(
    "way",
    {
        "linear": "latens.interpolation.between_two:linear",
        "spherical": "latens.interpolation.between_two:spherical",
        "graph": "latens.interpolation.graph:along_graph",
    },
    group="paths",
)
"""Name -> function of (start, end, steps, latents of the data) that returns a `LatentPath`."""


# The command line reads the names of the paths; that must not import torch and scipy.
__getattr__ = lazy_names(__name__, _HOMES)
