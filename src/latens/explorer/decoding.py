"""What the page decodes: a place of the map, a latent, a probe, a path; each with how far it is from the data."""

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.computed.given_images import GivenImages
from latens.errors import ImagesError, UsageError
from latens.explorer.view import NEIGHBOURS, View
from latens.explorer.wire import MOST_FILE_BYTES, Answer
from latens.images.kinds import advice_for, ending_of, is_picture
from latens.images.pixels import to_floats
from latens.interpolation import LatentPath, interpolate, kept_in_range, principal_directions
from latens.interpolation.way_points import steps_of_legs
from latens.latents import encode_images
from latens.neighbours import in_usual_distances
from latens.text import shown

__all__ = [
    "compass",
    "decode",
    "decode_at",
    "directions",
    "encode",
    "latent_of_stop",
    "mean",
    "nearest",
    "path",
    "probe",
]

CLOUD = 400  # latents of a probe that are drawn as dots
SHOWN = 10  # pictures of a probe without classes
AROUND = 200  # neighbours whose principal directions are a point's own
COMPASS = 3  # directions of a compass
STEPS = (-2.0, -1.0, 1.0, 2.0)  # of each, in standard deviations along it
MOST_LATENTS = 1000  # in one request
MOST_STEPS = 101
MOST_DIRECTIONS = 8
LONGEST_NAME = 200  # bytes; file systems take 255
MOST_NEAREST = 10_000


def decode_at(view: View, map: str, x: float, y: float, look: str = "") -> Answer:
    """The picture at a place of a map, given in the map's own units; with the latent that stands for it, and its own place.

    The two places are the same on a plane. Elsewhere a place without images near it is given a mixture of theirs, which the
    map puts where they are.
    """
    return _decoded(view, view.map(map).inverse(np.array([[x, y]])), map, look=look, trips=True)


def decode(view: View, latents: Any, map: str = "", look: str = "") -> Answer:
    """The pictures of latents (M, D), and where they lie on a map.

    Raises:
        UsageError: not numbers (M, D), not finite, or too many.
    """
    return _decoded(view, _latents(view, latents), map, look=look, trips=True)


def _latents(view: View, latents: Any) -> NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):  # too large becomes infinite, and is refused as that
            z = np.array(latents, np.float32)
    except (ValueError, TypeError):
        raise UsageError("latents must be rows of numbers, all as long as the latent dimension") from None
    if z.ndim != 2 or not 1 <= len(z) <= MOST_LATENTS or z.shape[1] != view.latents.shape[1]:
        shape = " x ".join(str(n) for n in z.shape)
        raise UsageError(
            f"latents have the shape {shape}; 1 to {MOST_LATENTS} rows of {view.latents.shape[1]} numbers are allowed"
        )
    if not np.isfinite(z).all():
        raise UsageError("latents hold NaN or infinity; finite numbers are needed")
    return z


def _decoded(
    view: View,
    latents: NDArray[np.float32],
    map: str = "",
    *,
    look: str = "",
    trips: bool = False,
    labels: NDArray[Any] | None = None,
    note: str = "",
    **facts: Any,
) -> Answer:
    """`Decoded` of the page's types.js; its round trip is that of `latens.metrics.continuity.round_trip`.

    `moved` is the same distance in usual distances between neighbours: the latents of a poor model lie close together, and what
    is a small share of their length is then a long way among them.
    """
    distances, near = view.near.nearest(latents, 1)
    pictures = view.run.decode(latents)
    lengths = np.linalg.norm(latents.astype(np.float64), axis=1)
    lengths[lengths == 0] = np.nan  # there is no ratio to a latent of length zero
    tells = trips and view.run.model.trained_together  # else a good image, too, leads elsewhere
    again = encode_images(view.run.model, np.clip(pictures, 0, 1)) if tells else np.full_like(latents, np.nan)
    away = np.linalg.norm(again.astype(np.float64) - latents, axis=1)
    return Answer(
        {"note": note, **facts},
        {
            "pixels": view.shown(pictures, look),
            "latents": np.ascontiguousarray(latents, np.float32),
            "ratio": _in_usual_distances(view, distances[:, 0]),
            "round_trip": (away / lengths).astype(np.float32),
            "moved": _in_usual_distances(view, away),
            "nearest": near[:, 0].astype(np.int32),
            "places": view.map(map).place(latents) if map else np.empty((0, 2), np.float32),
            "labels": np.empty(0, np.uint16) if labels is None else labels.astype(np.uint16),
        },
    )


