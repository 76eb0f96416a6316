"""The explorer's server: its answers, access checks and messages for wrong requests."""

import io
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import latens
from latens.errors import RunDamaged, UsageError
from latens.explorer import View, answer, app, create_app, decoding, following, serving
from latens.explorer.columns import NO_VALUE, read_columns
from latens.explorer.guard import Guard
from latens.explorer.routes import ROUTES
from latens.explorer.serving import Serving
from latens.explorer.tags import Tags
from latens.figures import DEFAULT_PALETTE
from latens.figures.palette import class_colours
from latens.interpolation import interpolate
from latens.neighbours import distance_ratios
from latens.samplers.class_means import ClassMeansSampler
from records import read_record, write_record

TOKEN = "a-token"
HOST = "http://127.0.0.1:8123"
RAW = {"accept": "application/octet-stream"}
DTYPES = {"uint8": np.uint8, "uint16": np.uint16, "int32": np.int32, "float32": np.float32}


@pytest.fixture(scope="module")
def view(finished_run):
    return View(finished_run)


@pytest.fixture(scope="module")
def client(view):
    with TestClient(create_app(view, token=TOKEN), base_url=HOST, headers={"x-latens-token": TOKEN}) as client:
        yield client


def columns(response):
    """The raw form read by its description in wire.py, not by the writer's code."""
    content = response.content
    assert content[:4] == b"LTN1"
    length = int.from_bytes(content[4:8], "little")
    header = json.loads(content[8 : 8 + length])
    start = -(-(8 + length) // 8) * 8
    arrays = {}
    for name, layout in header["arrays"].items():
        dtype = np.dtype(DTYPES[layout["dtype"]]).newbyteorder("<")
        arrays[name] = np.frombuffer(content, dtype, int(np.prod(layout["shape"])), start + layout["offset"]).reshape(
            layout["shape"]
        )
    return header["facts"], arrays


def samples(view):
    """An address for each GET route."""
    row = str(view.ids[0])
    given = {
        "/api/map": "?name=pca",
        "/api/column": "?name=error",
        "/api/thumbnails": "?page=0",
        "/api/image": "?row=0",
    }
    given |= {
        "/api/picture": f"?id={row}",
        "/api/decode": "?map=pca&x=0&y=0",
        "/api/probe": "?map=pca",
        "/api/compass": "?map=pca&x=0&y=0",
        "/api/list": "?kind=worst-rebuilt",
    }
    given |= {"/api/snapshot": "?epoch=1", "/api/find": f"?words={row}"}
    return {route.path: route.path + given.get(route.path, "") for route in ROUTES if route.method == "GET"}


def test_every_get_route_answers_json_and_the_command_line_the_same(view, client):
    for path, address in samples(view).items():
        if path == "/api/link":  # of two runs
            continue
        response = client.get(address)
        assert response.status_code == 200, (address, response.text)
        if response.headers["content-type"] == "application/json":
            assert answer(view.run, address) == response.json()
        else:
            assert set(answer(view.run, address)) == {"media_type", "base64"}


def test_raw_columns_hold_what_the_json_says(view, client):
    for address in ("/api/map?name=pca", "/api/decode?map=pca&x=0.5&y=-0.5", "/api/image?row=3", "/api/directions"):
        facts, arrays = columns(client.get(address, headers=RAW))
        plain = client.get(address).json()
        assert {name: plain[name] for name in facts} == facts
        for name, array in arrays.items():
            np.testing.assert_allclose(
                np.array(plain[name], float).reshape(array.shape), array.astype(float), rtol=1e-6
            )


def test_a_file_is_posted_as_it_is_and_not_beyond_its_limit(client, view, monkeypatch):
    file = io.BytesIO()
    Image.fromarray(view.inputs(np.array([view.first]))[0, 0]).save(file, "png")
    answered = client.post("/api/encode?name=a.png&map=pca", content=file.getvalue())
    assert (answered.status_code, answered.json()["neighbours"][0]) == (200, 0)
    refused = client.post("/api/encode?name=a.txt", content=b"text")
    assert (refused.status_code, refused.json()["error"]) == (400, "a.txt: is no image that latens reads")
    monkeypatch.setattr(app, "MOST_FILE_BYTES", 100)
    large = client.post("/api/encode?name=a.png", content=file.getvalue() + bytes(1000))
    assert (large.status_code, "too large" in large.json()["error"]) == (400, True)


def test_openapi_describes_the_routes(client):
    described = client.get("/api/openapi.json").json()
    found = {(path, method.upper()) for path, methods in described["paths"].items() for method in methods}
    assert found == {(route.path, route.method) for route in ROUTES}
    for route in ROUTES:
        operation = described["paths"][route.path][route.method.lower()]
        if route.method == "GET" or route.file:
            assert [p["name"] for p in operation["parameters"]] == [one for one in route.params if one != route.file]
            assert not route.file or list(operation["requestBody"]["content"]) == ["application/octet-stream"]
        else:
            assert set(operation["requestBody"]["content"]["application/json"]["schema"]["properties"]) == set(
                route.params
            )
    served = {
        (route.path, method)
        for route in client.app.routes
        for method in route.methods - {"HEAD"}
        if route.path.startswith("/api/")
    }
    assert served == found


def test_a_place_of_the_map_comes_back_in_its_own_units(view, client):
    facts, arrays = columns(client.get("/api/map?name=pca", headers=RAW))
    x = facts["left"] + arrays["x"] / 65535 * facts["size"]
    y = facts["bottom"] + arrays["y"] / 65535 * facts["size"]
    np.testing.assert_allclose(np.c_[x, y], view.run.map("pca").coordinates, atol=facts["size"] / 65535)


def test_decode_says_how_far_it_is_from_the_data(view, client):
    z = view.latents[:2] + np.float32([[0], [5]])
    _, arrays = columns(client.post("/api/decode", json={"latents": z.tolist(), "map": "pca"}, headers=RAW))
    np.testing.assert_allclose(arrays["ratio"], distance_ratios(view.latents, z), rtol=1e-4, atol=1e-5)
    assert arrays["nearest"][0] == 0
    again = view.run.encode(np.clip(view.run.decode(z), 0, 1))
    expected = np.linalg.norm(again - z, axis=1) / np.linalg.norm(z, axis=1)
    np.testing.assert_allclose(arrays["round_trip"], expected, rtol=1e-3)
    np.testing.assert_allclose(arrays["places"], view.run.map("pca").place(z), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(arrays["pixels"][0], np.rint(np.clip(view.run.decode(z[:1])[0], 0, 1) * 255))


def test_the_probe_is_the_sampler_with_its_noise(view, client):
    means = view.run.sampler("class-means").means
    _, quiet = columns(client.get("/api/probe?map=pca&noise=0", headers=RAW))
    np.testing.assert_allclose(quiet["latents"], means, rtol=1e-5)
    _, one = columns(client.get("/api/probe?map=pca&noise=2&seed=0", headers=RAW))
    _, same = columns(client.get("/api/probe?map=pca&noise=2&seed=0", headers=RAW))
    _, other = columns(client.get("/api/probe?map=pca&noise=2&seed=2", headers=RAW))
    np.testing.assert_array_equal(one["latents"], same["latents"])
    assert np.abs(one["latents"] - other["latents"]).max() > 0.1
    assert one["cloud"].shape == (400, 2)
    classes = view.run.sampler("class-means").classes
    drawn = ClassMeansSampler(2.0).fit(view.run.of_part("latents", 0), view.run.labels_of(0))
    cloud = drawn.sample(400, seed=1, labels=np.resize(classes, 400))
    np.testing.assert_allclose(one["cloud_ratio"], distance_ratios(view.latents, cloud), rtol=1e-4)
    for sampler in view.info()["samplers"]:
        if sampler != "flow":  # which takes a minute to fit
            assert client.get(f"/api/probe?map=pca&sampler={sampler}").status_code == 200


def test_noise_in_units_of_the_spread_of_each_class(view, client):
    fitted = view.run.sampler("class-means")
    _, plain = columns(client.get("/api/probe?map=pca&noise=2&unit=latent", headers=RAW))
    _, spread = columns(client.get("/api/probe?map=pca&noise=2&unit=spread", headers=RAW))
    latents, labels = view.run.of_part("latents", 0), view.run.labels_of(0)
    own = np.array([latents[labels == label].std(0) for label in fitted.classes])
    own = np.sqrt((own**2).mean(1, keepdims=True))
    drawn = (spread["latents"] - fitted.means) / own
    np.testing.assert_allclose(drawn, plain["latents"] - fitted.means, rtol=1e-3, atol=1e-3)
    assert "unit" in client.get("/api/probe?map=pca&unit=inch").json()["error"]


def test_the_round_trip_is_told_in_usual_distances_too(view, client):
    z = view.latents[:20]
    answer = decoding.decode(view, z).arrays
    away = np.linalg.norm(view.run.encode(np.clip(view.run.decode(z), 0, 1)).astype(float) - z, axis=1)
    np.testing.assert_allclose(answer["moved"], away / view.run.usual_distance, rtol=1e-4)
    np.testing.assert_allclose(answer["round_trip"], away / np.linalg.norm(z, axis=1), rtol=1e-4)


def test_each_server_has_a_name_of_its_own(view):
    names = set()
    for _ in range(2):
        app = create_app(view, token=TOKEN)
        with TestClient(app, base_url=HOST, headers={"x-latens-token": TOKEN}) as client:
            told = {client.get(path).headers["x-latens-server"] for path in ("/api/run", "/api/none", f"/{TOKEN}/")}
            told.add(client.get("/api/run", headers={"x-latens-token": "x"}).headers["x-latens-server"])
            assert len(told) == 1
            names |= told
    assert len(names) == 2


def test_outliers_of_the_playback_keep_their_places(finished_run, tmp_path):
    folder = shutil.copytree(finished_run.path, tmp_path / "run")
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(2000, 8)).astype(np.float32)
    latents[:5] *= np.arange(10, 60, 10, dtype=np.float32)[:, None]
    run = latens.open_run(folder)
    for epoch in following.epochs_of(run):
        run.write_arrays(f"snapshots/{epoch:05d}.npz", {"latents": latents})
    arrays = following.snapshot(View(latens.open_run(folder)), 1).arrays
    places = np.stack([arrays["x"], arrays["y"]], 1).astype(int)
    assert places.min() > 0
    assert places.max() < 65_535
    far = np.linalg.norm(places - 32_767.5, axis=1)
    centred = latents - latents.mean(0)
    plane = np.linalg.svd(centred, full_matrices=False)[2][:2]
    wanted = np.linalg.norm(centred @ plane.T, axis=1)
    np.testing.assert_allclose(far / far.max(), wanted / wanted.max(), atol=1e-3)


def test_a_path_goes_from_image_to_image_or_between_means(view, client):
    asked = {"stops": [[0], [1, 2]], "way": "linear", "steps": 5, "map": "pca"}
    _, arrays = columns(client.post("/api/path", json=asked, headers=RAW))
    ends = view.latents[0], view.latents[1:3].mean(0)
    np.testing.assert_allclose(arrays["latents"][[0, -1]], ends, rtol=1e-5)
    np.testing.assert_allclose(arrays["latents"][2], (ends[0] + ends[1]) / 2, rtol=1e-4, atol=1e-5)
    for way in view.info()["ways"]:
        for end in ([1, 2], [2]):
            facts, arrays = columns(
                client.post("/api/path", json={**asked, "stops": [[0], end], "way": way}, headers=RAW)
            )
            wanted = interpolate(view.latents[0], view.latents[end].mean(0), 5, way, view.latents)
            np.testing.assert_allclose(arrays["latents"], wanted.latents, rtol=1e-5, atol=1e-6)
            assert facts["passed"] == wanted.rows.tolist()


def test_an_image_by_point_or_by_id(view, client):
    train_id = str(view.run.latents["ids"][0])
    _, arrays = columns(client.get(f"/api/image?id={train_id}", headers=RAW))
    np.testing.assert_array_equal(arrays["pixels"], view.run.images.train.pixels[0])
    by_point, arrays = columns(client.get("/api/image?row=2", headers=RAW))
    assert by_point["id"] == str(view.ids[2])
    assert 2 not in arrays["neighbours"]
    assert (np.diff(arrays["distances"]) >= 0).all()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/api/map", "name is missing"),
        ("/api/map?name=nowhere", "nowhere"),
        ("/api/map?name=pca&more=1", "unknown 'more'"),
        ("/api/column?name=nothing", "unknown column"),
        ("/api/thumbnails?page=99", "page 99"),
        ("/api/thumbnails?page=one", "an integer"),
        ("/api/image?row=-1", "no point"),
        ("/api/image?row=123456", "no point"),
        ("/api/image?row=99999999999999999999999", "too large"),
        ("/api/image?id=../../run.json", "no image"),
        ("/api/decode?map=pca&x=nan&y=0", "finite number"),
        ("/api/decode?map=pca&x=1e400&y=0", "finite number"),
        ("/api/decode?map=pca&x=1e300&y=0", "too large"),
        ("/api/probe?map=pca&noise=-1", "noise"),
        ("/api/probe?map=pca&noise=1e300", "too large"),
        ("/api/probe?map=pca&noise=1e7", "at most 1e+06"),
        ("/api/probe?map=pca&seed=-1", "seed is -1; at least 0"),
        ("/api/probe?map=pca&sampler=dice", "known"),
        ("/api/list?kind=best", "known"),
        ("/api/directions?count=0", "directions"),
        ("/api/snapshot?epoch=77", "was not kept"),
        ("/api/link", "beside"),
        ("/api/list?kind=other-neighbours", "beside"),
    ],
)
def test_a_wrong_question_gets_one_line_of_json(client, address, said):
    response = client.get(address)
    assert response.status_code in (400, 404)
    assert said in response.json()["error"]
    assert "Traceback" not in response.text


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_a_lack_of_memory_is_one_line_and_the_next_question_is_answered(client, monkeypatch, error):
    def fails(*given):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(app, "ask", fails)
        response = client.get("/api/run")
    assert response.status_code == 503
    assert response.json() == {"error": app.NO_MEMORY, "kind": "MemoryError"}
    assert client.get("/api/run").status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/api/decode", {"latents": [[1.0]]}, "latents have the shape"),
        ("/api/decode", {"latents": [[1.0], [1.0, 2.0]]}, "rows of numbers"),
        ("/api/decode", {"latents": []}, "latents have the shape"),
        ("/api/decode", {"latents": "zero"}, "an array"),
        ("/api/decode", {}, "latents is missing"),
        ("/api/path", {"stops": [[], [1]], "map": "pca"}, "at least one image"),
        ("/api/path", {"stops": [[0], [0]], "map": "pca"}, "from a place to itself"),
        ("/api/path", {"stops": [[0], [99999]], "map": "pca"}, "no point of the map"),
        ("/api/path", {"stops": [[0], ["a"]], "map": "pca"}, "stops[1][0] is 'a'; an integer"),
        ("/api/path", {"stops": [[0], [[1]]], "map": "pca"}, "stops[1][0] is [1]; an integer"),
        ("/api/path", {"stops": [[[0]], [1]], "map": "pca", "way": "graph"}, "stops[0][0] is [0]; an integer"),
        ("/api/path", {"stops": [[0], [1]], "map": "pca", "steps": 1}, "steps is 1"),
        ("/api/path", {"stops": [[0], [1]], "map": "pca", "way": "crow"}, "known"),
        ("/api/tags", {"tag": " ", "ids": ["x"]}, "no image 'x'"),
        ("/api/ids", {"points": [-1]}, "no point"),
        ("/api/ids", {"points": ["x"]}, "points[0] is 'x'; an integer"),
    ],
)
def test_a_wrong_body_gets_one_line_of_json(client, path, body, said):
    response = client.post(path, json=body)
    assert response.status_code == 400
    assert said in response.json()["error"]


