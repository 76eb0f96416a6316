"""The contract of a map: everything that the rest of latens uses of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

if TYPE_CHECKING:
    # The names of the maps are read by the command line; that must not cost the import of numpy.
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Map"]


class Map(ABC):
    """A map of latents: two coordinates for each, the trust in each, new latents placed on it, and its inverse.

    A subclass describes itself to other rooms by: `title`, `meaning`, `cost`, `plane`, `decodable`.
    """

    title: ClassVar[str]  # the name for people, as in a heading: "t-SNE"
    meaning: ClassVar[str]  # what it shows, as a part of a sentence: "t-SNE, which keeps neighbours together"
    cost: ClassVar[Literal["quick", "long"]] = "quick"  # of a fit of 10,000 latents: under a second, or longer
    decodable: ClassVar[bool] = True  # whether its places stand for latents: otherwise `inverse` is refused
    coordinates: "NDArray[np.float32]"  # (N, 2)
    trust: "NDArray[np.float32]"  # (N,) in [0, 1]: share of the 10 nearest on the map that are so in latent space
    note: str = ""  # a remark on its settings for readers of the map

    @abstractmethod
    def fit(self, latents: "NDArray[Any]", seed: int = 0, progress: Callable[[int, int], object] | None = None) -> Self:
        """Lay out latents.

        Args:
            latents: (N, D), finite, N at least 1.
            seed: of all random draws; the same seed and number of threads give the same map, bit for bit.
            progress: called with (done, total) as the work goes on.

        Raises:
            UsageError: latents of another shape, none at all, or not finite.
        """

    @abstractmethod
    def place(self, latents: "NDArray[Any]") -> "NDArray[np.float32]":
        """Put new latents (M, D) onto the map as it is: float32 (M, 2). Each one's place depends on it alone."""

    @abstractmethod
    def inverse(self, points: "NDArray[Any]") -> "NDArray[np.float32]":
        """The latents at points (M, 2) of the map, float32 (M, D); they change continuously with the point."""

    @property
    def plane(self) -> "tuple[NDArray[np.float32], NDArray[np.float32]] | None":
        """Mean (D,) and two axes (D, 2) of a map that is a plane through latent space, for pages that compute it; else None."""
        return None

    @abstractmethod
    def state(self) -> "dict[str, NDArray[Any]]":
        """Plain arrays that, with the latents it was fitted to, make the map again."""

    @classmethod
    @abstractmethod
    def restore(cls, state: "Mapping[str, NDArray[Any]]", latents: "NDArray[Any]") -> Self:
        """The map that `state()` was taken of, without fitting.

        Raises:
            UsageError: the state is not of this kind of map, or not of one of these latents.
        """
