"""Somebody else's model as a run: judged as any other, and what is wrong with its functions said."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

import latens
from conftest import make_blobs
from latens.images import load_images
from latens.progress import Silent

DIM = 6


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pixels, labels = make_blobs(240)
    path = tmp_path_factory.mktemp("adopt") / "blobs.npz"
    np.savez(path, images=pixels[:, 0], labels=labels)
    return path


@pytest.fixture(scope="module")
def images(file):
    return load_images(file)


@pytest.fixture(scope="module")
def functions(images):
    pca = PCA(DIM, svd_solver="full").fit(images.train.pixels.reshape(len(images.train), -1) / 255)
    return lambda x: pca.transform(x.reshape(len(x), -1)), pca.inverse_transform


@pytest.fixture(scope="module")
def adopted(functions, images, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "pca"
    return latens.adopt(*functions, images, out=out, name="PCA", progress=Silent())


def values(run):
    return {score["name"]: score["value"] for score in run.scores["scores"]}


def test_adopted_pca_has_the_error_of_pca(adopted):
    scores = values(adopted)
    assert scores["mse"] == pytest.approx(scores["pca_mse"], rel=1e-5)
    assert adopted.record["result"]["test_mse"] == pytest.approx(scores["mse"], rel=1e-5)
    assert adopted.record["status"] == "done"
    assert (adopted.path / "report.html").exists()
