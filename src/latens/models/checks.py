"""Checks of the arguments of every model, and the network that they name."""

import math
from collections.abc import Sequence
from dataclasses import replace
from math import prod

import torch
from torch import Tensor, nn

from latens.errors import UsageError
from latens.images.pixels import MOST_CHANNELS
from latens.models.contract import evaluating
from latens.networks import NETWORKS, Network
from latens.networks.half import Half

__all__ = ["OF_ROWS", "check_choice", "check_number", "check_weights", "in_words", "make_network"]

SIZES = (8, 512)
OF_ROWS = ("dense", "linear-path")  # networks that also take rows of features, as images of 1 x 1 x F


def make_network(
    image_shape: tuple[int, int, int], latent_dim: int, network: str, encoded: int | None = None
) -> Network:
    """The network of a model, with its shape and dimension checked.

    Args:
        image_shape: (C, H, W), C from 1 to 64, H and W from 8 to 512; or (1, 1, F), a row of features, for those of `OF_ROWS`.
        latent_dim: D, at least 1; number of values that the decoder takes.
        network: a name of `NETWORKS`.
        encoded: number of values that the encoder returns; D by default.

    Raises:
        UsageError: a shape or a dimension that is not allowed.
        UnknownName: no such network.
    """
    low, high = SIZES
    channels, height, width = image_shape
    is_row = network in OF_ROWS and (channels, height) == (1, 1) and width > 0
    if not is_row and (not 0 < channels <= MOST_CHANNELS or not low <= height <= high or not low <= width <= high):
        raise UsageError(
            f"images are {channels} x {height} x {width}; 1 to {MOST_CHANNELS} channels and {low} to {high} pixels a side are"
            " allowed; use --size"
        )
    if latent_dim < 1:
        raise UsageError(f"latent dimension is {latent_dim}; at least 1 is needed")
    encoded = latent_dim if encoded is None else encoded
    made = NETWORKS[network](image_shape, encoded, latent_dim)
    made = made if isinstance(made, Network) else Network(*made)
    shape = (latent_dim,) if made.latent_shape is None else tuple(made.latent_shape)
    if prod(shape) != latent_dim:
        raise UsageError(
            f"network {network!r} has latents of {in_words(shape)}, which are {prod(shape)} numbers; latent dimension is"
            f" {latent_dim}; use {prod(shape)}"
        )
    made = replace(made, latent_shape=shape)
    if not all(isinstance(half, Half) for half in made):
        _check_shapes(made, network, image_shape, encoded)
    return made


def _check_shapes(made: Network, name: str, image_shape: tuple[int, int, int], encoded: int) -> None:
    """Check input and output shapes of halves of unknown modules, with two black images."""
    assert made.latent_shape is not None
    shapes = (("encoder", image_shape, (encoded,)), ("decoder", made.latent_shape, image_shape))
    for half, (part, given, wanted) in zip(made, shapes, strict=True):
        if not isinstance(half, nn.Module):
            raise UsageError(f"network {name!r}: the {part} is {type(half).__name__}; a torch.nn.Module is needed")
        with evaluating(half), torch.no_grad():
            tensor = next(half.parameters(), torch.empty(0))
            try:
                y = half(torch.zeros(2, *given, device=tensor.device, dtype=tensor.dtype))
            except Exception as error:  # any error of a user-supplied module
                reason = " ".join(str(error).split())
                raise UsageError(f"network {name!r}: the {part} can't take {in_words(given)}: {reason}") from error
        found = tuple(y.shape[1:]) if isinstance(y, Tensor) else None
        if found is None or (prod(found) != prod(wanted) if part == "encoder" else found != wanted):
            gives = type(y).__name__ if found is None else in_words(found)
            raise UsageError(
                f"network {name!r}: the {part} gives {gives} for {in_words(given)}; {in_words(wanted)} is needed"
            )


def in_words(shape: Sequence[int]) -> str:
    """A shape as it is written in messages.

    >>> in_words((1, 28, 28))
    '1 x 28 x 28'
    """
    return " x ".join(map(str, shape))


def check_weights(model: nn.Module) -> None:
    """Check that a model's weights have values.

    Raises:
        UsageError: some are meta tensors.
    """
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if tensor.is_meta:
            raise UsageError(f"the model's {name} is a meta tensor, without values; load the weights first")


def check_choice(name: str, value: object, allowed: Sequence[object]) -> None:
    """Check that an option has one of the allowed values.

    Raises:
        UsageError: it is not.
    """
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}; known: {', '.join(map(str, allowed))}")


def check_number(name: str, value: object, above: float | None = None) -> None:
    """Check that an option is a finite number, at least 0, or above a bound if one is given.

    Raises:
        UsageError: it is not.

    >>> check_number("beta", -1)
    Traceback (most recent call last):
    latens.errors.UsageError: beta is -1; a finite number, at least 0, is needed
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not (value >= 0 if above is None else value > above):  # type: ignore[operator]  # it is a number
        bound = "at least 0" if above is None else f"above {above:g}"
        raise UsageError(f"{name} is {value!r}; a finite number, {bound}, is needed")
