"""Review of a run's own images, and of new ones: the worst reconstructions, outliers, near-duplicates and doubtful labels."""

from latens.computed.review.duplicates import near_duplicates
from latens.computed.review.findings import (
    FEWEST,
    KINDS,
    Finding,
    Review,
    kept_neighbours,
    picker,
    read_review,
    review_run,
)
from latens.computed.review.labels import doubtful_labels
from latens.computed.review.new_images import NewImage, NewReview, review_new
from latens.computed.review.outliers import strangeness

__all__ = [
    "FEWEST",
    "KINDS",
    "Finding",
    "NewImage",
    "NewReview",
    "Review",
    "doubtful_labels",
    "kept_neighbours",
    "near_duplicates",
    "picker",
    "read_review",
    "review_new",
    "review_run",
    "strangeness",
]
