"""Maps of the latents, and the probe on them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from latens.computed.given_features import features_of_run
from latens.errors import UsageError
from latens.files import DAMAGED_ARRAY, open_regular, read_npz
from latens.maps import FEATURES, MAPS, Map
from latens.maps.features import FeaturesMap
from latens.maps.given import GivenMap
from latens.metrics import Score
from latens.metrics.map import score_map
from latens.metrics.score import together
from latens.neighbours import distance_ratios, nearest_neighbours
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.run import TEST
from latens.samplers.class_means import ClassMeansSampler
from latens.training.recipes import MAX_SEED, whole_number

__all__ = ["NOISES", "map_run", "probe_run"]

NOISES = (0.0, 0.5, 1.0)  # the probe's; the last is that of the reference experiment


def map_run(
    run: Run,
    name: str = "tsne",
    *,
    seed: int | None = None,
    coordinates: str | os.PathLike[str] | None = None,
    features: Any = None,
    progress: Progress | None = None,
) -> Map:
    """Make a map of the latents of `run.mapped_part`, or of given features, or take given coordinates, and keep it in the run.

    Args:
        run: with latents.
        name: one of `MAPS`.
        seed: of the map; None takes the run's.
        coordinates: a .npy or .npz (`coordinates`) of (N, 2), one row a mapped image in their order; kept as the map `given`.
        features: an encoder, see `latens.encoders`: its features of the same images are mapped in place of the latents,
            and the map is kept as `features`, beside those of the latents. Its scores say how well it shows the features, and
            what these say of the classes beside the latents.
        progress: shows how far a fit is.

    Raises:
        UnknownName: no such map.
        UsageError: the coordinates don't fit, or both they and features are given, or there is no such encoder.
    """
    if features is not None:
        if coordinates is not None:
            raise UsageError("coordinates and features each make a map of their own; give one of them")
        return _features_map(run, name, seed, features, progress)
    if coordinates is None:
        return run.map(name, run.recipe.config.seed if seed is None else seed, progress)
    given = GivenMap(_read_coordinates(Path(coordinates))).fit(run.of_part("latents", run.mapped_part))
    run.keep_map("given", given)
    return given


def _features_map(run: Run, name: str, seed: int | None, features: Any, progress: Progress | None) -> FeaturesMap:
    kind, part = MAPS[name], run.mapped_part
    chosen = run.recipe.config.seed if seed is None else whole_number("seed", seed, 0, MAX_SEED)
    found = features_of_run(run, features, progress=progress)
    vectors = found.of_part(part)
    with (progress or Silent()).stage(f"map {name} of features") as tick:
        fitted = kind().fit(vectors, seed=chosen, progress=tick)
    made = FeaturesMap(fitted, found.name).fit(run.of_part("latents", part))
    split = "test" if part == TEST else "train and test"
    of_map = score_map(vectors, made.coordinates, run.labels_of(part), kept=made.trust, split=split, seed=chosen)
    of_map = replace(of_map, scores=tuple(_by_features(one, found.name) for one in of_map.scores))
    run.keep_map(FEATURES, made)
    run.save(f"maps/{FEATURES}.json", together(of_map, found.class_scores()).as_json())
    return made


def _by_features(score: Score, encoder: str) -> Score:
    """A score of a map whose protocol says that it is one of features."""
    what = score.protocol.what.replace("in latent space", "among the features")
    return replace(score, protocol=replace(score.protocol, what=what, features=encoder))


def _read_coordinates(path: Path) -> np.ndarray:
    try:
        if path.suffix == ".npz":
            return read_npz(path, ("coordinates",))["coordinates"]
        with open_regular(path) as file:
            array: np.ndarray = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; a .npy or .npz of coordinates (N, 2) is needed") from None
    except DAMAGED_ARRAY as error:
        raise UsageError(f"{path}: not readable as .npy ({error}); coordinates (N, 2) are needed") from None
    return array


def probe_run(run: Run, *, refit: bool = False, seed: int | None = None, progress: Progress | None = None) -> None:
    """The probe: the mean latent of each class of the test part plus noise, decoded, and its place on the map.

    Where the test part is too small for a map, means are of all images, as the map is.

    Without labels k-means clusters stand in for the classes. Into probe.npz: `images` (noises, K, C, H, W), `noises`,
    `names`, `latents` (K, D) at the last noise, their `coordinates` on the map, and `ratios`: the distance of each to the
    nearest data latent, as a multiple of the median distance of a data latent to its nearest neighbour.

    Args:
        run: with latents.
        refit: fit the map anew with the probe's points, as the reference experiment does; into `refit_points` and
            `refit_coordinates`.
        seed: of the noise; None takes the run's.
        progress: shows how far a fit is.
    """
    part = run.mapped_part
    latents, labels = run.of_part("latents", part), run.labels_of(part)
    chosen = run.recipe.config.seed if seed is None else whole_number("seed", seed, 0, MAX_SEED)
    samplers = [ClassMeansSampler(noise_std=noise).fit(latents, labels) for noise in NOISES]
    classes = samplers[0].classes
    drawn = [sampler.sample(len(classes), chosen, classes) for sampler in samplers]
    shown = run.map("tsne", progress=progress)
    arrays = {
        "images": np.stack([run.decode(z) for z in drawn]),
        "noises": np.array(NOISES),
        "names": np.array(_probe_names(run, classes)),
        "latents": drawn[-1],
        "coordinates": shown.place(drawn[-1]),
        "ratios": distance_ratios(latents, drawn[-1], run.usual_distance),
    }
    if labels is None:
        arrays["clusters"] = nearest_neighbours(drawn[0], latents, 1)[1][:, 0]
    if refit:
        with (progress or Silent()).stage("map with probe") as tick:
            fitted = MAPS["tsne"]().fit(np.concatenate([latents, drawn[-1]]), seed=chosen, progress=tick)
        arrays["refit_points"], arrays["refit_coordinates"] = np.split(fitted.coordinates, [len(latents)])
    run.write_arrays("probe.npz", arrays)


def _probe_names(run: Run, classes: Sequence[int] | np.ndarray) -> list[str]:
    if run.class_names:
        return [run.class_names[int(k)] for k in classes]
    return [f"cluster {int(k)}" for k in classes]
