"""A run's detector as one ONNX file: it says what `run.detect` says, and needs neither torch nor latens.

What needs onnx is in the packages of `make test-all`.
"""

import copy
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import latens
from conftest import from_test_all
from latens.cli import main
from latens.computed import encode_run
from latens.detection.conformal import p_values
from latens.detection.contract import Seen
from latens.detection.fitted import fit_detector
from latens.detection.graphs import TIE
from latens.errors import MissingExtra, UsageError
from latens.experiment import train_run
from latens.exports import write_onnx_detector
from latens.images import load_images
from latens.progress import Silent
from latens.runs import start_run
from latens.training.recipes import RECIPES

GUIDE = Path(__file__).parents[1] / "docs" / "ecosystem.md"
GREY, STAINS = (1, 16, 16), (5, 16, 12)
RANGE = {GREY: (0, 255), STAINS: (100, 1100)}
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def runtime():
    from_test_all("onnxscript")
    return from_test_all("onnxruntime")


def pictures(count, shape, seed, noise=0.08, odd=False):
    """Waves with noise, uint8 of one channel or uint16 of five; of odd ones each second has a bright square."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(shape[2]) / 3 + rng.uniform(0, 6.28, (count, shape[0], 1, 1)))
    values = 0.5 + 0.2 * waves + rng.normal(0, noise, (count, *shape))
    if odd:
        values[::2, 0, 4:8, 5:9] += 0.4
    low, high = RANGE[shape]
    return np.clip(low + values * (high - low), low, high).round().astype(np.uint8 if shape == GREY else np.uint16)


def trained(folder, shape=GREY, model="autoencoder", network="convolutional", count=460):
    """A run with its latents, without maps, scores and report."""
    images = load_images(pictures(count, shape, 1), layout="NCHW", value_range=RANGE[shape])
    recipe = RECIPES["notebook"](images).with_options(model=model, network=network, latent_dim=12, epochs=1)
    run = start_run(images, recipe, folder, "cpu")
    run.images = images
    with run.folder.working():
        train_run(run, images, Silent())
        encode_run(run, images)
    run.update(status="done")
    opened = latens.open_run(folder)
    opened.images = images
    return opened


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("runs") / "run")


def session(runtime, path):
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def in_unit(pixels, shape):
    low, high = RANGE[shape]
    return ((pixels - np.float32(low)) / np.float32(high - low)).astype(np.float32)


def near(found, expected):
    """Which rows are equal, up to a share of 1 + their size."""
    off = np.abs(found - expected) / (1 + np.abs(expected))
    return off.reshape(len(off), -1).max(1) < TOLERANCE


def check(runtime, run, path, shape, method="combined", flips=0.0):
    """That onnxruntime says of new images what `run.detect` does."""
    detect, maps = session(runtime, path), method != "neighbours"
    names = ["scores", "p_values", "maps"][: 3 if maps else 2]
    assert [one.name for one in detect.get_outputs()] == names
    shapes = [["batch"], ["batch"], ["batch", *shape[1:]]]
    assert [one.shape for one in detect.get_outputs()] == shapes[: len(names)]
    assert detect.get_inputs()[0].shape == ["batch", *shape]
    calibration = fit_detector(run, method).scores
    spread = np.subtract(*np.quantile(calibration, (0.75, 0.25)))
    for batch in (1, 7, 64):
        new = pictures(batch, shape, 10 + batch, odd=True)
        found, (scores, p, *heat) = run.detect(new, method=method), detect.run(None, {"images": in_unit(new, shape)})
        agrees = near(scores, found.scores)
        assert agrees.mean() >= 1 - flips, (scores, found.scores)
        if maps:
            assert near(heat[0], found.maps)[agrees].all()
        gaps = np.abs(calibration - found.scores[:, None]).min(1)
        apart = agrees & (gaps > 3 * TIE * np.maximum(np.abs(found.scores), spread))
        np.testing.assert_allclose(p[apart], found.p_values[apart], rtol=1e-6)
        np.testing.assert_allclose(p[agrees], found.p_values[agrees], atol=1.5 / (len(calibration) + 1))


PAIRS = [
    ("autoencoder", "convolutional", GREY),
    ("variational", "residual", STAINS),
    ("wasserstein", "dense", GREY),
    ("regularised", "deep", STAINS),
    ("quantised", "linear-path", GREY),
]


@pytest.mark.pretrained
@pytest.mark.parametrize(("model", "network", "shape"), PAIRS)
def test_onnxruntime_agrees_with_detect(runtime, tmp_path, model, network, shape):
    run = trained(tmp_path / "run", shape, model, network)
    path = write_onnx_detector(run, tmp_path / "out")
    # A number at the border of two levels may go either way.
    check(runtime, run, path, shape, flips=0.1 if model == "quantised" else 0)


@pytest.mark.pretrained
@pytest.mark.parametrize("method", ["structural", "neighbours", "reconstruction"])
def test_other_methods(runtime, run, tmp_path, method):
    check(runtime, run, write_onnx_detector(run, tmp_path / "out", method), GREY, method)


@pytest.mark.pretrained
def test_where_rounding_matters_it_is_as_exact_as_latens_itself(runtime, tmp_path):
    """Images that are rebuilt to a thousandth: their differences are float32's rounding in part. The truth is float64's."""
    run = trained(tmp_path / "run", network="linear-path")
    fitted = fit_detector(run)
    detect = session(runtime, write_onnx_detector(run, tmp_path / "out"))
    x = torch.from_numpy(in_unit(pictures(64, GREY, 5), GREY))
    x = torch.from_numpy(np.clip(run.reconstruct(x.numpy()) + 0.001 * (x.numpy() - 0.5), 0, 1).astype(np.float32))
    model, exact = copy.deepcopy(run.model).double(), Seen(x.numpy(), run)
    with torch.no_grad():
        exact.latents = model.encode(x.double()).numpy()
        exact.residuals = (x.double() - model.decode(torch.from_numpy(exact.latents))).numpy()
    truth = fitted.detector.measure(exact).scores
    ours = np.abs(fitted.measure(x.numpy())[1].scores - truth)
    theirs = np.abs(detect.run(["scores"], {"images": x.numpy()})[0] - truth)
    assert np.median(theirs) <= 3 * np.median(ours) + 1e-5


@pytest.mark.pretrained
def test_the_file_says_what_its_numbers_mean(runtime, run, tmp_path):
    facts = session(runtime, write_onnx_detector(run, tmp_path)).get_modelmeta().custom_metadata_map
    assert facts["method"] == "combined"
    assert json.loads(facts["value_range"]) == [[0, 255]]
    assert json.loads(facts["calibration_images"]) == 46
    # Of 46 images the least p-value is above 1 %: there is no such threshold.
    assert list(json.loads(facts["thresholds"])) == list(json.loads(facts["map_levels"])) == ["0.05"]
    found = run.detect(pictures(64, GREY, 3, odd=True), false_alarms=0.05)
    assert json.loads(facts["thresholds"])["0.05"] == pytest.approx(found.threshold)
    assert json.loads(facts["map_levels"])["0.05"] == pytest.approx(found.calibration.level)
    assert ((found.scores > found.threshold) == found.odd).all()


@pytest.mark.pretrained
def test_a_calibration_image_is_compared_with_itself_too(runtime, run, tmp_path):
    """The file does not know which images were used; each is then one of those that are at least as odd."""
    detect = session(runtime, write_onnx_detector(run, tmp_path))
    fitted = fit_detector(run)
    _, p, _ = detect.run(None, {"images": in_unit(run.images.test.pixels, GREY)})
    expected = p_values(fitted.scores, fitted.scores)
    np.testing.assert_allclose(p, expected, atol=1.5 / 47)
    assert (p >= expected - 1e-6).all()


@pytest.mark.pretrained
def test_the_program_of_the_guide_needs_neither_torch_nor_latens(runtime, run, tmp_path):
    """Its lines as they stand in the guide, in a process in which torch and latens can't be imported."""
    write_onnx_detector(run, tmp_path / "onnx")
    new = pictures(9, GREY, 4, odd=True)
    np.save(tmp_path / "images.npy", new)
    (code,) = (
        code for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL) if "detect.onnx" in code
    )
    assert len(code.splitlines()) <= 13
    blocked = "import sys\nsys.modules['torch'] = sys.modules['latens'] = None\n"
    kept = "\nnp.savez('out.npz', scores=scores, p_values=p_values, maps=maps, odd=odd)\n"
    script = tmp_path / "program.py"
    script.write_text(blocked + code + kept)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if ".peers" in path)}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    out, found = np.load(tmp_path / "out.npz"), run.detect(new, false_alarms=0.05)
    assert near(out["scores"], found.scores).all()
    assert near(out["maps"], found.maps).all()
    assert (out["odd"] == found.odd).all()
    assert out["odd"].any()


