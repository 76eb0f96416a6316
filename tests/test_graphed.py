"""Whole steps over buffers with fixed addresses: against training by batches, and how they are captured and replayed.

What needs a CUDA device is at the end. Elsewhere the same code runs call by call, and a stand-in for the graph keeps the books.
"""

import itertools
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import latens.training.graphs
from latens.errors import TrainingDiverged
from latens.losses import Losses
from latens.models import MODELS
from latens.models.autoencoder import AutoencoderModel
from latens.training.graphs import Plan, Replay, StaticStep
from latens.training.loop import _laid_out_like, _resident, build_model, evaluate, train
from latens.training.optimisers import LOOK_EVERY, Muon
from latens.training.recipes import Recipe, TrainConfig

# Muon makes much of small differences: it brings the weakest direction of a gradient to the length of all others.
ROUNDING = {"rtol": 1e-3, "atol": 1e-4}
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def config(**options):
    """Four batches an epoch of the 108 blobs, the last of 12; a rise and a fall of the learning rate."""
    standard = {"epochs": 2, "batch_size": 32, "optimiser": "muon", "learning_rate": 0.006}
    return TrainConfig(**{**standard, "warmup": 0.4, "decay": True, **options})


class Noisy(AutoencoderModel):
    """Draws noise with the generator that it is given."""

    def loss(self, x, generator=None):
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        return super().loss(x + 0.3 * noise, generator)


class Poisoned(AutoencoderModel):
    """One of its losses is not a number: the one that `call` says. It counts on the device, as a graph would."""

    call, count = 6, None

    def loss(self, x, generator=None):
        losses = super().loss(x, generator)
        if self.count is None:
            self.count = torch.zeros((), device=x.device)
        self.count += 1
        return Losses(torch.where(self.count == self.call, torch.nan, losses.total), losses.parts)


def small_model(images, kind=AutoencoderModel, seed=0):
    if isinstance(kind, str):
        return build_model(Recipe("test", kind, "convolutional", 8, config(seed=seed)), images.shape)
    model = build_model(Recipe("test", "autoencoder", "convolutional", 8, config(seed=seed)), images.shape)
    model.__class__ = kind
    return model


@pytest.fixture
def resident(monkeypatch):
    """Take training through whole steps on a CPU too."""
    monkeypatch.setattr(Muon, "native", False)  # kernels that whole steps never use sum in another order

    def switch(on=True):
        function = (lambda pixels, device: torch.from_numpy(np.array(pixels))) if on else _resident
        monkeypatch.setattr("latens.training.loop._resident", function)

    switch()
    return switch


def both_ways(images, settings, resident, kind=AutoencoderModel):
    """The last Steps and the models of training by batches, and of training by whole steps."""
    results = []
    for on in (False, True):
        resident(on)
        model = small_model(images, kind)
        *_, last = train(model, images, settings)
        results.append((last, model))
    return results


