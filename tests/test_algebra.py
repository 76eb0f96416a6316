"""Principal axes, against scikit-learn's."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from latens.algebra import RunningMoments, axes_of_scatter, principal_axes


@pytest.mark.parametrize("shape", [(50, 6), (6, 50), (9, 9), (2, 3), (1, 4)])
def test_axes_are_those_of_scikit_learn(shape):
    points = np.random.default_rng(0).normal(size=shape) * np.linspace(1, 3, shape[1])
    squares, axes = principal_axes(points - points.mean(0))
    count = min(shape[0] - 1, shape[1])  # beyond, there is no variance
    if count:
        truth = PCA(count, svd_solver="full").fit(points)
        np.testing.assert_allclose(squares[:count] / (shape[0] - 1), truth.explained_variance_, rtol=1e-9)
        np.testing.assert_allclose(np.abs((axes[:count] * truth.components_).sum(1)), 1, rtol=1e-9)
    assert (squares >= 0).all()
    np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-9)
    assert (np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1) > 0).all()


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_moments_by_blocks_are_those_of_all_points(offset):
    points = np.random.default_rng(1).normal(size=(1000, 5)) * np.linspace(1, 3, 5) + offset
    moments, other = RunningMoments(5), RunningMoments(5)
    for start, stop in ((0, 1), (1, 1), (1, 400), (400, 993)):
        moments.add(points[start:stop])
    other.add(points[993:])
    other.merge(RunningMoments(5))
    moments.merge(other)
    assert moments.count == 1000
    np.testing.assert_allclose(moments.mean, points.mean(0), rtol=1e-14)
    np.testing.assert_allclose(moments.covariance, np.cov(points.T, ddof=0), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(
        axes_of_scatter(moments.scatter)[1], principal_axes(points - points.mean(0))[1], atol=1e-6
    )
