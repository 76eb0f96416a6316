"""scikit-learn's `random_state` as the seed that latens takes."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from latens.training.recipes import MAX_SEED

__all__ = ["seed_of"]


def seed_of(random_state: Any) -> int:
    """A whole number is the seed itself; a generator or None (NumPy's own) draws one."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(MAX_SEED))
