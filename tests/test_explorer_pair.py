"""Two runs beside each other, asked without a page: images by id, maps laid onto each other, neighbours and scores compared."""

import shutil

import numpy as np
import pytest
from scipy.spatial import procrustes
from sklearn.neighbors import NearestNeighbors
from starlette.testclient import TestClient

from browser import learned_run, second_run
from latens.cli import main
from latens.errors import UsageError
from latens.explorer import View, answer, create_app, following
from latens.explorer.pair import NONE, SHARED, pair
from latens.metrics import Score
from latens.runs import open_run
from records import read_record, write_record

HOST = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return learned_run(tmp_path_factory), second_run(tmp_path_factory)


@pytest.fixture
def views(folders):
    first, second = (View(open_run(folder)) for folder in folders)
    pair(first, second)
    return first, second


def ids(view):
    return [str(one) for one in view.run.latents["ids"]]


def test_each_image_is_found_in_the_other_run_by_its_id(views):
    for view, other in (views, views[::-1]):
        rows, theirs = view.pair.rows(view), ids(other)
        for one, row in zip(ids(view), rows, strict=True):
            assert (row == NONE) == (one not in theirs)
            if row != NONE:
                assert theirs[row + other.first] == one
    assert (views[1].pair.rows(views[1]) == NONE).sum() == 40
    assert views[0].pair.num_shared == 240


def test_the_second_map_is_laid_onto_the_first_by_the_shared_images(views):
    first, second = views
    found = {}
    for view in views:
        facts, places = view.map_points("pca")
        found[view] = np.stack([places[axis] for axis in "xy"], 1) / 65_535 * facts["size"] + [
            facts["left"],
            facts["bottom"],
        ]
    assert first.map_points("pca")[0]["laid"] is None
    (mine, _), (theirs, _) = (view.map_points("pca") for view in views)
    assert [mine[name] for name in ("left", "bottom", "size")] == [theirs[name] for name in ("left", "bottom", "size")]
    there = {one: row for row, one in enumerate(ids(second))}
    shared = [there[one] for one in ids(first)]
    own = [view.map("pca").coordinates for view in views]
    _, moved, disparity = procrustes(own[0], own[1][shared])
    assert theirs["laid"]["disparity"] == pytest.approx(disparity)
    assert found[first] == pytest.approx(own[0], abs=mine["size"] / 60_000)
    placed = found[second][shared] - found[second][shared].mean(0)
    moved = moved / np.linalg.norm(moved)
    assert placed / np.linalg.norm(placed) == pytest.approx(moved, abs=1e-3)
    assert np.linalg.norm(placed) == pytest.approx(np.linalg.norm(own[0] - own[0].mean(0)), rel=1e-3)
    for places in (first.map_points("pca")[1], second.map_points("pca")[1]):
        assert min(places["x"].min(), places["y"].min()) > 0
        assert max(places["x"].max(), places["y"].max()) < 65_535


def test_neighbours_that_both_runs_have_are_counted(views):
    first, second = views
    there = {one: row for row, one in enumerate(ids(second))}
    shared = [there[one] for one in ids(first)]
    near = [
        NearestNeighbors(n_neighbors=11).fit(latents).kneighbors(latents, return_distance=False)
        for latents in (first.latents.astype(float), second.latents[shared].astype(float))
    ]
    wanted = [len({*a} - {i} & {*b} - {i}) / 10 for i, (a, b) in enumerate(zip(*near, strict=True))]
    column = first.column(SHARED)
    assert np.mean(np.abs(column - wanted) < 1e-6) > 0.98  # equal distances may be ordered otherwise
    assert 0 < column.mean() < 1
    assert np.isnan(second.column(SHARED)).sum() == 40
    listed = first.pair.differing(first)
    scores = [one["score"] for one in listed]
    assert scores == sorted(scores)
    assert [one["point"] for one in listed[:3]] == list(np.argsort(column, kind="stable")[:3])
    assert scores[0] == column.min()


