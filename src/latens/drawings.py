"""The figures of a run: each gathers its arrays from the run's folder and images, and has `figures` draw them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from latens.analysis.between import (
    arithmetic_of_run,
    default_pair,
    image_name,
    paths_of_run,
    pixels_of,
    traversals_of_run,
)
from latens.errors import RunError, UsageError
from latens.figures import FIGURES, save_png
from latens.figures.findings import Section
from latens.figures.paths import PathRow
from latens.files import read_npz
from latens.images import Dataset, pick_evenly
from latens.maps import Map
from latens.metrics import METRICS, Scores
from latens.models.contract import Model
from latens.networks.layers import MapToVector, ResidualBlock, SubPixel, VectorToMap
from latens.paths import PATHS
from latens.progress import Progress, Silent
from latens.review import Finding, picker, read_review
from latens.review.reviewing import FILE
from latens.runs import Run
from latens.runs.folder import TEST

__all__ = ["DRAWINGS", "DrawingOptions", "draw", "draw_run", "network_stages", "stages_of"]

WORST = 20
FINDINGS = 18  # of a kind, on the sheet
CONTACT_ROWS, CONTACT_COLUMNS = 5, 20
CLUSTER_TITLE = "2D decomposition of Latent Vectors, coloured by k-means cluster as there are no labels"
MAP_TITLES = {"tsne": "t-SNE", "pca": "PCA", "given": "given coordinates"}


@dataclass(frozen=True)
class DrawingOptions:
    """What can be asked of a figure; each figure looks at its own part.

    Args:
        start: first test image of the reconstructions; 0 where the test part is too small.
        pairs: how many pairs.
        per_row: pairs in a row.
        autoscale: stretch the contrast of each picture, as the notebook's imshow does.
        map: which map, for `map` and `probe-map`.
        refit: show the probe on a map fitted anew with its points, as the notebook does.
        sampler: for `samples`.
        n: how many samples.
        seed: of the samples, and of the choice of pictures on the contact sheet.
        first: row of the test part: where a path starts, what a traversal goes through; None takes the first image, the mean.
        last: row of the test part where a path ends; None takes the next of another class.
        way: of a path, one of `PATHS`; None shows all.
        steps: of a path (11 where None) or of each direction of the traversals (7).
        directions: of the traversals.
        plus: rows of the test part ("7") or means of classes ("mean:three") that are added, for `arithmetic`.
        minus: those that are taken away.
    """

    start: int = 200
    pairs: int = 100
    per_row: int = 10
    autoscale: bool = False
    map: str = "tsne"
    refit: bool = False
    sampler: str = "class-means"
    n: int = 100
    seed: int = 0
    first: int | None = None
    last: int | None = None
    way: str | None = None
    steps: int | None = None
    directions: int = 6
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()


def draw(run: Run, name: str, options: DrawingOptions | None = None, out: str | Path | None = None) -> Path:
    """Draw one figure of a run.

    Args:
        run: a complete run.
        name: one of `DRAWINGS`.
        options: what to draw.
        out: the PNG; `figures/NAME.png` in the run's folder by default.

    Raises:
        UnknownName: there is no such figure.
        RunError: the run lacks what the figure shows.
    """
    path = Path(out) if out is not None else run.path / "figures" / f"{name}.png"
    save_png(DRAWINGS[name](run, run.images, options or DrawingOptions()), path)
    return path


def draw_run(run: Run, images: Dataset, progress: Progress | None = None) -> None:
    """Draw all figures that this run can have, into its folder."""
    todo = [(name, f"{name}.png", DrawingOptions()) for name in DRAWINGS if name != "map" and _applies(run, name)]
    todo += [("map", f"map-{name}.png", DrawingOptions(map=name)) for name in ("tsne", "pca")]
    with (progress or Silent()).stage("figures") as tick:
        for done, (name, file, options) in enumerate(todo):
            tick(done, len(todo), name)
            save_png(DRAWINGS[name](run, images, options), run.path / "figures" / file)


def _applies(run: Run, name: str) -> bool:
    if name == "path":
        return len(run.of_part("ids", TEST)) > 1
    if name == "traversals":
        return bool(np.ptp(run.of_part("latents", run.mapped_part), axis=0).any())
    if name == "review":
        return FILE in run.record["files"]
    needs_history, needs_labels = name in ("loss", "loss-all"), name in ("class-errors", "arithmetic")
    return not (needs_history and not run.history) and not (needs_labels and not run.class_names)


def _loss(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    return FIGURES["loss"](_history(run))


def _loss_all(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    return FIGURES["loss-all"](_history(run))


def _history(run: Run) -> list[dict[str, float]]:
    if not run.history:
        raise RunError(f"{run.path}: has no history (its weights were imported); there is no loss to draw")
    return run.history


def _reconstructions(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    originals = images.test.pixels[: max(options.start + options.pairs, 1)]
    return FIGURES["reconstructions"](
        originals, run.reconstruct(originals), options.start, options.pairs, options.per_row, options.autoscale
    )


def _worst(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    errors = run.of_part("squared_error", TEST)
    rows = np.argsort(-errors, kind="stable")[:WORST]
    originals = images.test.pixels[rows]
    labels = None if images.test.labels is None else images.test.labels[rows]
    return FIGURES["worst"](
        originals,
        run.reconstruct(originals),
        errors[rows],
        images.test.ids[rows],
        labels,
        run.class_names,
        WORST,
        total=len(errors),
    )


SECTIONS = {
    "far-from-all": "Far from all others: strangeness",
    "near-duplicate": "Near-duplicates: both pictures, and their distance as a share of what is usual",
    "doubtful-label": "Doubtful labels: the label, and the class that the neighbours have",
}


def _review(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    found, pick = read_review(run), picker(images)
    sections = []
    for kind, title in SECTIONS.items():
        shown = found.of_kind(kind)[:FINDINGS]
        if shown:
            pairs = [finding.other_row for finding in shown] if kind == "near-duplicate" else None
            pictures = pick(np.array([finding.row for finding in shown]))
            captions = [_caption(finding) for finding in shown]
            sections.append(Section(title, pictures, captions, None if pairs is None else pick(np.array(pairs))))
    return FIGURES["review"](sections)


def _caption(finding: Finding) -> tuple[str, str]:
    if finding.kind == "near-duplicate":
        return f"{finding.id}, {finding.other_id}", f"{finding.part}, {finding.other_part}: {finding.score:.3f}"
    if finding.kind == "doubtful-label":
        return f"{finding.part} {finding.id}", f"{finding.label} → {finding.suggested} ({finding.score:.2f})"
    return f"{finding.part} {finding.id}", f"{finding.score:.1f} {finding.label}".strip()


def _class_errors(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    labels = run.labels_of(TEST)
    if labels is None:
        raise RunError(f"{run.path}: its images have no labels; there are no classes to compare")
    errors = run.of_part("squared_error", TEST)
    present = [k for k in range(len(run.class_names)) if (labels == k).any()]
    means = [float(errors[labels == k].mean()) for k in present]
    return FIGURES["class-errors"](means, [run.class_names[k] for k in present], float(errors.mean()))


def _map(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    shown = _shown_map(run, options.map)
    labels, names, title = _colours(run)
    scores = _values(run.map_scores(options.map))
    return FIGURES["map"](shown.coordinates, labels, names, f"{title} ({MAP_TITLES[options.map]})", scores)


def _shown_map(run: Run, name: str) -> Map:
    if name == "given" and "maps/given.npz" not in run.record["files"]:
        raise RunError(f"{run.path}: no coordinates were given; say `latens map {run.path} --coordinates FILE` first")
    return run.map(name)


def _values(scores: Scores) -> dict[str, float]:
    """What is printed on every map: how far to trust it."""
    return {score.name: score.value for score in scores.scores}


def _colours(run: Run) -> tuple[np.ndarray | None, tuple[str, ...], str]:
    """What colours the map: labels, or else the clusters that stand in for them."""
    labels = run.labels_of(run.mapped_part)
    if labels is not None:
        return labels, run.class_names, "2D decomposition of Latent Vectors"
    probe = _probe_arrays(run)
    return probe["clusters"], tuple(probe["names"].tolist()), CLUSTER_TITLE


def _probe_arrays(run: Run) -> dict[str, np.ndarray]:
    return read_npz(run.checked("probe.npz"), ("images", "noises", "names", "coordinates", "ratios"))


def _probe(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    probe = _probe_arrays(run)
    names = probe["names"].tolist()
    return FIGURES["probe"](
        probe["images"][-1], names, float(probe["noises"][-1]), options.autoscale, "clusters" in probe
    )


def _probe_noise(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    probe = _probe_arrays(run)
    rows = {float(noise): pictures for noise, pictures in zip(probe["noises"], probe["images"], strict=True)}
    return FIGURES["probe-noise"](rows, probe["names"].tolist(), options.autoscale, "clusters" in probe)


def _probe_map(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    probe = _probe_arrays(run)
    if options.refit:
        points, placed = _refit(run, probe, options.map)
        scores = METRICS["map"](run.of_part("latents", run.mapped_part), points, run.labels_of(run.mapped_part))
    else:
        shown = _shown_map(run, options.map)
        points, scores = shown.coordinates, run.map_scores(options.map)
        placed = probe["coordinates"] if options.map == "tsne" else shown.place(probe["latents"])
    labels, names, _ = _colours(run)
    return FIGURES["probe-map"](
        points,
        labels,
        names,
        placed,
        probe["names"].tolist(),
        probe["ratios"],
        scores=_values(scores),
    )


def _refit(run: Run, probe: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The data's points and the probe's, on the t-SNE that was fitted with both."""
    if name != "tsne":
        raise UsageError(f"the map fitted anew with the probe is a t-SNE, not {name}; leave out one of the two")
    if "refit_coordinates" not in probe:
        raise RunError(
            f"{run.path}: the map was not fitted anew with the probe; say `latens map {run.path} --refit` first"
        )
    return probe["refit_points"], probe["refit_coordinates"]


