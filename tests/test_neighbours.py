"""Nearest neighbours against brute force in float64."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from latens.errors import UsageError
from latens.neighbours import Neighbours, nearest_neighbours, neighbours_kept, search, usual_distance
from latens.neighbours.layout import layout_of


@pytest.fixture(params=[16, 8, 4, "torch"], autouse=True)
def path(request, monkeypatch):
    """Every test by the kernels in C, with each of the instruction sets that are there, and by torch's operators."""
    if request.param == "torch":
        monkeypatch.setattr(search, "library", lambda: None)
    else:
        request.getfixturevalue("instruction_sets")(request.param)


def brute_force(points, queries=None, k=10):
    """Differences in float64, ties by index: the definition, row by row."""
    own = queries is None
    points = np.asarray(points, np.float64)
    queries = points if own else np.asarray(queries, np.float64)
    distances, indices = np.empty((len(queries), k)), np.empty((len(queries), k), np.int64)
    for row, query in enumerate(queries):
        all_distances = np.sqrt(((points - query) ** 2).sum(1))
        if own:
            all_distances[row] = np.inf
        indices[row] = np.lexsort((np.arange(len(points)), all_distances))[:k]
        distances[row] = all_distances[indices[row]]
    return distances, indices


def cloud(kind, num=400, dim=17):
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(num, dim)).astype(np.float32)
    if kind == "plain":
        return plain
    if kind == "far from the origin":  # |x|² + |y|² - 2xy without centring loses all digits here
        return plain + np.float32(10000)
    if kind == "duplicates":
        return plain[rng.integers(0, 20, num)]
    if kind == "whole numbers":  # many exact ties
        return rng.integers(0, 2, (num, 6)).astype(np.uint8)
    if kind == "all equal":
        return np.full((num, dim), 0.1, np.float32)
    if kind == "one far out":  # scaled by the outlier, the rest coincide in float32
        plain[7] = 1e15
        return plain
    if kind == "one rather far out":  # here float64 resolves what float32 does not
        plain[7] = 1e6
        return plain
    if kind == "double":  # differences below what float32 resolves
        return 1 + 1e-9 * plain.astype(np.float64)
    raise AssertionError(kind)


KINDS = [
    "plain",
    "far from the origin",
    "duplicates",
    "whole numbers",
    "all equal",
    "one far out",
    "one rather far out",
    "double",
]


@pytest.mark.parametrize("kind", KINDS)
def test_equals_brute_force_in_float64(kind):
    points = cloud(kind)
    distances, indices = nearest_neighbours(points, k=12)
    expected_distances, expected_indices = brute_force(points, k=12)
    assert distances.dtype == np.float32
    assert indices.dtype == np.int64
    if kind == "one far out":  # its own neighbours differ by the last bit of float64 only: no order to compare
        indices, expected_indices = np.delete(indices, 7, 0), np.delete(expected_indices, 7, 0)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_queries_equal_brute_force_in_float64(kind):
    points = cloud(kind)
    queries = np.concatenate([points[10:40], points[10:40] + points[40:70]])
    distances, indices = nearest_neighbours(points, queries, k=5)
    expected_distances, expected_indices = brute_force(points, queries, k=5)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-6)


def test_equals_scikit_learn_on_more_points():
    points = np.maximum(np.random.default_rng(1).normal(size=(3000, 32)), 0)
    distances, indices = nearest_neighbours(points, k=30)
    oracle = NearestNeighbors(n_neighbors=30, algorithm="brute").fit(points)
    expected_distances, expected_indices = oracle.kneighbors()
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-6)


