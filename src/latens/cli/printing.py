"""The text that commands print: the facts of their JSON. rich draws the tables and is loaded only then."""

import io
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from latens.files import atomic_write
from latens.metrics import ScoreTable
from latens.metrics.score import DIRECTIONS
from latens.text import bytes_text, quoted, seconds_in_words
from latens.verdict import Verdict, judge

if TYPE_CHECKING:
    import numpy as np

    from latens.computed.review import NewReview, Review
    from latens.computed.searching import Found
    from latens.detection import Detections
    from latens.metrics import Score, Scores
    from latens.runs import Run
    from latens.training.recipes import Recipe

__all__ = [
    "classes_text",
    "comparison_text",
    "detections_text",
    "doctor_text",
    "new_review_text",
    "review_text",
    "run_answer",
    "run_text",
    "runs_text",
    "scores_text",
    "search_text",
    "summary_text",
    "verdict_text",
    "write_sheet",
]

NARROWEST, PLAIN_WIDTH = 60, 120
MOST_CLASSES = 40
ODDEST = 10  # images that `detect` prints


def run_answer(run: "Run") -> tuple[dict[str, Any], str]:
    """The answer of `run`: JSON; as text the scores, the report's path and two commands to try next."""
    report = run.path / "report.html"
    scores = run.scores if "metrics.json" in run.record["files"] else ScoreTable()
    verdict = judge(scores, quoted(run.path), relu=run.recipe.has_relu_latent)
    facts = {"path": str(run.path), "report": str(report), **run.record, **scores.as_json()}
    facts["verdict"] = verdict.as_json()
    text = [
        scores_text(scores),
        verdict_text(verdict),
        *[f"left out: {what}: {reason}" for what, reason in run.record.get("left_out", {}).items()],
        f"report: {report}" if report.exists() else "report: could not be written",
        "next:",
        f"  latens explore {quoted(run.path)}",
        f"  latens sample {quoted(run.path)} --sampler {verdict.best_sampler or 'mixture'} -o samples.npz",
    ]
    return facts, "\n".join(text)


def verdict_text(verdict: Verdict) -> str:
    """The verdict: an answer to each claim, what limits generation, what would help."""
    lines = ["", f"Verdict: {verdict.headline}", ""]
    for claim in verdict.claims:
        lines += _wrapped(f"{claim.claim} {claim.answer[0].upper()}{claim.answer[1:]}: {claim.sentence}", "  ", "    ")
    lines += ["", *_wrapped(verdict.fault, "", "")]
    if verdict.suggestions:
        lines += ["", "What would help:"]
    for one in verdict.suggestions:
        lines += _wrapped(f"- {one.text} ({one.because})", "  ", "    ")
    return "\n".join([*lines, ""])


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, _width(), initial_indent=first, subsequent_indent=rest, break_long_words=False)


def _width() -> int:
    return max(NARROWEST, min(shutil.get_terminal_size().columns, PLAIN_WIDTH) if sys.stdout.isatty() else PLAIN_WIDTH)


def scores_text(scores: ScoreTable) -> str:
    """The scores as a table with their baselines, and what was left out."""
    rows = []
    group = None
    for score in scores:
        if score.group == "generation" and score.subject:
            continue  # samplers have a table of their own
        if score.group != group:
            group = score.group
            rows.append([group, "", "", ""])
        baseline = "" if score.baseline is None else f"{_number(score.baseline)}  {score.baseline_name}"
        unit = " ".join(filter(None, (_interval(score), score.unit, DIRECTIONS[score.direction][1])))
        rows.append([f"  {score.name}", _number(score.value), unit, baseline])
    lines = [_table(["score", "value", "", "baseline"], rows, right=(1,))]
    lines += _sampler_table(scores)
    subjects: dict[tuple[str, str], list[str]] = {}  # the same note about several samplers stands once
    for note in scores.notes:
        subjects.setdefault((note.group, note.text), []).append(note.subject)
    for (group, text), about in subjects.items():
        lines.append(f"{group} ({', '.join(about)}): {text}" if any(about) else f"{group}: {text}")
    return "\n".join(lines)


