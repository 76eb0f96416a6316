"""Experiment trackers: what a run learns and scores, told to other tools while it trains and when it is complete.

A tracker is a consumer of Steps. A new one is a file and a line of the table.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from latens.errors import UsageError
from latens.tables import Table

if TYPE_CHECKING:
    from latens.runs import Run
    from latens.training import Step

__all__ = ["TRACKERS", "Tracker", "tracker_names", "trackers_of"]


class Tracker(Protocol):
    """A tracker of one run.

    Its class has `check()`, which raises `MissingExtra` where its package is not installed, and is made with a run.
    """

    def __init__(self, run: "Run") -> None: ...

    @staticmethod
    def check() -> None:
        """Check that its package is installed.

        Raises:
            MissingExtra: it is not.
        """

    def step(self, step: "Step") -> None:
        """Take an epoch."""

    def end(self, run: "Run") -> None:
        """Take what was computed of the run, and close."""


TRACKERS: "Table[type[Tracker]]" = Table(
    "tracker",
    {
        "tensorboard": "latens.trackers.tensorboard:TensorBoardTracker",
        "mlflow": "latens.trackers.mlflow:MLflowTracker",
        "wandb": "latens.trackers.wandb:WandbTracker",
    },
    group="trackers",
)
"""Name -> class of `Tracker`."""


def tracker_names(track: str | Sequence[str] | None) -> tuple[str, ...]:
    """The names in `"tensorboard"`, `"tensorboard,mlflow"` or a list, each of which can be used here.

    Raises:
        UnknownName: there is no such tracker.
        MissingExtra: its package is not installed.
        UsageError: one is named twice.

    >>> tracker_names(None)
    ()
    """
    names = track.split(",") if isinstance(track, str) else list(track or ())
    names = [name.strip() for name in names]
    if len(set(names)) < len(names):
        raise UsageError(f"trackers {', '.join(names)}: each can be named once")
    for name in names:
        TRACKERS[name].check()
    return tuple(names)


def trackers_of(run: "Run") -> dict[str, Tracker]:
    """The trackers with which a run was started, by name."""
    return {name: TRACKERS[name](run) for name in tracker_names(run.record.get("track"))}
