"""The routes of the explorer in one table, from which the server, `--get` and the OpenAPI description are made."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from latens import __version__
from latens.errors import UsageError
from latens.explorer.answers import ANSWERS, ERROR
from latens.explorer.columns import CONTRADICTED, PREDICTED
from latens.explorer.guard import TOKEN_HEADER
from latens.explorer.pair import DIFFERING, Pair
from latens.explorer.paths import Paths, as_kept
from latens.explorer.schemas import problem_of
from latens.explorer.table import table_of
from latens.explorer.tags import Tags
from latens.explorer.view import PARTS, View
from latens.explorer.wire import Answer
from latens.figures.palette import class_colours
from latens.interpolation import PATHS
from latens.runs.run import TEST
from latens.samplers import SAMPLERS
from latens.sheets import as_csv, as_parquet

__all__ = ["REQUIRED", "ROUTES", "Param", "Route", "ask", "findings_of", "lists", "openapi"]

REQUIRED = object()
LARGEST = 1e15  # of latents and places: sums of their squares must be float32
MOST_WHOLE = 2**63 - 1
BOUNDS = {"integer": (-MOST_WHOLE - 1, MOST_WHOLE), "number": (-LARGEST, LARGEST)}
AS_TEXT = {  # in an address; Python would also read 1_000 and digits of other scripts
    "integer": (re.compile(r"[+-]?[0-9]+"), int),
    "number": (re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"), float),
}


@dataclass(frozen=True)
class Param:
    """A parameter of a route: its JSON type, its meaning, its default, and its smallest and largest value."""

    type: str
    text: str
    default: Any = REQUIRED
    choices: Sequence[str] | Callable[[], Sequence[str]] = ()
    items: Mapping[str, Any] | None = None
    least: float | None = None
    most: float | None = None

    @property
    def known(self) -> Sequence[str]:
        """The values that are allowed; empty for all of the type."""
        return self.choices() if callable(self.choices) else self.choices


@dataclass(frozen=True)
class Route:
    """A route: GET takes its params from the query, POST from a JSON object.

    Args:
        path: below the server's root.
        text: what it answers.
        answer: gives the answer, called with the view and the params.
        params: by name. One of type "file" is the whole body of the request, and the others are then in the query.
        method: GET, or POST where a request is too long for an address, or changes something.
        newest: whether a newer request of the same tab replaces an older one.
        desk: the thread that answers, by the parameters: `first` for what the page shows before the model and the images are
            there, `quick`; `slow` where something may have to be fitted first; `lengthy`
            where that may take minutes. Requests of one thread do not hold up the others.
        changes: whether it changes something in the run's folder.
        media_types: of a route that gives a file; empty for one that gives facts and arrays.
        links: what of the answer is a param of another route: by method and path its params, each as an expression of OpenAPI.
    """

    path: str
    text: str
    answer: Callable[..., Answer]
    params: Mapping[str, Param] = field(default_factory=dict)
    method: str = "GET"
    newest: bool = False
    desk: Callable[[Mapping[str, Any]], str] = lambda given: "quick"
    changes: bool = False
    media_types: Sequence[str] = ()
    links: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The name of the param that is the whole body; "" where there is none."""
        return next((name for name, param in self.params.items() if param.type == "file"), "")


def _later(where: str) -> Callable[..., Answer]:
    """A function "package.module:name" whose module is imported at the first call: torch must not hold up the first picture."""

    def call(view: View, **given: Any) -> Answer:
        module, _, name = where.partition(":")
        answer: Answer = getattr(import_module(module), name)(view, **given)
        return answer

    return call


def lists() -> Sequence[str]:
    """The kinds of images to check that every run can have; two runs together also have `DIFFERING`."""
    from latens.computed.review import KINDS

    return (*KINDS, CONTRADICTED)


def _kinds() -> Sequence[str]:
    return (*lists(), DIFFERING)


def _openapi(view: View) -> Answer:
    return Answer(openapi())


def _run(view: View) -> Answer:
    return Answer(view.info())


def _work(view: View) -> Answer:
    return Answer({"work": view.work.as_json()})


def _map(view: View, name: str, part: str) -> Answer:
    return Answer(*view.map_points(name, part))


def _column(view: View, name: str, part: str) -> Answer:
    return Answer({"name": name}, {"values": view.column(name, part)})


def _channels(view: View) -> Answer:
    return Answer({"channels": view.channels})


