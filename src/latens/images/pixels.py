"""Type, range and channels of pixels, and every conversion between stored numbers and floats.

Images are stored as uint8, uint16 or float32 (N, C, H, W), C from 1 to 64, with the numbers that the source holds. A
`PixelFormat` says which number of each channel is 0 and which is 1: networks, scores and figures see float32 in [0, 1] of
that range, and nothing is rounded to 8 bits on the way. No other module divides by 255 or knows what a number of channels
means; a test holds that.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from latens.arrays import gather
from latens.errors import UsageError

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = [
    "CHANNELS",
    "DTYPE",
    "DTYPES",
    "MOST_CHANNELS",
    "WHITE",
    "PixelFormat",
    "Range",
    "Scaled",
    "as_bytes",
    "as_range",
    "channel_word",
    "checked_show",
    "colour_word",
    "composite",
    "default_show",
    "from_floats",
    "from_picture",
    "from_samples",
    "in_unit",
    "inputs_of",
    "is_grey",
    "is_plain",
    "largest_of",
    "mix_of",
    "named_channels",
    "narrowed",
    "picture_mode",
    "quantised",
    "show_in_words",
    "shown_channels",
    "shown_in_rgb",
    "stored_dtype",
    "to_floats",
    "to_picture",
    "to_uint8",
    "to_unit",
    "weights_of",
    "whole_range",
    "with_channels",
]

DTYPE = np.dtype(np.uint8)  # of the pixels of ordinary image files
DTYPES = (DTYPE, np.dtype(np.uint16), np.dtype(np.float32))  # of stored pixels
WHITE = 255  # the stored value that is 1.0 for a network, where images have 8 bits
AT_ONCE = 1 << 22  # numbers that are computed with at a time
GREY, RGB = 1, 3
CHANNELS = (GREY, RGB)  # numbers of channels of ordinary image files
MOST_CHANNELS = 64

Range = tuple[tuple[float, float], ...]  # of each channel: the stored numbers that are 0.0 and 1.0

# What a channel adds to the red, green and blue of an image that is shown.
COLOURS = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "cyan": (0, 1, 1),
    "magenta": (1, 0, 1),
    "yellow": (1, 1, 0),
    "grey": (1, 1, 1),
}
TWO = "magenta=1,green=2"  # how two channels are shown: colours that all eyes tell apart, and that are white together


@dataclass(frozen=True)
class PixelFormat:
    """What stored pixels mean.

    Args:
        dtype: their type, a name of `DTYPES`: "uint8", "uint16" or "float32".
        value_range: of each channel the numbers that are 0 and 1 for a network.
        channel_names: one a channel.
        show: how they are shown, see `checked_show`; "" for the default.
    """

    dtype: str
    value_range: Range
    channel_names: tuple[str, ...]
    show: str = ""

    @classmethod
    def usual(cls, channels: int) -> "PixelFormat":
        """That of ordinary 8-bit images."""
        return cls(DTYPE.name, whole_range(DTYPE, channels), named_channels(channels))

    @property
    def channels(self) -> int:
        """C."""
        return len(self.value_range)

    @property
    def is_plain(self) -> bool:
        """Whether 0 is black and 255 white in every channel of 8 bits."""
        return is_plain(self.dtype, self.value_range)

    def to_json(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "dtype": self.dtype,
            "value_range": [list(pair) for pair in self.value_range],
            "channel_names": list(self.channel_names),
            "show": self.show,
        }

    @classmethod
    def from_json(cls, plain: dict[str, Any], channels: int) -> "PixelFormat":
        """The format in a record; that of 8-bit images where a record has none.

        Raises:
            ValueError: it is none.
        """
        if "dtype" not in plain:
            return cls.usual(channels)
        try:
            value_range, names = as_range(plain["value_range"], channels), plain["channel_names"]
            if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
                raise ValueError("the names of the channels are no list of texts")
            show = checked_show(str(plain["show"]), names)
            return cls(np.dtype(plain["dtype"]).name, value_range, tuple(names), show)
        except (KeyError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from None


def stored_dtype(*dtypes: "np.dtype | str") -> np.dtype:
    """The smallest type of `DTYPES` that holds all numbers of some types of it.

    >>> stored_dtype("uint8", "uint16").name
    'uint16'
    """
    return max((np.dtype(one) for one in dtypes), key=DTYPES.index)


def largest_of(dtype: "np.dtype | str") -> float:
    """The number of a type that is white where all of its range is used: 255, 65535, or 1.0 of floats."""
    dtype = np.dtype(dtype)
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def whole_range(dtype: "np.dtype | str", channels: int) -> Range:
    """All numbers of a type; of floats [0, 1].

    >>> whole_range("uint16", 2)
    ((0.0, 65535.0), (0.0, 65535.0))
    """
    return ((0.0, largest_of(dtype)),) * channels


def as_range(value: Any, channels: int) -> Range:
    """One (low, high) for each channel, from one pair for all of them or from a sequence of pairs.

    Raises:
        ValueError: it is neither, a number is not finite, or a range is empty or inverted.
    """
    pairs = np.asarray(value, dtype=np.float64)
    if pairs.shape == (2,):
        pairs = np.broadcast_to(pairs, (channels, 2))
    if pairs.shape != (channels, 2):
        raise ValueError(f"needs one pair (low, high), or one for each of {channels} channels")
    if not np.isfinite(pairs).all():
        raise ValueError("needs finite numbers")
    for low, high in pairs.tolist():
        if low >= high:
            raise ValueError(f"is {'empty' if low == high else 'inverted'}: low {low:g}, high {high:g}")
    return tuple((float(low), float(high)) for low, high in pairs)


def is_plain(dtype: "np.dtype | str", value_range: Range) -> bool:
    """Whether pixels are bytes of which 0 is black and 255 white: networks take them as they are."""
    return np.dtype(dtype) == DTYPE and all(pair == (0, WHITE) for pair in value_range)


def named_channels(channels: int) -> tuple[str, ...]:
    """Names for channels that have none: "grey", the three colours, or numbers from 1.

    >>> named_channels(3), named_channels(2)
    (('red', 'green', 'blue'), ('1', '2'))
    """
    known = {GREY: ("grey",), RGB: ("red", "green", "blue")}
    return known.get(channels) or tuple(str(number) for number in range(1, channels + 1))


def is_grey(channels: int) -> bool:
    """Whether images of so many channels are grey.

    >>> is_grey(1), is_grey(3)
    (True, False)
    """
    return channels == GREY


def colour_word(channels: int) -> str:
    """The kind of image in a word or two: "grey", "colour" or "5-channel"."""
    return {GREY: "grey", RGB: "colour"}.get(channels, f"{channels}-channel")


def channel_word(channels: int) -> str:
    """The number of channels in words: "1 channel", "5 channels"."""
    return f"{channels} channel{'' if channels == GREY else 's'}"


def picture_mode(channels: int) -> str:
    """Pillow's mode of an image of so many channels."""
    return "L" if is_grey(channels) else "RGB"


