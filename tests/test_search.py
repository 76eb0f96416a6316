"""Search among stored latents: exact for any type, size and number of queries."""

import json

import numpy as np
import pytest
from PIL import Image

import latens
from conftest import make_blobs
from latens import cli, sheets
from latens.computed import encode_source
from latens.computed.stored import StoredParts
from latens.errors import RunDamaged, UsageError
from latens.exports.latents_parts import encode_in_parts
from latens.files import map_npy, map_npz, write_npz
from latens.neighbours import nearest_stored
from latens.progress import Silent


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


# ---- of a run


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A run on a folder of classes, and the folder."""
    folder = tmp_path_factory.mktemp("search")
    pixels, labels = make_blobs(80)
    for row, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / "shapes" / "xyz"[label] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[0]).save(path)
    run = latens.run(folder / "shapes", out=folder / "run", epochs=1, latent_dim=4, device="cpu", progress=Silent())
    return folder, run


def test_an_id_finds_its_neighbours_but_not_itself(searched):
    _, run = searched
    latents, ids = run.latents["latents"], run.latents["ids"]
    found = run.search(str(ids[5]), k=4)
    expected = by_float64(latents, latents[5:6], 4, np.array([5]))
    assert found.ids.tolist() == ids[expected[1]].tolist()
    np.testing.assert_allclose(found.distances, expected[0], rtol=1e-6)
    one = found.neighbours()[0]
    row = int(np.flatnonzero(ids == one["id"])[0])
    assert one["label"] == run.class_names[run.latents["labels"][row]] == one["id"][0]
    assert (one["rank"], one["row"], one["part"]) == (1, row, ("train", "test")[run.latents["part"][row]])


def test_files_arrays_and_latents_find_the_same(searched):
    folder, run = searched
    path = folder / "shapes" / "x" / "0.png"
    with Image.open(path) as picture:
        pixels = np.asarray(picture)[None, None]
    by_file = run.search(path, k=3)
    assert by_file.ids[0, 0] == "x/0.png"
    assert by_file.distances[0, 0] < 1e-4
    images = latens.load_images(folder / "shapes").train
    assert run.search(images[:2], k=3).queries.tolist() == images.ids[:2].tolist()
    for what in (pixels, [path], run.encode(pixels), run.encode(pixels)[0], [str(path)]):
        np.testing.assert_array_equal(run.search(what, k=3).ids, by_file.ids)
    together = run.search([path, "x/0.png", folder / "shapes" / "y"], k=2)
    assert together.queries[:3].tolist() == ["0.png", "x/0.png", "1.png"]
    assert [pixels is None for pixels in together.query_pixels[:3]] == [False, True, False]
    assert (together.query_rows >= 0).sum() == 1


def test_a_file_of_latents_is_searched_instead(searched, tmp_path):
    folder, run = searched
    arrays = encode_source(run, folder / "shapes" / "y").arrays
    write_npz(tmp_path / "y.npz", arrays)
    np.save(tmp_path / "y.npy", arrays["latents"])
    found = run.search(folder / "shapes/x/0.png", 3, within=tmp_path / "y.npz")
    assert set(found.ids.ravel()) <= set(arrays["ids"])
    assert found.parts is None
    assert found.labels is None
    assert run.search("1", k=2, within=tmp_path / "y.npy").ids.shape == (1, 2)  # rows of an array are its ids


@pytest.fixture(params=["polars", "pyarrow"])
def parts(request, searched, tmp_path, monkeypatch):
    """The latents of all images in parts of seven, and in one file of the same order."""
    folder, run = searched
    monkeypatch.setattr(sheets, "LIBRARIES", (request.param,))
    encode_in_parts(run, folder / "shapes", tmp_path / "parts", rows=7)
    arrays = encode_source(run, folder / "shapes").arrays
    write_npz(tmp_path / "all.npz", arrays)
    return run, tmp_path / "parts", tmp_path / "all.npz", arrays


def test_parts_are_searched_as_one_file_is(parts, searched):
    run, folder, file, arrays = parts
    picture = searched[0] / "shapes" / "x" / "0.png"
    for what in ("x/0.png", picture, arrays["latents"][[3, 40, 41]]):
        in_parts, in_file = run.search(what, 9, within=folder), run.search(what, 9, within=file)
        np.testing.assert_array_equal(in_parts.ids, in_file.ids)
        np.testing.assert_array_equal(in_parts.rows, in_file.rows)
        np.testing.assert_allclose(in_parts.distances, in_file.distances, rtol=1e-5, atol=1e-5)
        assert in_parts.searched == in_file.searched == 80
        assert in_parts.query_rows.tolist() == in_file.query_rows.tolist()
    names = [one.split("/")[0] for one in in_parts.ids.ravel()]
    assert in_parts.labels.ravel().tolist() == names
    assert in_parts.parts is None
    everything = run.search("x/0.png", 100, within=folder)
    assert everything.ids.shape == (1, 79)
    assert "x/0.png" not in everything.ids


def test_parts_without_labels(searched, tmp_path):
    _, run = searched
    encode_in_parts(run, make_blobs(30)[0], tmp_path / "parts", rows=20)
    found = run.search("29", 2, within=tmp_path / "parts")
    assert found.labels is None
    assert found.query_rows.tolist() == [29]


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_a_part_whose_images_were_all_unreadable(library, tmp_path, monkeypatch):
    monkeypatch.setattr(sheets, "LIBRARIES", (library,))
    for number, rows in enumerate((0, 5)):
        columns = {"id": np.arange(rows).astype(str), "latent": np.ones((rows, 4), np.float32)}
        (tmp_path / f"latents-0000{number}-of-00002.parquet").write_bytes(sheets.as_parquet(columns))
    stored = StoredParts(tmp_path)
    assert (len(stored), stored.dim, stored.row_of("3")) == (5, 4, 3)
    assert stored.nearest(np.zeros((1, 4)), 2, np.array([-1]), lambda done, total: None)[1].tolist() == [[0, 1]]


def test_parts_that_can_not_be_searched(parts, searched, tmp_path):
    run, folder, _, _ = parts
    files = sorted(folder.glob("*.parquet"))
    with pytest.raises(UsageError, match=r"no-such-id: neither an id nor a file of images; ids are such as x/0\.png"):
        run.search("no-such-id", within=folder)
    whole = files[4].read_bytes()
    files[4].write_bytes(whole[:-9])
    with pytest.raises(UsageError, match="1 part of 12 missing or cut, the first of them number 4"):
        run.search("x/0.png", within=folder)
    files[4].unlink()
    with pytest.raises(UsageError, match="1 part of 12 missing or cut, the first of them number 4"):
        run.search("x/0.png", within=folder)
    files[4].write_bytes(whole)
    plan = json.loads((folder / "parts.json").read_text())
    (folder / "parts.json").write_text(json.dumps({**plan, "weights": "of another run"}))
    with pytest.raises(UsageError, match="its latents are of other weights than"):
        run.search("x/0.png", within=folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no parts of latents"):
        run.search("x/0.png", within=tmp_path / "empty")


def test_the_command(searched, tmp_path, capsys, monkeypatch):
    folder, run = searched
    monkeypatch.chdir(folder)
    command = ["search", str(run.path), "x/0.png"]
    assert cli.main([*command, "-k", "2", "-o", str(tmp_path / "sheet.png")]) == 0
    text = capsys.readouterr().out
    assert "nearest to x/0.png" in text
    assert "80 latents searched" in text
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size[0] == 720
    assert cli.main(["search", str(run.path), "-k", "3", "shapes/x", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["queries"]) == 27
    assert [one["rank"] for one in answer["queries"][0]["neighbours"]] == [1, 2, 3]
    assert cli.main(["encode", str(run.path), "shapes/x", "-o", str(tmp_path / "x.npz")]) == 0
    files = ["--in", str(tmp_path / "x.npz")]
    drawn = ["-o", str(tmp_path / "in.png"), "--images", "shapes/x"]
    assert cli.main(["search", str(run.path), *files, "0.png", "shapes/y/1.png", *drawn]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no-such-id"], "no-such-id: neither an id nor a file of images; ids are such as"),
        (["x/0.png", "-k", "0"], "'0' is not a whole number of at least 1"),
        (["x/0.png", "-o", "sheet.jpg"], "ends with .jpg; allowed: .png"),
        (["x/0.png", "--in", "none.npz"], "none.npz: no such file"),
        (["x/0.png", "--in", "text.npy"], "text.npy: not readable"),
        (["x/0.png", "--in", "text.txt"], "text.txt: a .npz of `latens encode`"),
        (["shapes/x/0.png", "--in", "wide.npy"], "latents of 9 numbers, and queries of 4"),
        (["shapes/x/0.png", "--in", "cube.npz"], "ids of shape (3,)"),
        (["x/0.png", "--images", "shapes"], "--images says where"),
        (["shapes/x/0.png", "--in", "some.npy", "-o", "s.png"], "holds no images to draw"),
        (["text.txt"], "text.txt"),
    ],
)
def test_each_wrong_word_is_one_line(searched, tmp_path, capsys, monkeypatch, words, message):
    folder, run = searched
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shapes").symlink_to(folder / "shapes")
    for name in ("text.npy", "text.txt"):
        (tmp_path / name).write_text("no array")
    np.save("wide.npy", np.zeros((5, 9), np.float32))
    np.save("some.npy", np.zeros((5, 4), np.float32))
    np.savez("cube.npz", latents=np.zeros((5, 2, 2), np.float32), ids=np.array(["a", "b", "c"]))
    assert cli.main(["search", str(run.path), *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("latens: ")
    assert message in error
