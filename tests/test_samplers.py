"""Contract of all samplers, and tests of each sampler."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sklearn.mixture import GaussianMixture

from latens.errors import UnknownName, UsageError
from latens.files import read_safetensors, write_safetensors
from latens.neighbours import nearest_neighbours
from latens.neighbours.centres import nearest_centre
from latens.samplers import SAMPLERS, Sampler, em
from latens.samplers.class_means import ClassMeansSampler
from latens.samplers.em import fit_mixture
from latens.samplers.flow import FlowSampler
from latens.samplers.jitter import JitterSampler
from latens.samplers.mixture import MixtureSampler
from latens.samplers.prior import PriorSampler
from latens.samplers.rectified import fill_zeros, rectified_units

LEARNING = [name for name in SAMPLERS if name != "prior"]
SMALL = {"flow": {"steps": 20, "width": 32, "batch": 64, "num_blocks": 1}}  # what else takes seconds


def made(name):
    return SAMPLERS[name](**SMALL.get(name, {}))


def clusters(num=600, dim=8, seed=0):
    """Three far clusters with labels 0, 2, 5; units 3 and 6 never vary."""
    rng = np.random.default_rng(seed)
    labels = np.array([0, 2, 5])[np.arange(num) % 3]
    latents = rng.normal(size=(num, dim)) * 0.5 + np.random.default_rng(1).normal(size=(6, dim))[labels] * 8
    latents[:, 3], latents[:, 6] = 0, 1.5
    return latents.astype(np.float32), labels


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("labelled", [True, False])
def test_contract(name, labelled):
    latents, labels = clusters()
    sampler = made(name).fit(latents, labels if labelled else None)
    assert isinstance(sampler, Sampler)
    drawn = sampler.sample(50, seed=3)
    assert drawn.shape == (50, 8)
    assert drawn.dtype == np.float32
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(drawn, sampler.sample(50, seed=3))
    np.testing.assert_array_equal(drawn, made(name).fit(latents, labels if labelled else None).sample(50, seed=3))
    assert (drawn != sampler.sample(50, seed=4)).any()
    assert len(np.unique(drawn, axis=0)) == 50
    assert sampler.sample(0).shape == (0, 8)
    if labelled and name != "prior":
        np.testing.assert_array_equal(sampler.classes, [0, 2, 5])
        np.testing.assert_array_equal(sampler.labels_for(5), [0, 2, 5, 0, 2])


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("labelled", [True, False])
def test_the_first_of_more_samples_are_the_same(name, labelled):
    latents, labels = clusters()
    sampler = made(name).fit(latents, labels if labelled else None)
    for n in (1, 17, 300):
        some, more = (sampler.sample(m, seed=5, labels=sampler.labels_for(m)) for m in (n, 2 * n + 3))
        np.testing.assert_allclose(more[:n], some, rtol=1e-5, atol=1e-5)  # products of other shapes round otherwise


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("labelled", [True, False])
def test_restored_sampler_draws_the_same(name, labelled, tmp_path):
    latents, labels = clusters()
    sampler = made(name).fit(latents, labels if labelled else None)
    state = sampler.state()
    assert {array.dtype for array in state.values()} <= {np.dtype(np.float32), np.dtype(np.int64)}
    write_safetensors(tmp_path / "s.safetensors", {n: torch.from_numpy(np.array(a)) for n, a in state.items()})
    again = SAMPLERS[name].restore(
        {n: t.numpy() for n, t in read_safetensors(tmp_path / "s.safetensors").items()}, SMALL.get(name)
    )
    np.testing.assert_array_equal(again.sample(40, seed=1), sampler.sample(40, seed=1))
    np.testing.assert_array_equal(again.classes, sampler.classes)
    if len(sampler.classes):
        wanted = sampler.labels_for(40)
        np.testing.assert_array_equal(again.sample(40, labels=wanted), sampler.sample(40, labels=wanted))


@pytest.mark.parametrize("name", ["flow", "mixture", "local-mixture"])
def test_a_fit_that_takes_long_says_how_far_it_is(name):
    told = []
    made(name).fit(*clusters(), lambda done, total: told.append((done, total)))
    done, totals = zip(*told, strict=True)
    assert list(done) == sorted(set(done))
    assert len(set(totals)) == 1
    assert done[-1] <= totals[0]
    if name == "flow":
        assert told[-1] == (20, 20)


@pytest.mark.parametrize("name", LEARNING)
def test_labels_are_honoured(name):
    latents, labels = clusters()
    wanted = np.array([5, 0, 0, 2, 5] * 20)
    drawn = made(name).fit(latents, labels).sample(100, labels=wanted)
    means = np.stack([latents[labels == label].mean(0) for label in (0, 2, 5)])
    nearest = nearest_neighbours(means, drawn, k=1)[1][:, 0]
    np.testing.assert_array_equal(np.array([0, 2, 5])[nearest], wanted)


@pytest.mark.parametrize("name", LEARNING)
def test_without_labels_all_clusters_are_drawn(name):
    latents, labels = clusters()
    drawn = made(name).fit(latents, labels).sample(300)
    if name == "gaussian":  # one bell over all of them: right in its moments only
        np.testing.assert_allclose(drawn.mean(0), latents.mean(0), atol=1.5)
        return
    means = np.stack([latents[labels == label].mean(0) for label in (0, 2, 5)])
    assert np.bincount(nearest_neighbours(means, drawn, k=1)[1][:, 0], minlength=3).min() > 60


@pytest.mark.parametrize("name", [name for name in LEARNING if name != "class-means"])
@pytest.mark.parametrize("labelled", [True, False])
def test_dead_units_stay_dead(name, labelled):
    latents, labels = clusters()
    sampler = made(name).fit(latents, labels if labelled else None)
    for drawn in (sampler.sample(100), sampler.sample(100, labels=sampler.labels_for(100))):
        np.testing.assert_allclose(drawn[:, [3, 6]], [[0, 1.5]] * 100, atol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("kind", ["one", "two", "zero", "duplicates", "wide", "singletons"])
@pytest.mark.parametrize("labelled", [True, False])
def test_degenerate_latents(name, kind, labelled):
    plain, labels = clusters()
    wide = np.random.default_rng(0).normal(size=(12, 40))  # more dimensions than latents
    latents, labels = {
        "one": (plain[:1], labels[:1]),
        "two": (plain[:2], labels[:2]),
        "zero": (plain * 0, labels),
        "duplicates": (plain[np.arange(60) % 3], labels[:60]),
        "wide": (wide, np.arange(12) % 2),
        "singletons": (plain[:10], np.arange(10)),
    }[kind]
    sampler = made(name).fit(latents, labels if labelled else None)
    for drawn in (sampler.sample(20), sampler.sample(20, labels=sampler.labels_for(20))):
        assert drawn.shape == (20, latents.shape[1])
        assert np.isfinite(drawn).all()
        assert np.abs(drawn).max() < 20 + 5 * np.abs(latents).max()


def rectified(num, seed):
    """The positive part of two correlated bells, 8 units, their classes, and how often each unit is 0: about a half."""
    shape = np.random.default_rng(7)
    roots, means = shape.normal(size=(2, 8, 3)) * 0.5, shape.normal(size=(2, 8)) * 0.7
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 2
    latents = means[labels] + np.einsum("nij,nj->ni", roots[labels], rng.normal(size=(num, 3)))
    return np.maximum(latents + 0.2 * rng.normal(size=(num, 8)), 0), labels


@pytest.mark.parametrize("name", ["gaussian", "mixture", "local-mixture", "flow"])
@pytest.mark.parametrize("labelled", [True, False])
def test_zeros_of_a_relu_are_kept(name, labelled):
    latents, labels = rectified(3000, 0)
    latents[:, 2] = 0  # off for good
    latents[labels == 1, 4] = 0  # off in a class
    if not labelled:
        latents, labels = latents[labels == 0], None
    sampler = made(name).fit(latents, labels)
    drawn = sampler.sample(len(latents), labels=labels)
    assert (drawn >= 0).all()
    np.testing.assert_allclose((drawn == 0).mean(0), (latents == 0).mean(0), atol=0.07)
    if labelled:
        assert (drawn[labels == 1, 4] == 0).mean() > 0.99
        again = type(sampler).restore(sampler.state(), SMALL.get(name))
        np.testing.assert_array_equal(again.sample(3000, labels=labels), drawn)


def test_filled_zeros_have_the_moments_from_before_the_relu():
    rng = np.random.default_rng(0)
    covariance = np.array([[1, 0.8], [0.8, 1]])
    before = rng.multivariate_normal([0.3, -0.5], covariance, size=20000)
    after = np.maximum(before, 0)
    filled = fill_zeros(after, None)
    np.testing.assert_array_equal(filled[after > 0], after[after > 0])
    assert (filled[after == 0] < 0).all()
    np.testing.assert_allclose(filled.mean(0), [0.3, -0.5], atol=0.06)
    np.testing.assert_allclose(np.cov(filled.T), covariance, atol=0.12)
    np.testing.assert_array_equal(
        rectified_units(np.array([[0, 0, 1, -1.0], [0, 2, 2, 0]])), [False, True, False, False]
    )


@pytest.mark.parametrize("shift", [-30.0, 30.0])
def test_filled_zeros_stay_finite_where_they_are_rare_or_all(shift):
    latents = np.maximum(np.random.default_rng(0).normal([shift, 0, 1, 2], size=(500, 4)), 0)
    latents[0, 0], latents[1, 0] = 0, 5
    filled = fill_zeros(latents, np.arange(500) % 3)
    assert np.isfinite(filled).all()
    assert np.abs(filled).max() < 20 * latents.max()


def test_class_means_are_the_means_plus_normal_noise():
    latents, labels = clusters()
    means = np.stack([latents[labels == label].astype(np.float64).mean(0) for label in (0, 2, 5)])
    still = ClassMeansSampler(noise_std=0).fit(latents, labels)
    assert not still.clustered
    np.testing.assert_allclose(still.sample(5), means[[0, 1, 2, 0, 1]], rtol=1e-6)
    np.testing.assert_allclose(still.sample(2, labels=[5, 5]), means[[2, 2]], rtol=1e-6)
    for std in (0.5, 1.0):
        noise = ClassMeansSampler(noise_std=std).fit(latents, labels).sample(3000) - means[np.arange(3000) % 3]
        assert kstest(noise.ravel() / std, "norm").pvalue > 0.001
    np.testing.assert_array_equal(ClassMeansSampler.restore(still.state(), {"noise_std": 0}).sample(3), still.sample(3))


def test_clusters_stand_in_for_classes():
    latents, labels = clusters()
    sampler = ClassMeansSampler(noise_std=0).fit(latents)
    assert sampler.clustered
    assert len(sampler.classes) == 10
    means = np.stack([latents[labels == label].mean(0) for label in (0, 2, 5)])
    assert nearest_neighbours(means, sampler.means, k=1)[0].max() < 2  # each cluster's mean lies in one class
    np.testing.assert_array_equal(sampler.sample(12, labels=sampler.labels_for(12)), sampler.sample(12))


def test_gaussian_has_the_moments_of_the_latents():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(4000, 3)) @ rng.normal(size=(3, 3)) + [1, 2, 3]
    labels = np.arange(4000) % 2
    sampler = SAMPLERS["gaussian"]().fit(latents, labels)
    for drawn in (sampler.sample(40000), sampler.sample(40000, labels=np.ones(40000, int))):
        np.testing.assert_allclose(drawn.mean(0), latents.mean(0), atol=0.1)
        np.testing.assert_allclose(np.cov(drawn.T), np.cov(latents.T), atol=0.2)


def test_mixture_is_as_likely_as_scikit_learns():
    latents, _ = clusters(num=900)
    latents = np.delete(latents, [3, 6], axis=1)
    oracle = GaussianMixture(3, random_state=0).fit(latents)
    drawn = SAMPLERS["mixture"]().fit(latents).sample(2000)
    assert oracle.score(drawn) > oracle.score(oracle.sample(2000)[0]) - 1


def test_em_reaches_the_likelihood_of_scikit_learns():
    rng = np.random.default_rng(0)
    centres, roots = rng.normal(size=(4, 5)) * 3, rng.normal(size=(4, 5, 5)) * 0.5 + np.eye(5)
    own = np.arange(8000) % 4
    points = centres[own] + np.einsum("nij,nj->ni", roots[own], rng.normal(size=(8000, 5)))
    train, test = points[:6000], points[6000:]
    for diagonal in (False, True):
        oracle = GaussianMixture(4, covariance_type="diag" if diagonal else "full", n_init=3, random_state=0).fit(train)
        mixture = fit_mixture(torch.from_numpy(train), 4, 1e-3, diagonal, 60)
        assert float(mixture.score(torch.from_numpy(test)).mean()) > oracle.score(test) - 0.05
        # Its density is that of the formula, not only high.
        oracle.weights_, oracle.means_ = mixture.weights.numpy(), mixture.means.numpy()
        inverse = np.linalg.inv(mixture.factors.numpy())
        oracle.precisions_cholesky_ = np.diagonal(inverse, axis1=1, axis2=2) if diagonal else inverse.transpose(0, 2, 1)
        np.testing.assert_allclose(mixture.score(torch.from_numpy(test)), oracle.score_samples(test), rtol=1e-8)


def test_a_round_of_em_keeps_to_its_memory(monkeypatch):
    latents, _ = clusters(num=2000)
    x = torch.from_numpy(latents).double()
    whole = fit_mixture(x, 12, 2.0, False, 0)  # rounds would enlarge what other sums round
    largest = []
    sums = em._sums
    monkeypatch.setattr(em, "AT_ONCE", 7_000)
    monkeypatch.setattr(
        em, "_sums", lambda x, share, diagonal: largest.append(share.numel() * x.shape[1]) or sums(x, share, diagonal)
    )
    parted = fit_mixture(x, 12, 2.0, False, 0)
    assert max(largest) <= 7_000
    fit_mixture(x, 12, 2.0, False, 3)
    assert max(largest) <= 7_000
    for name in ("weights", "means", "factors"):
        torch.testing.assert_close(getattr(parted, name), getattr(whole, name), rtol=1e-4, atol=1e-4)


def test_a_mixture_of_too_many_numbers_has_fewer_components(monkeypatch):
    latents, _ = clusters(num=2000)
    assert len(MixtureSampler().fit(latents).arrays["weights"]) > 1
    monkeypatch.setattr("latens.samplers.mixture.MOST_NUMBERS", 100)
    assert len(MixtureSampler().fit(latents).arrays["weights"]) == 1


def test_mixture_takes_as_many_components_as_held_out_latents_ask_for():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 6)) * 6
    many = centres[np.arange(3000) % 10] + rng.normal(size=(3000, 6))
    assert len(MixtureSampler().fit(many).arrays["weights"]) == 10
    assert len(MixtureSampler().fit(rng.normal(size=(3000, 6))).arrays["weights"]) == 1


def test_mixture_draws_classes_by_their_share_and_misses_none(monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.where(np.arange(1000) < 997, np.arange(1000) % 4 // 3, 2)  # 3 : 1, and three of class 2
    latents = rng.normal(size=(1000, 2)) + labels[:, None] * 20
    sampler = SAMPLERS["mixture"]().fit(latents, labels)
    assert (sampler.sample(1000)[:, 0] > 10).mean() == pytest.approx(0.25, abs=0.05)
    monkeypatch.setattr("latens.samplers.mixture.MOST", 50)
    small = SAMPLERS["mixture"]().fit(latents, labels)
    assert (small.sample(10, labels=np.full(10, 2))[:, 0] > 35).all()


def test_jitter_is_as_far_from_the_data_as_new_data_are():
    rng = np.random.default_rng(0)
    latents, new = rng.normal(size=(3000, 8)), rng.normal(size=(2000, 8))
    drawn = JitterSampler().fit(latents).sample(2000)
    ours, real = (np.median(nearest_neighbours(latents, points, 1)[0]) for points in (drawn, new))
    assert ours == pytest.approx(real, rel=0.05)


def test_jitter_moves_along_the_data_not_off_them():
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 4000)
    drawn = JitterSampler(neighbours=10).fit(np.stack([np.cos(angles), np.sin(angles)], 1)).sample(1000)
    assert np.abs(np.linalg.norm(drawn, axis=1) - 1).max() < 0.005
    assert np.abs(drawn.mean(0)).max() < 0.1  # all around


def test_jitter_without_noise_is_half_way_to_the_mean_of_the_neighbourhood():
    latents = np.array([[0.0], [1.0], [10.0], [14.0]])
    drawn = JitterSampler(scale=0, neighbours=1).fit(latents, [0, 0, 1, 2]).sample(4, labels=[0, 0, 1, 2])
    assert set(drawn[:2, 0].tolist()) <= {0.25, 0.75}
    assert drawn[2:, 0].tolist() == [10, 14]  # alone in their classes


def planted(num, seed):
    """Class 0: two bells at (-3, 0) and (3, 0); class 1: one at (0, 6), twice as wide across as up."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 2
    side = np.where(rng.random(num) < 0.5, -3, 3)
    centres = np.where(labels[:, None] == 0, np.stack([side, 0 * side], 1), [0, 6])
    widths = np.where(labels[:, None] == 0, [0.5, 0.5], [1.0, 0.5])
    return centres + widths * rng.normal(size=(num, 2)), labels


