"""A run's encoder and decoder as two ONNX files, which run without torch and without latens."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latens.errors import MissingExtra, RunError
from latens.exports.programs import BATCH, IMAGES, LATENTS, facts_of, halves_of, program_of, quiet
from latens.files import atomic_write
from latens.models.onnx_pair import OnnxPair
from latens.runs import Run
from latens.runs.run import STORED

__all__ = ["OPSET", "check_installed", "pair_of_modules", "proto_of", "write_onnx", "write_proto"]

OPSET = 20


def write_onnx(run: Run, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a run's encoder and decoder as ONNX files of opset 20.

    Args:
        run: trained.
        folder: where `encoder.onnx` and `decoder.onnx` go; files of these names are replaced.

    Returns:
        The two paths.

    `encoder.onnx` takes `images` (batch, C, H, W) and gives `latents` (batch, D), both float32, for any batch; `decoder.onnx` the
    other way round. Images are in [0, 1] of the range that the files' metadata state, see `latens.exports.programs.facts_of`.

    Raises:
        MissingExtra: onnx or onnxscript is not installed.
        RunError: the run was adopted as functions that it does not hold, or its encoder was given; or the model has operations
            that ONNX has not, or works for one number of images only.
    """
    check_installed()
    if run.recipe.is_adopted:
        made = _stored(run)
    else:
        made = {
            name: proto_of(f"{run.path}: the {name}", half.module, half.example, half.given, [half.made])
            for name, half in halves_of(run).items()
        }
    facts = facts_of(run)
    encoder, decoder = (write_proto(Path(folder) / f"{name}.onnx", proto, facts) for name, proto in made.items())
    return encoder, decoder


def _stored(run: Run) -> dict[str, Any]:
    """The ONNX models that an adopted run holds.

    Raises:
        RunError: it holds none.
    """
    import onnx

    if STORED[0] not in run.folder.files:
        raise RunError(f"{run.path}: its model is two functions, which have no ONNX form; export the model they call")
    halves = zip(("encoder", "decoder"), STORED, strict=True)
    return {half: onnx.load_model_from_string(run.folder.load(file)) for half, file in halves}


def write_proto(path: Path, proto: Any, facts: Mapping[str, Any]) -> Path:
    """Write an ONNX model with facts in its metadata: words as they are, everything else as JSON."""
    for key, value in facts.items():
        proto.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    atomic_write(path, proto.SerializeToString())
    return path


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
        proto_of("the encoder", encoder, torch.zeros(2, *image_shape), IMAGES, [LATENTS]),
        proto_of("the decoder", decoder, torch.zeros(2, *latent_shape), LATENTS, [IMAGES]),
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


def proto_of(what: str, module: nn.Module, example: Tensor, given: str, made: Sequence[str]) -> Any:
    """The ONNX model of a module of one input, for any number of images.

    Args:
        what: the module, in words.
        module: in evaluation mode.
        example: of its input, two images or latents.
        given: the name of its input.
        made: the names of its outputs.

    Raises:
        RunError: it has none, or one for as many images as the example has.
    """
    program = program_of(what, module, example)
    try:
        with quiet():
            found = torch.onnx.export(
                program,
                (),
                dynamo=True,
                opset_version=OPSET,
                input_names=[given],
                output_names=list(made),
                dynamic_shapes=({0: BATCH},),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # torch's exporter raises anything
        reason = " ".join(str(error).split())[:300]
        raise RunError(f"{what} can't be written as ONNX: {reason}") from error
    assert found is not None
    return found.model_proto
