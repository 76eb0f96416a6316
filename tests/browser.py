"""Shared code of the tests in a real browser: Chromium without 3D, pages that must log no error, positions on the map."""

import io
import json
import os
import shutil
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import latens
from conftest import REFERENCE, make_blobs
from latens.explorer import View, decoding, write_html
from latens.explorer.pair import pair
from latens.explorer.serving import Serving
from latens.progress import Silent
from latens.runs import Run, open_run

try:
    from playwright.sync_api import expect, sync_playwright
except ImportError:
    expect = sync_playwright = None
else:
    expect.set_options(timeout=10_000)  # as all other waiting: on a busy machine 5 s are too few

PAGE = Path(__file__).parent.parent / "src" / "latens" / "explorer" / "page"
UNITS = 65_535  # of a coordinate of the map
FILLED = 0.94 / 65_536  # the share of its place that the whole map fills, a unit


def missing(reason):
    """Skip what needs something that isn't there, unless it is required."""
    if os.environ.get("LATENS_BROWSER_TESTS") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def chromium():
    """The system's Chromium, for one file of tests: as long as Playwright runs, no test may have an event loop of its own."""
    if sync_playwright is None:
        missing("playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        missing("there is no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-3d-apis"])
        yield browser
        browser.close()


def learned_run(tmp_path_factory):
    """The folder of a run that tells its images apart, unlike `finished_run`: one for all files of tests, so only copied from."""
    folder = tmp_path_factory.getbasetemp() / "learned"
    if not folder.exists():
        folder.mkdir()
        pixels, labels = make_blobs(240)
        np.savez(folder / "blobs.npz", images=pixels[:, 0], labels=labels)
        options = {**REFERENCE, "epochs": 60, "learning_rate": 0.003, "matrix_learning_rate": 0.01}
        options |= {"augmentation": "shift-flip", "holdout": 0.0}
        latens.run(folder / "blobs.npz", out=folder / "run", **options, device="cpu", progress=Silent())
    return folder / "run"


def map_the_test_part(folder, patch):
    """Let the maps of a run's folder show its test part alone, as those of runs with many images do; the run."""
    patch.setattr("latens.runs.run.ENOUGH_FOR_A_MAP", 10)
    run = Run(folder)
    for name in ("tsne", "pca"):
        run.forget(f"maps/{name}.npz", f"maps/{name}.json")
    return run


def second_run(tmp_path_factory):
    """The folder of a run on the images of `learned_run` and 40 more, of another network and latent dimension."""
    folder = tmp_path_factory.getbasetemp() / "second"
    if not folder.exists():
        folder.mkdir()
        (pixels, labels), (more, further) = make_blobs(240), make_blobs(40, seed=1)
        np.savez(folder / "blobs.npz", images=np.concatenate([pixels, more])[:, 0], labels=[*labels, *further])
        options = {"network": "dense", "latent_dim": 4, "epochs": 40, "learning_rate": 0.003, "seed": 3}
        options |= {"samplers": ("class-means",), "device": "cpu"}
        latens.run(folder / "blobs.npz", out=folder / "second", **options, progress=Silent())
    return folder / "second"


def two_runs(tmp_path_factory):
    """Copies of the folders of `learned_run` and `second_run`, since tags are written to them."""
    folder = tmp_path_factory.mktemp("two")
    made = [learned_run(tmp_path_factory), second_run(tmp_path_factory)]
    return [shutil.copytree(run, folder / run.name) for run in made]


@contextmanager
def two_runs_with_train_images(tmp_path_factory):
    """The same, with maps that show the test part alone, so that the train part can be placed on them."""
    folders = two_runs(tmp_path_factory)
    with pytest.MonkeyPatch.context() as patch:
        for folder in folders:
            run = map_the_test_part(folder, patch)
            for name in ("tsne", "pca"):
                run.map(name)
        yield folders


@contextmanager
def served(run, beside=None, columns=()):
    """The address of the explorer on a run's folder, or two."""
    view, other = View(open_run(run), columns), None if beside is None else View(open_run(beside))
    if other is not None:
        pair(view, other)
    serving = Serving(view, other).start()
    yield serving.address
    serving.stop()
    serving.wait()


@contextmanager
def served_or_file(kind, run, folder, beside=None):
    """The address of the explorer on a run's folder, or two: "served", or as a "file" that is written to another folder."""
    if kind == "file":
        other = None if beside is None else open_run(beside)
        yield write_html(open_run(run), folder / "explorer.html", beside=other).as_uri()
    else:
        with served(run, beside) as found:
            yield found


@contextmanager
def opened(browser, address, width=1400, height=860, **options):
    """A page on which any error, any breach of its policy and any request to elsewhere fails the test."""
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.set_default_timeout(10_000)
    watch(page, context, address)
    page.goto(address)
    # What is pressed before the panels are there is lost; a page that failed, or was refused, has none.
    page.locator("[role=tab], .failed, pre").first.wait_for(state="attached")
    yield page
    errors = page.errors
    context.close()
    assert not errors, errors  # pytest does not look into this file


def ask(address, path):
    """What the server at an address answers to a program that has its token."""
    *_, token, _ = address.split("/")
    asked = urllib.request.Request(address.removesuffix(f"{token}/") + path, headers={"x-latens-token": token})
    with urllib.request.urlopen(asked) as response:
        return json.load(response)


def watch(page, context, address):
    """Note in `page.errors` what goes wrong."""
    home = "/".join(address.split("/")[:3]) + "/"
    page.errors = []

    def refuse(route):
        page.errors.append(f"asked for {route.request.url}")
        route.abort()

    context.route(lambda url: not url.startswith((home, "data:", "blob:")), refuse)
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " ({violatedDirective, blockedURI}) => console.error(`policy: ${violatedDirective} ${blockedURI}`))"
    )
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)


