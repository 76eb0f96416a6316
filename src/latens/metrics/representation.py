"""What do the latents say about the classes, and how are they used?"""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.algebra import principal_axes
from latens.arrays import drawn_rows
from latens.errors import UsageError
from latens.metrics.given_features import DEFINITIONS as OF_GIVEN
from latens.metrics.given_features import score_classes
from latens.metrics.inputs import Arrays, Inputs, Kept, anew
from latens.metrics.intervals import of_ratio
from latens.metrics.score import Definition, Metric, Protocol, Score, Scores, together
from latens.metrics.votes import knn_accuracy

__all__ = [
    "ACTIVE",
    "KNN",
    "METRIC",
    "K",
    "active_units",
    "cluster_scores",
    "effective_rank",
    "linear_accuracy",
    "pixel_accuracy",
    "rank_of_squares",
    "score_representation",
    "scores_of_units",
    "zero_fraction",
]

K = 5
ACTIVE = 0.01  # variance above which a unit counts as active (Burda, Grosse and Salakhutdinov 2016)
MOST_LINEAR = 20_000  # train latents that the linear probe is fitted to
PRODUCTS = 1e11  # of pixels: 2,000 test against all 60,000 train images of MNIST, two seconds of work
PIXEL_VALUES = 1 << 28  # of train pixels at once: 1 GiB as float32
FEWEST = 2_000  # test images, before train images are left out

KNN = Definition(
    "knn_accuracy",
    "Share of test images whose class is that of most of the 5 train images with the nearest latents.",
    "higher",
    baseline_kind="method",
)
LINEAR = Definition(
    "linear_accuracy",
    "Share of test images whose class a simple (linear) classifier finds from the latent alone.",
    "higher",
    baseline="the commonest class",
    baseline_kind="chance",
)
CLUSTER = Definition(
    "cluster_accuracy",
    "Share of images that k-means, which knows no labels, puts into the group of their class.",
    "higher",
    baseline="one group",
    baseline_kind="chance",
)
NMI = Definition(
    "nmi",
    "Normalised mutual information: how much the groups that k-means finds say about the classes, from 0 (nothing) to 1 (all).",
    "higher",
    baseline="chance",
    baseline_kind="chance",
)
ARI = Definition(
    "ari",
    "Adjusted Rand index: how well the groups that k-means finds agree with the classes; 0 is chance, 1 full agreement.",
    "higher",
    baseline="chance",
    baseline_kind="chance",
)
ACTIVE_UNITS = Definition(
    "active_units",
    "How many of the latent numbers change from image to image at all (variance above 0.01). The others are wasted.",
    "higher",
    baseline="latent units",
    baseline_kind="maximum",
)
EFFECTIVE_RANK = Definition(
    "effective_rank",
    "In how many independent directions the latents really vary, weighted by how much.",
    "higher",
    baseline="latent units",
    baseline_kind="maximum",
)
ZERO_FRACTION = Definition("zero_fraction", "Share of zeros among the latent numbers.", "none")


def active_units(latents: NDArray[Any]) -> int:
    """How many units of latents (N, D) have a variance above 0.01."""
    return int((latents.var(0, dtype=np.float64) > ACTIVE).sum())


def effective_rank(latents: NDArray[Any]) -> float:
    """Exponential of the entropy of the normalised singular values of centred latents (N, D); 0 where nothing varies.

    Roy and Vetterli 2007.
    """
    centred = latents - latents.mean(0, dtype=np.float64)
    return rank_of_squares(principal_axes(centred)[0], float(np.linalg.norm(latents)))


def rank_of_squares(squares: NDArray[np.float64], size: float) -> float:
    """`effective_rank` by the sums of squares along the principal axes, and the root of the sum of squares of all latents."""
    spectrum = np.sqrt(squares)
    # Rounding is no direction: that of the squares (1e-8 of the largest), and that of a mean far from zero.
    spectrum = spectrum[spectrum > max(1e-7 * float(spectrum.max()), 1e-12 * size)]
    if not len(spectrum):
        return 0.0
    shares = spectrum / spectrum.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def zero_fraction(latents: NDArray[Any]) -> float:
    """Share of numbers that are exactly 0 in latents (N, D)."""
    return float((latents == 0).mean())


