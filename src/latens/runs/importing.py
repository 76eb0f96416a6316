"""Make a run of weights that were saved from the notebook that latens follows (the reference experiment)."""

import os
import pickle
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError

from latens.errors import RunError, UsageError, lacks_memory
from latens.files import open_regular, read_safetensors, safetensors_content
from latens.images import Dataset
from latens.isolated import isolated
from latens.runs.recording import start_run
from latens.runs.run import WEIGHTS, Run
from latens.text import listed
from latens.training.loop import build_model, evaluate
from latens.training.recipes import notebook

__all__ = ["hand_over", "import_weights", "read_state", "read_weights"]

# How the files of torch.save begin: today's, and those before torch 1.6, of any protocol of pickle.
BEGINNINGS = re.compile(rb"PK\x03\x04|\x80[\x02-\x05](\x95.{8})?\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19", re.DOTALL)
MEMORY, COPIES = 1 << 30, 4  # bytes that reading may take: so many, and so many times the file
WRAPPERS = ("module", "_orig_mod")


def import_weights(
    path: str | os.PathLike[str],
    images: Dataset,
    out: str | os.PathLike[str] | None = None,
    device: str = "cpu",
    weights: Mapping[str, torch.Tensor] | None = None,
) -> Run:
    """Make a run of a state_dict of the reference experiment's network.

    Args:
        path: what `torch.save(model.state_dict(), path)` wrote.
        images: what the weights were trained on; the run is measured on its test part.
        out: the new run's folder.
        device: where the run's model works.
        weights: what `read_weights` gave for the file, where that was read already.

    Raises:
        UsageError: the file is no state_dict, or not one of this network for images of this shape.
        RunError: the file is not there, or the folder is taken.
    """
    weights = read_weights(path) if weights is None else weights
    latent_dim = _latent_dim(weights, path)
    recipe = replace(notebook(images), name="imported", latent_dim=latent_dim)
    model = build_model(recipe, images.shape)
    _load(model, weights, path)
    run = start_run(images, recipe, out, device)
    run.model.load_state_dict(model.state_dict())
    result = {"imported": Path(path).name, "test_mse": evaluate(run.model, images.test.pixels)}
    run.folder.commit({WEIGHTS: model.state_dict()}, status="trained", result=result)
    return run


def read_weights(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """The tensors of a state_dict by name, without the prefixes that wrappers of torch add.

    A process of its own reads the file, see `latens.isolated`, and hands its tensors over as safetensors, which are numbers only.

    Raises:
        UsageError: the file holds no weights, or more than weights, or asks for much more memory than it has bytes.
        RunError: it is not there, or can't be read.
    """
    size = Path(path).stat().st_size if Path(path).is_file() else 0
    with TemporaryDirectory() as name:
        handed = Path(name) / "weights.safetensors"
        isolated(
            "latens.runs.importing:hand_over", os.fspath(path), str(handed), path=path, memory=MEMORY + COPIES * size
        )
        return read_safetensors(handed)


def hand_over(path: str, to: str) -> None:
    """Write the tensors of a state_dict as safetensors; errors as of `read_weights`. The file's reader may be attacked by it."""
    weights = read_state(path)
    try:
        content = safetensors_content(weights)
    except (SafetensorError, ValueError, TypeError, KeyError, RuntimeError) as error:
        if lacks_memory(error):
            raise
        raise UsageError(
            f"{path}: holds tensors of a kind that is no weight: {' '.join(str(error).split())[:200]}"
        ) from None
    Path(to).write_bytes(content)


def read_state(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """As `read_weights`, in this process. Nothing in the file is run."""
    try:
        with open_regular(path) as file:
            start = file.read(23)
    except FileNotFoundError:
        raise RunError(f"{path}: no such file") from None
    except OSError as error:
        raise RunError(f"{path}: not readable ({error.strerror})") from None
    if not BEGINNINGS.match(start):
        raise UsageError(f"{path}: not a weights file; a file that torch.save(model.state_dict(), ...) wrote is needed")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise UsageError(
            f"{path}: holds more than weights, maybe a whole model; in the program that made it, save the weights alone:"
            " torch.save(model.state_dict(), 'state.pt')"
        ) from None
    except Exception as error:  # of bytes that are not a file of torch; its own message advises an unsafe load
        if lacks_memory(error):
            raise
        raise UsageError(f"{path}: not a weights file: torch.load can't read it; save or get the file again") from None
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UsageError(f"{path}: holds {type(content).__name__}; a state_dict (names to tensors) is needed")
    plain = {_plain_name(str(name)): tensor for name, tensor in content.items()}
    return plain if len(plain) == len(content) else content


def _plain_name(name: str) -> str:
    """A name without what torch.nn.DataParallel and torch.compile put into it."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def _latent_dim(weights: Mapping[str, torch.Tensor], path: str | os.PathLike[str]) -> int:
    """The decoder's first weight takes the latent in."""
    first = weights.get("decoder.0.weight")
    if first is None or first.ndim != 4:
        names = listed(weights, 3)
        raise UsageError(
            f"{path}: no decoder.0.weight of a convolution; its names are {names}; is it the reference experiment's network?"
        )
    return int(first.shape[0])


def _load(model: torch.nn.Module, weights: Mapping[str, torch.Tensor], path: str | os.PathLike[str]) -> None:
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path}: not the reference experiment's network for these images: {reason}") from None
