"""Paths: ways against closed forms and scipy, the graph against Isomap's distances, directions against scikit-learn's PCA."""

import numpy as np
import pytest
from scipy.spatial import geometric_slerp
from sklearn.decomposition import PCA
from sklearn.manifold import Isomap

from latens.errors import UnknownName, UsageError
from latens.interpolation import PATHS, interpolate, kept_in_range, latent_arithmetic, principal_directions, traverse
from latens.interpolation.between_two import spherical
from latens.interpolation.graph import along_graph
from latens.neighbours import distance_ratios, usual_distance

rng = np.random.default_rng(0)
DATA = rng.normal(size=(60, 5)).astype(np.float32)


def horseshoe(count=400):
    """Points along three quarters of a circle of radius 1 in three dimensions."""
    angle = np.linspace(0, 1.5 * np.pi, count)
    return np.stack([np.cos(angle), np.sin(angle), np.zeros(count)], axis=1).astype(np.float32)


def off_circle(points):
    return np.abs(np.linalg.norm(points, axis=1) - 1)


@pytest.mark.parametrize("way", PATHS)
def test_contract(way):
    path = PATHS[way](DATA[3], DATA[7], 9, DATA)
    assert path.way == way
    assert path.latents.shape == (9, 5)
    assert path.latents.dtype == np.float32
    assert (path.latents[[0, -1]] == DATA[[3, 7]]).all()
    assert len(path.rows) == len(path.places)
    assert path.length >= np.linalg.norm(DATA[3] - DATA[7]) * (1 - 1e-6)
    again = interpolate(DATA[3:4], DATA[7:8], 9, way, DATA)
    assert (again.latents == path.latents).all()
    assert (interpolate(DATA[3], DATA[3], 4, way, DATA).latents == DATA[3]).all()
    assert (interpolate(DATA[3], DATA[7], 2, way, DATA).latents == DATA[[3, 7]]).all()
    backwards = PATHS[way](DATA[7], DATA[3], 9, DATA).latents[::-1]
    np.testing.assert_allclose(backwards, path.latents, atol=1e-6)


@pytest.mark.parametrize("way", PATHS)
def test_latents_of_a_relu_stay_at_zero_or_above(way):
    data = np.maximum(DATA, 0)
    assert PATHS[way](data[0], data[1], 21, data).latents.min() >= 0


def test_straight_line_has_its_midpoint_in_the_middle_and_equal_steps():
    path = interpolate(DATA[0], DATA[1], 5)
    np.testing.assert_allclose(path.latents[2], (DATA[0].astype(float) + DATA[1]) / 2, rtol=1e-6)
    steps = np.diff(path.latents.astype(float), axis=0)
    np.testing.assert_allclose(steps, steps[:1].repeat(4, 0), atol=1e-6)


def test_arc_is_scipys_slerp_on_the_sphere():
    a, b = (v / np.linalg.norm(v) for v in DATA[:2].astype(float))
    found = spherical(a, b, 13).latents
    np.testing.assert_allclose(found, geometric_slerp(a, b, np.linspace(0, 1, 13)), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


def test_arc_changes_its_length_evenly_and_moves_with_its_origin():
    a, b = 3 * DATA[0].astype(float), DATA[1].astype(float)
    norms = np.linalg.norm(spherical(a, b, 11).latents, axis=1)
    np.testing.assert_allclose(norms, np.linspace(np.linalg.norm(a), np.linalg.norm(b), 11), rtol=1e-5)
    moved = spherical(a + 5, b + 5, 11, origin=np.full(5, 5.0)).latents
    np.testing.assert_allclose(moved - 5, spherical(a, b, 11).latents, atol=1e-5)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ([0.0, 0.0], [2.0, 0.0], "one end is the origin"),
        ([3.0, 4.0], [0.0, 0.0], "one end is the origin"),
        ([1.0, 2.0], [-2.0, -4.0], "opposite sides"),
        ([1.0], [-3.0], "opposite sides"),
    ],
)
def test_where_there_is_no_arc_it_is_the_straight_line_and_said(start, end, said):
    path = spherical(start, end, 7)
    assert said in path.note
    assert (path.latents == interpolate(start, end, 7).latents).all()


def test_arc_between_parallel_and_nearly_opposite_latents_stays_between_their_lengths():
    assert spherical([1, 1], [3, 3], 3).latents.tolist() == [[1, 1], [2, 2], [3, 3]]
    for tilt in (1e-9, 1e-4, 1e-2):  # the formula on the latents themselves would reach 1 / tilt
        norms = np.linalg.norm(spherical([2.0, 0.0], [-1.0, tilt], 101).latents, axis=1)
        assert norms.max() <= 2 + 1e-6


