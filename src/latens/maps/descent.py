"""The optimisation of t-SNE: gradient descent on the Kullback-Leibler divergence."""

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from latens.maps.affinities import negative_entropy
from latens.maps.compiled import FARTHEST, CompiledDescent
from latens.maps.repulsion import repulsion_between
from latens.native import library

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

__all__ = ["descend"]

# What the affinities are multiplied by, iterations, momentum, and the learning rate divided by the number of points.
LAYING_OUT = ((12.0, 100, 0.8, 1 / 3), (4.0, 50, 0.8, 1.0), (1.0, 50, 0.8, 1.0))
SETTLING = (1.0, 300, 0.95, 2.0)
EVERY = 25  # iterations between two checks of the divergence, or calls of progress
LEAST_GAIN = 0.01  # of the divergence, over 50 iterations
FRESH = 25  # iterations, after the forces have changed all at once, in which the attraction is always up to date
STALE = 3  # iterations for which its weights serve later
EDGES = 1 << 16  # at a time: what stays within a cache


def descend(
    affinities: "csr_matrix",
    start: "NDArray[np.float64]",
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], object] | None = None,
) -> tuple["NDArray[np.float32]", float]:
    """Lower the divergence of a map by gradient descent with momentum and gains.

    Args:
        affinities: (N, N), symmetric, sum 1; no zeros stored.
        start: (N, 2), small.
        device: where to compute.
        progress: called with (done, total) iterations.

    Returns:
        Coordinates (N, 2), and their Kullback-Leibler divergence as the descent sees it (about one per cent off).

    100 iterations with affinities times 12 (van der Maaten and Hinton 2008, section 3.4) lay out the whole map, 50 with
    affinities times 4 let it expand in two steps: a map that expands at once keeps less of its order. 50 plain ones with
    momentum 0.8 follow, then up to 300 with 0.95, which gains in one iteration as much as 0.8 in three; they end when 50 of
    them gain less than 1 % (docs/log.md).
    """
    device = torch.device(device)
    with torch.inference_mode():
        descent: _Descent | CompiledDescent
        if device.type == "cpu" and library() is not None:
            descent = CompiledDescent(affinities, start)
        else:
            descent = _Descent(affinities, torch.from_numpy(start).to(device, torch.float32))
        done, total = 0, sum(phase[1] for phase in (*LAYING_OUT, SETTLING))
        for exaggeration, iterations, momentum, rate in LAYING_OUT:
            descent.rest()  # the forces change
            for _ in range(0, iterations, EVERY):
                descent.run(EVERY, exaggeration, momentum, rate)
                done += EVERY
                if progress is not None:
                    progress(done, total)
        divergences: list[float] = []
        exaggeration, iterations, momentum, rate = SETTLING
        while len(divergences) * EVERY < iterations and not _has_settled(divergences):
            descent.run(EVERY, exaggeration, momentum, rate)
            divergences.append(descent.divergence())
            done += EVERY
            if progress is not None:
                progress(done, total)
        if progress is not None:
            progress(total, total)
        return descent.y.cpu().numpy(), divergences[-1]


def _has_settled(divergences: list[float]) -> bool:
    """Whether to stop: the divergence hardly falls any more, or is no longer finite."""
    if divergences and not math.isfinite(divergences[-1]):
        return True
    return len(divergences) > 2 and divergences[-3] - divergences[-1] < LEAST_GAIN * divergences[-3]


class _Descent:
    """Positions, velocities and gains of the points."""

    def __init__(self, affinities: "csr_matrix", start: Tensor) -> None:
        self.y = start
        self.attraction = _Attraction(affinities, start.device)
        self.repulsion = repulsion_between(len(start))
        self.rest()

    def rest(self) -> None:
        """Reset velocities and gains, because the forces change."""
        self.velocity, self.gains, self.age = torch.zeros_like(self.y), torch.ones_like(self.y), 0

    def run(self, iterations: int, exaggeration: float, momentum: float, rate: float) -> None:
        """Move all points; `rate` is the learning rate divided by the number of points, of which there are at least 200."""
        rate *= max(200, len(self.y))
        for _ in range(iterations):
            if self.age < FRESH or self.age % STALE == 0:
                self.attraction.update(self.y)
            self.age += 1
            repulsive, total = self.repulsion(self.y)
            gradient = self.attraction.forces(self.y).mul_(exaggeration).sub_(repulsive, alpha=1 / max(total, 1e-12))
            uphill = gradient * self.velocity > 0
            # Gains as in Jacobs 1988: smaller where a coordinate oscillates, larger where it keeps its direction.
            self.gains = torch.where(uphill, self.gains * 0.8, self.gains + 0.2).clamp_(min=0.01)
            self.velocity.mul_(momentum).addcmul_(self.gains, gradient, value=-rate)
            length = self.velocity.square().sum(1, keepdim=True).sqrt()
            self.y = self.y + self.velocity * (FARTHEST / length.clamp(min=FARTHEST))
            self.y -= self.y.mean(0)

    def divergence(self) -> float:
        """The Kullback-Leibler divergence, up to the approximation of the repulsion."""
        self.attraction.update(self.y)
        return self.attraction.cross_entropy() + math.log(max(self.repulsion(self.y)[1], 1e-12))


class _Attraction:
    """The attraction between neighbours: a product with a sparse matrix, whose weights depend on the distances.

    The weights change slowly and cost more than the product, so they may serve for several iterations.
    """

    def __init__(self, affinities: "csr_matrix", device: torch.device) -> None:
        self.starts = torch.from_numpy(affinities.indptr).to(device)
        self.targets = torch.from_numpy(affinities.indices).to(device)
        self.affinities = torch.from_numpy(affinities.data.astype(np.float32)).to(device)
        self.negative_entropy = negative_entropy(affinities.data)
        self.num = len(self.starts) - 1
        rows = torch.arange(self.num, dtype=self.targets.dtype, device=device)
        self.sources = rows.repeat_interleave(self.starts.diff())
        self.similarities, self.weights = torch.empty_like(self.affinities), torch.empty_like(self.affinities)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta", UserWarning)
            self.matrix = torch.sparse_csr_tensor(
                self.starts, self.targets, self.weights, (self.num, self.num), check_invariants=False
            )
        self.ones = torch.ones(self.num, 1, device=device)
        self.edges = EDGES if device.type == "cpu" else len(self.targets)

    def update(self, y: Tensor) -> None:
        """Compute the weights again for these points (N, 2)."""
        points = torch.view_as_complex(y.contiguous())
        for start in range(0, len(self.targets), self.edges):
            part = slice(start, start + self.edges)
            apart = points.index_select(0, self.targets[part]) - points.index_select(0, self.sources[part])
            across, down = apart.real, apart.imag
            self.similarities[part] = torch.addcmul(across.square(), down, down).add_(1).reciprocal_()
        torch.mul(self.affinities, self.similarities, out=self.weights)  # which are those of the matrix

    def forces(self, y: Tensor) -> Tensor:
        """For each point the sum over its neighbours of weight times (y_i - y_j): (N, 2)."""
        sums = self.matrix @ torch.cat((y, self.ones), 1)
        return y * sums[:, 2:] - sums[:, :2]

    def cross_entropy(self) -> float:
        """The divergence without its normalisation, as of the last update."""
        logarithms = self.similarities.log().double()
        return self.negative_entropy - float(torch.dot(self.affinities.double(), logarithms))
