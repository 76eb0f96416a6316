"""`write_parts`: the parts of one process's share that are not there yet, by one of the engines."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from latens.images.assemble import refused_line
from latens.parts import ENGINES, ROWS
from latens.parts.contract import Made, Work
from latens.parts.folder import PartsFolder
from latens.parts.shares import Share, share_of_process
from latens.progress import Progress, Silent

__all__ = ["WrittenParts", "write_parts"]


@dataclass(frozen=True)
class WrittenParts:
    """What one process has done.

    Args:
        folder: that holds the parts.
        parts: how many there are, of all processes.
        written: how many of them this process has written.
        there: how many of its share were there already.
        missing: how many of the others' were not there when this process was done.
        images: how many images are in the parts that it has written.
        notes: what a user should be told.
    """

    folder: str
    parts: int
    written: int
    there: int
    missing: int
    images: int
    notes: tuple[str, ...]


def write_parts(
    open_work: Callable[[], Work],
    folder: str | os.PathLike[str],
    *,
    share: Share | None = None,
    rows: int = ROWS,
    engine: str = "here",
    progress: Progress | None = None,
) -> WrittenParts:
    """Write the parts of a share that are not there yet.

    A part is written as a whole or not at all, and one that is there is not made again: a process that was stopped goes on, and
    any number of processes on any machines that see the folder can work at once, each on its share. A part whose end is missing
    is made again, which is said.

    Args:
        open_work: see `PartsFolder`.
        folder: made where it is not there.
        share: which of the parts; by default those that this process's launcher says, see `share_of_process`, and all where the
            engine is a cluster.
        rows: images of a part.
        engine: who makes the parts, a name of `latens.parts.ENGINES`.
        progress: shows the progress.

    Raises:
        UnknownName: there is no such engine.
        UsageError: rows below 1.
        RunError: the folder holds parts of something else, or other files.
        MissingExtra: neither polars nor pyarrow is installed, or what the engine needs is not.
    """
    make, progress = ENGINES[engine], progress or Silent()
    parts = PartsFolder(open_work, folder, rows)
    share = share or (share_of_process() if engine == "here" else Share())
    mine = range(share.index, parts.count, share.count)
    wanted = [number for number in mine if not parts.is_there(number)]
    cut = [f"{name} was cut, and is made again" for number in wanted if (name := parts.file(number)).exists()]
    made: list[Made] = []
    with progress.stage("parts", "parts") as tick:
        tick(0, len(wanted))
        for one in make(parts, wanted) if wanted else ():
            made.append(one)
            tick(len(made), len(wanted), parts.file(one.number).name)
    images, left_out = sum(one.images for one in made), [refused for one in made for refused in one.left_out]
    lines = [refused_line(tuple(left_out), images + len(left_out))] if left_out else []
    notes = tuple(dict.fromkeys([*cut, *parts.work.notes, *(note for one in made for note in one.notes), *lines]))
    missing = sum(not parts.file(number).exists() for number in range(parts.count))
    return WrittenParts(str(folder), parts.count, len(made), len(mine) - len(wanted), missing, images, notes)
