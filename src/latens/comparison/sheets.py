"""compare.csv, compare.md and compare.json: for spreadsheets, for people, for programs."""

import csv
import io
from collections.abc import Sequence

from latens.comparison.cells import Sheet
from latens.comparison.rows import Row

__all__ = ["csv_text", "markdown_table"]

FIRST = ("data", "model", "network", "latent_dim", "seed")
LAST = ("error", "path")


def csv_text(rows: Sequence[Row]) -> str:
    """One line a run with all its scores and facts, in full precision; empty where a run has no such number.

    A score with an interval has two more columns, its name with `.low` and `.high`.
    """
    numbers = [_numbers(row) for row in rows]
    columns = list(dict.fromkeys(name for found in numbers for name in found))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*FIRST, *columns, *LAST])
    for row, found in zip(rows, numbers, strict=True):
        recipe = row.recipe
        names = (row.data, recipe.model_choice, recipe.network, recipe.latent_dim, recipe.config.seed)
        writer.writerow([*names, *(repr(found[c]) if c in found else "" for c in columns), row.error, row.path])
    return buffer.getvalue()


def _numbers(row: Row) -> dict[str, float]:
    found: dict[str, float] = {}
    for column, value in row.values.items():
        found[column] = value
        score = row.score(column)
        ends = {"low": score.low, "high": score.high} if score is not None else {}
        found |= {f"{column}.{end}": value for end, value in ends.items() if value is not None}
    return found


def markdown_table(sheet: Sheet) -> str:
    """A table in Markdown (the pipes of GitHub), the best of each column in bold."""
    rule = ["--:" if column in sheet.right else "---" for column in range(len(sheet.headings))]
    lines = [list(map(_escaped, sheet.headings)), rule]
    for row, cells in enumerate(sheet.rows):
        lines.append([f"**{_escaped(c)}**" if (row, i) in sheet.best else _escaped(c) for i, c in enumerate(cells)])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _escaped(text: str) -> str:
    """Text that stays one cell and is shown as it is."""
    for character in "\\|*_`<[":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
