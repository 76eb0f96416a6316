"""Adopt a user-supplied model: its folder contains what is computed from it; its functions stay in memory."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from latens.arrays import gather
from latens.errors import RunError, UsageError
from latens.images import Dataset
from latens.images.pixels import to_floats, to_unit
from latens.latents import decode_latents, encode_images
from latens.models.adopted import SAME, AdoptedModel, ArrayFunction, latent_shape_of, what_varies
from latens.models.contract import Model
from latens.models.onnx_pair import OnnxPair, model_of_pair
from latens.runs.record import is_run
from latens.runs.recording import start_run
from latens.runs.run import LATENTS, Run
from latens.training.recipes import ADOPTED, Recipe, TrainConfig

__all__ = ["adopt_functions", "differs"]

COMPARED = 16  # images on which functions are compared with stored results
PROBE = "probe.npz"
SAME_OR_OTHER = "give the same functions, or choose another out"


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
    """Make a run of two functions, or give an adopted run its functions back.

    Args:
        encode: see `latens.models.adopted.AdoptedModel`.
        decode: see `latens.models.adopted.AdoptedModel`.
        images: the images on which the model is evaluated.
        out: the run's folder; if it exists, it must have been adopted with the same images and functions.
        name: the name of the model.
        batch_size: the largest batch for a function.
        seed: of maps, samplers and scores.

    Raises:
        UsageError: a function returns a wrong shape, or values that are not finite.
        RunError: the folder is not empty and no such run, or its images, latents or decoded images differ.
    """
    latent_shape = latent_shape_of(encode, images.test.inputs)
    model = AdoptedModel(images.shape, latent_shape, encode, decode, batch_size).eval()
    model.decode(model.encode(_one(images)))  # errors of decode are raised before a folder is created
    varies = what_varies(model, images.test.inputs)
    if varies:
        warnings.warn(f"{varies}; scores will not come out the same again", stacklevel=3)
    if out is not None and is_run(out):
        run = _given_back(Run(Path(out)), model, images)
    else:
        # Nothing is trained, so only the seed and the batch size of the config matter.
        config = TrainConfig(epochs=1, batch_size=batch_size, seed=seed)
        run = start_run(images, Recipe(ADOPTED, ADOPTED, name, model.latent_dim, config), out)
        facts: dict[str, Any] = {"latent_shape": list(latent_shape), "varies": varies}
        run.update(status="trained", latent_shape=list(latent_shape), adopted=facts, result={"adopted": name})
    run.model, run.images = model, images
    return run


def differs(model: Model, pair: OnnxPair, images: Dataset) -> str:
    """What an ONNX pair computes in another way than a model, in words; empty where latents and images are the same.

    Raises:
        MissingExtra: onnx or onnxruntime is not installed.
    """
    try:
        stored = model_of_pair(images.shape, model.latent_shape, pair)
        pixels = images.test.inputs[:COMPARED]
        latents = encode_images(model, pixels)
        pairs = {
            "latents": (encode_images(stored, pixels), latents),
            "images": (decode_latents(stored, latents), decode_latents(model, latents)),
        }
    except UsageError as error:
        return str(error)
    other = [what for what, (found, given) in pairs.items() if not _close(found, given, given.std())]
    return f"its ONNX form gives other {' and '.join(other)}" if other else ""


def _one(images: Dataset) -> Any:
    import torch

    return to_unit(torch.from_numpy(np.array(images.test.inputs[:1])))


def _given_back(run: Run, model: AdoptedModel, images: Dataset) -> Run:
    """A run that was adopted before, after checking that images and functions are the same."""
    if not run.recipe.is_adopted:
        raise RunError(f"{run.path}: contains a model that latens trained; choose another out")
    if images.fingerprint != run.record["data"]["fingerprint"]:
        raise RunError(
            f"{run.path}: was adopted with other images (fingerprint differs); give the same, or choose another out"
        )
    if model.latent_dim != run.recipe.latent_dim:
        dims = f"{run.recipe.latent_dim} numbers, these functions' {model.latent_dim}"
        raise RunError(f"{run.path}: its latents have {dims}; give the same functions, or choose another out")
    facts = run.record.get("adopted", {})
    was, now = facts.get("latent_shape", model.latent_shape), model.latent_shape
    if tuple(was) != tuple(now):
        raise RunError(f"{run.path}: its latents have the shape {tuple(was)}, these functions' {now}; {SAME_OR_OTHER}")
    if LATENTS in run.folder.files:
        _compare(run, model, images, varies=bool(facts.get("varies")))
    return run


def _compare(run: Run, model: AdoptedModel, images: Dataset, varies: bool) -> None:
    """Check that these functions computed the latents and decoded images in the run.

    Decoding is compared on the stored latents: the error of each image and the decoded probe. Encoding is not compared if it
    varies between calls.
    """
    stored, rows = run.latents, np.linspace(0, len(images.train) - 1, min(COMPARED, len(images.train))).astype(int)
    pixels = gather(images.train.inputs, rows)
    if not varies and not _close(encode_images(model, pixels), stored["latents"][rows], stored["latents"].std()):
        raise RunError(f"{run.path}: encode gives other latents than those in the run; {SAME_OR_OTHER}")
    difference = decode_latents(model, stored["latents"][rows]) - to_floats(pixels)
    same = _close(
        np.square(difference).mean(axis=(1, 2, 3)), stored["squared_error"][rows], np.square(difference).mean()
    )
    if same and PROBE in run.folder.files:
        probe = run.folder.load(PROBE, ("latents", "images"))
        same = _close(decode_latents(model, probe["latents"]), probe["images"][-1], probe["images"][-1].std())
    if not same:
        raise RunError(f"{run.path}: decode gives other images than those in the run; {SAME_OR_OTHER}")


def _close(found: np.ndarray, stored: np.ndarray, scale: float | np.floating[Any]) -> bool:
    return found.shape == stored.shape and bool(np.abs(found - stored).max() <= SAME * float(scale) + 1e-6)