def test_graph_stays_on_a_horseshoe_where_the_straight_line_leaves_it():
    data = horseshoe()
    graph, line = (interpolate(data[0], data[-1], 11, way, data) for way in ("graph", "linear"))
    spacing = np.linalg.norm(data[1] - data[0])
    assert off_circle(graph.latents).max() < spacing  # chords over up to 5 spacings: sagitta (5 s)² / 8
    assert off_circle(line.latents).max() == pytest.approx(1 - np.sqrt(0.5), abs=0.01)  # at the middle of the gap
    assert graph.length == pytest.approx(1.5 * np.pi, rel=0.01)
    assert distance_ratios(data, graph.latents).max() < 3  # at most half an edge of 5 spacings
    assert distance_ratios(data, line.latents).max() > 5
    steps = np.linalg.norm(np.diff(graph.latents, axis=0), axis=1)
    np.testing.assert_allclose(steps, steps.mean(), rtol=0.01)
    assert (np.diff(graph.rows) > 0).all()
    assert (graph.rows[0], graph.rows[-1]) == (0, 399)
    np.testing.assert_allclose(graph.places, graph.rows / 399, atol=0.01)


def test_graph_is_as_long_as_isomap_says():
    distances = Isomap(n_neighbors=6).fit(DATA.astype(float)).dist_matrix_
    for i, j in [(0, 1), (5, 40), (33, 2)]:
        path = along_graph(DATA[i], DATA[j], 11, DATA, neighbours=6)
        corners = DATA[path.rows].astype(float)
        assert np.linalg.norm(np.diff(corners, axis=0), axis=1).sum() == pytest.approx(distances[i, j], rel=1e-6)
        along = np.append(0, np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1)))
        np.testing.assert_allclose(path.places, along / along[-1], atol=1e-6)


def test_pieces_of_the_graph_are_joined_where_they_are_nearest():
    pieces = np.concatenate([rng.normal((20 * k, 0), 1, (30, 2)) for k in range(3)]).astype(np.float32)
    path = along_graph(pieces[0], pieces[-1], 11, pieces, neighbours=3)
    piece = path.rows // 30
    assert (np.diff(piece) >= 0).all()
    assert set(piece) == {0, 1, 2}  # through the one in between
    for k in (0, 1):
        leaves = int(np.flatnonzero(piece == k)[-1])
        hop = np.linalg.norm(pieces[path.rows[leaves]] - pieces[path.rows[leaves + 1]])
        between = np.linalg.norm(pieces[30 * k : 30 * k + 30, None] - pieces[None, 30 * k + 30 : 30 * k + 60], axis=2)
        assert hop == pytest.approx(between.min(), rel=1e-5)


def test_duplicates_and_ends_that_are_no_data():
    data = np.repeat(horseshoe(40), 20, axis=0)  # each would be the others' only neighbour
    path = along_graph(data[0], data[-1], 11, data)
    assert off_circle(path.latents).max() < 0.2
    assert (path.rows % 20 == 0).all()  # the first of equal ones
    outside = along_graph([3, 0, 0], [0, 3, 0], 5, data)
    assert outside.latents[[0, -1]].tolist() == [[3, 0, 0], [0, 3, 0]]
    assert outside.places[0] > 0
    assert outside.places[-1] < 1
    alone = along_graph([0, 0, 0], [1, 0, 0], 3, data[:1])
    assert alone.latents.shape == (3, 3)


def test_distance_ratios_are_in_units_of_the_distance_between_data():
    line = np.arange(10, dtype=np.float32)[:, None] * 2
    assert usual_distance(line) == 2
    assert distance_ratios(line, np.array([[4.0], [5.0], [24.0]])).tolist() == [0, 0.5, 3]
    assert np.isnan(distance_ratios(line[:1], line)).all()
    assert distance_ratios(np.zeros((5, 1), np.float32), np.array([[0.0], [1.0]])).tolist() == [0, np.inf]


