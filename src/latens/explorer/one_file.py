"""A run's explorer as one HTML file that works offline: the map, small pictures, and the networks themselves.

The page is the explorer's own; its modules become one script, and what the server would answer comes from arrays in the file
(`page/offline.js`). Latents and weights are stored as 16 bit between their lowest and highest value where that is exact enough.
"""

import base64
import json
import os
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latens.errors import LatensError, RunError, UsageError
from latens.explorer import decoding, following
from latens.explorer.bundling import page_of
from latens.explorer.choosing import FINEST, MOST_IMAGES, Content, Costs, evenly, fitted, ladder, left_out, small
from latens.explorer.in_file import InFile, findings
from latens.explorer.packing import Pack, networks_of, scaled
from latens.explorer.pair import NONE, pair
from latens.explorer.view import View, name_of_rows
from latens.files import atomic_write, sha256_bytes
from latens.images.fit import default_fit
from latens.images.pixels import to_floats, to_uint8
from latens.interpolation.graph import NEIGHBOURS, neighbour_graph
from latens.models.contract import Model
from latens.neighbours import nearest_neighbours, usual_distance
from latens.runs import Run
from latens.runs.run import TEST, TRAIN
from latens.samplers import SAMPLERS
from latens.text import quoted

__all__ = ["write_html"]

MOST_POINTS = 10_000  # where no size was asked for
DEFAULT_SIZE = 8_000_000  # bytes
AROUND_NETWORKS = 5_000_000  # bytes that are left beside large networks where no size was asked for
MOST_BYTES = 300_000_000  # of all pictures together, before they are compressed
ACROSS = 1536  # pixels of a sprite page
THUMBNAIL = 48  # pixels, the most that a thumbnail has
MOST_EPOCHS = 12  # of the playback, evenly spaced
BANK = 600  # latents of a sampler that are drawn for the file
SMALL = 5e-4  # usual distances that latents of 16 bit may be off by
TRIED = 64  # latents on which that is checked
MEASURED = 300  # images by which sizes are estimated


