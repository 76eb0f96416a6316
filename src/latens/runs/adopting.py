"""Somebody else's model becomes a run: a folder for what is computed of it, and its functions beside it, in memory."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from latens.errors import RunError
from latens.images import Dataset
from latens.images.mapped import gather
from latens.images.pixels import to_unit
from latens.latents import encode_images
from latens.models.adopted import SAME, AdoptedModel, ArrayFunction, latent_shape_of, what_varies
from latens.runs.folder import Run
from latens.runs.recording import start_run
from latens.training.recipes import ADOPTED, Recipe, TrainConfig

__all__ = ["adopt_functions"]

COMPARED = 16  # stored latents that functions given back are held against


def adopt_functions(
    encode: ArrayFunction,
    decode: ArrayFunction,
    images: Dataset,
    out: str | os.PathLike[str] | None = None,
    name: str = ADOPTED,
    *,
    batch_size: int = 256,
    seed: int = 0,
) -> Run:
    """Make a run of two functions, or give a run that was made of them its functions back.

    Args:
        encode: see `latens.models.adopted.AdoptedModel`.
        decode: see there.
        images: what the model is judged on.
        out: the run's folder; one that is there already must have been adopted, with the same images and functions.
        name: what the model is called.
        batch_size: images that a function is given at once, at most.
        seed: of maps, samplers and scores.

    Raises:
        UsageError: what a function gives has not the shape that it should have, or is not finite.
        RunError: the folder is taken, or its images or latents are others.
    """
    latent_shape = latent_shape_of(encode, images.test.pixels)
    model = AdoptedModel(images.shape, latent_shape, encode, decode, batch_size).eval()
    model.decode(model.encode(_one(images)))  # what is wrong with decode is said before a folder is made
    varies = what_varies(model, images.test.pixels)
    if varies:
        warnings.warn(f"{varies}; scores will not come out the same again", stacklevel=3)
    if out is not None and (Path(out) / "run.json").exists():
        run = _given_back(Run(Path(out)), model, images)
    else:
        # Nothing is trained: of a config only the seed and the batches say something.
        config = TrainConfig(epochs=1, batch_size=batch_size, seed=seed)
        run = start_run(images, Recipe(ADOPTED, ADOPTED, name, model.latent_dim, config), out)
        facts: dict[str, Any] = {"latent_shape": list(latent_shape), "varies": varies}
        run.update(status="trained", adopted=facts, result={"adopted": name})
    run.model, run.images = model, images
    return run


def _one(images: Dataset) -> Any:
    import torch

    return to_unit(torch.from_numpy(np.array(images.test.pixels[:1])))


def _given_back(run: Run, model: AdoptedModel, images: Dataset) -> Run:
    """A run that was adopted before, once it is sure that these are its images and its functions."""
    if not run.recipe.is_adopted:
        raise RunError(f"{run.path}: holds a model that latens trained; choose another out")
    if images.fingerprint != run.record["data"]["fingerprint"]:
        raise RunError(
            f"{run.path}: was adopted with other images (fingerprint differs); give the same, or choose another out"
        )
    if model.latent_dim != run.recipe.latent_dim:
        dims = f"{run.recipe.latent_dim} numbers, these functions' {model.latent_dim}"
        raise RunError(f"{run.path}: its latents have {dims}; give the same functions, or choose another out")
    if "latents.npz" in run.record["files"] and not run.record["adopted"]["varies"]:
        _compare(run, model, images)
    return run


def _compare(run: Run, model: AdoptedModel, images: Dataset) -> None:
    stored = run.latents["latents"]
    rows = np.linspace(0, len(images.train) - 1, min(COMPARED, len(images.train))).astype(int)
    found = encode_images(model, gather(images.train.pixels, rows))
    if np.abs(found - stored[rows]).max() > SAME * float(stored[rows].std()) + 1e-6:
        raise RunError(
            f"{run.path}: these functions give other latents than it holds; give the same, or choose another out"
        )
