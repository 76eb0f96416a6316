"""Over data sets: ratios stand side by side, scores do not, and the claim that larger and harder inputs make it worse."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from latens.comparison.cells import Sheet, number_text
from latens.comparison.rows import Setting, best_sampler, short_names

__all__ = ["NO_RANKING", "larger_is_worse", "ratio_sheet"]

NO_RANKING = (
    "Scores of different images are not ranked against each other: an error of 0.01 is much on one data set and little on"
    " another. Ratios to what the same images give by other means stand side by side: the error to that of PCA with as many"
    " numbers, and the FD to the floor, which real images get against real images in the same features."
)
OF_BEST = "FD of the best ÷ floor"  # the ratio by which generation is judged
CLAIM = "Larger and more complicated inputs make it worse"

Ratio = Callable[[Setting], float | None]


def _of_floor(setting: Setting, column: str) -> float | None:
    distance, floor = setting.mean(column), setting.mean("generation.floor")
    return distance / floor if distance is not None and floor else None


def _ratios(among: Sequence[str] | None) -> dict[str, Ratio]:
    def of_best(setting: Setting) -> float | None:
        sampler, judge = best_sampler(setting, among) or ("", "")
        return _of_floor(setting, f"generation.{sampler}.{judge}") if judge == "frechet" else None

    return {
        "MSE ÷ PCA's": lambda setting: setting.mean("reconstruction.pca_ratio"),
        "FD of reconstructions ÷ floor": lambda setting: _of_floor(setting, "generation.reconstruction_fd"),
        OF_BEST: of_best,
    }


def ratio_sheet(settings: Sequence[Setting], among: Sequence[str] | None = None) -> Sheet:
    """A table of ratios: one row for each ratio of a setting, the data sets side by side.

    Args:
        settings: of two data sets or more.
        among: the samplers of which the best is taken; all that were scored by default.
    """
    data = list(dict.fromkeys(setting.data for setting in settings))
    by_name = _by_name(settings)
    names = short_names([next(iter(found.values())) for found in by_name.values()])
    rows = []
    for title, ratio in _ratios(among).items():
        for name, found in zip(names, by_name.values(), strict=True):
            values = [ratio(found[one]) if one in found else None for one in data]
            if any(value is not None for value in values):
                rows.append((title, name, *(number_text(value, 3) for value in values)))
    return Sheet(
        "Ratios over data sets", ("ratio", "setting", *data), tuple(rows), right=tuple(range(2, 2 + len(data)))
    )


def _by_name(settings: Sequence[Setting]) -> dict[tuple[str, int], dict[str, Setting]]:
    """Setting and dimension -> data set -> what was measured there."""
    found: dict[tuple[str, int], dict[str, Setting]] = {}
    for setting in settings:
        if setting.done:
            found.setdefault((setting.name, setting.recipe.latent_dim), {})[setting.data] = setting
    return found


def larger_is_worse(settings: Sequence[Setting], among: Sequence[str] | None = None) -> str:
    """The claim that larger and more complicated inputs make it worse, answered with numbers.

    Data sets are put in order by the numbers in a picture, and those of one size by how badly the nearest neighbours of raw
    pixels tell the classes (without labels by the error that PCA leaves). The claim holds where the ratio rises from each to
    the next: of the best sampler's FD to the floor, or, where generation was not scored, of the error to PCA's.

    Args:
        settings: of any number of data sets.
        among: the samplers of which the best is taken; all that were scored by default.
    """
    shared = {key: found for key, found in _by_name(settings).items() if len(found) > 1}
    if not shared:
        return f"{CLAIM}: that takes one setting on two data sets or more."
    ratios = _ratios(among)
    for title in (OF_BEST, "MSE ÷ PCA's"):
        steps = [step for found in shared.values() for step in _steps(found, ratios[title])]
        if steps:
            return _answer(title, steps, ratios[title])
    return f"{CLAIM}: neither the error's ratio to PCA's nor the FD's to its floor is known on two data sets."


def _steps(found: dict[str, Setting], ratio: Ratio) -> list[tuple[Setting, Setting]]:
    """Each data set with the next larger or harder one, where both have the ratio."""
    ordered = sorted((s for s in found.values() if ratio(s) is not None), key=_hardness)
    return list(pairwise(ordered))


def _hardness(setting: Setting) -> tuple[int, float, float]:
    raw = _raw_accuracy(setting)
    return _size(setting), -1.0 if raw is None else -raw, setting.mean("reconstruction.pca_mse") or 0.0


def _size(setting: Setting) -> int:
    return math.prod(setting.rows[0].shape)


def _raw_accuracy(setting: Setting) -> float | None:
    """How well the nearest neighbours of raw pixels tell the class: how complicated the pictures are, whatever the model."""
    score = setting.done[0].score("representation.knn_accuracy")
    return None if score is None or score.baseline_kind != "method" else score.baseline


def _answer(title: str, steps: Sequence[tuple[Setting, Setting]], ratio: Ratio) -> str:
    rises = [_factor(*step, ratio) for step in steps]
    worse = sum(rise > 1 for rise in rises)
    verdict = "holds here" if worse == len(steps) else "does not hold here" if not worse else "holds here in part"
    easier, harder = steps[rises.index(max(rises) if worse else min(rises))]
    text = (
        f"{CLAIM}: {verdict}. {title} rises in {worse} of {len(steps)} steps to the next larger or harder data set; for"
        f" {easier.name}, D = {easier.recipe.latent_dim}, from {number_text(ratio(easier), 3)} on {_told(easier)} to"
        f" {number_text(ratio(harder), 3)} on {_told(harder)}."
    )
    return text if title == OF_BEST else text + " Generation was not scored, so this is about reconstruction alone."


def _factor(easier: Setting, harder: Setting, ratio: Ratio) -> float:
    before, after = ratio(easier), ratio(harder)
    assert before is not None
    assert after is not None
    return after / before if before else math.inf


def _told(setting: Setting) -> str:
    raw = _raw_accuracy(setting)
    known = "" if raw is None else f", raw pixels tell the class of {raw:.0%}"
    return f"{setting.data} ({_size(setting):,} numbers per image{known})"
