"""Latent arithmetic, and the directions in which latents vary most (principal components)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.algebra import principal_axes
from latens.errors import UsageError
from latens.interpolation.contract import checked_data, one_latent

__all__ = ["Traversals", "kept_in_range", "latent_arithmetic", "principal_directions", "traverse"]

ATOM = 0.01  # share of the data that must lie exactly at a unit's lowest value for it to count as a limit


@dataclass(frozen=True)
class Traversals:
    """Latents along the directions in which the data vary most.

    Args:
        latents: float32 (directions, steps, D).
        deviations: how far each step goes from the middle, in standard deviations along its direction, (steps,).
        shares: of the whole variance, one a direction, largest first, (directions,).
        cut: share of the numbers of each point that were clipped to a limit of the data, (directions, steps).
    """

    latents: NDArray[np.float32]
    deviations: NDArray[np.float64]
    shares: NDArray[np.float64]
    cut: NDArray[np.float64]


def latent_arithmetic(plus: Sequence[Any], minus: Sequence[Any] = ()) -> NDArray[np.float32]:
    """The sum of some latents less others: z(a) - z(b) + z(c).

    The result may lie far from all data (`latens.neighbours.distance_ratios` says how far), and outside of what the encoder can
    give (see `kept_in_range`).

    Args:
        plus: latents (D,), or (1, D) as `encode` gives them, or means of classes; at least one.
        minus: the same, or none.

    Returns:
        float32 (D,).

    Raises:
        UsageError: nothing to add, or latents of different lengths.

    Source: Mikolov, Yih and Zweig 2013, "Linguistic regularities in continuous space word representations", section 4;
    for pictures Radford, Metz and Chintala 2016, arXiv 1511.06434, section 6.3.2.

    >>> latent_arithmetic([[3, 0], [0, 1]], [[1, 1]]).tolist()
    [2.0, 0.0]
    """
    if not len(plus):
        raise UsageError("latent arithmetic with nothing to add; give at least one latent in plus")
    added = [one_latent(z, f"plus {i}") for i, z in enumerate(plus)]
    taken = [one_latent(z, f"minus {i}") for i, z in enumerate(minus)]
    lengths = {len(z) for z in [*added, *taken]}
    if len(lengths) > 1:
        raise UsageError(f"latents of {sorted(lengths)} numbers; all must be of one model")
    result: NDArray[np.float64] = np.sum(added, axis=0) - (np.sum(taken, axis=0) if taken else 0)
    return result.astype(np.float32)


def kept_in_range(points: NDArray[Any], latents: NDArray[Any]) -> NDArray[np.float32]:
    """Clip points to the limits of the encoder's output, such as 0 after a ReLU; the decoder was not trained beyond them.

    A unit has a limit at its lowest value if 1 % of the data or more lie exactly there. All units have a limit at the overall
    lowest value if two or more of them reach exactly that value: continuous values would not. The same holds for the highest
    value (quantised latents have both). Units without a limit are left as they are.

    Args:
        points: (..., D).
        latents: of the data, (N, D).

    >>> relu = np.array([[0, -1.5], [0, 0.5], [2, 1]])
    >>> kept_in_range(np.array([[-1, -7], [3, 3]]), relu).tolist()
    [[0.0, -7.0], [3.0, 3.0]]
    """
    data = checked_data(latents)
    kept = np.maximum(np.asarray(points, np.float32), _walls(data))
    return np.minimum(kept, -_walls(-data)).astype(np.float32)


def _walls(data: NDArray[np.float32]) -> NDArray[np.float32]:
    """The value that each unit cannot go below, (D,); minus infinity where there is no such value."""
    lowest = data.min(axis=0)
    times = (data == lowest).sum(axis=0)  # one occurrence is no evidence: each unit reaches its lowest value once
    shared = (lowest == lowest.min()).sum() > 1
    common = lowest.min() if shared else -np.inf
    walls: NDArray[np.float32] = np.where((times > 1) & (times >= ATOM * len(data)), lowest, common)
    return walls


def principal_directions(
    latents: NDArray[Any], count: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The directions in which latents vary most (principal components), largest first.

    Args:
        latents: (N, D), finite, two or more that are not all the same.
        count: how many; all by default. Directions without any variance are never given.

    Returns:
        The mean (D,); the directions, of length 1, their largest part positive, (count, D); the standard deviation along
        each, unbiased, (count,); and its share of the whole variance, (count,).

    Raises:
        UsageError: no variance, or a count below 1.
    """
    data = checked_data(latents).astype(np.float64)
    if count is not None and count < 1:
        raise UsageError(f"{count} directions were asked for; at least 1 is needed")
    mean = data.mean(axis=0)
    centred = data - mean
    squares, directions = principal_axes(centred)
    # Rounding leaves a little variance where there is none.
    real = squares > squares[0] * max(data.shape) * np.finfo(np.float64).eps
    if len(data) < 2 or not squares[0] > 0:
        raise UsageError(f"{len(data)} latents without any variance have no directions; two different ones are needed")
    directions = directions[real][:count]
    deviations = np.sqrt(squares[real][:count] / (len(data) - 1))
    return mean, directions, deviations, squares[real][:count] / squares.sum()


def traverse(
    latents: NDArray[Any],
    directions: int = 6,
    steps: int = 7,
    reach: float = 3,
    middle: Any = None,
) -> Traversals:
    """Go along the directions in which the latents vary most, from a middle to both sides.

    A ReLU latent is never below zero, but steps along a straight direction soon are: such numbers are clipped (see
    `kept_in_range`), and `cut` gives their share. The points need not be near any data.

    Args:
        latents: of the data, (N, D), finite.
        directions: how many; fewer where the data vary in fewer.
        steps: points a direction, both ends included; odd, so that one is the middle; 3 or more.
        reach: how far to each side, in standard deviations along the direction.
        middle: the latent to start from, (D,); the mean by default.

    Raises:
        UsageError: steps or reach out of range, or latents without variance.
    """
    if steps < 3 or steps % 2 == 0:
        raise UsageError(
            f"steps is {steps}; along a direction it must be odd, 3 or more, so that one step is the middle"
        )
    if not (np.isfinite(reach) and reach > 0):
        raise UsageError(f"reach is {reach}; it must be more than 0")
    mean, axes, deviations, shares = principal_directions(latents, directions)
    start = mean if middle is None else one_latent(middle, "middle")
    if start.shape != mean.shape:
        raise UsageError(f"middle has {len(start)} numbers; the latents have {len(mean)}")
    at = np.linspace(-reach, reach, steps)
    at[steps // 2] = 0
    straight = start + at[:, None] * (axes * deviations[:, None])[:, None]  # (directions, steps, D)
    kept = kept_in_range(straight, latents)
    return Traversals(kept, at, shares, (kept != straight.astype(np.float32)).mean(axis=2))
