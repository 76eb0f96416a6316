"""The chapters of a report, in the order of the notebook. Each takes the story and gives HTML."""

import math
from collections.abc import Callable, Iterable
from itertools import groupby

from latens.figures import usable_figures
from latens.images.pixels import colour_word
from latens.metrics import Score
from latens.metrics.meanings import meaning_of, title_of
from latens.report.elements import details, esc, facts, figure, paragraphs, table
from latens.report.judgement import verdict_chapter
from latens.report.triage import explained, lists
from latens.story import ProbeFacts, Story
from latens.text import number, seconds_in_words

__all__ = ["CHAPTERS", "headline"]

MOST_ROWS = 300


def headline(story: Story) -> str:
    """The numbers at the top: what a reader wants to know first."""
    cards = [_card(story, "mse", "Test error", "mean squared, pixels from 0 to 1")]
    mse = story.score("mse")
    if mse is not None and mse.baseline is not None and mse.value > 0:
        times = mse.baseline / mse.value
        word = "lower" if times >= 1 else "higher"
        cards.append(("Against its baseline", f"{max(times, 1 / times):.1f} ×", f"{word} than {mse.baseline_name}"))
    cards.append(_card(story, "knn_accuracy", "Nearest neighbours tell the class", "of test pictures, by latents"))
    cards.append(_card(story, "trustworthiness", "Map trustworthiness", "1 is best"))
    if story.training is not None and story.training.seconds is not None:
        cards.append(("Training", seconds_in_words(story.training.seconds), story.training.device))
    if story.network.parameters is not None:
        cards.append(
            ("Network", number(story.network.parameters), f"weights, {story.network.latent_dim} latent numbers")
        )
    items = "".join(
        f"<div><dt>{esc(name)}</dt><dd><strong>{esc(value)}</strong> <span>{esc(note)}</span></dd></div>\n"
        for name, value, note in filter(None, cards)
    )
    notes = "".join(f'<p class="note">{esc(note)}</p>\n' for note in story.notes)
    if story.verdict is not None and story.verdict.best_sampler:
        notes = f'<p class="verdict"><a href="#verdict">Verdict</a>: {esc(story.verdict.headline)}</p>\n' + notes
    return f'<dl class="headline">\n{items}</dl>\n{notes}'


def _card(story: Story, name: str, title: str, note: str) -> tuple[str, str, str] | None:
    row = story.score(name)
    if row is None:
        return None
    beside = f"{row.baseline_name}: {number(row.baseline)}" if row.baseline is not None else note
    return title, f"{number(row.value)} {row.unit}".strip(), beside


def _data(story: Story) -> str:
    data = story.data
    channels, height, width = data.shape
    kind = colour_word(channels)
    text = (
        f"{data.name}: {number(data.train)} pictures to train on and {number(data.test)} to test with, {kind}, {width} × "
        f"{height} pixels, so that one picture is {number(data.num_values)} numbers. The test part is never trained on."
    )
    labels = (
        f"They come in {len(data.class_names)} classes. Training does not use the labels; they only colour the map"
        " and judge it afterwards."
        if data.class_names
        else "They have no labels: scores that need classes are left out."
    )
    notes = "".join(f'<p class="note">{esc(note)}</p>\n' for note in data.notes)
    rows = [(esc(name), number(train), number(test)) for name, (train, test) in data.class_counts.items()]
    counts = table("Pictures of each class", ("Class", "Train", "Test"), rows) if rows else ""
    counts = details(f"Pictures of each of the {len(rows)} classes", counts) if rows else ""
    return paragraphs(text, labels) + notes + _figures(story, "data") + counts


