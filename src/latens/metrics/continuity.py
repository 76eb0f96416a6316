"""Continuity: what is decoded between the latents of real images, and beyond them?"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.images.pixels import to_floats
from latens.metrics.copies import distances_to
from latens.metrics.hidden import DEFINITIONS as OF_HIDDEN
from latens.metrics.hidden import hidden_points, score_hidden, shown_among_own
from latens.metrics.inputs import Inputs
from latens.metrics.intervals import of_mean, of_share
from latens.metrics.neighbourhoods import inside_balls
from latens.metrics.pairs import POINTS, draw_pairs, points_between, step_ratios
from latens.metrics.references import FEWEST, References, some
from latens.metrics.score import Definition, Direction, Metric, Protocol, Score, Scores, together
from latens.neighbours import Neighbours, nearest_neighbours

__all__ = [
    "BEYOND",
    "METRIC",
    "SAMPLED",
    "hole_distance",
    "latent_distances",
    "round_trip",
    "score_continuity",
    "score_sampled_latents",
]

PAIRS, PATHS = 1_000, 300  # of each kind: looked at in the middle; walked along
ROUND_TRIPS = 1_000
BEYOND = 0.99  # quantile of data-to-data distances
PROBE_POINTS = 50  # a class, by which the map is judged
VALUES = 1 << 24  # pixels that are decoded at once: 64 MiB as float32


def _faded(name: str, meaning: str, direction: Direction) -> Definition:
    return Definition(name, meaning, direction, baseline="cross-fades of the pixels", baseline_kind="method")


_HALF_WAY = (
    "Take the latents of two images{which} and decode the point half-way between them: the share of such images that look"
    " real."
)
_STEP = (
    "Go from the latent of one image to that of another{which} in equal steps: the largest change of the image as a multiple"
    " of the mean one. 1 is even, 10 a single jump."
)
_WHICH = {"": "", "_within": " of one class", "_between": " of different classes"}
_TRIP = (
    "Decode {which} and encode the result again: how far the latent moves, as a share of its length. It moves far where the model"
    " has learned nothing."
)
SAMPLED = (
    Definition(
        "holes",
        "Share of the sampler's latents that lie far from all real ones: farther than 99 of 100 test images do.",
        "lower",
        baseline="test images",
        baseline_kind="real images",
    ),
    Definition("round_trip_samples", _TRIP.format(which="latents that the sampler draws"), "lower"),
)
DEFINITIONS = (
    *(_faded(f"path_realism{kind}", _HALF_WAY.format(which=which), "higher") for kind, which in _WHICH.items()),
    *(_faded(f"path_smoothness{kind}", _STEP.format(which=which), "lower") for kind, which in _WHICH.items()),
    Definition("round_trip_data", _TRIP.format(which="latents of test images"), "lower"),
    Definition("round_trip_midpoints", _TRIP.format(which="points half-way between latents"), "lower"),
    *OF_HIDDEN,
)
_BY_NAME = {one.name: one for one in (*DEFINITIONS, *SAMPLED)}

Decode = Callable[[NDArray[np.float32]], NDArray[Any]]
Encode = Callable[[NDArray[Any]], NDArray[Any]]


def hole_distance(train_latents: NDArray[Any] | Neighbours, test_latents: NDArray[Any]) -> float:
    """The distance to the nearest data latent beyond which a latent lies in a hole.

    It is the 99th percentile of the distances of test latents (M, D) to the nearest train latent (N, D): of real images, one in
    a hundred lies in a hole.
    """
    return float(np.quantile(distances_to(train_latents, test_latents), BEYOND))


def latent_distances(train_latents: NDArray[Any] | Neighbours, latents: NDArray[Any]) -> NDArray[np.float32]:
    """The distance of each of some latents (M, D) to the nearest train latent (N, D), float32 (M,)."""
    return distances_to(train_latents, latents)


def round_trip(latents: NDArray[Any], decode: Decode, encode: Encode) -> NDArray[np.float64]:
    """How far each latent moves when it is decoded and encoded again: ‖E(D(z)) - z‖ / ‖z‖.

    Args:
        latents: (N, D), finite.
        decode: latents (B, D) -> images (B, C, H, W).
        encode: images, float32 in [0, 1] -> latents (B, D); None leaves the round trips out.

    Returns:
        float64, one for each latent that is not zero.
    """
    again = _through(latents, lambda z: encode(np.clip(decode(z), 0, 1)))
    lengths = np.linalg.norm(latents.astype(np.float64), axis=1)
    moved = np.linalg.norm(again.astype(np.float64) - latents, axis=1)
    ratios: NDArray[np.float64] = moved[lengths > 0] / lengths[lengths > 0]
    return ratios


def score_continuity(
    latents: NDArray[Any],
    labels: NDArray[Any] | None,
    references: References,
    *,
    decode: Decode,
    encode: Encode | None,
    features: Callable[[NDArray[Any]], NDArray[Any]],
    pixels: NDArray[Any] | None = None,
    seed: int = 0,
) -> Scores:
    """Score what is decoded halfway between the latents of test images, and on the way.

    Args:
        latents: of the test images, (N, D), finite, N at least 2.
        labels: int (N,), or None: then pairs are drawn without regard to classes.
        references: of real images, see `prepare_references`; a picture is real if it lies in one of their balls.
        decode: latents (B, D) -> images (B, C, H, W).
        encode: images, float32 in [0, 1] -> latents (B, D); None leaves the round trips out.
        features: images -> features (B, F), those of the references.
        pixels: the test images, uint8, or float32 in [0, 1], (N, C, H, W), whose cross-fades are the baseline; or None.
        seed: of the pairs.

    Returns:
        `path_realism_within`, `path_realism_between`, `path_smoothness_within`, `path_smoothness_between` (without labels
        `path_realism`, `path_smoothness`), `round_trip_data`, `round_trip_midpoints`.

    Raises:
        UsageError: shapes that don't fit, numbers that are not finite, or fewer than two latents.
    """
    _check(latents, labels, pixels)
    pairs, notes = draw_pairs(labels, len(latents), PAIRS, seed)
    walk = _Walk(latents, references, decode, features, pixels, seed)
    scores = [walk.realism(kind, rows) for kind, rows in pairs.items()]
    scores += [walk.smoothness(kind, rows[:PATHS]) for kind, rows in pairs.items()]
    middles = np.concatenate([points_between(latents, rows, np.array([0.5]))[:, 0] for rows in pairs.values()])
    data = latents[np.random.default_rng(seed).permutation(len(latents))[:ROUND_TRIPS]]
    for name, what, z in (
        ("round_trip_data", "test latents", data),
        ("round_trip_midpoints", "midpoints of the pairs", middles),
    ):
        scores += _of_round_trip(name, what, z, decode, encode, len(latents), seed, notes)
    return Scores(tuple(scores), tuple(notes))


def score_sampled_latents(
    sampled: NDArray[Any],
    train_latents: NDArray[Any] | Neighbours,
    limit: float,
    *,
    sampler: str,
    decode: Decode,
    encode: Encode | None,
    seed: int = 0,
) -> Scores:
    """Score where a sampler's latents lie, and whether they are where the encoder would put their pictures.

    Args:
        sampled: (M, D), finite.
        train_latents: (N, D), finite; as `Neighbours` where several samplers are scored.
        limit: what `hole_distance` says.
        sampler: the name of the sampler, for the details.
        decode: latents (B, D) -> images (B, C, H, W).
        encode: images, float32 in [0, 1] -> latents (B, D); None leaves the round trips out.
        seed: of the latents whose round trip is looked at.

    Returns:
        `holes`, `round_trip_samples`.

    Raises:
        UsageError: shapes that don't fit, numbers that are not finite, or no latents.
    """
    if sampled.ndim != 2 or not len(sampled) or not np.isfinite(sampled).all():
        raise UsageError(f"sampled latents have shape {sampled.shape}; (M, D), finite, at least one, are needed")
    beyond = latent_distances(train_latents, sampled) > limit
    what = "share of latents farther from the nearest train latent than 99 % of the test latents are"
    about = Protocol(what, settings={"samples": len(sampled), "train_images": len(train_latents)})
    holes = _BY_NAME["holes"].score(beyond.mean(), about, 0.01, of_share(beyond))
    notes: list[str] = []
    some = sampled[np.random.default_rng(seed).permutation(len(sampled))[:ROUND_TRIPS]]
    trip = _of_round_trip("round_trip_samples", "the sampler's latents", some, decode, encode, None, seed, notes)
    return Scores((holes, *trip), tuple(notes), {"sampler": sampler})


class _Walk:
    """Paths between pairs of latents, and the features of what is decoded on them."""

    def __init__(
        self,
        latents: NDArray[Any],
        references: References,
        decode: Decode,
        features: Callable[[NDArray[Any]], NDArray[Any]],
        pixels: NDArray[Any] | None,
        seed: int,
    ) -> None:
        self.latents, self.references, self.pixels, self.seed = latents, references, pixels, seed
        self.decode, self.features = decode, features

    def realism(self, kind: str, rows: NDArray[np.int64]) -> Score:
        """The share of midpoints that are in a ball of a real image."""
        middle = np.array([0.5])
        real, faded = (
            None if found is None else inside_balls(self.references.test, self.references.radii, found[:, 0])
            for found in (self._decoded(rows, middle), self._faded(rows, middle))
        )
        assert real is not None, "decoded points are always computed"
        what = "share of decoded midpoints in the balls of real images"
        baseline = None if faded is None else float(faded.mean())
        num = len(self.latents)  # pairs of few images share images
        return self._score(
            "path_realism", kind, real.mean(), baseline, what, rows, of_share(real, num), k=self.references.k
        )

    def smoothness(self, kind: str, rows: NDArray[np.int64]) -> Score:
        """The mean over paths of the largest step in feature space, as a multiple of the path's mean step."""
        along = np.linspace(0, 1, POINTS)
        ratios, faded = (
            None if found is None else step_ratios(found)
            for found in (self._decoded(rows, along), self._faded(rows, along))
        )
        assert ratios is not None, "decoded points are always computed"
        what = "largest over mean step of points on a line"
        baseline = None if faded is None else float(faded.mean())
        interval = of_mean(ratios, 1.0, len(self.latents)) if len(ratios) > 1 else (None, None)
        return self._score("path_smoothness", kind, ratios.mean(), baseline, what, rows, interval, points=POINTS)

    def _score(
        self,
        name: str,
        kind: str,
        value: float,
        baseline: float | None,
        what: str,
        rows: NDArray[np.int64],
        interval: tuple[float | None, float | None],
        **settings: int,
    ) -> Score:
        pairs = {"within": "pairs of a class", "between": "pairs of different classes", "": "pairs drawn at random"}[
            kind
        ]
        about = Protocol(
            f"{what}; {pairs}",
            len(self.latents),
            seed=self.seed,
            features=self.references.features,
            settings={"pairs": len(rows), **settings},
        )
        return _BY_NAME[f"{name}_{kind}".rstrip("_")].score(value, about, baseline, interval)

    def _decoded(self, rows: NDArray[np.int64], along: NDArray[Any]) -> NDArray[Any] | None:
        points = points_between(self.latents, rows, along)
        found = _through(points.reshape(-1, points.shape[2]), lambda z: self.features(self.decode(z)))
        return found.reshape(len(rows), len(along), -1)

    def _faded(self, rows: NDArray[np.int64], along: NDArray[Any]) -> NDArray[Any] | None:
        """The features of cross-fades between the images of the pairs."""
        pixels = self.pixels
        if pixels is None:
            return None
        together = max(1, VALUES // (len(along) * int(np.prod(pixels.shape[1:]))))
        parts = []
        for start in range(0, len(rows), together):
            pair = to_floats(pixels[rows[start : start + together]])
            faded = points_between(pair.reshape(-1, *pixels.shape[1:]), np.arange(2 * len(pair)).reshape(-1, 2), along)
            parts.append(self.features(faded.reshape(-1, *pixels.shape[1:])))
        return np.concatenate(parts).reshape(len(rows), len(along), -1)


def _through(latents: NDArray[Any], function: Callable[[NDArray[np.float32]], NDArray[Any]]) -> NDArray[Any]:
    """What a function that decodes makes of latents (N, D), in blocks: of large pictures few are there at once."""
    z = np.ascontiguousarray(latents, np.float32)
    return np.concatenate([function(z[start : start + 250]) for start in range(0, len(z), 250)])


def _of_round_trip(
    name: str,
    what: str,
    latents: NDArray[Any],
    decode: Decode,
    encode: Encode | None,
    num_test: int | None,
    seed: int,
    notes: list[str],
) -> list[Score]:
    if encode is None:
        return []
    moved = round_trip(latents, decode, encode)
    if not len(moved):
        notes.append(f"{name} is left out: all latents are zero")
        return []
    text = f"mean ‖E(D(z)) - z‖ / ‖z‖ at {what}, D(z) clamped to [0, 1]"
    about = Protocol(text, num_test, seed=seed, settings={"latents": len(moved)})
    interval = of_mean(moved) if len(moved) > 1 else (None, None)
    return [_BY_NAME[name].score(moved.mean(), about, interval=interval)]


def _check(latents: NDArray[Any], labels: NDArray[Any] | None, pixels: NDArray[Any] | None) -> None:
    if latents.ndim != 2 or len(latents) < 2 or not np.isfinite(latents).all():
        raise UsageError(f"test latents have shape {latents.shape}; (N, D), finite, at least two, are needed for paths")
    for name, array in (("labels", labels), ("pixels", pixels)):
        if array is not None and len(array) != len(latents):
            raise UsageError(f"{len(latents)} latents have {len(array)} {name}; one for each is needed")


def _score(inputs: Inputs) -> Scores:
    if min(len(inputs.train.pixels), len(inputs.test.pixels)) < FEWEST:
        return Scores((), (f"left out: with fewer than {FEWEST} images in a part there is nothing to compare",))
    test = inputs.test
    features, references = inputs.realism
    rows = some(len(test.pixels), inputs.seed)
    between = score_continuity(
        test.latents[rows],
        None if test.labels is None else test.labels[rows],
        references,
        decode=inputs.decode,
        encode=inputs.encode,
        features=features,
        pixels=test.pixels[rows],
        seed=inputs.seed,
    )
    return together(between, _what_the_map_hides(inputs))


def _what_the_map_hides(inputs: Inputs) -> Scores:
    """What the t-SNE map hides of the class-means probe, of which it is given many points for each class."""
    assert inputs.mapped is not None, "these inputs come without maps"
    assert inputs.map is not None, "these inputs come without maps"
    latents, labels = inputs.mapped
    if labels is None or inputs.probe is None:
        return Scores((), ("hidden_holes is left out: there are no labels",))
    if len(latents) < 2:
        return Scores((), ("hidden_holes is left out: one image has no neighbours",))
    points, classes = inputs.probe(PROBE_POINTS)
    shown = inputs.map("tsne")
    places = shown.place(points)
    hidden = hidden_points(
        points,
        classes,
        places,
        latents=latents,
        labels=labels,
        coordinates=shown.coordinates,
        limit=float(np.quantile(nearest_neighbours(latents, k=1)[0], BEYOND)),
    )
    features, references = inputs.realism
    clear = inside_balls(references.test, references.radii, features(inputs.decode(points)))
    among_own = shown_among_own(classes, places, labels, shown.coordinates)
    return score_hidden(hidden, "t-SNE", among_own & ~clear)


METRIC = Metric("Continuity: what lies between the latents of real images?", DEFINITIONS, _score)
