"""Training: a generator of Steps.

`train()` writes no files and shows no progress: the consumer of its Steps does. To stop early, stop consuming.
"""

import copy
import inspect
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from latens.arrays import Picked, blocks, gather, read_ahead, read_alone
from latens.device import flushed_denormals, generator, images_at_once, seeded_weights, yielding_threads
from latens.errors import TrainingDiverged, UnknownName, UsageError
from latens.images import Dataset
from latens.images.pixels import to_unit
from latens.losses import Losses
from latens.models import MODELS, FrozenModel
from latens.models.checks import check_weights
from latens.models.contract import Model, Prepared, Watched, evaluating
from latens.networks.forms import fastest_form
from latens.networks.half import FORMS, Half, layers_of
from latens.networks.linear_path import LinearPath
from latens.text import bytes_text
from latens.training.augmentation import blends, moved, moved_indices
from latens.training.graphs import Plan, Replay, StaticStep
from latens.training.linear_start import Start, gain_of_more, start_linear_path, start_seconds
from latens.training.optimisers import (
    LOOK_EVERY,
    FiniteGuard,
    check_state,
    diverged,
    learning_rate_factor,
    make_optimisers,
)
from latens.training.order import batches
from latens.training.precision import allowed_precision, check_bfloat16, lowered
from latens.training.recipes import FROZEN, Recipe, TrainConfig
from latens.training.team import Team, noticing_loss, team_of_process

__all__ = [
    "Expected",
    "Step",
    "build_model",
    "check_trainable",
    "dead_latent",
    "estimated_seconds",
    "evaluate",
    "fastest_forms",
    "held_out",
    "known_forms",
    "num_learned",
    "some_images",
    "train",
    "use_forms",
]

MOST_START = 1 << 28  # bytes of images, as floats, of which the linear path starts
AT_ONCE = 1 << 26  # bytes of images, copied to a device
TIMED_STEPS = 4
TEAM_NOISE = 1000  # of a random stream; plus the number of a process other than 0
WATCHED = 1000  # test images for the remarks after an epoch


def build_model(recipe: Recipe, image_shape: tuple[int, int, int]) -> Model:
    """The model that a recipe names, with initial weights that depend on its seed.

    Raises:
        UnknownName: no such model or network, or the model has no such option.
        UsageError: an option has a value that the model does not allow.
    """
    kind = FrozenModel if recipe.model == FROZEN else MODELS[recipe.model]
    _check_options(recipe, kind)
    with seeded_weights(recipe.config.seed):
        model = kind(image_shape, recipe.latent_dim, recipe.network, **recipe.model_options)
    with torch.inference_mode(False), torch.no_grad():
        first, last = _last_bias(model.encoder), _last_bias(model.decoder)
        if first is not None:
            first.add_(recipe.latent_bias)
        if last is not None and recipe.output_bias is not None:
            last.fill_(model.output_start(recipe.output_bias))
    use_forms(model, {"encoder": ["torch"], "decoder": ["torch"]})
    return model


def _last_bias(half: nn.Module) -> nn.Parameter | None:
    """The bias of a half's last layer; None where that has none, or where no order of layers is known."""
    layers = [layer for layer in layers_of(half) if not isinstance(layer, nn.Flatten | nn.Unflatten | nn.Identity)]
    bias = getattr(layers[-1], "bias", None) if layers else None
    return bias if isinstance(bias, nn.Parameter) else None


def _check_options(recipe: Recipe, kind: Callable[..., Model]) -> None:
    known = list(inspect.signature(kind).parameters)[3:]  # after the shape, the dimension and the network
    for name in recipe.model_options:
        if name not in known:
            raise UnknownName(f"option of {recipe.model}", name, known or ["none"])


