"""Between the data and beyond: paths from image to image, traversals of directions, sums and differences of latents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, letter, new_figure, pixel_axes, printable, renderer_of, shorten, wrap
from latens.figures.contract import TWO_TEST_IMAGES, VARYING_LATENTS, FigureEntry, Option, Words
from latens.figures.options import FIRST
from latens.figures.tiles import check_images, compose, to_rgb, zoom
from latens.interpolation import PATHS

if TYPE_CHECKING:
    from latens.images import Dataset
    from latens.runs import Run
    from latens.story import Story

__all__ = ["ARITHMETIC", "PATH", "TRAVERSALS", "PathRow", "arithmetic", "path", "traversals"]

MARGIN = 22
GUTTER = 112  # at the left of each row, for what it shows
GAP = 5  # between pictures of a row
APART = 18  # between the originals and the row
BELOW = 19  # a picture's number
WIDTH = 1240
LEAST = 64  # of a row's height: room for its name and two lines more
NUMBER_WIDTH = 38  # pixels that a ratio takes
MOST = 100  # steps, directions or operands that can still be looked at
SMALL = 40  # of the real images that a path passes
RATIO = "×: distance from the data; 1 is usual."  # the report says it in full


def _no_images() -> np.ndarray:
    return np.empty((0, 1, 1, 1))


@dataclass(frozen=True)
class PathRow:
    """One way from image to image, as `path` draws it.

    Args:
        way: its name.
        pictures: what is decoded along it, float in [0, 1], (steps, C, H, W).
        ratios: how far each point lies from the data, (steps,).
        remark: a few words below its name ("1.3 × as long").
        passed: the real images that it passes, as `pictures`, (P, C, H, W); none by default.
        places: where along it they are, from 0 to 1, (P,).
    """

    way: str
    pictures: np.ndarray
    ratios: np.ndarray
    remark: str = ""
    passed: np.ndarray = field(default_factory=_no_images)
    places: np.ndarray = field(default_factory=lambda: np.empty(0))


def path(rows: Sequence[PathRow], ends: np.ndarray, names: Sequence[str], title: str = "", note: str = "") -> Figure:
    """Ways from one image to another, one below the other, between the two originals.

    Args:
        rows: one a way; all of as many steps.
        ends: the originals, uint8 or float in [0, 1], (2, C, H, W).
        names: of the originals, two.
        title: a line above.
        note: a sentence more below.

    Raises:
        UsageError: no row, rows of different lengths, or shapes that don't fit.
    """
    steps = _check_path(rows, ends, names)
    room = WIDTH - 2 * MARGIN - GUTTER - 2 * APART
    pictures = [zoom(to_rgb(row.pictures), min(96, max(12, room // (steps + 2) - GAP))) for row in rows]
    originals = zoom(to_rgb(ends), max(pictures[0].shape[1:3]))
    tall, wide = pictures[0].shape[1:3]
    side = max(wide, 56)  # room for the name below an original
    first = MARGIN + GUTTER + side + APART
    across = wide + GAP
    end = first + steps * across - GAP + APART
    passed = [zoom(to_rgb(row.passed), SMALL) if len(row.passed) else None for row in rows]
    heights = [max(tall + BELOW + 9, LEAST) + (0 if small is None else small.shape[1] + 12) for small in passed]
    width, top = end + side + MARGIN, (46 if title else MARGIN) + 34
    lines = wrap(f"{RATIO} {note}", int((width - 2 * MARGIN) / 6.9), 4)
    figure = new_figure(width, top + sum(heights) + 8 + 16 * (lines.count("\n") + 1) + 12)
    _title(figure, title)
    for name, left in zip(names, (MARGIN + GUTTER, end), strict=True):
        letter(figure, left + side / 2, top - 6, _caption(name, int((side + 12) / 7.2)), 7.5, ha="center", va="bottom")
    down = top
    for row, shown, small, height in zip(rows, pictures, passed, heights, strict=True):
        _names(figure, row.way, row.remark, down, tall)
        _strip(figure, shown, first + across * np.arange(steps), down)
        _numbers(figure, row.ratios, first + across * np.arange(steps) + wide / 2, down + tall + 4, across)
        for original, left in zip(originals, (MARGIN + GUTTER, end), strict=True):
            _strip(figure, original[None], np.array([left + (side - wide) // 2]), down)
        if small is not None:
            _passed(
                figure,
                small,
                row.places,
                (first + wide / 2, end - APART - wide / 2),
                down + height - small.shape[1] - 16,
            )
        down += height
    letter(figure, MARGIN, down + 8, lines, 8, color=INK)
    return figure


def traversals(
    pictures: np.ndarray,
    ratios: np.ndarray,
    shares: Sequence[float] | np.ndarray,
    deviations: Sequence[float] | np.ndarray,
    title: str = "",
    note: str = "",
) -> Figure:
    """Images decoded along the directions in which the latents vary most, one direction per row.

    Args:
        pictures: float in [0, 1], (directions, steps, C, H, W).
        ratios: how far each latent lies from the data, (directions, steps).
        shares: of the variance, one a direction.
        deviations: how far each step goes, in standard deviations, (steps,).
        title: a line above.
        note: a sentence more below.

    Raises:
        UsageError: shapes that don't fit each other.
    """
    pictures, ratios = np.asarray(pictures), np.asarray(ratios)
    if pictures.ndim != 5 or ratios.shape != pictures.shape[:2] or ratios.shape != (len(shares), len(deviations)):
        raise UsageError(
            f"images {pictures.shape}, ratios {ratios.shape}, {len(shares)} shares, {len(deviations)} deviations:"
            " (directions, steps, C, H, W), (directions, steps), one a direction and one a step are needed"
        )
    check_images(pictures.reshape(-1, *pictures.shape[2:]), "images")
    _check_few(max(ratios.shape), "steps or directions")
    steps = len(deviations)
    shown = [zoom(to_rgb(row), min(84, max(12, (WIDTH - 2 * MARGIN - GUTTER) // steps - GAP))) for row in pictures]
    tall, wide = shown[0].shape[1:3]
    across = max(wide, NUMBER_WIDTH) + GAP
    lefts = MARGIN + GUTTER + across * np.arange(steps)
    width = max(MARGIN + GUTTER + steps * across - GAP, min(8.8 * len(title) + MARGIN, WIDTH), 480) + MARGIN
    lines = wrap(f"{RATIO} {note}", int((width - 2 * MARGIN) / 6.9), 6)
    top = (46 if title else MARGIN) + 18
    height = max(tall + BELOW + 9, LEAST)
    figure = new_figure(width, top + height * len(shown) + 8 + 16 * (lines.count("\n") + 1) + 12)
    _title(figure, title)
    for left, deviation in zip(lefts, deviations, strict=True):
        text = f"{deviation:+.2g}".replace("-", "−") + " sd" if deviation else "middle"
        letter(figure, left + wide / 2, top - 6, text, 8, ha="center", va="baseline", color=MUTED)
    for k, row in enumerate(shown):
        down = top + k * height
        _names(figure, f"direction {k + 1}", f"{100 * shares[k]:.1f} % of the variance", down, tall)
        _strip(figure, row, lefts, down)
        _numbers(figure, ratios[k], lefts + wide / 2, down + tall + 4, across)
    letter(figure, MARGIN, top + len(shown) * height + 8, lines, 8, color=INK)
    return figure


def arithmetic(
    operands: np.ndarray,
    names: Sequence[str],
    num_plus: int,
    result: np.ndarray,
    ratio: float,
    nearest: np.ndarray,
    nearest_name: str,
    note: str = "",
) -> Figure:
    """Latents added and taken away, as a sum of pictures; beside what is decoded of the result, the nearest real image.

    Args:
        operands: a picture of each, uint8 or float in [0, 1], (K, C, H, W): first those that are added.
        names: of the operands, K.
        num_plus: how many of them are added; the others are taken away.
        result: what is decoded of the result, (C, H, W).
        ratio: how far the result lies from the data.
        nearest: the image whose latent is nearest to the result, (C, H, W).
        nearest_name: its name.
        note: a sentence more below.

    Raises:
        UsageError: shapes that don't fit, or nothing that is added.
    """
    operands = check_images(operands, "operands")
    if len(names) != len(operands) or not 1 <= num_plus <= len(operands):
        raise UsageError(
            f"{len(operands)} operands, {len(names)} names, {num_plus} added: one name each, at least 1 added"
        )
    _check_few(len(operands), "operands")
    order, signs = _in_turn(num_plus, len(operands) - num_plus)
    shown = [*(to_rgb(operands)[order]), *to_rgb(np.stack([result]).astype(np.float32)), *to_rgb(nearest[None])]
    count = len(shown)
    pictures = zoom(np.stack(shown), min(112, max(24, (WIDTH - 2 * MARGIN) // count - 34)))
    tall, wide = pictures.shape[1:3]
    cell = max(wide, 84) + 26
    lefts = MARGIN + cell * np.arange(count) + (cell - 26 - wide) // 2
    lefts[-1] += 24
    width = max(cell * count + 12 + 2 * MARGIN, 560)
    lines = wrap(f"{RATIO} {note}", int((width - 2 * MARGIN) / 6.9), 6)
    below = _caption(nearest_name, int(cell / 7.6))
    last = MARGIN + tall + 54 + 15 * below.count("\n")
    figure = new_figure(width, last + 14 + 16 * (lines.count("\n") + 1) + 12)
    _strip(figure, pictures, lefts, MARGIN)
    texts = [names[i] for i in order] + ["result", "nearest real image"]
    for k, (left, text) in enumerate(zip(lefts, texts, strict=True)):
        words = wrap(text, int(cell / 7.6) if k < count - 1 else len(text), 2)
        letter(figure, left + wide / 2, MARGIN + tall + 6, words, 8, ha="center")
        if k and k < count - 1:
            sign = "=" if k == count - 2 else signs[k]
            letter(figure, MARGIN + cell * k - 13, MARGIN + tall / 2, sign, 14, ha="center", va="center")
    for left, text in zip(lefts[-2:], (_ratio(ratio), below), strict=True):
        letter(figure, left + wide / 2, MARGIN + tall + 24, text, 8, ha="center", color=MUTED)
    letter(figure, MARGIN, last, lines, 8, color=INK)
    return figure


def _check_path(rows: Sequence[PathRow], ends: np.ndarray, names: Sequence[str]) -> int:
    if not rows:
        raise UsageError("a path needs at least one way; got none")
    ends = check_images(ends, "ends")
    if len(ends) != 2 or len(names) != 2:
        raise UsageError(f"{len(ends)} ends and {len(names)} names: two of each are needed")
    steps = len(rows[0].pictures)
    _check_few(steps, "steps")
    for row in rows:
        if check_images(row.pictures, row.way).shape != (steps, *ends.shape[1:]) or len(row.ratios) != steps:
            raise UsageError(
                f"{row.way}: images {row.pictures.shape} and {len(row.ratios)} ratios; {steps} of each of the"
                f" shape {ends.shape[1:]} are needed"
            )
        if len(row.passed) != len(row.places):
            raise UsageError(f"{row.way}: {len(row.passed)} images passed at {len(row.places)} places: one each")
    return steps


def _check_few(count: int, what: str) -> None:
    if count > MOST:
        raise UsageError(f"{count} {what} are more than a figure shows; give {MOST} at most")


def _in_turn(num_plus: int, num_minus: int) -> tuple[list[int], list[str]]:
    """The order in which operands are written, a - b + c, and the sign before each."""
    order, signs = [0], [""]
    plus, minus = list(range(1, num_plus)), list(range(num_plus, num_plus + num_minus))
    while plus or minus:
        for rest, sign in ((minus, "−"), (plus, "+")):
            if rest:
                order.append(rest.pop(0))
                signs.append(sign)
    return order, signs


def _title(figure: Figure, text: str) -> None:
    """A line at the top, shortened where the sheet is too narrow for it."""
    line = letter(figure, MARGIN, 15, text, 10.5)
    room, renderer = figure.bbox.width - 2 * MARGIN, renderer_of(figure)
    while (width := line.get_window_extent(renderer).width) > room:
        text = shorten(text, int(0.95 * len(text) * room / width))
        line.set_text(printable(text))


def _names(figure: Figure, name: str, remark: str, top: float, tall: int) -> None:
    letter(figure, MARGIN, top + tall / 2 - 2, shorten(name, 14), 9, va="bottom")
    letter(figure, MARGIN, top + tall / 2 + 3, wrap(remark, 16, 2), 7.5, color=MUTED)


def _caption(name: str, length: int) -> str:
    """An image's number and its class, one below the other where they are too long for a line."""
    parts = [name] if len(name) <= length else name.split(" · ", 1)
    return "\n".join(shorten(part, length) for part in parts)


