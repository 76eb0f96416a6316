"""A model and a network from a package outside: halves of unknown modules and a latent that is a map, through everything."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

import latens
import plugins
from conftest import make_blobs
from latens.cli import main
from latens.errors import RunError, UsageError
from latens.explorer import View, create_app, write_html
from latens.explorer.packing import Pack, networks_of
from latens.figures.network_stages import network_stages
from latens.images import load_images
from latens.losses import Losses, squared_error
from latens.models import MODELS
from latens.models.contract import HasPrior, Model
from latens.networks import NETWORKS, Network
from latens.networks.layers import VectorToMap
from latens.progress import Silent
from latens.training import RECIPES
from latens.training.loop import build_model, fastest_forms
from test_explorer_server import HOST, TOKEN, samples

SHAPE, CELLS = (1, 12, 12), (2, 3, 3)

TOY = '''
import torch
from torch import nn

from latens.losses import Losses, squared_error
from latens.models.checks import make_network
from latens.models.contract import Model
from latens.networks import Network


class Down(nn.Module):
    """No sequence of layers: two ways that are added; batch normalisation; no bias at the end."""

    def __init__(self, channels, numbers):
        super().__init__()
        self.long = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.GELU(), nn.Conv2d(8, numbers, 3, 2, 1))
        self.short = nn.Conv2d(channels, numbers, 4, 4, bias=False)

    def forward(self, x):
        return self.long(x) + self.short(x)


class Up(nn.Module):
    def __init__(self, numbers, channels):
        super().__init__()
        self.up = nn.Upsample(scale_factor=4)
        self.mix = nn.Conv2d(numbers, channels, 3, padding=1, bias=False)

    def forward(self, z):
        assert z.shape[1:] == (2, 3, 3)
        return self.mix(self.up(z))


def cells(image_shape, encoded, latent_dim):
    channels, height, width = image_shape
    size = (height // 4, width // 4)
    numbers = latent_dim // (size[0] * size[1])
    return Network(Down(channels, encoded // (size[0] * size[1])), Up(numbers, channels), (numbers, *size))


class Toy(Model):
    """A latent within [-1, 1], and a prior."""

    def __init__(self, image_shape, latent_dim, network="cells", weight=0.0):
        super().__init__(image_shape, make_network(image_shape, latent_dim, network), after_encoder=[nn.Tanh()])
        self.weight = weight

    def sample_prior(self, n, generator=None):
        return torch.rand(n, self.latent_dim, generator=generator, device=self.device) * 2 - 1

    def loss(self, x, generator=None):
        z = self.encode(x)
        error = squared_error(x, self.decode(z))
        return Losses(error + self.weight * z.abs().mean(1), {"squared_error": error})
'''
ENTRIES = {"latens.models": {"toy": "toy_model:Toy"}, "latens.networks": {"cells": "toy_model:cells"}}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        plugins.install(patch, tmp_path_factory.mktemp("site"), "latens-toy", {"toy_model.py": TOY}, ENTRIES)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    pixels, labels = make_blobs(240)
    path = tmp_path_factory.mktemp("toy") / "blobs.npz"
    np.savez(path, images=pixels[:, 0], labels=labels)
    return load_images(path)


@pytest.fixture(scope="module")
def run(installed, images, tmp_path_factory):
    return latens.run(
        images,
        out=tmp_path_factory.mktemp("run") / "toy",
        model="toy:weight=0.01",
        network="cells",
        latent_dim=18,
        epochs=2,
        samplers=("all",),
        progress=Silent(),
    )


@pytest.fixture
def made(installed):
    torch.manual_seed(0)
    return MODELS["toy"](SHAPE, 18, "cells")


def test_the_contract_of_every_model(made):
    x = torch.rand(5, *SHAPE)
    made.eval()
    assert isinstance(made, Model)
    assert isinstance(made, HasPrior)
    assert (made.latent_shape, made.latent_dim) == (CELLS, 18)
    z = made.encode(x)
    assert z.shape == (5, 18)
    assert torch.equal(z, made.encoder(x).flatten(1).tanh())
    assert torch.equal(made.decode(z), made.decoder(z.view(5, *CELLS)))
    assert torch.equal(made(x), made.decode(z))


def test_every_model_takes_the_network_and_the_model_every_network(installed):
    x = torch.rand(4, *SHAPE)
    for model, network in [(name, "cells") for name in MODELS] + [("toy", name) for name in NETWORKS]:
        made = MODELS[model](SHAPE, 18, network)
        assert made.latent_shape == (CELLS if network == "cells" else (18,))
        assert made.decode(made.encode(x)).shape == x.shape
        made.loss(x).total.mean().backward()
        made.eval()
        stages = network_stages(made)
        assert ("latent", made.latent_shape) in stages
        assert (stages[0][1], stages[-1][1]) == (SHAPE, SHAPE)


def test_it_runs_from_training_to_the_report(run, images):
    assert run.record["status"] == "done"
    assert run.record["latent_shape"] == list(CELLS)
    assert run.history[1]["test_mse"] < run.history[0]["test_mse"]
    assert run.latents["latents"].shape == (240, 18)
    np.testing.assert_allclose(run.encode(images.test), run.of_part("latents", 1), atol=1e-6)
    z = run.encode(images.test)
    assert np.array_equal(run.decode(z.reshape(-1, *CELLS)), run.decode(z))
    for name in ("pca", "tsne"):
        assert run.map(name).coordinates.shape == (240, 2)
    scored = {row["name"]: row["value"] for row in run.scores["scores"]}
    assert scored["mse"] == pytest.approx(run.record["result"]["test_mse"], rel=1e-4)
    for name in latens.SAMPLERS:
        samples = run.sample(6, name)
        assert (samples.latents.shape, samples.images.shape) == ((6, 18), (6, *SHAPE))
    assert np.abs(run.sample(50, "prior").latents).max() <= 1
    for name in ("network", "reconstructions", "map-tsne", "probe", "samples"):
        assert (run.path / "figures" / f"{name}.png").stat().st_size > 1000
    page = (run.path / "report.html").read_text()
    assert "2×3×3" in page or "2 × 3 × 3" in page
    assert run.verdict.claims


def test_opened_again_and_resumed_it_is_the_same(run, images, tmp_path, installed):
    again = latens.open_run(run.path)
    assert np.array_equal(again.encode(images.test), run.encode(images.test))
    recipe = RECIPES["fast"](images).with_options(model="toy", network="cells", latent_dim=18, epochs=3)
    whole = build_model(recipe, images.shape)
    *_, last = latens.train(whole, images, recipe.config)
    first = build_model(recipe, images.shape)
    state = next(latens.train(first, images, recipe.config)).state()
    *_, resumed = latens.train(build_model(recipe, images.shape), images, recipe.config, state)
    expected, got = last.state(), resumed.state()
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected if name != "elapsed")


def test_forms_and_starting_biases_do_without_known_layers(installed, images):
    recipe = RECIPES["fast"](images).with_options(model="toy", network="cells", latent_dim=18)
    assert recipe.output_bias is not None
    assert fastest_forms(recipe, SHAPE) == {"encoder": ["torch", "torch"], "decoder": ["torch", "torch"]}


def test_the_explorer_shows_it_and_the_file_says_that_it_cannot(run, tmp_path):
    from starlette.testclient import TestClient

    view, z = View(run), run.latents["latents"][:2]
    with TestClient(create_app(view, token=TOKEN), base_url=HOST, headers={"x-latens-token": TOKEN}) as client:
        for path, address in samples(view).items():
            if path != "/api/link":
                assert client.get(address).status_code == 200, address
        decoded = client.post("/api/decode", json={"latents": z.tolist(), "map": "pca"}).json()
        assert np.size(decoded["pixels"]) == 2 * 144
        assert client.get("/api/probe?map=pca&sampler=prior").status_code == 200
    with pytest.raises(RunError, match="this model can't be put into one file: the page can't compute the layer Down"):
        write_html(run, tmp_path / "toy.html")
    assert not (tmp_path / "toy.html").exists()


def test_the_command_line_knows_it(run, installed, capsys):
    assert main(["runs", str(run.path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"]["model"] == "toy"


def test_a_latent_dimension_that_the_network_cannot_have_is_refused(installed):
    message = "network 'cells' has latents of 2 x 3 x 3, which are 18 numbers; latent dimension is 20; use 18"
    with pytest.raises(UsageError, match=message):
        MODELS["toy"](SHAPE, 20, "cells")


WRONG = None


@pytest.mark.parametrize(
    ("halves", "message"),
    [
        ((nn.Identity(), nn.Linear(18, 144)), "encoder gives 1 x 12 x 12 for 1 x 12 x 12; 18 is needed"),
        ((nn.Linear(3, 3), nn.Identity()), "encoder can't take 1 x 12 x 12"),
        ((nn.Sequential(nn.Flatten(), nn.Linear(144, 18)), nn.Linear(18, 144)), "decoder gives 144 for 18"),
        ((nn.Sequential(nn.Flatten(), nn.LSTM(144, 18)), nn.Identity()), "encoder gives tuple"),
        ((abs, abs), "encoder is builtin_function_or_method; a torch.nn.Module is needed"),
    ],
)
def test_a_network_of_other_shapes_is_refused(halves, message, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "WRONG", lambda *_: halves)
    monkeypatch.setitem(NETWORKS._own, "wrong", f"{__name__}:WRONG")
    with pytest.raises(UsageError, match=message):
        MODELS["autoencoder"](SHAPE, 18, "wrong")


def test_known_layers_in_plain_sequences_fit_into_one_file():
    """A latent that is a map, and the shapes between: the page's layers compute what torch does (see test_explorer_export)."""
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU()), nn.Identity(), nn.Conv2d(4, 2, 3, 2, 1))
    decoder = nn.Sequential(nn.Flatten(), nn.Linear(18, 36), VectorToMap(36, 1, (12, 12)))
    model = Plain(SHAPE, Network(encoder, decoder, CELLS), after_encoder=[nn.ReLU()]).eval()
    pack = Pack()
    halves = networks_of(model, pack, np.zeros((2, 18), np.float32))
    assert [layer["kind"] for layer in halves["encoder"]] == ["Conv2d", "ReLU", "Conv2d", "Flatten", "ReLU"]
    assert [layer["kind"] for layer in halves["decoder"]] == ["Shape", "Flatten", "Linear", "VectorToMap"]
    assert halves["decoder"][0]["size"] == list(CELLS)


