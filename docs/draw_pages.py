"""The picture of --pages in docs/images.md: `python docs/draw_pages.py`. A file of z-slices in two channels, read by each."""

import tempfile
from pathlib import Path

import numpy as np
import tifffile
from matplotlib.figure import Figure

from latens.images.decode import read_values
from latens.images.pixels import shown_in_rgb

SIDE, SLICES = 64, 3  # pixels; z-slices


def cells() -> np.ndarray:
    """A nucleus and the fibres around it at three depths: uint16 (slices, 2, 64, 64), at most 900."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    planes = []
    for depth in range(SLICES):
        radius = (10, 15, 12)[depth]
        nucleus = 700 / (1 + np.exp((np.hypot(y - 34, x - 30) - radius) / 1.5))
        fibres = sum(
            420 * np.exp(-(((x - 30) * np.sin(angle) - (y - 34) * np.cos(angle)) ** 2) / 6)
            for angle in 0.5 * depth + np.arange(3)
        ) * np.exp(-(np.hypot(y - 34, x - 30) ** 2) / 900)
        planes.append([one + rng.normal(40, 12, (SIDE, SIDE)) for one in (nucleus, fibres)])
    return np.clip(planes, 0, 900).astype(np.uint16)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cell.tif"
        tifffile.imwrite(path, cells(), imagej=True, metadata={"axes": "ZCYX"})
        slices = np.stack(list(read_values(path, range(SLICES)))) / 900  # (3, 2, 64, 64)
        (together,) = read_values(path, None)
    pairs = shown_in_rgb(slices)
    single = shown_in_rgb(together[:, None] / 900)
    figure = Figure(figsize=(7.6, 1.2), dpi=150, facecolor="white")
    grid = figure.add_gridspec(1, 3, width_ratios=[1, SLICES, 2 * SLICES], wspace=0.08)
    rows = [
        ("first: cell.tif", pairs[:1], [""]),
        ("all: an image a slice", pairs, [f"#{k + 1}" for k in range(3)]),
        ("channels: one image", single, [str(k + 1) for k in range(6)]),
    ]
    for place, (title, images, names) in enumerate(rows):
        inner = grid[place].subgridspec(1, len(images), wspace=0.05)
        for column, (image, name) in enumerate(zip(images, names, strict=True)):
            axes = figure.add_subplot(inner[column])
            axes.imshow(image, interpolation="nearest")
            axes.set_axis_off()
            axes.text(0.5, -0.04, name, transform=axes.transAxes, ha="center", va="top", fontsize=8)
            if column == 0:
                axes.set_title(title, fontsize=9, loc="left")
    figure.subplots_adjust(left=0.01, right=0.99, top=0.82, bottom=0.14)
    figure.savefig(Path(__file__).parent / "images" / "pages.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