def test_latents_that_are_not_finite_are_refused(view, client):
    for bad, said in {
        "NaN": "is nan; a finite",
        "1e400": "is inf; a finite",
        "1e39": "too large",
        "1" * 400: "too large",
    }.items():
        content = '{"latents": [[' + ", ".join([bad] * view.latents.shape[1]) + "]]}"
        response = client.post("/api/decode", content=content, headers={"content-type": "application/json"})
        assert response.status_code == 400
        assert said in response.json()["error"]


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"latents": 1}'])
def test_a_body_that_is_no_object_of_json(client, content):
    assert client.post("/api/decode", content=content, headers={"content-type": "application/json"}).status_code == 400
    assert client.post("/api/decode", content=content).status_code == 400
    assert (
        client.post("/api/decode", content=b"1" * (9 << 20), headers={"content-type": "application/json"}).status_code
        == 400
    )


def test_the_page_and_nothing_else_of_the_disk(client):
    page = client.get(f"/{TOKEN}/")
    assert page.headers["content-type"].startswith("text/html")
    for name in re.findall(r'(?:src|href)="([^":]+\.\w+)"', page.text):
        assert client.get(f"/{TOKEN}/{name}").status_code == 200
    for path in ("../app.py", "..%2Fapp.py", "%2e%2e/app.py", "nothing.js", "page.css/x"):
        assert client.get(f"/{TOKEN}/{path}").status_code in (403, 404), path
    assert client.get("/api/none").status_code == 404
    assert client.delete("/api/run").status_code == 404


