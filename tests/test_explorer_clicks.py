"""Twelve tasks, each done on the page by as many clicks as docs/explorer.md says, and by no more than it allows."""

import csv
import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from browser import (
    Points,
    ask,
    drag,
    expect,
    learned_run,
    map_the_test_part,
    open_tab,
    opened,
    second_run,
    served,
    settled,
    until,
)
from latens.explorer import View
from latens.runs import open_run
from test_explorer_find import give

DOCS = Path(__file__).parent.parent / "docs" / "explorer.md"
# A press of the pointer is a click, be it the beginning of a drag; and so is a choice from a list.
COUNTER = """
window.clicks = 0;
addEventListener("pointerdown", () => window.clicks++, true);
addEventListener("change", ({target}) => target instanceof HTMLSelectElement && window.clicks++, true);
"""


def promised():
    """The table of the tasks: by the test that does it, how many clicks it takes, and how many it may."""
    rows = re.findall(r"^\| .+ \| (\d+) \| (\d+) \| `(test_\w+)` \|$", DOCS.read_text(), re.MULTILINE)
    return {name: (int(takes), int(most)) for takes, most, name in rows}


def test_the_table_names_twelve_tasks_and_their_tests(request):
    here = {item.originalname for item in request.session.items if item.path == request.path}
    assert here <= {request.node.originalname, *promised()}
    assert set(promised()) <= globals().keys()
    assert len(promised()) == 12
    assert all(takes <= most for takes, most in promised().values())


@pytest.fixture
def fresh(browser, address):
    """Opens a page that counts its clicks."""
    with opened(browser, address) as page:
        page.add_init_script(COUNTER)
        page.reload()
        settled(page)
        yield page


@pytest.fixture
def counted(fresh, request):
    """Such a page, and that a test needed no more and no fewer than the table says."""
    yield fresh
    assert fresh.evaluate("() => clicks") == promised()[request.node.originalname][0]


def saved(page, press):
    with page.expect_download() as download:
        press.click()
    return download.value.path().read_bytes()


