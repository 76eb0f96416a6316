"""A sheet of pictures that are worth a look, in sections, each picture with two lines below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, letter, new_figure, pixel_axes, shorten
from latens.figures.contract import REVIEW as REVIEWED
from latens.figures.contract import FigureEntry, Words
from latens.figures.tiles import check_images, compose, to_rgb, zoom

if TYPE_CHECKING:
    from latens.computed.review import Finding
    from latens.images import Dataset
    from latens.runs import Run
    from latens.story import Story

__all__ = ["REVIEW", "Section", "review"]

MARGIN, TITLE, BELOW, BETWEEN = 22, 30, 52, 14  # pixels
TILE, CELL = 64, 150
PER_ROW = 6


@dataclass(frozen=True, eq=False)
class Section:
    """Pictures under one title.

    Args:
        title: a line above them.
        images: uint8, or float in [0, 1], (N, C, H, W), N at least 1.
        captions: two short lines for each.
        partners: a second picture beside each, of the same shape, or None.
    """

    title: str
    images: np.ndarray
    captions: Sequence[tuple[str, str]]
    partners: np.ndarray | None = None


def review(sections: Sequence[Section]) -> Figure:
    """The pictures of each section, six a row, read row by row.

    Args:
        sections: at least one; their pictures have one shape.

    Raises:
        UsageError: no section, pictures of several shapes, or not one pair of lines a picture.
    """
    _check(sections)
    pictures, places, texts, top = [], [], [], MARGIN
    for section in sections:
        texts.append((MARGIN, top, section.title, 10.5, INK))
        top += TITLE
        tiles = [zoom(to_rgb(images), TILE) for images in (section.images, section.partners) if images is not None]
        tall, wide = tiles[0].shape[1:3]
        across = max(CELL, len(tiles) * (wide + 3) + 20)
        for index, lines in enumerate(section.captions):
            x, y = MARGIN + index % PER_ROW * across, top + index // PER_ROW * (tall + BELOW)
            places += [(x + place * (wide + 3), y) for place in range(len(tiles))]
            pictures += [tile[index] for tile in tiles]
            texts += [(x, y + tall + 6, lines[0], 7.5, INK), (x, y + tall + 22, lines[1], 7.5, MUTED)]
        top += -(-len(section.captions) // PER_ROW) * (tall + BELOW) + BETWEEN
    width = max(max(x for x, _ in places) + max(CELL, wide) + MARGIN, 520)
    figure = new_figure(width, top)
    axes = pixel_axes(figure, 0, 0, width, top)
    axes.imshow(compose(np.stack(pictures), places, (width, top)), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    for x, y, text, size, colour in texts:
        letter(figure, x, y, text if size > 8 else shorten(text, 24), size, color=colour)
    return figure


def _check(sections: Sequence[Section]) -> None:
    for section in sections:
        check_images(section.images, section.title)
    shapes = {np.shape(images)[1:] for one in sections for images in (one.images, one.partners) if images is not None}
    counts = [
        len(one.images) == len(one.captions) == len(one.images if one.partners is None else one.partners)
        for one in sections
    ]
    if len(shapes) != 1 or not all(counts):
        raise UsageError(
            f"{len(sections)} sections with pictures of {len(shapes)} shapes: at least one section, pictures of one shape and"
            " a pair of lines for each are needed"
        )


SECTIONS = {
    "far-from-all": "Far from all others: strangeness",
    "near-duplicate": "Near-duplicates: both pictures, and their distance as a share of what is usual",
    "doubtful-label": "Doubtful labels: the label, and the class that the neighbours have",
}
SHOWN = 18  # findings of each kind


def _of_run(run: "Run", images: "Dataset") -> Figure:
    from latens.computed.review import picker, read_review

    found, pick = read_review(run), picker(images)
    sections = []
    for kind, title in SECTIONS.items():
        shown = found.of_kind(kind)[:SHOWN]
        if shown:
            pairs = [finding.other_row for finding in shown] if kind == "near-duplicate" else None
            pictures = pick(np.array([finding.row for finding in shown]))
            captions = [_caption(finding) for finding in shown]
            sections.append(Section(title, pictures, captions, None if pairs is None else pick(np.array(pairs))))
    return review(sections)


def _caption(finding: "Finding") -> tuple[str, str]:
    if finding.kind == "near-duplicate":
        return f"{finding.id}, {finding.other_id}", f"{finding.part}, {finding.other_part}: {finding.score:.3f}"
    if finding.kind == "doubtful-label":
        return f"{finding.part} {finding.id}", f"{finding.label} → {finding.suggested} ({finding.score:.2f})"
    return f"{finding.part} {finding.id}", f"{finding.score:.1f} {finding.label}".strip()


def _words(story: "Story", variant: str) -> Words:
    return (
        "Images that are far from all others, pairs of near-duplicates, and images with doubtful labels, each with its name.",
        "Images that a person should look at, the most striking first: images far from all others, near-duplicates side by"
        " side, and labels that the nearest neighbours contradict, with the neighbours' class.",
    )


REVIEW = FigureEntry(review, _of_run, _words, "review", (REVIEWED,))
