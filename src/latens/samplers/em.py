"""Expectation-maximisation of Gaussian mixtures, by products of matrices."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latens.neighbours.centres import moved_centres, nearest_centre

__all__ = ["Mixture", "cluster_centres", "fit_mixture", "improve"]

TOLERANCE = 1e-2  # nats a point; fitting stops after a round that gains less
AT_ONCE = 2**23  # numbers of the largest array that a round makes
NOTHING = 1e-8  # share of a point that float32 rounds away: most points belong to one component, and hardly to others
FAR = -40.0  # of the log of a share: a component that owns less of a point is not looked at in the next round
LOOK_AT_ALL = 4  # rounds, of which one looks at all components again
REGULAR = 1e-4  # added to variances, where the mean variance of a unit is 1
MEANS_ROUNDS = 5  # of k-means, with which it begins
# One centre is drawn for so many before it, at least one: of thousands most are drawn in few rounds.
DRAWN_TOGETHER = 16


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians: weights (K,), means (K, D) and lower triangular factors (K, D, D) of the covariances."""

    weights: Tensor
    means: Tensor
    factors: Tensor

    def log_joint(self, x: Tensor, near: Tensor | None = None) -> Tensor:
        """The log of weight times density of points (N, D) under each component, (N, K).

        Args:
            x: the points.
            near: bool (N, K): only these are computed, and the rest is minus infinity; None computes all.
        """
        count, dim = self.means.shape
        eye = torch.eye(dim, dtype=x.dtype).expand_as(self.factors)
        inverse = torch.linalg.solve_triangular(self.factors, eye, upper=False)  # (K, D, D)
        shift = torch.einsum("kij,kj->ki", inverse, self.means)
        constant = self.weights.log() - self.factors.diagonal(dim1=1, dim2=2).log().sum(1)
        constant -= dim / 2 * math.log(2 * math.pi)
        if near is None:
            white = torch.addmm(-shift.flatten(), x, inverse.reshape(count * dim, dim).T).view(len(x), count, dim)
            return constant - white.square_().sum(2) / 2
        joint = x.new_full((len(x), count), -math.inf)
        for one, mine in enumerate(near.T):
            rows = mine.nonzero().flatten()
            white = torch.addmm(-shift[one], x[rows], inverse[one].T)
            joint[rows, one] = constant[one] - white.square_().sum(1) / 2
        return joint

    def score(self, x: Tensor) -> Tensor:
        """The log-density of points (N, D), (N,)."""
        return torch.cat([self.log_joint(rows).logsumexp(1) for rows in torch.split(x, self.rows_at_once)])

    @property
    def rows_at_once(self) -> int:
        """Points whose work fits into the memory that a round may take."""
        return _rows_at_once(self.means)


def fit_mixture(x: Tensor, components: int, strength: float, diagonal: bool, rounds: int) -> Mixture:
    """A mixture for points, from the clusters that k-means finds.

    Args:
        x: (N, D), about unit variance.
        components: K, at most N.
        strength: how many points the mean covariance within components counts for, to which each one's is drawn; more than 0.
        diagonal: keep the variances only.
        rounds: at most, see `improve`.
    """
    centres = cluster_centres(x, components)
    sums = None
    for rows in torch.split(x, _rows_at_once(centres)):
        share = torch.nn.functional.one_hot(nearest_centre(rows, centres), components).to(x.dtype)
        sums = _added(sums, _sums(rows, share, diagonal))
    assert sums is not None, "there are points"
    start = _from_sums(*sums, strength, diagonal)
    return improve(start, x, strength, diagonal, rounds)