def _sampler_table(scores: "Iterable[Score]") -> list[str]:
    """The scores of samples: a column for each sampler, and one for real images."""
    samplers: dict[str, dict[str, Score]] = {}
    for score in scores:
        if score.group == "generation" and score.subject:
            samplers.setdefault(score.subject, {})[score.name] = score
    if not samplers:
        return []
    rows = []
    for name in dict.fromkeys(name for found in samplers.values() for name in found):
        one = next(found[name] for found in samplers.values() if name in found)
        values = [_number(found[name].value) if name in found else "" for found in samplers.values()]
        real = "" if one.baseline is None else _number(one.baseline)
        rows.append([f"  {name}", *values, DIRECTIONS[one.direction][1], real])
    titles = ["samples of", *samplers, "", "real images"]
    return [_table(titles, rows, right=(*range(1, len(samplers) + 1), len(samplers) + 2))]


def comparison_text(
    path: Path,
    tables: Iterable[tuple[str, Sequence[str], Iterable[Sequence[str]], Sequence[int]]],
    sentences: Iterable[str],
) -> str:
    """The answer of `compare`: a table for each data set, the advice, and the files.

    Args:
        path: the comparison's folder.
        tables: title, headings, rows and the columns of numbers, each.
        sentences: the advice.
    """
    lines = []
    for title, headings, rows, right in tables:
        lines += [title, _table(headings, rows, right), ""]
    return "\n".join([*lines, *sentences, f"page: {path / 'compare.html'}", f"table: {path / 'compare.csv'}"])


FIRST_FINDINGS = 5


def review_text(review: "Review", path: str, first: int | None = None) -> str:
    """The first findings of each kind, how many there are, and where all of them are."""
    rows = []
    for kind in review.kinds:
        found = review.of_kind(kind)
        rows.append([f"{kind} ({len(found)})", "", ""])
        for finding in found[: first or FIRST_FINDINGS]:
            rows.append([f"  {finding.image}", finding.labelled, _number(finding.score)])
    table = _table(["image", "label", "score"], rows, right=(2,))
    return f"{table}\n{review.num_images:,} images checked{_seen_by(review.features)}; all findings: {path}"


def classes_text(scores: "Scores") -> str:
    """How well the classes can be told from the neighbours, among given features and among latents."""
    found = {score.name: score for score in scores.scores if score.name.startswith("features_")}
    if not found:
        return "\n".join(f"note: {note}" for note in scores.notes if "neighbours" in note)
    titles = {
        "features_knn_accuracy": "kNN accuracy",
        "features_knn_accuracy_by_class": "kNN accuracy, mean over classes",
    }
    rows = [
        [titles[name], "" if score.baseline is None else f"{score.baseline:.3f}", f"{score.value:.3f}"]
        for name, score in found.items()
    ]
    return _table(["", "latents", "features"], rows, right=(1, 2))


def new_review_text(review: "NewReview", files: Sequence[str], first: int | None = None) -> str:
    """The first new images of each kind of finding, how many there are, and the files that were written."""
    rows = []
    for kind in ("near-duplicate", "odd", "doubtful-label"):
        found = review.rows_of(kind)
        rows.append([f"{kind} ({len(found)})", "", ""])
        for one in (review.images[row] for row in found[: first or FIRST_FINDINGS]):
            if kind == "near-duplicate":
                rows.append(
                    [f"  {one.id}", f"of {one.duplicate_part} {one.duplicate_of}", _number(one.duplicate_distance)]
                )
            elif kind == "odd":
                rows.append([f"  {one.id}", f"p = {one.p_value:.3f}", _number(one.odd_score)])
            else:
                rows.append([f"  {one.id}", f"{one.label} → {one.suggested}", _number(one.doubt)])
    table = _table(["image", "", "score"], rows, right=(2,))
    where = "".join(f"\n{path}" for path in files)
    by = _seen_by(review.features)
    return f"{table}\n{len(review.images):,} new images compared with {review.num_run:,} of the run{by}{where}"


def _seen_by(features: str) -> str:
    return f" by the features of {features}" if features else ""


MOST_QUERIES = 10


