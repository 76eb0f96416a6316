"""Wrong arguments are refused before any work; output in any encoding; names and choices from Python."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import latens
from conftest import make_blobs
from latens import cli
from latens.cli.output import Output
from latens.errors import RunError, UnknownName, UsageError
from latens.experiment import import_run
from latens.images import load_images
from latens.progress import Silent
from latens.report.from_run import command_of
from latens.runs import open_run
from latens.training.recipes import RECIPES
from notebook_oracle import NotebookNet


@pytest.fixture(autouse=True)
def _away_from_other_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(finished_run, tmp_path):
    shutil.copytree(finished_run.path, tmp_path / "runs" / "copy")
    return open_run(tmp_path / "runs" / "copy")


@pytest.fixture
def no_images(monkeypatch):
    """Any loading of images fails the test: the refusal came too late."""

    def late(*given, **more):
        pytest.fail("images were loaded before the refusal")

    monkeypatch.setattr("latens.experiment.load_images", late)


@pytest.mark.usefixtures("no_images")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"epochs": 2.5}, "epochs"),
        ({"epochs": "3"}, "epochs"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": True}, "epochs"),
        ({"batch_size": -1}, "batch_size"),
        ({"latent_dim": 0}, "latent dimension"),
        ({"latent_dim": 2.0}, "latent dimension"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**32}, "seed"),
        ({"model": torch.nn.Linear(2, 2)}, "model"),
        ({"model": "vea"}, "vea"),
        ({"model": "variational:bet=4"}, "bet"),
        ({"model": "autoencoder:activation=nonsense"}, "nonsense"),
        ({"network": "mlp"}, "mlp"),
        ({"recipe": "slow"}, "slow"),
        ({"samplers": ("prior",)}, "prior"),
        ({"samplers": ("nonsense",)}, "nonsense"),
        ({"samplers": "all"}, "samplers"),
        ({"device": "nonsense"}, "nonsense"),
        ({"palette": "nonsense"}, "nonsense"),
        ({"epoch": 3}, "epoch"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_python_arguments_are_refused_before_any_work(options, told, tmp_path):
    with pytest.raises(UsageError, match=told) if "device" not in options else pytest.raises(latens.LatensError):
        latens.run("mnist", progress=Silent(), **options)
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("no_images")
def test_a_folder_that_is_taken_is_refused_before_any_work(run, tmp_path):
    for out in (run.path, tmp_path / "runs"):
        with pytest.raises(RunError, match=r"already"):
            latens.run("mnist", out=out, progress=Silent())


def test_numbers_of_numpy_are_numbers(blobs, tmp_path):
    made = latens.run(
        blobs, out=tmp_path / "r", epochs=np.int64(1), latent_dim=np.int32(3), seed=np.uint8(7), progress=Silent()
    )
    assert (made.recipe.config.epochs, made.recipe.latent_dim, made.recipe.config.seed) == (1, 3, 7)


@pytest.mark.parametrize(
    "words",
    [
        "export RUN --html .",
        "export RUN --html page.png",
        "sample RUN -o s.jpg",
        "sample RUN -o run.npz/s",
        "sample RUN -o run.npz/",
        "encode RUN mnist -o e.csv",
        "encode RUN mnist -o run.npz/e.npz",
        "data mnist -o sheet.jpg",
        "figure RUN map -o map.pdf",
        "review RUN --csv .",
    ],
)
def test_files_that_cannot_be_written_are_refused_before_any_work(words, run, monkeypatch, capsys):
    (run.path.parent.parent / "run.npz").write_bytes(b"a file")

    def late(*given, **more):
        pytest.fail("a run or images were loaded before the refusal")

    monkeypatch.setattr("latens.cli.commands._chosen", late)
    assert cli.main(words.replace("RUN", str(run.path)).split()) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "run mnist --epochs 0",
        "run mnist --epochs 2.5",
        "run mnist --seed -1",
        "run mnist --seed 4294967296",
        "run mnist --learning-rate 0",
        "run mnist --learning-rate nan",
        "explore --port 65536",
        "nonsense",
        "run --nonsense",
        "encode",
        "compare mnist --latent-dims 0",
    ],
)
def test_errors_of_arguments_are_json_where_json_is_asked_for(words, capsys):
    assert cli.main([*words.split(), "--json"]) == 2
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert answer["kind"] == "UsageError"
    assert printed.err.splitlines() == [f"latens: {answer['error']}"]


# ---- what is printed


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
@pytest.mark.parametrize("as_json", [True, False])
def test_output_in_any_encoding(encoding, as_json, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    with Output(as_json) as output:
        output.answer({"name": "caf\u00e9 \u732b \u2193"}, "caf\u00e9 \u732b \u2193 \u2500")
    assert stream.errors == "strict"  # as it was
    text = stream.buffer.getvalue().decode(encoding)
    if as_json:
        assert json.loads(text) == {"name": "caf\u00e9 \u732b \u2193"}
    elif encoding == "ascii":
        assert text == "caf\\xe9 \\u732b v -\n"


def test_commands_print_in_ascii(run):
    done = subprocess.run(
        [sys.executable, "-m", "latens", "runs"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert b"copy" in done.stdout
    assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_disk_below_standard_output_is_one_line():
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "latens", "runs"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "latens: standard output: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_a_reader_that_went_away_is_one_line():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "latens", "runs"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.returncode == 2
    assert done.stderr == "latens: standard output: Broken pipe\n"


# ---- single commands


def test_review_prints_few_and_keeps_all(run, capsys):
    assert cli.main(["review", str(run.path), "-n", "2", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)["findings"]
    kept = (run.path / "review.csv").read_text(encoding="utf-8").splitlines()[1:]
    kinds = {finding["kind"] for finding in printed}
    assert all(sum(finding["kind"] == kind for finding in printed) <= 2 for kind in kinds)
    assert sum(",worst-rebuilt," in f",{line}" for line in kept) == 100
    assert cli.main(["review", str(run.path), "-n", "2"]) == 0
    text = capsys.readouterr().out
    assert "worst-rebuilt (100)" in text
    assert sum(line.startswith("  t") for line in text.splitlines()) <= 2 * len(kinds)


def test_runs_of_a_later_format_are_listed(run, tmp_path, capsys):
    later = tmp_path / "runs" / "later"
    later.mkdir()
    (later / "run.json").write_text('{"format": 99, "status": "done"}')
    assert cli.main(["runs"]) == 0
    text = capsys.readouterr().out
    assert "runs/copy" in text
    assert "not opened: runs/later/run.json: written by a later latens (format 99" in text
    assert cli.main(["runs", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["status"] == "done"
    assert "later latens" in second["error"]
    shutil.rmtree(run.path)
    assert cli.main(["runs"]) == 0
    assert "not opened: runs/later" in capsys.readouterr().out


def test_samples_as_a_sheet(run, capsys):
    assert cli.main(["sample", str(run.path), "-n", "7", "--sampler", "gaussian", "-o", "s.png"]) == 0
    assert capsys.readouterr().out == "s.png: a sheet of 7 images\n"
    with Image.open("s.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.size[0] > 7 * 12


def test_suggested_commands_quote_names(blobs_file, capsys):
    assert cli.main(["run", str(blobs_file), "--out", "my run", "--epochs", "1", "--latent-dim", "3"]) == 0
    assert "latens explore 'my run'" in capsys.readouterr().out


# ---- the learning rate


def test_one_learning_rate_scales_both(blobs):
    usual = RECIPES["fast"](blobs)
    assert usual.config.optimiser == "muon"
    doubled = usual.with_options(learning_rate=2 * usual.config.learning_rate)
    assert doubled.config.matrix_learning_rate == 2 * usual.config.matrix_learning_rate
    assert usual.with_options(learning_rate=usual.config.learning_rate) == usual
    apart = usual.with_options(learning_rate=0.5, matrix_learning_rate=usual.config.matrix_learning_rate)
    assert apart.config.matrix_learning_rate == usual.config.matrix_learning_rate


# ---- weights from elsewhere


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Images of the reference experiment's shape, in a file."""
    path = tmp_path_factory.mktemp("digits") / "blobs.npz"
    pixels, labels = make_blobs(80, (1, 28, 28))
    np.savez(path, images=pixels[:, 0], labels=labels)
    return path


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_weights_with_the_prefixes_of_wrappers_are_read(prefix, digits, tmp_path):
    from latens.runs import import_weights

    torch.manual_seed(0)
    net = NotebookNet()
    torch.save({prefix + name: tensor for name, tensor in net.state_dict().items()}, tmp_path / "s.pt")
    made = import_weights(tmp_path / "s.pt", load_images(digits), tmp_path / "run")
    for name, tensor in net.state_dict().items():
        assert torch.equal(made.model.state_dict()[name], tensor)


