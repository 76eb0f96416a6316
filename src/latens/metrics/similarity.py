"""Structural similarity of images."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from latens.errors import UsageError

__all__ = ["SSIM_WINDOW", "structural_similarity"]

SSIM_WINDOW = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
PIXELS = 1 << 19  # of a block of pictures: what its dozen intermediate pictures take stays in the cache


def structural_similarity(originals: NDArray[Any], reconstructions: NDArray[Any]) -> NDArray[np.float32]:
    """The structural similarity of pictures with a data range of 1 (Wang et al. 2004).

    Means and covariances under an 11 × 11 Gaussian window with σ = 1.5, edges mirrored; the mean over pixels and
    channels, as torchmetrics has it.

    Args:
        originals: float (N, C, H, W) in [0, 1], H and W at least 11.
        reconstructions: float of the same shape.

    Returns:
        float32 (N,), at most 1.

    Raises:
        UsageError: other shapes.
    """
    if originals.shape != reconstructions.shape or originals.ndim != 4 or min(originals.shape[2:]) < SSIM_WINDOW:
        raise UsageError(
            f"images have shapes {originals.shape} and {reconstructions.shape};"
            f" structural similarity needs twice the same (N, C, H, W), at least {SSIM_WINDOW} pixels each way"
        )
    down, across = (_blur(size) for size in originals.shape[2:])
    similarity = np.empty(len(originals), np.float32)
    rows = max(1, PIXELS // int(np.prod(originals.shape[1:])))
    with torch.inference_mode():
        for start in range(0, len(originals), rows):
            x, y = (
                torch.from_numpy(np.array(part[start : start + rows], np.float32))
                for part in (originals, reconstructions)
            )
            similarity[start : start + rows] = _similarity(x, y, down, across).numpy()
    return similarity


def _blur(size: int) -> torch.Tensor:
    """The Gaussian window at each place of a row of pixels, edges mirrored, as a matrix (size, size)."""
    edge = SSIM_WINDOW // 2
    offsets = torch.arange(SSIM_WINDOW, dtype=torch.float32) - edge
    window = torch.exp(-((offsets / SIGMA) ** 2) / 2)
    window /= window.sum()
    mirrored = functional.pad(torch.eye(size)[None], (edge, edge), mode="reflect")[0]  # (size, size + 2 edges)
    return functional.conv1d(mirrored[:, None], window[None, None])[:, 0].T.contiguous()


def _similarity(x: torch.Tensor, y: torch.Tensor, down: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) twice -> (B,)."""
    stacked = torch.stack([x, y, x * x, y * y, x * y]).flatten(0, 2)  # (5·B·C, H, W)
    # The Gaussian is separable; as matrix products, though mostly of zeros, it is quicker than as a convolution.
    blurred = down @ (stacked @ across.T)
    mean_x, mean_y, square_x, square_y, product = blurred.view(5, *x.shape)
    variance = (square_x - mean_x**2).clamp(min=0) + (square_y - mean_y**2).clamp(min=0)
    covariance = product - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance + C2)
    similarity: torch.Tensor = (luminance * structure).flatten(1).mean(1)
    return similarity
