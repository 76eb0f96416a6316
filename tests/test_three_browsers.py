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
def where(request):
    return request.param


@pytest.fixture
def opened(browser, addresses, where):
    """The browser, with the page open and settled."""
    browser.open("about:blank")  # else a # that is left would not be loaded again
    browser.open(addresses[where])
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


def text_of(selector):
    return f"document.querySelector({selector!r})?.textContent"


def press(browser, selector):
    until(browser, f"document.querySelector({selector!r}) !== null")
    browser.run(f"document.querySelector({selector!r}).click()")


def button(words):
    return f"[...document.querySelectorAll('button')].find((one) => one.textContent === {words!r})"


def test_a_selection_is_seen_narrowed_and_undone(browser, addresses, view, where):
    """Its grid, its classes, the current image, the address and Back."""
    some = [int(row) for row in np.flatnonzero(view.labels < 2)[:5]]
    browser.open("about:blank")
    browser.open(f"{addresses[where]}#select={'.'.join(map(str, some))}&tab=selection")
    until(browser, "document.querySelectorAll('.cell').length", lambda found: found == 5)
    until(browser, "document.querySelectorAll('.class-row').length", lambda found: found == 2)
    press(browser, "[aria-label^='Take out 0'], [aria-label^='Take out']")
    until(browser, "document.querySelectorAll('.cell').length", lambda found: 0 < found < 5)
    browser.run("dispatchEvent(new KeyboardEvent('keydown', {key: 'z', ctrlKey: true}))")
    until(browser, "document.querySelectorAll('.cell').length", lambda found: found == 5)
    press(browser, ".cell")
    press(browser, "#tab-image")
    until(browser, text_of("#panel .facts strong"), lambda found: found == str(view.ids[some[0]]))
    until(browser, "location.hash", lambda found: "tab=image" in found)
    browser.run("history.back()")
    until(browser, "document.getElementById('tab-selection').ariaSelected", lambda found: found == "true")
    assert browser.run("window.problems") == []


def test_an_image_is_found_by_its_name(opened, view):
    name = str(view.ids[7])
    press(opened, "#tab-image")
    until(opened, "document.getElementById('find-image') !== null")
    opened.run(f"Object.assign(document.getElementById('find-image'), {{value: {name!r}}}).form.requestSubmit()")
    until(opened, text_of("#panel .facts strong"), lambda found: found == name)
    until(opened, "location.hash", lambda found: "image=" in found)


def test_the_map_and_a_selection_are_saved(browser, addresses, where):
    browser.open("about:blank")
    browser.open(f"{addresses[where]}#select=0.1.2&tab=selection")
    until(browser, "document.querySelector('.selection')?.hidden === false")
    until(browser, "document.querySelectorAll('.cell').length", lambda found: found == 3)
    browser.run(
        "void (window.saved = [], URL.createObjectURL = ({size}) => `#${size}`,"
        " HTMLAnchorElement.prototype.click = function () { saved.push([this.download, Number(this.hash.slice(1))]); })"
    )
    browser.run(f"{button('Save CSV')}.click()")
    until(browser, "saved.length", lambda found: found == 1)
    browser.run(f"({button('save…')}.click(), {button('Save')}.click())")
    until(browser, "saved.length", lambda found: found == 2)
    (table, letters), (picture, size) = browser.run("saved")
    assert table.endswith("-selection.csv")
    assert letters > 100
    assert picture.endswith("-tsne.png")
    assert size > 10_000


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