def to_floats(pixels: np.ndarray, value_range: Range | None = None) -> np.ndarray:
    """Stored pixels as networks see them.

    Args:
        pixels: uint8, uint16 or floats, any shape; with a range (..., C, H, W).
        value_range: one (low, high) a channel; by default all of the type's range, and floats are in [0, 1] already.

    Returns:
        float32, the same shape; with a range in [0, 1], what lies outside is clipped.

    >>> to_floats(np.array([0, 51, 255], np.uint8)).tolist()
    [0.0, 0.20000000298023224, 1.0]
    >>> to_floats(np.array([[[0, 450, 1000]]], np.uint16), ((0, 900),)).tolist()
    [[[0.0, 0.5, 1.0]]]
    """
    floats = pixels.astype(np.float32)
    if value_range is None or is_plain(pixels.dtype, value_range):
        return floats if pixels.dtype.kind == "f" else floats / np.float32(largest_of(pixels.dtype))
    low, width = _spans(value_range)
    scaled: np.ndarray = (floats - low) / width
    return np.clip(scaled, 0, 1, out=scaled)


def _spans(value_range: Range) -> tuple[np.ndarray, np.ndarray]:
    """The low end and the width of each channel's range, float32 (C, 1, 1)."""
    ends = np.array(value_range, np.float64)[:, :, None, None]
    return ends[:, 0].astype(np.float32), (ends[:, 1] - ends[:, 0]).astype(np.float32)