def _network(story: Story) -> str:
    network, data = story.network, story.data
    share = data.num_values / network.latent_dim
    text = (
        f"The encoder turns a picture of {number(data.num_values)} numbers into a latent of {number(network.latent_dim)};"
        " the decoder has to rebuild the picture from the latent alone. Only what the network finds worth keeping gets"
        " through the narrow middle"
        + (f": for each number of the latent there are about {share:.0f} in the picture." if share > 1.5 else ".")
    )
    rows = [(esc(name), esc(" × ".join(map(str, shape)))) for name, shape in network.shapes]
    listing = table("The stages of the network", ("Stage", "Shape"), rows) if rows else ""
    named = [("Model", network.model), ("Network", network.network), ("Latent dimension", number(network.latent_dim))]
    return (
        paragraphs(text)
        + facts([*named, ("Weights", number(network.parameters))])
        + _figures(story, "network")
        + (details("The stages as a table", listing) if rows else "")
    )


def _training(story: Story) -> str:
    training = story.training
    if training is None:
        came = (
            "Its weights were imported."
            if story.network.parameters
            else "It was adopted as two functions, encode and decode."
        )
        return paragraphs(f"This model was not trained by latens. {came}")
    text = (
        f"The weights were adjusted batch by batch to lower {_lowered(story)}. Training went over all"
        f" {number(story.data.train)} pictures of the train part {number(training.epochs)} times."
    )
    first = [
        ("Recipe", training.recipe),
        ("Epochs", number(training.epochs)),
        ("Batch", f"{training.batch_size} pictures"),
    ]
    last: list[tuple[str, object]] = [
        ("Seed", training.seed),
        ("Device", training.device),
        ("Threads", training.threads),
    ]
    if training.seconds is not None:
        last.append(("Time", seconds_in_words(training.seconds)))
    if training.images_per_second is not None:
        last.append(("Speed", f"{training.images_per_second:,.0f} images/s"))
    return (
        paragraphs(text)
        + facts([*first, *training.settings.items(), *last])
        + _figures(story, "training")
        + _history(story)
    )


def _lowered(story: Story) -> str:
    """What training made small: the error alone where the loss was that."""
    history = story.training.history if story.training is not None else ()
    last = history[-1] if history else {}
    loss, error = last.get("train_loss"), last.get("train_mse")
    plain = "the mean squared error between a picture and its reconstruction"
    if loss is None or error is None or math.isclose(loss, error, rel_tol=1e-4):  # the first runs knew no other loss
        return plain
    return f"the loss of the model {story.network.model}, of which the error of the reconstruction is one part"


