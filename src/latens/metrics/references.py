"""What samples are compared with: the features of test and train images, and what real images get; computed once a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows
from latens.errors import UsageError
from latens.metrics.copies import cell_centres, cells_of, distances_to
from latens.metrics.frechet import Moments, frechet_deviation, frechet_distance, moments
from latens.metrics.intervals import Interval, around, jackknife_deviation, of_share
from latens.metrics.kernel import GROUPS, KernelSet, KernelSums, kernel_distance, kernel_sums
from latens.metrics.neighbourhoods import ball_weights, inside_balls, neighbourhoods, radii
from latens.metrics.planted import BLURRED, FADED
from latens.metrics.score import Definition, Protocol, Score, Scores
from latens.neighbours import Neighbours

__all__ = [
    "DEFINITIONS",
    "FEWEST",
    "FEWEST_OF_FRECHET",
    "FRECHET",
    "KERNEL",
    "MOST",
    "Distance",
    "Planted",
    "References",
    "check_features",
    "frechet",
    "kid",
    "prepare_references",
    "score_references",
    "some",
]

K = 5
MOST = 10_000  # images that are compared as sets
FEWEST = 4  # images in a set, with fewer nothing can be compared
KEPT = 0.5  # of the images of each part that must be left once those in both are taken out
SAME = 1e-6  # of the length of a feature: nearer ones are the same but for rounding
FEWEST_OF_FRECHET = 2_000  # below, the Fréchet distance is mostly bias
COPIED = 0.01  # quantile of test-to-train distances below which a sample counts as memorised
KERNEL = "polynomial kernel of degree 3, unbiased, interval by a jackknife over 20 groups of images"
FRECHET = "Fréchet distance of normal distributions, interval by 40 bootstrap resamples of both sides"


@dataclass(frozen=True)
class Distance:
    """A distance between two sets, the ends of its 95 % interval, and which one it is: `frechet` or `kid`."""

    kind: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Planted:
    """Images that are known to be bad: the kernel's sums over pairs of them, and over pairs with test images."""

    own: KernelSums
    between: KernelSums


@dataclass(frozen=True, eq=False)
class References:
    """What samples are compared with.

    Args:
        features: the name of the features, and the first digits of the digest of their weights.
        test: features of test images, float32 (N, F).
        train: of all train images, float32 (L, F).
        near_train: the same, to be searched.
        k: neighbours of a ball.
        moments: of the test images.
        kernel: the kernel's sums over pairs of test images.
        kernel_set: the test images, to sum the kernel over pairs of them with others.
        radii: of the test images' balls.
        weights: of these balls in the density, see `ball_weights`.
        centres: of the cells of the three-sample test.
        test_distances: of the test images to the nearest train image, float32 (N,).
        test_cells: int64 (N,).
        num_real: how many train images were scored in place of samples.
        num_shared: how many test images are train images too; they were taken out of both parts.
        copies: whether copies can be looked for: not where most images are in both parts.
        real: their scores: `kid_floor`, `precision`, `recall`, `density`, `coverage`, and `floor` where there are enough.
        scores: what `score_references` returns.
        planted: kind -> images that are known to be bad; empty where there are none.
        tells: whether the kernel distance surely tells each kind of them from real images.
    """

    features: str
    test: NDArray[np.float32]
    train: NDArray[np.float32]
    near_train: Neighbours
    k: int
    moments: Moments
    kernel: KernelSums
    kernel_set: KernelSet
    radii: NDArray[np.float64]
    weights: NDArray[np.float64]
    centres: NDArray[np.float32]
    test_distances: NDArray[np.float32]
    test_cells: NDArray[np.int64]
    num_real: int
    num_shared: int
    copies: bool
    real: dict[str, float]
    scores: Scores
    planted: Mapping[str, Planted] = field(default_factory=dict)
    tells: bool = False

    def share_of_planted(self, own: KernelSums, between: KernelSums) -> tuple[float, Interval]:
        """The kernel distance of some images to the test images, as a share of that of plainly bad ones, and its interval.

        Args:
            own: the kernel's sums over pairs of the images.
            between: of them with test images.
        """

        def ratio(without: int | None = None) -> float:
            least = min(_kernel_distance(one.own, self.kernel, one.between, without) for one in self.planted.values())
            return _kernel_distance(own, self.kernel, between, without) / least

        value = ratio()
        return value, around(value, jackknife_deviation(ratio, GROUPS))

    @property
    def seen(self) -> int:
        """How many kinds of planted images the balls surely tell from real ones."""
        by_name = {one.name: one for one in self.scores.scores}
        real = by_name.get("precision_real")
        return sum(real is not None and by_name[one].surely_below(real) for one in _SEEN.values() if one in by_name)

    def with_realism_of(self, other: "References") -> "References":
        """The same, where single images are told from real ones by the balls of other features."""
        if other is self:
            return self
        kept = tuple(one for one in self.scores.scores if one.name not in OF_SINGLE)
        taken = tuple(one for one in other.scores.scores if one.name in OF_SINGLE)
        blind = _blind(self.scores.scores, None, True)
        notes = tuple(note for note in self.scores.notes if note not in blind)
        notes += tuple(_blind(taken, None, True))
        notes += (
            f"precision, recall, density, coverage and path_realism are measured by {other.features}, since"
            f" {self.features} do not tell blurred and cross-faded images from real ones",
        )
        return replace(self, scores=replace(self.scores, scores=(*kept, *taken), notes=notes))

    @property
    def copied_within(self) -> float:
        """The distance to a train image below which a sample counts as memorised."""
        return float(np.quantile(self.test_distances, COPIED))


