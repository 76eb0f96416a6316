"""Sheets of pictures: originals beside their reconstructions, the worst of them, and plain grids."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, letter, new_figure, pixel_axes, shorten
from latens.figures.tiles import check_images, compose, to_rgb, zoom
from latens.images.pixels import colour_word

__all__ = ["reconstructions", "samples", "worst"]

MARGIN = 22  # pixels around everything
WITHIN_PAIR = 3
BETWEEN_PAIRS = 12
BETWEEN_ROWS = 8
_SCALES = {"grey": "Brightness from 0 (black) to 1 (white).", "colour": "Colours as they are, each from 0 to 1."}


def reconstructions(
    originals: np.ndarray,
    reconstructions: np.ndarray,
    start: int = 200,
    pairs: int = 100,
    per_row: int = 10,
    autoscale: bool = False,
    first: int = 0,
) -> Figure:
    """The notebook's grid: each original with its reconstruction to the right of it, ten pairs a row.

    Args:
        originals: uint8 or float in [0, 1], (N, C, H, W).
        reconstructions: float, of the same shape.
        start: index of the first pair; the first image is taken where the images end before start + pairs.
        pairs: how many pairs at most.
        per_row: pairs a row.
        autoscale: stretch the contrast of each picture by itself, as the notebook's imshow does; else grey over [0, 1].
        first: index of the first image that is given, where only a part is.

    Raises:
        UsageError: the shapes don't fit each other, or a number is out of its range.
    """
    originals, reconstructions = _check_pairs(originals, reconstructions)
    if start < first or first < 0 or pairs < 1 or per_row < 1:
        got = f"start {start}, first {first}, pairs {pairs}, per_row {per_row}"
        raise UsageError(f"{got}: start must be at least first, first at least 0, the others at least 1")
    if start + pairs > first + len(originals):
        start = first
    chosen = slice(start - first, start - first + pairs)
    left, right = to_rgb(originals[chosen], autoscale), to_rgb(reconstructions[chosen], autoscale)
    count, per_row = len(left), min(per_row, len(left))
    left, right = (zoom(pictures, _tile_size(2 * per_row)) for pictures in (left, right))
    tall, wide = left.shape[1:3]
    across, down = 2 * wide + WITHIN_PAIR + BETWEEN_PAIRS, tall + BETWEEN_ROWS
    places = [(1 + i % per_row * across, 1 + i // per_row * down) for i in range(count)]
    shifted = [(x + wide + WITHIN_PAIR, y) for x, y in places]
    size = (per_row * across - BETWEEN_PAIRS + 2, -(-count // per_row) * down - BETWEEN_ROWS + 2)
    sheet = compose(np.concatenate([left, right]), places + shifted, size)
    note = (
        f"Images {start} to {start + count - 1}, row by row. In each pair: left the original, right its reconstruction."
    )
    scale = "Contrast stretched picture by picture." if autoscale else _SCALES[colour_word(originals.shape[1])]
    return _sheet_with_note(sheet, f"{note} {scale}" if size[0] > 800 else f"{note}\n{scale}")


def worst(
    originals: np.ndarray,
    reconstructions: np.ndarray,
    errors: np.ndarray,
    ids: Sequence[str] | np.ndarray,
    labels: np.ndarray | None = None,
    class_names: Sequence[str] = (),
    count: int = 20,
    per_row: int = 5,
    total: int | None = None,
) -> Figure:
    """The images that are rebuilt worst, worst first, each beside its reconstruction, with its id and error below.

    Args:
        originals: uint8 or float in [0, 1], (N, C, H, W).
        reconstructions: float, of the same shape.
        errors: mean squared error of each image, (N,).
        ids: name of each image, (N,).
        labels: int (N,), or None.
        class_names: name of each label.
        count: how many.
        per_row: pairs a row.
        total: among how many they are the worst, where only a part is given; N by default.

    Raises:
        UsageError: the shapes don't fit each other.
    """
    originals, reconstructions = _check_pairs(originals, reconstructions)
    errors = np.asarray(errors, dtype=np.float64)
    if errors.shape != (len(originals),) or len(ids) != len(originals):
        raise UsageError(f"{len(originals)} images with {errors.shape} errors and {len(ids)} ids: one of each an image")
    # An error that is not a number is as bad as it gets.
    order = np.argsort(-np.nan_to_num(errors, nan=np.inf), kind="stable")[:count]
    pictures = [zoom(to_rgb(images[order]), 92) for images in (originals, reconstructions)]
    tall, wide = pictures[0].shape[1:3]
    per_row = min(per_row, len(order))
    cell = max(2 * wide + WITHIN_PAIR, 190)
    inset = (cell - 2 * wide - WITHIN_PAIR) // 2
    across, down, top = cell + 24, tall + 52, 48
    places = [(1 + inset + i % per_row * across, 1 + i // per_row * down) for i in range(len(order))]
    shifted = [(x + wide + WITHIN_PAIR, y) for x, y in places]
    size = (per_row * across - 24 + 2, -(-len(order) // per_row) * down + 2)
    sheet = compose(np.concatenate(pictures), places + shifted, size)
    total = len(originals) if total is None else total
    among = f" of {total:,}" if total > len(order) else ""
    figure = new_figure(max(size[0], 420) + 2 * MARGIN, size[1] + top + MARGIN)
    _show(figure, sheet, MARGIN, top)
    letter(figure, MARGIN, 16, f"The {len(order)} worst{among}: original and reconstruction", 10.5)
    for i, index in enumerate(order):
        x, y = MARGIN + i % per_row * across + cell / 2, top + i // per_row * down + tall + 7
        label = -1 if labels is None else int(labels[index])
        named = f" · {shorten(class_names[label], 12)}" if 0 <= label < len(class_names) else ""
        letter(figure, x, y, shorten(str(ids[index]), 26 - len(named)) + named, 7.5, ha="center")
        letter(figure, x, y + 16, f"error {errors[index]:.4f}", 7.5, ha="center", color=MUTED)
    return figure


def samples(images: np.ndarray, columns: int = 10, title: str = "", labels: Sequence[str] | None = None) -> Figure:
    """A plain grid of pictures, read row by row.

    Args:
        images: uint8, or float in [0, 1], (N, C, H, W).
        columns: pictures a row.
        title: a line above the grid.
        labels: a few characters below each picture, or None.

    Raises:
        UsageError: not such images, no column, or not one label an image.
    """
    images = check_images(images, "images")
    if columns < 1 or (labels is not None and len(labels) != len(images)):
        count = "no" if labels is None else len(labels)
        raise UsageError(
            f"{len(images)} images in {columns} columns with {count} labels: one label an image, one column or more"
        )
    columns = min(columns, len(images))
    pictures = zoom(to_rgb(images), max(56, _tile_size(columns)) if columns > 4 else 112)
    tall, wide = pictures.shape[1:3]
    across, down = wide + 6, tall + (6 if labels is None else 24)
    places = [(1 + i % columns * across, 1 + i // columns * down) for i in range(len(pictures))]
    size = (columns * across - 4, -(-len(pictures) // columns) * down - 4)
    top = 44 if title else MARGIN
    figure = new_figure(max(size[0], 8.5 * len(title)) + 2 * MARGIN, size[1] + top + MARGIN)
    _show(figure, compose(pictures, places, size), MARGIN, top)
    letter(figure, MARGIN, 15, title, 10.5)
    for (x, y), text in zip(places, labels or (), strict=False):
        short = shorten(text, max(3, round(wide / 6.6)))
        letter(figure, MARGIN + x + wide / 2, top + y + tall + 4, short, 7, ha="center", color=MUTED)
    return figure


def _check_pairs(originals: np.ndarray, rebuilt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    originals, rebuilt = check_images(originals, "originals"), check_images(rebuilt, "reconstructions")
    if originals.shape != rebuilt.shape:
        raise UsageError(f"originals {originals.shape} and reconstructions {rebuilt.shape}: both must have one shape")
    return originals, rebuilt


def _tile_size(columns: int) -> int:
    return max(28, min(112, 1160 // columns))


def _show(figure: Figure, sheet: np.ndarray, left: float, top: float) -> None:
    axes = pixel_axes(figure, left, top, sheet.shape[1], sheet.shape[0])
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()


def _sheet_with_note(sheet: np.ndarray, note: str) -> Figure:
    height, width = sheet.shape[:2]
    needed = max(len(line) for line in note.split("\n")) * 9 + 2 * MARGIN
    total = max(width + 2 * MARGIN, min(needed, 900))
    figure = new_figure(total, height + MARGIN + 44 + 18 * note.count("\n"))
    _show(figure, sheet, (total - width) // 2, MARGIN)
    letter(figure, total / 2, MARGIN + height + 13, note, 9 if total > 800 else 8, ha="center", color=INK)
    return figure
