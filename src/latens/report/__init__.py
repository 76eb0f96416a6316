"""report.html: one self-contained file that shows a run in the order of the reference experiment."""

from typing import TYPE_CHECKING

from latens.report.page import build_html, write_html
from latens.story import DataFacts, NetworkFacts, ProbeFacts, Story, TrainingFacts

if TYPE_CHECKING:
    from latens.report.from_run import story_of, write_report

__all__ = [
    "DataFacts",
    "NetworkFacts",
    "ProbeFacts",
    "Story",
    "TrainingFacts",
    "build_html",
    "story_of",
    "write_html",
    "write_report",
]


def __getattr__(name: str) -> object:
    # A report of anybody's numbers needs no run, and so no torch.
    if name in {"story_of", "write_report"}:
        from latens.report import from_run

        return getattr(from_run, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
