"""What a step of training costs by the side of the images, beside what its arithmetic costs: the kernels of both halves.

    python benchmarks/sides.py [--sides 28,32,64,128] [--threads N] [--rounds 9] [--json FILE]

The network is that of the recipe `fast`. Forward, and backward with the gradients of weights and input, of a batch of 128;
medians over rounds in which all sides take turns. The arithmetic counts two operations for each product of a weight with a
number of a map, forward once and backward twice. A network for larger images has more layers with more channels, so that an
image of twice the side needs more than four times the operations.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from common import machine, machine_line, set_up_threads, write_json

BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", default="28,32,64,128", help="sides in pixels, with commas between them")
    parser.add_argument("--threads", type=int, help="of torch; all cores by default")
    parser.add_argument("--rounds", type=int, default=9, help="of which medians are taken")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    set_up_threads(args.threads)
    sides = [int(side) for side in args.sides.split(",")]
    candidates = {side: steps_of(side) for side in sides}
    seconds: dict[int, list[tuple[float, float]]] = {side: [] for side in sides}
    for number in range(args.rounds + 1):
        for side, (forward, backward, _) in candidates.items():
            taken = timed(forward), timed(backward)
            if number:  # the first round warms up
                seconds[side].append(taken)
    rows = []
    heads = ("side", "operations an image", "forward, images/s", "backward", "operations/s, forward", "backward")
    print(f"| {' | '.join(heads)} | time beside side 64 | operations beside it |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    whole = {side: sum(median(one) for one in zip(*seconds[side], strict=True)) for side in sides}
    first = 64 if 64 in sides else sides[0]
    for side in sides:
        there, back = (median(one) for one in zip(*seconds[side], strict=True))
        operations = candidates[side][2]
        beside, due = whole[side] / whole[first], operations / candidates[first][2]
        rows.append(
            {"side": side, "forward": there, "backward": back, "operations": operations, "time": beside, "due": due}
        )
        rates = [f"{factor * operations * BATCH / spent / 1e9:,.0f} G" for factor, spent in ((1, there), (2, back))]
        print(
            f"| {side} | {operations / 1e6:,.1f} M | {BATCH / there:,.0f} | {BATCH / back:,.0f} | {rates[0]} | {rates[1]} |"
            f" {beside:.2f} | {due:.2f} |"
        )
    print(machine_line(machine()))
    write_json(args.json, {"rows": rows})


def timed(step: Callable[[], object]) -> float:
    """The seconds of one call."""
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def steps_of(side: int) -> tuple[Callable[[], object], Callable[[], object], int]:
    """Forward and backward of both halves for one batch, and the operations of the forward pass for one image."""
    import torch

    import latens
    from latens.networks.native_form import NativeForm
    from latens.training.loop import build_model

    pixels = np.random.default_rng(0).integers(0, 256, (80, side, side)).astype(np.uint8)
    images = latens.load_images(pixels)
    recipe = latens.RECIPES["fast"](images).with_options(model="autoencoder", network="convolutional")
    model: Any = build_model(recipe, images.shape)
    halves, operations = [], 0
    for half, shape in ((model.encoder, images.shape), (model.decoder, (model.decoder[0].in_channels,))):
        form = NativeForm(half, shape)
        weights = [
            one.detach().contiguous(memory_format=torch.channels_last) if one.ndim == 4 else one.detach()
            for layer in form.convolutions
            for one in (layer.weight, layer.bias)
        ]
        x = torch.rand(BATCH, *form.input_shape).contiguous(memory_format=torch.channels_last)
        y, maps = form.forward(x, weights, keep=True)
        halves.append((form, x, weights, torch.rand_like(y), maps, torch.empty_like(x)))
        operations += sum(
            2 * layer.small_c * layer.large_c * layer.kernel_h * layer.kernel_w * layer.small_h * layer.small_w
            for layer in form.program
        )

    def forward() -> None:
        for form, x, weights, *_ in halves:
            form.memory.give_back(form.forward(x, weights, keep=True)[1])

    def backward() -> None:
        for form, _, weights, dy, maps, dx in halves:
            form.backward(dy, weights, maps, dx)

    return forward, backward, operations


if __name__ == "__main__":
    main()
