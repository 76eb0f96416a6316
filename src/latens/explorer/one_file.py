"""A run's explorer as one HTML file that works offline: the map, small pictures, and the networks themselves.

The page is the explorer's own; its modules become one script, and what the server would answer comes from arrays in the file
(`page/offline.js`). Latents and weights are stored as 16 bit between their lowest and highest value where that is exact enough.
"""

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latens.computed.review import KINDS
from latens.errors import LatensError, RunError, UsageError
from latens.explorer import decoding
from latens.explorer.bundling import page_of
from latens.explorer.columns import values_of
from latens.explorer.packing import Pack, networks_of, scaled
from latens.explorer.routes import findings_of
from latens.explorer.view import View
from latens.files import atomic_write
from latens.images.pixels import to_floats, to_uint8
from latens.interpolation.graph import NEIGHBOURS, neighbour_graph
from latens.models.contract import Model
from latens.neighbours import nearest_neighbours, usual_distance
from latens.runs import Run
from latens.samplers import SAMPLERS
from latens.text import quoted

__all__ = ["write_html"]

MOST_POINTS = 10_000
CELL = 32  # pixels, the most that a picture has
MOST_PIXELS = 10_500_000  # of all pictures together, before they are compressed
ACROSS = 1536  # pixels of a sprite page
BANK = 600  # latents of a sampler that are drawn for the file
SMALL = 5e-4  # usual distances that latents of 16 bit may be off by
TRIED = 64  # latents on which that is checked


def write_html(run: Run, path: str | os.PathLike[str]) -> Path:
    """Write the explorer on a run as one HTML file for a browser: it asks no network, and needs no latens.

    Of more than 10,000 points every so many is taken, evenly spaced. Pictures are at most 32 pixels a side, and smaller where
    all of them would be too much to share. All their channels are in the file where these are at most 10.5 million numbers.
    A run whose images are not available is exported without pictures, with a warning.
    The maps are those in the run's folder; the samplers are those in it and those that are fitted at once.

    Args:
        run: complete, of a model of latens.
        path: the file.

    Returns:
        The path.

    Raises:
        RunError: it has no latents yet, or the page cannot compute its model or one of its layers.
    """
    view = View(run)
    if not view.ready:
        raise RunError(f"{run.path}: has no latents yet; `latens run --resume --out {quoted(run.path)}` completes it")
    pack = Pack()
    facts = {**networks_of(_model_of(run), pack, _tried(view)), **_facts(view, pack)}
    atomic_write(path, page_of(facts | {"arrays": pack.layout}, bytes(pack.body)).encode())
    return Path(path)


def _model_of(run: Run) -> Model:
    if run.recipe.is_adopted:
        raise RunError(
            f"{run.path}: was adopted as two functions, which no file can hold; latens.explore shows it in the program that"
            " has them, and report.html can be shared"
        )
    return run.model


def _tried(view: View) -> NDArray[np.float32]:
    some: NDArray[np.float32] = view.latents[np.linspace(0, len(view.latents) - 1, TRIED).astype(int)]
    return some