def linear_accuracy(
    train: NDArray[Any], train_labels: NDArray[Any], test: NDArray[Any], test_labels: NDArray[Any], seed: int = 0
) -> float:
    """Accuracy on test latents (M, D) of a logistic regression on standardised train latents (N, D).

    Fitted to at most 20,000 latents, drawn with the seed; penalty C = 1.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    rows = drawn_rows(len(train), MOST_LINEAR, seed)
    train, train_labels = train[rows], train_labels[rows]
    mean, deviation = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    deviation[deviation == 0] = 1
    with warnings.catch_warnings():
        # What 300 rounds leave to be gained is far below what another seed changes.
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe = LogisticRegression(max_iter=300, tol=1e-3).fit((train - mean) / deviation, train_labels)
    return float(probe.score((test - mean) / deviation, test_labels))


def cluster_scores(latents: NDArray[Any], labels: NDArray[Any], seed: int = 0) -> dict[str, float]:
    """Compare k-means groups of latents (N, D), as many as classes, with the classes (N,).

    Returns:
        `cluster_accuracy` (each group stands for one class, matched so that most agree: Kuhn 1955), `nmi`, `ari`.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    num_classes = len(np.unique(labels))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct latents than classes
        groups = KMeans(num_classes, n_init=10, random_state=seed).fit(np.asarray(latents)).labels_
    counts = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(counts, (groups, np.unique(labels, return_inverse=True)[1]), 1)
    matched = counts[linear_sum_assignment(counts, maximize=True)].sum()
    return {
        "cluster_accuracy": float(matched / len(labels)),
        "nmi": float(normalized_mutual_info_score(labels, groups)),
        "ari": float(adjusted_rand_score(labels, groups)),
    }