def test_what_is_better_follows_from_the_direction_of_a_score(views, monkeypatch):
    first, second = views
    protocol = next(iter(first.run.scores)).protocol

    def scored(view, **values):
        directions = {
            "lower": "lower",
            "higher": "higher",
            "zero": "zero",
            "none": "none",
            "alone": "lower",
            "other": "lower",
        }
        made = [
            Score(name, value, "", directions[name], protocol, low=value - 0.1, high=value + 0.1)
            for name, value in values.items()
        ]
        monkeypatch.setitem(view.run.__dict__, "scores", tuple(made))

    monkeypatch.setattr(type(first.run), "scores", None)
    monkeypatch.setattr(type(first.pair), "same_test", True)
    scored(first, lower=1.0, higher=1.0, zero=-3.0, none=1.0, alone=1.0)
    scored(second, lower=2.0, higher=1.05, zero=2.0, none=2.0, other=1.0)
    found = {one["name"]: one for one in first.pair.scores}
    assert {name: one["better"] for name, one in found.items()} == {
        "lower": "first",
        "higher": "second",
        "zero": "second",
        "none": "",
        "alone": "",
        "other": "",
    }
    assert (found["lower"]["sure"], found["higher"]["sure"]) == (True, False)
    assert found["alone"]["values"] == [1.0, None]
    assert found["other"]["values"] == [None, 1.0]


def test_scores_on_other_images_are_not_compared(views):
    first, _ = views
    assert first.pair.scores
    assert {one["better"] for one in first.pair.scores} == {""}
    assert any("different test images" in note for note in first.pair.notes)


def test_scores_of_the_same_images_are(folders):
    first, second = (View(open_run(folders[0])) for _ in range(2))
    found = pair(first, second)
    assert found.same_test
    assert all(one["alike"] and one["better"] == "" for one in found.scores)  # they are equal
    assert found.notes == []


def test_runs_without_a_shared_image_are_refused_in_one_line(folders, tmp_path, capsys):
    other = open_run(shutil.copytree(folders[0], tmp_path / "other"))
    names = np.array([f"picture-{row}.png" for row in range(len(other.latents["ids"]))])
    other.write_arrays("latents.npz", {**other.latents, "ids": names})
    with pytest.raises(UsageError, match="share no image"):
        pair(View(open_run(folders[0])), View(open_run(other.path)))
    assert main(["explore", str(folders[0]), "--beside", str(other.path), "--get", "/api/run"]) == 2
    said = capsys.readouterr().err.strip()
    for words in ("share no image", f"{other.path} has ids like 'picture-0.png'", f"{folders[0]} has ids like"):
        assert words in said
    assert len(said.splitlines()) == 1


def test_the_same_ids_of_other_images_are_noticed(folders, tmp_path, monkeypatch):
    copied = shutil.copytree(folders[0], tmp_path / "copied")
    record = read_record(copied)
    record["data"]["fingerprint"] = "0" * 64
    write_record(copied, record)
    first, second = View(open_run(folders[0])), View(open_run(copied))
    monkeypatch.setattr(second, "inputs", first.inputs)  # its own are not those of that fingerprint
    found = pair(first, second)
    assert found.notes == [next(note for note in found.notes if "different test images" in note)]
    monkeypatch.setattr(second, "inputs", lambda rows: 255 - first.inputs(rows))
    assert any(
        "of 64 shared ids" in note.lower() and "64 have other pixels" in note for note in pair(first, second).notes
    )


def test_snapshots_of_the_second_lie_as_those_of_the_first(views):
    last = [following.epochs_of(view.run)[-1] for view in views]
    ours, theirs = (following.snapshot(view, epoch).arrays for view, epoch in zip(views, last, strict=True))
    parts = [[str(one) for one in view.run.of_part("ids", 1)] for view in views]
    both = [one for one in parts[0] if one in parts[1]]
    assert len(both) >= 3
    places = [
        np.array([[arrays["x"][part.index(one)], arrays["y"][part.index(one)]] for one in both], float) - 32_767.5
        for arrays, part in zip((ours, theirs), parts, strict=True)
    ]
    turned = places[1] - places[1].mean(0)
    onto = places[0] - places[0].mean(0)
    left, _, right = np.linalg.svd(turned.T @ onto)
    assert left @ right == pytest.approx(np.eye(2), abs=1e-3)  # no turn is left to be done


def test_the_routes_of_both(folders):
    first, second = (View(open_run(folder)) for folder in folders)
    pair(first, second)
    headers = {"x-latens-token": "t"}
    with TestClient(create_app(first, second, token="t"), base_url=HOST, headers=headers) as client:
        assert client.get("/api/run").json()["beside"] == second.run.name
        assert client.get("/beside/api/run").json()["beside"] == first.run.name
        linked = client.get("/api/link").json()
        assert (linked["shared"], linked["mapped"], linked["nearest"]) == (240, 240, 10)
        assert linked["rows"] == first.pair.rows(first).tolist()
        assert client.get("/beside/api/link").json()["rows"] == second.pair.rows(second).tolist()
        assert client.get("/api/list?kind=other-neighbours").json()["found"] == first.pair.differing(first)
    assert answer(folders[0], "/beside/api/run", folders[1])["name"] == second.run.name
