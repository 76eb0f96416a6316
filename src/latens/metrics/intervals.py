"""95 % intervals of what is measured on some images and meant of all."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "Z", "around", "jackknife_deviation", "of_mean", "of_share"]

Z = 1.959964  # standard deviations around a normal's mean that hold 95 %

Interval = tuple[float, float]


def around(value: float, deviation: float, lowest: float = -math.inf) -> Interval:
    """The value and 1.96 standard deviations on both sides, but nothing under the lowest that there can be."""
    return max(lowest, value - Z * deviation), value + Z * deviation


def of_mean(values: NDArray[Any], lowest: float = 0.0) -> Interval:
    """Of the mean of independent values (N,), N at least 2, none below the lowest that there can be."""
    return around(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values)), lowest)


def of_share(flags: NDArray[np.bool_]) -> Interval:
    """Of the share of true ones among independent flags (N,): Wilson's interval, which holds near 0 and 1 as well.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> low, high = of_share(np.array([True] * 10))
    >>> round(low, 3), round(high, 3)
    (0.722, 1.0)
    """
    num, share = len(flags), float(flags.mean())
    middle = (share + Z**2 / (2 * num)) / (1 + Z**2 / num)
    reach = Z / (1 + Z**2 / num) * math.sqrt(share * (1 - share) / num + Z**2 / (4 * num**2))
    # At a share of 0 or 1 one end is the share itself: what is left of the difference is rounding (8.7e-19).
    return (middle - reach if share > 0 else 0.0), (middle + reach if share < 1 else 1.0)


def jackknife_deviation(without: Callable[[int], float], groups: int) -> float:
    """The standard deviation of a figure, from what it is without each of some groups of its images (Tukey 1958).

    Args:
        without: the figure without the group of that number.
        groups: how many there are, at least 2.
    """
    values = np.array([without(group) for group in range(groups)])
    return float(math.sqrt((groups - 1) / groups * np.square(values - values.mean()).sum()))
