"""What groups of scores are called, and what each score means, in words: read from the entries of `METRICS`."""

from latens.errors import LatensError
from latens.metrics import METRICS
from latens.metrics.score import DIRECTIONS, Metric, Score

__all__ = ["meaning_of", "title_of"]


def title_of(group: str) -> str:
    """The heading of a group of scores; its name where it is of a metric that is not installed."""
    metric = _metric(group)
    return group if metric is None else metric.title


def meaning_of(score: Score) -> str:
    """What a score means, for readers who do not know the field, and which values are better."""
    metric = _metric(score.group)
    known = {} if metric is None else {one.name: one.meaning for one in metric.definitions}
    return " ".join(filter(None, (known.get(score.name, ""), DIRECTIONS[score.direction][0])))


def _metric(group: str) -> Metric | None:
    """The metric of a group; None where its package was uninstalled since the run was scored, or can't be loaded."""
    try:
        return METRICS[group]
    except LatensError:
        return None
