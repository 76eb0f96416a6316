"""How the steps of a path through way points are shared among its legs."""

from collections.abc import Sequence

import numpy as np

from latens.errors import UsageError

__all__ = ["steps_of_legs"]


def steps_of_legs(lengths: Sequence[float], steps: int) -> list[int]:
    """How many steps each leg of a path takes: as evenly spaced as whole steps allow, at least one a leg.

    Args:
        lengths: of the legs, in any unit.
        steps: of the whole path, both ends included; way points are among them.

    Raises:
        UsageError: fewer steps than ends and way points.

    >>> steps_of_legs([3.0, 1.0], 9)
    [6, 2]
    >>> steps_of_legs([5.0, 0.01], 5)
    [3, 1]
    """
    spare = steps - 1 - len(lengths)
    if spare < 0:
        raise UsageError(f"a path of {steps} steps through {len(lengths) + 1} places; it needs a step for each place")
    total = float(np.sum(lengths))
    wanted = [spare * length / total if total > 0 else spare / len(lengths) for length in lengths]
    given = [int(share) for share in wanted]
    largest_rest = sorted(range(len(lengths)), key=lambda i: (given[i] - wanted[i], i))
    for i in largest_rest[: spare - sum(given)]:
        given[i] += 1
    return [1 + more for more in given]
