"""Histograms of scores of several groups of images on one axis, with a threshold."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from latens.figures.canvas import INK, MUTED, TEXT, WIDTH, font, new_figure, pixel_axes, soften

__all__ = ["score_histogram"]

BINS = 48
WITHIN = (0.2, 99.8)  # percentiles that the axis spans at least; scores beyond it count in the last bins
COLOURS = ("#3498DB", "#D35400", "#7F8C8D")


def score_histogram(scores: Mapping[str, NDArray[Any]], threshold: float) -> Figure:
    """The share of each group's scores in each bin, as steps, and a line at the threshold.

    Args:
        scores: name of a group -> (N,), finite; at most three groups.
        threshold: a score above it is called odd.
    """
    ends = np.array([np.percentile(values, WITHIN) for values in scores.values()])
    low, high = min(ends[:, 0].min(), threshold), max(ends[:, 1].max(), threshold)
    room = 0.04 * (high - low) or 1.0
    edges = np.linspace(low - room, high + room, BINS + 1)
    figure = new_figure(WIDTH, 340)
    axes = pixel_axes(figure, 70, 56, WIDTH - 110, 200)
    soften(axes)
    for (name, values), colour in zip(scores.items(), COLOURS, strict=False):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        axes.stairs(
            counts / max(1, len(values)), edges, fill=True, alpha=0.45, color=colour, label=f"{name} ({len(values):,})"
        )
    axes.axvline(threshold, color=INK, linewidth=1.2, linestyle="--")
    axes.set_xlabel("score; right of the dashed line: odd", fontproperties=font(TEXT), color=MUTED, labelpad=6)
    axes.set_ylabel("share of images", fontproperties=font(TEXT), color=MUTED)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1.02), ncols=len(scores), frameon=False, prop=font(TEXT))
    return figure
