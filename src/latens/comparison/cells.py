"""The tables that people read: which columns are shown, and each number as text."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from latens.comparison.rows import Setting, Spread, best_sampler, short_names

__all__ = ["Column", "Sheet", "main_sheet", "number_text", "score_sheet", "seeds_text", "spread_text"]

NONE = "–"


@dataclass(frozen=True)
class Column:
    """A column of a table for people.

    Args:
        title: above it.
        of: the score's column for a setting, or None where it has none.
        better: `"lower"`, `"higher"` or `"zero"`; anything else where no value is better.
        screen: whether it is shown where there is little room.
        distance: `"frechet"` or `"kid"` where it is one of the distances between sets of images, of which one is shown.
    """

    title: str
    of: Callable[[Setting], str | None]
    better: str = ""
    screen: bool = True
    distance: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table as text, ready for a screen, Markdown or HTML.

    Args:
        title: what is in it.
        headings: of its columns.
        rows: cells, one list a setting.
        best: the places (row, column) of the best value of a column.
        right: columns of numbers.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()
    right: tuple[int, ...] = ()


def number_text(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits; thousands are set apart, an en dash stands for none.

    >>> number_text(0.00234123), number_text(697700.0), number_text(3.0), number_text(None)
    ('0.002341', '697,700', '3', '–')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value == int(value) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def spread_text(spread: Spread | None, digits: int = 2, interval: bool = True) -> str:
    """A mean and its standard deviation over seeds; of a single run its interval, where it has one.

    Args:
        spread: of one number.
        digits: of the standard deviation; the mean is rounded to the same place.
        interval: whether a single run's interval is shown.

    >>> spread_text(Spread((0.0021, 0.0023))), spread_text(Spread((0.5,))), spread_text(Spread((9.1,), 8.7, 9.6))
    ('0.00220 ± 0.00014', '0.5', '9.1 (8.7 to 9.6)')
    """
    if spread is None:
        return NONE
    if spread.std:
        places = max(0, digits - 1 - math.floor(math.log10(spread.std)))
        return f"{spread.mean:,.{places}f} ± {spread.std:,.{places}f}"
    mean = number_text(spread.mean)
    if interval and spread.low is not None and spread.high is not None:
        return f"{mean} ({number_text(spread.low, 3)} to {number_text(spread.high, 3)})"
    return mean


def seeds_text(seeds: Sequence[int]) -> str:
    """Seeds in words.

    >>> seeds_text((0, 1, 2)), seeds_text((0, 7)), seeds_text(())
    ('0 to 2', '0, 7', 'none')
    """
    in_a_row = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds)))
    return f"{seeds[0]} to {seeds[-1]}" if in_a_row else ", ".join(map(str, seeds)) or "none"


def main_columns(among: Sequence[str] | None = None) -> tuple[Column, ...]:
    """What the first table shows; the best sampler is chosen setting by setting, among those named."""

    def plain(title: str, column: str, better: str = "", screen: bool = True, distance: str = "") -> Column:
        return Column(title, lambda setting: column, better, screen, distance)

    def of_best(title: str, name: str, better: str, screen: bool = True, distance: str = "") -> Column:
        def of(setting: Setting) -> str | None:
            best = best_sampler(setting, among)
            return None if best is None else f"generation.{best[0]}.{name}"

        return Column(title, of, better, screen, distance)

    return (
        plain("test MSE", "reconstruction.mse", "lower"),
        plain("of PCA's", "reconstruction.pca_ratio", "lower"),
        plain("kNN", "representation.knn_accuracy", "higher"),
        plain("effective rank", "representation.effective_rank"),
        plain("FD rebuilt", "generation.reconstruction_fd", "lower", False, "frechet"),
        of_best("FD of the best", "frechet", "lower", distance="frechet"),
        of_best("KID of the best", "kid", "lower", distance="kid"),
        of_best("coverage", "coverage", "higher"),
        plain("FD floor", "generation.floor", screen=False, distance="frechet"),
        plain("KID floor", "generation.kid_floor", screen=False, distance="kid"),
        of_best("memorised", "memorised", "", False),
        plain("PCA's MSE", "reconstruction.pca_mse", screen=False),
        plain("active units", "representation.active_units", screen=False),
        plain("linear", "representation.linear_accuracy", "higher", False),
        plain("map trust", "map.tsne.trustworthiness", "higher", False),
        plain("weights", "parameters", screen=False),
        plain("seconds", "seconds", "lower", False),
    )


def main_sheet(
    data: str, settings: Sequence[Setting], among: Sequence[str] | None = None, screen: bool = False
) -> Sheet:
    """The first table of a data set: a setting a row, and the scores that decide.

    Args:
        data: its name.
        settings: of this data set.
        among: the samplers of which the best is shown; all that were scored by default.
        screen: leave out what would not fit on a screen.
    """
    columns = [column for column in main_columns(among) if column.screen or not screen]
    columns = [column for column in columns if any(_spread(setting, column) for setting in settings)]
    if any(column.distance == "frechet" for column in columns):  # KID says the same again
        columns = [column for column in columns if column.distance != "kid"]
    title, headings, names = _named(data, settings, screen)
    if any(best_sampler(setting, among) for setting in settings):
        _append(headings, names, "best sampler", [(best_sampler(s, among) or (NONE, ""))[0] for s in settings])
    first, digits = len(headings), 1 if screen else 2
    table = [
        [*head, *(spread_text(_spread(setting, column), digits, not screen) for column in columns)]
        for head, setting in zip(names, settings, strict=True)
    ]
    headings += [column.title for column in columns]
    best = {(row, first + index) for index, column in enumerate(columns) for row in _best(settings, column)}
    if any(row.error for setting in settings for row in setting.rows):
        _append(headings, table, "failed", [_failures(setting) for setting in settings])
    right = (headings.index("D"), *range(first, first + len(columns)))
    return Sheet(title, tuple(headings), tuple(map(tuple, table)), frozenset(best), right)


def _named(data: str, settings: Sequence[Setting], screen: bool) -> tuple[str, list[str], list[list[str]]]:
    """The table's title, its first headings and the first cells of each row; on a screen what all share is in the title."""
    names = [list(_names(setting)) for setting in settings]
    headings, title = ["model", "network", "D", "seeds"], [data]
    for place in (1, 0) if screen else ():
        if len({found[place] for found in names}) == 1:
            title.append(names[0][place])
            headings.pop(place)
            names = [found[:place] + found[place + 1 :] for found in names]
    return ", ".join(title), headings, names


