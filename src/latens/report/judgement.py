"""The chapter on the verdict: the notebook's claims answered, who is at fault, what would help, sampler by sampler."""

from collections.abc import Iterable, Sequence

from latens.metrics import Score
from latens.metrics.meanings import meaning_of
from latens.report.elements import esc, paragraphs, table
from latens.story import Story
from latens.text import number
from latens.verdict import Claim, Suggestion

__all__ = ["sampler_table", "verdict_chapter"]

ANSWERS = {"holds": "bad", "partly": "fair", "does not hold": "good", "not measured": "muted"}


def verdict_chapter(story: Story) -> str:
    """The verdict of a run, as HTML."""
    verdict = story.verdict
    if verdict is None:
        return paragraphs("This run was not judged.")
    return (
        f'<p class="verdict">{esc(verdict.headline)}</p>\n'
        + paragraphs(
            "The notebook that this experiment follows ends with claims about autoencoders. Here each is answered for this"
            " run, by numbers that were measured on it."
        )
        + _claims(verdict.claims)
        + sampler_table(story.scores)
        + "<h3>Who is at fault</h3>\n"
        + paragraphs(verdict.fault)
        + _suggestions(verdict.suggestions)
    )


def _claims(claims: Iterable[Claim]) -> str:
    items = "".join(
        f'<div><dt>{esc(claim.claim)} <span class="{ANSWERS[claim.answer]}">{esc(claim.answer)}</span></dt>'
        f"<dd>{_with_code(claim.sentence)}</dd></div>\n"
        for claim in claims
    )
    return f'<dl class="claims">\n{items}</dl>\n'


def _suggestions(suggestions: Sequence[Suggestion]) -> str:
    if not suggestions:
        return ""
    items = "".join(
        f"<li>{_with_code(one.text)} <small>Measured: {esc(one.because)}.</small></li>\n" for one in suggestions
    )
    return f'<h3>What would help</h3>\n<ul class="suggestions">\n{items}</ul>\n'


def _with_code(text: str) -> str:
    """A sentence with what stands between backticks as code."""
    parts = text.split("`")
    return "".join(f"<code>{esc(part)}</code>" if i % 2 else esc(part) for i, part in enumerate(parts))


def sampler_table(scores: Iterable[Score]) -> str:
    """What each sampler gets, one a row, and what the best possible is; empty where none was scored."""
    of_samplers: dict[str, dict[str, Score]] = {}
    for score in scores:
        if score.group == "generation" and score.subject:
            of_samplers.setdefault(score.subject, {})[score.name] = score
    if not of_samplers:
        return ""
    rows_of_names = []
    for name in dict.fromkeys(name for found in of_samplers.values() for name in found):
        one = next(found[name] for found in of_samplers.values() if name in found)
        heading = f"<code>{esc(name)}</code><small>{esc(meaning_of(one))}</small>"
        rows_of_names.append(
            (heading, *(_cell(found.get(name)) for found in of_samplers.values()), number(one.baseline))
        )
    return "<h3>Sampler by sampler</h3>\n" + table(
        "Samples of each sampler against the test images",
        ("Score", *of_samplers, "real images"),
        rows_of_names,
        "samplers",
    )


def _cell(row: Score | None) -> str:
    if row is None:
        return "–"
    interval = "" if row.low is None or row.high is None else f"<small>{number(row.low)} to {number(row.high)}</small>"
    return number(row.value) + interval
