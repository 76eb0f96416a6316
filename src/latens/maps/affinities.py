"""Affinities of points: Gaussian weights of a chosen perplexity over nearest neighbours."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["joint_affinities", "negative_entropy", "perplexity_weights"]

ROWS = 4096  # at a time: what stays within a cache
TOLERANCE = 1e-9  # of the entropy
VALUES = 1 << 22  # affinities at a time
SUMMED = 1 << 15  # rows of affinities at a time


def perplexity_weights(distances: NDArray[Any], perplexity: float) -> NDArray[np.float64]:
    """Gaussian weights of neighbours, the width chosen for each row so that they have the given perplexity.

    Args:
        distances: (M, k) of the neighbours, finite.
        perplexity: exponential of the entropy of the weights, 1 to k.

    Returns:
        (M, k), each row with sum 1.

    Van der Maaten and Hinton 2008, section 2.
    """
    weights = np.empty(distances.shape)
    for start in range(0, len(distances), ROWS):
        squares = torch.from_numpy(distances[start : start + ROWS].astype(np.float64)).square()
        weights[start : start + ROWS] = _weights(squares, math.log(perplexity)).numpy()
    return weights


def _weights(squares: Tensor, entropy: float) -> Tensor:
    """Normalised weights exp(-precision * squares) of the given entropy: by Newton on log(precision), held by a bracket.

    A row whose entropy is right is left alone: a further step would have no room within its bracket, and would lead away.
    """
    squares = squares - squares.amin(1, keepdim=True)
    squares /= squares.mean(1, keepdim=True).clamp_(min=torch.finfo(squares.dtype).tiny)
    low, high = torch.full((len(squares), 1), -20.0, dtype=squares.dtype), torch.full_like(squares[:, :1], 20.0)
    log_precision = torch.zeros_like(low)
    found, rows = torch.empty_like(squares), torch.arange(len(squares))
    for _ in range(60):
        precision = log_precision.exp()
        weights = torch.exp(-precision * squares)
        total = weights.sum(1, keepdim=True)
        weights /= total
        mean = (weights * squares).sum(1, keepdim=True)
        excess = total.log() + precision * mean - entropy  # the entropy falls as the Gaussian gets narrower
        found[rows] = weights
        going = (excess.abs() >= TOLERANCE)[:, 0]
        if not going.all():
            if not going.any():
                break
            rows, squares, weights, low, high = rows[going], squares[going], weights[going], low[going], high[going]
            log_precision, precision, mean, excess = log_precision[going], precision[going], mean[going], excess[going]
        low, high = torch.where(excess > 0, log_precision, low), torch.where(excess > 0, high, log_precision)
        variance = (weights * squares.square()).sum(1, keepdim=True) - mean.square()
        newton = log_precision + excess / (precision.square() * variance)
        inside = (newton > low) & (newton < high)  # not where the variance is zero
        log_precision = torch.where(inside, newton, (low + high) / 2)
    return found


def joint_affinities(distances: NDArray[Any], indices: NDArray[Any], perplexity: float) -> "csr_matrix":
    """The symmetric affinities of points, sum 1, from the distances and indices (N, k) of their neighbours; float32.

    Van der Maaten and Hinton 2008, section 2; over nearest neighbours only, as van der Maaten 2014 does. Both sums are made some
    rows at a time, since a million points have some 10⁸ affinities: one copy of them is a gigabyte. int32 indices are not copied.
    """
    from scipy.sparse import csr_matrix

    num, k = indices.shape
    weights = np.empty(num * k, np.float32)
    for start in range(0, num, ROWS):
        some = perplexity_weights(distances[start : start + ROWS], perplexity)
        weights[start * k : start * k + some.size] = some.reshape(-1)
    starts = np.arange(0, num * k + 1, k)
    conditional = csr_matrix((weights, indices.reshape(-1), starts), shape=(num, num))
    turned = conditional.T.tocsr()
    joined = _Joined(num, 2 * weights.size, conditional.indices.dtype)
    for start in range(0, num, SUMMED):
        part = csr_matrix(conditional[start : start + SUMMED] + turned[start : start + SUMMED])
        part.sort_indices()
        joined.add(part)
    return joined.whole()


def negative_entropy(affinities: NDArray[Any]) -> float:
    """The sum of p log p over affinities above 0, (M,)."""
    parts = (affinities[start : start + VALUES].astype(np.float64) for start in range(0, len(affinities), VALUES))
    return float(sum((part * np.log(part)).sum() for part in parts))


class _Joined:
    """Rows of a sparse matrix (N, N), put together block by block; memory is taken for what comes only."""

    def __init__(self, num: int, most: int, indices: Any) -> None:
        self.data, self.indices = np.empty(most, np.float32), np.empty(most, indices)
        self.starts, self.rows, self.filled = np.zeros(num + 1, np.int64), 0, 0

    def add(self, part: "csr_matrix") -> None:
        here, rows = slice(self.filled, self.filled + part.nnz), slice(self.rows + 1, self.rows + 1 + part.shape[0])
        self.data[here], self.indices[here] = part.data, part.indices
        self.starts[rows] = self.filled + part.indptr[1:].astype(np.int64)
        self.filled, self.rows = here.stop, rows.stop - 1

    def whole(self) -> "csr_matrix":
        """The matrix, scaled to sum 1."""
        from scipy.sparse import csr_matrix

        data = self.data[: self.filled]
        data /= data.sum(dtype=np.float64)
        np.maximum(data, np.finfo(np.float32).tiny, out=data)  # none becomes zero, whose logarithm is not finite
        num = len(self.starts) - 1
        return csr_matrix((data, self.indices[: self.filled], self.starts), shape=(num, num))
