"""The explorer's page in a real browser, on the real server: input by pointer and keys, and what the page then shows."""

import csv
import json
import re

import numpy as np
import pytest
from matplotlib.path import Path

from browser import (
    Points,
    ask,
    class_colours,
    colours_at,
    distance,
    drag,
    expect,
    open_tab,
    processed,
    shows,
    status,
    until,
)
from latens.computed.review import read_review
from latens.explorer import decoding

DECODED = "The decoded image of the place under the pointer"
VIRIDIS = {"low": (0x44, 0x01, 0x54), "high": (0xFD, 0xE7, 0x25)}


def test_the_map_shows_each_image_in_the_colour_of_its_class(page, view):
    points = Points(page, view)
    rows = points.lonely()
    assert len(rows) > 50
    wanted = class_colours(view)[view.labels[rows]]
    until(page, lambda: np.mean(distance(colours_at(page, points, rows), wanted) < 60) > 0.95)
    assert page.evaluate("document.createElement('canvas').getContext('webgl')") is None


def test_moving_over_the_map_decodes_the_place_under_the_pointer(page, view):
    points = Points(page, view)
    canvas, gauge = page.get_by_label(DECODED), page.locator("#panel .honest")
    places = [np.round(points.place.middle - (x, y)) for x in range(-300, 301, 100) for y in range(-300, 301, 100)]
    near = points.spots[points.lonely()[0]].round()
    far = max(places, key=lambda spot: points.decoded(view, spot)[1])
    seen = []
    for spot in (near, far):
        page.mouse.move(*spot)
        picture, ratio, trip = points.decoded(view, spot)
        expect(gauge).to_contain_text(f"{ratio:.2f} × the usual distance")
        expect(gauge).to_contain_text(f"comes back {100 * trip:.0f} % away")
        until(page, lambda picture=picture: shows(canvas, picture))
        seen.append((picture, gauge.locator("strong").text_content(), gauge.locator(".needle").bounding_box()["x"]))
    assert np.abs(seen[0][0].astype(int) - seen[1][0]).max() > 3
    assert seen[0][1] == "among the data" != seen[1][1]
    assert seen[0][2] < seen[1][2]


def test_a_press_holds_the_place_and_another_lets_it_go(page, view):
    points = Points(page, view)
    held, other = (points.place.middle.round() + away for away in ([40, 30], [-200, 120]))
    gauge = page.locator("#panel .honest")
    page.mouse.click(*held)
    expect(page.get_by_text("Held here.")).to_be_visible()
    words = f"{points.decoded(view, held)[1]:.2f} ×"
    expect(gauge).to_contain_text(words)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/api/decode" in request.url else None)
    page.mouse.move(*other)
    processed(page)
    assert asked == []
    page.mouse.click(*other)
    expect(page.get_by_text("Held here.")).to_have_count(0)
    expect(gauge).to_contain_text(f"{points.decoded(view, other)[1]:.2f} ×")
    page.mouse.move(*held)
    expect(gauge).to_contain_text(words)


def test_the_legend_hides_a_class_or_all_others(page, view):
    points = Points(page, view)
    rows = points.lonely()
    colours, labels = class_colours(view), view.labels[rows]
    expect(page.locator(".legend .entry")).to_have_text(view.run.class_names)
    first = page.locator(".legend .entry").first

    def drawn(shown):
        kept = np.isin(labels, shown)
        there = distance(colours_at(page, points, rows), colours[labels]) < 60
        return there[kept].mean() > 0.95 and not there[~kept].any()

    first.click()
    expect(first).to_have_attribute("aria-pressed", "false")
    until(page, lambda: drawn([1, 2]))
    first.dblclick()
    until(page, lambda: drawn([0]))
    expect(first).to_have_attribute("aria-pressed", "true")


