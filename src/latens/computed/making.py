"""Images that a run's model makes, and their files: reconstructions, images without noise, decoded latents, samples."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from latens.computed.given_images import BLOCK_VALUES, GivenImages
from latens.computed.stored import stored_arrays
from latens.errors import UsageError
from latens.files import atomic_write
from latens.images.pixels import as_bytes, from_floats, to_floats
from latens.images.writing import ImagesWriter, file_format, image_bytes
from latens.latents import decode_latents, encode_images
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import Samples
from latens.runs.tables import COLUMN
from latens.text import shown

__all__ = ["Made", "MadeBlock", "decoded", "denoised", "drawn", "reconstructed", "write_made"]

SHEET_COLUMNS, SHEET_ROWS = 20, 100  # of a PNG with many images
GAP, GAP_GREY = 2, 128  # pixels between two images of a sheet, and their grey


class MadeBlock(NamedTuple):
    """Some images that were made.

    Args:
        images: float32 (n, C, H, W), about [0, 1].
        ids: str (n,).
        more: arrays (n, ...) that belong to them: latents, labels, squared errors.
    """

    images: np.ndarray
    ids: np.ndarray
    more: dict[str, np.ndarray]


class Made:
    """Images that a model makes, not yet made.

    Args:
        total: how many.
        blocks: makes them, some at a time; called with what is told of progress.
        notes: what a user should be told, complete after the last block.
        constants: class names and the like, complete after the last block.
    """

    def __init__(
        self,
        total: int,
        blocks: Callable[[], Iterator[MadeBlock]],
        notes: Callable[[], list[str]] = list,
        constants: Callable[[], dict[str, np.ndarray]] = dict,
    ) -> None:
        self.total, self.blocks, self.notes, self.constants = total, blocks, notes, constants


def reconstructed(run: Run, source: Any, part: str = "all", **reading: Any) -> Made:
    """The reconstructions of any images, each with its latent, its squared error and the columns of its table.

    Args:
        run: whose model rebuilds them.
        source: see `GivenImages`.
        part: see `GivenImages`.
        **reading: how the images are read, see `GivenImages`.

    Raises:
        UsageError, ImagesError: see `GivenImages`.
    """
    given = GivenImages(run, source, part, **reading)
    labelled: list[np.ndarray] = []

    def blocks() -> Iterator[MadeBlock]:
        for block in given.blocks():
            latents = encode_images(run.model, block.pixels)
            images = decode_latents(run.model, latents)
            error = np.square(images - to_floats(block.pixels)).mean(axis=(1, 2, 3), dtype=np.float64)
            more = {"latents": latents, "squared_error": error.astype(np.float32)}
            more |= {COLUMN + name: column for name, column in block.columns.items()}
            if block.labels is not None:
                labelled.append(block.labels)
            yield MadeBlock(images, block.ids, more)

    def constants() -> dict[str, np.ndarray]:
        if not labelled:
            return {}
        labels, names = given.numbered(np.concatenate(labelled))
        return {"labels": labels, "class_names": names}

    return Made(given.total, blocks, lambda: given.notes, constants)


def denoised(run: Run, source: Any, part: str = "all", **reading: Any) -> Made:
    """Images without their noise, by a model that was trained to remove noise; otherwise as `reconstructed`.

    Raises:
        RunError: the model was not trained to.
    """
    run.check_denoises()
    return reconstructed(run, source, part, **reading)


def decoded(run: Run, path: str | os.PathLike[str]) -> Made:
    """The images of a file of latents, with its ids and labels.

    Args:
        run: whose model decodes.
        path: .npz with `latents` (N, D), as `latens encode` writes it, or .npy (N, D).

    Raises:
        UsageError: the file is not there, or its latents are not this model's.
    """
    stored = stored_arrays(run, path)
    latents = stored["latents"]
    if latents.shape[1] != run.model.latent_dim:
        raise UsageError(
            f"{shown(path)}: latents of {latents.shape[1]} numbers; the model of {shown(run.path)} takes {run.model.latent_dim}"
        )
    ids = stored["ids"].astype(str) if "ids" in stored else numbers(len(latents))
    length = max(1, BLOCK_VALUES // int(np.prod(run.image_shape)))

    def blocks() -> Iterator[MadeBlock]:
        for start in range(0, len(latents), length):
            rows = slice(start, start + length)
            here = np.array(latents[rows], np.float32)
            more = {"latents": here}
            if "labels" in stored:
                more["labels"] = np.array(stored["labels"][rows])
            yield MadeBlock(decode_latents(run.model, here), ids[rows], more)

    names = {"class_names": np.array(stored["class_names"])} if "class_names" in stored and "labels" in stored else {}
    return Made(len(latents), blocks, constants=lambda: names)


def drawn(run: Run, samples: Samples) -> Made:
    """Samples of a run, those of a class in a folder with its name."""
    ids = numbers(len(samples.images))
    more = {"latents": samples.latents}
    names = np.array(run.class_names, dtype=str)
    if samples.labels is not None:
        more["labels"] = samples.labels
        if len(names):
            ids = np.array([f"{names[label]}/{id}" for label, id in zip(samples.labels, ids, strict=True)], dtype=str)
    constants = {"class_names": names} if samples.labels is not None and len(names) else {}

    def blocks() -> Iterator[MadeBlock]:
        yield MadeBlock(samples.images, ids, more)

    return Made(len(ids), blocks, constants=lambda: constants)


def numbers(count: int) -> np.ndarray:
    """Ids for images that have none: their numbers from 0, of equal length.

    >>> numbers(11)[[0, 10]].tolist()
    ['00', '10']
    """
    digits = len(str(max(count - 1, 0)))
    return np.array([f"{number:0{digits}d}" for number in range(count)], dtype=str)


def write_made(run: Run, made: Made, out: str | os.PathLike[str], progress: Progress | None = None) -> dict[str, Any]:
    """Make images and write them: into a folder, into one .npz, or the first 2,000 onto a sheet.

    Pixels get the type and the range of the run's own images. A folder gets a PNG for each, or a TIFF where 8 bits or three
    channels do not do, by the names of the ids, and `images.npz` with all arrays.

    Args:
        run: that makes them.
        made: which.
        out: a name that ends with .npz or .png is a file; any other is a folder.
        progress: shows the progress.

    Returns:
        Facts for JSON: `folder`, `file`, `images`, `format`, `arrays` with the shape of each, `notes`.
    """
    out = Path(out)
    ending = "" if out.is_dir() else out.suffix.lower()
    form = run.format
    with (progress or Silent()).stage("images", "images") as tick:
        done = 0
        if ending == ".png":
            kept: list[np.ndarray] = []
            for block in made.blocks():
                kept.append(block.images[: max(0, SHEET_COLUMNS * SHEET_ROWS - done)])
                tick(done := done + len(block.ids), made.total)
                if done >= SHEET_COLUMNS * SHEET_ROWS:
                    break
            images = np.concatenate(kept)
            atomic_write(out, _sheet(run, images))
            return {"file": str(out), "images": len(images), "notes": made.notes()}
        with ImagesWriter(
            None if ending == ".npz" else out, out if ending == ".npz" else None, form.channel_names
        ) as writer:
            for block in made.blocks():
                pixels = from_floats(block.images, form.dtype, form.value_range)
                writer.add(pixels, block.ids, **block.more)
                tick(done := done + len(block.ids), made.total)
            shapes = writer.finish(**made.constants())
    facts: dict[str, Any] = {"file": str(writer.arrays), "images": writer.count}
    if writer.folder is not None:
        facts = {"folder": str(out), **facts, "format": file_format(np.dtype(form.dtype), form.channels)[1:]}
    return {**facts, "arrays": shapes, "notes": made.notes()}


def _sheet(run: Run, images: np.ndarray) -> bytes:
    """Images on one sheet, in order, as they are shown: a PNG."""
    images = run.shown(images)
    columns = min(len(images), SHEET_COLUMNS)
    _, channels, height, width = images.shape
    rows = -(-len(images) // columns)
    sheet = np.full((channels, rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), GAP_GREY, np.uint8)
    for place, pixels in enumerate(as_bytes(images)):
        top, left = place // columns * (height + GAP), place % columns * (width + GAP)
        sheet[:, top : top + height, left : left + width] = pixels
    return image_bytes(sheet)
