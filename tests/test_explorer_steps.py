"""Work by keys and few clicks: step through lists and selections, more like this, a range of a number, tags with undo."""

import numpy as np
import pytest

from browser import Points, colours_at, distance, expect, open_tab, opened, screenshot, served_or_file, status, until
from latens.explorer.columns import CONTRADICTED
from latens.explorer.routes import findings_of


@pytest.fixture(scope="module", params=["served", "file"])
def address(request, run, tmp_path_factory):
    with served_or_file(request.param, run, tmp_path_factory.mktemp("file")) as found:
        yield found


only_served = pytest.mark.parametrize("address", ["served"], indirect=True)


def selected(page):
    words = page.get_by_role("group", name="Selection", exact=True).locator("strong").text_content()
    return int(words.split()[0].replace(",", "")) if words else 0


def shown_id(page):
    return page.locator("#panel .facts strong").text_content()


def choose(page, points, row):
    page.mouse.click(*points.spots[row])
    open_tab(page, "Image")


def test_more_like_this_selects_the_nearest_by_a_click_or_a_key(page, view):
    points = Points(page, view)
    row = int(points.lonely()[0])
    choose(page, points, row)
    expect(page.locator("#panel .facts strong")).to_have_text(str(view.ids[row]))
    page.get_by_role("button", name="More like this").click()
    expect(page.get_by_role("tab", name="Selection")).to_have_attribute("aria-selected", "true")
    order = np.argsort(np.linalg.norm(view.latents - view.latents[row], axis=1), kind="stable")
    listed = page.url.partition("select=")[2].partition("&")[0]
    assert set(map(int, listed.split("."))) == set(order[:50].tolist())
    assert int(listed.split(".")[0]) == row
    page.keyboard.press("m")  # once more: twice as many
    until(page, lambda: selected(page) == 100)
    page.keyboard.press("Control+z")
    until(page, lambda: selected(page) == 50)


def test_keys_step_through_a_list_and_lead_back_to_its_place(page, view):
    open_tab(page, "Lists")
    cards = page.locator("#panel .bare")
    expect(cards.nth(3)).to_be_visible()
    names = [one.locator("small").last.text_content() for one in cards.all()[:4]]
    cards.first.focus()
    page.keyboard.press("ArrowRight")
    expect(cards.nth(1)).to_have_attribute("aria-current", "true")
    expect(cards.nth(1)).to_be_focused()
    page.keyboard.press("j")
    expect(cards.nth(2)).to_have_attribute("aria-current", "true")
    page.locator("#panel").evaluate("e => e.scrollTo(0, 37)")
    cards.nth(2).click()
    expect(page.locator("#panel .facts strong")).to_have_text(names[2])
    expect(page.locator(".steps")).to_contain_text("3 of")
    page.keyboard.press("k")
    expect(page.locator("#panel .facts strong")).to_have_text(names[1])
    page.get_by_role("button", name="The next one").click()
    expect(page.locator("#panel .facts strong")).to_have_text(names[2])
    page.locator("#panel").evaluate("e => e.scrollTo(0, 0)")
    page.locator(".steps .entry").click()  # back to the list
    expect(cards.first).to_be_visible()
    assert page.locator("#panel").evaluate("e => e.scrollTop") == 37
    open_tab(page, "Image")
    field = page.get_by_label("Find", exact=True)
    field.press_sequentially("jk")  # letters are text where text is typed
    assert shown_id(page) == names[2]


def test_keys_step_through_the_selection_and_its_grid_keeps_its_place(page, view):
    choose(page, Points(page, view), int(Points(page, view).lonely()[0]))
    for count in (50, 100, 200):
        page.keyboard.press("m")
        until(page, lambda count=count: selected(page) == count)
    grid = page.get_by_role("listbox", name="Images of the selection")
    grid.evaluate("e => e.scrollTo(0, 300)")
    until(page, lambda: grid.evaluate("e => e.scrollTop") > 200)
    there = grid.evaluate("e => e.scrollTop")
    open_tab(page, "Decode")
    open_tab(page, "Selection")
    until(page, lambda: grid.evaluate("e => e.scrollTop") == there)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("#cell-2")).to_have_attribute("data-current", "")
    expect(page.locator("#cell-2")).to_be_in_viewport()


def histogram(page):
    page.get_by_label("Colour", exact=True).select_option("error")
    handles = page.locator(".legend").get_by_role("slider")
    expect(handles).to_have_count(2)
    return handles


