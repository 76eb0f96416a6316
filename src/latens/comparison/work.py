"""`compare`: several models on the same work, trained where they are not there yet, into tables and a page."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from latens.comparison.page import write_page
from latens.comparison.plan import Grid, Planned, plan_runs
from latens.comparison.protocols import check_data, check_protocols
from latens.comparison.result import Comparison
from latens.comparison.rows import Row, row_of
from latens.comparison.train_cells import check_there, make_runs
from latens.device import choose_device
from latens.errors import RunError, UnknownName, UsageError
from latens.experiment import check_settings
from latens.figures import PALETTES
from latens.files import locked
from latens.images import Dataset, load_images
from latens.progress import Progress, progress_for
from latens.runs import Run, open_run
from latens.samplers import SAMPLERS
from latens.training.recipes import model_name

__all__ = ["compare"]

LOCK = ".working"  # held while runs of the comparison are trained


def compare(
    data: Any = None,
    *,
    models: Sequence[str] | None = None,
    networks: Sequence[str] | None = None,
    latent_dims: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    samplers: Sequence[str] | None = None,
    runs: Sequence[Run | str | os.PathLike[str]] | None = None,
    recipe: str = "fast",
    out: str | os.PathLike[str] | None = None,
    size: int | tuple[int, int] | None = None,
    white: int | None = None,
    fit: str | None = None,
    grey: bool = False,
    value_range: Any = None,
    show: str | None = None,
    layout: str | None = None,
    table: Any = None,
    label_column: str | None = None,
    masks: str | None = None,
    links: str | None = None,
    pages: str | None = None,
    channels: Sequence[str | os.PathLike[str]] | None = None,
    nan: float | None = None,
    strict: bool = False,
    device: str = "auto",
    palette: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Comparison:
    """Train what is not there yet of a grid of settings, and write its scores side by side: tables and a page.

    With the same `out` it goes on: complete runs are taken as they are, stopped ones gone on with. A run that fails is named
    with its reason, and the others go on.

    Args:
        data: see `load_images`, or a `Dataset`; or a list of them, each compared by itself.
        models: names with options, `"variational:beta=4"`; the recipe's by default, as with all that is varied.
        networks: names of `NETWORKS`.
        latent_dims: D, three or more for advice about them.
        seeds: of weights, order and noise; two or more for a spread.
        samplers: names of `SAMPLERS`, whose samples are scored and shown, and among which the best is chosen; by default the
            best of all that the verdict scores.
        runs: existing runs to compare, in place of data to train on.
        recipe: a name of `RECIPES`, which all runs start from.
        out: the comparison's folder; `comparisons/<data>-<n>` by default.
        size: see `load_images`, as `strict`.
        white: see `load_images`.
        fit: see `load_images`.
        grey: see `load_images`.
        value_range: see `load_images`.
        show: see `load_images`.
        layout: see `load_images`.
        table: see `load_images`.
        label_column: see `load_images`.
        masks: see `load_images`.
        links: see `load_images`.
        pages: see `load_images`.
        channels: see `load_images`.
        nan: see `load_images`.
        strict: stop at an unreadable image.
        device: see `choose_device`.
        palette: colours of the classes in the maps of the page, a name of `latens.figures.PALETTES`; each run's by default.
        progress: shows how far it is.
        **options: parts of the recipe to replace in all runs: epochs, batch_size, learning_rate, …

    Returns:
        The comparison, written to its folder.

    Raises:
        ProtocolsDiffer: a score was measured in different ways, or data sets of one name are not the same.
        RunError: the folder holds runs of other settings, or no run came to an end.
        UsageError: a value that is not allowed; data and runs together, or neither.
    """
    chosen = _chosen(samplers)
    if palette is not None and palette not in PALETTES:
        raise UnknownName("palette", palette, PALETTES)
    models = [model_name(one) for one in models] if isinstance(models, list | tuple) else models
    grid = Grid(models, networks, latent_dims, seeds)
    progress = progress or progress_for()
    if runs is not None:
        _check_only_runs(data, grid, options)
        return _finish(_of_runs(runs, chosen, out), {}, progress, palette)
    choose_device(device)
    for choice in grid.choices():  # before images are loaded
        check_settings(recipe, {**options, **choice})
    asked: dict[str, Any] = {"size": size, "white": white, "fit": fit, "grey": grey, "strict": strict}
    asked |= {"value_range": value_range, "show": show, "layout": layout}
    asked |= {"table": table, "label_column": label_column, "masks": masks, "links": links}
    asked |= {"pages": pages, "channels": channels, "nan": nan}
    planned = plan_runs(_load(data, asked, progress), grid, recipe, options)
    images = {one.images.name: one.images for one in planned}
    empty = Comparison(_folder(out, list(images)), (), chosen)
    return _finish(_train(planned, empty, device, progress), images, progress, palette)


def _finish(compared: Comparison, images: Mapping[str, Dataset], progress: Progress, palette: str | None) -> Comparison:
    write_page(compared, images, progress, palette)
    return compared


def _check_only_runs(data: Any, grid: Grid, options: Mapping[str, Any]) -> None:
    if data is not None or grid != Grid() or options:
        raise UsageError("existing runs are compared as they are: leave out data, and what is varied or trained with")


def _chosen(samplers: Sequence[str] | None) -> tuple[str, ...] | None:
    """The samplers that were asked for, once it is sure that there are such; None for what is usual."""
    if samplers is None:
        return None
    if isinstance(samplers, str) or not samplers:
        raise UsageError(f"samplers is {samplers!r}; a list of names is needed, at least one")
    for name in samplers:
        if name not in SAMPLERS:
            raise UnknownName("sampler", name, SAMPLERS)
    return tuple(dict.fromkeys(samplers))


def _load(data: Any, asked: Mapping[str, Any], progress: Progress) -> list[Dataset]:
    if data is None:
        raise UsageError("compare needs data (mnist, fashion-mnist, a folder, a file), or existing runs to compare")
    sources = data if isinstance(data, list | tuple) else [data]
    loaded = []
    for source in sources:
        with progress.stage("images", "images") as tick:
            given = isinstance(source, Dataset)
            loaded.append(source if given else load_images(source, **asked, progress=tick))
    for images in loaded:
        for note in images.notes:
            progress.say(f"note: {images.name}: {note}")
    return loaded


def _of_runs(
    runs: Sequence[Run | str | os.PathLike[str]], samplers: tuple[str, ...] | None, out: str | os.PathLike[str] | None
) -> Comparison:
    if isinstance(runs, str | os.PathLike) or not runs:
        raise UsageError(f"runs is {runs!r}; a list of runs is needed, at least one")
    rows = tuple(row_of(run if isinstance(run, Run) else open_run(run)) for run in runs)
    if len({row.path for row in rows}) < len(rows):
        raise UsageError("a run stands twice among those to compare; leave it out once")
    _check(rows)
    compared = Comparison(_folder(out, [row.data for row in rows]), rows, samplers)
    compared.write_tables()
    return compared


def _train(planned: Sequence[Planned], empty: Comparison, device: str, progress: Progress) -> Comparison:
    """All runs, one after another; the tables are written after each, so that what is done stays whatever comes."""
    folder = empty.path / "runs"
    compared = empty
    with locked(empty.path / LOCK, wait=False) as alone:
        if not alone:
            raise RunError(
                f"{empty.path}: another process is working on this comparison; wait until it ends, or choose another --out"
            )
        check_there(planned, folder)
        for row in make_runs(planned, folder, empty.samplers, device, progress):
            compared = replace(compared, rows=(*compared.rows, row))
            _check(compared.rows)
            compared.write_tables()
    if all(row.error for row in compared.rows):
        raise RunError(f"{compared.path}: no run came to an end; the first: {compared.rows[0].error}")
    return compared


def _check(rows: Sequence[Row]) -> None:
    check_data(rows)
    check_protocols(rows)


def _folder(out: str | os.PathLike[str] | None, names: Sequence[str]) -> Path:
    """The comparison's folder: the one that is given, new or of a comparison, or the first free one."""
    if out is not None:
        path = Path(out)
        ours = path.is_dir() and (
            (path / "compare.json").exists() or not {p.name for p in path.iterdir()} - {"runs", LOCK}
        )
        if path.exists() and not ours:
            raise RunError(f"{path}: is there already and is no comparison; choose another --out")
        path.mkdir(parents=True, exist_ok=True)
        return path
    name, number = "-".join(dict.fromkeys(names)), 1
    while True:
        path = Path("comparisons") / f"{name}-{number}"
        with suppress(FileExistsError):
            path.mkdir(parents=True)
            return path
        number += 1
