"""Detectors as modules of torch: the same scores and maps as by NumPy, as graphs that need neither NumPy nor latens.

All is float32, and made of operations that ONNX has. A detector makes its own from what it has learned (`Detector.graph`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

__all__ = [
    "CombinedGraph",
    "DetectorGraph",
    "NeighboursGraph",
    "PValues",
    "Peak",
    "ReconstructionGraph",
    "Scale",
    "Smoothing",
    "StructuralGraph",
    "Usual",
    "middle_of",
]

CANDIDATES = 20  # points by products, beside those asked for, whose distances are then taken as differences
ROUNDING = 1e-8  # what is left of the identity when an inverse is done
TIE = 1e-4  # of a score or of their spread, up to which two count as equal: reconstructions are rounded differently elsewhere


class DetectorGraph(nn.Module):
    """What a detector measures, of images and reconstructions (B, C, H, W) and latents (B, D)."""

    def forward(self, x: Tensor, latents: Tensor, reconstructions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scores (B,), and maps (B, H, W) or None."""
        raise NotImplementedError


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array, np.float32))


def middle_of(values: Tensor) -> Tensor:
    """The median of each row, (B, n) -> (B, 1): of an even number the mean of the two in the middle."""
    half = values.shape[1] // 2
    upper = values.topk(half + 1, 1).values  # (B, half + 1), the greatest first
    return upper[:, -1:] if values.shape[1] % 2 else upper[:, -2:].mean(1, keepdim=True)


class Smoothing(nn.Module):
    """`gaussian_filter` over the last two axes, as two products of matrices: (..., H, W) -> (..., H, W)."""

    def __init__(self, height: int, width: int, sigma: float) -> None:
        super().__init__()
        for name, size in (("down", height), ("across", width)):
            one = gaussian_filter(np.eye(size), (sigma, 0), mode="nearest", truncate=3)
            self.register_buffer(name, _tensor(one if name == "down" else one.T))

    def forward(self, maps: Tensor) -> Tensor:
        """Smoothed."""
        found: Tensor = self.get_buffer("down") @ maps @ self.get_buffer("across")
        return found


class Scale(nn.Module):
    """`PlaceScale`: maps (B, H, W) in the unit of the usual spread at each place."""

    def __init__(self, mean: NDArray[Any], spread: NDArray[Any]) -> None:
        super().__init__()
        self.register_buffer("mean", _tensor(mean))
        self.register_buffer("spread", _tensor(spread))

    def forward(self, maps: Tensor) -> Tensor:
        """Scaled."""
        return (maps - self.get_buffer("mean")) / self.get_buffer("spread")


class Peak(nn.Module):
    """`peak`: the mean over the oddest of the places, (B, H, W) -> (B,)."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, maps: Tensor) -> Tensor:
        """The mean of the greatest."""
        flat = maps.flatten(1)
        return flat.topk(max(1, round(self.share * flat.shape[1])), 1).values.mean(1)


class Usual(nn.Module):
    """`UsualScore`: the logarithm of positive scores (B,) in robust standard deviations."""

    def __init__(self, middle: float, spread: float) -> None:
        super().__init__()
        # Divided before the logarithm, which is then near 0, where float32 is fine.
        self.factor, self.spread = float(np.exp(-middle)), spread

    def forward(self, scores: Tensor) -> Tensor:
        """Standardised."""
        least, most = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max
        return (scores.clamp(min=least) * self.factor).clamp(max=most).log() / self.spread


class ReconstructionGraph(DetectorGraph):
    """See `latens.detection.reconstruction`."""

    def __init__(self, smoothing: Smoothing, scale: Scale) -> None:
        super().__init__()
        self.smoothing, self.scale = smoothing, scale

    def forward(self, x: Tensor, latents: Tensor, reconstructions: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and maps."""
        squares = (x - reconstructions).square()
        return squares.flatten(1).mean(1), self.scale(self.smoothing(squares.mean(1)))