def test_a_hidden_class_stays_so_over_maps_and_columns(page, view):
    first = page.locator(".legend .entry").first
    first.click()
    page.get_by_label("Map", exact=True).select_option("pca")
    points = Points(page, view, "pca")
    rows = points.lonely()
    wanted = class_colours(view)[view.labels[rows]]

    def hidden():
        there = distance(colours_at(page, points, rows), wanted) < 60
        return there[view.labels[rows] > 0].mean() > 0.9 and there[view.labels[rows] == 0].mean() < 0.1

    until(page, hidden)
    colour = page.get_by_label("Colour")
    colour.select_option(label="cluster")
    expect(first).to_have_attribute("aria-pressed", "true")
    colour.select_option(label="class")
    expect(first).to_have_attribute("aria-pressed", "false")
    until(page, hidden)


def test_another_map_decodes_again(page, view):
    gauge = page.locator("#panel .honest")
    page.mouse.move(*Points(page, view).spots[0].round())
    page.get_by_label("Map", exact=True).select_option("pca")
    units = np.array([32768, 32768]) / 65_535
    facts, _ = view.map_points("pca")
    place = units * facts["size"] + [facts["left"], facts["bottom"]]
    ratio = decoding.decode_at(view, "pca", *place).arrays["ratio"][0]
    expect(gauge).to_contain_text(f"{ratio:.2f} ×")


def test_a_column_of_numbers_gets_a_scale(page, view):
    page.get_by_label("Colour").select_option(label="reconstruction error")
    expect(page.locator(".legend .ramp")).to_be_visible()
    points = Points(page, view)  # only now, as the legend's height is part of where they lie
    errors = view.column("error")
    ends = [float(np.quantile(errors, share, method=how)) for share, how in ((0.01, "lower"), (0.99, "higher"))]
    shown = [float(field.input_value()) for field in page.locator(".legend input").all()]
    assert shown == pytest.approx(ends, rel=0.06)  # two digits
    rows = points.lonely()
    for some, name in ((rows[errors[rows] <= ends[0]], "low"), (rows[errors[rows] >= ends[1]], "high")):
        assert len(some)
        until(page, lambda s=some, n=name: (distance(colours_at(page, points, s), VIRIDIS[n]) < 60).all())


def test_an_image_under_the_pointer_is_shown_beside_it(page, view):
    points = Points(page, view)
    row = points.lonely()[0]
    page.mouse.move(*points.spots[row])
    card = page.locator(".hover")
    expect(card).to_be_visible()
    expect(card).to_contain_text(str(view.ids[row]))
    expect(card).to_contain_text(view.run.class_names[view.labels[row]])
    answer = view.image(int(row))
    error = float(re.search(r"error ([\d.e-]+)", card.inner_text())[1])
    assert error == pytest.approx(answer.facts["error"], rel=0.005)
    for canvas, name in zip(card.locator("canvas").all(), ("pixels", "reconstruction"), strict=True):
        assert shows(canvas, answer.arrays[name].reshape(view.run.image_shape)[0])
    page.mouse.move(5, 5)
    expect(card).to_be_hidden()


def selected_in(page, points, tool):
    """Draw with a tool; which points lie in what was drawn."""
    middle, reach = points.place.middle.round(), 0.3 * 65_536 * points.place.scale
    shape = [(-1, -0.9), (0.8, -0.7), (0.9, 0.6), (-0.2, 0.8), (0.1, -0.2), (-0.7, 0.7)]
    spots = [middle + np.round(reach * np.array(one)) for one in (shape if tool == "lasso" else shape[::2])]
    page.get_by_role("button", name=tool, exact=True).click()
    drag(page, spots)
    (left, top), (right, bottom) = spots[0], spots[-1]
    corners = spots if tool == "lasso" else [(left, top), (right, top), (right, bottom), (left, bottom)]
    return np.flatnonzero(Path(points.place.in_units(corners)).contains_points(np.c_[points.x, points.y]))


@pytest.mark.parametrize("tool", ["box", "lasso"])
def test_what_is_drawn_around_is_selected(page, view, tool):
    rows = selected_in(page, Points(page, view), tool)
    assert 5 < len(rows) < len(view.ids) - 5
    until(page, lambda: status(page) == f"{len(rows)} images selected")
    bar = page.get_by_role("group", name="Selection")
    expect(bar.locator("strong")).to_have_text(f"{len(rows)} images selected")
    page.locator(".map").focus()
    page.keyboard.press("Escape")
    until(page, lambda: status(page) == "0 images selected")
    expect(bar).to_be_hidden()


