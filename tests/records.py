"""run.json as an earlier version, or a person, writes it: without its seal."""

import json

from latens.files import atomic_write


def read_record(folder):
    """The entries of a run's run.json."""
    record = json.loads((folder / "run.json").read_text())
    record.pop("seal", None)
    return record


def write_record(folder, record):
    """Replace run.json, unsealed; at once, since a server may read it."""
    atomic_write(folder / "run.json", json.dumps(record).encode())
