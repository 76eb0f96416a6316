"""What a wide latent costs: Muon over whole weights beside Muon over blocks of their rows.

python benchmarks/wide.py [--images 20000] [--latent-dims 64 512]

Trains `fast` on some digits with each latent dimension, weights of more than 256 rows orthogonalised as one ("whole"), and in
blocks of at most 256, 128 (what latens does) and 64 rows. The blocks of 128 also train for as many epochs as fit into the time
of the whole. Times are processor seconds on one thread.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import latens
from common import machine, machine_line
from latens.images.contract import make_images
from latens.training import optimisers
from latens.training.loop import build_model, fastest_forms, train, use_forms
from latens.training.recipes import RECIPES

WHOLE, USUAL = "whole", 128


def trained(images: latens.Dataset, latent_dim: int, blocks: int | str, epochs: int) -> tuple[float, float]:
    """Test MSE and processor seconds."""
    kept = optimisers.PADDED, optimisers.WHOLE
    if blocks == WHOLE:
        optimisers.WHOLE = latent_dim
    elif isinstance(blocks, int):
        optimisers.PADDED = blocks
    try:
        recipe = RECIPES["fast"](images).with_options(latent_dim=latent_dim, epochs=epochs)
        model = build_model(recipe, images.shape)
        use_forms(model, fastest_forms(recipe, images.shape))
        began = time.process_time()
        *_, last = train(model, images, recipe.config)
        return float(last.test_mse), time.process_time() - began
    finally:
        optimisers.PADDED, optimisers.WHOLE = kept


def rows_of(images: latens.Dataset, latent_dim: int) -> Iterator[dict[str, Any]]:
    """What each way of training with a latent dimension gives."""

    def row(blocks: int | str, epochs: int) -> dict[str, Any]:
        mse, seconds = trained(images, latent_dim, blocks, epochs)
        speed = epochs * len(images.train) / seconds
        return {"dim": latent_dim, "rows": blocks, "epochs": epochs, "mse": mse, "seconds": seconds, "speed": speed}

    whole = row(WHOLE, 1)
    yield whole
    if latent_dim > optimisers.WHOLE:
        for blocks in (256, USUAL, 64):
            once = row(blocks, 1)
            yield once
            if blocks == USUAL:
                yield row(USUAL, max(2, int(whole["seconds"] / once["seconds"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000, help="of the digits, that are trained on")
    parser.add_argument("--latent-dims", nargs="+", type=int, default=[64, 512])
    args = parser.parse_args()
    torch.set_num_threads(1)
    digits = latens.load_images("mnist")
    train_part = digits.train
    assert train_part.labels is not None
    rows = np.arange(args.images)
    part = make_images(train_part.pixels[rows], train_part.ids[rows], train_part.labels[rows])
    print("| latent dimension | rows together | epochs | test MSE | CPU s | images a CPU s |")
    print("|---:|---:|---:|---:|---:|---:|")
    for latent_dim in args.latent_dims:
        for row in rows_of(replace(digits, train=part), latent_dim):
            print("| {dim} | {rows} | {epochs} | {mse:.6f} | {seconds:.1f} | {speed:,.0f} |".format(**row), flush=True)
    print(machine_line(machine()))


if __name__ == "__main__":
    main()
