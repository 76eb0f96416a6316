"""Many small Gaussians along the data: a mixture whose components are the clusters of a fine k-means."""

from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from latens.algebra import covariance, factor
from latens.arrays import drawn_rows, held_out
from latens.errors import UsageError
from latens.neighbours import Neighbours, nearest_neighbours
from latens.neighbours.centres import nearest_centre
from latens.samplers.contract import Tick
from latens.samplers.density import Normals
from latens.samplers.em import cluster_centres
from latens.samplers.learned import Learned, chances_and_noise
from latens.together import for_each

__all__ = ["LocalMixtureSampler"]

SIZES = (12, 24, 48)  # latents of a component, in the mean; the smallest is still no copy of any
PATIENCE = 0.03  # by how much larger components must make the logarithm of the distance less: smaller ones follow curves better
RANK = 12  # directions of a component's own
STRENGTH = 1  # latents for which the mean covariance within components counts, beside a component's own
MOST = 60_000  # latents that the fit looks at
MOST_TOGETHER = (
    2_000  # components of a class, or of all latents where there are no labels: they bound the time of k-means
)
HELD_OUT = 10  # one latent in so many is held out, to choose by
JUDGES = 2_000  # held-out latents, and samples, whose distances decide
NARROWEST, WIDEST, PRECISE = 0.5, 1.2, 0.005  # of the scale
BLOCK = 2_000  # samples at a time


class LocalMixtureSampler(Learned):
    """A Gaussian for each of the many clusters of a fine k-means, of each class by itself where there are labels.

    Latents lie along a curved sheet of fewer dimensions than they have numbers. A Gaussian of hundreds of latents bulges out of
    it, one of a dozen follows it. So few latents have no covariance of their own: a component keeps its main directions, and the
    rest is the mean covariance within the components of its class. Nothing of a single latent is kept: a component's mean is
    that of about `size` latents.

    Args:
        size: latents a component, in the mean, 2 or more; None chooses from a short list by latents held out, by how near
            samples come to them (the estimate of the divergence by nearest neighbours).
        scale: of the noise, above 0; None chooses it so that samples are as far from the nearest latent as latents are that
            were held out.

    Zeros of a ReLU are handled as `fill_zeros` says.

    Source: Tipping and Bishop, "Mixtures of probabilistic principal component analysers", 1999; the choice of the size: Wang,
    Kulkarni and Verdú, "Divergence estimation for multidimensional densities via k-nearest-neighbor distances", 2009, equation 5.
    """

    fills_zeros: ClassVar[bool] = True
    names: ClassVar[tuple[str, ...]] = ("weights", "means", "own", "rest", "within", "owners", "chosen")

    def __init__(self, size: int | None = None, scale: float | None = None) -> None:
        super().__init__()
        if size is not None and size < 2:
            raise UsageError(f"size is {size}; it must be 2 or more")
        if scale is not None and not (np.isfinite(scale) and scale > 0):
            raise UsageError(f"scale is {scale}; it must be above 0")
        self.size, self.scale = size, scale

    def _learn(
        self, latents: NDArray[np.float64], labels: NDArray[np.int64] | None, progress: Tick
    ) -> dict[str, NDArray[Any]]:
        rows = drawn_rows(len(latents), MOST)
        if labels is not None:  # at least one of each class
            rows = np.union1d(rows, np.unique(labels, return_index=True)[1])
        classes = np.zeros(1, np.int64) if labels is None else np.unique(labels)
        owners = np.zeros(len(rows), np.int64) if labels is None else np.searchsorted(classes, labels[rows])
        size, scale = self._chosen(latents[rows], owners, progress)
        return {**_components(latents[rows], owners, size), "chosen": np.array([float(size), scale])}

    def _chosen(self, latents: NDArray[np.float64], owners: NDArray[np.int64], progress: Tick) -> tuple[int, float]:
        """Size and scale: those that were given, or those that suit the latents held out best."""
        held = held_out(len(latents), HELD_OUT, JUDGES)
        held[np.unique(owners, return_index=True)[1]] = False  # a class is left with one at least
        sizes = (self.size,) if self.size else SIZES
        if not held.any() or (self.size and self.scale):
            return sizes[0], self.scale or 1.0
        base, others = latents[~held], latents[held]
        near_base = Neighbours(base)
        usual = float(np.median(near_base.nearest(others)[0]))
        best: tuple[float, int, float] | None = None
        for done, size in enumerate(sizes):
            progress(done, len(sizes) + 1)
            parts = _components(base, owners[~held], size)
            scale = self.scale or _scale_of(parts, near_base, usual)
            near = nearest_neighbours(_drawn(parts, len(base), scale), others, 1)[0]
            far = float(np.log(np.maximum(near, np.finfo(np.float32).tiny)).mean())
            if best is not None and far > best[0] - PATIENCE:
                break  # larger components follow curves no better
            best = far, size, scale
        assert best is not None
        return best[1], best[2]

    def _draw(self, n: int, random: np.random.Generator, index: NDArray[np.int64] | None) -> NDArray[Any]:
        dim = self.arrays["means"].shape[1]
        chances, noise = chances_and_noise(random, n, RANK + dim)
        return _moved(self.arrays, _picked(self.arrays, chances, index), noise, float(self.arrays["chosen"][1]))

    def _normals(self, of_classes: bool) -> Normals | None:
        parts, scale = self.arrays, float(self.arrays["chosen"][1])
        within = parts["within"].astype(np.float64)
        around = within @ within.transpose(0, 2, 1)

        def covariance(one: int) -> NDArray[np.float64]:
            own = parts["own"][one].astype(np.float64)
            rest = float(parts["rest"][one]) ** 2 * around[parts["owners"][one]]
            both: NDArray[np.float64] = scale**2 * (own.T @ own + rest)
            return both

        return Normals(parts["weights"], parts["means"], covariance, parts["owners"])


