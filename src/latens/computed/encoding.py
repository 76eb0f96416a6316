"""Latents of a run's own images, kept in its folder, and of any other images."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from latens.arrays import blocks
from latens.computed.given_images import BLOCK_VALUES, GivenImages
from latens.images import Dataset
from latens.images.pixels import to_floats
from latens.latents import decode_latents, encode_images
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import TEST, TRAIN
from latens.runs.tables import COLUMN

__all__ = ["Encoded", "encode_given", "encode_run", "encode_source"]


def encode_run(run: Run, images: Dataset, progress: Progress | None = None) -> None:
    """Encode both parts, and note each image's squared error, into latents.npz."""
    total, done = len(images.train) + len(images.test), 0
    latents = np.empty((total, run.recipe.latent_dim), np.float32)
    errors = np.empty(total, np.float32)
    with (progress or Silent()).stage("latents", "images") as tick:
        for part in (images.train, images.test):
            for pixels in blocks(part.inputs, max(1, BLOCK_VALUES // prod(images.shape))):
                here = slice(done, done := done + len(pixels))
                latents[here] = encode_images(run.model, pixels)
                difference = decode_latents(run.model, latents[here]) - to_floats(pixels)
                errors[here] = np.square(difference).mean(axis=(1, 2, 3))
                tick(done, total)
    arrays = {
        "latents": latents,
        "squared_error": errors,
        "ids": np.concatenate([images.train.ids, images.test.ids]).astype(str),
        "part": np.repeat(np.array([TRAIN, TEST], np.uint8), [len(images.train), len(images.test)]),
    }
    if images.train.labels is not None and images.test.labels is not None:
        arrays["labels"] = np.concatenate([images.train.labels, images.test.labels])
    for name in images.train.columns:
        arrays[COLUMN + name] = np.concatenate([images.train.columns[name], images.test.columns[name]])
    run.write_arrays("latents.npz", arrays)


@dataclass(frozen=True, eq=False)
class Encoded:
    """The latents of some images.

    Args:
        arrays: `latents` float32 (N, D) and `ids` str (N,); where the images have labels also `labels` int64 (N,) and
            `class_names` str (K,), the name of each number; `column:NAME` (N,), a column of their table.
        notes: what a user should be told: files that were left out, images that were converted, unknown classes.
    """

    arrays: dict[str, np.ndarray]
    notes: tuple[str, ...]


def encode_source(
    run: Run,
    source: Any,
    part: str = "all",
    progress: Progress | None = None,
    **reading: Any,
) -> Encoded:
    """The latents of any images, in the source's own order; one file will do, and any number of images.

    Images of another size are resized to the model's, by the run's rule for other shapes; grey ones become colour and colour
    ones grey. Labels are numbered by the run's classes, found by name; classes that the run does not know get numbers after
    its own.

    Args:
        run: whose model encodes.
        source: as for `load_images`, or one image file.
        part: `"train"`, `"test"` or `"all"`. A source that is not split has parts only where it is the run's own data.
        progress: shows the progress.
        **reading: how the images are read: `strict`, `table`, `value_range`, `pages` and others of `GivenImages`.

    Raises:
        UsageError: the source is a run's folder, or has no such part.
        ImagesError: the images can't be read.
    """
    given = GivenImages(run, source, part, **reading)
    with (progress or Silent()).stage("latents", "images") as tick:
        arrays = encode_given(run, given, tick=tick)
    return Encoded(arrays, tuple(given.notes))


def encode_given(
    run: Run, given: GivenImages, rows: range | None = None, tick: Callable[[int, int], object] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of `Encoded`, of all images or of some rows that follow one another.

    Args:
        run: whose model encodes.
        given: the images.
        rows: which of them; None means all.
        tick: see `GivenImages.blocks`.
    """
    latents, ids = [np.empty((0, run.recipe.latent_dim), np.float32)], [np.empty(0, "U1")]
    labels: list[np.ndarray] = []
    columns: dict[str, list[np.ndarray]] = {}
    for block in given.blocks(tick, rows):
        latents.append(encode_images(run.model, block.pixels))
        ids.append(block.ids)
        if block.labels is not None:
            labels.append(block.labels)
        for name, column in block.columns.items():
            columns.setdefault(COLUMN + name, []).append(column)
    arrays = {"latents": np.concatenate(latents), "ids": np.concatenate(ids)}
    arrays |= {name: np.concatenate(column) for name, column in columns.items()}
    if labels:
        arrays["labels"], arrays["class_names"] = given.numbered(np.concatenate(labels))
    return arrays
