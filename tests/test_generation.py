"""Generation scores against torchmetrics, scipy, prdc, closed forms and planted faults."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import torch
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from latens.errors import UsageError
from latens.metrics import Score, Scores
from latens.metrics.copies import three_sample_statistic
from latens.metrics.frechet import Moments, _drawn_again, frechet_deviation, frechet_distance, moments
from latens.metrics.generation import score_generation
from latens.metrics.intervals import of_share
from latens.metrics.kernel import group_rows, kernel_distance, kernel_sums
from latens.metrics.neighbourhoods import neighbourhoods, radii
from latens.metrics.references import prepare_references, score_references

FEATURES = "tests 01234567"
NUM, DIM, CLASSES = 2_400, 8, 6


def drawn(num, seed, classes=range(CLASSES), noise=0.0):
    """Features in six clumps, and the clump of each."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(CLASSES, DIM)) * 4
    labels = np.array(classes)[np.arange(num) % len(classes)]
    features = centres[labels] + rng.normal(size=(num, DIM)) + noise * rng.normal(size=(num, DIM))
    return features.astype(np.float32), labels


@pytest.fixture(scope="module")
def references():
    test, train = drawn(NUM, 0)[0], drawn(NUM, 1)[0]
    return prepare_references(test, train, features=FEATURES, reconstructed=test + np.float32(0.1))


def score(samples, references, **options):
    return score_generation(samples, references, sampler="planted", **options)


def of(scores, name):
    return scores[name].value


class Flat(torch.nn.Module):
    """Pictures that are their own features, for torchmetrics."""

    num_features = DIM

    def forward(self, x):
        return x.flatten(1)


# the Fréchet distance


def torchmetrics_frechet(x, y):
    metric = FrechetInceptionDistance(feature=Flat(), normalize=True, input_img_size=(1, 1, DIM))
    metric.set_dtype(torch.float64)
    metric.update(torch.from_numpy(x).double().view(-1, 1, 1, DIM), real=True)
    metric.update(torch.from_numpy(y).double().view(-1, 1, 1, DIM), real=False)
    return float(metric.compute())


def test_frechet_equals_scipy_and_torchmetrics():
    x, y = drawn(300, 0)[0], drawn(200, 1, noise=0.5)[0] + 0.3
    mx, my = moments(x), moments(y)
    root = scipy.linalg.sqrtm(mx.covariance @ my.covariance)
    gap = mx.mean - my.mean
    expected = gap @ gap + np.trace(mx.covariance + my.covariance - 2 * root.real)
    assert frechet_distance(mx, my) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(my, mx) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(mx, my) == pytest.approx(torchmetrics_frechet(x, y), rel=1e-6)


def test_frechet_of_normals_is_the_formula():
    rng = np.random.default_rng(0)
    deviations, others, shift = np.array([1, 2, 0.5]), np.array([2, 2, 1.5]), np.array([1, 0, -2])
    x = moments(rng.normal(size=(200_000, 3)) * deviations)
    y = moments(rng.normal(size=(200_000, 3)) * others + shift)
    exact = (shift**2).sum() + ((deviations - others) ** 2).sum()
    assert frechet_distance(x, y) == pytest.approx(exact, rel=0.02)
    diagonal = [Moments(m, np.diag(d**2)) for m, d in ((np.zeros(3), deviations), (shift, others))]
    assert frechet_distance(*diagonal) == pytest.approx(exact, rel=1e-12)


def test_frechet_stands_features_that_say_the_same():
    """Covariances without an inverse, for which a root of the product has been complex."""
    x = drawn(50, 0)[0] @ np.random.default_rng(1).normal(size=(DIM, 40))
    assert frechet_distance(moments(x), moments(x)) == pytest.approx(0, abs=1e-5 * np.trace(moments(x).covariance))
    constant = Moments(np.zeros(2), np.zeros((2, 2)))
    assert frechet_distance(constant, Moments(np.array([3.0, 4.0]), np.zeros((2, 2)))) == 25


def test_moments_are_numpys_also_of_what_is_taken_repeatedly():
    x = drawn(60, 0)[0]
    counts = np.random.default_rng(0).multinomial(60, np.full(60, 1 / 60))
    for found, rows in ((moments(x), x), (moments(x, counts), x.repeat(counts, 0))):
        np.testing.assert_allclose(found.mean, rows.mean(0, dtype=np.float64), rtol=1e-9)
        np.testing.assert_allclose(found.covariance, np.cov(rows, rowvar=False, dtype=np.float64), rtol=1e-9)


