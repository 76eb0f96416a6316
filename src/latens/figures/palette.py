"""Colours for classes that everyone can tell apart, on white paper and on dark pages, and as many as are needed.

The ten colours of the default palette, which stands in `latens.figures`, were found by a search from many random starts for the
largest least distance: in OKLab (Ottosson 2020, "A perceptual color space for image processing"), over all pairs, as people see
them with full colour vision and with each of three kinds of colour blindness (Machado, Oliveira and Fernandes 2009, severity 1),
and from the grey that stands for no class. All colours have a contrast of at least 2.5 (WCAG 2.2) to white and to the dark page.
`python benchmarks/palette.py` prints the distances and the contrasts.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from latens.errors import UnknownName
from latens.figures import DEFAULT_PALETTE, PALETTES

__all__ = [
    "DARK_PAPER",
    "NO_CLASS",
    "NO_LABELS",
    "SEEN_WITH",
    "class_colours",
    "contrast",
    "least_distance",
    "seen",
]

Floats = NDArray[np.float64]

NO_CLASS = "#b0b6bd"  # an image without a class among others with one
NO_LABELS = "#2471a3"  # all images where there are no classes
DARK_PAPER = "#14171b"
LEAST_CONTRAST = 2.5

# How colours are seen with full colour vision, and without one kind of cone: matrices on linear sRGB.
SEEN_WITH = {
    "full colour vision": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def class_colours(count: int, palette: str = DEFAULT_PALETTE) -> tuple[str, ...]:
    """One colour for each class.

    Up to ten are the palette's. More are chosen one by one, each as far as can be from all before it, as seen with every kind
    of colour vision, among those with enough contrast to white and dark paper.

    Args:
        count: how many.
        palette: a name of `latens.figures.PALETTES`.

    Returns:
        `#rrggbb`, `count` of them; from about a thousand on they repeat.

    Raises:
        UnknownName: there is no such palette.
    """
    if palette not in PALETTES:
        raise UnknownName("palette", palette, PALETTES)
    first = PALETTES[palette]
    return first[:count] if count <= len(first) else _extended(first, count)


@lru_cache
def _extended(first: tuple[str, ...], count: int) -> tuple[str, ...]:
    steps = np.linspace(0, 1, 17)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)  # (M, 3) sRGB
    light = _luminance(candidates)
    white, dark = _luminance(np.ones((1, 3))), _luminance(_srgb([DARK_PAPER]))
    fits = (_ratio(light, white) >= LEAST_CONTRAST) & (_ratio(light, dark) >= LEAST_CONTRAST)
    candidates = candidates[fits]
    lab, chosen = _all_views(candidates), [*_srgb(first)]
    distance = np.full(len(candidates), np.inf)
    for one in _all_views(np.array([*chosen, *_srgb([NO_CLASS])])).transpose(1, 0, 2):
        distance = np.minimum(distance, np.linalg.norm(lab - one[:, None], axis=2).min(axis=0))
    while len(chosen) < min(count, len(candidates)):
        best = int(distance.argmax())
        chosen.append(candidates[best])
        distance = np.minimum(distance, np.linalg.norm(lab - lab[:, best][:, None], axis=2).min(axis=0))
    names = [*first, *("#{:02x}{:02x}{:02x}".format(*np.rint(one * 255).astype(int)) for one in chosen[len(first) :])]
    return tuple(names[i % len(names)] for i in range(count))


def least_distance(colours: Sequence[str], vision: str = "full colour vision") -> float:
    """The least distance in OKLab between two of the colours, as seen with one kind of colour vision, a name of `SEEN_WITH`."""
    lab = seen(colours, vision)
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + np.diag(np.full(len(lab), np.inf))
    return float(distance.min())


def seen(colours: Sequence[str], vision: str = "full colour vision") -> Floats:
    """Coordinates of colours in OKLab, as seen with one kind of colour vision: (N, 3)."""
    return _oklab(_linear(_srgb(colours)), vision)


def contrast(colour: str, paper: str) -> float:
    """The contrast ratio of WCAG 2.2 of a colour to a paper, from 1 to 21."""
    ratio: float = _ratio(_luminance(_srgb([colour])), _luminance(_srgb([paper])))[0]
    return ratio


def _srgb(colours: Sequence[str]) -> Floats:
    return np.array([[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in colours])


def _linear(srgb: Floats) -> Floats:
    linear: Floats = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return linear


def _luminance(srgb: Floats) -> Floats:
    light: Floats = _linear(srgb) @ np.array([0.2126, 0.7152, 0.0722])
    return light


def _ratio(light: Floats, other: Floats) -> Floats:
    ratio: Floats = (np.maximum(light, other) + 0.05) / (np.minimum(light, other) + 0.05)
    return ratio


def _all_views(srgb: Floats) -> Floats:
    """Colours as seen with each kind of colour vision, (4, N, 3)."""
    return np.stack([_oklab(_linear(srgb), vision) for vision in SEEN_WITH])


def _oklab(linear: Floats, vision: str) -> Floats:
    """Linear sRGB, in [0, 1] -> OKLab, (N, 3); the two matrices are those of Ottosson's definition."""
    to_lms = np.array(
        [
            [0.4122214708, 0.5363325363, 0.0514459929],
            [0.2119034982, 0.6806995451, 0.1073969566],
            [0.0883024619, 0.2817188376, 0.6299787005],
        ]
    )
    to_lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    simulated = (linear @ np.array(SEEN_WITH[vision]).T).clip(0, 1)
    lab: Floats = np.cbrt(simulated @ to_lms.T) @ to_lab.T
    return lab
