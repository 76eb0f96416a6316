"""`Features`: the numbers by which generation scores compare images."""

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latens.device import images_at_once
from latens.errors import UsageError
from latens.features.network import DIM, FeatureNetwork
from latens.images.pixels import quantised, to_unit
from latens.training.precision import allowed_precision

__all__ = ["Features"]


class Features:
    """A fixed function from images to features.

    Args:
        name: what it is, in words.
        network: with its weights, on the device where it is to work.
        image_shape: (C, H, W) of the pictures.
        rounds: whether floats are rounded to 8 bits first, as real images of 8 bits are.

    The digest, SHA-256 of the weights, and the name are part of the protocol of every score that uses it.
    """

    dim = DIM

    def __init__(
        self, name: str, network: FeatureNetwork, image_shape: tuple[int, int, int], rounds: bool = True
    ) -> None:
        self.name, self.image_shape, self.rounds = name, image_shape, rounds
        self.network = network.eval()
        for weight in network.parameters():
            if weight.ndim == 4:  # laid out like the images: convolutions of both take a fifth less
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        self.digest = _digest(network)
        self.num_classes = 0 if network.classifier is None else network.classifier.out_features

    def __repr__(self) -> str:
        return f"Features({self.protocol})"

    @property
    def protocol(self) -> str:
        """The name and the first eight digits of the digest, as protocols have them."""
        return f"{self.name} {self.digest[:8]}"

    def __call__(self, pixels: Any) -> NDArray[np.float32]:
        """The features of pictures.

        Args:
            pixels: (N, C, H, W), uint8, or floats about [0, 1], which are clamped, and rounded to 8 bit if `rounds` says so.

        Returns:
            float32 (N, 64).

        Raises:
            UsageError: another shape or type, or numbers that are not finite.
        """
        pixels = np.asarray(pixels.cpu() if isinstance(pixels, Tensor) else pixels)
        if pixels.ndim != 4 or pixels.shape[1:] != self.image_shape:
            wanted = " x ".join(map(str, ("N", *self.image_shape)))
            raise UsageError(
                f"images have the shape {' x '.join(map(str, pixels.shape))}; these features take {wanted}"
            )
        if pixels.dtype != np.uint8 and not np.issubdtype(pixels.dtype, np.floating):
            raise UsageError(f"images are {pixels.dtype}; uint8 or floats in [0, 1] are allowed")
        result = np.empty((len(pixels), self.dim), np.float32)
        device = self.network.scale.device
        rows = images_at_once(self.image_shape, device)
        with torch.no_grad(), allowed_precision("float32"):
            for start in range(0, len(pixels), rows):
                x = _in_unit(pixels[start : start + rows], self.rounds).to(device)
                features = self.network(x.contiguous(memory_format=torch.channels_last))
                result[start : start + rows] = features.cpu().numpy()
        return result

    def classify(self, pixels_or_features: Any) -> NDArray[np.int64] | None:
        """The class of each picture, int64 (N,); None where the features know no classes.

        Args:
            pixels_or_features: as for a call, or what it returned, (N, 64).

        Raises:
            UsageError: as for a call.
        """
        if self.num_classes == 0:
            return None
        given = pixels_or_features
        features = given if getattr(given, "ndim", 0) == 2 else self(given)
        with torch.no_grad(), allowed_precision("float32"):
            logits = self.network.logits(torch.from_numpy(np.array(features, np.float32)).to(self.network.scale.device))
        classes: NDArray[np.int64] = logits.argmax(1).cpu().numpy()
        return classes


def _in_unit(pixels: NDArray[Any], rounds: bool) -> Tensor:
    """float32 in [0, 1]; in steps of 1/255 if `rounds` says so."""
    x = to_unit(torch.from_numpy(np.array(pixels)))
    if pixels.dtype == np.uint8:
        return x
    if not x.isfinite().all():
        raise UsageError("images hold NaN or infinity; finite numbers are needed")
    return quantised(x) if rounds else x.clamp_(0, 1)


def _digest(network: FeatureNetwork) -> str:
    """SHA-256 over the names, shapes and values of the weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().numpy().astype("<f4").tobytes())
    return digest.hexdigest()
