"""Images of several channels channel by channel: each original beside its reconstruction, as shown and in every channel alone."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from latens.errors import UsageError
from latens.figures.canvas import MUTED, TEXT, WIDTH, fit, letter, new_figure, pixel_axes
from latens.figures.contract import FigureEntry, Option, Words
from latens.figures.tiles import check_images, compose, to_rgb, zoom
from latens.images.pixels import CHANNELS, checked_show, composite, is_grey, named_channels, show_in_words, to_floats
from latens.latents import reconstruct_images

if TYPE_CHECKING:
    from latens.images import Dataset
    from latens.runs import Run
    from latens.story import Story

__all__ = ["CHANNEL_ROWS", "channels"]

MARGIN, GUTTER = 22, 164  # pixels; the gutter holds the names of the rows
WITHIN_PAIR, BETWEEN_PAIRS, BETWEEN_ROWS = 3, 10, 10
PAIRS = 4


def channels(
    originals: np.ndarray,
    reconstructions: np.ndarray,
    names: Sequence[str] = (),
    show: str = "",
) -> Figure:
    """Pairs of original and reconstruction in columns; above as they are shown, below each channel alone in grey.

    Args:
        originals: uint8 or float in [0, 1], (N, C, H, W).
        reconstructions: float, of the same shape.
        names: of the channels; numbers by default.
        show: how the first row is shown, see `latens.images.pixels.checked_show`.

    Raises:
        UsageError: the shapes don't fit each other, or there is no name for each channel.
    """
    pairs = [
        check_images(images, name) for images, name in ((originals, "originals"), (reconstructions, "reconstructions"))
    ]
    if pairs[0].shape != pairs[1].shape:
        raise UsageError(f"originals {pairs[0].shape} and reconstructions {pairs[1].shape}: both must have one shape")
    count, num = pairs[0].shape[:2]
    names = tuple(names) or named_channels(num)
    if len(names) != num:
        raise UsageError(f"{len(names)} names for {num} channels; one for each is needed")
    show = checked_show(show, names)
    side = max(16, ((WIDTH - 2 * MARGIN - GUTTER + BETWEEN_PAIRS) // count - BETWEEN_PAIRS - WITHIN_PAIR) // 2)
    floats = [to_floats(images) for images in pairs]
    rows = [("as shown", show_in_words(names, show), [composite(one, show) for one in floats])]
    for channel, name in enumerate(names):
        error = float(np.square(floats[1][:, channel] - floats[0][:, channel]).mean())
        rows.append((name, f"error {error:.2g}", [one[:, [channel]] for one in floats]))
    return _drawn(rows, side)


def _drawn(rows: Sequence[tuple[str, str, list[np.ndarray]]], side: int) -> Figure:
    tiles = [[zoom(to_rgb(one), side) for one in pair] for _, _, pair in rows]
    tall, wide = tiles[0][0].shape[1:3]
    count, across = len(tiles[0][0]), 2 * wide + WITHIN_PAIR + BETWEEN_PAIRS
    texts = [fit(name, GUTTER - 8, TEXT, 1) + "\n" + fit(remark, GUTTER - 8, TEXT, 2) for name, remark, _ in rows]
    heights = [max(tall, 22 * (text.count("\n") + 1)) for text in texts]
    width, height = count * across - BETWEEN_PAIRS + 2, sum(heights) + BETWEEN_ROWS * (len(rows) - 1) + 2
    figure = new_figure(MARGIN * 2 + GUTTER + width, height + 2 * MARGIN)
    pictures, places, top = [], [], 1
    for pair, text, tallest in zip(tiles, texts, heights, strict=True):
        middle = top + (tallest - tall) // 2
        for place, one in enumerate(pair):
            pictures.append(one)
            places += [(1 + column * across + place * (wide + WITHIN_PAIR), middle) for column in range(count)]
        name, _, remark = text.partition("\n")
        y = MARGIN + top + tallest / 2 - 11 * (text.count("\n") + 1)
        letter(figure, MARGIN, y, name, TEXT)
        letter(figure, MARGIN, y + 22, remark, TEXT, color=MUTED)
        top += tallest + BETWEEN_ROWS
    axes = pixel_axes(figure, MARGIN + GUTTER, MARGIN, width, height)
    axes.imshow(compose(np.concatenate(pictures), places, (width, height)), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    return figure


def _of_run(run: "Run", images: "Dataset", pairs: int) -> Figure:
    from latens.images import pick_evenly

    if pairs < 1:
        raise UsageError(f"pairs is {pairs}; at least 1 is needed")
    chosen = images.test.take(pick_evenly(images.test, pairs, 0))
    originals = np.asarray(chosen.inputs)
    return channels(originals, reconstruct_images(run.model, originals), run.format.channel_names, run.format.show)


def _where_there_are_several(run: "Run") -> Mapping[str, Mapping[str, Any]]:
    """Of images of one channel, and of colours, the figure of reconstructions shows all; it can be asked for."""
    count = run.image_shape[0]
    ordinary = is_grey(count) or (count in CHANNELS and run.format.channel_names == named_channels(count))
    return {} if ordinary else {"": {}}


def _words(story: "Story", variant: str) -> Words:
    return (
        "Pairs of test images and their reconstructions; the first row as they are shown, then each channel alone in grey.",
        "Each channel of some test images, the original on the left and its reconstruction on the right, from 0 (black) to 1"
        " (white) of the channel's range, with the mean squared error of the channel over these images.",
    )


CHANNEL_ROWS = FigureEntry(
    channels,
    _of_run,
    _words,
    "reconstructions",
    options=(Option("pairs", PAIRS, "how many pairs", metavar="N"),),
    variants=_where_there_are_several,
)