def _append(headings: list[str], table: list[list[str]], title: str, cells: Sequence[str]) -> None:
    headings.append(title)
    for row, cell in zip(table, cells, strict=True):
        row.append(cell)


def _names(setting: Setting) -> tuple[str, str, str, str]:
    recipe = setting.recipe
    network = ", ".join(filter(None, (recipe.network, setting.note)))
    return recipe.model_choice, network, str(recipe.latent_dim), seeds_text(setting.seeds)


def _failures(setting: Setting) -> str:
    return "; ".join(f"seed {row.recipe.config.seed}: {row.error}" for row in setting.rows if row.error)


def _spread(setting: Setting, column: Column) -> Spread | None:
    name = column.of(setting)
    return None if name is None else setting.spread(name)


def _best(settings: Sequence[Setting], column: Column) -> list[int]:
    """The rows with the best mean of a column; none where it has no better direction or there is nothing to choose."""
    means = {row: spread.mean for row, setting in enumerate(settings) if (spread := _spread(setting, column))}
    choose: dict[str, Callable[[float], float]] = {"lower": float, "higher": lambda mean: -mean, "zero": abs}
    if column.better not in choose or len(means) < 2:
        return []
    worth = {row: choose[column.better](mean) for row, mean in means.items()}
    return [row for row, value in worth.items() if value == min(worth.values())]


def score_sheet(data: str, settings: Sequence[Setting]) -> Sheet:
    """Every score of a data set: a score a row, a setting a column."""
    columns = list(dict.fromkeys(column for setting in settings for column in setting.columns))
    directions = {c: _better(c, settings) for c in columns}
    rows = tuple((_label(c, settings), *(spread_text(setting.spread(c)) for setting in settings)) for c in columns)
    best = {
        (row, 1 + place)
        for row, column in enumerate(columns)
        for place in _best(settings, Column(column, lambda _, c=column: c, directions[column]))  # type: ignore[misc]
    }
    headings = ("score", *short_names(settings))
    return Sheet(data, headings, rows, frozenset(best), tuple(range(1, len(headings))))


def _better(column: str, settings: Sequence[Setting]) -> str:
    found = (row.score(column) for setting in settings for row in setting.done)
    return next((str(score.direction) for score in found if score), "")


def _label(column: str, settings: Sequence[Setting]) -> str:
    found = (row.score(column) for setting in settings for row in setting.done)
    score = next((score for score in found if score), None)
    name, subject = (column, "") if score is None else (score.name, score.subject)
    return ", ".join(filter(None, (name.replace("_", " "), subject)))
