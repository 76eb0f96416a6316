"""run.json as an earlier version, or a person, writes it: without its seal."""

import json


def read_record(folder):
    """The entries of a run's run.json."""
    record = json.loads((folder / "run.json").read_text())
    record.pop("seal", None)
    return record


def write_record(folder, record):
    """Replace run.json, unsealed."""
    (folder / "run.json").write_text(json.dumps(record))
