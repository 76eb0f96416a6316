"""Encoding speed on MNIST's 10,000 test images: latens and the reference experiment, measured in turn.

    python benchmarks/encoding.py [--short] [--rounds N] [--threads T] [--json FILE]

Prints images per second of `encode_images` in each form of latens; of the notebook that latens follows (the reference
experiment), which passes one image at a time through its whole network; and of that network in batches of 1,000 in plain
torch, the encoder alone. All start from 8-bit images and end with an array of latents. The ceiling is the number of images
per second that the machine's matrix product rate allows, measured in the same rounds.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from common import (
    alternate,
    benchmark_parser,
    ceiling_of,
    gemm_candidates,
    machine,
    machine_line,
    run_json,
    set_up_threads,
    table,
    write_json,
)

if TYPE_CHECKING:
    from latens import Dataset

# Two for each multiply and add of the three convolutions: 14·14·16·9, 7·7·32·16·9 and 64·32·7·7 of them.
FLOP_AN_IMAGE = 708_736
NOTEBOOK = Path(__file__).parent / "peers" / "notebook.py"


def our_candidates(images: "Dataset", seconds: float) -> dict[str, Callable[[], float]]:
    """`encode_images` in each form, again and again for some seconds, after a first time."""
    from latens.latents import encode_images
    from latens.networks.half import FORMS
    from latens.training.loop import build_model, use_forms
    from latens.training.recipes import notebook

    def candidate(form: str) -> Callable[[], float]:
        model = build_model(notebook(images), images.shape)
        use_forms(model, {"encoder": [form], "decoder": [form]})

        def images_per_second() -> float:
            encode_images(model, images.test)
            rounds, began = 0, time.perf_counter()
            while (passed := time.perf_counter() - began) < seconds:
                encode_images(model, images.test)
                rounds += 1
            return rounds * len(images.test) / passed

        return images_per_second

    return {f"latens, form {form}": candidate(form) for form in FORMS}


def notebook_candidates(file: Path, seconds: float) -> dict[str, Callable[[], float]]:
    import torch

    threads = torch.get_num_threads()

    def candidate(batch: int) -> Callable[[], float]:
        command = [sys.executable, NOTEBOOK, file, "--encode", batch, "--seconds", seconds, "--threads", threads]
        return lambda: float(run_json([str(part) for part in command])["images_per_second"])

    return {"notebook, one at a time": candidate(1), "its network, batches of 1,000": candidate(1000)}


def main() -> None:
    args = benchmark_parser(__doc__).parse_args()
    set_up_threads(args.threads)

    import numpy as np

    import latens

    images = latens.load_images("mnist")
    rounds, seconds = args.rounds or (3 if args.short else 5), 1.0 if args.short else 5.0
    print(machine_line(machine()))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "test.npy"
        np.save(file, images.test.pixels)
        candidates = our_candidates(images, seconds) | notebook_candidates(file, seconds)
        measured = alternate(gemm_candidates() | candidates, rounds)
    products = {name: measured[name] for name in gemm_candidates()}
    ceiling = ceiling_of(measured, FLOP_AN_IMAGE)
    print(f"Encoding {len(images.test):,} images, images a second; {rounds} rounds\n")
    print(table(products, "GFLOP/s"), end="\n\n")
    print(table(measured, "images/s", reference="notebook, one at a time", ceiling=ceiling))
    write_json(args.json, {"products": products, "images_per_second": measured, "ceiling": ceiling})


if __name__ == "__main__":
    main()
