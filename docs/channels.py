"""Draws docs/images/channels.png: a set of four channels with 16 bits, made here, through a run.

usage: python docs/channels.py
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import latens
from latens.figures import save_png
from latens.progress import Silent

IMAGES = Path(__file__).parent / "images"
COUNT, SIDE = 1200, 32


def cells(seed: int = 0) -> np.ndarray:
    """Soft discs with a rim and spots, and a sloping background, as numbers of 12 bits with an offset: uint16 (N, 4, H, W)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    images = np.empty((COUNT, 4, SIDE, SIDE))
    for image in images:
        centre, radius = rng.uniform(11, 21, 2), rng.uniform(5, 9)
        stretch, angle = rng.uniform(0.8, 1.25), rng.uniform(0, np.pi)
        across = (x - centre[1]) * np.cos(angle) + (y - centre[0]) * np.sin(angle)
        along = (y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle)
        distance = np.hypot(across * stretch, along / stretch)
        image[0] = 1 / (1 + np.exp(2 * (distance - 0.5 * radius)))
        image[1] = np.exp(-((distance - radius) ** 2) / 3)
        image[2] = 0
        for turn in rng.uniform(0, 2 * np.pi, 3):
            place = centre + 0.75 * radius * np.array([np.sin(turn), np.cos(turn)])
            image[2] += np.exp(-((y - place[0]) ** 2 + (x - place[1]) ** 2) / 2)
        image[3] = (x * rng.uniform(0.3, 1) + y * rng.uniform(0.3, 1)) / (2 * SIDE)
    bright = np.array([3000, 1200, 700, 300])[:, None, None]
    return (100 + bright * images + rng.normal(0, 8, images.shape)).clip(0, 4095).astype(np.uint16)


def main() -> None:
    """Train and draw; prints the note on the range."""
    with tempfile.TemporaryDirectory() as folder:
        images = latens.load_images(cells(), show="red=2,green=3,blue=1")
        print(*images.notes, sep="\n")
        run = latens.run(images, out=Path(folder) / "run", latent_dim=32, progress=Silent(), **OPTIONS)
        save_png(run.figure("channels"), IMAGES / "channels.png")


OPTIONS = {"epochs": int(sys.argv[1])} if len(sys.argv) > 1 else {}

if __name__ == "__main__":
    main()
