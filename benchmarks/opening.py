"""How long the explorer takes from its start to the first picture of the map, and how much memory its server has then.

    python benchmarks/opening.py [--points N ...] [--opens N] [--folder DIR] [--json FILE]

Makes for each number of points a run whose test part has that many images (8 x 8 pixels, 64 latent numbers; the network is real
and trained for a moment, the map is drawn at random as 40 clusters and stored as t-SNE). Each open is a new process
`latens explore RUN --no-open` and a new, empty browser context; the browser itself (headless Chromium without 3-D,
1280 x 800) runs already. Medians over the opens:

    process    from the start of the process to its first answer, the HTML of the page
    picture    from that answer to the first picture of the map with points on it
    both       the sum: from the start of the process to the first picture
    panels     from the start of the process until the panels are there, for which the server loads torch, model and images

The time of the processor is that of the server and of the browser until the first picture. On a machine that does other work as
well the wall-clock times are longer. Memory is the server's resident memory at the first picture and once the panels are there;
`own` is without the pages of files, which the system can drop.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from common import machine, machine_line, say, set_up_threads, write_json
from explorer import WINDOW, chromium

POINTS = (70_000, 1_000_000)
GOALS = {70_000: 1.5, 1_000_000: 5.0}  # seconds, process and picture together
TRAINED, SIDE, LATENT_DIM, CLUSTERS, CLASSES = 2_000, 8, 64, 40, 10
LONGEST = 120  # seconds that anything is waited for
TICKS = os.sysconf("SC_CLK_TCK")

# The worker of the map tells the page of each picture and how many points are on it.
NOTE_PICTURES = """
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({data}) => {
      if (data.type !== "frame" || !data.points || window.firstPicture) return;
      window.firstPicture = {at: performance.timeOrigin + performance.now(), points: data.points};
    });
  }
};
"""
ANSWERED = "() => performance.timeOrigin + performance.getEntriesByType('navigation')[0].responseStart"


# ---- runs


def make_run(folder: Path, count: int) -> Path:
    """A run with so many test images, whose map shows them."""
    import latens
    from latens.computed import encode_run
    from latens.runs import record, start_run
    from latens.training.recipes import fast

    rng = np.random.default_rng(0)
    file = folder / f"images-{count}.npz"
    np.savez(
        file, x_train=_images(rng, TRAINED), y_train=_labels(TRAINED), x_test=_images(rng, count), y_test=_labels(count)
    )
    images = latens.load_images(file)
    options = {
        "model": "autoencoder",
        "network": "dense",
        "latent_dim": LATENT_DIM,
        "epochs": 1,
        "augmentation": "none",
    }
    recipe = fast(images).with_options(**options)
    run = start_run(images, recipe, folder / f"run-{count}")
    for _ in record(run, latens.train(run.model, images, recipe.config), images):
        pass
    encode_run(run, images)
    coordinates = _clusters(rng, count)
    trust = rng.random(count).astype(np.float32)
    run.write_arrays("maps/tsne.npz", {"coordinates": coordinates, "trust": trust, "note": np.array("made at random")})
    run.update(status="done")
    return run.path


def _images(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(0, 256, (count, SIDE, SIDE), np.uint8)


def _labels(count: int) -> np.ndarray:
    return np.arange(count) % CLASSES


def _clusters(rng: np.random.Generator, count: int) -> np.ndarray:
    centres, spreads = rng.uniform(-80, 80, (CLUSTERS, 2)), rng.uniform(1, 6, (CLUSTERS, 1))
    which = np.floor(CLUSTERS * rng.random(count) ** 1.5).astype(int)
    return (centres[which] + spreads[which] * rng.standard_normal((count, 2))).astype(np.float32)


# ---- one open


def environment_of(folder: Path) -> dict[str, str]:
    """Of the server: its own cache, and Python's bytecode kept, as pip does when it installs a package."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    own = {"LATENS_CACHE": str(folder / "cache"), "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}
    return kept | own | {"PYTHONUNBUFFERED": "1"}


