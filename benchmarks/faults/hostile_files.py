"""What can be wrong with a run's folder, each a change of a good one; tried by `hostile.py`."""

import hashlib
import io
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from latens.files import safetensors_content

__all__ = ["Change", "Command", "entries_changed", "files_changed", "resealed"]

Change = Callable[[Path], object]  # of a run's folder

OUTSIDE = "../../private"  # from a run's folder, see `apart.Private`
GONE = object()  # the entry is left out
NESTED: Any = 0
for _ in range(400):
    NESTED = [NESTED]
WRONG = (None, True, -1, 10**12, 1e308, "x", "", f"{OUTSIDE}/letter.txt", "os:system", [], {}, NESTED, ["x"], GONE)
BOMB = 1_500_000_000  # bytes
HOLE, HASHED_HOLE = 10_000_000_000, 600_000_000  # bytes; of files whose every byte is read, to check it


class Command:
    """What a hostile pickle does when it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        """A call of os.system."""
        return os.system, ("touch /tmp/latens-was-here",)


# run.json


def entries_changed(good: Path) -> Iterator[tuple[str, Change]]:
    """Each entry of run.json, at any depth, is something else; and entries that were thought of."""
    record = read_record(good)
    places = [place for place in places_of(record) if place != ("seal",) and place[:1] != ("files",)]
    every = [(place, value) for place in [*places, ("files",)] for value in WRONG]
    for number, (place, value) in enumerate(every):
        sealed = number % 2 == 0
        name = f"{'.'.join(map(str, place))} is {_text(value)}, {'sealed anew' if sealed else 'without a seal'}"
        yield name, lambda run, place=place, value=value, sealed=sealed: put(run, place, value, sealed)
    for place, value in ENTRIES:
        name = f"{'.'.join(place)} is {_text(value)}"
        yield name, lambda run, place=place, value=value: put(run, place, value)


ENTRIES: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("files",), {"model.safetensors": 3}),
    (("files",), {"\x00": "0"}),
    (("files",), {f"{OUTSIDE}/letter.txt": "0"}),
    (("files",), {"maps/../../../private/letter.txt": "0"}),
    (("files",), {"/etc/passwd": "0"}),
    (("files",), {"maps/a\nb\x1b[31m.npz": "0"}),
    (("files",), {f"maps/{'a' * 5_000}.npz": "0"}),
    (("files",), {".": "0"}),
    (("files",), {"maps": "0", "": "0", "run.json": "0", ".lock": "0"}),
    (("files",), {f"maps/{number}.npz": "0" for number in range(20_000)}),
    (("files",), {"\ud800": "0"}),
    (("files",), {"model.safetensors": "../../../private/letter.txt"}),
    (("files",), {"model.safetensors": "/etc/passwd\x00"}),
    (("forms",), {"encoder": "os.system"}),
    (("forms",), {"encoder": ["os.system"] * 3, "decoder": {"a": 1}}),
    (("status",), "training"),
    (("status",), "stopped"),
    (("status",), "\x1b]0;title\x07\n"),
    (("left_out",), {"map": 3}),
    (("left_out",), {"a\nb": "c\nd"}),
    (("recipe", "latent_dim"), 1_000_000),
    (("recipe", "network"), "__import__"),
    (("recipe", "network"), "residual:depth=1000000"),
    (("recipe", "network"), "dense:width=10000000"),
    (("recipe", "model"), "variational:beta=nan"),
    (("recipe", "model"), "hostile_module:Model"),
    (("recipe", "model"), "frozen"),
    (("recipe", "model"), "adopted"),
    (("recipe", "name"), "adopted"),
    (("recipe", "model_options"), {"noise": "x"}),
    (("recipe", "model_options"), {"encoder": "torch.hub:x"}),
    (("recipe", "model_options"), {"__class__": 1}),
    (("recipe", "config", "epochs"), "x"),
    (("data", "source"), "fashion-mnist"),
    (("data", "source"), "/proc/self"),
    (("data", "source"), "/dev/zero"),
    (("data", "source"), f"{OUTSIDE}/pictures"),
    (("data", "source"), "http://127.0.0.1:9/images.zip"),
    (("data", "source"), "file:///dev/zero"),
    (("data", "source"), "s3://a/b"),
    (("data", "shape"), [1, 1_000_000, 1_000_000]),
    (("data", "shape"), [1]),
    (("data", "shape"), [10**9, 1, 1]),
    (("data", "value_range"), [[float(3), 1]]),
    (("data", "value_range"), [[0.0, 1e308]] * 3),
    (("data", "class_names"), [f"{number}" for number in range(100_000)]),
    (("data", "class_names"), ["\ud800", "a\nb", "a" * 1_000_000]),
    (("data", "name"), "a\nb\x1b[2J"),
    (("data", "name"), "\ud800"),
    (("data", "name"), "a" * 1_000_000),
    (("data", "show"), "red=9999"),
    (("data", "channel_names"), ["\ud800"]),
)


def places_of(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each entry of nested dicts and lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*at, key)
        yield from places_of(inner, (*at, key))


def read_record(run: Path) -> dict[str, Any]:
    """The content of run.json."""
    record: dict[str, Any] = json.loads((run / "run.json").read_text())
    return record


def put(run: Path, place: tuple[Any, ...], value: Any, sealed: bool = False) -> None:
    """Change one entry of run.json."""
    record = read_record(run)
    write_record(run, changed(record, place, value), sealed)


def changed(whole: Any, place: tuple[Any, ...], value: Any) -> Any:
    """Nested dicts and lists with another value at a place, or without it; they are changed."""
    inner = whole
    for key in place[:-1]:
        inner = inner[key]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return whole


def write_record(run: Path, record: dict[str, Any], sealed: bool = False) -> None:
    """Write run.json, with a seal that fits or without one."""
    record.pop("seal", None)
    if sealed:
        plain = json.dumps(record, sort_keys=True, separators=(",", ":"))
        record["seal"] = hashlib.sha256(plain.encode()).hexdigest()
    (run / "run.json").write_text(json.dumps(record))


def _text(value: Any) -> str:
    return "left out" if value is GONE else f"{value!r}"[:60]


# The other files


def files_changed(good: Path) -> Iterator[tuple[str, Change]]:
    """Each file of a run is no file, or another's, or empty; and what can be wrong with its content."""
    yield from of_run_json()
    for name in [*kinds(good), "tags.jsonl", "paths.jsonl", ".lock", ".working", ".stop"]:
        yield from not_that_file(good, name)
    for folder in ("maps", "figures", "samplers", "snapshots"):
        yield f"{folder} is a link to a folder outside", lambda run, folder=folder: _folder_outside(run, folder)
        yield f"{folder} is a file", lambda run, folder=folder: (shutil.rmtree(run / folder), _write(run / folder, b""))
    yield "another folder is a link to one outside", lambda run: _link(run / "other", OUTSIDE)
    for name in kinds(good):
        path = good / name
        contents = (
            npz_contents(path) if name.endswith(".npz")
            else tensor_contents(path) if name.endswith(".safetensors")
            else json_contents(path) if name.endswith(".json")
            else line_contents(path) if name.endswith(".jsonl")
            else ()
        )  # fmt: skip
        for what, content in contents:
            yield f"{name}: {what}", lambda run, name=name, content=content: resealed(run, name, content())
    for name, lines in JOURNALS.items():
        for what, text in lines.items():
            yield (
                f"{name}: {what}",
                lambda run, name=name, text=text: _write(run / name, text.encode("utf-8", "replace")),
            )


