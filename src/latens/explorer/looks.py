"""How the page shows images: which channels, in which colours, and between which values of each.

A look is a text such as `red=3@0.1:0.6,green=2`: a rule for showing (`latens.images.pixels.checked_show`) in which a channel may
have two shares of its range, what is shown as black and what as its full colour. An empty one is the run's own rule. The page
computes the same (`page/looks.js`), in the exported file for all images.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import UsageError
from latens.images.pixels import PixelFormat, as_bytes, checked_show, default_show, to_floats, weights_of
from latens.runs import Run

__all__ = ["auto_ranges", "channels_of", "looked_at", "show_of"]

SAMPLED = 256  # images that automatic ranges are taken from
TAILS = (0.002, 0.998)  # shares of the pixels below and above what an automatic range shows


def show_of(form: PixelFormat) -> str:
    """The run's own rule, written out."""
    return form.show or default_show(form.channels)


def looked_at(images: NDArray[Any], look: str, run: Run) -> NDArray[np.uint8]:
    """Images in a look.

    Args:
        images: bytes of ordinary images, or floats about [0, 1], (N, C, H, W).
        look: see above.
        run: whose images or reconstructions they are.

    Returns:
        uint8 (N, 1, H, W) of one channel, otherwise (N, 3, H, W).

    Raises:
        UsageError: it is no look, or names a channel that isn't there.
    """
    count = images.shape[1]
    if not look:
        shown = as_bytes(run.shown(images))
        return np.repeat(shown, 3, axis=1) if count > 1 and shown.shape[1] == 1 else shown
    mixed = np.zeros((len(images), 1 if count == 1 else 3, *images.shape[2:]), np.float32)
    for colour, channel, low, high in _parts(look, run.format):
        values = np.clip((to_floats(images[:, channel]) - low) / (high - low), 0, 1)
        for place, weight in enumerate((1,) if count == 1 else colour):
            if weight:
                mixed[:, place] += values
    return as_bytes(mixed)


def _parts(look: str, form: PixelFormat) -> list[tuple[tuple[int, int, int], int, float, float]]:
    """The colour, the channel from 0, and the two shares of each part."""
    rules, ranges = [], []
    for part in look.split(","):
        rule, at, ends = part.partition("@")
        rules.append(rule)
        ranges.append(_range(ends, look) if at else (0.0, 1.0))
    weighted = weights_of(checked_show(",".join(rules), form.channel_names), form.channels)
    return [(colour, channel, *pair) for (colour, channel), pair in zip(weighted, ranges, strict=True)]


def _range(text: str, look: str) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in text.split(":"))
    except ValueError:
        low = high = math.nan
    if not low < high or not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError(
            f"look is {look!r}; after @ two finite shares of the channel's range are needed, the lower first, such as @0.1:0.6"
        )
    return low, high


def channels_of(form: PixelFormat, images: NDArray[Any]) -> list[dict[str, Any]]:
    """The channels with their ranges: `ChannelInfo` of the page's types.js.

    Args:
        form: of the run's images.
        images: some of them, (N, C, H, W), as for `looked_at`; none where they are not available.
    """
    autos = auto_ranges(images) if len(images) else [(0.0, 1.0)] * form.channels
    return [
        {"name": name, "low": low, "high": high, "auto": list(auto)}
        for name, (low, high), auto in zip(form.channel_names, form.value_range, autos, strict=True)
    ]


def auto_ranges(images: NDArray[Any]) -> list[tuple[float, float]]:
    """Of each channel the shares of its range between which nearly all pixels lie; all of it where that is nothing."""
    ends = np.quantile(to_floats(images).transpose(1, 0, 2, 3).reshape(images.shape[1], -1), TAILS, axis=1)
    return [(float(low), float(high)) if low < high else (0.0, 1.0) for low, high in np.clip(ends.T, 0, 1)]