def test_all_answers_carry_the_policy(client):
    for path in (f"/{TOKEN}/", "/api/run", "/api/none", "/nobody/"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"


API = {"host": "127.0.0.1:8000", "x-latens-token": TOKEN}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, ""),
        ({"sec-fetch-site": "same-origin"}, ""),
        ({"host": "evil.example:8000"}, "Host"),
        ({"host": "127.0.0.1:9999"}, "Host"),
        ({"host": ""}, "Host"),
        ({"origin": "http://evil.example"}, "another origin"),
        ({"origin": "null"}, "another origin"),
        ({"sec-fetch-site": "cross-site"}, "another site"),
        ({"sec-fetch-site": "same-site"}, "another site"),
        ({"x-latens-token": "guess"}, "token"),
        ({"x-latens-token": ""}, "token"),
    ],
)
def test_who_is_let_in(change, why):
    refused = Guard(TOKEN, 8000).refuse("GET", "/api/run", {**API, **change})
    assert (why in refused) if why else not refused


def test_a_frame_is_let_in_by_the_token_of_its_address_alone():
    frame = {"host": "127.0.0.1:8000", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    guard = Guard(TOKEN, 8000)
    assert not guard.refuse("GET", f"/{TOKEN}/", frame)
    assert "token" in guard.refuse("GET", "/guess/", frame)
    assert "token" in guard.refuse("GET", "/api/run", frame)
    assert "another site" in guard.refuse("POST", f"/{TOKEN}/", frame)


def test_tags_of_two_tabs_and_of_two_threads_are_all_kept(tmp_path):
    one, two = Tags(tmp_path), Tags(tmp_path)
    one.change("odd", ["a", "b"])
    two.change("odd", ["c"])
    one.change("odd", ["b"], on=False)
    assert two.read() == {"odd": ["a", "c"]}
    threads = [threading.Thread(target=Tags(tmp_path).change, args=("many", [str(i)])) for i in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(one.read()["many"]) == {str(i) for i in range(40)}
    for bad in ("", " ", "x" * 61, "a\nb"):
        with pytest.raises(UsageError, match="tag"):
            one.change(bad, ["a"])
    with pytest.raises(UsageError, match="0 images"):
        one.change("a", [])
    (tmp_path / "tags.jsonl").write_text("{}\n")
    with pytest.raises(RunDamaged, match="line 1"):
        one.read()


def test_tags_by_the_routes_and_as_a_table(view, client):
    ids = [str(one) for one in view.ids[:2]]
    hostile = "=cmd, <b>"
    try:
        assert client.post("/api/tags", json={"tag": hostile, "ids": ids}).json()["tags"] == {hostile: ids}
        table = client.get("/api/tags.csv")
        assert table.headers["content-disposition"].startswith("attachment")
        assert table.text.splitlines() == ["id,tag", *(f'{one},"\'{hostile}"' for one in ids)]
        assert client.post("/api/tags", json={"tag": hostile, "ids": ids, "on": False}).json()["tags"] == {}
    finally:
        (view.run.path / "tags.jsonl").unlink()


def test_own_columns_by_id(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("id,score,kind\nb,2.5,<i>\na,1,y\nelse,3,z\n")
    score, kind = read_columns(path, ["a", "b", "c"])
    np.testing.assert_array_equal(score.values, np.float32([1, 2.5, np.nan]))
    assert (score.kind, kind.kind) == ("number", "class")
    assert list(kind.names) == ["<i>", "y"]
    assert kind.values.tolist() == [1, 0, NO_VALUE]
    assert kind.info("notebook")["colours"] == list(class_colours(2, "notebook"))
    assert score.info("notebook")["colours"] == []


def test_many_classes_of_an_own_column_have_colours_of_their_own(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("id,kind\n" + "".join(f"{k},kind {k}\n" for k in range(40)))
    (kind,) = read_columns(path, [str(k) for k in range(40)])
    colours = kind.info(DEFAULT_PALETTE)["colours"]
    assert len(set(colours)) == 40
    assert colours[:10] == list(class_colours(10))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,score\na,1\n", "no column id"),
        ("", "no column id"),
        ("id,x\na,1\na,2\n", "twice"),
        ("id,x\nq,1\n", "none of the map's images"),
        ("id,x\na\n", "line 2"),
        ("id,x\na,1,2\n", "line 2"),
    ],
)
def test_columns_that_cannot_be_read(tmp_path, text, said):
    path = tmp_path / "own.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_columns(path, ["a", "b"])
    with pytest.raises(UsageError, match="no such file"):
        read_columns(tmp_path / "none.csv", ["a"])


def test_newer_requests_overtake_older_ones(view):
    import asyncio

    from latens.explorer.app import Desk, Overtaken

    async def ask():
        desk, runs, started = Desk(), threading.Event(), threading.Event()
        first = asyncio.ensure_future(desk.ask(lambda: runs.set() or started.wait(), "x"))
        while not runs.is_set():
            await asyncio.sleep(0)
        second, third = (asyncio.ensure_future(desk.ask(lambda n=n: n, "x")) for n in (2, 3))
        other = asyncio.ensure_future(desk.ask(lambda: "other", "y"))
        for _ in range(20):  # turns of the loop, in which the others queue up
            await asyncio.sleep(0)
        started.set()
        return await asyncio.gather(first, second, third, other, return_exceptions=True)

    first, second, third, other = asyncio.run(ask())
    assert (first, third, other) == (True, 3, "other")
    assert isinstance(second, Overtaken)


def test_a_sampler_that_takes_minutes_holds_up_no_other(client, monkeypatch):
    fitted, drawn = threading.Event(), decoding.probe

    def probe(view, sampler, **given):
        assert sampler != "flow" or fitted.wait(30)
        return drawn(view, "class-means", **given)

    monkeypatch.setattr(decoding, "probe", probe)
    codes = []
    flow = threading.Thread(target=lambda: codes.append(client.get("/api/probe?map=pca&sampler=flow").status_code))
    flow.start()
    assert client.get("/api/probe?map=pca").status_code == 200
    assert codes == []
    fitted.set()
    flow.join()
    assert codes == [200]


def test_a_fit_says_how_far_it_is(finished_run, tmp_path):
    """Asked while the probe's fit is under way, from another thread, as a page does."""
    folder = shutil.copytree(finished_run.path, tmp_path / "run")
    view = View(latens.open_run(folder))
    app = create_app(view, token=TOKEN)
    with TestClient(app, base_url=HOST, headers={"x-latens-token": TOKEN}) as client:
        assert client.get("/api/work").json() == {"work": []}
        asked = threading.Thread(target=client.get, args=("/api/probe?sampler=flow&map=pca",))
        asked.start()
        seen = []
        while asked.is_alive():
            seen += client.get("/api/work").json()["work"]
        asked.join()
        assert {one["title"] for one in seen} == {"sampler flow"}
        done = [one["done"] for one in seen]
        assert done == sorted(done)
        assert 0 < max(done) <= max(one["total"] for one in seen)
        assert client.get("/api/work").json() == {"work": []}


def test_a_run_without_its_images_or_scores(finished_run, tmp_path):
    folder = shutil.copytree(finished_run.path, tmp_path / "run")
    record = read_record(folder)
    record["data"]["source"] = str(tmp_path / "gone.npz")
    del record["files"]["metrics.json"]
    write_record(folder, record)
    view = View(latens.open_run(folder))
    assert "gone.npz" in view.info()["missing"]
    assert view.info()["thumbnails"] is None
    assert answer(folder, f"/api/picture?id={view.ids[0]}")["rebuilt"]
    assert [one["name"] for one in answer(folder, "/api/probe?map=pca")["scores"]] == ["distance from the data"]


def test_a_taken_port_is_passed_over(view):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        serving = Serving(view, port=port)
        assert serving.port > port
        assert serving.address.startswith(f"http://127.0.0.1:{serving.port}/")
        serving.socket.close()
    with pytest.raises(UsageError, match="65535"):
        Serving(view, port=70_000)


def test_a_name_of_a_file_is_told_in_one_line(client):
    response = client.post(
        "/api/encode?name=a%0Ab&map=pca", content=b"x", headers={"content-type": "application/octet-stream"}
    )
    assert response.json()["error"] == r"a\nb: is no image that latens reads"


def test_half_a_request_is_closed_without_a_word_and_a_whole_one_is_answered(view, monkeypatch, capfd):
    monkeypatch.setattr(serving, "SECONDS_FOR_A_REQUEST", 0.5)
    server = Serving(view).start()
    head = f"Host: 127.0.0.1:{server.port}\r\nx-latens-token: {server.app.state.token}\r\n".encode()
    halves = (b"", b"GET /api/work HT", b"GET /api/work HTTP/1.1\r\n" + head, b"POST /api/tags HTTP/1.1\r\n" + head)
    whole = b"GET /api/work HTTP/1.1\r\n" + head + b"\r\n"
    body = b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
    try:
        for half in (*halves, halves[-1] + body, whole + halves[1]):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as one:
                one.sendall(half)
                got = b"".join(iter(lambda one=one: one.recv(4096), b""))  # until the server closes
                assert got.startswith(b"HTTP/1.1 200") == half.startswith(whole)
    finally:
        server.stop()
        server.wait()
    assert capfd.readouterr().err == ""


def test_sprite_pages_are_made_once_and_the_oldest_go_first(view, monkeypatch):
    made = []
    monkeypatch.setattr(View, "_sheet", lambda self, rows, look: made.append(look) or b"x" * 9)
    monkeypatch.setattr("latens.explorer.view.KEPT_SHEETS", 20)
    monkeypatch.setattr(view, "_sheets", {})
    for look in ("", "a", "", "b", "a", ""):
        view.thumbnails(0, look)
    assert made == ["", "a", "b", ""]
    assert list(view._sheets) == [(0, "b", "test"), (0, "", "test")]


def test_the_command_ends_without_a_traceback_by_a_signal_amid_a_request(finished_run):
    command = [sys.executable, "-m", "latens", "explore", str(finished_run.path), "--no-open"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    found = re.search(r"http://127\.0\.0\.1:(\d+)/(\S+)/", process.stdout.readline())
    port, token = int(found[1]), found[2]
    head = (
        f"Host: 127.0.0.1:{port}\r\nx-latens-token: {token}\r\ncontent-type: application/json\r\nContent-Length: 9\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as one:
        one.sendall(f"POST /api/tags HTTP/1.1\r\n{head}\r\n{{".encode())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as other:  # answered after the first has begun
            other.sendall(f"GET /api/work HTTP/1.1\r\n{head.partition('content')[0]}\r\n".encode())
            assert other.recv(99).startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors


def test_the_command_ends_cleanly_by_ctrl_c(finished_run):
    command = [sys.executable, "-m", "latens", "explore", str(finished_run.path), "--no-open"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    assert re.search(r"http://127\.0\.0\.1:\d+/\S+/", process.stdout.readline())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode in (0, 130)
    assert "Traceback" not in errors


def test_what_is_sent_as_json_stands_in_the_query_of_get(view, client):
    sent = {"stops": [[0], [1, 2]], "way": "spherical", "steps": 3, "map": "pca"}
    told = "&".join(f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in sent.items())
    assert answer(view.run, f"/api/path?{told}") == client.post("/api/path", json=sent).json()
    z = view.latents[:1].tolist()
    assert (
        answer(view.run, f"/api/decode?latents={json.dumps(z)}")
        == client.post("/api/decode", json={"latents": z}).json()
    )
    with pytest.raises(UsageError, match="unknown 'ids', 'tag'"):
        answer(view.run, '/api/tags?tag=x&ids=["a"]')


def test_a_run_or_a_route_that_is_not_there(tmp_path, finished_run):
    with pytest.raises(latens.LatensError, match="no run there"):
        answer(tmp_path / "none", "/api/run")
    with pytest.raises(UsageError, match="no such route"):
        answer(finished_run, "/api/all")


def test_a_server_that_ends_says_nothing_of_open_requests(view, caplog):
    Serving(view).socket.close()
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(caplog.handler)
    try:
        logger.error("Cancel %s running task(s), timeout graceful shutdown exceeded", 1)
        assert caplog.text == ""
        logger.error("Exception in ASGI application")
        assert "Exception in ASGI application" in caplog.text
    finally:
        logger.removeHandler(caplog.handler)