class Plain(Model):
    def loss(self, x, generator=None):
        error = squared_error(x, self(x))
        return Losses(error, {"squared_error": error})


def test_a_dimension_that_fits_the_images_alone_is_not_refused_before_they_are_known(images, tmp_path):
    options = {"model": "quantised:spatial=true", "latent_dim": 9, "epochs": 1}  # 3 x 3 cells of 12 x 12 pixels
    run = latens.run(images, out=tmp_path / "run", samplers=("gaussian",), progress=Silent(), **options)
    assert run.latents["latents"].shape == (240, 9)
    with pytest.raises(UsageError, match="a multiple of 9 is needed"):
        latens.run(images, out=tmp_path / "other", progress=Silent(), **(options | {"latent_dim": 10}))
    assert not (tmp_path / "other").exists()


class BySetting(Model):
    """Attributes set one by one, and its own encode and decode."""

    def __init__(self, image_shape, latent_dim, network="dense"):
        super().__init__()
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.encoder, self.decoder = NETWORKS[network](image_shape, latent_dim, latent_dim)

    def encode(self, x):
        return self.encoder(x).sin()

    def decode(self, z):
        return self.decoder(z)

    def loss(self, x, generator=None):
        error = squared_error(x, self(x))
        return Losses(error, {"squared_error": error})


def test_a_model_may_set_its_parts_itself(images, monkeypatch, tmp_path):
    monkeypatch.setitem(MODELS._own, "by-setting", f"{__name__}:BySetting")
    given = {"model": "by-setting", "network": "dense", "latent_dim": 4, "epochs": 1}
    run = latens.run(images, out=tmp_path / "run", progress=Silent(), **given)
    assert run.record["latent_shape"] == [4]
    assert np.abs(run.latents["latents"]).max() <= 1
    with pytest.raises(RunError, match="BySetting has its own encode or decode"):
        write_html(run, tmp_path / "run.html")
