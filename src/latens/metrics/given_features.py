"""What the features of a given encoder say of the classes, beside the latents."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.metrics.intervals import of_share
from latens.metrics.score import Definition, Protocol, Scores
from latens.metrics.votes import vote
from latens.neighbours import nearest_neighbours

__all__ = ["DEFINITIONS", "K", "score_classes"]

K = 5

DEFINITIONS = (
    Definition(
        "features_knn_accuracy",
        "Share of test images whose class is that of most of the 5 train images with the nearest features of the given encoder.",
        "higher",
        baseline="latents",
        baseline_kind="method",
    ),
    Definition(
        "features_knn_accuracy_by_class",
        "The same, first for each class and then the mean over the classes: rare classes count as much as common ones.",
        "higher",
        baseline="latents",
        baseline_kind="method",
    ),
)


def score_classes(
    features: Sequence[NDArray[Any]],
    latents: Sequence[NDArray[Any]],
    labels: Sequence[NDArray[Any] | None],
    encoder: str,
) -> Scores:
    """The accuracy of a vote of the five nearest train images, among features and among latents.

    Args:
        features: of the train images and of the test images, (N, F) and (M, F).
        latents: likewise, (N, D) and (M, D).
        labels: likewise, int (N,) and (M,), or None.
        encoder: its name.

    Returns:
        `features_knn_accuracy` and `features_knn_accuracy_by_class`, with those of the latents as baseline; or a note.
    """
    train, test = labels
    if train is None or test is None or not len(train) or not len(test):
        return Scores((), ("the classes of neighbours are not compared: there are no labels in both parts",))
    k = min(K, len(train))
    right = {
        name: vote(train[nearest_neighbours(one[0], one[1], k)[1]]) == test
        for name, one in (("features", features), ("latents", latents))
    }
    classes = np.unique(test)
    means = {name: float(np.mean([found[test == one].mean() for one in classes])) for name, found in right.items()}
    what = "class by the nearest train images, majority, ties to the nearest"
    whole, by_class = DEFINITIONS
    settings = {"k": k, "train_images": len(train)}
    return Scores(
        (
            whole.score(
                float(right["features"].mean()),
                Protocol(what, len(test), features=encoder, settings=settings),
                float(right["latents"].mean()),
                of_share(right["features"]),
            ),
            by_class.score(
                means["features"],
                Protocol(
                    f"{what}; mean over classes",
                    len(test),
                    features=encoder,
                    settings={**settings, "classes": len(classes)},
                ),
                means["latents"],
            ),
        )
    )