def value_of(handle):
    return float(handle.get_attribute("aria-valuenow"))


def test_a_range_is_filtered_by_mouse_and_keys_and_undone_as_one(page, view):
    errors = view.column("error").astype(np.float64)
    low, high = histogram(page).all()
    assert value_of(low) == pytest.approx(errors.min(), rel=1e-6)
    box = page.locator(".histogram").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 1, middle)
    page.mouse.down()
    for share in (0.1, 0.2, 0.3):
        page.mouse.move(box["x"] + share * box["width"], middle)
    page.mouse.up()
    chip = page.get_by_role("group", name="Filters").get_by_role("button")
    expect(chip).to_contain_text("reconstruction error: ")
    page.get_by_role("button", name="Undo").click()  # all steps of the drag at once
    expect(chip).to_have_count(0)
    assert value_of(low) == pytest.approx(errors.min(), rel=1e-6)
    page.get_by_role("button", name="Redo").click()
    ends = np.sort(errors)[[int(0.01 * len(errors)), int(np.ceil(0.99 * (len(errors) - 1)))]]
    assert value_of(low) == pytest.approx(ends[0] + 0.3 * (ends[1] - ends[0]), rel=0.02)
    points = Points(page, view)
    rows = points.lonely()
    page.mouse.move(5, 300)
    gone = errors[rows] < value_of(low)
    assert 0 < gone.sum() < len(rows)
    paper = screenshot(page)[200, 5]
    until(page, lambda: (distance(colours_at(page, points, rows[gone]), paper) < 8).all())
    assert (distance(colours_at(page, points, rows[~gone]), paper) > 30).all()
    before = value_of(high)
    high.focus()
    page.keyboard.press("ArrowLeft")
    assert value_of(high) == pytest.approx(ends[0] + 63 / 64 * (ends[1] - ends[0]), rel=0.01)
    page.keyboard.press("End")
    assert value_of(high) == before
    until(page, lambda: "range.error" in page.url)
    page.keyboard.press("PageDown")
    page.keyboard.press("Control+z")
    until(page, lambda: value_of(high) == before)


def test_a_range_is_filtered_by_touch_and_its_chip_takes_it_away(browser, address, view):
    with opened(browser, address, width=390, height=844, has_touch=True) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        low, _ = histogram(page).all()
        box = page.locator(".histogram").bounding_box()
        page.touchscreen.tap(box["x"] + 0.4 * box["width"], box["y"] + box["height"] / 2)
        errors = view.column("error")
        assert value_of(low) > errors.min()
        chip = page.get_by_role("group", name="Filters").get_by_role("button")
        chip.tap()
        expect(chip).to_have_count(0)
        assert value_of(low) == pytest.approx(float(errors.min()), rel=1e-6)


def test_ends_of_the_colours_can_be_set(page, view):
    histogram(page)
    points = Points(page, view)
    rows = points.lonely()
    before = colours_at(page, points, rows)
    page.get_by_label("Lowest end").fill("0")
    page.get_by_label("Lowest end").press("Tab")  # the track's handles are next
    until(page, lambda: "ends.error=0.." in page.url)
    expect(page.locator(".legend").get_by_role("slider").first).to_be_focused()
    page.get_by_label("Highest end").fill("1000")
    page.get_by_label("Highest end").press("Enter")
    violet = np.array([0x44, 0x01, 0x54])
    page.mouse.move(5, 300)
    until(page, lambda: (distance(colours_at(page, points, rows), violet) < 60).all())  # all are low on such a scale
    assert np.ptp(colours_at(page, points, rows), axis=0).max() < 4
    until(page, lambda: "ends.error=0..1000" in page.url)
    page.get_by_label("Highest end").fill("-5")
    page.get_by_label("Highest end").press("Enter")
    until(page, lambda: "must be below the highest" in status(page))
    page.get_by_label("Lowest end").fill("much")
    page.get_by_label("Lowest end").press("Enter")
    until(page, lambda: status(page) == "Much is no number.")
    page.get_by_label("Lowest end").fill("")
    page.get_by_label("Lowest end").press("Enter")
    until(page, lambda: (colours_at(page, points, rows) == before).all())


