"""One contract for every model."""

import itertools
from dataclasses import replace

import pytest
import torch

from latens.errors import UnknownName, UsageError
from latens.models import MODELS
from latens.models.contract import Model
from latens.networks import NETWORKS
from latens.recipes import RECIPES
from latens.training import build_model

SHAPE = (1, 12, 10)
SHAPES = [(1, 28, 28), (3, 32, 32), (1, 17, 23)]


def make(name, network="convolutional", **options):
    torch.manual_seed(0)
    return MODELS[name](SHAPE, 6, network, **options)


@pytest.mark.parametrize(("name", "network", "shape"), list(itertools.product(MODELS, NETWORKS, SHAPES)))
def test_contract(name, network, shape):
    torch.manual_seed(0)
    model = MODELS[name](shape, 6, network)
    x = torch.rand(4, *shape)
    z = model.encode(x)
    assert isinstance(model, Model)
    assert (model.image_shape, model.latent_dim) == (shape, 6)
    assert z.shape == (4, 6)
    assert model.decode(z).shape == x.shape
    losses = model.loss(x, torch.Generator().manual_seed(0))
    assert losses.total.shape == (4,)
    assert all(part.shape == (4,) for part in losses.parts.values())
    assert "squared_error" in losses.parts
    losses.total.mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_encode_is_deterministic_and_sees_each_picture_alone(name):
    model = make(name).double()
    x = torch.rand(5, *SHAPE, dtype=torch.float64)
    together = model.encode(x)
    torch.testing.assert_close(model.encode(x), together, rtol=0, atol=0)
    torch.testing.assert_close(model.encode(x.flip(0)).flip(0), together)
    torch.testing.assert_close(torch.cat([model.encode(one[None]) for one in x]), together)


@pytest.mark.parametrize("name", MODELS)
def test_state_dict_round_trip(name):
    model, other = make(name), make(name)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.rand_like(p))
    other.load_state_dict(model.state_dict())
    x = torch.rand(3, *SHAPE)
    torch.testing.assert_close(other.decode(other.encode(x)), model.decode(model.encode(x)), rtol=0, atol=0)


def test_the_loss_is_the_mean_squared_error():
    model, x = make("autoencoder"), torch.rand(4, *SHAPE)
    expected = torch.nn.functional.mse_loss(model.decode(model.encode(x)), x)
    torch.testing.assert_close(model.loss(x).total.mean(), expected)


def test_activation_of_the_latent():
    x = torch.rand(20, *SHAPE)
    assert make("autoencoder").encode(x).min() == 0
    assert make("autoencoder", activation="none").encode(x).min() < 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((1, 7, 28), 4), "7 x 28"),
        (((1, 28, 257), 4), "use --size"),
        (((2, 28, 28), 4), "1 or 3 channels"),
        (((1, 28, 28), 0), "latent dimension is 0"),
        (((1, 28, 28), 4, "convolutional", "tanh"), "known: relu, none"),
    ],
)
def test_what_is_not_allowed_is_said(arguments, message):
    with pytest.raises(UsageError, match=message):
        MODELS["autoencoder"](*arguments)


def test_unknown_names_list_the_known():
    with pytest.raises(UnknownName, match="unknown model 'vea'; known: autoencoder"):
        MODELS["vea"]
    with pytest.raises(UnknownName, match="unknown network"):
        MODELS["autoencoder"](SHAPE, 4, "transformer")


def test_a_model_comes_with_its_options(blobs):
    recipe = RECIPES["notebook"](blobs).with_options(model="autoencoder:activation=none", latent_dim=4)
    assert recipe.model_choice == "autoencoder:activation=none"
    assert build_model(recipe, SHAPE).activation == "none"
    assert recipe.with_options(model="autoencoder").model_options == {}
    with pytest.raises(UnknownName, match="unknown option of autoencoder 'beta'; known: activation"):
        build_model(recipe.with_options(model="autoencoder:beta=4"), SHAPE)


def test_what_keeps_a_relu_alive_is_for_a_relu_alone(blobs):
    recipe = replace(RECIPES["fast"](blobs), latent_bias=0.6)
    assert recipe.with_options(latent_dim=3).latent_bias == 0.6
    assert recipe.with_options(model="autoencoder:activation=none").latent_bias == 0
