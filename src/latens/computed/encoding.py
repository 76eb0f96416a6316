"""Latents: of a run's own images, kept in its folder, and of any others."""

from math import prod
from typing import Any

import numpy as np

from latens.images import Dataset, load_images
from latens.images.mapped import blocks
from latens.images.pixels import to_floats
from latens.latents import decode_latents, encode_images
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.folder import TEST, TRAIN

__all__ = ["encode_run", "encode_source"]

BLOCK_VALUES = 1 << 21  # of pixels, in memory as float32 a few times over


def encode_run(run: Run, images: Dataset, progress: Progress | None = None) -> None:
    """Encode both parts, and note each image's squared error, into latents.npz."""
    total, done = len(images.train) + len(images.test), 0
    latents = np.empty((total, run.recipe.latent_dim), np.float32)
    errors = np.empty(total, np.float32)
    with (progress or Silent()).stage("latents", "images") as tick:
        for part in (images.train, images.test):
            for pixels in blocks(part.pixels, max(1, BLOCK_VALUES // prod(images.shape))):
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
    run.write_arrays("latents.npz", arrays)


def encode_source(run: Run, source: Any, part: str = "all", progress: Progress | None = None) -> dict[str, np.ndarray]:
    """The latents of any images, with what is known of them; images of another size are resized to the model's.

    Args:
        run: whose model encodes.
        source: see `load_images`.
        part: `"train"`, `"test"` or `"all"`.
        progress: shows how far it is.

    Returns:
        `latents` float32 (N, D), `ids` (N,), and `labels` (N,) where there are any.
    """
    progress = progress or Silent()
    data = run.record["data"]
    options = data["options"] if str(source) == data["source"] else {"size": run.image_shape[1:]}
    with progress.stage("images", "pictures") as tick:
        images = load_images(source, **options, progress=tick)
    parts = {"train": [images.train], "test": [images.test], "all": [images.train, images.test]}[part]
    with progress.stage("latents", "images") as tick:
        latents = [encode_images(run.model, one, tick) for one in parts]
    arrays = {"latents": np.concatenate(latents), "ids": np.concatenate([one.ids for one in parts]).astype(str)}
    labels = [one.labels for one in parts if one.labels is not None]
    return {**arrays, "labels": np.concatenate(labels)} if labels else arrays
