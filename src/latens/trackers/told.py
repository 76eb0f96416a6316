"""What all trackers are told of a run, and the check of what they need."""

import math
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from latens.errors import MissingExtra
from latens.runs import Run
from latens.training import Step

__all__ = ["check_packages", "figures_of", "losses_of", "scores_of", "settings_of"]


def check_packages(tracker: str, *packages: str) -> None:
    """Check that the packages of a tracker are installed, without importing them.

    Raises:
        MissingExtra: one is not.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtra(f'--track {tracker} needs {package}: pip install "latens[{tracker}]"')


def settings_of(run: Run) -> dict[str, Any]:
    """The settings of a run's training, by name."""
    settings = run.recipe.to_json()
    return {**{name: value for name, value in settings.items() if name != "config"}, **settings["config"]}


def losses_of(step: Step) -> dict[str, float]:
    """What an epoch is told as: its losses and learning rate, by name."""
    told = {"loss/train": step.train_loss, "loss/test_mse": step.test_mse, "learning_rate": step.learning_rate}
    return {**told, **{f"parts/{name}": value for name, value in step.parts.items()}}


def scores_of(run: Run) -> dict[str, float]:
    """The scores of a run that are finite, by group, subject and name: `scores/generation/mixture/fd`."""
    if "metrics.json" not in run.record["files"]:
        return {}
    named = (("/".join(filter(None, ("scores", one.group, one.subject, one.name))), one.value) for one in run.scores)
    return {name.replace(" ", "_"): value for name, value in named if math.isfinite(value)}


def figures_of(run: Run) -> Iterator[tuple[str, Path]]:
    """The figures of a run: `figures/map-tsne` and its file, checked."""
    for file in sorted(run.record["files"]):
        if file.startswith("figures/") and file.endswith(".png"):
            yield file.removesuffix(".png"), run.checked(file)