def rows_of(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def box_around(page, view, count):
    """Draw a box with Shift around the points nearest to one: which are in it."""
    points = Points(page, view)
    near = np.argsort(np.linalg.norm(points.spots - points.spots[points.lonely()[-1]], axis=1))[:count]
    corners = points.spots[near].min(0) - 4, points.spots[near].max(0) + 4
    page.keyboard.down("Shift")
    drag(page, corners)
    page.keyboard.up("Shift")
    expect(page.locator(".selection strong")).to_contain_text("selected")
    return np.flatnonzero(((points.spots > corners[0]) & (points.spots < corners[1])).all(1))


def test_of_one_class_that_look_like_another(counted, view):
    wrong = [(int(a), int(b)) for a, b in zip(view.labels, view.column("predicted"), strict=True) if a != b]
    one, other = max(set(wrong), key=wrong.count)
    open_tab(counted, "Classes")
    counted.get_by_role("button", name=f"of class {one} with neighbours of class {other}").click()
    counted.get_by_role("button", name="Look at them").click()
    expect(counted.locator(".cell")).to_have_count(wrong.count((one, other)))
    assert len(rows_of(saved(counted, counted.get_by_role("button", name="Save CSV")))) == wrong.count((one, other))


def test_by_its_name(counted, view):
    open_tab(counted, "Image")
    counted.get_by_label("Find", exact=True).click()
    counted.keyboard.type(str(view.ids[17]))
    counted.keyboard.press("Enter")
    expect(counted.locator("#panel .facts strong")).to_have_text(str(view.ids[17]))


def test_a_strip_from_class_to_class(counted, view):
    open_tab(counted, "Path")
    counted.locator("#panel .slot select").nth(0).select_option(label=view.run.class_names[0])
    counted.locator("#panel .slot select").nth(1).select_option(label=view.run.class_names[2])
    until(counted, lambda: re.search(r"path=\d+_\d+_", counted.url))
    expect(counted.locator(".strip .step")).to_have_count(13)
    ends = [int(row) for row in re.search(r"path=(\d+)_(\d+)_", counted.url).groups()]
    assert view.labels[ends].tolist() == [0, 2]
    strip = Image.open(io.BytesIO(saved(counted, counted.get_by_role("button", name="Save strip"))))
    assert strip.width > 13 * 12


def test_what_the_neighbours_contradict(counted, view):
    wrong = np.flatnonzero(view.column("predicted") != view.labels)
    open_tab(counted, "Classes")
    counted.get_by_role("button", name="Select what the neighbours contradict").click()
    counted.get_by_role("button", name="Look at them").click()
    expect(counted.locator("#panel .facts strong")).to_have_text(re.compile(f"^{len(wrong)} images? selected"))


def test_more_like_the_current_one(counted, view):
    counted.locator(".map").focus()
    counted.keyboard.press("ArrowRight")
    until(counted, lambda: "image=" in counted.url)
    before = counted.evaluate("() => clicks")
    counted.keyboard.press("m")
    expect(counted.locator("#panel .facts strong")).to_have_text("50 images selected")
    assert before == 0
    counted.get_by_role("tab", name="Image").click()


def test_an_image_of_ones_own(counted, view):
    file = io.BytesIO()
    Image.fromarray(view.pixels(np.array([view.first]))[0, 0]).save(file, "png")
    give(counted, ("mine.png", file.getvalue()))
    expect(counted.locator("#panel .facts strong")).to_have_text("mine.png")


def test_a_selection_gets_a_tag(counted, view, address):
    rows = box_around(counted, view, 5)
    counted.get_by_label("Tag", exact=True).click()
    counted.keyboard.type("few")
    counted.keyboard.press("Enter")
    wanted = {str(view.ids[row]) for row in rows}
    until(counted, lambda: set(ask(address, "api/tags")["tags"].get("few", ())) == wanted)


def test_only_the_largest_errors(counted, view):
    counted.get_by_label("Colour").select_option(label="reconstruction error")
    handle = counted.get_by_role("slider", name="Filter reconstruction error: lowest")
    expect(handle).to_be_visible()
    canvas = counted.locator(".histogram").bounding_box()
    middle = canvas["y"] + canvas["height"] - 2
    drag(counted, [(canvas["x"] + 1, middle), (canvas["x"] + canvas["width"] / 2, middle)])
    expect(counted.locator(".chip")).to_have_count(1)
    low = float(re.search(r"range\.error=([\d.e-]+)\.\.", counted.url)[1])
    errors = view.column("error")
    assert errors.min() < low < errors.max()


def test_the_map_as_a_picture(counted, view):
    counted.get_by_role("button", name="save…").click()
    picture = Image.open(io.BytesIO(saved(counted, counted.get_by_role("button", name="Save", exact=True))))
    assert picture.width == 2000


def test_the_train_images_on_the_map(browser, tmp_path, tmp_path_factory, monkeypatch):
    folder = shutil.copytree(learned_run(tmp_path_factory), tmp_path / "run")
    map_the_test_part(folder, monkeypatch)
    with served(folder) as address, opened(browser, address) as page:
        page.add_init_script(COUNTER)
        page.reload()
        settled(page)
        page.get_by_label("Part", exact=True).select_option(label="both")
        until(page, lambda: "part=both" in page.url)
        assert page.evaluate("() => clicks") == promised()["test_the_train_images_on_the_map"][0]


def test_two_runs_on_one_selection(browser, tmp_path_factory):
    first = learned_run(tmp_path_factory)
    with served(first, second_run(tmp_path_factory)) as address, opened(browser, address) as page:
        page.add_init_script(COUNTER)
        page.reload()
        settled(page)
        expect(page.locator(".beside-pair")).to_be_visible()
        until(page, lambda: page.locator(".map").count() == 2)
        points = Points(page, View(open_run(first)))
        page.keyboard.down("Shift")
        drag(page, [points.spots[0] - 40, points.spots[0] + 40])
        page.keyboard.up("Shift")
        open_tab(page, "Compare")
        expect(page.get_by_role("heading", name="The selection")).to_be_visible()
        expect(page.locator(".compared .best").first).to_be_visible()
        assert page.evaluate("() => clicks") == promised()["test_two_runs_on_one_selection"][0]


def test_a_link_opens_the_same(browser, fresh, address, view):
    page = fresh
    page.get_by_label("Colour").select_option(label="cluster")
    open_tab(page, "Lists")
    until(page, lambda: "tab=lists" in page.url and "colour=cluster" in page.url)
    with opened(browser, page.url) as other:
        other.add_init_script(COUNTER)
        other.reload()
        expect(other.get_by_role("tab", name="Lists")).to_have_attribute("aria-selected", "true")
        expect(other.get_by_label("Colour", exact=True)).to_have_value("cluster")
        assert (
            other.evaluate("() => clicks") == 0 == promised()["test_a_link_opens_the_same"][0] - 1
        )  # that on the link itself
