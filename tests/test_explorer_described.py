"""The OpenAPI description: what it allows is what is taken, and what the explorer answers is what it says."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import latens
from browser import map_the_test_part
from latens.errors import UsageError
from latens.explorer import View
from latens.explorer.answers import ANSWERS
from latens.explorer.app import create_app
from latens.explorer.pair import pair
from latens.explorer.routes import ROUTES, ask, openapi
from latens.explorer.schemas import problem_of
from latens.explorer.view import PARTS
from latens.progress import Silent

TOKEN = "token-of-the-tests"


@pytest.fixture(scope="module")
def runs(finished_run, tmp_path_factory):
    """The folders of two runs of the same images, whose maps show the test part alone."""
    folder = tmp_path_factory.mktemp("described")
    options = {"network": "dense", "latent_dim": 4, "epochs": 1, "samplers": ("class-means",), "device": "cpu"}
    latens.run(finished_run.path.with_name("blobs.npz"), out=folder / "two", **options, progress=Silent())
    shutil.copytree(finished_run.path, folder / "one")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("one", "two"):
            map_the_test_part(folder / name, patch)
        yield folder / "one", folder / "two"


@pytest.fixture(scope="module")
def alone(runs):
    view = View(latens.open_run(runs[0]))
    with client_of(create_app(view, token=TOKEN)) as client:
        yield view, client


@pytest.fixture(scope="module")
def beside(runs):
    views = [View(latens.open_run(run)) for run in runs]
    pair(*views)
    with client_of(create_app(*views, token=TOKEN)) as client:
        yield views[0], client


def client_of(app):
    return TestClient(app, base_url="http://127.0.0.1:8000", headers={"x-latens-token": TOKEN})


def questions(view):
    """A request of each route that answers facts and arrays, and more where answers differ in form."""
    id = str(view.ids[0])
    z = view.latents[:2].tolist()
    for path in (
        "openapi.json",
        "opening",
        "run",
        "channels",
        "odd",
        "phase",
        "work",
        "tags",
        "paths",
        "history",
        "live",
    ):
        yield "GET", path, None
    for path in (
        "map?name=pca",
        "map?name=tsne&part=both",
        "image?row=0",
        f"image?id={id}&part=train",
        f"picture?id={id}",
    ):
        yield "GET", path, None
    for path in (f"find?words={id}", "snapshot?epoch=1", "directions", "directions?point=-1&count=2"):
        yield "GET", path, None
    for path in (
        "decode?map=pca&x=0&y=.5e0",
        "compass?map=tsne&x=-1&y=-0.",
        "probe?map=pca&sampler=gaussian",
        "probe?map=tsne",
    ):
        yield "GET", path, None
    for column in view.all_columns:
        yield "GET", f"column?name={column.name}", None
    kinds = next(route for route in ROUTES if route.path == "/api/list").params["kind"].known
    for kind in kinds if view.pair else [one for one in kinds if one != "other-neighbours"]:
        yield "GET", f"list?kind={kind}", None
    for path in ("pictures", "classes", "ids", "mean"):
        yield "POST", path, {"points": [0, 5, -1]}
    yield "POST", "decode", {"latents": z, "map": "pca"}
    yield "POST", "nearest", {"latents": z[0], "part": "both"}
    place = {"map": "pca", "x": 0, "y": 0.5}
    for way in view.info()["ways"]:
        yield "POST", "path", {"stops": [[0], place, [1, 2]], "way": way, "map": "pca"}
    yield "POST", "paths", {"name": "a path", "stops": [[0], place]}
    yield "POST", "tags", {"tag": "good", "ids": [id]}


def schema_of(method, path):
    responses = openapi()["paths"][path][method.lower()]["responses"]
    return responses["200"]["content"]["application/json"]["schema"]


@pytest.mark.parametrize("which", ["alone", "beside"])
def test_answers_are_as_described(which, request):
    view, client = request.getfixturevalue(which)
    asked = set()
    extra = [("GET", "link", None)] if view.pair else []
    for method, path, body in [*questions(view), *extra]:
        answered = client.request(method, f"/api/{path}", json=body)
        assert answered.status_code == 200, (path, body, answered.text)
        route = f"/api/{path.partition('?')[0]}"
        assert problem_of(answered.json(), schema_of(method, route), path) == ""
        asked.add((method, route))
        if (method, path) == ("POST", "tags"):
            undone = client.post("/api/tags/undo", json={"change": answered.json()["change"]})
            assert problem_of(undone.json(), schema_of("POST", "/api/tags/undo"), "undo") == ""
            asked.add(("POST", "/api/tags/undo"))
    file = io.BytesIO()
    Image.fromarray(view.inputs(np.array([view.first]))[0, 0]).save(file, "png")
    encoded = client.post("/api/encode?name=a.png&map=pca", content=file.getvalue())
    assert problem_of(encoded.json(), schema_of("POST", "/api/encode"), "encode") == ""
    untried = {"/api/stop", "/api/encode"} | (set() if view.pair else {"/api/link"})
    assert {path for _, path in set(ANSWERS) - asked} == untried


def test_every_route_says_what_it_answers():
    assert set(ANSWERS) == {(route.method, route.path) for route in ROUTES if not route.media_types}


def test_refusals_are_as_described(alone):
    error = openapi()["components"]["schemas"]["Error"]
    _, client = alone
    for headers, path, status in [({}, "map", 400), ({"x-latens-token": "guess"}, "run", 403), ({}, "none", 404)]:
        answered = client.get(f"/api/{path}", headers=headers)
        assert answered.status_code == status
        assert problem_of(answered.json(), error, "error") == ""


def test_a_table_has_a_type_that_is_described(alone):
    _, client = alone
    known = openapi()["paths"]["/api/table"]["post"]["responses"]["200"]["content"]
    for kind in ("csv", "parquet"):
        answered = client.post("/api/table", json={"points": [0], "kind": kind})
        assert answered.headers["content-type"].partition(";")[0] in known


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "image?row=1_0", None),
        ("GET", "image?row=%201", None),
        ("GET", "image?row=%D9%A1", None),  # a digit one of another script
        ("GET", "image?row=1.0", None),
        ("GET", f"image?row={'1' * 5_000}", None),
        ("GET", "image?row=0&row=1", None),
        ("GET", "decode?map=pca&x=1_0&y=0", None),
        ("GET", "decode?map=pca&x=infinity&y=0", None),
        ("GET", f"decode?map=pca&x={'1' * 400}&y=0", None),
        ("POST", "encode?name=a.png&name=b.png", {}),
        ("POST", "ids?points=1", {"points": [1]}),
        ("POST", "ids", {"points": [True]}),
        ("POST", "ids", {"points": [1.0]}),
        ("POST", "ids", {"points": None}),
        ("POST", "tags", {"tag": "odd", "ids": [0]}),  # "0" is an id, 0 is none
        ("POST", "tags", {"tag": "odd", "ids": ["0"], "on": 1}),
        ("POST", "decode", {"latents": [["0"] * 8]}),
        ("POST", "decode", {"latents": [[True] * 8]}),
        ("POST", "decode", {"latents": [[10**400] * 8]}),
        ("POST", "nearest", {"latents": [None] * 8}),
        ("POST", "path", {"stops": [{"map": "pca", "x": 10**400, "y": 0}, [0]], "map": "pca"}),
        ("POST", "path", {"stops": [{"map": "pca", "x": 0, "y": 0, "z": 0}, [0]], "map": "pca"}),
        ("POST", "paths", {"name": "far", "stops": [{"map": "pca", "x": 1e300, "y": 0}, [0]]}),
    ],
)
def test_what_the_description_does_not_allow_is_refused(alone, method, path, body):
    _, client = alone
    answered = client.request(method, f"/api/{path}", content=None if body is None else json.dumps(body), headers=JSON)
    assert answered.status_code == 400, answered.text
    assert "\n" not in answered.json()["error"]


JSON = {"content-type": "application/json"}


def test_parts_of_the_description_that_programs_rely_on():
    found = openapi()
    assert found["security"] == [{"token": []}]
    part = next(p for p in found["paths"]["/api/map"]["get"]["parameters"] if p["name"] == "part")
    assert part["schema"] == {"type": "string", "enum": list(PARTS), "default": "test"}
    body = found["paths"]["/api/nearest"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert (body["required"], body["additionalProperties"]) == (["latents"], False)


def test_links_name_params_that_there_are():
    known = {(route.method, route.path): route for route in ROUTES}
    linked = [(key, given) for route in ROUTES for key, given in route.links.items()]
    assert len(linked) >= 10
    for key, given in linked:
        assert set(given) <= set(known[key].params)


def at(body, expression):
    """What an expression of a link stands for in an answer."""
    if isinstance(expression, list):
        return [at(body, one) for one in expression]
    for step in expression.removeprefix("$response.body#/").split("/"):
        body = body[int(step) if isinstance(body, list) else step]
    return body


def test_links_lead_to_answers(alone):
    view, client = alone
    first = {"/api/run": "", "/api/find": f"?words={view.ids[0]}"}
    bodies = {"/api/mean": {"points": [0, 1]}, "/api/tags": {"tag": "linked", "ids": [str(view.ids[0])]}}
    for route in ROUTES:
        for (method, path), given in route.links.items():
            address = route.path + first.get(route.path, "")
            answered = client.request(route.method, address, json=bodies.get(route.path)).json()
            asked = {name: at(answered, expression) for name, expression in given.items()}
            others = {"x": 0, "y": 0} if path == "/api/compass" else {"tag": "linked"} if path == "/api/tags" else {}
            send = {"params": asked | others} if method == "GET" else {"json": asked | others}
            assert client.request(method, path, **send).status_code == 200, (path, asked)


OBJECT = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}, "additionalProperties": False}


@pytest.mark.parametrize(
    ("value", "schema", "said"),
    [
        (1, {"type": "integer"}, ""),
        (True, {"type": "integer"}, "x is True; an integer"),
        (1.0, {"type": "integer"}, "x is 1.0; an integer"),
        pytest.param(10**400, {"type": "number"}, "", id="huge"),
        pytest.param(
            10**400, {"maximum": 1e300}, "x is a whole number of 1329 bits, which is too large", id="too large"
        ),
        (float("nan"), {"type": "number"}, "a finite number"),
        (None, {"type": ["number", "null"]}, ""),
        ("", {"type": ["number", "null"]}, "a finite number or null"),
        ("c", {"enum": ["a", "b"]}, "known: a, b"),
        ([1, "2"], {"type": "array", "items": {"type": "integer"}}, "x[1] is '2'"),
        ([1], {"type": "array", "minItems": 2}, "x has 1 entries"),
        ([1], {"type": "array", "maxItems": 0}, "x has 1 entries"),
        ({"a": 1}, OBJECT, ""),
        ({}, OBJECT, "x lacks a"),
        ({"a": 1, "b": 2}, OBJECT, "unknown 'b'"),
        ({"a": "1"}, OBJECT, "x.a is '1'"),
        ({"k": 1}, {"type": "object", "additionalProperties": {"type": "string"}}, "x.k is 1"),
        ([1], {"oneOf": [{"type": "array", "items": {"type": "integer"}}, OBJECT]}, ""),
        (["1"], {"oneOf": [OBJECT, {"type": "array", "items": {"type": "integer"}}]}, "x[0] is '1'"),
        ({"a": []}, {"anyOf": [{"type": "null"}, OBJECT]}, "x.a is []"),
        ("anything", {}, ""),
    ],
)
def test_values_against_schemas(value, schema, said):
    problem = problem_of(value, schema, "x")
    assert (said in problem) if said else not problem


def test_python_callers_are_checked_by_the_same_schema(alone):
    view, _ = alone
    route = next(route for route in ROUTES if route.path == "/api/ids")
    with pytest.raises(UsageError, match=r"points\[0\] is '0'"):
        ask(route, view, {"points": ["0"]})
