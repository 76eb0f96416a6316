"""k-means: the nearest of some centres, and a round that moves the centres."""

import torch
from torch import Tensor

__all__ = ["moved_centres", "nearest_centre"]

IN_CACHE = 1 << 18  # numbers of an array that is read again at once


def nearest_centre(x: Tensor, centres: Tensor) -> Tensor:
    """The nearest of K centres (K, D) for each of N points (N, D), a few points at a time: int64 (N,)."""
    middle = centres.mean(0)  # far from it, differences of squares lose the distances between points
    near = centres - middle
    half, turned = near.square().sum(1) / 2, near.T.contiguous()
    parts = torch.split(x, max(1, IN_CACHE // max(len(centres), x.shape[1])))
    return torch.cat([torch.addmm(half, rows - middle, turned, alpha=-1).argmin(1) for rows in parts])


def moved_centres(x: Tensor, centres: Tensor) -> Tensor:
    """The centres (K, D) after a round of k-means: each is the mean of the points (N, D) nearest to it, or stays without any."""
    nearest = nearest_centre(x, centres)
    total = torch.zeros_like(centres).index_add_(0, nearest, x)
    count = torch.bincount(nearest, minlength=len(centres))[:, None]
    return torch.where(count > 0, total / count.clamp(min=1), centres)
