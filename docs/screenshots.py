"""The pictures of the explorer in the README and in docs/explorer.md: `python docs/screenshots.py RUN`.

They are taken in the Chromium that the system has, of a run on MNIST; each is looked at before it is committed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

IMAGES = Path(__file__).parent / "images"
SIZE = {"width": 1360, "height": 800}


def decode(page: Page, at: Any) -> None:
    page.mouse.move(*at(0.53, 0.79))
    page.wait_for_timeout(1500)


def probe(page: Page, at: Any) -> None:
    page.click("#tab-probe")
    page.wait_for_timeout(4000)


def path(page: Page, at: Any) -> None:
    page.click("#tab-path")
    page.wait_for_timeout(1500)
    slider = page.get_by_role("slider", name="Along the path")
    slider.fill("6")
    page.wait_for_timeout(500)


def image(page: Page, at: Any) -> None:
    page.click("#tab-image")
    page.mouse.click(*at(0.30, 0.42))
    page.mouse.move(*at(0.02, 0.02))
    page.wait_for_timeout(3000)


def thumbnails(page: Page, at: Any) -> None:
    page.mouse.move(*at(0.50, 0.55))
    for _ in range(5):
        page.mouse.wheel(0, -240)
        page.wait_for_timeout(120)
    page.wait_for_timeout(2500)


def run(page: Page, at: Any) -> None:
    page.click("#tab-run")
    page.wait_for_timeout(2000)


def main() -> None:
    command = [sys.executable, "-m", "latens", "explore", sys.argv[1], "--no-open"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    assert server.stdout is not None
    address = server.stdout.readline().rpartition(" ")[2].strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-3d-apis"]
        )
        for scheme, views in (("light", (decode, probe, path, image, thumbnails, run)), ("dark", (decode,))):
            for view in views:
                page = browser.new_page(viewport=SIZE, color_scheme=scheme)
                page.goto(address)
                page.wait_for_selector(".pair .picture[data-ms]")
                box = page.locator(".map").bounding_box()
                assert box is not None
                view(page, lambda x, y, b=box: (b["x"] + x * b["width"], b["y"] + y * b["height"]))
                take(page, f"explorer-{view.__name__}" + ("-dark" if scheme == "dark" else ""))
                page.close()
        browser.close()
    server.terminate()
    server.wait()


def take(page: Page, name: str) -> None:
    file = IMAGES / f"{name}.png"
    page.screenshot(path=file)
    # A palette of 256 colours is a third of the bytes, and nothing that the eye sees.
    Image.open(file).convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        file, optimize=True
    )


if __name__ == "__main__":
    main()
