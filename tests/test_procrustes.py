"""Laying one map onto another: SciPy's Procrustes, and maps that are known to be turned, mirrored and scaled."""

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes

from latens.errors import UsageError
from latens.maps.procrustes import align


def turned(points, degrees, mirror, scale, shift):
    angle = np.radians(degrees)
    points = points * [1, -1] if mirror else points
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return points @ turn * scale + shift


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0, 37, 180, -120])
def test_a_map_that_was_moved_is_laid_onto_itself(degrees, mirror):
    points = np.random.default_rng(0).normal(size=(50, 2)) * [3, 1]
    onto = turned(points, degrees, mirror, 2.5, [7, -4])
    found = align(points, onto)
    assert found.mirrored == mirror
    assert abs((found.angle - degrees + 180) % 360 - 180) < 1e-9
    assert found.scale == pytest.approx(2.5)
    assert found.disparity == pytest.approx(0, abs=1e-12)
    assert found.apply(points) == pytest.approx(onto)
    assert found.undo(onto) == pytest.approx(points)


@pytest.mark.parametrize("noise", [0.1, 1.0, 30.0])
def test_it_is_scipy_s_on_points_that_fit_badly(noise):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(200, 2)).astype(np.float32)
    onto = turned(points, 70, True, 0.2, [100, 3]) + noise * rng.normal(size=(200, 2))
    found = align(points, onto)
    _, theirs, disparity = procrustes(onto, points)
    assert found.disparity == pytest.approx(disparity)
    x, y = points - points.mean(0, dtype=np.float64), onto - onto.mean(0)
    rotation, _ = orthogonal_procrustes(x, y)
    assert found.rotation == pytest.approx(rotation, abs=1e-6)
    placed = found.apply(points)
    assert placed.mean(0) == pytest.approx(onto.mean(0))
    assert placed.std(0) @ placed.std(0) == pytest.approx(onto.std(0) @ onto.std(0))  # the same size
    # SciPy's second is shrunk by what fits; its directions are ours.
    assert (placed - placed.mean(0)) / np.linalg.norm(placed - placed.mean(0)) == pytest.approx(
        theirs / np.linalg.norm(theirs), abs=1e-6
    )


def test_what_can_not_be_laid_onto_each_other_is_said():
    points = np.arange(8.0).reshape(4, 2) ** 2
    for wrong, said in (
        ((points, points[:3]), "the same"),
        ((points[:2], points[:2]), "2 pairs"),
        ((points, points * np.nan), "finite"),
        ((points, np.ones((4, 2))), "one place"),
    ):
        with pytest.raises(UsageError, match=said):
            align(*wrong)
