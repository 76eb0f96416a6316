"""Metrics: what is true of a run, in numbers. Functions over arrays; each number names its protocol."""

from collections.abc import Callable

from latens.metrics.score import Score, Scores
from latens.tables import Table

__all__ = ["METRICS", "Score", "Scores"]

METRICS: Table[Callable[..., Scores]] = Table(
    "metric",
    {
        "reconstruction": "latens.metrics.reconstruction:score_reconstruction",
        "representation": "latens.metrics.representation:score_representation",
        "map": "latens.metrics.map:score_map",
        "generation": "latens.metrics.generation:score_generation",
        "continuity": "latens.metrics.continuity:score_continuity",
    },
    group="metrics",
)
"""Name -> function of arrays that returns `Scores`; the names are the groups under which a report shows them."""