@pytest.mark.pretrained
def test_the_command_writes_it_where_the_run_can_detect(runtime, finished_run, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", str(finished_run.path), "--onnx", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [Path(path).name for path in answer["onnx"]] == ["encoder.onnx", "decoder.onnx", "detect.onnx"]
    assert answer["onnx_left_out"] == []
    nn = torch.nn
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(144, 4))
    decoder = nn.Sequential(nn.Linear(4, 144), nn.Unflatten(1, (1, 12, 12)))
    images = np.random.default_rng(0).integers(0, 255, (60, 12, 12), np.uint8)
    adopted = latens.adopt((encoder, decoder), images=images, out=tmp_path / "adopted", progress=Silent())
    assert main(["export", str(adopted.path), "--onnx", str(tmp_path / "second")]) == 0
    assert re.search(r"detect\.onnx: not written: .* was adopted", capsys.readouterr().out)
    assert not (tmp_path / "second" / "detect.onnx").exists()
    # What was asked for by name is an error where it can't be had.
    assert main(["export", str(adopted.path), "--onnx", str(tmp_path / "third"), "--method", "structural"]) == 2
    assert "was adopted" in capsys.readouterr().err
    assert not (tmp_path / "third").exists()


def test_errors(finished_run, tmp_path, capsys, monkeypatch):
    with pytest.raises(UsageError, match="the method features can't be written as ONNX; methods that can: combined, "):
        write_onnx_detector(finished_run, tmp_path, "features")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtra, match=r'pip install "latens\[onnx\]"'):
        write_onnx_detector(finished_run, tmp_path)
    command = ["export", str(finished_run.path), "--torch-export", str(tmp_path / "o"), "--method", "structural"]
    assert main(command) == 2
    assert "--method: only with --onnx" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
