"""Approximate neighbours: most of the exact ones, at their true distances."""

import numpy as np
import pytest

from latens.maps import MAPS
from latens.neighbours import (
    Cells,
    Neighbours,
    can_search_cells,
    nearest_neighbours,
    neighbours_kept,
    placed_neighbours_kept,
)

pytestmark = pytest.mark.skipif(not can_search_cells(), reason="the kernels were not built")


@pytest.fixture(scope="module")
def points():
    """Twenty clusters about planes in 24 dimensions."""
    rng = np.random.default_rng(0)
    centres, bases = rng.normal(size=(20, 24)) * 3, rng.normal(size=(20, 5, 24))
    which = rng.integers(0, 20, 20_000)
    spread = np.einsum("nk,nkd->nd", rng.normal(size=(20_000, 5)), bases[which])
    return (centres[which] + spread + rng.normal(size=spread.shape) * 0.05).astype(np.float32)


def recall(found, truth):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, truth, strict=True)])


def test_most_neighbours_are_found_at_their_distances(points):
    rows = np.arange(0, len(points), 20)
    distances, indices = Cells(points).nearest(k=30)
    truth = nearest_neighbours(points, k=30)[1]
    assert recall(indices[rows], truth[rows]) > 0.98
    assert (indices != np.arange(len(points))[:, None]).all()
    apart = np.linalg.norm(points[indices[rows]].astype(np.float64) - points[rows, None], axis=2)
    np.testing.assert_allclose(distances[rows], apart, rtol=1e-3)
    assert (np.diff(distances, axis=1) >= 0).all()


def test_queries_may_be_others(points):
    queries = points[:500] + np.float32(0.1)
    found = Cells(points).nearest(queries, 10)[1]
    assert recall(found, nearest_neighbours(points, queries, 10)[1]) > 0.98
    assert Cells(points).nearest(queries[:0], 10)[1].shape == (0, 10)


def test_all_cells_give_the_exact_neighbours(points):
    some = points[:3000]
    for own in (True, False):
        queries = None if own else points[3000:3400]
        distances, indices = Cells(some, probed=10**6).nearest(queries, 12)
        truth = nearest_neighbours(some, queries, 12)
        np.testing.assert_array_equal(indices, truth[1])
        np.testing.assert_allclose(distances, truth[0], rtol=1e-3)


def test_where_cells_hold_too_few_the_search_is_exact(points):
    some = points[:400]
    distances, indices = Cells(some, probed=1).nearest(k=350)
    truth = nearest_neighbours(some, k=350)
    np.testing.assert_allclose(distances, truth[0], rtol=1e-3)
    assert (indices != np.arange(400)[:, None]).all()


def test_equal_points(points):
    some = np.repeat(points[:40], 100, axis=0)
    distances, indices = Cells(some).nearest(k=20)
    assert (distances == 0).all()
    assert (some[indices] == some[:, None]).all()
    assert (indices != np.arange(len(some))[:, None]).all()


def test_near_points_far_from_the_rest(points):
    """Where products are rounded more than the points are apart, distances are those of differences."""
    some = points[:2000].copy()
    some[:100] = 1e4 + 1e-2 * points[:100]
    distances, indices = Cells(some).nearest(k=5)
    apart = np.linalg.norm(some[indices].astype(np.float64) - some[:, None], axis=2)
    np.testing.assert_allclose(distances[:100], apart[:100], rtol=1e-6)


def test_in_a_plane_all_are_found(points):
    plane = points[:, :2].copy()
    assert recall(Cells(plane).nearest(k=10)[1], nearest_neighbours(plane, k=10)[1]) > 0.9999


def test_trust_of_many_points_is_that_of_few(points, monkeypatch):
    latents, places = points[:3000], points[:3000, :2].copy()
    truth = neighbours_kept(latents, places)
    monkeypatch.setattr("latens.neighbours.kept.MANY", 1000)
    np.testing.assert_allclose(neighbours_kept(latents, places), truth, atol=0.11)
    assert (neighbours_kept(latents, places) == truth).mean() > 0.999


def test_a_large_map_is_made_of_them(points, monkeypatch):
    monkeypatch.setattr("latens.maps.tsne.MANY", 1000)
    made, exact = MAPS["tsne"]().fit(points[:1500]), None
    assert "approximate neighbours" in made.note
    monkeypatch.undo()
    exact = MAPS["tsne"]().fit(points[:1500])
    assert "approximate" not in exact.note
    assert made.trust.mean() == pytest.approx(exact.trust.mean(), abs=0.02)


def test_known_neighbours_save_a_search(points):
    known, shown = Neighbours(points[:1000]), Neighbours(points[:1000, :2].copy())
    placed, places = points[1000:1200], points[1000:1200, :2]
    near = known.nearest(placed, 25)[1]
    np.testing.assert_array_equal(
        placed_neighbours_kept(known, shown, placed, places),
        placed_neighbours_kept(known, shown, placed, places, near=near),
    )