def _odd(view: View) -> Answer:
    return Answer(view.odd.facts())


def _thumbnails(view: View, page: int, look: str, part: str) -> Answer:
    return Answer(content=view.thumbnails(page, look, part), media_type="image/png")


def _picture(view: View, id: str, look: str) -> Answer:
    row = view.row_of(None, id)
    if not view.missing:
        return Answer({"id": id, "rebuilt": False}, {"pixels": view.pixels(np.array([row]), look)[0]})
    picture = view.shown(view.run.decode(view.run.latents["latents"][row][None]), look)[0]
    return Answer({"id": id, "rebuilt": True}, {"pixels": picture})


def _find(view: View, words: str) -> Answer:
    wanted = words.lower()

    def rank(one: str) -> int:
        return 0 if one == wanted else 1 if one.startswith(wanted) else 2 if _file(one).startswith(wanted) else 3

    found = [(rank(one.lower()), row, one) for one, row in view.row_of_id.items() if wanted in one.lower()]
    return Answer({"found": [{"id": one, "row": row - view.first} for _, row, one in sorted(found)[:MOST_FOUND]]})


def _file(one: str) -> str:
    return one.rpartition("/")[2]


def _pictures(view: View, points: list[Any], look: str) -> Answer:
    if not 1 <= len(points) <= MOST_PICTURES:
        raise UsageError(f"{len(points)} images were asked for; from 1 to {MOST_PICTURES} are allowed at once")
    rows = np.array([view.row_of(point) for point in points], np.int64)
    if not view.missing:
        return Answer({}, {"pixels": view.pixels(rows, look)})
    return Answer({}, {"pixels": view.shown(view.run.decode(view.run.latents["latents"][rows]), look)})


def _classes(view: View, points: list[Any]) -> Answer:
    rows = np.array([view.row_of(point) for point in points], np.int64)
    labels = view.run.latents.get("labels")
    return Answer(
        {}, {"classes": np.full(len(rows), -1, np.int32) if labels is None else labels[rows].astype(np.int32)}
    )


def findings_of(view: View, kind: str) -> list[dict[str, Any]]:
    """The images of a kind to check: `Finding` of the page's types.js each."""
    if kind == DIFFERING:
        return _paired(view).differing(view)
    if kind == CONTRADICTED:
        return _contradicted(view)
    from latens.computed.review import read_review

    return [
        {**vars(one), "point": one.row - view.first, "other_point": one.other_row - view.first}
        for one in read_review(view.run).of_kind(kind)
    ]


def _contradicted(view: View) -> list[dict[str, Any]]:
    """The points whose neighbours have another class, those of which most neighbours have one first; at most 500."""
    if view.labels is None or CONTRADICTED not in {column.name for column in view.all_columns}:
        return []
    against, predicted = view.column(CONTRADICTED), view.column(PREDICTED)
    wrong = np.flatnonzero((predicted != view.labels) & (view.labels >= 0) & (predicted < len(view.run.class_names)))
    order = wrong[np.argsort(-against[wrong], kind="stable")][:MOST_LISTED]
    names = view.run.class_names
    return [
        {
            "kind": CONTRADICTED,
            "id": str(view.ids[point]),
            "part": "test" if view.run.latents["part"][point + view.first] == TEST else "train",
            "label": names[view.labels[point]],
            "score": float(against[point]),
            "suggested": names[predicted[point]],
            "other_id": "",
            "point": int(point),
        }
        for point in order
    ]


def _list(view: View, kind: str) -> Answer:
    return Answer({"kind": kind, "found": findings_of(view, kind)})


def _tags(view: View) -> Answer:
    tags = Tags(view.run.path).read()
    rows = {
        tag: [view.row_of(None, one) - view.first for one in ids if one in view.row_of_id] for tag, ids in tags.items()
    }
    points = {tag: [row for row in found if row >= 0] for tag, found in rows.items()}
    colours = list(class_colours(len(tags) + 1, view.palette))  # the last is that of images with several tags
    return Answer({"tags": tags, "points": points, "rows": rows, "colours": colours})


def _change_tags(view: View, tag: str, ids: list[Any], on: bool) -> Answer:
    for one in ids:
        view.row_of(None, one)
    name = Tags(view.run.path).change(tag, ids, on)
    now = _tags(view)
    return Answer({**now.facts, "change": name})