def fastest_forms(
    recipe: Recipe, image_shape: tuple[int, int, int], num_images: int | None = None
) -> dict[str, list[str]]:
    """The forms of each half that are the fastest on this CPU, to train and to read with; see `latens.networks.forms`.

    Args:
        recipe: names model, network and batch size.
        image_shape: (C, H, W).
        num_images: size of the train part, so that no larger batch is tried; None for no limit.
    """
    model = build_model(recipe, image_shape)
    sizes = [recipe.config.batch_size, images_at_once(image_shape)]
    learning, reading = (max(1, size if num_images is None else min(size, num_images)) for size in sizes)
    can_choose = recipe.config.precision != "bfloat16"  # which only torch's form computes
    forms = {}
    for name, half, shape in (
        ("encoder", model.encoder, model.image_shape),
        ("decoder", model.decoder, model.latent_shape),
    ):
        forms[name] = ["torch", "torch"]
        half = half.layers if isinstance(half, LinearPath) else half
        if isinstance(half, Half):
            if can_choose and name not in model.twice_differentiated:
                forms[name][0] = fastest_form(half, shape, learning)
            forms[name][1] = fastest_form(half, shape, reading, learning=False)
    return forms


def use_forms(model: Model, forms: Mapping[str, Sequence[str]]) -> None:
    """Let those halves of a model that are a `Half` compute in these forms: equal up to the order of sums.

    Raises:
        UnknownName: a form that does not exist; see `known_forms`.
    """
    for name, half in (("encoder", model.encoder), ("decoder", model.decoder)):
        half = half.layers if isinstance(half, LinearPath) else half
        if isinstance(half, Half) and name in forms:
            half.use(*forms[name])