def kinds(good: Path) -> list[str]:
    """One file of each kind: of each folder and ending in the run."""
    found: dict[tuple[str, str], str] = {}
    for name in sorted(read_record(good)["files"]):
        found.setdefault((name.rpartition("/")[0] or name, Path(name).suffix), name)
    return list(found.values())


def of_run_json() -> Iterator[tuple[str, Change]]:
    """run.json itself."""
    yield from {
        "run.json is a FIFO": lambda run: _fifo(run / "run.json"),
        "run.json is /dev/zero": lambda run: _link(run / "run.json", "/dev/zero"),
        "run.json is a folder": lambda run: _folder(run / "run.json"),
        "run.json is a link to a text outside": lambda run: _link(run / "run.json", f"{OUTSIDE}/letter.txt"),
        "run.json of nested lists": lambda run: _write(run / "run.json", b"[" * 200_000),
        "run.json of a huge number": lambda run: _write(run / "run.json", b'{"format": ' + b"9" * 10_000 + b"}"),
        "run.json that is no UTF-8": lambda run: _write(run / "run.json", b"\xff\xfe{}"),
        "run.json of 200 MB": lambda run: _write(run / "run.json", b" " * 200_000_000),
        "run.json of 10 GB without content": lambda run: _hole(run / "run.json"),
        "run.json is empty": lambda run: _write(run / "run.json", b""),
    }.items()