def _undo_tags(view: View, change: str, undone: bool) -> Answer:
    Tags(view.run.path).undo(change, undone)
    return _tags(view)


def _tags_csv(view: View) -> Answer:
    return Answer(content=Tags(view.run.path).as_csv().encode(), media_type="text/csv; charset=utf-8")


def _table(view: View, points: list[Any], map: str, kind: str, part: str) -> Answer:
    columns = table_of(view, points, map, part)
    if kind == "parquet":
        return Answer(content=as_parquet(columns), media_type="application/vnd.apache.parquet")
    return Answer(content=as_csv(columns), media_type="text/csv; charset=utf-8")


def _ids(view: View, points: list[Any]) -> Answer:
    return Answer({"ids": [str(view.run.latents["ids"][view.row_of(point, "")]) for point in points]})


def _link(view: View) -> Answer:
    from latens.explorer.following import epochs_of

    pair = _paired(view)
    epochs = epochs_of(pair.other(view).run)
    return Answer({**pair.facts(view), "other_epochs": epochs}, {"rows": pair.rows(view)})


def _paired(view: View) -> Pair:
    if view.pair is None:
        raise UsageError("no second run is shown beside this one; `latens explore RUN --beside OTHER` shows two")
    return view.pair


def _paths(view: View) -> Answer:
    return Answer({"paths": Paths(view.run.path).resolved(view)})


def _keep_path(view: View, name: str, stops: list[Any], way: str) -> Answer:
    from latens.explorer import decoding

    paths = Paths(view.run.path)
    if stops:
        if not 2 <= len(stops) <= decoding.MOST_STEPS:
            raise UsageError(f"a path has 2 to {decoding.MOST_STEPS} stops, not {len(stops)}")
        for stop in stops:
            decoding.latent_of_stop(view, stop)
        paths.keep(name, way, [as_kept(view, stop) for stop in stops])
    else:
        paths.remove(name)
    return _paths(view)


def _probe_desk(given: Mapping[str, Any]) -> str:
    name = str(given.get("sampler"))
    return "lengthy" if name in SAMPLERS and not SAMPLERS[name].by_default() else "slow"


def _slow(given: Mapping[str, Any]) -> str:
    return "slow"


MAP = Param("string", "a map's name")
LOOK = Param("string", "how images are shown, such as red=3@0.1:0.6,green=2; as the run shows them by default", "")
PART = Param(
    "string",
    "whose images: the map's own points, those of the train part that are placed on it, or both",
    "test",
    PARTS,
)
AMONG = Param("string", "among whose images neighbours are looked for", "test", PARTS)
UNITS = ("latent", "spread")
MOST_LISTED = 500
MOST_NOISE = 1e6  # times the spread of a class, or in latent units
MOST_FOUND = 20
MOST_PICTURES = 500  # in one answer
POINTS = {"type": "integer"}
NUMBER = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
NUMBERS = {"type": "array", "items": NUMBER}

STOPS = Param(
    "array",
    "two or more: points, as row of /api/image, whose mean it is; or a place as map, x, y",
    items={
        "oneOf": [
            {"type": "array", "items": POINTS},
            {
                "type": "object",
                "required": ["map", "x", "y"],
                "properties": {"map": {"type": "string"}, "x": NUMBER, "y": NUMBER},
                "additionalProperties": False,
            },
        ]
    },
)

ANSWERED = "$response.body#"  # in a link

