"""Time and peak memory by number of images, image side, latent dimension and number of threads.

    python benchmarks/growth.py [--short] [--most-trained N] [--figure PNG] [--json FILE] [--folder DIR]

The images are MNIST's, shifted and rotated, in .npy files that latens maps into memory. Each figure is measured in its own
process. `load` decodes, splits and caches a file, `encode` computes all latents, `train` is one epoch of the recipe `fast`.
Memory is the peak of the process, and the difference to an idle process (torch loaded, one tiny step taken). Pages of mapped
files count while they are in memory; `own` is the memory above idle without them, sampled every 20 ms. A million images need
3 GB in --folder during the run.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from common import gemm_rate, machine, machine_line, say, set_up_threads, write_json

SLOPE, MOST_MB = 1.05, 1000  # the goals
COUNTS = (10_000, 30_000, 100_000, 300_000, 1_000_000)
SIDES, THREADS = (28, 32, 64, 128), (1, 2)
LATENT_DIMS, SHORT_DIMS = (8, 32, 64, 128, 512), (8, 64, 128)
MOST_TRAINED = 300_000
LOOK_EVERY = 0.02  # seconds
BLOCK = 10_000


@dataclass(frozen=True)
class Cell:
    """One process: what it does, and with what."""

    task: str
    images: int = 10_000
    side: int = 28
    latent_dim: int = 64
    threads: int = 2

    def file(self, folder: Path) -> Path:
        return folder / f"{self.images}-{self.side}.npy"


# ---- inside a cell's process


def make(cell: Cell, folder: Path) -> Iterator[float]:
    """Write MNIST again and again, each time turned and shifted otherwise, block by block."""
    import latens

    digits = latens.load_images("mnist").train.pixels.reshape(-1, 28 * 28)
    rng = np.random.default_rng(0)
    began = time.perf_counter()
    with open(cell.file(folder), "wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (cell.images, cell.side, cell.side)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, cell.images, BLOCK):
            if start % len(digits) == 0:
                places, inside = moved(cell.side, rng.uniform(-0.4, 0.4), rng.integers(-3, 4, size=2))
            rows = digits[start % len(digits) :][: min(BLOCK, cell.images - start)]
            for part in np.array_split(rows, max(1, len(rows) * cell.side**2 >> 23)):
                file.write((part.take(places, axis=1) * inside).data)
    yield time.perf_counter() - began


def moved(side: int, angle: float, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pixel of a digit each pixel of the moved and enlarged picture shows, and whether it is one."""
    y, x = np.divmod(np.arange(side * side), side)
    y, x = (((v + 0.5) * 28 / side - 14 - s) for v, s in zip((y, x), shift, strict=True))
    row = np.floor(14 + math.cos(angle) * y - math.sin(angle) * x).astype(int)
    column = np.floor(14 + math.sin(angle) * y + math.cos(angle) * x).astype(int)
    inside = (row >= 0) & (row < 28) & (column >= 0) & (column < 28)
    return row.clip(0, 27) * 28 + column.clip(0, 27), inside.astype(np.uint8)


def idle(cell: Cell, folder: Path) -> Iterator[float]:
    """What all others are measured against: one step, and one batch encoded."""
    import latens

    noise = np.random.default_rng(0).integers(0, 256, (80, cell.side, cell.side), np.uint8)
    yield one_epoch(*prepared(latens.load_images(noise), cell))


def load(cell: Cell, folder: Path) -> Iterator[float]:
    import latens

    began = time.perf_counter()
    latens.load_images(cell.file(folder))
    yield time.perf_counter() - began


def encode(cell: Cell, folder: Path) -> Iterator[float]:
    import latens

    images = latens.load_images(cell.file(folder))
    _, model, _ = prepared(images, cell)
    latens.encode_images(model, images.test.pixels[:1000])
    while True:
        began = time.perf_counter()
        latents = [latens.encode_images(model, part) for part in (images.train, images.test)]
        yield time.perf_counter() - began
        del latents


def train(cell: Cell, folder: Path) -> Iterator[float]:
    import latens

    images = latens.load_images(cell.file(folder))
    whole = prepared(images, cell)
    few = replace(images, train=images.train.take(slice(0, 640)), test=images.test.take(slice(0, 64)))
    one_epoch(few, *whole[1:])
    while True:
        yield one_epoch(*whole)


def prepared(images: Any, cell: Cell) -> tuple[Any, Any, Any]:
    """Images, a model, and how it is trained: the recipe `fast` of large sets, set up as `latens run` does."""
    from latens.training.loop import build_model, fastest_forms, use_forms
    from latens.training.recipes import fast

    options = {"latent_dim": cell.latent_dim, "epochs": 1, "batch_size": 64, "augmentation": "none"}
    recipe = fast(images).with_options(**options)
    model = build_model(recipe, images.shape)
    use_forms(model, fastest_forms(recipe, images.shape))
    return images, model, recipe.config


