"""The contract of a detector: what it learns from normal images, and what it says of new ones."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from latens.detection.graphs import DetectorGraph
from latens.errors import UsageError
from latens.images.pixels import to_floats
from latens.latents import encode_images
from latens.runs import Run

__all__ = ["Detector", "Measured", "Seen"]

Floats = NDArray[np.float32]


@dataclass(eq=False)
class Seen:
    """Some images as a detector sees them. What is costly is computed once, when the first detector asks for it.

    Args:
        pixels: (B, C, H, W), as the model takes them: ordinary bytes, or float32 in [0, 1].
        run: whose model encodes and decodes.
    """

    pixels: NDArray[Any]
    run: Run

    def __len__(self) -> int:
        return len(self.pixels)

    @cached_property
    def x(self) -> Floats:
        """float32 (B, C, H, W) in [0, 1]."""
        return to_floats(self.pixels)

    @cached_property
    def latents(self) -> Floats:
        """float32 (B, D)."""
        return encode_images(self.run.model, self.pixels)

    @cached_property
    def reconstructions(self) -> Floats:
        """float32 (B, C, H, W), about [0, 1]."""
        found: Floats = self.run.decode(self.latents)
        return found

    @cached_property
    def residuals(self) -> Floats:
        """Image minus reconstruction, float32 (B, C, H, W)."""
        return self.x - self.reconstructions


@dataclass(frozen=True, eq=False)
class Measured:
    """What a detector found.

    Args:
        scores: float64 (B,); higher is odder.
        maps: float32 (B, H, W), where each image is odd, in the unit of the spread over normal images at that place; None for
            a detector that knows no places.
    """

    scores: NDArray[np.float64]
    maps: Floats | None = None


class Detector(ABC):
    """Learns from normal images, and measures how odd new ones are.

    An entry of `latens.detection.DETECTORS` is such a class, made without arguments; an installed package adds one by the entry
    point group `latens.detectors`. `fit` sees images that the model was trained on. The scores of images that neither has seen
    become p-values later (`latens.detection.conformal`), so a score needs no unit.
    """

    summary: ClassVar[str]  # what the score is, in a few words
    has_maps: ClassVar[bool] = True
    has_graph: ClassVar[bool] = False  # whether `graph` gives one

    @classmethod
    def made(cls, features: Any = None) -> "Detector":
        """A new one.

        Args:
            features: an encoder, for a detector that takes one, see `latens.encoders`.

        Raises:
            UsageError: this detector takes none.
        """
        if features is not None:
            raise UsageError("features go with the method features only; leave them out, or use --method features")
        return cls()

    @abstractmethod
    def fit(self, normal: Seen, latents: Floats) -> None:
        """Learn what is normal.

        Args:
            normal: a draw of the run's normal train images.
            latents: of all normal train images, float32 (N, D).
        """

    @abstractmethod
    def measure(self, seen: Seen) -> Measured:
        """How odd images are, and where."""

    def graph(self, shape: tuple[int, int, int]) -> DetectorGraph:
        """What `measure` computes as a module of torch, for ONNX; once fitted.

        Args:
            shape: (C, H, W) of the images.
        """
        raise NotImplementedError  # `has_graph` is asked before
