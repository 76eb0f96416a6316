"""Metrics: what is true of a run, in numbers. Functions over arrays; each number states its protocol."""

from latens.metrics.score import Definition, Metric, Protocol, Score, Scores
from latens.metrics.score_table import ScoreTable
from latens.tables import Table

__all__ = ["METRICS", "Definition", "Metric", "Protocol", "Score", "ScoreTable", "Scores"]

METRICS: Table[Metric] = Table(
    "metric",
    {
        "reconstruction": "latens.metrics.reconstruction:METRIC",
        "representation": "latens.metrics.representation:METRIC",
        "map": "latens.metrics.map:METRIC",
        "generation": "latens.metrics.generation:METRIC",
        "continuity": "latens.metrics.continuity:METRIC",
    },
    group="metrics",
)
"""Name -> `Metric`; the names are the groups of the scores. A new metric is one file and its line here."""