def improve(mixture: Mixture, x: Tensor, strength: float, diagonal: bool, rounds: int) -> Mixture:
    """Continue to fit a mixture: rounds of expectation-maximisation, until one gains less than `TOLERANCE`.

    Covariances are the modes under an inverse Wishart prior about the mean one, so that a component of few points stays near it.
    """
    before = -math.inf
    blocks = torch.split(x, mixture.rows_at_once)
    near: list[Tensor | None] = [None] * len(blocks)
    for number in range(rounds):
        sums: Sums | None = None
        likelihood = 0.0
        for place, rows in enumerate(blocks):
            # A component far below the likeliest of a point does not come near in a few rounds; every fourth looks at all.
            joint = mixture.log_joint(rows, near[place] if number % LOOK_AT_ALL else None)
            density = joint.logsumexp(1, keepdim=True)
            likelihood += float(density.double().sum())
            joint -= density
            near[place] = joint > FAR
            sums = _added(sums, _sums(rows, joint.exp_(), diagonal))
        assert sums is not None
        mixture = _from_sums(*sums, strength, diagonal)
        if likelihood / len(x) - before < TOLERANCE:
            break
        before = likelihood / len(x)
    return mixture


Sums = tuple[Tensor, Tensor, Tensor]


def _rows_at_once(means: Tensor) -> int:
    """Points (N, D) of which an array (K, D, N) keeps to the memory that a round may take."""
    return max(1, AT_ONCE // means.numel())


def _added(sums: Sums | None, more: Sums) -> Sums:
    return more if sums is None else (sums[0] + more[0], sums[1] + more[1], sums[2] + more[2])


def _nearest_square(x: Tensor, squares: Tensor, centres: Tensor) -> Tensor:
    """The squared distance of points (N, D), whose `squares` are (N,), to the nearest of some centres: (N,), to draw by."""
    return squares + torch.addmm(centres.square().sum(1), x, centres.T, alpha=-2).amin(1)


def _sums(x: Tensor, share: Tensor, diagonal: bool) -> Sums:
    """Count (K,), sum (K, D) and sum of squares (K, D, D) of points (N, D), of which components own shares (N, K)."""
    count, total = share.sum(0), share.T @ x
    if diagonal:
        return count, total, torch.diag_embed(share.T @ x.square())
    square = torch.empty(*total.shape, x.shape[1], dtype=x.dtype)
    for one, own in zip(square, share.T.contiguous(), strict=True):
        rows = (own > NOTHING).nonzero().flatten()
        mine = x[rows]
        torch.mm((mine * own[rows, None]).T, mine, out=one)
    return count, total, square


def _from_sums(count: Tensor, total: Tensor, square: Tensor, strength: float, diagonal: bool) -> Mixture:
    means = total / count.clamp(min=1e-6)[:, None]
    scatter = square - total[:, :, None] * means[:, None, :]
    within, eye = scatter.sum(0) / count.sum(), torch.eye(means.shape[1], dtype=means.dtype)
    covariances = (scatter + strength * within) / (count + strength)[:, None, None] + REGULAR * eye
    if diagonal:
        covariances = torch.diag_embed(covariances.diagonal(dim1=1, dim2=2))
    weights = (count + 1) / (count.sum() + len(count))  # no component dies
    return Mixture(weights, means, torch.linalg.cholesky(covariances))


def cluster_centres(x: Tensor, num: int) -> Tensor:
    """Centres of clusters (K, D): k-means, begun with points that are drawn by their squared distance to those before."""
    random = torch.Generator().manual_seed(0)
    centres = x[torch.randint(len(x), (1,), generator=random)]
    distance, squares = (x - centres).square().sum(1), x.square().sum(1)
    while len(centres) < num:
        # All points may have been drawn already: then any point is as good.
        some = min(num - len(centres), max(1, len(centres) // DRAWN_TOGETHER))
        rows = torch.multinomial(distance.clamp(min=0) + 1e-12, some, generator=random)
        centres = torch.cat([centres, x[rows]])
        new = (x - x[rows]).square().sum(1) if some == 1 else _nearest_square(x, squares, x[rows])
        distance = torch.minimum(distance, new)
    for _ in range(MEANS_ROUNDS):
        centres = moved_centres(x, centres)
    return centres
