"""NaN and infinity in images, weights, gradients and losses: the training stops before the step, and keeps the last good state.

    python benchmarks/faults/finite.py [--long] [--json FILE]

A number that is not finite is written into the train images, a weight, a gradient or the loss while a small run trains, at a
random step. Survived: the training stops with an error in one line that names this step, no step of an optimiser is taken any
more, the run opens with every byte as written, and its weights are those after the last good step, bit for bit; where weights
themselves are damaged, those after the last whole epoch. Images that hold such numbers before are refused. The short form plants
100 numbers in each place over all models, networks and optimisers, the long form 1,000. The naive way beside it: a loop that
saves its weights after each epoch, as most scripts do.
"""

import itertools
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from damage import NAIVE, blobs
from kills import damage_of
from tally import Tally, fault_parser, finish
from torch.optim.optimizer import register_optimizer_step_pre_hook

import latens
from latens.errors import ImagesError, TrainingDiverged
from latens.losses import Losses
from latens.runs import record, start_run

SHORT, LONG = 100, 1_000  # numbers in each place
EPOCHS, BATCH = 3, 16
VALUES = (np.nan, np.inf, -np.inf)
PLACES = ("train images", "a weight", "a gradient", "the loss")


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    count = LONG if args.long else SHORT
    pixels = blobs(np.random.default_rng(0)).astype(np.float32) / 255
    with tempfile.TemporaryDirectory() as temporary:
        tallies = [given(pixels, np.random.default_rng(1), count)]
        for place in PLACES:
            tallies.append(while_training(place, pixels, np.random.default_rng(2), count, Path(temporary)))
        tallies.append(naive(pixels, np.random.default_rng(3), count, Path(temporary) / "state.pt"))
    sys.exit(finish(tallies, args.json, lambda one: not one.fault.startswith(NAIVE)))


def given(pixels: np.ndarray, random: np.random.Generator, count: int) -> Tally:
    """Numbers that are in the images already."""
    found = Tally("NaN or infinity in images that are given: refused before the training")
    for number in range(count):
        bad = pixels.copy()
        bad[tuple(random.integers(bad.shape))] = VALUES[number % 3]
        try:
            latens.load_images(bad)
        except ImagesError as error:
            found.add(True, f"more than one line: {error}" if "\n" in str(error) else "")
        else:
            found.add(True, "it was not refused")
    return found


def while_training(place: str, pixels: np.ndarray, random: np.random.Generator, count: int, temporary: Path) -> Tally:
    """Numbers that come up in one place, over all models, networks and optimisers."""
    found = Tally(f"NaN or infinity in {place} while training")
    kinds = itertools.cycle(itertools.product(latens.MODELS, latens.NETWORKS, ("muon", "adam")))
    for number in range(count):
        folder = temporary / f"{PLACES.index(place)}-{number}"
        found.add(*tried(place, VALUES[number % 3], next(kinds), pixels, random, folder))
    return found


def tried(
    place: str,
    value: float,
    kind: tuple[str, str, str],
    pixels: np.ndarray,
    random: np.random.Generator,
    folder: Path,
) -> tuple[bool, str]:
    """Whether one number was planted in a training, and what was wrong with how it ended."""
    model, network, optimiser = kind
    images = latens.load_images(pixels.copy())
    recipe = latens.RECIPES["fast"](images).with_options(
        model=model, network=network, optimiser=optimiser, latent_dim=4, epochs=EPOCHS, batch_size=BATCH, holdout=0.0
    )
    run = start_run(images, recipe, folder)
    plant = Plant(place, value, run.model, images.train.pixels, random)
    said = ""
    try:
        for _ in record(run, latens.train(run.model, images, recipe.config, on_batch=plant.after), images):
            plant.whole_epoch()
    except TrainingDiverged as error:
        said = str(error)
    finally:
        plant.remove()
    return plant.planted, plant.problem(said) or damage_of(folder) or differences(folder, plant.good)


