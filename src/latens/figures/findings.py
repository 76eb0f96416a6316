"""A sheet of images to check, in sections; below each image its name and a remark."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, TEXT, TITLE, WIDTH, fit, letter, new_figure, pixel_axes
from latens.figures.contract import REVIEW as REVIEWED
from latens.figures.contract import FigureEntry, Words
from latens.figures.tiles import check_images, compose, to_rgb, zoom
from latens.images.pixels import to_floats

if TYPE_CHECKING:
    from latens.computed.review import Finding, NewReview
    from latens.images import Dataset
    from latens.runs import Run
    from latens.story import Story

__all__ = ["REVIEW", "Section", "draw_new", "review"]

MARGIN, GAP, BETWEEN = 22, 16, 18  # pixels
TILE = 92
PER_ROW = 3
LINE = 24  # pixels from line to line
NAME_LINES = 2


@dataclass(frozen=True, eq=False)
class Section:
    """Pictures under one title.

    Args:
        title: a line above them.
        images: uint8, or float in [0, 1], (N, C, H, W), N at least 1.
        names: of each picture, or where there are partners of both; each gets up to two lines.
        remarks: a short line for each.
        partners: a second picture beside each, of the same shape, or None.
    """

    title: str
    images: np.ndarray
    names: Sequence[Sequence[str]]
    remarks: Sequence[str]
    partners: np.ndarray | None = None


def review(sections: Sequence[Section]) -> Figure:
    """The pictures of each section, three per row, each with its name and a remark below it.

    Args:
        sections: at least one; their pictures have one shape.

    Raises:
        UsageError: no section, pictures of several shapes, or not names and a remark for each picture.
    """
    _check(sections)
    cell = (WIDTH - 2 * MARGIN - (PER_ROW - 1) * GAP) // PER_ROW
    pictures, places, texts, top = [], [], [], MARGIN
    for section in sections:
        title = fit(section.title, WIDTH - 2 * MARGIN, TITLE, 2)
        texts.append((MARGIN, top, title, TITLE, INK))
        top += 12 + 28 * (title.count("\n") + 1)
        tiles = [zoom(to_rgb(images), TILE) for images in (section.images, section.partners) if images is not None]
        tall, wide = tiles[0].shape[1:3]
        step = min(wide, (cell - 4) // len(tiles))  # very wide pictures overlap rather than leave their cell
        lines = [[fit(name, cell, TEXT, NAME_LINES) for name in names] for names in section.names]
        for row in range(0, len(lines), PER_ROW):
            below = max(sum(name.count("\n") + 1 for name in names) for names in lines[row : row + PER_ROW]) + 1
            for index in range(row, min(row + PER_ROW, len(lines))):
                x, y = MARGIN + (index - row) * (cell + GAP), top
                places += [(x + place * (step + 4), y) for place in range(len(tiles))]
                pictures += [tile[index] for tile in tiles]
                names = "\n".join(lines[index])
                texts.append((x, y + tall + 6, names, TEXT, INK))
                remark = fit(section.remarks[index], cell, TEXT)
                texts.append((x, y + tall + 6 + LINE * (names.count("\n") + 1), remark, TEXT, MUTED))
            top += tall + 6 + LINE * below + GAP
        top += BETWEEN
    figure = new_figure(WIDTH, top)
    axes = pixel_axes(figure, 0, 0, WIDTH, top)
    axes.imshow(compose(np.stack(pictures), places, (WIDTH, top)), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    for x, y, text, size, colour in texts:
        letter(figure, x, y, text, size, color=colour)
    return figure


def _check(sections: Sequence[Section]) -> None:
    for section in sections:
        check_images(section.images, section.title)
    shapes = {np.shape(images)[1:] for one in sections for images in (one.images, one.partners) if images is not None}
    counts = [
        len(one.images)
        == len(one.names)
        == len(one.remarks)
        == len(one.images if one.partners is None else one.partners)
        for one in sections
    ]
    if len(shapes) != 1 or not all(counts):
        raise UsageError(
            f"{len(sections)} sections with images of {len(shapes)} shapes: at least one section, images of one shape, and"
            " names and a remark for each are needed"
        )


SECTIONS = {
    "far-from-all": "Far from all others, with the oddity score",
    "near-duplicate": "Near-duplicates, with their distance as a share of the usual one",
    "doubtful-label": "Doubtful labels: the label → the neighbours' class (doubt)",
}
NEW_SECTIONS = {
    "near-duplicate": "Near-duplicates of the run's images, or of each other",
    "odd": "Odd: farther from the run's images than its test images are",
    "doubtful-label": SECTIONS["doubtful-label"],
}
SHOWN = 18  # findings of each kind


def _of_run(run: "Run", images: "Dataset") -> Figure:
    from latens.computed.review import picker, read_review

    found, stored = read_review(run), picker(images)

    def pick(rows: np.ndarray) -> np.ndarray:
        return run.shown(stored(rows))

    sections = []
    for kind, title in SECTIONS.items():
        shown = found.of_kind(kind)[:SHOWN]
        if shown:
            pairs = [finding.other_row for finding in shown] if kind == "near-duplicate" else None
            pictures = pick(np.array([finding.row for finding in shown]))
            names, remarks = [_names(finding) for finding in shown], [_remark(finding) for finding in shown]
            sections.append(Section(title, pictures, names, remarks, None if pairs is None else pick(np.array(pairs))))
    return review(sections)


def draw_new(run: "Run", found: "NewReview") -> Figure | None:
    """The sheet of a review of new images; None where nothing was found."""
    from latens.computed.review import picker

    of_run, sections = picker(run.images), []
    for kind, title in NEW_SECTIONS.items():
        rows = found.rows_of(kind)[:SHOWN]
        if not rows:
            continue
        images = [found.images[row] for row in rows]
        names, partners = [[one.id] for one in images], None
        if kind == "near-duplicate":
            others = [found.partners[row] for row in rows]
            pairs = [
                found.pixels[other - found.num_run] if other >= found.num_run else of_run(np.array([other]))[0]
                for other in others
            ]
            partners = run.shown(np.stack([to_floats(pixels) for pixels in pairs]))
            names = [[one.id, _name(one.duplicate_part, one.duplicate_of)] for one in images]
        remarks = {
            "near-duplicate": [f"distance {one.duplicate_distance:.3f}" for one in images],
            "odd": [f"{one.odd_score:.1f}, p = {one.p_value:.3f} {one.label}".strip() for one in images],
            "doubtful-label": [f"{one.label} → {one.suggested} ({one.doubt:.2f})" for one in images],
        }[kind]
        pixels = run.shown(to_floats(found.pixels[rows]))
        sections.append(Section(title, pixels, names, remarks, partners))
    return review(sections) if sections else None


def _names(finding: "Finding") -> list[str]:
    names = [_name(finding.part, finding.id)]
    return [*names, _name(finding.other_part, finding.other_id)] if finding.kind == "near-duplicate" else names


def _name(part: str, id: str) -> str:
    """The part and the name, but once where the name begins with the part, as of a folder with both."""
    return id if id.startswith(f"{part}/") else f"{part} {id}"


def _remark(finding: "Finding") -> str:
    if finding.kind == "near-duplicate":
        return f"distance {finding.score:.3f}"
    if finding.kind == "doubtful-label":
        return f"{finding.label} → {finding.suggested} ({finding.score:.2f})"
    return f"{finding.score:.1f} {finding.label}".strip()


def _words(story: "Story", variant: str) -> Words:
    return (
        "Images that are far from all others, pairs of near-duplicates, and images with doubtful labels, each with its name.",
        "Images that a person should look at, the most striking first: images far from all others, near-duplicates side by"
        " side, and labels that the nearest neighbours contradict, with the neighbours' class.",
    )


REVIEW = FigureEntry(review, _of_run, _words, "review", (REVIEWED,))
