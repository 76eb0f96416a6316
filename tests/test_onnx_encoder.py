"""Encoders in ONNX files: networks that torch writes are seen as torch computes them, and files that are none are said.

Needs onnx and onnxruntime, which `make test-all` puts into a folder of their own.
"""

import numpy as np
import pytest
import torch

import latens
from conftest import from_test_all
from latens.cli import main
from latens.computed import encode_run
from latens.encoders import encoder_of
from latens.errors import UsageError
from latens.experiment import train_run
from latens.progress import Silent
from latens.runs import start_run

pytestmark = pytest.mark.pretrained

SIDE = 64


@pytest.fixture(scope="module", autouse=True)
def onnx():
    from_test_all("onnxruntime")
    return from_test_all("onnx")


def network(outputs, channels=3):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(channels, 8, 5, 4),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, 2),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(16, outputs),
    ).eval()


def written(net, path, channels=3, any_number=True):
    """The network as an ONNX file of images of 64 × 64 pixels, of any number or one at a time."""
    axes = {"x": {0: "images"}, "y": {0: "images"}} if any_number else None
    example = torch.zeros(1, channels, SIDE, SIDE)
    torch.onnx.export(net, (example,), path, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes)
    return f"onnx:{path}"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's exporter that needs no further package
@pytest.mark.parametrize("any_number", [True, False])
@pytest.mark.parametrize(("outputs", "features"), [(12, 12), (1000, 16)])  # 1,000 classes are no features
def test_a_file_gives_what_torch_computes(tmp_path, any_number, outputs, features):
    net = network(outputs)
    found = encoder_of(written(net, tmp_path / "net.onnx", any_number=any_number))
    images = np.random.default_rng(0).random((5, 1, 28, 28)).astype(np.float32)
    assert found.size == (SIDE, SIDE)
    assert found.vectors(images).shape == (5, features)

    shown = []
    seen = encoder_of(lambda x: shown.append(x) or x.mean((2, 3)))  # what an encoder is shown, at the size of the file
    type(seen)(seen.name, seen.function, found.size).vectors(images)
    with torch.no_grad():
        expected = net(shown[0]) if features == outputs else net[:4](shown[0]).mean((2, 3))
        maps = net[:4](shown[0])
    np.testing.assert_allclose(found.vectors(images), expected, atol=1e-5)
    np.testing.assert_allclose(found.maps(images)[-1], maps, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_files_that_are_no_networks_of_colour_images_are_said(tmp_path):
    whole = tmp_path / "net.onnx"
    written(network(12), whole)
    (tmp_path / "text.onnx").write_text("no network at all")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "cut.onnx").write_bytes(whole.read_bytes()[:600])
    written(network(12, channels=1), tmp_path / "grey.onnx", channels=1)
    for name, says in (
        ("none", "no such file"),
        ("text", "not usable as an ONNX network"),
        ("empty", "not usable as an ONNX network"),
        ("cut", "not usable as an ONNX network"),
        ("grey", "not usable as an ONNX network"),
    ):
        with pytest.raises(UsageError, match=says) as error:
            encoder_of(f"onnx:{tmp_path / name}.onnx")
        assert f"{name}.onnx" in str(error.value)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_map_of_a_run_by_a_file(tmp_path, capsys):
    labels = np.repeat([0, 1], 40)
    pixels = np.random.default_rng(0).integers(0, 60, (80, 12, 12)) + 120 * labels[:, None, None]
    np.savez(tmp_path / "two.npz", images=pixels.astype(np.uint8), labels=labels)
    images = latens.load_images(tmp_path / "two.npz")
    run = start_run(
        images, latens.RECIPES["fast"](images).with_options(epochs=1, latent_dim=2), tmp_path / "run", "cpu"
    )
    with run.folder.working():
        train_run(run, images, Silent())
        encode_run(run, images)
    file = written(network(12), tmp_path / "net.onnx")
    map_of = ["map", str(run.path), "--map", "pca", "--features"]
    assert main([*map_of, file]) == 0
    assert "kNN accuracy" in capsys.readouterr().out
    scores = {one.name: one.value for one in latens.open_run(run.path).map_scores("features").scores}
    assert scores["features_knn_accuracy"] == 1  # dark and bright images
    (tmp_path / "text.onnx").write_text("no network at all")
    assert main([*map_of, str(tmp_path / "text.onnx")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "not usable as an ONNX network" in told
