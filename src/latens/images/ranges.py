"""Which stored number is 0 and which is 1: given, all of the type's numbers, or taken from the values of the data.

- Bytes (uint8): 0 to 255, unless something else is asked for.
- uint16, and floats that reach beyond [0, 1]: by the values, for each channel by itself. Floats within [0, 1]: 0 to 1.
- `--range LOW HIGH` gives the numbers, `--range type` takes all of the type's, `--range data` takes the values.

By the values means: from the smallest to the largest number of the train part, but for numbers far outside: a hot pixel
must not make everything else black. Far is more than three times the distance between the 0.1 % and the 99.9 % quantile
beyond that quantile; the range then ends at the largest number before. Values outside the range are stored as they are, and
clipped for networks only. The range is chosen once for a data set, never image by image, it is said in a note, and a run
keeps it and reads later images by it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from latens.arrays import blocks, drawn_rows, gather
from latens.errors import UsageError
from latens.images.pixels import DTYPE, Range, as_range, is_plain, whole_range
from latens.images.words import BY_DATA, BY_TYPE
from latens.text import listed

__all__ = ["BY_DATA", "BY_TYPE", "RangeWish", "checked_count", "checked_range", "choose_range"]

RangeWish = (
    str | tuple[tuple[float, float], ...] | None
)  # what was asked for: a word, one pair for all channels, or each its own

QUANTILES = 0.001, 0.999
FAR = 3  # widths between these quantiles beyond which a value is an outlier
UNIT_TOLERANCE = 1e-6  # rounding errors of preprocessing beyond [0, 1]
SAMPLE = 1 << 22  # values of a channel by which quantiles of floats are estimated
BLOCK_ROWS = 256


def checked_range(value: Any) -> RangeWish:
    """The argument `value_range` of `load_images`: "type", "data", a pair, or a pair for each channel.

    Raises:
        UsageError: it is none of them, or a range is empty or inverted.

    >>> checked_range((0, 900)), checked_range("type")
    (((0.0, 900.0),), 'type')
    """
    if value is None or (isinstance(value, str) and value in (BY_TYPE, BY_DATA)):
        return value
    try:
        pairs = np.asarray(value, dtype=np.float64)
        return as_range(pairs, 1 if pairs.ndim < 2 else len(pairs))
    except (TypeError, ValueError) as error:
        reason = str(error) if str(error).startswith(("is ", "needs ")) else "needs two numbers"
        raise UsageError(
            f"the range {_plain(value)} {reason}; allowed are LOW HIGH with LOW below HIGH, {BY_TYPE!r} and {BY_DATA!r}"
        ) from None


def checked_count(pairs: Range, channels: int) -> Range:
    """One pair for each channel, from one for all or as many.

    Raises:
        UsageError: there is another number of them.
    """
    if len(pairs) not in (1, channels):
        raise UsageError(f"the range has {len(pairs)} pairs for {channels} channels; give one pair, or one for each")
    return pairs * channels if len(pairs) == 1 else pairs


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(one, int | float) for one in value):
        return f"{value[0]:g} {value[1]:g}"
    return repr(value) if isinstance(value, str) else str(value)[:100]


def choose_range(
    wish: RangeWish,
    parts: Sequence[np.ndarray],
    names: Sequence[str],
    type_range: Range | None = None,
) -> tuple[Range, tuple[str, ...]]:
    """The range of a data set, and what to say of it.

    Args:
        wish: what was asked for; None for the default rule above.
        parts: the pixels of the train part, by which a range is chosen, and of the test part; (N, C, H, W) of `DTYPES`.
        names: of the channels.
        type_range: all numbers of the source's type; by default of the type in which they are kept.

    Raises:
        UsageError: there are neither one pair nor as many as channels.
    """
    train = parts[0]
    dtype, channels = train.dtype, train.shape[1]
    whole = whole_range(dtype, channels)
    if wish is None and dtype == DTYPE:
        return whole, ()
    if not isinstance(wish, str) and wish is not None:
        chosen, how = checked_count(wish, channels), "as given"
    elif wish == BY_TYPE:
        chosen, how = type_range or whole, "all of the type's"
    else:
        found = [_Values.of(train, channel) for channel in range(channels)]
        unit = wish is None and dtype.kind == "f" and all(one.is_unit for one in found)
        if unit:
            chosen, how = whole, "all values lie within it"
        else:
            chosen, how = tuple(one.ends() for one in found), "taken from the values of the train part"
    if is_plain(dtype, chosen):
        return chosen, ()
    outside = _share_outside(parts, chosen)
    note = f"{dtype} pixels are read by the range {_in_words(chosen, names)}: {how}"
    if outside:
        note += f"; {_percent(outside)} of the values lie outside and are clipped for the network"
    return chosen, (f"{note} (range, --range: another)",)


def _in_words(chosen: Range, names: Sequence[str]) -> str:
    texts = [f"{low:.6g} to {high:.6g}" for low, high in chosen]
    if len(set(texts)) == 1:
        return texts[0]
    return listed([f"{text} ({name})" for text, name in zip(texts, names, strict=True)], 8)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


@dataclass(frozen=True)
class _Values:
    """What the values of one channel are like.

    Args:
        least: the smallest.
        most: the largest.
        sample: values in ascending order, all or some of them.
    """

    least: float
    most: float
    sample: np.ndarray

    @classmethod
    def of(cls, pixels: np.ndarray, channel: int) -> "_Values":
        ends = [(float(block.min()), float(block.max())) for block in _of_channel(pixels, channel)]
        rows = drawn_rows(len(pixels), max(1, SAMPLE // int(np.prod(pixels.shape[2:]))))
        picked = pixels[:, channel] if len(rows) == len(pixels) else gather(pixels, rows)[:, channel]
        return cls(min(low for low, _ in ends), max(high for _, high in ends), np.sort(picked, axis=None))

    @property
    def is_unit(self) -> bool:
        return self.least >= -UNIT_TOLERANCE and self.most <= 1 + UNIT_TOLERANCE

    def ends(self) -> tuple[float, float]:
        """The range by the rule above."""
        last = len(self.sample) - 1
        low, high = (float(self.sample[round(share * last)]) for share in QUANTILES)
        # Of few values the quantile is the largest one: then the one before it is looked at, so that one pixel can't decide.
        high = min(high, float(self.sample[max(last - 1, 0)]))
        low = max(low, float(self.sample[min(1, last)]))
        far = FAR * max(high - low, 0.0)
        least, most = self.least, self.most
        if most > high + far:
            most = float(self.sample[np.searchsorted(self.sample, high + far, side="right") - 1])
        if least < low - far:
            least = float(self.sample[np.searchsorted(self.sample, low - far, side="left")])
        return (least, most) if least < most else (least, least + 1)  # one value alone is black


def _of_channel(pixels: np.ndarray, channel: int) -> Iterator[np.ndarray]:
    return (block[:, channel] for block in blocks(pixels, BLOCK_ROWS))


def _share_outside(parts: Sequence[np.ndarray], chosen: Range) -> float:
    outside = total = 0
    ends = np.array(chosen)[:, :, None, None]
    low, high = ends[:, 0].astype(np.float32), ends[:, 1].astype(np.float32)
    for part in parts:
        for block in blocks(part, BLOCK_ROWS):
            outside += int(((block < low) | (block > high)).sum())
        total += part.size
    return outside / total if total else 0.0
