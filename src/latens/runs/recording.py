"""Starting a run's folder, and recording Steps into it. The only writer of history and checkpoints."""

import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import latens
from latens.device import choose_device, describe_device
from latens.errors import RunError, TrainingDiverged
from latens.files import atomic_write, read_safetensors, write_json, write_safetensors
from latens.images import Dataset
from latens.latents import encode_images
from latens.runs.folder import FORMAT, Run, weights_in
from latens.training.loop import Step, fastest_forms
from latens.training.recipes import Recipe

__all__ = ["last_state", "record", "start_run"]

SECONDS_BETWEEN_CHECKPOINTS = 2.0
MOST_SNAPSHOTS = 30
HISTORY = ("epoch", "step", "train_loss", "train_mse", "test_mse", "learning_rate", "elapsed")


def start_run(images: Dataset, recipe: Recipe, out: str | os.PathLike[str] | None = None, device: str = "cpu") -> Run:
    """Make the folder of a new run.

    Args:
        images: what it will be trained on.
        recipe: how.
        out: the folder; `runs/<data>-<n>` with the first free n by default.
        device: where its model works.

    Raises:
        RunError: the folder is there already and not empty.
    """
    path = _claim(images.name) if out is None else Path(out)
    if out is not None:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path}: is there already; choose another --out, or go on with it by --resume")
        path.mkdir(parents=True, exist_ok=True)
    write_json(path / "run.json", _first_record(images, recipe, device))
    return Run(path, device)


def _claim(name: str) -> Path:
    """The first free folder runs/<name>-<n>; making it is what claims it, so that two processes get two."""
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
            "fingerprint": images.fingerprint,
            "shape": list(images.shape),
            "train": len(images.train),
            "test": len(images.test),
            "class_names": list(images.class_names),
            "notes": list(images.notes),
        },
        "recipe": recipe.to_json(),
        "device": describe_device(choose_device(device)),
        "threads": torch.get_num_threads(),
        "forms": _forms(images, recipe, device),
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


def _forms(images: Dataset, recipe: Recipe, device: str) -> dict[str, list[str]]:
    if recipe.is_adopted or choose_device(device).type != "cpu":
        return {}
    return fastest_forms(recipe, images.shape)


def record(run: Run, steps: Iterable[Step], images: Dataset | None = None) -> Iterator[Step]:
    """Pass Steps on, writing history and checkpoints on the way; whoever stops consuming leaves a whole run.

    Args:
        run: from `start_run`, or one to go on with.
        steps: from `train(run.model, ...)`.
        images: with them, test latents are kept of at most 30 epochs, for playing the training back.

    A checkpoint is written after an epoch unless the last is younger than two seconds, and in any case when this ends, also by
    an error or Ctrl-C. It holds the state at the end of an epoch.
    """
    recorder = _Recorder(run, images)
    try:
        for step in steps:
            recorder.take(step)
            yield step
    except TrainingDiverged as error:
        run.update(status="diverged", error=str(error))
        raise
    finally:
        recorder.close()


def last_state(run: Run) -> dict[str, torch.Tensor] | None:
    """What the last checkpoint holds, or None; history beyond it is cut off, its epochs will come again."""
    path = run.path / "checkpoint.safetensors"
    if not path.exists():
        return None
    state = read_safetensors(path)
    epoch = int(state["position"][0])
    _write_history(run, [line for line in run.history if line["epoch"] <= epoch])
    return state


class _Recorder:
    def __init__(self, run: Run, images: Dataset | None) -> None:
        self.run = run
        self.images = images
        self.history = run.history
        self.pending: dict[str, torch.Tensor] | None = None
        self.written = time.monotonic()

    def take(self, step: Step) -> None:
        self.history.append({name: getattr(step, name) for name in HISTORY})
        self.pending = step.state()
        if time.monotonic() - self.written > SECONDS_BETWEEN_CHECKPOINTS:
            self.write()
        if self.images is not None and _is_snapshot(step.epoch, self.run.recipe.config.epochs):
            latents = encode_images(self.run.model, self.images.test).astype(np.float16)
            self.run.write_arrays(f"snapshots/{step.epoch:05}.npz", {"latents": latents})

    def write(self) -> None:
        """The checkpoint first: history may then be a little short, never ahead of what can be gone on from."""
        if self.pending is not None:
            write_safetensors(self.run.path / "checkpoint.safetensors", self.pending)
            _write_history(self.run, self.history)
            self.pending, self.written = None, time.monotonic()

    def close(self) -> None:
        """Leave a run that opens: weights, result, status."""
        self.write()
        state = None if self.run.record["status"] == "diverged" else last_state(self.run)
        # Without an epoch to go back to, or with one spoilt, the weights are the last good ones: those of the model in memory.
        weights = self.run.model.state_dict() if state is None else weights_in(state)
        write_safetensors(self.run.path / "model.safetensors", weights)
        self.run.seal("model.safetensors")
        if self.history:
            self.run.update(result=_result(self.run, self.history[-1]))
        finished = bool(self.history) and self.history[-1]["epoch"] >= self.run.recipe.config.epochs
        if finished:
            self.run.update(status="trained")
            (self.run.path / "checkpoint.safetensors").unlink()
        elif self.run.record["status"] == "training":
            self.run.update(status="stopped")


def _result(run: Run, last: dict[str, Any]) -> dict[str, Any]:
    seen = run.record["data"]["train"] * last["epoch"]
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


def _write_history(run: Run, history: list[dict[str, Any]]) -> None:
    atomic_write(run.path / "history.jsonl", "".join(json.dumps(line) + "\n" for line in history).encode())


def _is_snapshot(epoch: int, epochs: int) -> bool:
    """Whether an epoch is one of at most 30, evenly spread, the last among them."""
    every = -(-epochs // MOST_SNAPSHOTS)
    return epoch == epochs or epoch % every == 0
