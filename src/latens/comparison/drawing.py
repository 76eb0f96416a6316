"""The figures of a comparison: curves over all of it, and samples, reconstructions and maps setting by setting."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latens.comparison.result import SHOWN_SAMPLERS, Comparison
from latens.comparison.rows import Setting, best_sampler, short_names
from latens.errors import LatensError
from latens.figures import png_bytes, save_png
from latens.figures.comparisons import Point, generation_against_reconstruction, rate_distortion
from latens.figures.maps import chosen_palette, small_map
from latens.figures.tiles import grid_png
from latens.files import atomic_write
from latens.images import Dataset, pick_evenly
from latens.latents import reconstruct_images
from latens.progress import Progress
from latens.runs import Run, open_run

__all__ = ["SAMPLES_SEED", "Drawn", "Tile", "draw_comparison"]

SAMPLES_SEED = 0  # of all samples that are shown, whatever the run's own seed
ROWS, COLUMNS, MOST_COLUMNS = 6, 8, 12
MOST_SETTINGS = 36  # a data set; more would make a page that nobody scrolls through
ORIGINALS = "the test images themselves"


@dataclass(frozen=True)
class Tile:
    """A picture of one setting among others: what it is of, the file, or why there is none."""

    name: str
    path: Path | None = None
    missing: str = ""


@dataclass(frozen=True)
class Drawn:
    """The figures of one data set.

    Args:
        data: its name.
        dimensions: error over latent dimensions; None with a single one.
        generation: generation against reconstruction; None where generation was not scored.
        samples: sampler -> a tile a setting.
        num_samples: how many pictures each of them shows.
        reconstructions: the originals, then a tile a setting; empty where the images have gone.
        maps: a tile a setting.
        left_out: settings that are not shown, because there are too many.
    """

    data: str
    dimensions: Path | None
    generation: Path | None
    samples: Mapping[str, tuple[Tile, ...]]
    num_samples: int
    reconstructions: tuple[Tile, ...]
    maps: tuple[Tile, ...]
    left_out: int = 0


def draw_comparison(
    compared: Comparison, images: Mapping[str, Dataset], progress: Progress, palette: str | None = None
) -> tuple[Drawn, ...]:
    """Draw all figures into `figures/` of the comparison's folder, data set by data set.

    Args:
        compared: with at least one complete run.
        images: data sets that are at hand, by name; others are loaded.
        progress: shows how far it is.
        palette: colours of the classes in maps, a name of `latens.figures.PALETTES`; None takes each run's.
    """
    drawn = []
    with progress.stage("figures") as tick:
        for index, (data, settings) in enumerate(compared.by_data.items()):
            folder = compared.path / "figures" / str(index + 1)

            def told(done: int, total: int, data: str = data) -> None:
                tick(done, total, data)

            done = [setting for setting in settings if setting.done]
            if done:
                drawn.append(_draw(data, done, images.get(data), compared.samplers, palette, folder, told))
    return tuple(drawn)


def _draw(
    data: str,
    settings: Sequence[Setting],
    images: Dataset | None,
    among: Sequence[str] | None,
    palette: str | None,
    folder: Path,
    told: Callable[[int, int], None],
) -> Drawn:
    shown = settings[:MOST_SETTINGS]
    samplers = SHOWN_SAMPLERS if among is None else among
    kinds = (*samplers, "map", "rebuilt")
    shelves: dict[str, list[Tile]] = {kind: [] for kind in kinds}
    num_samples = 0
    for done, (setting, name) in enumerate(zip(shown, short_names(settings), strict=False)):
        told(done, len(shown))
        run, stem = open_run(setting.done[0].path), folder / f"{done + 1:02}"
        num_samples = ROWS * _columns(run)
        images = images or _images_of(run)
        for kind in kinds if images is not None else kinds[:-1]:
            shelves[kind].append(_tile(name, stem, kind, run, images, palette))
    if images is not None:
        shelves["rebuilt"].insert(0, _tile(ORIGINALS, folder / "00", "original", run, images))
    curves = _dimensions(data, settings, folder), _generation(data, settings, among, folder)
    samples = {sampler: tuple(shelves[sampler]) for sampler in samplers}
    rebuilt, maps = tuple(shelves["rebuilt"]), tuple(shelves["map"])
    return Drawn(data, *curves, samples, num_samples, rebuilt, maps, len(settings) - len(shown))


def _tile(name: str, stem: Path, kind: str, run: Run, images: Dataset | None, palette: str | None = None) -> Tile:
    """One picture of a run; what a run can't have (a prior where there is none) is said in its place."""
    path = stem.with_name(f"{stem.name}-{kind}.png")
    try:
        atomic_write(path, _picture(kind, run, images, palette))
    except LatensError as error:
        return Tile(name, missing=str(error))
    return Tile(name, path)


