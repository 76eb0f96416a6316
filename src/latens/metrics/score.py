"""A score: a number and all that is needed to read it and to compare it, as a record with fields."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

from latens.metrics.format1 import record_of_format_1

if TYPE_CHECKING:
    from latens.metrics.inputs import Inputs

__all__ = [
    "DIRECTIONS",
    "KEEPS_DATA",
    "BaselineKind",
    "Definition",
    "Direction",
    "Metric",
    "Protocol",
    "Score",
    "Scores",
    "finite",
    "share",
    "together",
]

Direction = Literal["lower", "higher", "zero", "none"]
BaselineKind = Literal["", "method", "chance", "real images", "maximum"]

DIRECTIONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "lower": ("Lower is better.", "↓"),
        "higher": ("Higher is better.", "↑"),
        "zero": ("Near 0 is best.", "→0"),
        "none": ("", ""),
    }
)
"""Direction -> a sentence and a sign for it. `none` is that of a number which describes the data or the run."""

KEEPS_DATA = "keeps_data"  # setting: the sampler that is scored keeps latents of the train images
# Settings that follow from the model or the sampler: compared runs may differ in them.
OF_THE_MODEL = ("latent_dim", "components", KEEPS_DATA)


@dataclass(frozen=True)
class Protocol:
    """How a score was measured. Scores are comparable where all of it is equal but for the seed.

    Args:
        what: what is measured, in words.
        images: how many images were looked at; None where that is not known.
        drawn_from: how many there are, where only some were looked at.
        split: the part that they belong to: "test", "train" or "train and test".
        seed: of what is drawn at random; None where nothing is.
        features: the features through which images are compared, with the digest of their weights.
        settings: more numbers and words that the score depends on: `k`, `pairs`, `train_images`, …

    >>> str(Protocol("share of midpoints", images=300, drawn_from=1000, seed=0, settings={"k": 5, "pairs": 1000}))
    'share of midpoints; k = 5, pairs = 1,000; 300 of 1,000 test images; seed 0'
    """

    what: str
    images: int | None = None
    drawn_from: int | None = None
    split: str = "test"
    seed: int | None = None
    features: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        parts = [self.what]
        if self.settings:
            parts.append(", ".join(f"{name.replace('_', ' ')} = {_plain(v)}" for name, v in self.settings.items()))
        if self.images is not None:
            parts.append(f"{share(self.images, self.drawn_from or self.images)} {self.split} images")
        if self.features:
            parts.append(f"features: {self.features}")
        if self.seed is not None:
            parts.append(f"seed {self.seed}")
        return "; ".join(parts)

    @property
    def comparable(self) -> Self:
        """The protocol without what differs between runs that are compared: the seed and the size of the latent."""
        kept = {name: value for name, value in self.settings.items() if name not in OF_THE_MODEL}
        return replace(self, seed=None, settings=kept)

    def as_json(self) -> dict[str, Any]:
        """The fields that are set, ready for JSON."""
        return {name: dict(v) if name == "settings" else v for name, v in vars(self).items() if v not in (None, "", {})}


@dataclass(frozen=True)
class Score:
    """One number of a run.

    Args:
        name: of the number.
        value: the number.
        unit: what it is counted in; empty for a pure number.
        direction: which values are better, see `DIRECTIONS`.
        protocol: how it was measured.
        baseline: a number of the same kind to compare with, or None.
        baseline_kind: what sort of comparison it is: another `method`, `chance`, what `real images` get in place of samples,
            or the `maximum` that there can be.
        baseline_name: the baseline in words.
        low: the lower end of its 95 % interval, or None where there is none.
        high: the upper end, or None.
        group: the name of the metric that it belongs to, a key of `METRICS`.
        subject: the sampler, map or class that it is about; empty where it is about the run.
    """

    name: str
    value: float
    unit: str
    direction: Direction
    protocol: Protocol
    baseline: float | None = None
    baseline_kind: BaselineKind = ""
    baseline_name: str = ""
    low: float | None = None
    high: float | None = None
    group: str = ""
    subject: str = ""

    @property
    def better(self) -> str:
        """The direction, by the name that it had in format 1 of metrics.json."""
        return self.direction

    @property
    def keeps_data(self) -> bool:
        """Whether it is of a sampler that draws from latents of the train images which it keeps."""
        # Scores of earlier versions don't say so; of the samplers of that time only `jitter` did.
        return bool(self.protocol.settings.get(KEEPS_DATA, self.subject == "jitter"))

    def surely_below(self, other: "Score") -> bool:
        """Whether its whole interval lies below that of another one; the values themselves where they have none."""
        high = self.value if self.high is None else self.high
        return high < (other.value if other.low is None else other.low)

    @property
    def column(self) -> str:
        """Its name in a table with one column a score: group, subject and name, joined by dots."""
        return ".".join(filter(None, (self.group, self.subject, self.name)))

    @property
    def beats_baseline(self) -> bool | None:
        """Whether it is on the better side of its baseline; None where that cannot be said."""
        if self.baseline is None or self.baseline_kind == "maximum":
            return None
        return self._is_better(self.baseline)

    def better_than(self, other: "Score") -> bool | None:
        """Whether its value is on the better side of that of another run's score of the same name and protocol.

        None where they are equal, or where neither value is better than another.
        """
        return self._is_better(other.value)

    def _is_better(self, than: float) -> bool | None:
        difference = abs(self.value) - abs(than) if self.direction == "zero" else self.value - than
        if self.direction == "none" or difference == 0 or not abs(difference) < float("inf"):
            return None
        return (difference > 0) == (self.direction == "higher")

    def as_json(self) -> dict[str, Any]:
        """A dict ready for JSON; the protocol is a dict of its own."""
        first = {"group": self.group, "subject": self.subject}
        return {**first, **{**vars(self), "protocol": self.protocol.as_json()}}

    def as_dict(self) -> dict[str, Any]:
        """One row of a table: no value of it is a dict or a list. `protocol` is the sentence."""
        about = self.protocol
        return {
            "group": self.group,
            "subject": self.subject,
            "name": self.name,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
            "direction": self.direction,
            "baseline": self.baseline,
            "baseline_kind": self.baseline_kind,
            "baseline_name": self.baseline_name,
            "split": about.split,
            "images": about.images,
            "seed": about.seed,
            "features": about.features,
            "protocol": str(about),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """What `as_json` made plain, or a row of format 1, which `latens` wrote before scores were records."""
        if "direction" not in plain:
            plain = record_of_format_1(plain)
        protocol = Protocol(**plain["protocol"])
        if not isinstance(protocol.settings, Mapping):
            raise TypeError("settings of a protocol are no names and values")
        score = cls(**{**plain, "protocol": protocol})
        for one in (score, protocol):
            for name, kinds in _KINDS[type(one)].items():
                if not isinstance(getattr(one, name), kinds):
                    raise TypeError(f"{name} of a score is {getattr(one, name)!r}")
        if score.direction not in DIRECTIONS:
            raise TypeError(f"direction of a score is {score.direction!r}")
        return score


_KINDS: Mapping[type, Mapping[str, Any]] = {
    Protocol: {
        **dict.fromkeys(("what", "split", "features"), str),
        **dict.fromkeys(("images", "drawn_from", "seed"), int | None),
    },
    Score: {
        **dict.fromkeys(("name", "unit", "direction", "baseline_kind", "baseline_name", "group", "subject"), str),
        **dict.fromkeys(("value", "baseline", "low", "high"), float | int | None),
    },
}


@dataclass(frozen=True)
class Scores:
    """What a metric returns.

    Args:
        scores: the numbers, in the order in which they are shown.
        notes: what was left out, and why.
        details: what belongs to the numbers and is none, ready for JSON: errors by class, the worst images.
        subjects: the scores of each sampler, map or class, where there are such.
    """

    scores: tuple[Score, ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    subjects: "Mapping[str, Scores]" = field(default_factory=dict)

    def __getitem__(self, name: str) -> Score:
        """The score of that name; KeyError where it was left out."""
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(name)

    def as_json(self) -> dict[str, Any]:
        """Plain dicts and lists."""
        return {
            "scores": [score.as_json() for score in self.scores],
            "notes": list(self.notes),
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """What `as_json` made plain."""
        scores = tuple(Score.from_json(score) for score in plain["scores"])
        return cls(scores, tuple(plain["notes"]), plain["details"])


@dataclass(frozen=True)
class Definition:
    """What is the same about a score in every run: its name, what it means, and what it stands beside.

    Args:
        name: of the score.
        meaning: a sentence or two for readers who do not know the field.
        direction: which values are better.
        unit: what it is counted in; empty for a pure number.
        baseline: what it is compared with, in words; empty without a baseline, or where that depends on the run.
        baseline_kind: see `Score`.
    """

    name: str
    meaning: str
    direction: Direction
    unit: str = ""
    baseline: str = ""
    baseline_kind: BaselineKind = ""

    def score(
        self,
        value: float,
        protocol: Protocol,
        baseline: float | None = None,
        interval: tuple[float | None, float | None] = (None, None),
        *,
        baseline_name: str | None = None,
        baseline_kind: BaselineKind | None = None,
    ) -> Score:
        """A score of this name.

        Args:
            value: the number.
            protocol: how it was measured.
            baseline: the number beside it, or None.
            interval: the ends of its 95 % interval.
            baseline_name: in place of the usual one.
            baseline_kind: in place of the usual one.
        """
        name = self.baseline if baseline_name is None else baseline_name
        kind = self.baseline_kind if baseline_kind is None else baseline_kind
        return Score(
            self.name,
            float(value),
            self.unit,
            self.direction,
            protocol,
            baseline,
            "" if baseline is None else kind,
            "" if baseline is None else name,
            *interval,
        )


@dataclass(frozen=True)
class Metric:
    """An entry of `METRICS`: scores that are measured together, and all that tables and pages say about them.

    Args:
        title: the heading of the group.
        definitions: of all scores that it can give.
        score: computes them; what cannot be measured is left out with a note.
    """

    title: str
    definitions: tuple[Definition, ...]
    score: "Callable[[Inputs], Scores]"

    def __getitem__(self, name: str) -> Definition:
        """The definition of that name; KeyError without one."""
        return {one.name: one for one in self.definitions}[name]


def finite(found: Scores) -> Scores:
    """The scores without those that are no finite number, which cannot be kept; a note names them."""
    spoilt = [score.name for score in found.scores if not math.isfinite(score.value)]
    if not spoilt and not found.subjects:
        return found
    notes = (*found.notes, f"left out, as not finite: {', '.join(spoilt)}") if spoilt else found.notes
    return Scores(
        tuple(score for score in found.scores if score.name not in spoilt),
        notes,
        found.details,
        {subject: finite(part) for subject, part in found.subjects.items()},
    )


def together(*parts: Scores) -> Scores:
    """Several scores as one."""
    return Scores(
        tuple(score for part in parts for score in part.scores),
        tuple(note for part in parts for note in part.notes),
        {name: value for part in parts for name, value in part.details.items()},
        {name: found for part in parts for name, found in part.subjects.items()},
    )


def share(part: int, whole: int) -> str:
    """`10,000` or `2,000 of 10,000`."""
    return f"{whole:,}" if part == whole else f"{part:,} of {whole:,}"


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
