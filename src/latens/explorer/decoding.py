"""What the page asks the decoder: a place of the map, a latent, a probe, a path; each with how far it is from the data."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.explorer.view import View
from latens.explorer.wire import Answer
from latens.images.pixels import to_uint8
from latens.interpolation import interpolate, kept_in_range, principal_directions
from latens.neighbours import in_usual_distances
from latens.samplers.class_means import ClassMeansSampler

__all__ = ["decode", "decode_at", "directions", "path", "probe"]

CLOUD = 400  # latents of a probe that are drawn as dots
SHOWN = 10  # pictures of a probe without classes
AROUND = 200  # neighbours whose principal directions are a point's own
MOST_LATENTS = 1000  # in one request
MOST_STEPS = 101
MOST_DIRECTIONS = 8


def decode_at(view: View, map: str, x: float, y: float) -> Answer:
    """The picture at a place of a map, given in the map's own units; with the latent that stands for it, and its own place.

    The two places are the same on a plane. Elsewhere a place without images near it is given a mixture of theirs, which the
    map puts where they are.
    """
    return _decoded(view, view.map(map).inverse(np.array([[x, y]])), map, trips=True)


def decode(view: View, latents: Any, map: str = "") -> Answer:
    """The pictures of latents (M, D), and where they lie on a map.

    Raises:
        UsageError: not numbers (M, D), not finite, or too many.
    """
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
    return _decoded(view, z, map, trips=True)


def _decoded(
    view: View,
    latents: NDArray[np.float32],
    map: str = "",
    *,
    trips: bool = False,
    labels: NDArray[Any] | None = None,
    note: str = "",
    **facts: Any,
) -> Answer:
    """`Decoded` of the page's types.js; its round trip is that of `latens.metrics.continuity.round_trip`."""
    distances, near = view.near.nearest(latents, 1)
    pictures = view.run.decode(latents)
    lengths = np.linalg.norm(latents.astype(np.float64), axis=1)
    lengths[lengths == 0] = np.nan  # there is no ratio to a latent of length zero
    again = view.run.encode(np.clip(pictures, 0, 1)) if trips else np.full_like(latents, np.nan)
    moved = np.linalg.norm(again.astype(np.float64) - latents, axis=1) / lengths
    return Answer(
        {"note": note, **facts},
        {
            "pixels": to_uint8(pictures),
            "latents": np.ascontiguousarray(latents, np.float32),
            "ratio": in_usual_distances(distances[:, 0], view.run.usual_distance).astype(np.float32),
            "round_trip": moved.astype(np.float32),
            "nearest": near[:, 0].astype(np.int32),
            "places": view.map(map).place(latents) if map else np.empty((0, 2), np.float32),
            "labels": np.empty(0, np.uint16) if labels is None else labels.astype(np.uint16),
        },
    )


def probe(view: View, sampler: str = "class-means", noise: float = 1.0, seed: int = 0, map: str = "pca") -> Answer:
    """Latents drawn by a sampler: one picture a class, and a cloud of more on a map.

    Args:
        view: of a run whose model is at hand.
        sampler: a name of `SAMPLERS`; `class-means` is the notebook's probe.
        noise: of `class-means`, in the latents' own unit; other samplers have none.
        seed: another seed, another draw.
        map: where the cloud is drawn.

    Raises:
        UsageError: noise below 0, or not finite.
    """
    fitted = view.run.sampler(sampler, view.work)
    if isinstance(fitted, ClassMeansSampler):  # the slider of the page
        fitted = ClassMeansSampler.restore(fitted.state(), {"noise_std": noise})
    classes = fitted.classes
    wanted = np.array(classes) if len(classes) else None
    num = len(classes) or SHOWN
    some = fitted.sample(num, seed=seed, labels=wanted)
    asked = np.resize(classes, CLOUD) if len(classes) else None
    cloud = fitted.sample(CLOUD, seed=seed + 1, labels=asked)
    shown = _decoded(view, some, map, trips=True, labels=wanted)
    ratios = in_usual_distances(view.near.nearest(cloud, 1)[0][:, 0], view.run.usual_distance)
    drawn: dict[str, NDArray[Any]] = {
        "cloud": view.map(map).place(cloud),
        "cloud_ratio": ratios.astype(np.float32),
        "cloud_labels": np.empty(0, np.uint16) if asked is None else asked.astype(np.uint16),
    }
    return Answer({**shown.facts, "scores": _scores_of(view, sampler, ratios)}, {**shown.arrays, **drawn})


def _scores_of(view: View, sampler: str, ratios: NDArray[np.float64]) -> list[dict[str, str]]:
    """What is true of the cloud just drawn, and what is known of the sampler from the run's scores, in words."""
    said = [
        {
            "name": "distance from the data",
            "value": f"{np.median(ratios):.1f} ×",
            "hint": f"median of {len(ratios)} draws, in usual distances between neighbours; 1 is as near as the data themselves",
        }
    ]
    scored = "metrics.json" in view.run.record["files"] and (view.run.path / "metrics.json").exists()
    scores = view.run.scores if scored else ()
    known = {one.name: one for one in scores if one.group == "generation" and one.subject == sampler}
    floor = next((one.value for one in scores if one.name == "floor"), None)
    at = ", at noise 1" if sampler == "class-means" else ""  # as it was scored, whatever the slider says
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
            said.append({"name": name, "value": f"{known[name].value:.3g}", "hint": hint})
    return said


def path(
    view: View, start: Sequence[int], end: Sequence[int], way: str = "linear", steps: int = 11, map: str = "pca"
) -> Answer:
    """A path between two images, or between the means of two selections.

    Args:
        view: of a run whose model is at hand.
        start: points; the path begins at the mean of their latents.
        end: points likewise.
        way: a name of `PATHS`.
        steps: points on the path, both ends included.
        map: where its points are placed.

    Raises:
        UsageError: points that are not there, none, twice the same end, or too many steps.
        UnknownName: no such way, or map.
    """
    if not 2 <= steps <= MOST_STEPS:
        raise UsageError(f"steps is {steps}; from 2 to {MOST_STEPS} are allowed")
    ends = [_mean_of(view, points) for points in (start, end)]
    if (ends[0] == ends[1]).all():
        raise UsageError("a path from a place to itself; choose two different ends")
    if way == "graph" and len(start) == len(end) == 1:
        found = view.graph.path(start[0], end[0], steps)
    else:
        found = interpolate(ends[0], ends[1], steps, way, view.latents)
    passed = [int(row) for row in found.rows]
    return _decoded(view, found.latents, map, trips=True, note=found.note, way=way, passed=passed)


def _mean_of(view: View, points: Sequence[int]) -> NDArray[np.float64]:
    if not len(points):
        raise UsageError("an end of a path needs at least one point")
    rows = np.array(points)
    if rows.dtype.kind not in "iu" or rows.ndim != 1 or rows.min() < 0 or rows.max() >= len(view.latents):
        raise UsageError(f"an end of a path must be points from 0 to {len(view.latents) - 1}")
    mean: NDArray[np.float64] = view.latents[rows].mean(0, dtype=np.float64)
    return mean


def directions(view: View, point: int | None = None, count: int = MOST_DIRECTIONS) -> Answer:
    """The directions in which the latents vary most: those about a point, or for None all: `Directions` of the page's types.js.

    Raises:
        UsageError: there is no such point, or the latents do not vary there.
    """
    data = view.latents
    if point is not None:
        centre = _mean_of(view, [point]).astype(np.float32)
        data = data[view.near.nearest(centre[None], min(AROUND, len(data)))[1][0]]
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
