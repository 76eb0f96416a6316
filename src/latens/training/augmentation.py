"""Augmentation: batches shifted and mirrored, against overfitting."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

__all__ = ["moved", "moved_indices"]


def moved(x: Tensor, kind: str, moves: np.random.Generator) -> Tensor:
    """A batch, shifted and mirrored as a whole by one draw; edges are repeated.

    Args:
        x: (B, C, H, W).
        kind: `"shift-flip"`: by up to a tenth of the height and width, and mirrored half the time, for sets so small that a
            network overfits; `"shift"`: half the batches by one pixel at most, for large sets.
        moves: the random generator.
    """
    height, width = x.shape[2:]
    far_down, far_right = _farthest(kind, height), _farthest(kind, width)
    down, right, mirrored = _draw_move(kind, height, width, moves)
    padded = F.pad(x, (far_right, far_right, far_down, far_down), mode="replicate")
    top, left = far_down + down, far_right + right
    shifted = padded[:, :, top : top + height, left : left + width]
    return shifted.flip(3) if mirrored else shifted


def moved_indices(kind: str, height: int, width: int, moves: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The draws of `moved`, as the source row (H,) and the source column (W,) of each pixel.

    >>> import torch
    >>> x = torch.rand(2, 1, 8, 8)
    >>> rows, columns = moved_indices("shift-flip", 8, 8, np.random.default_rng(5))
    >>> torch.equal(x[:, :, rows][..., columns], moved(x, "shift-flip", np.random.default_rng(5)))
    True
    """
    down, right, mirrored = _draw_move(kind, height, width, moves)
    rows = np.clip(np.arange(height) + down, 0, height - 1)
    columns = np.clip(np.arange(width) + right, 0, width - 1)
    return rows, columns[::-1].copy() if mirrored else columns


def _draw_move(kind: str, height: int, width: int, moves: np.random.Generator) -> tuple[int, int, bool]:
    far_down, far_right = _farthest(kind, height), _farthest(kind, width)
    top, left = moves.integers(0, 2 * far_down + 1), moves.integers(0, 2 * far_right + 1)
    down, right, second = int(top) - far_down, int(left) - far_right, bool(moves.random() < 0.5)
    if kind == "shift-flip":
        return down, right, second
    return (down, right, False) if second else (0, 0, False)


def _farthest(kind: str, size: int) -> int:
    return -(-size // 10) if kind == "shift-flip" else 1
