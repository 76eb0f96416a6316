"""JSON schemas: the keywords that the explorer describes its requests and answers with, and the check of a value by them."""

from collections.abc import Mapping
from typing import Any

__all__ = ["problem_of"]

Schema = Mapping[str, Any]

TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "integer": ((int,), "an integer"),
    "number": ((int, float), "a finite number"),
    "string": ((str,), "a text"),
    "boolean": ((bool,), "true or false"),
    "array": ((list,), "an array"),
    "object": ((dict,), "an object"),
    "null": ((type(None),), "null"),
}
PLAIN = ({"type": "integer"}, {"type": "string"})  # of which there may be hundreds of thousands, checked at once
LONGEST = 60  # characters of a value that is shown


def problem_of(value: Any, schema: Schema, name: str) -> str:
    """Why a value of JSON does not fit a schema, as a clause that begins with its name; empty where it fits.

    Args:
        value: as `json.loads` gives it.
        schema: with the keywords type, enum, minimum, maximum, items, minItems, maxItems, properties, required,
            additionalProperties, oneOf and anyOf.
        name: what the value is called.

    >>> problem_of([1, "2"], {"type": "array", "items": {"type": "integer"}}, "points")
    "points[1] is '2'; an integer is needed"
    """
    if not schema:
        return ""
    if several := schema.get("oneOf") or schema.get("anyOf"):
        # That of the alternative whose type it has, where there is one.
        problems = sorted(
            (problem_of(value, one, name) for one in several), key=lambda one: one.startswith(f"{name} is")
        )
        return "" if "" in problems else problems[0]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_is_a(value, kind) for kind in kinds):
        return f"{name} is {_shown(value)}; {' or '.join(TYPES[kind][1] for kind in kinds)} is needed"
    if "enum" in schema and value not in schema["enum"]:
        return f"{name} is {_shown(value)}; known: {', '.join(map(str, schema['enum']))}"
    if isinstance(value, dict):
        return _problem_of_object(value, schema, name)
    if isinstance(value, list):
        return _problem_of_array(value, schema, name)
    if isinstance(value, int | float):
        if value < schema.get("minimum", value):
            return f"{name} is {_shown(value)}; at least {schema['minimum']:g} is needed"
        if value > schema.get("maximum", value):
            return f"{name} is {_shown(value)}, which is too large; at most {schema['maximum']:g} is allowed"
    return ""


def _is_a(value: Any, kind: str) -> bool:
    """Whether a value is of a type of JSON: true is no number, and neither is NaN. Whole numbers have no limit of length."""
    return type(value) in TYPES[kind][0] and (type(value) is not float or -float("inf") < value < float("inf"))


def _problem_of_array(value: list[Any], schema: Schema, name: str) -> str:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return f"{name} has {len(value)} entries; from {schema.get('minItems', 0)} to {schema.get('maxItems', 'any')} are allowed"
    items = schema.get("items", {})
    if items in PLAIN and set(map(type, value)) <= {*TYPES[items["type"]][0]}:
        return ""
    found = (problem_of(one, items, f"{name}[{number}]") for number, one in enumerate(value))
    return next(filter(None, found), "")


def _problem_of_object(value: dict[str, Any], schema: Schema, name: str) -> str:
    if missing := [one for one in schema.get("required", ()) if one not in value]:
        return f"{name} lacks {', '.join(missing)}"
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, one in value.items():
        if key not in known and others is False:
            return f"{name} has an unknown {_shown(key)}; known: {', '.join(known)}"
        if problem := problem_of(one, known.get(key, others if isinstance(others, dict) else {}), f"{name}.{key}"):
            return problem
    return ""


def _shown(value: Any) -> str:
    """The beginning of a value. Python refuses to write whole numbers of thousands of digits."""
    if type(value) is int and value.bit_length() > 256:
        return f"a whole number of {value.bit_length()} bits"
    return repr(value)[:LONGEST]
