"""Search among stored latents: exact for any type, size and number of queries."""

import numpy as np
import pytest

from latens.errors import RunDamaged, UsageError
from latens.files import map_npy, map_npz, write_npz
from latens.neighbours import nearest_stored


def by_float64(points, queries, k, without=None):
    """The oracle: all distances in float64, ordered by distance and then by row."""
    distances = np.sqrt(np.square(points.astype(np.float64)[None] - queries.astype(np.float64)[:, None]).sum(2))
    if without is not None:
        distances[np.arange(len(queries)), without] = np.inf
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, rows, 1), rows


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int16"])
@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize("offset", [0, 3000])
def test_it_is_a_search_in_float64(monkeypatch, dtype, count, offset):
    monkeypatch.setattr("latens.neighbours.stored.BLOCK_VALUES", 900)  # several blocks
    rng = np.random.default_rng(count)
    points = (rng.normal(size=(700, 9)) * 20 + offset).astype(dtype)
    points[50:60] = points[40:50]  # ties go to the smaller row
    queries = (
        np.concatenate([points[40:41], points[rng.integers(0, 700, count - 1)]]) + rng.choice([0, 1e-6], count)[:, None]
    )
    distances, rows = nearest_stored(points, queries, 7)
    expected = by_float64(points, queries, 7)
    np.testing.assert_array_equal(rows, expected[1])
    np.testing.assert_allclose(distances, expected[0], rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e25])
@pytest.mark.parametrize("count", [1, 20])
def test_values_whose_squares_leave_float32(scale, count):
    points = (np.random.default_rng(0).normal(size=(300, 5)) * scale).astype(np.float32)
    _, rows = nearest_stored(points, points[:count], 4)
    np.testing.assert_array_equal(rows, by_float64(points, points[:count], 4)[1])


@pytest.mark.parametrize("count", [2, 30])
def test_one_point_a_query_is_left_out(count):
    points = np.random.default_rng(0).integers(0, 3, (200, 3)).astype(np.float32)  # many are equal
    own = np.arange(count) * 3
    _, rows = nearest_stored(points, points[own], 5, without=own)
    np.testing.assert_array_equal(rows, by_float64(points, points[own], 5, own)[1])


def test_fewer_points_than_were_asked_for():
    points = np.eye(3, dtype=np.float32)
    assert nearest_stored(points, points[:1], 10)[1].shape == (1, 3)
    assert nearest_stored(points, points[:1], 10, without=np.array([0]))[1].tolist() == [[1, 2]]
    assert nearest_stored(points[:0], points[:1], 10)[1].shape == (1, 0)


@pytest.mark.parametrize(
    ("points", "queries", "k", "message"),
    [
        (np.zeros((3, 2)), np.zeros((1, 3)), 1, "D the same"),
        (np.zeros((3, 2)), np.zeros((1, 2)), 0, "at least 1"),
        (np.zeros((3, 2)), np.full((1, 2), np.nan), 1, "queries hold NaN"),
        (np.full((3, 2), np.inf), np.zeros((1, 2)), 1, "latents hold NaN"),
        (np.full((3, 2), np.nan, np.float32), np.zeros((9, 2)), 1, "latents hold NaN"),
    ],
)
def test_what_can_not_be_searched(points, queries, k, message):
    with pytest.raises(UsageError, match=message):
        nearest_stored(points, queries, k)


def test_arrays_of_files_are_mapped(tmp_path):
    arrays = {"latents": np.arange(12, dtype=np.float32).reshape(4, 3), "ids": np.array(["a", "bb", "c", "d"])}
    arrays["empty"], arrays["columns"] = np.empty((0, 3)), np.asfortranarray(np.arange(6.0).reshape(2, 3))
    write_npz(tmp_path / "plain.npz", arrays)
    write_npz(tmp_path / "packed.npz", arrays, compress=True)
    np.save(tmp_path / "one.npy", arrays["latents"])
    for name in ("plain.npz", "packed.npz"):
        mapped = map_npz(tmp_path / name, ("latents",))
        assert isinstance(mapped["latents"], np.memmap) is (name == "plain.npz")
        assert mapped.keys() == arrays.keys()
        for key, array in arrays.items():
            np.testing.assert_array_equal(mapped[key], array)
    np.testing.assert_array_equal(map_npy(tmp_path / "one.npy"), arrays["latents"])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"not an array at all, but some text"])
def test_files_that_hold_no_arrays(tmp_path, content):
    (tmp_path / "bad").write_bytes(content)
    for read in (map_npy, map_npz):
        with pytest.raises(RunDamaged, match="not readable"):
            read(tmp_path / "bad")
        with pytest.raises(RunDamaged, match="missing"):
            read(tmp_path / "none")


def test_arrays_of_objects_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", latents=np.array([{}, 1], dtype=object))
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object))
    with pytest.raises(RunDamaged):
        map_npz(tmp_path / "objects.npz")
    with pytest.raises(RunDamaged):
        map_npy(tmp_path / "objects.npy")


def test_an_array_that_must_be_there(tmp_path):
    write_npz(tmp_path / "a.npz", {"x": np.zeros(2)})
    with pytest.raises(RunDamaged, match=r"no array 'latents'; it has x"):
        map_npz(tmp_path / "a.npz", ("latents",))
