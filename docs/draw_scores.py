"""The pictures of docs/scores.md: `python docs/draw_scores.py`. Made-up points and a digit, measured by latens' own functions."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter, shift

import latens
from latens.metrics.map import trustworthiness
from latens.metrics.neighbourhoods import neighbourhoods

HERE = Path(__file__).parent / "images"
BLUE, ORANGE = "#2a6fbb", "#e07b1f"


def error() -> None:
    digit = latens.load_images("mnist").test.pixels[0, 0] / 255
    rng = np.random.default_rng(0)
    spoilt = {
        "original": digit,
        "blurred": gaussian_filter(digit, 0.7),
        "noise of 0.1": digit + rng.normal(0, 0.1, digit.shape),
        "moved by one pixel": shift(digit, (0, 1)),
        "a part is missing": digit * (np.arange(28) < 16)[:, None],
    }
    figure = Figure(figsize=(7.6, 2), dpi=120, facecolor="white")
    for axes, (name, image) in zip(figure.subplots(1, len(spoilt)), spoilt.items(), strict=True):
        axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        axes.set_title(name, fontsize=9)
        axes.text(
            0.5, -0.12, f"mse {np.mean((image - digit) ** 2):.4f}", transform=axes.transAxes, ha="center", fontsize=9
        )
        axes.axis("off")
    figure.savefig(HERE / "scores-error.png", bbox_inches="tight")


def neighbours() -> None:
    rng = np.random.default_rng(0)
    centres, group = np.array([[0, 0, 0], [3, 0, 2], [0, 3, 4]]), np.arange(120) % 3
    space = centres[group] + rng.normal(0, 0.5, (120, 3))
    kept = space[:, :2]
    torn = kept.copy()
    moved = rng.choice(120, 30, replace=False)
    torn[moved] = torn[rng.permutation(moved)]
    figure = Figure(figsize=(7.6, 2.7), dpi=120, facecolor="white")
    figure.subplots_adjust(wspace=0.15)
    axes = figure.add_subplot(1, 3, 1, projection="3d")
    axes.scatter(*space.T, c=group, cmap="Set2", s=9)
    axes.set_title("the space", fontsize=9)
    axes.set(xticklabels=[], yticklabels=[], zticklabels=[])
    for place, (name, chart) in enumerate((("a map", kept), ("the same, 30 points swapped", torn)), 2):
        axes = figure.add_subplot(1, 3, place)
        axes.scatter(*chart.T, c=group, cmap="Set2", s=9)
        axes.set_title(f"{name}\ntrustworthiness {trustworthiness(space, chart):.2f}", fontsize=9)
        axes.set(xticks=[], yticks=[])
    figure.savefig(HERE / "scores-map.png", bbox_inches="tight")


def generation() -> None:
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(centre, 0.5, (60, 2)) for centre in ((0, 0), (4, 0))])
    cases = {
        "all kinds, all good": np.concatenate([rng.normal(centre, 0.5, (60, 2)) for centre in ((0, 0), (4, 0))]),
        "one kind is missing": rng.normal((0, 0), 0.5, (120, 2)),
        "spread too wide": rng.normal((2, 0), (2.2, 1.6), (120, 2)),
    }
    figure = Figure(figsize=(7.6, 2.6), dpi=120, facecolor="white")
    for axes, (name, made) in zip(figure.subplots(1, 3), cases.items(), strict=True):
        found = neighbourhoods(real, made, 5)
        axes.scatter(*real.T, s=12, c=BLUE, label="real")
        axes.scatter(*made.T, s=12, c=ORANGE, marker="x", linewidths=0.8, label="generated")
        told = {
            "precision": found.precise,
            "recall": found.recalled,
            "density": found.density,
            "coverage": found.covered,
        }
        words = [f"{word} {values.mean():.2f}" for word, values in told.items()]
        axes.set_title(f"{name}\n{', '.join(words[:2])}\n{', '.join(words[2:])}", fontsize=8)
        axes.set(xlim=(-4, 8), ylim=(-4, 4), xticks=[], yticks=[])
    figure.axes[0].legend(fontsize=7, loc="lower left")
    figure.savefig(HERE / "scores-generation.png", bbox_inches="tight")


def main() -> None:
    error()
    neighbours()
    generation()


if __name__ == "__main__":
    main()