def pixel_accuracy(
    train: NDArray[Any],
    train_labels: NDArray[Any],
    test: NDArray[Any],
    test_labels: NDArray[Any],
    seed: int = 0,
) -> tuple[float, dict[str, int]]:
    """`knn_accuracy` on raw pixels, (N, C, H, W), and among how many images: large sets are drawn from.

    Returns:
        The accuracy, and on how many images of each part it was measured.
    """
    dim = int(np.prod(train.shape[1:]))
    num_train = min(len(train), max(1, PIXEL_VALUES // dim))
    num_test = min(len(test), max(FEWEST, int(PRODUCTS / (num_train * dim))))
    num_train = min(num_train, max(1, int(PRODUCTS / (num_test * dim))))
    random = np.random.default_rng(seed)
    of_train, of_test = (
        drawn_rows(whole, part, random) for part, whole in ((num_train, len(train)), (num_test, len(test)))
    )
    accuracy = knn_accuracy(
        np.array(train[of_train]).reshape(num_train, dim),
        train_labels[of_train],
        np.array(test[of_test]).reshape(num_test, dim),
        test_labels[of_test],
        K,
    )
    settings = {"pixel_test_images": num_test, "pixel_train_images": num_train}
    return accuracy, settings


def score_representation(
    train_latents: NDArray[Any],
    test_latents: NDArray[Any],
    train_labels: NDArray[Any] | None = None,
    test_labels: NDArray[Any] | None = None,
    *,
    train_pixels: NDArray[Any] | None = None,
    test_pixels: NDArray[Any] | None = None,
    seed: int = 0,
    kept: Kept = anew,
) -> Scores:
    """Score what the latents say about the classes, and how they are used.

    Args:
        train_latents: (N, D), finite.
        test_latents: (M, D), finite.
        train_labels: int (N,), or None.
        test_labels: int (M,), or None.
        train_pixels: uint8, or float32 in [0, 1], (N, C, H, W), for the baseline of `knn_accuracy`; or None.
        test_pixels: uint8, or float32 in [0, 1], (M, C, H, W); or None.
        seed: of k-means and of what is drawn from large sets.
        kept: gives the accuracy on raw pixels, see `Inputs`.

    Returns:
        With labels `knn_accuracy`, `linear_accuracy`, `cluster_accuracy`, `nmi`, `ari`; always `active_units`,
        `effective_rank`, `zero_fraction`.

    Raises:
        UsageError: shapes that don't fit.
    """
    if train_latents.ndim != 2 or test_latents.ndim != 2 or train_latents.shape[1] != test_latents.shape[1]:
        raise UsageError(
            f"train and test latents have shapes {train_latents.shape} and {test_latents.shape}; (N, D), D the same, needed"
        )
    for part, latents, labels in (("train", train_latents, train_labels), ("test", test_latents, test_labels)):
        if not len(latents) or not np.isfinite(latents).all():
            raise UsageError(f"{part} latents are none or hold NaN or infinity; finite ones, at least one, are needed")
        if labels is not None and labels.shape != (len(latents),):
            raise UsageError(
                f"{len(latents)} {part} latents have labels of shape {labels.shape}; one for each is needed"
            )
    scores: list[Score] = []
    notes: list[str] = []
    if train_labels is None or test_labels is None:
        notes.append("kNN, linear and cluster accuracy, nmi and ari are left out: there are no labels")
    else:
        pixels = None if train_pixels is None or test_pixels is None else (train_pixels, test_pixels)
        scores += _of_neighbours(train_latents, train_labels, test_latents, test_labels, pixels, seed, kept)
        if len(np.unique(train_labels)) < 2 or len(np.unique(test_labels)) < 2:
            notes.append("linear and cluster accuracy, nmi and ari are left out: there is one class only")
        elif len(test_labels) < 2 * len(np.unique(test_labels)):
            notes.append("cluster accuracy, nmi and ari are left out: under two test images a class")
            scores += [_of_line(train_latents, train_labels, test_latents, test_labels, seed)]
        else:
            scores += [_of_line(train_latents, train_labels, test_latents, test_labels, seed)]
            scores += _of_clusters(test_latents, test_labels, seed)
    return Scores((*scores, *_of_units(test_latents)), tuple(notes))


def _of_neighbours(
    train: NDArray[Any],
    train_labels: NDArray[Any],
    test: NDArray[Any],
    test_labels: NDArray[Any],
    pixels: tuple[NDArray[Any], NDArray[Any]] | None,
    seed: int,
    kept: Kept,
) -> list[Score]:
    k = min(K, len(train))
    value = knn_accuracy(train, train_labels, test, test_labels, k)
    what = "class of test latents by the nearest train latents, Euclidean, majority, ties to the nearest"
    settings, interval = {"k": k, "train_images": len(train)}, of_ratio(value, len(test))
    if pixels is None:
        about = Protocol(what, len(test), settings=settings)
        chance = _commonest(test_labels)
        return [KNN.score(value, about, chance, interval, baseline_name="the commonest class", baseline_kind="chance")]

    def of_pixels() -> Arrays:
        accuracy, drawn = pixel_accuracy(pixels[0], train_labels, pixels[1], test_labels, seed)
        return {"accuracy": np.array(accuracy), **{name: np.array(number) for name, number in drawn.items()}}

    drawn = {name: array.item() for name, array in kept(f"accuracy on raw pixels, seed {seed}", of_pixels).items()}
    baseline = drawn.pop("accuracy")
    some_only = (drawn["pixel_test_images"], drawn["pixel_train_images"]) != (len(test), len(train))
    about = Protocol(what, len(test), seed=seed if some_only else None, settings={**settings, **drawn})
    return [KNN.score(value, about, baseline, interval, baseline_name="the same on raw pixels")]


def _of_line(
    train: NDArray[Any], train_labels: NDArray[Any], test: NDArray[Any], test_labels: NDArray[Any], seed: int
) -> Score:
    value = linear_accuracy(train, train_labels, test, test_labels, seed)
    settings = {"train_images": min(len(train), MOST_LINEAR)}
    if len(train) > MOST_LINEAR:
        settings["train_images_drawn_from"] = len(train)
    what = "class of test latents by logistic regression (C = 1) on standardised train latents"
    about = Protocol(what, len(test), seed=seed if len(train) > MOST_LINEAR else None, settings=settings)
    return LINEAR.score(value, about, _commonest(test_labels), of_ratio(value, len(test)))


def _of_clusters(test: NDArray[Any], labels: NDArray[Any], seed: int) -> list[Score]:
    num_classes = len(np.unique(labels))
    what = "k-means on test latents, each group matched to a class so that most agree (Hungarian method)"
    about = Protocol(what, len(test), seed=seed, settings={"groups": num_classes, "starts": 10})
    found = cluster_scores(test, labels, seed)
    return [
        CLUSTER.score(found["cluster_accuracy"], about, _commonest(labels)),
        NMI.score(found["nmi"], about, 0.0),
        ARI.score(found["ari"], about, 0.0),
    ]


def _of_units(test: NDArray[Any]) -> list[Score]:
    return scores_of_units(active_units(test), effective_rank(test), zero_fraction(test), test.shape)


def scores_of_units(active: int, rank: float, zeros: float, shape: tuple[int, ...], split: str = "test") -> list[Score]:
    """How the latent numbers are used.

    Args:
        active: see `active_units`.
        rank: see `effective_rank`.
        zeros: see `zero_fraction`.
        shape: of the latents, (N, D).
        split: what part they are of.
    """
    num, dim = shape
    how = "exponential of the entropy of the normalised singular values of the centred latents"
    units = Protocol("units with a variance above 0.01", num, split=split, settings={"latent_dim": dim})
    return [
        ACTIVE_UNITS.score(active, units, dim),
        EFFECTIVE_RANK.score(rank, Protocol(how, num, split=split, settings={"latent_dim": dim}), dim),
        ZERO_FRACTION.score(zeros, Protocol("share of latent values that are exactly 0", num, split=split)),
    ]


def _commonest(labels: NDArray[Any]) -> float:
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))


def _score(inputs: Inputs) -> Scores:
    train, test = inputs.train, inputs.test
    found = score_representation(
        train.latents,
        test.latents,
        train.labels,
        test.labels,
        train_pixels=train.pixels,
        test_pixels=test.pixels,
        seed=inputs.seed,
        kept=inputs.kept,
    )
    if not inputs.encoder or train.features is None or test.features is None:
        return found
    parts = [[part.features, part.latents, part.labels] for part in (train, test)]
    of_features, latents, labels = zip(*parts, strict=True)
    return together(found, score_classes(of_features, latents, labels, inputs.encoder))


METRIC = Metric(
    "Representation: what do the latents say about the classes?",
    (KNN, LINEAR, CLUSTER, NMI, ARI, ACTIVE_UNITS, EFFECTIVE_RANK, ZERO_FRACTION, *OF_GIVEN),
    _score,
)
