"""What the chapters of templates/report.html show: the story's facts as rows of their tables."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup

from latens.figures import usable_figures
from latens.images.pixels import colour_word
from latens.metrics import Score
from latens.metrics.meanings import meaning_of, title_of
from latens.pages import templates
from latens.report.elements import figure
from latens.story import NetworkFacts, ProbeFacts, Story, TrainingFacts
from latens.text import number, seconds_in_words
from latens.verdict import Known

__all__ = ["CHAPTERS", "chapter", "headline"]

TEMPLATES = Path(__file__).parent / "templates"
MOST_ROWS = 300
SAME = 1.1  # times, under which two figures are about the same
ANSWERS = {"holds": "bad", "partly": "fair", "does not hold": "good", "not measured": "muted"}
FINDINGS = {
    "far-from-all": ("Far from all others", "Oddity"),
    "near-duplicate": ("Near-duplicates", "Share of the usual distance"),
    "doubtful-label": ("Doubtful labels", "Doubt"),
}
CHAPTERS = (
    ("data", "Data"),
    ("network", "Network"),
    ("training", "Training"),
    ("reconstructions", "Reconstructions"),
    ("map", "A map of latent space"),
    ("probe", "Can we use the autoencoder as a generative model?"),
    ("verdict", "The verdict: can it generate, and if not, why?"),
    ("review", "Images to look at"),
    ("more", "More figures"),
    ("scores", "Scores"),
    ("repeat", "How to repeat it"),
)
"""The name of each chapter, which is its macro in the template, and its heading."""
PLACES = ("data", "network", "training", "reconstructions", "map", "probe", "probe-map", "between", "review")
"""The chapters, and parts of chapters, that a `FigureEntry` can name; a figure of another goes into "More figures"."""


def chapter(name: str, story: Story) -> Markup:
    """One chapter of a report as HTML.

    Args:
        name: of `CHAPTERS`.
        story: what to tell.
    """
    environment = templates(TEMPLATES)
    shown = {
        "story": story,
        "figures": partial(_figures, story),
        "answers": ANSWERS,
        "cards": _cards,
        "colour_word": colour_word,
        "counts_of": _counts_of,
        "distance_of": _distance_of,
        "ending_of": _ending_of,
        "facts_of": _facts_of,
        "findings_of": _findings_of,
        "groups_of": _groups_of,
        "history_of": _history_of,
        "lists_of": _lists_of,
        "lowered": _lowered,
        "numbered": _numbered,
        "origin_of": _origin_of,
        "percent_off": _percent_off,
        "samplers_of": _samplers_of,
        "stages_of": _stages_of,
    }
    module: Any = environment.get_template("report.html").make_module(shown)
    text: Markup = getattr(module, name)()
    return Markup("") if not text.strip() else text


def headline(story: Story) -> Markup:
    """The numbers at the top, which a reader wants to know first."""
    return chapter("headline", story)


def _cards(story: Story) -> Iterator[tuple[str, str, str]]:
    yield from _card(story, "mse", "Test error", "mean squared, pixels from 0 to 1")
    mse = story.score("mse")
    if mse is not None and mse.baseline is not None and mse.value > 0:
        times = mse.baseline / mse.value
        word = "lower" if times >= 1 else "higher"
        yield "Against its baseline", f"{max(times, 1 / times):.1f} ×", f"{word} than {mse.baseline_name}"
    yield from _card(story, "knn_accuracy", "Class by nearest neighbours", "share of test images, by latents")
    yield from _card(story, "trustworthiness", "Map trustworthiness", "1 is best")
    if story.training is not None and story.training.seconds is not None:
        yield "Training", seconds_in_words(story.training.seconds), story.training.device
    if story.network.parameters is not None:
        latents = f"weights, {story.network.latent_dim} latent numbers"
        yield "Network", number(story.network.parameters), latents


def _card(story: Story, name: str, title: str, note: str) -> Iterator[tuple[str, str, str]]:
    row = story.score(name)
    if row is not None:
        beside = f"{row.baseline_name}: {number(row.baseline)}" if row.baseline is not None else note
        yield title, f"{number(row.value)} {row.unit}".strip(), beside


def _counts_of(data: Any) -> list[tuple[str, str, str]]:
    return [(name, number(train), number(test)) for name, (train, test) in data.class_counts.items()]


def _stages_of(network: NetworkFacts) -> list[tuple[str, str]]:
    return [(name, " × ".join(map(str, shape))) for name, shape in network.shapes]


def _facts_of(training: TrainingFacts) -> Iterator[tuple[str, object]]:
    yield "Recipe", training.recipe
    yield "Epochs", number(training.epochs)
    yield "Batch", f"{training.batch_size} images"
    yield from training.settings.items()
    yield "Seed", training.seed
    yield "Device", training.device
    yield "Threads", training.threads
    if training.seconds is not None:
        yield "Time", seconds_in_words(training.seconds)
    if training.images_per_second is not None:
        yield "Speed", f"{training.images_per_second:,.0f} images/s"


def _history_of(training: TrainingFacts) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
    """Caption, headings and rows; of a long history every so many epochs, the last among them."""
    history = training.history
    every = -(-len(history) // MOST_ROWS)
    shown = [row for i, row in enumerate(history) if (len(history) - 1 - i) % every == 0]
    rows = [
        (str(row["epoch"]), *(number(row.get(name)) for name in ("train_loss", "test_mse", "learning_rate")))
        for row in shown
    ]
    caption = "Losses by epoch" if every == 1 else f"Losses, every {every} epochs"
    return caption, ("Epoch", "Train loss", "Test MSE", "Rate"), rows


def _lowered(story: Story) -> str:
    """The loss that training minimised; only the error if the loss has no other term."""
    history = story.training.history if story.training is not None else ()
    last = history[-1] if history else {}
    loss, error = last.get("train_loss"), last.get("train_mse")
    if loss is None or error is None or math.isclose(loss, error, rel_tol=1e-4):  # the first runs knew no other loss
        return "the mean squared error between an image and its reconstruction"
    return f"the loss of the model {story.network.model}, of which the error of the reconstruction is one part"


def _percent_off(mse: Score) -> str:
    return number(round(100 * math.sqrt(max(mse.value, 0)), 1))


def _numbered(rows: Iterable[tuple[str, float]]) -> list[tuple[str, str]]:
    return [(name, number(value)) for name, value in rows]


def _distance_of(probe: ProbeFacts) -> str:
    """How many of the probe's latents lie away from the data, and which is the farthest."""
    known = [(r, name) for r, name in zip(probe.distance_ratios, probe.names, strict=False) if math.isfinite(r)]
    if not known:
        return ""
    beyond = sum(ratio > 1 for ratio, _ in known)
    ratio, name = max(known)
    kind = "cluster " if probe.clusters and not name.startswith("cluster") else "" if probe.clusters else "class "
    return (
        f"How far are they from the data? 1 stands for {probe.reference}. Of these {len(known)} latents {beyond}"
        f" {'lies' if beyond == 1 else 'lie'} beyond that; the farthest is that of {kind}{name}, at {ratio:.2f}."
    )