def encode(view: View, file: bytes, name: str, map: str = "", look: str = "", part: str = "test") -> Answer:
    """An image file of the user's, read as the run's own images are and encoded: `Given` of the page's types.js.

    It is placed on the map by the map's own way of placing new latents.

    Args:
        view: of a run whose model is available.
        file: the file's content.
        name: the file's name, by whose ending its format is known.
        map: on which it is placed; "" for none.
        look: of the pictures, see `latens.explorer.looks`.
        part: whose images are its neighbours, of `latens.explorer.view.PARTS`.

    Raises:
        UsageError: it is empty, too large, or no image.
        ImagesError: it can't be read, or has other channels than the run's images.
    """
    pixels, notes = _read_file(view, file, shown(name))
    z = encode_images(view.run.model, pixels[None])
    placed = _decoded(view, z, map, look=look, trips=True)
    distances, near = view.nearest(z, NEIGHBOURS, part)
    error = (to_floats(pixels).astype(np.float64) - view.run.decode(z)[0]) ** 2
    return Answer(
        {"id": name, "label": -1, "columns": [], "error": float(error.mean()), "note": "; ".join(notes)},
        {
            "pixels": view.shown(pixels[None], look)[0],
            "reconstruction": placed.arrays["pixels"][0],
            "neighbours": near[0].astype(np.int32),
            "distances": _in_usual_distances(view, distances[0]),
            "latents": z[0],
            **{name: placed.arrays[name] for name in ("ratio", "round_trip", "moved", "places")},
        },
    )


def _read_file(view: View, file: bytes, name: str) -> tuple[NDArray[Any], list[str]]:
    """The first image of a file as the networks take it, (C, H, W), and what should be said of it."""
    if not file:
        raise UsageError(f"{name}: is empty")
    if len(file) > MOST_FILE_BYTES:
        raise UsageError(f"{name}: has {len(file) >> 20} MB; at most {MOST_FILE_BYTES >> 20} MB are read")
    plain = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "-" for c in name)
    if not 1 <= len(plain.encode("utf-8", "replace")) <= LONGEST_NAME or plain.startswith("."):
        plain = f"image{ending_of(plain)}"
    with tempfile.TemporaryDirectory(prefix="latens-") as folder:
        path = Path(folder) / plain
        path.write_bytes(file)
        if not is_picture(str(path), plain):
            advice = advice_for([ending_of(plain)])
            raise UsageError(f"{name}: is no image that latens reads{f'; {advice}' if advice else ''}")
        try:
            given = GivenImages(view.run, path, strict=True)
            block = next(given.blocks())
        except ImagesError as error:
            said = str(error).replace(f"{path}", name).replace(f"{folder}/", "").replace(folder, name)
            raise type(error)(said) from None
    notes = [one.replace(f"{folder}/", "") for one in given.notes]
    if given.total > 1:
        notes.append(f"the file holds {given.total} images; this is the first")
    return block.pixels[0], notes


def nearest(view: View, latents: Sequence[float], count: int = 50, part: str = "test") -> Answer:
    """The images of a part nearest to a latent, nearest first: `rows`, int32 (K,), and `distances` in usual ones, float32 (K,).

    Raises:
        UsageError: no D finite numbers, or a count that is not allowed.
    """
    z = _latents(view, [latents])
    if not 1 <= count <= MOST_NEAREST:
        raise UsageError(f"count is {count}; from 1 to {MOST_NEAREST:,} are allowed")
    distances, near = view.nearest(z, count, part)
    return Answer({}, {"rows": near[0].astype(np.int32), "distances": _in_usual_distances(view, distances[0])})


def _in_usual_distances(view: View, distances: NDArray[Any]) -> NDArray[np.float32]:
    """Distances as multiples of the usual one between neighbours; NaN where that is 0, as it is where all latents are equal."""
    usual = view.run.usual_distance
    return in_usual_distances(distances, usual if usual > 0 else np.nan).astype(np.float32)


def probe(
    view: View,
    sampler: str = "class-means",
    noise: float = 1.0,
    seed: int = 0,
    map: str = "pca",
    unit: str = "latent",
    look: str = "",
) -> Answer:
    """Latents drawn by a sampler: one picture a class, and a cloud of more on a map.

    Args:
        view: of a run whose model is available.
        sampler: a name of `SAMPLERS`; `class-means` is the probe of the reference experiment.
        noise: of samplers that have a slider for it (`Sampler.centres`); other samplers have none.
        seed: another seed, another draw.
        map: where the cloud is drawn.
        unit: of the noise: `"latent"`, the latents' own, or `"spread"`, each class's own spread.
        look: of the pictures, see `latens.explorer.looks`.

    Raises:
        UsageError: noise below 0 or not finite, or an unknown unit.
    """
    fitted = view.run.sampler(sampler, view.work)
    if fitted.centres is not None:
        fitted = fitted.with_noise(noise, unit)
    classes = fitted.classes
    wanted = np.array(classes) if len(classes) else None
    num = len(classes) or SHOWN
    some = fitted.sample(num, seed=seed, labels=wanted)
    asked = np.resize(classes, CLOUD) if len(classes) else None
    cloud = fitted.sample(CLOUD, seed=seed + 1, labels=asked)
    shown = _decoded(view, some, map, look=look, trips=True, labels=wanted)
    ratios = _in_usual_distances(view, view.near.nearest(cloud, 1)[0][:, 0])
    drawn: dict[str, NDArray[Any]] = {
        "cloud": view.map(map).place(cloud),
        "cloud_ratio": ratios,
        "cloud_labels": np.empty(0, np.uint16) if asked is None else asked.astype(np.uint16),
    }
    spreads = [] if fitted.spreads is None else fitted.spreads.tolist()
    return Answer(
        {**shown.facts, "scores": _scores_of(view, sampler, ratios), "spreads": spreads}, {**shown.arrays, **drawn}
    )


