"""Decoded pictures on disk: found again by the state of their files and the options, and opened memory-mapped.

An entry is a folder `images/<place>-<state>` in the user's cache folder: `train.npy` and `test.npy` ((N, C, H, W), of the type
that the source has), `rows.npz` (ids, labels) and `entry.json` (everything else). It is made under another name and appears
whole, by one rename; of two processes that make the same entry the second throws its own away. The place is
the path with the options, the state is what lay there (`latens.images.opening.file_state`); older states of a place are
removed.

Every byte of an entry has a check sum, which is compared when it is opened: a damaged entry is made again. The pixels have
a CRC-32 for each 4 MiB, compared in parallel, and of more than 1 GiB once a day. A file that could not be used is
tried again at every opening, if the system was the reason, and after a change of the programs that decode: if the answer
is another one now, the entry is made again.
"""

import contextlib
import hashlib
import importlib.metadata
import itertools
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from latens.errors import ImagesError, RunDamaged
from latens.files import cache_folder, read_json, read_npz, sha256_file, write_json, write_npz
from latens.images.assemble import Assembled, assemble
from latens.images.checksums import BLOCK, block_sums
from latens.images.contract import Dataset, Images, Shape
from latens.images.finish import finish
from latens.images.npy_store import NpyStore, writing
from latens.images.opening import file_state
from latens.images.pixels import PixelFormat
from latens.images.plan import Options, Plan, Refused
from latens.images.table_files import ImageTable

__all__ = ["cached_dataset"]

VERSION = 4  # of the entries; a change of what a decoded picture looks like raises it
ABANDONED = 24 * 3600  # seconds after which an unfinished entry belongs to a process that crashed
LARGE, CHECKED_FOR = 1 << 30, 24 * 3600  # bytes; seconds
DECODERS = (
    *("pillow", "tifffile", "imagecodecs", "pillow-heif", "astropy", "pydicom", "pylibjpeg", "pylibjpeg-libjpeg"),
    *("pylibjpeg-openjpeg", "pyjpegls", "python-gdcm"),
)
Again = Callable[[Refused, Shape], str | None]
ATTEMPTS = 2  # another process may remove an entry as outdated between its making and its opening


def cached_dataset(
    path: Path,
    files: Sequence[str | os.PathLike[str]],
    options: Options,
    make_plan: Callable[[], Plan],
    *,
    state: Iterable[str] = (),
    notes: Sequence[str] = (),
    again: Again | None = None,
) -> Dataset:
    """The data set of a path: opened where it was decoded before and nothing has changed, otherwise decoded.

    Args:
        path: what the user gave, absolute.
        files: all files that it is made of.
        options: size and labels are part of the key.
        make_plan: called only where there is something to decode.
        state: what decides the content beside these files: states of more files, classes.
        notes: put before those of the entry; no part of the key.
        again: says why a refused file can't be used now, or None if it can.

    Raises:
        ImagesError: from the plan, or the cache folder can't be written.
    """
    entries = cache_folder() / "images"
    asked: list[Any] = [options.size, _labels_digest(options), options.white, options.fit, options.grey, options.rules]
    told = [options.table.where, options.table.digest] if isinstance(options.table, ImageTable) else []
    asked += [options.value_range, options.layout, told[:1], options.label_column, *_of_files(options)]
    place = _digest([str(path), *asked])[:16]
    folder = entries / f"{place}-{_state_digest(files, itertools.chain(told[1:], state))}"
    for attempt in range(ATTEMPTS):
        opened = _open(folder, str(path))
        if opened is None or (attempt == 0 and _answer_differs(opened, again)):
            if opened is not None:
                _remove(folder)
            _make(folder, make_plan(), options)
            _tidy(folder, place)
            opened = _open(folder, str(path))
        if opened is not None:
            assembled = replace(opened.assembled, notes=(*notes, *opened.assembled.notes))
            return finish(opened.plan, assembled, options)
    raise ImagesError(f"{folder}: the cache can't be read after it was written; set LATENS_CACHE to another folder")


def _answer_differs(opened: "_Opened", again: Again | None) -> bool:
    """Whether a file that was refused can be used now, or is refused for another reason."""
    if again is None:
        return any(one.passing for one in opened.assembled.refused)
    return any(
        again(one, opened.plan.shape) != one.reason
        for one in opened.assembled.refused
        if one.passing or opened.decoders != decoders()
    )


def decoders() -> str:
    """The versions of all that decodes pictures: another version can read what this one can't."""
    return " ".join(f"{name} {version}" for name in DECODERS if (version := _version(name)))


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _of_files(options: Options) -> tuple[Any, ...]:
    """The options by which images are found in files."""
    return options.pages, options.channels, options.nan


def _labels_digest(options: Options) -> str | None:
    if options.labels is None:
        return None
    array = np.asarray(options.labels)
    return hashlib.sha256(repr((array.shape, array.tolist())).encode("utf-8", "backslashreplace")).hexdigest()


