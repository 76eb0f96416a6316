"""What is computed from a trained run and kept in its folder: latents, maps, the probe, scores."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from latens.errors import UsageError
from latens.files import read_npz, write_json
from latens.images import Dataset, load_images
from latens.images.mapped import blocks
from latens.latents import decode_latents, encode_images
from latens.maps import MAPS, Map
from latens.maps.given import GivenMap
from latens.metrics import METRICS, Scores
from latens.neighbours import nearest_neighbours
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.folder import TEST, TRAIN
from latens.samplers.class_means import ClassMeansSampler

__all__ = ["NOISES", "encode_run", "encode_source", "map_run", "probe_run", "score_run"]

NOISES = (0.0, 0.5, 1.0)  # the probe's; the last is the notebook's
BLOCK_VALUES = 1 << 21  # of pixels, in memory as float32 a few times over


def encode_run(run: Run, images: Dataset, progress: Progress | None = None) -> None:
    """Encode both parts, and note each image's squared error, into latents.npz."""
    total, done = len(images.train) + len(images.test), 0
    latents = np.empty((total, run.recipe.latent_dim), np.float32)
    errors = np.empty(total, np.float32)
    with (progress or Silent()).stage("latents", "images") as tick:
        for part in (images.train, images.test):
            for pixels in blocks(part.pixels, max(1, BLOCK_VALUES // prod(images.shape))):
                here = slice(done, done := done + len(pixels))
                latents[here] = encode_images(run.model, pixels)
                difference = decode_latents(run.model, latents[here]) - pixels.astype(np.float32) / 255
                errors[here] = np.square(difference).mean(axis=(1, 2, 3))
                tick(done, total)
    arrays = {
        "latents": latents,
        "squared_error": errors,
        "ids": np.concatenate([images.train.ids, images.test.ids]).astype(str),
        "part": np.repeat(np.array([TRAIN, TEST], np.uint8), [len(images.train), len(images.test)]),
    }
    if images.train.labels is not None and images.test.labels is not None:
        arrays["labels"] = np.concatenate([images.train.labels, images.test.labels])
    run.__dict__.pop("latents", None)  # what was read before is no longer what is there
    run.write_arrays("latents.npz", arrays)


def encode_source(run: Run, source: Any, part: str = "all", progress: Progress | None = None) -> dict[str, np.ndarray]:
    """The latents of any images, with what is known of them; images of another size are resized to the model's.

    Args:
        run: whose model encodes.
        source: see `load_images`.
        part: `"train"`, `"test"` or `"all"`.
        progress: shows how far it is.

    Returns:
        `latents` float32 (N, D), `ids` (N,), and `labels` (N,) where there are any.
    """
    progress = progress or Silent()
    data = run.record["data"]
    options = data["options"] if str(source) == data["source"] else {"size": run.image_shape[1:]}
    with progress.stage("images", "pictures") as tick:
        images = load_images(source, **options, progress=tick)
    parts = {"train": [images.train], "test": [images.test], "all": [images.train, images.test]}[part]
    with progress.stage("latents", "images") as tick:
        latents = [encode_images(run.model, one, tick) for one in parts]
    arrays = {"latents": np.concatenate(latents), "ids": np.concatenate([one.ids for one in parts]).astype(str)}
    labels = [one.labels for one in parts if one.labels is not None]
    return {**arrays, "labels": np.concatenate(labels)} if labels else arrays


def map_run(
    run: Run,
    name: str = "tsne",
    *,
    seed: int | None = None,
    coordinates: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Map:
    """Make a map of the latents of `run.mapped_part`, or take somebody else's, and keep it in the run.

    Args:
        run: with latents.
        name: one of `MAPS`; the name under which given coordinates are kept.
        seed: of the map; None takes the run's.
        coordinates: a .npy or .npz (`coordinates`) of (N, 2), one row a mapped image in their order.
        progress: shows how far a fit is.

    Raises:
        UnknownName: no such map.
        UsageError: the coordinates don't fit.
    """
    if coordinates is None:
        return run.map(name, run.recipe.config.seed if seed is None else seed, progress)
    given = GivenMap(_read_coordinates(Path(coordinates))).fit(run.of_part("latents", run.mapped_part))
    run.keep_map("given", given)
    return given


def _read_coordinates(path: Path) -> np.ndarray:
    try:
        if path.suffix == ".npz":
            return read_npz(path, ("coordinates",))["coordinates"]
        array: np.ndarray = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; a .npy or .npz of coordinates (N, 2) is needed") from None
    except (ValueError, EOFError, OSError) as error:
        raise UsageError(f"{path}: not readable as .npy ({error}); coordinates (N, 2) are needed") from None
    return array


def probe_run(run: Run, *, refit: bool = False, seed: int | None = None, progress: Progress | None = None) -> None:
    """The notebook's probe: mean latent of each class of the test part plus noise, decoded, and its place on the map.

    Where the test part is too small for a map, means are of all images, as the map is.

    Without labels k-means clusters stand in for the classes. Into probe.npz: `images` (noises, K, C, H, W), `noises`,
    `names`, `latents` (K, D) at the last noise, their `coordinates` on the map, and `ratios`: the distance of each to the
    nearest data latent, as a multiple of the median distance of a data latent to its nearest neighbour.

    Args:
        run: with latents.
        refit: fit the map anew with the probe's points, as the notebook does, into `refit_points` and `refit_coordinates`.
        seed: of the noise; None takes the run's.
        progress: shows how far a fit is.
    """
    part = run.mapped_part
    latents, labels = run.of_part("latents", part), run.labels_of(part)
    chosen = run.recipe.config.seed if seed is None else seed
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
        "ratios": _distance_ratios(latents, drawn[-1]),
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


def _distance_ratios(latents: np.ndarray, probes: np.ndarray) -> np.ndarray:
    """How far each probe lies from the data, as a multiple of what is usual between data."""
    if len(latents) < 2:
        return np.full(len(probes), np.nan)
    usual = float(np.median(nearest_neighbours(latents, k=1)[0]))
    distances = nearest_neighbours(latents, probes, 1)[0][:, 0]
    return distances / usual if usual > 0 else np.full(len(probes), np.inf)


def score_run(run: Run, images: Dataset, progress: Progress | None = None) -> dict[str, Any]:
    """Compute the scores of a run: reconstruction, representation, map; into metrics.json.

    Args:
        run: with latents and maps.
        images: what it was trained on.
        progress: shows how far it is.

    Returns:
        `scores`, a list of dicts: group, name, value, unit, better, baseline, baseline_name, protocol; `notes` by group on
        what was left out; `details` by group: errors by class, the worst images.
    """
    seed = run.recipe.config.seed
    with (progress or Silent()).stage("scores") as tick:
        groups: dict[str, Scores] = {}
        for done, (name, compute) in enumerate(_SCORED.items()):
            tick(done, len(_SCORED), name)
            groups[name] = compute(run, images, seed)
    result = {
        "scores": [{"group": group, **asdict(score)} for group, found in groups.items() for score in found.scores],
        "notes": {group: "; ".join(found.notes) for group, found in groups.items() if found.notes},
        "details": {group: dict(found.details) for group, found in groups.items() if found.details},
    }
    write_json(run.path / "metrics.json", result)
    run.seal("metrics.json")
    return result


def _score_reconstruction(run: Run, images: Dataset, seed: int) -> Scores:
    return METRICS["reconstruction"](
        images.train.pixels,
        images.test.pixels,
        run.reconstruct,
        run.recipe.latent_dim,
        labels=images.test.labels,
        class_names=images.class_names,
        ids=images.test.ids,
        seed=seed,
    )


def _score_representation(run: Run, images: Dataset, seed: int) -> Scores:
    return METRICS["representation"](
        run.of_part("latents", TRAIN),
        run.of_part("latents", TEST),
        images.train.labels,
        images.test.labels,
        train_pixels=images.train.pixels,
        test_pixels=images.test.pixels,
        seed=seed,
    )


def _score_map(run: Run, images: Dataset, seed: int) -> Scores:
    """The scores of the t-SNE map, beside those of PCA's."""
    plain = run.map_scores("pca")
    beside = {score.name: score.value for score in plain.scores}
    found = run.map_scores("tsne")
    scores = [replace(score, baseline=beside[score.name], baseline_name="PCA's map") for score in found.scores]
    return Scores(tuple(scores), found.notes)


_SCORED = {"reconstruction": _score_reconstruction, "representation": _score_representation, "map": _score_map}