def _scores_of(view: View, sampler: str, ratios: NDArray[np.float32]) -> list[dict[str, Any]]:
    """The distance of the cloud just drawn, and the run's scores of the sampler, each with a hint in words."""
    said: list[dict[str, Any]] = [
        {
            "name": "distance from the data",
            "value": float(np.median(ratios)),
            "unit": "×",
            "hint": f"median of {len(ratios)} draws, in usual distances between neighbours;"
            " 1 is as near as the data are to one another",
        }
    ]
    scored = "metrics.json" in view.run.record["files"] and (view.run.path / "metrics.json").exists()
    scores = view.run.scores if scored else ()
    known = {one.name: one for one in scores if one.group == "generation" and one.subject == sampler}
    floor = next((one.value for one in scores if one.name == "floor"), None)
    # With the noise of the score, independent of the slider.
    at = ", at noise 1 in latent units" if sampler == "class-means" else ""
    for name, hint in (
        (
            "frechet",
            f"distance of many samples from the test images, as the run scored it{at}"
            + (f"; real images: {floor:.3g}" if floor else ""),
        ),
        ("coverage", f"share of real images that have a sample near by{at}"),
        ("memorised", f"share of samples nearer to a train image than test images are{at}"),
    ):
        if name in known:
            said.append({"name": name, "value": known[name].value, "unit": "", "hint": hint})
    return said


def path(
    view: View,
    stops: Sequence[Any],
    way: str = "linear",
    steps: int = 11,
    map: str = "pca",
    look: str = "",
) -> Answer:
    """A path from one stop to another, through way points if there are more than two.

    Args:
        view: of a run whose model is available.
        stops: two or more. Each is a list of rows, see `View.row_of`, and then the mean of their latents; or a place of a map,
            `{"map": name, "x": x, "y": y}` in the map's own units, and then the latent that stands for it.
        way: a name of `PATHS`, from each stop to the next.
        steps: points on the path; all stops are among them, and `stops` of the answer says which they are.
        map: where its points are placed.
        look: of the pictures, see `latens.explorer.looks`.

    Raises:
        UsageError: images or places that are not there, a stop twice in a row, too many steps, or fewer steps than stops.
        UnknownName: no such way, or map.
    """
    if not 2 <= steps <= MOST_STEPS:
        raise UsageError(f"steps is {steps}; from 2 to {MOST_STEPS} are allowed")
    if not 2 <= len(stops) <= steps:
        raise UsageError(f"{len(stops)} stops of a path of {steps} steps; from 2 to {steps} are allowed")
    places = [latent_of_stop(view, stop) for stop in stops]
    pairs = list(pairwise(places))
    if any((start == end).all() for start, end in pairs):
        raise UsageError("a path from a place to itself; choose two different ends")
    legs = steps_of_legs([float(np.linalg.norm(end - start)) for start, end in pairs], steps)
    found = [
        _leg(view, stops[i : i + 2], pair, way, taken + 1)
        for i, (pair, taken) in enumerate(zip(pairs, legs, strict=True))
    ]
    latents = np.concatenate([found[0].latents, *(one.latents[1:] for one in found[1:])])
    passed = [int(row) for one in found for row in one.rows]
    note = "; ".join(dict.fromkeys(one.note for one in found if one.note))
    at = [0, *(int(step) for step in np.cumsum(legs))]
    return _decoded(view, latents, map, look=look, trips=True, note=note, way=way, passed=passed, stops=at)


def _leg(
    view: View, stops: Sequence[Any], ends: tuple[NDArray[np.float64], NDArray[np.float64]], way: str, steps: int
) -> LatentPath:
    """From one stop to the next; the graph of all points serves where both are points."""
    if way == "graph" and all(isinstance(stop, list) and len(stop) == 1 and stop[0] >= 0 for stop in stops):
        return view.graph.path(stops[0][0], stops[1][0], steps)
    return interpolate(*ends, steps, way, view.latents)


