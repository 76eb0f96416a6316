"""The model whose encoder is given: what its latents are, that each image is seen once, and what a run of it needs again."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from torch import nn

import latens
from conftest import from_test_all, make_blobs
from latens import encoders
from latens.cli import main
from latens.computed import encode_run
from latens.errors import UsageError
from latens.experiment import resume, train_run
from latens.files import read_safetensors
from latens.models import FrozenModel
from latens.progress import Silent
from latens.report.from_run import command_of
from latens.runs import open_run, record, start_run
from latens.runs.run import TEST, TRAIN
from latens.training.loop import train
from latens.training.recipes import RECIPES

DIM = 6


class Small(nn.Module):
    """A network of two sizes of maps; it counts the images that it has seen."""

    def __init__(self, seed=0):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.second = nn.Conv2d(3, 8, 5, 8), nn.Conv2d(8, 12, 3, 2)
        self.images = 0

    def forward(self, x):
        self.images += len(x)
        return self.second(self.first(x).relu()).relu().mean((2, 3))


def make_small():
    return Small()


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch):
    monkeypatch.setattr(encoders, "_given", {})


@pytest.fixture(scope="module")
def images():
    pixels, labels = make_blobs(90)
    return latens.load_images(pixels[:, 0], labels=labels)


def started(images, out, network, **options):
    """A new run whose encoder is this network."""
    name = encoders.give_encoder(network).name
    settings = {"epochs": 2, "latent_dim": DIM, "augmentation": "none", "model_options": {"encoder": name}, **options}
    return start_run(images, RECIPES["fast"](images).with_options(model="frozen", **settings), out)


def trained(images, out, network, **options):
    run = started(images, out, network, **options)
    with run.folder.working():
        train_run(run, images, Silent())
        encode_run(run, images, Silent())
    run.update(status="done")
    return run


@pytest.fixture(scope="module")
def made(images, tmp_path_factory):
    """A trained run, and the network that it was trained with."""
    network = Small()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "_given", {})
        return trained(images, tmp_path_factory.mktemp("frozen") / "run", network), network


def test_latents_are_the_principal_components_of_standardised_features(made, images):
    run, _ = made
    found = [
        encoders.encoder_of(Small()).vectors(part.inputs / np.float32(255)) for part in (images.train, images.test)
    ]
    scaler = StandardScaler().fit(found[0])
    pca = PCA(DIM).fit(scaler.transform(found[0]))
    unit = np.sqrt(pca.explained_variance_.mean() * (len(found[0]) - 1) / len(found[0]))
    for part, features in zip((TRAIN, TEST), found, strict=True):
        expected = pca.transform(scaler.transform(features)) / unit
        latents = run.of_part("latents", part)
        signs = np.sign((expected * latents).sum(0))
        np.testing.assert_allclose(latents, expected * signs, atol=1e-3)


def test_the_encoder_sees_each_image_once_and_never_learns(images, tmp_path):
    network = Small()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    trained(images, tmp_path / "run", network, epochs=5)
    distinct = len({image.tobytes() for part in (images.train, images.test) for image in part.pixels})
    assert network.images <= distinct + 32  # and the pattern that it is known by, and blocks with some known images
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any("first" in name for name in read_safetensors(tmp_path / "run" / "model.safetensors"))


def test_the_decoder_learns(made):
    run, _ = made
    assert run.history[-1]["train_loss"] < run.history[0]["train_loss"]
    assert run.model.decode(torch.from_numpy(run.latents["latents"][:2])).shape == (2, 1, 12, 12)


def test_a_run_does_not_load_what_it_names(made, images):
    run, _ = made
    again = open_run(run.path)
    assert again.decode(again.latents["latents"][:3]).shape == (3, 1, 12, 12)  # needs no encoder
    with pytest.raises(
        UsageError, match=r"'Small': a run does not load code or files .*give_encoder\(the same network\)"
    ):
        again.encode(images.test)
    encoders.give_encoder(Small())
    np.testing.assert_allclose(again.encode(images.test), run.of_part("latents", TEST), atol=1e-4)


@pytest.mark.parametrize("name", ["os:system", "onnx:/dev/zero", "timm:hf-hub:someone/model", "timm:local-dir:/tmp"])
def test_no_code_file_or_address_of_a_record_is_used(made, images, tmp_path, monkeypatch, name):
    shutil.copytree(made[0].path, tmp_path / "run")
    run = open_run(tmp_path / "run")
    recipe = run.record["recipe"]
    run.update(recipe={**recipe, "model_options": {"encoder": name}})
    with monkeypatch.context() as patch:
        patch.setattr(encoders, "encoder_of", lambda name: pytest.fail(f"{name} is loaded"))
        with pytest.raises(UsageError, match="a run does not load"):
            run.encode(images.test)


def test_another_network_of_the_same_name_is_refused(made, images):
    encoders.give_encoder(Small(seed=1))
    with pytest.raises(UsageError, match="other features than when this model was trained"):
        open_run(made[0].path).encode(images.test)


def test_a_stopped_run_goes_on_to_the_same_weights(images, tmp_path):
    whole = trained(images, tmp_path / "whole", Small(), epochs=3)
    run = started(images, tmp_path / "run", Small(), epochs=3)
    with run.folder.working():
        steps = record(run, train(run.model, images, run.recipe.config), images)
        next(steps)
        steps.close()
    encoders.give_encoder(Small())
    again = open_run(tmp_path / "run")
    with again.folder.working():
        train_run(again, images, Silent())
    one, other = (read_safetensors(run.path / "model.safetensors") for run in (again, whole))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_what_can_not_be_is_said(images, tmp_path):
    with pytest.raises(UsageError, match="the model frozen needs an encoder"):
        FrozenModel((1, 12, 12), 4)
    with pytest.raises(UsageError, match="no linear-path"):
        FrozenModel((1, 12, 12), 4, "linear-path", encoder="timm:resnet18")
    with pytest.raises(UsageError, match=r"gives 12 features of .* images, so at most 12 is possible"):
        trained(images, tmp_path / "wide", Small(), latent_dim=13)
    with pytest.raises(UsageError, match="an encoder is given, so the model is frozen"):
        latens.run(images, encoder=Small(), model="variational", out=tmp_path / "run", progress=Silent())
    with pytest.raises(UsageError, match="has not seen its train images yet"):
        FrozenModel((1, 12, 12), 4, encoder="x").encode(torch.zeros(1, 1, 12, 12))
    with pytest.raises(UsageError, match="gives 12 features, so at most 12 is possible"):
        latens.run(images, encoder=Small(), out=tmp_path / "run", progress=Silent())
    with pytest.raises(UsageError, match="the encoder fails"):
        latens.run(images, encoder="os:getcwd", out=tmp_path / "run", progress=Silent())
    assert not (tmp_path / "run").exists()


def test_by_the_command_line_with_report_page_and_file(blobs_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "small_networks", sys.modules[__name__])
    out = str(tmp_path / "run")
    words = ["run", str(blobs_file), "--encoder", "small_networks:make_small", "--latent-dim", "6", "--epochs", "1"]
    assert main([*words, "--out", out]) == 0
    run = open_run(out)
    assert run.recipe.model_choice == "frozen:encoder=small_networks:make_small"
    assert not run.record["left_out"]
    again = command_of(run, run.images)
    assert again == f"latens run {blobs_file} --latent-dim 6 --epochs 1 --encoder small_networks:make_small"
    names = [one.name for one in run.scores]
    assert "knn_accuracy" in names
    assert "round_trip_data" not in names
    monkeypatch.setattr(encoders, "_given", {})  # as in another process
    capsys.readouterr()
    assert main(["explore", out, "--get", "/api/decode?map=tsne&x=0&y=0"]) == 0
    assert json.loads(capsys.readouterr().out)["moved"] == [None]
    assert main(["export", out, "--html", str(tmp_path / "page.html")]) == 0
    assert "encoder" in capsys.readouterr().out
    assert main(["encode", out, str(blobs_file), "-o", str(tmp_path / "z.npz")]) == 2
    assert "--encoder small_networks:make_small, or from Python" in capsys.readouterr().err
    given = ["--encoder", "small_networks:make_small"]
    assert main(["encode", out, str(blobs_file), "-o", str(tmp_path / "z.npz"), *given]) == 0
    with np.load(tmp_path / "z.npz") as found:
        np.testing.assert_allclose(np.sort(found["latents"], 0), np.sort(run.latents["latents"], 0), atol=1e-3)


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")  # of torch's exporter, about packages of its own
def test_an_onnx_file_comes_along_with_the_run(images, tmp_path):
    from_test_all("onnxruntime")
    path = tmp_path / "small.onnx"
    torch.onnx.export(Small().eval(), (torch.zeros(1, 3, 224, 224),), path, dynamo=True, external_data=False)
    name = f"onnx:{path}"
    encoders.give_encoder(name)
    settings = {"epochs": 1, "latent_dim": DIM, "model_options": {"encoder": name}}
    run = start_run(images, RECIPES["fast"](images).with_options(model="frozen", **settings), tmp_path / "run")
    with run.folder.working():
        train_run(run, images, Silent())
        encode_run(run, images, Silent())
    encoders._given.clear()
    path.unlink()
    np.testing.assert_allclose(open_run(tmp_path / "run").encode(images.test), run.of_part("latents", TEST), atol=1e-3)


def test_resume_needs_the_encoder_again(images, tmp_path):
    run = started(images, tmp_path / "run", Small())
    encoders._given.clear()
    with pytest.raises(UsageError, match="give_encoder"):
        resume(run.path, images=images, progress=Silent())
