"""Paths: what lies between latents, and beyond them. Functions over arrays; they know no model.

`interpolate` goes from one latent to another by one of `PATHS`, `latent_arithmetic` adds and takes away, `traverse` goes along
the directions in which the latents vary most. How far any of them comes away from the data says
`latens.neighbours.distance_ratios`.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from latens.tables import Table

if TYPE_CHECKING:
    from latens.paths.between import interpolate as interpolate
    from latens.paths.beyond import Traversals as Traversals
    from latens.paths.beyond import kept_in_range as kept_in_range
    from latens.paths.beyond import latent_arithmetic as latent_arithmetic
    from latens.paths.beyond import principal_directions as principal_directions
    from latens.paths.beyond import traverse as traverse
    from latens.paths.contract import Path as Path

_HOMES = {
    "Path": "contract",
    "Traversals": "beyond",
    "interpolate": "between",
    "kept_in_range": "beyond",
    "latent_arithmetic": "beyond",
    "principal_directions": "beyond",
    "traverse": "beyond",
}

__all__ = [
    "PATHS",
    "Path",
    "Traversals",
    "interpolate",
    "kept_in_range",
    "latent_arithmetic",
    "principal_directions",
    "traverse",
]

PATHS: "Table[Callable[..., Path]]" = Table(
    "way",
    {
        "linear": "latens.paths.between:linear",
        "spherical": "latens.paths.between:spherical",
        "graph": "latens.paths.graph:along_graph",
    },
)
"""Name -> function of (start, end, steps, latents of the data) that returns a `Path`."""


def __getattr__(name: str) -> object:
    # The command line reads the names of the ways; that must not cost the import of torch and scipy.
    if name in _HOMES:
        return getattr(import_module(f"latens.paths.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
