"""Models, weights and tensors supplied by users: other types, without values, made in other modes; and losses that go wrong."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import latens
from latens.errors import TrainingDiverged, UsageError
from latens.latents import decode_latents, encode_images
from latens.losses import Losses, squared_error
from latens.models import MODELS, Model
from latens.networks import Network
from latens.runs import record, start_run
from latens.training.loop import build_model, fastest_forms, train
from latens.training.recipes import RECIPES, Recipe, TrainConfig

SHAPE = (1, 12, 12)


class Plain(Model):
    def loss(self, x, generator=None):
        error = squared_error(x, self(x))
        return Losses(error, {"squared_error": error})


def config(**options):
    return TrainConfig(**{"epochs": 2, "batch_size": 32, "optimiser": "muon", "learning_rate": 0.006, **options})


def small(name="autoencoder", network="convolutional"):
    return build_model(Recipe("test", name, network, 6, config()), SHAPE)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("optimiser", ["adam", "muon"])
def test_models_of_float64_train_as_those_of_float32(name, optimiser, blobs):
    single, double = small(name), small(name).double()
    losses = []
    for model in (single, double):
        losses.append([step.test_mse for step in train(model, blobs, config(optimiser=optimiser, learning_rate=1e-3))])
    assert all(parameter.dtype == torch.float64 for parameter in double.parameters())
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    latents = encode_images(double, blobs.test)
    assert latents.dtype == np.float32
    assert decode_latents(double, latents).shape == (len(blobs.test), *SHAPE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_models_of_half_the_precision_encode(dtype, blobs):
    model = small()
    expected = encode_images(model, blobs.test)
    np.testing.assert_allclose(encode_images(model.to(dtype), blobs.test), expected, atol=0.05 * np.abs(expected).max())


def test_weights_without_values_are_refused(blobs):
    with torch.device("meta"):
        model = MODELS["autoencoder"](SHAPE, 6, "dense")
    message = r"encoder\.0\.weight is a meta tensor, without values; load the weights first"
    for work in (
        lambda: next(train(model, blobs, config())),
        lambda: encode_images(model, blobs.test),
        lambda: decode_latents(model, np.zeros((1, 6))),
    ):
        with pytest.raises(UsageError, match=message):
            work()


def test_weights_made_under_inference_mode_encode_and_are_not_trained(blobs):
    torch.manual_seed(0)
    expected = MODELS["autoencoder"](SHAPE, 6)
    with torch.inference_mode():
        model = MODELS["autoencoder"](SHAPE, 6)
        model.load_state_dict(expected.state_dict())
    assert np.array_equal(encode_images(model, blobs.test), encode_images(expected, blobs.test))
    with pytest.raises(UsageError, match=r"made under torch\.inference_mode, where nothing can be trained"):
        next(train(model, blobs, config()))


def test_a_frozen_half_stays_and_a_frozen_model_is_refused(blobs):
    model = small()
    model.encoder.requires_grad_(False)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    list(train(model, blobs, config()))
    changed = {
        name.partition(".")[0] for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert changed == {"decoder"}
    model.requires_grad_(False)
    with pytest.raises(UsageError, match="nothing to train"):
        next(train(model, blobs, config()))


def test_what_is_no_model_or_takes_other_images_is_refused(blobs):
    with pytest.raises(UsageError, match=r"model is Linear; a latens\.models\.Model is needed"):
        next(train(nn.Linear(3, 3), blobs, config()))
    with pytest.raises(UsageError, match="images are 1 x 12 x 12; this model takes 1 x 12 x 10"):
        next(train(MODELS["autoencoder"]((1, 12, 10), 6), blobs, config()))
    with pytest.raises(UsageError, match=r"images are Images; a Dataset .* is needed"):
        next(train(small(), blobs.train, config()))


@pytest.mark.parametrize("optimiser", ["adam", "muon"])
@pytest.mark.parametrize("bias", [True, False])
def test_any_parameters_can_be_trained(optimiser, bias, blobs):
    """No biases; matrices that are views in another order; weights of three axes."""
    encoder = nn.Sequential(
        nn.Flatten(2), nn.Conv1d(1, 2, 24, 24, bias=bias), nn.Flatten(), nn.Linear(12, 5, bias=bias)
    )
    decoder = nn.Sequential(nn.Linear(5, 144, bias=bias), nn.Unflatten(1, SHAPE))
    encoder[3].weight.data = torch.rand(12, 5).T / 12
    model = Plain(SHAPE, Network(encoder, decoder, (5,)))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    steps = list(train(model, blobs, config(optimiser=optimiser, epochs=15)))
    assert steps[-1].test_mse < 0.7 * steps[0].test_mse
    assert not any(torch.equal(now, then) for now, then in zip(model.parameters(), before, strict=True))


@pytest.mark.parametrize(
    "images",
    [
        lambda x: x.requires_grad_(),
        lambda x: x.bfloat16(),
        lambda x: x.half(),
        lambda x: x.double(),
        lambda x: x.to_sparse(),
        lambda x: x.to(memory_format=torch.channels_last),
        lambda x: x[:, 0],
        lambda x: (x * 255).byte(),
    ],
)
def test_tensors_of_any_kind_are_encoded(images):
    x = torch.linspace(0, 1, 288).view(2, *SHAPE).mul(255).round().div(255)
    model = small()
    expected = encode_images(model, x.numpy())
    np.testing.assert_allclose(encode_images(model, images(x.clone())), expected, atol=0.05)
    with torch.inference_mode():
        np.testing.assert_allclose(encode_images(model, x * 1), expected)


def test_tensors_without_values_are_refused():
    with pytest.raises(UsageError, match=r"images: .*a meta tensor has no values"):
        encode_images(small(), torch.empty(2, *SHAPE, device="meta"))
    with pytest.raises(UsageError, match=r"latents: .*a meta tensor has no values"):
        decode_latents(small(), torch.empty(2, 6, device="meta"))
    with pytest.raises(UsageError, match="latents are no array of numbers"):
        decode_latents(small(), [["a"] * 6])


class Exploding(Plain):
    """Its loss and its gradient are finite, and then one of its weights is not."""

    def __init__(self, at):
        super().__init__(
            SHAPE,
            Network(
                nn.Sequential(nn.Flatten(), nn.Linear(144, 6)),
                nn.Sequential(nn.Linear(6, 144), nn.Unflatten(1, SHAPE)),
                (6,),
            ),
        )
        self.at, self.steps = at, 0

    def loss(self, x, generator=None):
        losses = super().loss(x, generator)
        self.steps += 1
        if self.steps == self.at:
            with torch.no_grad():
                self.encoder[1].weight[0, 0] = torch.inf
        return losses


@pytest.mark.parametrize(
    ("at", "epoch"), [(2, 1), (4, 1), (5, 2), (8, 2)]
)  # of four steps an epoch; at its end and inside
def test_weights_that_become_nan_are_not_kept(at, epoch, blobs):
    torch.manual_seed(0)
    model, seen = Exploding(at), []

    def follow():
        for _ in train(model, blobs, config(optimiser="adam")):
            seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})

    with pytest.raises(TrainingDiverged, match=f"epoch {epoch}"):
        follow()
    assert len(seen) == epoch - 1
    assert all(bool(torch.isfinite(tensor).all()) for tensor in model.state_dict().values())
    if seen:
        assert all(torch.equal(tensor, seen[-1][name]) for name, tensor in model.state_dict().items())


def test_a_run_that_diverges_at_an_epochs_end_keeps_good_weights_and_readable_files(blobs, tmp_path, monkeypatch):
    monkeypatch.setattr("latens.training.loop.build_model", lambda *_: Exploding(8))
    recipe = RECIPES["fast"](blobs).with_options(epochs=4, batch_size=32, latent_dim=6, network="dense")
    run = start_run(blobs, recipe, tmp_path / "run")
    with pytest.raises(TrainingDiverged):
        list(record(run, train(run.model, blobs, recipe.config), blobs))
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "diverged"
    again = latens.open_run(tmp_path / "run")
    assert len(again.history) == 1
    assert np.isfinite(again.encode(blobs.test)).all()


def test_latents_that_are_all_equal_are_said(blobs):
    model = small()
    with torch.no_grad():
        model.encoder[-1].weight.zero_()
        model.encoder[-1].bias.fill_(-1)
    (step,) = train(model, blobs, config(epochs=1))
    (remark,) = step.remarks
    assert remark.startswith("every image has the same latent; its ReLU is never above 0")
    (step,) = train(small(), blobs, config(epochs=1))
    assert step.remarks == ()


def test_forms_are_timed_at_the_number_of_images(monkeypatch):
    asked = []

    def timed(half, shape, batch_size, learning=True):
        asked.append((batch_size, learning))
        return "torch"

    monkeypatch.setattr("latens.training.loop.fastest_form", timed)
    recipe = Recipe("test", "autoencoder", "convolutional", 6, config(batch_size=100_000))
    fastest_forms(recipe, SHAPE, 90)
    assert asked == [(90, True), (90, False)] * 2
    asked.clear()
    fastest_forms(recipe, SHAPE)
    assert asked == [(100_000, True), (1000, False)] * 2