class Plant:
    """A number that is not finite, planted at a step drawn at random, and what the weights were before.

    Args:
        place: one of `PLACES`.
        value: the number.
        model: that is trained.
        pixels: of the train part.
        random: for the step, the tensor and the place in it.
    """

    def __init__(
        self, place: str, value: float, model: torch.nn.Module, pixels: np.ndarray, random: np.random.Generator
    ) -> None:
        self.place, self.value, self.model, self.pixels, self.random = place, value, model, pixels, random
        self.steps_an_epoch = -(-len(pixels) // BATCH)
        self.at = int(random.integers(1, EPOCHS * self.steps_an_epoch))  # planted after this step, or in the next
        self.step, self.began, self.planted = 0, False, False
        self.good = self.epoch = self._weights()
        self.taken = 0  # steps of optimisers after the number was there
        self.hooks = [register_optimizer_step_pre_hook(self._taking)]
        self.hooks.append(register_optimizer_step_pre_hook(self._first))
        learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.parameter = learned[int(random.integers(len(learned)))]
        if place == "a gradient":
            self.hooks.append(self.parameter.register_hook(self._gradient))
        if place == "the loss":
            self.real = model.loss
            model.loss = self._loss  # type: ignore[method-assign, assignment]

    def after(self, epoch: int, step: int, loss: float) -> None:
        """Called after each step."""
        self.step, self.good = step, self._weights()
        if step != self.at:
            return
        if self.place == "train images":
            # Infinity is clipped to the range of the images, as all that lies outside it.
            self.pixels[...] = np.where(self.random.random(self.pixels.shape) < 0.01, np.nan, self.pixels)
            self.planted = True
        if self.place == "a weight":
            with torch.no_grad():
                self.parameter[self._spot(self.parameter)] = self.value
            self.planted, self.good = True, self.epoch

    def whole_epoch(self) -> None:
        """Called after each epoch that is recorded."""
        self.epoch = self._weights()

    def remove(self) -> None:
        """Take the hooks away."""
        for hook in self.hooks:
            hook.remove()
        self.model.__dict__.pop("loss", None)

    def problem(self, said: str) -> str:
        """What is wrong with how the training ended, from what its error said."""
        if not said:
            return "it was not noticed"
        if "\n" in said:
            return f"more than one line: {said}"
        step = int(re.search(r"step (\d+)", said)[1]) if "step" in said else None  # type: ignore[index]
        # A weight that is damaged after an epoch's last step is found at the end of that epoch.
        allowed = {self.step + 1, self.step} if self.place == "a weight" else {self.step + 1}
        if step not in allowed:
            return f"planted in step {self.step + 1}, but it says: {said}"
        return f"{self.taken} steps were taken with it" if self.taken else ""

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.model.named_parameters()}

    def _spot(self, tensor: torch.Tensor) -> tuple[int, ...]:
        return tuple(int(self.random.integers(size)) for size in tensor.shape)

    def _first(self, *_: object) -> None:
        if not self.began:  # what depends on the images has been set by now
            self.good = self.epoch = self._weights()
        self.began = True

    def _taking(self, *_: object) -> None:
        self.taken += self.planted

    def _gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        if self.step != self.at or self.planted:
            return gradient
        self.planted, gradient = True, gradient.clone()
        gradient[self._spot(gradient)] = self.value
        return gradient

    def _loss(self, x: torch.Tensor, generator: torch.Generator | None = None) -> Losses:
        losses = self.real(x, generator)
        if self.step != self.at or self.planted or not torch.is_grad_enabled():
            return losses
        self.planted = True
        return Losses(losses.total * self.value, losses.parts)


def differences(folder: Path, good: dict[str, torch.Tensor]) -> str:
    """How the weights of a run differ from the last good ones; empty where they don't. Statistics beside them are finite."""
    run = latens.open_run(folder)
    if run.record["status"] != "diverged":
        return f"the run is {run.record['status']}"
    weights = run.weights()
    if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
        return "the weights that are kept are not finite"
    differ = [name for name in good if not torch.equal(weights[name], good[name])]
    return f"weights differ from the last good ones: {differ}" if differ else ""


def naive(pixels: np.ndarray, random: np.random.Generator, count: int, path: Path) -> Tally:
    """A loop that saves after each epoch; a number in one gradient."""
    found = Tally(f"{NAIVE}the same in a loop that saves its weights after each epoch")
    x = torch.from_numpy(pixels).reshape(len(pixels), -1)
    for number in range(count):
        model = torch.nn.Sequential(torch.nn.Linear(144, 4), torch.nn.ReLU(), torch.nn.Linear(4, 144))
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        at, step = int(random.integers(1, EPOCHS * -(-len(x) // BATCH))), 0
        for _ in range(EPOCHS):
            for batch in x.split(BATCH):
                step += 1
                optimiser.zero_grad()
                (model(batch) - batch).square().mean().backward()
                if step == at:
                    model[0].weight.grad[0, 0] = VALUES[number % 3]
                optimiser.step()
            torch.save(model.state_dict(), path)
        kept = torch.load(path, weights_only=True)
        finite = all(bool(torch.isfinite(tensor).all()) for tensor in kept.values())
        found.add(True, "" if finite else "the weights that are kept are not finite")
    return found


if __name__ == "__main__":
    main()
