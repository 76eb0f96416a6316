"""Triage of a run's own pictures: the worst rebuilt, the far from all others, near-duplicates, doubtful labels."""

from latens.review.duplicates import near_duplicates
from latens.review.labels import doubtful_labels
from latens.review.outliers import strangeness
from latens.review.reviewing import FEWEST, KINDS, Finding, Review, picker, read_review, review_run

__all__ = [
    "FEWEST",
    "KINDS",
    "Finding",
    "Review",
    "doubtful_labels",
    "near_duplicates",
    "picker",
    "read_review",
    "review_run",
    "strangeness",
]
