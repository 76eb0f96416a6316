"""KID, the kernel distance: the squared maximum mean discrepancy of two sets of features; unbiased, so fit for small ones."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latens.metrics.intervals import jackknife_deviation

__all__ = ["KernelSet", "KernelSums", "group_rows", "kernel_distance", "kernel_sums"]

GROUPS = 20  # of the jackknife
ROWS = 1000  # of a block of pairs
NARROW = 96  # features of which all products of three are summed: 49 MB


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


class KernelSet:
    """Features whose kernel is summed with several others: what each sum needs of them is computed once.

    Args:
        features: (N, F).
    """

    def __init__(self, features: NDArray[Any]) -> None:
        self.features, self.dim = features, features.shape[1]

    @cached_property
    def groups(self) -> list[Tensor]:
        """The features of each group, float64."""
        whole = torch.from_numpy(np.array(self.features, np.float64))
        return [whole[torch.from_numpy(rows)] for rows in group_rows(len(whole))]

    @cached_property
    def cubes(self) -> Tensor:
        """The sums over each group of all products of three numbers of [x / √F, 1], (groups, products).

        The kernel is the third power of a product of two such rows, so that its sum over all pairs is a product of two sums.
        """
        return _cubes(self.groups)


def kernel_sums(x: NDArray[Any] | KernelSet, y: NDArray[Any] | KernelSet | None = None) -> KernelSums:
    """Sum the kernel (x·y / F + 1)³ over all pairs of features.

    Args:
        x: (N, F).
        y: (M, F); None: x itself, and no feature makes a pair with itself.
    """
    first = x if isinstance(x, KernelSet) else KernelSet(x)
    second = first if y is None else y if isinstance(y, KernelSet) else KernelSet(y)
    counts = [np.array([len(group) for group in one.groups], np.float64) for one in (first, second)]
    pairs = np.outer(*counts)
    sums = (first.cubes @ second.cubes.T).numpy() if first.dim <= NARROW else _sums_of_pairs(first, second)
    if y is None:
        sums -= np.diag([float(_kernel(group.square().sum(1) / first.dim).sum()) for group in first.groups])
        pairs -= np.diag(counts[0])
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


def _cubes(groups: list[Tensor]) -> Tensor:
    """Of the rows (N, F) of each group the sums of products of three numbers, (groups, products).

    Of the products of the numbers i, j and k those are summed where i is the least. Each is multiplied by the root of how often
    it comes, in any order, so that the product of two such sums is the sum over all of them.
    """
    dim = groups[0].shape[1] + 1
    rows = torch.zeros(len(groups), max(map(len, groups)), dim, dtype=torch.float64)
    for place, group in zip(rows, groups, strict=True):
        place[: len(group), :-1] = group / group.shape[1] ** 0.5
        place[: len(group), -1] = 1
    found = []
    for i in range(dim):
        others = rows[:, :, i:]
        sums = torch.bmm((others * others[:, :, :1]).mT, others)
        often = torch.full(sums.shape[1:], 3.0, dtype=torch.float64)
        often[0], often[:, 0] = 1.5, 1.5
        often[0, 0] = 1
        found.append((sums * often.sqrt()).flatten(1))
    return torch.cat(found, 1)


def _sums_of_pairs(x: KernelSet, y: KernelSet) -> NDArray[np.float64]:
    """The sums pair by pair: of wide features there are more products of three than pairs."""
    sums = np.zeros((GROUPS, GROUPS))
    for i, first in enumerate(x.groups):
        for j, second in enumerate(y.groups):
            sums[i, j] = sums[j, i] if x is y and j < i else _sum(first, second)
    return sums


def _kernel(products: Tensor) -> Tensor:
    return products.add_(1).pow_(3)


def _sum(x: Tensor, y: Tensor) -> float:
    total = 0.0
    for start in range(0, len(x), ROWS):
        for other in range(0, len(y), ROWS):
            products = x[start : start + ROWS] @ y[other : other + ROWS].T
            total += float(_kernel(products.div_(x.shape[1])).sum())
    return total
