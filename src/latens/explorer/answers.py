"""What each route of the explorer answers as JSON, as schemas of its OpenAPI description.

They say of JSON what the page's `types.js` says of the raw columns: arrays are lists, those of more dimensions lists in lists,
and a number that is not finite is null.
"""

from collections.abc import Mapping
from typing import Any

from latens.explorer.view import PARTS
from latens.images.pixels import WHITE

__all__ = ["ANSWERS", "ERROR"]

Schema = dict[str, Any]


def _object(optional: Mapping[str, Schema] | None = None, **properties: Schema) -> Schema:
    """An object with these properties, perhaps some optional ones, and no other."""
    return {
        "type": "object",
        "required": list(properties),
        "properties": {**properties, **(optional or {})},
        "additionalProperties": False,
    }


def _array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _by_name(schema: Schema) -> Schema:
    """An object whose properties are named by the user or the run."""
    return {"type": "object", "additionalProperties": schema}


def _whole(least: int, most: int) -> Schema:
    return {"type": "integer", "minimum": least, "maximum": most}


def _one_of(*texts: str) -> Schema:
    return {"type": "string", "enum": list(texts)}


def _with(schema: Schema, **more: Schema) -> Schema:
    """An object with further properties."""
    return _object(**schema["properties"], **more)


TEXT: Schema = {"type": "string"}
TRUTH: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
MAYBE: Schema = {"type": ["number", "null"]}  # null where it is not finite
COUNT: Schema = {"type": "integer", "minimum": 0}