def test_images_that_neighbours_contradict_are_a_colour_and_a_list(page, view):
    against = view.column(CONTRADICTED)
    near = np.argsort(np.linalg.norm(view.latents[:, None] - view.latents, axis=-1), axis=1)[:, 1:6]
    wanted = (view.labels[near] != view.labels[:, None]).sum(1)
    assert (against == wanted).mean() > 0.98  # equal distances may be in another order
    found = findings_of(view, CONTRADICTED)
    assert [one["point"] for one in found] == sorted(
        np.flatnonzero(view.column("predicted") != view.labels).tolist(), key=lambda row: (-against[row], row)
    )
    assert found
    open_tab(page, "Lists")
    page.get_by_label("List", exact=True).select_option("contradicted")
    cards = page.locator("#panel .bare")
    expect(cards).to_have_count(min(24, len(found)))
    expect(cards.first).to_contain_text(f"{found[0]['label']}, or {found[0]['suggested']}?")
    page.get_by_label("Colour", exact=True).select_option(CONTRADICTED)
    expect(page.locator(".legend small")).to_have_text("of 5")


def tag(page, word, button="Tag"):
    page.get_by_label("Tag", exact=True).fill(word)
    page.get_by_role("button", name=button, exact=True).click()


@only_served
def test_tags_are_undone_while_another_window_tags_and_are_a_colour(browser, address, page, view, run):
    (run / "tags.jsonl").unlink(missing_ok=True)
    points = Points(page, view)
    rows = [int(row) for row in points.lonely()[:6]]
    colours = page.get_by_label("Colour", exact=True)
    page.locator(".map").focus()
    for row in rows:
        page.mouse.click(*points.spots[row])
        until(page, lambda row=row: f"image={view.ids[row]}" in page.url)
        page.keyboard.press("s")
    until(page, lambda: selected(page) == 6)
    tag(page, "odd")
    until(page, lambda: status(page) == "6 images tagged odd.")
    with opened(browser, address) as other:
        expect(other.locator(".verdict").first).to_contain_text("usual distance")
        other.locator(".map").focus()
        for row in rows[:3]:
            other.mouse.click(*points.spots[row])
            until(other, lambda row=row: f"image={view.ids[row]}" in other.url)
            other.keyboard.press("s")
        until(other, lambda: selected(other) == 3)
        tag(other, "odd")  # it is tagged already, and will stay so
        until(other, lambda: status(other) == "0 images tagged odd.")
        tag(other, "mine")
        until(other, lambda: status(other) == "3 images tagged mine.")
    page.get_by_role("button", name="Undo").click()
    until(page, lambda: status(page) == "Undone: 6 images tagged odd.")
    open_tab(page, "Lists")
    expect(page.locator("#panel .tags")).to_contain_text("odd 3 images")
    expect(page.locator("#panel .tags")).to_contain_text("mine 3 images")
    page.get_by_role("button", name="Redo").click()
    expect(page.locator("#panel .tags")).to_contain_text("odd 6 images")
    page.get_by_role("button", name="Clear").click()
    colours.select_option("tags")
    entries = page.locator(".legend .entry")
    expect(entries).to_have_text(["odd", "mine", "several tags", "no value"])
    palette = [entries.nth(k).locator(".dot").evaluate("e => getComputedStyle(e).backgroundColor") for k in (0, 2)]
    wanted = [[int(part) for part in one[4:-1].split(",")] for one in palette]
    page.mouse.move(5, 300)
    # The tag's name may lie over one of them; a point lets a sixth of the paper through. The colours are 171 apart.
    for some, colour in ((rows[3:], wanted[0]), (rows[:3], wanted[1])):
        until(page, lambda some=some, colour=colour: (distance(colours_at(page, points, some), colour) < 60).sum() > 1)
    entries.nth(3).click()  # only those with a tag
    expect(page.get_by_role("group", name="Filters").get_by_role("button")).to_have_count(1)
    until(page, lambda: "hide.tags" in page.url)
    with opened(browser, page.url) as again:
        expect(again.get_by_label("Colour", exact=True)).to_have_value("tags")
        expect(again.get_by_role("group", name="Filters").get_by_role("button")).to_have_count(1)
    (run / "tags.jsonl").unlink()
    page.get_by_role("button", name="Select the images tagged odd").click()
    until(page, lambda: status(page) == "The tag odd is gone: no image has it any more.")
    expect(colours).to_have_value("label")
    page.get_by_role("button", name="Undo").click()  # of the filter
    page.get_by_role("button", name="Undo").click()  # of the cleared selection
    page.get_by_role("button", name="Undo").click()
    until(page, lambda: "is not in tags.jsonl (any more)" in status(page))
    assert any("400" in error for error in page.errors)  # the browser's own note of that
    page.errors.clear()
