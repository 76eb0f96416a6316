"""What a map hides: points that it shows among their class although their latents lie in holes, or decode to unreal pictures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.metrics.intervals import of_share
from latens.metrics.score import Definition, Protocol, Scores
from latens.metrics.votes import vote
from latens.neighbours import nearest_neighbours

__all__ = ["DEFINITIONS", "hidden_points", "score_hidden", "shown_among_own"]

K = 5

_SHOWN = "Points near the mean latent of each class that the map shows among images of that class, although"
HOLES = Definition(
    "hidden_holes",
    f"{_SHOWN} in latent space they are far from all data: their share. The map hides these holes.",
    "lower",
)
UNCLEAR = Definition(
    "hidden_unclear",
    f"{_SHOWN} the image decoded there looks like no real one: their share. The map hides that they are bad.",
    "lower",
)
DEFINITIONS = (HOLES, UNCLEAR)


def hidden_points(
    probe_latents: NDArray[Any],
    probe_labels: NDArray[Any],
    probe_coordinates: NDArray[Any],
    *,
    latents: NDArray[Any],
    labels: NDArray[Any],
    coordinates: NDArray[Any],
    limit: float,
) -> NDArray[np.bool_]:
    """Whether the map hides, for each probe point, that its latent lies in a hole.

    Args:
        probe_latents: (P, D), finite.
        probe_labels: int (P,): the class that each is meant to be of.
        probe_coordinates: (P, 2): where the map shows them.
        latents: of the data on the map, (N, D).
        labels: int (N,).
        coordinates: (N, 2).
        limit: the distance to the nearest of `latents` beyond which a latent lies in a hole, see `hole_distance`.

    Returns:
        bool (P,): most of the 5 nearest on the map are of the point's class, and the nearest latent is beyond the limit.

    Raises:
        UsageError: not one latent, label and place a point.
    """
    for whose, one, two, three in (
        ("probe", probe_latents, probe_labels, probe_coordinates),
        ("data", latents, labels, coordinates),
    ):
        if not len(one) == len(two) == len(three) > 0:
            raise UsageError(
                f"there are {len(one)} {whose} latents, {len(two)} labels and {len(three)} places; one of each a point needed"
            )
    among_own = shown_among_own(probe_labels, probe_coordinates, labels, coordinates)
    far = nearest_neighbours(latents, probe_latents, 1)[0][:, 0] > limit
    return np.asarray(among_own & far)


def shown_among_own(
    probe_labels: NDArray[Any], probe_coordinates: NDArray[Any], labels: NDArray[Any], coordinates: NDArray[Any]
) -> NDArray[np.bool_]:
    """Whether most of the 5 nearest on the map are of the point's class, for each probe point, bool (P,)."""
    near = nearest_neighbours(coordinates, probe_coordinates, min(K, len(coordinates)))[1]
    return np.asarray(vote(labels[near]) == probe_labels)


def score_hidden(hidden: NDArray[np.bool_], map_name: str, unclear: NDArray[np.bool_] | None = None) -> Scores:
    """Score what a map of that name hides.

    Args:
        hidden: bool (P,), of which points `hidden_points` says that they lie in a hole.
        map_name: of the map.
        unclear: bool (P,), which points it shows among their own though their pictures lie outside the balls of real ones.

    Returns:
        `hidden_holes`, and `hidden_unclear` where that is known: each the share of all probe points.
    """
    shown = f"share of probe points whose nearest on the {map_name} map are mostly of their class although"
    settings = {"points": len(hidden), "k": K}
    holes = Protocol(
        f"{shown} the nearest data latent is farther than the distance that `holes` counts from", settings=settings
    )
    found = [HOLES.score(hidden.mean(), holes, interval=of_share(hidden))]
    if unclear is not None:
        about = Protocol(f"{shown} their picture lies in no ball of a real one", settings=settings)
        found.append(UNCLEAR.score(unclear.mean(), about, interval=of_share(unclear)))
    return Scores(tuple(found))
