"""Paths: ways against closed forms, the graph on a planted manifold, traversals against scikit-learn."""

import numpy as np
import pytest

from latens.paths import PATHS, interpolate

rng = np.random.default_rng(0)
DATA = rng.normal(size=(60, 5)).astype(np.float32)


@pytest.mark.parametrize("way", PATHS)
def test_contract(way):
    path = PATHS[way](DATA[3], DATA[7], 9, DATA)
    assert path.way == way
    assert path.latents.shape == (9, 5)
    assert path.latents.dtype == np.float32
    assert (path.latents[[0, -1]] == DATA[[3, 7]]).all()
    again = interpolate(DATA[3:4], DATA[7:8], 9, way, DATA)
    assert (again.latents == path.latents).all()
