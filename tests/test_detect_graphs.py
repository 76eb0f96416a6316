"""Detectors as modules of torch: they measure what the detectors measure by NumPy, of the same latents and reconstructions."""

import numpy as np
import pytest
import torch

from latens.detection import DETECTORS
from latens.detection.conformal import p_values
from latens.detection.contract import Seen
from latens.detection.graphs import TIE, PValues, middle_of

WITH_GRAPH = [name for name in DETECTORS.own if DETECTORS[name].has_graph]


def seen(rng, count, shape, latents):
    """Images, and what an imagined model makes of them."""
    found = Seen(rng.random((count, *shape), dtype=np.float32), None)
    found.latents = latents.astype(np.float32)
    found.reconstructions = (found.x + rng.normal(0, 0.05, found.x.shape)).astype(np.float32)
    return found


def latents_like(kind, rng, count):
    if kind == "one number":
        return rng.normal(size=(count, 1))
    if kind == "dead directions":
        return np.maximum(rng.normal(size=(count, 12)), 0) * (np.arange(12) < 7)
    if kind == "all equal":
        return np.full((count, 4), 0.25)
    if kind == "repeated":
        return np.repeat(np.random.default_rng(2).normal(size=(3, 6)), 60, axis=0)[:count]
    return 3 + rng.normal(size=(count, 30)) @ rng.normal(size=(30, 30))


@pytest.mark.parametrize("kind", ["many numbers", "one number", "dead directions", "all equal", "repeated"])
@pytest.mark.parametrize("method", WITH_GRAPH)
@pytest.mark.parametrize("shape", [(1, 16, 12), (5, 9, 13)], ids=str)
def test_a_graph_measures_what_its_detector_does(method, kind, shape):
    rng = np.random.default_rng(0)
    normal_latents = latents_like(kind, rng, 150)
    detector = DETECTORS[method].made()
    detector.fit(seen(rng, 150, shape, normal_latents), normal_latents.astype(np.float32))
    new = seen(rng, 24, shape, latents_like(kind, np.random.default_rng(1), 24))
    new.pixels[::3, :, 2:6, 3:7] = 1  # defects
    del new.x
    expected = detector.measure(new)
    given = (torch.from_numpy(one) for one in (new.x, new.latents, new.reconstructions))
    scores, maps = detector.graph(shape)(*given)
    np.testing.assert_allclose(scores.numpy(), expected.scores, rtol=1e-4, atol=1e-4 * np.ptp(expected.scores))
    if expected.maps is None:
        assert maps is None
    else:
        np.testing.assert_allclose(maps.numpy(), expected.maps, rtol=1e-4, atol=1e-4)


def test_what_is_unlike_copies_of_one_image_is_odd_beyond_all_measure():
    rng = np.random.default_rng(0)
    latents = np.full((150, 6), 0.3, np.float32)
    detector = DETECTORS["neighbours"].made()
    detector.fit(seen(rng, 150, (1, 8, 8), latents), latents)
    new = seen(rng, 3, (1, 8, 8), np.array([[0.3] * 6, [0.4] * 6, [9.0] * 6]))
    scores, _ = detector.graph((1, 8, 8))(*(torch.from_numpy(one) for one in (new.x, new.latents, new.reconstructions)))
    expected = detector.measure(new).scores
    np.testing.assert_allclose(scores[0].numpy(), expected[0], rtol=1e-4)
    for found in (scores.numpy(), expected):
        assert np.isfinite(found).all()
        assert (found[1:] > 100).all()


def test_fewer_normal_images_than_neighbours():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(9, 5)).astype(np.float32)
    detector = DETECTORS["neighbours"].made()
    detector.fit(seen(rng, 9, (1, 8, 8), latents), latents)
    new = seen(rng, 6, (1, 8, 8), rng.normal(size=(6, 5)))
    scores, _ = detector.graph((1, 8, 8))(*(torch.from_numpy(one) for one in (new.x, new.latents, new.reconstructions)))
    np.testing.assert_allclose(scores.numpy(), detector.measure(new).scores, rtol=1e-4, atol=1e-4)


def test_p_values_are_those_of_the_rule_except_at_ties():
    rng = np.random.default_rng(0)
    for scale in (1e-5, 1, 1e4):
        calibration = scale * rng.normal(size=300)
        scores = scale * rng.normal(size=1000) * 2
        p = PValues(calibration)(torch.from_numpy(scores.astype(np.float32))).numpy()
        expected = p_values(calibration, scores)
        spread = np.subtract(*np.quantile(calibration, (0.75, 0.25)))
        apart = np.abs(calibration - scores[:, None]).min(1) > 1.1 * TIE * np.maximum(np.abs(scores), spread)
        assert apart.mean() > 0.9
        np.testing.assert_allclose(p[apart], expected[apart], rtol=1e-6)
        assert (p >= expected * (1 - 1e-6)).all()  # never too small


def test_a_score_that_was_rounded_up_is_still_a_tie():
    calibration = np.full(99, 3.0)
    p = PValues(calibration)(torch.tensor([3.00001, 3.1, -3.0]))
    np.testing.assert_allclose(p.numpy(), [1, 0.01, 1], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_the_median_is_numpys(size):
    values = np.random.default_rng(size).normal(size=(5, size)).astype(np.float32)
    np.testing.assert_allclose(
        middle_of(torch.from_numpy(values)).numpy(), np.median(values, 1, keepdims=True), rtol=1e-6
    )
