"""TensorBoard: losses, settings, scores, figures, and the latents in its projector with small pictures."""

import math
from typing import Any

import numpy as np

from latens.errors import MissingExtra
from latens.images.fit import fit_pixels
from latens.images.pixels import composite, to_floats, with_channels
from latens.runs import Run
from latens.runs.run import TEST
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
        rows = [f"| {name} | {value} |" for name, value in _flat(run.recipe.to_json()).items()]
        self.writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]))

    @staticmethod
    def check() -> None:
        """See `Tracker.check`."""
        try:
            import tensorboard  # noqa: F401
        except ImportError as error:
            raise MissingExtra(f'--track tensorboard needs {error.name}: pip install "latens[tensorboard]"') from None

    def step(self, step: Step) -> None:
        """See `Tracker.step`."""
        told = {"loss/train": step.train_loss, "loss/test_mse": step.test_mse, "learning_rate": step.learning_rate}
        for name, value in {**told, **{f"parts/{name}": value for name, value in step.parts.items()}}.items():
            self.writer.add_scalar(name, value, step.epoch)
        self.writer.flush()

    def end(self, run: Run) -> None:
        """See `Tracker.end`."""
        files = run.record["files"]
        for score in run.scores if "metrics.json" in files else ():
            name = "/".join(filter(None, ("scores", score.group, score.subject, score.name)))
            if math.isfinite(score.value):
                self.writer.add_scalar(name.replace(" ", "_"), score.value, run.record["result"].get("epochs", 0))
        for file in sorted(name for name in files if name.startswith("figures/") and name.endswith(".png")):
            self.writer.add_image(file.removesuffix(".png"), _pixels(run, file), dataformats="HWC")
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


def _pixels(run: Run, file: str) -> Any:
    from PIL import Image

    with run.folder.open(file) as opened, Image.open(opened) as picture:
        return np.asarray(picture.convert("RGB"))


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in settings.items() if name != "config"}, **settings["config"]}