def prepare_references(
    test: NDArray[Any],
    train: NDArray[Any],
    *,
    features: str,
    reconstructed: NDArray[Any] | None = None,
    planted: Mapping[str, NDArray[Any]] | None = None,
    rebuilt_train: NDArray[Any] | None = None,
    seed: int = 0,
) -> References:
    """Compute once what all samples of a run are compared with.

    A picture that stands in both parts would hide copies of train images, since test images are then as near to train images as
    copies are. Such pictures are taken out of both parts first, and a note says how many. Where less than half of a part would
    be left, all are kept, and copies are not looked for.

    Args:
        test: features of the test images, (N, F), finite; 10,000 of them at most are taken.
        train: features of the train images, (L, F).
        features: the name of the features, and the first digits of the digest of their weights: part of each protocol.
        reconstructed: features of the reconstructions of the same test images, (N, F), or None.
        planted: kind -> features (M, F) of train images that were made bad, see `latens.metrics.planted`. They give the kernel
            distance a scale, and show whether precision tells bad images from real ones.
        rebuilt_train: features of reconstructions of train images, (R, F): what the sharpness of the decoder leaves;
            None leaves that out.
        seed: of what is drawn.

    Raises:
        UsageError: shapes that don't fit, numbers that are not finite, or under four images in a part.
    """
    check_features(test=test, train=train)
    rows = some(len(test), seed)
    if reconstructed is not None:
        check_features(test=test, reconstructed=reconstructed)
        reconstructed = np.asarray(reconstructed[rows], np.float32)
    test, train = np.asarray(test[rows], np.float32), np.asarray(train, np.float32)
    near_train = Neighbours(train)
    test_distances = distances_to(near_train, test)
    in_train, in_test = _in_both(test, train, test_distances)
    num_shared, copies = int(in_train.sum()), True
    if num_shared:
        copies = all((~found).sum() >= max(FEWEST, KEPT * len(found)) for found in (in_train, in_test))
    if num_shared and copies:
        test, train = test[~in_train], train[~in_test]
        near_train = Neighbours(train)
        test_distances = distances_to(near_train, test)
        reconstructed = None if reconstructed is None else reconstructed[~in_train]
    real = train[some(len(train), seed)]
    k = min(K, len(test) - 1, len(real) - 1)
    balls, kernel_set, of_test = radii(test, k), KernelSet(test), moments(test)
    kernel = kernel_sums(kernel_set)
    weights = ball_weights(test, balls, k)
    found = neighbourhoods(test, real, k, balls, radii(real, k), weights)
    measured = {
        "frechet": lambda x: frechet(x, test, of_test, seed),
        "kid": lambda x: kid(*_sums(x, kernel_set), kernel),
    }
    floor = {kind: measured[kind](real) for kind in _kinds(real, test)}
    rebuilt = [measured[_kinds(test, test)[0]](reconstructed)] if reconstructed is not None else []
    centres = cell_centres(train, seed)
    for kind, bad in (planted or {}).items():
        check_features(test=test, **{kind: bad})
    sums = {kind: Planted(*_sums(bad, kernel_set)) for kind, bad in (planted or {}).items()}
    scale, tells = _scale(sums, kernel, *_sums(real, kernel_set)) if sums else (None, False)
    about = Protocol("of train images; balls to the k-th nearest neighbour of test images", len(test), seed=seed)
    about = replace(about, features=features, settings={"k": k})
    seen = [_seen("precision_real", found.precise, about)] if planted else []
    seen += [_seen(_SEEN[kind], inside_balls(test, balls, bad), about) for kind, bad in (planted or {}).items()]
    if rebuilt_train is not None:
        check_features(test=test, rebuilt=rebuilt_train)
        seen.append(_seen("precision_rebuilt", inside_balls(test, balls, rebuilt_train), about))
    scores = _scores(
        next(iter(floor.values())),
        rebuilt,
        features,
        {"train_images": len(real)} | ({"train_images_drawn_from": len(train)} if len(train) > len(real) else {}),
        len(test),
        seed,
        _about_shared(num_shared, copies, len(rows)),
    )
    if scale is not None:
        planted_protocol = Protocol(
            f"train images, blurred or cross-faded, against test images; {KERNEL}",
            len(test),
            seed=seed,
            features=features,
        )
        seen.append(KID_SCALE.score(scale.value, planted_protocol, interval=(scale.low, scale.high)))
    return References(
        features=features,
        test=test,
        train=train,
        near_train=near_train,
        k=k,
        moments=of_test,
        kernel=kernel,
        kernel_set=kernel_set,
        radii=balls,
        weights=weights,
        centres=centres,
        test_distances=test_distances,
        test_cells=cells_of(centres, test),
        num_real=len(real),
        num_shared=num_shared,
        copies=copies,
        real={
            **{_FLOORS[kind]: found.value for kind, found in floor.items()},
            **({"kid_share": floor["kid"].value / scale.value} if scale is not None and tells else {}),
            "precision": float(found.precise.mean()),
            "recall": float(found.recalled.mean()),
            "density": float(found.density.mean()),
            "coverage": float(found.covered.mean()),
        },
        scores=replace(scores, scores=(*scores.scores, *seen), notes=(*scores.notes, *_blind(seen, scale, tells))),
        planted=sums,
        tells=tells,
    )


