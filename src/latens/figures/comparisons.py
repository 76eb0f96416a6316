"""Several runs in one figure: error over latent dimensions, and generation against reconstruction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, font, new_figure, printable, renderer_of, shorten, soften
from latens.figures.palette import class_colours
from latens.figures.placing import place_boxes

__all__ = ["Point", "generation_against_reconstruction", "rate_distortion"]

WIDTH, HEIGHT = 1040, 600  # wide enough to be moved sideways on a telephone, where it would be too small to read
MARKERS = "osD^vP*X<>"
MOST_LETTERS = 44


@dataclass(frozen=True)
class Point:
    """One setting on a figure.

    Args:
        across: where it stands on the horizontal axis.
        up: where it stands on the vertical axis.
        across_std: its standard deviation over seeds, or None.
        up_std: the same of the vertical axis.
        name: written beside it; may be empty.
    """

    across: float
    up: float
    across_std: float | None = None
    up_std: float | None = None
    name: str = ""


def rate_distortion(
    curves: Mapping[str, Sequence[Point]], baseline: Sequence[Point] = (), baseline_name: str = "PCA", title: str = ""
) -> Figure:
    """The error over the latent dimension, both axes logarithmic: one curve for each setting, with its spread over seeds.

    Args:
        curves: name -> points (latent dimension, test MSE).
        baseline: points of what the curves are held against, drawn in grey.
        baseline_name: for the legend.
        title: above it.

    Raises:
        UsageError: no point, or a number that is not above 0.
    """
    _check([*curves.values(), baseline] if baseline else list(curves.values()))
    figure, axes = _sheet(title or "Error over the latent dimension", "Latent dimension", "Test MSE")
    if baseline:
        _curve(axes, baseline, MUTED, "", baseline_name, linestyle="--")
    for index, (name, points) in enumerate(curves.items()):
        colour, marker = _style(index, len(curves))
        _curve(axes, points, colour, marker, printable(shorten(name, MOST_LETTERS)))
    dims = sorted({point.across for points in (*curves.values(), baseline) for point in points})
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(dims))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.margins(x=0.06)
    _widen(axes, axes.get_ylim, axes.set_ylim)
    _plain_numbers(axes.yaxis)
    _legend(axes)
    return figure


def generation_against_reconstruction(
    groups: Mapping[str, Sequence[Point]],
    floor: float | None = None,
    title: str = "",
    measure: str = "FD of the best sampler",
) -> Figure:
    """Generation against reconstruction of each setting; lower left is best.

    Args:
        groups: name -> points (test MSE, FD), each with the name that is written beside it.
        floor: what real images get, drawn as a line; or None.
        title: above it.
        measure: what the vertical axis shows.

    Raises:
        UsageError: no point, or a number that is not above 0.
    """
    _check(list(groups.values()))
    figure, axes = _sheet(
        title or "Generation against reconstruction", "Test MSE (left is better)", f"{measure} (lower is better)"
    )
    for index, (name, points) in enumerate(groups.items()):
        colour, marker = _style(index, len(groups))
        _curve(axes, points, colour, marker, printable(shorten(name, MOST_LETTERS)), linestyle="none")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(0.14)
    if floor is not None and floor > 0:
        axes.axhline(
            floor, color=MUTED, linestyle="--", linewidth=1.3, zorder=1, label=f"real against real: {floor:.3g}"
        )
    _widen(axes, axes.get_xlim, axes.set_xlim)
    _widen(axes, axes.get_ylim, axes.set_ylim)
    _plain_numbers(axes.xaxis)
    _plain_numbers(axes.yaxis)
    _write_names(figure, axes, [point for points in groups.values() for point in points])
    _legend(axes)
    return figure


def _check(groups: Sequence[Sequence[Point]]) -> None:
    points = [point for group in groups for point in group]
    if not points or not all(np.isfinite([p.across, p.up]).all() and min(p.across, p.up) > 0 for p in points):
        raise UsageError(f"{len(points)} points: at least one is needed, and finite numbers above 0")


def _style(index: int, count: int) -> tuple[str, str]:
    return class_colours(count)[index], MARKERS[index % len(MARKERS)]


def _curve(axes: Axes, points: Sequence[Point], colour: str, marker: str, name: str, linestyle: str = "-") -> None:
    points = sorted(points, key=lambda point: point.across)
    across, up = [[getattr(p, part) for p in points] for part in ("across", "up")]
    errors = [
        np.array([_bars(getattr(p, part), getattr(p, f"{part}_std")) for p in points]).T for part in ("across", "up")
    ]
    axes.errorbar(
        across,
        up,
        xerr=errors[0] if errors[0].any() else None,
        yerr=errors[1] if errors[1].any() else None,
        color=colour,
        linestyle=linestyle,
        linewidth=1.8,
        marker=marker or None,
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.8,
        elinewidth=1.2,
        capsize=3,
        label=name,
        zorder=3,
    )


def _bars(value: float, std: float | None) -> tuple[float, float]:
    """Lengths of the bars below and above; the lower one stays above 0, which a logarithmic axis can't show."""
    return (min(std, 0.9 * value), std) if std else (0.0, 0.0)


