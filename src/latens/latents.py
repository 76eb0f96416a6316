"""Images to latents and back, in batches, deterministic, for images of any kind."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latens.arrays import blocks
from latens.device import images_at_once, yielding_threads
from latens.errors import UsageError
from latens.images import Dataset, Images
from latens.images.given import as_array
from latens.images.pixels import is_grey, to_unit
from latens.models.checks import check_weights, in_words
from latens.models.contract import Model, evaluating
from latens.training.precision import allowed_precision

__all__ = ["as_pixels", "decode_latents", "encode_images", "in_batches", "reconstruct_images"]

LANES = 3  # batches in flight on a GPU: one copied there, one computed, one copied back


def as_pixels(images: Any, image_shape: tuple[int, int, int]) -> np.ndarray:
    """Images of any kind as the array that models take: (N, C, H, W), uint8 or float32 in [0, 1].

    Args:
        images: `Images`, by their own range; or an array or tensor (N, C, H, W), (N, H, W) where C is 1, or one (C, H, W), of
            uint8 or of floats in [0, 1].
        image_shape: (C, H, W) of the model.

    Raises:
        UsageError: another shape, another type, or values outside [0, 1].
    """
    if isinstance(images, Dataset):
        raise UsageError("a data set has two parts; give its .train or its .test")
    pixels = images.inputs if isinstance(images, Images) else as_array(images, "images")
    if pixels.shape == image_shape:
        pixels = pixels[None]
    if pixels.ndim == 3 and is_grey(image_shape[0]):
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1:] != image_shape:
        raise UsageError(
            f"images have the shape {in_words(pixels.shape)}; this model takes N x {in_words(image_shape)}"
        )
    if pixels.dtype == np.uint8 or isinstance(images, Images):
        return pixels
    if not np.issubdtype(pixels.dtype, np.floating):
        raise UsageError(f"images are {pixels.dtype}; uint8 or floats in [0, 1] are allowed")
    if pixels.size and not (pixels.min() >= 0 and pixels.max() <= 1):
        if broken := int(pixels.size - np.isfinite(pixels).sum()):
            raise UsageError(
                f"images have {broken:,} of {pixels.size:,} values that are not numbers (NaN or infinity); replace them:"
                " np.nan_to_num(images)"
            )
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
    return in_batches(model, pixels, model.encode, (model.latent_dim,), progress)


def decode_latents(model: Model, latents: Any) -> np.ndarray:
    """The pictures of latents (N, D): float32 (N, C, H, W), about [0, 1] but not held to it.

    Raises:
        UsageError: not (N, D) for this model, or not finite.
    """
    try:
        z: np.ndarray = np.asarray(as_array(latents, "latents"), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(f"latents are no array of numbers ({error}); N x {model.latent_dim} is needed") from None
    dim, shape = model.latent_dim, model.latent_shape
    if z.shape in ((dim,), shape):
        z = z[None]
    if z.shape[1:] == shape:
        z = z.reshape(len(z), dim)
    if z.ndim != 2 or z.shape[1] != dim:
        wanted = f"N x {dim}" + (f", or N x {in_words(shape)}" if len(shape) > 1 else "")
        raise UsageError(f"latents have the shape {in_words(z.shape)}; this model takes {wanted}")
    if not np.isfinite(z).all():
        raise UsageError("latents hold NaN or infinity; finite numbers are needed")
    return in_batches(model, z, model.decode, model.image_shape)


def reconstruct_images(model: Model, images: Any) -> np.ndarray:
    """Images through the latent and back: float32 (N, C, H, W)."""
    return decode_latents(model, encode_images(model, images))


@torch.no_grad()
def in_batches(
    model: Model,
    array: np.ndarray,
    function: Callable[[Tensor], Tensor],
    shape: tuple[int, ...],
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """The values of a function of an array, float32 (N, *shape); apart from that, memory holds one batch at a time."""
    check_weights(model)
    device, dtype = model.device, model.dtype

    def compute(block: Tensor) -> Tensor:
        if block.ndim == 4:
            block = block.contiguous(memory_format=torch.channels_last)
        return function(to_unit(block, dtype)).float()

    parts = blocks(array, images_at_once(model.image_shape, device))
    batches = _through_lanes(parts, compute, device) if device.type == "cuda" else _in_turn(parts, compute, device)
    # Allocated at once: batches that are kept until the last is computed would fragment the memory.
    result = np.empty((len(array), *shape), np.float32)
    whole, done = torch.from_numpy(result), 0
    # One batch is soon done: only for more of them it pays to look how busy the machine is.
    quiet = yielding_threads() if len(array) > images_at_once(model.image_shape, device) else nullcontext()
    with evaluating(model), allowed_precision("float32"), quiet:
        for y in batches:
            whole[done : done + len(y)] = y
            done += len(y)
            if progress is not None:
                progress(done, len(array))
    return result


def _in_turn(
    parts: Iterable[np.ndarray], compute: Callable[[Tensor], Tensor], device: torch.device
) -> Iterator[Tensor]:
    for rows in parts:
        yield compute(torch.from_numpy(np.array(rows)).to(device)).cpu()


def _through_lanes(
    parts: Iterable[np.ndarray], compute: Callable[[Tensor], Tensor], device: torch.device
) -> Iterator[Tensor]:
    """The result of each part, in order, on the host; copies of one part run while others are computed.

    Each lane is a stream of the GPU. Copies use page-locked memory, which a GPU reads without the processor. On other devices
    lanes are only an order of work.
    """
    lanes = [_lane(device) for _ in range(LANES)]
    under_way: deque[tuple[Tensor, torch.cuda.Event | None]] = deque()
    for number, rows in enumerate(parts):
        if len(under_way) == LANES:
            yield _arrived(*under_way.popleft())
        under_way.append(_send(rows, compute, device, lanes[number % LANES]))
    while under_way:
        yield _arrived(*under_way.popleft())


def _lane(device: torch.device) -> torch.cuda.Stream | None:
    if device.type != "cuda":
        return None
    lane = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    lane.wait_stream(torch.cuda.current_stream(device))  # the copy of the weights may not be complete
    return lane


def _send(
    rows: np.ndarray, compute: Callable[[Tensor], Tensor], device: torch.device, lane: torch.cuda.Stream | None
) -> tuple[Tensor, torch.cuda.Event | None]:
    """Start to copy some rows to the device, compute, and copy back; returns the target and the event of its completion."""
    locked = lane is not None
    with torch.cuda.stream(lane):
        dtype = torch.uint8 if rows.dtype == np.uint8 else torch.float32
        source = torch.empty(rows.shape, dtype=dtype, pin_memory=locked)
        if rows.flags.writeable and rows.flags.c_contiguous:
            source.copy_(torch.from_numpy(rows))  # by all threads; torch warns of read-only arrays
        else:
            np.copyto(source.numpy(), rows)
        y = compute(source.to(device, non_blocking=True))
        target = torch.empty(y.shape, pin_memory=locked).copy_(y, non_blocking=True)
        return target, lane.record_event() if lane is not None else None


def _arrived(y: Tensor, event: torch.cuda.Event | None) -> Tensor:
    if event is not None:
        event.synchronize()
    return y
