"""What it costs that nothing is lost: the time that a training spends in saving its run.

    python benchmarks/faults/cost.py [--long] [--json FILE]

The recipe `fast` on MNIST, recorded as `latens run` does it; in the short form, once, six epochs of 10,000 images, where what is
saved once weighs more. The clock runs in each save: encoding, hashes, fsync, rename, run.json with its seal, the lock. Beside it
the same training unrecorded, in turn; the share of the saves is the better measure, since trainings alone differ by more on a
busy machine. At most 2 % are allowed.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from tally import fault_parser

import latens
from latens.files import write_json
from latens.runs import RunFolder, record, start_run

ALLOWED = 0.02
IMAGES, EPOCHS, TURNS = 10_000, 6, 2


def main() -> None:
    args = fault_parser(__doc__).parse_args()
    mnist = latens.load_images("mnist")
    images = mnist if args.long else latens.load_images(np.asarray(mnist.train.pixels[:IMAGES]))
    recipe = latens.RECIPES["fast"](images).with_options(**({} if args.long else {"epochs": EPOCHS}))
    saves, recorded, alone, counts = [], [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        for turn in range(TURNS if args.long else 1):
            run = start_run(images, recipe, Path(temporary) / str(turn))
            with Clock() as clock:
                began = time.perf_counter()
                for _ in record(run, latens.train(run.model, images, recipe.config), images):
                    pass
                recorded.append(time.perf_counter() - began)
            saves.append(clock.seconds)
            counts.append(clock.calls)
            model, began = run.untrained_model(), time.perf_counter()
            for _ in latens.train(model, images, recipe.config):
                pass
            alone.append(time.perf_counter() - began)
    share = median(save / whole for save, whole in zip(saves, recorded, strict=True))
    print("| training | seconds | saves | seconds in saves | share |")
    print("|---|---|---|---|---|")
    print(f"| recorded | {median(recorded):.2f} | {median(counts):.0f} | {median(saves):.3f} | {share:.2%} |")
    print(f"| unrecorded | {median(alone):.2f} | 0 | 0 | 0 |")
    if args.json:
        write_json(args.json, {"recorded": recorded, "alone": alone, "saves": saves, "share": share})
    sys.exit(int(share > ALLOWED))


class Clock:
    """Measures the time in `RunFolder.commit` and what calls it."""

    def __init__(self) -> None:
        self.seconds, self.calls, self.real = 0.0, 0, RunFolder._commit

    def __enter__(self) -> "Clock":
        def timed(folder: RunFolder, *args: Any, **options: Any) -> None:
            began = time.perf_counter()
            self.real(folder, *args, **options)
            self.seconds += time.perf_counter() - began
            self.calls += 1

        RunFolder._commit = timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        RunFolder._commit = self.real  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
