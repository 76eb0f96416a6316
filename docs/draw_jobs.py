"""The figures of docs/jobs.md: `python docs/draw_jobs.py`. It trains a small run on the digits of scikit-learn."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import latens
from latens.computed.review import review_new
from latens.figures.canvas import save_png
from latens.figures.findings import draw_new
from latens.figures.search import draw_found

IMAGES = Path(__file__).parent / "images"
SIDE = 16


def write_digits(folder: Path) -> None:
    digits = load_digits()
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = folder / str(label) / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image / 16 * 255).astype(np.uint8)).resize((SIDE, SIDE)).save(path)


def write_new(digits: Path, folder: Path) -> None:
    """A copy, a brighter copy, noise, and a digit in the folder of another."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    made = {
        "3/copy.png": Image.open(digits / "3" / "0003.png"),
        "7/brighter.png": Image.open(digits / "7" / "0007.png").point(lambda value: min(255, value + 4)),
        "3/noise.png": Image.fromarray(noise),
        "9/wrong.png": Image.open(digits / "4" / "0004.png").rotate(5),
        "4/usual.png": Image.open(digits / "4" / "0100.png").rotate(3),
    }
    for name, image in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        digits, new = Path(place) / "digits", Path(place) / "new"
        write_digits(digits)
        run = latens.run(digits, out=Path(place) / "run", latent_dim=16, epochs=12)
        write_new(digits, new)
        save_png(draw_found(run, run.search(["3/0003.png", "7/0007.png", "0/0010.png"], k=5)), IMAGES / "search.png")
        figure = draw_new(run, review_new(run, new))
        assert figure is not None, "the copies are found"
        save_png(figure, IMAGES / "review-new.png")


if __name__ == "__main__":
    main()
