"""The kernels of t-SNE against sums over all pairs in float64, numpy's Fourier transforms, and the same descent in torch."""

import ctypes
import math

import numpy as np
import pytest
import torch
from scipy.sparse import random as random_matrix

from latens.maps import compiled
from latens.maps.compiled import CompiledDescent
from latens.maps.descent import _Attraction, _Descent, descend
from latens.maps.repulsion import GridRepulsion, kernel_spectra
from latens.native import library

pytestmark = pytest.mark.skipif(library() is None, reason="the kernels were not built")


@pytest.fixture(autouse=True, params=[16, 8, 4])
def lanes(request, instruction_sets):
    """Every test with each of the instruction sets that are there."""
    instruction_sets(request.param)


def islands(num, reach, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, 2)) * reach
    return (centres[rng.integers(0, 20, num)] + rng.normal(size=(num, 2))).astype(np.float32)


def joint(num, density=0.02):
    """Any symmetric matrix with sum 1."""
    one = random_matrix(num, num, density, format="csr", random_state=0)
    both = (one + one.T).tocsr()
    both.sort_indices()
    both.data /= both.data.sum()
    return both


def descent(y, affinities=None):
    return CompiledDescent(joint(len(y)) if affinities is None else affinities, y)


def all_pairs(y):
    """Forces and normalisation in float64, as the formula says."""
    apart = y[:, None].astype(np.float64) - y
    weights = 1 / (1 + (apart**2).sum(2))
    return ((weights**2)[:, :, None] * apart).sum(1), weights.sum() - len(y)