def search_text(found: "Found", sheet: str | None = None) -> str:
    """The nearest images of each query, of the first ten queries."""
    lines = []
    for place, query in enumerate(found.queries[:MOST_QUERIES]):
        neighbours = found.neighbours(place)
        names = [name for name in ("rank", "id", "part", "label", "distance") if neighbours and name in neighbours[0]]
        rows = [[_number(one[name]) for name in names] for one in neighbours]
        right = [index for index, name in enumerate(names) if name in ("rank", "distance")]
        lines += [f"nearest to {query}", _table(names, rows, right)]
    if len(found) > MOST_QUERIES:
        lines.append(f"and {len(found) - MOST_QUERIES:,} more queries; --json prints all")
    lines.append(f"{found.searched:,} latents searched in {seconds_in_words(found.seconds)}")
    return "\n".join([*lines, *([] if sheet is None else [f"sheet: {sheet}"])])


def summary_text(facts: dict[str, Any]) -> str:
    """The answer of `data`: facts about a set of images."""
    shape = " x ".join(map(str, facts["shape"]))
    rows = [
        ["name", facts["name"]],
        ["source", facts["source"]],
        ["images", f"{facts['num_train']:,} train, {facts['num_test']:,} test, each {shape}"],
        ["pixels", f"mean {facts['pixel_mean']:.3f}, standard deviation {facts['pixel_std']:.3f}"],
        [
            "duplicates",
            f"{facts['duplicates']:,} ({facts['duplicates_across']:,} of the test part are in the train part too)",
        ],
        ["fingerprint", facts["fingerprint"][:16]],
        *[["note", note] for note in facts["notes"]],
    ]
    lines = [_table(["", ""], rows, head=False)]
    classes = facts["classes"]
    if classes:
        shown = [[c["name"], f"{c['train']:,}", f"{c['test']:,}"] for c in classes[:MOST_CLASSES]]
        lines.append(_table(["class", "train", "test"], shown, right=(1, 2)))
        if len(classes) > MOST_CLASSES:
            lines.append(f"and {len(classes) - MOST_CLASSES} more classes")
    if facts["columns"]:
        shown = [[one["name"], _values(one), f"{one['missing']:,}"] for one in facts["columns"][:MOST_CLASSES]]
        lines.append(_table(["column", "values", "missing"], shown, right=(2,)))
    if "contact_sheet" in facts:
        lines.append(f"contact sheet: {facts['contact_sheet']}")
    return "\n".join(lines)


def _values(column: Mapping[str, Any]) -> str:
    """The values of a column of a table in a few words."""
    if column["kind"] == "text":
        rest = ", …" if column["different"] > len(column["commonest"]) else ""
        return f"{column['different']:,} different: {', '.join(column['commonest'])}{rest}"
    return "" if column["low"] is None else f"{column['low']:g} to {column['high']:g}"


def runs_text(runs: "Sequence[Run]", others: Mapping[Path, str] = MappingProxyType({})) -> str:
    """All runs, one per row; below them the runs that can't be opened, with the reason."""
    left = [f"not opened: {reason}" for reason in others.values()]
    if not runs and left:
        return "\n".join(left)
    if not runs:
        return "no runs in ./runs; `latens run mnist` makes one"
    rows = []
    for run in runs:
        result, mse = run.record["result"], run.record["result"].get("test_mse")
        row = [str(run.path), run.record["data"]["name"], run.recipe.name, str(run.recipe.latent_dim)]
        rows.append([*row, str(result.get("epochs", "")), "" if mse is None else f"{mse:.5f}", run.record["status"]])
    table = _table(["run", "data", "recipe", "latent dim", "epochs", "test mse", "status"], rows, right=(3, 4, 5))
    return "\n".join([table, *left])


