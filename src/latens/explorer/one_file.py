"""A run's explorer as one HTML file that works offline: the map, small pictures, and the networks themselves.

The page is the explorer's own; its modules become one script, and what the server would answer comes from arrays in the file
(`page/offline.js`). Latents and weights are stored as 16 bit between their lowest and highest value where that is exact enough.
"""

import base64
import copy
import hashlib
import json
import os
import re
import warnings
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latens.errors import RunError, UsageError
from latens.explorer import decoding
from latens.explorer.view import View
from latens.files import atomic_write
from latens.latents import decode_latents, encode_images
from latens.maps.pca import PCAMap
from latens.models.autoencoder import Autoencoder
from latens.models.contract import Model
from latens.models.quantised import Quantised
from latens.models.regularised import Regularised
from latens.models.variational import Variational
from latens.models.wasserstein import Wasserstein
from latens.neighbours import nearest_neighbours, usual_distance
from latens.networks.grid import GridToMap, MapToGrid
from latens.networks.layers import MapToVector, ResidualBlock, SubPixel, VectorToMap
from latens.paths.graph import NEIGHBOURS, neighbour_graph
from latens.runs import Run
from latens.samplers.class_means import ClassMeansSampler

__all__ = ["Pack", "bundle", "networks_of", "write_html"]

MOST_POINTS = 10_000
CELL = 32  # pixels, the most that a picture has
MOST_PIXELS = 10_500_000  # of all pictures together, before they are compressed
ACROSS = 1536  # pixels of a sprite page
BANK = 600  # latents of a sampler that are drawn for the file
MOST_ENCODER = 8_000_000  # bytes; without an encoder there is no round trip
ALIKE = 2e-4  # that weights of 16 bit may change pictures by, and latents as a share of the largest number
SMALL = 5e-4  # usual distances that latents of 16 bit may be off by
TRIED = 64  # latents on which that is looked at
STEPS = 65_535
ATTRIBUTES: Mapping[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("stride", "padding"),
    nn.ConvTranspose2d: ("stride", "padding", "output_padding"),
    MapToVector: (),
    VectorToMap: (),
    nn.Linear: (),
    nn.ReLU: (),
    nn.SiLU: (),
    ResidualBlock: (),
    SubPixel: ("size",),
    MapToGrid: (),
    GridToMap: ("size",),
}
"""What layers.js has to know of a layer beside its weights."""
RULES: Mapping[type[Model], Callable[[Any], list[dict[str, Any]]]] = {
    Autoencoder: lambda model: [{"kind": "ReLU"}] if model.activation == "relu" else [],
    Variational: lambda model: [{"kind": "First", "count": model.latent_dim}],
    Wasserstein: lambda model: [],
    Regularised: lambda model: [],
    Quantised: lambda model: [{"kind": "Levels", "levels": model.levels}],
}
"""What each model does with what its encoder puts out."""


class Pack:
    """The arrays of a file, one after the other, and where each lies."""

    def __init__(self) -> None:
        self.layout: dict[str, dict[str, Any]] = {}
        self.body = bytearray()

    def add(self, name: str, array: NDArray[Any], **more: Any) -> str:
        """Put in an array of uint8, uint16, int32 or float32 under a name, which is given back."""
        assert array.dtype.name in ("uint8", "uint16", "int32", "float32"), f"{name} is {array.dtype}"
        self.layout[name] = {"dtype": array.dtype.name, "offset": len(self.body), "count": int(array.size), **more}
        self.body += np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        self.body += bytes(-len(self.body) % 8)
        return name

    def add_scaled(self, name: str, array: NDArray[Any]) -> str:
        """Put in numbers (N, K) as 16 bit between the lowest and the highest of each column."""
        codes, low, step = _scaled(array)
        return self.add(name, codes, low=low.tolist(), step=step.tolist())


def _scaled(array: NDArray[Any]) -> tuple[NDArray[np.uint16], NDArray[np.float64], NDArray[np.float64]]:
    low, high = array.min(0).astype(np.float64), array.max(0).astype(np.float64)
    step = (high - low) / STEPS
    codes = np.rint((array - low) / np.where(step > 0, step, 1)).astype(np.uint16)
    return codes, low, step


