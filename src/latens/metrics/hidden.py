"""What a map hides: points that it shows among their class while their latents lie where no data are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.metrics.intervals import of_share
from latens.metrics.score import Score, Scores
from latens.metrics.votes import vote
from latens.neighbours import nearest_neighbours

__all__ = ["hidden_points", "score_hidden"]

K = 5


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
    """Say of each probe point whether the map hides that its latent lies in a hole.

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
    near = nearest_neighbours(coordinates, probe_coordinates, min(K, len(coordinates)))[1]
    among_own = vote(labels[near]) == probe_labels
    far = nearest_neighbours(latents, probe_latents, 1)[0][:, 0] > limit
    return np.asarray(among_own & far)


def score_hidden(hidden: NDArray[np.bool_], map_name: str) -> Scores:
    """The share of points (P,) of which `hidden_points` says that the map of that name hides a hole."""
    protocol = (
        f"share of {len(hidden):,} probe points whose {K} nearest on the {map_name} map are mostly of their class while the"
        " nearest data latent is farther than the distance that `holes` counts from"
    )
    share = float(hidden.mean())
    return Scores((Score("hidden_holes", share, "", "lower", None, "", protocol, *of_share(hidden)),))
