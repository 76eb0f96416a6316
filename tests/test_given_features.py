"""Features of a given encoder beside the latents: the map, its scores, the review, and what is wrong with an encoder."""

import json

import numpy as np
import pytest
import torch

import latens
from conftest import make_blobs
from latens import cli
from latens.computed import map_run
from latens.computed.given_features import features_of_run
from latens.errors import RunError, UsageError
from latens.explorer.view import View
from latens.progress import Silent

CALLS: list[int] = []


def encoder():
    """A network that sees where an image is bright: the means of 16 cells."""
    CALLS.append(1)
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten())


def nothing(x):
    """A function whose features are no numbers."""
    return torch.full((len(x), 4), torch.nan)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    images, labels = make_blobs(160, (1, 8, 8), seed=3)
    np.savez(folder / "blobs.npz", images=images[:, 0], labels=labels)
    return latens.run(folder / "blobs.npz", out=folder / "run", epochs=1, latent_dim=3, device="cpu", progress=Silent())


def test_features_are_kept_and_computed_again_when_the_encoder_gives_others(run):
    first = features_of_run(run, "test_given_features:encoder")
    assert first.seen.shape == (160, 3 * 16)
    path = run.path / "features" / "test-given-features-encoder.npz"
    before = path.stat().st_mtime_ns
    assert features_of_run(run, "test_given_features:encoder").seen.tobytes() == first.seen.tobytes()
    assert path.stat().st_mtime_ns == before

    def function(x):
        return x.mean((2, 3))

    features_of_run(run, function)

    def function(x):  # another one of the same name
        return x.amax((2, 3))

    again = features_of_run(run, function)
    np.testing.assert_allclose(again.seen[:4], again.of(run.images.train.pixels[:4]), rtol=1e-5)


def test_vectors_have_length_one_in_units_of_the_train_part(run):
    found = features_of_run(run, "test_given_features:encoder")
    np.testing.assert_allclose(np.linalg.norm(found.vectors, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(found.compared(found.of(run.images.test.pixels)), found.of_part(1), atol=1e-5)


def test_a_map_of_features_is_kept_beside_those_of_latents_and_can_not_be_decoded(run):
    with pytest.raises(RunError, match="no features were mapped; say `latens map"):
        latens.open_run(run.path).map("given") if "maps/features.npz" in run.record["files"] else run.map("features")
    made = run.map(features="test_given_features:encoder")
    kept = latens.open_run(run.path).map("features")
    assert kept.coordinates.tobytes() == made.coordinates.tobytes()
    assert kept.encoder == "test_given_features:encoder"
    assert "test_given_features:encoder, t-SNE" in kept.note
    with pytest.raises(UsageError, match="which the decoder can't decode"):
        kept.inverse(np.zeros((1, 2)))
    assert kept.place(run.latents["latents"][:3]).shape == (3, 2)
    assert run.map("tsne").coordinates.tobytes() != made.coordinates.tobytes()
    names = {score.name: score for score in run.map_scores("features").scores}
    assert names["trustworthiness"].protocol.features == "test_given_features:encoder"
    accuracy = names["features_knn_accuracy"]
    assert accuracy.baseline_name == "latents"
    assert 0 <= accuracy.low <= accuracy.value <= accuracy.high <= 1


def test_the_explorer_offers_it_and_says_that_it_has_no_inverse(run):
    run.map(features="test_given_features:encoder")
    view = View(latens.open_run(run.path))
    assert "features" in view.info()["maps"]
    assert view.map_points("features")[0]["decodable"] is False
    assert view.map_points("pca")[0]["decodable"] is True


def test_the_commands(run, capsys):
    words = ["map", str(run.path), "--features", "test_given_features:encoder"]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "kNN accuracy, mean over classes" in text
    assert "map-features.png" in text
    assert cli.main([*words, "--json", "--map", "pca"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["features"] == "test_given_features:encoder"
    assert {"features_knn_accuracy", "features_knn_accuracy_by_class"} <= {one["name"] for one in answer["scores"]}
    assert cli.main(["figure", str(run.path), "map", "--map", "features", "-o", str(run.path / "x.png")]) == 0
    assert cli.main(["review", str(run.path), "--features", "test_given_features:encoder", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.partition("\n")[2])["features"] == "test_given_features:encoder"
    assert "by the features of test_given_features:encoder" in (run.path / "report.html").read_text()


def test_new_images_are_reviewed_by_features(run, tmp_path, capsys):
    """Images whose dark and bright halves are swapped are odd to an encoder that sees where an image is bright."""
    new = np.concatenate([run.images.test.pixels[:6], 255 - run.images.test.pixels[:3]])
    np.save(tmp_path / "new.npy", new[:, 0])
    found = run.review(tmp_path / "new.npy", features="test_given_features:encoder")
    assert found.features == "test_given_features:encoder"
    scores = [one.odd_score for one in found.images]
    assert min(scores[6:]) > max(scores[:6])
    assert [bool(one.duplicate_of) for one in found.images[:6]] == [True] * 6
    words = ["review", str(run.path), str(tmp_path / "new.npy"), "--features", "test_given_features:encoder"]
    assert cli.main(words) == 0
    assert "of the run by the features of test_given_features:encoder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ("resnet", "allowed is timm:NAME"),
        ("nowhere:f", "can't be loaded (ModuleNotFoundError"),
        ("test_given_features:nothing", "gives NaN or infinity"),
        ("timm:resnet18", "pip install timm"),
        ("onnx:none.onnx", ""),
    ],
)
@pytest.mark.parametrize("command", ["map", "review"])
def test_an_encoder_that_cannot_be_used_is_one_line(run, features, says, command, capsys):
    before = dict(run.record["files"])
    assert cli.main([command, str(run.path), "--features", features]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert says in told
    assert run.record["files"] == before


def test_a_wrong_size_is_said(run):
    with pytest.raises(UsageError, match="the encoder fails"):
        run.map(features=torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3)))
    with pytest.raises(UsageError, match="give one of them"):
        map_run(run, coordinates="x.npy", features="test_given_features:encoder")
