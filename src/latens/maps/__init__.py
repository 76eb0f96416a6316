"""Maps: latents to two dimensions and back. They take plain arrays, so they work on any latents.

`MAPS` holds those that are fitted; `GivenMap` takes coordinates made elsewhere, and `FeaturesMap` those of given features.
"""

from latens.maps.contract import Map
from latens.tables import Table

__all__ = ["FEATURES", "GIVEN", "MAPS", "Map", "is_decodable", "map_kind"]

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
"""The name of a map of coordinates made elsewhere: it can be stored in a run, but not fitted."""

FEATURES = "features"
"""The name of a map of the features of a given encoder, see `latens.computed.given_features`."""


def map_kind(name: str) -> type[Map]:
    """The class of the map of that name: one of `MAPS`, or `GivenMap`, or `FeaturesMap`.

    Raises:
        UnknownName: there is no such map.
    """
    if name == GIVEN:
        from latens.maps.given import GivenMap

        return GivenMap
    if name == FEATURES:
        from latens.maps.features import FeaturesMap

        return FeaturesMap
    return MAPS[name]


def is_decodable(name: str) -> bool:
    """Whether the places of the map of that name stand for latents: `Map.decodable`, known of our own maps without torch.

    Raises:
        UnknownName: there is no such map.
    """
    if name in (FEATURES, GIVEN) or name in MAPS.own:
        return name != FEATURES
    return map_kind(name).decodable
