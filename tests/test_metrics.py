"""Every number against scikit-learn, torchmetrics, a closed form or a plain loop."""

import gzip
import json
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from itertools import permutations
from threading import Barrier

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from latens.errors import UnknownName, UsageError
from latens.left_out import LeftOut
from latens.metrics import METRICS, Score, ScoreTable
from latens.metrics.inputs import Drawn, Inputs, Part
from latens.metrics.linear import linear_baseline
from latens.metrics.map import score_map, trustworthiness
from latens.metrics.reconstruction import class_errors, image_errors, score_reconstruction, worst_images
from latens.metrics.representation import (
    active_units,
    cluster_scores,
    effective_rank,
    linear_accuracy,
    pixel_accuracy,
    score_representation,
    zero_fraction,
)
from latens.metrics.score import DIRECTIONS
from latens.metrics.similarity import structural_similarity
from latens.metrics.votes import vote


def pictures(num=40, shape=(1, 14, 14), seed=0):
    """Smooth random pictures and bad reconstructions of them, some of it outside [0, 1]."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (num, shape[0], -(-shape[1] // 2), -(-shape[2] // 2)))
    pixels = coarse.repeat(2, 2).repeat(2, 3)[:, :, : shape[1], : shape[2]].astype(np.uint8)
    rebuilt = (pixels / 255 + rng.normal(size=pixels.shape) * 0.2).astype(np.float32)
    return pixels, rebuilt


def latents_and_labels(num, dim=10, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 4
    centres = np.random.default_rng(9).normal(size=(4, dim)) * 1.5
    latents = np.maximum(centres[labels] + rng.normal(size=(num, dim)), 0).astype(np.float32)
    latents[:, 2] = 0
    return latents, labels


def of(scores, name):
    return scores[name].value


# reconstruction


@pytest.mark.parametrize("shape", [(1, 14, 14), (3, 11, 17), (1, 32, 12)])
def test_reconstruction_equals_torchmetrics_and_plain_means(shape):
    pixels, rebuilt = pictures(shape=shape)
    scores = score_reconstruction(*pictures(60, shape, seed=1)[:1], pixels, rebuilt, 5)
    x, y = torch.from_numpy(pixels / 255).double(), torch.from_numpy(rebuilt).double()
    assert of(scores, "mse") == pytest.approx(float(((x - y) ** 2).mean()), rel=1e-5)
    y = y.clamp(0, 1)
    assert of(scores, "mse_clamped") == pytest.approx(float(((x - y) ** 2).mean()), rel=1e-5)
    psnr = PeakSignalNoiseRatio(data_range=1.0, reduction="elementwise_mean", dim=(1, 2, 3))
    assert of(scores, "psnr") == pytest.approx(float(psnr(y, x)), rel=1e-5)
    ssim = StructuralSimilarityIndexMeasure(data_range=1.0, sigma=1.5, kernel_size=11)
    assert of(scores, "ssim") == pytest.approx(float(ssim(y, x)), abs=1e-5)


def test_similarity_of_each_picture_and_its_bounds(monkeypatch):
    pixels, rebuilt = pictures()
    x = pixels.astype(np.float32) / 255
    oracle = StructuralSimilarityIndexMeasure(data_range=1.0, sigma=1.5, kernel_size=11, reduction="none")
    expected = oracle(torch.from_numpy(rebuilt).double(), torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(structural_similarity(x, rebuilt), expected, atol=1e-5)
    monkeypatch.setattr("latens.metrics.similarity.PIXELS", 500)
    np.testing.assert_allclose(structural_similarity(x, rebuilt), expected, atol=1e-5)
    np.testing.assert_allclose(structural_similarity(x, x), 1, atol=1e-6)
    with pytest.raises(UsageError, match="at least 11 pixels"):
        structural_similarity(x[:, :, :10], rebuilt[:, :, :10])


def test_blocks_and_callables_give_the_same(monkeypatch):
    pixels, rebuilt = pictures()
    whole = image_errors(pixels, rebuilt)
    monkeypatch.setattr("latens.metrics.reconstruction.VALUES", 7 * 196)
    seen, position = [], iter(range(0, 40, 7))

    def reconstruct(block):
        start = next(position)
        np.testing.assert_array_equal(block, pixels[start : start + 7])
        return rebuilt[start : start + 7]

    blocks = image_errors(pixels, reconstruct, lambda done, total: seen.append((done, total)))
    for name in ("mse", "mse_clamped", "psnr", "ssim"):
        np.testing.assert_allclose(getattr(blocks, name), getattr(whole, name), rtol=1e-6)
    assert seen[-1] == (40, 40)
    assert len(seen) == 6


def test_exact_reconstruction_has_finite_scores():
    pixels, _ = pictures()
    errors = image_errors(pixels, pixels.astype(np.float32) / 255)
    np.testing.assert_array_equal(errors.mse, 0)
    np.testing.assert_allclose(errors.psnr, 100)


def test_small_pictures_have_no_similarity():
    pixels, rebuilt = pictures(shape=(1, 8, 8))
    scores = score_reconstruction(pixels, pixels, rebuilt, 3)
    assert "ssim" not in [score.name for score in scores.scores]
    assert any("ssim is left out" in note for note in scores.notes)


@pytest.mark.parametrize(("num", "shape"), [(300, (1, 6, 6)), (20, (1, 6, 6)), (60, (3, 8, 8))])
def test_linear_baseline_equals_scikit_learn(num, shape):
    train, test = pictures(num, shape)[0], pictures(30, shape, seed=1)[0]
    found = linear_baseline(train, test, 7)
    oracle = PCA(7, svd_solver="full").fit(train.reshape(num, -1) / 255)
    flat = test.reshape(30, -1) / 255
    expected = ((oracle.inverse_transform(oracle.transform(flat)) - flat) ** 2).mean()
    assert found.mse == pytest.approx(expected, rel=1e-9)
    assert (found.num_components, found.num_fitted) == (7, num)


def test_linear_baseline_of_subset(monkeypatch):
    train, test = pictures(90, (3, 8, 8))[0], pictures(30, (3, 8, 8), seed=1)[0]
    monkeypatch.setattr("latens.metrics.linear.MOST", 50)
    found = linear_baseline(train, test, 7, seed=3)
    rows = np.sort(np.random.default_rng(3).choice(90, 50, replace=False))
    monkeypatch.undo()
    assert found.mse == pytest.approx(linear_baseline(train[rows], test, 7).mse, rel=1e-9)
    assert found.num_fitted == 50
    monkeypatch.setattr("latens.metrics.linear.MOST", 50)
    score = score_reconstruction(train, test, test / 255, 7, seed=3)["pca_mse"]
    assert dict(score.protocol.settings) == {"components": 7, "train_images": 50, "train_images_drawn_from": 90}
    assert score.protocol.seed == 3


def test_more_components_than_there_are():
    train, rebuilt = pictures(5, (1, 6, 6))
    found = linear_baseline(train, train, 30)
    assert found.mse == pytest.approx(0, abs=1e-20)
    assert found.num_components == 4  # five pictures lie in a space of four dimensions
    scores = score_reconstruction(train, pictures(4, (1, 6, 6), seed=1)[0], rebuilt[:4], 30)
    assert any("4 components in place of 30" in note for note in scores.notes)
    alike = np.zeros((5, 1, 6, 6), np.uint8)  # nothing varies, and PCA makes no error
    scores = score_reconstruction(alike, alike, rebuilt, 30)
    assert of(scores, "pca_mse") == 0
    assert any("pca_ratio is left out" in note for note in scores.notes)
    assert "pca_ratio" not in [score.name for score in scores.scores]


def test_linear_baseline_of_mnist_is_the_protocols():
    folder = files("latens.images") / "mnist"
    train, test = (
        np.frombuffer(gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
        for part in ("train", "t10k")
    )
    found = linear_baseline(train.reshape(-1, 1, 28, 28), test.reshape(-1, 1, 28, 28), 64)
    assert round(found.mse, 6) == 0.009047


def test_errors_by_class_and_worst_images():
    pixels, rebuilt = pictures()
    labels = np.arange(40) % 3
    labels[labels == 1] = 3
    scores = score_reconstruction(
        pixels, pixels, rebuilt, 3, labels=labels, class_names=("a", "b", "c", "d"), ids=[f"{i}.png" for i in range(40)]
    )
    mse = ((rebuilt - pixels / 255) ** 2).mean((1, 2, 3))
    expected = {"a": mse[labels == 0].mean(), "b": None, "c": mse[labels == 2].mean(), "d": mse[labels == 3].mean()}
    assert scores.details["class_mse"] == {
        k: v if v is None else pytest.approx(v, rel=1e-5) for k, v in expected.items()
    }
    worst = scores.details["worst"]
    assert [entry["row"] for entry in worst] == np.argsort(-mse)[:20].tolist()
    assert worst[0]["id"] == f"{mse.argmax()}.png"
    json.dumps(scores.as_json(), allow_nan=False)
    np.testing.assert_array_equal(np.isnan(class_errors(mse, labels, 5)), [False, True, False, False, True])
    assert len(worst_images(mse, 100)) == 40


# representation


def test_representation_equals_scikit_learn():
    (train, train_labels), (test, test_labels) = latents_and_labels(400), latents_and_labels(200, seed=1)
    scores = score_representation(train, test, train_labels, test_labels, seed=2)
    knn = KNeighborsClassifier(1).fit(train, train_labels)
    assert vote(train_labels[knn.kneighbors(test)[1]]).tolist() == knn.predict(test).tolist()
    line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, tol=1e-6)).fit(train, train_labels)
    assert of(scores, "linear_accuracy") == pytest.approx(line.score(test, test_labels), abs=0.006)
    groups = KMeans(4, n_init=10, random_state=2).fit(test).labels_
    best = max(np.mean(np.array(order)[groups] == test_labels) for order in permutations(range(4)))
    assert of(scores, "cluster_accuracy") == pytest.approx(best)
    assert scores["knn_accuracy"].baseline == pytest.approx(0.25)
    assert 0 < of(scores, "nmi") < 1
    assert 0 < of(scores, "ari") < 1


def test_knn_accuracy_by_a_plain_loop():
    (train, train_labels), (test, test_labels) = latents_and_labels(200), latents_and_labels(100, seed=1)
    hits = 0
    for latent, label in zip(test, test_labels, strict=True):
        near = train_labels[np.argsort(((train.astype(float) - latent) ** 2).sum(1), kind="stable")[:5]].tolist()
        hits += max(near, key=lambda c: (near.count(c), -near.index(c))) == label
    assert of(score_representation(train, test, train_labels, test_labels), "knn_accuracy") == hits / 100


def test_votes():
    labels = np.array([[3, 1, 1, 2, 2], [2, 1, 1, 2, 5], [4, 3, 2, 1, 0], [0, 7, 7, 7, 0]])
    np.testing.assert_array_equal(vote(labels), [1, 2, 4, 7])


def test_perfect_and_permuted_clusters():
    labels = np.repeat([7, 1, 3], 20)
    points = np.random.default_rng(0).normal(size=(60, 2)) * 0.1 + labels[:, None] * 10
    assert cluster_scores(points, labels) == {"cluster_accuracy": 1.0, "nmi": pytest.approx(1), "ari": 1.0}
    assert cluster_scores(points * 0, labels)["cluster_accuracy"] == pytest.approx(1 / 3)  # all in one group


def test_units_by_closed_forms():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(500, 4))
    columns = np.linalg.qr(columns - columns.mean(0))[0]  # orthonormal, of mean zero
    assert effective_rank(columns) == pytest.approx(4)
    assert effective_rank(columns * [1, 1, 0, 0] + 5) == pytest.approx(2)
    spectrum = np.array([4, 2, 1, 1]) / 8
    expected = np.exp(-(spectrum * np.log(spectrum)).sum())
    assert effective_rank(columns * [4, 2, 1, 1]) == pytest.approx(expected)
    assert effective_rank(np.full((9, 3), 0.1)) == 0
    deviations = np.sqrt(500) * columns * np.sqrt([0.0101, 0.0099, 3, 0])
    assert active_units(deviations + 4) == 2
    assert zero_fraction(np.array([[0, 1.0], [-0.0, 1e-30]])) == 0.5


def test_raw_pixels_are_the_baseline_and_large_sets_are_drawn_from(monkeypatch):
    pixels = np.concatenate([pictures(60, (1, 8, 8))[0] // 8 + 100 * k for k in (0, 1, 2)])
    labels = np.repeat([0, 1, 2], 60)
    train, test = np.arange(180) % 3 != 0, np.arange(180) % 3 == 0
    oracle = KNeighborsClassifier(5).fit(pixels[train].reshape(120, -1), labels[train])
    noise = np.random.default_rng(0).normal(size=(180, 4))
    arguments = (noise[train], noise[test], labels[train], labels[test])
    scores = score_representation(*arguments, train_pixels=pixels[train], test_pixels=pixels[test])
    assert scores["knn_accuracy"].baseline == oracle.score(pixels[test].reshape(60, -1), labels[test]) == 1
    assert scores["knn_accuracy"].protocol.images == 60
    assert scores["knn_accuracy"].protocol.settings["train_images"] == 120
    monkeypatch.setattr("latens.metrics.representation.FEWEST", 10)
    monkeypatch.setattr("latens.metrics.representation.PRODUCTS", 64 * 120 * 30)
    assert pixel_accuracy(pixels[train], labels[train], pixels[test], labels[test], 4) == (
        1,
        {"pixel_test_images": 30, "pixel_train_images": 120},
    )


def test_linear_probe_of_a_subset(monkeypatch):
    (train, train_labels), (test, test_labels) = latents_and_labels(400), latents_and_labels(200, seed=1)
    whole = linear_accuracy(train, train_labels, test, test_labels)
    monkeypatch.setattr("latens.metrics.representation.MOST_LINEAR", 300)
    assert linear_accuracy(train, train_labels, test, test_labels, seed=1) == pytest.approx(whole, abs=0.05)
    about = score_representation(train, test, train_labels, test_labels)["linear_accuracy"].protocol
    assert dict(about.settings) == {"train_images": 300, "train_images_drawn_from": 400}


def test_without_labels_or_with_one_class_groups_are_left_out():
    train, test = latents_and_labels(50)[0], latents_and_labels(20)[0]
    units = ["active_units", "effective_rank", "zero_fraction"]
    scores = score_representation(train, test)
    assert [score.name for score in scores.scores] == units
    assert "there are no labels" in scores.notes[0]
    scores = score_representation(train, test, np.zeros(50, int), np.zeros(20, int))
    assert [score.name for score in scores.scores] == ["knn_accuracy", *units]
    assert "one class only" in scores.notes[0]
    scores = score_representation(train, test, np.arange(50) % 20, np.arange(20))
    assert [score.name for score in scores.scores] == ["knn_accuracy", "linear_accuracy", *units]
    assert "under two test images a class" in scores.notes[0]


# maps


@pytest.mark.parametrize("num", [21, 300])
def test_trustworthiness_equals_scikit_learn(num, monkeypatch):
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(num, 6)) + 50
    for coordinates in (latents[:, :2], rng.normal(size=(num, 2))):
        for k in (1, 5, 10):
            expected = sklearn_trustworthiness(latents, coordinates, n_neighbors=k)
            assert trustworthiness(latents, coordinates, k) == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr("latens.metrics.map.BLOCK_BYTES", 7 * 8 * num)
    assert trustworthiness(latents, coordinates, 10) == pytest.approx(expected, rel=1e-9)


def test_trustworthiness_of_a_sample_and_of_equal_latents(monkeypatch):
    rng = np.random.default_rng(0)
    latents, coordinates = rng.normal(size=(600, 6)), rng.normal(size=(600, 2))
    whole = trustworthiness(latents, coordinates)
    monkeypatch.setattr("latens.metrics.map.MOST", 300)
    assert trustworthiness(latents, coordinates) == pytest.approx(whole, abs=0.03)
    about = score_map(latents, coordinates)["trustworthiness"].protocol
    assert (about.images, about.drawn_from, about.seed) == (300, 600, 0)
    equal = np.repeat(rng.normal(size=(4, 6)), 20, axis=0)
    shown = np.repeat(rng.normal(size=(4, 2)) * 100, 20, axis=0) + rng.normal(size=(80, 2))
    assert trustworthiness(equal, shown) == 1  # equal latents are no intruders


def test_map_scores():
    latents, labels = latents_and_labels(200)
    coordinates = latents[:, :2] + np.random.default_rng(0).normal(size=(200, 2)) * 0.01
    scores = score_map(latents, coordinates, labels)
    assert [score.name for score in scores.scores] == ["trustworthiness", "neighbour_recall", "map_knn_accuracy"]
    hits = 0
    for row in range(200):
        order = np.argsort(((coordinates - coordinates[row]) ** 2).sum(1), kind="stable")
        near = labels[order[order != row][:5]].tolist()
        hits += max(near, key=lambda c: (near.count(c), -near.index(c))) == labels[row]
    assert of(scores, "map_knn_accuracy") == hits / 200
    assert scores["neighbour_recall"].baseline == pytest.approx(10 / 199)
    assert scores["map_knn_accuracy"].baseline == pytest.approx(0.25)
    assert "leave one out" in scores["map_knn_accuracy"].protocol.what
    against = score_map(latents, coordinates, labels, baseline_coordinates=coordinates, baseline_name="pca")
    assert all(score.baseline == score.value and score.baseline_name == "pca" for score in against.scores)


def test_map_scores_without_labels_or_points():
    latents = latents_and_labels(9)[0]
    scores = score_map(latents, latents[:, :2])
    assert [score.name for score in scores.scores] == ["trustworthiness", "neighbour_recall"]
    assert "no labels" in scores.notes[0]
    assert scores["trustworthiness"].protocol.settings["k"] == 4
    few = score_map(latents[:3], latents[:3, :2], np.arange(3))
    assert few.scores == ()
    assert "3 points" in few.notes[0]


# all


class Brightness:
    """Features of 64 numbers: the first pixels."""

    protocol = "pixels 00000000"

    def __call__(self, pixels):
        return (
            (pixels / 255 if pixels.dtype == np.uint8 else pixels).reshape(len(pixels), -1)[:, :64].astype(np.float32)
        )

    def classify(self, features):
        return np.zeros(len(features), np.int64)


class FirstTwo:
    """A map of the first two latent numbers."""

    def __init__(self, latents):
        self.coordinates = self.place(latents)

    def place(self, latents):
        return np.ascontiguousarray(latents[:, :2], np.float32)


def inputs():
    """A model whose latent is the picture in other units, and a sampler that adds noise."""
    parts = []
    for seed in (0, 1):
        pixels = pictures(60, seed=seed)[0]
        parts.append(Part(pixels, pixels.reshape(60, -1).astype(np.float32) / 64, latents_and_labels(60)[1]))
    train, test = parts

    def decode(z):
        return (np.asarray(z) / 4).reshape(-1, 1, 14, 14)

    def sample(name, num):
        rows = np.arange(num) % len(train.latents)
        latents = train.latents[rows] + np.random.default_rng(2).normal(size=(num, 196)).astype(np.float32) / 10
        return Drawn(latents, decode(latents), train.labels[rows])

    return Inputs(
        train,
        test,
        encode=lambda x: np.asarray(x, np.float32).reshape(len(x), -1) * 4,
        decode=decode,
        reconstruct=lambda x: x.astype(np.float32) / 255,
        make_features=Brightness,
        samplers=("noise",),
        sample=sample,
        map=lambda name: FirstTwo(test.latents),
        map_scores=lambda name: score_map(test.latents, test.latents[:, :2], test.labels),
        mapped=(test.latents, test.labels),
        probe=lambda each: (test.latents[:9], test.labels[:9]),
    )


def test_quick_samplers_are_scored_beside_each_other_with_the_scores_that_each_has_alone(monkeypatch):
    given, met, texts = inputs(), Barrier(2, timeout=60), []

    @contextmanager
    def stage(title, unit=""):
        yield lambda done, total, text="": title == "samplers" and texts.append((done, total, text))

    def sample(name, num, plain=given.sample):
        if name in at_once:
            met.wait()  # returns once both are here
        if name == "broken":
            raise ValueError("no latents")
        return plain(name, num)

    monkeypatch.setattr(given.progress, "stage", stage)
    before = torch.get_num_threads()
    found = []
    try:
        for threads, at_once in ((1, ()), (2, ("noise", "broken"))):
            torch.set_num_threads(threads)
            left = LeftOut()
            scored = replace(
                given,
                samplers=("slow", "noise", "broken"),
                at_once=at_once,
                sample=sample,
                left=left,
                progress=given.progress,
            )
            found.append(METRICS["generation"].score(scored))
            assert left.reasons == {"scores generation: broken": "ValueError: no latents"}
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    alone, together = found
    assert list(alone.subjects) == list(together.subjects) == ["slow", "noise", "broken"]
    values = [{one.name: one.value for one in scored.subjects["noise"].scores} for scored in found]
    assert values[1] == pytest.approx(values[0], rel=1e-5, abs=1e-7)  # sums of two threads come in another order
    assert {one.name for one in together.subjects["slow"].scores} == set(values[0])
    assert together.subjects["broken"].notes == ("left out: ValueError: no latents",)
    assert texts[:3] == [(0, 3, "slow"), (1, 3, "noise"), (2, 3, "broken")]
    assert any(text in ("noise, broken", "broken, noise") for _, _, text in texts[3:])
    assert texts[-1] == (2, 3, "slow")


def test_every_metric_keeps_its_contract():
    given = inputs()
    found = {name: METRICS[name].score(given) for name in METRICS}
    table = ScoreTable.of_groups(found)
    assert not [note for note in table.notes if "Error" in note.text]
    assert {score.group for score in table} == set(METRICS)
    assert len({(s.group, s.subject, s.name) for s in table}) == len(table)
    for score in table:
        defined = METRICS[score.group][score.name]
        assert isinstance(score, Score)
        assert type(score.value) is float
        assert np.isfinite(score.value)
        assert (score.unit, score.direction) == (defined.unit, defined.direction)
        assert score.direction in DIRECTIONS
        assert (score.baseline is None) == (score.baseline_name == "") == (score.baseline_kind == "")
        assert score.low is None or score.low <= score.value <= score.high
        assert 60 in (score.protocol.images, *score.protocol.settings.values()) or score.name.startswith("hidden")
    assert {score.subject for score in table if score.group == "generation"} == {"", "noise"}
    assert {score.subject for score in table if score.group == "map"} == {"tsne"}
    json.dumps(table.as_json(), allow_nan=False)
    assert ScoreTable.from_json(json.loads(json.dumps(table.as_json()))) == table
    assert METRICS["representation"].score(inputs()) == found["representation"]
    with pytest.raises(KeyError):
        found["map"]["nothing"]


def test_every_score_has_a_meaning_in_words():
    names = set()
    for name in METRICS:
        assert METRICS[name].title
        for one in METRICS[name].definitions:
            assert one.meaning.endswith((".", "wasted.")), one.name
            assert len(one.meaning) > 30
            assert one.name not in names
            names.add(one.name)
    with pytest.raises(KeyError):
        METRICS["map"]["mse"]


def test_an_unknown_metric_is_named():
    with pytest.raises(UnknownName, match="known: continuity, generation, map, reconstruction, representation"):
        METRICS["nothing"]


PIXELS = np.zeros((3, 1, 4, 4), np.uint8)
Z = np.zeros((5, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: image_errors(PIXELS[:0], PIXELS[:0]), "at least one"),
        (lambda: image_errors(PIXELS / 2, PIXELS / 2), r"float64.*of uint8, or of float32"),
        (lambda: image_errors(PIXELS, PIXELS[:2] / 255), "not the same"),
        (lambda: image_errors(PIXELS, lambda block: block[:, :, 1:] / 255), "not the same"),
        (lambda: linear_baseline(PIXELS, PIXELS[:, :, 1:], 2), "one shape"),
        (lambda: linear_baseline(PIXELS, PIXELS, 0), "at least one component"),
        (lambda: score_representation(Z, Z[:, :1]), "D the same"),
        (lambda: score_representation(Z, Z * np.nan), "NaN"),
        (lambda: score_representation(Z[:0], Z), "train latents are none"),
        (lambda: score_representation(Z, Z, np.zeros(4), np.zeros(5)), "labels of shape"),
        (lambda: score_map(Z, Z[1:]), "as many of each"),
        (lambda: score_map(Z, Z, np.zeros(4)), "4 labels"),
        (lambda: trustworthiness(Z, Z, 3), "k under N / 2"),
    ],
)
def test_errors(call, message):
    with pytest.raises(UsageError, match=message):
        call()