def _history(story: Story) -> str:
    history = story.training.history if story.training is not None else ()
    if not history:
        return ""
    every = -(-len(history) // MOST_ROWS)
    shown = [row for i, row in enumerate(history) if (len(history) - 1 - i) % every == 0]
    rows = [
        (
            esc(row["epoch"]),
            number(row.get("train_loss")),
            number(row.get("test_mse")),
            number(row.get("learning_rate")),
        )
        for row in shown
    ]
    caption = "Losses by epoch" if every == 1 else f"Losses, every {every} epochs"
    return details("The numbers, epoch by epoch", table(caption, ("Epoch", "Train loss", "Test MSE", "Rate"), rows))


def _reconstructions(story: Story) -> str:
    mse = story.score("mse")
    text = ""
    if mse is not None:
        percent = number(round(100 * math.sqrt(max(mse.value, 0)), 1))
        text = (
            f"Over the {number(story.data.test)} pictures of the test part the mean squared error is {number(mse.value)}:"
            f" a pixel is off by {percent} % of the way from black to white (root mean square)."
        )
        if mse.baseline is not None:
            text += f" For comparison, {mse.baseline_name}: {number(mse.baseline)}."
    rows = [(esc(name), number(error)) for name, error in story.worst]
    listing = table("Images with the largest error", ("Image", "Squared error"), rows, "names") if rows else ""
    return (
        paragraphs(text)
        + _figures(story, "reconstructions")
        + (details(f"The names of the {len(rows)} worst", listing) if rows else "")
    )


def _review(story: Story) -> str:
    return explained(story) + _figures(story, "review") + lists(story)


def _more(story: Story) -> str:
    return _figures(story, "")


def _map(story: Story) -> str:
    text = (
        f"A latent is a point in a space of {number(story.network.latent_dim)} dimensions, which no one can look at."
        " A map lays these points out on paper and tries to keep neighbours together. No map can keep all of them;"
        " trustworthiness and neighbour recall say how many it kept."
    )
    return paragraphs(text) + _figures(story, "map")


def _probe(story: Story) -> str:
    probe = story.probe
    if probe is None:
        return paragraphs("This run has no probe.") + _between(story)
    kind = "cluster" if probe.clusters else "class"
    text = (
        f"To find out, take the mean of all {story.mapped} latents of a {kind}, add a little noise"
        f" (normal, standard deviation {number(probe.noise_std)}), and decode. If latent space had no gaps, each result"
        f" would be a good picture of its {kind}."
    )
    stand_in = (
        "These pictures have no labels, so k-means clusters of the latents stand in for classes." * probe.clusters
    )
    return (
        paragraphs(text, stand_in)
        + _figures(story, "probe")
        + paragraphs(_distance(probe))
        + _figures(story, "probe-map")
        + paragraphs(*probe.notes)
        + _between(story)
    )


def _between(story: Story) -> str:
    shown = _figures(story, "between")
    if not shown:
        return ""
    text = (
        "The probe looks at single points. Going from point to point shows what lies between images. The number under a picture"
        " (×) is the distance from its latent to the nearest latent of the data, as a multiple of the median distance between a"
        " latent of the data and its nearest neighbour. Where it is small, the decoder has seen similar latents in training;"
        " where it is large, it has to guess."
    )
    return "<h3>Between the data, and beyond</h3>\n" + paragraphs(text) + shown


def _distance(probe: ProbeFacts) -> str:
    """How many of the probe's latents lie away from the data, and which the farthest."""
    known = [(r, name) for r, name in zip(probe.distance_ratios, probe.names, strict=False) if math.isfinite(r)]
    if not known:
        return ""
    beyond = sum(ratio > 1 for ratio, _ in known)
    ratio, name = max(known)
    kind = "cluster" if probe.clusters and not name.startswith("cluster") else "" if probe.clusters else "class"
    return (
        f"How far are they from the data? 1 stands for {probe.reference}. Of these {len(known)} latents {beyond}"
        f" {'lies' if beyond == 1 else 'lie'} beyond that; the farthest is that of {kind} {name}, at {ratio:.2f}."
    ).replace("  ", " ")


def _scores(story: Story) -> str:
    if not story.scores and not story.score_notes:
        return paragraphs("This run was not scored.")
    parts = [
        paragraphs(
            "Each number stands beside a baseline, because a number alone says little. The protocol tells exactly how"
            " it was measured; numbers of different protocols must not be compared."
        )
    ]
    told = set()
    shown = [row for row in story.scores if not (row.group == "generation" and row.subject)]
    for group, rows in groupby(shown, key=lambda row: row.group):
        told.add(group)
        parts.append(_score_table(title_of(group), list(rows)))
        parts.append(_score_notes(story, group))
    for group in dict.fromkeys(note.group for note in story.score_notes):
        if group not in told:
            parts.append(f"<h3>{esc(title_of(group))}</h3>\n" + _score_notes(story, group))
    return "".join(parts)


def _score_notes(story: Story, group: str) -> str:
    """What was left out of a group: each note once, with the subjects that it is about."""
    subjects: dict[str, list[str]] = {}
    for note in story.score_notes:
        if note.group == group:
            subjects.setdefault(note.text, []).append(note.subject)
    named = ((text, ", ".join(filter(None, about))) for text, about in subjects.items())
    return paragraphs(*(f"{about}: {text}" if about else text for text, about in named))


def _score_table(title: str, rows: list[Score]) -> str:
    cells = [
        (
            f"<code>{esc(row.name)}</code><small>{esc(meaning_of(row))}</small>",
            f"{number(row.value)} {esc(row.unit)}".strip() + _interval(row),
            _baseline(row),
        )
        for row in rows
    ]
    protocols = "".join(
        f"<div><dt>{esc(', '.join(row.name for row in same))}</dt><dd>{esc(protocol)}</dd></div>\n"
        for protocol, same in _by_protocol(rows)
    )
    return (
        f"<h3>{esc(title)}</h3>\n"
        + table(title, ("Score", "This run", "Baseline"), cells, "scores")
        + details("Protocol", f'<dl class="protocols">\n{protocols}</dl>\n')
    )


def _interval(row: Score) -> str:
    return "" if row.low is None or row.high is None else f"<small>{number(row.low)} to {number(row.high)}</small>"


def _by_protocol(rows: Iterable[Score]) -> list[tuple[str, list[Score]]]:
    found: dict[str, list[Score]] = {}
    for row in rows:
        found.setdefault(str(row.protocol), []).append(row)
    return list(found.items())


def _baseline(row: Score) -> str:
    if row.baseline is None:
        return "–"
    verdict = {True: '<span class="good">better</span>', False: '<span class="bad">worse</span>', None: ""}
    return f"{number(row.baseline)} {verdict[row.beats_baseline]}<small>{esc(row.baseline_name)}</small>"


def _repeat(story: Story) -> str:
    python = f'import latens\n\nrun = latens.open_run("{story.run_path}")\nrun.scores'
    return (
        paragraphs("This command makes the run again:")
        + f'<pre tabindex="0"><code>{esc(story.command)}</code></pre>\n'
        + paragraphs(
            "The seed, the data and the versions below decide the result. Another machine or another number of threads adds"
            " up numbers in another order, which changes the last digits."
        )
        + (paragraphs("In Python:") + f'<pre tabindex="0"><code>{esc(python)}</code></pre>\n' if story.run_path else "")
        + facts(
            [
                ("Data", story.data.source),
                ("Fingerprint", story.data.fingerprint),
                ("Run", story.run_path),
                ("Made", story.created),
                *story.versions.items(),
            ]
        )
    )


def _figures(story: Story, chapter: str) -> str:
    """The figures of a chapter in the order of the table, each figure's variants beside each other."""
    entries, shown = usable_figures(), []
    for name, entry in entries.items():
        if (entry.chapter if entry.chapter in PLACES else "") == chapter:
            for file in sorted((file for file in story.figures if _name_of(file, entries) == name), reverse=True):
                shown.append(figure(story.figures[file], file, *entry.words(story, file.removeprefix(name).strip("-"))))
    return "".join(shown)


def _name_of(file: str, names: Iterable[str]) -> str:
    """The figure that a file shows: map-tsne shows the map, loss-all is a figure of its own."""
    return max((name for name in names if file == name or file.startswith(f"{name}-")), key=len, default="")


CHAPTERS: tuple[tuple[str, str, Callable[[Story], str]], ...] = (
    ("data", "Data", _data),
    ("network", "Network", _network),
    ("training", "Training", _training),
    ("reconstructions", "Reconstructions", _reconstructions),
    ("map", "A map of latent space", _map),
    ("probe", "Can we use the autoencoder as a generative model?", _probe),
    ("verdict", "The verdict: can it generate, and if not, why?", verdict_chapter),
    ("review", "Pictures that are worth a look", _review),
    ("more", "More figures", _more),
    ("scores", "Scores", _scores),
    ("repeat", "How to repeat it", _repeat),
)
PLACES = ("data", "network", "training", "reconstructions", "map", "probe", "probe-map", "between", "review")
"""The chapters, and parts of chapters, that a `FigureEntry` can name; a figure of another goes into "More figures"."""
