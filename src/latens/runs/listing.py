"""Open and list runs."""

import os
from pathlib import Path
from typing import Any

from latens.errors import RunError, RunNotFound
from latens.runs.record import is_run
from latens.runs.run import Run

__all__ = ["latest_run", "list_runs", "list_unreadable", "open_run"]


def open_run(path: str | os.PathLike[str], device: str = "cpu", *, data: Any = None, model: Any = None) -> Run:
    """Open a run.

    Args:
        path: its folder, or the folder's name below `runs/`.
        device: the device of its model, see `latens.device.choose_device`.
        data: where its images are now, if they were moved: as for `load_images`. The new place is kept in run.json.
        model: the class of its model, where that is of a module of your own: opening a run imports none.

    Raises:
        RunNotFound: there is no run in this folder.
        RunDamaged: its run.json can't be read.
        RunError: `data` are not the images that it was trained on.
        UsageError: `model` is no class of models, or the run's model is none of your own.
    """
    for folder in (Path(path), Path("runs") / path):
        if is_run(folder):
            run = Run(folder, device)
            if model is not None:
                run.know_class(model)
            if data is not None:
                from latens.runs.moved import take_images_from

                take_images_from(run, data)
            return run
    known = [run.name for run in list_runs()]
    hint = f"known: {', '.join(known)}" if known else "there are none in ./runs; `latens run mnist` makes one"
    raise RunNotFound(f"{path}: no run there (no run.json); {hint}")


def list_runs(folder: str | os.PathLike[str] = "runs") -> list[Run]:
    """The runs in a folder, the oldest first; runs that can't be opened are left out."""
    found = []
    for path in Path(folder).glob("*/run.json"):
        try:
            found.append(Run(path.parent))
        except RunError:
            continue
    return sorted(found, key=lambda run: (run.record["created"], run.name))


def list_unreadable(folder: str | os.PathLike[str] = "runs") -> dict[Path, str]:
    """The folders with a run that can't be opened, and why: it is damaged, or a later latens wrote it."""
    found = {}
    for path in sorted(Path(folder).glob("*/run.json")):
        try:
            Run(path.parent)
        except RunError as error:
            found[path.parent] = str(error)
    return found


def latest_run(folder: str | os.PathLike[str] = "runs", device: str = "cpu") -> Run:
    """The run that was started last.

    Raises:
        RunNotFound: there are no runs.
    """
    runs = list_runs(folder)
    if not runs:
        raise RunNotFound(f"no run in {folder}; `latens run mnist` makes one")
    return Run(runs[-1].path, device)
