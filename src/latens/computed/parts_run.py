"""Parts of latents and their maps as a run, so that whatever opens runs opens them too: the explorer, searches, figures."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows
from latens.computed.given_images import GivenImages
from latens.computed.parts_map import FITTED, STATE
from latens.computed.stored import StoredParts, files_of_parts, stored_parts
from latens.errors import RunError, UsageError
from latens.files import read_npz, sha256_file
from latens.images import Dataset
from latens.images.contract import Images
from latens.maps import MAPS
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.record import RunFolder, is_run
from latens.runs.run import ENCODER, LATENTS, STORED, TRAIN, WEIGHTS
from latens.sheets import parquet_columns
from latens.text import quoted, shown

__all__ = ["MOST_SHOWN", "PartsRun", "run_of_parts"]

FOLDER = "explorer"  # below that of the parts
MOST_SHOWN = 1_000_000  # latents
COPIED = (WEIGHTS, ENCODER, *STORED)  # files by which a run encodes and decodes


def run_of_parts(
    run: Run,
    within: str | os.PathLike[str],
    *,
    images: Any = None,
    most: int = MOST_SHOWN,
    progress: Progress | None = None,
) -> "PartsRun":
    """The latents of a folder of parts with their maps, as a run in the folder `explorer/` there.

    It is made where it is not there, and again when run, parts or maps are others than before. Tags and other notes that the
    explorer keeps in it stay. Errors of reconstruction are not known of parts: they are NaN.

    Args:
        run: whose model made the latents; it is copied.
        within: the folder that `latens encode -o FOLDER/` wrote, and `latens map RUN --in FOLDER/` after it.
        images: where the images are that were encoded, as for `load_images`; None leaves them out.
        most: how many latents are shown at most; of more so many are drawn.
        progress: shows the progress.

    Raises:
        UsageError: no latents of this run there, or no map of them; or a part is missing or cut.
    """
    stored = stored_parts(run, within)
    maps = [name for name in MAPS if (stored.folder / f"map-{name}" / FITTED).is_file()]
    if not maps:
        raise UsageError(
            f"{shown(within)}: has no map; `latens map {quoted(run.path)} --in {quoted(stored.folder)}` makes one"
        )
    rows = drawn_rows(len(stored), most)
    made_of = _hash_of(run, stored, maps, most)
    path = stored.folder / FOLDER
    folder = RunFolder(path) if is_run(path) else RunFolder.create(path, {**run.record, "of_parts": ""})
    if folder.record.get("of_parts") != made_of:
        with (progress or Silent()).stage("run of the parts", "latents") as tick:
            arrays, class_names = _latents(run, stored, rows, tick)
        files: dict[str, Any] = {name: run.checked(name).read_bytes() for name in COPIED if name in run.folder.files}
        files |= {LATENTS: arrays, **{f"maps/{name}.npz": _map_of(stored, name, rows) for name in maps}}
        old = [name for name in folder.files if name not in files]
        data = {**run.record["data"], "name": stored.folder.name, "source": "", "fingerprint": made_of}
        data |= {"train": len(rows), "test": 0, "class_names": class_names}
        folder.commit(files, forget=old, data=data, status="done", of_parts=made_of)
    return PartsRun(path, run, images)


class PartsRun(Run):
    """A run that stands for parts of latents; its images are read where they are, some at a time.

    Args:
        path: its folder.
        maker: the run whose model made the latents.
        source: of the images; None where they are left out.
    """

    def __init__(self, path: Path, maker: Run, source: Any = None) -> None:
        super().__init__(path, maker.device)
        self.maker, self.source = maker, source

    def _loaded_images(self, data: Mapping[str, Any]) -> Dataset:
        if self.source is None:
            raise RunError("the images of these parts are read where that is asked for: latens explore … --images DATA")
        return _images_of(self, GivenImages(self.maker, self.source), str(data["fingerprint"]))


class _Read:
    """Images of a source as an array, float32 in [0, 1] or ordinary bytes, of which the rows that are asked for are read.

    Args:
        given: the source.
        places: of the rows in it, int64 (N,).
        shape: (C, H, W).
        plain: whether they are ordinary bytes.
    """

    ndim = 4

    def __init__(self, given: GivenImages, places: NDArray[np.int64], shape: tuple[int, int, int], plain: bool) -> None:
        self.given, self.places, self.shape = given, places, (len(places), *shape)
        self.dtype = np.dtype(np.uint8 if plain else np.float32)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: Any) -> NDArray[Any]:
        wanted, back = np.unique(self.places[rows], return_inverse=True)
        found = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        done = 0
        for together in np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1):
            for block in (
                self.given.blocks(rows=range(int(together[0]), int(together[-1]) + 1)) if len(together) else ()
            ):
                found[done : done + len(block.pixels)] = block.pixels
                done += len(block.pixels)
        if done != len(wanted):
            raise RunError(f"{shown(self.given.source)}: an image that was encoded can't be read any more")
        picked: NDArray[Any] = found[back.reshape(np.shape(self.places[rows]))]
        return picked


def _images_of(run: PartsRun, given: GivenImages, fingerprint: str) -> Dataset:
    """The images of the latents of a run of parts, found by their ids."""
    place_of = {one: place for place, one in enumerate(given.ids)}
    ids = run.latents["ids"]
    missing = next((one for one in ids.tolist() if one not in place_of), None)
    if missing is not None:
        raise RunError(f"{shown(run.source)}: has no image {shown(missing)}, which was encoded; name the same images")
    places = np.array([place_of[one] for one in ids.tolist()], np.int64)
    form, shape = run.format, run.image_shape
    plain = form.is_plain
    names = run.class_names

    def part(places: NDArray[np.int64], ids: NDArray[Any]) -> Images:
        pixels: Any = _Read(given, places, shape, plain)
        of_range = form.value_range if plain else ((0.0, 1.0),) * shape[0]
        return Images(pixels, ids, None, names, "", {}, of_range, form.channel_names, form.show)

    return Dataset(run.name, "", part(places, ids), part(places[:0], ids[:0]), (), {}, fingerprint)


def _latents(
    run: Run, stored: StoredParts, rows: NDArray[np.int64], tick: Any
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The arrays of latents.npz of some rows, and the names of their classes: the run's own, and others after them."""
    latents, ids = np.empty((len(rows), stored.dim), np.float32), []
    labels, classes = np.full(len(rows), -1), {name: number for number, name in enumerate(run.class_names)}
    for start, block in stored.blocks():
        inside = slice(*np.searchsorted(rows, [start, start + len(block)]).tolist())
        here = rows[inside]
        latents[inside] = block[here - start]
        ids.append(stored.ids(here))
        names = stored.labels(here)
        if names is not None:
            labels[inside] = [classes.setdefault(one, len(classes)) if one else -1 for one in names.tolist()]
        tick(start + len(block), len(stored))
    arrays = {
        "latents": latents,
        "ids": np.concatenate(ids),
        "part": np.full(len(rows), TRAIN, np.uint8),
        "squared_error": np.full(len(rows), np.nan, np.float32),
    }
    if (labels >= 0).any():
        return arrays | {"labels": labels}, list(classes)
    return arrays, []