@pytest.mark.parametrize(("shift", "least", "most"), [(3.0, 0.7, 1.4), (0.0, 1.0, 2.2)])
def test_the_interval_of_frechet_is_as_wide_as_new_draws_are_apart(shift, least, most):
    """And wider, by √3, where there is no distance: the variance of |x|² at 0, and its bootstrap's, are 2/n² and 6/n²."""
    rng, many = np.random.default_rng(0), drawn(20_000, 0)[0]
    pairs = [(many[rng.integers(0, 20_000, 400)], many[rng.integers(0, 20_000, 400)] + shift) for _ in range(60)]
    values = [frechet_distance(moments(x), moments(y)) for x, y in pairs]
    found = np.mean([frechet_deviation(x, y, seed) for seed, (x, y) in enumerate(pairs[:6])])
    assert least < found / np.std(values, ddof=1) < most


# the kernel distance


def test_the_draws_of_the_deviation_have_exact_moments():
    random = np.random.default_rng(5)
    x = random.normal(300, 2, (400, 6)).astype(np.float32)
    counts = random.multinomial(len(x), np.full(len(x), 1 / len(x)))
    expected, shift = moments(np.repeat(x, counts, 0)), x.mean(0, dtype=np.float64)
    drawn = _drawn_again((x - shift).astype(np.float32), counts)
    np.testing.assert_allclose(drawn.mean + shift, expected.mean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(drawn.covariance, expected.covariance, rtol=0, atol=1e-4)


def test_kid_equals_torchmetrics_and_a_plain_loop():
    x, y = drawn(120, 0)[0] / 4, drawn(90, 1)[0] / 4 + 0.2
    sums = kernel_sums(x), kernel_sums(y), kernel_sums(x, y)
    value, _ = kernel_distance(*sums)

    def mean(a, b, own):
        pairs = [(i, j) for i in range(len(a)) for j in range(len(b)) if not own or i != j]
        return np.mean([(a[i].astype(float) @ b[j].astype(float) / DIM + 1) ** 3 for i, j in pairs])

    assert value == pytest.approx(mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y, False), rel=1e-9)
    with pytest.warns(UserWarning, match="buffer"):
        metric = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=90, normalize=True)
    metric.update(torch.from_numpy(x[:90]).view(-1, 1, 1, DIM), real=True)
    metric.update(torch.from_numpy(y).view(-1, 1, 1, DIM), real=False)
    same_number = kernel_distance(kernel_sums(x[:90]), kernel_sums(y), kernel_sums(x[:90], y))[0]
    assert same_number == pytest.approx(float(metric.compute()[0]), rel=1e-3)  # float32 there


def test_kid_leaves_groups_out_as_if_they_had_not_been_there():
    x = drawn(90, 0)[0]
    rest = np.delete(x, group_rows(90)[3], 0).astype(np.float64)
    gram = (rest @ rest.T / DIM + 1) ** 3
    expected = (gram.sum() - np.trace(gram)) / (len(rest) * (len(rest) - 1))
    assert kernel_sums(x).mean(without=3) == pytest.approx(expected, rel=1e-9)


def test_the_interval_of_kid_is_as_wide_as_new_draws_are_apart():
    rng, many = np.random.default_rng(0), drawn(20_000, 0)[0] / 4

    def both():
        x, y = many[rng.integers(0, 20_000, 200)], many[rng.integers(0, 20_000, 200)] + 0.2
        return kernel_distance(kernel_sums(x), kernel_sums(y), kernel_sums(x, y))

    found = np.array([both() for _ in range(25)])
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(ddof=1), rel=0.4)


def test_the_interval_of_kid_does_not_depend_on_the_order_of_classes():
    """Samples come with the classes in turn: every so many of them would be of one class, and groups far from alike."""
    (in_turn, labels), other = drawn(1200, 0), drawn(1200, 1)[0] + 0.5
    by_class = in_turn[np.argsort(labels, kind="stable")]
    found = [kernel_distance(kernel_sums(x), kernel_sums(other), kernel_sums(x, other)) for x in (in_turn, by_class)]
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-9)
    assert found[0][1] == pytest.approx(found[1][1], rel=0.5)


# neighbourhoods


