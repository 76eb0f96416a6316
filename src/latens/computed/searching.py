"""The nearest images to an image: search among a run's latents, or among those of a file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from latens.computed.given_images import GivenImages
from latens.computed.review import picker
from latens.computed.stored import Stored, stored_latents
from latens.errors import UsageError
from latens.images import Dataset, Images
from latens.images.given import as_array
from latens.images.load import NAMES
from latens.images.remote import is_remote
from latens.latents import encode_images
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.text import listed, shown
from latens.training.recipes import whole_number

__all__ = ["Found", "images_by_id", "search_run"]

MOST_PIXELS = 40  # queries whose pixels are kept, for a sheet


@dataclass(frozen=True, eq=False)
class Found:
    """The nearest images of each query, nearest first.

    Args:
        queries: the name of each query: the id of an image, or the number of an array's row; str (M,).
        distances: between latents, Euclidean, float64 (M, k).
        rows: of the latents that were searched, int64 (M, k).
        ids: of the images that were found, str (M, k).
        parts: `"train"` or `"test"`, str (M, k); None in a file of latents.
        labels: names of classes, str (M, k); None without labels.
        searched: among how many latents.
        seconds: how long the search took, without reading and encoding the queries.
        query_rows: of the searched latents, where a query was asked for by its id; -1 elsewhere, int64 (M,).
        query_pixels: of each of the first 40 queries its pixels as they were encoded, (C, H, W); None of ids and of latents.
        notes: what a user should be told: files that were left out, images that were converted.
        source: the file that was searched; empty for the run's own latents.
    """

    queries: np.ndarray
    distances: np.ndarray
    rows: np.ndarray
    ids: np.ndarray
    parts: np.ndarray | None
    labels: np.ndarray | None
    searched: int
    seconds: float
    query_rows: np.ndarray
    query_pixels: tuple[np.ndarray | None, ...] = ()
    notes: tuple[str, ...] = ()
    source: str = ""

    def __len__(self) -> int:
        return len(self.queries)

    def neighbours(self, query: int = 0) -> list[dict[str, Any]]:
        """The nearest images of one query: dicts of rank, id, distance, row, and part and label where there are any."""
        found = []
        for place in range(self.ids.shape[1]):
            one: dict[str, Any] = {"rank": place + 1, "id": str(self.ids[query, place])}
            for name, array in (("part", self.parts), ("label", self.labels)):
                if array is not None:
                    one[name] = str(array[query, place])
            one["distance"], one["row"] = float(self.distances[query, place]), int(self.rows[query, place])
            found.append(one)
        return found

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return {
            "searched": self.searched,
            "seconds": round(self.seconds, 4),
            "queries": [
                {"query": str(name), "neighbours": self.neighbours(place)} for place, name in enumerate(self.queries)
            ],
            "notes": list(self.notes),
        }


def search_run(
    run: Run,
    what: Any,
    k: int = 10,
    *,
    within: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **reading: Any,
) -> Found:
    """The nearest images to images or ids: exact, over latents that are memory-mapped.

    Args:
        run: with latents; its model encodes images.
        what: an id of the run (or of the file); else one image file, a folder or another source of images, as for `load_images`;
            or `Images`, or an array of images as `Run.encode` takes it; or latents (D,) or (M, D). A list of ids and files is
            searched for together. An image that is asked for by its id does not find itself.
        k: how many neighbours of each.
        within: latents to search instead of the run's own: a file, .npz as `latens encode` writes it or .npy (N, D), which is
            memory-mapped unless it is compressed; or a folder of parts, `latens encode -o FOLDER/`, read part by part.
        progress: shows the progress.
        **reading: how files of images are read: `strict`, `value_range`, `pages` and others of `GivenImages`.

    Raises:
        UsageError: neither an id nor images; another shape of latents; k below 1.
        RunError: the run has no latents yet, or no model to encode with.
        ImagesError: the images can't be read.
    """
    k = whole_number("the number of neighbours", k, 1)
    stored = stored_latents(run, within)
    if not len(stored):
        raise UsageError(f"{shown(within)}: holds no latents to search")
    asked = _Queries(run, stored, reading)
    asked.add(what)
    queries = asked.latents()
    if queries.shape[1] != stored.dim:
        raise UsageError(
            f"{shown(within or 'queries')}: latents of {stored.dim} numbers, and queries of {queries.shape[1]};"
            " both must come from one model"
        )
    with (progress or Silent()).stage("search", "latents") as tick:
        begun = perf_counter()
        distances, rows = stored.nearest(queries, k, np.array(asked.own), tick)
        seconds = perf_counter() - begun
    return Found(
        np.array(asked.names, dtype=str),
        distances,
        rows,
        stored.ids(rows),
        stored.parts(rows),
        stored.labels(rows),
        len(stored),
        seconds,
        np.array(asked.own),
        tuple(asked.pixels),
        tuple(asked.notes),
        "" if within is None else os.fspath(within),
    )


class _Queries:
    """What is searched for, brought together: latents, names, and which of the stored latents each is."""

    def __init__(self, run: Run, stored: Stored, reading: Mapping[str, Any]) -> None:
        self.run, self.stored, self.reading = run, stored, reading
        self.found: list[np.ndarray] = []
        self.names: list[str] = []
        self.own: list[int] = []  # row of `stored` that a query is, -1 for none
        self.notes: list[str] = []
        self.pixels: list[np.ndarray | None] = []

    def add(self, what: Any) -> None:
        if isinstance(what, list | tuple) and any(isinstance(one, str | os.PathLike) for one in what):
            for one in what:
                self.add(one)
        elif isinstance(what, str | os.PathLike | int | np.integer) and not isinstance(what, bool):
            self._add_named(os.fspath(what) if isinstance(what, os.PathLike) else str(what))
        elif isinstance(what, Images):
            self._add_images(what)
        elif isinstance(what, Dataset):
            raise UsageError("a data set has two parts; give its .train or its .test")
        else:
            self._add_array(as_array(what, "queries"))

    def latents(self) -> np.ndarray:
        if not self.names:
            raise UsageError("nothing to search for; give an id of the run, or images")
        if len({array.shape[1] for array in self.found}) != 1:
            raise UsageError("queries have latents of several sizes; all must come from one model")
        return np.concatenate(self.found)

    def _take(self, latents: np.ndarray, names: Sequence[str], pixels: np.ndarray | None, own: int = -1) -> None:
        room = max(0, MOST_PIXELS - len(self.pixels))
        self.pixels += [None] * min(room, len(names)) if pixels is None else [np.array(one) for one in pixels[:room]]
        self.found.append(latents)
        self.names += [str(name) for name in names]
        self.own += [own] * len(names)

    def _add_named(self, name: str) -> None:
        row = self.stored.row_of(name)
        if row is not None:
            self._take(self.stored.latent(row), [name], None, row)
        elif os.path.lexists(os.path.expanduser(name)) or name in NAMES or is_remote(name):
            self._add_images(name)
        else:
            ids = self.stored.ids(np.arange(min(3, len(self.stored))))
            raise UsageError(f"{shown(name)}: neither an id nor a file of images; ids are such as {listed(ids, 3)}")

    def _add_images(self, source: Any) -> None:
        given = GivenImages(self.run, source, **({} if isinstance(source, Images) else self.reading))
        for block in given.blocks():
            self._take(encode_images(self.run.model, block.pixels), list(block.ids), block.pixels)
        self.notes += given.notes

    def _add_array(self, array: np.ndarray) -> None:
        if array.ndim in (1, 2) and array.shape[-1] == self.stored.dim:
            latents = np.atleast_2d(array).astype(np.float64 if array.dtype == np.float64 else np.float32)
            self._take(latents, [str(row) for row in range(len(latents))], None)
            return
        latents = self.run.encode(array)
        pixels = array.reshape(len(latents), *self.run.image_shape)
        self._take(latents, [str(row) for row in range(len(latents))], pixels)


def images_by_id(run: Run, source: Any, ids: Sequence[str], **reading: Any) -> np.ndarray:
    """The images of some ids, as the run's model takes them, (M, C, H, W).

    Args:
        run: whose shape they are brought to.
        source: where they are; None for the run's own.
        ids: str (M,); an id may come several times.
        **reading: how the source is read, see `GivenImages`.

    Raises:
        UsageError: an id is not there.
        RunError: the run's own images no longer exist, or have changed.
        ImagesError: the images can't be read.
    """
    wanted = {str(one) for one in ids}
    pixels: dict[str, np.ndarray] = {}
    if source is None:
        every = run.latents["ids"]
        rows = np.flatnonzero(np.isin(every, list(wanted)))
        pixels = dict(zip(every[rows].tolist(), picker(run.images)(rows), strict=True))
    else:
        for block in GivenImages(run, source, **reading).blocks():
            pixels.update((one, block.pixels[row]) for row, one in enumerate(block.ids.tolist()) if one in wanted)
    missing = sorted(wanted - pixels.keys())
    if missing:
        where = "the run" if source is None else shown(source)
        raise UsageError(
            f"{where}: has no image {listed(missing, 3)}, which was found; name the images that were encoded"
        )
    return np.stack([pixels[str(one)] for one in ids])
