"""Conformal p-values: how sure it is that an image is odd, from normal images that training did not see."""

import math

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError

__all__ = ["decide", "least_false_alarms", "p_values"]


def p_values(
    calibration: NDArray[np.floating], scores: NDArray[np.floating], own: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """The split-conformal p-value of each score: the share of normal images that are at least as odd, itself counted.

    If an image is normal, drawn as the calibration images were, its p-value is at most α with a probability of at most α, for
    any score and any distribution.

    Args:
        calibration: (n,), scores of normal images that neither the model nor the detector has seen; higher is odder.
        scores: (M,), of new images.
        own: bool (M,), which of them are calibration images themselves; each of these is compared with the n - 1 others.

    Returns:
        float64 (M,), multiples of 1 / (n + 1), from 1 / (n + 1) to 1; of own ones of 1 / n.

    Source: Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005, section 2.2; for this use Laxhammar and
    Falkman, "Conformal prediction for distribution-independent anomaly detection", 2010.

    >>> p_values(np.array([1.0, 2.0, 3.0]), np.array([0.5, 2.0, 9.0])).tolist()
    [1.0, 0.75, 0.25]
    """
    ordered = np.sort(np.asarray(calibration, np.float64))
    at_least = len(ordered) - np.searchsorted(ordered, np.asarray(scores, np.float64), side="left")
    itself = np.zeros(len(at_least), bool) if own is None else own
    found: NDArray[np.float64] = (1 + at_least - itself) / (len(ordered) + 1 - itself)
    return found


def least_false_alarms(num: int) -> float:
    """The least rate of false alarms that so many calibration images can promise: the smallest p-value there is.

    >>> least_false_alarms(99)
    0.01
    """
    return 1 / (num + 1)


def decide(p: NDArray[np.floating], false_alarms: float, num: int) -> NDArray[np.bool_]:
    """Which images are called odd, so that at most a share `false_alarms` of normal ones is, on average.

    Args:
        p: (M,), see `p_values`.
        false_alarms: α, above 0 and below 1.
        num: of the calibration images.

    Raises:
        UsageError: α is no share, or so small that no p-value of so many calibration images reaches it.
    """
    if not 0 < false_alarms < 1:
        raise UsageError(f"false alarms {false_alarms:g}; a share above 0 and below 1 is needed, such as 0.01")
    if false_alarms < least_false_alarms(num) * (1 - 1e-9):
        needed = math.ceil(1 / false_alarms - 1e-9) - 1
        raise UsageError(
            f"false alarms {false_alarms:g} with {num:,} normal images that training did not see; {needed:,} are needed for"
            f" that, or ask for {math.ceil(least_false_alarms(num) * 1000) / 1000:g} or more (--false-alarms)"
        )
    flagged: NDArray[np.bool_] = p <= false_alarms * (1 + 1e-9)
    return flagged
