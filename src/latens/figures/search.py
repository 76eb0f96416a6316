"""A sheet of the nearest images: each query with its neighbours, their names and distances below them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from latens.errors import UsageError
from latens.figures.canvas import INK, MUTED, TEXT, TITLE, WIDTH, fit, letter, new_figure, pixel_axes
from latens.figures.tiles import check_images, compose, to_rgb, zoom
from latens.images.pixels import to_floats
from latens.text import number

if TYPE_CHECKING:
    from latens.computed.searching import Found
    from latens.runs import Run

__all__ = ["draw_found", "nearest_images"]

MARGIN, GAP, BETWEEN = 22, 18, 20  # pixels
TILE, SMALLEST = 96, 72
LINE = 23  # pixels from line to line
NAME_LINES = 2
MOST = 40  # queries on a sheet


def nearest_images(
    queries: np.ndarray, names: Sequence[str], found: np.ndarray, captions: Sequence[Sequence[tuple[str, str]]]
) -> Figure:
    """Each query beside its nearest images.

    Args:
        queries: as images are drawn, (M, C, H, W).
        names: of each query.
        found: (M, k, C, H, W), nearest first.
        captions: of each image that was found, its name and a short line below it.

    Raises:
        UsageError: the shapes don't fit.
    """
    queries = check_images(queries, "queries")
    if len(found) != len(queries) or found.ndim != 5 or not len(queries) == len(names) == len(captions):
        raise UsageError(f"{len(queries)} queries and found images of shape {found.shape}; (M, k, C, H, W) is needed")
    tiles = zoom(to_rgb(queries), TILE)
    others = zoom(to_rgb(found.reshape(-1, *found.shape[2:])), TILE).reshape(*found.shape[:2], *tiles.shape[1:])
    tall, wide = tiles.shape[1:3]
    cell = max(wide, SMALLEST)
    columns = max(1, (WIDTH - 2 * MARGIN + GAP) // (cell + GAP) - 1)  # beside the query
    pictures, places, texts, top = [], [], [], MARGIN
    for place, name in enumerate(names):
        texts.append((MARGIN, top, fit(name, WIDTH - 2 * MARGIN, TITLE), TITLE, INK))
        top += 30
        pictures.append(tiles[place])
        places.append((MARGIN, top))
        texts.append((MARGIN, top + tall + 4, "query", TEXT, MUTED))
        lines = [fit(first, cell + GAP - 3, TEXT, NAME_LINES) for first, _ in captions[place]]
        for row in range(0, max(1, len(lines)), columns):
            below = 1 + max((line.count("\n") + 1 for line in lines[row : row + columns]), default=0)
            for index in range(row, min(row + columns, len(lines))):
                x = MARGIN + (1 + index - row) * (cell + GAP)
                pictures.append(others[place, index])
                places.append((x, top))
                texts.append((x, top + tall + 4, lines[index], TEXT, INK))
                second = top + tall + 4 + LINE * (lines[index].count("\n") + 1)
                texts.append((x, second, fit(captions[place][index][1], cell + GAP - 3), TEXT, MUTED))
            top += tall + 4 + LINE * below + GAP
        top += BETWEEN
    figure = new_figure(WIDTH, top)
    axes = pixel_axes(figure, 0, 0, WIDTH, top)
    axes.imshow(compose(np.stack(pictures), places, (WIDTH, top)), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    for x, y, text, size, colour in texts:
        letter(figure, x, y, text, size, color=colour)
    return figure


def draw_found(run: "Run", found: "Found", images: object = None, **reading: Any) -> Figure:
    """The sheet of a search; of many queries the first 40.

    Args:
        run: that was searched.
        found: what was found.
        images: where the images of the latents of a file are; None for the run's own.
        **reading: how these images are read, see `GivenImages`.

    Raises:
        UsageError: the queries were given as latents; or a file of latents was searched, and its images are not named.
    """
    from latens.computed.searching import images_by_id

    rows, given = found.query_rows[:MOST], found.query_pixels[:MOST]
    if any(row < 0 and pixels is None for row, pixels in zip(rows, given, strict=True)):
        raise UsageError(
            "queries that are latents have no images, so no sheet can be drawn; search by images or by ids"
        )
    if found.source and images is None:
        raise UsageError(
            f"{found.source}: a file of latents holds no images to draw; say which were encoded: --images DATA"
        )
    ids = found.ids[: len(given)]
    own = [str(name) for name, pixels in zip(found.queries, given, strict=False) if pixels is None]
    looked_up = images_by_id(run, images, [*ids.reshape(-1).tolist(), *own], **reading)
    of_own = iter(looked_up[ids.size :])
    queries = np.stack([to_floats(next(of_own) if pixels is None else pixels) for pixels in given])
    captions = [
        [
            (one["id"], " · ".join(filter(None, (one.get("label"), number(one["distance"])))))
            for one in found.neighbours(place)
        ]
        for place in range(len(given))
    ]
    names = [str(name) for name in found.queries[: len(given)]]
    found_images = run.shown(looked_up[: ids.size])
    return nearest_images(
        run.shown(queries), names, found_images.reshape(*ids.shape, *found_images.shape[1:]), captions
    )