@pytest.mark.parametrize("kind", ["plain", "duplicates"])
def test_block_size_does_not_change_the_result(kind, monkeypatch):
    points = cloud(kind)
    whole = nearest_neighbours(points, k=7)
    for block in (1, 33, 400):
        for part, expected in zip(nearest_neighbours(points, k=7, block=block), whole, strict=True):
            np.testing.assert_array_equal(part, expected)
    monkeypatch.setattr(search, "BLOCK_BYTES", 4096)  # also the gathered candidates in many small parts
    for part, expected in zip(nearest_neighbours(points, k=7), whole, strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("kind", ["all equal", "duplicates", "one rather far out"])
def test_many_equal_or_crowded_points_are_not_searched_one_by_one(kind, monkeypatch):
    alone = []
    kth = torch.Tensor.kthvalue
    monkeypatch.setattr(torch.Tensor, "kthvalue", lambda *given: alone.append(1) or kth(*given))
    points = cloud(kind, num=3000)
    nearest_neighbours(points, k=5)
    nearest_neighbours(points, points[:1000], k=5)
    assert len(alone) <= 4


def test_a_point_is_its_own_neighbour_only_when_asked():
    points = cloud("plain", num=5)
    assert (nearest_neighbours(points, k=4)[1] != np.arange(5)[:, None]).all()
    distances, indices = nearest_neighbours(points, k=5, exclude_self=False)
    np.testing.assert_array_equal(indices[:, 0], np.arange(5))
    np.testing.assert_array_equal(distances[:, 0], 0)


def test_no_queries_give_empty_results():
    distances, indices = nearest_neighbours(np.zeros((3, 2)), np.zeros((0, 2)), k=2)
    assert distances.shape == indices.shape == (0, 2)


def test_read_only_and_strided_input_is_taken():
    points = cloud("plain")
    expected = nearest_neighbours(np.ascontiguousarray(points[::2, ::3]), k=3)[1]
    points.setflags(write=False)
    np.testing.assert_array_equal(nearest_neighbours(points[::2, ::3], k=3)[1], expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": np.zeros(4)}, "shapes"),
        ({"points": np.zeros((4, 2)), "queries": np.zeros((1, 3)), "k": 1}, "shapes"),
        ({"points": np.zeros((4, 2)), "k": 4}, "give k from 1 to 3"),
        ({"points": np.zeros((4, 2)), "queries": np.zeros((1, 2)), "k": 5}, "give k from 1 to 4"),
        ({"points": np.zeros((4, 2)), "k": 0}, "give k from 1 to 3"),
        ({"points": np.array([[0.0], [np.nan], [1.0]]), "k": 1}, "points hold NaN"),
        ({"points": np.zeros((3, 1)), "queries": np.array([[np.inf]]), "k": 1}, "queries hold NaN"),
        ({"points": np.zeros((3, 1)), "queries": np.zeros((3, 1)), "k": 1, "exclude_self": True}, "exclude_self"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(UsageError, match=message):
        nearest_neighbours(**arguments)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("kind", ["cloud", "far clusters", "duplicates"])
def test_many_points_are_ranked_by_groups_first(exact, kind):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4001, 8)).astype(np.float32)  # not a multiple of the groups
    if kind == "far clusters":  # where products in float32 say nothing about neighbours
        points += 1e5 * rng.integers(0, 3, (4001, 1)).astype(np.float32)
    if kind == "duplicates":
        points[1000:2000] = points[:1000]
    distances, indices = nearest_neighbours(points, k=5, exact=exact)
    expected, _ = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(points.astype(np.float64)).kneighbors()
    np.testing.assert_allclose(distances, expected[:, :5], rtol=1e-3, atol=2e-3)
    assert (indices != np.arange(4001)[:, None]).all()
    true = np.linalg.norm(points[indices].astype(np.float64) - points[:, None], axis=2)
    np.testing.assert_allclose(true, expected[:, :5], rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("kind", ["cloud", "duplicates", "far clusters"])
def test_what_is_known_of_the_neighbours_saves_a_search_and_changes_nothing(kind):
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(500, 8)).astype(np.float32)
    if kind == "duplicates":
        latents[100:] = latents[rng.integers(0, 100, 400)]
    if kind == "far clusters":
        latents += 1e5 * rng.integers(0, 3, (500, 1)).astype(np.float32)
    coordinates = latents[:, :2]
    for k in (30, 15):  # enough, and too few
        known = nearest_neighbours(latents, k=k, exact=False)
        kept = neighbours_kept(latents, coordinates, known=known)
        np.testing.assert_array_equal(kept, neighbours_kept(latents, coordinates))


def long_axes(kind, num=2500, dim=40):
    """Points of which a few axes hold most of the variance: by these, most products need not be finished."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(num, dim)) / np.arange(1, dim + 1)
    if kind == "clusters":
        points += 3 * rng.integers(0, 5, (num, 1)) * rng.normal(size=dim)
    if kind == "one axis":
        points[:, 1:] *= 1e-4
    if kind == "one far out":
        points[7] = 1e4
    if kind == "some twice":
        points[2000:] = points[:500]
    return (points @ np.linalg.qr(rng.normal(size=(dim, dim)))[0]).astype(np.float32)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("kind", ["plain", "clusters", "one axis", "one far out", "some twice"])
def test_products_that_are_not_finished_hide_no_neighbour(exact, kind):
    points = long_axes(kind)
    queries = points[::7] + np.float32(0.1)
    centre = points.mean(0)
    lengths = np.linalg.norm(points - centre, axis=1)
    for own in (None, queries):
        for k in (1, 12):
            distances, indices = nearest_neighbours(points, own, k, exact=exact)
            expected_distances, expected_indices = brute_force(points, own, k)
            allowed = 1e-6 * expected_distances + 1e-7
            if not exact:  # a sum of D products of float32 is off by at most D rounding units of the two lengths
                asked = np.linalg.norm((points if own is None else own) - centre, axis=1)[:, None]
                allowed += np.sqrt(points.shape[1] * 2.0**-24) * (asked + lengths[expected_indices])
            assert (np.abs(distances - expected_distances) <= allowed).all()
            if exact:
                np.testing.assert_array_equal(indices, expected_indices)


@pytest.mark.parametrize("num", [1024, 1500, 5000])
def test_the_tree_of_halves_holds_each_point_once_and_finds_it_again(num):
    points = torch.from_numpy(long_axes("plain", num)).double()
    layout = layout_of(points - points.mean(0))
    assert layout.axes is not None
    np.testing.assert_array_equal(np.sort(layout.order), np.arange(num))
    turned = layout.turned(points - points.mean(0))
    np.testing.assert_allclose(turned.norm(dim=1), (points - points.mean(0)).norm(dim=1), rtol=1e-6)
    leaf = np.searchsorted(layout.starts, np.arange(num), side="right")  # of each place in the order
    found = np.searchsorted(layout.starts, layout.place(turned)[layout.order], side="right")
    assert (found == leaf).mean() > 0.98  # points on the edge of a half, but for rounding, may lie on either side


@pytest.mark.parametrize("num", [1, 31, 48, 49, 1000])
@pytest.mark.parametrize("dim", [1, 2, 64])
def test_shapes_that_are_no_multiples_of_anything(num, dim):
    rng = np.random.default_rng(num)
    points, queries = rng.normal(size=(num, dim)), rng.normal(size=(num // 2 + 1, dim))
    for k in {1, min(num, 10), num}:
        distances, indices = nearest_neighbours(points, queries, k)
        expected_distances, expected_indices = brute_force(points, queries, k)
        np.testing.assert_array_equal(indices, expected_indices)
        np.testing.assert_allclose(distances, expected_distances, rtol=1e-6)


def test_results_do_not_depend_on_the_threads():
    points = cloud("whole numbers", num=3000)
    one = nearest_neighbours(points, k=9, exact=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        other = nearest_neighbours(points, k=9, exact=False)
    finally:
        torch.set_num_threads(threads)
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("k", [1, 25, 2000])
def test_points_prepared_once_give_the_same(k):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3000, 16)).astype(np.float32)
    near = Neighbours(points)
    for queries in (points[:5], rng.normal(size=(3, 16)), points[:2] * 1e3, points[:2] * 1e15, np.zeros((0, 16))):
        for found, wanted in zip(near.nearest(queries, k), nearest_neighbours(points, queries, k), strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_prepared_points_are_checked():
    with pytest.raises(UsageError, match="4 neighbours were asked for"):
        Neighbours(np.zeros((3, 2))).nearest(np.zeros((1, 2)), 4)
    with pytest.raises(UsageError, match="queries hold NaN"):
        Neighbours(np.zeros((3, 2))).nearest(np.full((1, 2), np.nan))
    with pytest.raises(UsageError, match="points hold NaN"):
        Neighbours(np.full((3, 2), np.nan))


def test_the_usual_distance_of_many_is_that_of_ten_thousand():
    latents = np.random.default_rng(0).normal(size=(12_000, 4)).astype(np.float32)
    latents[1] = latents[0]  # each is the other's nearest
    nearest = np.sort(nearest_neighbours(latents, k=2, exclude_self=False)[0], 1)[:, 1]
    asked = np.linspace(0, 11_999, 10_000).round().astype(int)
    assert usual_distance(latents) == np.median(nearest[asked])
    assert usual_distance(latents) == pytest.approx(np.median(nearest), rel=0.02)
    few = latents[:10_000]
    assert usual_distance(few) == np.median(nearest_neighbours(few, k=1)[0])


@pytest.mark.parametrize("copies", [2, 10])
def test_where_most_latents_are_duplicates_the_usual_distance_is_between_different_ones(copies):
    line = np.arange(20.0)[:, None] * 3
    assert usual_distance(np.repeat(line, copies, 0)) == 3
    assert usual_distance(np.ones((8, 2))) == 0  # there are no different ones
