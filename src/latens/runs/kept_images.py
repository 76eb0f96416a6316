"""Images that are stored in a run because they can't be loaded again: arrays and tensors in memory."""

import warnings
from typing import Any

import numpy as np

from latens.errors import ImagesError, RunDamaged
from latens.images import Dataset
from latens.images.contract import make_images
from latens.images.load import GIVEN, reader_of
from latens.images.pixels import PixelFormat
from latens.runs.record import RECORD, RunFolder
from latens.text import bytes_text

__all__ = ["IMAGES", "MOST_BYTES", "can_be_loaded_again", "images_to_keep", "load_kept_images"]

IMAGES = "images.npz"
MOST_BYTES = 1 << 30  # of pixels that are stored in a run


def images_to_keep(images: Dataset) -> dict[str, np.ndarray] | None:
    """The arrays of `images.npz`; None if the images can be loaded again from their source.

    Images of more than `MOST_BYTES` are not stored, with a warning.
    """
    if can_be_loaded_again(images):
        return None
    size = images.train.pixels.nbytes + images.test.pixels.nbytes
    if size > MOST_BYTES:
        warnings.warn(
            f"these images were given as an array of {bytes_text(size)}, and a run stores at most {bytes_text(MOST_BYTES)};"
            " to review, score or resume the run, give them again (images= of resume, data= of open_run)",
            stacklevel=4,
        )
        return None
    arrays = {"class_names": np.array(images.class_names, dtype=str)}
    for name, part in (("train", images.train), ("test", images.test)):
        arrays[f"{name}_pixels"], arrays[f"{name}_ids"] = np.asarray(part.pixels), np.asarray(part.ids).astype(str)
        if part.labels is not None:
            arrays[f"{name}_labels"] = part.labels
        arrays |= {f"{name}_column:{column}": values for column, values in part.columns.items()}
    return arrays


def can_be_loaded_again(images: Dataset) -> bool:
    """Whether `load_images` gives the same images again for `images.source`."""
    source = images.source
    table = images.options.get("table")
    labels_given_apart = source.endswith(".npy") and images.train.labels is not None and not table  # by labels=
    if table == GIVEN:
        return False
    return source not in ("", "array") and not labels_given_apart and _is_read(source)


def _is_read(source: str) -> bool:
    """Whether something reads a source: a name, what is there, a pattern that matches."""
    try:
        reader_of(source)
    except ImagesError:
        return False
    return True


def load_kept_images(folder: RunFolder) -> Dataset:
    """The data set that is stored in a run.

    Raises:
        RunDamaged: the file is missing, not valid, or was changed.
    """
    data: dict[str, Any] = folder.record["data"]
    arrays = folder.load(IMAGES, ("train_pixels", "train_ids", "test_pixels", "test_ids", "class_names"))
    names = tuple(arrays["class_names"].tolist())
    try:
        found = PixelFormat.from_json(data, int(data["shape"][0]))
    except ValueError as error:
        raise RunDamaged(f"{folder.path / RECORD}: has no valid range or channels ({error})") from None
    try:
        train, test = (
            make_images(
                arrays[f"{part}_pixels"],
                arrays[f"{part}_ids"],
                arrays.get(f"{part}_labels"),
                names,
                {
                    name.removeprefix(start): values
                    for start in (f"{part}_column:",)
                    for name, values in arrays.items()
                    if name.startswith(start)
                },
                value_range=found.value_range,
                channel_names=found.channel_names,
                show=found.show,
            )
            for part in ("train", "test")
        )
    except AssertionError:
        raise RunDamaged(f"{folder.path / IMAGES}: does not contain images") from None
    return Dataset(
        data["name"],
        data["source"],
        train,
        test,
        tuple(data["notes"]),
        dict(data["options"]),
        data["fingerprint"],
        data.get("rules", 1),
    )
