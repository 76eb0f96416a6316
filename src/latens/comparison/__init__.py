"""Several runs on the same work: trained where they are not there yet, scored, and put side by side.

The room is not called `compare`, because `latens.compare` is the function.
"""

from latens.comparison.advice import Advice
from latens.comparison.result import Comparison
from latens.comparison.rows import Row, Setting, Spread
from latens.comparison.work import compare

__all__ = ["Advice", "Comparison", "Row", "Setting", "Spread", "compare"]
