"""Pairs of images, the straight line between their latents, and how even its steps are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["POINTS", "draw_pairs", "points_between", "step_ratios"]

POINTS = 11


def draw_pairs(
    labels: NDArray[Any] | None, num_images: int, num_pairs: int, seed: int = 0
) -> tuple[dict[str, NDArray[np.int64]], list[str]]:
    """Draw pairs of different images, of the same class and of different classes.

    Args:
        labels: int (N,), or None.
        num_images: N, at least 2.
        num_pairs: of each kind.
        seed: of the draws.

    Returns:
        `within` and `between` -> rows, int (P, 2); without labels `""`, any two images. And what could not be drawn, and why.
    """
    random = np.random.default_rng(seed)
    first, chance = random.integers(0, num_images, num_pairs), random.random(num_pairs)
    if labels is None:
        others = (first + 1 + np.floor(chance * (num_images - 1)).astype(np.int64)) % num_images
        return {"": np.stack([first, others], 1)}, ["pairs are drawn at random: there are no labels"]
    order = np.argsort(labels, kind="stable")
    _, starts, index, counts = np.unique(labels[order], return_index=True, return_inverse=True, return_counts=True)
    start, count = starts[index][first], counts[index][first]  # of the class of each first one, by place in the order
    same = start + (first - start + 1 + np.floor(chance * (count - 1)).astype(np.int64)) % count
    other = (start + count + np.floor(chance * (num_images - count)).astype(np.int64)) % num_images
    found, notes = {}, []
    for kind, second, possible, why in (
        ("within", same, count > 1, "no class has two test images"),
        ("between", other, count < num_images, "there is one class only"),
    ):
        if possible.any():
            found[kind] = order[np.stack([first, second], 1)[possible]]
        else:
            notes.append(f"paths {kind} classes are left out: {why}")
    return found, notes


def points_between(ends: NDArray[Any], rows: NDArray[np.int64], along: NDArray[Any]) -> NDArray[np.float32]:
    """Points on straight lines.

    Args:
        ends: (N, ...).
        rows: int (P, 2): the ends of each line.
        along: (T,), from 0, the first end, to 1, the second.

    Returns:
        float32 (P, T, ...).
    """
    share = along.astype(np.float32).reshape(-1, *[1] * (ends.ndim - 1))
    first, second = (ends[rows[:, end]][:, None].astype(np.float32) for end in (0, 1))
    points: NDArray[np.float32] = (1 - share) * first + share * second
    return points


def step_ratios(paths: NDArray[Any]) -> NDArray[np.float64]:
    """The largest step of each path (P, T, F) as a multiple of its mean step, float64 (P,); 1 where nothing moves."""
    steps = np.linalg.norm(np.diff(paths.astype(np.float64), axis=1), axis=2)
    mean = steps.mean(1)
    ratios: NDArray[np.float64] = np.divide(steps.max(1), mean, out=np.ones(len(steps)), where=mean > 0)
    return ratios
