"""`Comparison`: what came of comparing several runs, and the tables that it writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latens.comparison.across import NO_RANKING, larger_is_worse, ratio_sheet
from latens.comparison.advice import RULE, Advice, advise
from latens.comparison.cells import Sheet, main_sheet
from latens.comparison.rows import Row, Setting, settings_of
from latens.comparison.sheets import csv_text, markdown_table
from latens.files import atomic_write, write_json
from latens.runs import Run, open_run

__all__ = ["SHOWN_SAMPLERS", "Comparison"]

SHOWN_SAMPLERS = ("class-means", "gaussian", "mixture", "prior")


@dataclass(frozen=True)
class Comparison:
    """Several runs on the same work.

    Args:
        path: its folder: compare.csv, compare.md, compare.json, compare.html, figures/, and the runs that it trained.
        rows: one a run, those that failed too.
        samplers: whose samples are shown, and among which the best is chosen; None for all that were scored.
    """

    path: Path
    rows: tuple[Row, ...]
    samplers: tuple[str, ...] | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        """The complete runs, opened."""
        return tuple(open_run(row.path) for row in self.rows if not row.error)

    @property
    def settings(self) -> tuple[Setting, ...]:
        """The rows put together over their seeds."""
        return settings_of(self.rows)

    @property
    def advice(self) -> tuple[Advice, ...]:
        """Where reconstruction stops paying, for each data set, model and network."""
        return advise(self.settings)

    @property
    def by_data(self) -> dict[str, list[Setting]]:
        """Data set -> its settings."""
        found: dict[str, list[Setting]] = {}
        for setting in self.settings:
            found.setdefault(setting.data, []).append(setting)
        return found

    @property
    def ratios(self) -> Sheet | None:
        """Ratios that may stand side by side over data sets; None of one data set."""
        return ratio_sheet(self.settings, self.samplers) if len(self.by_data) > 1 else None

    def sheets(self, screen: bool = False) -> tuple[Sheet, ...]:
        """The first table of each data set, then the ratios where there are several; with `screen` in fewer columns."""
        sheets = [main_sheet(data, found, self.samplers, screen) for data, found in self.by_data.items()]
        return (*sheets, self.ratios) if self.ratios is not None else tuple(sheets)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What follows from the numbers, in words."""
        several = len({row.data for row in self.rows}) > 1
        told = [f"{advice.data}, {advice.sentence}" if several else advice.sentence for advice in self.advice]
        told += [RULE] if any(advice.latent_dim for advice in self.advice) else []
        return (*told, larger_is_worse(self.settings, self.samplers), NO_RANKING) if several else tuple(told)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain dicts and lists: what compare.json holds."""
        return {
            "path": str(self.path),
            "samplers": None if self.samplers is None else list(self.samplers),
            "settings": [setting.as_json() for setting in self.settings],
            "advice": [vars(advice) for advice in self.advice],
            "sentences": list(self.sentences),
            "rows": [row.as_json() for row in self.rows],
        }

    def write_tables(self) -> None:
        """Write compare.csv, compare.md and compare.json into the folder."""
        atomic_write(self.path / "compare.csv", csv_text(self.rows).encode())
        parts = [f"## {sheet.title}\n\n{markdown_table(sheet)}" for sheet in self.sheets()]
        parts.append("".join(f"- {sentence}\n" for sentence in self.sentences))
        atomic_write(self.path / "compare.md", "\n".join(parts).encode())
        write_json(self.path / "compare.json", self.as_json())
