"""Jitter: a latent of the data, moved within its neighbourhood (manifold Parzen windows)."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latens.arrays import drawn_rows, held_out
from latens.errors import UsageError
from latens.neighbours import nearest_neighbours
from latens.samplers.contract import Tick
from latens.samplers.learned import Learned, chances_and_noise

__all__ = ["JitterSampler"]

MOST = 60_000  # latents that are kept: the fewer, the wider apart, and the blurrier the samples between them
SHRINKAGE = 0.5  # share of the way to the mean of the neighbourhood
HELD_OUT = 10  # one latent in so many is held out, to measure how far new latents are from the others
JUDGES = 2_000  # latents, and samples, by whose distances the scale is found
HALVINGS = 12
LARGEST = 1.5  # scale: along a thin line of data no noise moves samples away from them, and more noise would only blur
BLOCK = 1_000  # samples at a time


class JitterSampler(Learned):
    """A random latent of the data, half-way to the mean of its neighbourhood, plus normal noise of its neighbours' covariance.

    So it moves along the data, not away from them. Without the step to the mean, the noise would add to the full spread of the
    data. The scale of the noise is such that samples are as far from the nearest latent as held-out latents are: nearer ones
    would be copies.

    Args:
        scale: of the noise, 1 is the neighbourhood's own; None finds it by held-out latents.
        neighbours: of a neighbourhood, of the latent's own class where there are labels; 1 or more.

    Source: Vincent and Bengio, "Manifold Parzen windows", 2003, equation 4; the half-way is the shrinkage of kernels of West,
    "Approximating posterior distributions by mixtures", 1993, section 3.
    """

    keeps_data: ClassVar[bool] = True
    names: ClassVar[tuple[str, ...]] = ("latents", "labels", "neighbours", "scale")

    def __init__(self, scale: float | None = None, neighbours: int = 32) -> None:
        super().__init__()
        if scale is not None and not (np.isfinite(scale) and scale >= 0):
            raise UsageError(f"scale is {scale}; it must be 0 or more")
        if neighbours < 1:
            raise UsageError(f"neighbours is {neighbours}; it must be 1 or more")
        self.scale, self.neighbours = scale, neighbours

    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        rows = drawn_rows(len(latents), MOST)
        if labels is not None:
            # At least one of each class.
            rows = np.union1d(rows, np.unique(labels, return_index=True)[1])
        kept, own = latents[rows], None if labels is None else labels[rows]
        scale = _scale_of_new(kept, own, self.neighbours) if self.scale is None else self.scale
        return {
            "latents": kept,
            "labels": np.empty(0, np.int64) if own is None else own,
            "neighbours": np.array([self.neighbours]),
            "scale": np.array([scale]),
        }

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        latents, labels, neighbours = self.arrays["latents"], self.arrays["labels"], int(self.arrays["neighbours"][0])
        chances, noise = chances_and_noise(random, n, 1 + neighbours)
        if index is None:
            rows = (chances * len(latents)).astype(np.int64)
        else:
            rows = np.empty(n, np.int64)
            for label in np.unique(index):
                members = np.flatnonzero(labels == self.classes[label])
                mine = index == label
                rows[mine] = members[(chances[mine] * len(members)).astype(np.int64)]
        near = _neighbourhoods(latents, labels if len(labels) else None, rows, neighbours)
        return _moved(latents, near, noise, float(self.arrays["scale"][0]))


def _neighbourhoods(
    latents: NDArray[Any], labels: NDArray[np.int64] | None, rows: NDArray[np.int64], neighbours: int
) -> NDArray[np.int64]:
    """The rows of the nearest to some latents, (n, 1 + k), themselves first, of the same class; repeated if there are too few."""
    near = np.repeat(rows[:, None], 1 + neighbours, axis=1)
    groups = [np.arange(len(latents))] if labels is None else [np.flatnonzero(labels == k) for k in np.unique(labels)]
    for members in groups:
        mine = np.isin(rows, members) if labels is not None else np.ones(len(rows), np.bool_)
        k = min(neighbours, len(members) - 1)
        if k and mine.any():
            near[mine, : 1 + k] = members[nearest_neighbours(latents[members], latents[rows[mine]], 1 + k)[1]]
    return near


def _moved(
    latents: NDArray[Any], near: NDArray[np.int64], noise: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """The first latent of each neighbourhood (n, 1 + k), moved: (n, D); the noise weighs the neighbours' deviations."""
    moved = np.empty((len(near), latents.shape[1]))
    weights = noise * (scale / np.sqrt(max(1, near.shape[1] - 1)))
    for start in range(0, len(near), BLOCK):
        here = slice(start, start + BLOCK)
        around = latents[near[here]].astype(np.float64)  # (B, 1 + k, D)
        middle = around.mean(1)
        shift = np.matmul(weights[here, None], around - middle[:, None])[:, 0]
        moved[here] = (1 - SHRINKAGE) * around[:, 0] + SHRINKAGE * middle + shift
    return moved


def _scale_of_new(latents: NDArray[np.float64], labels: NDArray[np.int64] | None, neighbours: int) -> float:
    """The scale at which samples are as far from the nearest of most latents, in the median, as the others are."""
    held = held_out(len(latents), HELD_OUT, JUDGES)
    if not held.any():
        return 1.0
    base, others = latents[~held], latents[held]
    target = np.median(nearest_neighbours(base, others, 1)[0])
    random = np.random.default_rng(0)
    rows = random.integers(0, len(base), JUDGES)
    near = _neighbourhoods(base, None if labels is None else labels[~held], rows, neighbours)
    noise = random.standard_normal(near.shape)
    low, high = 0.0, LARGEST
    for _ in range(HALVINGS):
        scale = (low + high) / 2
        moved = _moved(base, near, noise, scale)
        nearer = np.median(nearest_neighbours(base, moved, 1)[0]) < target
        low, high = (scale, high) if nearer else (low, scale)
    return (low + high) / 2
