"""The engine of t-SNE against sums over all pairs, closed forms and openTSNE."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform
from sklearn.datasets import load_digits, load_iris

from latens.maps.affinities import joint_affinities, negative_entropy
from latens.maps.descent import descend
from latens.maps.repulsion import ExactRepulsion, GridRepulsion
from latens.maps.tsne import TSNEMap, _by_opentsne, _start
from latens.neighbours import nearest_neighbours, neighbours_kept


@pytest.fixture(scope="module")
def digits():
    return load_digits().data.astype(np.float32)


def islands(num, reach):
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(20, 2, generator=generator) * reach
    return centres[torch.randint(0, 20, (num,), generator=generator)] + torch.randn(num, 2, generator=generator)


def all_pairs(y):
    """Forces and normalisation in float64, as the formula says."""
    y = y.double().numpy()
    apart = y[:, None] - y
    weights = 1 / (1 + (apart**2).sum(2))
    return ((weights**2)[:, :, None] * apart).sum(1), weights.sum() - len(y)


@pytest.mark.parametrize("reach", [0.001, 1, 30])
def test_exact_repulsion(reach):
    y = islands(400, reach)
    forces, total = ExactRepulsion()(y)
    expected, expected_total = all_pairs(y)
    np.testing.assert_allclose(forces, expected, atol=1e-4 * np.abs(expected).max())
    assert total == pytest.approx(expected_total, rel=1e-5)


@pytest.mark.parametrize("reach", [1, 10, 60])
def test_repulsion_on_the_grid_is_that_of_all_pairs(reach):
    y = islands(2000, reach)
    forces, total = GridRepulsion()(y)
    expected, expected_total = all_pairs(y)
    error = np.linalg.norm(forces.numpy() - expected) / np.linalg.norm(expected)
    assert error < 0.02
    assert total == pytest.approx(expected_total, rel=0.002)
    finer = GridRepulsion(0.25)(y)[0]
    assert np.linalg.norm(finer.numpy() - expected) < 0.3 * error * np.linalg.norm(expected)  # it converges


def test_repulsion_on_the_grid_adds_up_to_nothing():
    forces, _ = GridRepulsion()(islands(2000, 10))
    assert forces.sum(0).abs().max() < 1e-3 * forces.abs().sum()
    alone, total = GridRepulsion()(torch.tensor([[0.3, 0.4], [200.0, 100.0]]))
    assert alone.abs().max() < 1e-4  # no force of a point upon itself
    assert total == pytest.approx(0, abs=0.03)  # a point with itself counts as the spline sees it: 0.99, not 1


def test_a_grid_that_was_outgrown_is_made_anew():
    repulsion = GridRepulsion()
    for reach in (1, 40, 3):
        y = islands(1600, reach)
        forces, _ = repulsion(y)
        expected, _ = all_pairs(y)
        assert np.linalg.norm(forces.numpy() - expected) < 0.02 * np.linalg.norm(expected)
    sizes = repulsion.size
    repulsion(torch.tensor([[0.0, 0.0], [5000.0, 1.0]]))  # wider than a grid of this spacing may be
    assert sizes < repulsion.size < 2000


def test_the_grid_passes_on_what_is_not_finite():
    forces, total = GridRepulsion()(torch.tensor([[0.0, 1.0], [math.nan, 2.0]]))
    assert forces.isnan().all()
    assert math.isnan(total)


def test_far_outliers_are_no_reason_to_fall_back(digits):
    latents = digits[:300].copy()
    latents[0] += 1e4
    latents[1:4] -= 1e6
    a_map = TSNEMap().fit(latents)
    assert np.isfinite(a_map.coordinates).all()
    assert "openTSNE" not in a_map.note


def test_affinities_are_symmetric_with_sum_one_and_the_perplexity(digits):
    distances, indices = nearest_neighbours(digits, k=90)
    joint = joint_affinities(distances, indices, 30.0)
    assert joint.sum() == pytest.approx(1)
    assert abs(joint - joint.T).max() < 1e-15
    assert joint.data.min() > 0
    # By the definition, from all distances: the width of one row by a search of its own.
    squares = squareform(pdist(digits.astype(np.float64)))[5] ** 2
    near = np.argsort(squares)[1:91]
    precisions = np.geomspace(1e-6, 1, 200_001)
    weights = np.exp(-precisions[:, None] * (squares[near] - squares[near].min()))
    weights /= weights.sum(1, keepdims=True)
    entropies = -(weights * np.log(weights)).sum(1)
    row = weights[np.abs(entropies - math.log(30)).argmin()]
    conditional = joint_affinities(distances, indices, 30.0) * len(digits) * 2
    back = np.array([conditional[5, j] for j in near])
    one_sided = [5 not in indices[j] for j in near]
    np.testing.assert_allclose(back[one_sided], row[one_sided], rtol=2e-3)


def test_affinities_that_are_all_but_zero_stay_above_it():
    distances, indices = nearest_neighbours(load_iris().data, k=90)
    joint = joint_affinities(distances, indices, 30.0)
    assert joint.data.min() > 0
    assert np.isfinite(negative_entropy(joint.data))


def divergence(affinities, y):
    squares = squareform(pdist(y.astype(np.float64))) ** 2
    similarity = 1 / (1 + squares)
    np.fill_diagonal(similarity, 0)
    joint = affinities.tocoo()
    q = similarity[joint.row, joint.col] / similarity.sum()
    return (joint.data * np.log(joint.data / q)).sum()


def test_the_map_is_no_worse_than_opentsnes(digits):
    distances, indices = nearest_neighbours(digits, k=90)
    affinities = joint_affinities(distances, indices, 30.0)
    start = _start(digits, 0)
    ours, reported = descend(affinities, start)
    theirs = _by_opentsne(distances, indices, 30.0, start, 0)
    mine = divergence(affinities, ours)
    assert mine <= 1.01 * divergence(affinities, theirs)
    assert reported == pytest.approx(mine, rel=0.01)
    assert neighbours_kept(digits, ours).mean() >= neighbours_kept(digits, theirs).mean() - 0.01


def test_opentsne_steps_in_where_numbers_are_not_finite(monkeypatch, digits):
    monkeypatch.setattr("latens.maps.tsne.descend", lambda *_: (np.full((60, 2), np.nan, np.float32), math.nan))
    a_map = TSNEMap().fit(digits[:60])
    assert np.isfinite(a_map.coordinates).all()
    assert "openTSNE" in a_map.note
