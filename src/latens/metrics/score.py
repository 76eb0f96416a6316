"""A number and all that is needed to compare it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

__all__ = ["Score", "Scores", "about", "share"]


@dataclass(frozen=True)
class Score:
    """One number of a run.

    Args:
        name: of the number, as `docs` and the protocols know it.
        value: the number.
        unit: what it is counted in; empty for a pure number.
        better: the direction that is better.
        baseline: what the number is without the model's doing, or None.
        baseline_name: what the baseline is; empty without one.
        protocol: how it was measured: images, split, seed. Scores of different protocols can't be compared.
        low: the lower end of its 95 % interval, or None where there is none.
        high: the upper end, or None.
    """

    name: str
    value: float
    unit: str
    better: Literal["lower", "higher"]
    baseline: float | None
    baseline_name: str
    protocol: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Scores:
    """What a metric returns.

    Args:
        scores: the numbers, in the order in which they are shown.
        notes: what was left out, and why.
        details: what belongs to the numbers and isn't one, ready for JSON: errors by class, the worst images.
    """

    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Score:
        """The score of that name; KeyError where it was left out."""
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(name)

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return {"scores": [asdict(s) for s in self.scores], "notes": list(self.notes), "details": dict(self.details)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """What `as_json` made plain."""
        return cls(tuple(Score(**score) for score in plain["scores"]), tuple(plain["notes"]), plain["details"])


def about(what: str, split: str, num_images: int, seed: int | None = None) -> str:
    """The text of a protocol: what is measured, on which images, with which seed where anything is drawn."""
    drawn = "" if seed is None else f"; seed {seed}"
    return f"{what}; {num_images:,} {split} images{drawn}"


def share(part: int, whole: int) -> str:
    """`10,000` or `2,000 of 10,000`."""
    return f"{whole:,}" if part == whole else f"{part:,} of {whole:,}"
