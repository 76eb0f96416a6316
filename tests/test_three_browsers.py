"""The page on a server and as one file, in Chromium, Firefox and WebKit: `make test-all`."""

import shutil
import time

import numpy as np
import pytest

from browser import PAGE, Points, class_colours, distance, learned_run, served
from latens.explorer import View, app, write_html
from latens.runs import open_run
from three_browsers import BROWSERS, RECORDER, record_in, seen

pytestmark = pytest.mark.browsers
DECODED = "The decoded image of the place under the pointer"
CANVAS = f"document.querySelector('[aria-label=\"{DECODED}\"]')"
SHOWN = f"[...{CANVAS}.getContext('2d').getImageData(0, 0, {CANVAS}.width, {CANVAS}.height).data]"
HOST = "(({left, top, width, height}) => [left, top, width, height])(document.querySelector('.map').getBoundingClientRect())"


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    return View(open_run(shutil.copytree(learned_run(tmp_path_factory), folder / "run")))


@pytest.fixture(scope="module")
def addresses(view, tmp_path_factory):
    """The page on a server, and as one file; both note their own problems."""
    folder = tmp_path_factory.mktemp("page")
    page = shutil.copytree(PAGE, folder / "page")
    (page / "recorder.js").write_text(RECORDER)
    index = (page / "index.html").read_text()
    (page / "index.html").write_text(index.replace("<head>", '<head><script src="recorder.js"></script>'))
    file = write_html(view.run, folder / "explorer.html")
    file.write_text(record_in(file.read_text()))
    with pytest.MonkeyPatch.context() as patch, served(view.run.path) as address:
        patch.setattr(app, "PAGE", page)
        yield {"server": address, "file": file.as_uri()}


@pytest.fixture(scope="module", params=BROWSERS)
def browser(request, tmp_path_factory):
    with BROWSERS[request.param](tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture(params=["server", "file"])
def opened(browser, addresses, request):
    """The browser, with the page open and settled."""
    browser.open(addresses[request.param])
    until(browser, "document.querySelector('.verdict')?.textContent.includes('usual distance')")
    return browser


def until(browser, expression, condition=bool, seconds=30):
    """What an expression gives once that is as wanted."""
    end = time.monotonic() + seconds
    while not condition(found := browser.run(expression)):
        assert time.monotonic() < end, f"{expression} stayed {str(found)[:300]}; {browser.run('window.problems')}"
    return found


def points_in(browser, view):
    return Points(browser.run(HOST), view)


def test_the_map_is_drawn(opened, view):
    points = points_in(opened, view)
    rows = points.lonely()
    wanted = class_colours(view)[view.labels[rows]]
    end = time.monotonic() + 30
    while True:
        picture = seen(opened)
        there = [picture[int(y), int(x)] for x, y in points.spots[rows]]
        if np.mean(distance(np.array(there), wanted) < 60) > 0.9:
            break
        assert time.monotonic() < end, "the points are not where the map says"


def test_the_place_under_the_pointer_is_decoded(opened, view):
    points = points_in(opened, view)
    for spot in (points.spots[points.lonely()[0]].round(), np.round(points.place.middle + np.array([40, -60]))):
        opened.move(*spot)
        picture = points.decoded(view, spot)[0]

        def shown(values, picture=picture):
            grey = np.array(values, int).reshape(*picture.shape, 4)[..., 0]
            return np.abs(grey - picture).max() <= 2

        until(opened, SHOWN, shown)


def test_nothing_goes_wrong(opened, view):
    assert opened.run("window.problems") == []
    names = opened.run("[...document.querySelectorAll('[role=tab]')].map((tab) => tab.textContent)")
    for name in names:
        opened.run(f"document.getElementById('tab-{name.lower()}').click()")
        last = {"Probe": ".scores dd", "Path": ".step", "Lists": "#panel .bare", "Run": ".chart"}.get(name)
        if last:
            until(opened, f"document.querySelector({last!r}) !== null")
    assert opened.run("window.problems") == []
    opened.run("setTimeout(() => { throw new Error('seen') })")
    until(
        opened, "window.problems"
    )  # it would be noticed; WebKit tells a page from the disk only that there was an error