def _map_of(stored: StoredParts, name: str, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The state of a map of some rows: that of the sample, with the places and the trust of these."""
    folder = stored.folder / f"map-{name}"
    sample = read_npz(folder / FITTED)
    columns: dict[str, list[NDArray[Any]]] = {"row": [], "x": [], "y": [], "trust": []}
    for file in files_of_parts(folder, "map", "`latens map RUN --in FOLDER/`"):
        part = parquet_columns(file, list(columns))
        inside = np.isin(part["row"], rows, assume_unique=True)
        for column, values in part.items():
            columns[column].append(values[inside])
    found = {column: np.concatenate(values) for column, values in columns.items()}
    if not np.array_equal(found["row"], rows):
        raise UsageError(f"{shown(folder)}: is the map of other latents; delete it, and make it again")
    state = {key.removeprefix(STATE): array for key, array in sample.items() if key.startswith(STATE)}
    coordinates = np.stack([found["x"], found["y"]], 1).astype(np.float32)
    note = (
        f"{state['note']}, of {len(sample['rows']):,} latents; the others were placed"
        if name != "pca"
        else state["note"]
    )
    return state | {"coordinates": coordinates, "trust": found["trust"].astype(np.float32), "note": np.array(note)}


def _hash_of(run: Run, stored: StoredParts, maps: list[str], most: int) -> str:
    """What a run of parts is made of: another run, other parts or maps have another one."""
    whole = hashlib.sha256(f"{run.folder.files.get(WEIGHTS, '')} {most} {stored.counts}".encode())
    for path in (stored.folder / "parts.json", *(stored.folder / f"map-{name}" / FITTED for name in maps)):
        whole.update(sha256_file(path).encode() if path.is_file() else b"-")
    return whole.hexdigest()