def settled(page):
    """Wait until the page has its map, and has decoded a place of it."""
    expect(page.locator(".verdict").first).to_contain_text("usual distance")


def both_settled(page):
    """The same for a page with two runs."""
    settled(page)
    expect(page.locator(".map-name").nth(1)).to_contain_text("scale")
    processed(page)


def until(page, condition, seconds=8):
    """What `condition()` gives once that is true; Playwright's own waiting evaluates text, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        page.wait_for_timeout(20)
    return found


def processed(page):
    """Let the page work off what has come: some turns of its event loop and some frames, however long they take."""
    page.evaluate(
        "async () => { for (let k = 0; k < 6; k++) {"
        " await new Promise((done) => setTimeout(done)); await new Promise(requestAnimationFrame); } }"
    )


def open_tab(page, name):
    page.get_by_role("tab", name=name, exact=True).click()


def status(page):
    return page.locator("#status").text_content()


def drag(page, spots):
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot)
    page.mouse.up()


PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
TABLET = {"width": 1024, "height": 1366, "has_touch": True, "is_mobile": True}


def swipe(page, *trails):
    """Fingers that go along trails together, each a list of places; then all are lifted."""
    session = page.context.new_cdp_session(page)
    for kind, spots in [
        ("touchStart", [trail[0] for trail in trails]),
        *(("touchMove", spots) for spots in zip(*(trail[1:] for trail in trails), strict=True)),
        ("touchEnd", []),
    ]:
        fingers = [{"x": float(x), "y": float(y), "id": number} for number, (x, y) in enumerate(spots)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})
        page.wait_for_timeout(30)
    session.detach()


def straight(start, end, steps=6):
    """The trail of a finger from one place to another."""
    return list(np.linspace(start, end, steps))


def finger_slides(page, slider, share):
    """Drag the thumb of a slider to a share of its way."""
    slider.scroll_into_view_if_needed()
    seen = [None, slider.bounding_box()]
    while seen[-1] != seen[-2]:  # what is above it may still be on its way
        processed(page)
        seen.append(slider.bounding_box())
    box = seen[-1]
    low, high, value = (float(slider.evaluate(f"e => e.{name}")) for name in ("min", "max", "value"))
    half = 8  # pixels of the thumb, which stays within the slider
    x = [box["x"] + half + part * (box["width"] - 2 * half) for part in ((value - low) / (high - low), share)]
    y = box["y"] + box["height"] / 2
    swipe(page, straight((x[0], y), (x[1], y)))


def slide(slider, value):
    """Put a slider somewhere, as a hand does: its events are sent."""
    slider.fill(str(value))


def pixels(canvas):
    """What a canvas shows, uint8 (H, W, 3)."""
    script = "c => [c.height, c.width, ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    height, width, *values = canvas.evaluate(script)
    return np.array(values, np.uint8).reshape(height, width, 4)[..., :3]


def shows(canvas, wanted):
    """Whether a canvas shows a grey picture (H, W); a rounding apart is the same."""
    return np.abs(pixels(canvas)[..., 0].astype(int) - wanted).max() <= 1


def screenshot(where, **options):
    """What is seen, int (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(where.screenshot(**options))).convert("RGB")).astype(int)


