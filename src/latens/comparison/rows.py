"""One row a run, one setting over its seeds: what is compared, as plain data that is read from the runs' folders."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from latens.metrics import Score
from latens.runs import Run
from latens.training.recipes import Recipe
from latens.verdict import COPIED_SHARE

__all__ = [
    "Row",
    "Setting",
    "Spread",
    "best_sampler",
    "failed_row",
    "row_of",
    "settings_of",
    "short_names",
]

FACTS = ("epochs", "seconds")  # of a run's result, beside its scores
JUDGES = ("frechet", "kid")  # what chooses the best sampler: KID stands in where there are too few images for FD


@dataclass(frozen=True)
class Row:
    """One run of a comparison.

    Args:
        data: name of its data set.
        fingerprint: of the images.
        shape: (C, H, W) of an image.
        settings: its recipe, as JSON.
        path: its folder.
        error: why there are no scores of it; empty where it is complete.
        scores: of the run.
        facts: numbers that are no scores: epochs, seconds, parameters.
    """

    data: str
    fingerprint: str
    shape: tuple[int, ...]
    settings: Mapping[str, Any]
    path: str
    error: str = ""
    scores: tuple[Score, ...] = ()
    facts: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def recipe(self) -> Recipe:
        """The setting with which it was trained."""
        return Recipe.from_json(dict(self.settings))

    @cached_property
    def values(self) -> dict[str, float]:
        """Column -> value, the finite ones; scores first, facts after them."""
        found = {score.column: score.value for score in self.scores} | dict(self.facts)
        return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}

    def score(self, column: str) -> Score | None:
        """The score of a column, or None."""
        return next((score for score in self.scores if score.column == column), None)

    def as_json(self) -> dict[str, Any]:
        """The row as a plain dict."""
        recipe = self.recipe
        told = {"model": recipe.model_choice, "network": recipe.network, "latent_dim": recipe.latent_dim}
        scores = [score.as_json() for score in self.scores]
        return {**told, "seed": recipe.config.seed, **asdict(self), "scores": scores, "values": self.values}


def row_of(run: Run) -> Row:
    """A complete run as a row.

    Raises:
        RunError: it has no scores yet.
    """
    result = run.record["result"]
    facts = {name: float(result[name]) for name in FACTS if result.get(name) is not None}
    facts["parameters"] = float(sum(p.numel() for p in run.model.parameters()))
    return Row(**_identity(run), scores=tuple(run.scores), facts=facts)


def _identity(run: Run) -> dict[str, Any]:
    data = run.record["data"]
    return {
        "data": data["name"],
        "fingerprint": data["fingerprint"],
        "shape": tuple(data["shape"]),
        "settings": run.record["recipe"],
        "path": str(run.path),
    }


def failed_row(recipe: Recipe, data: tuple[str, str, tuple[int, ...]], path: Path, error: BaseException) -> Row:
    """What is left of a run that came to nothing: its name, and why.

    Args:
        recipe: what was asked for.
        data: name, fingerprint and shape of the images.
        path: its folder.
        error: what stopped it.
    """
    name, fingerprint, shape = data
    text = " ".join(str(error).split()) or type(error).__name__
    return Row(name, fingerprint, tuple(shape), recipe.to_json(), str(path), error=text)


@dataclass(frozen=True)
class Spread:
    """One number over seeds.

    Args:
        values: one a run, in the order of the seeds.
        low: lower end of its interval, where a single run has one.
        high: upper end.
    """

    values: tuple[float, ...]
    low: float | None = None
    high: float | None = None

    @property
    def mean(self) -> float:
        """The mean over the runs."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        """The standard deviation over the runs (n − 1 in the denominator); None of one run."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def as_json(self) -> dict[str, Any]:
        """The mean, the spread and what they are of."""
        return {"mean": self.mean, "std": self.std, "num": len(self.values), "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Setting:
    """One setting on one data set, over its seeds.

    Args:
        data: name of the data set.
        recipe: with the seed of its first run.
        note: what tells it from another of the same model, network and dimension ("epochs 3"); mostly empty.
        rows: one a seed, those that failed too.
    """

    data: str
    recipe: Recipe
    note: str
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """The setting in words, without the data set and the dimension."""
        return ", ".join(filter(None, (self.recipe.model_choice, self.recipe.network, self.note)))

    @property
    def done(self) -> tuple[Row, ...]:
        """The rows that have scores."""
        return tuple(row for row in self.rows if not row.error)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the rows that have scores."""
        return tuple(row.recipe.config.seed for row in self.done)

    @property
    def columns(self) -> list[str]:
        """What at least one of its rows has a value of."""
        return list(dict.fromkeys(column for row in self.done for column in row.values))

    def spread(self, column: str) -> Spread | None:
        """One column over the seeds, or None where no run has it."""
        rows = [row for row in self.done if column in row.values]
        if not rows:
            return None
        only = rows[0].score(column) if len(rows) == 1 else None
        low, high = (only.low, only.high) if only else (None, None)
        return Spread(tuple(row.values[column] for row in rows), low, high)

    def mean(self, column: str) -> float | None:
        """The mean of one column, or None."""
        spread = self.spread(column)
        return None if spread is None else spread.mean

    def as_json(self) -> dict[str, Any]:
        """The setting as a plain dict."""
        return {
            "data": self.data,
            "model": self.recipe.model_choice,
            "network": self.recipe.network,
            "latent_dim": self.recipe.latent_dim,
            "note": self.note,
            "seeds": list(self.seeds),
            "failed": {str(row.recipe.config.seed): row.error for row in self.rows if row.error},
            "best_sampler": (best_sampler(self) or ("", ""))[0],
            "values": {c: s.as_json() for c in self.columns if (s := self.spread(c)) is not None},
        }


def best_sampler(setting: Setting, among: Sequence[str] | None = None) -> tuple[str, str] | None:
    """The sampler whose samples are nearest to the test images among those that neither keep the data nor copy.

    Where none is left it is chosen among those that do not keep the data, or among all.

    Args:
        setting: with generation scores or without.
        among: samplers to choose from; all that were scored by default.

    Returns:
        Its name and the score that says so: `"frechet"`, or `"kid"` where there are too few images for it; None without any.
    """
    scores = [score for row in setting.done for score in row.scores if score.group == "generation" and score.subject]
    samplers = [name for name in dict.fromkeys(one.subject for one in scores) if among is None or name in among]
    keeping = {score.subject for score in scores if score.name in JUDGES and score.keeps_data}
    samplers = [name for name in samplers if name not in keeping] or samplers
    fair = [name for name in samplers if (setting.mean(f"generation.{name}.memorised") or 0.0) <= COPIED_SHARE]
    for judge in JUDGES:
        means = {name: setting.mean(f"generation.{name}.{judge}") for name in fair or samplers}
        found = [(mean, name) for name, mean in means.items() if mean is not None]
        if found:
            return min(found)[1], judge
    return None


def settings_of(rows: Iterable[Row]) -> tuple[Setting, ...]:
    """Rows put together that differ in nothing but the seed, in the order in which they come, the dimensions ascending."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(f"{row.data} {row.fingerprint} {sorted(_parts(row.recipe).items())}", []).append(row)
    alike: dict[tuple[Any, ...], list[list[Row]]] = {}
    for group in groups.values():
        alike.setdefault(_label(group[0]), []).append(group)
    notes = {id(group): note for same in alike.values() for group, note in zip(same, _notes(same), strict=True)}
    settings = [Setting(group[0].data, group[0].recipe, notes[id(group)], tuple(group)) for group in groups.values()]
    order = list(dict.fromkeys((setting.data, setting.name) for setting in settings))
    return tuple(sorted(settings, key=lambda one: (order.index((one.data, one.name)), one.recipe.latent_dim)))


def _label(row: Row) -> tuple[str, ...]:
    """What names a setting at first, beside its dimension."""
    return row.data, row.fingerprint, row.recipe.model_choice, row.recipe.network


def _parts(recipe: Recipe) -> dict[str, str]:
    """All that can tell two settings apart, the seed left out, as text."""
    plain = recipe.to_json()
    config = {name: value for name, value in plain.pop("config").items() if name != "seed"}
    return {name: str(value) for name, value in {"recipe": plain.pop("name"), **config, **plain}.items()}


def _notes(groups: Sequence[Sequence[Row]]) -> list[str]:
    """The fewest parts that tell settings of one model and network apart, the dimension aside."""
    parts = [_parts(group[0].recipe) | {"latent_dim": ""} for group in groups]
    different = len({tuple(one.items()) for one in parts})
    notes = [""] * len(groups)
    for name in parts[0]:
        if len(set(notes)) == different:
            break
        if len({one[name] for one in parts}) > 1:
            added = [f"{name} {one[name]}" for one in parts]
            notes = [", ".join(filter(None, pair)) for pair in zip(notes, added, strict=True)]
    return notes


def short_names(settings: Sequence[Setting], dimension: bool = True) -> list[str]:
    """Each setting in few words: of model, network, note and dimension what all share is left out.

    Args:
        settings: of one data set or of several; the data set is never named.
        dimension: whether the latent dimension belongs to the name.
    """
    every = [
        (s.recipe.model_choice, s.recipe.network, s.note, f"D = {s.recipe.latent_dim}" if dimension else "")
        for s in settings
    ]
    differs = [len({parts[place] for parts in every}) > 1 for place in range(4)]
    if not any(differs):
        differs = [True, False, False, dimension]
    return [", ".join(part for part, shown in zip(parts, differs, strict=True) if shown and part) for parts in every]