def test_flow_finds_planted_bells():
    latents, labels = planted(4000, 0)
    flow = FlowSampler(steps=500, batch=256, width=48, num_blocks=2, temperature=1).fit(latents, labels)
    drawn, bell = (flow.sample(2000, labels=np.full(2000, label)) for label in (0, 1))
    assert (np.abs(drawn[:, 0]) < 1.2).mean() < 0.05  # a bell of the same moments: 0.31
    assert (drawn[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.06)
    np.testing.assert_allclose(np.abs(drawn[:, 0]).mean(), 3, atol=0.15)
    np.testing.assert_allclose(drawn[:, 1].std(), 0.5, atol=0.1)
    np.testing.assert_allclose(bell.mean(0), [0, 6], atol=0.15)
    np.testing.assert_allclose(bell.std(0), [1, 0.5], atol=0.12)
    assert (flow.sample(2000)[:, 1] > 3).mean() == pytest.approx(0.5, abs=0.06)


def test_flow_without_steps_is_a_bell_a_class():
    latents, labels = planted(4000, 0)
    drawn = FlowSampler(steps=0, width=8, temperature=1).fit(latents, labels).sample(8000, labels=np.zeros(8000, int))
    own = latents[labels == 0]
    np.testing.assert_allclose(drawn.mean(0), own.mean(0), atol=0.12)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(own.T), atol=0.3)
    assert kstest((drawn[:, 0] - own[:, 0].mean()) / own[:, 0].std(), "norm").pvalue > 0.001