def write_html(
    run: Run,
    path: str | os.PathLike[str],
    size: int | None = None,
    *,
    beside: Run | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> Path:
    """Write the explorer on a run as one HTML file for a browser: it asks no network, and needs no latens.

    How many images it holds and how fine their pictures are is chosen so that the file comes close to a size: all images of the
    map and pictures of up to 256 pixels a side, where there is room; else coarser pictures, then fewer images, evenly spaced.
    Room that these leave is for images of the train part, evenly over the classes, which are placed on the map. A run whose
    images are not available is exported without pictures, with a warning.
    The maps are those in the run's folder; the samplers are those in it and those that are fitted at once.

    Args:
        run: complete, of a model of latens.
        path: the file.
        size: bytes that it may have at most; by default 8 MB, or more where the networks alone are large, with at most 10,000
            images.
        beside: a second run, linked to it as by `explore`; the file holds both, and the images that both have once where they
            are all the same.
        say: called with each line on what was left out.

    Returns:
        The path.

    Raises:
        RunError: it has no latents yet, or the page cannot compute its model or one of its layers.
        UsageError: the size is too small for the run, or the second run has none of its images.
    """
    view, other = View(run), None if beside is None else View(beside)
    for one in (view, other):
        if one is not None and not one.ready:
            path = one.run.path
            raise RunError(f"{path}: has no latents yet; `latens run --resume --out {quoted(path)}` completes it")
    if other is not None:
        pair(view, other)
    made = _Pages(view).of_size(size)
    for line in made.left_out:
        say(line)
    atomic_write(path, made.page)
    return Path(path)


class _Made(NamedTuple):
    """A file, and what it leaves out of the run."""

    page: bytes
    left_out: list[str]


class _Pages:
    """The files that can be made of a run, and of the one beside it; what all of them hold is computed once."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.beside = _Pages(view.pair.second) if view.pair is not None and view.pair.first is view else None
        self.pack = Pack()
        self.networks = networks_of(_model_of(view.run), self.pack, _tried(view))
        both = [view] if view.pair is None else [view.pair.first, view.pair.second]
        kept = [
            name for name in both[0].map_names if all(f"maps/{name}.npz" in one.run.record["files"] for one in both)
        ]
        self.maps = kept or ["pca"]
        self.samplers = _samplers(view, self.maps[0], self.pack)
        if view.missing:
            warnings.warn(f"{view.run.path}: exported without images: {view.missing}", stacklevel=3)

    def of_size(self, size: int | None) -> _Made:
        """The fullest one that a size allows."""
        points, side = len(self.view.latents), min(FINEST, max(self.view.run.image_shape[1:]))
        images = min(points, MOST_POINTS if size is None else MOST_IMAGES)
        most = Content(
            images,
            0 if self.view.missing else side,
            not self.view.missing and not self._plain,
            self.networks["encoder"] is not None,
            min(self.view.num_train, MOST_IMAGES - images),
        )
        costs = self._costs(most)
        if size is None:
            size = max(DEFAULT_SIZE, round(costs.fixed + costs.encoder) + AROUND_NETWORKS)
        steps = [step for step in ladder(most) if self._bytes(step) <= MOST_BYTES]
        return fitted(steps, costs, self.make, lambda made: len(made.page), size)

    def _bytes(self, content: Content) -> int:
        """Of all pictures, before they are compressed."""
        height, width = small(self.view.shape[1:], content.side)
        channels = self.view.shape[0] + content.layers * self.view.run.image_shape[0]
        return (content.images + content.train) * channels * height * width

    def _costs(self, most: Content) -> Costs:
        view = self.view
        few = Content(min(MEASURED, most.images), 0, False, most.encoder)
        fewer = replace(few, images=-(-few.images // 2))
        more = replace(few, train=min(MEASURED, most.train))
        tried = (few, fewer, replace(fewer, encoder=False), more)
        whole, half, bare, both = (len(self.make(one).page) for one in tried)
        image = (whole - half) / max(1, few.images - fewer.images)
        train = (both - whole) / max(1, more.train)
        rows = self._held(few).rows

        @cache
        def picture(side: int, layers: bool) -> float:
            pack, cell = Pack(), list(small(view.shape[1:], side))
            _add_cells(view, rows, cell, pack)
            if layers:
                _add_layers(view, rows, cell, pack)
            return len(base64.b64encode(zlib.compress(bytes(pack.body), 9))) / len(rows)

        return Costs(bare - fewer.images * image, half - bare, image, train, picture)

    @property
    def _plain(self) -> bool:
        """Whether the pictures as they are shown have all that the images have."""
        return self.view.run.format.is_plain and self.view.run.image_shape[0] == self.view.shape[0]

    @property
    def _reads(self) -> bool:
        """Whether the page can read an image file as the run's images were read: bytes of grey or RGB."""
        run = self.view.run
        return self._plain and run.format.show == "" and run.record["data"]["options"].get("white") is None

    def make(self, content: Content) -> _Made:
        """The file of a content."""
        held, view = self._held(content), self.view
        left = left_out(content, len(view.latents), view.num_train, view.shape[1:], not self._plain)
        there = None if self.beside is None else self._held_beside(held)
        facts, pack = self._whole(content, held, "; ".join(left), there)
        if self.beside is not None and there is not None:
            more, further = self.beside._whole(content, there, "", held, pack if _same_pictures(held, there) else None)
            for one, arrays, mine, other in ((facts, pack, held, there), (more, further, there, held)):
                assert mine.view.pair is not None
                first = {"first": len(mine.train), "other_first": len(other.train)}
                one["link"] = {**mine.view.pair.facts(mine.view), **first, "other_epochs": []}
                arrays.add("link rows", mine.linked(other))
            further.shift(len(pack.body))
            facts["link"]["other_epochs"] = list(self.beside._snapshots)
            facts["beside"] = {**more, "arrays": further.layout}
            pack.body += further.body
        return _Made(page_of(facts | {"arrays": pack.layout}, bytes(pack.body)).encode(), left)

    def _held(self, content: Content) -> InFile:
        """The images of a content."""
        points = np.linspace(0, len(self.view.latents) - 1, content.images).round().astype(np.int64)
        return InFile(self.view, points, np.sort(self._train[: content.train]))

    @cached_property
    def _train(self) -> NDArray[np.int64]:
        """Rows of the train part in the order in which there is room for them."""
        return evenly(self.view.run.labels_of(TRAIN), self.view.num_train) if self.view.num_train else np.empty(0, int)

    def _whole(
        self, content: Content, held: InFile, note: str, other: InFile | None, pictures: Pack | None = None
    ) -> tuple[dict[str, Any], Pack]:
        """All facts and arrays of the run; `other` is the one beside it, and its pictures may be those of another pack."""
        pack = self.pack.copy()
        networks = self.networks
        if not content.encoder:
            pack, networks = pack.without("encoder "), {**networks, "encoder": None}
        return {**networks, **self._facts(content, held, pack, note, other, pictures)}, pack

    def _held_beside(self, held: InFile) -> InFile:
        """The images of the second run: those of the first's, and a fair part of the points that only the second has."""
        assert self.beside is not None
        assert self.view.pair is not None
        view = self.beside.view
        rows = self.view.pair.rows(self.view)[held.rows]
        train, there = rows[rows != NONE] + view.first, rows[len(held.train) :]
        alone = np.flatnonzero(self.view.pair.rows(view)[view.first :] < 0)
        count = round(len(alone) * len(there) / len(self.view.latents))
        more = alone[np.linspace(0, len(alone) - 1, count).round().astype(np.int64)] if count else alone[:0]
        found: NDArray[np.int64] = np.concatenate([there[there >= 0], more]).astype(np.int64)
        some = found if len(found) else np.arange(min(len(view.latents), len(there)))
        return InFile(view, some, np.sort(train[(train < view.first) & (view.num_train > 0)]))

    @cached_property
    def _snapshots(self) -> dict[int, NDArray[np.uint16]]:
        """Where the test images lie in each epoch of the playback, (N, 2), see `latens.explorer.following.snapshot`."""
        epochs = following.epochs_of(self.view.run, MOST_EPOCHS)
        found = {epoch: following.snapshot(self.view, epoch).arrays for epoch in epochs}
        return {epoch: np.stack([arrays["x"], arrays["y"]], 1) for epoch, arrays in found.items()}

    @cached_property
    def _history(self) -> bytes:
        """What the panel Run shows: JSON."""
        facts = {**following.history(self.view).facts, "snapshots": list(self._snapshots)}
        return json.dumps(facts, allow_nan=False).encode()

    @cached_property
    def _lists(self) -> dict[str, list[dict[str, Any]]]:
        return findings(self.view)

    def _facts(
        self, content: Content, held: InFile, pack: Pack, note: str, other: InFile | None, pictures: Pack | None
    ) -> dict[str, Any]:
        """All but the networks: what the run is, its points, maps, columns, pictures, samplers; arrays go into the pack."""
        view, maps = self.view, self.maps
        run, num = view.run, len(view.latents)
        points = view.latents[held.points]
        info = view.info()
        odd = _odd(held)
        columns = [
            one
            for one in view.all_columns
            if one.name.removeprefix("trust:") in (one.name, *maps) and (odd or not one.name.startswith("odd:"))
        ]
        for one in columns:
            pack.add(f"column {one.name}", held.column(one))
        pack.add("history", np.frombuffer(self._history, np.uint8))
        for epoch, places in self._snapshots.items():
            pack.add(f"snapshot {epoch}", places[held.test_rows])
        labels = run.labels_of(TEST)
        if labels is not None:
            pack.add("snapshot labels", labels[held.test_rows].astype(np.uint16))
        usual = run.usual_distance if len(points) == num else usual_distance(points)
        # Numbers of a few levels are often equally far from each other, which rounding would hide; and they pack well as
        # they are.
        levels = len(np.unique(held.latents)) <= 256
        coarse = not levels and np.linalg.norm(scaled(held.latents)[2]) / 2 < SMALL * usual
        (pack.add_scaled if coarse else pack.add)("latents", held.latents)
        _add_graph(points, pack)
        with suppress(UsageError):  # latents that are all the same have no directions
            found = decoding.directions(view, count=min(decoding.MOST_DIRECTIONS, points.shape[1]))
            for name, array in found.arrays.items():
                pack.add(name, array)
        cell, layers, sprites = [], None, None
        if content.side:
            height, width = small(view.shape[1:], content.side)
            cell = [view.shape[0], height, width]
            if pictures is None:
                _add_cells(view, held.rows, cell[1:], pack)
            else:
                pack.share(pictures, "cells", "layers")
            if self._plain:
                pack.layout["layers"] = pack.layout["cells"]
                layers = {"channels": cell[0], "coding": "linear"}
            elif content.layers and pictures is not None:
                layers = {"channels": run.image_shape[0], "coding": "linear" if run.format.is_plain else "root"}
            elif content.layers:
                layers = _add_layers(view, held.rows, cell[1:], pack)
            size = min(THUMBNAIL, content.side)
            sprites = {"size": size, "across": ACROSS // size, "per_page": (ACROSS // size) ** 2}
            sprites["pages"] = -(-len(points) // sprites["per_page"])
        info |= {
            "count": len(points),
            "train": len(held.train),
            "rows": name_of_rows(held.ids),
            "maps": maps,
            "columns": [one.info(view.palette) for one in columns],
            "samplers": list(self.samplers),
            "thumbnails": sprites,
        }
        info |= {
            "missing": "" if cell else "they were not available when this file was made",
            "encodes": content.encoder and self._reads,
            "note": note,
        }
        return {
            "run": info,
            "usual": usual if np.isfinite(usual) else None,
            "ids": held.ids,
            "labels": view.labels is not None,
            "cell": cell,
            "layers": layers,
            "channels": view.channels,
            "table": held.table(),
            "lists": {kind: held.of_these(found) for kind, found in self._lists.items()},
            "odd": odd,
            "paths": {"of": sha256_bytes(held.latents.tobytes())[:16], "kept": held.paths(maps)},
            "whole": cell == info["shape"],
            "fit": run.record["data"]["options"].get("fit", default_fit(run.record["data"].get("rules", 1))),
            "maps": {name: _add_map(held, name, other, pack) for name in maps},
            "samplers": self.samplers,
        }


def _model_of(run: Run) -> Model:
    if run.recipe.is_adopted:
        raise RunError(
            f"{run.path}: its model was adopted, and the page in one file can't compute it; latens.explore shows it, and"
            " report.html can be shared"
        )
    return run.model


def _tried(view: View) -> NDArray[np.float32]:
    some: NDArray[np.float32] = view.latents[np.linspace(0, len(view.latents) - 1, TRIED).astype(int)]
    return some


def _same_pictures(one: InFile, other: InFile) -> bool:
    """Whether the images of both runs have the same pictures, one by one."""
    runs = [one.view.run, other.view.run]
    data, kinds = [run.record["data"]["fingerprint"] for run in runs], [run.format for run in runs]
    return bool(data[0] == data[1] and kinds[0] == kinds[1] and one.ids == other.ids)


def _add_map(held: InFile, name: str, other: InFile | None, pack: Pack) -> dict[str, Any]:
    made, (facts, _) = held.view.map(name), held.view.map_points(name)
    pack.add(f"map {name}", held.places(name).astype(np.float32))
    if made.plane is not None:
        pack.add(f"mean {name}", made.plane[0])
        pack.add(f"axes {name}", made.plane[1])
    return {**facts, **held.frame(name, other), "plane": made.plane is not None}


def _add_graph(latents: NDArray[np.float32], pack: Pack) -> None:
    """The graph that `latens.interpolation.graph` goes along: of each point its nearest, and what joins the pieces."""
    nodes, origin, inverse = np.unique(latents + np.float32(0), axis=0, return_index=True, return_inverse=True)
    joined = np.full((len(latents), NEIGHBOURS), -1, np.int32)
    k = min(NEIGHBOURS, len(nodes) - 1)
    if k:
        joined[origin, :k] = origin[nearest_neighbours(nodes, k=k)[1]]
    edges = np.stack(neighbour_graph(nodes, NEIGHBOURS).nonzero(), 1)
    bridges = [(origin[a], origin[b]) for a, b in edges if origin[b] not in joined[origin[a]]]
    pack.add("same", origin[inverse.reshape(-1)].astype(np.int32))
    pack.add("joined", joined)
    pack.add("bridges", np.array(bridges, np.int32))


def _odd(held: InFile) -> dict[str, Any] | None:
    """The oddest images of those in the file; None where the run has no detector."""
    if not any(column.name == "odd:score" for column in held.view.all_columns):
        return None
    try:
        facts = held.view.odd.facts()
    except LatensError:
        return None
    return facts | {"found": held.of_these(facts["found"])}


def _add_layers(view: View, rows: NDArray[np.int64], size: list[int], pack: Pack) -> dict[str, Any]:
    """All channels of the pictures (H, W) of rows of latents.npz, for looks that show others.

    More than 8 bits are held as their root, so that what is dark keeps its steps.
    """
    channels, plain = view.run.image_shape[0], view.run.format.is_plain
    layers = np.empty((len(rows), channels, *size), np.uint8)
    for start in range(0, len(rows), 256):
        images = to_floats(view.inputs(rows[start : start + 256])).clip(0, 1)
        if list(images.shape[2:]) != size:
            images = _reduced(images, size)
        layers[start : start + 256] = to_uint8(images if plain else np.sqrt(images))
    pack.add("layers", layers)
    return {"channels": channels, "coding": "linear" if plain else "root"}


def _reduced(images: NDArray[Any], size: list[int]) -> NDArray[Any]:
    reduced: NDArray[Any] = nn.functional.interpolate(
        torch.from_numpy(images), size, mode="bilinear", antialias=True
    ).numpy()
    return reduced


def _add_cells(view: View, rows: NDArray[np.int64], size: list[int], pack: Pack) -> None:
    """The pictures of rows of latents.npz, of a size (H, W)."""
    cells = np.empty((len(rows), view.shape[0], *size), np.uint8)
    for start in range(0, len(rows), 256):
        pixels = view.pixels(rows[start : start + 256])
        cells[start : start + 256] = pixels if list(pixels.shape[2:]) == size else _reduced(pixels, size)
    pack.add("cells", cells)


def _samplers(view: View, map: str, pack: Pack) -> dict[str, Any]:
    """The means of classes, and of other samplers some latents that they have drawn, their classes in turn."""
    found: dict[str, Any] = {}
    for name in view.sampler_names:
        if SAMPLERS[name].cost != "instant" and f"samplers/{name}.safetensors" not in view.run.record["files"]:
            continue
        fitted = view.run.sampler(name, view.work)
        classes, bank = fitted.classes, 0
        if fitted.centres is not None:
            rows = fitted.centres
        else:
            bank = max(1, BANK // max(1, len(classes))) * max(1, len(classes))
            rows = fitted.sample(bank, labels=np.resize(classes, bank) if len(classes) else None)
        pack.add_scaled(f"sampler {name}", rows)
        scores: list[Any] = []
        with suppress(RunError):  # it was not scored yet
            scores = decoding.probe(view, name, map=map).facts["scores"][1:]
        spreads = [] if fitted.spreads is None else fitted.spreads.tolist()
        found[name] = {"classes": classes.tolist(), "bank": bank, "spreads": spreads, "scores": scores}
    return found