def _picture(kind: str, run: Run, images: Dataset | None, palette: str | None) -> bytes:
    columns = _columns(run)
    if kind == "map":
        labels, colours = run.labels_of(run.mapped_part), chosen_palette(run, palette)
        figure = small_map(run.map("tsne").coordinates, labels, run.class_names, palette=colours)
        return png_bytes(figure)
    if kind in ("original", "rebuilt"):
        assert images is not None
        pictures = np.asarray(images.test.take(pick_evenly(images.test, 2 * columns, 0)).inputs)
        pictures = pictures if kind == "original" else reconstruct_images(run.model, pictures)
        return grid_png(run.shown(pictures), columns)
    return grid_png(run.shown(run.sample(ROWS * columns, kind, SAMPLES_SEED).images), columns)


def _columns(run: Run) -> int:
    """A column a class, so that a class is seen from top to bottom; where there are too few or too many, the usual number."""
    classes = len(run.class_names)
    return classes if 4 <= classes <= MOST_COLUMNS else COLUMNS


def _images_of(run: Run) -> Dataset | None:
    """The run's images, where they are still to be had."""
    try:
        return run.images
    except LatensError:
        return None


def _dimensions(data: str, settings: Sequence[Setting], folder: Path) -> Path | None:
    curves: dict[str, list[Point]] = {}
    linear: dict[int, float] = {}
    for setting, name in zip(settings, short_names(settings, dimension=False), strict=True):
        dim, error = setting.recipe.latent_dim, setting.spread("reconstruction.mse")
        pca = setting.mean("reconstruction.pca_mse")
        if error is not None and error.mean > 0:
            curves.setdefault(name, []).append(Point(dim, error.mean, None, error.std))
        if pca:
            linear[dim] = pca
    if len({point.across for points in curves.values() for point in points}) < 2:
        return None
    baseline = [Point(dim, mse) for dim, mse in linear.items()]
    path = folder / "dimensions.png"
    save_png(
        rate_distortion(curves, baseline, "PCA with as many numbers", f"{data}: error over the latent dimension"), path
    )
    return path


def _generation(data: str, settings: Sequence[Setting], among: Sequence[str] | None, folder: Path) -> Path | None:
    groups: dict[str, list[Point]] = {}
    floor: float | None = None
    for setting, group in zip(settings, short_names(settings, dimension=False), strict=True):
        best = best_sampler(setting, among)
        error = setting.spread("reconstruction.mse")
        distance = None if best is None else setting.spread(f"generation.{best[0]}.{best[1]}")
        if best is None or best[1] != "frechet" or error is None or distance is None:
            continue
        if min(error.mean, distance.mean) > 0:
            name = f"D = {setting.recipe.latent_dim}, {best[0]}"
            groups.setdefault(group, []).append(Point(error.mean, distance.mean, error.std, distance.std, name))
            floor = floor or setting.mean("generation.floor")
    if not groups:
        return None
    path = folder / "generation.png"
    save_png(generation_against_reconstruction(groups, floor, f"{data}: generation against reconstruction"), path)
    return path
