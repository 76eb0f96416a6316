"""From one latent to another: straight, along an arc, or by any way of `PATHS`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.interpolation import PATHS
from latens.interpolation.contract import LatentPath, checked_ends, one_latent

__all__ = ["interpolate", "linear", "spherical"]

NEARLY_OPPOSITE = 1e-6  # radians from a half turn; beyond, rounding alone would choose among the arcs


def interpolate(
    start: Any, end: Any, steps: int = 11, way: str = "linear", latents: NDArray[Any] | None = None
) -> LatentPath:
    """Go from one latent to another.

    Args:
        start: (D,), or (1, D) as `encode` gives it.
        end: as start.
        steps: how many points, both ends included; 2 or more.
        way: one of `PATHS`.
        latents: of the data, (N, D); what `graph` goes along.

    Raises:
        UnknownName: no such way.
        UsageError: not two latents of one length, fewer than two steps, or a way that lacks its data.

    >>> interpolate([0, 1], [2, 1], steps=3).latents.tolist()
    [[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]
    """
    return PATHS[way](start, end, steps, latents)


def linear(start: Any, end: Any, steps: int = 11, latents: NDArray[Any] | None = None) -> LatentPath:
    """The straight line, in equal steps. It needs no data. See `interpolate`."""
    first, last = checked_ends(start, end, steps)
    return LatentPath("linear", _straight(first, last, steps))


def spherical(
    start: Any, end: Any, steps: int = 11, latents: NDArray[Any] | None = None, origin: Any = None
) -> LatentPath:
    """The arc about an origin: the direction turns evenly from one to the other, the length changes evenly. It needs no data.

    Normal latents in many dimensions lie near a sphere about zero, and a straight line cuts through its empty inside; the arc
    stays on it. For latents of one length it is Shoemake's slerp; for others his formula is taken of the directions alone (of
    the latents themselves, as White does it, it runs off to infinity where they point almost opposite ways). Latents that are
    nowhere below zero (ReLU) stay so.

    There is no arc from the origin, nor one arc to the opposite side: then it is the straight line, and the path's note says so.

    Args:
        start: see `interpolate`.
        end: see `interpolate`.
        steps: see `interpolate`.
        latents: not needed.
        origin: the middle of the sphere, (D,); zero by default, where a prior has its mean.

    Source: Shoemake 1985, "Animating rotation with quaternion curves", the formula Slerp; White 2016, "Sampling generative
    networks", arXiv 1609.04468, section 2.1.

    >>> np.linalg.norm(spherical([1, 0], [0, 1], steps=5).latents, axis=1).round(4).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """
    first, last = checked_ends(start, end, steps)
    middle = np.zeros_like(first) if origin is None else one_latent(origin, "origin")
    checked_ends(middle, first, steps)
    a, b = first - middle, last - middle
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    if not length_a or not length_b:
        note = "one end is the origin, from which there is no arc: a straight line"
        return LatentPath("spherical", _straight(first, last, steps), note=note)
    a, b = a / length_a, b / length_b
    angle = 2 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))  # exact near 0 and near a half turn
    if angle > np.pi - NEARLY_OPPOSITE:
        note = "the ends lie on opposite sides of the origin, with no one arc between them: a straight line"
        return LatentPath("spherical", _straight(first, last, steps), note=note)
    t = np.linspace(0, 1, steps)[:, None]  # (steps, 1)
    if angle:
        directions = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)  # (steps, D)
    else:
        directions = np.broadcast_to(a, (steps, len(a)))
    return LatentPath("spherical", _float32(middle + directions * (length_a + t * (length_b - length_a)), first, last))


def _straight(first: NDArray[np.float64], last: NDArray[np.float64], steps: int) -> NDArray[np.float32]:
    t = np.linspace(0, 1, steps)[:, None]
    return _float32(first + t * (last - first), first, last)


def _float32(points: NDArray[np.float64], first: NDArray[np.float64], last: NDArray[np.float64]) -> NDArray[np.float32]:
    """The points, with the ends exactly as they were given."""
    points[0], points[-1] = first, last
    return points.astype(np.float32)