class StructuralGraph(DetectorGraph):
    """See `latens.detection.structural`: each view has a scale for its signed and one for its unsigned strength."""

    def __init__(
        self,
        smoothing: Smoothing,
        peak: Peak,
        scales: Sequence[Scale],
        usual: Sequence[Usual],
        unsigned: Sequence[Scale],
        least_level: float,
        above_zero: float,
    ) -> None:
        super().__init__()
        self.smoothing, self.peak = smoothing, peak
        self.scales, self.usual, self.unsigned = nn.ModuleList(scales), nn.ModuleList(usual), nn.ModuleList(unsigned)
        self.least_level, self.above_zero = least_level, above_zero

    def forward(self, x: Tensor, latents: Tensor, reconstructions: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and maps."""
        residuals = x - reconstructions
        signed = self._views(self.smoothing(residuals).square().mean(1).sqrt())
        unsigned = self._views(self.smoothing(residuals.square().mean(1).sqrt()))
        maps = [scale(view) for scale, view in zip(self.scales, signed, strict=True)]
        others = [scale(view) for scale, view in zip(self.unsigned, unsigned, strict=True)]
        peaks = [(self.peak(one) + self.above_zero).clamp(min=0) for one in maps]
        first, second = (usual(one) for usual, one in zip(self.usual, peaks, strict=True))
        return (first + second) / 2, ((maps[0] + maps[1]) / 2 + others[0] + others[1]) / 3

    def _views(self, strength: Tensor) -> tuple[Tensor, Tensor]:
        level = middle_of(strength.flatten(1)).clamp(min=self.least_level)
        return strength, strength / level[:, :, None]


class NeighboursGraph(DetectorGraph):
    """See `latens.detection.neighbours`."""

    def __init__(
        self,
        mean: NDArray[Any],
        turn: NDArray[Any],
        memory: NDArray[Any],
        units: tuple[float, float],
        usual: Usual,
        nearest: int,
        ridge: float,
    ) -> None:
        super().__init__()
        for name, array in (("mean", mean), ("turn", turn), ("memory", memory)):
            self.register_buffer(name, _tensor(array))
        self.register_buffer("squares", _tensor(np.square(memory, dtype=np.float64).sum(1)))
        self.units, self.usual, self.nearest, self.ridge = units, usual, min(nearest, len(memory)), ridge
        self.register_buffer("identity", torch.eye(self.nearest))

    def forward(self, x: Tensor, latents: Tensor, reconstructions: Tensor) -> tuple[Tensor, None]:
        """Scores; there are no maps."""
        left = (x - reconstructions).square().flatten(1).mean(1)
        z = (latents - self.get_buffer("mean")) @ self.get_buffer("turn")
        return self.usual(self._from_plane(z) / self.units[0] + left / self.units[1]), None

    def _from_plane(self, z: Tensor) -> Tensor:
        near = self._near(z)
        first = near[:, 0]
        centre = first + (near - first[:, None]).mean(1)
        spans, from_centre = near - centre[:, None], z - centre
        identity = self.get_buffer("identity")
        gram = spans @ spans.transpose(1, 2)
        trace = (gram * identity).sum((1, 2), keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        ridge = self.ridge / self.nearest
        inverse = _inverse(gram / trace + ridge * identity, identity, ridge)
        weights = inverse @ (spans @ from_centre[:, :, None] / trace)
        return (from_centre - (weights * spans).sum(1)).square().sum(1)

    def _near(self, z: Tensor) -> Tensor:
        """The nearest points in memory, (B, k, D)."""
        memory = self.get_buffer("memory")
        products = self.get_buffer("squares") - 2 * z @ memory.T  # (B, N), the squared distances but for |z|²
        some = products.topk(min(self.nearest + CANDIDATES, len(memory)), 1, largest=False).indices
        candidates = memory[some]  # (B, more, D)
        rows = (candidates - z[:, None]).square().sum(2).topk(self.nearest, 1, largest=False).indices
        return candidates.gather(1, rows[:, :, None].expand(-1, -1, memory.shape[1]))


def _inverse(matrix: Tensor, identity: Tensor, least: float) -> Tensor:
    """The inverse of symmetric matrices (B, k, k) with eigenvalues from `least` to 1 + `least`; ONNX has no operation for it.

    Newton's iteration: each step squares what is left of the identity.

    Source: Schulz, "Iterative Berechnung der reziproken Matrix", 1933.
    """
    left = 1 / (1 + 2 * least)  # the largest eigenvalue of I - A X at the start
    found = identity * (2 / (1 + 2 * least))
    while left > ROUNDING:
        found = found @ (2 * identity - matrix @ found)
        left *= left
    return found


class CombinedGraph(DetectorGraph):
    """See `latens.detection.combined`."""

    def __init__(self, structural: DetectorGraph, neighbours: DetectorGraph) -> None:
        super().__init__()
        self.structural, self.neighbours = structural, neighbours

    def forward(self, x: Tensor, latents: Tensor, reconstructions: Tensor) -> tuple[Tensor, Tensor | None]:
        """The sum of the scores, and the maps of the first."""
        scores, maps = self.structural(x, latents, reconstructions)
        return scores + self.neighbours(x, latents, reconstructions)[0], maps


class PValues(nn.Module):
    """The conformal p-value of each score, (B,) -> (B,); see `latens.detection.conformal.p_values`.

    A normal image counts as at least as odd if its score is lower by rounding only, so that p is never too small.
    """

    def __init__(self, calibration: NDArray[Any]) -> None:
        super().__init__()
        self.register_buffer("calibration", _tensor(np.sort(calibration)))
        low, high = np.quantile(calibration, (0.25, 0.75))
        self.spread = float(high - low)

    def forward(self, scores: Tensor) -> Tensor:
        """p, from 1 / (n + 1) to 1."""
        calibration = self.get_buffer("calibration")
        equal = scores - TIE * scores.abs().clamp(min=self.spread)
        return (1 + (calibration >= equal[:, None]).sum(1)) / (len(calibration) + 1)
