"""How long the explorer takes for the images of the train part: their places on a map of the test part, and their colours.

    python benchmarks/placing.py [--train N] [--rounds N] [--threads N] [--json FILE]

Makes a run of MNIST, whose model is trained for one epoch, with its t-SNE map of the 10,000 test images. Then, for N train images
(60,000 by default), each round with a new view of the run as when the explorer is started again:

    places      the map's own way of placing new latents, in blocks (the switch "Part")
    trust       the colour "trust of the place"
    neighbours  the colour "class of its neighbours": the five nearest other train images of each, by what the review kept
    searched    the same in a run without a review: an exact search

Wall-clock time and time of the processor: on a machine that does other work as well the former is longer.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from common import benchmark_parser, machine, machine_line, say, set_up_threads, write_json


def make_run(folder: Path, num_train: int) -> Path:
    """A run of so many train images of MNIST and all its test images, with their map."""
    from dataclasses import replace

    import latens
    from latens.computed import encode_run
    from latens.computed.review import review_run
    from latens.runs import record, start_run
    from latens.training.recipes import fast

    mnist = latens.load_images("mnist")
    images = replace(mnist, train=mnist.train.take(slice(0, num_train)))
    recipe = fast(images).with_options(epochs=1)
    run = start_run(images, recipe, folder / "run")
    for _ in record(run, latens.train(run.model, images, recipe.config), images):
        pass
    encode_run(run, images)
    run.map("tsne")
    review_run(run, images)
    return run.path


def measured(path: Path) -> dict[str, tuple[float, float]]:
    """Seconds of each, and those of the processor."""
    from latens.explorer import View
    from latens.runs import open_run

    view = View(open_run(path))
    view.map("tsne")
    work: dict[str, Callable[[], object]] = {
        "places": lambda: view.placed("tsne"),
        "trust": lambda: view.column("trust:tsne", "train"),
        "neighbours": lambda: view.column("predicted", "train"),
    }
    times = {name: seconds_of(one) for name, one in work.items()}
    found, other = view.column("predicted", "train"), View(open_run(path))
    with mock.patch("latens.computed.review.kept_neighbours", return_value=None):
        times["searched"] = seconds_of(lambda: other.column("predicted", "train"))
    assert (other.column("predicted", "train") == found).all()
    return times


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--train", type=int, default=60_000, metavar="N", help="how many train images")
    args: argparse.Namespace = parser.parse_args()
    set_up_threads(args.threads)
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
    count = 6_000 if args.short else args.train
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        say("making a run of MNIST")
        path = make_run(Path(folder), count)
        for number in range(args.rounds or 3):
            rounds.append(measured(path))
            say(f"round {number + 1}: " + ", ".join(f"{name} {wall:.2f} s" for name, (wall, _) in rounds[-1].items()))
    medians = {
        name: [statistics.median(found[name][which] for found in rounds) for which in (0, 1)] for name in rounds[0]
    }
    print(f"{count:,} train images, a map of 10,000; medians of {len(rounds)}")
    print(f"{'':<12}{'seconds':>9}{'processor, s':>14}")
    for name, (wall, processor) in medians.items():
        print(f"{name:<12}{wall:>9.2f}{processor:>14.2f}")
    print(machine_line(machine()))
    write_json(args.json, {"train": count, "seconds and processor": medians})


if __name__ == "__main__":
    main()
