"""Maps: latents to two dimensions and back. They take plain arrays, so they work on any latents.

`MAPS` holds those that are fitted; `GivenMap` takes coordinates made elsewhere, and `FeaturesMap` those of given features.
"""

from importlib.util import find_spec

from latens.maps.contract import Map
from latens.tables import Table

__all__ = ["FEATURES", "GIVEN", "MAPS", "NEEDS", "Map", "is_decodable", "map_kind", "usable_maps"]

MAPS: Table[type[Map]] = Table(
    "map",
    {
        "pca": "latens.maps.pca:PCAMap",
        "tsne": "latens.maps.tsne:TSNEMap",
        "umap": "latens.maps.umap:UMAPMap",
    },
    group="maps",
)
"""Name -> class of `Map`, made without arguments."""

NEEDS = {"umap": "umap"}
"""The package of an extra that a map needs to be fitted; a stored one needs none."""

GIVEN = "given"
"""The name of a map of coordinates made elsewhere: it can be stored in a run, but not fitted."""

FEATURES = "features"
"""The name of a map of the features of a given encoder, see `latens.computed.given_features`."""


def usable_maps() -> list[str]:
    """Names of the maps that can be fitted with what is installed here; nothing is imported for it."""
    return [name for name in MAPS if name not in NEEDS or find_spec(NEEDS[name]) is not None]


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