_FLOORS = {"frechet": "floor", "kid": "kid_floor"}
_SEEN = {BLURRED: "precision_blurred", FADED: "precision_faded"}


def _kernel_distance(x: KernelSums, y: KernelSums, between: KernelSums, without: int | None = None) -> float:
    return x.mean(without) + y.mean(without) - 2 * between.mean(without)


def _scale(
    planted: Mapping[str, Planted], test: KernelSums, real: KernelSums, between: KernelSums
) -> tuple[Distance, bool]:
    """The least kernel distance of a kind of planted images; and whether each is surely farther than real images are."""

    def farther(one: Planted, without: int | None = None) -> float:
        return _kernel_distance(one.own, test, one.between, without) - _kernel_distance(real, test, between, without)

    tells, found = True, []
    for one in planted.values():
        deviation = jackknife_deviation(lambda group, one=one: farther(one, group), GROUPS)  # type: ignore[misc]
        tells &= around(farther(one), deviation)[0] > 0
        value, deviation = kernel_distance(one.own, test, one.between)
        tells &= around(value, deviation)[0] > 0  # its inverse has no bounds otherwise
        found.append(Distance("kid", value, *around(value, deviation)))
    return min(found, key=lambda one: one.value), bool(tells)


def _seen(name: str, inside: NDArray[np.bool_], about: Protocol) -> Score:
    return next(one for one in SEEN if one.name == name).score(float(inside.mean()), about, interval=of_share(inside))


