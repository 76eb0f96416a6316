"""Shared code of the peers: arguments, images, the reference experiment's network in torch's own layers, the printed line.

The peers import nothing from latens: they run in environments without it.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "LEARNING_RATE",
    "WARM_UP",
    "Trained",
    "as_tensor",
    "build_network",
    "measure",
    "peer_parser",
    "reconstructor",
]

LEARNING_RATE = 2e-4
WARM_UP = 2048  # images that are trained on once, with another network, before the clock starts

# Seconds of each epoch, mean squared error of the last epoch while the weights moved, and a function that gives the
# reconstructions of float32 (N, 1, 28, 28) as such an array.
Trained = tuple[list[float], float, Callable[[np.ndarray], np.ndarray]]


def peer_parser(description: str | None, workers: bool = True) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", metavar="IMAGES.npy", help="uint8 (N, 1, 28, 28)")
    parser.add_argument("--test", metavar="TEST.npy", help="say the mean squared error of these too")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--threads", type=int, help="of torch; all cores by default")
    parser.add_argument("--seed", type=int, default=0)
    if workers:
        parser.add_argument("--workers", type=int, default=0, help="processes of the DataLoader")
    return parser


def build_network() -> Any:
    """1x28x28 to 64 and back: a Sequential of the encoder and the decoder, 210,369 parameters, no activation at the end."""
    from torch import nn

    halve = {"kernel_size": 3, "stride": 2, "padding": 1}
    encoder = nn.Sequential(
        nn.Conv2d(1, 16, **halve), nn.ReLU(), nn.Conv2d(16, 32, **halve), nn.ReLU(), nn.Conv2d(32, 64, 7), nn.ReLU()
    )
    decoder = nn.Sequential(
        nn.ConvTranspose2d(64, 32, 7),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 16, **halve, output_padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(16, 1, **halve, output_padding=1),
    )
    return nn.Sequential(encoder, decoder)


def as_tensor(pixels: np.ndarray) -> Any:
    """All images as one float32 tensor (N, 1, 28, 28) in [0, 1]."""
    import torch

    return torch.from_numpy(pixels).float().div_(255)


def reconstructor(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A torch model that returns reconstructions, as a function of arrays."""
    import torch

    def reconstruct(x: np.ndarray) -> np.ndarray:
        model.eval()
        with torch.no_grad():
            return model(torch.from_numpy(x)).numpy()

    return reconstruct


def measure(
    peer: str, args: argparse.Namespace, train: Callable[[np.ndarray, int, argparse.Namespace], Trained]
) -> None:
    """Train once to warm up, once with the clock running, and print one line of JSON.

    Args:
        peer: its name and release.
        args: of `peer_parser`.
        train: makes a network and trains it on uint8 images for some epochs.
    """
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    pixels = np.load(args.images)
    train(pixels[:WARM_UP], 1, args)
    seconds, loss, reconstruct = train(pixels, args.epochs, args)
    result = {
        "peer": peer,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "warm_up": f"one epoch of {WARM_UP} images with another network",
        "num_images": len(pixels),
        "batch": args.batch,
        "seconds_per_epoch": [round(second, 4) for second in seconds],
        "images_per_second": round(len(pixels) / statistics.median(seconds), 1),
        "train_loss": round(loss, 6),
    }
    if args.test:
        result["test_mse"] = round(_mean_squared_error(reconstruct, np.load(args.test)), 6)
    print(json.dumps(result))


def _mean_squared_error(reconstruct: Callable[[np.ndarray], np.ndarray], pixels: np.ndarray) -> float:
    errors = []
    for start in range(0, len(pixels), 1000):
        x = pixels[start : start + 1000].astype(np.float32) / 255
        errors.append(((reconstruct(x) - x) ** 2).mean((1, 2, 3), dtype=np.float64))
    return float(np.concatenate(errors).mean())
