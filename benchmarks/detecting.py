"""How long `latens detect` takes: 10,000 images of 28 pixels, and 1,000 of 128 pixels, after start.

    python benchmarks/detecting.py [--repeats 3] [--write docs/detect.md]

A run of one epoch on each set: digits of MNIST, and woven parts that are made as in detect.py. Fitting the detector and
calibrating it, scores with maps, and writing the tables, the page and the heat maps are timed by the clock and by the processor,
as the command does them with its defaults. On a machine that does other work as well the clock says more than it should.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from common import machine, machine_line, set_up_threads, write_section

LARGE, SIDE = 1000, 128
TRAINED = 20_000  # digits


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What some work gives, and its seconds by the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    found = work()
    return found, time.perf_counter() - clock, time.process_time() - processor


def row_of(title: str, run: Any, new: np.ndarray, repeats: int) -> str:
    """One line of the table: medians of several calls."""
    from latens.detection import detect_images
    from latens.detection.fitted import fit_detector
    from latens.images.contract import make_images
    from latens.report.detections import write_detections

    images = make_images(new, np.array([f"new/{row}" for row in range(len(new))]), None)
    run.model, run.images  # noqa: B018  opened before the clock starts, as a server or a notebook has them
    parts: dict[str, list[tuple[float, float]]] = {"fit": [], "detect": [], "write": []}
    for _ in range(repeats):
        _, *fit = timed(lambda: fit_detector(run))
        found, *both = timed(lambda: detect_images(run, images))
        with tempfile.TemporaryDirectory() as folder:
            _, *write = timed(lambda found=found, folder=folder: write_detections(found, new, Path(folder) / "found"))
        for name, times in (("fit", fit), ("detect", both), ("write", write)):
            parts[name].append((times[0], times[1]))
    cells = []
    for name in ("fit", "detect", "write"):
        clock, processor = (statistics.median(one[k] for one in parts[name]) for k in (0, 1))
        cells.append(f"{clock:.1f} ({processor:.1f})")
    print(f"  {title}: {', '.join(cells)}", flush=True)
    return f"| {title} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path, metavar="MD", help="write the table there, as a section of its own")
    args = parser.parse_args()
    set_up_threads()
    import latens
    from detect import made_parts, trained

    told = machine_line(machine())
    print(told)
    with tempfile.TemporaryDirectory() as folder:
        digits = latens.load_images("mnist")
        small = trained(digits.train.pixels[:TRAINED], Path(folder) / "small", epochs=1)
        new = np.ascontiguousarray(digits.test.pixels)
        rows = [row_of(f"{len(new):,} of 28 × 28 pixels", small, new, args.repeats)]
        parts = made_parts(SIDE)
        large = trained(parts.normal, Path(folder) / "large", epochs=1)
        new = np.concatenate([parts.tested] * (LARGE // len(parts.tested)))[:LARGE]
        rows.append(row_of(f"{len(new):,} of {SIDE} × {SIDE} pixels", large, new, args.repeats))
    table = "\n".join(
        [
            "| images | fit and calibrate | fit, scores and maps | tables, page and heat maps |",
            "|---|---:|---:|---:|",
            *rows,
        ]
    )
    page = f"""## How long it takes

Made by `python benchmarks/detecting.py`; medians of {args.repeats}, seconds by the clock, in brackets of the processor. {told}.

{table}
"""
    print(page)
    if args.write:
        write_section(args.write, "detecting", page)


if __name__ == "__main__":
    main()
