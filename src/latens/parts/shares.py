"""Which parts one of several processes writes."""

import os
from dataclasses import dataclass

from latens.errors import UsageError

__all__ = ["Share", "share_of_process"]

# Pairs of environment variables that launchers set: the number of a process, and how many there are.
LAUNCHERS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))


@dataclass(frozen=True)
class Share:
    """Which parts one of several processes writes: those with the numbers index, index + count, …

    Raises:
        UsageError: index is not among 0 to count - 1.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise UsageError(
                f"share {self.index}/{self.count}: the first number is one of 0 to {max(self.count, 1) - 1}"
            )

    @classmethod
    def from_text(cls, text: str) -> "Share":
        """A share as it is written.

        >>> Share.from_text("3/8")
        Share(index=3, count=8)
        """
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal()):
            raise UsageError(f"share {text!r}; write INDEX/COUNT, such as 0/8 for the first of eight processes")
        return cls(int(index), int(count))


def share_of_process() -> Share:
    """The share of this process, by what torchrun or SLURM's srun say of it; all parts where neither started it."""
    for index, count in LAUNCHERS:
        if os.environ.get(index, "").isdecimal() and os.environ.get(count, "").isdecimal():
            return Share(int(os.environ[index]), int(os.environ[count]))
    return Share()
