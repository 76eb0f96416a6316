"""Maps: latents to two dimensions and back. They know no model, so they work on anybody's latents.

`MAPS` holds those that are fitted; `GivenMap` takes somebody else's coordinates.
"""

from latens.maps.contract import Map
from latens.tables import Table

__all__ = ["MAPS", "Map"]

MAPS: Table[type[Map]] = Table(
    "map",
    {
        "pca": "latens.maps.pca:PCAMap",
        "tsne": "latens.maps.tsne:TSNEMap",
    },
)
"""Name -> class of `Map`, made without arguments."""
