"""The small pictures of the options of reading and training: `python docs/draw_reading.py`. Each image is read by latens."""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from channels import cells
from draw_fit import tile
from matplotlib.figure import Figure
from PIL import Image

from latens.images import load_images
from latens.images.pixels import WHITE, shown_in_rgb, to_unit
from latens.training.augmentation import moved

IMAGES = Path(__file__).parent / "images"
COLOURS = 255  # of a written file, so that it stays small


def draw(name: str, rows: list[tuple[str, list[tuple[str, np.ndarray]]]], tall: float = 1.35) -> None:
    """Rows of images with a title each, uint8 (H, W) or (H, W, 3); a row has a name or none."""
    most = max(len(row) for _, row in rows)
    figure = Figure(figsize=(min(7.6, 1.45 * most), tall * len(rows)), dpi=120, facecolor="white")
    grid = figure.subplots(len(rows), most, squeeze=False)
    for places, (called, row) in zip(grid, rows, strict=True):
        for axes in places:
            axes.set_axis_off()
        for axes, (title, image) in zip(places, row, strict=False):
            axes.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            axes.set_title(title, fontsize=8)
        places[0].text(
            -0.08, 0.5, called, transform=places[0].transAxes, rotation=90, va="center", ha="right", fontsize=8
        )
    figure.tight_layout(pad=0.4)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as picture:
        small = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        small.save(IMAGES / f"{name}.png", optimize=True)


def first(images: object, **options: Any) -> np.ndarray:
    """The first train image of a set as it is shown, uint8 (H, W, 3)."""
    train = load_images(images, **options).train
    return shown_in_rgb(train.inputs[:1], train.format.show)[0]


def ranges(five: np.ndarray) -> None:
    one = five[:, 1:2]
    rules = {
        "--range type": "type",
        "by the values (default)": None,
        "--range 0 4095": (0, 4095),
        "--range 200 600": (200, 600),
    }
    draw("range", [("", [(title, first(one, value_range=rule)) for title, rule in rules.items()])])


def shows(five: np.ndarray) -> None:
    rules = ["", "grey=2", "red=3,green=2,blue=1", "magenta=1,green=2,yellow=4"]
    draw(
        "show",
        [
            (
                "",
                [
                    (
                        rule.replace("red=3,", "red=3,\n").replace("magenta=1,", "magenta=1,\n") or "default",
                        first(five, show=rule or None),
                    )
                    for rule in rules
                ],
            )
        ],
    )


def folders_of_channels(five: np.ndarray, folder: Path) -> None:
    for channel, name in enumerate(("dapi", "gfp")):
        (folder / name).mkdir()
        for row, image in enumerate(five[:12, channel]):
            tifffile.imwrite(folder / name / f"img{row}_{name}.tif", image)
    both = load_images(folder, channels=["dapi", "gfp"]).train
    alone = [shown_in_rgb(both.inputs[:1][:, channel : channel + 1])[0] for channel in range(2)]
    row = both.ids[0].split("_")[0]
    together = shown_in_rgb(both.inputs[:1])[0]
    titles = [f"dapi/{row}_dapi.tif", f"gfp/{row}_gfp.tif", "one image of two channels"]
    draw("channel-folders", [("", list(zip(titles, [*alone, together], strict=True)))])


def colours_and_holes(five: np.ndarray) -> None:
    rgb = shown_in_rgb(load_images(five).train.inputs[:12])
    holes = five[:12, 1:2].astype(np.float32)
    holes[:, :, 10:16, 4:22] = np.nan
    at = {value: first(holes, nan=value) for value in (0, 1300)}
    row = [("colour", first(rgb)), ("--grey", first(rgb, grey=True))]
    draw("grey-nan", [("", [*row, *((f"--nan {value}", image) for value, image in at.items())])])


def augmentations() -> None:
    image = np.asarray(tile().crop((60, 0, 180, 120)).resize((48, 48)))
    other = np.asarray(tile().rotate(90, expand=True).crop((0, 0, 120, 120)).resize((48, 48)))
    batch = to_unit(torch.from_numpy(np.stack([image, other])[:, None]))
    moves = np.random.default_rng(3)
    rows = [("none", [("", image)])]
    for kind in ("shift-flip", "flip", "blend"):
        made = [
            moved(batch, kind, moves)[0, 0].clamp(0, 1).mul(WHITE).round().to(torch.uint8).numpy() for _ in range(4)
        ]
        rows.append((kind, [("", one) for one in made]))
    draw("augmentation", rows, tall=0.95)


def main() -> None:
    five = cells()[:40]
    ranges(five)
    shows(five)
    with tempfile.TemporaryDirectory() as folder:
        folders_of_channels(five, Path(folder))
    colours_and_holes(five)
    augmentations()


if __name__ == "__main__":
    main()