@pytest.mark.usefixtures("no_images")
@pytest.mark.parametrize(
    "content", [b"hello, a text\n", b"", b"\x89PNG\r\n", pickle.dumps({"a": print}), b"PK\x03\x04rest"]
)
def test_other_files_are_said_not_to_be_weights(content, tmp_path):
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        import_run(tmp_path / "notes.txt", "mnist", progress=Silent())
    said = str(caught.value)
    assert "weights" in said
    assert "weights_only" not in said  # no advice to unpickle it
    assert "\n" not in said


@pytest.mark.heavy
def test_an_imported_run_says_so_everywhere(digits, tmp_path, capsys):
    torch.manual_seed(0)
    torch.save(NotebookNet().state_dict(), tmp_path / "mine.pt")
    assert cli.main(["import", "mine.pt", str(digits), "--out", "run", "--device", "cpu"]) == 0
    assert "imported weights (mine.pt)" in capsys.readouterr().err
    made = open_run("run")
    assert command_of(made, made.images) == f"latens import mine.pt {digits}"
    report = (made.path / "report.html").read_text(encoding="utf-8")
    assert "Its weights were imported." in report
    assert cli.main(["runs", "run"]) == 0
    text = capsys.readouterr().out
    for said in (report, text):
        assert "300 epochs" not in said
        assert "adjusted batch by batch" not in said