def known_forms(recorded: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Forms as an earlier version may have recorded them, with `"torch"` for those that no longer exist.

    >>> known_forms({"encoder": ["native", "columns"]})
    {'encoder': ['native', 'torch']}
    """
    return {
        half: [name if isinstance(name, str) and name in FORMS else "torch" for name in names]
        for half, names in recorded.items()
        if isinstance(names, list | tuple) and 1 <= len(names) <= 2
    }


@dataclass(frozen=True)
class Step:
    """The state of training after an epoch.

    `train_loss` is the mean of the model's loss over the epoch's images, during the epoch, and `parts` are its terms; `test_mse`
    is the mean squared error of the whole test part after it. `elapsed` and `images_per_second` count training only, without the
    evaluation. `remarks` are the messages of a model that is `Watched`, and one where all latents are equal.
    """

    epoch: int
    step: int
    train_loss: float
    parts: dict[str, float]
    test_mse: float
    learning_rate: float
    elapsed: float
    images_per_second: float
    state: Callable[[], dict[str, Tensor]] = field(repr=False, compare=False)
    remarks: tuple[str, ...] = ()

    @property
    def train_mse(self) -> float | None:
        """The mean squared error over the epoch's images during the epoch, with the model's noise; comparable between models."""
        return self.parts.get("squared_error")


def train(
    model: Model,
    images: Dataset,
    config: TrainConfig,
    state: dict[str, Tensor] | None = None,
    on_batch: Callable[[int, int, float], None] | None = None,
) -> Iterator[Step]:
    """Train a model on the device where it is; one Step an epoch.

    In a team (`latens.training.team`) every process calls it with the same arguments. Each computes its share of every batch, and
    all end when the Steps of process 0 are no longer asked for.

    Args:
        model: see `latens.models`; changed in place.
        images: both parts; the order of the train part depends on (seed, epoch) only.
        config: the settings.
        state: from an earlier Step's `state()`, to continue from there to the same weights.
        on_batch: called with (epoch, step, loss) after each optimiser step on a CPU, and every 50 steps on a GPU.

    Raises:
        TrainingDiverged: a loss or its gradient is not finite. The step is not taken: the weights are the last good ones.
        ProcessLost: another process of the team is gone.
        DeviceUnavailable: bfloat16 is asked for and gives wrong gradients on this machine; a state to continue from was checked
            when it was started.
    """
    if not isinstance(images, Dataset):
        raise UsageError(
            f"images are {type(images).__name__}; a Dataset with train and test, as of load_images, is needed"
        )
    check_trainable(model, images.shape)
    with _learning():
        trainer = _Trainer(model, images, config)
        test = _resident(images.test.inputs, model.device)
        if state is not None:
            trainer.restore(state)
        if isinstance(model, Prepared):
            model.prepare(images.train.inputs, images.test.inputs)
        if state is None:
            if config.precision == "bfloat16":
                # Only at the start: near convergence gradients are tiny, and rounding alone makes their relative error large.
                _check_bfloat16(model, images)
            trainer.start()
        trainer.begin()
    team = trainer.team
    for epoch in range(trainer.epoch + 1, config.epochs + 1):
        # Settings of the process are changed within an epoch only: between two epochs the user's own code runs.
        with yielding_threads():
            with _learning(), flushed_denormals(), allowed_precision(config.precision), noticing_loss():
                began = time.perf_counter()
                losses = trainer.run_epoch(epoch, on_batch)
                seconds = time.perf_counter() - began
            trainer.elapsed += seconds
            kept = trainer.keep_best()
            test_mse = evaluate(model, test, team)
            if not math.isfinite(test_mse):
                raise diverged(epoch, trainer.step)
            step = Step(
                epoch=epoch,
                step=trainer.step,
                train_loss=losses.pop("total"),
                parts=losses,
                test_mse=test_mse,
                learning_rate=config.learning_rate * trainer.factor(trainer.step - 1),
                elapsed=trainer.elapsed,
                images_per_second=len(trainer.pixels) / seconds,
                state=trainer.state,
                remarks=(*_remarks(model, test), *([kept] if kept else [])),
            )
        try:
            yield step
        except GeneratorExit:
            if team is not None:
                team.tell("stop")
            trainer.end()
            raise
        if team is not None and team.tell("go on") == "stop":
            break
    trainer.end()


@contextmanager
def _learning() -> Iterator[None]:
    """Enable gradients inside, in any mode in which the user asks for the next step."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def check_trainable(model: Model, image_shape: tuple[int, int, int]) -> None:
    """Check that a model can be trained on images of this shape.

    Raises:
        UsageError: it takes other images, its weights have no values or can't be changed, or no weight is trainable.
    """
    if not isinstance(model, Model):
        raise UsageError(f"model is {type(model).__name__}; a latens.models.Model is needed, such as MODELS[name](...)")
    if tuple(model.image_shape) != tuple(image_shape):
        raise UsageError(
            f"images are {' x '.join(map(str, image_shape))}; this model takes {' x '.join(map(str, model.image_shape))}"
        )
    check_weights(model)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not learned:
        raise UsageError("the model has no parameter with requires_grad=True, so that there is nothing to train")
    if any(parameter.is_inference() for parameter in learned):
        raise UsageError(
            "the model's parameters were made under torch.inference_mode, where nothing can be trained; make the model outside it"
        )
    kinds = sorted({str(parameter.dtype) for parameter in learned if not parameter.is_floating_point()})
    if kinds:
        raise UsageError(
            f"the model has parameters of {', '.join(kinds)}; only real floating point numbers can be trained"
        )


@torch.no_grad()
def _remarks(model: Model, test: np.ndarray | Tensor) -> tuple[str, ...]:
    x = _as_float(test, np.arange(min(WATCHED, len(test))), model.device, model.dtype)
    with evaluating(model):
        own = tuple(model.remarks(x)) if isinstance(model, Watched) else ()
        dead = dead_latent(model, x)
    return (*own, dead) if dead else own


def dead_latent(model: Model, x: Tensor) -> str:
    """A message if all latents of some images (B, C, H, W) are equal; empty if they are not.

    A ReLU whose units are all negative at the start gets no gradient, and stays at 0.
    """
    z = model.encode(x)
    if len(z) < 2 or not bool((z == z[:1]).all()):
        return ""
    why = "; its ReLU is never above 0" if isinstance(_last(model.after_encoder), nn.ReLU) and not z.any() else ""
    return (
        f"every image has the same latent{why}: the model has learned the mean image only; use another --seed, a larger"
        " --latent-dim or --model autoencoder:activation=none"
    )


def _last(layers: nn.Sequential) -> nn.Module | None:
    return layers[-1] if len(layers) else None


def _check_bfloat16(model: Model, images: Dataset) -> None:
    """Check that bfloat16 works for this model, on the first images."""
    device, first = model.device, np.arange(min(16, len(images.train)))
    x = _as_float(images.train.inputs, first, device, model.dtype)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    check_bfloat16(lambda: model.loss(x, generator(0, 0, 1, device=device)).total.mean(), learned, device)


class _Trainer:
    """The state of one training: position, optimisers and data."""

    def __init__(self, model: Model, images: Dataset, config: TrainConfig) -> None:
        self.model = model
        self.config = config
        learned, held = held_out(len(images.train), config.holdout, config.seed)
        pixels = images.train.inputs
        self.pixels = _resident(_rows(pixels, learned, config.window) if len(held) else pixels, model.device)
        self.held = _rows(pixels, held, config.window)
        self.best: dict[str, Tensor] = {}  # the weights with the least loss on images held out, if any are
        self.best_loss, self.best_epoch = math.inf, 0
        self.chosen: _Chosen | None = None  # of a linear path
        self.epoch = self.step = 0
        self.elapsed = 0.0
        self.total_steps = config.epochs * -(-len(self.pixels) // config.batch_size)
        self.parameters = list(model.parameters())  # each call searches the whole model
        self.optimisers = make_optimisers(
            model,
            config.optimiser,
            config.learning_rate,
            config.matrix_learning_rate,
            config.beta2,
            config.weight_decay,
        )
        self.base_rates = [optimiser.param_groups[0]["lr"] for optimiser in self.optimisers]
        self.team = team_of_process()
        self.loss: Callable[[Tensor, torch.Generator], Losses] = model.loss
        self.replay = None
        # A captured step does not meet other processes: a team takes its steps one by one.
        alone = self.team is None and not model.reads_host
        if isinstance(self.pixels, Tensor) and not blends(config.augmentation) and alone:
            self.replay = self._whole_steps()

    def begin(self) -> None:
        """Join the other processes, once the weights are those to begin with.

        Raises:
            UsageError: there are fewer train images than processes.
        """
        if self.team is not None:
            if len(self.pixels) < self.team.size:
                raise UsageError(
                    f"{len(self.pixels)} train images are too few for {self.team.size} processes; start fewer"
                )
            self.loss = self.team.wrapped(self.model)

    def end(self) -> None:
        """Let go of the other processes: Steps keep this trainer, and what holds the group must be gone before the group is."""
        self.loss = self.model.loss

    def start(self) -> None:
        """Set what depends on the images before the first step, and take it as the best so far."""
        if not isinstance(self.model.encoder, LinearPath):
            return
        began = time.perf_counter()
        x, held = self._for_start()
        start = start_linear_path(self.model, x, held if len(held) else None)
        if start is not None and len(held):
            gain = gain_of_more(x, held, min(self.model.latent_dim, math.prod(self.model.image_shape)), start)
            self.chosen = _Chosen(start, _mean_loss(self.model, self.held, self.config.seed) / gain)
        self.elapsed += time.perf_counter() - began
        self.keep_best()

    def _for_start(self) -> tuple[Tensor, Tensor]:
        """The images of which a linear path starts, and those held out."""
        rows = _rows_of_start(len(self.pixels), self.model.image_shape)
        return some_images(self._on_host(), rows), some_images(self.held, np.arange(len(self.held)))

    def _on_host(self) -> np.ndarray:
        return self.pixels.cpu().numpy() if isinstance(self.pixels, Tensor) else self.pixels

    def keep_best(self) -> str:
        """Keep the weights if their loss on the images held out is the least; after the last epoch put the best ones back.

        Returns:
            A remark where earlier weights were put back.
        """
        if not len(self.held):
            return ""
        loss = _mean_loss(self.model, self.held, self.config.seed)
        if self.team is not None:  # so that all agree on which weights are the best
            loss = float(self.team.tell(loss))
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, self.epoch
            self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
        if self.epoch < self.config.epochs or not self.best:
            return ""
        if self.chosen is not None and self.chosen.expected <= self.best_loss:
            return self._take_start(self.chosen)
        if self.best_epoch == self.epoch:
            return ""
        self.model.load_state_dict(self.best)
        when = f"after epoch {self.best_epoch}" if self.best_epoch else "before the first epoch, of the linear path,"
        return (
            f"the weights {when} are kept: their loss on {len(self.held)} train images that were held out was"
            f" {self.best_loss:.4g}, after the last epoch {loss:.4g}"
        )

    def _take_start(self, chosen: "_Chosen") -> str:
        """Put the start in place of trained weights, computed from the images held out as well; a remark that says so."""
        trained, (learned, held) = self.best_loss, self._for_start()
        self.best_epoch, self.best_loss = 0, chosen.expected
        start_linear_path(self.model, torch.cat([learned, held]), start=chosen.start)
        self.best = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
        return (
            "the weights before the first epoch, of the linear path, are kept, and computed anew from all train images: their"
            f" expected loss is {chosen.expected:.4g}, the least on {len(held)} train images that were held out {trained:.4g}"
        )

    def factor(self, step: int) -> float:
        warmup = round(self.config.warmup * self.total_steps)
        return learning_rate_factor(step, self.total_steps, warmup, self.config.decay)

    def _whole_steps(self) -> Replay:
        """Steps without the host, for images that are on the device of the weights."""
        assert isinstance(self.pixels, Tensor)
        step = StaticStep(
            self.model.loss,
            self.pixels,
            self.optimisers,
            self.config.batch_size,
            moving=self.config.augmentation != "none",
            precision=self.config.precision,
            dtype=self.model.dtype,
        )
        return Replay(step)

    def _batches(self, epoch: int) -> Iterator[np.ndarray]:
        config, pixels = self.config, self.pixels
        numbers = (len(pixels), config.batch_size, config.seed, epoch, config.window)
        if isinstance(pixels, Tensor) or not config.window:
            yield from batches(*numbers)
            return
        with read_alone(pixels):
            yield from batches(*numbers, ahead=partial(read_ahead, pixels))

    def _plan(self, epoch: int) -> Plan:
        """The inputs of an epoch's steps, as tables."""
        order = list(self._batches(epoch))
        factors = [self.factor(self.step + number) for number in range(len(order))]
        return Plan(
            order=torch.from_numpy(np.concatenate(order)),
            rates=torch.tensor([[rate * factor for rate in self.base_rates] for factor in factors]),
            seed=generator(self.config.seed, epoch, 1).initial_seed(),
            moves=self._moves(epoch, len(order)) if self.config.augmentation != "none" else None,
        )

    def _moves(self, epoch: int, num_batches: int) -> tuple[Tensor, Tensor]:
        moves = np.random.default_rng((self.config.seed, epoch, 2))
        indices = [
            moved_indices(self.config.augmentation, *self.model.image_shape[1:], moves) for _ in range(num_batches)
        ]
        rows, columns = (torch.from_numpy(np.stack(table)) for table in zip(*indices, strict=True))
        return rows, columns

    def run_epoch(self, epoch: int, on_batch: Callable[[int, int, float], None] | None) -> dict[str, float]:
        """Train for one epoch; the mean of the total and of each part over the epoch's images.

        Raises:
            TrainingDiverged: a loss or its gradient is not finite, or the weights are not after the last step. The model is then
                as it was before the step; where the weights are not finite already, as it was before the epoch.
        """
        before = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.model.train()
        try:
            if self.replay is not None:
                losses = self.replay.run_epoch(self._plan(epoch), epoch, self.step, on_batch)
                self.epoch, self.step = epoch, self.step + len(self.replay.step.sizes)
            else:
                losses = self._run_by_batches(epoch, on_batch)
            finite = all(math.isfinite(losses.get(name, 0.0)) for name in ("total", "squared_error"))
            if not finite or not self._is_finite():
                raise diverged(epoch, self.step)
        except TrainingDiverged:
            if not self._is_finite():
                self.model.load_state_dict(before)
            raise
        finally:
            self.model.eval()
        return losses

    def _is_finite(self) -> bool:
        """Whether all weights and buffers are finite numbers."""
        return all(bool(torch.isfinite(tensor).all()) for tensor in self.model.state_dict().values())

    def _run_by_batches(self, epoch: int, on_batch: Callable[[int, int, float], None] | None) -> dict[str, float]:
        device, dtype = self.model.device, self.model.dtype
        team = self.team
        noise = generator(self.config.seed, epoch, TEAM_NOISE + team.rank if team and team.rank else 1, device=device)
        moves = np.random.default_rng((self.config.seed, epoch, 2))
        sums: dict[str, Tensor] = {}
        guard = FiniteGuard(self.optimisers, device)
        for indices in self._batches(epoch):
            x = _as_float(self.pixels, indices if team is None else team.share(indices), device, dtype)
            if self.config.augmentation != "none":
                x = moved(x, self.config.augmentation, moves).contiguous(memory_format=torch.channels_last)
            with lowered(self.config.precision, device):
                losses = self.loss(x, noise)
            parts = {"total": losses.total, **losses.parts}
            loss = losses.total.mean() if team is None else team.loss(losses.total, indices)
            seen = loss if team is None else team.mean(loss)  # if it is not finite, it is so for all
            self._update(loss, seen, guard, epoch)
            for name, value in parts.items() if team is None or team.counts(indices) else ():
                sums[name] = sums.get(name, torch.zeros((), device=device)) + value.detach().sum()
            del losses, parts  # the graph, so that the next step reuses its buffers
            if on_batch is not None and (device.type == "cpu" or self.step % LOOK_EVERY == 0):
                on_batch(epoch, self.step, seen.item())
        guard.look(epoch)
        self.epoch = epoch
        if team is not None:
            sums = dict(zip(sums, team.sum(torch.stack(list(sums.values()))), strict=True))
        return {name: value.item() / len(self.pixels) for name, value in sums.items()}

    def _update(self, loss: Tensor, seen: Tensor, guard: FiniteGuard, epoch: int) -> None:
        factor = self.factor(self.step)
        for optimiser, rate in zip(self.optimisers, self.base_rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * factor
        for parameter in self.parameters:
            parameter.grad = None
        self.step += 1
        guard.check(seen, epoch, self.step)
        loss.backward()  # type: ignore[no-untyped-call]
        guard.take_step(epoch, self.step)

    def state(self) -> dict[str, Tensor]:
        """All that resuming needs, as named tensors on the CPU; a copy."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for number, optimiser in enumerate(self.optimisers):
            for index, parameter in enumerate(optimiser.param_groups[0]["params"]):
                for key, value in optimiser.state[parameter].items():
                    tensors[f"optimiser.{number}.{index}.{key}"] = torch.as_tensor(value)
        if len(self.held):
            tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
            if self.chosen is not None:
                tensors["start"] = torch.tensor(self.chosen.to_numbers(), dtype=torch.float64)
            tensors["best_loss"] = torch.tensor([self.best_loss, self.best_epoch], dtype=torch.float64)
        tensors["position"] = torch.tensor([self.epoch, self.step])
        tensors["elapsed"] = torch.tensor(self.elapsed, dtype=torch.float64)
        return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state()` returned; nothing is changed if the state does not fit.

        Raises:
            UsageError: it is of another model or another optimiser, incomplete, or not finite.
        """
        self.epoch, self.step, self.elapsed = _position(state)
        moments = _moments(state)
        check_state(self.optimisers, moments)
        best, best_loss = _part_of(state, "best."), state.get("best_loss")
        if len(self.held):
            own = self.model.state_dict()
            if (
                best_loss is None
                or best_loss.shape != (2,)
                or any(own[name].shape != tensor.shape if name in own else True for name, tensor in best.items())
            ):
                raise UsageError("the training state does not fit: it holds no weights chosen by images held out")
        try:
            self.model.load_state_dict(_part_of(state, "model."))
        except RuntimeError as error:
            raise UsageError(f"the training state does not fit this model: {' '.join(str(error).split())}") from None
        for (number, index), tensors in moments.items():
            optimiser = self.optimisers[number]
            parameter = optimiser.param_groups[0]["params"][index]
            optimiser.state[parameter] = {name: _laid_out_like(t, parameter) for name, t in tensors.items()}
        if best_loss is not None and len(self.held):
            self.best, self.best_loss, self.best_epoch = dict(best), float(best_loss[0]), int(best_loss[1])
        self.chosen = _Chosen.from_numbers(state["start"].tolist()) if "start" in state else None


@dataclass(frozen=True)
class _Chosen:
    """The start of a linear path, and the loss on other images that is expected of it from all train images."""

    start: Start
    expected: float

    def to_numbers(self) -> list[float]:
        return [*self.start.to_numbers(), self.expected]

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> "_Chosen":
        *start, expected = numbers
        return cls(Start.from_numbers(start), expected)


def _part_of(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _moments(state: Mapping[str, Tensor]) -> dict[tuple[int, int], dict[str, Tensor]]:
    """The optimisers' part of a state: (number of the optimiser, index of the parameter) -> name -> tensor."""
    found: dict[tuple[int, int], dict[str, Tensor]] = {}
    for key, tensor in _part_of(state, "optimiser.").items():
        number, index, name = key.split(".", 2)
        found.setdefault((int(number), int(index)), {})[name] = tensor
    return found


def _position(state: Mapping[str, Tensor]) -> tuple[int, int, float]:
    """Epochs, steps and seconds that a state has behind it."""
    position, elapsed = state.get("position"), state.get("elapsed")
    if position is None or elapsed is None or position.shape != (2,) or elapsed.numel() != 1 or position.min() < 0:
        raise UsageError("the training state has no valid position; give what a Step's state() returned")
    epoch, step = position.tolist()
    return int(epoch), int(step), float(elapsed.item())


class Expected(NamedTuple):
    """About how many seconds training will take: what comes before the first step, and all epochs."""

    start: float
    epochs: float

    @property
    def whole(self) -> float:
        """Both."""
        return self.start + self.epochs


def estimated_seconds(
    model: Model, images: Dataset, config: TrainConfig, num_epochs: int, resumed: bool = False
) -> Expected:
    """About how long training will take on a CPU, from a few steps with a copy of the model; 0 on other devices.

    Args:
        model: not changed.
        images: whose first images are used.
        config: the settings.
        num_epochs: that are still to train.
        resumed: whether it goes on from a state, so that the start is behind it.
    """
    learned, held = (len(part) for part in held_out(len(images.train), config.holdout, config.seed))
    rows = np.arange(min(config.batch_size, len(images.train)))
    steps = num_epochs * -(-learned // config.batch_size)
    if model.device.type != "cpu":
        return Expected(0.0, 0.0)
    with yielding_threads(), allowed_precision("float32"):
        start = 0.0 if resumed else start_seconds(model, len(_rows_of_start(learned, model.image_shape)), held)
        looked = images.test.inputs[: images_at_once(model.image_shape)]
        _, began = evaluate(model, looked), time.perf_counter()
        evaluate(model, looked)
        evaluating_one = (time.perf_counter() - began) / len(looked)
    between = num_epochs * (len(images.test) + held) * evaluating_one
    if steps <= TIMED_STEPS:
        return Expected(start, between)
    trial, noise = copy.deepcopy(model).train(), generator(config.seed, 0, 5, device=model.device)
    parameters = [parameter for parameter in trial.parameters() if parameter.requires_grad]
    optimisers = make_optimisers(
        trial, config.optimiser, config.learning_rate, config.matrix_learning_rate, config.beta2, config.weight_decay
    )
    took = []
    with yielding_threads(), _learning(), allowed_precision(config.precision):
        for _ in range(TIMED_STEPS):
            began = time.perf_counter()
            x = _as_float(images.train.inputs, rows, model.device, model.dtype)
            with lowered(config.precision, model.device):
                loss = trial.loss(x, noise).total.mean()
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient
            for optimiser in optimisers:
                optimiser.step()
            took.append(time.perf_counter() - began)
    return Expected(start, between + steps * min(took[1:]))


def _rows_of_start(num_images: int, image_shape: Sequence[int]) -> np.ndarray:
    """The rows of the images trained on of which a linear path starts: all, or as many as fit into some memory."""
    most = max(1, MOST_START // (math.prod(image_shape) * 4))
    return np.arange(0, num_images, -(-num_images // most))


def num_learned(num_images: int, config: TrainConfig) -> int:
    """How many of the train images are trained on, and not held out."""
    return len(held_out(num_images, config.holdout, config.seed)[0])


def held_out(num_images: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The ascending rows that are trained on and those that are held out, at least one of these if a share is asked for.

    >>> [len(rows) for rows in held_out(40, 0.1, seed=0)]
    [36, 4]
    """
    if not share:
        return np.arange(num_images), np.arange(0)
    count = min(num_images - 1, max(1, round(share * num_images)))
    order = np.random.default_rng((seed, 0, 3)).permutation(num_images)
    return np.sort(order[count:]), np.sort(order[:count])


@torch.no_grad()
def _mean_loss(model: Model, pixels: np.ndarray, seed: int) -> float:
    """The mean of a model's own loss over some images, with the same noise at each call."""
    total, device = 0.0, model.device
    noise = generator(seed, 0, 4, device=device)
    batch = images_at_once(model.image_shape, device)
    with evaluating(model), allowed_precision("float32"):
        for start in range(0, len(pixels), batch):
            x = _as_float(pixels, np.arange(start, min(start + batch, len(pixels))), device, model.dtype)
            total += model.loss(x, noise).total.cpu().sum(dtype=torch.float64).item()
    return total / len(pixels)


@torch.no_grad()
def evaluate(model: Model, pixels: np.ndarray | Tensor, team: Team | None = None) -> float:
    """The mean squared error of a model's reconstructions of images (N, C, H, W), over all images and pixels.

    They are uint8, or floats in [0, 1]. Where a team is given, each of its processes looks at a share of them.
    """
    total, device, dtype = 0.0, model.device, model.dtype
    batch = images_at_once(model.image_shape, device)
    num = len(pixels)
    rows = np.arange(num) if team is None else np.arange(team.rank, num, team.size)
    with evaluating(model), allowed_precision("float32"):
        for start in range(0, len(rows), batch):
            x = _as_float(pixels, rows[start : start + batch], device, dtype)
            y = model.decode(model.encode(x))
            # On the host, because MPS has no float64.
            total += (x - y).square().flatten(1).mean(1).cpu().sum(dtype=torch.float64).item()
    return (total if team is None else float(team.sum(torch.tensor(total, dtype=torch.float64)))) / num


def _resident(pixels: np.ndarray, device: torch.device) -> np.ndarray | Tensor:
    """The pixels from which batches are taken: on CUDA on the device, if they fit into half of its free memory."""
    if device.type != "cuda":
        return pixels
    free = torch.cuda.mem_get_info(device)[0]
    if pixels.nbytes < free // 2:
        return _copied(pixels, device)
    warnings.warn(
        f"{bytes_text(pixels.nbytes)} of images do not fit into half of the {bytes_text(free)} that are free on {device}:"
        " each batch is copied there, and training is slower",
        stacklevel=2,
    )
    return pixels


def _copied(pixels: np.ndarray, device: torch.device) -> Tensor:
    """A copy on a device, made block by block: the host may have less memory."""
    copy = torch.empty(pixels.shape, dtype=torch.from_numpy(np.empty(0, pixels.dtype)).dtype, device=device)
    length = max(1, AT_ONCE // max(1, pixels.nbytes // len(pixels)))
    for number, block in enumerate(blocks(pixels, length)):
        copy[number * length : number * length + len(block)] = torch.from_numpy(np.array(block))
    return copy


def _rows(pixels: np.ndarray, rows: np.ndarray, window: int) -> np.ndarray:
    """Some rows: a copy, or where not all fit into memory a view that reads them."""
    return cast(np.ndarray, Picked(pixels, rows)) if window else pixels[rows]


def _as_float(
    pixels: np.ndarray | Tensor, indices: np.ndarray, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Some images in [0, 1], on a device, in channels_last order."""
    if isinstance(pixels, Tensor):
        x = pixels[torch.from_numpy(indices).to(device)]
    else:
        x = torch.from_numpy(gather(pixels, indices)).to(device)
    return to_unit(x.contiguous(memory_format=torch.channels_last), dtype)


def some_images(pixels: np.ndarray, rows: np.ndarray) -> Tensor:
    """Some images as float32 (n, C, H, W) in [0, 1], on the CPU."""
    return _as_float(pixels, rows, torch.device("cpu")).contiguous()


def _laid_out_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A moment on its parameter's device and in its memory layout: sums over another layout may round differently."""
    if tensor.shape == parameter.shape:
        return torch.empty_like(parameter, requires_grad=False).copy_(tensor)
    return tensor.to(parameter.device, copy=True)  # a count of steps
