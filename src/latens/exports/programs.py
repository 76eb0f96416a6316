"""A run's encoder and decoder as programs of `torch.export`: graphs of torch's operations, without any code of latens."""

import copy
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._dynamo.exc import UserError, UserErrorType
from torch.export import ExportedProgram

from latens import __version__
from latens.errors import RunError
from latens.files import atomic_write
from latens.models.contract import Model
from latens.runs import Run
from latens.training.loop import use_forms

__all__ = [
    "BATCH",
    "FACTS",
    "IMAGES",
    "LATENTS",
    "Half",
    "facts_of",
    "halves_of",
    "plain_model",
    "program_of",
    "write_programs",
]

IMAGES, LATENTS, BATCH = "images", "latents", "batch"
FACTS = "latens.json"  # in a .pt2 file


class Half(NamedTuple):
    """One direction of a model.

    Args:
        module: encodes, or decodes.
        example: what it takes, two of them.
        given: the name of what goes in.
        made: the name of what comes out.
    """

    module: nn.Module
    example: Tensor
    given: str
    made: str


def write_programs(run: Run, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write a run's encoder and decoder as programs of `torch.export`, which run where torch is.

    Args:
        run: trained.
        folder: where `encoder.pt2` and `decoder.pt2` go; files of these names are replaced.

    Returns:
        The two paths.

    `torch.export.load("encoder.pt2").module()` takes images (batch, C, H, W) and gives latents (batch, D), both float32, for any
    batch; the decoder the other way round. Images are in [0, 1] of the range that `latens.json` in the file states, see
    `facts_of`; `torch.export.load(file, extra_files={"latens.json": ""})` reads it.

    Raises:
        RunError: the run was adopted, or its encoder was given; or the model has operations that `torch.export` has not, or works
            for one number of images only.
    """
    programs = {
        name: program_of(f"{run.path}: the {name}", half.module, half.example) for name, half in halves_of(run).items()
    }
    facts = {FACTS: json.dumps(facts_of(run))}
    paths = []
    for name, program in programs.items():
        with io.BytesIO() as file, quiet():
            torch.export.save(program, file, extra_files=facts)
            paths.append(Path(folder) / f"{name}.pt2")
            atomic_write(paths[-1], file.getvalue())
    return paths[0], paths[1]


def halves_of(run: Run) -> dict[str, Half]:
    """`encoder` and `decoder` of a run.

    Raises:
        RunError: the run was adopted, or its encoder was given.
    """
    model = plain_model(run)
    return {
        "encoder": Half(_Direction(model, "encode"), torch.zeros(2, *model.image_shape), IMAGES, LATENTS),
        "decoder": Half(_Direction(model, "decode"), torch.zeros(2, model.latent_dim), LATENTS, IMAGES),
    }


def plain_model(run: Run) -> Model:
    """A copy of a run's model that computes by torch's own layers.

    Raises:
        RunError: the run was adopted, or its encoder was given.
    """
    if run.recipe.is_adopted:
        raise RunError(
            f"{run.path}: was adopted, so its model is no longer one of torch; export the model that it was made of"
        )
    if not run.model.trained_together:
        raise RunError(
            f"{run.path}: its encoder was given, and is not a part of the run; only whole pairs are exported"
        )
    model = copy.deepcopy(run.model).cpu().float().eval()
    use_forms(model, {"encoder": ["torch"], "decoder": ["torch"]})
    return model


class _Direction(nn.Module):
    """Encoding or decoding as a module of its own."""

    def __init__(self, model: Model, direction: str) -> None:
        super().__init__()
        self.model, self.direction = model, direction

    def forward(self, given: Tensor) -> Tensor:
        """Encode or decode."""
        return self.model.encode(given) if self.direction == "encode" else self.model.decode(given)


def program_of(what: str, module: nn.Module, example: Tensor) -> ExportedProgram:
    """The program of a module of one input, for any number of images.

    Args:
        what: the module, in words.
        module: in evaluation mode.
        example: of its input, two images or latents.

    Raises:
        RunError: `torch.export` can't follow it, or it works for as many images as the example has.
    """
    try:
        program = _traced(module, example, torch.export.Dim(BATCH))
    except UserError as error:
        if error.error_type != UserErrorType.CONSTRAINT_VIOLATION:
            raise _refused(what, error) from error
        try:  # some code goes other ways for large batches, with the same result
            program = _traced(module, example, torch.export.Dim.AUTO)
        except Exception as second:
            raise _refused(what, second) from second
    except Exception as error:  # torch's exporter and the model's own code raise anything
        raise _refused(what, error) from error
    if not program.range_constraints:
        raise RunError(
            f"{what} works for {len(example)} images only, since its code turns their number into a constant;"
            " use x.shape[0] there in place of len(x)"
        )
    return program


def _traced(module: nn.Module, example: Tensor, batch: Any) -> ExportedProgram:
    with quiet(), torch.no_grad():
        return torch.export.export(module, (example,), dynamic_shapes=({0: batch},))


def _refused(what: str, error: Exception) -> RunError:
    return RunError(f"{what} can't be exported: {' '.join(str(error).split())[:300]}")


def facts_of(run: Run) -> dict[str, Any]:
    """What a file of a network says of its images, for JSON.

    `value_range` (a pair for each channel), `channel_names`, `dtype`, `image_shape`, `latent_shape`, `model`, `network`,
    `fingerprint` (of the images), `run`, `latens`.
    """
    form, record = run.format, run.record
    return {
        "value_range": [list(pair) for pair in form.value_range],
        "channel_names": list(form.channel_names),
        "dtype": form.dtype,
        "image_shape": list(run.image_shape),
        "latent_shape": list(record["latent_shape"]),
        "model": run.recipe.model_choice,
        "network": run.recipe.network,
        "fingerprint": str(record["data"]["fingerprint"]),
        "run": run.name,
        "latens": __version__,
    }


@contextmanager
def quiet() -> Iterator[None]:
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
