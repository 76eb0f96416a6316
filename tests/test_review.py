"""Review: planted faults are found, by pure functions and in a run."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

import latens
from conftest import make_blobs
from latens.cli import main
from latens.computed import encode_run
from latens.computed.review import (
    FEWEST,
    KINDS,
    Finding,
    doubtful_labels,
    duplicates,
    findings,
    moved,
    near_duplicates,
    outliers,
    picker,
    read_review,
    review_run,
    strangeness,
)
from latens.computed.review.labels import AWAY, BALANCE, NEAREST
from latens.computed.review.moved import moved_duplicates
from latens.computed.review.outliers import picture_statistics, variances
from latens.errors import RunDamaged, RunError, UsageError
from latens.experiment import train_run
from latens.images import load_images
from latens.neighbours import nearest_neighbours
from latens.progress import Silent
from latens.runs import open_run, start_run
from latens.training.recipes import RECIPES


@pytest.fixture
def run(finished_run, tmp_path):
    shutil.copytree(finished_run.path, tmp_path / "run")
    return open_run(tmp_path / "run")


def trained(source, out, **options):
    """A run with latents and no more: maps and scores take their time, and a review asks for neither."""
    images = load_images(source)
    run = start_run(images, RECIPES["fast"](images).with_options(**options), out)
    train_run(run, images, Silent())
    encode_run(run, images)
    return run, images


def clouds(count=300, classes=3, dim=5, apart=8.0, seed=0):
    """Points about one centre a class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    return rng.normal(size=(count, dim)) + apart * rng.normal(size=(classes, dim))[labels], labels


# ---- doubtful labels


def doubts_by_hand(z, labels, k):
    """The definition, class by class, from all distances in float64."""
    distances = cdist(z, z)
    np.fill_diagonal(distances, np.inf)
    classes, counts = np.unique(labels, return_counts=True)
    near = np.sort(distances, 1)[:, : min(k or 50, 20)]
    inverse_dimension = np.mean([np.log(row[-1] / row[:-1]).mean() for row in near])  # equation 8 of Levina and Bickel
    scales = (counts / counts.mean()) ** (BALANCE * inverse_dimension)
    to = np.stack([np.sort(distances[:, labels == k], 1)[:, :NEAREST].mean(1) for k in classes], 1) * scales
    own = to[np.arange(len(z)), np.searchsorted(classes, labels)]
    usual = np.array([np.median(own[labels == k]) for k in classes])
    others = np.where(classes == labels[:, None], np.inf, to)
    nearest = others.argmin(1)
    doubt = np.log(own / others.min(1)) - AWAY * np.maximum(np.log(others.min(1) / usual[nearest]), 0)
    return doubt, classes[nearest]