def _components(latents: NDArray[np.float64], owners: NDArray[np.int64], size: int) -> dict[str, NDArray[Any]]:
    """The components of all classes.

    Weights (T,), means (T, D), own directions (T, R, D), the size of the rest (T,), whose factors (K, D, D) are one a class.
    """
    groups = [latents[owners == owner] for owner in range(owners.max() + 1)]
    found = for_each(groups, lambda group: _components_of(group, size))
    for owner, (group, parts) in enumerate(zip(groups, found, strict=True)):
        parts["weights"] *= len(group) / len(latents)
        parts["owners"] = np.full(len(parts["means"]), owner)
    return {name: np.concatenate([parts[name] for parts in found]) for name in found[0]}


def _components_of(group: NDArray[np.float64], size: int) -> dict[str, NDArray[Any]]:
    """The components of one class, see `_components`; without `owners`."""
    num = max(1, min(MOST_TOGETHER, len(group) // size, len(np.unique(group, axis=0))))
    points = torch.from_numpy(group).float()
    centres = cluster_centres(points, num)
    nearest = nearest_centre(points, centres).numpy()
    counts = np.bincount(nearest, minlength=len(centres))
    # The mean of one latent would be that latent, which is kept by no sampler.
    if (counts == 1).any() and (counts > 1).any():
        shared = np.flatnonzero(counts > 1)
        alone = counts[nearest] == 1
        nearest[alone] = shared[nearest_centre(points[alone], centres[shared]).numpy()]
    kept, nearest, counts = np.unique(nearest, return_inverse=True, return_counts=True)
    sums = np.zeros((len(kept), group.shape[1]))
    np.add.at(sums, nearest, group)
    means = sums / counts[:, None]
    within = covariance(group - means[nearest])
    members = np.split(np.argsort(nearest, kind="stable"), np.cumsum(counts)[:-1])
    spread = max(float(np.trace(within)), np.finfo(np.float64).tiny)
    own, rest = _own([group[rows] - mean for rows, mean in zip(members, means, strict=True)], spread)
    return {
        "weights": counts / len(group),
        "means": means,
        "own": own * (np.diag(within) > 0),  # rounding would move units that never vary
        "rest": rest,
        "within": factor(within)[None],
    }


def _own(deviations: list[NDArray[np.float64]], spread: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The main directions of components, as long as the deviations along them (T, R, D), and the shares of the rest (T,).

    Their squares and the rest's are those of the covariance that is drawn towards the mean one, of the trace `spread`.

    Args:
        deviations: of each component's latents from its mean, (n, D) each.
        spread: the trace of the mean covariance within components.
    """
    dim = deviations[0].shape[1]
    own, rest = np.zeros((len(deviations), RANK, dim)), np.empty(len(deviations))
    by_count: dict[int, list[int]] = {}
    for component, rows in enumerate(deviations):
        by_count.setdefault(len(rows), []).append(component)
    for count, components in by_count.items():  # those of as many latents together: thousands, one by one, take seconds
        rows = np.stack([deviations[component] for component in components])
        total, first = count + STRENGTH, min(RANK, count, dim)
        if count <= dim:
            squares, sides = np.linalg.eigh(rows @ rows.transpose(0, 2, 1))
            turned = sides.transpose(0, 2, 1)[:, ::-1][:, :first] @ rows  # each axis, as long as its singular value
        else:
            squares, axes = np.linalg.eigh(rows.transpose(0, 2, 1) @ rows)
            lengths = np.sqrt(squares[:, ::-1, None].clip(0))
            turned = (lengths * axes.transpose(0, 2, 1)[:, ::-1])[:, :first]
        own[components, :first] = turned / np.sqrt(total)
        left = squares[:, : squares.shape[1] - first].clip(0).sum(1) / spread
        rest[components] = np.sqrt((STRENGTH + left) / total)
    return own, rest


def _picked(
    parts: "dict[str, NDArray[Any]]", chances: NDArray[np.float64], index: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """The component of each sample, by its weight among those of its class."""
    weights, owners = parts["weights"].astype(np.float64), parts["owners"]
    chosen = np.empty(len(chances), np.int64)
    for owner in [None] if index is None else np.unique(index):
        mine = np.arange(len(weights)) if owner is None else np.flatnonzero(owners == owner)
        rows = slice(None) if index is None else index == owner
        edges = np.cumsum(weights[mine]) / weights[mine].sum()
        chosen[rows] = mine[np.searchsorted(edges[:-1], chances[rows], side="right")]
    return chosen


def _moved(
    parts: "dict[str, NDArray[Any]]", chosen: NDArray[np.int64], noise: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """A draw from each of some components, (n, D)."""
    rank, drawn = parts["own"].shape[1], np.empty((len(chosen), parts["means"].shape[1]))
    for start in range(0, len(chosen), BLOCK):
        here = slice(start, start + BLOCK)
        rows = chosen[here]
        shift = np.matmul(noise[here, None, :rank], parts["own"][rows].astype(np.float64))[:, 0]
        rest = np.empty_like(shift)
        owners = parts["owners"][rows]
        for owner in np.unique(owners):
            mine = owners == owner
            rest[mine] = noise[here, rank:][mine] @ parts["within"][owner].astype(np.float64).T
        drawn[here] = parts["means"][rows] + scale * (shift + parts["rest"][rows, None] * rest)
    return drawn


def _drawn(parts: dict[str, NDArray[Any]], n: int, scale: float) -> NDArray[np.float64]:
    chances, noise = chances_and_noise(np.random.default_rng(0), n, RANK + parts["means"].shape[1])
    return _moved(parts, _picked(parts, chances, None), noise, scale)


def _scale_of(parts: dict[str, NDArray[Any]], base: Neighbours, usual: float) -> float:
    """The scale at which samples are as far from the nearest latent, in the median, as others are."""
    from scipy.optimize import brentq  # a third of a second

    @cache
    def beyond(scale: float) -> float:
        return float(np.median(base.nearest(_drawn(parts, JUDGES, scale))[0])) - usual

    if beyond(WIDEST) < 0:
        return WIDEST
    if beyond(NARROWEST) > 0:
        return NARROWEST
    return float(brentq(beyond, NARROWEST, WIDEST, xtol=PRECISE))
