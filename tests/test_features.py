"""Features: which network belongs to which pictures, and that it is the same one each time."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

import latens
from conftest import make_blobs
from latens.errors import RunDamaged, UsageError
from latens.features import Features, features_for
from latens.features.fitting import images_to_see, random_network, train_network
from latens.features.lookup import FOLDER, SHIPPED, load_network, save_network
from latens.features.network import DIM, FeatureNetwork, folded
from latens.progress import Silent
from pictures import noise, write_idx


def classifier(shape=(1, 12, 12), classes=3, **options):
    pixels, labels = make_blobs(240, shape, classes)
    return train_network(pixels, labels, classes, **{"num_seen": 2_000, **options}), pixels, labels


@pytest.fixture(scope="module")
def mnist():
    return latens.load_images("mnist")


# the network


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 17, 23), (3, 100, 9), (3, 256, 256)])
@pytest.mark.parametrize("classes", [0, 4])
def test_any_picture_has_features(shape, classes):
    network = FeatureNetwork(shape[0], classes)
    assert network(torch.rand(2, *shape)).shape == (2, DIM)


def test_folding_changes_nothing():
    torch.manual_seed(0)
    network = FeatureNetwork(3, 5, normalised=True).double()
    for _ in range(3):
        network(torch.rand(16, 3, 12, 12).double())
    network.eval()
    x = torch.rand(7, 3, 12, 12).double()
    plain = folded(network)
    torch.testing.assert_close(plain(x), network(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(plain.logits(plain(x)), network.logits(network(x)), rtol=1e-9, atol=1e-9)
    assert not [name for name in plain.state_dict() if "norm" in name]


def test_training_sees_each_picture_and_stays_in_its_budget():
    assert images_to_see(240, 12, 12) == 20_000
    assert images_to_see(10_000, 32, 32) == images_to_see(10**6, 32, 32) == 60_000
    assert images_to_see(10**6, 256, 256) == images_to_see(10**6, 64, 64) == 20_000


def test_a_classifier_learns_and_its_features_have_the_agreed_scale():
    network, pixels, labels = classifier(num_seen=5_000)
    features = Features("blobs", network, pixels.shape[1:])
    assert (features.classify(pixels) == labels).mean() > 0.8
    assert (features.classify(features(pixels)) == features.classify(pixels)).all()
    assert features(pixels).astype(np.float64).var(0, ddof=1).sum() == pytest.approx(
        100, rel=2e-3
    )  # a float16's rounding
    assert all((tensor == tensor.half()).all() for tensor in network.state_dict().values())


def test_threads_do_not_change_what_is_trained_in_float64():
    before = torch.get_num_threads()
    digests = set()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            digests.add(Features("", classifier(dtype=torch.float64, num_seen=1_500)[0], (1, 12, 12)).digest)
    finally:
        torch.set_num_threads(before)
    assert len(digests) == 1


def test_training_takes_no_random_numbers_of_the_user():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    classifier(num_seen=256)
    assert torch.rand(1) == expected


# pictures in


def test_pixels_are_rounded_to_eight_bit():
    network, pixels, _ = classifier(num_seen=256)
    features = Features("", network, (1, 12, 12))
    x = pixels / np.float32(255)
    expected = features(pixels)
    np.testing.assert_array_equal(features(x), expected)
    np.testing.assert_array_equal(features(x + np.float32(0.0015)), expected)
    np.testing.assert_array_equal(features(torch.from_numpy(x)), expected)
    outside = np.where(x > 0.5, x + 1, x - 1)
    np.testing.assert_array_equal(features(outside), features((x > 0.5).astype(np.float32)))
    assert features(pixels[:0]).shape == (0, DIM)


def test_what_are_no_pictures_is_refused():
    features = Features("", random_network(noise(5, 1, 8, 8)), (1, 8, 8))
    with pytest.raises(UsageError, match="shape 4 x 8 x 8; these features take N x 1 x 8 x 8"):
        features(noise(4, 8, 8))
    with pytest.raises(UsageError, match="int64; uint8 or floats"):
        features(np.zeros((1, 1, 8, 8), np.int64))
    with pytest.raises(UsageError, match="NaN"):
        features(np.full((1, 1, 8, 8), np.nan))


# which network


def test_mnist_is_known_by_its_pixels(mnist, tmp_path):
    shipped = features_for(mnist)
    assert (shipped.name, shipped.num_classes, shipped.dim) == ("mnist classifier", 10, DIM)
    assert shipped.protocol == f"mnist classifier {shipped.digest[:8]}"
    assert (shipped.classify(mnist.test.pixels) == mnist.test.labels).mean() >= 0.992
    for part, name in ((mnist.train, "train"), (mnist.test, "t10k")):
        write_idx(tmp_path / f"{name}-images-idx3-ubyte", part.pixels[:, 0])
        write_idx(tmp_path / f"{name}-labels-idx1-ubyte", part.labels.astype(np.uint8))
    assert features_for(latens.load_images(tmp_path)).digest == shipped.digest
    fewer = dataclasses.replace(mnist, train=mnist.train.take(slice(100)))
    assert features_for(fewer).digest == shipped.digest


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_weights_are_whole_and_small(name):
    path = FOLDER / f"{name}.safetensors"
    assert path.stat().st_size < 400_000
    assert load_network(path).logits(torch.zeros(1, DIM)).shape == (1, 10)


def test_a_classifier_is_trained_once_and_kept(blobs, own_cache, monkeypatch):
    stages = []

    class Told(Silent):
        def stage(self, title, unit=""):
            stages.append(title)
            return super().stage(title, unit)

    monkeypatch.setattr("latens.features.lookup.images_to_see", lambda *_: 2_000)
    first = features_for(blobs, Told())
    (path,) = (own_cache / "features").iterdir()
    assert (first.name, first.num_classes, stages) == ("classifier of this data", 3, ["features"])
    assert features_for(blobs, Told()).digest == first.digest
    assert stages == ["features"]
    path.write_bytes(path.read_bytes()[:-1])
    assert features_for(blobs, Told()).digest == first.digest
    assert stages == ["features"] * 2


def test_without_labels_the_network_is_random_and_fixed():
    pictures = latens.load_images(noise(40, 9, 9))
    features = features_for(pictures)
    assert (features.name, features.num_classes) == ("whitened random convolutions", 0)
    assert features.classify(pictures.test.pixels) is None
    assert features_for(pictures).digest == features.digest
    of_train = features(pictures.train.pixels).astype(np.float64)
    assert of_train.var(0, ddof=1).sum() == pytest.approx(100, rel=2e-3)
    other = Features("", random_network(pictures.train.pixels, seed=1), pictures.shape)
    assert other.digest != features.digest


def test_one_class_is_no_class():
    pictures = latens.load_images(noise(40, 9, 9), labels=["same"] * 40)
    assert features_for(pictures).name == "whitened random convolutions"


def test_what_are_no_weights_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_network(path, random_network(noise(5, 1, 8, 8)))
    assert load_network(path).classifier is None
    latens.files.write_safetensors(path, {"a": torch.zeros(2)})
    with pytest.raises(RunDamaged, match="not the weights of a feature network"):
        load_network(Path(path))