def _findings_of(story: Story) -> dict[str, int]:
    """How many there are of each kind."""
    far, pairs, labels = (len(story.findings.get(kind, ())) for kind in FINDINGS)
    across = sum(found.across_parts for found in story.findings.get("near-duplicate", ()))
    return {"far": far, "pairs": pairs, "labels": labels, "across": across}


def _lists_of(story: Story) -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
    """The title, the name of the score and the rows of each kind of finding that there is."""
    for kind, (title, score) in FINDINGS.items():
        rows = [(one.image, one.label, number(one.score)) for one in story.findings.get(kind, ())]
        if rows:
            yield title, score, rows


@dataclass
class _Group:
    """The scores of one group, as the report shows them."""

    title: str
    rows: list[Sequence[str]] = field(default_factory=list)
    protocols: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def _groups_of(story: Story) -> list[_Group]:
    groups: dict[str, _Group] = {}
    shown = [row for row in story.scores if not (row.group == "generation" and row.subject)]
    for name, found in groupby(shown, key=lambda row: row.group):
        rows = list(found)
        group = groups.setdefault(name, _Group(title_of(name)))
        group.rows += [(_named(row), _valued(row), _macro("beside")(row)) for row in rows]
        protocols: dict[str, list[str]] = {}
        for row in rows:
            protocols.setdefault(str(row.protocol), []).append(row.name)
        group.protocols += [(", ".join(names), protocol) for protocol, names in protocols.items()]
    for note in story.score_notes:
        groups.setdefault(note.group, _Group(title_of(note.group)))
    for name, group in groups.items():
        group.notes = _notes_of(story, name)
    return list(groups.values())


def _notes_of(story: Story, group: str) -> list[str]:
    """Notes on scores left out of a group, each once, with the subjects that it is about."""
    subjects: dict[str, list[str]] = {}
    for note in story.score_notes:
        if note.group == group:
            subjects.setdefault(note.text, []).append(note.subject)
    named = ((text, ", ".join(filter(None, about))) for text, about in subjects.items())
    return [f"{about}: {text}" if about else text for text, about in named]


def _samplers_of(scores: Iterable[Score]) -> tuple[list[str], list[list[str]]]:
    """The names of the samplers, and what each gets, one score a row, with what real images get; empty where none was scored."""
    found: dict[str, dict[str, Score]] = {}
    for score in scores:
        if score.group == "generation" and score.subject:
            found.setdefault(score.subject, {})[score.name] = score
    rows = []
    for name in dict.fromkeys(name for one in found.values() for name in one):
        first = next(one[name] for one in found.values() if name in one)
        cells = [_valued(one[name], unit=False) if name in one else "–" for one in found.values()]
        rows.append([_named(first), *cells, number(first.baseline)])
    return list(found), rows


