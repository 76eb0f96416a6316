"""Frames per second of the explorer's map while it pans and zooms, in a browser without a graphics card.

    python benchmarks/explorer.py [--short] [--points N …] [--seconds S] [--json FILE]
    python benchmarks/explorer.py --run RUN [--seconds S] [--json FILE]

The second form measures the page itself on a run with classes, whose map shows its train images too: as it opens, and while one
works: all images are selected, the grid of the selection is open and scrolls, and two filters are set.

Chromium runs headless, without 3-D (--disable-3d-apis), at 1280 x 800. A frame counts when the worker has drawn it.
Chromium makes at most 60 frames per second, and on a busy machine it shows fewer than are drawn. While the map moves, only a
part of the points is drawn if there are many, and none out of view: see "drawn".
It needs Chromium and Playwright (`pip install playwright`; no other browser is downloaded).
"""

import argparse
import contextlib
import functools
import http.server
import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import machine, machine_line, say, write_json

PAGE = Path(__file__).resolve().parent.parent / "src" / "latens" / "explorer" / "page"
POINTS = (70_000, 1_000_000, 5_000_000)
GOALS = {70_000: 60, 1_000_000: 45, 5_000_000: 10}  # frames per second, median
REFRESH = 60  # of headless Chromium, a second
WINDOW = {"width": 1280, "height": 800}