class Place:
    """Where the whole map lies on the screen, by what map.js says of it."""

    def __init__(self, page, which=0):
        """Of a page of Playwright, or of the rectangle (left, top, width, height) of the map."""
        script = "e => [e.getBoundingClientRect().x, e.getBoundingClientRect().y, e.clientWidth, e.clientHeight]"
        given = page if isinstance(page, list) else page.locator(".map").nth(which).evaluate(script)
        left, top, width, height = given
        self.middle = np.array([left + width / 2, top + height / 2])
        self.scale = FILLED * min(width, height)

    def on_screen(self, x, y):
        """Places in 16-bit units -> (N, 2) on the screen."""
        places = np.stack([np.asarray(x, float) - UNITS / 2, UNITS / 2 - np.asarray(y, float)], -1)
        return self.middle + places * self.scale

    def in_units(self, spots):
        """The other way."""
        away = (np.asarray(spots, float) - self.middle) / self.scale
        return np.stack([UNITS / 2 + away[..., 0], UNITS / 2 - away[..., 1]], -1)


class Points:
    """The points of a map and where they lie on the screen."""

    def __init__(self, page, view, name="tsne"):
        self.facts, places = view.map_points(name)
        self.x, self.y = (places[axis].astype(int) for axis in "xy")
        self.place = Place(page)
        self.spots = self.place.on_screen(self.x, self.y)
        apart = np.linalg.norm(self.spots[:, None] - self.spots, axis=-1)
        self.apart = (apart + np.diag(np.full(len(apart), np.inf))).min(1)

    def lonely(self):
        """Those that no other's disc or ring reaches, loneliest first."""
        rows = np.argsort(-self.apart)
        return rows[self.apart[rows] > 9]

    def on_map(self, place):
        """Where a place in the map's own units is seen."""
        left, bottom, size = (self.facts[name] for name in ("left", "bottom", "size"))
        return self.place.on_screen(*(np.array(place) - [left, bottom]) / size * 65_535)

    def decoded(self, view, spot):
        """The answer at a place of the screen: the picture (H, W), the ratio and the round trip."""
        left, bottom = (self.facts[name] for name in ("left", "bottom"))
        x, y = self.place.in_units(spot) / 65_535 * self.facts["size"] + [left, bottom]
        arrays = decoding.decode_at(view, self.facts["name"], x, y).arrays
        return arrays["pixels"][0, 0], arrays["ratio"][0], arrays["round_trip"][0]


def class_colours(view):
    return np.array([list(bytes.fromhex(colour[1:])) for colour in view.info()["colours"]])


def colours_at(page, points, rows):
    """What lies where points are, int (N, 3)."""
    seen = screenshot(page)
    return np.array([seen[int(y), int(x)] for x, y in points.spots[rows]])


def distance(colours, wanted):
    return np.abs(colours - np.asarray(wanted)).max(-1)