ROUTES = (
    Route("/api/openapi.json", "this description", _openapi),
    Route(
        "/api/opening",
        "what the first picture needs, read without the model, the images and the latents: a kept map, and the classes",
        lambda view, map: view.opening(map),
        {"map": Param("string", "which, where the run has it", "")},
        desk=lambda given: "first",
    ),
    Route(
        "/api/run",
        "the run, and which maps, columns and samplers it has",
        _run,
        links={
            ("GET", "/api/map"): {"name": f"{ANSWERED}/maps/0"},
            ("GET", "/api/column"): {"name": f"{ANSWERED}/columns/0/name"},
            ("GET", "/api/compass"): {"map": f"{ANSWERED}/maps/0"},
            ("GET", "/api/probe"): {"map": f"{ANSWERED}/maps/0", "sampler": f"{ANSWERED}/samplers/0"},
        },
    ),
    Route(
        "/api/channels",
        "the channels of the images, their ranges, and where nearly all pixels lie",
        _channels,
        desk=_slow,
    ),
    Route(
        "/api/odd",
        "the images that training did not see, the oddest first, by the calibrated detector",
        _odd,
        desk=_slow,
    ),
    Route(
        "/api/phase",
        "what a run that is being made is at, and how far it is",
        _later("latens.explorer.phase:phase"),
        desk=lambda given: "first",
    ),
    Route(
        "/api/stop",
        "end the training after the epoch under way; the run is then completed as it is, and can be trained on",
        _later("latens.explorer.phase:stop"),
        method="POST",
        desk=lambda given: "first",
        changes=True,
    ),
    Route("/api/work", "what is being fitted at the moment, and how far it is", _work),
    Route(
        "/api/map",
        "places of all points, 16 bit, and how they become the map's own units",
        _map,
        {"name": MAP, "part": PART},
        desk=_slow,
    ),
    Route(
        "/api/column",
        "one value a point: classes as numbers, or numbers",
        _column,
        {"name": Param("string", "a column's name"), "part": PART},
        desk=_slow,
    ),
    Route(
        "/api/thumbnails",
        "a sprite page of small images, in the order of the points",
        _thumbnails,
        {"page": Param("integer", "which, from 0"), "look": LOOK, "part": PART},
        desk=_slow,
        media_types=("image/png",),
    ),
    Route(
        "/api/image",
        "an image, its reconstruction, its latent, its nearest others",
        lambda view, row, id, look, part: view.image(row, id, look, part),
        {
            "row": Param("integer", "the point; below 0: not on the map", None),
            "id": Param("string", "or the image's id", ""),
            "look": LOOK,
            "part": AMONG,
        },
    ),
    Route(
        "/api/picture",
        "an image's pixels, by its id; as it is rebuilt, where the images have gone",
        _picture,
        {"id": Param("string", "the image's id"), "look": LOOK},
    ),
    Route(
        "/api/find",
        "images with some words in their ids, the likeliest first",
        _find,
        {"words": Param("string", "part of an id or a file name, in any case")},
        links={
            ("GET", "/api/image"): {"row": f"{ANSWERED}/found/0/row"},
            ("GET", "/api/picture"): {"id": f"{ANSWERED}/found/0/id"},
            ("POST", "/api/tags"): {"ids": [f"{ANSWERED}/found/0/id"]},
        },
    ),
    Route(
        "/api/pictures",
        "the pixels of several images; as they are rebuilt, where the images have gone",
        _pictures,
        {"points": Param("array", "points, as row of /api/image", items=POINTS), "look": LOOK},
        method="POST",
    ),
    Route(
        "/api/classes",
        "the classes of several images as numbers; -1 where there are none",
        _classes,
        {"points": Param("array", "points, as row of /api/image", items=POINTS)},
        method="POST",
    ),
    Route(
        "/api/decode",
        "the decoded image at a place of a map, also where no point lies",
        _later("latens.explorer.decoding:decode_at"),
        {
            "map": MAP,
            "x": Param("number", "in the map's units"),
            "y": Param("number", "in the map's units"),
            "look": LOOK,
        },
        newest=True,
    ),
    Route(
        "/api/decode",
        "the decoded images of latents, and their places on a map",
        _later("latens.explorer.decoding:decode"),
        {
            "latents": Param("array", "rows of latent numbers", items=NUMBERS),
            "map": Param("string", "a map's name", ""),
            "look": LOOK,
        },
        method="POST",
        newest=True,
    ),
    Route(
        "/api/encode",
        "an image file of the user's: read as the run's images, encoded, decoded, placed on a map, its nearest images",
        _later("latens.explorer.decoding:encode"),
        {
            "file": Param("file", "the image file"),
            "name": Param("string", "the file's name, whose ending says its format", "image"),
            "map": Param("string", "a map's name", ""),
            "look": LOOK,
            "part": AMONG,
        },
        method="POST",
        desk=_slow,
    ),
    Route(
        "/api/nearest",
        "the images whose latents are nearest to a latent, nearest first",
        _later("latens.explorer.decoding:nearest"),
        {
            "latents": Param("array", "the latent's numbers", items=NUMBER),
            "count": Param("integer", "how many images", 50),
            "part": AMONG,
        },
        method="POST",
    ),
    Route(
        "/api/probe",
        "latents drawn by a sampler: one image per class, and a cloud of points on a map",
        _later("latens.explorer.decoding:probe"),
        {
            "sampler": Param("string", "whose", "class-means", tuple(SAMPLERS)),
            "noise": Param("number", "of class-means", 1.0, least=0, most=MOST_NOISE),
            "unit": Param("string", "of the noise: the latents' own, or the spread of each class", "latent", UNITS),
            "seed": Param("integer", "another seed, another draw", 0, least=0),
            "map": MAP,
            "look": LOOK,
        },
        newest=True,
        desk=_probe_desk,
    ),
    Route(
        "/api/path",
        "a path from image to image, or mean to mean, or place to place, decoded",
        _later("latens.explorer.decoding:path"),
        {
            "stops": STOPS,
            "way": Param("string", "how", "linear", tuple(PATHS)),
            "steps": Param("integer", "points of the path", 11),
            "map": MAP,
            "look": LOOK,
        },
        method="POST",
        newest=True,
        desk=lambda given: "slow" if given.get("way") == "graph" else "quick",
    ),
    Route(
        "/api/directions",
        "directions in which the latents vary most, about a point or of all",
        _later("latens.explorer.decoding:directions"),
        {"point": Param("integer", "about which; all by default", None), "count": Param("integer", "how many", 8)},
    ),
    Route(
        "/api/list",
        "images to check",
        _list,
        {"kind": Param("string", "the kind of images", choices=_kinds)},
        desk=lambda given: "slow" if given.get("kind") in (DIFFERING, CONTRADICTED) else "quick",
    ),
    Route(
        "/api/compass",
        "where the directions lead in which the latents near a place of a map vary most, decoded",
        _later("latens.explorer.decoding:compass"),
        {
            "map": MAP,
            "x": Param("number", "in the map's units"),
            "y": Param("number", "in the map's units"),
            "look": LOOK,
        },
        newest=True,
    ),
    Route("/api/tags", "all tags, the ids that have them, which of the map's points do, and the rows of all", _tags),
    Route(
        "/api/tags",
        "give a tag to images, or take it away",
        _change_tags,
        {
            "tag": Param("string", "the tag"),
            "ids": Param("array", "the images' ids", items={"type": "string"}),
            "on": Param("boolean", "give it, or take it away", True),
        },
        method="POST",
        changes=True,
        links={("POST", "/api/tags/undo"): {"change": f"{ANSWERED}/change"}},
    ),
    Route("/api/paths", "the paths that are kept with the run", _paths),
    Route(
        "/api/paths",
        "keep a path with the run under a name, or remove it",
        _keep_path,
        {
            "name": Param("string", "its name"),
            "stops": Param("array", f"{STOPS.text}; none removes the path", items=STOPS.items),
            "way": Param("string", "how", "linear", tuple(PATHS)),
        },
        method="POST",
        changes=True,
        desk=_slow,
    ),
    Route(
        "/api/tags/undo",
        "take back a change of tags, or do it again; the changes of others stay",
        _undo_tags,
        {
            "change": Param("string", "as the answer to the change called it"),
            "undone": Param("boolean", "take it back, or do it again", True),
        },
        method="POST",
        changes=True,
    ),
    Route("/api/tags.csv", "all tags as a table: id,tag", _tags_csv, media_types=("text/csv",)),
    Route("/api/ids", "the ids of points", _ids, {"points": Param("array", "points", items=POINTS)}, method="POST"),
    Route(
        "/api/mean",
        "the mean of the latents of some images",
        _later("latens.explorer.decoding:mean"),
        {"points": Param("array", "points, as row of /api/image", items=POINTS)},
        method="POST",
        links={
            ("POST", "/api/decode"): {"latents": [f"{ANSWERED}/mean"]},
            ("POST", "/api/nearest"): {"latents": f"{ANSWERED}/mean"},
        },
    ),
    Route(
        "/api/table",
        "what is known of images as a file: id, part, class, columns, place on a map, tags",
        _table,
        {
            "points": Param("array", "points, as row of /api/image", items=POINTS),
            "map": Param("string", "a map's name", ""),
            "kind": Param("string", "of the file", "csv", ("csv", "parquet")),
            "part": PART,
        },
        method="POST",
        desk=_slow,
        media_types=("text/csv", "application/vnd.apache.parquet"),
    ),
    Route(
        "/api/link",
        "beside another run: the row there of each image, what both share, and their scores side by side",
        _link,
        desk=_slow,
    ),
    Route("/api/history", "loss curve, settings, scores, verdict", _later("latens.explorer.following:history")),
    Route(
        "/api/live",
        "test images as the weights of the last epoch rebuild them",
        _later("latens.explorer.following:live"),
        {"look": LOOK},
        desk=_slow,
    ),
    Route(
        "/api/snapshot",
        "the test latents of one epoch on a plane, aligned to the last",
        _later("latens.explorer.following:snapshot"),
        {"epoch": Param("integer", "one of the run's snapshots")},
    ),
)