def test_a_selection_is_tagged_and_its_table_taken_away(page, view, address, run):
    rows = selected_in(page, Points(page, view), "lasso")
    ids = [str(one) for one in view.ids[rows]]
    open_tab(page, "Lists")
    page.get_by_label("Tag", exact=True).fill("odd <i>")
    page.get_by_role("button", name="Tag", exact=True).click()
    until(page, lambda: status(page) == f"{len(ids)} images tagged odd <i>.")
    expect(page.locator(".tags")).to_contain_text(f"odd <i> {len(ids)} images")
    points = {"odd <i>": rows.tolist()}
    told = {"tags": {"odd <i>": ids}, "points": points, "rows": points}
    assert ask(address, "api/tags") == {**told, "colours": view.info()["colours"][:2]}  # those of classes
    assert json.loads((run / "tags.jsonl").read_text())["ids"] == ids
    with page.expect_download() as download:
        page.get_by_role("button", name="Download tags (CSV)").click()
    assert download.value.suggested_filename == "run-tags.csv"
    assert download.value.path().read_text().splitlines()[1:] == [f"{one},odd <i>" for one in ids]
    page.get_by_role("button", name="Look at them").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save CSV").click()
    assert download.value.suggested_filename == "run-selection.csv"
    table = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert [line["id"] for line in table] == ids
    assert {line["tags"] for line in table} == {"odd <i>"}
    open_tab(page, "Lists")
    page.get_by_label("Tag", exact=True).fill("constructor")
    page.get_by_role("button", name="Untag").click()
    until(page, lambda: status(page) == "0 images no longer tagged constructor.")
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("group", name="Selection")).to_be_hidden()
    page.get_by_role("button", name="Select the images tagged odd <i>").click()
    expect(page.get_by_text(f"{len(ids)} images selected")).to_be_visible()
    page.get_by_label("Tag", exact=True).fill("odd <i>")
    page.get_by_role("button", name="Untag").click()
    expect(page.locator(".tags li")).to_have_count(0)
    until(page, lambda: status(page) == f"{len(ids)} images no longer tagged odd <i>.")
    assert ask(address, "api/tags") == {"tags": {}, "points": {}, "rows": {}, "colours": view.info()["colours"][:1]}


def test_a_list_opens_an_image(page, view):
    open_tab(page, "Lists")
    for kind, title in (("worst-rebuilt", "Largest errors"), ("far-from-all", "Far from all others")):
        page.get_by_label("List", exact=True).select_option(label=title)
        found = read_review(view.run).of_kind(kind)
        expect(page.locator("#panel .bare")).to_have_count(min(24, len(found)))
        expect(page.locator("#panel .bare").first).to_contain_text(found[0].id)
    page.locator("#panel .bare").first.click()
    expect(page.get_by_role("tab", name="Image")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#panel .facts")).to_contain_text(found[0].id)
    answer = view.image(id=found[0].id)
    until(page, lambda: shows(page.locator(".three canvas").first, answer.arrays["pixels"][0]))


def test_another_map_is_flown_to(page, view):
    page.evaluate(
        "() => { const post = Worker.prototype.postMessage; window.flights = [];"
        "Worker.prototype.postMessage = function (message, ...rest)"
        "{ if (message.type === 'points') flights.push(message.lasts); return post.call(this, message, ...rest); } }"
    )
    points = Points(page, view, "pca")
    rows = points.lonely()
    for scheme in ("no-preference", "reduce"):
        page.emulate_media(reduced_motion=scheme)
        page.get_by_label("Map", exact=True).select_option("tsne")
        page.get_by_label("Map", exact=True).select_option("pca")
        wanted = class_colours(view)[view.labels[rows]]
        until(page, lambda wanted=wanted: np.mean(distance(colours_at(page, points, rows), wanted) < 60) > 0.95)
    assert page.evaluate("flights") == [600, 0, 0]  # the first choice is the map that is there already
    page.mouse.move(*points.place.middle.round())
    ratio = points.decoded(view, points.place.middle.round())[1]
    expect(page.locator("#panel .honest")).to_contain_text(f"{ratio:.2f} ×")