@pytest.mark.parametrize("k", [1, 5])
def test_neighbourhoods_equal_prdc(k, capsys):
    prdc = pytest.importorskip("prdc")
    real, samples = drawn(300, 0)[0], drawn(250, 1, noise=1.0)[0]
    found = neighbourhoods(real, samples, k)
    expected = prdc.compute_prdc(real.astype(np.float64), samples.astype(np.float64), k)
    capsys.readouterr()  # it prints
    assert found.precise.mean() == pytest.approx(expected["precision"])
    assert found.recalled.mean() == pytest.approx(expected["recall"])
    assert found.density.mean() == pytest.approx(expected["density"])
    assert found.covered.mean() == pytest.approx(expected["coverage"])


def test_neighbourhoods_in_blocks_are_the_same(monkeypatch):
    real, samples = drawn(100, 0)[0] + 1000, drawn(70, 1, noise=1.0)[0] + 1000
    whole = neighbourhoods(real, samples, 3, radii(real, 3))
    monkeypatch.setattr("latens.metrics.neighbourhoods.BLOCK_BYTES", 8 * 100 * 11)
    for name, values in dataclasses.asdict(neighbourhoods(real, samples, 3)).items():
        np.testing.assert_array_equal(values, getattr(whole, name))


# copies


def test_three_sample_statistic_is_that_of_mann_and_whitney():
    rng = np.random.default_rng(0)
    samples, others = rng.random(60) + 0.1, rng.random(80)
    one_cell = np.zeros(60, int), np.zeros(80, int)
    found = three_sample_statistic(samples, others, *one_cell)
    p = scipy.stats.mannwhitneyu(samples, others, method="asymptotic", use_continuity=False).pvalue
    assert 2 * scipy.stats.norm.sf(found) == pytest.approx(p)
    assert three_sample_statistic(others, samples, *one_cell[::-1]) == pytest.approx(-found)
    # A second cell of as many test images, with the same distances turned round, cancels it.
    two = np.arange(160) // 80
    mixed = three_sample_statistic(np.r_[samples, -samples], np.r_[others, -others], np.repeat([0, 1], 60), two)
    assert mixed == pytest.approx(0, abs=1e-9)
    assert three_sample_statistic(samples[:19], others, one_cell[0][:19], one_cell[1]) is None


# the scores


def test_real_images_get_what_real_images_get(references):
    scores = score(drawn(NUM, 5)[0], references)
    for name in ("precision", "recall", "density", "coverage"):
        assert of(scores, name) == pytest.approx(scores[name].baseline, abs=0.05)
        assert scores[name].low <= of(scores, name) <= scores[name].high
    assert of(scores, "coverage") > 0.95  # Naeem et al. 2020: 1 - 2^-k at equal numbers
    assert of(scores, "frechet") == pytest.approx(of(score_references(references), "floor"), abs=0.2)
    assert of(scores, "frechet") < 0.2 < of(score(drawn(NUM, 5)[0] + 0.5, references), "frechet")
    assert scores["kid"].low <= scores["kid"].baseline <= scores["kid"].high
    assert abs(of(scores, "three_sample")) < 3
    assert of(scores, "memorised") == pytest.approx(0.01, abs=0.01)


def test_the_test_images_themselves_are_at_no_distance(references):
    scores = score(references.test, references)
    assert of(scores, "frechet") == pytest.approx(0, abs=1e-6)
    assert of(scores, "recall") == of(scores, "precision") == of(scores, "coverage") == 1


def test_copies_of_train_images_are_noticed(references):
    copies = references.train[:NUM] + np.random.default_rng(0).normal(0, 1e-3, (NUM, DIM)).astype(np.float32)
    scores = score(copies, references)
    assert of(scores, "memorised") == 1
    assert of(scores, "three_sample") < -10
    assert of(scores, "coverage") > 0.95  # which does not see it


def test_a_dropped_mode_costs_recall_and_coverage_but_no_precision(references):
    whole, part = score(drawn(NUM, 5)[0], references), score(drawn(NUM, 5, classes=range(3))[0], references)
    assert of(part, "coverage") == pytest.approx(of(whole, "coverage") / 2, abs=0.05)
    assert of(part, "recall") == pytest.approx(of(whole, "recall") / 2, abs=0.05)
    assert of(part, "precision") == pytest.approx(of(whole, "precision"), abs=0.05)
    assert of(part, "frechet") > 10 * of(whole, "frechet")


