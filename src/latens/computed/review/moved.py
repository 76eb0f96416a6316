"""Images that are nearly the same as another one once it is mirrored, or shifted, resized or turned a little."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latens.algebra import principal_axes
from latens.computed.review.duplicates import pairs_of_distances
from latens.images.pixels import to_floats
from latens.neighbours import nearest_neighbours
from latens.together import for_each

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["moved_duplicates"]

SIDE = 16  # pixels of the longer side of the small images that are compared
BLUR = 1.0  # of these pixels: standard deviation before tangents are taken
CANDIDATES = 10
CLOSE = 0.7  # of what is usual: where the nearest is not even so near, no turn makes a copy of it
ALIGNED = 3  # of the candidates, the nearest, to which images are turned and resized before tangents are taken
STARTS = [
    (angle, zoom) for angle in (-3, 0, 3) for zoom in (0.92, 1, 1.09) if (angle, zoom) != (0, 1)
]  # degrees, times
DIRECTIONS = 24  # principal directions in which candidates are searched; 64 find the same copies at twice the time
ROWS = 2048
VALUES = 1 << 18  # pixels of a block of images that are made small: they keep to the cache
TOGETHER = 256  # images whose differences to their neighbours keep to the cache
RIDGE = 1e-3  # of the square of a tangent, whose length is 1: no direction that an image lacks is divided by
ROUNDING = 1e-6  # of the squared lengths of two images: a smaller difference of squares in float32 is none
# Of what is usual. An alignment leaves too much of a true copy for the rule of `near_duplicates`, which finds none of them;
# of 6,000 digits, clothes and photographs some 0 to 13 that were not planted lie below this.
SHARE = 0.25
FEWEST = 5  # other images, the last of which is what is usual


def moved_duplicates(
    pick: Callable[[NDArray[Any]], NDArray[Any]], num: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find pairs of images that are much nearer to each other than neighbours usually are, up to a small movement or a mirror.

    Small blurred images are compared by the one-sided tangent distance: what is left of the difference of two images after the
    best shift along both axes, change of size along both, turn, brightness and contrast, all to first order. A mirrored image is
    compared with the mirrored images of the others in the same way.

    Args:
        pick: rows -> images (B, C, H, W), uint8 or floats in [0, 1].
        num: of all images; of five or fewer none is found.

    Returns:
        Pairs of rows, int64 (P, 2), the smaller first; and of each its distance as a share of what is usual around the two, as
        `near_duplicates` has it, float64 (P,). The nearest pair is first.

    Source: Simard, Le Cun and Denker, "Efficient pattern recognition using a new transformation distance", 1993.
    """
    if num <= FEWEST:
        return np.empty((0, 2), np.int64), np.empty(0)
    length = max(1, VALUES // pick(np.arange(1)).size)
    starts = range(0, num, length)
    small = np.concatenate(for_each(starts, lambda start: _small(pick(np.arange(start, min(start + length, num))))))
    k = min(CANDIDATES, num - 1)
    described = _described(small)
    points = described(small)
    found, shares = [], []
    for mirrored in (False, True):
        others = small[..., ::-1] if mirrored else small
        near = _without_self(nearest_neighbours(points, described(others), k + 1, exact=False)[1], k)
        distances = _tangent_distances(others, small, near)
        pairs, share = pairs_of_distances(distances, near, SHARE)
        found.append(pairs)
        shares.append(share)
    return _nearest_first(np.concatenate(found), np.concatenate(shares))


def _nearest_first(
    pairs: NDArray[np.int64], shares: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Each pair once, with its least share, the nearest first."""
    order = np.argsort(shares, kind="stable")
    first = np.unique(pairs[order], axis=0, return_index=True)[1]
    kept = order[np.sort(first)]
    return pairs[kept], shares[kept]


def _small(images: NDArray[Any]) -> NDArray[np.float32]:
    """Small blurred images, (B, C, h, w)."""
    import torch
    from scipy.ndimage import gaussian_filter
    from torch.nn.functional import interpolate

    x = to_floats(images)
    scale = SIDE / max(x.shape[2:])
    size = [max(4, round(length * scale)) for length in x.shape[2:]]
    if scale < 1:
        x = interpolate(torch.from_numpy(x), size, mode="bilinear", antialias=True, align_corners=False).numpy()
    blurred: NDArray[np.float32] = gaussian_filter(x, (0, 0, BLUR, BLUR), mode="nearest")
    return blurred


def _described(small: NDArray[np.float32]) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """A function from small images to their principal directions, (N, 24), without their brightness."""
    whole = _flat(small)
    step = max(1, len(whole) // 10_000)
    mean = whole.mean(0)
    axes = principal_axes((whole[::step] - mean).astype(np.float64))[1][:DIRECTIONS].astype(np.float32)
    return lambda x: (_flat(x) - mean) @ axes.T


def _without_self(near: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The first k neighbours that are not the row itself, (N, k)."""
    own = near == np.arange(len(near))[:, None]
    order = np.argsort(own, axis=1, kind="stable")
    kept: NDArray[np.int64] = np.take_along_axis(near, order, 1)[:, :k]
    return kept


def _tangent_distances(
    moving: NDArray[np.float32], small: NDArray[np.float32], near: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What is left of the differences of images (N, C, h, w) to others, after the best small movement, (N, k).

    Of the nearest others the images are also turned and resized first, since tangents reach as far as a pixel or two only.
    """
    import torch

    others = torch.from_numpy(_flat(small))
    lengths = others.square().sum(1)
    result = np.empty(near.shape)

    def compare(start: int) -> None:
        here = slice(start, start + ROWS)
        x, rows = moving[here], near[here]
        found = _after_tangents(x, others, lengths, rows)
        order = np.argsort(found, axis=1, kind="stable")
        ranked = np.take_along_axis(found, order, 1)
        near_one = ranked[:, 0] < CLOSE * ranked[:, min(FEWEST, ranked.shape[1]) - 1]
        nearest, least = np.take_along_axis(rows, order, 1)[near_one, :ALIGNED], ranked[near_one, :ALIGNED]
        for angle, zoom in STARTS if near_one.any() else ():
            least = np.minimum(least, _after_tangents(_turned(x[near_one], angle, zoom), others, lengths, nearest))
        ranked[near_one, :ALIGNED] = least
        np.put_along_axis(found, order, ranked, 1)
        result[here] = found

    for_each(range(0, len(near), ROWS), compare)
    return result


def _after_tangents(
    x: NDArray[np.float32], others: "Tensor", lengths: "Tensor", near: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What the tangents of images (B, C, h, w) leave of their differences to others, (B, k).

    Args:
        x: the images.
        others: `_flat` of others (N, P).
        lengths: their squared lengths (N,).
        near: the rows of those that each is compared with, (B, k).

    One product gives what an image has in common with the tangents, and with the other image. Brightness is a tangent, so that
    all are taken without theirs: what is squared is small, and differences of squares lose little.
    """
    import torch

    flat = torch.from_numpy(_flat(x))
    found = np.empty(near.shape)
    for start in range(0, len(x), TOGETHER):
        rows, picked = flat[start : start + TOGETHER], torch.from_numpy(near[start : start + TOGETHER])
        tangents = _tangents(torch.from_numpy(np.ascontiguousarray(x[start : start + TOGETHER])))  # (B, T, P)
        both = torch.cat([tangents, rows[:, None]], 1)
        own = torch.bmm(both, both.mT).double()  # (B, T + 1, T + 1)
        common = torch.bmm(others.index_select(0, picked.flatten()).view(*picked.shape, -1), both.mT).double()
        squares = own[:, :-1, :-1].contiguous()
        squares.diagonal(dim1=1, dim2=2).add_(RIDGE)
        along = common[..., :-1] - own[:, -1:, :-1]  # (B, k, T)
        explained = (torch.linalg.solve(squares, along.mT).mT * along).sum(2)
        whole = lengths[picked].double() + own[:, -1:, -1]
        left = whole - 2 * common[..., -1] - explained
        found[start : start + TOGETHER] = torch.where(left > ROUNDING * whole, left, 0).sqrt_().numpy()
    return found


def _flat(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images as rows, without their brightness."""
    rows = x.reshape(len(x), -1)
    centred: NDArray[np.float32] = rows - rows.mean(1, keepdims=True)
    return centred


def _turned(x: NDArray[np.float32], angle: float, zoom: float) -> NDArray[np.float32]:
    """Images turned by an angle in degrees and enlarged; beyond their edge the edge goes on."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    height, width = x.shape[2:]
    cosine, sine = np.cos(np.deg2rad(angle)) / zoom, np.sin(np.deg2rad(angle)) / zoom
    matrix = torch.tensor(
        [[cosine, -sine * height / width, 0], [sine * width / height, cosine, 0]], dtype=torch.float32
    )
    grid = affine_grid(matrix[None], [1, *x.shape[1:]], align_corners=False).expand(len(x), -1, -1, -1)
    turned: NDArray[np.float32] = grid_sample(
        torch.from_numpy(np.ascontiguousarray(x)), grid, padding_mode="border", align_corners=False
    ).numpy()
    return turned


def _tangents(x: "Tensor") -> "Tensor":
    """The directions in which images (B, C, h, w) change when they are moved, and in brightness and contrast, (B, T, P)."""
    import torch

    height, width = x.shape[2:]
    rows = torch.arange(height)[:, None] - (height - 1) / 2
    columns = torch.arange(width) - (width - 1) / 2
    down, across = torch.gradient(x, dim=(2, 3))
    found = [
        down,
        across,
        rows * down,
        columns * across,
        columns * down - rows * across,
        torch.ones_like(x),
        x - x.mean((1, 2, 3), keepdim=True),
    ]
    tangents = torch.stack(found, 1).flatten(2)
    tangents /= tangents.norm(dim=2, keepdim=True).clamp_(min=1e-9)
    return tangents
