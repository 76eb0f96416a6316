"""Models of the user's own: a class by name or as itself, and a model that was trained in the user's own loop."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import latens
from conftest import make_blobs
from latens.cli import main
from latens.errors import RunError, UsageError
from latens.images import load_images
from latens.losses import Losses, squared_error
from latens.models import MODELS
from latens.models.checks import make_network
from latens.models.contract import Model
from latens.models.own import know_class, name_of
from latens.progress import Silent
from latens.runs.keeping import history_rows, keep_model

SHAPE = (1, 12, 12)
MODULE = '''
import pathlib

import torch
from torch import nn

from latens.losses import Losses, squared_error
from latens.models.checks import make_network
from latens.models.contract import Model

pathlib.Path(__file__).with_name("imported").touch()


class Masked(Model):
    """Hides a share of the pixels in training."""

    def __init__(self, image_shape, latent_dim, network="dense", share=0.25):
        super().__init__(image_shape, make_network(image_shape, latent_dim, network))
        self.share = share

    def loss(self, x, generator=None):
        kept = torch.rand(x.shape, generator=generator, device=x.device) >= self.share
        error = squared_error(x, self.decode(self.encode(x * kept)))
        return Losses(error, {"squared_error": error})
'''


@pytest.fixture(scope="module", autouse=True)
def _added():
    """What these tests let `MODELS` know is gone after them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MODELS, "_added", {})
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    pixels, labels = make_blobs(240)
    path = tmp_path_factory.mktemp("own") / "blobs.npz"
    np.savez(path, images=pixels[:, 0], labels=labels)
    return load_images(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a module of the user's own, and a run of its class that a process of its own has made there."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "own_models.py").write_text(MODULE)
    pixels, labels = make_blobs(120)
    np.savez(folder / "blobs.npz", images=pixels[:, 0], labels=labels)
    words = ["run", "blobs.npz", "--out", "run", "--model", "own_models:Masked:share=0.5", "--network", "dense"]
    words += ["--latent-dim", "4", "--epochs", "1", "--json"]
    done = subprocess.run([sys.executable, "-m", "latens", *words], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (folder / "imported").unlink()
    return folder


class Halved(Model):
    """Of this module; an option that its weights do not show."""

    def __init__(self, image_shape, latent_dim, network="dense", factor=0.5):
        super().__init__(image_shape, make_network(image_shape, latent_dim, network))
        self.factor = factor

    def encode(self, x):
        return self.factor * super().encode(x)

    def decode(self, z):
        return super().decode(z / self.factor)

    def loss(self, x, generator=None):
        error = squared_error(x, self(x))
        return Losses(error, {"squared_error": error})


class Plain(nn.Module):
    """No model of latens: encode and decode, as in most people's code."""

    def __init__(self, dim=4):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(144, dim), nn.Linear(dim, 144)

    def encode(self, x):
        return self.encoder(x.flatten(1))

    def decode(self, z):
        return self.decoder(z).reshape(-1, *SHAPE)


def trained(model, images, epochs=2):
    """A loop of one's own, with what it noted."""
    optimiser, history = torch.optim.Adam(model.parameters(), 1e-2), []
    x = torch.from_numpy(images.train.pixels.copy()).float() / 255
    for _ in range(epochs):
        loss = (model.decode(model.encode(x)) - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append({"train_loss": loss, "test_mse": np.float32(loss.item()), "accuracy": 0.5})
    return model.eval(), history


def in_process(folder, code):
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- a class by name


def test_the_command_line_trains_a_class_of_ones_own_and_records_its_name(folder):
    recipe = json.loads((folder / "run/run.json").read_text())["recipe"]
    assert (recipe["model"], recipe["model_options"]) == ("own_models:Masked", {"share": 0.5})


def test_opening_such_a_run_imports_nothing(folder):
    """A hostile run.json could name any module of the user's; its latents, maps and scores need none."""
    code = "import latens, sys; run = latens.open_run('run'); run.scores, run.map('pca'), run.latents['latents']\n"
    code += "try:\n  run.model\nexcept latens.LatensError as error:\n  print(error)\nprint('own_models' in sys.modules)"
    said = in_process(folder, code).splitlines()
    assert "opening a run imports none" in said[0]
    assert "--model own_models:Masked" in said[0]
    assert said[-1] == "False"
    assert not (folder / "imported").exists()


def test_also_a_module_that_is_imported_already_is_not_taken_unasked(folder):
    code = "import latens, own_models; run = latens.open_run('run')\n"
    code += "try:\n  run.model\nexcept latens.LatensError as error:\n  print('refused')\n"
    code += "run = latens.open_run('run', model=own_models.Masked); print(type(run.model).__name__, run.model.share)"
    assert in_process(folder, code).split() == ["refused", "Masked", "0.5"]


@pytest.mark.parametrize("name", ["os:system", "subprocess:run", "torch.hub:load", "torch.nn:Linear", "builtins:exec"])
def test_a_run_that_names_something_else_is_refused(folder, tmp_path, name):
    path = tmp_path / "run"
    record = json.loads((folder / "run/run.json").read_text())
    record["recipe"]["model"] = name
    record.pop("seal", None)
    path.mkdir()
    for file in (folder / "run").iterdir():
        if file.is_file() and file.name != "run.json":
            (path / file.name).write_bytes(file.read_bytes())
    (path / "run.json").write_text(json.dumps(record))
    from latens.runs.record import accept_record

    accept_record(path)
    run = latens.open_run(path)
    with pytest.raises(RunError, match="opening a run imports none"):
        run.model  # noqa: B018
    with pytest.raises(RunError, match="opening a run imports none"):
        latens.resume(path, samplers=["gaussian"], progress=Silent())


@pytest.mark.heavy
def test_the_commands_take_the_class(folder, monkeypatch, capsys):
    code = "from latens.cli import main; import sys; sys.exit(main(['encode', 'run', 'blobs.npz', '-o', 'z.npz'{}]))"
    done = subprocess.run([sys.executable, "-c", code.format("")], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--model own_models:Masked" in done.stderr
    in_process(folder, code.format(", '--model', 'own_models:Masked'"))
    assert np.load(folder / "z.npz")["latents"].shape == (120, 4)
    (folder / "imported").unlink()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("no_such_module:Masked", "can't be imported"),
        ("latens.losses:Nothing", "can't be imported"),
        ("latens.losses:Losses", "a subclass of latens.models.Model is needed"),
        ("latens.models.contract:Model", "lacks loss"),
        ("variational:beta", "is no option"),
    ],
)
def test_wrong_names_are_said(word, told, blobs_file, capsys):
    assert main(["run", str(blobs_file), "--model", word]) == 2
    assert told in capsys.readouterr().err


# ---- a class as itself


class Enough(Exception):
    pass


def test_run_takes_a_class(images, tmp_path):
    def stop(run):
        assert run.recipe.model == f"{__name__}:Halved"
        assert run.model.factor == 2.0
        raise Enough

    small = {"latent_dim": 4, "network": "dense", "epochs": 1, "samplers": ["gaussian"], "progress": Silent()}
    with pytest.raises(Enough):
        latens.run(images, out=tmp_path, model=Halved, model_options={"factor": 2.0}, started=stop, **small)


def test_a_run_of_a_class_is_opened_pickled_and_resumed_with_it(images, tmp_path):
    model, history = trained(Halved(SHAPE, 4, factor=2.0), images)
    run = keep_model(model, images, history, tmp_path / "run", network="dense", options={"factor": 2.0})
    again = latens.open_run(run.path, model=Halved)
    assert again.model.factor == 2.0
    np.testing.assert_array_equal(again.encode(images.test), run.encode(images.test))
    copy = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(copy.encode(images.test), again.encode(images.test))
    for wrong in ({"model": Plain}, {"model": "dense"}, {"model": Halved, "latent_dim": 5}):
        with pytest.raises(UsageError):
            latens.resume(run.path, progress=Silent(), **wrong)


def test_names_of_classes():
    assert name_of(MODELS["variational"]) == "variational"
    assert name_of(Halved) == f"{__name__}:Halved"

    class Short(Halved):
        def __init__(self, image_shape):
            super().__init__(image_shape, 4)

    for wrong in (Plain, Short, 3):
        with pytest.raises(UsageError):
            know_class(wrong)


# ---- a model that was trained in the user's own loop


@pytest.fixture(scope="module")
def kept(images, tmp_path_factory):
    torch.manual_seed(0)
    model, history = trained(MODELS["variational"](SHAPE, 6, "dense", beta=0.5), images)
    out = tmp_path_factory.mktemp("kept") / "run"
    given = {"network": "dense", "options": {"beta": 0.5}, "out": out, "progress": Silent()}
    return latens.keep(model, images, history, **given), model


def test_a_kept_model_is_a_whole_run(kept, images):
    run, model = kept
    assert run.record["status"] == "done"
    assert {"run.json", "report.html", "metrics.json", "history.jsonl", "model.safetensors"} <= {
        p.name for p in run.path.iterdir()
    }
    assert (run.path / "figures/loss.png").exists()
    opened = latens.open_run(run.path)
    with torch.no_grad():
        expected = model.encode(torch.from_numpy(images.test.pixels.copy()).float() / 255)
    np.testing.assert_allclose(opened.encode(images.test), expected, atol=1e-5)
    assert [line["epoch"] for line in opened.history] == [1, 2]
    assert opened.history[0]["learning_rate"] is None
    assert opened.history[1]["accuracy"] == 0.5
    assert opened.record["result"]["test_mse"] == pytest.approx(
        next(score.value for score in opened.scores if score.name == "mse"), rel=1e-4
    )
    assert opened.sample(3, "prior").images.shape == (3, *SHAPE)
    assert "trained by other code" in (run.path / "report.html").read_text()


def test_a_class_is_refused_where_the_run_has_none(kept):
    with pytest.raises(UsageError, match="no class of your own"):
        latens.open_run(kept[0].path, model=Halved)


def test_a_kept_run_is_explored_and_exported(kept, tmp_path, capsys):
    run, _ = kept
    assert main(["explore", str(run.path), "--get", "/api/history"]) == 0
    assert json.loads(capsys.readouterr().out)["history"][0]["epoch"] == 1
    assert main(["export", str(run.path), "--html", str(tmp_path / "run.html")]) == 0
    assert main(["runs", str(run.path)]) == 0
    assert "kept" in capsys.readouterr().out


def test_a_model_that_cannot_be_made_again_is_refused_before_there_is_a_folder(images, tmp_path):
    model = Halved(SHAPE, 4, "dense", factor=3.0).eval()
    with pytest.raises(UsageError, match="made again gives other latents"):
        latens.keep(model, images, network="dense", out=tmp_path / "run", progress=Silent())
    with pytest.raises(UsageError, match="has other weights"):
        latens.keep(model, images, network="convolutional", out=tmp_path / "run", progress=Silent())
    with pytest.raises(UsageError, match="no methods encode and decode"):
        latens.keep(nn.Linear(2, 2), images, out=tmp_path / "run", progress=Silent())
    assert not (tmp_path / "run").exists()


def test_a_plain_module_is_adopted_with_its_history(images, tmp_path):
    model, history = trained(Plain(), images)
    run = keep_model(model, images, history, tmp_path / "run")
    assert run.recipe.network == "Plain"
    assert len(run.history) == 2
    assert run.reconstruct(images.test).shape == images.test.pixels.shape


def test_histories(images):
    import pandas

    as_dicts = [{"epoch": 2, "train_loss": 0.5}, {"epoch": 4, "train_loss": float("nan")}]
    rows = history_rows(as_dicts)
    assert [row["train_loss"] for row in rows] == [0.5, None]
    assert history_rows(pandas.DataFrame(as_dicts))[0] == rows[0]
    assert history_rows({"epoch": [2, 4], "train_loss": [0.5, None]}) == rows
    config = latens.TrainConfig(epochs=1, batch_size=64)
    steps = list(latens.train(Halved(SHAPE, 4), images, config))
    assert history_rows(steps)[0]["test_mse"] == steps[0].test_mse
    for wrong in ("loss", 3, [3], [{"train_loss": "low"}], [{"epoch": 2}, {"epoch": 1}], {"a": [1], "b": [1, 2]}):
        with pytest.raises(UsageError, match="history"):
            history_rows(wrong)