def test_noise_costs_precision_and_density(references):
    whole, noisy = score(drawn(NUM, 5)[0], references), score(drawn(NUM, 5, noise=2.0)[0], references)
    assert of(noisy, "precision") < 0.5 * of(whole, "precision")
    assert of(noisy, "density") < 0.5 * of(whole, "density")
    assert of(noisy, "three_sample") > 10


def test_references_measure_the_decoder(references):
    scores = score_references(references)
    assert [s.name for s in scores.scores] == ["floor", "reconstruction_fd"]
    assert of(scores, "reconstruction_fd") == pytest.approx(DIM * 0.1**2, rel=1e-3)  # only the mean has moved
    assert scores["reconstruction_fd"].baseline == of(scores, "floor")


def test_agreement_with_the_class_that_was_asked_for(references):
    samples, asked = drawn(NUM, 5)
    predicted = asked.copy()
    predicted[:240] = (asked[:240] + 1) % CLASSES
    found = score(samples, references, asked=asked, predicted=predicted, real_agreement=0.99)["class_agreement"]
    assert (found.value, found.baseline, found.baseline_name) == (0.9, 0.99, "test images")
    assert "class_agreement is left out: the samples were asked for no class" in score(samples, references).notes
    assert "the features know no classes" in " ".join(score(samples, references, asked=asked).notes)


def test_few_images_have_no_frechet_distance(references):
    scores = score(drawn(500, 5)[0], references)
    assert "frechet" not in [s.name for s in scores.scores]
    assert any("under 2,000 images" in note for note in scores.notes)
    assert any("baselines are of 2,400 train images, the scores of 500 samples" in note for note in scores.notes)
    few = prepare_references(drawn(300, 0)[0], drawn(400, 1)[0], features=FEATURES, reconstructed=drawn(300, 0)[0])
    assert [s.name for s in score_references(few).scores] == ["kid_floor", "reconstruction_kid"]
    assert any("under 2,000 images" in note for note in score_references(few).notes)


@pytest.mark.parametrize("num", [4, 7, 30])
def test_very_few_images_are_scored_as_far_as_they_go(num):
    few = prepare_references(drawn(num, 0)[0], drawn(30, 1)[0], features=FEATURES)
    for samples in (drawn(4, 2)[0], drawn(100, 2)[0]):
        scores = score(samples, few)
        assert {"kid", "precision", "coverage", "memorised"} <= {s.name for s in scores.scores}
        assert np.isfinite([s.value for s in scores.scores]).all()
        json.dumps(scores.as_json(), allow_nan=False)
    assert any("no reconstructions" in note for note in score_references(few).notes)


def test_protocols_say_how_it_was_measured(references):
    scores = [*score(drawn(NUM, 5)[0], references).scores, *score_references(references).scores]
    assert len(scores) == 10
    for one in scores:
        assert one.protocol.features == FEATURES
        assert one.protocol.images == NUM
        assert "2,400" in str(one.protocol)
        assert one.name == "three_sample" or one.low <= one.value <= one.high
    assert score(drawn(NUM, 5)[0], references).details == {"sampler": "planted", "features": FEATURES}


def test_large_sets_are_drawn_from(monkeypatch):
    monkeypatch.setattr("latens.metrics.references.MOST", 100)
    samples, asked = drawn(300, 2)
    few = prepare_references(drawn(300, 0)[0], drawn(400, 1)[0], features=FEATURES)
    assert (len(few.test), len(few.train), few.num_real) == (100, 400, 100)
    scores = score(samples, few, asked=asked, predicted=asked)
    assert scores["kid"].protocol.settings["samples"] == 100
    assert of(scores, "class_agreement") == 1


def test_scores_with_intervals_come_back_from_json(references):
    scores = score(drawn(NUM, 5)[0], references)
    assert Scores.from_json(json.loads(json.dumps(scores.as_json()))) == scores
    old = {
        "name": "mse",
        "value": 1.0,
        "unit": "",
        "better": "lower",
        "baseline": None,
        "baseline_name": "",
        "protocol": "",
    }
    assert Score.from_json(old).low is None


def test_the_interval_of_a_share_is_wilsons():
    flags = np.arange(50) < 3
    expected = scipy.stats.binomtest(3, 50).proportion_ci(method="wilson")
    assert of_share(flags) == pytest.approx((expected.low, expected.high), rel=1e-6)


