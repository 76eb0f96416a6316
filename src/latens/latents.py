"""Images to latents and back: in batches, deterministic, whatever the images come as."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latens.errors import UsageError
from latens.images import Dataset, Images
from latens.images.mapped import blocks
from latens.models.contract import Model

__all__ = ["as_pixels", "decode_latents", "encode_images", "reconstruct_images", "to_uint8"]

BATCH, BATCH_VALUES = 1000, 1 << 20  # images, and pixels: layers between hold up to ten times as many numbers


def as_pixels(images: Any, image_shape: tuple[int, int, int]) -> np.ndarray:
    """What a person calls images, as the array that models take: (N, C, H, W), uint8 or float32 in [0, 1].

    Args:
        images: `Images`, or an array or tensor (N, C, H, W), (N, H, W) where C is 1, or one (C, H, W); uint8 or floats in [0, 1].
        image_shape: (C, H, W) of the model.

    Raises:
        UsageError: another shape, another type, or values outside [0, 1].
    """
    if isinstance(images, Dataset):
        raise UsageError("a data set has two parts; give its .train or its .test")
    pixels = (
        images.pixels
        if isinstance(images, Images)
        else np.asarray(images.cpu() if isinstance(images, Tensor) else images)
    )
    if pixels.shape == image_shape:
        pixels = pixels[None]
    if pixels.ndim == 3 and image_shape[0] == 1:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1:] != image_shape:
        wanted = " x ".join(map(str, ("N", *image_shape)))
        raise UsageError(f"images have the shape {' x '.join(map(str, pixels.shape))}; this model takes {wanted}")
    if pixels.dtype == np.uint8:
        return pixels
    if not np.issubdtype(pixels.dtype, np.floating):
        raise UsageError(f"images are {pixels.dtype}; uint8 or floats in [0, 1] are allowed")
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise UsageError(
            f"images lie in [{pixels.min():g}, {pixels.max():g}]; floats must lie in [0, 1]; divide by 255?"
        )
    return pixels.astype(np.float32, copy=False)


def encode_images(model: Model, images: Any, progress: Callable[[int, int], None] | None = None) -> np.ndarray:
    """The latents of images.

    Args:
        model: see `latens.models`.
        images: see `as_pixels`.
        progress: called with (done, total) images after each batch.

    Returns:
        float32 (N, D).
    """
    pixels = as_pixels(images, model.image_shape)
    return _in_batches(model, pixels, model.encode, (model.latent_dim,), progress)


def decode_latents(model: Model, latents: Any) -> np.ndarray:
    """The pictures of latents (N, D): float32 (N, C, H, W), about [0, 1] but not held to it.

    Raises:
        UsageError: not (N, D) for this model, or not finite.
    """
    z: np.ndarray = np.asarray(latents.cpu() if isinstance(latents, Tensor) else latents, dtype=np.float32)
    dim = model.latent_dim
    if z.ndim == 1 and len(z) == dim:
        z = z[None]
    if z.ndim != 2 or z.shape[1] != dim:
        raise UsageError(f"latents have the shape {' x '.join(map(str, z.shape))}; this model takes N x {dim}")
    if not np.isfinite(z).all():
        raise UsageError("latents hold NaN or infinity; finite numbers are needed")
    return _in_batches(model, z, model.decode, model.image_shape)


def reconstruct_images(model: Model, images: Any) -> np.ndarray:
    """Images through the latent and back: float32 (N, C, H, W)."""
    return decode_latents(model, encode_images(model, images))


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Decoded pictures as 8-bit pixels: held to [0, 1], rounded."""
    rounded: np.ndarray = np.rint(np.clip(images, 0, 1) * 255)
    return rounded.astype(np.uint8)


@torch.no_grad()
def _in_batches(
    model: Model,
    array: np.ndarray,
    function: Callable[[Tensor], Tensor],
    shape: tuple[int, ...],
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """What a function makes of an array, float32 (N, *shape); beside that, memory holds one batch at a time."""
    device = next(model.parameters()).device
    model.eval()
    # Made whole at once: batches that are kept until the last is there lie scattered, and keep memory between them.
    result = np.empty((len(array), *shape), np.float32)
    done = 0
    for rows in blocks(array, max(1, min(BATCH, BATCH_VALUES // prod(model.image_shape)))):
        block = torch.from_numpy(np.array(rows)).to(device)
        if block.ndim == 4:
            block = block.contiguous(memory_format=torch.channels_last)
        x = block.float().div_(255) if block.dtype == torch.uint8 else block
        result[done : done + len(rows)] = function(x).float().cpu().numpy()
        done += len(rows)
        if progress is not None:
            progress(done, len(array))
    return result
