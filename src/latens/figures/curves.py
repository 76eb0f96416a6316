"""How training went: the loss of the last epochs, and the errors in training and test over all epochs."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, TEXT, TITLE, WIDTH, font, new_figure, soften
from latens.figures.contract import HISTORY, FigureEntry, Words
from latens.text import number

if TYPE_CHECKING:
    from latens.images import Dataset
    from latens.runs import Run
    from latens.story import Story

__all__ = ["LOSS", "LOSS_ALL", "loss", "loss_all"]

LABELS = {"train_mse": "training MSE", "train_loss": "training loss"}

History = Sequence[Mapping[str, Any]]


def loss(history: History, last: int = 30) -> Figure:
    """The training loss of the last epochs, as the reference experiment shows it: a red dashed line with red dots.

    Args:
        history: one mapping an epoch, with `epoch` and `train_loss`.
        last: how many epochs at most.

    Raises:
        UsageError: there is no epoch with a finite loss.
    """
    epochs, losses = _series(history[-last:], "train_loss")
    figure, axes = _sheet("Training Loss", "Loss")
    axes.plot(epochs, losses, linestyle="--", linewidth=2, color="red", zorder=2)
    axes.scatter(epochs, losses, color="red", s=40, zorder=3)
    _epochs_axis(axes, epochs)
    return figure


def loss_all(history: History) -> Figure:
    """The squared error in training and in test over all epochs; the vertical axis is logarithmic where they span a decade.

    Args:
        history: one mapping an epoch, with `epoch`, `train_mse` (or, where no epoch has it, `train_loss`) and `test_mse` (a
            number or None). What a model minimises may be in other units than the test error; its squared error never is.

    Raises:
        UsageError: there is no epoch with a finite loss.
    """
    name = "train_mse" if _finite(history, "train_mse") else "train_loss"
    epochs, losses = _series(history, name)
    figure, axes = _sheet("Training and test error, all epochs", "Mean squared error")
    marker = "o" if len(epochs) <= 40 else None
    axes.plot(epochs, losses, color="#e5484d", linewidth=1.8, marker=marker, markersize=4, label=LABELS[name])
    tested = [(x, y) for x, y in _finite(history, "test_mse")]
    if tested:
        xs, ys = zip(*tested, strict=True)
        few = "s" if len(xs) <= 40 else None
        axes.plot(xs, ys, color="#2471A3", linewidth=1.8, marker=few, markersize=4, label="test MSE")
    _epochs_axis(axes, epochs)
    everything = [*losses, *(y for _, y in tested)]
    if min(everything) > 0 and max(everything) >= 10 * min(everything):
        _logarithmic(axes)
    axes.legend(frameon=False, prop=font(TEXT), loc="upper right")
    return figure


def _finite(history: History, name: str) -> list[tuple[float, float]]:
    rows = [(float(row["epoch"]), float(row[name])) for row in history if row.get(name) is not None]
    return [(x, y) for x, y in rows if math.isfinite(y)]


def _series(history: History, name: str) -> tuple[list[float], list[float]]:
    rows = _finite(history, name)
    if not rows:
        raise UsageError(f"a loss curve needs an epoch with a finite {name}; got {len(history)} epochs without one")
    return [x for x, _ in rows], [y for _, y in rows]


def _sheet(title: str, vertical: str) -> tuple[Figure, Axes]:
    figure = new_figure(WIDTH, 0.625 * WIDTH)  # the 8 by 5 of the reference experiment
    axes = figure.add_axes((0.165, 0.165, 0.8, 0.725))
    soften(axes)
    axes.grid(axis="y", color="#e6e9ed", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_title(title, fontproperties=font(TITLE), color=INK, pad=12)
    axes.set_xlabel("Epoch", fontproperties=font(TEXT), color=MUTED, labelpad=8)
    axes.set_ylabel(vertical, fontproperties=font(TEXT), color=MUTED)
    # A fixed place: a label beside the widest number would leave the sheet when the numbers are long.
    axes.yaxis.set_label_coords(0.035, 0.53, transform=figure.transFigure)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    return figure, axes


def _epochs_axis(axes: Axes, epochs: Sequence[float]) -> None:
    margin = max(0.5, 0.03 * (max(epochs) - min(epochs)))
    axes.set_xlim(min(epochs) - margin, max(epochs) + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _last_of(story: "Story") -> Mapping[str, Any]:
    """The last line of the history; empty where there is none."""
    history = story.training.history if story.training is not None else ()
    return history[-1] if history else {}


def _words_of_loss(story: "Story", variant: str) -> Words:
    last = _last_of(story).get("train_loss")
    return (
        f"Curve of the training loss over the last epochs, red dashed with one dot per epoch; it ends at {number(last)}.",
        "Training loss of the last epochs (30 at most). Lower is better.",
    )


def _words_of_loss_all(story: "Story", variant: str) -> Words:
    last = _last_of(story)
    trained = last.get("train_mse", last.get("train_loss"))  # which in the first runs was the same
    alt = f"Curves over all epochs; the error in training ends at {number(trained)}"
    if last.get("test_mse") is None:
        return f"{alt}.", "Mean squared error in training over all epochs."
    return (
        f"{alt}, the test error at {number(last['test_mse'])}.",
        "Mean squared error in training and on the test images over all epochs. Where the test error stays up while the error"
        " in training keeps falling, the network overfits: it learns its training images, not what they have in common.",
    )


def _loss_of_run(run: "Run", images: "Dataset") -> Figure:
    return loss(run.history)


def _loss_all_of_run(run: "Run", images: "Dataset") -> Figure:
    return loss_all(run.history)


LOSS = FigureEntry(loss, _loss_of_run, _words_of_loss, "training", (HISTORY,))
LOSS_ALL = FigureEntry(loss_all, _loss_all_of_run, _words_of_loss_all, "training", (HISTORY,))