def one_epoch(images: Any, model: Any, config: Any) -> float:
    """Seconds of training alone."""
    import latens

    *_, last = latens.train(model, images, config)
    return last.elapsed


TASKS: dict[str, Callable[[Cell, Path], Iterator[float]]] = {
    "make": make,
    "idle": idle,
    "load": load,
    "encode": encode,
    "train": train,
}


def in_process(cell: Cell, folder: Path) -> dict[str, Any]:
    """Measure a cell here: up to three times, but again only where it is a matter of a second."""
    seconds: list[float] = []
    for figure in TASKS[cell.task](cell, folder):
        seconds.append(figure)
        if len(seconds) == 3 or sum(seconds) > 1.5:
            break
    return {"seconds": statistics.median(seconds), "peak": peak_bytes()}


def peak_bytes() -> int:
    """The most memory that this process held at a time.

    Linux's getrusage also counts what the process that started this one held; /proc does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = (line.partition(":") for line in status.read_text().splitlines())
        return next(int(value.split()[0]) * 1024 for name, _, value in lines if name == "VmHWM")
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# ---- outside


def measure(cell: Cell, folder: Path) -> dict[str, Any]:
    """Measure a cell in a process of its own, and watch what of its memory is no file's."""
    command = [sys.executable, __file__, "--cell", json.dumps(asdict(cell)), "--folder", str(folder)]
    process = subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": str(cell.threads)}, stdout=subprocess.PIPE, text=True
    )
    own = 0
    while process.poll() is None:
        own = max(own, own_bytes(process.pid))
        time.sleep(LOOK_EVERY)
    assert process.stdout is not None
    with process.stdout as stream:
        answer = stream.read()
    if process.returncode:
        raise SystemExit(f"{cell}: ended with {process.returncode}")
    row = {**asdict(cell), **json.loads(answer.splitlines()[-1]), "own": own or None}
    say(f"{cell.task} {cell.images:,} of {cell.side}, {cell.latent_dim} latent, {cell.threads} threads: "
        f"{row['seconds']:.2f} s, {row['peak'] / 1e6:.0f} MB")  # fmt: skip
    return row


def own_bytes(process: int) -> int:
    try:
        _, resident, shared = Path(f"/proc/{process}/statm").read_text().split()[:3]
    except (OSError, ValueError):  # it has ended, or this system has no /proc
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def series(short: bool, most_trained: int) -> dict[str, list[Cell]]:
    """The cells by what grows; where two series meet they hold the same cell."""
    cores = os.cpu_count() or 1
    usual = Cell("", threads=min(2, cores))
    counts = COUNTS[:3] if short else COUNTS
    sides = replace(usual, images=1000 if short else 4000)
    dims = SHORT_DIMS if short else LATENT_DIMS
    both = ("encode", "train")
    return {
        "images": [
            replace(usual, task=task, images=count)
            for task in ("load", *both)
            for count in counts
            if task != "train" or count <= most_trained
        ],
        "side": [replace(sides, task=task, side=side) for task in both for side in SIDES],
        "latent_dim": [replace(usual, task=task, latent_dim=dim) for task in both for dim in dims],
        "threads": [replace(usual, task=task, threads=n) for task in both for n in THREADS if n <= cores],
    }


