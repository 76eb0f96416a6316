"""Features of a given encoder beside the latents: the map, its scores, the review, and what is wrong with an encoder."""

import json
import sys

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

import latens
from conftest import make_blobs
from latens import cli
from latens.computed import map_run
from latens.computed.given_features import GivenFeatures, features_of_run
from latens.encoders import encoder_of
from latens.errors import RunError, UsageError
from latens.experiment import make_map
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


def test_the_report_is_written_again_with_the_map(run):
    run_file, report = run.path / "run.json", run.path / "report.html"
    report.unlink()
    make_map(run, features="test_given_features:encoder", progress=Silent())
    assert "Features of test_given_features:encoder" not in report.read_text()  # that is drawn, in the figure
    assert "by the features that a given encoder sees" in report.read_text()
    make_map(run, "tsne", seed=5, progress=Silent())
    assert run.scores.find("trustworthiness", "map").value == run.map_scores("tsne").scores[0].value
    assert [one.group for one in run.scores] == sorted(
        (one.group for one in run.scores),
        key=["reconstruction", "representation", "map", "generation", "continuity"].index,
    )
    assert run_file.is_file()


def test_scores_compare_images_by_the_features(run, capsys):
    words = ["score", str(run.path), "--samplers", "class-means", "--features", "test_given_features:encoder"]
    assert cli.main(words) == 0
    capsys.readouterr()
    rows = latens.open_run(run.path).scores.to_dicts()
    scores = {(one["group"], one["subject"], one["name"]): one for one in rows}
    accuracy = scores["representation", "", "features_knn_accuracy"]
    assert accuracy["features"] == "test_given_features:encoder"
    assert accuracy["baseline"] == scores["representation", "", "knn_accuracy"]["value"]
    for name in ("kid", "class_agreement"):  # realism is measured by image statistics where these see more
        one = scores["generation", "class-means", name]
        assert one["features"].startswith("test_given_features:encoder"), name
    # Its classes are those of the nearest train images, which is what real test images get as a baseline.
    assert scores["generation", "class-means", "class_agreement"]["baseline"] == accuracy["value"]
    assert "features_knn_accuracy" in (run.path / "report.html").read_text()
    latens.experiment.score(run, ["class-means"], progress=Silent())
    assert run.scores.find("features_knn_accuracy") is None


def test_scores_by_features_are_those_of_the_arrays(run):
    """The same by hand: features in units of the train part, and the kernel distance of what was decoded."""
    found = features_of_run(run, encoder())
    compared = GivenFeatures(found)
    np.testing.assert_allclose(compared(run.images.test.inputs), found.of_part(1), atol=1e-5)
    train, labels = found.of_part(0), run.labels_of(0)
    expected = KNeighborsClassifier(1).fit(train, labels).predict(train)
    assert (compared.classify(train) == expected).mean() > 0.9  # five vote, and the nearest is itself
    np.testing.assert_array_equal(compared.classify(run.images.test.inputs), compared.classify(found.of_part(1)))


@pytest.mark.heavy
def test_a_run_with_features_from_the_start_and_resumed(tmp_path, capsys):
    images, labels = make_blobs(120, (1, 8, 8), seed=4)
    np.savez(tmp_path / "blobs.npz", images=images[:, 0], labels=labels)
    words = ["run", str(tmp_path / "blobs.npz"), "--out", str(tmp_path / "run"), "--epochs", "1", "--latent-dim", "2"]
    assert cli.main([*words, "--features", "nowhere:f"]) == 2
    assert not (tmp_path / "run").exists()
    capsys.readouterr()
    assert cli.main([*words, "--features", "test_given_features:encoder"]) == 0
    run = latens.open_run(tmp_path / "run")
    assert run.record["features"] == "test_given_features:encoder"
    assert "maps/features.npz" in run.record["files"]
    assert run.scores.find("features_knn_accuracy") is not None
    report = (run.path / "report.html").read_text()
    assert "by the features of test_given_features:encoder" in report
    assert "--features test_given_features:encoder" in report
    assert (run.path / "figures" / "map-features.png").is_file()
    with pytest.raises(UsageError, match="was started with the features of test_given"):
        latens.resume(run.path, features=nothing, progress=Silent())
    run.update(features="function", status="stopped")
    with pytest.raises(UsageError, match=r"give the same encoder: latens.resume\(RUN, features=...\)"):
        latens.resume(run.path, progress=Silent())
    run.update(features="")
    with pytest.raises(UsageError, match="was started with no features of an encoder"):
        latens.resume(run.path, features=nothing, progress=Silent())


@pytest.mark.heavy
def test_an_encoder_that_fails_in_a_run_is_left_out_and_the_run_ends_well(tmp_path):
    images, labels = make_blobs(60, (1, 8, 8), seed=4)
    np.savez(tmp_path / "blobs.npz", images=images[:, 0], labels=labels)
    run = latens.run(
        tmp_path / "blobs.npz",
        out=tmp_path / "run",
        epochs=1,
        latent_dim=2,
        samplers=["class-means"],
        features=nothing,
        progress=Silent(),
    )
    assert run.record["status"] == "done"
    assert "gives NaN" in run.record["left_out"]["features function"]
    assert run.scores.find("knn_accuracy") is not None
    assert "features=encoder" in (run.path / "report.html").read_text()


def test_an_encoder_in_the_working_folder_is_found(run, tmp_path, monkeypatch):
    (tmp_path / "my_own_encoder.py").write_text("def see(x):\n    return x.mean((2, 3))\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [one for one in sys.path if one])
    before = list(sys.path)
    assert encoder_of("my_own_encoder:see").name == "my_own_encoder:see"
    assert sys.path == before


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
@pytest.mark.parametrize("command", ["map", "review", "score"])
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