def _blind(seen: Sequence[Score], scale: Distance | None, tells: bool) -> list[str]:
    """What can't be told from real images here."""
    by_name = {one.name: one for one in seen}
    notes = []
    real = by_name.get("precision_real")
    for name, what in (
        ("precision_blurred", "blurred real images"),
        ("precision_faded", "cross-fades of two real images"),
    ):
        found = by_name.get(name)
        if real is not None and found is not None and not found.surely_below(real):
            notes.append(
                f"precision, density and path_realism are not measured: {found.value:.0%} of {what} count as real, of real"
                f" ones {real.value:.0%}"
            )
    if scale is not None and not tells:
        notes.append(
            f"kid_share is not measured: the kernel distance of bad images, {scale.value:.3g} ({scale.low:.3g} to"
            f" {scale.high:.3g}), is not surely above that of real ones; more test images would do"
        )
    return notes


def score_references(references: References) -> Scores:
    """Score the decoder and the data, before any sampler: `floor` and `reconstruction_fd`.

    Under 2,000 images they are `kid_floor` and `reconstruction_kid`.
    """
    return references.scores


def frechet(x: NDArray[Any], test: NDArray[Any], of_test: Moments, seed: int) -> Distance:
    """The Fréchet distance of features (M, F) to the test images' (N, F), whose moments are known."""
    value = frechet_distance(moments(x), of_test)
    return Distance("frechet", value, *around(value, frechet_deviation(x, test, seed), 0.0))


def kid(own: KernelSums, between: KernelSums, of_test: KernelSums) -> Distance:
    """The kernel distance of some images to the test images, by the sums over pairs of them, between both, and of test images."""
    value, deviation = kernel_distance(own, of_test, between)
    return Distance("kid", value, *around(value, deviation))


def _sums(x: NDArray[Any], test: KernelSet) -> tuple[KernelSums, KernelSums]:
    """The kernel's sums over pairs of features (M, F), and over pairs with test images."""
    one = KernelSet(x)
    return kernel_sums(one), kernel_sums(one, test)


def check_features(**sets: NDArray[Any]) -> None:
    """Raise UsageError unless each is (N, F), F the same, finite, N at least 4."""
    dims = {array.shape[1:] for array in sets.values()}
    if any(array.ndim != 2 for array in sets.values()) or len(dims) != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in sets.items())
        raise UsageError(f"features have shapes {shapes}; (N, F), F the same, are needed")
    for name, array in sets.items():
        if len(array) < FEWEST:
            raise UsageError(f"there are {len(array)} {name} images; at least {FEWEST} are needed to compare sets")
        if not np.isfinite(array).all():
            raise UsageError(f"features of {name} images hold NaN or infinity; finite numbers are needed")


def some(num: int, seed: int) -> NDArray[np.int64]:
    """Rows of at most 10,000 of so many images, ascending."""
    return drawn_rows(num, MOST, seed)


def _kinds(x: NDArray[Any], y: NDArray[Any]) -> tuple[str, ...]:
    return ("frechet", "kid") if min(len(x), len(y)) >= FEWEST_OF_FRECHET else ("kid",)