def measure_all(what: dict[str, list[Cell]], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows by series; each file is made, loaded into the cache by its first cell, and removed after its last."""
    todo = list(dict.fromkeys(cell for cells in what.values() for cell in cells))
    idle = measure(replace(todo[0], task="idle"), folder)
    found = {}
    for file in dict.fromkeys(cell.file(folder) for cell in todo):
        here = [cell for cell in todo if cell.file(folder) == file]
        measure(replace(here[0], task="make"), folder)
        for cell in sorted({replace(here[0], task="load"), *here}, key=order):
            found[cell] = measure(cell, folder)
        file.unlink()
    for row in found.values():
        row["above"] = max(0, row["peak"] - idle["peak"])  # loading alone needs no torch, and so less than idle
        row["own_above"] = max(0, row["own"] - idle["own"]) if row["own"] and idle["own"] else None
    return {name: [found[cell] for cell in cells] for name, cells in what.items()}


def order(cell: Cell) -> tuple[int, int, int]:
    """Loading goes first: the others find its work in the cache."""
    return list(TASKS).index(cell.task), cell.latent_dim, cell.threads


def slope(rows: list[dict[str, Any]]) -> float:
    """Of the logarithm of the time over that of the number of images; 1 is linear."""
    return float(np.polyfit(*(np.log([row[name] for row in rows]) for name in ("images", "seconds")), 1)[0])


def report(rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Print the tables; the goals, as they were met."""
    for name, some in rows.items():
        print(
            f"\n{name.replace('_', ' '):<12}{'task':<8}{'seconds':>9}{'images/s':>10}{'peak MB':>9}{'above idle':>12}{'own':>7}"
        )
        for row in some:
            own = "" if row["own_above"] is None else f"{row['own_above'] / 1e6:,.0f}"
            print(f"{row[name]:<12,}{row['task']:<8}{row['seconds']:>9.2f}{row['images'] / row['seconds']:>10,.0f}"
                  f"{row['peak'] / 1e6:>9,.0f}{row['above'] / 1e6:>12,.0f}{own:>7}")  # fmt: skip
    print()
    slopes = {}
    for task in ("load", "encode", "train"):
        slopes[task] = slope([row for row in rows["images"] if row["task"] == task])
        print(f"slope of {task}: {slopes[task]:.3f} (goal {SLOPE}: {'met' if slopes[task] <= SLOPE else 'missed'})")
    most = max((row for some in rows.values() for row in some), key=lambda row: row["above"])
    met = "met" if most["above"] <= MOST_MB * 1e6 else "missed"
    where = f"{most['task']}, {most['images']:,} images of {most['side']} x {most['side']}, {most['latent_dim']} latent"
    print(f"peak memory: at most {most['above'] / 1e6:,.0f} MB above idle (goal {MOST_MB:,}: {met}; {where})")
    return {"slopes": slopes, "most_above": most["above"]}


COLOURS = {"load": "#27AE60", "encode": "#2471A3", "train": "#D35400"}
LABELS = {"images": "images", "side": "pixels a side", "latent_dim": "latent dimension", "threads": "threads"}
FIGURES = {  # by row of the picture: what its first panel shows, and the others
    "seconds": (
        ("seconds", lambda row: row["seconds"]),
        ("µs an image", lambda row: 1e6 * row["seconds"] / row["images"]),
    ),
    "memory": (("MB above idle", lambda row: row["above"] / 1e6),) * 2,
}


def draw(rows: dict[str, list[dict[str, Any]]], path: str) -> None:
    """Time above, memory below; one panel for each thing that grows."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    from latens.figures.canvas import INK, MUTED, font, letter, new_figure, pixel_axes, save_png, soften

    figure = new_figure(1440, 740)
    letter(figure, 40, 16, "Time and peak memory as work grows", 13)
    for column, (name, some) in enumerate(rows.items()):
        for line, (first, others) in enumerate(FIGURES.values()):
            axes = pixel_axes(figure, 90 + 345 * column, 90 + 330 * line, 240, 240)
            soften(axes)
            axes.grid(color="#e6e9ed", linewidth=0.8)
            axes.set_axisbelow(True)
            what, value = others if column else first
            for task in dict.fromkeys(row["task"] for row in some):
                points = [(row[name], value(row)) for row in some if row["task"] == task]
                axes.plot(*zip(*points, strict=True), color=COLOURS[task], marker="o", markersize=5, label=task)
            axes.set_xscale("log")
            ticks = sorted({row[name] for row in some} - {32 if name == "side" else 0})  # 28 and 32 would touch
            axes.set_xticks(ticks, [f"{tick:,}".replace(",000,000", "M").replace(",000", "k") for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
            if line == 0:
                axes.set_yscale("log")
                axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.yaxis.set_minor_locator(NullLocator())
                axes.yaxis.set_major_formatter(FuncFormatter(lambda number, _: f"{number:g}"))
            axes.set_ylim(bottom=0 if line else None)
            axes.set_title(what, fontproperties=font(10), color=INK, loc="left")
            axes.set_xlabel(LABELS[name], fontproperties=font(9.5), color=MUTED)
            if column == line == 0:
                figure.legend(
                    *axes.get_legend_handles_labels(), frameon=False, prop=font(10), loc="upper right", ncols=3
                )
    save_png(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="up to 100,000 images, and fewer latent dimensions")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--most-trained", type=int, default=MOST_TRAINED, metavar="N", help="train on sets up to N images"
    )
    parser.add_argument("--figure", metavar="PNG", help="draw time and memory")
    parser.add_argument("--folder", metavar="DIR", help="a disk with room; the system's temporary folder by default")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.cell:
        print(json.dumps(in_process(Cell(**json.loads(args.cell)), Path(args.folder))))
        return
    set_up_threads()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        os.environ["LATENS_CACHE"] = str(Path(folder) / "cache")
        rows = measure_all(series(args.short, args.most_trained), Path(folder))
    goals = report(rows)
    print(f"{machine_line(machine())}, {gemm_rate():.0f} GFLOP/s in a matrix product")
    write_json(args.json, {"rows": rows, **goals})
    if args.figure:
        draw(rows, args.figure)


if __name__ == "__main__":
    main()
