"""Augmentation: batches shifted, mirrored and blended, against overfitting."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["blends", "mirrors", "moved", "moved_indices"]

PATCHES = 4  # across an image, of the masks of a blend
CONTRAST = 3.0  # of these masks: most places are of one of two images


def mirrors(kind: str) -> bool:
    """Whether images are mirrored."""
    return kind.endswith("flip")


def blends(kind: str) -> bool:
    """Whether images are blended, which no table of rows and columns can say."""
    return kind.startswith("blend")


def moved(x: Tensor, kind: str, moves: np.random.Generator) -> Tensor:
    """A batch, shifted and mirrored as a whole by one draw; edges are repeated.

    Args:
        x: (B, C, H, W).
        kind: `"shift-flip"`: by up to a tenth of the height and width, and mirrored half the time; `"shift"`: half the batches by
            one pixel at most, for large sets; `"flip"`: mirrored half the time; `"blend"`: half of the images are each blended
            with another one by a smooth random mask, so that places far apart depend less on each other; `"blend-flip"`:
            these, mirrored half the time.
        moves: the random generator.
    """
    if blends(kind):
        blended = _blended(x, moves)
        return blended.flip(3) if mirrors(kind) and moves.random() < 0.5 else blended
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
    if mirrors(kind):
        return down, right, second
    return (down, right, False) if second else (0, 0, False)


def _farthest(kind: str, size: int) -> int:
    return {"shift-flip": -(-size // 10), "shift": 1, "flip": 0}[kind]


def _blended(x: Tensor, moves: np.random.Generator) -> Tensor:
    whole = moves.random(len(x)) < 0.5  # images that stay as they are
    drawn = moves.normal(size=(len(x), 1, PATCHES, PATCHES))
    other = torch.from_numpy(moves.permutation(len(x))).to(x.device)
    coarse = torch.from_numpy(drawn).to(x.device, x.dtype)
    mask = torch.sigmoid(CONTRAST * F.interpolate(coarse, size=x.shape[2:], mode="bicubic", align_corners=False))
    mask = torch.where(torch.from_numpy(whole).to(x.device)[:, None, None, None], torch.ones_like(mask), mask)
    return x[other].lerp(x, mask)
