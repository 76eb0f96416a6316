"""Start a run, and record Steps in it. Only this module writes history and checkpoints."""

import json
import math
import os
import platform
import sys
import time
from collections.abc import Generator, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import latens
from latens.device import choose_device, describe_device
from latens.encoders import file_of_encoder
from latens.errors import TrainingDiverged, UsageError
from latens.files import json_content, read_safetensors
from latens.images import Dataset
from latens.latents import encode_images
from latens.runs.kept_images import IMAGES, images_to_keep
from latens.runs.record import FORMAT, RunFolder
from latens.runs.run import CHECKPOINT, ENCODER, HISTORY_FILE, WEIGHTS, Run, weights_in
from latens.training.loop import Step, build_model, fastest_forms, num_learned
from latens.training.recipes import Recipe

__all__ = ["last_state", "record", "start_run"]

SECONDS_BETWEEN_CHECKPOINTS = 2.0
MOST_SNAPSHOTS = 30
HISTORY = ("epoch", "step", "train_loss", "train_mse", "test_mse", "learning_rate", "elapsed")


def start_run(images: Dataset, recipe: Recipe, out: str | os.PathLike[str] | None = None, device: str = "cpu") -> Run:
    """Create the folder of a new run.

    Args:
        images: the images to train on; stored in the run if they can't be loaded again, see `latens.runs.kept_images`.
        recipe: the settings.
        out: the folder; by default `runs/<data>-<n>` with the first free n.
        device: the device of its model.

    Returns:
        The run, with an untrained model.

    Raises:
        RunError: the folder exists and is not empty.
        UsageError: an option of the model is not allowed, or can't be stored.
    """
    # Before the folder is created, so that a refused option leaves no folder behind.
    first, kept = _first_record(images, recipe, device), images_to_keep(images)
    try:
        json_content(first)
    except (TypeError, ValueError) as error:
        raise UsageError(f"the options of a run are stored as JSON, which is not possible here: {error}") from None
    files: dict[str, Any] = {} if kept is None else {IMAGES: kept}
    if (file := file_of_encoder(recipe.model_options.get("encoder", ""))) is not None:
        files[ENCODER] = file.read_bytes()  # so that the run is whole wherever it goes
    path = _claim(images.name) if out is None else Path(out)
    RunFolder.create(path, first, files)
    run = Run(path, device)
    run.images = images
    if not recipe.is_adopted:
        run.model = run.untrained_model()
    return run


def _claim(name: str) -> Path:
    """The first free folder runs/<name>-<n>. It is created here, so two processes get two folders."""
    number = 1
    while True:
        path = Path("runs") / f"{name}-{number}"
        with suppress(FileExistsError):
            path.mkdir(parents=True)
            return path
        number += 1


def _first_record(images: Dataset, recipe: Recipe, device: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "status": "training",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {
            "name": images.name,
            "source": images.source,
            "options": dict(images.options),
            "rules": images.rules,
            "fingerprint": images.fingerprint,
            "shape": list(images.shape),
            **images.format.to_json(),
            "train": len(images.train),
            "test": len(images.test),
            "class_names": list(images.class_names),
            "notes": list(images.notes),
        },
        "recipe": recipe.to_json(),
        "device": describe_device(choose_device(device)),
        "threads": torch.get_num_threads(),
        **_facts_of_model(images, recipe, device),
        "versions": {
            "latens": latens.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "system": f"{sys.platform} {platform.machine()}",
        },
        "result": {},
        "files": {},
    }


def _facts_of_model(images: Dataset, recipe: Recipe, device: str) -> dict[str, Any]:
    """The shape of a latent, and the forms of both halves on a CPU; an adopted model's are noted by who adopts it."""
    if recipe.is_adopted:
        return {"forms": {}}
    shape = build_model(recipe, images.shape).latent_shape
    on_cpu = choose_device(device).type == "cpu"
    forms = fastest_forms(recipe, images.shape, len(images.train)) if on_cpu else {}
    return {"latent_shape": list(shape), "forms": forms}


def record(run: Run, steps: Iterable[Step], images: Dataset | None = None) -> Generator[Step, None, None]:
    """Pass Steps on, and write history and checkpoints. If the consumer stops early, the run can still be opened and continued.

    Args:
        run: from `start_run`, or an opened run to continue.
        steps: from `train(run.model, ...)`.
        images: if given, the test latents of at most 30 epochs are stored, to play back the training.

    A checkpoint is the state at the end of an epoch. It is written after an epoch unless the previous one is less than two
    seconds old, and always at the end, also after an error or Ctrl-C.

    Raises:
        TrainingDiverged: the weights or the test error after an epoch are not finite; this epoch is not recorded.
    """
    run.model = run.model  # keep the model that is trained, instead of reading the files that are written below
    recorder = _Recorder(run, images)
    try:
        for step in steps:
            recorder.take(step)
            yield step
    except TrainingDiverged as error:
        recorder.error = str(error)
        raise
    finally:
        recorder.close()


