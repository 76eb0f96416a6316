"""From samples of any depth to an 8-bit image or to values of their own depth: scaling, min-is-white, CMYK and alpha."""

from typing import Literal

import numpy as np
from PIL import Image

from latens.images.pixels import from_samples, narrowed, to_uint8

__all__ = ["COLOURS", "Alpha", "Kind", "image_in_bytes", "kept_type", "values_of_samples"]

Kind = Literal["grey", "inverted", "rgb", "cmyk"]  # "inverted": grey whose smallest value is white
Alpha = Literal["none", "straight", "premultiplied"]
AT_ONCE = 1 << 22  # samples that are computed in float64 at a time
COLOURS = {"grey": 1, "inverted": 1, "rgb": 3, "cmyk": 4}  # samples that carry colour


def image_in_bytes(values: np.ndarray, white: int) -> Image.Image:
    """An image of mode L or RGB.

    Args:
        values: (H, W, 1 or 3) of unsigned integers, or of floats in [0, 1].
        white: the integer that becomes 255; not used for floats.

    Raises:
        ValueError: floats outside [0, 1], integers above white, or signed integers.
    """
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise ValueError("floats outside [0, 1]")
        return from_samples(to_uint8(values))
    if values.dtype.kind not in "ub":
        raise ValueError("signed integers; nothing says which value is white: save it as unsigned 8 or 16 bits")
    if values.size and int(values.max()) > white:
        raise ValueError(f"values up to {values.max()}, although {white} is said to be white")
    return from_samples(narrowed(values, white))


def kept_type(kind: str, bits: int) -> str:
    """The type in which numbers of a kind are kept: "uint8", "uint16", or "float32" for signed, longer and real ones.

    Args:
        kind: of NumPy: "u", "i", "f" or "b".
        bits: how many of them count.

    >>> kept_type("u", 12), kept_type("i", 16), kept_type("b", 1)
    ('uint16', 'float32', 'uint8')
    """
    if kind not in "ub" or bits > 16:
        return "float32"
    return "uint8" if bits <= 8 else "uint16"


def values_of_samples(samples: np.ndarray, bits: int, kind: Kind, alpha: Alpha = "none") -> np.ndarray:
    """The values of all channels as the file has them, in the type of `kept_type`.

    Args:
        samples: (H, W, S) of any numbers; without alpha all of them are channels.
        bits: of a sample.
        kind: what the first ones are. "inverted" is turned round, inks become red, green and blue.
        alpha: whether the sample after the colours is opacity; they are laid on white then.

    Returns:
        uint8, uint16 or float32 (H, W, C); of fewer than 8 bits the largest number becomes 255.
    """
    kept = np.dtype(kept_type(samples.dtype.kind, bits))
    if kind in ("grey", "rgb") and alpha == "none" and bits >= 8:
        return _as_floats(samples) if kept.kind == "f" else samples.astype(kept, copy=False)
    rows = max(1, AT_ONCE // max(1, samples.shape[1] * samples.shape[2]))
    blocks = [_of_rows(samples[top : top + rows], bits, kind, alpha, kept) for top in range(0, len(samples), rows)]
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _of_rows(samples: np.ndarray, bits: int, kind: Kind, alpha: Alpha, kept: np.dtype) -> np.ndarray:
    count = COLOURS[kind]
    whole = samples.dtype.kind in "ub"
    largest = float((1 << bits) - 1) if whole else -1.0 if samples.dtype.kind == "i" else 1.0
    values = (samples if alpha == "none" and kind != "cmyk" else samples[..., :count]).astype(np.float64)
    if kind == "inverted":
        values = largest - values
    if kind == "cmyk":
        values = largest * (1 - values[..., :3] / largest) * (1 - values[..., 3:] / largest)
    if alpha != "none":
        opacity = samples[..., count : count + 1].astype(np.float64) / largest
        values = (values if alpha == "premultiplied" else values * opacity) + largest * (1 - opacity)
    if kept.kind == "f":
        return _as_floats(values)
    if bits < 8:
        return narrowed(values, int(largest))
    rounded: np.ndarray = np.rint(values).astype(kept)
    return rounded


def _as_floats(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what float32 doesn't hold becomes infinite, and is named as such
        floats: np.ndarray = values.astype(np.float32)
    return floats
