"""Runs: start, record, open and list them; import weights, or adopt functions, as a run."""

from latens.runs.adopting import adopt_functions
from latens.runs.importing import import_weights
from latens.runs.listing import latest_run, list_runs, list_unreadable, open_run
from latens.runs.record import RunFolder
from latens.runs.recording import record, start_run
from latens.runs.run import TEST, TRAIN, Run, Samples

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