def _samples(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    samples = run.sample(options.n, options.sampler, options.seed)
    title = f"{options.n} samples by {options.sampler}, seed {options.seed}"
    return FIGURES["samples"](samples.images, options.per_row, title)


def _network(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    return FIGURES["network"](stages_of(run))


def _contact_sheet(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    shown = images.train.take(pick_evenly(images.train, CONTACT_ROWS * CONTACT_COLUMNS, options.seed))
    title = f"{len(shown)} of {len(images.train):,} train images" + (", class by class" if images.num_classes else "")
    return FIGURES["samples"](shown.pixels, CONTACT_COLUMNS, title)


def _path(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    pair = default_pair(run, options.first, options.last)
    ways = tuple(PATHS) if options.way is None else (options.way,)
    found = paths_of_run(run, *pair, ways, 11 if options.steps is None else options.steps)
    straight = float(np.linalg.norm(found[0].path.latents[-1] - found[0].path.latents[0])) or 1.0
    rows = []
    for decoded in found:
        path, shape = decoded.path, (0, *run.image_shape)
        # Its ends are beside the row already.
        inner = (path.places > 0) & (path.places < 1)
        passed = pixels_of(images, path.rows[inner], run.mapped_part) if inner.any() else np.empty(shape, np.uint8)
        remark = f"{path.length / straight:.2f} × the straight line" if path.way != "linear" else ""
        rows.append(PathRow(path.way, decoded.pictures, decoded.ratios, remark, passed, path.places[inner]))
    names = [image_name(run, row) for row in pair]
    title = "From image {} to image {} of the test part".format(*pair)
    note = " ".join(f"{d.path.way.capitalize()}: {d.path.note}." for d in found if d.path.note)
    return FIGURES["path"](rows, images.test.pixels[list(pair)], names, title, note)


def _traversals(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    steps = 7 if options.steps is None else options.steps
    found, pictures, ratios = traversals_of_run(run, options.directions, steps, options.first)
    middle = "the mean latent" if options.first is None else f"image {options.first} of the test part"
    title = f"Through {middle}, along the directions in which latents vary most"
    return FIGURES["traversals"](pictures, ratios, found.shares, found.deviations, title, _held(found.cut.max()))


def _held(share: float) -> str:
    if not share:
        return ""
    return (
        "Numbers that the encoder cannot give (below 0 after a ReLU) were held at the nearest that it can:"
        f" up to {100 * share:.0f} % of a latent."
    )


def _arithmetic(run: Run, images: Dataset, options: DrawingOptions) -> Figure:
    found = arithmetic_of_run(run, images, options.plus, options.minus)
    nearest = pixels_of(images, np.array([found.nearest]), run.mapped_part)[0]
    name, note = image_name(run, found.nearest, run.mapped_part), _held(found.cut)
    if name in found.names:
        note += " The nearest real image is one of the operands."
    return FIGURES["arithmetic"](
        found.operands, found.names, found.num_plus, found.picture, found.ratio, nearest, name, note
    )


DRAWINGS: dict[str, Callable[[Run, Dataset, DrawingOptions], Figure]] = {
    "contact-sheet": _contact_sheet,
    "network": _network,
    "loss": _loss,
    "loss-all": _loss_all,
    "reconstructions": _reconstructions,
    "worst": _worst,
    "review": _review,
    "class-errors": _class_errors,
    "map": _map,
    "probe": _probe,
    "probe-noise": _probe_noise,
    "probe-map": _probe_map,
    "samples": _samples,
    "path": _path,
    "traversals": _traversals,
    "arithmetic": _arithmetic,
}
"""Name -> function of (run, its images, options). A test holds the names to those of `FIGURES` and the contact sheet."""


def stages_of(run: Run) -> list[tuple[str, tuple[int, ...]]]:
    """The stages of a run's network, for its drawing; of an adopted model only what goes in and out is known."""
    if not run.recipe.is_adopted:
        return network_stages(run.model)
    shape = tuple(run.record["adopted"]["latent_shape"])
    return [("input", run.image_shape), ("latent", shape), ("output", run.image_shape)]


@torch.no_grad()
def network_stages(model: Model) -> list[tuple[str, tuple[int, ...]]]:
    """Each layer's name and the shape of what it puts out, without the batch, for the drawing of the network."""
    x = torch.zeros(1, *model.image_shape, device=next(model.parameters()).device)
    stages = [("input", model.image_shape), *_walk(model.encoder, x)]
    z = model.encode(x)
    latent = ("latent", (model.latent_dim,))
    # An encoder that puts out more than the latent, as a distribution's mean and variance, is shown with what it puts out.
    stages[-1:] = [latent] if stages[-1][1] == latent[1] else [stages[-1], latent]
    return [*stages, *_walk(model.decoder, z)]


def _walk(layers: nn.Module, x: torch.Tensor) -> Iterator[tuple[str, tuple[int, ...]]]:
    rows: list[tuple[str, tuple[int, ...]]] = []
    blocks = 0  # in a row, which are one stage
    for layer in layers.children():
        x = layer(x)
        blocks = blocks + 1 if isinstance(layer, ResidualBlock) else 0
        if isinstance(layer, nn.ReLU | nn.SiLU):
            rows[-1] = (f"{rows[-1][0]}, {_layer_name(layer)}", rows[-1][1])
        elif blocks > 1:
            rows[-1] = (f"{blocks} residual blocks", rows[-1][1])
        else:
            rows.append((_layer_name(layer), tuple(x.shape[1:])))
    yield from rows


def _layer_name(layer: nn.Module) -> str:
    if isinstance(layer, MapToVector | VectorToMap | nn.Linear):
        return "dense"
    if isinstance(layer, ResidualBlock):
        return "residual block"
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        kinds = {SubPixel: "sub-pixel conv", nn.ConvTranspose2d: "transposed conv"}
        stride = f" /{layer.stride[0]}" if layer.stride[0] > 1 else ""
        return f"{kinds.get(type(layer), 'conv')} {layer.kernel_size[0]}×{layer.kernel_size[1]}{stride}"
    return type(layer).__name__
