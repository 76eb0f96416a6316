"""TensorBoard: losses, settings, scores, figures, and the latents in its projector with small pictures."""

from pathlib import Path
from typing import Any

import numpy as np

from latens.images.fit import fit_pixels
from latens.images.pixels import composite, to_floats, with_channels
from latens.runs import Run
from latens.runs.run import TEST
from latens.trackers.told import check_packages, figures_of, losses_of, scores_of, settings_of
from latens.training import Step

__all__ = ["FOLDER", "TensorBoardTracker"]

FOLDER = "tensorboard"  # in the run's folder, so that `tensorboard --logdir runs` finds all of them
SPRITE, THUMBNAIL, MOST = 8192, 48, 5000  # pixels that the projector takes a side, those of a picture, and points


class TensorBoardTracker:
    """Writes the event files that `tensorboard --logdir runs` shows."""

    def __init__(self, run: Run) -> None:
        self.check()
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(str(run.path / FOLDER))
        rows = [f"| {name} | {value} |" for name, value in settings_of(run).items()]
        self.writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))

    @staticmethod
    def check() -> None:
        """See `Tracker.check`."""
        check_packages("tensorboard", "tensorboard")

    def step(self, step: Step) -> None:
        """See `Tracker.step`."""
        for name, value in losses_of(step).items():
            self.writer.add_scalar(name, value, step.epoch)
        self.writer.flush()

    def end(self, run: Run) -> None:
        """See `Tracker.end`."""
        for name, value in scores_of(run).items():
            self.writer.add_scalar(name, value, run.record["result"].get("epochs", 0))
        for name, path in figures_of(run):
            self.writer.add_image(name, _pixels(path), dataformats="HWC")
        self._project(run)
        self.writer.close()

    def _project(self, run: Run) -> None:
        """The latents of test images, as many as a sheet of their pictures has room for."""
        side = min(THUMBNAIL, *run.image_shape[1:])
        rows = np.flatnonzero(run.part == TEST)[: min(MOST, (SPRITE // side) ** 2)]
        first = int(np.flatnonzero(run.part == TEST)[0])
        shown = to_floats(composite(run.images.test.inputs[rows - first], run.format.show))
        small = fit_pixels(with_channels(shown, 3), (side, side))
        labels = run.labels_of(None)
        names = [str(name) for name in run.latents["ids"][rows]]
        if labels is not None:
            names = [run.class_names[label] for label in labels[rows]]
        import torch

        self.writer.add_embedding(
            torch.from_numpy(np.array(run.latents["latents"][rows])), names, torch.from_numpy(small), tag="latents"
        )


def _pixels(path: Path) -> Any:
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