def doctor_text(facts: Mapping[str, Any]) -> str:
    """What `latens doctor` found, one line each."""
    cache, versions = facts["cache"], facts["versions"]
    kept = f"{bytes_text(cache['bytes'])} used, {bytes_text(cache['free'])} free"
    rows = [[name, version or "not installed"] for name, version in versions.items()]
    rows += [["system", facts["system"]], ["interpreter", facts["interpreter"]], ["device", facts["device"]]]
    rows += [["kernels", "built" if facts["kernels"] else "not built"], ["cache", f"{cache['folder']}: {kept}"]]
    for extra, missing in facts["extras"].items():
        lacks = f'lacks {", ".join(missing)}: pip install "latens[{extra}]"' if missing else "installed"
        rows.append([f"extra {extra}", lacks])
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {value}" for name, value in rows]
    return "\n".join([*lines, *(f"problem: {one}" for one in facts["problems"])])


def run_text(run: "Run") -> str:
    """One run: its settings, its results and its files."""
    record, recipe = run.record, run.recipe
    data = record["data"]
    rows = [
        ["run", str(run.path)],
        ["status", record["status"]],
        ["created", record["created"]],
        [
            "data",
            f"{data['name']} ({data['train']:,} train, {data['test']:,} test, {' x '.join(map(str, data['shape']))})",
        ],
        *_model_rows(recipe),
        ["device", record["device"]],
        *[[name.replace("_", " "), _number(value)] for name, value in record["result"].items()],
        ["files", ", ".join(sorted(record["files"]))],
    ]
    return _table(["", ""], rows, head=False)


def _model_rows(recipe: "Recipe") -> list[list[str]]:
    if recipe.is_adopted:
        return [["model", f"{recipe.network} (adopted), latent dimension {recipe.latent_dim}"]]
    config = recipe.config
    model = f"{recipe.model_choice}, {recipe.network} network, latent dimension {recipe.latent_dim}"
    if recipe.name in ("imported", "kept"):
        return [["model", model], ["weights", recipe.name]]
    return [
        ["model", model],
        ["recipe", f"{recipe.name}: {config.epochs} epochs, batch {config.batch_size}, seed {config.seed}"],
    ]


def detections_text(found: "Detections", files: Sequence[Path]) -> str:
    """The oddest images, how many are called odd, the evaluation where there is one, and the files."""
    with_class = found.labels is not None
    rows = []
    for row in found.worst_first[:ODDEST]:
        label = [found.class_names[int(found.labels[row])]] if found.labels is not None else []
        decision = "odd" if found.odd[row] else "normal"
        rows.append([str(found.ids[row]), *label, f"{found.scores[row]:.4g}", f"{found.p_values[row]:.4g}", decision])
    titles = ["image", *["class"] * with_class, "score", "p-value", "decision"]
    text = [_table(titles, rows, right=(len(titles) - 3, len(titles) - 2))]
    if found.evaluation is not None:
        measures = [
            [
                m.subject,
                m.name,
                f"{m.value:.3f}",
                "" if m.interval is None else "({:.3f} to {:.3f})".format(*m.interval),
            ]
            for m in found.evaluation.measures
        ]
        text.append(_table(["defect", "measure", "value", "95 % interval"], measures, right=(2,)))
    text.append(
        f"{int(found.odd.sum()):,} of {len(found):,} images are odd; of normal ones at most"
        f" {found.false_alarms:.2g} would be, on average ({len(found.calibration):,} normal images to calibrate on)"
    )
    return "\n".join([*text, *(str(path) for path in files)])


def write_sheet(sheet: "np.ndarray", path: str) -> Path:
    """Write a contact sheet, uint8 (H, W, C), as PNG."""
    from latens.images.pixels import to_picture

    buffer = io.BytesIO()
    to_picture(sheet.transpose(2, 0, 1)).save(buffer, format="PNG")
    atomic_write(path, buffer.getvalue())
    return Path(path)


def _interval(score: "Score") -> str:
    low, high = score.low, score.high
    return "" if low is None or high is None else f"({_number(low)} to {_number(high)})"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = (), head: bool = True) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD if head else None, show_header=head, pad_edge=False)
    for index, title in enumerate(titles):
        table.add_column(title, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell) for cell in row])
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    console = Console(file=io.StringIO(), width=max(width or Console().width, NARROWEST))
    console.print(table)
    lines = console.file.getvalue().rstrip("\n").split("\n")  # type: ignore[attr-defined]  # it is the StringIO
    return "\n".join(line.rstrip() for line in lines)
