"""A run's networks as ONNX files: they compute what torch computes, say what they take, and need neither torch nor latens.

What needs onnx is in the packages of `make test-all`.
"""

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
from conftest import from_test_all, make_blobs
from latens.cli import main
from latens.errors import RunError
from latens.exports import write_onnx
from latens.images import load_images
from latens.models import MODELS
from latens.networks import NETWORKS
from latens.progress import Silent
from latens.runs import start_run
from latens.training.recipes import RECIPES

GUIDE = Path(__file__).parents[1] / "docs" / "ecosystem.md"


def test_export_says_what_it_needs(finished_run, tmp_path, capsys, monkeypatch):
    assert main(["export", str(finished_run.path)]) == 2
    assert "export needs --html FILE, --onnx [DIR] or --torch-export [DIR]" in capsys.readouterr().err
    assert main(["export", str(finished_run.path), "--onnx", str(tmp_path / "o"), "--size", "20MB"]) == 2
    assert "--size: only with --html FILE" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", str(finished_run.path), "--onnx", str(tmp_path / "o")]) == 2
    assert 'pip install "latens[onnx]"' in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


@pytest.fixture(scope="module")
def runtime():
    from_test_all("onnxscript")
    return from_test_all("onnxruntime")


def run_of(folder, model="autoencoder", network="convolutional", shape=(2, 16, 12), latent_dim=12):
    """A run with weights that were never trained, and are moved so that none is zero."""
    pixels, _ = make_blobs(60, shape)
    images = load_images(pixels, layout="NCHW", value_range=((10, 200), (0, 255))[: shape[0]])
    recipe = RECIPES["notebook"](images).with_options(model=model, network=network, latent_dim=latent_dim)
    run = start_run(images, recipe, folder, "cpu")
    made = run.untrained_model()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    run.save("model.safetensors", {name: tensor.contiguous() for name, tensor in made.state_dict().items()})
    return latens.open_run(folder)


def session(runtime, path):
    return runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.pretrained
@pytest.mark.parametrize("network", NETWORKS.own)
@pytest.mark.parametrize("model", MODELS.own)
def test_onnxruntime_agrees_with_torch(runtime, tmp_path, model, network):
    run = run_of(tmp_path / "run", model, network)
    encoder, decoder = (session(runtime, path) for path in write_onnx(run, tmp_path / "out"))
    random = np.random.default_rng(0)
    for batch in (1, 7, 256):
        x = random.random((batch, 2, 16, 12), dtype=np.float32)
        (z,) = encoder.run(["latents"], {"images": x})
        expected = run.encode(x)
        # A number at the border of two levels may go either way.
        agrees = np.abs(z - expected) < 1e-5
        assert agrees.mean() > 0.999 if model == "quantised" else agrees.all()
        (y,) = decoder.run(["images"], {"latents": expected})
        np.testing.assert_allclose(y, run.decode(expected), atol=1e-5)
    assert [one.shape for one in (*encoder.get_inputs(), *encoder.get_outputs())] == [
        ["batch", 2, 16, 12],
        ["batch", 12],
    ]
    assert [one.shape for one in (*decoder.get_inputs(), *decoder.get_outputs())] == [
        ["batch", 12],
        ["batch", 2, 16, 12],
    ]


@pytest.mark.pretrained
@pytest.mark.parametrize("model", ["quantised:spatial=true", "variational:likelihood=bernoulli"])
def test_other_rules_of_the_latent(runtime, tmp_path, model):
    run = run_of(tmp_path / "run", model, shape=(1, 16, 16), latent_dim=32)
    encoder, decoder = (session(runtime, path) for path in write_onnx(run, tmp_path / "out"))
    x = np.random.default_rng(0).random((5, 1, 16, 16), dtype=np.float32)
    (z,) = encoder.run(None, {"images": x})
    assert (np.abs(z - run.encode(x)) < 1e-5).mean() > 0.98
    (y,) = decoder.run(None, {"latents": z})
    np.testing.assert_allclose(y, run.decode(z), atol=1e-5)


@pytest.mark.pretrained
def test_the_program_of_the_guide_needs_neither_torch_nor_latens(runtime, tmp_path):
    """Its lines as they stand in the guide, in a process in which torch and latens can't be imported."""
    run = run_of(tmp_path / "run")
    pixels, _ = make_blobs(9, (2, 16, 12), seed=5)
    assert main(["export", str(run.path), "--onnx", str(tmp_path / "onnx")]) == 0
    np.save(tmp_path / "images.npy", pixels)
    (code,) = (
        code
        for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        if "InferenceSession" in code and "encoder" in code
    )
    assert len(code.splitlines()) <= 16
    blocked = "import sys\nsys.modules['torch'] = sys.modules['latens'] = None\n"
    kept = "\nnp.savez('out.npz', z=z, rebuilt=rebuilt)\n"
    script = tmp_path / "program.py"
    script.write_text(blocked + code + kept)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if ".peers" in path)}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "out.npz")
    z = run.encode(pixels)
    np.testing.assert_allclose(found["z"], z, atol=1e-5)
    ends = np.array([[10, 200], [0, 255]], np.float32)[:, :, None, None]
    np.testing.assert_allclose(found["rebuilt"], ends[:, 0] + run.decode(z) * (ends[:, 1] - ends[:, 0]), atol=1e-2)


@pytest.mark.pretrained
def test_the_files_say_what_they_take(runtime, tmp_path):
    run = run_of(tmp_path / "run")
    for path in write_onnx(run, tmp_path / "out"):
        facts = session(runtime, path).get_modelmeta().custom_metadata_map
        assert json.loads(facts["value_range"]) == [[10, 200], [0, 255]]
        assert json.loads(facts["channel_names"]) == ["1", "2"]
        assert json.loads(facts["image_shape"]) == [2, 16, 12]
        assert json.loads(facts["latent_shape"]) == [12]
        assert facts["fingerprint"] == run.record["data"]["fingerprint"]
        assert facts["latens"] == latens.__version__


class Fixed(torch.nn.Module):
    """Turns the number of images into a constant."""

    def forward(self, x):
        return x.reshape(len(x), -1)[:, :12]


@pytest.mark.pretrained
def test_what_has_no_onnx_form_is_said(runtime, tmp_path):
    run = run_of(tmp_path / "run")
    model = run.model
    model.encoder = Fixed()
    run.model = model
    with pytest.raises(RunError, match=r"the encoder works for 2 images only.*x\.shape\[0\]"):
        write_onnx(run, tmp_path / "out")
    pixels, _ = make_blobs(60)
    adopted = latens.adopt(
        lambda x: x.reshape(len(x), -1)[:, :4],
        lambda z: np.zeros((len(z), 1, 12, 12), np.float32),
        pixels,
        out=tmp_path / "adopted",
        progress=Silent(),
    )
    with pytest.raises(RunError, match="its model is two functions"):
        write_onnx(adopted, tmp_path / "out")
    assert not (tmp_path / "out").exists()