def assert_alike(expected, got, **tolerance):
    """All that two states hold, but for the time that it took."""
    assert expected.keys() == got.keys()
    for name in expected.keys() - {"elapsed"}:
        torch.testing.assert_close(
            got[name], expected[name], **tolerance, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("name", MODELS)
def test_each_model_trains_by_whole_steps(name, blobs, resident):
    (expected, _), (got, _) = both_ways(blobs, config(optimiser="adam", learning_rate=1e-3), resident, name)
    assert_alike(expected.state(), got.state(), **ROUNDING)
    assert got.parts == pytest.approx(expected.parts, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("augmentation", ["none", "shift", "shift-flip"])
@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_whole_steps_train_as_batches_do(optimiser, augmentation, blobs, resident):
    settings = config(optimiser=optimiser, augmentation=augmentation)
    (expected, _), (got, _) = both_ways(blobs, settings, resident)
    assert got.step == expected.step == 8
    assert_alike(expected.state(), got.state(), **ROUNDING)
    assert got.train_loss == pytest.approx(expected.train_loss, rel=1e-5)
    assert got.parts == pytest.approx(expected.parts, rel=1e-5)
    assert got.test_mse == pytest.approx(expected.test_mse, rel=1e-5)
    # Another schedule would have been noticed.
    resident(False)
    *_, other = train(small_model(blobs), blobs, replace(settings, warmup=0.3))
    assert other.train_loss != pytest.approx(expected.train_loss, rel=1e-3)


def test_noise_is_drawn_as_by_batches(blobs, resident):
    (expected, _), (got, _) = both_ways(blobs, config(optimiser="adam"), resident, Noisy)
    assert got.train_loss == pytest.approx(expected.train_loss, rel=1e-6)


def test_bfloat16_is_that_of_batches(blobs, resident):
    settings = config(optimiser="adam", precision="bfloat16")
    (expected, _), (got, _) = both_ways(blobs, settings, resident)
    assert got.train_loss == pytest.approx(expected.train_loss, rel=1e-6)


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_whole_steps_go_on_bit_for_bit(optimiser, blobs, resident):
    settings = config(epochs=3, optimiser=optimiser)
    *_, last = train(small_model(blobs), blobs, settings)
    state = next(train(small_model(blobs), blobs, settings)).state()
    *_, resumed = train(small_model(blobs, seed=9), blobs, settings, state)
    assert_alike(last.state(), resumed.state(), rtol=0, atol=0)
    assert (resumed.train_loss, resumed.test_mse, resumed.step) == (last.train_loss, last.test_mse, last.step)


@pytest.mark.parametrize("whole_first", [True, False])
def test_either_way_goes_on_where_the_other_stopped(whole_first, blobs, resident):
    settings = config()
    (expected, _), _ = both_ways(blobs, settings, resident)
    resident(whole_first)
    state = next(train(small_model(blobs), blobs, settings)).state()
    resident(not whole_first)
    *_, got = train(small_model(blobs, seed=9), blobs, settings, state)
    assert_alike(expected.state(), got.state(), **ROUNDING)


def test_a_moment_goes_where_its_parameter_is():
    parameter = nn.Parameter(torch.zeros(2, 3, 4, 4, device="meta").to(memory_format=torch.channels_last))
    moment = _laid_out_like(torch.ones(2, 3, 4, 4), parameter)
    assert moment.device.type == "meta"
    assert moment.stride() == parameter.stride()
    assert not moment.requires_grad
    assert _laid_out_like(torch.tensor(3.0), parameter).device.type == "meta"


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_a_loss_that_is_not_finite_stops_everything(optimiser, blobs, resident):
    """The sixth of eight steps is the second of the second epoch; the seventh and the eighth would be good again."""
    models = []
    for on in (True, False):
        resident(on)
        model = small_model(blobs, Poisoned)
        with pytest.raises(TrainingDiverged, match="epoch 2, step 6"):
            list(train(model, blobs, config(optimiser=optimiser)))
        models.append(model)
    for ours, theirs in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(ours, theirs, **ROUNDING)


@pytest.mark.parametrize("of", ["loss", "gradient"])
@pytest.mark.parametrize("first", [1, 3])
def test_nothing_changes_after_a_loss_or_a_gradient_that_is_not_finite(first, of):
    """Neither weights nor moments nor the count of steps, also where the very first loss is the bad one."""
    step, weights = line_step(bad_steps={first}, of=of)
    step.begin(line_plan(step))
    seen = []
    for size in step.sizes:
        step.take(size)
        moments = [value.clone() for optimiser in step.optimisers for state in optimiser.state.values()
                   for value in state.values()]  # fmt: skip
        seen.append([*(weight.detach().clone() for weight in weights), *moments])
    last_good = seen[max(first - 2, 0)]
    for after in seen[first - 1 :]:
        assert all(torch.equal(before, now) for before, now in zip(last_good, after, strict=True))
    assert int(step.next) == first - 1
    if first > 1:
        assert not torch.equal(seen[0][0], seen[1][0])
    else:
        assert all((moment == 0).all() for moment in seen[0][len(weights) :])


def line_step(bad_steps=(), num_images=10, batch_size=2, of="loss"):
    """A step over two matrices, of Muon, and a bias, of Adam: which losses, or gradients, are infinite is given by number."""
    rng = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(4, 4, generator=rng)) for _ in range(2)] + [nn.Parameter(torch.zeros(4))]
    numbers = itertools.count(1)

    def loss(x, generator):
        h = x.flatten(1)
        for weight in weights[:2]:
            h = h @ weight
        total = (h + weights[2]).square().mean(1)
        bad = next(numbers) in bad_steps
        if of == "gradient":
            factors.append(torch.inf if bad else 1.0)
            return Losses(total)
        return Losses(total * torch.inf if bad else total)

    factors = []
    if of == "gradient":
        weights[1].register_hook(lambda gradient: gradient * factors[-1])
    optimisers = [torch.optim.Adam(weights[2:], lr=0.1, fused=True), Muon(weights[:2], lr=0.1)]
    pixels = torch.randint(0, 256, (num_images, 1, 2, 2), dtype=torch.uint8, generator=rng)
    return StaticStep(loss, pixels, optimisers, batch_size), weights


def line_plan(step):
    return Plan(torch.arange(len(step.pixels)), torch.full(tuple(step.rates.shape), 0.1), seed=0)


def test_the_host_is_updated_now_and_then(blobs, resident):
    heard = []
    list(train(small_model(blobs), blobs, config(batch_size=2), on_batch=lambda *args: heard.append(args)))
    assert [(epoch, step) for epoch, step, _ in heard] == [(1, LOOK_EVERY), (2, 2 * LOOK_EVERY)]
    assert all(0 < loss < 1 for _, _, loss in heard)