def latent_of_stop(view: View, stop: Any) -> NDArray[np.float64]:
    """The latent of a stop of a path, float64 (D,).

    Raises:
        UsageError: it is neither images of the run nor a place of a map that has latents.
    """
    if isinstance(stop, list):
        return _mean_of(view, stop)
    if not isinstance(stop, dict) or set(stop) != {"map", "x", "y"}:
        raise UsageError(
            f"{str(stop)[:60]} is no stop of a path; images as [3, 7], or a place as map, x, y, are needed"
        )
    if not isinstance(stop["map"], str) or not all(_is_number(stop[axis]) for axis in "xy"):
        raise UsageError(f"{str(stop)[:60]} is no place; the name of a map and two finite numbers are needed")
    latent: NDArray[np.float64] = (
        view.map(stop["map"]).inverse(np.array([[stop["x"], stop["y"]]]))[0].astype(np.float64)
    )
    return latent


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def mean(view: View, points: Sequence[int]) -> Answer:
    """The mean of the latents of some images: `mean`, float32 (D,).

    Raises:
        UsageError: no images, or one that is not there.
    """
    return Answer({"images": len(points)}, {"mean": _mean_of(view, points).astype(np.float32)})


def _mean_of(view: View, points: Sequence[int]) -> NDArray[np.float64]:
    if not len(points):
        raise UsageError("a mean needs at least one image")
    rows = [view.row_of(point, "") for point in points]
    mean: NDArray[np.float64] = view.run.latents["latents"][rows].astype(np.float32).mean(0, dtype=np.float64)
    return mean


def compass(view: View, map: str, x: float, y: float, look: str = "") -> Answer:
    """Where the directions lead in which the latents near a place of a map vary most, and pictures of small steps along them.

    The answer is a `Compass` of the page's types.js: the place's own latent first; then for each direction the steps of `STEPS`,
    in standard deviations of the `AROUND` nearest latents along it, kept within what the encoder can give. `arrows` lead from
    where the place's latent lies to where, on average, those of the nearest images lie that are the last of `STEPS` ahead: the
    least-squares slope of their places over their scores along the direction, pairs (x, y). A direction that the map does not
    show has a short one.

    Args:
        view: of a run whose model is available.
        map: its name.
        x: in the map's own units.
        y: in the map's own units.
        look: of the pictures, see `latens.explorer.looks`.

    Raises:
        UsageError: places of the map have no latents, or the latents near it do not vary.
    """
    centre = view.map(map).inverse(np.array([[x, y]])).astype(np.float32)  # (1, D)
    near = _around(view, centre)
    data = view.latents[near]
    mean, axes, deviations, shares = principal_directions(data, COMPASS)
    scores = (data - mean) @ axes.T  # (B, directions), uncorrelated
    places = view.map(map).coordinates[near].astype(np.float64)
    arrows = (
        scores.T @ (places - places.mean(0)) / np.square(scores).sum(0)[:, None] * (STEPS[-1] * deviations[:, None])
    )
    steps = centre + np.multiply.outer(deviations[:, None] * axes, STEPS).transpose(0, 2, 1).reshape(
        -1, centre.shape[1]
    )
    latents = np.concatenate([centre, kept_in_range(steps, view.latents)])
    facts = {"around": len(data), "steps": list(STEPS), "shares": shares.tolist(), "arrows": arrows.ravel().tolist()}
    return _decoded(view, latents, map, look=look, trips=True, **facts)


def _around(view: View, centre: NDArray[np.float32]) -> NDArray[np.int64]:
    """The points whose latents are nearest to one, (1, D) -> (`AROUND`,), or all where there are fewer."""
    found: NDArray[np.int64] = view.near.nearest(centre, min(AROUND, len(view.latents)))[1][0]
    return found


def directions(view: View, point: int | None = None, count: int = MOST_DIRECTIONS) -> Answer:
    """The directions in which the latents near an image vary most, or for None all latents: `Directions` of the page's types.js.

    Raises:
        UsageError: there is no such image, or the latents do not vary there.
    """
    data = view.latents
    if point is not None:
        data = data[_around(view, _mean_of(view, [point]).astype(np.float32)[None])]
    mean, axes, deviations, shares = principal_directions(data, count)
    walls = kept_in_range(np.stack([np.full(len(mean), -1e30), np.full(len(mean), 1e30)]), view.latents)
    return Answer(
        {"about": point},
        {
            "mean": mean.astype(np.float32),
            "directions": axes.astype(np.float32),
            "deviations": deviations.astype(np.float32),
            "shares": shares.astype(np.float32),
            "lowest": walls[0],
            "highest": walls[1],
        },
    )
