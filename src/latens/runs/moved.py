"""Images of a run that were moved: compared with its fingerprint, and their new place recorded."""

import os
from typing import Any

from latens.errors import RunError
from latens.images import Dataset
from latens.images.load import load_again
from latens.runs.kept_images import can_be_loaded_again
from latens.runs.run import Run
from latens.text import shown

__all__ = ["take_images_from"]


def take_images_from(run: Run, source: Any) -> None:
    """Load the images of a run from another place, and record the place in run.json.

    Args:
        run: a run whose images were moved or renamed.
        source: where they are now, see `load_images`; or a `Dataset`.

    Raises:
        ImagesError: the images can't be read.
        RunError: they are not those that the run was trained on.
    """
    data = run.record["data"]
    images = source if isinstance(source, Dataset) else load_again(source, data)
    if images.fingerprint != data["fingerprint"]:
        raise RunError(
            f"{_named(source)}: not the images that {run.path} was trained on (the fingerprint differs): {_facts(images)} here,"
            f" {data['train']:,} + {data['test']:,} there; give the same images, unchanged"
        )
    run.images = images
    if images.source != data["source"] and can_be_loaded_again(images):
        run.update(data={**data, "source": images.source})


def _named(source: Any) -> str:
    return shown(source) if isinstance(source, str | os.PathLike) else "the images given"


def _facts(images: Dataset) -> str:
    return f"{len(images.train):,} to train on + {len(images.test):,} to test with"
