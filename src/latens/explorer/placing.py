"""Images of the train part on a map of the test part: where its way of placing new latents puts them, and the trust in that."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latens.maps import Map
from latens.progress import Tick

if TYPE_CHECKING:
    from latens.neighbours import Neighbours

__all__ = ["places_on", "trust_on"]

ROWS = 4096  # images at a time, after which the progress is told


def places_on(map: Map, latents: NDArray[Any], tick: Tick) -> NDArray[np.float32]:
    """Place latents on a map, each by itself: the map and its points stay as they are.

    Args:
        map: fitted to other latents.
        latents: to be placed, (M, D), finite.
        tick: called with (done, total) images.

    Returns:
        float32 (M, 2), in the map's own units.
    """
    places = np.empty((len(latents), 2), np.float32)
    for here in _blocks(len(latents), tick):
        places[here] = map.place(np.ascontiguousarray(latents[here], np.float32))
    return places


def trust_on(
    map: Map, known: "Neighbours", latents: NDArray[Any], places: NDArray[np.float32], tick: Tick
) -> NDArray[np.float32]:
    """The trust in the places of latents on a map, as that of its own points.

    Args:
        map: fitted to other latents.
        known: those, (N, D).
        latents: that were placed, (M, D), finite.
        places: where the map puts them, (M, 2).
        tick: called with (done, total) images.

    Returns:
        float32 (M,) in [0, 1]: the share of the 10 nearest points on the map that are so in latent space.
    """
    from latens.neighbours import Neighbours, placed_neighbours_kept

    coordinates = Neighbours(map.coordinates)
    trust = np.empty(len(latents), np.float32)
    for here in _blocks(len(latents), tick):
        some = np.ascontiguousarray(latents[here], np.float32)
        trust[here] = placed_neighbours_kept(known, coordinates, some, places[here])
    return trust


def _blocks(num: int, tick: Tick) -> Iterator[slice]:
    for start in range(0, num, ROWS):
        yield slice(start, start + ROWS)
        tick(min(start + ROWS, num), num)
