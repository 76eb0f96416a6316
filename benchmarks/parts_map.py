"""Maps and scores of very many latents in parts: seconds and memory of each command, in a process of its own.

    python benchmarks/parts_map.py [--latents 10000000] [--sample 100000] [--rows 10000] [--commands NAMES] [--folder DIR]
                                   [--json FILE]

The latents are random, 64 numbers each: points about planes of ten dimensions through 1,000 centres, with noise. Their parts are
written first, as `latens encode -o FOLDER/` does, and are removed at the end. Then, start included:

    tsne        latens map RUN --in FOLDER/ --sample N: the map of a sample, and the place of all others
    score       latens score RUN --in FOLDER/
    explore     latens explore RUN --in FOLDER/ --get /api/opening: the run of the parts is made, and the first picture's data
    again       the same once more
    pca         latens map RUN --in FOLDER/ --map pca: moments of all, and the place of each

The run has trained for one epoch of a few images. Seconds of the clock and of the processor; the memory is the most that was
resident, without the pages of files where the system tells them apart.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import machine, machine_line, say, set_up_threads, write_json

DIM, CENTRES, PLANE, NOISE = 64, 1000, 10, 0.05


def make_run(folder: Path) -> Path:
    """A run whose latents have 64 numbers."""
    import latens
    from latens.runs import record, start_run

    digits = latens.load_images(np.asarray(latens.load_images("mnist").test.pixels[:1000, 0]))
    recipe = latens.RECIPES["notebook"](digits).with_options(epochs=1, latent_dim=DIM)
    run = start_run(digits, recipe, folder / "run")
    list(record(run, latens.train(run.model, digits, recipe.config)))
    run.update(status="done")
    return run.path


def write_parts(folder: Path, count: int, rows: int) -> None:
    from latens.sheets import as_parquet

    folder.mkdir()
    centres = 3 * np.random.default_rng(0).standard_normal((CENTRES, DIM), np.float32)
    planes = np.random.default_rng(1).standard_normal((CENTRES, PLANE, DIM), np.float32)
    parts = -(-count // rows)
    for number in range(parts):
        rng = np.random.default_rng((2, number))
        size = min(rows, count - number * rows)
        which = np.sort(rng.integers(0, CENTRES, size))
        latents = centres[which] + NOISE * rng.standard_normal((size, DIM), np.float32)
        for centre, here in ((k, which == k) for k in np.unique(which)):
            latents[here] += rng.standard_normal((int(here.sum()), PLANE), np.float32) @ planes[centre]
        rng.shuffle(latents)
        ids = np.arange(number * rows, number * rows + size).astype(str)
        (folder / f"latents-{number:05}-of-{parts:05}.parquet").write_bytes(as_parquet({"id": ids, "latent": latents}))


def command(words: list[str]) -> dict[str, float]:
    """Run one command of latens in a process of its own: seconds, those of the processor, and MiB at most."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, __file__, "--one", *words], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return {"seconds": time.perf_counter() - began, **found}


def one(words: list[str]) -> None:
    import resource

    from latens.cli import main

    code = main(words)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("\n" + json.dumps({"processor": used.ru_utime + used.ru_stime, "mib": used.ru_maxrss / 1024}))
    sys.exit(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", type=int, default=10_000_000)
    parser.add_argument("--sample", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--commands", help="some of these, with commas between them (default: all)")
    parser.add_argument("--folder", help="where the parts are made (default: the folder for temporary files)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    set_up_threads()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as place:
        run, folder = str(make_run(Path(place))), Path(place) / "latents"
        say(f"writing {args.latents:,} latents")
        write_parts(folder, args.latents, args.rows)
        commands = {
            "tsne": ["map", run, "--in", str(folder), "--sample", str(args.sample)],
            "score": ["score", run, "--in", str(folder)],
            "explore": ["explore", run, "--in", str(folder), "--get", "/api/opening"],
            "again": ["explore", run, "--in", str(folder), "--get", "/api/opening"],
            "pca": ["map", run, "--in", str(folder), "--map", "pca", "--sample", str(args.sample)],
        }
        print(f"{args.latents:,} latents in parts of {args.rows:,}, a sample of {args.sample:,}")
        print(f"{'':<10}{'seconds':>10}{'processor, s':>14}{'MiB':>8}", flush=True)
        for name, words in commands.items():
            if args.commands and name not in args.commands.split(","):
                continue
            found[name] = command(words)
            told = [found[name][key] for key in ("seconds", "processor", "mib")]
            print(f"{name:<10}{told[0]:>10,.1f}{told[1]:>14,.1f}{told[2]:>8,.0f}", flush=True)
    print(machine_line(machine()))
    write_json(args.json, {"latents": args.latents, "sample": args.sample, "found": found})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(sys.argv[2:])
    main()
