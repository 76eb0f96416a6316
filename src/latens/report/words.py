"""What the report says about scores: how to read them, in plain sentences; they stand in the table `METRICS`."""

from latens.metrics import METRICS, Score
from latens.metrics.score import DIRECTIONS

__all__ = ["meaning_of", "title_of"]


def title_of(group: str) -> str:
    """The heading of a group of scores; its name where it is of a metric that is not installed."""
    return METRICS[group].title if group in METRICS else group


def meaning_of(score: Score) -> str:
    """What a score means, for readers who do not know the field, and which values are better."""
    known = {one.name: one.meaning for one in METRICS[score.group].definitions} if score.group in METRICS else {}
    return " ".join(filter(None, (known.get(score.name, ""), DIRECTIONS[score.direction][0])))
