"""Maps: latents to two dimensions and back. They know no model, so they work on anybody's latents.

`MAPS` holds those that are fitted; `GivenMap` takes somebody else's coordinates.
"""

from latens.maps.contract import Map
from latens.tables import Table

__all__ = ["GIVEN", "MAPS", "Map", "map_kind"]

MAPS: Table[type[Map]] = Table(
    "map",
    {
        "pca": "latens.maps.pca:PCAMap",
        "tsne": "latens.maps.tsne:TSNEMap",
    },
    group="maps",
)
"""Name -> class of `Map`, made without arguments."""

GIVEN = "given"
"""The name of a map of somebody else's coordinates: it is in a run or not, it can't be fitted."""


def map_kind(name: str) -> type[Map]:
    """The class of the map of that name: one of `MAPS`, or `GivenMap`.

    Raises:
        UnknownName: there is no such map.
    """
    if name == GIVEN:
        from latens.maps.given import GivenMap

        return GivenMap
    return MAPS[name]