def open_once(browser: Any, run: Path, environment: dict[str, str]) -> dict[str, float]:
    """Start the explorer on a run and open its page: seconds and MB."""
    command = [sys.executable, "-m", "latens", "explore", str(run), "--no-open"]
    context = browser.new_context(viewport=WINDOW)
    context.add_init_script(NOTE_PICTURES)
    page = context.new_page()
    before = _processor_of_browser()
    began = time.time()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert server.stdout is not None
        page.goto(server.stdout.readline().rpartition(" ")[2].strip(), wait_until="commit")
        first = _first_picture(page)
        found = {f"{name} at picture": value for name, value in _memory(server.pid).items()}
        found |= {"server cpu": _processor(server.pid), "browser cpu": _processor_of_browser(server.pid) - before}
        page.wait_for_selector("[role=tab]", timeout=1000 * LONGEST)
        panels = time.time()
        found |= {f"{name} with panels": value for name, value in _memory(server.pid).items()}
        answered, pictured = page.evaluate(ANSWERED) / 1000, first["at"] / 1000
    finally:
        context.close()
        server.kill()  # it may still be opening what the page has asked for last
        server.wait()
    times = {"process": answered - began, "picture": pictured - answered, "both": pictured - began}
    return times | {"panels": panels - began, "drawn": first["points"]} | found


def _first_picture(page: Any) -> dict[str, float]:
    """When the page had the first picture, in ms, and how many points it has.

    It is waited for by asking again and again, since the page's policy forbids the evaluation that Playwright waits with.
    """
    until = time.monotonic() + LONGEST
    while (found := page.evaluate("window.firstPicture")) is None:
        if time.monotonic() > until:
            raise SystemExit(f"there was no picture of the map within {LONGEST} s")
        time.sleep(0.02)
    first: dict[str, float] = found
    return first


def _memory(pid: int) -> dict[str, float]:
    """MB that a process has in memory: all, and its own without pages of files."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = {
        name: int(rest.split()[0]) / 1024 for name, _, rest in (line.partition(":") for line in lines) if "kB" in rest
    }
    return {"resident": sizes["VmRSS"], "own": sizes["RssAnon"]}


def _processor(pid: int) -> float:
    """Seconds of the processor that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _processor_of_browser(*others: int) -> float:
    """Seconds of the processor that all processes below this one have taken, but for some."""
    return sum(_processor(pid) for pid in _below(os.getpid()) if pid not in others)


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from _below(int(child))


# ---- telling


def opening(counts: list[int], opens: int, folder: Path) -> dict[str, dict[str, float]]:
    """Measure and print, for each number of points, the medians over some opens."""
    runs = {}
    for count in counts:
        say(f"making a run of {count:,} points")
        runs[count] = make_run(folder, count)
    rounds: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    with chromium() as browser:
        say(f"Chromium {browser.version}")
        for number in range(opens + 1):  # the first fills the caches of files and bytecode
            for count in counts:
                found = open_once(browser, runs[count], environment_of(folder))
                say(f"open {number} of {count:,}: " + ", ".join(f"{name} {value:.2f}" for name, value in found.items()))
                rounds[count] += [found] if number else []
    medians = {
        str(count): {name: statistics.median(one[name] for one in found) for name in found[0]}
        for count, found in rounds.items()
    }
    print(f"{'':>10}  {'seconds':^38}  {'processor, s':^15}  {'memory at picture':^17}  {'with panels, MB':^15}")
    heads = ("process", "picture", "both", "panels"), ("server", "browser"), ("resident", "own")
    print(
        f"{'points':>10}  "
        + "  ".join(f"{name:>8}" for name in (*heads[0], *heads[1], *heads[2], *heads[2]))
        + "  goal"
    )
    for count in counts:
        of = medians[str(count)]
        seconds = [f"{of[name]:>8.2f}" for name in (*heads[0], *(f"{name} cpu" for name in heads[1]))]
        sizes = [f"{of[f'{name} {when}']:>8.0f}" for when in ("at picture", "with panels") for name in heads[2]]
        goal = GOALS.get(count)
        told = "" if goal is None else f"{goal} s: {'met' if of['both'] <= goal else 'missed'}"
        print(f"{count:>10,}  " + "  ".join([*seconds, *sizes]) + f"  {told}")
    print(f"medians of {opens} opens, each a new process and a new browser context, the files in the system's cache")
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", metavar="N", default=POINTS, help=f"by default {POINTS}")
    parser.add_argument("--opens", type=int, default=7, metavar="N", help="how often each run is opened")
    parser.add_argument("--folder", help="where the runs are made (default: the folder for temporary files)")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    if not Path("/proc/self/task").is_dir():
        raise SystemExit("the processor's time and the memory are read from /proc, which only Linux has")
    set_up_threads()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        os.environ["LATENS_CACHE"] = str(Path(folder) / "cache")
        found = opening(list(args.points), args.opens, Path(folder))
    print(machine_line(machine()))
    write_json(args.json, {"opening": found})


if __name__ == "__main__":
    main()