@pytest.mark.parametrize("apart", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("k", [None, 5, 40])
def test_doubt_is_what_its_definition_says(apart, k):
    z, labels = clouds(apart=apart)
    labels[:60:3] = 1  # 80, 120 and 100 members
    wanted, other = doubts_by_hand(z, labels, k)
    found, suggested = doubtful_labels(z, labels, None if k is None else nearest_neighbours(z, k=k))
    contradicted = wanted > 0
    assert contradicted.any()
    assert ((found > 0) == contradicted).all()
    assert np.allclose(found[contradicted], wanted[contradicted], atol=1e-5)
    assert (suggested[contradicted] == other[contradicted]).all()
    assert (suggested[~contradicted] == -1).all()


def test_wrong_labels_come_before_pictures_between_the_classes():
    z, labels = clouds(600, apart=6.0)
    rng = np.random.default_rng(1)
    wrong = rng.choice(600, 20, replace=False)
    true = labels[wrong].copy()
    labels[wrong] = (true + rng.integers(1, 3, 20)) % 3
    doubt, suggested = doubtful_labels(z, labels)
    assert set(np.argsort(-doubt)[:20]) == set(wrong)
    assert (suggested[wrong] == true).all()


def test_suggestions_of_unbalanced_classes_are_not_all_the_commonest():
    """Digits of which each class has two thirds of the one before; a tenth of the labels is changed to any other class."""
    images = load_images("mnist").train
    rng = np.random.default_rng(0)
    rows = np.concatenate([np.flatnonzero(images.labels == k)[: int(600 * 0.65**k)] for k in range(10)])
    true, x = images.labels[rows], images.pixels[rows].reshape(len(rows), -1) / 255.0
    axes = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:16]
    wrong = rng.choice(len(rows), len(rows) // 10, replace=False)
    labels = true.copy()
    labels[wrong] = (true[wrong] + rng.integers(1, 10, len(wrong))) % 10
    doubt, suggested = doubtful_labels((x @ axes.T).astype(np.float32), labels)
    first = np.argsort(-np.nan_to_num(doubt, nan=-np.inf))[: len(wrong)]
    assert np.isin(first, wrong).mean() > 0.8
    share = (true[wrong] == 0).mean()  # of the commonest class
    assert (suggested[first] == 0).mean() < share + 0.08
    found = np.isin(wrong, first)
    assert np.mean([found[true[wrong] == k].mean() for k in np.unique(true[wrong])]) > 0.75  # each class counts as much


@pytest.mark.parametrize("labels", [np.zeros(12, int), np.array([0] * 9 + [1] * 3)])
def test_a_class_of_few_can_not_be_judged(labels):
    z = np.random.default_rng(0).normal(size=(12, 3))
    doubt, suggested = doubtful_labels(z, labels)
    assert np.isnan(doubt).all()
    assert (suggested == -1).all()


def test_equal_pictures_with_different_labels_are_doubtful_without_a_warning():
    z = np.repeat(np.random.default_rng(0).normal(size=(3, 4)), 10, axis=0)
    labels = np.repeat([0, 1, 2], 10)
    labels[0] = 1
    doubt, suggested = doubtful_labels(z, labels)
    assert doubt[0] == np.inf
    assert suggested[0] == 0
    assert not (doubt[1:] > 0).any()


# ---- near-duplicates


def textures(count, seed=0):
    """Smooth pictures, no two alike."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 220, (count, 1, 4, 4)).astype(np.uint8)
    return coarse.repeat(4, axis=2).repeat(4, axis=3)


def candidates(pixels, k=10):
    return nearest_neighbours(pixels.reshape(len(pixels), -1).astype(np.float32), k=k)[1]


@pytest.mark.parametrize("noise", [0, 3, 8])
def test_copies_with_noise_are_found_and_nothing_else(noise):
    rng = np.random.default_rng(2)
    pixels = textures(300)
    sources = rng.choice(300, 25, replace=False)
    brighter = rng.uniform(-15, 15, (25, 1, 1, 1))
    copies = np.clip(pixels[sources] + brighter + rng.normal(0, noise, (25, 1, 16, 16)), 0, 255).astype(np.uint8)
    pixels = np.concatenate([pixels, copies])
    pairs, shares = near_duplicates(pixels, candidates(pixels))
    assert {tuple(pair) for pair in pairs.tolist()} == {(int(s), 300 + i) for i, s in enumerate(sources)}
    assert (np.diff(shares) >= 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_where_there_are_no_copies_none_are_found(seed):
    pixels = textures(300, seed)
    assert len(near_duplicates(pixels, candidates(pixels))[0]) == 0


def test_many_copies_of_one_picture_do_not_hide_one_another():
    rng = np.random.default_rng(3)
    pixels = textures(200)
    pixels[:15] = np.clip(pixels[0] + rng.normal(0, 3, (15, 1, 16, 16)), 0, 255)
    pairs, _ = near_duplicates(pixels, candidates(pixels))
    assert set(pairs.ravel().tolist()) == set(range(15))


def test_equal_pictures_alone():
    pairs, shares = near_duplicates(np.full((12, 1, 8, 8), 7, np.uint8), candidates(textures(12), k=5))
    assert len(pairs) > 0
    assert (shares == 0).all()


# ---- far from all others


def test_strange_pictures_of_one_kind_do_not_hide_one_another():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1000, 6))
    z[:20] = 9 + 0.01 * rng.normal(size=(20, 6))
    distances = nearest_neighbours(z, k=50)[0][:, -1]
    score = strangeness(z, distances, np.ones(1000), np.ones(1000))
    assert set(np.argsort(-score)[:20]) == set(range(20))


def test_strangeness_sees_the_error_alone_and_a_direction_that_few_use():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 3)) * [10, 10, 0.1]
    z[3] = [0, 0, 3]
    errors = rng.uniform(0.9, 1.1, 500)
    errors[4] = 9
    score = strangeness(z, np.full(500, 2.0), errors, np.ones(500))
    assert set(np.argsort(-score)[:2]) == {3, 4}


def photographs(num, size, channels=3, seed=0):
    """Pictures like photographs: contrast at all scales, most of it at coarse ones, and channels that are much alike."""
    rng = np.random.default_rng(seed)
    frequencies = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)) + 1 / size
    power = rng.uniform(1.2, 1.8, num)[:, None, None, None]
    waves = np.fft.fft2(rng.normal(size=(num, 1, size, size)) + 0.3 * rng.normal(size=(num, channels, size, size)))
    fields = np.fft.ifft2(waves / frequencies**power).real
    fields /= fields.std((1, 2, 3), keepdims=True)
    shown = rng.uniform(100, 150, (num, 1, 1, 1)) + rng.uniform(15, 35, (num, 1, 1, 1)) * fields
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (3, 16), (3, 90)])
def test_odd_pictures_are_found_by_their_pixels_for_any_model(channels, size):
    """The model has put each of them near the mean, and rebuilds it as well as any other."""
    rng = np.random.default_rng(1)
    pixels = photographs(322, size, channels)
    odd = {
        "noise": rng.integers(0, 256, (channels, size, size)),
        "banner": np.where(np.arange(size) % 7 == 0, 30, 255)[None, None, :].repeat(channels, 0).repeat(size, 1),
        "blank": np.full((channels, size, size), 255),
        "checks": 255 * (np.add.outer(np.arange(size), np.arange(size)) % 2)[None].repeat(channels, 0),
    }
    for picture in odd.values():
        many = np.concatenate([pixels, picture[None].astype(np.uint8)])
        z = rng.normal(size=(323, 8))
        z[-1] = 0
        usual = np.ones(323)
        score = strangeness(z, usual, usual, usual, picture_statistics(many))
        assert 322 in np.argsort(-score)[:5]


def test_statistics_of_any_size_are_finite_and_of_the_picture_alone(monkeypatch):
    for shape in ((5, 1, 1, 1), (5, 3, 1, 9), (5, 3, 2, 2), (5, 1, 7, 3)):
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        pixels[0] = 0
        found = picture_statistics(pixels)
        assert found.shape == (5, 10)
        assert np.isfinite(found).all()
        monkeypatch.setattr("latens.computed.review.outliers.VALUES", 1)  # one picture at a time
        np.testing.assert_allclose(picture_statistics(pixels), found, rtol=1e-12)
        monkeypatch.undo()
        assert np.isfinite(strangeness(np.ones((5, 2)), np.ones(5), np.ones(5), np.ones(5), found)).all()


def test_a_view_that_finds_a_picture_usual_does_not_outweigh_another():
    """Noise is encoded near the mean of all latents, and only its error or its pixels say what it is."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 6))
    z[9] = 0
    distances, errors = np.linalg.norm(z, axis=1) + 1e-3, rng.uniform(0.9, 1.1, 500)
    errors[9] = 1.6
    assert int(strangeness(z, distances, errors, np.ones(500)).argmax()) == 9


def test_latents_that_do_not_vary_are_not_strange():
    assert (strangeness(np.zeros((20, 4)), np.zeros(20), np.zeros(20), np.ones(20)) == 0).all()


def test_variances_are_numpys():
    pixels = textures(30)
    mean = pixels.mean(0) / 255
    assert np.allclose(variances(pixels, mean), ((pixels / 255 - mean) ** 2).mean((1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: strangeness(np.ones((5, 2)), np.ones(4), np.ones(5), np.ones(5)),
        lambda: strangeness(np.ones((5, 2)), np.ones(5), np.ones(5), np.ones(5), np.ones((4, 3))),
        lambda: near_duplicates(np.zeros((5, 1, 8, 8), np.uint8), np.zeros((4, 3), int)),
        lambda: near_duplicates(np.zeros((5, 1, 8, 8), np.uint8), np.zeros((5, 4), int)),
        lambda: doubtful_labels(np.ones((5, 2)), np.ones(4, int)),
    ],
)
def test_shapes_that_do_not_fit_are_said(call):
    with pytest.raises(UsageError, match="shape"):
        call()


# ---- in a run


def test_a_review_is_kept_and_read_again(run):
    review = review_run(run, most=7)
    assert review.num_images == 240
    kept = read_review(run)  # more than was asked for: another question may come
    assert kept.num_images == 240
    assert len(kept.of_kind("worst-rebuilt")) == len(kept.of_kind("far-from-all")) == 100
    for kind in KINDS:
        assert kept.of_kind(kind)[:7] == review.of_kind(kind)
    worst = review.of_kind("worst-rebuilt")
    assert [one.row for one in worst] == np.argsort(-run.latents["squared_error"], kind="stable")[:7].tolist()
    rows = list(csv.DictReader((run.path / "review.csv").read_text().splitlines()))
    assert len(rows) == len(kept.findings)
    assert rows[0]["id"] == worst[0].id
    assert set(review.kinds) <= set(KINDS)


def test_what_was_planted_is_found_in_a_run_by_name(tmp_path):
    """Soft bars of two classes; two labels changed, three copies, four pictures of noise among them."""
    rng = np.random.default_rng(0)
    labels = np.arange(400) % 2
    y, x = np.mgrid[:12, :12]
    place, slope = rng.uniform(3, 9, 400), rng.uniform(-0.3, 0.3, 400)
    across = np.where(labels == 0, 1, 0)[:, None, None] * (y - x) + x
    along = x + y - across
    distance = across - place[:, None, None] - slope[:, None, None] * (along - 6)
    bars = 200 * np.exp(-(distance**2) / 2) + rng.uniform(0, 50, distance.shape)  # each with a grain of its own
    pixels = bars.astype(np.uint8)[:, None]
    pixels[:4] = rng.integers(0, 256, (4, 1, 12, 12))
    labels[[50, 51]] = 1 - labels[[50, 51]]
    copies = np.clip(pixels[100:103] + rng.normal(0, 4, (3, 1, 12, 12)), 0, 255).astype(np.uint8)
    np.savez(tmp_path / "bars.npz", images=np.concatenate([pixels, copies]), labels=[*labels, *labels[100:103]])
    review = review_run(*trained(tmp_path / "bars.npz", tmp_path / "run", epochs=15, latent_dim=8))
    assert {one.id for one in review.of_kind("far-from-all")[:4]} == {"0", "1", "2", "3"}
    assert {one.id for one in review.of_kind("doubtful-label")[:2]} == {"50", "51"}
    pairs = {frozenset((one.id, one.other_id)) for one in review.of_kind("near-duplicate")}
    assert pairs == {frozenset((str(100 + i), str(400 + i))) for i in range(3)}


def test_pictures_are_picked_from_both_parts(blobs):
    rows = np.array([len(blobs.train), 0, len(blobs.train) + 1, 2])
    wanted = np.concatenate([blobs.train.pixels, blobs.test.pixels])[rows]
    assert (picker(blobs)(rows) == wanted).all()


def test_review_on_the_command_line(run, capsys, tmp_path):
    assert main(["review", str(run.path), "-n", "3", "--csv", str(tmp_path / "mine.csv"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["num_images"] == 240
    assert sum(one["kind"] == "worst-rebuilt" for one in answer["findings"]) == 3
    assert (tmp_path / "mine.csv").read_text() == (run.path / "review.csv").read_text()
    assert main(["review", str(run.path)]) == 0
    assert "240 images checked" in capsys.readouterr().out
    report = (run.path / "report.html").read_text()
    assert "All 240 images, train and test, were searched" in report
    assert 'id="figure-review"' in report


def test_without_labels_no_label_is_doubted(tmp_path, blobs):
    np.savez(tmp_path / "bare.npz", images=blobs.train.pixels[:60, 0])
    review = review_run(*trained(tmp_path / "bare.npz", tmp_path / "run", epochs=1, latent_dim=4))
    assert review.of_kind("doubtful-label") == ()
    assert {one.label for one in review.findings} == {""}


def test_what_is_wrong_is_said(run):
    with pytest.raises(UsageError, match="at least 1"):
        review_run(run, most=0)
    review_run(run)
    (run.path / "review.csv").write_text("kind\n")
    with pytest.raises(RunDamaged, match="bytes"):
        read_review(run)
    run.seal("review.csv")
    with pytest.raises(RunDamaged, match="review"):
        read_review(run)
    run.forget("review.csv")
    with pytest.raises(RunError, match=r"has no review\.csv"):
        read_review(run)


def test_few_pictures_are_not_compared_and_the_run_is_complete_all_the_same(tmp_path):
    np.savez(tmp_path / "few.npz", images=textures(FEWEST - 1)[:, 0])
    run = latens.run(tmp_path / "few.npz", out=tmp_path / "run", epochs=1, latent_dim=4, progress=Silent())
    assert run.record["status"] == "done"
    assert "Not reviewed yet" in (run.path / "report.html").read_text()
    with pytest.raises(UsageError, match="at least 10"):
        review_run(run)


def test_pairs_across_the_parts_are_told_by_their_parts_not_by_their_names():
    inside = Finding("near-duplicate", 0, "cat/test 1.png", "train", "", 0.1, "", 1, "cat/train 2.png", "train")
    across = Finding("near-duplicate", 0, "a.png", "train", "", 0.1, "", 5, "b.png", "test")
    single = Finding("far-from-all", 0, "train cat/test 1.png", "test", "", 3.0)
    assert [one.across_parts for one in (inside, across, single)] == [False, True, False]


def moved_copy(image, how):
    """A copy of an image (1, H, W): mirrored, cropped by 4 % at each side, or turned by 3 degrees."""
    from PIL import Image

    if how == "mirrored":
        return image[..., ::-1]
    picture, side = Image.fromarray(image[0]), image.shape[-1]
    if how == "turned":
        return np.asarray(picture.rotate(3, Image.Resampling.BICUBIC))[None]
    cut = 0.04 * side
    box = (cut, cut, side - cut, side - cut)
    return np.asarray(picture.transform((side, side), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC))[None]


def test_what_tangents_leave_is_the_residual_of_least_squares():
    images = np.random.default_rng(0).random((7, 2, 6, 9)).astype(np.float32)
    others = moved._flat(images[::-1])
    near = np.array([[0, 3], [1, 2], [5, 4], [3, 6], [2, 0], [6, 1], [4, 5]])
    lengths = torch.from_numpy(others).square().sum(1)
    left = moved._after_tangents(images, torch.from_numpy(others), lengths, near)
    tangents = moved._tangents(torch.from_numpy(images)).double().numpy()
    for row, places in enumerate(near):
        for column, other in enumerate(places):
            difference = others[other].astype(float) - moved._flat(images[row : row + 1])[0]
            residual = np.linalg.lstsq(tangents[row].T, difference)[1].item() ** 0.5  # 0 of itself
            assert left[row, column] == pytest.approx(residual, rel=5e-3)


@pytest.mark.parametrize(("how", "fewest"), [("mirrored", 20), ("cropped", 10), ("turned", 14)])
def test_moved_copies_of_real_digits_are_found(how, fewest):
    """Of 20 planted ones among 2,000 digits, and hardly any pair that was not planted."""
    originals = np.asarray(load_images("mnist").test.pixels[:2000])
    copies = np.stack([moved_copy(image, how) for image in originals[:20]])
    pixels = np.concatenate([originals, copies])
    pairs, shares = moved_duplicates(lambda rows: pixels[rows], len(pixels))
    found = set(map(tuple, pairs.tolist()))
    planted = {(row, 2000 + row) for row in range(20)}
    assert len(found & planted) >= fewest
    assert len(found - planted) <= 6
    assert (np.diff(shares) >= 0).all()
    assert len(found) == len(pairs)  # each once


def test_moved_copies_are_looked_for_once_and_each_pair_is_named_once(own_cache, tmp_path, monkeypatch):
    pixels, labels = make_blobs(240)
    pixels[41], pixels[42] = pixels[7][..., ::-1], pixels[8]  # one of them is found with and without movements
    np.savez(tmp_path / "blobs.npz", images=pixels[:, 0], labels=labels)
    run, images = trained(tmp_path / "blobs.npz", tmp_path / "run", epochs=1, latent_dim=4)
    before = review_run(run, images)
    moved_ones = {tuple(pair) for pair in moved_duplicates(picker(images), 240)[0].tolist()}
    found = [(one.row, one.other_row) for one in before.of_kind("near-duplicate")]
    assert len(set(found)) == len(found)
    assert moved_ones <= set(found)
    assert len(moved_ones) >= 2
    monkeypatch.setattr(findings, "moved_duplicates", lambda pick, num: pytest.fail("looked for again"))
    assert review_run(run, images) == before


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 40), (5, 24, 16)])
def test_moved_copies_of_any_shape(shape):
    pixels = np.random.default_rng(0).integers(0, 255, (60, *shape), dtype=np.uint8)
    pixels[41] = pixels[7][..., ::-1]
    for images in (pixels, pixels.astype(np.float32) / 255):
        pairs, shares = moved_duplicates(lambda rows, images=images: images[rows], 60)
        assert pairs.tolist() == [[7, 41]]
        assert shares[0] < 0.1
    assert not len(moved_duplicates(lambda rows: pixels[rows], 5)[0])
    same = np.zeros((30, *shape), np.uint8)
    assert (moved_duplicates(lambda rows: same[rows], 30)[1] == 0).all()


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_distances_of_candidates_are_those_in_double_precision(kind, monkeypatch):
    monkeypatch.setattr(duplicates, "VALUES", 200)  # many blocks, the last of which is shorter
    random = np.random.default_rng(0)
    pixels = random.integers(0, 156, (31, 1, 7, 9))
    pixels[4] = pixels[3] + 99  # only brighter
    pixels = pixels.astype(np.uint8) if kind is np.uint8 else (pixels / 255).astype(np.float32)
    near = np.stack([random.permutation(31)[:6] for _ in range(31)])
    near[3, 0] = 4
    flat = pixels.reshape(31, -1).astype(np.float64)
    differences = flat[:, None] - flat[near]
    differences -= differences.mean(2, keepdims=True)
    found = duplicates._distances(lambda rows: pixels[rows], near)
    np.testing.assert_allclose(found, np.linalg.norm(differences, axis=2), rtol=1e-5, atol=1e-6)
    assert found[3, 0] == 0 or kind is np.float32


def test_statistics_of_pixels_do_not_depend_on_blocks(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (31, 3, 8, 8), dtype=np.uint8)
    whole = outliers.picture_statistics(pixels)
    monkeypatch.setattr(outliers, "VALUES", 5 * pixels[0].size)
    np.testing.assert_array_equal(outliers.picture_statistics(pixels), whole)