# ---- from Python


def test_a_model_an_image_and_a_figure_as_one_would_ask_for_them(run):
    images = run.images
    assert images.test[3].shape == (1, 12, 12)
    assert (images.test[3] == images.test.pixels[3]).all()
    assert (images.test[-1] == images.test.pixels[-1]).all()
    assert len(images.test[2:5]) == 3
    assert images.test[[0, 2]].ids.tolist() == images.test.ids[[0, 2]].tolist()
    with pytest.raises(IndexError):
        images.test[10_000]
    x = torch.from_numpy(images.test.pixels[:4] / np.float32(255))
    with torch.no_grad():
        np.testing.assert_allclose(run.model(x).numpy(), run.reconstruct(images.test[:4]), atol=1e-5)
    assert run.figure("map", map="pca").axes
    with pytest.raises(UnknownName, match="known"):
        run.figure("nonsense")
    with pytest.raises(UsageError, match="no option"):
        run.figure("map", nonsense=1)


def test_reconstructions_beyond_the_test_part_are_refused(run, capsys):
    assert cli.main(["figure", str(run.path), "reconstructions", "--start", "20000"]) == 2
    assert "20000" in capsys.readouterr().err


@pytest.mark.heavy
def test_torch_methods_are_adopted_as_they_are(blobs, tmp_path):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = torch.nn.Linear(144, 3), torch.nn.Linear(3, 144)

        def encode(self, x):
            return self.inner(x.flatten(1))

        def decode(self, z):
            return self.outer(z).reshape(-1, 1, 12, 12)

    net = Net().eval()
    made = latens.adopt(net.encode, net.decode, blobs, out=tmp_path / "bound", progress=Silent())
    assert made.record["status"] == "done"
    plain = latens.adopt(
        lambda x: torch.flatten(x, 1)[:, :3], lambda z: net.decode(z), blobs, out=tmp_path / "plain", progress=Silent()
    )
    assert plain.record["status"] == "done"