def not_that_file(good: Path, name: str) -> Iterator[tuple[str, Change]]:
    """A name in a run's folder that is no file, or is another one, with the hash that it had, none, or its own."""
    other = next(one for one in kinds(good) if Path(one).suffix != Path(name).suffix)
    changes: dict[str, Change] = {
        "a FIFO": lambda run: _fifo(run / name),
        "/dev/zero": lambda run: _link(run / name, "/dev/zero"),
        "a folder": lambda run: _folder(run / name),
        "a link to a text outside": lambda run: _link(run / name, _up(name, "letter.txt")),
        "a link to lines outside": lambda run: _link(run / name, _up(name, "lines.jsonl")),
        "a link to nothing outside": lambda run: _link(run / name, _up(name, "new.txt")),
        "a link to /etc/passwd": lambda run: _link(run / name, "/etc/passwd"),
        "empty": lambda run: _write(run / name, b""),
        "another file": lambda run: shutil.copyfile(good / other, run / name),
        "GB without content": lambda run: _hole(run / name),
    }
    for what, change in changes.items():
        yield f"{name} is {what}", change
        if name in read_record(good)["files"]:
            yield f"{name} is {what}, without a hash", lambda run, change=change: (change(run), unhashed(run, name))
            if what in ("empty", "another file"):
                yield f"{name} is {what}, hashed", lambda run, change=change: (change(run), resealed(run, name))


def _up(name: str, to: str) -> str:
    return "../" * name.count("/") + f"{OUTSIDE}/{to}"


def unhashed(run: Path, name: str) -> None:
    """Forget the hash of a file, as runs of earlier versions have none of some."""
    put(run, ("files", name), GONE)


def resealed(run: Path, name: str, content: bytes | None = None) -> None:
    """Give a file another content, and the hash that fits."""
    if content is not None:
        _write(run / name, content)
    put(run, ("files", name), hashlib.sha256((run / name).read_bytes()).hexdigest(), True)


Contents = Iterator[tuple[str, Callable[[], bytes]]]


