"""A run's encoder and decoder as two ONNX files, which run without torch and without latens."""

import copy
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latens import __version__
from latens.errors import MissingExtra, RunError
from latens.files import atomic_write
from latens.models.contract import Model
from latens.models.onnx_pair import OnnxPair
from latens.runs import Run
from latens.runs.run import STORED
from latens.training.loop import use_forms

__all__ = ["OPSET", "pair_of_modules", "write_onnx"]

OPSET = 20
IMAGES, LATENTS, BATCH = "images", "latents", "batch"


def write_onnx(run: Run, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a run's encoder and decoder as ONNX files of opset 20.

    Args:
        run: trained.
        folder: where `encoder.onnx` and `decoder.onnx` go; files of these names are replaced.

    Returns:
        The two paths.

    `encoder.onnx` takes `images` (batch, C, H, W) and gives `latents` (batch, D), both float32, for any batch; `decoder.onnx` the
    other way round. Images are in [0, 1] of the range that the files' metadata state: `value_range` (a pair for each channel),
    `channel_names`, `dtype`, `image_shape`, `latent_shape`, all as JSON, and `model`, `fingerprint` (of the images), `run`,
    `latens`.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
        RunError: the run was adopted as functions that it does not hold, or its encoder was given; or the model has operations
            that ONNX has not, or works for one number of images only.
    """
    check_installed()
    if run.recipe.is_adopted:
        return _write_stored(run, Path(folder))
    if not run.model.trained_together:
        raise RunError(
            f"{run.path}: its encoder was given, and is not a part of the run; only whole pairs are written as ONNX"
        )
    model = copy.deepcopy(run.model).cpu().float().eval()
    use_forms(model, {"encoder": ["torch"], "decoder": ["torch"]})
    halves = {
        "encoder": (_Half(model, "encode"), torch.zeros(2, *model.image_shape), IMAGES, LATENTS),
        "decoder": (_Half(model, "decode"), torch.zeros(2, model.latent_dim), LATENTS, IMAGES),
    }
    made = {name: _exported(f"{run.path}: the {name}", *half) for name, half in halves.items()}
    return _write(run, made, Path(folder))


def _write_stored(run: Run, folder: Path) -> tuple[Path, Path]:
    """Write the ONNX files that an adopted run holds.

    Raises:
        RunError: it holds none.
    """
    import onnx

    if STORED[0] not in run.folder.files:
        raise RunError(f"{run.path}: its model is two functions, which have no ONNX form; export the model they call")
    halves = zip(("encoder", "decoder"), STORED, strict=True)
    return _write(run, {half: onnx.load_model_from_string(run.folder.load(file)) for half, file in halves}, folder)


def _write(run: Run, made: Mapping[str, Any], folder: Path) -> tuple[Path, Path]:
    facts, paths = _facts_of(run), []
    for name, proto in made.items():
        for key, value in facts.items():
            proto.metadata_props.add(key=key, value=value)
        path = folder / f"{name}.onnx"
        atomic_write(path, proto.SerializeToString())
        paths.append(path)
    return paths[0], paths[1]


def pair_of_modules(
    halves: tuple[nn.Module, nn.Module], image_shape: tuple[int, ...], latent_shape: tuple[int, ...]
) -> OnnxPair:
    """Two modules of torch as ONNX files, for any number of images.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
        RunError: a module has operations that ONNX has not, or works for one number of images only.
    """
    check_installed()
    encoder, decoder = halves
    made = (
        _exported("the encoder", encoder, torch.zeros(2, *image_shape), IMAGES, LATENTS),
        _exported("the decoder", decoder, torch.zeros(2, *latent_shape), LATENTS, IMAGES),
    )
    return OnnxPair(*(proto.SerializeToString() for proto in made))


def check_installed() -> None:
    """Check that the packages are there that write ONNX.

    Raises:
        MissingExtra: one is not.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtra(f'--onnx needs {error.name}: pip install "latens[onnx]"') from None


class _Half(nn.Module):
    """One direction of a model as a module of its own."""

    def __init__(self, model: Model, direction: str) -> None:
        super().__init__()
        self.model, self.direction = model, direction

    def forward(self, given: Tensor) -> Tensor:
        """Encode or decode."""
        return self.model.encode(given) if self.direction == "encode" else self.model.decode(given)


def _exported(what: str, half: nn.Module, example: Tensor, given: str, made: str) -> Any:
    """The ONNX model of a half.

    Raises:
        RunError: it has none, or one for as many images as the example has.
    """
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                half,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[given],
                output_names=[made],
                dynamic_shapes=({0: torch.export.Dim(BATCH)},),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # torch's exporter and the model's own code raise anything
        reason = " ".join(str(error).split())[:300]
        raise RunError(f"{what} can't be written as ONNX: {reason}") from error
    assert program is not None
    proto = program.model_proto
    for value in (*proto.graph.input, *proto.graph.output):
        if value.type.tensor_type.shape.dim[0].dim_param != BATCH:
            raise RunError(
                f"{what} works for {len(example)} images only, since its code turns their number into a constant;"
                " use x.shape[0] there in place of len(x)"
            )
    return proto


def _facts_of(run: Run) -> dict[str, str]:
    form, record = run.format, run.record
    as_json = {
        "value_range": [list(pair) for pair in form.value_range],
        "channel_names": list(form.channel_names),
        "dtype": form.dtype,
        "image_shape": list(run.image_shape),
        "latent_shape": list(run.record["latent_shape"]),
    }
    return {
        **{key: json.dumps(value) for key, value in as_json.items()},
        "model": run.recipe.model_choice,
        "network": run.recipe.network,
        "fingerprint": str(record["data"]["fingerprint"]),
        "run": run.name,
        "latens": __version__,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on packages and settings of its own."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
