"""The latents in two dimensions: the map, and the map with the probe's points on it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from latens.errors import RunDamaged, RunError, UsageError
from latens.figures import DEFAULT_PALETTE, PALETTES
from latens.figures.canvas import (
    INK,
    MUTED,
    TEXT,
    TITLE,
    WIDTH,
    fit,
    font,
    letter,
    new_figure,
    pixel_axes,
    printable,
    renderer_of,
    shorten,
    width_of,
)
from latens.figures.contract import FigureEntry, Option, Words
from latens.figures.palette import NO_CLASS, NO_LABELS, class_colours
from latens.figures.placing import place_boxes
from latens.figures.probes import kind_of_probe, probe_arrays
from latens.maps import FEATURES, GIVEN, MAPS, map_kind
from latens.maps.features import FeaturesMap
from latens.text import number, quoted

if TYPE_CHECKING:
    from latens.images import Dataset
    from latens.metrics import Scores
    from latens.runs import Run
    from latens.story import Story

__all__ = ["MAP", "PROBE_MAP", "chosen_palette", "latent_map", "probe_map", "small_map"]

HEIGHT = 660  # of the map itself, in pixels
SIDE = 22
LEGEND_ROW = 28
MOST_IN_LEGEND = 60
MOST_NAMES = 60
MOST_ON_SMALL = 24
SCORE_NAMES = {
    "trustworthiness": "trustworthiness",
    "neighbour_recall": "neighbour recall",
    "map_knn_accuracy": "kNN accuracy on the map",
    "features_knn_accuracy": "of features",
    "latents_knn_accuracy": "of latents",
    "features_knn_accuracy_by_class": "mean over classes of features",
    "latents_knn_accuracy_by_class": "of latents",
}


def latent_map(
    coordinates: np.ndarray,
    labels: np.ndarray | None = None,
    class_names: Sequence[str] = (),
    title: str = "Latents in two dimensions",
    scores: Mapping[str, float] | None = None,
    palette: str = DEFAULT_PALETTE,
) -> Figure:
    """Each image as a dot where the map puts its latent, coloured by class, with the class names on the clusters.

    Args:
        coordinates: float (N, 2).
        labels: int (N,), or None: then one colour and no legend.
        class_names: name of each label.
        title: the line above the map.
        scores: names and values printed below it, such as `trustworthiness` and `neighbour_recall`.
        palette: a name of `PALETTES`.

    Raises:
        UsageError: the shapes don't fit each other.
    """
    figure, axes = _draw_points(coordinates, labels, class_names, title, scores or {}, 0.85, palette)
    if labels is not None and class_names:
        _names_on_clusters(figure, axes, np.asarray(coordinates), np.asarray(labels), class_names)
    return figure


def small_map(
    coordinates: np.ndarray,
    labels: np.ndarray | None = None,
    class_names: Sequence[str] = (),
    side: int = 440,
    palette: str = DEFAULT_PALETTE,
) -> Figure:
    """One map among several: no title, no legend, the names of the classes on their clusters where there are few.

    Args:
        coordinates: float (N, 2).
        labels: int (N,), or None.
        class_names: name of each label.
        side: of the square picture, in pixels.
        palette: a name of `PALETTES`.

    Raises:
        UsageError: the shapes don't fit each other.
    """
    points = _checked(coordinates, labels)
    figure = new_figure(side, side)
    axes = pixel_axes(figure, 8, 8, side - 16, side - 16)
    _scatter(axes, points, labels, class_names, float(np.clip(9000 / len(points), 1.2, 22)), 0.85, palette)
    _frame(axes, points)
    if labels is not None and 0 < len(class_names) <= MOST_ON_SMALL:
        _names_on_clusters(figure, axes, points, np.asarray(labels), class_names)
    return figure


def probe_map(
    coordinates: np.ndarray,
    labels: np.ndarray | None,
    class_names: Sequence[str],
    probe_coordinates: np.ndarray,
    probe_names: Sequence[str],
    distance_ratios: Sequence[float] | np.ndarray | None = None,
    annotations: Sequence[str] | None = None,
    title: str = "Latents in two dimensions, with the probe in black",
    scores: Mapping[str, float] | None = None,
    palette: str = DEFAULT_PALETTE,
) -> Figure:
    """The map with the probe's latents as black dots, each annotated with how far it lies from the data.

    Args:
        coordinates: float (N, 2).
        labels: int (N,), or None.
        class_names: name of each label.
        probe_coordinates: where the map places the probe's latents, float (K, 2).
        probe_names: K of them.
        distance_ratios: how far each probe latent is from the nearest data latent, in latent space, as a multiple of
            what is usual between data latents, (K,).
        annotations: K texts, in place of "name: ratio ×".
        title: the line above the map.
        scores: names and values printed below it.
        palette: a name of `PALETTES`.

    Raises:
        UsageError: the shapes don't fit each other.
    """
    probes = np.asarray(probe_coordinates, dtype=np.float64)
    if probes.shape != (len(probe_names), 2):
        raise UsageError(
            f"probe_coordinates: got shape {probes.shape}; ({len(probe_names)}, 2) is needed, one row a name"
        )
    texts = _annotations(probe_names, distance_ratios, annotations)
    figure, axes = _draw_points(coordinates, labels, class_names, title, scores or {}, 0.55, palette, probes)
    axes.scatter(probes[:, 0], probes[:, 1], s=34, c="black", edgecolors="white", linewidths=0.8, zorder=5)
    _annotate(figure, axes, probes, texts)
    return figure


def _annotations(names: Sequence[str], ratios: object, annotations: Sequence[str] | None) -> list[str]:
    texts = list(names) if annotations is None else list(annotations)
    if annotations is None and ratios is not None:
        values = np.asarray(ratios, dtype=np.float64).reshape(-1)
        if len(values) != len(names):
            raise UsageError(f"distance_ratios: got {len(values)}; {len(names)} are needed, one a name")
        texts = [f"{shorten(name, 18)}: {value:.1f}×" for name, value in zip(names, values, strict=True)]
    if len(texts) != len(names):
        raise UsageError(f"annotations: got {len(texts)}; {len(names)} are needed, one a name")
    return [printable(shorten(text, 34)) for text in texts]


def _draw_points(
    coordinates: np.ndarray,
    labels: np.ndarray | None,
    class_names: Sequence[str],
    title: str,
    scores: Mapping[str, float],
    alpha: float,
    palette: str,
    more: np.ndarray | None = None,
) -> tuple[Figure, Axes]:
    """Title, dots, scores and legend, one below the other."""
    points = _checked(coordinates, labels)
    room = WIDTH - 2 * SIDE
    title = fit(title, room, TITLE, 3)
    parts = [f"{SCORE_NAMES.get(name, name)} {value:.3f}" for name, value in scores.items()]
    told = fit(" · ".join([*parts, f"{len(points):,} images"]), room, TEXT, 3)
    legend, columns = _legend_of(class_names if labels is not None else (), room)
    top, bottom = 28 + 26 * (title.count("\n") + 1), 24 + 24 * (told.count("\n") + 1)
    rows = -(-len(legend) // columns)
    figure = new_figure(WIDTH, top + HEIGHT + bottom + (LEGEND_ROW * rows + 14 if rows else 0))
    axes = pixel_axes(figure, SIDE, top, room, HEIGHT)
    _scatter(axes, points, labels, class_names, float(np.clip(22000 / len(points), 1.6, 36)), alpha, palette)
    _frame(axes, points if more is None else np.concatenate([points, more]))
    letter(figure, SIDE, 18, title, TITLE)
    letter(figure, SIDE, top + HEIGHT + 12, told, TEXT, color=MUTED)
    if legend:
        _legend(figure, legend, _palette(class_names, palette), columns, top + HEIGHT + bottom)
    return figure, axes


def _checked(coordinates: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    points = np.asarray(coordinates, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise UsageError(f"coordinates: got shape {points.shape}; (N, 2) with N at least 1 is needed")
    if labels is not None and np.shape(labels) != (len(points),):
        raise UsageError(f"labels: got shape {np.shape(labels)}; ({len(points)},) is needed, one an image")
    return points


def _palette(class_names: Sequence[str], palette: str) -> np.ndarray:
    """A colour for each class, and grey for what is of none."""
    return np.array([*class_colours(len(class_names), palette), NO_CLASS], dtype=object)


def _scatter(
    axes: Axes,
    points: np.ndarray,
    labels: np.ndarray | None,
    class_names: Sequence[str],
    size: float,
    alpha: float,
    palette: str,
) -> None:
    """The dots, in a random order, or else the last class would lie on top everywhere."""
    colours = np.full(len(points), NO_LABELS, dtype=object)
    if labels is not None and len(class_names):
        known = (np.asarray(labels) >= 0) & (np.asarray(labels) < len(class_names))
        colours = _palette(class_names, palette)[np.where(known, labels, len(class_names))]
    order = np.random.default_rng(0).permutation(len(points))
    axes.scatter(
        points[order, 0], points[order, 1], s=size, c=list(colours[order]), alpha=alpha, linewidths=0, zorder=2
    )


def _frame(axes: Axes, points: np.ndarray) -> None:
    """No numbers on the axes (a map's units mean nothing), one scale for both, all points inside."""
    finite = points[np.isfinite(points).all(axis=1)]
    low, high = (finite.min(axis=0), finite.max(axis=0)) if len(finite) else (np.zeros(2), np.ones(2))
    margin = 0.035 * max(float((high - low).max()), 1e-6)
    box = axes.get_window_extent()
    scale = max((high[0] - low[0] + 2 * margin) / box.width, (high[1] - low[1] + 2 * margin) / box.height)
    middle = (low + high) / 2
    axes.set_xlim(middle[0] - scale * box.width / 2, middle[0] + scale * box.width / 2)
    axes.set_ylim(middle[1] - scale * box.height / 2, middle[1] + scale * box.height / 2)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#d4d9df")


def _legend_of(class_names: Sequence[str], room: float) -> tuple[list[str], int]:
    """The names as the legend shows them, and in how many columns they fit."""
    shown = list(class_names[:MOST_IN_LEGEND])
    texts = [fit(name, room / 3 - 40, TEXT) for name in shown]
    if len(class_names) > len(shown):
        texts[-1] = f"and {len(class_names) - len(shown) + 1:,} more"
    widest = max((width_of(text, TEXT) for text in texts), default=0.0)
    return texts, max(1, min(len(texts), int(room // (widest + 40))))


def _legend(figure: Figure, texts: Sequence[str], colours: np.ndarray, columns: int, top: float) -> None:
    """Dots and names in columns below the map, read row by row."""
    axes = pixel_axes(figure, SIDE, top, WIDTH - 2 * SIDE, LEGEND_ROW * -(-len(texts) // columns))
    axes.set_axis_off()
    box = axes.get_window_extent()
    axes.set_xlim(0, box.width)
    axes.set_ylim(box.height, 0)
    across = (WIDTH - 2 * SIDE) / columns
    for i, text in enumerate(texts):
        x, y = i % columns * across, (i // columns + 0.5) * LEGEND_ROW
        axes.scatter([x + 8], [y], s=60, c=[colours[i]], linewidths=0)
        axes.text(x + 22, y, text, fontproperties=font(TEXT), color=INK, va="center_baseline", parse_math=False)


def _names_on_clusters(
    figure: Figure, axes: Axes, points: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> None:
    counts = np.bincount(labels[(labels >= 0) & (labels < len(class_names))], minlength=len(class_names))
    present = [int(k) for k in np.argsort(-counts, kind="stable")[:MOST_NAMES] if counts[k]]
    homes = np.array([_densest(points[labels == k]) for k in present])
    size = 15 if len(present) <= 12 else 12 if len(present) <= 30 else 9
    halo = [withStroke(linewidth=3.2, foreground="white")]
    texts = [
        axes.text(
            float(home[0]),
            float(home[1]),
            printable(shorten(class_names[k], 18)),
            fontproperties=font(size, "bold"),
            color=INK,
            ha="center",
            va="center",
            parse_math=False,
            path_effects=halo,
            zorder=6,
        )
        for k, home in zip(present, homes, strict=True)
    ]
    boxes = [text.get_window_extent(renderer_of(figure)) for text in texts]
    sizes = np.array([[box.width, box.height] for box in boxes])
    anchors = axes.transData.transform(homes)
    room = axes.get_window_extent().padded(-3).get_points().ravel()
    centres = place_boxes(anchors, sizes, room, np.empty((0, 2)), 0)
    for text, place in zip(texts, axes.transData.inverted().transform(centres), strict=True):
        text.set_position((float(place[0]), float(place[1])))


def _densest(points: np.ndarray) -> np.ndarray:
    """The point with most of its class around it: a mean may fall between two clusters of one class."""
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return np.zeros(2)
    some = points[np.linspace(0, len(points) - 1, min(len(points), 600)).astype(int)]
    squared = ((some[:, None] - some[None]) ** 2).sum(axis=2)
    width = 0.02 * squared.max()
    density = np.exp(-squared / max(width, 1e-12)).sum(axis=1)
    densest: np.ndarray = some[density.argmax()]
    return densest


def _annotate(figure: Figure, axes: Axes, probes: np.ndarray, texts: Sequence[str]) -> None:
    """Write each text beside its dot, with a thin line to it, so that no two cover each other."""
    size = TEXT if len(texts) <= 20 else 8
    style = {"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": "#c3c9d0", "linewidth": 0.6}
    notes = [
        axes.text(
            float(x),
            float(y),
            text,
            fontproperties=font(size),
            color="black",
            ha="center",
            va="center",
            parse_math=False,
            bbox=style,
            zorder=6,
        )
        for text, (x, y) in zip(texts, probes, strict=True)
    ]
    renderer = renderer_of(figure)
    sizes = np.array([[(box := note.get_window_extent(renderer)).width + 8, box.height + 8] for note in notes])
    anchors = axes.transData.transform(probes)
    room = axes.get_window_extent().padded(-4).get_points().ravel()
    centres = axes.transData.inverted().transform(place_boxes(anchors, sizes, room, anchors, 9))
    for note, dot, centre in zip(notes, probes, centres, strict=True):
        note.set_position((float(centre[0]), float(centre[1])))
        # The line ends in the middle of its box, which lies over it.
        axes.plot([dot[0], centre[0]], [dot[1], centre[1]], color="black", linewidth=0.7, zorder=4)


CLUSTER_TITLE = "Latents in two dimensions, coloured by k-means cluster as there are no labels"


def _map_of_run(run: "Run", images: "Dataset", map: str, palette: str | None) -> Figure:
    shown = run.map(map)
    labels, names, title = _colours(run)
    if isinstance(shown, FeaturesMap):
        title = title.replace("Latents", f"Features of {shown.encoder}")
    else:
        title = f"{title} ({map_kind(map).title})"
    return latent_map(
        shown.coordinates, labels, names, title, _values(run.map_scores(map)), chosen_palette(run, palette)
    )


def chosen_palette(run: "Run", palette: str | None) -> str:
    """The palette that is asked for, or else the one that the run was started with."""
    return palette or run.record.get("palette", DEFAULT_PALETTE)


def _probe_map_of_run(run: "Run", images: "Dataset", map: str, refit: bool, palette: str | None) -> Figure:
    from latens.metrics.map import score_map

    probe = probe_arrays(run)
    if refit:
        points, placed = _refit(run, probe, map)
        scores = score_map(run.of_part("latents", run.mapped_part), points, run.labels_of(run.mapped_part))
    else:
        shown = run.map(map)
        points, scores = shown.coordinates, run.map_scores(map)
        placed = shown.place(probe["latents"])  # the probe was placed on the map of its time
    labels, names, _ = _colours(run)
    found = probe["names"].tolist()
    return probe_map(
        points,
        labels,
        names,
        placed,
        found,
        probe["ratios"],
        scores=_values(scores),
        palette=chosen_palette(run, palette),
    )


def _values(scores: "Scores") -> dict[str, float]:
    """The scores that are printed on every map; of a map of features with those of the latents beside."""
    found = {}
    for score in scores.scores:
        found[score.name] = score.value
        if score.name.startswith("features_") and score.baseline is not None:
            found[f"latents_{score.name.removeprefix('features_')}"] = score.baseline
    return found


def _colours(run: "Run") -> tuple[np.ndarray | None, tuple[str, ...], str]:
    """The values that colour the map: labels or, without labels, k-means clusters."""
    labels = run.labels_of(run.mapped_part)
    if labels is not None:
        return labels, run.class_names, "Latents in two dimensions"
    probe = probe_arrays(run)
    if "clusters" not in probe:  # of a run with labels, which are no longer there
        raise RunDamaged(
            f"{run.path / 'latents.npz'}: its labels are missing, and the run has no clusters in their place"
        )
    return probe["clusters"], tuple(probe["names"].tolist()), CLUSTER_TITLE


def _refit(run: "Run", probe: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The data's points and the probe's, on the t-SNE that was fitted with both."""
    if name != "tsne":
        raise UsageError(
            f"the map that is fitted again with the probe is a t-SNE, not {name}; leave out one of the two"
        )
    if "refit_coordinates" not in probe:
        raise RunError(
            f"{run.path}: the map was not fitted again with the probe; run `latens map {quoted(run.path)} --refit` first"
        )
    return probe["refit_points"], probe["refit_coordinates"]


def _words_of_map(story: "Story", variant: str) -> Words:
    coloured = ", coloured by class" if story.data.class_names else ""
    if variant == FEATURES:
        return _words_of_features(story)
    known = variant == GIVEN or variant in MAPS
    how = f" Made by {map_kind(variant).meaning if known else variant}." if variant else ""
    trust = story.score("trustworthiness")
    alt = f"Scatter plot of the {story.mapped} latents in two dimensions{coloured}.{how}"
    if trust is not None and variant in ("", "tsne"):
        alt += f" Trustworthiness {number(trust.value)}."
    return alt, (
        f"Each dot is an image of the {story.mapped} part, placed where the map puts its latent{coloured}.{how}"
        " Dots close together are images that the encoder finds alike. The numbers below the map say how far its"
        " neighbourhoods can be trusted. The axes have no meaning, and neither has the empty space between clusters of a t-SNE."
    )


def _words_of_features(story: "Story") -> Words:
    coloured = ", coloured by class" if story.data.class_names else ""
    return (
        f"Scatter plot of the {story.mapped} images in two dimensions by the features of a given encoder{coloured}.",
        f"The same images by the features that a given encoder sees in them{coloured}: images close together are alike to that"
        " encoder, not to this model. Below it stands how many test images have the class of most of their five nearest train"
        " images, among the features and among the latents.",
    )


def _words_of_probe_map(story: "Story", variant: str) -> Words:
    return (
        f"The map of the {story.mapped} latents with one black dot per {kind_of_probe(story)} for the probe, each with its"
        " distance from the data.",
        "The map with the probe's latents in black. The number beside each is its distance to the nearest latent of the data,"
        " measured in the full latent space, as a multiple of the usual distance between neighbours. A dot can lie inside"
        " its cluster on the map and far from all data in latent space: two dimensions cannot show it.",
    )


def _both_maps(run: "Run") -> Mapping[str, Mapping[str, Any]]:
    kept = [FEATURES] if f"maps/{FEATURES}.npz" in run.record["files"] else []
    return {name: {"map": name} for name in ("tsne", "pca", *kept)}


PALETTE = Option("palette", None, "colours of the classes (default: the run's)", str, tuple(PALETTES))
WHICH_MAP = Option("map", "tsne", "which map", str, (*MAPS, GIVEN, FEATURES))
MAP = FigureEntry(latent_map, _map_of_run, _words_of_map, "map", options=(WHICH_MAP, PALETTE), variants=_both_maps)
PROBE_MAP = FigureEntry(
    probe_map,
    _probe_map_of_run,
    _words_of_probe_map,
    "probe-map",
    options=(
        WHICH_MAP,
        Option("refit", False, "on the map that was fitted again with the probe's points", bool),
        PALETTE,
    ),
)
