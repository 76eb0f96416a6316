"""Placing text in a crowded figure: near what it names, without covering other text."""

import numpy as np

__all__ = ["place_boxes"]

DIRECTIONS = 16


def place_boxes(
    anchors: np.ndarray, sizes: np.ndarray, bounds: np.ndarray, dots: np.ndarray, first: float
) -> np.ndarray:
    """Find a place for each box in turn: the nearest to its anchor that covers no dot and no box before it.

    Args:
        anchors: where each box would like to be, in pixels, (K, 2).
        sizes: width and height of each box in pixels, (K, 2).
        bounds: left, lower, right, upper edge of the room, in pixels, (4,).
        dots: places that must not be covered, in pixels, (M, 2).
        first: the smallest gap between an anchor and its box in pixels; 0 lets the box sit on its anchor.

    Returns:
        The middle of each box, in pixels, (K, 2).
    """
    centres = np.empty_like(anchors, dtype=np.float64)
    for k, (anchor, size) in enumerate(zip(anchors, sizes, strict=True)):
        candidates = _candidates(anchor, size, first)
        half = size / 2
        cost = np.linalg.norm(candidates - anchor, axis=1)
        if first and len(dots) > 1:  # away from the crowd, so that lines to boxes cross as little as can be
            outward = anchor - dots.mean(axis=0)
            cost -= 0.5 * (candidates - anchor) @ (outward / max(float(np.linalg.norm(outward)), 1e-9))
        # To cover a neighbour is worse than any distance; to stand outside the picture is worse still.
        cost += 400 * _overlaps(candidates, half, centres[:k], sizes[:k] / 2 + 1.5)
        cost += 150 * _overlaps(candidates, half, dots, np.full((len(dots), 2), 4.0))
        low, high = bounds[:2], bounds[2:]
        cost += 2000 * ((candidates - half < low) | (candidates + half > high)).any(axis=1)
        centres[k] = candidates[cost.argmin()]
    return centres


def _candidates(anchor: np.ndarray, size: np.ndarray, first: float) -> np.ndarray:
    """Places around an anchor, on ever larger ellipses that keep the box's edge off it."""
    angles = 2 * np.pi * (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (A, 2)
    rings = [anchor + unit * (size / 2 * (1 if first else 0.5) + gap) for gap in first + np.arange(0, 220, 7.0)]
    return np.concatenate([anchor[None] if not first else np.empty((0, 2)), *rings])


def _overlaps(centres: np.ndarray, half: np.ndarray, others: np.ndarray, others_half: np.ndarray) -> np.ndarray:
    """How many of the other boxes each candidate covers, (A,)."""
    gap = np.abs(centres[:, None] - others[None])  # (A, M, 2)
    count: np.ndarray = (gap < half + others_half[None]).all(axis=2).sum(axis=1)
    return count