def write_html(run: Run, path: str | os.PathLike[str]) -> Path:
    """Write the explorer on a run as one HTML file for a browser: it asks no network, and needs no latens.

    Of more than 10,000 points every so many is taken, evenly spaced. Pictures are at most 32 pixels a side, and smaller where
    all of them would be too much to share. A run whose images have gone is exported without pictures, and warned about. The maps
    are those in the run's folder; of samplers those that are there or cost nothing.

    Args:
        run: complete, of a model of latens.
        path: the file.

    Returns:
        The path.

    Raises:
        RunError: it has no latents yet, or its model or one of its layers is none that the page can compute.
    """
    view = View(run)
    if not view.ready:
        raise RunError(f"{run.path}: has no latents yet; `latens run --resume --out {run.path}` completes it")
    pack = Pack()
    facts = {**networks_of(_model_of(run), pack, _tried(view)), **_facts(view, pack)}
    atomic_write(path, _page(facts | {"arrays": pack.layout}, bytes(pack.body)).encode())
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


def networks_of(model: Model, pack: Pack, latents: NDArray[np.float32]) -> dict[str, Any]:
    """Both halves of a model as layers.js takes them; weights as 16 bit where that changes nothing to be seen.

    Args:
        model: one of latens.
        pack: where the weights go.
        latents: some of its own, (B, D), by which that is judged.

    Raises:
        RunError: a model or a layer that the page can't compute.
    """
    kind = type(model)
    if kind not in RULES:
        known = ", ".join(known.__name__ for known in RULES)
        raise RunError(
            f"the page can't compute the model {kind.__name__}; it knows {known}; `latens explore` shows the run"
        )
    coarse = _survives(model, latents)
    halves: dict[str, Any] = {}
    for name, half in (("encoder", model.encoder), ("decoder", model.decoder)):
        layers = [_checked(layer) for layer in half]
        size = sum(parameter.numel() for parameter in half.parameters()) * (2 if coarse else 4)
        halves[name] = None
        if name == "decoder" or size <= MOST_ENCODER:
            halves[name] = [_layer(layer, f"{name} {i}", pack, coarse) for i, layer in enumerate(layers)]
    if halves["encoder"] is not None:
        halves["encoder"] += RULES[kind](model)
    halves["decoder"] += [{"kind": "Sigmoid"}] * model.decodes_logits
    return halves


def _checked(layer: nn.Module) -> nn.Module:
    kind, bare = type(layer), getattr(layer, "weight", None) is not None and getattr(layer, "bias", None) is None
    plain = not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) or (
        layer.groups == 1
        and set(layer.dilation) == {1}
        and layer.padding_mode == "zeros"
        and isinstance(layer.padding, tuple)
    )
    if kind not in ATTRIBUTES or bare or not plain:
        known = ", ".join(known.__name__ for known in ATTRIBUTES)
        raise RunError(
            f"the page can't compute the layer {layer}; it knows plain {known}; `latens explore` shows the run"
        )
    return layer


def _layer(layer: nn.Module, name: str, pack: Pack, coarse: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"kind": type(layer).__name__}
    facts |= {attribute: list(getattr(layer, attribute)) for attribute in ATTRIBUTES[type(layer)]}
    for key, parameter in layer.named_parameters():
        array = np.ascontiguousarray(parameter.detach().cpu().numpy(), np.float32)
        if key == "weight":
            facts["weight_shape"] = list(array.shape)
        add = pack.add_scaled if coarse else pack.add
        facts[key.replace(".", "_")] = add(f"{name} {key}", array.reshape(-1, 1))
    return facts


@torch.no_grad()
def _survives(model: Model, latents: NDArray[np.float32]) -> bool:
    """Whether pictures and latents stay as they are with weights of 16 bit."""
    rounded = copy.deepcopy(model)
    for parameter in rounded.parameters():
        codes, low, step = _scaled(parameter.detach().cpu().numpy().reshape(-1, 1))
        parameter.copy_(torch.from_numpy((low + codes * step).astype(np.float32)).view(parameter.shape))
    pictures = decode_latents(model, latents)
    change = np.abs(decode_latents(rounded, latents) - pictures).max()
    halves = [encode_images(one, np.clip(pictures, 0, 1)) for one in (model, rounded)]
    moved = np.abs(halves[0] - halves[1]).max() / max(1.0, float(np.abs(halves[0]).max()))
    return bool(change < ALIKE and moved < ALIKE)


