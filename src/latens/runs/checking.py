"""Check every byte of a run, and take out of it what can be made again."""

import os
from dataclasses import dataclass
from pathlib import Path

from latens.errors import RunDamaged, RunError, RunNotFound
from latens.runs.journal import JOURNALS, problem_in, put_aside
from latens.runs.kept_images import IMAGES
from latens.runs.record import RunFolder, accept_record, is_run
from latens.runs.run import CHECKPOINT, ENCODER, HISTORY_FILE, WEIGHTS, Run
from latens.text import quoted

__all__ = ["Damage", "check_run", "folder_of", "forget_damaged"]


@dataclass(frozen=True)
class Damage:
    """A file of a run whose bytes are not those that were written.

    Args:
        name: of the file, relative to the run's folder.
        problem: what is wrong with it.
        rebuilt: whether it can be made again from the rest of the run and its images.
        way_out: what to do.
    """

    name: str
    problem: str
    rebuilt: bool
    way_out: str


def folder_of(path: str | os.PathLike[str]) -> Path:
    """The folder of a run that is named by its path or by its name below `runs/`; run.json is not read.

    Raises:
        RunNotFound: there is no run there.
    """
    for folder in (Path(path), Path("runs") / path):
        if is_run(folder):
            return folder
    raise RunNotFound(f"{path}: no run there (no run.json)")


def check_run(path: str | os.PathLike[str], *, accept: bool = False) -> list[Damage]:
    """Read all files of a run, and compare each with the hash that was written with it.

    Args:
        path: the run's folder, or its name below `runs/`.
        accept: take run.json as it is, where somebody has changed it on purpose: its seal is written anew.

    Returns:
        The damaged files, empty where all is whole. Runs of earlier versions have no hash of their figures, report and history.

    Raises:
        RunNotFound: there is no run there.
        RunDamaged: run.json is damaged; without it nothing else can be checked.
    """
    folder = folder_of(path)
    if accept:
        accept_record(folder)
    whole = RunFolder(folder)
    found = []
    for name in sorted(whole.files):
        try:
            whole.open(name).close()
        except RunDamaged as error:
            found.append(Damage(name, str(error), *_way_out(whole, name)))
    aside = f"`latens check {quoted(folder)} --repair` puts the damaged lines aside and keeps the others"
    problems = {name: problem_in(folder / name) for name in JOURNALS}
    return found + [Damage(name, problem, True, aside) for name, problem in problems.items() if problem]


def forget_damaged(path: str | os.PathLike[str]) -> list[Damage]:
    """Take those damaged files out of a run that can be made again, or that nothing else needs; `resume` then makes them.

    Of tags and kept paths, only the damaged lines are put aside.

    Returns:
        All that were damaged, as `check_run` found them.

    Raises:
        RunError: a file is damaged that can't be made again; nothing was changed.
    """
    found = check_run(path)
    lost = [damage for damage in found if not damage.rebuilt]
    if lost:
        raise RunError(f"{lost[0].problem}; {lost[0].way_out}")
    folder = folder_of(path)
    RunFolder(folder).forget(*(damage.name for damage in found if damage.name not in JOURNALS))
    for damage in found:
        if damage.name in JOURNALS:
            put_aside(folder / damage.name)
    return found


def _way_out(folder: RunFolder, name: str) -> tuple[bool, str]:
    """Whether a damaged file can be made again, and what to do."""
    at = quoted(folder.path)
    again = f"`latens check {at} --repair` makes it again"
    if name == IMAGES:
        return False, "the run's images are lost; train again on your own copy of them"
    if name == ENCODER:
        return False, "the run's encoder is lost; take it from a copy of the run"
    if name == WEIGHTS:
        if Run(folder.path).record["status"] in ("training", "stopped") and CHECKPOINT in folder.files:
            return True, again
        return False, "the weights are lost; take them from a copy of the run, or train again"
    if name == CHECKPOINT:
        return True, f"the run goes on from its start: `latens check {at} --repair`"
    if name == HISTORY_FILE or name.startswith("snapshots/"):
        return (
            True,
            f"the curve or the playback of the training is lost: `latens check {at} --repair` goes on without it",
        )
    return True, again
