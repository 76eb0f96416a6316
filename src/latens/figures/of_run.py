"""The figures of a run: each gathers its arrays from the run's folder and images, and has `figures` draw them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from latens.computed.review import Finding, picker, read_review
from latens.computed.review.findings import FILE
from latens.errors import RunError, UsageError
from latens.figures import FIGURES, save_png
from latens.figures.findings import Section
from latens.figures.interpolations_of_run import draw_arithmetic, draw_path, draw_traversals
from latens.figures.network_stages import network_stages, stages_of
from latens.figures.options import DrawingOptions
from latens.files import read_npz
from latens.images import Dataset, pick_evenly
from latens.left_out import LeftOut
from latens.maps import Map
from latens.metrics import METRICS, Scores
from latens.progress import Progress, Silent
from latens.runs import Run
from latens.runs.folder import TEST

__all__ = ["DRAWINGS", "DrawingOptions", "best_samples", "draw", "draw_run", "network_stages", "stages_of"]

WORST = 20
FINDINGS = 18  # of a kind, on the sheet
CONTACT_ROWS, CONTACT_COLUMNS = 5, 20
CLUSTER_TITLE = "2D decomposition of Latent Vectors, coloured by k-means cluster as there are no labels"
MAP_TITLES = {"tsne": "t-SNE", "pca": "PCA", "given": "given coordinates"}


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


def draw_run(run: Run, images: Dataset, progress: Progress | None = None, left: LeftOut | None = None) -> None:
    """Draw all figures that this run can have, into its folder.

    Args:
        run: with latents, maps, a probe and scores, as far as these could be made.
        images: what it was trained on.
        progress: shows how far it is.
        left: keeps the reasons of the figures that could not be drawn.
    """
    progress = progress or Silent()
    left = left or LeftOut(progress.say)
    todo: list[tuple[str, str, Callable[[], DrawingOptions]]]
    todo = [(name, name, DrawingOptions) for name in DRAWINGS if name not in ("map", "samples")]
    todo += [("samples", "samples", partial(best_samples, run))]
    todo += [("map", f"map-{name}", partial(DrawingOptions, map=name)) for name in ("tsne", "pca")]
    with progress.stage("figures") as tick:
        for done, (name, file, options) in enumerate(todo):
            tick(done, len(todo), file)
            path = run.path / "figures" / f"{file}.png"
            with left.attempt(f"figure {file}"):
                path.unlink(missing_ok=True)  # one of an earlier completion would stand for what failed
                if _applies(run, name):
                    save_png(DRAWINGS[name](run, images, options()), path)


def best_samples(run: Run) -> DrawingOptions:
    """Those of the sampler that the verdict finds the best, for the figure `samples`."""
    return DrawingOptions(sampler=run.verdict.best_sampler or DrawingOptions.sampler)


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
    "path": draw_path,
    "traversals": draw_traversals,
    "arithmetic": draw_arithmetic,
}
"""Name -> function of (run, its images, options). A test holds the names to those of `FIGURES` and the contact sheet."""
