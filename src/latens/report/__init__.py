"""report.html: one self-contained file that shows a run in the order of the reference experiment."""

from typing import TYPE_CHECKING

from latens.report.page import build_html, write_html
from latens.story import DataFacts, NetworkFacts, PriorFacts, ProbeFacts, Story, TrainingFacts
from latens.tables import lazy_names

if TYPE_CHECKING:
    from latens.report.from_run import story_of, write_report

__all__ = [
    "DataFacts",
    "NetworkFacts",
    "PriorFacts",
    "ProbeFacts",
    "Story",
    "TrainingFacts",
    "build_html",
    "story_of",
    "write_html",
    "write_report",
]


# A report of any numbers needs no run, and so no torch.
__getattr__ = lazy_names(__name__, {"story_of": "from_run", "write_report": "from_run"})
