"""A first try of a model that lies in files: in a process of its own, before this one reads it."""

import os
from pathlib import Path

import numpy as np
import torch

from latens.adapters import adapt
from latens.errors import lacks_memory
from latens.isolated import isolated
from latens.models.adopted import AdoptedModel, latent_shape_of

__all__ = ["try_files", "try_here"]

MEMORY, COPIES = 2 << 30, 8  # bytes that a model may take for one image: so many, and so many times its files


def try_files(path: str | os.PathLike[str], image_shape: tuple[int, int, int]) -> None:
    """Read a model and let it encode and decode one black image, see `latens.isolated`.

    What a model merely gets wrong is left to `adopt`, which explains it.

    Raises:
        UsageError: reading it ends the process, takes much more memory than the files have bytes, or tries to open a
            connection or to start a program.
    """
    files = [file for file in Path(path).rglob("*") if file.is_file()] if Path(path).is_dir() else [Path(path)]
    size = sum(file.stat().st_size for file in files if file.exists())
    shape = [str(side) for side in image_shape]
    isolated("latens.adapters.trial:try_here", os.fspath(path), *shape, path=path, memory=MEMORY + COPIES * size)


def try_here(path: str, *shape: str) -> None:
    """As `try_files`, in this process."""
    try:
        given, (channels, height, width) = adapt(path), map(int, shape)
        black = np.zeros((1, channels, height, width), np.float32)
        model = AdoptedModel(
            (channels, height, width), latent_shape_of(given.encode, black), given.encode, given.decode
        )
        model.decode(model.encode(torch.from_numpy(black)))
    except Exception as error:
        if lacks_memory(error):
            raise
