"""Grids of images: originals beside their reconstructions, those with the largest errors, and plain grids."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, TEXT, TITLE, WIDTH, fit, letter, new_figure, pixel_axes, shorten, width_of
from latens.figures.contract import FigureEntry, Option, Words
from latens.figures.options import AUTOSCALE, PER_ROW, SEED
from latens.figures.tiles import check_images, compose, drawn_side, to_rgb, zoom
from latens.images.describe import rows_of_classes
from latens.images.pixels import colour_word, mix_of, show_in_words
from latens.latents import reconstruct_images
from latens.samplers import SAMPLERS
from latens.text import number

if TYPE_CHECKING:
    from latens.images import Dataset
    from latens.runs import Run
    from latens.story import Story

__all__ = ["CONTACT_SHEET", "RECONSTRUCTIONS", "SAMPLES", "WORST", "reconstructions", "samples", "worst"]

MARGIN = 22  # pixels around everything
WITHIN_PAIR = 3
BETWEEN_PAIRS = 12
BETWEEN_ROWS = 8
APART = 18  # between the cells of the worst
SHEET, HIGHEST = (
    1_420,
    2_800,
)  # pixels: the width of a sheet of pairs, and about its height, unless other numbers are asked for
PAIRS, FEWEST_PAIRS, PAIRS_PER_ROW = 100, 10, 10
SMALLEST, LARGEST = 28, 512  # the longer side of an image on a sheet of pairs
OWN_SIZE = 256  # up to which the worst are drawn at their size
OF_SAMPLES = 128  # up to which samples are
_SCALES = {"grey": "Brightness from 0 (black) to 1 (white).", "colour": "Each colour from 0 to 1."}


def reconstructions(
    originals: np.ndarray,
    reconstructions: np.ndarray,
    start: int | None = None,
    pairs: int | None = None,
    per_row: int | None = None,
    autoscale: bool = False,
    first: int = 0,
    labels: np.ndarray | None = None,
    total: int | None = None,
    channels: str = "",
) -> Figure:
    """Each original with its reconstruction to the right of it, up to ten pairs per row.

    Small images are enlarged by whole pixels, others are drawn at their size, those above 512 pixels at 512.

    Args:
        originals: uint8 or float in [0, 1], (N, C, H, W).
        reconstructions: float, of the same shape.
        start: index of the first pair, which the others follow; None spreads the pairs over the classes, and over all images
            where there are no labels.
        pairs: how many pairs at most; None takes 100, or fewer of large images.
        per_row: pairs per row; None takes as many as fit, at most ten. If more are asked for than fit, they are drawn smaller.
        autoscale: stretch the contrast of each image by itself, as matplotlib's imshow does; otherwise grey over [0, 1].
        first: index of the first image that is given, where only a part is and `start` says which.
        labels: int (N,), or None.
        total: of how many images those that are given were chosen; N by default.
        channels: which channels the colours are, in words, where they are not simply grey or red, green and blue.

    Raises:
        UsageError: the shapes don't fit each other, or a number is out of its range.
    """
    originals, reconstructions = _check_pairs(originals, reconstructions)
    end = first + len(originals)
    if first < 0 or any(number is not None and number < 1 for number in (pairs, per_row)):
        raise UsageError(
            f"first is {first}, pairs {pairs}, per_row {per_row}; first must be 0 or more, the others 1 or more"
        )
    if start is not None and not first <= start < end:
        raise UsageError(f"start is {start}; it must be the number of an image, from {first} to {end - 1}")
    side, per_row = _side_of_pairs(originals.shape, per_row)
    pairs = number_of_pairs(originals.shape, per_row) if pairs is None else pairs
    if start is None:
        rows = rows_of_classes(labels, len(originals), pairs)
    else:
        rows = np.arange(start - first, min(start - first + pairs, len(originals)))
    left, right = to_rgb(originals[rows], autoscale), to_rgb(reconstructions[rows], autoscale)
    count, per_row = len(left), min(per_row, len(left))
    left, right = (zoom(pictures, side, exact=True) for pictures in (left, right))
    tall, wide = left.shape[1:3]
    across, down = 2 * wide + WITHIN_PAIR + BETWEEN_PAIRS, tall + BETWEEN_ROWS
    places = [(1 + i % per_row * across, 1 + i // per_row * down) for i in range(count)]
    shifted = [(x + wide + WITHIN_PAIR, y) for x, y in places]
    size = (per_row * across - BETWEEN_PAIRS + 2, -(-count // per_row) * down - BETWEEN_ROWS + 2)
    sheet = compose(np.concatenate([left, right]), places + shifted, size)
    usual = (
        f"Shown: {channels}, each from 0 to 1 of its range."
        if channels
        else _SCALES.get(colour_word(originals.shape[1]), "Each channel from 0 to 1.")
    )
    scale = "Contrast stretched image by image." if autoscale else usual
    if start is None:
        total = len(originals) if total is None else total
        which = f"All {count:,} images" if count == total else f"{count:,} of {total:,} images"
        which += "" if labels is None or len(np.unique(labels[rows])) == 1 else ", class by class"
    else:
        which = f"Images {start} to {start + count - 1}"
    return _sheet_with_note(sheet, f"{which}: original, reconstruction. {scale}")


def number_of_pairs(shape: Sequence[int], per_row: int | None = None) -> int:
    """How many pairs of images (N, C, H, W) are drawn unasked: 100, or of large images what makes a sheet of bearable height."""
    side, per_row = _side_of_pairs(shape, per_row)
    tall = max(1, round(shape[2] * side / max(shape[2:])))
    return min(PAIRS, max(FEWEST_PAIRS, HIGHEST // (tall + BETWEEN_ROWS) * per_row))


def _side_of_pairs(shape: Sequence[int], per_row: int | None) -> tuple[int, int]:
    """The longer side of each image on the sheet in pixels, and how many pairs stand in a row."""
    height, width = shape[2:]
    longer = max(height, width)
    side = drawn_side(longer, max(_tile_size(2 * (per_row or PAIRS_PER_ROW)), min(longer, LARGEST)), exact=True)
    fit = max(1, (SHEET + BETWEEN_PAIRS) // (2 * max(1, width * side // longer) + WITHIN_PAIR + BETWEEN_PAIRS))
    if per_row is None:
        return side, min(PAIRS_PER_ROW, fit)
    if per_row > fit and longer > SMALLEST:
        side = ((SHEET + BETWEEN_PAIRS) // per_row - WITHIN_PAIR - BETWEEN_PAIRS) // 2 * longer // width
        side = drawn_side(longer, max(SMALLEST, min(side, longer)), exact=True)
    return side, per_row


def worst(
    originals: np.ndarray,
    reconstructions: np.ndarray,
    errors: np.ndarray,
    ids: Sequence[str] | np.ndarray,
    labels: np.ndarray | None = None,
    class_names: Sequence[str] = (),
    count: int = 20,
    per_row: int = 3,
    total: int | None = None,
) -> Figure:
    """The images with the largest errors, largest first, each beside its reconstruction, with its id and error below.

    Args:
        originals: uint8 or float in [0, 1], (N, C, H, W).
        reconstructions: float, of the same shape.
        errors: mean squared error of each image, (N,).
        ids: name of each image, (N,).
        labels: int (N,), or None.
        class_names: name of each label.
        count: how many.
        per_row: pairs per row.
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
    side = max(92, min(max(originals.shape[2:]), OWN_SIZE))
    pictures = [zoom(to_rgb(images[order]), side) for images in (originals, reconstructions)]
    tall, wide = pictures[0].shape[1:3]
    per_row = min(per_row, len(order))
    cell = max(2 * wide + WITHIN_PAIR, (WIDTH - 2 * MARGIN - (per_row - 1) * APART) // per_row)
    inset = (cell - 2 * wide - WITHIN_PAIR) // 2
    names = []
    for index in order:
        label = -1 if labels is None else int(labels[index])
        named = f" · {shorten(class_names[label], 12)}" if 0 <= label < len(class_names) else ""
        names.append(fit(str(ids[index]) + named, cell, TEXT, 2))
    deep = max(name.count("\n") for name in names)
    across, down, top = cell + APART, tall + 30 + 24 * (deep + 2), 56
    places = [(1 + inset + i % per_row * across, 1 + i // per_row * down) for i in range(len(order))]
    shifted = [(x + wide + WITHIN_PAIR, y) for x, y in places]
    size = (per_row * across - APART + 2, -(-len(order) // per_row) * down + 2)
    sheet = compose(np.concatenate(pictures), places + shifted, size)
    total = len(originals) if total is None else total
    among = f" of {total:,}" if total > len(order) else ""
    figure = new_figure(max(size[0], 420) + 2 * MARGIN, size[1] + top + MARGIN)
    _show(figure, sheet, MARGIN, top)
    title = f"The {len(order)} worst{among}: original and reconstruction"
    letter(figure, MARGIN, 16, fit(title, max(size[0], 420), TITLE), TITLE)
    for i, index in enumerate(order):
        x, y = MARGIN + i % per_row * across + cell / 2, top + i // per_row * down + tall + 7
        letter(figure, x, y, names[i], TEXT, ha="center")
        y += 24 * (names[i].count("\n") + 1)
        letter(figure, x, y, f"error {errors[index]:.4f}", TEXT, ha="center", color=MUTED)
    return figure


def samples(images: np.ndarray, columns: int = 10, title: str = "", labels: Sequence[str] | None = None) -> Figure:
    """A plain grid of pictures, read row by row.

    Args:
        images: uint8, or float in [0, 1], (N, C, H, W).
        columns: pictures per row.
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
    side = max(24, min(112, (WIDTH - 2 * MARGIN) // columns - 6))
    if max(images.shape[2:]) > side:  # at their size, as far as a sheet has room
        side = max(side, min(max(images.shape[2:]), OF_SAMPLES, SHEET // columns - 6))
    pictures = zoom(to_rgb(images), side)
    tall, wide = pictures.shape[1:3]
    across, down = wide + 6, tall + (6 if labels is None else 24)
    places = [(1 + i % columns * across, 1 + i // columns * down) for i in range(len(pictures))]
    size = (columns * across - 4, -(-len(pictures) // columns) * down - 4)
    room = max(size[0], min(width_of(title, TITLE), WIDTH - 2 * MARGIN))
    title = fit(title, room, TITLE, 2)
    top = 26 + 26 * (title.count("\n") + 1) if title else MARGIN
    figure = new_figure(room + 2 * MARGIN, size[1] + top + MARGIN)
    _show(figure, compose(pictures, places, size), MARGIN, top)
    letter(figure, MARGIN, 15, title, TITLE)
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
    total = max(width, WIDTH - 2 * MARGIN) + 2 * MARGIN
    note = fit(note, total - 2 * MARGIN, TEXT, 3)
    figure = new_figure(total, height + MARGIN + 44 + 24 * note.count("\n"))
    _show(figure, sheet, (total - width) // 2, MARGIN)
    letter(figure, total / 2, MARGIN + height + 13, note, TEXT, ha="center", color=INK)
    return figure


NUM_WORST = 20
START_OF_NOTEBOOK = 200  # the first test image that the reference experiment shows
CONTACT_ROWS, CONTACT_COLUMNS = 5, 20


def _reconstructions_of_run(
    run: "Run", images: "Dataset", start: int | None, pairs: int | None, per_row: int | None, autoscale: bool
) -> Figure:
    test = images.test
    pairs = number_of_pairs(test.inputs.shape, per_row) if pairs is None else pairs
    if start is None and run.recipe.name == "notebook" and len(test) >= START_OF_NOTEBOOK + pairs:
        start = START_OF_NOTEBOOK
    if start is None:
        rows = rows_of_classes(test.labels, len(test), max(pairs, 1))
    else:
        rows = np.arange(min(len(test), max(start + pairs, 1)))
    originals = test.inputs[rows]
    rebuilt = reconstruct_images(run.model, originals)
    labels = None if test.labels is None else test.labels[rows]
    form = run.format
    return reconstructions(
        run.shown(originals),
        run.shown(rebuilt),
        start,
        pairs,
        per_row,
        autoscale,
        labels=labels,
        total=len(test),
        channels=show_in_words(form.channel_names, form.show) if mix_of(form.channels, form.show) else "",
    )


def _worst_of_run(run: "Run", images: "Dataset") -> Figure:
    from latens.runs.run import TEST

    errors = run.of_part("squared_error", TEST)
    rows = np.argsort(-errors, kind="stable")[:NUM_WORST]
    originals = images.test.inputs[rows]
    labels = None if images.test.labels is None else images.test.labels[rows]
    return worst(
        run.shown(originals),
        run.shown(reconstruct_images(run.model, originals)),
        errors[rows],
        images.test.ids[rows],
        labels,
        run.class_names,
        NUM_WORST,
        total=len(errors),
    )


def _samples_of_run(run: "Run", images: "Dataset", sampler: str, n: int, seed: int, per_row: int) -> Figure:
    found = run.sample(n, sampler, seed)
    return samples(run.shown(found.images), per_row, f"{n} samples by {sampler}, seed {seed}")


def _of_the_best_sampler(run: "Run") -> Mapping[str, Mapping[str, Any]]:
    best = run.verdict.best_sampler
    return {"": {"sampler": best} if best else {}}


def _contact_sheet_of_run(run: "Run", images: "Dataset", seed: int) -> Figure:
    from latens.images import pick_evenly

    shown = images.train.take(pick_evenly(images.train, CONTACT_ROWS * CONTACT_COLUMNS, seed))
    title = f"{len(shown)} of {len(images.train):,} train images" + (", class by class" if images.num_classes else "")
    return samples(run.shown(np.asarray(shown.inputs)), CONTACT_COLUMNS, title)


def _words_of_contact_sheet(story: "Story", variant: str) -> Words:
    return (f"A grid of images from {story.data.name}.", "Some of the images, as the network sees them.")


def _words_of_reconstructions(story: "Story", variant: str) -> Words:
    return (
        "Pairs of images: on the left the original from the test part, on the right its reconstruction.",
        "Images of the test part, which the network never saw in training. In each pair the original is on the left and its"
        " reconstruction on the right. Look for what is lost: thin strokes, texture, unusual shapes.",
    )


def _words_of_worst(story: "Story", variant: str) -> Words:
    worst_one = f" The worst is {story.worst[0][0]}, at {number(story.worst[0][1])}." if story.worst else ""
    return (
        f"The test images with the largest error, each beside its reconstruction.{worst_one}",
        "The test images with the largest reconstruction error, largest first, with name and mean squared error. Rare,"
        " crowded or damaged images are often among them.",
    )


def _words_of_samples(story: "Story", variant: str) -> Words:
    return (
        "A grid of images decoded from new latents.",
        "New images, which are in no data set: a sampler draws latents, and the decoder turns them into images.",
    )


RECONSTRUCTIONS = FigureEntry(
    reconstructions,
    _reconstructions_of_run,
    _words_of_reconstructions,
    "reconstructions",
    options=(
        Option(
            "start",
            None,
            "first test image, which the others follow (default: images of all classes; recipe notebook: 200)",
            metavar="ROW",
        ),
        Option("pairs", None, "how many pairs (default: 100, fewer of large images)", metavar="N"),
        Option("per_row", None, "pairs per row (default: as many as fit, at most 10)", metavar="N"),
        AUTOSCALE,
    ),
)
WORST = FigureEntry(worst, _worst_of_run, _words_of_worst, "reconstructions")
SAMPLES = FigureEntry(
    samples,
    _samples_of_run,
    _words_of_samples,
    "probe-map",
    options=(
        Option("sampler", "class-means", "the sampler", str, tuple(SAMPLERS)),
        Option("n", 100, "how many samples", flag="-n", metavar="N"),
        SEED,
        PER_ROW,
    ),
    variants=_of_the_best_sampler,
)
CONTACT_SHEET = FigureEntry(samples, _contact_sheet_of_run, _words_of_contact_sheet, "data", options=(SEED,))