def _strip(figure: Figure, pictures: np.ndarray, lefts: np.ndarray, top: float) -> None:
    """Pictures side by side at places given in pixels, as one image."""
    tall, wide = pictures.shape[1:3]
    first = int(lefts[0])
    size = (int(lefts[-1]) - first + wide + 2, tall + 2)
    sheet = compose(pictures, [(int(left) - first + 1, 1) for left in lefts], size)
    axes = pixel_axes(figure, first - 1, top - 1, *size)
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()


def _numbers(figure: Figure, ratios: np.ndarray, middles: np.ndarray, top: float, across: float) -> None:
    """How far each is from the data; where pictures are narrow, of every so many only."""
    every = -(-NUMBER_WIDTH // int(across))
    for k in range(0, len(ratios), every):
        far = ratios[k] > 1
        letter(figure, middles[k], top, _ratio(ratios[k]), 7.5, ha="center", color=INK if far else MUTED)


def _ratio(ratio: float) -> str:
    if not np.isfinite(ratio):
        return "–" if np.isnan(ratio) else "∞"
    return f"{ratio:.1f} ×" if ratio < 99.95 else f"{ratio:.0f} ×"


def _passed(figure: Figure, small: np.ndarray, places: np.ndarray, between: tuple[float, float], top: float) -> None:
    """The real images that a path passes, small, each where it is passed, or as near to that as there is room."""
    tall, wide = small.shape[1:3]
    left, right = between
    most = max(1, int((right - left + wide) // (wide + 4)))
    chosen = np.unique(np.linspace(0, len(small) - 1, min(most, len(small))).astype(int))
    lefts = left + (right - left) * places[chosen] - wide / 2
    for k in range(1, len(lefts)):  # from the left, each clear of the one before
        lefts[k] = max(lefts[k], lefts[k - 1] + wide + 4)
    limit = right + wide / 2 + 4
    for k in reversed(range(len(lefts))):  # and back from the right edge
        limit = lefts[k] = min(lefts[k], limit - wide - 4)
    _strip(figure, small[chosen], lefts.round(), top)
    text = f"{len(small)} real image{'s' * (len(small) > 1)} on its way"
    letter(figure, MARGIN, top + tall / 2, wrap(text, 16, 2), 7.5, va="center", color=MUTED)


def _path_of_run(
    run: "Run", images: "Dataset", first: int | None, last: int | None, way: str | None, steps: int
) -> Figure:
    from latens.computed.interpolations import default_pair, image_name, paths_of_run, pixels_of

    pair = default_pair(run, first, last)
    found = paths_of_run(run, *pair, tuple(PATHS) if way is None else (way,), steps)
    straight = float(np.linalg.norm(found[0].path.latents[-1] - found[0].path.latents[0])) or 1.0
    rows = []
    for decoded in found:
        one, shape = decoded.path, (0, *run.image_shape)
        inner = (one.places > 0) & (one.places < 1)  # its ends stand beside the row already
        passed = pixels_of(images, one.rows[inner], run.mapped_part) if inner.any() else np.empty(shape, np.float32)
        remark = f"{one.length / straight:.2f} × the straight line" if one.way != "linear" else ""
        shown, passed = run.shown(decoded.pictures), run.shown(passed)
        rows.append(PathRow(one.way, shown, decoded.ratios, remark, passed, one.places[inner]))
    names = [image_name(run, row) for row in pair]
    title = "From image {} to image {} of the test part".format(*pair)
    note = " ".join(f"{d.path.way.capitalize()}: {d.path.note}." for d in found if d.path.note)
    return path(rows, run.shown(images.test.inputs[list(pair)]), names, title, note)


def _traversals_of_run(run: "Run", images: "Dataset", first: int | None, steps: int, directions: int) -> Figure:
    from latens.computed.interpolations import traversals_of_run

    found, pictures, ratios = traversals_of_run(run, directions, steps, first)
    middle = "the mean latent" if first is None else f"image {first} of the test part"
    title = f"Through {middle}, along the directions in which latents vary most"
    shown = run.shown(pictures.reshape(-1, *run.image_shape)).reshape(*ratios.shape, *run.shown_shape)
    return traversals(shown, ratios, found.shares, found.deviations, title, _held(found.cut.max()))


def _arithmetic_of_run(run: "Run", images: "Dataset", plus: Sequence[str], minus: Sequence[str]) -> Figure:
    from latens.computed.interpolations import arithmetic_of_run, image_name, pixels_of

    found = arithmetic_of_run(run, images, plus, minus)
    nearest = pixels_of(images, np.array([found.nearest]), run.mapped_part)[0]
    name, note = image_name(run, found.nearest, run.mapped_part), _held(found.cut)
    if name in found.names:
        note += " The nearest real image is one of the operands."
    operands, result, nearest = (
        run.shown(found.operands),
        run.shown(found.picture[None])[0],
        run.shown(nearest[None])[0],
    )
    return arithmetic(operands, found.names, found.num_plus, result, found.ratio, nearest, name, note)


def _held(share: float) -> str:
    if not share:
        return ""
    return (
        "Values that the encoder cannot give (below 0 behind a ReLU) were set to the nearest that it can:"
        f" up to {100 * share:.0f} % of a latent."
    )


def _words_of_path(story: "Story", variant: str) -> Words:
    return (
        "Rows of decoded images from one test image to another: along a straight line, along an arc, and along a chain of"
        " real latents; the originals stand at both ends.",
        "From one test image to another: straight through latent space, along an arc about zero, and along the shortest chain"
        " of neighbouring real latents. Where the straight way shows two images at once or a blurred one while the chain"
        " shows good ones, the decoder is able and the space between is empty. The small images are the real images on the"
        " chain.",
    )


def _words_of_traversals(story: "Story", variant: str) -> Words:
    return (
        "Rows of decoded images, one row per principal direction of the latents, from three standard deviations below the"
        " mean to three above.",
        "The directions in which the latents vary most, largest first, each followed to both sides of the mean latent. What"
        " changes along a row is what that direction controls. The mean, and most of these places, are the latent of no"
        " real image.",
    )


def _words_of_arithmetic(story: "Story", variant: str) -> Words:
    return (
        "A sum of images: one image, minus the mean of its class, plus the mean of another; the decoded result, and the real"
        " image nearest to it.",
        "One image, minus the mean latent of its class, plus that of another class. If the latent kept class and style apart,"
        " the result would be the other class in the style of the first image. Beside it the real image whose latent is"
        " nearest.",
    )


def _with_labels(run: "Run") -> Mapping[str, Mapping[str, Any]]:
    """Without classes there is no sum that means something unasked; one of images can be asked for."""
    return {"": {}} if run.class_names else {}


PATH = FigureEntry(
    path,
    _path_of_run,
    _words_of_path,
    "between",
    (TWO_TEST_IMAGES,),
    (
        FIRST,
        Option("last", None, "the image of the test part where it ends", flag="--to", metavar="ROW"),
        Option("way", None, "one way (default: all)", str, tuple(PATHS)),
        Option("steps", 11, "points on the path", metavar="N"),
    ),
    small_letters=True,
)
TRAVERSALS = FigureEntry(
    traversals,
    _traversals_of_run,
    _words_of_traversals,
    "between",
    (VARYING_LATENTS,),
    (
        FIRST,
        Option("steps", 7, "points per direction", metavar="N"),
        Option("directions", 6, "how many directions", metavar="N"),
    ),
    small_letters=True,
)
ARITHMETIC = FigureEntry(
    arithmetic,
    _arithmetic_of_run,
    _words_of_arithmetic,
    "between",
    options=tuple(
        Option(sign, (), f"test images (7) or class means (mean:CLASS) that are {what}", str, metavar="WHAT", many=True)
        for sign, what in (("plus", "added"), ("minus", "subtracted"))
    ),
    variants=_with_labels,
    small_letters=True,
)
