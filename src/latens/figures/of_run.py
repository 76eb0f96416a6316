"""Draw the figures of a run, as the entries of the table `FIGURES` say."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from latens.errors import RunError
from latens.figures import FIGURES, png_bytes, save_png
from latens.figures.contract import FigureEntry
from latens.images import Dataset
from latens.left_out import LeftOut
from latens.progress import Progress, Silent
from latens.runs import Run

__all__ = ["draw", "draw_run", "figure_of"]

FOLDER = "figures"  # of a run


def draw(run: Run, name: str, out: str | os.PathLike[str] | None = None, **options: Any) -> Path:
    """Draw one figure of a run.

    Args:
        run: a complete run.
        name: one of `FIGURES`.
        out: the PNG; `figures/NAME.png` in the run's folder by default.
        **options: those of the figure's entry; their defaults where they are left out.

    Raises:
        UnknownName: there is no such figure.
        UsageError: the figure has no such option, or a value is not allowed.
        RunError: the run lacks what the figure needs.
    """
    path = Path(out) if out is not None else run.path / FOLDER / f"{name}.png"
    figure = figure_of(run, name, **options)
    if path.parent == run.path / FOLDER:
        run.save(f"{FOLDER}/{path.name}", png_bytes(figure))
    else:
        save_png(figure, path)
    return path


def figure_of(run: Run, name: str, **options: Any) -> Figure:
    """One figure of a run, not yet saved; see `draw`."""
    entry = FIGURES[name]
    settled = entry.settle(name, options)
    if missing := entry.missing(run):
        raise RunError(f"{run.path}: {missing}")
    return entry.of_run(run, run.images, **settled)


def draw_run(
    run: Run,
    images: Dataset,
    progress: Progress | None = None,
    left: LeftOut | None = None,
    names: Iterable[str] = FIGURES,
) -> None:
    """Draw all figures that this run can have, into its folder.

    Args:
        run: with latents, maps, a probe and scores, as far as these could be made.
        images: its own.
        progress: shows how far it is.
        left: keeps the reasons of the figures that could not be drawn.
        names: of figures.
    """
    progress = progress or Silent()
    left = left or LeftOut(progress.say)
    files: list[tuple[str, FigureEntry, Mapping[str, Any]]] = []
    for name in names:
        with left.attempt(f"figure {name}"):
            entry = FIGURES[name]
            found = [(f"{name}-{variant}" if variant else name, one) for variant, one in entry.variants(run).items()]
            files += [(file, entry, entry.settle(name, options)) for file, options in found]
    with progress.stage("figures") as tick:
        for done, (file, entry, options) in enumerate(files):
            tick(done, len(files), file)
            path = f"{FOLDER}/{file}.png"
            with left.attempt(f"figure {file}"):
                run.forget(path)  # one of an earlier completion would stand for what failed
                if not entry.missing(run):
                    run.save(path, png_bytes(entry.of_run(run, images, **options)))
