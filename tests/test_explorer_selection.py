"""A selection is a set that one sees: a grid of its images, its classes, how selections join, and undo."""

import numpy as np
import pytest

from browser import Points, drag, expect, open_tab, screenshot, served_or_file, status, until
from latens.explorer import View
from latens.images.pixels import to_uint8


@pytest.fixture(scope="module", params=["served", "file"])
def address(request, run, tmp_path_factory):
    with served_or_file(request.param, run, tmp_path_factory.mktemp("file")) as found:
        yield found


def box(page, points, left, top, right, bottom, keys=()):
    """Draw a box by shares of the map's place; gives the rows inside."""
    page.get_by_role("button", name="box", exact=True).click()
    corner, far = (
        np.round(points.place.middle + points.place.scale * 65_535 * np.array(at))
        for at in ((left, top), (right, bottom))
    )
    for key in keys:
        page.keyboard.down(key)
    before = status(page)
    drag(page, [corner, (corner + far) / 2, far])
    for key in keys:
        page.keyboard.up(key)
    until(page, lambda: status(page) != before and "selected" in status(page))
    return set(np.flatnonzero(((points.spots > corner) & (points.spots < far)).all(1)).tolist())


def counted(page):
    words = page.get_by_role("group", name="Selection", exact=True).locator("strong").text_content()
    return int(words.split()[0].replace(",", "")) if words else 0


def test_selections_join_by_keys_and_by_the_bar(page, view):
    points = Points(page, view)
    first = box(page, points, -0.45, -0.45, 0.1, 0.45)
    assert counted(page) == len(first) > 10
    second = box(page, points, -0.05, -0.2, 0.45, 0.45, ["Shift"])
    assert counted(page) == len(first | second) > len(first)
    third = box(page, points, -0.45, -0.2, 0.45, 0.1, ["Alt"])
    assert counted(page) == len((first | second) - third) > 0
    page.get_by_role("button", name="Undo").click()
    assert counted(page) == len(first | second)
    fourth = box(page, points, -0.2, -0.2, 0.2, 0.45, ["Shift", "Alt"])
    assert counted(page) == len((first | second) & fourth)
    page.get_by_label("Next", exact=True).select_option(label="subtract")
    fifth = box(page, points, -0.1, -0.15, 0.1, 0.3)
    assert counted(page) == len(((first | second) & fourth) - fifth)


def seen(page, at):
    """What lies in a cell of the grid whose images have 12 pixels a side, which are five times enlarged: (12, 12)."""
    left, top = page.locator(f"#cell-{at}").evaluate("e => [e.getBoundingClientRect().x, e.getBoundingClientRect().y]")
    picture = screenshot(page)[round(top) :, round(left) :, 0]
    return picture[2:60:5, 2:60:5]


def test_the_grid_shows_the_images_and_takes_some_out(page, view):
    points = Points(page, view)
    box(page, points, -0.48, -0.48, 0.48, 0.48)
    total = counted(page)
    page.get_by_role("button", name="Look at them").click()
    grid = page.get_by_role("listbox", name="Images of the selection")
    cells = grid.get_by_role("option")
    expect(cells.first).to_be_visible()
    order = [int(row) for row in page.url.partition("select=")[2].partition("&")[0].split(".") if row] or None
    if order:
        pixels = view.pixels(np.array(order[:3]) + view.first)
        until(
            page, lambda: all(np.abs(seen(page, k)[1:-1, 1:-1] - pixels[k, 0, 1:-1, 1:-1]).max() <= 1 for k in range(3))
        )
    grid.evaluate("e => e.scrollTo(0, 1e6)")
    expect(page.locator(f"#cell-{total - 1}")).to_be_visible()
    until(page, lambda: seen(page, total - 1).max() > 100)
    grid.evaluate("e => e.scrollTo(0, 0)")
    expect(page.locator("#cell-0")).to_be_visible()
    page.locator("#cell-1").click(modifiers=["Control"])
    page.locator("#cell-3").click(modifiers=["Shift"])
    expect(page.locator(".cell[aria-selected=true]")).to_have_count(3)
    page.get_by_role("button", name="Take out 3 images").click()
    assert counted(page) == total - 3
    page.locator("#cell-0").click()
    grid.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Delete")
    assert counted(page) == total - 4
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="Undo").click()
    assert counted(page) == total
    page.locator("#cell-2").click(modifiers=["Control"])
    page.get_by_role("button", name="Keep only 1 image").click()
    assert counted(page) == 1
    expect(cells).to_have_count(1)
    page.locator("#cell-0").dblclick()
    expect(page.get_by_role("tab", name="Image")).to_have_attribute("aria-selected", "true")