def npz_contents(path: Path) -> Contents:
    """What can be wrong with an .npz."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name, array in arrays.items():
        for what, other in other_arrays(array).items():
            yield f"{name} {what}", lambda name=name, other=other: _npz({**arrays, name: other})
        yield f"no {name}", lambda name=name: _npz({key: one for key, one in arrays.items() if key != name})
    first = next(iter(arrays))
    yield "pickled objects", lambda: _npz({**arrays, first: np.array([Command()] * len(arrays[first]), dtype=object)})
    yield "a header that claims 2^60 numbers", lambda: _zip({f"{first}.npy": _header((1 << 30, 1 << 30), "<f4")})
    yield "a header that claims 2^30 zeros", lambda: _zip({f"{first}.npy": _header((1 << 30,), "<f8")})
    yield "a header of a negative shape", lambda: _zip({f"{first}.npy": _header((-1, 4), "<f4") + bytes(64)})
    yield "a header that is code", lambda: _zip({f"{first}.npy": _raw_header("__import__('os').system('true')")})
    yield "a header of nested lists", lambda: _zip({f"{first}.npy": _raw_header("[" * 60_000)})
    yield "names that lead out", lambda: _npz({**arrays, f"{OUTSIDE}/new": np.zeros(3)})
    yield "the same name twice", lambda: _twice(first, arrays[first])
    yield "it unpacks to 1.5 GB", lambda: _zip({f"{first}.npy": _header((BOMB,), "|u1"), "": BOMB}, packed=True)
    yield (
        "an array that unpacks to 1.5 GB beside the others",
        lambda: _zip(
            {
                **{f"{name}.npy": _npy(one) for name, one in arrays.items()},
                "more.npy": _header((BOMB,), "|u1"),
                "": BOMB,
            },
            packed=True,
        ),
    )


def other_arrays(array: np.ndarray) -> dict[str, np.ndarray]:
    """What else an array could be."""
    found: dict[str, np.ndarray] = {
        "is empty": np.atleast_1d(array)[:0],
        "is a number": np.array(3),
        "has a row more": np.concatenate([array, array[:1]]) if array.ndim else array,
        "has an axis more": array[..., None, None],
        "are texts": np.full(array.shape, f"{OUTSIDE}/letter.txt"),
        "are times": np.zeros(array.shape, "datetime64[s]"),
        "are records": np.zeros(array.shape, [("a", "<f4"), ("b", "<U3")]),
        "are complex": np.zeros(array.shape, complex),
        "are truth values": np.ones(array.shape, bool),
        "are bytes": np.full(array.shape, b"\xff\x00"),
        "are texts of surrogates": np.full(array.shape, "\ud800\n\x1b[2J"),
    }
    if array.dtype.kind in "fiu":
        found["is NaN"] = np.full(array.shape, np.nan)
        found["is huge"] = np.full(array.shape, 1e308)
        found["is 2^62"] = np.full(array.shape, 1 << 62)
        found["is negative"] = np.full(array.shape, -7)
        found["is very negative"] = np.full(array.shape, -(1 << 62))
    return found


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array), allow_pickle=True)
    return out.getvalue()


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    return _zip({f"{name}.npy": _npy(array) for name, array in arrays.items()})


def _twice(name: str, array: np.ndarray) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"{name}.npy", _npy(array))
        archive.writestr(f"{name} npy", _npy(array * 0))
    return out.getvalue().replace(f"{name} npy".encode(), f"{name}.npy".encode())


def _zip(members: dict[str, Any], packed: bool = False) -> bytes:
    """A zip of members; the member before "" is followed by so many zeros."""
    out = io.BytesIO()
    zeros = members.pop("", 0)
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", kind, compresslevel=1) as archive:
        for name, content in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
                if zeros and name == list(members)[-1]:
                    for _ in range(zeros // 1_000_000):
                        member.write(bytes(1_000_000))
    return out.getvalue()


def _header(shape: tuple[int, ...], dtype: str) -> bytes:
    return _raw_header(repr({"descr": dtype, "fortran_order": False, "shape": shape}))


def _raw_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n"


def tensor_contents(path: Path) -> Contents:
    """What can be wrong with a safetensors file."""
    from latens.files import read_safetensors

    tensors = read_safetensors(path)
    first = next(iter(tensors))
    one = tensors[first]
    others = {
        "NaN": torch.full_like(one.float(), torch.nan),
        "infinity": torch.full_like(one.float(), torch.inf),
        "huge": torch.full_like(one.float(), 3e38),
        "whole numbers": one.to(torch.int64),
        "truth values": one.bool(),
        "complex": one.to(torch.complex64),
        "8-bit floats": one.to(torch.float8_e4m3fn),
        "another shape": torch.zeros(3, 2, 1),
        "a number": torch.tensor(3.0),
        "nothing": torch.zeros(0),
        "very wide": torch.zeros(1, 4_000_000),
    }
    for what, other in others.items():
        yield f"{first} is {what}", lambda other=other: safetensors_content({**tensors, first: other})
        yield f"all are {what}", lambda other=other: safetensors_content({name: other.clone() for name in tensors})
    yield "another name", lambda: safetensors_content({**tensors, "a\nb\x1b[2J": one.clone()})
    yield "no tensors", lambda: safetensors_content({})
    yield f"no {first}", lambda: safetensors_content({name: t for name, t in tensors.items() if name != first})
    a, b = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, {"dtype": "F32", "shape": [1 << 40]}
    for what, header in {
        "tensors that overlap": {"a": a, "b": {**a, "data_offsets": [8, 24]}},
        "a tensor that is larger than the file": {"a": {**b, "data_offsets": [0, 4 << 40]}},
        "a tensor whose bytes run backwards": {"a": {**a, "data_offsets": [16, 0]}},
        "a tensor of an overflowing shape": {"a": {**a, "shape": [1 << 62, 1 << 62]}},
        "a tensor of a negative shape": {"a": {**a, "shape": [-4]}},
        "a tensor of an unknown type": {"a": {**a, "dtype": "os.system"}},
        "metadata that are numbers": {"__metadata__": {"sha256": 3}, "a": a},
        "metadata that are a list": {"__metadata__": ["x"], "a": a},
        "a header that is a list": [1, 2],
        "a header that is a text": "x",
        "a header that is null": None,
        "a header of nested lists": NESTED,
    }.items():
        yield what, lambda header=header: _safetensors(json.dumps(header).encode())
    yield "a header that is longer than the file", lambda: struct.pack("<Q", 1 << 62)
    yield (
        "a header of surrogates",
        lambda: _safetensors(b'{"\\ud800": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}'),
    )


def _safetensors(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + bytes(24)


def json_contents(path: Path) -> Contents:
    """What can be wrong with a file of JSON: some of its entries are something else."""
    whole = json.loads(path.read_text())
    places = list(places_of(whole))
    some = [place for place in places if len(place) == 1] + places[:: max(1, len(places) // 12)]
    for number, place in enumerate(dict.fromkeys(some)):
        for value in WRONG[number % 3 :: 3]:
            yield (
                f"{'.'.join(map(str, place))} is {_text(value)}",
                lambda place=place, value=value: json.dumps(
                    changed(json.loads(path.read_text()), place, value)
                ).encode(),
            )
    yield "numbers beyond all", lambda: path.read_bytes().replace(b"0.", b"1e999", 20)
    yield "nested lists", lambda: b"[" * 100_000
    for value in WRONG[:-1]:
        yield f"it is {_text(value)}", lambda value=value: json.dumps(value).encode()


LINES = {
    "nested lists": "[" * 100_000,
    "a list": "[]",
    "a number": "3",
    "nothing": "null",
    "a surrogate": '"\\ud800"',
    "a huge number": "9" * 5_000,
    "NaN": "NaN",
    "no JSON": "\x00\x01",
    "an empty dict": "{}",
}


def line_contents(path: Path) -> Contents:
    """What can be wrong with a history."""
    for what, line in LINES.items():
        yield what, lambda line=line: path.read_bytes() + line.encode() + b"\n"
    first = json.loads(path.read_text().splitlines()[0])
    for key in first:
        for value in WRONG:
            if value is not GONE:
                yield (
                    f"{key} is {_text(value)}",
                    lambda key=key, value=value: json.dumps({**first, key: value}).encode() + b"\n",
                )
    yield "numbers beyond all", lambda: json.dumps(first).replace(": 0.", ": 1e999").encode() + b"\n"
    yield "100,000 lines", lambda: path.read_bytes() * 100_000


TAG, WAY = {"tag": "a", "on": True, "ids": ["0"], "id": "x"}, {"path": "p", "way": "linear", "stops": [{"ids": ["0"]}]}
JOURNALS: dict[str, dict[str, str]] = {
    name: {
        **{what: f"{line}\n" for what, line in LINES.items()},
        **{
            f"{key} is {_text(value)}": json.dumps({**good, key: value}) + "\n"
            for key in good
            for value in WRONG
            if value is not GONE
        },
        "texts that lead out": json.dumps({**good, next(iter(good)): "\ud800\n../\x1b[2J"}) + "\n",
        "a long line": json.dumps({**good, next(iter(good)): "x" * 10_000_000}) + "\n",
        "200,000 lines": (json.dumps(good) + "\n") * 200_000,
    }
    for name, good in {"tags.jsonl": TAG, "paths.jsonl": WAY}.items()
}


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _link(path: Path, to: str) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(to)


def _folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def _hole(path: Path) -> None:
    _write(path, b"")
    os.truncate(path, HASHED_HOLE if path.suffix in (".npz", ".safetensors", ".png", ".html", ".csv") else HOLE)


def _folder_outside(run: Path, folder: str) -> None:
    shutil.rmtree(run / folder)
    (run / folder).symlink_to(OUTSIDE)