def ask(route: Route, view: View, given: Mapping[str, Any]) -> Answer:
    """Check what was given, and answer.

    Args:
        route: of `ROUTES`.
        view: of the run.
        given: by name; texts of a query, or values of JSON.

    Raises:
        UsageError: something is missing, unknown, or of the wrong type.
    """
    if unknown := set(given) - set(route.params):
        known = ", ".join(route.params) or "none"
        raise UsageError(f"{route.path}: unknown {', '.join(sorted(map(repr, unknown)))}; known: {known}")
    return route.answer(view, **{name: _checked(route, name, param, given) for name, param in route.params.items()})


def _checked(route: Route, name: str, param: Param, given: Mapping[str, Any]) -> Any:
    if name not in given:
        if param.default is REQUIRED:
            raise UsageError(f"{route.path}: {name} is missing ({param.type}: {param.text})")
        return param.default
    value: Any = given[name]
    if param.type == "file":
        return value
    if route.method == "GET" and param.type in AS_TEXT:
        value = _as_number(param.type, value)
    if problem := problem_of(value, _schema(param), f"{route.path}: {name}"):
        raise UsageError(problem)
    return float(value) if param.type == "number" else value


def _as_number(kind: str, text: str) -> Any:
    """A number in an address; the text itself where it is none."""
    form, read = AS_TEXT[kind]
    try:
        return read(text) if form.fullmatch(text) else text
    except ValueError:  # Python reads no whole number of thousands of digits
        return text


