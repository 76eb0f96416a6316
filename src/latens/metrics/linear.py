"""The best that a linear autoencoder can do: PCA on pixels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from latens.arrays import blocks, drawn_rows
from latens.errors import UsageError
from latens.images.pixels import WHITE

__all__ = ["LinearBaseline", "linear_baseline"]

MOST = 4096  # the larger of the two problems that are solved whole; beyond it a subset of the images is taken
EXACT_ROWS = 256  # rows of uint8 products whose sum float32 holds exactly: 256 · 255² < 2²⁴
ROWS = 1024
COLUMNS = 2048
RANK = 1e-10  # variances below this share of the largest are rounding


@dataclass(frozen=True)
class LinearBaseline:
    """The error of PCA on the test images.

    Args:
        mse: mean squared error, pixels in [0, 1].
        num_components: those that there were: no more than the train images span.
        num_fitted: train images that it was fitted to.
    """

    mse: float
    num_components: int
    num_fitted: int

    @property
    def name(self) -> str:
        """Its name in tables."""
        return f"PCA with {self.num_components} components"


def linear_baseline(train: NDArray[Any], test: NDArray[Any], num_components: int, seed: int = 0) -> LinearBaseline:
    """Fit PCA to the pixels of the train images and reconstruct the test images from so many components.

    Args:
        train: uint8, or floats in [0, 1], (N, C, H, W), in memory or memory-mapped; read in blocks.
        test: the same, (M, C, H, W).
        num_components: at least 1.
        seed: of the subset of train images that is taken where both they and the pixels are more than 4,096.

    Returns:
        The error, and what it was fitted to.

    Raises:
        UsageError: shapes that don't fit, or no images.
    """
    if train.shape[1:] != test.shape[1:] or not len(train) or not len(test) or num_components < 1:
        raise UsageError(
            f"train and test images have shapes {train.shape} and {test.shape}, {num_components} components;"
            " images of one shape, at least one in each part, and at least one component are needed"
        )
    dim = int(np.prod(train.shape[1:]))
    rows = drawn_rows(len(train), MOST if dim > MOST else len(train), seed)
    with torch.inference_mode():
        if len(rows) <= dim and len(rows) <= MOST:
            mean, components = _by_images(
                torch.from_numpy(np.array(train[rows]).reshape(len(rows), dim)), num_components
            )
        else:
            mean, components = _by_pixels(train, dim, num_components)
        total = 0.0
        for block in blocks(test, ROWS):
            centred = torch.from_numpy(np.array(block)).flatten(1).double() - mean
            total += float((centred - (centred @ components) @ components.T).square().sum())
    scale = WHITE**2 if train.dtype == np.uint8 else 1
    return LinearBaseline(total / (len(test) * dim * scale), components.shape[1], len(rows))


def _by_pixels(train: NDArray[Any], dim: int, num_components: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (d,) and components (d, k) from the covariance of the pixels."""
    products = torch.zeros(dim, dim, dtype=torch.float64)
    sums = torch.zeros(dim, dtype=torch.float64)
    for rows in blocks(train, EXACT_ROWS):
        block = torch.from_numpy(np.array(rows)).flatten(1)
        # Products of bytes are exact in float32; of floats, from which a mean is taken away, they would not be.
        block = block.float() if train.dtype == np.uint8 else block.double()
        products += block.T @ block
        sums += block.sum(0)
    mean = sums / len(train)
    products -= len(train) * mean[:, None] * mean
    _, vectors = _largest(products, num_components)
    return mean, vectors


def _by_images(train: torch.Tensor, num_components: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The same from the products of the images with one another, where they are fewer than the pixels."""
    mean = train.sum(0, dtype=torch.float64) / len(train)
    products = torch.zeros(len(train), len(train), dtype=torch.float64)
    for start in range(0, train.shape[1], COLUMNS):
        block = train[:, start : start + COLUMNS].double() - mean[start : start + COLUMNS]
        products += block @ block.T
    scales, vectors = _largest(products, num_components)
    components = torch.empty(train.shape[1], vectors.shape[1], dtype=torch.float64)
    for start in range(0, train.shape[1], COLUMNS):
        block = train[:, start : start + COLUMNS].double() - mean[start : start + COLUMNS]
        components[start : start + COLUMNS] = block.T @ vectors / scales.sqrt()
    return mean, components


def _largest(matrix: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest eigenvalues, without those that are rounding, and their vectors."""
    from scipy.linalg import eigh

    size = len(matrix)
    values, vectors = eigh(matrix.numpy(), subset_by_index=(max(0, size - count), size - 1))
    real: NDArray[Any] = values > max(RANK * values[-1], 0.0)
    return torch.from_numpy(values[real]), torch.from_numpy(vectors[:, real])