def off(forces, expected):
    return np.linalg.norm(forces - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("num", [1, 2, 3, 5, 300, 1100])
@pytest.mark.parametrize("reach", [0, 1, 1000])
def test_repulsion_between_few_is_that_of_all_pairs(num, reach):
    y = islands(num, reach)
    some = descent(y, joint(num, density=1.0))
    total = some.repel()
    expected, expected_total = all_pairs(y)
    np.testing.assert_allclose(some.arrays["repulsion"], expected, atol=1e-5 * np.abs(expected).max() + 1e-12)
    assert total == pytest.approx(expected_total, rel=1e-5, abs=1e-5 * num)


@pytest.mark.parametrize("reach", [0, 1, 10, 60, 300])
def test_repulsion_on_the_grid_is_that_of_all_pairs(reach):
    y = islands(2000, reach)
    many = descent(y)
    total = many.repel()
    expected, expected_total = all_pairs(y)
    assert many.near == 0 or reach >= 10
    assert off(many.arrays["repulsion"], expected) < (0.005 if many.near else 0.02)
    assert total == pytest.approx(expected_total, rel=0.001)


def test_repulsion_on_the_same_grid_is_that_of_torch(monkeypatch):
    monkeypatch.setattr(compiled, "CROWDED", 0.0)  # nothing pair by pair
    y = islands(2000, 10)
    many = descent(y)
    total = many.repel()
    forces, expected_total = GridRepulsion(compiled.FINE)(torch.from_numpy(y))
    assert off(many.arrays["repulsion"], forces.numpy()) < 1e-4
    assert total == pytest.approx(expected_total, rel=1e-5)


def test_near_pairs_carry_what_the_grid_does_not(monkeypatch):
    y = islands(2000, 10)
    expected, _ = all_pairs(y)
    errors = []
    for spacing in (2.0, 1.0, 0.5):
        monkeypatch.setattr(compiled, "SPACING", spacing)
        many = descent(y)
        many.repel()
        assert many.near > 0
        errors.append(off(many.arrays["repulsion"], expected))
    assert errors[2] > errors[1] / 10  # with the radius in spacings, a finer grid is no end in itself
    assert max(errors) < 0.01


@pytest.mark.heavy
def test_a_grid_that_is_too_small_is_made_again():
    many, sides = descent(islands(1600, 1)), []
    for reach in (1, 40, 3, 5000):
        y = islands(1600, reach)
        many.points[:] = y
        many.repel()
        sides.append(many.side)
        assert off(many.arrays["repulsion"], all_pairs(y)[0]) < 0.02
    assert len(set(sides)) == 4
    assert max(sides) < 2000  # however wide the map


@pytest.mark.parametrize("side", [32, 36, 45, 50, 75, 81, 125])
def test_convolution_is_numpys(side):
    many = descent(islands(1600, 1))
    many._make_grid(side, 1.0, 10.0)
    grid = many.arrays["grid"]
    grid[:, :side] = np.random.default_rng(0).random((side, side))
    total = many.kernels.latens_convolve(ctypes.byref(many.convolution), 1)
    even, odd = (spectrum.numpy() for spectrum in kernel_spectra(side, 1.0, 10.0))
    spectrum = np.fft.rfft2(grid[:, :side], (2 * side, 2 * side))
    expected = np.fft.irfft2(spectrum * 1j * odd)[:, :side, :side]
    assert off(many.arrays["fields"][:, :, :side], expected) < 1e-5
    assert total == pytest.approx((np.abs(spectrum) ** 2 * even).sum(), rel=1e-5)


def test_attraction_and_entropy():
    y = islands(700, 5)
    affinities = joint(700)
    some = descent(y, affinities)
    some.kernels.latens_embedding_attract(ctypes.byref(some.embedding), 1)
    apart = y[:, None].astype(np.float64) - y
    u = 1 + (apart**2).sum(2)
    expected = ((affinities.toarray() / u)[:, :, None] * apart).sum(1)
    assert off(some.arrays["attraction"], expected) < 1e-5
    plain = _Attraction(affinities, torch.device("cpu"))
    plain.update(torch.from_numpy(y))
    assert off(some.arrays["attraction"], plain.forces(torch.from_numpy(y)).numpy()) < 1e-4
    pairs = affinities.toarray()
    divergence = (pairs[pairs > 0] * np.log((pairs * u)[pairs > 0])).sum() + math.log(all_pairs(y)[1])
    assert some.divergence() == pytest.approx(divergence, rel=1e-5)


def test_points_move_as_in_torch():
    start, affinities = islands(400, 3), joint(400)
    native, plain = descent(start, affinities), _Descent(affinities, torch.from_numpy(start))
    for some in (native, plain):
        some.run(5, 4.0, 0.8, 1.0)
        some.run(1, 1.0, 0.95, 1000.0)  # so fast that steps are cut short
    assert (np.linalg.norm(native.arrays["velocity"], axis=1) > compiled.FARTHEST).any()
    assert off(native.points, start) > 0.1
    np.testing.assert_allclose(native.points, plain.y.numpy(), atol=1e-3 * np.ptp(start))
    assert np.abs(native.points.mean(0)).max() < 1e-4


@pytest.mark.parametrize("num", [400, 1700])
@pytest.mark.parametrize("reach", [2, 40])
def test_results_do_not_depend_on_the_threads(num, reach):
    y, affinities = islands(num, reach), joint(num)
    made = []
    for threads in (1, 2, 3):
        some = descent(y, affinities)
        some.threads = threads
        some.run(3, 4.0, 0.8, 1.0)
        made.append((some.points, some.divergence()))
    for points, divergence in made[1:]:
        np.testing.assert_array_equal(points, made[0][0])
        assert divergence == made[0][1]


@pytest.mark.parametrize("num", [50, 1700])
def test_what_is_not_finite_is_passed_on(num):
    y = islands(num, 3)
    y[7, 1] = np.nan
    with np.errstate(invalid="ignore"):
        coordinates, divergence = descend(joint(num, density=0.2), y)
    assert not math.isfinite(divergence)
    assert not np.isfinite(coordinates).all()


@pytest.mark.heavy
@pytest.mark.parametrize("far", [1e3, 1e7])
def test_one_point_far_out_on_the_grid(far):
    y = islands(1700, 3)
    y[5] = far
    many = descent(y)
    assert math.isfinite(many.repel())
    assert np.isfinite(many.arrays["repulsion"]).all()
    many.run(3, 1.0, 0.8, 1.0)
    assert np.isfinite(many.points).all()
