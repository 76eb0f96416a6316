"""Latents of a run's own images, kept in its folder, and of any other images."""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from latens.arrays import blocks
from latens.errors import UsageError
from latens.images import Dataset
from latens.images.fit import default_fit
from latens.images.pictures import numbered_by, read_pictures
from latens.images.pixels import to_floats
from latens.images.plan import Block
from latens.latents import decode_latents, encode_images
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import TEST, TRAIN
from latens.text import counted, listed, quoted, shown

__all__ = ["Encoded", "encode_run", "encode_source"]

BLOCK_VALUES = 1 << 21  # of pixels; in memory several times as float32


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


@dataclass(frozen=True, eq=False)
class Encoded:
    """The latents of some images.

    Args:
        arrays: `latents` float32 (N, D) and `ids` str (N,); where the images have labels also `labels` int64 (N,) and
            `class_names` str (K,), the name of each number.
        notes: what a user should be told: files that were left out, images that were converted, unknown classes.
    """

    arrays: dict[str, np.ndarray]
    notes: tuple[str, ...]


def encode_source(
    run: Run, source: Any, part: str = "all", progress: Progress | None = None, *, strict: bool = False
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
        strict: refuse files that can't be read, instead of leaving them out with a note.

    Raises:
        UsageError: the source is a run's folder, or has no such part.
        ImagesError: the images can't be read.
    """
    progress = progress or Silent()
    _refuse_run_folder(source)
    own = run.images if part != "all" and _same_source(run, source) else source
    data = run.record["data"]
    fit = data["options"].get("fit", default_fit(data.get("rules", 1)))
    white = data["options"].get("white")
    pictures = read_pictures(own, run.image_shape, strict=strict, white=white, fit=fit)
    chosen = [one for one in pictures.parts if part in ("all", one.name)]
    if not chosen:
        raise UsageError(f"{shown(source)}: is not split into train and test; leave out the part (--part)")
    latents, ids, labels = [], [], []
    total, done = sum(len(one.ids) for one in chosen), 0
    with progress.stage("latents", "images") as tick, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata while files are decoded
        for one in chosen:
            for block in _larger(pictures.blocks(one)):
                latents.append(encode_images(run.model, block.pixels))
                ids.append(one.ids[block.rows])
                if one.labels is not None:
                    labels.append(one.labels[block.rows])
                tick(done := done + len(block.rows), total)
    pictures.note_refused()
    arrays = {"latents": np.concatenate(latents), "ids": np.concatenate(ids).astype(str)}
    notes = list(pictures.notes)
    if labels:
        used = np.unique(np.concatenate(labels))
        numbers, names = numbered_by(run.class_names, [pictures.plan.class_names[k] for k in used])
        arrays["labels"] = numbers[np.searchsorted(used, np.concatenate(labels))]
        arrays["class_names"] = np.array(names)
        unknown = names[len(run.class_names) :]
        if unknown and run.class_names:
            notes.append(
                f"{counted(len(unknown), 'class', 'classes')} that the run does not have, numbered from"
                f" {len(run.class_names)}: {listed(unknown)}"
            )
    return Encoded(arrays, tuple(notes))


def _refuse_run_folder(source: Any) -> None:
    if not isinstance(source, str | os.PathLike):
        return
    for folder in (Path(source), Path("runs") / source):
        if (folder / "run.json").is_file() and (folder == Path(source) or not Path(source).exists()):
            raise UsageError(
                f"{shown(source)}: a run's folder, not images; name the images too: latens encode {quoted(source)} DATA -o FILE"
            )


def _same_source(run: Run, source: Any) -> bool:
    """Whether a source is the one that the run was trained on."""
    known = run.record["data"]["source"]
    if str(source) == known:
        return True
    is_path = isinstance(source, str | os.PathLike)
    return is_path and os.path.exists(source) and os.path.exists(known) and os.path.samefile(source, known)


def _larger(blocks_of_files: Iterator[Block]) -> Iterator[Block]:
    """Joined blocks: those of a folder hold a few files, and a model is faster on many images at once."""
    waiting: list[Block] = []
    for block in blocks_of_files:
        waiting.append(block)
        if sum(one.pixels.size for one in waiting) >= BLOCK_VALUES:
            yield _together(waiting)
            waiting = []
    if waiting:
        yield _together(waiting)


def _together(parts: list[Block]) -> Block:
    return Block(np.concatenate([one.pixels for one in parts]), np.concatenate([one.rows for one in parts]))
