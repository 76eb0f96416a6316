"""The newest choice wins on the explorer's page, even if answers are late or fail; a long wait is marked."""

import re
import shutil
import threading

import numpy as np
import pytest

from browser import (
    Points,
    class_colours,
    colours_at,
    distance,
    drag,
    expect,
    learned_run,
    open_tab,
    opened,
    processed,
    served,
    settled,
    slide,
    status,
    until,
)
from latens.explorer import View, decoding
from latens.explorer.serving import Serving
from latens.runs import open_run

DECODED = "The decoded image of the place under the pointer"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return shutil.copytree(learned_run(tmp_path_factory), tmp_path_factory.mktemp("newest") / "run")


@pytest.fixture(scope="module")
def address(copy):
    with served(copy) as found:
        yield found


@pytest.fixture(scope="module")
def view(copy):
    return View(open_run(copy))


class Held:
    """Requests that match, kept back until they are let go."""

    def __init__(self, page, pattern):
        self.page, self.routes = page, []
        page.route(re.compile(pattern), lambda route: self.routes.append(route))

    def wait(self, count=1):
        until(self.page, lambda: len(self.routes) >= count)

    def let_go(self):
        """Let them go, and wait until the last answer has come to the page."""
        routes, self.routes[:] = list(self.routes), []
        for route in routes:
            with self.page.expect_response(route.request.url):
                route.continue_()


def refuse(page, pattern, words):
    """Let the server refuse what matches."""

    def answer(route):
        route.fulfill(response=route.fetch(), status=400, json={"error": words})

    page.route(re.compile(pattern), answer)


def shows_map(page, view, name):
    points = Points(page, view, name)
    rows = points.lonely()
    wanted = class_colours(view)[view.labels[rows]]
    return np.mean(distance(colours_at(page, points, rows), wanted) < 60) > 0.9


def test_a_map_that_comes_late_does_not_replace_a_newer_choice(page, view):
    held = Held(page, r"/api/map\?name=pca")
    maps = page.get_by_label("Map", exact=True)
    maps.select_option("pca")
    held.wait()
    maps.select_option("tsne")
    held.let_go()
    processed(page)
    expect(maps).to_have_value("tsne")
    until(page, lambda: shows_map(page, view, "tsne"))
    maps.select_option("pca")  # it is here by now
    until(page, lambda: shows_map(page, view, "pca"))


def test_a_colour_that_comes_late_does_not_replace_a_newer_choice(page):
    held = Held(page, r"/api/column\?name=cluster")
    colour = page.get_by_label("Colour")
    colour.select_option(label="cluster")
    held.wait()
    expect(page.locator(".bar .field[aria-busy=true]")).to_have_count(1)  # clusters take a while: that is seen
    colour.select_option(label="reconstruction error")
    expect(page.locator(".legend .ramp")).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    held.let_go()
    processed(page)
    expect(colour).to_have_value("error")
    expect(page.locator(".legend .ramp")).to_be_visible()


def test_a_map_that_cannot_be_fitted_leaves_the_one_before(page, view):
    refuse(page, r"/api/map\?name=pca", "no such plane")
    maps = page.get_by_label("Map", exact=True)
    maps.select_option("pca")
    until(page, lambda: status(page) == "No such plane")
    expect(maps).to_have_value("tsne")
    page.unroute_all()
    page.errors.clear()  # that it was refused stands in the console


def test_the_trust_of_a_place_is_that_of_the_map_shown(page):
    colour = page.get_by_label("Colour")
    colour.select_option(value="trust:tsne")
    expect(page.locator(".legend .ramp")).to_be_visible()
    page.get_by_label("Map", exact=True).select_option("pca")
    expect(colour).to_have_value("trust:pca")


def test_a_map_chosen_during_the_playback_ends_it(page, view):
    open_tab(page, "Run")
    expect(page.locator(".chart")).to_be_visible()
    slide(page.get_by_label("Epoch", exact=True), 0)
    until(page, lambda: page.evaluate("document.body.classList.contains('playing')"))
    page.get_by_role("button", name="Play").click()
    page.get_by_label("Map", exact=True).select_option("pca")
    until(page, lambda: shows_map(page, view, "pca"))
    expect(page.get_by_role("button", name="Play")).to_be_visible()  # it does not go on
    assert not page.evaluate("document.body.classList.contains('playing')")
    points = Points(page, view, "pca")
    row = points.lonely()[0]
    page.mouse.move(*points.spots[row])
    expect(page.locator(".hover")).to_contain_text(str(view.ids[row]))
    page.get_by_role("button", name="box", exact=True).click()
    middle, reach = points.place.middle.round(), 300
    drag(page, [middle - reach, middle, middle + reach])
    expect(page.get_by_role("group", name="Selection")).to_be_visible()


def test_a_snapshot_that_comes_late_does_not_replace_a_map(page, view):
    open_tab(page, "Run")
    expect(page.locator(".chart")).to_be_visible()
    held = Held(page, r"/api/snapshot")
    slide(page.get_by_label("Epoch", exact=True), 0)
    held.wait()
    page.get_by_label("Map", exact=True).select_option("pca")
    until(page, lambda: shows_map(page, view, "pca"))
    held.let_go()
    processed(page)
    assert not page.evaluate("document.body.classList.contains('playing')")
    assert shows_map(page, view, "pca")