TEXTS, WHOLES, NUMBERS, MAYBES = _array(TEXT), _array(WHOLE), _array(NUMBER), _array(MAYBE)
CODES = _array(_whole(0, 65_535))  # uint16
PICTURE = _array(_array(_array(_whole(0, WHITE))))  # (C, H, W)
PICTURES = _array(PICTURE)
IN_THREE = {"type": "array", "items": WHOLE, "minItems": 3, "maxItems": 3}
PAIR = {"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}
PLACES = _array(PAIR)
STOP = {"anyOf": [WHOLES, _object(map=TEXT, x=NUMBER, y=NUMBER)]}

STAGES = _array(_object(title=TEXT, done=WHOLE, total=WHOLE))
COLUMN = _object(
    name=TEXT,
    title=TEXT,
    kind=_one_of("class", "number"),
    names=TEXTS,
    colours=TEXTS,
    unit=TEXT,
    better=_one_of("lower", "higher", ""),
)
RUN = _object(
    name=TEXT,
    model=TEXT,
    network=TEXT,
    status=TEXT,
    data=TEXT,
    missing=TEXT,
    shape=IN_THREE,
    network_shape=IN_THREE,
    mix=_or_null(_array(WHOLES)),
    show=TEXT,
    plain=TRUTH,
    latent_dim=COUNT,
    count=COUNT,
    part=_one_of("test", "all"),
    train=COUNT,
    train_of=COUNT,
    rows=TEXT,
    class_names=TEXTS,
    colours=TEXTS,
    maps=TEXTS,
    kept=TEXTS,
    samplers=TEXTS,
    ways=TEXTS,
    columns=_array(COLUMN),
    thumbnails=_or_null(_object(size=COUNT, across=COUNT, per_page=COUNT, pages=COUNT)),
    decodes=TRUTH,
    encodes=TRUTH,
    note=TEXT,
    beside=TEXT,
)
PHASE = _object(
    phase=TEXT, status=TEXT, error=TEXT, epoch=COUNT, epochs=COUNT, stopping=TRUTH, mapped=TRUTH, work=STAGES
)
LAID = _object(
    rotation=PLACES,
    scale=NUMBER,
    origin=PAIR,
    target=PAIR,
    angle=NUMBER,
    mirrored=TRUTH,
    disparity=NUMBER,
    count=COUNT,
)
MAP = _object(
    name=TEXT,
    note=TEXT,
    left=NUMBER,
    bottom=NUMBER,
    size=NUMBER,
    decodable=TRUTH,
    laid=_or_null(LAID),
    x=CODES,
    y=CODES,
)
OPENING = _object(
    {**{name: one for name, one in MAP["properties"].items() if name != "name"}, "map": TEXT, "labels": CODES},
    name=TEXT,
    count=COUNT,
    class_names=TEXTS,
    colours=TEXTS,
    beside=TEXT,
)
DECODED = _object(
    note=TEXT,
    pixels=PICTURES,
    latents=_array(NUMBERS),
    ratio=MAYBES,
    round_trip=MAYBES,
    moved=MAYBES,
    nearest=WHOLES,
    places=PLACES,
    labels=CODES,
)
VALUES = _array(_object(title=TEXT, value={"type": ["string", "number", "null"]}, unit=TEXT))
IMAGE = _object(
    row=WHOLE,
    id=TEXT,
    part=_one_of(*PARTS[:2]),
    label=WHOLE,
    error=MAYBE,
    columns=VALUES,
    # Nothing where the images, or the model, have gone.
    pixels={"anyOf": [PICTURE, {"type": "array", "maxItems": 0}]},
    reconstruction={"anyOf": [PICTURE, {"type": "array", "maxItems": 0}]},
    latents=NUMBERS,
    neighbours=WHOLES,
    distances=MAYBES,
)
GIVEN = _object(
    id=TEXT,
    label=WHOLE,
    columns=VALUES,
    error=MAYBE,
    note=TEXT,
    pixels=PICTURE,
    reconstruction=PICTURE,
    neighbours=WHOLES,
    distances=MAYBES,
    latents=NUMBERS,
    ratio=MAYBES,
    round_trip=MAYBES,
    moved=MAYBES,
    places=PLACES,
)
PROBE = _with(
    DECODED,
    scores=_array(_object(name=TEXT, value=MAYBE, unit=TEXT, hint=TEXT)),
    spreads=MAYBES,
    cloud=PLACES,
    cloud_ratio=MAYBES,
    cloud_labels=CODES,
)
FOUND = {
    **dict.fromkeys(("kind", "id", "label", "suggested", "other_id"), TEXT),
    "part": _one_of(*PARTS[:2]),
    "score": MAYBE,
    "point": WHOLE,
}
FINDING = _object(  # those of the review say more
    {"row": WHOLE, "other_row": WHOLE, "other_part": TEXT, "other_label": TEXT, "other_point": WHOLE}, **FOUND
)
TAGS = _object(tags=_by_name(TEXTS), points=_by_name(WHOLES), rows=_by_name(WHOLES), colours=TEXTS)
KEPT_PATHS = _object(paths=_array(_object(name=TEXT, way=TEXT, stops=_array(STOP), lost=COUNT)))
INTERVAL = _or_null({"type": "array", "items": MAYBE, "minItems": 2, "maxItems": 2})
COMPARED = _object(
    group=TEXT,
    subject=TEXT,
    name=TEXT,
    unit=TEXT,
    direction=TEXT,
    meaning=TEXT,
    values=MAYBES,
    intervals=_array(INTERVAL),
    protocols=TEXTS,
    alike=TRUTH,
    better=_one_of("first", "second", ""),
    sure=TRUTH,
)
SCORE = _object(
    **dict.fromkeys(("group", "subject", "name", "unit", "direction", "meaning", "protocol"), TEXT),
    **dict.fromkeys(("value", "low", "high", "baseline"), MAYBE),
    **dict.fromkeys(("baseline_kind", "baseline_name", "split", "features"), TEXT),
    images={"type": ["integer", "null"]},
    seed={"type": ["integer", "null"]},
)
# A run that was trained in somebody's own loop knows less of an epoch.
EPOCH = {"type": "object", "required": ["epoch"], "properties": {"epoch": COUNT}, "additionalProperties": MAYBE}
VERDICT = _object(
    claims=_array(_object(name=TEXT, claim=TEXT, answer=TEXT, sentence=TEXT)),
    headline=TEXT,
    at_fault=_or_null(TEXTS),
    fault=TEXT,
    best_sampler=TEXT,
    suggestions=_array(_object(text=TEXT, because=TEXT)),
)
HISTORY = _object(
    status=TEXT,
    error=TEXT,
    history=_array(EPOCH),
    recipe=_by_name({}),  # as in run.json, with the options of the model that was chosen
    result=_by_name({}),
    facts=_object(created=TEXT, device=TEXT, threads={"type": ["integer", "null"]}, versions=_by_name({})),
    data=_object(name=TEXT, train=COUNT, test=COUNT, shape=IN_THREE, notes=TEXTS),
    scores=_or_null(_array(SCORE)),
    verdict=_or_null(VERDICT),
    snapshots=WHOLES,
    ready=TRUTH,
)

ERROR = _object(error=TEXT, kind=TEXT)

# By method and path; the routes that give a file have none.
ANSWERS: Mapping[tuple[str, str], Schema] = {
    ("GET", "/api/openapi.json"): {"type": "object"},
    ("GET", "/api/opening"): OPENING,
    ("GET", "/api/run"): RUN,
    ("GET", "/api/channels"): _object(channels=_array(_object(name=TEXT, low=NUMBER, high=NUMBER, auto=PAIR))),
    ("GET", "/api/odd"): _object(
        images=COUNT,
        odd=COUNT,
        false_alarms=NUMBER,
        calibration_images=COUNT,
        notes=TEXTS,
        found=_array(_object(**FOUND, p_value=NUMBER, odd=TRUTH)),
    ),
    ("GET", "/api/phase"): PHASE,
    ("POST", "/api/stop"): PHASE,
    ("GET", "/api/work"): _object(work=STAGES),
    ("GET", "/api/map"): MAP,
    ("GET", "/api/column"): _object(name=TEXT, values=MAYBES),
    ("GET", "/api/image"): IMAGE,
    ("GET", "/api/picture"): _object(id=TEXT, rebuilt=TRUTH, pixels=PICTURE),
    ("GET", "/api/find"): _object(found=_array(_object(id=TEXT, row=WHOLE))),
    ("POST", "/api/pictures"): _object(pixels=PICTURES),
    ("POST", "/api/classes"): _object(classes=WHOLES),
    ("GET", "/api/decode"): DECODED,
    ("POST", "/api/decode"): DECODED,
    ("POST", "/api/encode"): GIVEN,
    ("POST", "/api/nearest"): _object(rows=WHOLES, distances=MAYBES),
    ("GET", "/api/probe"): PROBE,
    ("POST", "/api/path"): _with(DECODED, way=TEXT, passed=WHOLES, stops=WHOLES),
    ("GET", "/api/directions"): _object(
        about={"type": ["integer", "null"]},
        mean=NUMBERS,
        directions=_array(NUMBERS),
        deviations=NUMBERS,
        shares=NUMBERS,
        lowest=NUMBERS,
        highest=NUMBERS,
    ),
    ("GET", "/api/list"): _object(kind=TEXT, found=_array(FINDING)),
    ("GET", "/api/compass"): _with(DECODED, around=COUNT, steps=NUMBERS, shares=NUMBERS, arrows=NUMBERS),
    ("GET", "/api/tags"): TAGS,
    ("POST", "/api/tags"): _with(TAGS, change=TEXT),
    ("POST", "/api/tags/undo"): TAGS,
    ("GET", "/api/paths"): KEPT_PATHS,
    ("POST", "/api/paths"): KEPT_PATHS,
    ("POST", "/api/ids"): _object(ids=TEXTS),
    ("POST", "/api/mean"): _object(images=COUNT, mean=NUMBERS),
    ("GET", "/api/link"): _object(
        other_epochs=WHOLES,
        first=COUNT,
        other_first=COUNT,
        none=WHOLE,
        shared=COUNT,
        mapped=COUNT,
        nearest=COUNT,
        notes=TEXTS,
        scores=_array(COMPARED),
        rows=WHOLES,
    ),
    ("GET", "/api/history"): HISTORY,
    ("GET", "/api/live"): _object(epoch=COUNT, pixels=PICTURES, reconstructions=PICTURES),
    ("GET", "/api/snapshot"): _object({"labels": CODES}, epoch=COUNT, x=CODES, y=CODES),
}
