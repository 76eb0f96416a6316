"""Precision, recall, density and coverage: whether features lie within each other's balls of nearest neighbours.

Images that come more than k times would have balls of radius 0. Around a real image such a ball reaches to the k-th nearest
image that is another one. Around a sample it stays as it is: a sampler that gives few pictures again and again has no variety. A
ball is open, and it always holds its own centre with all its copies. Without such duplicates all four are what prdc computes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latens.neighbours import nearest_neighbours

__all__ = ["Neighbourhoods", "ball_weights", "inside_balls", "neighbourhoods", "radii"]

BLOCK_BYTES = 1 << 25  # of one block of squared distances
INSIDE = 1 - 1e-6  # of a squared radius: who is on the sphere but for rounding is not inside
SAME = 1e-12  # of a squared length: squared distances below it are rounding, the two features are the same


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """One value an image; a score is the mean.

    Args:
        precise: bool (M,), whether the sample lies in the ball of a real image.
        recalled: bool (N,), whether the real image lies in the ball of a sample.
        density: float64 (M,), in how many balls of real images the sample lies, as a share of k. The ball of an image that comes
            more than k times counts for as much less: real images against themselves get 1.
        covered: bool (N,), whether a sample lies in the ball of the real image.
    """

    precise: NDArray[np.bool_]
    recalled: NDArray[np.bool_]
    density: NDArray[np.float64]
    covered: NDArray[np.bool_]


def radii(features: NDArray[Any], k: int, past_copies: bool = True) -> NDArray[np.float64]:
    """The distance of each feature to its k-th nearest other, float64 (N,); N is above k.

    Args:
        features: (N, F).
        k: how many neighbours.
        past_copies: where the k nearest are all copies, take the k-th nearest of the others, or the farthest of fewer. 0 where
            all features are the same.
    """
    distances: NDArray[np.float64] = nearest_neighbours(features, k=k)[0][:, -1].astype(np.float64)
    rows = np.flatnonzero(_is_point(features, distances))
    if not past_copies or not len(rows):
        return distances
    rounding, first = _rounding(features), np.empty(len(features), np.int64)
    for here, squares in _squared_distances(features, features):
        first[here] = (squares.numpy() <= rounding).argmax(1)
    different = features[np.unique(first)]
    if len(different) > 1:
        near = nearest_neighbours(different, features[rows], min(k + 1, len(different)))[0]
        distances[rows] = near[:, -1]  # the first is the image itself
    return distances


def ball_weights(real: NDArray[Any], real_radii: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """What each ball counts for in the density, (N,): 1, or k over the real images in it where it comes more than k times."""
    weights = np.ones(len(real))
    rows = np.flatnonzero(_is_point(real, nearest_neighbours(real, k=k)[0][:, -1].astype(np.float64)))
    if len(rows):
        limits, held = _limits(real[rows], real_radii[rows]), np.zeros(len(rows))
        for _, squares in _squared_distances(real[rows], real):
            held += np.count_nonzero((squares <= limits).numpy(), axis=0)
        weights[rows] = np.minimum(1, k / np.maximum(held, 1))
    return weights


def _squared_distances(real: NDArray[Any], points: NDArray[Any]) -> Iterator[tuple[slice, torch.Tensor]]:
    """Block after block of points (rows) to all real ones (columns), in float64."""
    centre = real.mean(0, dtype=np.float64)  # so that squares don't cancel
    x, y = (torch.from_numpy(np.asarray(a, np.float64) - centre) for a in (real, points))
    norms = x.square().sum(1)
    block = max(1, BLOCK_BYTES // (8 * len(x)))
    for start in range(0, len(y), block):
        here = slice(start, min(start + block, len(y)))
        yield here, torch.addmm(norms, y[here], x.T, alpha=-2).add_(y[here].square().sum(1)[:, None])


def neighbourhoods(
    real: NDArray[Any],
    samples: NDArray[Any],
    k: int = 5,
    real_radii: NDArray[np.float64] | None = None,
    sample_radii: NDArray[np.float64] | None = None,
    real_weights: NDArray[np.float64] | None = None,
) -> Neighbourhoods:
    """Compare samples with real images by the balls around each, which reach to its k-th nearest of its own kind.

    Source: precision and recall: Kynkäänniemi et al. 2019; density and coverage: Naeem et al. 2020.

    Args:
        real: features (N, F), N above k.
        samples: features (M, F), M above k.
        k: how many neighbours a ball reaches to.
        real_radii: what `radii` says of the real ones, where it is known already.
        sample_radii: of the samples; by default balls around samples do not reach past copies.
        real_weights: what `ball_weights` says of the real ones, where it is known already.
    """
    real_radii = radii(real, k) if real_radii is None else real_radii
    sample_radii = radii(samples, k, past_copies=False) if sample_radii is None else sample_radii
    own, limits = _limits(samples, sample_radii), _limits(real, real_radii)
    weights = ball_weights(real, real_radii, k) if real_weights is None else real_weights
    precise, density = np.zeros(len(samples), np.bool_), np.zeros(len(samples))
    recalled, covered = np.zeros(len(real), np.bool_), np.zeros(len(real), np.bool_)
    for here, squares in _squared_distances(real, samples):
        of, ball = _places(squares <= limits)
        precise[here.start + of] = covered[ball] = True
        density[here] = np.bincount(of, weights[ball], len(squares)) / k
        recalled[_places(squares <= own[here, None])[1]] = True
    return Neighbourhoods(precise, recalled, density, covered)


def inside_balls(real: NDArray[Any], real_radii: NDArray[np.float64], points: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each feature (M, F) lies in a ball around one of the real ones (N, F) with radii (N,): bool (M,)."""
    limits = _limits(real, real_radii)
    result = np.empty(len(points), np.bool_)
    for here, squares in _squared_distances(real, points):
        result[here] = (squares <= limits).numpy().any(1)
    return result


def _limits(centres: NDArray[Any], ball_radii: NDArray[np.float64]) -> torch.Tensor:
    """The squared distances up to which a feature lies in the ball of each centre, float64 (N,)."""
    return torch.from_numpy(np.maximum(np.square(ball_radii) * INSIDE, _rounding(centres)))


def _places(inside: torch.Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns that are true: few of them are, and their list is quicker to make than sums over all."""
    rows, columns = np.divmod(np.flatnonzero(inside.numpy()), inside.shape[1])
    return rows, columns


def _rounding(features: NDArray[Any]) -> NDArray[np.float64]:
    """Of each feature the squared distance below which another one is the same but for rounding, (N,)."""
    rounding: NDArray[np.float64] = SAME * np.einsum("ij,ij->i", features, features, dtype=np.float64)
    return rounding


def _is_point(features: NDArray[Any], ball_radii: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a ball reaches to copies of its centre only, (N,)."""
    return np.asarray(np.square(ball_radii) * INSIDE <= _rounding(features))