def to_unit(
    pixels: "torch.Tensor", dtype: "torch.dtype | None" = None, value_range: Range | None = None
) -> "torch.Tensor":
    """The same for a tensor, on its device and in its memory order.

    Args:
        pixels: uint8, uint16 or floats, any shape; with a range (..., C, H, W).
        dtype: of the result; float32 by default.
        value_range: as in `to_floats`.
    """
    import torch

    dtype = dtype or torch.float32
    if value_range is not None and not (pixels.dtype == torch.uint8 and is_plain(DTYPE, value_range)):
        low, width = (torch.from_numpy(one).to(pixels.device) for one in _spans(value_range))
        return ((pixels.float() - low) / width).clamp_(0, 1).to(dtype)
    if pixels.is_floating_point():
        return pixels.to(dtype)
    white = largest_of(str(pixels.dtype).removeprefix("torch."))
    if pixels.is_cuda and dtype == torch.get_default_dtype():
        return pixels / white  # one kernel, not two; either way torch multiplies by 1 / 255 there
    return pixels.to(dtype).div_(white)


class Scaled:
    """Stored pixels seen as float32 in [0, 1]: an array that is read and scaled row by row, in memory or memory-mapped.

    It has what the rooms behind ask of an array of images: `shape`, `dtype`, `len`, indices and slices of rows, and NumPy
    makes an array of it. What an index gives is a plain array.

    Args:
        pixels: (N, C, H, W), of `DTYPES`.
        value_range: one (low, high) a channel.
    """

    dtype = np.dtype(np.float32)
    ndim = 4

    def __init__(self, pixels: np.ndarray, value_range: Range) -> None:
        self.stored, self.value_range = pixels, value_range

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return self.stored.shape

    @property
    def size(self) -> int:
        """N · C · H · W."""
        return self.stored.size

    @property
    def nbytes(self) -> int:
        """Of the floats."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Some rows, float32: one by a whole number, several by a slice, by numbers or by booleans."""
        if isinstance(rows, tuple):
            return np.asarray(self[rows[0]][(slice(None), *rows[1:]) if np.ndim(rows[0]) else rows[1:]])
        if isinstance(rows, slice) or not np.ndim(rows):
            return to_floats(self.stored[rows], self.value_range)
        chosen = np.asarray(rows)
        if chosen.size == 0:
            chosen = chosen.astype(np.int64)
        return to_floats(
            gather(self.stored, np.flatnonzero(chosen) if chosen.dtype == bool else chosen), self.value_range
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        floats = to_floats(np.asarray(self.stored), self.value_range)
        return floats if dtype is None else floats.astype(dtype, copy=False)


def inputs_of(pixels: np.ndarray, value_range: Range) -> np.ndarray:
    """Stored pixels as all rooms behind take them: bytes of ordinary images themselves, everything else as `Scaled`.

    Args:
        pixels: (N, C, H, W), of `DTYPES`, in memory or memory-mapped.
        value_range: one (low, high) a channel.
    """
    return pixels if is_plain(pixels.dtype, value_range) else cast(np.ndarray, Scaled(pixels, value_range))


def from_floats(values: np.ndarray, dtype: "np.dtype | str", value_range: Range) -> np.ndarray:
    """Floats about [0, 1] as stored pixels: the inverse of `to_floats` within the range.

    Args:
        values: (..., C, H, W); what lies outside [0, 1] is clipped.
        dtype: one of `DTYPES`; whole numbers are rounded.
        value_range: one (low, high) a channel.

    >>> from_floats(np.array([[[0.0, 0.5, 1.0]]], np.float32), "uint16", ((100, 900),)).tolist()
    [[[100, 500, 900]]]
    """
    dtype = np.dtype(dtype)
    if is_plain(dtype, value_range):
        return to_uint8(values)
    ends = np.array(value_range, np.float64)[:, :, None, None]
    stored: np.ndarray = ends[:, 0] + np.clip(values, 0, 1).astype(np.float64) * (ends[:, 1] - ends[:, 0])
    if dtype.kind != "f":
        stored = np.clip(np.rint(stored), 0, largest_of(dtype))
    return stored.astype(dtype)


def in_unit(values: Any) -> Any:
    """Means of stored bytes (numbers or arrays of floats) on the scale from 0 to 1."""
    return values / WHITE


def to_uint8(values: np.ndarray) -> np.ndarray:
    """Floats about [0, 1] as bytes: clipped to [0, 1], times 255, rounded.

    >>> to_uint8(np.array([-0.1, 0.5, 1.2])).tolist()
    [0, 128, 255]
    """
    rounded: np.ndarray = np.rint(np.clip(values, 0, 1) * WHITE)
    return rounded.astype(DTYPE)


def narrowed(values: np.ndarray, white: int) -> np.ndarray:
    """Whole numbers from 0 to `white` as bytes: scaled so that `white` becomes 255, and rounded.

    >>> narrowed(np.array([0, 257, 65535]), 65535).tolist()
    [0, 1, 255]
    """
    if values.dtype == DTYPE and white == WHITE:
        return values
    narrow = np.empty(values.shape, DTYPE)
    rows = max(1, AT_ONCE * len(values) // max(1, values.size))
    for top in range(0, len(values), rows):  # floats of 64 bits are of some rows only
        narrow[top : top + rows] = np.rint(values[top : top + rows] / (white / WHITE))
    return narrow


def quantised(values: "torch.Tensor") -> "torch.Tensor":
    """Floats in place as they would come back from bytes: clipped to [0, 1], in steps of 1/255."""
    return values.clamp_(0, 1).mul_(WHITE).round_().div_(WHITE)


def to_picture(pixels: np.ndarray) -> "Image.Image":
    """Bytes (C, H, W), C 1 or 3, as a Pillow image of mode L or RGB."""
    from PIL import Image  # here: what the explorer shows first needs the meaning of pixels, and no pictures

    plain = pixels[0] if is_grey(len(pixels)) else pixels.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(plain))


def from_samples(samples: np.ndarray) -> "Image.Image":
    """Bytes (H, W, C) as a Pillow image of mode L or RGB."""
    return to_picture(samples.transpose(2, 0, 1))


def from_picture(picture: "Image.Image") -> np.ndarray:
    """A Pillow image of mode L or RGB as bytes (C, H, W)."""
    array = np.asarray(picture)
    return array[np.newaxis] if array.ndim == 2 else array.transpose(2, 0, 1)


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Pixels (n, C, H, W) with so many channels: grey repeated, or colour weighted as Pillow does (ITU-R 601-2).

    Raises:
        UsageError: neither is possible.
    """
    found = pixels.shape[1]
    if found == channels:
        return pixels
    if is_grey(found):
        return np.repeat(pixels, channels, axis=1)
    if (found, channels) != (RGB, GREY):
        raise UsageError(
            f"images have {channel_word(found)}, and {channels} are needed; give images of the same channels"
        )
    if pixels.dtype != DTYPE:
        weighted = np.tensordot(pixels.astype(np.float64), np.array([0.299, 0.587, 0.114]), axes=(1, 0))[:, None]
        rounded: np.ndarray = np.rint(weighted) if pixels.dtype.kind == "u" else weighted
        return rounded.astype(pixels.dtype)
    converted = [from_picture(to_picture(picture).convert(picture_mode(channels))) for picture in pixels]
    return np.stack(converted) if converted else np.empty((0, channels, *pixels.shape[2:]), DTYPE)


def default_show(channels: int) -> str:
    """How images of so many channels are shown where nothing else was said.

    One channel grey; two as magenta and green; three as red, green and blue; of more the first three so.

    >>> default_show(1), default_show(2), default_show(5)
    ('grey=1', 'magenta=1,green=2', 'red=1,green=2,blue=3')
    """
    return {GREY: "grey=1", 2: TWO}.get(channels, "red=1,green=2,blue=3")


def checked_show(show: str, channel_names: Sequence[str]) -> str:
    """A rule for showing, with channels by their numbers from 1.

    Args:
        show: such as "red=3,green=2,blue=1" or "grey=2"; channels by number from 1, or by name; "" is the default rule.
        channel_names: of the images.

    Raises:
        UsageError: it is no such rule, or names a colour or a channel that isn't there.

    >>> checked_show("magenta=dapi, green=2", ["dapi", "gfp"])
    'magenta=1,green=2'
    """
    if not show:
        return ""
    rules = []
    for part in str(show).split(","):
        colour, equals, channel = (word.strip() for word in part.partition("="))
        colour = "grey" if colour.lower() == "gray" else colour.lower()
        if not equals or colour not in COLOURS:
            raise UsageError(
                f"show is {show!r}; allowed are colours with channels, such as red=3,green=2,blue=1 or grey=2;"
                f" colours: {', '.join(COLOURS)}"
            )
        rules.append(f"{colour}={_channel(channel, channel_names, show)}")
    return ",".join(rules)


def _channel(channel: str, names: Sequence[str], show: str) -> int:
    if channel in names:
        return list(names).index(channel) + 1
    if re.fullmatch(r"[0-9]{1,3}", channel) and 1 <= int(channel) <= len(names):
        return int(channel)
    raise UsageError(
        f"show is {show!r}; there is no channel {channel!r}: there are {', '.join(names)} (or 1 to {len(names)})"
    )


def _rules(show: str, channels: int) -> list[tuple[str, int]]:
    """Colours with channels, counted from 0."""
    parts = (part.partition("=") for part in (show or default_show(channels)).split(","))
    return [(colour, int(channel) - 1) for colour, _, channel in parts]


def weights_of(show: str, channels: int) -> list[tuple[tuple[int, int, int], int]]:
    """What each channel of a rule adds to red, green and blue (0 or 1 each), and its number, counted from 0.

    >>> weights_of("magenta=2", 3)
    [((1, 0, 1), 1)]
    """
    return [(COLOURS[colour], channel) for colour, channel in _rules(show, channels)]


def show_in_words(names: Sequence[str], show: str = "") -> str:
    """The rule in words: each colour with the name of its channel.

    >>> show_in_words(["dapi", "gfp"]), show_in_words(["1", "2"], "grey=2")
    ('magenta dapi, green gfp', 'grey 2')
    """
    return ", ".join(f"{colour} {names[channel]}" for colour, channel in _rules(show, len(names)))


def mix_of(channels: int, show: str = "") -> list[list[int]] | None:
    """The channels, counted from 0, that are added up in each channel of what is shown: one for grey, or red, green and blue.

    Args:
        channels: of the images.
        show: what `checked_show` gives.

    Returns:
        One or three lists; None where images of one or three channels are shown as they are.

    >>> mix_of(2), mix_of(3), mix_of(5, "grey=2")
    ([[0], [1], [0]], None, [[1]])
    """
    rules = _rules(show, channels)
    grey = all(colour == "grey" for colour, _ in rules)
    places = [0] if grey else range(RGB)
    mix = [[channel for colour, channel in rules if COLOURS[colour][place]] for place in places]
    plain = channels in CHANNELS and mix == [[channel] for channel in range(channels)]
    return None if plain else mix


def shown_channels(channels: int, show: str = "") -> int:
    """How many channels `composite` gives: 1 where only grey is shown, otherwise 3."""
    mix = mix_of(channels, show)
    return channels if mix is None else len(mix)


def composite(images: np.ndarray, show: str = "") -> np.ndarray:
    """Images as they are shown: one channel of grey, or red, green and blue.

    Args:
        images: uint8, or floats about [0, 1], (N, C, H, W).
        show: what `checked_show` gives; what several channels add to a colour is added up, and clipped.

    Returns:
        (N, 1 or 3, H, W), of the type given; images of one or three channels unchanged where `show` says nothing else.
    """
    mix = mix_of(images.shape[1], show)
    if mix is None:
        return images
    shown = np.zeros((len(images), len(mix), *images.shape[2:]), images.dtype)
    for place, channels in enumerate(mix):
        if len(channels) == GREY:
            shown[:, place] = images[:, channels[0]]
        elif images.dtype == DTYPE:
            shown[:, place] = np.minimum(images[:, channels].sum(1, dtype=np.int64), WHITE)
        elif channels:
            shown[:, place] = np.clip(images[:, channels], 0, 1).sum(1)
    return shown


def as_bytes(images: np.ndarray) -> np.ndarray:
    """Images for eyes as bytes: uint8 as they are, floats about [0, 1] by `to_uint8`."""
    return images if images.dtype == DTYPE else to_uint8(images)


def shown_in_rgb(images: np.ndarray, show: str = "") -> np.ndarray:
    """Images as they are drawn: uint8 (N, H, W, 3), grey ones with three equal channels.

    Args:
        images: uint8, or floats about [0, 1], (N, C, H, W).
        show: what `checked_show` gives; see `default_show`.
    """
    shown = as_bytes(composite(images, show)).transpose(0, 2, 3, 1)  # (N, H, W, C)
    return np.broadcast_to(shown, (*shown.shape[:3], RGB))
