"""A user-supplied model: two functions as a `Model` that can be scored, mapped and drawn, but not trained."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latens.errors import UsageError
from latens.images.given import as_array
from latens.images.pixels import to_floats
from latens.losses import Losses, squared_error
from latens.models.checks import in_words
from latens.models.contract import Model
from latens.networks import Network

__all__ = ["AdoptedModel", "ArrayFunction", "latent_shape_of", "what_varies"]

ArrayFunction = Callable[[Any], Any]
TRIED = 16  # images that the functions are tried on
SAME = 1e-3  # of the spread of the latents, that two encodings of one image may differ


class AdoptedModel(Model):
    """A model of two user-supplied functions; they get batches as arrays, or as tensors if they are functions of torch.

    Args:
        image_shape: (C, H, W).
        latent_shape: of one latent as `encode` gives it: (D,), or a map (c, h, w), which is flattened here.
        encode: float32 (B, C, H, W) in [0, 1] -> (B, *latent_shape), an array or a tensor.
        decode: float32 (B, *latent_shape) -> (B, C, H, W), or flat (B, C·H·W), about [0, 1].
        batch_size: images that a function is given at once, at most.

    Use it to evaluate a model that latens has not trained: `latens.adopt` makes a run of one.

    >>> model = AdoptedModel((1, 8, 8), (64,), lambda x: x.reshape(len(x), 64), lambda z: z)
    >>> model.decode(model.encode(torch.ones(2, 1, 8, 8))).shape
    torch.Size([2, 1, 8, 8])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        latent_shape: tuple[int, ...],
        encode: ArrayFunction,
        decode: ArrayFunction,
        batch_size: int = 256,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}; at least 1 is needed")
        encoder = _Called("encode", encode, image_shape, latent_shape, batch_size)
        decoder = _Called("decode", decode, latent_shape, image_shape, batch_size)
        super().__init__(image_shape, Network(encoder, decoder, latent_shape))
        # It has no weights here; an empty one says on which device batches are handed over.
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Losses:
        """The squared error of the reconstruction, one value a sample, without a gradient: (B, C, H, W) -> (B,)."""
        error = squared_error(x, self.decode(self.encode(x)))
        return Losses(error, {"squared_error": error})


class _Called(nn.Module):
    """A function of arrays as a layer: its input is reshaped, its output is checked."""

    def __init__(
        self, name: str, function: ArrayFunction, given: tuple[int, ...], wanted: tuple[int, ...], batch_size: int
    ) -> None:
        super().__init__()
        self.name, self.given, self.wanted, self.batch_size = name, given, wanted, batch_size
        self.function = _OfArrays(name, function)

    def forward(self, x: Tensor) -> Tensor:
        """The function of each part of a batch: (B, ...) -> (B, *wanted)."""
        array = x.detach().cpu().float().contiguous().numpy().reshape(len(x), *self.given)
        parts = [self._call(array[start : start + self.batch_size]) for start in range(0, len(array), self.batch_size)]
        result = np.concatenate(parts) if parts else np.empty((0, *self.wanted), np.float32)
        return torch.from_numpy(result).to(x.device)

    def _call(self, array: np.ndarray) -> np.ndarray:
        result = self.function(array)
        if result.shape == (len(array), prod(self.wanted)):
            result = result.reshape(len(array), *self.wanted)
        if result.shape != (len(array), *self.wanted):
            raise UsageError(
                f"{self.name} gave the shape {in_words(result.shape)} for {in_words(array.shape)};"
                f" {in_words((len(array), *self.wanted))} is needed{self._hint(result.shape)}"
            )
        _check_finite(self.name, result)
        return result

    def _hint(self, shape: tuple[int, ...]) -> str:
        """The likely reason for a wrong shape."""
        channels_last = (*self.wanted[1:], self.wanted[0])
        return "; are the channels last? move them with transpose(0, 3, 1, 2)" if shape[1:] == channels_last else ""


class _OfArrays:
    """A user-supplied function, called with arrays, or with tensors if it is a function of torch.

    Args:
        name: of the function, for errors.
        function: a module or a method of one gets tensors where its weights are; any other gets arrays, and where it can't take
            them tensors on the CPU.
    """

    def __init__(self, name: str, function: ArrayFunction) -> None:
        self.name, self.function = name, function
        owner = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
        self.module = owner if isinstance(owner, nn.Module) else None
        self.takes_tensors = self.module is not None

    def __call__(self, array: np.ndarray) -> np.ndarray:
        """The function of an array, as an array.

        Raises:
            UsageError: it takes neither arrays nor tensors, or gives something else than numbers.
        """
        if self.takes_tensors:
            return _as_array(self.name, self._of_tensor(array))
        try:
            # A copy: what a function does to what it is given must not be seen elsewhere.
            return _as_array(self.name, self.function(array.copy()))
        except UsageError:
            raise
        except (TypeError, AttributeError) as error:
            try:
                result = self._of_tensor(array)
            except (TypeError, AttributeError, RuntimeError) as second:
                raise UsageError(
                    f"{self.name} takes neither an array ({_short(error)}) nor a tensor on the CPU ({_short(second)});"
                    f" give a function of float32 {in_words(array.shape)}"
                ) from error
            self.takes_tensors = True
            return _as_array(self.name, result)

    @torch.no_grad()
    def _of_tensor(self, array: np.ndarray) -> Any:
        tensor = torch.from_numpy(array.copy())
        like = next(self.module.parameters(), tensor) if self.module is not None else tensor
        return self.function(tensor.to(like.device, like.dtype))


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def latent_shape_of(encode: ArrayFunction, pixels: np.ndarray) -> tuple[int, ...]:
    """The shape of one latent, by trying `encode` on some images.

    Args:
        encode: see `AdoptedModel`.
        pixels: uint8 (N, C, H, W), at least 1.

    Raises:
        UsageError: what it gives is no array of numbers with one latent an image.
    """
    some = _some(pixels)
    z = _OfArrays("encode", encode)(some)
    if z.ndim < 2 or len(z) != len(some) or not z.size:
        raise UsageError(
            f"encode gave the shape {in_words(z.shape)} for {in_words(some.shape)}; one latent an image is needed,"
            f" {len(some)} x D or {len(some)} x c x h x w"
        )
    _check_finite("encode", z)
    return z.shape[1:]


@torch.no_grad()
def what_varies(model: Model, pixels: np.ndarray) -> str:
    """What the latent of an image depends on apart from the image, in words; empty if on nothing.

    Args:
        model: encodes the same images twice.
        pixels: uint8 (N, C, H, W), at least 1.
    """
    some = torch.from_numpy(_some(pixels))
    first, second, alone = model.encode(some), model.encode(some), model.encode(some[:1])
    allowed = SAME * float(first.std(correction=0)) + 1e-6
    if float((first - second).abs().max()) > allowed:
        return "encode gives other latents each time; give the mean of its distribution, not a draw from it"
    if float((first[:1] - alone).abs().max()) > allowed:
        return "encode gives an image other latents in other company; is a network in training mode? call its eval()"
    return ""


def _some(pixels: np.ndarray) -> np.ndarray:
    return to_floats(np.array(pixels[:TRIED]))


def _as_array(name: str, result: Any) -> np.ndarray:
    try:
        return np.ascontiguousarray(as_array(result, name), dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name} gave {type(result).__name__}, which is no array of numbers ({error}); an array or a tensor is needed"
        ) from None


def _check_finite(name: str, result: np.ndarray) -> None:
    if not np.isfinite(result).all():
        raise UsageError(f"{name} gave NaN or infinity; finite numbers are needed (a float16 that overflows?)")