def test_pixels_on_the_device_are_evaluated_alike(blobs):
    model = small_model(blobs)
    pixels = torch.from_numpy(blobs.test.pixels.copy())
    assert evaluate(model, pixels) == evaluate(model, blobs.test.pixels)


def test_images_too_large_for_a_card_are_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (100, 200))
    pixels = np.zeros((51, 1, 1, 1), np.uint8)
    with pytest.warns(UserWarning, match="do not fit into half of .* free on cuda: each batch is copied"):
        assert _resident(pixels, torch.device("cuda")) is pixels
    assert _resident(pixels, torch.device("cpu")) is pixels


class Recorder:
    """A stand-in for CUDA graphs: while it records, steps are noted and not taken; a replay takes them."""

    def __init__(self, monkeypatch, step, broken=False):
        self.step, self.broken, self.take, self.log = step, broken, step.take, []
        recorder = self

        class Graph:
            def register_generator_state(self, generator):
                assert generator is step.noise

            def replay(self):
                recorder.log.append(("replay", self.size))
                recorder.take(self.size)

        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", self.recording)
        monkeypatch.setattr(step, "take", self.eagerly)

    def eagerly(self, size):
        self.log.append(("take", size))
        self.take(size)

    @contextmanager
    def recording(self, graph, pool, stream, capture_error_mode):
        def note(size):
            assert all(optimiser.param_groups[0]["capturable"] for optimiser in self.step.optimisers)
            graph.size = size
            self.log.append(("capture", size))

        self.step.take = note
        try:
            yield
        finally:
            self.step.take = self.eagerly
        if self.broken:
            raise RuntimeError("operation not permitted\nand more")


@pytest.fixture
def captured(monkeypatch):
    """Run four epochs of five batches of 2 and a last one of 1, with graphs or without; the weights, and what was done."""

    def run(broken=False):
        step, weights = line_step(num_images=11)
        replay = Replay(step)
        replay.may_capture = True
        recorder = Recorder(monkeypatch, step, broken)
        for epoch in range(4):
            replay.run_epoch(line_plan(step), epoch, 6 * epoch)
        assert not any(optimiser.param_groups[0]["capturable"] for optimiser in step.optimisers)
        return weights, recorder.log

    return run


@pytest.fixture
def call_by_call():
    step, weights = line_step(num_images=11)
    for epoch in range(4):
        Replay(step).run_epoch(line_plan(step), epoch, 6 * epoch)
    return weights


def test_each_size_is_captured_once_after_its_first_steps(captured, call_by_call):
    weights, log = captured()
    assert log == [
        *[("take", 2)] * 3, ("capture", 2), *[("replay", 2)] * 2, ("take", 1),
        *([*[("replay", 2)] * 5, ("take", 1)] * 2),
        *[("replay", 2)] * 5, ("capture", 1), ("replay", 1),
    ]  # fmt: skip
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights, call_by_call, strict=True))


def test_a_step_that_can_not_be_captured_goes_on_call_by_call(captured, call_by_call):
    with pytest.warns(UserWarning, match=r"no CUDA graph of it: operation not permitted$"):
        weights, log = captured(broken=True)
    assert [what for what, _ in log].count("capture") == 1
    assert ("replay", 2) not in log
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights, call_by_call, strict=True))


@CUDA
@pytest.mark.parametrize("kind", [AutoencoderModel, Noisy])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("augmentation", ["none", "shift", "shift-flip"])
def test_graphs_train_as_their_steps_do(augmentation, precision, kind, blobs, monkeypatch):
    settings = config(epochs=6, augmentation=augmentation, precision=precision)
    found = []
    for warm_up in (3, 10**9):
        monkeypatch.setattr(latens.training.graphs, "WARM_UP", warm_up)
        *_, last = train(small_model(blobs, kind).cuda(), blobs, settings)
        found.append(last.train_loss)
    assert found[0] == pytest.approx(found[1], rel=1e-2)


@CUDA
@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_a_card_and_a_processor_train_alike_and_take_over_from_each_other(optimiser, blobs):
    settings = config(epochs=6, optimiser=optimiser)
    found = []
    for first, second in itertools.product(("cpu", "cuda"), repeat=2):
        state = list(itertools.islice(train(small_model(blobs).to(first), blobs, settings), 4))[-1].state()
        *_, last = train(small_model(blobs, seed=9).to(second), blobs, settings, state)
        found.append(last.train_loss)
    assert found == pytest.approx([found[0]] * 4, rel=1e-2)


@CUDA
def test_a_loss_that_is_not_finite_is_found_in_a_graph(blobs):
    model = small_model(blobs, Poisoned).cuda()
    model.call = 30
    with pytest.raises(TrainingDiverged, match="epoch 8, step 30"):
        list(train(model, blobs, config(epochs=10)))
    assert all(parameter.isfinite().all() for parameter in model.parameters())
