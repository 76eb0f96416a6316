"""By the features of patches: what a given network sees there is like no patch of the normal images."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from latens.arrays import drawn_rows
from latens.detection.contract import Detector, Floats, Measured, Seen
from latens.detection.places import PlaceScale, peak, smoothed
from latens.encoders import Encoder, encoder_of
from latens.errors import UsageError
from latens.images.pixels import composite
from latens.neighbours import Neighbours

__all__ = ["FeaturesDetector", "coreset"]

MOST_IMAGES = 500  # normal images whose patches are looked at
MOST_PATCHES = 50_000  # of them, of which the memory is chosen
KEPT = 2000  # patches in memory
PROJECTED = 128  # dimensions in which the memory is chosen
AT_ONCE = 16  # images
AROUND = 3  # places a side over which features are averaged


class FeaturesDetector(Detector):
    """The distance of each patch, in the features of a pretrained network, to the nearest patch of the normal images.

    Source: Roth et al., "Towards total recall in industrial anomaly detection" (PatchCore), 2022, without the weighting of
    equation 7.
    """

    summary = "distance of the patches to those of normal images, in the features of a given network"

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder

    @classmethod
    def made(cls, features: Any = None) -> "FeaturesDetector":
        """One that looks through an encoder, see `latens.encoders`.

        Raises:
            UsageError: none was given, or it can't be loaded.
        """
        if features is None:
            raise UsageError(
                "the method features needs an encoder: --features timm:NAME, onnx:FILE or MODULE:NAME; other methods need none"
            )
        return cls(encoder_of(features))

    def fit(self, normal: Seen, latents: Floats) -> None:
        """Keep patches of normal images that cover all others, and learn the usual distances of each place."""
        rows = drawn_rows(len(normal), MOST_IMAGES)
        patches = self._patches(normal, rows)
        height, width = patches.shape[1:3]
        flat = patches.reshape(-1, patches.shape[-1])
        flat = flat[drawn_rows(len(flat), MOST_PATCHES)]
        self.memory = flat[coreset(flat, KEPT)]
        self.search = Neighbours(self.memory)
        self.size = normal.pixels.shape[2:]
        self.scale = PlaceScale().fit(self._maps(patches.reshape(len(rows), height, width, -1)))

    def measure(self, seen: Seen) -> Measured:
        """The peak of the distances; and their map, in the unit of the spread at each place.

        Patches are compared with those of all places, so their distances need no unit to be compared.
        """
        distances = self._maps(self._patches(seen, np.arange(len(seen))))
        return Measured(peak(distances), self.scale(distances))

    def _patches(self, seen: Seen, rows: NDArray[np.int64]) -> Floats:
        """Features of each patch, float32 (B, h, w, F): those of all maps, at the places of the finest."""
        show = seen.run.format.show
        found = []
        for start in range(0, len(rows), AT_ONCE):
            images = composite(seen.x[rows[start : start + AT_ONCE]], show)
            found.append(_joined(self.encoder.maps(images)).permute(0, 2, 3, 1).numpy())
        return np.ascontiguousarray(np.concatenate(found))

    def _maps(self, patches: Floats) -> Floats:
        count, height, width, features = patches.shape
        distances, _ = self.search.nearest(patches.reshape(-1, features), 1)
        small = torch.from_numpy(np.ascontiguousarray(distances.reshape(count, 1, height, width), np.float32))
        large = functional.interpolate(small, self.size, mode="bilinear", align_corners=False)
        return smoothed(large[:, 0].numpy())


def _joined(maps: list[Tensor]) -> Tensor:
    """Feature maps of several sizes as one, each averaged over its neighbourhood, (B, F, h, w) of the finest."""
    finest = max(maps, key=lambda one: one.shape[2] * one.shape[3]).shape[2:]
    pad = AROUND // 2
    # Beyond the edge are zeros, as in PatchCore's own code: what a network sees at an edge is shaped by its own padding, and so
    # counts less. With the edge repeated the AUROC was lower by about 0.1 on two sets (docs/log.md).
    around = [functional.avg_pool2d(one, AROUND, 1, pad) for one in maps]
    return torch.cat([functional.interpolate(one, finest, mode="bilinear", align_corners=False) for one in around], 1)


def coreset(points: Floats, count: int, seed: int = 0) -> NDArray[np.int64]:
    """Points such that each other one is near to one of them: the farthest from those chosen so far, again and again.

    Args:
        points: (N, F).
        count: how many.
        seed: of the first one, and of the projection in which distances are computed.

    Returns:
        int64 (min(N, count),), rows.

    Source: Sener and Savarese, "Active learning for convolutional neural networks", 2018 (greedy k-center); the projection is
    that of PatchCore.
    """
    if len(points) <= count:
        return np.arange(len(points))
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(points)
    if x.shape[1] > PROJECTED:
        x = x @ torch.from_numpy(rng.normal(size=(x.shape[1], PROJECTED)).astype(np.float32) / PROJECTED**0.5)
    squares = x.square().sum(1)
    chosen = np.empty(count, np.int64)
    chosen[0] = rng.integers(len(x))
    least = torch.full((len(x),), torch.inf)
    for k in range(1, count):
        last = x[chosen[k - 1]]
        torch.minimum(least, squares - 2 * (x @ last) + last @ last, out=least)
        chosen[k] = int(least.argmax())
    return chosen
