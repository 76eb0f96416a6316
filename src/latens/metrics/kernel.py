"""KID, the kernel distance: the squared maximum mean discrepancy of two sets of features; unbiased, so fit for small ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latens.metrics.intervals import jackknife_deviation

__all__ = ["KernelSums", "group_rows", "kernel_distance", "kernel_sums"]

GROUPS = 20  # of the jackknife
ROWS = 1000  # of a block of pairs


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Sums of the kernel over pairs, by group of the first and of the second; and how many pairs, by the same groups."""

    sums: NDArray[np.float64]
    pairs: NDArray[np.float64]

    def mean(self, without: int | None = None) -> float:
        """The kernel's mean over all pairs, or over those that touch no member of one group."""
        kept = np.arange(len(self.sums)) != without
        return float(self.sums[np.ix_(kept, kept)].sum() / self.pairs[np.ix_(kept, kept)].sum())


def group_rows(num: int) -> list[NDArray[np.int64]]:
    """The rows of each group of so many images: always the same, and at random, as images may be ordered by class."""
    order = np.random.default_rng(0).permutation(num)
    return [order[group::GROUPS] for group in range(GROUPS)]


def kernel_sums(x: NDArray[Any], y: NDArray[Any] | None = None) -> KernelSums:
    """Sum the kernel (x·y / F + 1)³ over all pairs of features.

    Args:
        x: (N, F).
        y: (M, F); None: x itself, and no feature makes a pair with itself.
    """
    of_x = _groups(x)
    of_y = of_x if y is None else _groups(y)
    sums, pairs = np.zeros((GROUPS, GROUPS)), np.zeros((GROUPS, GROUPS))
    for i, first in enumerate(of_x):
        for j, second in enumerate(of_y):
            if y is None and j < i:
                sums[i, j], pairs[i, j] = sums[j, i], pairs[j, i]
                continue
            sums[i, j], pairs[i, j] = _sum(first, second), len(first) * len(second)
            if y is None and i == j:
                sums[i, j] -= float(_kernel(first.square().sum(1) / first.shape[1]).sum())
                pairs[i, j] -= len(first)
    return KernelSums(sums, pairs)


def kernel_distance(x: KernelSums, y: KernelSums, between: KernelSums) -> tuple[float, float]:
    """The kernel distance and its standard deviation, by a jackknife over 20 groups of both sets.

    Source: Bińkowski et al. 2018, "Demystifying MMD GANs"; unbiased estimate: Gretton et al. 2012, "A kernel two-sample test".

    Args:
        x: sums over pairs of the first set; it needs three members at least.
        y: of the second set.
        between: of the first with the second.
    """

    def distance(without: int | None = None) -> float:
        return x.mean(without) + y.mean(without) - 2 * between.mean(without)

    return distance(), jackknife_deviation(distance, GROUPS)


def _groups(features: NDArray[Any]) -> list[Tensor]:
    whole = torch.from_numpy(np.array(features, np.float64))
    return [whole[torch.from_numpy(rows)] for rows in group_rows(len(whole))]


def _kernel(products: Tensor) -> Tensor:
    return products.add_(1).pow_(3)


def _sum(x: Tensor, y: Tensor) -> float:
    total = 0.0
    for start in range(0, len(x), ROWS):
        for other in range(0, len(y), ROWS):
            products = x[start : start + ROWS] @ y[other : other + ROWS].T
            total += float(_kernel(products.div_(x.shape[1])).sum())
    return total