def test_a_cold_flow_draws_what_a_warm_one_finds_likely():
    latents, labels = planted(4000, 0)
    warm, cold, still = (FlowSampler(steps=0, width=8, temperature=t).fit(latents, labels) for t in (1, 0.5, 0))
    spread = [sampler.sample(4000, labels=np.ones(4000, int)).std(0) for sampler in (warm, cold)]
    np.testing.assert_allclose(spread[1], spread[0] / 2, rtol=1e-3)
    np.testing.assert_allclose(still.sample(2, labels=[1, 1]), [latents[labels == 1].mean(0)] * 2, atol=1e-4)


def test_prior_is_drawn_by_what_the_model_gives():
    asked = []

    def draw(n, seed):
        asked.append(seed)
        return np.random.default_rng(seed).uniform(2, 3, size=(n, 8))

    latents, labels = clusters()
    sampler = PriorSampler(draw).fit(latents, labels)
    assert len(sampler.classes) == 0
    assert sampler.labels_for(5) is None
    drawn = sampler.sample(30, seed=1)
    assert ((drawn >= 2) & (drawn <= 3)).all()
    assert set(sampler.state()) == {"classes", "dim"}
    restored = PriorSampler.restore(sampler.state(), {"draw": draw})
    np.testing.assert_array_equal(restored.sample(30, seed=1), drawn)
    sampler.sample(30, seed=2)
    assert asked[0] == asked[1] != asked[2]
    assert kstest(PriorSampler().fit(latents).sample(1000).ravel(), "norm").pvalue > 0.001
    with pytest.raises(UsageError, match=r"shape \(4, 7\).*need \(4, 8\)"):
        PriorSampler(lambda n, seed: np.zeros((n, 7))).fit(latents).sample(4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_errors(name):
    latents, labels = clusters()
    kind = partial(made, name)
    bad = latents.copy()
    bad[0, 0] = np.inf
    for arguments, message in [
        ((latents[0],), r"\(N, D\)"),
        ((latents[:0],), r"\(N, D\)"),
        ((bad,), "NaN or infinity"),
        ((latents, labels[1:]), "labels have shape"),
        ((latents, labels - 1), "whole numbers from 0"),
        ((latents, labels + 0.5), "whole numbers from 0"),
    ]:
        with pytest.raises(UsageError, match=message):
            kind().fit(*arguments)
    with pytest.raises(UsageError, match="not fitted"):
        kind().sample(1)
    sampler = kind().fit(latents, labels)
    with pytest.raises(UsageError, match="give 0 or more"):
        sampler.sample(-1)
    with pytest.raises(UsageError, match=r"need \(3,\)"):
        sampler.sample(3, labels=[0])
    known = "none; leave the labels out" if name == "prior" else "0, 2, 5"
    with pytest.raises(UsageError, match=f"no class [01]; known classes: {known}"):
        sampler.sample(2, labels=[0, 1])
    with pytest.raises(UsageError, match="lacks"):
        SAMPLERS[name].restore({"classes": np.zeros(0, np.int64)})
    if name != "class-means":
        with pytest.raises(UsageError, match="none; leave the labels out"):
            kind().fit(latents).sample(1, labels=[0])


def test_option_errors():
    with pytest.raises(UsageError, match="noise_std is -1"):
        ClassMeansSampler(noise_std=-1)
    with pytest.raises(UsageError, match="scale is nan"):
        JitterSampler(scale=float("nan"))
    for name, least in [("steps", 0), ("batch", 1), ("width", 1), ("num_blocks", 0)]:
        with pytest.raises(UsageError, match=f"{name} is -1; it must be {least} or more"):
            FlowSampler(**{name: -1})
    with pytest.raises(UsageError, match="temperature is inf; it must be 0 or more"):
        FlowSampler(temperature=float("inf"))
    with pytest.raises(UnknownName, match="known: class-means, flow, gaussian, jitter, local-mixture, mixture, prior"):
        SAMPLERS["nothing"]


def ring(num, seed):
    """Points on a circle in two of five units, with a little noise in all."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, num)
    points = np.zeros((num, 5))
    points[:, :2] = np.stack([np.cos(angle), np.sin(angle)], 1)
    return (points + 0.02 * rng.normal(size=points.shape)).astype(np.float32)


def test_a_local_mixture_follows_a_curve_and_keeps_no_point_of_it():
    latents, others = ring(3000, 0), ring(1000, 1)
    drawn = SAMPLERS["local-mixture"]().fit(latents).sample(1000)
    usual = np.median(nearest_neighbours(latents, others, 1)[0])
    far = np.median(nearest_neighbours(latents, drawn, 1)[0])
    assert 0.8 * usual < far < 1.25 * usual  # as far from the data as the data are: off no curve, and no copies
    angle = np.arctan2(drawn[:, 1], drawn[:, 0])
    counts = np.histogram(angle, 12, (-np.pi, np.pi))[0]
    assert counts.min() > 45  # of 83 on average: no part of the curve is left out
    np.testing.assert_allclose(np.hypot(drawn[:, 0], drawn[:, 1]).mean(), 1, atol=0.02)


def test_the_covariance_of_a_local_mixture_is_that_of_the_latents():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(20_000, 4)) @ rng.normal(size=(4, 4))
    drawn = SAMPLERS["local-mixture"](size=50, scale=1.0).fit(latents).sample(20_000)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(latents.T), rtol=0.1, atol=0.15)


def test_samplers_say_whether_they_keep_data():
    latents, labels = clusters(num=1200)
    for name in SAMPLERS:
        arrays = made(name).fit(latents, labels).state().values()
        rows = [array for array in arrays if array.ndim == 2 and array.shape[1] == latents.shape[1]]
        known = {row.tobytes() for row in latents}
        kept = sum(row.astype(np.float32).tobytes() in known for array in rows for row in array)
        assert (kept > len(latents) / 2) == SAMPLERS[name].keeps_data, name
        assert kept in (0, len(latents)), name


@pytest.mark.parametrize(("options", "message"), [({"size": 1}, "size is 1"), ({"scale": 0.0}, "scale is 0")])
def test_a_local_mixture_says_what_is_wrong(options, message):
    with pytest.raises(UsageError, match=message):
        SAMPLERS["local-mixture"](**options)


DENSE = ("class-means", "gaussian", "mixture", "local-mixture", "prior")


@pytest.mark.parametrize("label", [None, 1])
@pytest.mark.parametrize("name", DENSE)
def test_log_prob_is_the_density_of_the_samples(name, label):
    """Over a grid that holds all samples: it sums to 1, and each cell has its share of them."""
    rng = np.random.default_rng(0)
    labels = np.arange(900) % 2
    latents = rng.normal(size=(900, 2)) @ [[0.6, 0.4], [0, 0.5]] + labels[:, None] * [1.5, -1]
    sampler = made(name).fit(latents, None if name == "prior" else labels)
    if name == "prior" and label is not None:
        with pytest.raises(UsageError, match="knows no class"):
            sampler.log_prob(latents, np.ones(900, int))
        return
    n = 40_000
    drawn = sampler.sample(n, seed=1, labels=None if label is None else np.full(n, label))
    if name == "gaussian" and label is None:  # whose draws without labels are of the whole
        labels = None
    edges = np.linspace(-6, 7, 53)
    middles = (edges[1:] + edges[:-1]) / 2
    fine = (np.arange(3) - 1) / 3 * (edges[1] - edges[0])
    points = np.stack(np.meshgrid(middles, middles, indexing="ij"), -1)[:, :, None, None] + np.stack(
        np.meshgrid(fine, fine, indexing="ij"), -1
    )
    log = sampler.log_prob(points.reshape(-1, 2), None if label is None else np.full(points.size // 2, label))
    share = np.exp(log).reshape(52, 52, 9).mean(2) * (edges[1] - edges[0]) ** 2
    counted = np.histogram2d(*drawn.T, bins=(edges, edges))[0] / n
    assert share.sum() == pytest.approx(1, abs=0.01)
    expected = np.sqrt(share * (1 - share) / n)  # the standard error of each cell's share
    assert (np.abs(counted - share) < 5 * expected + 2 / n).all()


def test_log_prob_of_a_mixture_is_scikit_learns():
    latents = clusters()[0]
    latents = np.delete(latents, (3, 6), 1)
    sampler = made("mixture").fit(latents)
    theirs = GaussianMixture(len(sampler.arrays["weights"]))
    factors = sampler.arrays["factors"].astype(np.float64)
    theirs.weights_, theirs.means_ = sampler.arrays["weights"].astype(np.float64), sampler.arrays["means"]
    theirs.covariances_ = factors @ factors.transpose(0, 2, 1)
    theirs.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(theirs.covariances_))
    np.testing.assert_allclose(sampler.log_prob(latents), theirs.score_samples(latents), rtol=1e-5)


@pytest.mark.parametrize("name", SAMPLERS)
def test_where_there_is_no_density_it_says_why(name):
    latents, labels = clusters()
    sampler = made(name)
    with pytest.raises(UsageError, match="not fitted"):
        sampler.log_prob(latents)
    sampler.fit(latents, labels)
    if name not in ("class-means", "prior"):  # which do not look at the spread of single units
        with pytest.raises(UsageError, match=r"never varies|has no log_prob"):
            sampler.log_prob(latents)
    if sampler.fills_zeros:
        sampler = made(name).fit(np.random.default_rng(0).normal(size=(200, 4)).clip(0))
        with pytest.raises(UsageError, match="zeros have a probability"):
            sampler.log_prob(np.ones((3, 4)))


def test_a_models_prior_has_its_density():
    from latens.models import MODELS

    for name in MODELS:
        model = MODELS[name]((1, 12, 12), 4, "dense")
        if not SAMPLERS["prior"].unavailable(model):
            sampler = PriorSampler(**PriorSampler.options_for(model, torch.device("cpu"))).fit(np.zeros((9, 4)))
            z = sampler.sample(5)
            if name == "quantised":  # its codes are a grid
                with pytest.raises(UsageError, match="density is not known"):
                    sampler.log_prob(z)
            else:
                expected = torch.distributions.Normal(0, 1).log_prob(torch.from_numpy(z)).sum(1)
                np.testing.assert_allclose(sampler.log_prob(z), expected, rtol=1e-5)


# ---- what fits mixtures


def test_the_nearest_centre_is_found_far_from_zero():
    points = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) + 300
    centres = points[::25] + 0.1
    expected = torch.cdist(points.double(), centres.double()).argmin(1)
    assert torch.equal(nearest_centre(points, centres), expected)


def test_components_that_are_far_from_a_point_can_be_left_out(monkeypatch):
    random = torch.Generator().manual_seed(0)
    points = torch.cat([torch.randn(300, 5, generator=random) / 3 + shift for shift in (-2, 0, 2)])
    fitted = []
    for rounds_of_all in (1, 4):
        monkeypatch.setattr(em, "LOOK_AT_ALL", rounds_of_all)
        fitted.append(fit_mixture(points, 6, 1.0, diagonal=False, rounds=10))
    torch.testing.assert_close(fitted[0].means, fitted[1].means, rtol=0, atol=1e-3)
    torch.testing.assert_close(fitted[0].score(points), fitted[1].score(points), rtol=0, atol=1e-2)


def test_a_joint_density_of_some_components_is_that_of_all():
    points = torch.randn(200, 4, generator=torch.Generator().manual_seed(1))
    mixture = fit_mixture(points, 3, 1.0, diagonal=False, rounds=2)
    near = torch.rand(200, 3, generator=torch.Generator().manual_seed(2)) < 0.5
    some, everything = mixture.log_joint(points, near), mixture.log_joint(points)
    torch.testing.assert_close(some[near], everything[near])
    assert (some[~near] == -torch.inf).all()
