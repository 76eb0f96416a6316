"""A drawing of the network: one box per stage; its height shows the size of the feature map, its width the channels."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, letter, new_figure, pixel_axes, wrap
from latens.figures.contract import FigureEntry, Words

if TYPE_CHECKING:
    from latens.images import Dataset
    from latens.runs import Run
    from latens.story import Story

__all__ = ["NETWORK", "network"]

Stage = tuple[str, tuple[int, ...]]

SLOT = 112  # pixels a stage, at least: room for "128×128×128" below it
TALLEST, LOWEST = 200, 9
COLOURS = {"end": "#8a94a0", "encoder": "#3498DB", "latent": "#D35400", "decoder": "#27AE60"}
MARGIN = 26


def network(shapes: Sequence[Stage]) -> Figure:
    """The network as a row of boxes, from the picture through the latent and back to the picture.

    Args:
        shapes: each stage's name and its shape, (C, H, W) or (D,); the one called "latent" stands between the halves.

    Raises:
        UsageError: fewer than two stages, or a shape that is neither.
    """
    if len(shapes) < 2:
        raise UsageError(f"a network has at least an input and an output; got {len(shapes)} stages")
    for name, shape in shapes:
        if len(shape) not in (1, 2, 3) or min(shape) < 1:
            raise UsageError(f"stage {name!r}: got shape {tuple(shape)}; (C, H, W) or (D,) is needed")
    slot = max(SLOT, min(150, 1100 // len(shapes)))
    labels = [wrap(_pretty(name), max(10, slot // 9), 4) for name, _ in shapes]
    below = 18 * max(label.count("\n") + 1 for label in labels) + 38
    top = MARGIN + 26
    width = slot * len(shapes) + 2 * MARGIN
    figure = new_figure(width, top + TALLEST + below + MARGIN)
    axes = pixel_axes(figure, 0, 0, width, top + TALLEST + below + MARGIN)
    axes.set_xlim(0, width)
    axes.set_ylim(top + TALLEST + below + MARGIN, 0)
    axes.set_axis_off()
    boxes = _boxes(shapes, slot, top + TALLEST / 2)
    parts = _parts(shapes)
    for part, (left, right) in zip(parts[1:], pairwise(boxes), strict=True):
        _funnel(axes, left, right, COLOURS["decoder" if part == "end" and "decoder" in parts else part])
    for i, (box, part) in enumerate(zip(boxes, parts, strict=True)):
        x, y, wide, high = box
        axes.add_patch(Rectangle((x, y), wide, high, facecolor=COLOURS[part], edgecolor="white", linewidth=1, zorder=3))
        middle, under = MARGIN + slot * (i + 0.5), top + TALLEST + 12
        weight = "bold" if part in ("end", "latent") else "normal"
        letter(figure, middle, under, labels[i], 8.2, ha="center", weight=weight, color=INK)
        letter(figure, middle, under + below - 32, _shape_text(shapes[i][1], slot), 8.2, ha="center", color=MUTED)
    _halves(figure, parts, slot)
    return figure


def _pretty(name: str) -> str:
    """3x3 as 3×3."""
    return re.sub(r"(?<![a-zA-Z])x(?=\d)", "×", name)


def _shape_text(shape: tuple[int, ...], slot: int) -> str:
    if len(shape) > 1:
        return "×".join(map(str, shape))
    return f"{shape[0]:,}" + (" numbers" if slot >= 110 else "")


def _parts(shapes: Sequence[Stage]) -> list[str]:
    """To which part of the drawing each stage belongs."""
    names = [name.lower() for name, _ in shapes]
    latent = next((i for i, name in enumerate(names) if name.startswith("latent")), None)
    parts = []
    for i in range(len(shapes)):
        if i in (0, len(shapes) - 1):
            parts.append("end")
        elif latent is None:
            parts.append("encoder")
        else:
            parts.append("latent" if i == latent else "encoder" if i < latent else "decoder")
    return parts


def _boxes(shapes: Sequence[Stage], slot: int, middle: float) -> list[tuple[float, float, float, float]]:
    """Left, top, width, height of each box. A stage without a picture is a low box."""
    sides = [max(shape[1:]) if len(shape) > 1 else 1 for _, shape in shapes]
    deepest = max(math.log2(1 + shape[0]) for _, shape in shapes)
    boxes = []
    for i, (_, shape) in enumerate(shapes):
        high = max(LOWEST, TALLEST * sides[i] / max(sides))
        wide = 7 + (slot * 0.5 - 7) * math.log2(1 + shape[0]) / deepest
        boxes.append((MARGIN + slot * (i + 0.5) - wide / 2, middle - high / 2, wide, high))
    return boxes


def _funnel(axes: Axes, left: tuple[float, ...], right: tuple[float, ...], colour: str) -> None:
    """The pale band between two boxes, which shows the picture shrink and grow."""
    x0, x1 = left[0] + left[2], right[0]
    corners = [(x0, left[1]), (x1, right[1]), (x1, right[1] + right[3]), (x0, left[1] + left[3])]
    axes.add_patch(Polygon(corners, closed=True, facecolor=colour, alpha=0.13, edgecolor="none", zorder=1))


def _halves(figure: Figure, parts: Sequence[str], slot: int) -> None:
    """The words "encoder" and "decoder" above their halves."""
    for part in ("encoder", "decoder"):
        places = [i for i, p in enumerate(parts) if p == part]
        if places and "latent" in parts:
            middle = MARGIN + slot * (places[0] + places[-1] + 1) / 2
            letter(figure, middle, MARGIN - 6, part, 11, ha="center", weight="bold", color=COLOURS[part])


def _of_run(run: "Run", images: "Dataset") -> Figure:
    from latens.figures.network_stages import stages_of

    return network(stages_of(run))


def _words(story: "Story", variant: str) -> Words:
    steps = ", ".join(f"{name} {'×'.join(map(str, shape))}" for name, shape in story.network.shapes)
    alt = (
        f"The network as a row of boxes, narrowest in the middle. {steps}."
        if steps
        else "The network as a row of boxes."
    )
    return alt, (
        "Each box is one stage: its height is the size of the image there, its width grows with the number of channels."
        " Below each box: the layer, and the shape of its output (channels × height × width)."
        f" The latent in the middle, {story.network.latent_dim} numbers, is the decoder's only input."
    )


NETWORK = FigureEntry(network, _of_run, _words, "network", small_letters=True)
