"""Latency of the explorer: from a move of the pointer over the map to the decoded image of that place on the page.

    python benchmarks/decoding.py RUN|FILE.html [--moves 200] [--working] [--json FILE]

Serves the explorer on the run, opens it in headless Chromium without 3-D, moves the pointer from place to place and measures, in
the page, from the pointer's event to the painted image: the frame in which the move is handled, the request, inverse, decoder,
round trip through the encoder, the answer and the painting. With --working all images are selected, the grid of the selection was
open, and two filters are set.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from common import machine, machine_line
from explorer import explored, work_on

WATCH = """() => {
  window.waits = [];
  let moved = 0;
  document.addEventListener("pointermove", () => { moved = performance.now(); }, true);
  const made = document.querySelector(".pair .picture");
  new MutationObserver(() => {
    if (moved) window.waits.push(performance.now() - moved);
    moved = 0;
  }).observe(made, {attributes: true, attributeFilter: ["data-ms"]});
}"""

PAINTED = """number => new Promise((done) => {
  const look = () => (window.waits.length >= number ? done() : setTimeout(look, 2));
  look();
})"""


def waits(page: Page, moves: int) -> list[float]:
    """Milliseconds from each of some moves of the pointer to its picture."""
    box = page.locator(".map").bounding_box()
    assert box is not None
    page.evaluate(WATCH)
    for number, (x, y) in enumerate(np.random.default_rng(0).uniform(0.05, 0.95, (moves, 2)), 1):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        page.evaluate(PAINTED, number)
    return list(page.evaluate("window.waits"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run's folder, or a file that `latens export --html` wrote")
    parser.add_argument("--moves", type=int, default=200)
    parser.add_argument("--working", action="store_true", help="with all images selected and two filters")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    file = contextlib.nullcontext(Path(args.run).resolve().as_uri()) if args.run.endswith(".html") else None
    with file or explored(args.run) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-3d-apis"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        start = time.perf_counter()
        page.goto(address)
        page.wait_for_selector(".pair .picture[data-ms]")
        first = time.perf_counter() - start
        if args.working:
            work_on(page)
            for tab in ("Selection", "Decode"):
                page.get_by_role("tab", name=tab, exact=True).click()
                page.locator(".cell" if tab == "Selection" else ".verdict").first.wait_for()
        found = waits(page, args.moves)
        browser.close()
    ordered = sorted(found)
    figures = {
        "moves": len(found),
        "median": statistics.median(found),
        "95 %": ordered[int(0.95 * len(ordered))],
        "most": ordered[-1],
    }
    print(machine_line(machine()))
    print("pointer to picture, ms: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))
    print(f"first picture after {first:.2f} s")
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps({"machine": machine(), "milliseconds": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
