"""Rules for arrays of pictures: the order of the axes, and the type in which values are kept.

Axes: (N, H, W) is grey. Of four axes the channels are the second or the last, (N, C, H, W) or (N, H, W, C). Whichever has
length 1 or 3 it is; where neither has, the one that is shorter than both other axes and at most 64 long: of (100, 5, 32, 32)
the second. Where this leaves both or none, the array is refused, since a wrong guess would mix up the pixels of every
picture; `layout="NCHW"` or `"NHWC"` (--layout) says which.
Everything else is refused.

Values: uint8 and uint16 as they are; bool as 0 and 255; floats as float32; other integers as the smallest of uint8, uint16 and
float32 that holds them all. Which of them are 0 and 1 for a network: `latens.images.ranges`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from latens.errors import ImagesError, UsageError
from latens.images.contract import MAXIMUM_SIDE, MINIMUM_SIDE, Shape
from latens.images.given import label_array
from latens.images.pixels import CHANNELS, DTYPE, DTYPES, MOST_CHANNELS, WHITE, narrowed, to_uint8
from latens.images.words import LAYOUTS

__all__ = [
    "LAYOUTS",
    "check_dtype",
    "check_sides",
    "checked_layout",
    "kept_dtype",
    "number_labels",
    "picture_shape",
    "to_pixels",
]


def checked_layout(layout: Any) -> str | None:
    """The argument `layout` of `load_images`.

    Raises:
        UsageError: it is none.
    """
    if layout is None:
        return None
    if str(layout).upper() not in LAYOUTS:
        raise UsageError(f"layout {layout!r}; allowed are {' and '.join(LAYOUTS)}: images, channels, height, width")
    return str(layout).upper()


def picture_shape(shape: Sequence[int], where: str, layout: str | None = None) -> Shape:
    """(C, H, W) of the pictures in an array, by the rule above.

    Args:
        shape: of the whole array.
        where: its name, for messages.
        layout: of `LAYOUTS`, where it was said.

    Raises:
        ImagesError: the axes fit no rule, or fit two.
    """
    shape = tuple(int(n) for n in shape)
    allowed = f"allowed: (N, H, W), (N, H, W, C) and (N, C, H, W) with C from 1 to {MOST_CHANNELS}"
    if len(shape) == 3:
        return 1, shape[1], shape[2]
    if len(shape) != 4:
        hint = "; reshape the rows to (N, H, W)" if len(shape) == 2 else ""
        raise ImagesError(f"{where}: an array of shape {shape}; {allowed}{hint}")
    first, last = shape[1], shape[3]
    if layout is not None:
        is_first = layout == "NCHW"
        if not 0 < (count := first if is_first else last) <= MOST_CHANNELS:
            raise ImagesError(f"{where}: shape {shape} has {count} channels by the layout {layout}; {allowed}")
    else:
        is_first = _channels_are_first(shape, where)
    return (first, shape[2], shape[3]) if is_first else (last, shape[1], shape[2])


def _channels_are_first(shape: tuple[int, ...], where: str) -> bool:
    """Whether the channels are the second axis and not the last, by the rule above."""
    first, last = shape[1], shape[3]
    say = "say which: layout='NCHW' or 'NHWC' (--layout)"
    if first in CHANNELS or last in CHANNELS:
        if first in CHANNELS and last in CHANNELS:
            raise ImagesError(
                f"{where}: shape {shape} has two axes that could be the channels, the second and the last; {say}"
            )
        return first in CHANNELS
    if first < min(shape[2], last) and first <= MOST_CHANNELS:
        return True
    if last < min(first, shape[2]) and last <= MOST_CHANNELS:
        return False
    raise ImagesError(
        f"{where}: shape {shape} leaves open which axis the channels are: neither the second nor the last has length 1 or 3,"
        f" or is shorter than the others and at most {MOST_CHANNELS}; {say}"
    )


def check_sides(shape: Shape, where: str) -> None:
    """Refuse pictures that are too small or too large for the networks.

    Raises:
        ImagesError: a side is under 8 or over 512 pixels.
    """
    _, height, width = shape
    if min(height, width) < MINIMUM_SIDE:
        raise ImagesError(
            f"{where}: images of {height} x {width} pixels are too small; allowed are sides of {MINIMUM_SIDE} to "
            f"{MAXIMUM_SIDE}: enlarge them with size (--size 32)"
        )
    if max(height, width) > MAXIMUM_SIDE:
        raise ImagesError(
            f"{where}: images of {height} x {width} pixels are too large; allowed are sides of {MINIMUM_SIDE} to "
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
        raise ImagesError(f"{where}: values of type {dtype}; allowed are whole numbers and floats")


def kept_dtype(dtype: np.dtype, least: float = 0, most: float = WHITE) -> np.dtype:
    """The type in which values are kept.

    Args:
        dtype: of the source, one that passed `check_dtype`.
        least: the smallest value; asked for only of integers that are neither uint8 nor uint16.
        most: the largest.

    >>> kept_dtype(np.dtype("int16"), -4, 900).name, kept_dtype(np.dtype("int64"), 0, 900).name
    ('float32', 'uint16')
    """
    if dtype.kind == "f":
        return DTYPES[-1]
    if dtype.kind == "b":
        return DTYPE
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return dtype.newbyteorder("=")
    return next((one for one in DTYPES[:-1] if least >= 0 and most <= np.iinfo(one).max), DTYPES[-1])


def to_pixels(
    array: np.ndarray,
    where: str,
    first_row: int = 0,
    white: int | None = None,
    dtype: np.dtype = DTYPE,
    layout: str | None = None,
    nan: float | None = None,
) -> np.ndarray:
    """Some pictures of an array as they are kept.

    Args:
        array: (n, H, W), (n, H, W, C) or (n, C, H, W), of a type that passed `check_dtype`.
        where: its name, for messages.
        first_row: the row of its first picture, for messages.
        white: the whole number that becomes 255, where bytes are kept.
        dtype: in which they are kept, see `kept_dtype`.
        layout: see `picture_shape`.
        nan: the value for what is not a number or infinite; None refuses it.

    Returns:
        (n, C, H, W) of that type.

    Raises:
        ImagesError: a value is not a number, or beyond `white`.
    """
    channels, height, width = picture_shape(array.shape, where, layout)
    values = _kept(_numbers(array, where, first_row, nan), where, first_row, white, dtype)
    if values.ndim == 4 and not (layout == "NCHW" if layout else _channels_are_first(values.shape, where)):
        values = values.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(values.reshape(-1, channels, height, width))


def _numbers(array: np.ndarray, where: str, first_row: int, nan: float | None) -> np.ndarray:
    """The array with a number in place of NaN and infinity."""
    if array.dtype.kind != "f" or (finite := np.isfinite(array)).all():
        return array
    if nan is None:
        rows = np.flatnonzero(~finite.reshape(len(array), -1).all(1))
        count = int((~finite[rows[0]]).sum())
        raise ImagesError(
            f"{where}: row {first_row + int(rows[0])} has {count:,} of {array[0].size:,} values that are not numbers (NaN or"
            " infinity); say what to read them as (nan=0, --nan 0), or drop such images (np.isfinite finds them)"
        )
    return np.where(finite, array, array.dtype.type(nan))


def _kept(array: np.ndarray, where: str, first_row: int, white: int | None, dtype: np.dtype) -> np.ndarray:
    if array.dtype == bool:
        return (array * np.uint8(WHITE)).astype(dtype)
    if array.dtype.kind == "f" and dtype == DTYPE:  # by the rules of before other types were kept
        return to_uint8(array)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            kept = array.astype(dtype)
        if not np.isfinite(kept).all():
            raise ImagesError(f"{where}: values up to {np.abs(array).max():g}, more than float32 holds; scale them")
        return kept
    if dtype != DTYPE or white in (None, WHITE) or array.size == 0:
        return array.astype(dtype, copy=False)
    if array.dtype.kind == "u":  # beyond the type's range it is the white of images of a larger type
        white = min(int(white), int(np.iinfo(array.dtype).max))
    low, high = array.min(), array.max()
    if low < 0 or high > white:
        raise ImagesError(
            f"{where}: integers from {low} to {high} near row {first_row}; allowed are 0 to {white}; say which number is "
            "white: white=255 or --white 255 for 8 bits"
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
        raise ImagesError(f"{where}: {len(array)} labels for {count} images; there must be one for each")
    return array
