"""The contract of what is written in parts: a shard function, and what it rests on."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from latens.images.plan import Refused

__all__ = ["Made", "Work"]


class Work(ABC):
    """What is computed of the rows of a source. Each process opens its own; what opens it can be pickled."""

    holds: ClassVar[str]  # one word for what a part has: "latents"; names of files begin with it

    @property
    @abstractmethod
    def total(self) -> int:
        """How many rows the source has."""

    @property
    @abstractmethod
    def agreed(self) -> Mapping[str, Any]:
        """What all processes must agree on, for JSON; floats to a thousandth, since other processors round otherwise."""

    @property
    @abstractmethod
    def metadata(self) -> Mapping[str, str]:
        """What each file says of itself, `latens.NAME` in the metadata."""

    @property
    @abstractmethod
    def notes(self) -> Sequence[str]:
        """What a user should be told, as far as it is known."""

    @property
    @abstractmethod
    def left_out(self) -> Sequence[Refused]:
        """Images that could not be read, as far as they were met."""

    @property
    @abstractmethod
    def takes_gpu(self) -> bool:
        """Whether it is computed on a GPU where there is one."""

    @abstractmethod
    def table(self, rows: range) -> Mapping[str, NDArray[Any]]:
        """The columns for some rows that follow one another, see `latens.sheets.as_parquet`; `id` is one of them.

        A row that could not be read is missing.
        """


@dataclass(frozen=True)
class Made:
    """A part that was written.

    Args:
        number: of the part, from 0.
        images: how many rows it has.
        left_out: images that should have been in it.
        notes: of the process that made it, so far.
    """

    number: int
    images: int
    left_out: tuple[Refused, ...]
    notes: tuple[str, ...]