def _in_both(
    test: NDArray[np.float32], train: NDArray[np.float32], test_distances: NDArray[np.float32]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which test images are train images too, (N,), and which train images are test images, (L,)."""
    in_train = test_distances <= SAME * np.linalg.norm(test, axis=1)
    in_test = np.zeros(len(train), np.bool_)
    if in_train.any():
        in_test = distances_to(test[in_train], train) <= SAME * np.linalg.norm(train, axis=1)
    return in_train, in_test


def _about_shared(num_shared: int, copies: bool, num_test: int) -> str:
    if not num_shared:
        return ""
    found = f"{num_shared:,} of {num_test:,} test images are train images too"
    if copies:
        return f"{found}: they are taken out of both parts before samples are compared with them"
    return f"{found}, too many to take them out: whether samples are copies of train images cannot be measured"


FLOOR = Definition(
    "floor",
    "The Fréchet distance between real train and real test images: about the lowest that generated images can reach.",
    "none",
)
KID_FLOOR = Definition(
    "kid_floor",
    "The kernel distance between real train and real test images: about the lowest that generated images can reach.",
    "none",
)
RECONSTRUCTION_FD = Definition(
    "reconstruction_fd",
    "The Fréchet distance of the reconstructions to the test images: what the decoder alone costs, before any sampling.",
    "lower",
    baseline="train images",
    baseline_kind="real images",
)
RECONSTRUCTION_KID = Definition(
    "reconstruction_kid",
    "The kernel distance of the reconstructions to the test images: what the decoder alone costs, before any sampling.",
    "lower",
    baseline="train images",
    baseline_kind="real images",
)
KID_SCALE = Definition(
    "kid_scale",
    "The kernel distance of plainly bad images to the test images: of blurred train images or of cross-fades of two, whichever is"
    " less. It is 1 on the scale of kid_share.",
    "none",
)
_COUNT = "count as real: they lie close to a test image. The scale for precision and path_realism"
SEEN = (
    Definition("precision_real", f"Share of train images that {_COUNT}: what real images get.", "none"),
    Definition(
        "precision_blurred",
        f"Share of train images, blurred by a sixteenth of their width, that {_COUNT}: what blurred images get.",
        "none",
    ),
    Definition(
        "precision_faded", f"Share of cross-fades of two train images that {_COUNT}: what mixed images get.", "none"
    ),
    Definition(
        "precision_rebuilt",
        f"Share of reconstructions of train images that {_COUNT}: the most that a decoder of this sharpness allows.",
        "none",
    ),
)
OF_SINGLE = tuple(one.name for one in SEEN)
DEFINITIONS = (FLOOR, KID_FLOOR, RECONSTRUCTION_FD, RECONSTRUCTION_KID, *SEEN, KID_SCALE)


def _scores(
    floor: Distance,
    rebuilt: list[Distance],
    features: str,
    train_images: dict[str, int],
    num_test: int,
    seed: int,
    shared: str,
) -> Scores:
    of_frechet = floor.kind == "frechet"
    method = FRECHET if of_frechet else KERNEL
    of_floor = Protocol(
        f"train images against test images; {method}", num_test, seed=seed, features=features, settings=train_images
    )
    of_rebuilt = Protocol(
        f"reconstructions against the same test images; {method}", num_test, seed=seed, features=features
    )
    scores = [(FLOOR if of_frechet else KID_FLOOR).score(floor.value, of_floor, interval=(floor.low, floor.high))]
    scores += [
        (RECONSTRUCTION_FD if of_frechet else RECONSTRUCTION_KID).score(
            found.value, of_rebuilt, floor.value, (found.low, found.high)
        )
        for found in rebuilt
    ]
    notes = [shared] if shared else []
    if not rebuilt:
        notes.append("the distance of reconstructions is left out: there are no reconstructions")
    if not of_frechet:
        notes.append(
            f"under {FEWEST_OF_FRECHET:,} images the Fréchet distance is mostly bias: the kernel distance is given instead"
        )
    return Scores(tuple(scores), tuple(notes))
