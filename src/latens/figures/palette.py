"""Colours for classes: the notebook's ten, and as many as are needed beyond that."""

from functools import lru_cache

import numpy as np

__all__ = ["NO_CLASS", "SEED_COLOURS", "class_colours"]

SEED_COLOURS = (
    "#fe7c73",
    "#2471A3",
    "#3498DB",
    "#27AE60",
    "#82E0AA",
    "#D35400",
    "#5D6D7E",
    "#E74C3C",
    "#21618C",
    "#B7950B",
)
NO_CLASS = "#2471A3"


def class_colours(count: int) -> tuple[str, ...]:
    """One colour a class.

    Up to ten are the notebook's. More are chosen one by one, each the farthest in OKLab (Ottosson 2020,
    "A perceptual color space for image processing") from all before it, among those that stand out from white paper.

    Args:
        count: how many.

    Returns:
        `#rrggbb`, `count` of them; from about a thousand on they repeat.
    """
    if count <= len(SEED_COLOURS):
        return SEED_COLOURS[:count]
    return _distinct(count)


@lru_cache
def _distinct(count: int) -> tuple[str, ...]:
    steps = np.linspace(0, 1, 13)
    candidates = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)  # (M, 3) sRGB
    lab = _oklab(candidates)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    keep = (lab[:, 0] > 0.3) & (lab[:, 0] < 0.86) & (chroma > 0.05)
    candidates, lab = candidates[keep], lab[keep]
    chosen = [int(chroma[keep].argmax())]
    distance = np.full(len(lab), np.inf)
    for _ in range(min(count, len(lab)) - 1):
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    names = ["#{:02x}{:02x}{:02x}".format(*np.rint(candidates[i] * 255).astype(int)) for i in chosen]
    return tuple(names[i % len(names)] for i in range(count))


def _oklab(srgb: np.ndarray) -> np.ndarray:
    """Colours in sRGB, in [0, 1] -> OKLab, (M, 3); the two matrices are those of Ottosson's definition."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
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
    lab: np.ndarray = np.cbrt(linear @ to_lms.T) @ to_lab.T
    return lab