def _facts(view: View, pack: Pack) -> dict[str, Any]:
    """All but the networks: what the run is, its points, maps, columns, pictures, samplers; arrays go into the pack."""
    run, num = view.run, len(view.latents)
    rows = np.linspace(0, num - 1, min(num, MOST_POINTS)).round().astype(np.int64)
    latents = view.latents[rows]
    kept = [name for name in view.map_names if f"maps/{name}.npz" in run.record["files"]]
    maps, info = kept or ["pca"], view.info()
    columns = [one for one in info["columns"] if one["name"].removeprefix("trust:") in (one["name"], *maps)]
    for one in columns:
        pack.add(f"column {one['name']}", view.column(one["name"])[rows])
    usual = run.usual_distance if len(rows) == num else usual_distance(latents)
    # Numbers of a few levels are often equally far from each other, which rounding would hide; and they pack well as they are.
    levels = len(np.unique(latents)) <= 256
    coarse = not levels and np.linalg.norm(_scaled(latents)[2]) / 2 < SMALL * usual
    (pack.add_scaled if coarse else pack.add)("latents", latents)
    _add_graph(latents, pack)
    with suppress(UsageError):  # latents that are all the same have no directions
        found = decoding.directions(view, count=min(decoding.MOST_DIRECTIONS, latents.shape[1]))
        for name, array in found.arrays.items():
            pack.add(name, array)
    samplers = _samplers(view, maps[0], pack)
    cell = [] if view.missing else _add_cells(view, rows, pack)
    size = max(cell[1:], default=0)
    sprites = {"size": size, "across": ACROSS // size, "per_page": (ACROSS // size) ** 2} if cell else None
    if sprites:
        sprites["pages"] = -(-len(rows) // sprites["per_page"])
    else:
        warnings.warn(f"{run.path}: exported without pictures: {view.missing}", stacklevel=3)
    note = f"{len(rows):,} of {num:,} images, evenly spaced; distances are among these" if len(rows) < num else ""
    info |= {"count": len(rows), "maps": maps, "columns": columns, "samplers": list(samplers), "thumbnails": sprites}
    info |= {"missing": "" if cell else "they were not at hand when this file was made", "beside": "", "note": note}
    return {
        "run": info,
        "usual": usual if np.isfinite(usual) else None,
        "ids": [str(one) for one in view.ids[rows]],
        "labels": view.labels is not None,
        "cell": cell,
        "whole": cell == info["shape"],
        "maps": {name: _add_map(view, name, rows, pack) for name in maps},
        "samplers": samplers,
    }


def _add_map(view: View, name: str, rows: NDArray[np.int64], pack: Pack) -> dict[str, Any]:
    made, (facts, _) = view.map(name), view.map_points(name)
    pack.add(f"map {name}", made.coordinates[rows].astype(np.float32))
    if isinstance(made, PCAMap):
        pack.add(f"mean {name}", made.mean.astype(np.float32))
        pack.add(f"axes {name}", made.components.astype(np.float32))
    return {**facts, "plane": isinstance(made, PCAMap)}


def _add_graph(latents: NDArray[np.float32], pack: Pack) -> None:
    """The graph that `latens.paths.graph` goes along: of each point its nearest, and what joins the pieces."""
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


def _add_cells(view: View, rows: NDArray[np.int64], pack: Pack) -> list[int]:
    """The points' pictures, small enough to be shared; the shape (C, h, w) of each."""
    channels, *size = view.run.image_shape
    most = min(CELL, int((MOST_PIXELS / len(rows) / channels) ** 0.5))
    small = [max(1, round(side * min(1.0, most / max(size)))) for side in size]
    cells = np.empty((len(rows), channels, *small), np.uint8)
    for start in range(0, len(rows), 256):
        pixels = view.pixels(rows[start : start + 256] + view.first)
        if small != size:
            reduced = nn.functional.interpolate(torch.from_numpy(pixels), small, mode="bilinear", antialias=True)
            pixels = reduced.numpy()
        cells[start : start + 256] = pixels
    pack.add("cells", cells)
    return [channels, *small]


def _samplers(view: View, map: str, pack: Pack) -> dict[str, Any]:
    """The means of classes, and of other samplers some latents that they have drawn, their classes in turn."""
    found: dict[str, Any] = {}
    cheap = {"class-means", "gaussian", "prior"}
    for name in view.sampler_names:
        if name not in cheap and f"samplers/{name}.safetensors" not in view.run.record["files"]:
            continue
        fitted = view.run.sampler(name)
        classes, bank = fitted.classes, 0
        if isinstance(fitted, ClassMeansSampler):
            rows = fitted.means
        else:
            bank = max(1, BANK // max(1, len(classes))) * max(1, len(classes))
            rows = fitted.sample(bank, labels=np.resize(classes, bank) if len(classes) else None)
        pack.add_scaled(f"sampler {name}", rows)
        scores: list[Any] = []
        with suppress(RunError):  # it was not scored yet
            scores = decoding.probe(view, name, map=map).facts["scores"][1:]
        found[name] = {"classes": classes.tolist(), "bank": bank, "scores": scores}
    return found


def _page(facts: dict[str, Any], body: bytes) -> str:
    """The whole file: the page of the explorer with its style, one script and the data inside."""
    folder = files("latens.explorer").joinpath("page")
    style, script = folder.joinpath("page.css").read_text("utf-8"), bundle("app.js")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data: blob:;"
        " worker-src blob:; connect-src 'none'; base-uri 'none'; form-action 'none'"
    )
    page = folder.joinpath("index.html").read_text("utf-8")
    data = (
        f'<script type="application/json" id="latens-data">{_as_json(facts)}</script>\n'
        f'<script type="application/octet-stream" id="latens-arrays">{base64.b64encode(zlib.compress(body, 9)).decode()}'
        f'</script>\n<script type="module">{script}</script>\n</body>'
    )
    for old, new in (
        (
            '<meta charset="utf-8">',
            f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">',
        ),
        ('<link rel="stylesheet" href="page.css">', f"<style>{style}</style>"),
        ('<script type="module" src="app.js"></script>\n', ""),
        ("</body>", data),
    ):
        assert page.count(old) == 1, f"index.html has {old} {page.count(old)} times"
        page = page.replace(old, new)
    return page


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _as_json(value: Any) -> str:
    """JSON that no browser takes for HTML."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def bundle(entry: str) -> str:
    """A module of the page and all that it imports as one script; workers become Blobs of their own.

    A script of one piece is all that a policy has to allow by its hash, and what browsers run from a disk. Modules have static
    imports of one line each, and export functions, classes and constants where they are defined.
    """
    parts: dict[str, str] = {}
    _gather(entry, parts)
    return "const modules = {};\n" + "".join(parts.values())


def _gather(name: str, parts: dict[str, str]) -> None:
    """Put a module behind those that it imports."""
    source = files("latens.explorer").joinpath("page", name).read_text("utf-8")
    for pattern in (r'^import \{[^}]*\} from "\./([\w-]+\.js)";$', r'await import\("\./([\w-]+\.js)"\)'):
        for needed in re.findall(pattern, source, re.M):
            if needed not in parts:
                _gather(needed, parts)
    exported = re.findall(r"^export (?:async )?(?:function|class|const) (\w+)", source, re.M)
    code = re.sub(r"^export (?=(?:async )?(?:function|class|const) )", "", source, flags=re.M)
    code = re.sub(r'^import (\{[^}]*\}) from "\./([\w-]+\.js)";$', r'const \1 = modules["\2"];', code, flags=re.M)
    code = re.sub(r'await import\("\./([\w-]+\.js)"\)', r'modules["\1"]', code)
    worker = r'new Worker\(new URL\("\./([\w-]+\.js)", import\.meta\.url\), \{ ?type: "module" ?\}\)'
    code = re.sub(worker, lambda found: _worker(found[1]), code)
    assert not re.search(r"^(import|export) |import\.meta|</script|<!--", code, re.M), f"{name} can't be bundled"
    parts[name] = f'modules["{name}"] = (() => {{\n{code}\nreturn {{{", ".join(exported)}}};\n}})();\n'


def _worker(name: str) -> str:
    # Not as a module: Chromium refuses those to a page from a disk.
    return f'new Worker(URL.createObjectURL(new Blob([{_as_json(bundle(name))}], {{type: "text/javascript"}})))'
