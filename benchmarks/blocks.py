"""Training on images that do not fit into memory: what their order costs in quality, and what reading them costs in speed.

    python benchmarks/blocks.py [--memory 1024] [--epochs N] [--seeds 2] [--images N] [--json FILE]

Quality: MNIST by the recipe `fast`, all images shuffled beside windows of a 32nd of them (`latens.training.order`), which is what
images of four times the memory get; in the order of the data set, and sorted by class, as folders are. Printed is the test MSE.

Speed: a file of colour images of 64 x 64, four times the size of a limit (`ulimit -d`) of one process. It trains from
the file and from a part of the images in memory in turn, a few steps each, so that both see the same machine; first with the file
in the system's memory, then after it was dropped from there, then in a control group with the same limit (Linux, where one may be
made), which also counts what the system keeps of files. Printed are images a second and the memory that the process took.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from common import machine, machine_line, write_json

GROUPS = Path("/sys/fs/cgroup")
SHAPE = (3, 64, 64)
TURN = 10  # steps, until the other one trains
IN_MEMORY = 4096  # images


class _Enough(Exception):
    """Ends a training."""


class _Turns:
    """Two trainings in one process take turns of some steps; each turn is timed."""

    def __init__(self, turns: int) -> None:
        self.turns, self.at, self.changed = turns, 0, threading.Condition()
        self.seconds: tuple[list[float], list[float]] = ([], [])

    def wait(self, own: int) -> None:
        with self.changed:
            self.changed.wait_for(lambda: self.at % 2 == own)

    def on_batch(self, own: int) -> Any:
        steps, began = 0, time.perf_counter()

        def told(*_: Any) -> None:
            nonlocal steps, began
            steps += 1
            if steps % TURN:
                return
            self.seconds[own].append(time.perf_counter() - began)
            with self.changed:
                self.at += 1
                self.changed.notify_all()
            if len(self.seconds[own]) == self.turns:
                raise _Enough
            self.wait(own)
            began = time.perf_counter()

        return told


def images_of(pixels: np.ndarray) -> Any:
    """A data set of an array, without its check sums."""
    from latens.images.contract import Dataset, Images

    train, test = (Images(part, np.arange(len(part)), None, (), "") for part in (pixels[:-64], pixels[-64:]))
    return Dataset("images", "images", train, test, (), {}, "")


def train_in_turns(path: Path, num: int) -> None:
    """What the limited process does: prints images a second from the file and in memory, and its memory."""
    import torch

    from latens.training.loop import build_model, train
    from latens.training.recipes import recipe_for

    torch.set_num_threads(1)
    pixels = np.load(path, mmap_mode="r")
    both = [images_of(pixels), images_of(np.array(pixels[: IN_MEMORY + 64]))]
    recipes = [recipe_for("fast", images).with_options(augmentation="none", batch_size=64) for images in both]
    recipes[1] = replace(recipes[0], config=replace(recipes[0].config, window=0, epochs=100))
    turns = _Turns(max(3, num // (64 * TURN)))

    def work(own: int) -> None:
        model = build_model(recipes[0], SHAPE)
        turns.wait(own)
        try:
            for _ in train(model, both[own], recipes[own].config, on_batch=turns.on_batch(own)):
                pass
        except _Enough:
            pass

    threads = [threading.Thread(target=work, args=(own,)) for own in (0, 1)]
    for thread in threads:
        thread.start()
    anonymous = 0
    while any(thread.is_alive() for thread in threads):
        found = re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())
        anonymous = max(anonymous, int(found[1]) // 1024 if found else 0)
        time.sleep(0.05)
    # The first turn warms up. Turns next to each other saw the same machine, so their ratio says more than that of the means.
    file, memory = (np.array(seconds[1:]) for seconds in turns.seconds)
    told = {
        "window": recipes[0].config.window,
        "file": 64 * TURN / float(np.mean(file)),
        "memory": 64 * TURN / float(np.mean(memory)),
        "ratio": float(np.sum(memory) / np.sum(file)),
        "median_ratio": float(np.median(memory / file)),
        "anonymous": anonymous,
    }
    print(json.dumps(told))


def control_group(memory: int) -> Path | None:
    """A new control group with a limit of so many MiB, of either version; None where none may be made."""
    for parent, limit in ((GROUPS / "memory", "memory.limit_in_bytes"), (GROUPS, "memory.max")):
        group = parent / f"latens-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(memory << 20))
        except OSError:
            with suppress(OSError):
                group.rmdir()
        else:
            return group
    return None


def speed(memory: int, num: int) -> dict[str, Any]:
    """Both measurements of the speed, under a limit of so many MiB."""
    found = {}
    with tempfile.TemporaryDirectory() as place:
        path, count = Path(place) / "images.npy", 4 * memory * (1 << 20) // int(np.prod(SHAPE))
        some = np.random.default_rng(0).integers(0, 256, (1024, *SHAPE), np.uint8)
        pixels = np.lib.format.open_memmap(path, "w+", np.uint8, (count, *SHAPE))
        for start in range(0, count, 1024):
            pixels[start : start + 1024] = some[: len(pixels[start : start + 1024])]
        pixels.flush()
        del pixels
        for disk in ("warm", "cold", "group"):
            group = control_group(memory) if disk == "group" else None
            if disk == "group" and group is None:
                print("no control group can be made here: not tried")
                continue
            if disk != "warm":
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            words = ["--memory", str(memory), "--images", str(num), "--train", str(path)]
            command = [sys.executable, __file__, *words, *(["--group", str(group)] if group else [])]
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            finally:
                if group:
                    group.rmdir()
            found[disk] = one = json.loads(done.stdout)
            print(
                f"{disk} file of {path.stat().st_size >> 20:,} MiB, limit {memory:,} MiB, windows of {one['window']:,} images:"
                f" {one['file']:,.0f} images/s, {one['memory']:,.0f} in memory, ratio {one['ratio']:.3f}"
                f" (median of turns {one['median_ratio']:.3f}); {one['anonymous']:,} MiB of its own memory at most",
                flush=True,
            )
    return found


def quality(epochs: int | None, seeds: int) -> dict[str, Any]:
    """The test MSE of each order, for each seed."""
    import latens
    from latens.training.loop import build_model, train
    from latens.training.recipes import RECIPES

    found = {}
    images = latens.load_images("mnist")
    by_class = replace(images, train=images.train.take(np.argsort(images.train.labels, kind="stable")))
    for name, given in (("as they come", images), ("sorted by class", by_class)):
        for window in (0, len(given.train) // 32):
            errors = []
            for seed in range(seeds):
                recipe = RECIPES["fast"](given).with_options(epochs=epochs, seed=seed, window=window)
                *_, last = train(build_model(recipe, given.shape), given, recipe.config)
                errors.append(last.test_mse)
            order = f"windows of {window:,}" if window else "all shuffled"
            found[f"{name}, {order}"] = errors
            told = " ".join(f"{error:.6f}" for error in errors)
            print(f"MNIST {name}, {order}: test MSE {statistics.mean(errors):.6f} ({told})", flush=True)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", type=int, default=1024, help="limit in MiB")
    parser.add_argument("--epochs", type=int, default=None, help="of the trainings by which quality is measured")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--images", type=int, default=25_000, help="that each training sees, for the speed")
    parser.add_argument("--json", default=None)
    parser.add_argument("--group", type=Path, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=Path, default=None, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train:
        if args.group:
            (args.group / "cgroup.procs").write_text(str(os.getpid()))
        else:
            resource.setrlimit(resource.RLIMIT_DATA, (args.memory << 20, args.memory << 20))
        train_in_turns(args.train, args.images)
        return
    found = {"speed": speed(args.memory, args.images), "quality": quality(args.epochs, args.seeds)}
    print(machine_line(machine()))
    write_json(args.json, found)


if __name__ == "__main__":
    main()