def test_classes_are_counted_and_narrow_the_selection(page, view):
    points = Points(page, view)
    rows = box(page, points, -0.48, -0.48, 0.48, 0.48)
    open_tab(page, "Selection")
    counts = np.bincount(view.labels[sorted(rows)], minlength=3)
    bars = page.get_by_role("group", name="Classes of the selection")
    for label in range(3):
        expect(bars.get_by_role("button", name=f"Keep only {label}: {counts[label]} images")).to_be_visible()
    bars.get_by_role("button", name="Take out 0").click()
    assert counted(page) == counts[1] + counts[2]
    bars.get_by_role("button", name=f"Keep only 2: {counts[2]} images").click()
    assert counted(page) == counts[2]
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    until(page, lambda: counted(page) == len(rows))


def test_arrow_keys_step_through_the_selection(page, view):
    box(page, Points(page, view), -0.3, -0.3, 0.3, 0.3)
    open_tab(page, "Selection")
    expect(page.locator("#cell-2")).to_be_visible()
    page.get_by_role("listbox", name="Images of the selection").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#cell-1")).to_have_attribute("data-current", "")
    page.keyboard.press("Enter")
    expect(page.get_by_role("tab", name="Image")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#panel .facts strong")).to_be_visible()


def test_a_panel_without_a_selection_says_how_to_make_one(page):
    open_tab(page, "Selection")
    expect(page.locator("#panel")).to_contain_text("Nothing is selected. Draw around images with box or lasso")
    assert page.locator("#panel .class-bars").text_content() == ""


def test_pictures_of_images_whose_files_have_gone_are_rebuilt(run, view, monkeypatch):
    from latens.explorer.exploring import answer

    found = answer(run, "/api/pictures?points=[0,3]")
    assert (np.array(found["pixels"]) == view.pixels(np.array([0, 3]) + view.first)).all()
    assert answer(run, "/api/classes?points=[0,3]")["classes"] == view.labels[[0, 3]].tolist()
    monkeypatch.setattr(View, "missing", "gone")
    rebuilt = np.array(answer(run, "/api/pictures?points=[5]")["pixels"])
    assert (rebuilt == to_uint8(view.run.decode(view.latents[5:6]))).all()
    with pytest.raises(Exception, match="from 1 to 500 are allowed at once"):
        answer(run, "/api/pictures?points=[]")


def test_an_image_is_found_by_its_id_as_one_types(page, view):
    open_tab(page, "Image")
    field = page.get_by_label("Find", exact=True)
    field.press_sequentially("17")
    wanted = sorted(
        (one for one in map(str, view.ids) if "17" in one),
        key=lambda one: (one != "17", not one.startswith("17"), view.row_of(None, one)),
    )
    until(
        page,
        lambda: page.locator("#found-images option").evaluate_all("all => all.map((one) => one.value)") == wanted[:20],
    )
    field.press("Enter")
    expect(page.locator("#panel .facts strong")).to_have_text(wanted[0])
    field.fill(wanted[1])
    field.press("Enter")
    expect(page.locator("#panel .facts strong")).to_have_text(wanted[1])
    field.fill("nobody")
    field.press("Enter")
    until(page, lambda: status(page) == "No image has nobody in its id.")
