"""Encoding and detecting into a folder of parts: one process, several started by torchrun, Ray; how fast, how much memory.

    python benchmarks/parts.py [--images 200000] [--processes 2] [--rows 10000] [--json FILE]

A row for Ray is there where Ray is installed: a cluster of this machine that begins and ends with the command; its actors'
memory is not counted.

The images are MNIST's, repeated, in a memory-mapped .npy file; the run has trained for one epoch of a few.
Printed are images a second of the whole command, start included, also beside one process of the same command, and the largest
memory of a process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from common import machine, machine_line, write_json


def write(command: str, run: str, source: str, folder: Path, engine: str, rows: int) -> None:
    """What each process does: write its share, and say how much memory it took."""
    from latens.cli import main

    more = ["--parts"] if command == "detect" else []
    where = ["-o", f"{folder}/", "--rows", str(rows), "--engine", engine, "--device", "cpu", "--json"]
    code = main([command, run, source, *where, *more])
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
    parser.add_argument("--write", nargs=5, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        command, run, source, folder, engine = args.write
        write(command, run, source, Path(folder), engine, args.rows)
    from latens.computed import encode_run
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
        encode_run(run, images)  # a detector is fitted to its latents
        source = np.lib.format.open_memmap(folder / "many.npy", "w+", np.uint8, (args.images, 28, 28))
        for start in range(0, args.images, 10_000):
            some = source[start : start + 10_000]
            some[:] = digits[: len(some)]
        source.flush()
        ways = [("here", 1), ("here", args.processes), *([("ray", 1)] if find_spec("ray") else [])]
        for command in ("encode", "detect"):
            alone = 0.0
            for engine, num in ways:
                name = f"{command}-{engine}-{num}"
                out = folder / name
                words = ["--rows", str(args.rows), "--write", command, str(folder / "run"), str(folder / "many.npy")]
                seconds = timed([*words, str(out), engine], num)
                alone = alone or seconds
                peaks = [json.loads(one.read_text())["peak"] for one in sorted(folder.glob(f"{name}-*.json"))]
                found[name] = {
                    "images_per_second": args.images / seconds,
                    "beside_one": alone / seconds,
                    "peaks": peaks,
                    "files": len(list(out.glob("*.parquet"))),
                }
                who = "ray" if engine == "ray" else f"{num} process{'es' if num > 1 else ''}"
                told = f"{args.images / seconds:,.0f} images/s, {alone / seconds:.2f} of one process"
                print(f"{command}, {who}: {seconds:.1f} s, {told}, at most {max(peaks):,.0f} MiB a process", flush=True)
    print(machine_line(machine()))
    write_json(args.json, {"images": args.images, "rows": args.rows, "found": found})


if __name__ == "__main__":
    main()
