"""Affinities of points: Gaussian weights of a chosen perplexity over nearest neighbours."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["joint_affinities", "perplexity_weights"]

ROWS = 4096  # at a time: what stays within a cache
TOLERANCE = 1e-9  # of the entropy


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
    """The symmetric affinities of points, sum 1, from the distances and indices (N, k) of their neighbours.

    Van der Maaten and Hinton 2008, section 2; over nearest neighbours only, as van der Maaten 2014 does.
    """
    from scipy.sparse import csr_matrix

    num, k = indices.shape
    weights = perplexity_weights(distances, perplexity).ravel()
    rows = np.arange(0, num * k + 1, k)
    conditional = csr_matrix((weights, indices.ravel(), rows), shape=(num, num))
    joint = csr_matrix(conditional + conditional.T)
    joint.sort_indices()
    joint.data /= joint.data.sum()
    return joint
