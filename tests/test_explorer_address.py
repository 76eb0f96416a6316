"""The page's store: what is chosen stands in the address, Back and Forward lead through it, and Ctrl-Z takes it back."""

import re

import numpy as np
import pytest

from browser import (
    Points,
    class_colours,
    colours_at,
    distance,
    expect,
    open_tab,
    opened,
    processed,
    served_or_file,
    status,
    until,
)


@pytest.fixture(scope="module", params=["served", "file"])
def address(request, run, tmp_path_factory):
    with served_or_file(request.param, run, tmp_path_factory.mktemp("file")) as found:
        yield found


def part(page):
    return page.url.partition("#")[2]


def visible(page, points, view, classes):
    """Whether the lonely points of these classes are drawn, and no others."""
    rows = points.lonely()
    there = distance(colours_at(page, points, rows), class_colours(view)[view.labels[rows]]) < 60
    kept = np.isin(view.labels[rows], classes)
    return there[kept].mean() > 0.9 and not there[~kept].any()


def test_a_fresh_page_has_a_plain_address(page):
    processed(page)
    assert part(page) == ""


def test_what_is_chosen_is_in_the_address_and_a_colleague_sees_the_same(browser, address, page, view):
    page.get_by_label("Map", exact=True).select_option("pca")
    page.get_by_label("Colour").select_option(label="cluster")
    expect(page.locator(".legend .entry").nth(1)).to_have_text("cluster 2")
    page.locator(".legend .entry").nth(1).click()
    open_tab(page, "Image")
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")
    until(page, lambda: "image=" in part(page))
    name = page.locator("#panel .facts strong").inner_text()
    page.keyboard.press("s")
    page.keyboard.press("+")
    until(page, lambda: "view=" in part(page))
    page.wait_for_timeout(600)
    scale = part(page).rpartition("_")[2]
    for key in ("map=pca", "colour=cluster", "tab=image", "hide.cluster=1", "select="):
        assert key in part(page)
    with opened(browser, page.url, width=1000, height=700) as other:
        expect(other.locator("#panel .facts strong")).to_have_text(name)
        assert other.get_by_label("Map", exact=True).input_value() == "pca"
        assert other.get_by_label("Colour").input_value() == "cluster"
        expect(other.locator(".legend .entry").nth(1)).to_have_attribute("aria-pressed", "false")
        expect(other.get_by_role("group", name="Selection").locator("strong")).to_have_text("1 image selected")
        expect(other.get_by_role("button", name=re.compile("filter cluster"))).to_be_visible()
        assert other.get_by_role("button", name="Undo").is_disabled()
        other.keyboard.press("0")
        other.wait_for_timeout(400)
    page.reload()
    expect(page.locator("#panel .facts strong")).to_have_text(name)
    processed(page)
    assert float(part(page).rpartition("_")[2]) == pytest.approx(float(scale), rel=0.01)


def test_back_and_forward(page, view):
    colour = page.get_by_label("Colour")
    colour.select_option(label="reconstruction error")
    until(page, lambda: "colour=error" in part(page))
    open_tab(page, "Path")
    until(page, lambda: "path=" in part(page))
    page.go_back()
    until(page, lambda: colour.input_value() == "error" and "tab=" not in part(page) and "path=" not in part(page))
    while part(page):
        page.go_back()
        processed(page)
    until(page, lambda: colour.input_value() == "label")
    expect(page.get_by_role("tab", name="Decode")).to_have_attribute("aria-selected", "true")
    page.go_forward()
    until(page, lambda: colour.input_value() == "error")


def test_filters_of_two_columns_hold_together_and_go_by_their_chips(page, view):
    points = Points(page, view)
    page.locator(".legend .entry").first.click()
    chip = page.get_by_role("button", name="Take away the filter class: 1, 2")
    expect(chip).to_be_visible()
    page.mouse.move(5, 5)
    until(page, lambda: visible(page, points, view, [1, 2]))
    page.get_by_label("Colour").select_option(label="cluster")
    clusters = view.column("cluster")
    expect(page.locator(".legend .entry").first).to_have_text("cluster 1")
    of_first = int(np.bincount(clusters[view.labels == 1], minlength=3).argmax())
    page.locator(".legend .entry").nth(of_first).click()
    expect(page.locator(".chip")).to_have_count(2)
    page.get_by_label("Colour").select_option(label="class")
    shown = (view.labels > 0) & (clusters != of_first)
    rows = points.lonely()

    def only_those():
        there = distance(colours_at(page, points, rows), class_colours(view)[view.labels[rows]]) < 60
        return there[shown[rows]].mean() > 0.9 and not there[~shown[rows]].any()

    page.mouse.move(5, 5)
    until(page, only_those)
    chip.click()
    expect(page.locator(".chip")).to_have_count(1)
    expect(page.locator(".legend .entry").first).to_have_attribute("aria-pressed", "true")


def test_undo_and_redo_go_over_filters_and_selection(page, view):
    points = Points(page, view)
    undo, redo = (page.get_by_role("button", name=name) for name in ("Undo", "Redo"))
    expect(undo).to_be_disabled()
    page.locator(".legend .entry").first.click()
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")
    until(page, lambda: status(page).startswith("image "))
    page.keyboard.press("s")
    count = page.get_by_role("group", name="Selection").locator("strong")
    expect(count).to_have_text("1 image selected")
    page.get_by_role("button", name="Clear").click()
    expect(count).to_be_hidden()
    page.keyboard.press("Control+z")
    expect(count).to_have_text("1 image selected")
    undo.click()
    expect(count).to_be_hidden()
    undo.click()
    expect(page.locator(".legend .entry").first).to_have_attribute("aria-pressed", "true")
    page.mouse.move(5, 5)
    until(page, lambda: visible(page, points, view, [0, 1, 2]))
    expect(undo).to_be_disabled()
    page.keyboard.press("Control+Shift+z")
    expect(page.locator(".legend .entry").first).to_have_attribute("aria-pressed", "false")
    redo.click()
    expect(count).to_have_text("1 image selected")
    page.keyboard.press("Control+y")
    expect(count).to_be_hidden()
    expect(redo).to_be_disabled()


def test_an_address_of_another_run_says_what_is_not_there(browser, address):
    with opened(browser, f"{address}#map=other&colour=own%3Aage&image=nobody&hide.own%3Aage=1&tab=path") as page:
        until(page, lambda: "does not have" in status(page))
        for words in ("the map other", "the column own:age", "the image nobody"):
            assert words in status(page)
        expect(page.get_by_role("tab", name="Path")).to_have_attribute("aria-selected", "true")
        expect(page.locator(".strip .step")).to_have_count(13)
        page.errors.clear()  # that there is no such image stands in the console
