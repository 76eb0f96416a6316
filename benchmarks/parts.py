"""Encoding into a folder of parts: one process, then several started by torchrun; how fast, and how much memory.

    python benchmarks/parts.py [--images 200000] [--processes 2] [--rows 10000] [--json FILE]

The images are MNIST's, repeated, in a memory-mapped .npy file; the run has trained for one epoch of a few.
Printed are images a second of the whole command, start included, and the largest memory of a process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import machine, machine_line, write_json


def encode(run: Path, source: Path, folder: Path, rows: int) -> None:
    """What each process does: encode its share, and say how much memory it took."""
    from latens.cli import main

    code = main(["encode", str(run), str(source), "-o", f"{folder}/", "--rows", str(rows), "--json"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (folder.parent / f"{folder.name}-{os.environ.get('RANK', '0')}.json").write_text(json.dumps({"peak": peak}))
    sys.exit(code)


def timed(words: list[str], processes: int) -> float:
    """Seconds of the command in so many processes."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    began = time.perf_counter()
    subprocess.run([sys.executable, *launch, __file__, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--json", default=None)
    parser.add_argument("--encode", nargs=3, type=Path, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.encode:
        encode(*args.encode, args.rows)
    from latens.images import load_images
    from latens.runs import start_run
    from latens.runs.recording import record
    from latens.training.loop import train
    from latens.training.recipes import RECIPES

    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        digits = load_images("mnist").test.pixels[:, 0]
        images = load_images(digits[:1000])
        recipe = RECIPES["notebook"](images).with_options(epochs=1)
        run = start_run(images, recipe, folder / "run")
        list(record(run, train(run.model, images, recipe.config)))
        source = np.lib.format.open_memmap(folder / "many.npy", "w+", np.uint8, (args.images, 28, 28))
        for start in range(0, args.images, 10_000):
            some = source[start : start + 10_000]
            some[:] = digits[: len(some)]
        source.flush()
        for num in (1, args.processes):
            out = folder / f"parts-{num}"
            words = ["--rows", str(args.rows), "--encode", str(folder / "run"), str(folder / "many.npy"), str(out)]
            seconds = timed(words, num)
            peaks = [json.loads(one.read_text())["peak"] for one in sorted(folder.glob(f"parts-{num}-*.json"))]
            found[str(num)] = {
                "images_per_second": args.images / seconds,
                "peaks": peaks,
                "files": len(list(out.glob("*.parquet"))),
            }
            told = f"{args.images / seconds:,.0f} images/s, at most {max(peaks):,.0f} MiB a process"
            print(f"{num} process{'es' if num > 1 else ''}: {args.images:,} images in {seconds:.1f} s, {told}")
    print(machine_line(machine()))
    write_json(args.json, {"images": args.images, "rows": args.rows, "found": found})


if __name__ == "__main__":
    main()
