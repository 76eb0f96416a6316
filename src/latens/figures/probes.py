"""The probe: the decoded mean latent of each class, without and with noise."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, letter, new_figure, pixel_axes, wrap
from latens.figures.contract import FigureEntry, Words
from latens.figures.options import AUTOSCALE
from latens.figures.tiles import check_images, compose, to_rgb, zoom
from latens.text import number

if TYPE_CHECKING:
    from latens.images import Dataset
    from latens.runs import Run
    from latens.story import Story

__all__ = ["PROBE", "PROBE_NOISE", "kind_of_probe", "probe", "probe_arrays", "probe_noises"]

MARGIN = 22
GAP = 10
WIDTH = 1160


def probe(
    images: np.ndarray,
    class_names: Sequence[str],
    noise_std: float = 1.0,
    autoscale: bool = False,
    clusters: bool = False,
) -> Figure:
    """One decoded picture for each class, in a row, titled by class.

    Args:
        images: decoded mean latents, one for each class, float in [0, 1], (K, C, H, W).
        class_names: K of them.
        noise_std: standard deviation of the normal noise that was added to each latent.
        autoscale: stretch the contrast of each picture by itself, as matplotlib's imshow does.
        clusters: the classes are k-means clusters, because there are no labels; the figure says so.

    Raises:
        UsageError: not one name for each picture.
    """
    return _draw({noise_std: images}, class_names, autoscale, clusters)


def probe_noises(
    images: Mapping[float, np.ndarray], class_names: Sequence[str], autoscale: bool = False, clusters: bool = False
) -> Figure:
    """The probe at several strengths of noise, one row each, so that its effect can be seen.

    Args:
        images: noise_std -> decoded latents, float in [0, 1], (K, C, H, W); rows in this order.
        class_names: K of them.
        autoscale: stretch the contrast of each picture by itself.
        clusters: the classes are k-means clusters; the figure says so.

    Raises:
        UsageError: no row, or not one name for each picture.
    """
    if not images:
        raise UsageError("a probe needs at least one strength of noise; got none")
    return _draw(images, class_names, autoscale, clusters)


def _draw(rows: Mapping[float, np.ndarray], names: Sequence[str], autoscale: bool, clusters: bool) -> Figure:
    for noise, images in rows.items():
        if len(check_images(images, f"probe at noise {noise:g}")) != len(names):
            raise UsageError(f"{len(images)} probe images and {len(names)} names: one name for each image is needed")
    if clusters:
        names = [name if name.startswith("cluster") else f"cluster {name}" for name in names]
    columns = _columns(names)
    target = min(100, (WIDTH - 2 * MARGIN) // columns - GAP)
    pictures = {noise: zoom(to_rgb(images, autoscale), target) for noise, images in rows.items()}
    tall, wide = next(iter(pictures.values())).shape[1:3]
    gutter = 82 if len(rows) > 1 else 0  # room for "noise 0.5" at the left
    cell = max(wide + GAP, 66 if max(map(len, names)) > 3 else 0)
    heads = [wrap(name, int(cell / 9.3), 2) for name in names]
    head = 18 if all("\n" not in text for text in heads) else 32
    block = head + len(rows) * (tall + 6) + 14
    blocks = -(-len(names) // columns)
    note = _note(list(rows), clusters)
    width = max(gutter + columns * cell - (cell - wide), min(WIDTH, 7.6 * len(note)), 300) + 2 * MARGIN
    note = wrap(note, int((width - 2 * MARGIN) / 7.0), 3)
    figure = new_figure(width, MARGIN + blocks * block + 24 + 17 * note.count("\n") + 12)
    offset = (width - gutter - columns * cell + (cell - wide)) // 2 if not gutter else MARGIN + gutter
    for i, text in enumerate(heads):
        x, y = offset + i % columns * cell + wide / 2, MARGIN + i // columns * block + head - 8
        letter(figure, x, y, text, 9 if cell > 60 else 8, ha="center", va="baseline")
    for line, (noise, shown) in enumerate(pictures.items()):
        down = head + line * (tall + 6)
        _row(figure, shown, columns, (int(offset), cell), (MARGIN + down, block))
        for b in range(blocks if gutter else 0):
            letter(
                figure, MARGIN, MARGIN + b * block + down + tall / 2, f"noise {noise:g}", 9, va="center", color=MUTED
            )
    letter(figure, width / 2, MARGIN + blocks * block, note, 8.5, ha="center", color=INK)
    return figure


def _row(figure: Figure, pictures: np.ndarray, columns: int, across: tuple[int, int], down: tuple[int, int]) -> None:
    """One strength of noise: a picture for each class, over as many blocks as the classes need."""
    (left, cell), (top, block) = across, down
    tall, wide = pictures.shape[1:3]
    for b in range(-(-len(pictures) // columns)):
        part = pictures[b * columns : (b + 1) * columns]
        size = ((len(part) - 1) * cell + wide + 2, tall + 2)
        sheet = compose(part, [(1 + i * cell, 1) for i in range(len(part))], size)
        axes = pixel_axes(figure, left - 1, top + b * block - 1, *size)
        axes.imshow(sheet, interpolation="nearest", aspect="auto")
        axes.set_axis_off()


def _columns(names: Sequence[str]) -> int:
    """All in one row up to 20 short names; else rows of about equal length."""
    most = 20 if max(map(len, names)) <= 6 else 12
    rows = -(-len(names) // most)
    return -(-len(names) // rows)


def _note(noises: Sequence[float], clusters: bool) -> str:
    whose = "k-means cluster (there are no labels; clusters stand in for classes)" if clusters else "class"
    if len(noises) > 1:
        return f"Decoded from the mean latent of each {whose}, with normal noise of the given standard deviation added."
    if noises[0] == 0:
        return f"Decoded from the mean latent of each {whose}, no noise added."
    return f"Decoded from the mean latent of each {whose} plus normal noise of standard deviation {noises[0]:g}."


def probe_arrays(run: "Run") -> dict[str, np.ndarray]:
    """The arrays of a run's probe.npz."""
    arrays: dict[str, np.ndarray] = run.folder.load("probe.npz", ("images", "noises", "names", "coordinates", "ratios"))
    return arrays


