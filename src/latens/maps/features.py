"""A map of features that a given encoder sees in the images, beside the maps of their latents."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.maps.contract import Map
from latens.maps.surface import Surface, checked_latents

__all__ = ["FeaturesMap"]


class FeaturesMap(Surface):
    """Coordinates of features. Latents are placed where the nearest latents of the images are; no place can be decoded.

    Args:
        fitted: a map of the features (N, F) of the images; None only for `restore`.
        encoder: by which they were seen.
    """

    title: ClassVar[str] = "features of a given encoder"
    meaning: ClassVar[str] = "the features that a given encoder sees in the images, not by their latents"
    decodable: ClassVar[bool] = False

    def __init__(self, fitted: Map | None = None, encoder: str = "") -> None:
        super().__init__()
        self._fitted, self.encoder = fitted, encoder

    def fit(self, latents: NDArray[Any], seed: int = 0, progress: Callable[[int, int], object] | None = None) -> Self:
        """Take the latents of the same images, in the same order; nothing is computed. See `Map.fit`.

        Raises:
            UsageError: not one latent a point.
        """
        latents = checked_latents(latents)
        fitted = self._fitted
        assert fitted is not None, "a restored map is fitted already"
        if len(fitted.coordinates) != len(latents):
            raise UsageError(
                f"a map of {len(fitted.coordinates)} points and {len(latents)} latents; one each is needed"
            )
        self.note = (
            f"{self.encoder}, {fitted.title}: {fitted.note}" if fitted.note else f"{self.encoder}, {fitted.title}"
        )
        self._set(latents, fitted.coordinates, fitted.trust)
        if progress is not None:
            progress(1, 1)
        return self

    def inverse(self, points: NDArray[Any]) -> NDArray[np.float32]:
        """Always refused.

        Raises:
            UsageError: a decoder takes latents, and these places stand for features.
        """
        raise UsageError(
            "this map is one of features, which the decoder can't decode; choose a map of the latents to decode a place"
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Those of `Surface`, and the encoder."""
        return {**super().state(), "encoder": np.array(self.encoder)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], latents: NDArray[Any]) -> Self:
        """See `Map.restore`."""
        restored = super().restore(state, latents)
        restored.encoder = str(state["encoder"]) if "encoder" in state else ""
        return restored
