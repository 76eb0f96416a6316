"""95 % intervals of what is measured on some images and meant of all."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "Z", "around", "jackknife_deviation", "of_mean", "of_ratio", "of_share"]

Z = 1.959964  # standard deviations around a normal's mean that hold 95 %

Interval = tuple[float, float]


def around(value: float, deviation: float, lowest: float = -math.inf) -> Interval:
    """The value and 1.96 standard deviations on both sides, but nothing under the lowest that there can be."""
    return max(lowest, value - Z * deviation), value + Z * deviation


def of_mean(values: NDArray[Any], lowest: float = 0.0, independent: int | None = None) -> Interval:
    """Of the mean of values (N,), N at least 2, none below the lowest that there can be.

    Args:
        values: the values.
        lowest: that there can be.
        independent: how many of them are independent, where that is fewer than N: pairs of few images share images.
    """
    num = min(len(values), independent or len(values))
    return around(float(values.mean()), float(values.std(ddof=1)) / math.sqrt(num), lowest)


def of_share(flags: NDArray[np.bool_], independent: int | None = None) -> Interval:
    """Of the share of true ones among flags (N,), of which so many are independent; by default all."""
    return of_ratio(float(flags.mean()), min(len(flags), independent or len(flags)))


def of_ratio(share: float, num: int) -> Interval:
    """Of a share of so many independent cases: Wilson's interval, which holds near 0 and 1 as well.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".

    >>> low, high = of_ratio(1.0, 10)
    >>> round(low, 3), round(high, 3)
    (0.722, 1.0)
    """
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
