"""Weights & Biases: settings, losses, scores and figures, offline unless WANDB_MODE says otherwise."""

import os
from typing import Any

from latens.files import sha256_bytes
from latens.runs import Run
from latens.trackers.told import check_packages, figures_of, losses_of, scores_of, settings_of
from latens.training import Step

__all__ = ["WandbTracker"]


class WandbTracker:
    """Writes below wandb/ in the current folder, for `wandb sync`; the project is WANDB_PROJECT, or `latens`."""

    def __init__(self, run: Run) -> None:
        self.check()
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported
        import wandb

        self.wandb: Any = wandb
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "latens"),
            name=run.name,
            id=sha256_bytes(f"{run.path.resolve()} {run.record['created']}".encode())[
                :12
            ],  # a resumed run has the same
            config=settings_of(run),
            mode=os.environ.get("WANDB_MODE", "offline"),
            settings=wandb.Settings(silent=True, console="off", reinit="create_new"),
        )

    @staticmethod
    def check() -> None:
        """See `Tracker.check`."""
        check_packages("wandb", "wandb")

    def step(self, step: Step) -> None:
        """See `Tracker.step`."""
        self.run.log(losses_of(step), step=step.epoch)

    def end(self, run: Run) -> None:
        """See `Tracker.end`."""
        self.run.log({name: self.wandb.Image(str(path)) for name, path in figures_of(run)})
        self.run.summary.update(scores_of(run))
        self.run.finish()
