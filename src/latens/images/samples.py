"""From samples of any depth to an 8-bit image, grey or RGB: scaling, min-is-white, CMYK and alpha."""

from typing import Literal

import numpy as np
from PIL import Image

from latens.images.pixels import from_samples, narrowed, to_uint8

__all__ = ["Alpha", "Kind", "image_of_samples"]

Kind = Literal["grey", "inverted", "rgb", "cmyk"]  # "inverted": grey whose smallest value is white
Alpha = Literal["none", "straight", "premultiplied"]
COLOURS = {"grey": 1, "inverted": 1, "rgb": 3, "cmyk": 4}  # samples that carry colour


def image_of_samples(samples: np.ndarray, white: int, kind: Kind, alpha: Alpha = "none") -> Image.Image:
    """An image of mode L or RGB.

    Args:
        samples: (H, W, S) of unsigned integers, or of floats in [0, 1]; the colours, then alpha if there is any. Samples
            beyond these are ignored.
        white: the largest integer, which is 1.0; not used for floats.
        kind: what the colours are.
        alpha: whether the sample after the colours is opacity, and whether the colours were multiplied by it.

    Raises:
        ValueError: floats outside [0, 1], integers above white, or signed integers.
    """
    samples = samples[..., : COLOURS[kind] + (alpha != "none")]
    colours = samples[..., : COLOURS[kind]]
    if samples.dtype.kind == "f":
        if not (np.isfinite(samples).all() and samples.min() >= 0 and samples.max() <= 1):
            raise ValueError("floats outside [0, 1]")
    elif samples.dtype.kind not in "ub":
        raise ValueError("signed integers; nothing says which value is white: save it as unsigned 8 or 16 bits")
    elif colours.size and int(colours.max()) > white:
        raise ValueError(f"values up to {colours.max()}, although {white} is said to be white")
    if kind in ("grey", "rgb") and alpha == "none" and samples.dtype.kind != "f":
        return from_samples(narrowed(colours, white))
    values = colours.astype(np.float64) / (1 if samples.dtype.kind == "f" else white)
    if kind == "inverted":
        values = 1 - values
    if kind == "cmyk":
        values = (1 - values[..., :3]) * (1 - values[..., 3:])
    if alpha != "none":
        opacity = samples[..., COLOURS[kind] :].astype(np.float64) / (1 if samples.dtype.kind == "f" else white)
        values = (values if alpha == "premultiplied" else values * opacity) + (1 - opacity)
    return from_samples(to_uint8(values))
