"""Train the feature networks that ship with latens, and compare them with the shipped ones.

    python benchmarks/features.py [--data mnist fashion-mnist] [--write] [--epochs N] [--threads N]

Training is in float64 from a fixed seed. Prints accuracy on the test part, whether the weights are the shipped ones to the
last bit, and the Fréchet distances (train to test; test to blurred test) through both. --write replaces the shipped ones.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

import latens
from latens.features import Features
from latens.features.fitting import train_network
from latens.features.lookup import FOLDER, load_network, save_network

EPOCHS = {"mnist": 3, "fashion-mnist": 6}


def train(images: latens.Dataset, epochs: int) -> Features:
    def tell(done: int, total: int) -> None:
        if done % (100 * 128) == 0:
            print(f"  {done:,} of {total:,} images", flush=True)

    labels = images.train.labels
    num_seen = epochs * len(images.train)
    network = train_network(
        images.train.pixels, labels, images.num_classes, num_seen=num_seen, dtype=torch.float64, progress=tell
    )
    return Features("trained here", network, images.shape)


def accuracy(features: Features, images: latens.Images) -> float:
    return float((features.classify(images.pixels) == images.labels).mean())


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    import scipy.linalg

    cov_x, cov_y = (np.cov(a, rowvar=False, dtype=np.float64) for a in (x, y))
    gap = x.mean(0, dtype=np.float64) - y.mean(0, dtype=np.float64)
    return float(gap @ gap + np.trace(cov_x + cov_y - 2 * scipy.linalg.sqrtm(cov_x @ cov_y).real))


def distances(features: Features, images: latens.Dataset) -> tuple[float, float]:
    test = images.test.pixels
    blurred = ((test.astype(float) + np.roll(test, 1, 2) + np.roll(test, 1, 3)) / 3).astype(np.uint8)
    of_test = features(test)
    return frechet(features(images.train.pixels[:10_000]), of_test), frechet(features(blurred), of_test)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=list(EPOCHS))
    parser.add_argument("--epochs", type=int, help=f"of training, by default {EPOCHS}: those of the shipped ones")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    for name in args.data:
        images, path = latens.load_images(name), Path(FOLDER) / f"{name}.safetensors"
        began = time.perf_counter()
        features = train(images, args.epochs or EPOCHS[name])
        seconds = time.perf_counter() - began
        shipped = Features("shipped", load_network(path), images.shape) if path.exists() else None
        print(f"{name}: {seconds:.0f} s, accuracy {accuracy(features, images.test):.4f}, digest {features.digest[:16]}")
        print("  FD of 10,000 train images to test, of blurred test images to test:", distances(features, images))
        if shipped is not None:
            same = "the same weights" if shipped.digest == features.digest else "other weights"
            print(f"  {same} as the shipped ones; through those:", distances(shipped, images))
        if args.write:
            save_network(path, features.network)


if __name__ == "__main__":
    main()