def _facts(view: View, pack: Pack) -> dict[str, Any]:
    """All but the networks: what the run is, its points, maps, columns, pictures, samplers; arrays go into the pack."""
    run, num = view.run, len(view.latents)
    rows = np.linspace(0, num - 1, min(num, MOST_POINTS)).round().astype(np.int64)
    latents = view.latents[rows]
    kept = [name for name in view.map_names if f"maps/{name}.npz" in run.record["files"]]
    maps, info = kept or ["pca"], view.info()
    odd = _odd(view, rows)
    columns = [
        one
        for one in info["columns"]
        if one["name"].removeprefix("trust:") in (one["name"], *maps) and (odd or not one["name"].startswith("odd:"))
    ]
    for one in columns:
        pack.add(f"column {one['name']}", view.column(one["name"])[rows])
    usual = run.usual_distance if len(rows) == num else usual_distance(latents)
    # Numbers of a few levels are often equally far from each other, which rounding would hide; and they pack well as they are.
    levels = len(np.unique(latents)) <= 256
    coarse = not levels and np.linalg.norm(scaled(latents)[2]) / 2 < SMALL * usual
    (pack.add_scaled if coarse else pack.add)("latents", latents)
    _add_graph(latents, pack)
    with suppress(UsageError):  # latents that are all the same have no directions
        found = decoding.directions(view, count=min(decoding.MOST_DIRECTIONS, latents.shape[1]))
        for name, array in found.arrays.items():
            pack.add(name, array)
    samplers = _samplers(view, maps[0], pack)
    cell = [] if view.missing else _add_cells(view, rows, pack)
    layers = _add_layers(view, rows, cell, pack) if cell else None
    size = max(cell[1:], default=0)
    sprites = {"size": size, "across": ACROSS // size, "per_page": (ACROSS // size) ** 2} if cell else None
    if sprites:
        sprites["pages"] = -(-len(rows) // sprites["per_page"])
    else:
        warnings.warn(f"{run.path}: exported without images: {view.missing}", stacklevel=3)
    note = f"{len(rows):,} of {num:,} images, evenly spaced; distances are among these" if len(rows) < num else ""
    info |= {"count": len(rows), "maps": maps, "columns": columns, "samplers": list(samplers), "thumbnails": sprites}
    info |= {"missing": "" if cell else "they were not available when this file was made", "beside": "", "note": note}
    return {
        "run": info,
        "usual": usual if np.isfinite(usual) else None,
        "ids": [str(one) for one in view.ids[rows]],
        "labels": view.labels is not None,
        "cell": cell,
        "layers": layers,
        "channels": view.channels,
        "table": _table(run, rows + view.first),
        "lists": _lists(view, rows),
        "odd": odd,
        "whole": cell == info["shape"],
        "maps": {name: _add_map(view, name, rows, pack) for name in maps},
        "samplers": samplers,
    }


def _add_map(view: View, name: str, rows: NDArray[np.int64], pack: Pack) -> dict[str, Any]:
    made, (facts, _) = view.map(name), view.map_points(name)
    pack.add(f"map {name}", made.coordinates[rows].astype(np.float32))
    if made.plane is not None:
        pack.add(f"mean {name}", made.plane[0])
        pack.add(f"axes {name}", made.plane[1])
    return {**facts, "plane": made.plane is not None}


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


def _odd(view: View, rows: NDArray[np.int64]) -> dict[str, Any] | None:
    """The oddest images of those in the file; None where the run has no detector."""
    if not any(column.name == "odd:score" for column in view.all_columns):
        return None
    try:
        facts = view.odd.facts()
    except LatensError:
        return None
    return facts | {"found": _in_file(facts["found"], rows)}


def _lists(view: View, rows: NDArray[np.int64]) -> dict[str, list[dict[str, Any]]]:
    """The lists of images to check, with those images that are in the file."""
    found = {}
    for kind in KINDS:
        with suppress(LatensError):  # it was not reviewed
            found[kind] = _in_file(findings_of(view, kind), rows)
    return found


def _in_file(found: list[dict[str, Any]], rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    places = {int(row): place for place, row in enumerate(rows)}
    return [one | {"point": places[one["point"]]} for one in found if one["point"] in places]


def _table(run: Run, rows: NDArray[np.int64]) -> list[dict[str, Any]]:
    """The columns of the table of the images, for rows of latents.npz."""
    each = [values_of(run, int(row)) for row in rows] if run.columns else []
    return [
        {
            "title": columns[0]["title"],
            "unit": columns[0]["unit"],
            "values": [None if one["value"] != one["value"] else one["value"] for one in columns],
        }
        for columns in zip(*each, strict=True)
    ]


def _add_layers(view: View, rows: NDArray[np.int64], cell: list[int], pack: Pack) -> dict[str, Any] | None:
    """All channels of the points' pictures, for looks that show others; None where they would be too much to share.

    More than 8 bits are held as their root, so that what is dark keeps its steps.
    """
    channels, (_, height, width) = view.run.image_shape[0], cell
    plain = view.run.format.is_plain
    if plain and channels == cell[0]:
        pack.layout["layers"] = pack.layout["cells"]
        return {"channels": channels, "coding": "linear"}
    if len(rows) * channels * height * width > MOST_PIXELS:
        return None
    layers = np.empty((len(rows), channels, height, width), np.uint8)
    for start in range(0, len(rows), 256):
        images = to_floats(view.inputs(rows[start : start + 256] + view.first)).clip(0, 1)
        if images.shape[2:] != (height, width):
            images = _reduced(images, [height, width])
        layers[start : start + 256] = to_uint8(images if plain else np.sqrt(images))
    pack.add("layers", layers)
    return {"channels": channels, "coding": "linear" if plain else "root"}


def _reduced(images: NDArray[Any], size: list[int]) -> NDArray[Any]:
    reduced: NDArray[Any] = nn.functional.interpolate(
        torch.from_numpy(images), size, mode="bilinear", antialias=True
    ).numpy()
    return reduced


def _add_cells(view: View, rows: NDArray[np.int64], pack: Pack) -> list[int]:
    """The points' pictures, small enough to be shared; the shape (C, h, w) of each."""
    channels, *size = view.shape
    most = min(CELL, int((MOST_PIXELS / len(rows) / channels) ** 0.5))
    small = [max(1, round(side * min(1.0, most / max(size)))) for side in size]
    cells = np.empty((len(rows), channels, *small), np.uint8)
    for start in range(0, len(rows), 256):
        pixels = view.pixels(rows[start : start + 256] + view.first)
        if small != size:
            pixels = _reduced(pixels, small)
        cells[start : start + 256] = pixels
    pack.add("cells", cells)
    return [channels, *small]


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
