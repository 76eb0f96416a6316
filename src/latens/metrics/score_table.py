"""The scores of a run as one table: a sequence of records, read from metrics.json and written to it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, overload

from latens.errors import RunError
from latens.frames import pandas_frame
from latens.metrics.format1 import group_and_subject
from latens.metrics.score import Score, Scores

__all__ = ["FORMAT", "Note", "ScoreTable"]

FORMAT = (
    2  # of metrics.json; 1 had no number, named samplers in the group and described the protocol in a sentence alone
)


@dataclass(frozen=True)
class Note:
    """What was left out of a group of scores, and why; `subject` is the sampler or map that it is about, mostly empty."""

    group: str
    subject: str
    text: str


@dataclass(frozen=True)
class ScoreTable(Sequence[Score]):
    """The scores of a run: a sequence of `Score` records, with the notes on what was left out.

    `to_dicts` gives rows for any table library (`polars.DataFrame(scores.to_dicts())`), `to_pandas` a pandas DataFrame.
    `scores["scores"]` and `scores["notes"]` give what format 1 of metrics.json held, for scripts that were written for it:
    there the group of a sampler's scores is called `generation: NAME`.

    Args:
        records: the scores, group by group.
        notes: what was left out.
        details: by group, what belongs to the scores and is none: errors by class, the worst images.
    """

    records: tuple[Score, ...] = ()
    notes: tuple[Note, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @overload
    def __getitem__(self, key: int) -> Score: ...
    @overload
    def __getitem__(self, key: slice) -> Sequence[Score]: ...
    @overload
    def __getitem__(self, key: str) -> Any: ...
    def __getitem__(self, key: int | slice | str) -> Any:
        """A score by its place; or one of the three parts of format 1 by its name."""
        if not isinstance(key, str):
            return self.records[key]
        return self._format_1()[key]

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Score]:
        return iter(self.records)

    def keys(self) -> Sequence[str]:
        """The names of the parts of format 1."""
        return ("scores", "notes", "details")

    def find(self, name: str, group: str | None = None, subject: str | None = None) -> Score | None:
        """The first score of that name, or None.

        Args:
            name: of the score.
            group: a key of `METRICS`; None for any.
            subject: a sampler, map or class; None for any.
        """
        for score in self.records:
            if score.name == name and group in (None, score.group) and subject in (None, score.subject):
                return score
        return None

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat dict a score: group, subject, name, value, low, high, unit, direction, baseline, baseline_kind,
        baseline_name, split, images, seed, features, protocol (the sentence).
        """
        return [score.as_dict() for score in self.records]

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with the columns of `to_dicts`.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return pandas_frame(self.to_dicts())

    def as_json(self) -> dict[str, Any]:
        """What metrics.json holds."""
        return {
            "format": FORMAT,
            "scores": [score.as_json() for score in self.records],
            "notes": [vars(note) for note in self.notes],
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """What `as_json` made plain, or a metrics.json of format 1.

        Raises:
            RunError: a later version of latens wrote it.
        """
        if plain.get("format", 1) > FORMAT:
            raise RunError(
                f"the scores have format {plain['format']}, this version of latens reads up to {FORMAT}: update latens, or run"
                " `latens score` again"
            )
        scores = tuple(Score.from_json(score) for score in plain["scores"])
        found, details = plain.get("notes", ()), plain.get("details", {})
        if "format" in plain:
            return cls(scores, tuple(Note(**note) for note in found), details)
        notes = tuple(Note(*group_and_subject(group), text) for group, text in dict(found).items())
        return cls(scores, notes, details)

    def with_group(self, group: str, found: Scores) -> Self:
        """The table with other scores of one group, at the same place, or at the end where it had none."""
        new, place = self.of_groups({group: found}), len(self.records)
        place = next((row for row, one in enumerate(self.records) if one.group == group), place)
        records = [one for one in self.records if one.group != group]
        return replace(
            self,
            records=(*records[:place], *new.records, *records[place:]),
            notes=(*(note for note in self.notes if note.group != group), *new.notes),
            details={**{name: part for name, part in self.details.items() if name != group}, **new.details},
        )

    @classmethod
    def of_groups(cls, groups: Mapping[str, Scores]) -> Self:
        """The table of what metrics returned, by the name of the group."""
        records: list[Score] = []
        notes: list[Note] = []
        details: dict[str, Any] = {}
        for group, whole in groups.items():
            for subject, found in {"": whole, **whole.subjects}.items():
                records += [replace(score, group=group, subject=score.subject or subject) for score in found.scores]
                notes += [Note(group, subject, text) for text in found.notes]
            if whole.details:
                details[group] = dict(whole.details)
        return cls(tuple(records), tuple(notes), details)

    def _format_1(self) -> dict[str, Any]:
        rows = [
            {**score.as_dict(), "group": _old_group(score.group, score.subject), "better": score.direction}
            for score in self.records
        ]
        notes: dict[str, str] = {}
        for note in self.notes:
            group = _old_group(note.group, note.subject)
            notes[group] = "; ".join(filter(None, (notes.get(group), note.text)))
        return {"scores": rows, "notes": notes, "details": dict(self.details)}


def _old_group(group: str, subject: str) -> str:
    return f"generation: {subject}" if group == "generation" and subject else group