def kind_of_probe(story: "Story") -> str:
    """What a point of the probe stands for: a class or, without labels, a cluster."""
    return "cluster" if story.probe is not None and story.probe.clusters else "class"


def _probe_of_run(run: "Run", images: "Dataset", autoscale: bool) -> Figure:
    found = probe_arrays(run)
    noise = float(found["noises"][-1])
    return probe(found["images"][-1], found["names"].tolist(), noise, autoscale, "clusters" in found)


def _probe_noises_of_run(run: "Run", images: "Dataset", autoscale: bool) -> Figure:
    found = probe_arrays(run)
    rows = {float(noise): pictures for noise, pictures in zip(found["noises"], found["images"], strict=True)}
    return probe_noises(rows, found["names"].tolist(), autoscale, "clusters" in found)


def _words_of_probe(story: "Story", variant: str) -> Words:
    noise, kind = number(story.probe.noise_std) if story.probe else "1", kind_of_probe(story)
    return (
        f"One decoded image per {kind}, from its mean latent plus noise of standard deviation {noise}.",
        f"One image per {kind}: the mean of its latents, plus normal noise of standard deviation {noise}, decoded.",
    )


def _words_of_probe_noises(story: "Story", variant: str) -> Words:
    return (
        f"Rows of decoded images, one per {kind_of_probe(story)}, with more noise added to the latent from row to row.",
        "The same with more noise from row to row. Without noise the mean latent is decoded, which often gives a blurred"
        " image. With noise the latent leaves the region where the training images lie; the more the image suffers, the"
        " narrower that region is.",
    )


PROBE = FigureEntry(probe, _probe_of_run, _words_of_probe, "probe", options=(AUTOSCALE,), small_letters=True)
PROBE_NOISE = FigureEntry(
    probe_noises, _probe_noises_of_run, _words_of_probe_noises, "probe", options=(AUTOSCALE,), small_letters=True
)
