"""Runs: start, record, open and list them; import weights, or adopt functions, as a run."""

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING

from latens.runs.listing import latest_run, list_runs, list_unreadable, open_run
from latens.runs.record import RunFolder
from latens.runs.run import TEST, TRAIN, Run, Samples
from latens.tables import lazy_names

if TYPE_CHECKING:
    from latens.images import Dataset
    from latens.runs.adopting import adopt_functions as adopt_functions
    from latens.runs.importing import import_weights as import_weights
    from latens.runs.recording import start_run as start_run
    from latens.training import Step

_HOMES = {"adopt_functions": "adopting", "import_weights": "importing", "start_run": "recording"}

__all__ = [
    "TEST",
    "TRAIN",
    "Run",
    "RunFolder",
    "Samples",
    "adopt_functions",
    "import_weights",
    "latest_run",
    "list_runs",
    "list_unreadable",
    "open_run",
    "record",
    "start_run",
]


def record(run: Run, steps: "Iterable[Step]", images: "Dataset | None" = None) -> "Generator[Step, None, None]":
    """Pass Steps on, and write history and checkpoints: see `latens.runs.recording.record`."""
    # A function, since the module `record` of this package would stand in the way of a lazy name.
    from latens.runs import recording

    return recording.record(run, steps, images)


# Who opens a run, such as the explorer for its first picture, does not wait for torch.
__getattr__ = lazy_names(__name__, _HOMES)
