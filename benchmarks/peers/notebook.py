"""The reference experiment: plain torch, a DataLoader that reads single images, batch 512, Adam at 2e-4, loss.item() per step.

    python notebook.py IMAGES.npy [--epochs 1] [--workers 0] [--test TEST.npy]
    python notebook.py IMAGES.npy --encode 1       encodes instead, one image at a time, as the experiment does
    python notebook.py IMAGES.npy --encode 1000    the same network in batches, straight from the array

Trains with a data set that reads an image as torchvision's MNIST with ToTensor does. To encode one image at a time, the
notebook runs the whole network and keeps the latent, so that figure includes the decoder. In batches the encoder runs alone.
Needs torch, numpy and pillow. Prints one line of JSON.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
from setting import LEARNING_RATE, Trained, build_network, measure, peer_parser, reconstructor

__all__ = ["Pictures", "encode", "train"]


class Pictures:
    """A data set of (picture, label): a PIL image is made and turned into a tensor each time that one is asked for."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import torch
        from PIL import Image

        picture = Image.fromarray(self.pixels[index, 0])
        height_width_channel = torch.from_numpy(np.array(picture)[:, :, None])
        return height_width_channel.permute(2, 0, 1).contiguous().float().div(255), 0


def train(pixels: np.ndarray, epochs: int, args: argparse.Namespace) -> Trained:
    import torch

    network = build_network()
    encoder, decoder = network
    loader = torch.utils.data.DataLoader(
        Pictures(pixels), batch_size=args.batch, shuffle=True, num_workers=args.workers
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    loss_of = torch.nn.MSELoss()
    seconds, losses = [], []
    for _ in range(epochs):
        began = time.perf_counter()
        losses.clear()
        for x, _ in loader:
            loss = loss_of(decoder(encoder(x)), x)
            losses.append(loss.item())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        seconds.append(time.perf_counter() - began)
    return seconds, float(np.mean(losses)), reconstructor(network)


def encode(pixels: np.ndarray, batch: int) -> np.ndarray:
    """The latents (N, 64) of uint8 images."""
    import torch

    encoder, decoder = build_network()
    latents = []
    with torch.no_grad():
        if batch == 1:
            for x, _ in Pictures(pixels):
                z = encoder(x.unsqueeze(0))
                decoder(z)
                latents.append(z.reshape(64).numpy())
            return np.vstack(latents)
        for start in range(0, len(pixels), batch):
            x = torch.from_numpy(pixels[start : start + batch]).float().div_(255)
            latents.append(encoder(x).flatten(1).numpy())
    return np.concatenate(latents)


def main() -> None:
    parser = peer_parser(__doc__)
    parser.add_argument("--encode", type=int, metavar="BATCH", help="encode the images instead of training on them")
    parser.add_argument("--seconds", type=float, default=1.0, help="encode again and again for so long at least")
    args = parser.parse_args()
    if args.encode is None:
        measure("notebook", args, train)
        return
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    pixels = np.load(args.images)
    encode(pixels[: 10 * args.encode], args.encode)
    rounds, began = 0, time.perf_counter()
    while (seconds := time.perf_counter() - began) < args.seconds:
        encode(pixels, args.encode)
        rounds += 1
    print(json.dumps({"peer": "notebook", "batch": args.encode, "images_per_second": rounds * len(pixels) / seconds}))


if __name__ == "__main__":
    main()
