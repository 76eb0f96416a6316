"""The picture of --fit in docs/folders.md: `python docs/draw_fit.py`. An image with its subject near an end, by each rule."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from latens.images.fit import FITS, fit_picture

HEIGHT, WIDTH, SIDE = 120, 220, 96  # pixels


def tile() -> Image.Image:
    """A plate of two greys with a round spot and, near its right end, a bright scratch."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    grain = np.random.default_rng(0).normal(0, 3, (HEIGHT, WIDTH))
    grey = 118 + 14 * np.sin(x / 9) * np.cos(y / 13) + grain
    grey += 75 * (np.hypot(y - 60, x - 110) < 22)
    grey += 110 * (np.abs((x - 196) - 0.35 * (y - 60)) < 3) * (np.abs(y - 60) < 36)
    return Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8))


def main() -> None:
    picture = tile()
    shown = {f"image, {HEIGHT} x {WIDTH}": picture} | {
        f"--fit {name}": fit_picture(picture, (SIDE, SIDE), name) for name in FITS
    }
    figure = Figure(figsize=(7.6, 1.9), dpi=150, facecolor="white")
    widths = [one.width / one.height for one in shown.values()]
    for axes, (title, one) in zip(figure.subplots(1, len(shown), width_ratios=widths), shown.items(), strict=True):
        axes.imshow(np.asarray(one), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.set_axis_off()
    figure.tight_layout(pad=0.4)
    figure.savefig(Path(__file__).parent / "images" / "fit.png", metadata={"Software": None})


if __name__ == "__main__":
    main()
