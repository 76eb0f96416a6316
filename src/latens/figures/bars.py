"""Errors class by class, as bars."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, TEXT, TITLE, WIDTH, fit, font, new_figure, pixel_axes, soften, width_of
from latens.figures.contract import LABELS, FigureEntry, Words

if TYPE_CHECKING:
    from latens.images import Dataset
    from latens.runs import Run
    from latens.story import Story

__all__ = ["CLASS_ERRORS", "class_errors"]

MOST = 60
ROW = 32  # pixels


def class_errors(mse: Sequence[float] | np.ndarray, class_names: Sequence[str], overall: float | None = None) -> Figure:
    """Mean squared error of each class as horizontal bars, largest on top.

    Args:
        mse: one value for each class, (K,); NaN for a class without images, which is left out.
        class_names: K of them.
        overall: the error over all images, drawn as a line; or None.

    Raises:
        UsageError: not one name a value, or nothing to draw.
    """
    values = np.asarray(mse, dtype=np.float64)
    if values.shape != (len(class_names),) or not np.isfinite(values).any():
        raise UsageError(
            f"{values.size} errors and {len(class_names)} class names: one finite error for each class is needed"
        )
    order = np.argsort(-np.where(np.isfinite(values), values, -np.inf), kind="stable")[: np.isfinite(values).sum()]
    left_out = len(order) - MOST
    order = order[:MOST]
    names = [fit(class_names[i], 220, TEXT) for i in order]
    left = 40 + round(max(width_of(name, TEXT) for name in names))
    figure = new_figure(WIDTH, 150 + ROW * len(order))
    axes = pixel_axes(figure, left, 60, WIDTH - left - 104, ROW * len(order))
    soften(axes)
    axes.barh(range(len(order)), values[order], height=0.68, color="#3498DB")
    axes.set_yticks(range(len(order)), names, fontproperties=font(TEXT), color=INK, parse_math=False)
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    for row, value in enumerate(values[order]):
        axes.annotate(
            f"{value:.5f}",
            (value, row),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontproperties=font(TEXT),
            color=INK,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            zorder=4,
        )
    title = "Mean squared error by class" + (f" (the {MOST} largest of {MOST + left_out})" if left_out > 0 else "")
    axes.set_title(title, fontproperties=font(TITLE), color=INK, pad=14, loc="left")
    axes.locator_params(axis="x", nbins=3)
    if overall is not None:
        axes.axvline(overall, color="#D35400", linewidth=1.3, linestyle="--", zorder=3)
        axes.set_xlabel(f"dashed: all images, {overall:.5f}", fontproperties=font(TEXT), color=MUTED, labelpad=6)
    return figure


def _of_run(run: "Run", images: "Dataset") -> Figure:
    from latens.runs.run import TEST

    labels, errors = run.labels_of(TEST), run.of_part("squared_error", TEST)
    assert labels is not None
    present = [k for k in range(len(run.class_names)) if (labels == k).any()]
    means = [float(errors[labels == k].mean()) for k in present]
    return class_errors(means, [run.class_names[k] for k in present], float(errors.mean()))


def _words(story: "Story", variant: str) -> Words:
    return (
        "Bars of the mean squared error of each class, largest on top.",
        "Mean squared error by class. Images with much detail have more to lose than plain ones.",
    )


CLASS_ERRORS = FigureEntry(class_errors, _of_run, _words, "reconstructions", (LABELS,))