def _state_digest(files: Sequence[str | os.PathLike[str]], state: Iterable[str]) -> str:
    digest = hashlib.sha256(str(VERSION).encode())
    for line in itertools.chain(map(file_state, files), ["files end here"], state):
        # With its length, so that no two lists give the same bytes; a name can hold bytes that are no UTF-8.
        content = line.encode("utf-8", "surrogatepass")
        digest.update(len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()[:32]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _make(folder: Path, plan: Plan, options: Options) -> None:
    entries = folder.parent
    unfinished = entries / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    with writing(entries):
        unfinished.mkdir(parents=True)
    stores: list[NpyStore] = []

    def make_store(part: str, count: int, shape: Shape, dtype: np.dtype) -> NpyStore:
        with writing(entries):
            stores.append(NpyStore(unfinished / f"{part}.npy", count, shape, dtype))
        return stores[-1]

    try:
        assembled = assemble(plan, make_store, options.progress, options.value_range)
        with writing(entries):
            _write_rest(unfinished, plan, assembled, {store.path.stem: store.sums.result() for store in stores})
        del assembled  # Windows moves no folder that holds an open file
        with writing(entries):
            _publish(unfinished, folder)
    finally:
        for store in stores:
            store.file.close()
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_rest(unfinished: Path, plan: Plan, assembled: Assembled, sums: dict[str, list[int]]) -> None:
    (unfinished / "all.npy").unlink(missing_ok=True)
    rows, parts = {}, {}
    for name, images in (("train", assembled.train), ("test", assembled.test)):
        rows[f"{name}_ids"] = images.ids
        if images.labels is not None:
            rows[f"{name}_labels"] = images.labels
        rows |= {f"{name}_column_{number}": column for number, column in enumerate(images.columns.values())}
        size = (unfinished / f"{name}.npy").stat().st_size
        parts[name] = {"count": len(images), "bytes": size, "fingerprint": images.fingerprint, "crc32": sums[name]}
    write_npz(unfinished / "rows.npz", rows)
    entry = {
        "version": VERSION,
        "decoders": decoders(),
        "name": plan.name,
        "white": plan.white,
        "shape": plan.shape,
        "format": assembled.train.format.to_json(),
        "class_names": assembled.train.class_names,
        "columns": list(assembled.train.columns),
        "notes": assembled.notes,
        "refused": assembled.refused,
        "num_files": assembled.num_files,
        "parts": parts,
        "rows_sha256": sha256_file(unfinished / "rows.npz"),
    }
    write_json(unfinished / "entry.json", {"entry": entry, "sha256": _digest(entry)})


def _publish(unfinished: Path, folder: Path) -> None:
    if folder.exists() and _open(folder, "") is None:
        _remove(folder)
    try:
        os.rename(unfinished, folder)
    except OSError:
        if not folder.exists():
            raise
        # Another process was first with the same content.


def _remove(folder: Path) -> None:
    """Delete an entry: rename it first, so that no reader finds half of it."""
    discarded = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    with contextlib.suppress(OSError):  # another process was faster, or Windows keeps the file open
        os.rename(folder, discarded)
        shutil.rmtree(discarded, ignore_errors=True)


def _tidy(folder: Path, place: str) -> None:
    """Remove older states of the place, and what crashed processes left."""
    for other in folder.parent.glob(f"{place}-*"):
        if other != folder:
            _remove(other)
    for unfinished in folder.parent.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - unfinished.stat().st_mtime > ABANDONED:
                shutil.rmtree(unfinished, ignore_errors=True)


@dataclass(frozen=True, eq=False)
class _Opened:
    """An entry that passed all checks."""

    plan: Plan
    assembled: Assembled
    decoders: str


def _open(folder: Path, source: str) -> _Opened | None:
    """An entry, or None where there is none or a damaged one."""
    try:
        sealed = read_json(folder / "entry.json")
        entry = sealed["entry"]
        if entry["version"] != VERSION or sealed["sha256"] != _digest(entry):
            return None
        if sha256_file(folder / "rows.npz") != entry["rows_sha256"]:
            return None
        rows = read_npz(folder / "rows.npz")
        shape, class_names = tuple(entry["shape"]), tuple(entry["class_names"])
        form = PixelFormat.from_json(entry["format"], shape[0])
        train, test = (
            _open_part(folder, entry["parts"][name], name, rows, shape, class_names, entry["columns"], form)
            for name in ("train", "test")
        )
        refused = tuple(Refused(*item) for item in entry["refused"])
        assembled = Assembled(train, test, tuple(entry["notes"]), refused, entry["num_files"])
        return _Opened(
            Plan(entry["name"], source, shape, class_names, (), white=entry["white"]), assembled, entry["decoders"]
        )
    except (RunDamaged, OSError, EOFError, KeyError, TypeError, ValueError):
        return None


def _is_intact(path: Path, start: int, expected: list[int]) -> bool:
    """Whether the pixels are those that were written.

    A large file is read for this at most once a day, as long as its state stays the same: otherwise every command would
    wait for it.
    """
    checked, state = path.with_suffix(".checked"), file_state(path)
    if len(expected) * BLOCK >= LARGE:
        with contextlib.suppress(OSError):
            if checked.read_text() == state and abs(time.time() - checked.stat().st_mtime) < CHECKED_FOR:
                return True
    if block_sums(path, start) != expected:
        return False
    if len(expected) * BLOCK >= LARGE:
        with contextlib.suppress(OSError):  # a cache that can only be read is checked each time
            checked.write_text(state)
    return True


def _open_part(
    folder: Path,
    part: dict[str, Any],
    name: str,
    rows: dict[str, np.ndarray],
    shape: Shape,
    class_names: tuple[str, ...],
    columns: Sequence[str],
    form: PixelFormat,
) -> Images:
    path = folder / f"{name}.npy"
    pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    ids, labels = rows[f"{name}_ids"], rows[f"{name}_labels"] if class_names else None
    size = path.stat().st_size
    if size != part["bytes"] or pixels.shape != (part["count"], *shape) or pixels.dtype != form.dtype:
        raise ValueError(f"{path} is not what was written")
    if not pixels.flags.c_contiguous or not _is_intact(path, size - pixels.nbytes, part["crc32"]):
        raise ValueError(f"{path} is not what was written")
    told = {column: rows[f"{name}_column_{number}"] for number, column in enumerate(columns)}
    fingerprint = str(part["fingerprint"])
    return Images(pixels, ids, labels, class_names, fingerprint, told, form.value_range, form.channel_names)