def _sheet(title: str, across: str, up: str) -> tuple[Figure, Axes]:
    figure = new_figure(WIDTH, HEIGHT)
    axes = figure.add_axes((0.115, 0.13, 0.85, 0.77))
    soften(axes)
    axes.grid(color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(printable(title), fontproperties=font(13), color=INK, pad=12, parse_math=False)
    axes.set_xlabel(across, fontproperties=font(10.5), color=MUTED, labelpad=8)
    axes.set_ylabel(up, fontproperties=font(10.5), color=MUTED)
    axes.yaxis.set_label_coords(0.03, 0.51, transform=figure.transFigure)
    return figure, axes


def _plain_numbers(axis: Axis) -> None:
    """Numbers at 1, 2 and 5 of each decade, at more where there is less than one, written out."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 10 * low else (1, 1.5, 2, 3, 4, 5, 7)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _widen(axes: Axes, limits: Callable[[], tuple[float, float]], set_limits: Callable[..., object]) -> None:
    """Room for the numbers of an axis: points close together would leave a single one, or none."""
    axes.autoscale_view()
    low, high = limits()
    if high < 4 * low:
        middle = (low * high) ** 0.5
        set_limits(middle / 2, middle * 2)


def _legend(axes: Axes) -> None:
    legend = axes.legend(frameon=True, framealpha=0.9, edgecolor="none", prop=font(9.5), labelcolor=INK, loc="best")
    for text in legend.get_texts():
        text.set_parse_math(False)


def _write_names(figure: Figure, axes: Axes, points: Sequence[Point]) -> None:
    """Each name beside its dot, none on another."""
    named = [point for point in points if point.name]
    if not named:
        return
    dots = axes.transData.transform([(point.across, point.up) for point in named])
    texts = [
        axes.text(
            point.across,
            point.up,
            printable(shorten(point.name, MOST_LETTERS)),
            fontproperties=font(9),
            color=INK,
            ha="center",
            va="center",
            parse_math=False,
            zorder=5,
        )
        for point in named
    ]
    boxes = [text.get_window_extent(renderer_of(figure)) for text in texts]
    sizes = np.array([[box.width + 4, box.height + 4] for box in boxes])
    room = axes.get_window_extent().padded(-4).get_points().ravel()
    centres = axes.transData.inverted().transform(place_boxes(dots, sizes, room, dots, 6))
    for text, point, centre in zip(texts, named, centres, strict=True):
        text.set_position((float(centre[0]), float(centre[1])))
        across, up = [point.across, float(centre[0])], [point.up, float(centre[1])]
        axes.plot(across, up, color="#aab1ba", linewidth=0.7, zorder=2)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85})