def _ending_of(story: Story) -> tuple[list[str], list[list[str]], str]:
    """What a model with a prior gains over a plain autoencoder, and what that costs: the heading and rows of a table, and words.

    No rows without a prior, no words without a plain autoencoder.
    """
    if story.prior is None:
        return [], [], ""
    ours, plain = Known(story.scores), Known(story.prior.plain_scores)
    name = "FD" if ours.distance == "frechet" else "KID"
    asked = [
        (f"{name} of the probe: class means plus noise", ("generation", ours.distance, "class-means")),
        (f"{name} of samples from its own prior", ("generation", ours.distance, "prior")),
        (f"{name} of samples from its learned prior", ("generation", ours.distance, story.prior.learned)),
        (f"{name} of a Gaussian a class", ("generation", ours.distance, "gaussian")),
        ("Half-way images between classes that look real", ("continuity", "path_realism_between", "")),
        ("Class by nearest neighbours", ("representation", "knn_accuracy", "")),
        (f"{name} of reconstructions", ("generation", f"reconstruction_{'fd' if name == 'FD' else 'kid'}", "")),
        ("Test error of the reconstruction", ("reconstruction", "mse", "")),
    ]
    columns = [ours, plain] if story.prior.plain else [ours]
    rows = [
        [text, *(number(known.value(*what)) for known in columns)]
        for text, what in asked
        if ours.value(*what) is not None
    ]
    best = [_best_without_data(known) for known in columns]
    if best[0] is not None:
        cells = [f"{number(one[1])} ({one[0]})" if one else "–" for one in best]
        place = sum(row[0].startswith((f"{name} of the probe", f"{name} of samples")) for row in rows)
        rows.insert(place, [f"{name} of the best sampler that keeps no train image", *cells])
    if ours.latent_dim is not None:
        rows.append(["Numbers a latent has", *(number(known.latent_dim) for known in columns)])
    heading = ["", "this run", *([story.prior.plain] if story.prior.plain else [])]
    return heading, rows, _gains_and_costs(ours, plain, name) if story.prior.plain else ""


def _best_without_data(known: Known) -> tuple[str, float] | None:
    best = known.best()
    return None if best is None or known.keeps_data(best[0]) else best


def _gains_and_costs(ours: Known, plain: Known, name: str) -> str:
    """What a model gains over a plain autoencoder, and what that costs, in words."""
    best = [_best_without_data(known) for known in (ours, plain)]
    figures = {
        f"the {name} of this run's probe": [
            known.value("generation", ours.distance, "class-means") for known in (ours, plain)
        ],
        f"the {name} of its best sampler that keeps no train image": [one and one[1] for one in best],
        "the test error of its reconstructions": [known.value("reconstruction", "mse") for known in (ours, plain)],
    }
    told = [f"{what} is {_compared(ours, plain)}" for what, (ours, plain) in figures.items() if ours and plain]
    return f"Against that run, {'; '.join(told)}." if told else ""


def _compared(value: float, other: float) -> str:
    """How many times one is the other, both above 0.

    >>> _compared(0.5, 6.0), _compared(2.0, 1.9)
    ('12 times smaller (0.5 against 6)', 'about the same (2 against 1.9)')
    """
    times = max(value, other) / min(value, other)
    word = "smaller" if value < other else "larger"
    how = "about the same" if times < SAME else f"{times:.{0 if times >= 10 else 1}f} times {word}"
    return f"{how} ({number(value)} against {number(other)})"


def _named(score: Score) -> Markup:
    named: Markup = _macro("named")(score.name, meaning_of(score))
    return named


def _valued(score: Score, unit: bool = True) -> Markup:
    text = f"{number(score.value)} {score.unit if unit else ''}".strip()
    valued: Markup = _macro("valued")(text, score.low, score.high)
    return valued


def _macro(name: str) -> Any:
    module: Any = templates(TEMPLATES).get_template("report.html").module
    return getattr(module, name)


def _origin_of(story: Story) -> list[tuple[str, str]]:
    return [
        ("Data", story.data.source),
        ("Fingerprint", story.data.fingerprint),
        ("Run", story.run_path),
        ("Made", story.created),
        *story.versions.items(),
    ]


def _figures(story: Story, place: str) -> Markup:
    """The figures of a chapter in the order of the table, each figure's variants beside each other."""
    entries, shown = usable_figures(), Markup("")
    for name, entry in entries.items():
        if (entry.chapter if entry.chapter in PLACES else "") == place:
            for file in sorted((file for file in story.figures if _name_of(file, entries) == name), reverse=True):
                shown += figure(
                    story.figures[file],
                    file,
                    *entry.words(story, file.removeprefix(name).strip("-")),
                    entry.small_letters,
                )
    return shown


def _name_of(file: str, names: Mapping[str, object]) -> str:
    """The figure that a file shows: map-tsne shows the map, loss-all is a figure of its own."""
    return max((name for name in names if file == name or file.startswith(f"{name}-")), key=len, default="")