def test_what_does_not_fit_is_refused(references):
    good = drawn(NUM, 5)[0]
    with pytest.raises(UsageError, match=r"sample \(2400, 3\).*F the same"):
        score(good[:, :3], references)
    with pytest.raises(UsageError, match="there are 3 sample images; at least 4"):
        score(good[:3], references)
    with pytest.raises(UsageError, match="features of sample images hold NaN"):
        score(np.where(good > 0, good, np.nan), references)
    with pytest.raises(UsageError, match=r"asked classes of shape \(5,\); one for each"):
        score(good, references, asked=np.zeros(5, int))
    with pytest.raises(UsageError, match="2 test images"):
        prepare_references(good[:2], good, features=FEATURES)


# pictures that come more than once


@pytest.mark.parametrize("copies", [2, 6, 10, 50])
def test_real_images_against_themselves_get_1_however_often_each_comes(copies):
    distinct = np.random.default_rng(0).normal(size=(40, DIM)).astype(np.float32)
    real = np.repeat(distinct, copies, 0)
    found = neighbourhoods(real, real.copy())
    assert found.precise.all()
    assert found.recalled.all()
    assert found.covered.all()
    if copies > 5:
        assert found.density.mean() == pytest.approx(1)
        # Other pictures of the same kind are as good as they are where each picture comes once.
        others = np.random.default_rng(1).normal(size=(200, DIM)).astype(np.float32)
        once, often = neighbourhoods(distinct, others), neighbourhoods(real, others)
        assert often.precise.mean() == once.precise.mean()
        assert often.density.mean() == pytest.approx(once.density.mean(), rel=0.05)


def test_constant_features_against_themselves_get_1():
    for value in (0.0, 1.0, 1e4):
        constant = np.full((50, DIM), value, np.float32)
        found = neighbourhoods(constant, constant.copy())
        means = [float(part.mean()) for part in (found.precise, found.recalled, found.density, found.covered)]
        assert means == pytest.approx([1, 1, 1, 1])
        assert not neighbourhoods(constant, constant + np.float32(value + 1) / 100).precise.any()


def test_a_sampler_that_gives_few_pictures_again_and_again_has_little_recall():
    real = np.random.default_rng(0).normal(size=(500, DIM)).astype(np.float32)
    collapsed = np.repeat(real[:10], 50, 0)
    found = neighbourhoods(real, collapsed)
    assert found.recalled.sum() == 10
    assert found.precise.all()


def test_without_ties_the_balls_are_those_of_a_plain_loop():
    real, samples = drawn(80, 0)[0].astype(np.float64), drawn(60, 1)[0].astype(np.float64)
    k = 3
    near = np.linalg.norm(real[:, None] - samples, axis=2)  # (N, M)
    of_real = np.sort(np.linalg.norm(real[:, None] - real, axis=2), 1)[:, k]
    of_samples = np.sort(np.linalg.norm(samples[:, None] - samples, axis=2), 1)[:, k]
    found = neighbourhoods(real, samples, k)
    # As in prdc 0.2: compute_prdc(real, samples, k).
    assert found.precise.mean() == (near < of_real[:, None]).any(0).mean()
    assert found.recalled.mean() == (near < of_samples).any(1).mean()
    assert found.density.mean() == pytest.approx((near < of_real[:, None]).sum(0).mean() / k)
    assert found.covered.mean() == (near.min(1) < of_real).mean()


@pytest.mark.parametrize("shared", [0.0, 0.005, 0.011, 0.033])
def test_pictures_in_both_parts_do_not_hide_copies(shared):
    test, train = drawn(600, 0)[0], drawn(800, 1)[0]
    num = round(600 * shared)
    test[:num] = train[800 - num :]
    references = prepare_references(test, train, features=FEATURES, reconstructed=test)
    assert (references.num_shared, len(references.test), len(references.train)) == (num, 600 - num, 800 - num)
    assert references.copied_within > 0
    scores = score(train[:600], references)
    assert of(scores, "memorised") == 1
    said = [note for note in scores.notes if f"{num} of 600 test images are train images too" in note]
    assert len(said) == (1 if num else 0)
    assert of(score(drawn(600, 2)[0], references), "memorised") < 0.05


def test_where_most_pictures_are_in_both_parts_copies_cannot_be_looked_for():
    train = drawn(600, 1)[0]
    references = prepare_references(train[:200], train, features=FEATURES)
    scores = score(drawn(200, 2)[0], references)
    assert "memorised" not in {one.name for one in scores.scores}
    assert any("memorised and three_sample are left out" in note for note in scores.notes)
    assert of(scores, "precision") > 0.5
