"""The answers of the explorer: facts and plain arrays, as JSON for programs and as raw columns for the page.

The raw form: `LTN1`, the length of a JSON header (uint32, little-endian), the header, padding to 8 bytes, then the arrays one
after the other, each begun at a multiple of 8 bytes from there. The header holds the facts, and of each array its dtype, shape
and offset.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAGIC", "MOST_FILE_BYTES", "Answer", "as_bytes", "as_json", "plain"]

MAGIC = b"LTN1"
ALIGNED = 8
MOST_FILE_BYTES = 64 << 20  # of an image file that is sent to be encoded
DTYPES = ("uint8", "uint16", "int32", "float32")


@dataclass(frozen=True)
class Answer:
    """Facts that JSON can hold, and arrays of one of `DTYPES`; or a whole file (`content`) of a media type, such as a PNG."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    content: bytes = b""
    media_type: str = ""


def as_json(answer: Answer) -> dict[str, Any]:
    """The answer in plain dicts and lists; numbers that are not finite become null."""
    arrays = {name: plain(array.tolist()) for name, array in answer.arrays.items()}
    return {**plain(dict(answer.facts)), **arrays}


def plain(value: Any) -> Any:
    """A value of dicts, lists and numbers as JSON can hold it: numbers that are not finite become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def as_bytes(answer: Answer) -> bytes:
    """The answer in its raw form."""
    layout: dict[str, Any] = {}
    body = bytearray()
    for name, array in answer.arrays.items():
        assert array.dtype.name in DTYPES, f"{name} is {array.dtype}"
        layout[name] = {"dtype": array.dtype.name, "shape": list(array.shape), "offset": len(body)}
        body += np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        body += bytes(-len(body) % ALIGNED)
    header = json.dumps({"facts": plain(dict(answer.facts)), "arrays": layout}, ensure_ascii=False).encode()
    head = MAGIC + len(header).to_bytes(4, "little") + header
    return head + bytes(-len(head) % ALIGNED) + bytes(body)
