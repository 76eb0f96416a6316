"""What an earlier search found answers for later ones exactly, or says where it can't."""

import numpy as np
import pytest

from latens.neighbours import nearest_neighbours, nearest_of_known, reach_of


@pytest.mark.parametrize("share", [0.9, 0.3])
def test_what_a_search_found_answers_for_some_of_the_points_or_says_that_it_can_not(share):
    rng = np.random.default_rng(3)
    points = rng.normal(size=(900, 5)).astype(np.float32)
    points[100:104] = points[100]  # equal ones, ordered by index
    among = rng.random(900) < share
    distances, near = nearest_neighbours(points, k=50, exact=False)
    rows = np.arange(0, 900, 3)
    found, sure = nearest_of_known(points, near[:, :16].astype(np.int32), reach_of(distances, 16), rows, 5, among)
    squares = ((points[rows, None].astype(np.float64) - points) ** 2).sum(2)
    squares[np.arange(len(rows)), rows] = np.inf
    squares[:, ~among] = np.inf
    exact = np.argsort(squares, axis=1, kind="stable")[:, :5]
    np.testing.assert_array_equal(found[sure], exact[sure])
    low, high = (0.9, 1) if share > 0.5 else (0.1, 0.9)
    assert low < sure.mean() <= high