@pytest.mark.parametrize("panel", ["Probe", "Path"])
def test_what_is_overtaken_is_no_error_in_the_console(page, panel, monkeypatch):
    """Requests that newer ones overtook while the server was busy; `page` fails where its console has an error."""
    open_tab(page, panel)
    if panel == "Path":
        page.get_by_label("Kind of path").select_option("graph")
        until(page, lambda: "graph" in page.url)
    shown = page.locator("#panel .grid canvas, .strip .step").first
    expect(shown).to_be_visible()
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    answer, busy, free = getattr(decoding, panel.lower()), threading.Event(), threading.Event()

    def when_free(*args, **given):
        busy.set()
        assert free.wait(20)
        return answer(*args, **given)

    monkeypatch.setattr(decoding, panel.lower(), when_free)
    asked, ended, answered = [], [], []
    page.on("request", lambda one: one.url.partition("?")[0].endswith(f"/api/{panel.lower()}") and asked.append(one))
    page.on("requestfailed", lambda one: ended.append(one))
    page.on("requestfinished", lambda one: one in asked and answered.append(one))
    if panel == "Probe":
        for tenths in range(1, 9):
            slide(page.get_by_label("Noise", exact=True), tenths / 10)
            until(page, lambda count=tenths: len(asked) == count)
    else:
        for press in range(8):
            page.get_by_role("button", name="Swap").click()
            until(page, lambda count=press + 1: len(asked) == count)
    until(page, busy.is_set)
    free.set()
    until(page, lambda: answered)
    processed(page)
    assert (ended, answered) == (asked[:7], asked[7:])
    expect(shown).to_be_visible()


def test_an_image_that_comes_late_does_not_replace_a_newer_one(page, view):
    points = Points(page, view)
    first, second = points.lonely()[:2]
    open_tab(page, "Image")
    held = Held(page, rf"/api/image\?row={first}$")
    page.mouse.click(*points.spots[first])
    held.wait()
    expect(page.locator("#panel [aria-busy=true], #panel[aria-busy=true]").first).to_be_attached()
    page.mouse.click(*points.spots[second])
    expect(page.locator("#panel .facts")).to_contain_text(f"{view.ids[second]} ")
    held.let_go()
    processed(page)
    expect(page.locator("#panel .facts")).to_contain_text(f"{view.ids[second]} ")


def test_a_path_that_fails_takes_the_old_one_away_and_says_why(page):
    open_tab(page, "Path")
    expect(page.locator(".strip .step")).to_have_count(13)
    for which in ("From", "To"):
        page.get_by_label(which, exact=True).select_option(label="1")
    expect(page.locator("#panel")).to_contain_text("choose two different ends")
    expect(page.locator(".strip .step")).to_have_count(0)
    expect(page.locator("#panel .honest strong")).to_have_count(0)
    page.get_by_label("To", exact=True).select_option(label="0")
    expect(page.locator(".strip .step")).to_have_count(13)
    expect(page.locator("#panel")).not_to_contain_text("choose two different ends")
    page.errors.clear()  # that it was refused stands in the console


def test_long_waits_are_seen(page, view):
    points = Points(page, view)
    held = Held(page, r"/api/decode\?")
    page.mouse.move(*points.spots[0].round())
    card = page.locator("#panel .card").first
    expect(card).to_have_attribute("aria-busy", "true")
    held.let_go()
    expect(card).not_to_have_attribute("aria-busy", "true")
    held = Held(page, r"/api/path")
    open_tab(page, "Path")
    expect(page.locator(".strip")).to_have_attribute("aria-busy", "true")
    held.let_go()
    expect(page.locator(".strip")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator(".strip .step")).to_have_count(13)


def test_a_decode_that_fails_leaves_no_picture_of_another_place(page, view):
    refuse(page, r"/api/decode", "out of memory")
    page.mouse.move(*Points(page, view).spots[0].round())
    expect(page.locator("#panel .honest")).to_contain_text("cannot be decoded: out of memory")
    assert page.get_by_label(DECODED).evaluate("c => c.getContext('2d').getImageData(0, 0, 1, 1).data[3]") == 0
    page.unroute_all()
    page.errors.clear()  # that it was refused stands in the console


def test_a_page_notices_that_its_server_was_started_again(browser, copy):
    with served(copy) as address:
        port = int(address.split(":")[2].split("/")[0])
        context = opened(browser, address)
        page = context.__enter__()
        settled(page)
        page.wait_for_load_state("networkidle")  # nothing is asked while no server is there
        view = View(open_run(copy))
    again = Serving(view, port=port).start()
    try:
        assert again.port == port
        note = page.get_by_role("alert")
        expect(note).to_be_hidden()
        page.mouse.move(300, 300)
        expect(note).to_contain_text("was started again")
        assert page.locator(".picture").first.evaluate("e => getComputedStyle(e).opacity") == "0.3"
        page.errors.clear()  # that it was refused stands in the console
        context.__exit__(None, None, None)
    finally:
        again.stop()
        again.wait()
