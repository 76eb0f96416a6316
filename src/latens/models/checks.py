"""What every model asks of its arguments, and the network that comes of them."""

import math
from collections.abc import Sequence

from latens.errors import UsageError
from latens.images.pixels import CHANNELS
from latens.networks import NETWORKS, Network

__all__ = ["check_choice", "check_number", "make_network"]

SIZES = (8, 256)


def make_network(
    image_shape: tuple[int, int, int], latent_dim: int, network: str, encoded: int | None = None
) -> Network:
    """The network of a model, its shape and dimension checked.

    Args:
        image_shape: (C, H, W), C of 1 or 3, H and W from 8 to 256.
        latent_dim: D, at least 1; what the decoder takes in.
        network: a name of `NETWORKS`.
        encoded: what the encoder puts out; D by default.

    Raises:
        UsageError: a shape or a dimension that is not allowed.
        UnknownName: no such network.
    """
    low, high = SIZES
    channels, height, width = image_shape
    if channels not in CHANNELS or not low <= height <= high or not low <= width <= high:
        raise UsageError(
            f"images are {channels} x {height} x {width}; 1 or 3 channels and {low} to {high} pixels a side are allowed;"
            " use --size"
        )
    if latent_dim < 1:
        raise UsageError(f"latent dimension is {latent_dim}; at least 1 is needed")
    return NETWORKS[network](image_shape, latent_dim if encoded is None else encoded, latent_dim)


def check_choice(name: str, value: object, allowed: Sequence[object]) -> None:
    """See that an option is one of a few.

    Raises:
        UsageError: it isn't.
    """
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}; known: {', '.join(map(str, allowed))}")


def check_number(name: str, value: object, above: float | None = None) -> None:
    """See that an option is a finite number, at least 0, or above a bound where one is given.

    Raises:
        UsageError: it isn't.

    >>> check_number("beta", -1)
    Traceback (most recent call last):
    latens.errors.UsageError: beta is -1; a finite number, at least 0, is needed
    """
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not (value >= 0 if above is None else value > above):  # type: ignore[operator]  # it is a number
        bound = "at least 0" if above is None else f"above {above:g}"
        raise UsageError(f"{name} is {value!r}; a finite number, {bound}, is needed")
