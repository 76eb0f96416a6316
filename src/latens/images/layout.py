"""Rules for arrays of pictures: the order of the axes, and the grey value of a number.

Axes: (N, H, W) is grey. Of four axes the channels are the last or the second, whichever has length 1 or 3:
(N, H, W, C) or (N, C, H, W). Where both have, or neither, the array is refused, since a wrong guess would mix up the
pixels of every picture.
Everything else is refused.

Values: uint8 as it is; bool as 0 and 255; uint16 scaled by what `latens.images.white` chooses; other integers must lie in
0..255, unless it was said which number is white; floats must lie in [0, 1] and are rounded to x · 255.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from latens.errors import ImagesError
from latens.images.contract import MAXIMUM_SIDE, MINIMUM_SIDE, Shape
from latens.images.given import label_array
from latens.images.pixels import CHANNELS, WHITE, narrowed, to_uint8

__all__ = ["check_dtype", "check_sides", "number_labels", "picture_shape", "to_pixels"]

TOLERANCE = 1e-6  # rounding errors of preprocessing beyond [0, 1]


def picture_shape(shape: Sequence[int], where: str) -> Shape:
    """(C, H, W) of the pictures in an array, by the rule above.

    Args:
        shape: of the whole array.
        where: its name, for messages.

    Raises:
        ImagesError: the axes fit no rule, or fit two.
    """
    shape = tuple(int(n) for n in shape)
    allowed = "allowed: (N, H, W), (N, H, W, C) and (N, C, H, W) with C 1 or 3"
    if len(shape) == 3:
        return 1, shape[1], shape[2]
    if len(shape) != 4:
        hint = "; reshape the rows to (N, H, W)" if len(shape) == 2 else ""
        raise ImagesError(f"{where}: an array of shape {shape}; {allowed}{hint}")
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last:
        raise ImagesError(
            f"{where}: shape {shape} has two axes that could be the channels; say which by reshaping it to (N, H, W)"
            " or by moving the channels so that only one of the second and the last axis has length 1 or 3"
        )
    if last:
        return shape[3], shape[1], shape[2]
    if first:
        return shape[1], shape[2], shape[3]
    hint = "; drop the alpha channel" if 4 in (shape[1], shape[3]) else ""
    raise ImagesError(f"{where}: shape {shape} has no axis of 1 or 3 channels; {allowed}{hint}")


def check_sides(shape: Shape, where: str) -> None:
    """Refuse pictures that are too small or too large for the networks.

    Raises:
        ImagesError: a side is under 8 or over 256 pixels.
    """
    _, height, width = shape
    if min(height, width) < MINIMUM_SIDE:
        raise ImagesError(
            f"{where}: pictures of {height} x {width} pixels are too small; allowed are sides of {MINIMUM_SIDE} to "
            f"{MAXIMUM_SIDE}: enlarge them with size (--size 32)"
        )
    if max(height, width) > MAXIMUM_SIDE:
        raise ImagesError(
            f"{where}: pictures of {height} x {width} pixels are too large; allowed are sides of {MINIMUM_SIDE} to "
            f"{MAXIMUM_SIDE}: make them smaller with size (--size 64)"
        )


def check_dtype(dtype: np.dtype, where: str) -> None:
    """Refuse what isn't plain numbers.

    Raises:
        ImagesError: objects (which would have to be unpickled), structures, complex numbers, text, dates.
    """
    if dtype.hasobject:
        raise ImagesError(
            f"{where}: holds Python objects, which are never unpickled; save a plain array: np.save(file, np.stack(images))"
        )
    if dtype.kind not in "buif":
        raise ImagesError(f"{where}: values of type {dtype}; allowed are uint8 and floats in [0, 1]")


def to_pixels(array: np.ndarray, where: str, first_row: int = 0, white: int | None = None) -> np.ndarray:
    """Some pictures of an array as they are kept.

    Args:
        array: (n, H, W), (n, H, W, C) or (n, C, H, W), of a type that passed `check_dtype`.
        where: its name, for messages.
        first_row: the row of its first picture, for messages.
        white: the whole number that is white; 255 by default.

    Returns:
        uint8 (n, C, H, W).

    Raises:
        ImagesError: a value is not a number or out of range.
    """
    channels, height, width = picture_shape(array.shape, where)
    values = _to_uint8(array, where, first_row, white)
    if values.ndim == 4 and values.shape[1] != channels:
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values.reshape(-1, channels, height, width))


def _to_uint8(array: np.ndarray, where: str, first_row: int, white: int | None) -> np.ndarray:
    if white is None:
        white = WHITE
    elif array.dtype.kind == "u":  # beyond the type's range it is the white of images of a larger type
        white = min(white, int(np.iinfo(array.dtype).max))
    if (array.dtype == np.uint8 and white == WHITE) or array.size == 0:
        return array.astype(np.uint8, copy=False)
    if array.dtype == bool:
        return array.astype(np.uint8) * np.uint8(WHITE)
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        if not finite.all():
            row = first_row + int(np.argwhere(~finite)[0][0])
            raise ImagesError(
                f"{where}: row {row} has values that are not numbers (NaN or infinity); drop or repair such pictures"
                " (np.isfinite finds them)"
            )
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        if low < -TOLERANCE or high > 1 + TOLERANCE:
            raise ImagesError(
                f"{where}: floats from {low:.6g} to {high:.6g} near row {first_row}; allowed are floats in [0, 1]: "
                "scale them (0..255: divide by 255; -1..1: (x + 1) / 2)"
            )
        return to_uint8(array.astype(np.float32))
    if low < 0 or high > white:
        raise ImagesError(
            f"{where}: integers from {low} to {high} near row {first_row}; allowed are 0 to {white}; say which number is "
            "white: white=4095 or --white 4095 for 12 bits, 65535 for 16"
        )
    return narrowed(array, white)


def number_labels(labels: Any, count: int, where: str) -> np.ndarray:
    """Check labels and bring them to one axis of whole numbers or text.

    Args:
        labels: see `label_array`.
        count: N, the number of pictures.
        where: their name, for messages.

    Returns:
        (N,): int64, str, or Python's int as objects.

    Raises:
        ImagesError: they are of another number, shape or kind.
    """
    array = label_array(labels, where)
    if len(array) != count:
        raise ImagesError(f"{where}: {len(array)} labels for {count} pictures; there must be one for each")
    return array