def last_state(run: Run) -> dict[str, torch.Tensor] | None:
    """The state in the last checkpoint, or None.

    Earlier versions wrote the history before the checkpoint: epochs of it that come later are removed, they will be repeated.
    """
    if CHECKPOINT in run.folder.files:
        state = run.folder.load(CHECKPOINT)
    elif (run.path / CHECKPOINT).exists():  # of an earlier version
        state = read_safetensors(run.path / CHECKPOINT)
    else:
        return None
    epoch, history = int(state["position"][0]), run.history
    if any(line["epoch"] > epoch for line in history):
        run.save(HISTORY_FILE, _lines([line for line in history if line["epoch"] <= epoch]))
    return dict(state)


class _Recorder:
    """Writes the results of a training into its run.

    Args:
        run: the run.
        images: see `record`.
    """

    def __init__(self, run: Run, images: Dataset | None) -> None:
        self.run = run
        self.images = images
        self.history = run.history
        self.pending: dict[str, torch.Tensor] | None = None  # the state after the last epoch, if it is not written yet
        self.error = ""  # set if training diverged
        self.written = time.monotonic()

    def take(self, step: Step) -> None:
        state = step.state()
        if not _is_finite(state, self.run) or not math.isfinite(step.test_mse):
            raise TrainingDiverged(
                f"the weights or their test error are not finite after epoch {step.epoch}; the last good state is kept;"
                " lower --learning-rate"
            )
        self.history.append({name: getattr(step, name) for name in HISTORY})
        self.pending = state
        if time.monotonic() - self.written > SECONDS_BETWEEN_CHECKPOINTS:
            self.write()
        if self.images is not None and _is_snapshot(step.epoch, self.run.recipe.config.epochs):
            latents = encode_images(self.run.model, self.images.test)
            if float(np.abs(latents).max(initial=0)) <= float(np.finfo(np.float16).max):
                latents = latents.astype(np.float16)  # enough for a map
            self.run.write_arrays(f"snapshots/{step.epoch:05}.npz", {"latents": latents})

    def write(self) -> None:
        """Write history and checkpoint, in one event."""
        if self.pending is not None:
            self.run.folder.commit({HISTORY_FILE: _lines(self.history), CHECKPOINT: self.pending})
            self.pending, self.written = None, time.monotonic()

    def close(self) -> None:
        """Save weights, result and status in one event, so that the run can be opened."""
        run = self.run
        state = last_state(run) if self.pending is None else self.pending
        files: dict[str, Any] = {}
        if self.pending is not None:
            files = {HISTORY_FILE: _lines(self.history), CHECKPOINT: self.pending}
        weights = self._weights(state)
        if weights is not None:
            files[WEIGHTS] = weights
        entries: dict[str, Any] = {"result": _result(run, self.history[-1])} if self.history else {}
        forget: tuple[str, ...] = ()
        if self.error:
            entries |= {"status": "diverged", "error": self.error}
        elif self.history and self.history[-1]["epoch"] >= run.recipe.config.epochs:
            entries["status"] = "trained"
            files.pop(CHECKPOINT, None)
            forget = (CHECKPOINT,)
        elif run.record["status"] == "training":
            entries["status"] = "stopped"
        run.folder.commit(files, forget=forget, **entries)
        self.pending = None

    def _weights(self, state: dict[str, torch.Tensor] | None) -> dict[str, torch.Tensor] | None:
        """The weights to save: of the last epoch; if training diverged, those in memory if they are finite."""
        if state is not None and not self.error:
            return weights_in(state)
        # No step is taken on a loss that is not finite, so these weights are of the last good step, or initial ones.
        in_memory = self.run.model.state_dict()
        if _is_finite({f"model.{name}": tensor for name, tensor in in_memory.items()}, self.run):
            return in_memory
        return None if state is None else weights_in(state)


def _is_finite(state: dict[str, torch.Tensor], run: Run) -> bool:
    """Whether the parameters in a training state are finite; buffers are not checked."""
    return all(bool(torch.isfinite(state[f"model.{name}"]).all()) for name, _ in run.model.named_parameters())


def _result(run: Run, last: dict[str, Any]) -> dict[str, Any]:
    seen = num_learned(run.record["data"]["train"], run.recipe.config) * last["epoch"]
    rate = round(seen / last["elapsed"]) if last["elapsed"] else None
    return {
        "epochs": last["epoch"],
        "steps": last["step"],
        "seconds": round(last["elapsed"], 3),
        "images_per_second": rate,
        "train_loss": last["train_loss"],
        "train_mse": last.get("train_mse"),  # which runs of format 1 may lack
        "test_mse": last["test_mse"],
    }


def _lines(history: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in history).encode()


def _is_snapshot(epoch: int, epochs: int) -> bool:
    """Whether an epoch is one of at most 30, evenly spread, the last among them."""
    every = -(-epochs // MOST_SNAPSHOTS)
    return epoch == epochs or epoch % every == 0
