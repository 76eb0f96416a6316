"""Speed on a CUDA device: training with and without CUDA graphs, encoding, a map, whole trainings.

    python benchmarks/gpu.py [--short] [--rounds N] [--precision tf32] [--json FILE]

Training prints images per second of the recipes `notebook` and `fast` in three ways: each batch copied from the host; the
images on the device and each kernel launched by the host; and whole steps replayed from a graph. A figure is the median of
several epochs, without the epochs in which kernels are chosen and graphs captured, and without evaluation. Encoding is of
MNIST's 70,000 images, from 8-bit arrays in the host's memory to arrays of latents there. Then come the seconds of a t-SNE of
the 70,000 latents, and of whole trainings, from the first epoch to the last evaluation, with the test MSE at the end.

Without a CUDA device it prints a message and exits with code 2; nothing is measured.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from common import alternate, benchmark_parser, machine, machine_line, say, table, write_json

if TYPE_CHECKING:
    import numpy as np

    from latens import Dataset
    from latens.training.recipes import Recipe

FIRST = 2  # epochs that are left out
WAYS = ("batches from the host", "kernel by kernel", "graphs")
NEVER = 10**9


def rate(elapsed: Sequence[float], num_images: int) -> float:
    """Images a second of the median epoch, the first ones left out.

    Args:
        elapsed: seconds from the start to the end of each epoch.
        num_images: of an epoch.
    """
    seconds = [after - before for before, after in zip(elapsed[FIRST - 1 :], elapsed[FIRST:], strict=False)]
    return num_images / statistics.median(seconds)


@contextmanager
def trained(way: str) -> Iterator[None]:
    """Train in one of the `WAYS` inside."""
    with ExitStack() as stack:
        if way == WAYS[0]:
            stack.enter_context(patch("latens.training.loop._resident", lambda pixels, device: pixels))
        if way == WAYS[1]:
            stack.enter_context(patch("latens.training.graphs.WARM_UP", NEVER))
        yield


def training_candidates(images: "Dataset", recipe: "Recipe") -> dict[str, Callable[[], float]]:
    from latens import train
    from latens.training.loop import build_model

    def candidate(way: str) -> Callable[[], float]:
        def images_per_second() -> float:
            with trained(way):
                steps = train(build_model(recipe, images.shape).cuda(), images, recipe.config)
                return rate([step.elapsed for step in steps], len(images.train))

        return images_per_second

    return {f"{recipe.name}, {way}": candidate(way) for way in WAYS}


def encoding_candidates(pixels: "np.ndarray", recipe: "Recipe", seconds: float) -> dict[str, Callable[[], float]]:
    from latens.latents import encode_images
    from latens.training.loop import build_model

    def images_per_second() -> float:
        model = build_model(recipe, pixels.shape[1:]).cuda()
        encode_images(model, pixels)
        rounds, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds:
            encode_images(model, pixels)
            rounds += 1
        return rounds * len(pixels) / passed

    return {"encode_images": images_per_second}


def map_candidates(latents: "np.ndarray") -> dict[str, Callable[[], float]]:
    from latens.maps.tsne import TSNEMap

    def seconds() -> float:
        began = time.perf_counter()
        TSNEMap("cuda").fit(latents)
        return time.perf_counter() - began

    return {f"t-SNE of {len(latents):,} latents": seconds}


class Whole:
    """Trainings from their first epoch to their last, after which their models can be asked."""

    def __init__(self, images: "Dataset") -> None:
        self.images = images
        self.models: dict[str, Any] = {}
        self.test_mse: dict[str, list[float]] = {}

    def candidate(self, recipe: "Recipe") -> tuple[str, Callable[[], float]]:
        from latens import train
        from latens.training.loop import build_model

        name = f"{recipe.name}, {recipe.config.epochs} epochs"

        def seconds() -> float:
            model = build_model(recipe, self.images.shape).cuda()
            began = time.perf_counter()
            *_, last = train(model, self.images, recipe.config)
            passed = time.perf_counter() - began
            self.models[name] = model
            self.test_mse.setdefault(name, []).append(last.test_mse)
            return passed

        return name, seconds


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--precision", default="float32", help="of training: float32, tf32, bfloat16")
    args = parser.parse_args()

    import numpy as np
    import torch

    import latens
    from latens.device import describe_device
    from latens.latents import encode_images

    if not torch.cuda.is_available():
        parser.exit(2, f"{parser.prog}: torch {torch.__version__} finds no CUDA device here; nothing was measured\n")
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    images = latens.load_images("mnist")
    rounds = args.rounds or (1 if args.short else 3)
    notebook, fast = (
        latens.RECIPES[name](images).with_options(precision=args.precision) for name in ("notebook", "fast")
    )

    what = machine() | {"gpu": describe_device(torch.device("cuda"))}
    print(f"{what['gpu']}; {machine_line(what)}\nprecision of training: {args.precision}; {rounds} rounds\n")
    candidates: dict[str, Callable[[], float]] = {}
    for recipe in (notebook, fast):
        candidates |= training_candidates(images, recipe.with_options(epochs=FIRST + (2 if args.short else 6)))
    training = alternate(candidates, rounds)
    print(table(training, "images/s", reference=f"notebook, {WAYS[0]}"), end="\n\n")

    pixels = np.concatenate([images.test.pixels, images.train.pixels])
    encoding = alternate(encoding_candidates(pixels, fast, 0.5 if args.short else 3.0), rounds)
    print(table(encoding, "images/s"), end="\n\n")

    whole = Whole(images)
    recipes = (notebook.with_options(epochs=20 if args.short else None), fast)
    seconds = alternate(dict(whole.candidate(recipe) for recipe in recipes), rounds)
    say("latents for the map")
    latents = encode_images(whole.models[f"fast, {fast.config.epochs} epochs"], pixels)
    seconds |= alternate(map_candidates(latents), rounds)
    print(table(seconds, "s", lower_is_better=True, digits=2))
    for name, errors in whole.test_mse.items():
        print(f"{name}: test MSE {statistics.median(errors):.6f}")
    figures = {"training": training, "encoding": encoding, "seconds": seconds, "test_mse": whole.test_mse}
    write_json(args.json, {"machine": what, "precision": args.precision, **figures})


if __name__ == "__main__":
    main()
