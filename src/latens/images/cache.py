"""Decoded pictures on disk: found again by path, sizes, times of change and options, and opened memory-mapped.

An entry is a folder `images/<place>-<state>` in the user's cache folder: `train.npy` and `test.npy`
(uint8 (N, C, H, W)), `rows.npz` (ids, labels) and `entry.json` (everything else). It is made under another name and
appears whole, by one rename; of two processes that make the same entry the second throws its own away. The place is
the path with the options, the state is what lay there; older states of a place are removed.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latens.errors import ImagesError, RunDamaged
from latens.files import cache_folder, read_json, read_npz, write_json, write_npz
from latens.images.assemble import Assembled, assemble
from latens.images.contract import Dataset, Images, Shape
from latens.images.finish import finish
from latens.images.plan import Options, Plan, Refused

__all__ = ["cached_dataset"]

VERSION = 2  # of the entries; a change of what a decoded picture looks like raises it
ABANDONED = 24 * 3600  # seconds after which an unfinished entry is nobody's any more
ATTEMPTS = 2  # another process may remove an entry as outdated between its making and its opening


def cached_dataset(
    path: Path,
    files: Sequence[str | os.PathLike[str]],
    options: Options,
    make_plan: Callable[[], Plan],
    listing: Sequence[str] = (),
) -> Dataset:
    """The data set of a path: opened where it was decoded before and nothing has changed, otherwise decoded.

    Args:
        path: what the user gave, absolute.
        files: all files that it is made of.
        options: size and labels are part of the key.
        make_plan: called only where there is something to decode.
        listing: names that matter beside the files (empty folders).

    Raises:
        ImagesError: from the plan, or the cache folder can't be written.
    """
    entries = cache_folder() / "images"
    place, state = _key(path, files, options, listing)
    folder = entries / f"{place}-{state}"
    for _ in range(ATTEMPTS):
        opened = _open(folder, str(path))
        if opened is None:
            _make(folder, make_plan(), options)
            _tidy(folder, place)
            opened = _open(folder, str(path))
        if opened is not None:
            return finish(*opened, options)
    raise ImagesError(f"{folder}: the cache can't be read after it was written; set LATENS_CACHE to another folder")


def _key(
    path: Path, files: Sequence[str | os.PathLike[str]], options: Options, listing: Sequence[str]
) -> tuple[str, str]:
    labels = None
    if options.labels is not None:
        array = np.asarray(options.labels)
        labels = hashlib.sha256(repr((array.shape, array.tolist())).encode()).hexdigest()
    place = [str(path), options.size, labels]
    state = [VERSION, [_status(file) for file in files], list(listing)]
    return _digest(place)[:16], _digest(state)[:32]


def _status(file: str | os.PathLike[str]) -> tuple[str, int, int]:
    """By what a change of a file is noticed."""
    try:
        status = os.stat(file)
    except OSError:  # a dangling link, or gone a moment ago; decoding names it
        return str(file), -1, -1
    return str(file), status.st_size, status.st_mtime_ns


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


class _NpyStore:
    """A part that goes to an .npy file as it comes.

    Written, not mapped: a disk that runs full then is an error, where a mapped page would kill the process.
    """

    def __init__(self, path: Path, count: int, shape: Shape) -> None:
        self.path, self.shape, self.length = path, shape, 0
        needed, free = count * int(np.prod(shape)), shutil.disk_usage(path.parent).free
        if needed > free:
            raise ImagesError(
                f"{path.parent.parent}: the decoded pictures need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
                "set LATENS_CACHE to a folder with room, or give a smaller size (--size 64)"
            )
        self.file = open(path, "xb")  # noqa: SIM115 - closed by close(), after many calls
        self._write_header(count)
        self.start = self.file.tell()

    def _write_header(self, count: int) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, header)

    def append(self, pixels: np.ndarray) -> None:
        with _writing(self.path.parent.parent):
            self.file.write(pixels.data)
        self.length += len(pixels)

    def close(self) -> np.ndarray:
        with _writing(self.path.parent.parent):
            # The number of pictures is known only now; numpy leaves room for it to grow, so the header keeps its length.
            self.file.seek(0)
            self._write_header(self.length)
            assert self.file.tell() == self.start, "the header of an .npy file has changed its length"
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
        if self.length == 0:
            return np.empty((0, *self.shape), dtype=np.uint8)
        mapped: np.ndarray = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return mapped


@contextlib.contextmanager
def _writing(entries: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ImagesError(
            f"{entries}: the cache can't be written ({error.strerror or error}); set LATENS_CACHE to a folder with room"
        ) from None


def _make(folder: Path, plan: Plan, options: Options) -> None:
    entries = folder.parent
    unfinished = entries / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    with _writing(entries):
        unfinished.mkdir(parents=True)
    stores: list[_NpyStore] = []

    def make_store(part: str, count: int, shape: Shape) -> _NpyStore:
        with _writing(entries):
            stores.append(_NpyStore(unfinished / f"{part}.npy", count, shape))
        return stores[-1]

    try:
        assembled = assemble(plan, make_store, options.progress)
        with _writing(entries):
            _write_rest(unfinished, plan, assembled)
        del assembled  # Windows moves no folder that holds an open file
        with _writing(entries):
            _publish(unfinished, folder)
    finally:
        for store in stores:
            store.file.close()
        shutil.rmtree(unfinished, ignore_errors=True)


def _write_rest(unfinished: Path, plan: Plan, assembled: Assembled) -> None:
    (unfinished / "all.npy").unlink(missing_ok=True)
    rows, parts = {}, {}
    for name, images in (("train", assembled.train), ("test", assembled.test)):
        rows[f"{name}_ids"] = images.ids
        if images.labels is not None:
            rows[f"{name}_labels"] = images.labels
        size = (unfinished / f"{name}.npy").stat().st_size
        parts[name] = {"count": len(images), "bytes": size, "fingerprint": images.fingerprint}
    write_npz(unfinished / "rows.npz", rows)
    entry = {
        "version": VERSION,
        "name": plan.name,
        "shape": plan.shape,
        "class_names": assembled.train.class_names,
        "notes": assembled.notes,
        "refused": assembled.refused,
        "num_files": assembled.num_files,
        "parts": parts,
    }
    write_json(unfinished / "entry.json", entry)


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
    """Out of the way by a rename, then deleted, so that nobody finds half an entry."""
    discarded = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    with contextlib.suppress(OSError):  # somebody else was faster, or Windows holds it open
        os.rename(folder, discarded)
        shutil.rmtree(discarded, ignore_errors=True)


def _tidy(folder: Path, place: str) -> None:
    """Remove what the place held before, and what crashed processes left."""
    for other in folder.parent.glob(f"{place}-*"):
        if other != folder:
            _remove(other)
    for unfinished in folder.parent.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - unfinished.stat().st_mtime > ABANDONED:
                shutil.rmtree(unfinished, ignore_errors=True)


def _open(folder: Path, source: str) -> tuple[Plan, Assembled] | None:
    """An entry, or None where there is none or a broken one."""
    try:
        entry = read_json(folder / "entry.json")
        if entry["version"] != VERSION:
            return None
        rows = read_npz(folder / "rows.npz")
        shape, class_names = tuple(entry["shape"]), tuple(entry["class_names"])
        train, test = (
            _open_part(folder, entry["parts"][name], name, rows, shape, class_names) for name in ("train", "test")
        )
        refused = tuple(Refused(*item) for item in entry["refused"])
        assembled = Assembled(train, test, tuple(entry["notes"]), refused, entry["num_files"])
        return Plan(entry["name"], source, shape, class_names, ()), assembled
    except (RunDamaged, OSError, EOFError, KeyError, TypeError, ValueError):
        return None


def _open_part(
    folder: Path,
    part: dict[str, Any],
    name: str,
    rows: dict[str, np.ndarray],
    shape: Shape,
    class_names: tuple[str, ...],
) -> Images:
    path = folder / f"{name}.npy"
    pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    ids, labels = rows[f"{name}_ids"], rows[f"{name}_labels"] if class_names else None
    expected = (part["count"], *shape)
    if (
        path.stat().st_size != part["bytes"]
        or pixels.shape != expected
        or pixels.dtype != np.uint8
        or len(ids) != len(pixels)
    ):
        raise ValueError(f"{path} is not what was written")
    if labels is not None and (len(labels) != len(pixels) or labels.min() < 0 or labels.max() >= len(class_names)):
        raise ValueError(f"the labels of {path} are not what was written")
    return Images(pixels, ids, labels, class_names, str(part["fingerprint"]))
