"""Figures of what lies between latents, and beyond them."""

import numpy as np
from matplotlib.figure import Figure

from latens.computed.interpolations import (
    arithmetic_of_run,
    default_pair,
    image_name,
    paths_of_run,
    pixels_of,
    traversals_of_run,
)
from latens.figures import FIGURES
from latens.figures.interpolations import PathRow
from latens.figures.options import DrawingOptions
from latens.images import Dataset
from latens.interpolation import PATHS
from latens.runs import Run

__all__ = ["draw_arithmetic", "draw_path", "draw_traversals"]


def draw_path(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    """The ways between two test images, decoded."""
    pair = default_pair(run, options.first, options.last)
    ways = tuple(PATHS) if options.way is None else (options.way,)
    found = paths_of_run(run, *pair, ways, 11 if options.steps is None else options.steps)
    straight = float(np.linalg.norm(found[0].path.latents[-1] - found[0].path.latents[0])) or 1.0
    rows = []
    for decoded in found:
        path, shape = decoded.path, (0, *run.image_shape)
        # Its ends are beside the row already.
        inner = (path.places > 0) & (path.places < 1)
        passed = pixels_of(images, path.rows[inner], run.mapped_part) if inner.any() else np.empty(shape, np.uint8)
        remark = f"{path.length / straight:.2f} × the straight line" if path.way != "linear" else ""
        rows.append(PathRow(path.way, decoded.pictures, decoded.ratios, remark, passed, path.places[inner]))
    names = [image_name(run, row) for row in pair]
    title = "From image {} to image {} of the test part".format(*pair)
    note = " ".join(f"{d.path.way.capitalize()}: {d.path.note}." for d in found if d.path.note)
    return FIGURES["path"](rows, images.test.pixels[list(pair)], names, title, note)


def draw_traversals(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    """Walks along the directions in which latents vary most."""
    steps = 7 if options.steps is None else options.steps
    found, pictures, ratios = traversals_of_run(run, options.directions, steps, options.first)
    middle = "the mean latent" if options.first is None else f"image {options.first} of the test part"
    title = f"Through {middle}, along the directions in which latents vary most"
    return FIGURES["traversals"](pictures, ratios, found.shares, found.deviations, title, _held(found.cut.max()))


def _held(share: float) -> str:
    if not share:
        return ""
    return (
        "Numbers that the encoder cannot give (below 0 after a ReLU) were held at the nearest that it can:"
        f" up to {100 * share:.0f} % of a latent."
    )


def draw_arithmetic(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    """Latents added and subtracted, and what is decoded of the result."""
    found = arithmetic_of_run(run, images, options.plus, options.minus)
    nearest = pixels_of(images, np.array([found.nearest]), run.mapped_part)[0]
    name, note = image_name(run, found.nearest, run.mapped_part), _held(found.cut)
    if name in found.names:
        note += " The nearest real image is one of the operands."
    return FIGURES["arithmetic"](
        found.operands, found.names, found.num_plus, found.picture, found.ratio, nearest, name, note
    )