HARNESS = """<!doctype html><meta charset="utf-8"><title>map</title>
<style>html, body, #map { margin: 0; height: 100%; background: #fff }</style><div id="map"></div>
<script type="module">
import { MapView } from "/map.js";

// Forty clusters of different sizes, the same each time; normal deviates by Box and Muller.
function clusters(count) {
  let state = 1;
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0, (state + 1) / 4294967297);
  const centres = Array.from({ length: 40 }, () => [8000 + 49000 * random(), 8000 + 49000 * random(), 800 + 2500 * random()]);
  const [x, y, codes] = [new Uint16Array(count), new Uint16Array(count), new Uint8Array(count)];
  for (let i = 0; i < count; i++) {
    const k = Math.floor(40 * random() ** 1.5);
    const [r, angle] = [centres[k][2] * Math.sqrt(-2 * Math.log(random())), 2 * Math.PI * random()];
    x[i] = Math.max(0, Math.min(65535, centres[k][0] + r * Math.cos(angle)));
    y[i] = Math.max(0, Math.min(65535, centres[k][1] + r * Math.sin(angle)));
    codes[i] = k % 10;
  }
  return { x, y, codes };
}

const palette = ["#e06c75", "#2471a3", "#3498db", "#27ae60", "#82e0aa", "#d35400", "#5d6d7e", "#e74c3c", "#21618c", "#b7950b"];
const nextFrame = () => new Promise(requestAnimationFrame);
const drawn = (map) => new Promise((resolve) => map.addEventListener("frame", resolve, { once: true }));

window.moving = async (count, seconds) => {
  const map = new MapView(document.getElementById("map"));
  const { x, y, codes } = clusters(count);
  map.setPoints({ x, y });
  map.setColours(codes, palette);
  const named = Array.from({ length: 10 }, (_, k) => codes.indexOf(k)); // the names of the classes lie over the points
  map.setMarks([{ kind: "label", x: named.map((i) => x[i]), y: named.map((i) => y[i]), text: named.map((_, k) => String(k)) }]);
  await drawn(map);
  const home = map.view;
  const frames = [];
  const move = async (lasting, kept) => {
    const note = ({ detail }) => kept.push({ at: performance.now(), ms: detail.ms, points: detail.points });
    map.addEventListener("frame", note);
    for (const began = performance.now(); performance.now() - began < lasting; await nextFrame()) {
      const t = (performance.now() - began) / 1000;
      const scale = home.scale * Math.exp(0.9 - 1.1 * Math.cos(1.5 * t)); // 0.8 to 7 times
      map.setView({ x: home.x + 12000 * Math.sin(1.1 * t), y: home.y + 12000 * Math.sin(0.7 * t), scale });
    }
    map.removeEventListener("frame", note);
  };
  await move(1500, []); // the browser compiles what is used much
  await move(1000 * seconds, frames);
  map.destroy();
  return frames;
};
</script>"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Files of the page's folder, and what was made beside it."""

    def __init__(self, *args: Any, extra: Path, **keywords: Any) -> None:
        self.extra = extra
        super().__init__(*args, **keywords)

    def translate_path(self, path: str) -> str:
        own = self.extra / path.lstrip("/").split("?")[0]
        return str(own) if own.is_file() else super().translate_path(path)

    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def served(pages: dict[str, str]) -> Iterator[str]:
    """The page's folder, and some pages beside it by name, from a server on the loopback; its address."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in pages.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        handler = functools.partial(_Quiet, directory=str(PAGE), extra=Path(folder))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium that draws everything itself."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SystemExit("Playwright is missing: pip install playwright") from None
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise SystemExit("there is no chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-3d-apis"])
        try:
            yield browser
        finally:
            browser.close()


def frames_of(browser: Any, address: str, count: int, seconds: float) -> list[dict[str, float]]:
    """The frames drawn while a map of so many points moves: when, in ms; how long each took; how many points it has."""
    page = browser.new_page(viewport=WINDOW)
    try:
        page.goto(f"{address}/harness.html")
        page.wait_for_function("Boolean(window.moving)")
        frames: list[dict[str, float]] = page.evaluate("([count, seconds]) => moving(count, seconds)", [count, seconds])
    finally:
        page.close()
    return frames


def smoothness(frames: list[dict[str, float]]) -> dict[str, float]:
    """Rates from the times between frames: the median one, and that of the slowest twentieth."""
    gaps = sorted(after["at"] - before["at"] for before, after in itertools.pairwise(frames))
    return {
        "fps": 1000 / statistics.median(gaps),
        "fps_5th": 1000 / gaps[min(len(gaps) - 1, int(0.95 * len(gaps)))],
        "fps_mean": 1000 * len(gaps) / sum(gaps),
        "draw_ms": statistics.median(frame["ms"] for frame in frames),
        "points": statistics.median(frame["points"] for frame in frames),
    }


# Frames of the map's worker are counted where it reports them.
COUNTED = """(() => {
  window.frames_drawn = [];
  const note = ({data: {ms, points}}) => ms !== undefined && frames_drawn.push({at: performance.now(), ms, points});
  const Plain = window.Worker;
  window.Worker = class extends Plain {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", note);
    }
  };
})()"""
# The wheel zooms to and fro, from the whole map to 9 times, about a spot that wanders; the grid scrolls by nine rows a second.
WHEELED = """async (seconds) => {
  const map = document.querySelector(".map");
  const grid = document.querySelector(".many");
  const {left, top, width, height} = map.getBoundingClientRect();
  const began = performance.now();
  frames_drawn.length = 0;
  for (let [t, before] = [0, 0]; t < seconds; [before, t] = [t, (performance.now() - began) / 1000]) {
    const along = (pace) => 0.5 + 0.3 * Math.sin(pace * t);
    const spot = {clientX: left + width * along(1.1), clientY: top + height * along(0.7)};
    const deltaY = -825 * Math.sin(1.5 * t) * (t - before);
    map.dispatchEvent(new WheelEvent("wheel", {...spot, deltaY, bubbles: true, cancelable: true}));
    if (grid) grid.scrollTop = 600 * t;
    await new Promise(requestAnimationFrame);
  }
  return frames_drawn;
}"""


def work_on(page: Any) -> None:
    """Select all images on the map, and filter by a class and by a range of the reconstruction error."""
    box = page.locator(".map").bounding_box()
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2)
    page.mouse.up()
    page.keyboard.up("Shift")
    page.locator(".selection strong").wait_for()
    page.locator(".legend .entry").first.click()
    page.get_by_label("Colour", exact=True).select_option("error")
    page.get_by_role("slider", name="highest").press("PageDown")
    page.locator(".chip").nth(1).wait_for()
    page.get_by_label("Colour", exact=True).select_option("label")
    page.locator(".legend .entry").first.wait_for()


@contextlib.contextmanager
def explored(run: str) -> Iterator[str]:
    """The address of the explorer on a run, in a process of its own."""
    command = [sys.executable, "-m", "latens", "explore", run, "--no-open"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert server.stdout is not None
    try:
        yield server.stdout.readline().rpartition(" ")[2].strip()
    finally:
        server.terminate()
        server.wait()


def worked_on(run: str, seconds: float) -> dict[str, dict[str, float]]:
    """Measure and print how smoothly the map of a run moves as it opens, and while one works."""
    print(f"{'':>34}  {'fps':>6}  {'5th':>6}  {'mean':>6}  {'draw, ms':>8}  {'       drawn':>12}")
    found = {}
    with explored(run) as address, chromium() as browser:
        say(f"Chromium {browser.version}")
        for name in ("as it opens", "all selected, two filters, the grid"):
            page = browser.new_page(viewport=WINDOW)
            page.add_init_script(COUNTED)
            page.goto(f"{address}#part=both")
            page.locator(".verdict", has_text="usual distance").wait_for(timeout=120_000)
            if name != "as it opens":
                work_on(page)
                page.get_by_role("tab", name="Selection", exact=True).click()
                page.locator(".cell").first.wait_for()
                name = f"{page.locator('.selection strong').inner_text()}, two filters"
            page.evaluate(WHEELED, 2)
            of = found[name] = smoothness(page.evaluate(WHEELED, seconds))
            rates = f"{of['fps']:>6.1f}  {of['fps_5th']:>6.1f}  {of['fps_mean']:>6.1f}"
            print(f"{name:>34}  {rates}  {of['draw_ms']:>8.1f}  {of['points']:>12,.0f}", flush=True)
            page.close()
    return found


def moving(counts: list[int], seconds: float) -> dict[str, dict[str, float]]:
    """Measure and print, for each number of points, how smoothly the map moves."""
    print(f"{'points':>10}  {'fps':>6}  {'5th':>6}  {'mean':>6}  {'draw, ms':>8}  {'       drawn':>12}  goal")
    found = {}
    with served({"harness.html": HARNESS}) as address, chromium() as browser:
        say(f"Chromium {browser.version}")
        for count in counts:
            of = found[str(count)] = smoothness(frames_of(browser, address, count, seconds))
            goal = GOALS.get(count)
            # Times of frames wobble by a millisecond: a median a hair below the refresh rate is the refresh rate.
            met = goal is not None and of["fps"] >= 0.97 * goal
            told = "" if goal is None else f"{goal}: {'met' if met else 'missed'}"
            rates = f"{of['fps']:>6.1f}  {of['fps_5th']:>6.1f}  {of['fps_mean']:>6.1f}"
            print(f"{count:>10,}  {rates}  {of['draw_ms']:>8.1f}  {of['points']:>12,.0f}  {told}", flush=True)
    print(f"fps: of the median frame; 5th: of the slowest twentieth. Chromium makes {REFRESH} at most")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="shorter, and without the most points")
    parser.add_argument("--points", type=int, nargs="+", metavar="N", help=f"how many; by default {POINTS}")
    parser.add_argument("--seconds", type=float, help="how long each map moves")
    parser.add_argument("--run", help="the page on this run, as it opens and while one works")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    args = parser.parse_args()
    counts, seconds = (
        args.points or list(POINTS[:2] if args.short else POINTS),
        args.seconds or (3 if args.short else 8),
    )
    found = worked_on(args.run, seconds) if args.run else moving(counts, seconds)
    print(machine_line(machine()))
    write_json(args.json, {"moving": found})


if __name__ == "__main__":
    main()
