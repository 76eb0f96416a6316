"""compare.html: the comparison as one self-contained page. It stands in templates/compare.html, its style in compare.css."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from latens.comparison.across import NO_RANKING, larger_is_worse
from latens.comparison.advice import RULE
from latens.comparison.cells import Sheet, number_text, score_sheet, seeds_text
from latens.comparison.drawing import SAMPLES_SEED, Drawn, draw_comparison
from latens.comparison.result import Comparison
from latens.comparison.rows import Setting
from latens.files import atomic_write
from latens.images import Dataset
from latens.pages import templates
from latens.progress import Progress
from latens.report.elements import figure
from latens.report.page import lay_out

__all__ = ["write_page"]

TEMPLATES = Path(__file__).parent / "templates"
CHAPTERS = (
    ("scores", "The scores side by side"),
    ("dimensions", "Error over the latent dimension"),
    ("generation", "Generation against reconstruction"),
    ("samples", "Samples side by side"),
    ("reconstructions", "Reconstructions side by side"),
    ("maps", "Maps side by side"),
    ("data", "Over data sets"),
    ("protocols", "How it was measured"),
)
"""The name of each chapter, which is its macro in the template, and its heading; one without content is left out."""
WORDY = ("best sampler", "failed", "setting")

Table = tuple[list[str], list[list[Markup]]]


def write_page(
    compared: Comparison, images: Mapping[str, Dataset], progress: Progress, palette: str | None = None
) -> None:
    """Draw the figures and write compare.html into the comparison's folder.

    Args:
        compared: with at least one complete run.
        images: data sets that are at hand, by name.
        progress: shows how far it is.
        palette: see `draw_comparison`.
    """
    macro = _macros(compared, draw_comparison(compared, images, progress, palette))
    chapters = [(name, heading, macro(name)) for name, heading in CHAPTERS]
    created = datetime.now(UTC).strftime("%Y-%m-%d")
    title = f"{' and '.join(compared.by_data)}: {len(compared.settings)} settings compared"
    style = (TEMPLATES / "compare.css").read_text(encoding="utf-8")
    shown = [chapter for chapter in chapters if chapter[2].strip()]
    text = lay_out(title, _lead(compared), macro("top"), shown, created, style)
    atomic_write(compared.path / "compare.html", text.encode("utf-8"))


def _macros(compared: Comparison, drawn: Sequence[Drawn]) -> Callable[..., Markup]:
    """The macros of the template, by name, with all that they show."""
    sheets = {sheet.title: sheet for sheet in compared.sheets()}

    def macro(name: str, *arguments: object) -> Markup:
        text: Markup = getattr(module, name)(*arguments)
        return text

    shown = {
        "compared": compared,
        "drawn": drawn,
        "figure": figure,
        "fixed_in": _fixed_in,
        "larger_is_worse": larger_is_worse,
        "merged": partial(_table, macro, merge=True),
        "no_ranking": NO_RANKING,
        "protocols_of": _protocols_of,
        "rule": RULE,
        "runs_of": _runs_of,
        "samples_seed": SAMPLES_SEED,
        "score_sheet": score_sheet,
        "seeds_text": seeds_text,
        "sheet_of": sheets.__getitem__,
        "whole": partial(_table, macro, merge=False),
    }
    module: Any = templates(TEMPLATES).get_template("compare.html").make_module(shown)
    return macro


def _lead(compared: Comparison) -> str:
    done = sum(not row.error for row in compared.rows)
    many = max(len(setting.done) for setting in compared.settings)
    spread = "mean ± standard deviation over seeds" if many > 1 else "one seed each, so without a spread"
    return f"{done} runs of {len(compared.settings)} settings on the same images, measured in the same way: {spread}."


def _fixed_in(settings: Sequence[Setting]) -> dict[str, object]:
    """What the settings of one data set were trained with, each value once."""
    recipes = [setting.recipe for setting in settings]
    return {
        "recipes": ", ".join(sorted({recipe.name for recipe in recipes})),
        "networks": ", ".join(sorted({recipe.network for recipe in recipes})),
        "optimisers": ", ".join(sorted({recipe.config.optimiser for recipe in recipes})),
        "epochs": ", ".join(map(str, sorted({recipe.config.epochs for recipe in recipes}))),
        "seeds": sorted({row.recipe.config.seed for setting in settings for row in setting.rows}),
    }


def _table(macro: Callable[..., Markup], sheet: Sheet, merge: bool) -> Table:
    """Headings and cells. With `merge` model and network share the first cell, or the model has it where one network is all."""
    one = len({cells[1] for cells in sheet.rows}) == 1
    headings, rows = list(sheet.headings), []
    for row, cells in enumerate(sheet.rows):
        shown = []
        for column, text in enumerate(cells):
            number, bracket, interval = text.partition(" (") if column in sheet.right else (text, "", "")
            below = f"({interval}" if bracket else ""
            shown.append(macro("cell", number, below, (row, column) in sheet.best, headings[column] in WORDY))
        rows.append([shown[0] if one else Markup(", ").join(shown[:2]), *shown[2:]] if merge else shown)
    return (["setting", *headings[2:]] if merge else headings), rows


def _protocols_of(compared: Comparison) -> Iterator[tuple[str, str]]:
    """Each score, with its data set where there are several, and how it was measured."""
    found = {(row.data, s.column): str(s.protocol.comparable) for row in compared.rows for s in row.scores}
    for (data, column), protocol in found.items():
        yield (f"{column} ({data})" if len(compared.by_data) > 1 else column), protocol


def _runs_of(compared: Comparison) -> list[tuple[object, ...]]:
    return [
        (row.path, row.data, row.recipe.config.seed, number_text(row.facts.get("seconds"))) for row in compared.rows
    ]