@pytest.mark.parametrize("shape", [(60, 5), (6, 20)])
def test_directions_are_those_of_scikit_learn(shape):
    data = rng.normal(size=shape).astype(np.float32) * np.linspace(1, 3, shape[1], dtype=np.float32) + 4
    count = min(shape[0] - 1, shape[1])
    oracle = PCA(count, svd_solver="full").fit(data.astype(np.float64))
    mean, directions, deviations, shares = principal_directions(data)
    assert len(directions) == count  # six points span five directions
    np.testing.assert_allclose(mean, oracle.mean_, rtol=1e-6)
    np.testing.assert_allclose(deviations**2, oracle.explained_variance_, rtol=1e-5)
    np.testing.assert_allclose(shares, oracle.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(np.abs((directions * oracle.components_).sum(1)), 1, atol=1e-5)
    found = traverse(data, 3, 5, 2.0)
    assert found.deviations.tolist() == [-2, -1, 0, 1, 2]
    away = (found.latents - oracle.mean_) @ oracle.components_[:3].T  # (directions, steps, components)
    for k in range(3):
        wanted = np.abs(found.deviations) * np.sqrt(oracle.explained_variance_[k])
        np.testing.assert_allclose(np.abs(away[k, :, k]), wanted, atol=1e-3)
        np.testing.assert_allclose(np.delete(away[k], k, 1), 0, atol=1e-3)
    assert (found.cut == 0).all()


def test_traversals_go_through_a_latent_and_stop_at_the_walls_of_a_relu():
    data = np.maximum(DATA, 0)
    found = traverse(data, 2, 3, 3.0, middle=data[4])
    assert (found.latents[:, 1] == data[4]).all()
    assert found.latents.min() >= 0
    assert found.cut[:, 1].tolist() == [0, 0]
    assert found.cut.max() > 0
    _, directions, deviations, _ = principal_directions(data, 2)
    beyond = data[4] - 3 * deviations[:, None] * directions < 0
    np.testing.assert_allclose(found.cut[:, 0], beyond.mean(1))


def test_directions_without_variance_are_left_out():
    data = DATA * np.array([1, 1, 0, 0, 0], np.float32)
    assert traverse(data, 5).latents.shape == (2, 7, 5)


def test_walls_are_where_lowest_or_highest_values_come_again():
    points = np.array([[-9.0, 9.0]], np.float32)
    free = rng.normal(size=(50, 2)).astype(np.float32)
    assert (kept_in_range(points, free) == points).all()
    # Two rare zeros in different units: a ReLU that is seldom at rest.
    rare = np.abs(free) + 0.1
    rare[0, 0] = rare[1, 1] = 0
    assert kept_in_range(points, rare).tolist() == [[0, 9]]
    assert kept_in_range(points, np.round(np.tanh(free))).tolist() == [[-1, 1]]
    one = free.copy()
    one[:5, 0] = one[:, 0].min() - 1  # one unit alone has a wall
    assert kept_in_range(points, one)[0].tolist() == [one[:, 0].min(), 9]


def test_arithmetic_is_a_sum_of_float64():
    a, b, c = DATA[:3]
    np.testing.assert_allclose(latent_arithmetic([a, c], [b]), a.astype(float) - b + c, atol=1e-6)
    np.testing.assert_array_equal(latent_arithmetic([a[None]]), a)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interpolate(DATA[0], DATA[1], 1), "steps is 1; .*2 or more"),
        (lambda: interpolate(DATA[0], DATA[1, :4]), "start has 5 numbers and end 4"),
        (lambda: interpolate(DATA[:2], DATA[1]), r"start has the shape \(2, 5\)"),
        (lambda: interpolate([np.nan], [1.0]), "start holds NaN"),
        (lambda: interpolate(DATA[0], DATA[1], way="graph"), "give it those of the data"),
        (lambda: interpolate(DATA[0], DATA[1], 5, "graph", DATA[:, :3]), r"\(60, 3\).*\(N, 5\)"),
        (lambda: interpolate(DATA[0], DATA[1], 5, "graph", DATA * np.inf), "NaN or infinity"),
        (lambda: along_graph(DATA[0], DATA[1], 5, DATA, 0), "0 neighbours"),
        (lambda: spherical(DATA[0], DATA[1], origin=[0.0]), "start has 1 numbers"),
        (lambda: latent_arithmetic([]), "nothing to add"),
        (lambda: latent_arithmetic([[1.0]], [[1.0, 2.0]]), r"\[1, 2\] numbers"),
        (lambda: traverse(DATA, steps=4), "steps is 4; .*odd"),
        (lambda: traverse(DATA, steps=1), "steps is 1; .*odd"),
        (lambda: traverse(DATA, reach=0), "reach is 0"),
        (lambda: traverse(DATA, directions=0), "0 directions"),
        (lambda: traverse(DATA, middle=[1.0]), "middle has 1 numbers"),
        (lambda: traverse(np.ones((5, 3))), "without any variance"),
        (lambda: traverse(np.ones((1, 3))), "without any variance"),
    ],
)
def test_named_errors(call, message):
    with pytest.raises(UsageError, match=message):
        call()


def test_unknown_way_lists_the_known():
    with pytest.raises(UnknownName, match=r"unknown way 'zigzag'; known: graph, linear, spherical"):
        interpolate(DATA[0], DATA[1], way="zigzag")