def openapi() -> dict[str, Any]:
    """The routes as OpenAPI 3.1."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "latens explorer", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR},
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    said: dict[str, Any] = {"summary": route.text, "responses": _responses(route)}
    required = [name for name, param in route.params.items() if param.default is REQUIRED]
    if route.method == "GET" or route.file:
        said["parameters"] = [
            {"name": name, "in": "query", "required": name in required, "description": p.text, "schema": _schema(p)}
            for name, p in route.params.items()
            if name != route.file
        ]
    if route.file:
        said["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    elif route.method == "POST":
        body = {
            "type": "object",
            "required": required,
            "properties": {n: _schema(p) for n, p in route.params.items()},
            "additionalProperties": False,
        }
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return said


def _responses(route: Route) -> dict[str, Any]:
    """What a route can answer, by status."""
    if route.media_types:
        content: dict[str, Any] = {name: {} for name in route.media_types}
    else:
        content = {"application/json": {"schema": ANSWERS[route.method, route.path]}, "application/octet-stream": {}}
    failed = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    errors = {
        "400": "the request is wrong",
        "403": "the token is missing or wrong, or the request comes from elsewhere",
        "404": "the run, or its images, have not what was asked for",
        "503": "the explorer has been stopped, or has not enough memory for this",
    }
    if route.newest:
        errors["409"] = "a newer request of the same tab has overtaken this one"
    links = {f"{method} {path}": _link_to(method, path, given) for (method, path), given in route.links.items()}
    return {
        "200": {"description": route.text, "content": content, **({"links": links} if links else {})},
        **{status: {"description": text, "content": failed} for status, text in errors.items()},
    }


def _link_to(method: str, path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer gives to another route, as OpenAPI writes it."""
    there = {"operationRef": f"#/paths/{path.replace('/', '~1')}/{method.lower()}"}
    return {**there, "parameters": dict(given)} if method == "GET" else {**there, "requestBody": dict(given)}


def _schema(param: Param) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": param.type}
    if param.known:
        schema["enum"] = list(param.known)
    if param.items:
        schema["items"] = dict(param.items)
    least, most = BOUNDS.get(param.type, (None, None))
    if least is not None:
        schema["minimum"] = least if param.least is None else param.least
        schema["maximum"] = most if param.most is None else param.most
    if param.default is not REQUIRED and param.default is not None:
        schema["default"] = param.default
    return schema
