"""The explorer's page in a real browser, on the real server: what hands do to it, and what it then shows and says."""

import json
import re
import shutil

import numpy as np
import pytest
from matplotlib.path import Path

from browser import (
    Points,
    ask,
    chromium,
    drag,
    expect,
    learned_run,
    open_tab,
    opened,
    screenshot,
    served,
    shows,
    slide,
    status,
    until,
)
from latens.explorer import View, decoding
from latens.latents import to_uint8
from latens.review import read_review
from latens.runs import open_run

DECODED = "What the decoder makes of the place under the pointer"
ACCENT = (0x1A, 0x5F, 0x96)
VIRIDIS = {"low": (0x44, 0x01, 0x54), "high": (0xFD, 0xE7, 0x25)}


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A copy, since tags are written to it."""
    return shutil.copytree(learned_run(tmp_path_factory), tmp_path_factory.mktemp("page") / "run")


@pytest.fixture(scope="module")
def view(run):
    """The same run asked without a server."""
    return View(open_run(run))


@pytest.fixture(scope="module")
def address(run):
    with served(run) as found:
        yield found


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        yield page


def class_colours(view):
    return np.array([list(bytes.fromhex(colour[1:])) for colour in view.info()["colours"]])


def colours_at(page, points, rows):
    """What lies where points are, int (N, 3)."""
    seen = screenshot(page)
    return np.array([seen[int(y), int(x)] for x, y in points.spots[rows]])


def distance(colours, wanted):
    return np.abs(colours - np.asarray(wanted)).max(-1)


def test_the_map_shows_each_image_in_the_colour_of_its_class(page, view):
    points = Points(page, view)
    rows = points.lonely()
    assert len(rows) > 50
    wanted = class_colours(view)[view.labels[rows]]
    until(page, lambda: np.mean(distance(colours_at(page, points, rows), wanted) < 40) > 0.95)
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
    page.wait_for_timeout(150)
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
        there = distance(colours_at(page, points, rows), colours[labels]) < 40
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
        there = distance(colours_at(page, points, rows), wanted) < 40
        return there[view.labels[rows] > 0].mean() > 0.9 and there[view.labels[rows] == 0].mean() < 0.1

    until(page, hidden)
    colour = page.get_by_label("Colour")
    colour.select_option(label="cluster")
    expect(first).to_have_attribute("aria-pressed", "true")
    colour.select_option(label="class")
    expect(first).to_have_attribute("aria-pressed", "false")
    until(page, hidden)


def test_another_map_decodes_anew(page, view):
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
    shown = [float(text) for text in re.findall(r"[\d.e-]+", page.locator(".legend").inner_text())[:2]]
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
    assert ask(address, "api/tags") == {"tags": {"odd <i>": ids}, "points": {"odd <i>": rows.tolist()}}
    assert json.loads((run / "tags.jsonl").read_text())["ids"] == ids
    for press, name, lines in (
        ("Download tags", "tags", [f"{one},odd <i>" for one in ids]),
        ("Save ids", "selection", ids),
    ):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"{press} (CSV)").click()
        assert download.value.suggested_filename == f"run-{name}.csv"
        assert download.value.path().read_text().splitlines()[1:] == lines
    page.get_by_label("Tag", exact=True).fill("constructor")
    page.get_by_role("button", name="Untag").click()
    until(page, lambda: status(page) == "0 images no longer tagged constructor.")
    page.get_by_role("button", name="Let go").click()
    expect(page.get_by_role("group", name="Selection")).to_be_hidden()
    page.get_by_role("button", name="Select the images tagged odd <i>").click()
    expect(page.get_by_text(f"{len(ids)} images selected")).to_be_visible()
    page.get_by_label("Tag", exact=True).fill("odd <i>")
    page.get_by_role("button", name="Untag").click()
    expect(page.locator(".tags li")).to_have_count(0)
    until(page, lambda: status(page) == f"{len(ids)} images no longer tagged odd <i>.")
    assert ask(address, "api/tags") == {"tags": {}, "points": {}}


def test_a_list_opens_an_image(page, view):
    open_tab(page, "Lists")
    for kind, title in (("worst-rebuilt", "Worst rebuilt"), ("far-from-all", "Far from all others")):
        page.get_by_label("List", exact=True).select_option(label=title)
        found = read_review(view.run).of_kind(kind)
        expect(page.locator("#panel .bare")).to_have_count(min(24, len(found)))
        expect(page.locator("#panel .bare").first).to_contain_text(found[0].id)
    page.locator("#panel .bare").first.click()
    expect(page.get_by_role("tab", name="Image")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#panel .facts")).to_contain_text(found[0].id)
    answer = view.image(id=found[0].id)
    until(page, lambda: shows(page.locator(".three canvas").first, answer.arrays["pixels"][0]))


def point_of(view, words):
    """The point that "image ID · CLASS" names."""
    return view.row_of(None, words.split(" · ")[0].removeprefix("image ")) - view.first


def test_a_path_is_there_at_once_and_followed_by_the_handle(page, view):
    open_tab(page, "Path")
    strip = page.locator(".strip .step")
    expect(strip).to_have_count(13)
    ends = [point_of(view, words) for words in page.locator(".chosen").all_text_contents()]
    arrays = decoding.path(view, [ends[0]], [ends[1]], "linear", 13, "tsne").arrays
    assert [view.labels[one] for one in ends] == [2, 1]
    points = Points(page, view)
    for step in (0, 6, 12):
        slide(page.get_by_label("Along the path", exact=True), step)
        until(page, lambda k=step: shows(page.get_by_label("The picture at the handle"), arrays["pixels"][k, 0]))
        expect(page.locator("#panel .honest")).to_contain_text(f"{arrays['ratio'][step]:.2f} ×")
        assert shows(strip.nth(step).locator("canvas"), arrays["pixels"][step, 0])
        expect(strip.nth(step)).to_have_attribute("aria-current", "true")
        spot = points.on_map(arrays["places"][step])
        until(page, lambda at=spot: distance(screenshot(page)[int(at[1]), int(at[0])], ACCENT) < 10)
    strip.nth(3).click()
    expect(page.get_by_label("Along the path", exact=True)).to_have_value("3")


def test_another_way_and_other_ends_make_another_path(page, view):
    open_tab(page, "Path")
    strip = page.locator(".strip canvas")
    expect(strip).to_have_count(13)
    ends = [point_of(view, words) for words in page.locator(".chosen").all_text_contents()]
    points = Points(page, view)
    middles = []
    for way, words in (("spherical", "arc"), ("graph", "from neighbour to neighbour")):
        page.get_by_label("Way", exact=True).select_option(label=words)
        answer = decoding.path(view, [ends[0]], [ends[1]], way, 13, "tsne")
        middles.append(answer.arrays["pixels"][6, 0])
        until(page, lambda: shows(strip.nth(6), middles[-1]))
        kinds = ["good" if ratio <= 1.5 else "fair" if ratio <= 2.5 else "bad" for ratio in answer.arrays["ratio"]]
        assert [one.get_attribute("data-kind") for one in page.locator(".step").all()] == kinds
    assert np.abs(middles[0].astype(int) - middles[1]).max() > 3
    row = points.lonely()[0]
    page.get_by_role("button", name="Pick on the map").first.click()
    page.mouse.click(*points.spots[row])
    expect(page.locator(".chosen").first).to_contain_text(f"{view.ids[row]} ·")
    until(page, lambda: shows(strip.first, to_uint8(view.run.decode(view.latents[row : row + 1]))[0, 0]))
    page.get_by_role("button", name="Swap").click()
    expect(page.locator(".chosen").last).to_contain_text(f"{view.ids[row]} ·")


def test_the_probe_is_the_notebooks(page, view):
    open_tab(page, "Probe")
    cards = page.locator("#panel .grid canvas")
    expect(cards).to_have_count(3)
    means = to_uint8(view.run.decode(view.run.sampler("class-means").means))[:, 0]
    slide(page.get_by_label("Noise"), 0)
    until(page, lambda: all(shows(one, mean) for one, mean in zip(cards.all(), means, strict=True)))
    slide(page.get_by_label("Noise"), 2)
    until(page, lambda: not shows(cards.first, means[0]))
    expect(page.locator("output").first).to_have_text("2.00")
    drawn = decoding.probe(view, noise=2.0, seed=0, map="tsne").arrays
    before = drawn["pixels"][:, 0]
    until(page, lambda: shows(cards.first, before[0]))
    page.get_by_role("button", name="Draw again").click()
    until(page, lambda: not any(shows(one, old) for one, old in zip(cards.all(), before, strict=True)))
    expect(page.locator(".scores")).to_contain_text("distance from the data")


def test_a_latent_is_pulled_at_number_by_number_and_along_directions(page, view):
    open_tab(page, "Image")
    points = Points(page, view)
    row = points.lonely()[0]
    page.mouse.click(*points.spots[row])
    bars, canvas = page.get_by_label(re.compile(r"^latent \d+$")), page.get_by_label("What the changed latent")
    expect(bars).to_have_count(8)
    z = view.latents[row].copy()

    def picture(latent):
        return to_uint8(view.run.decode(latent[None]))[0, 0]

    until(page, lambda: shows(canvas, picture(z)))
    bars.nth(2).scroll_into_view_if_needed()
    box = bars.nth(2).bounding_box()
    along = [(box["x"] + box["width"] * share, box["y"] + box["height"] / 2) for share in (0.5, 0.7, 0.97)]
    drag(page, along)
    z[2] = float(bars.nth(2).input_value())
    assert z[2] > abs(view.latents[row]).max()
    until(page, lambda: shows(canvas, picture(z)))
    assert not shows(canvas, picture(view.latents[row]))
    page.get_by_role("button", name="Back to the image's own").click()
    until(page, lambda: shows(canvas, picture(view.latents[row])))
    about = decoding.directions(view, int(row)).arrays
    slide(page.get_by_label(re.compile("of their variance")).first, 3)
    moved = view.latents[row] + 3 * about["deviations"][0] * about["directions"][0]
    moved = np.clip(moved, about["lowest"], about["highest"])
    until(page, lambda: shows(canvas, picture(moved)))
    assert not shows(canvas, picture(view.latents[row]))


def test_a_decoded_place_is_taken_along_as_a_latent(page, view):
    points = Points(page, view)
    spot = points.place.middle.round() + 40
    page.mouse.click(*spot)
    expect(page.get_by_text("Held here.")).to_be_visible()
    picture = points.decoded(view, spot)[0]
    until(page, lambda: shows(page.get_by_label(DECODED), picture))
    page.get_by_role("button", name="Take this latent").click()
    expect(page.get_by_role("tab", name="Image")).to_have_attribute("aria-selected", "true")
    until(page, lambda: shows(page.get_by_label("What the changed latent"), picture))


def test_arrow_keys_walk_from_image_to_image(page, view):
    open_tab(page, "Image")
    page.locator(".map").focus()
    rows = []
    for key in ("ArrowRight", "ArrowRight", "ArrowUp"):
        before = status(page)
        page.keyboard.press(key)
        until(page, lambda before=before: status(page) not in ("", before))
        rows.append(point_of(view, status(page)))
        expect(page.locator("#panel .facts")).to_contain_text(str(view.ids[rows[-1]]))
    _, places = view.map_points("tsne")
    assert places["x"][rows[0]] < places["x"][rows[1]]
    assert places["y"][rows[1]] < places["y"][rows[2]]


def test_images_are_selected_by_the_keyboard(page, view):
    page.locator(".map").focus()
    count = page.get_by_role("group", name="Selection").locator("strong")
    for key, words in (("s", "1 image selected"), ("s", "2 images selected")):
        before = status(page)
        page.keyboard.press("ArrowRight")
        until(page, lambda before=before: status(page) not in ("", before))
        page.keyboard.press(key)
        expect(count).to_have_text(words)
        until(page, lambda words=words: status(page) == words)
    page.keyboard.press("s")
    expect(count).to_have_text("1 image selected")


def test_the_handle_follows_the_pointer_along_the_path(page, view):
    open_tab(page, "Path")
    expect(page.locator(".strip .step")).to_have_count(13)
    ends = [point_of(view, words) for words in page.locator(".chosen").all_text_contents()]
    places = decoding.path(view, [ends[0]], [ends[1]], "linear", 13, "tsne").arrays["places"]
    points = Points(page, view)
    handle = page.get_by_label("Along the path", exact=True)
    page.mouse.move(*points.on_map(places[12]))
    expect(handle).to_have_value("12")


def test_the_handle_is_dragged_and_stands_between_pictures(page, view):
    open_tab(page, "Path")
    expect(page.locator(".strip .step")).to_have_count(13)
    ends = [point_of(view, words) for words in page.locator(".chosen").all_text_contents()]
    arrays = decoding.path(view, [ends[0]], [ends[1]], "linear", 13, "tsne").arrays
    handle, large = page.get_by_label("Along the path", exact=True), page.get_by_label("The picture at the handle")
    slide(handle, 5.5)
    between = decoding.decode(view, arrays["latents"][5:7].mean(0, keepdims=True)).arrays
    until(page, lambda: shows(large, between["pixels"][0, 0]))
    expect(page.locator("#panel .honest")).to_contain_text(f"{between['ratio'][0]:.2f} ×")
    slide(handle, 0)
    points = Points(page, view)
    drag(page, [points.on_map(arrays["places"][step]) for step in (0, 12)])
    expect(handle).to_have_value("12")
    rows = points.lonely()
    wanted = class_colours(view)[view.labels[rows]]
    until(page, lambda: np.mean(distance(colours_at(page, points, rows), wanted) < 40) > 0.9)  # the map stayed
    until(page, lambda: shows(large, arrays["pixels"][12, 0]))


def test_an_empty_place_says_so_and_where_its_latent_belongs(page, view):
    points = Points(page, view)
    places = [np.round(points.place.middle - (x, y)) for x in range(-380, 381, 40) for y in range(-380, 381, 40)]
    units = points.place.in_units(places) / 65_535 * points.facts["size"] + [
        points.facts["left"],
        points.facts["bottom"],
    ]

    def away(place):
        own = decoding.decode_at(view, "tsne", *place).arrays["places"][0]
        return np.hypot(*(own - place)) / points.facts["size"]

    apart = [away(place) for place in units]
    limit = 2 / len(view.ids) ** 0.5
    empty, filled = places[int(np.argmax(apart))], points.spots[points.lonely()[0]].round()
    assert max(apart) > limit
    gauge = page.locator("#panel .honest")
    page.mouse.move(*empty)
    expect(gauge).to_contain_text("No image lies here")
    assert gauge.get_attribute("data-kind") != "good"
    own = decoding.decode_at(view, "tsne", *units[int(np.argmax(apart))]).arrays["places"][0]
    x, y = points.on_map(own).round().astype(int)

    def ringed():
        """Whether a ring in the text's colour lies about where the latent belongs."""
        spots = [(x + 6, y), (x - 6, y), (x, y + 6), (x, y - 6)]
        return all(distance(screenshot(page)[v, u], (0x1F, 0x23, 0x28)) < 90 for u, v in spots)

    until(page, ringed)
    page.mouse.move(*filled)
    expect(gauge).not_to_contain_text("No image lies here")


def test_a_server_that_has_stopped_is_said(browser, run):
    with served(run) as address, opened(browser, address) as page:
        open_tab(page, "Probe")
        expect(page.locator("#panel .grid canvas")).to_have_count(3)
        note = page.get_by_role("alert")
        expect(note).to_be_hidden()
        page.route("**/api/**", lambda route: route.abort())
        page.get_by_role("button", name="Draw again").click()
        expect(note).to_contain_text("server has stopped")
        page.unroute("**/api/**")
        page.get_by_role("button", name="Draw again").click()
        expect(note).to_be_hidden()
        page.errors.clear()  # that it did not answer stands in the console


def test_each_class_is_named_where_most_of_it_lies(page, view):
    points = Points(page, view)

    def ink_near(label):
        """How many pixels of the text's colour lie inside the class."""
        x, y = np.median(points.spots[view.labels == label], axis=0).astype(int)
        return (distance(screenshot(page)[y - 60 : y + 60, x - 60 : x + 60], (0x1F, 0x23, 0x28)) < 30).sum()

    until(page, lambda: all(ink_near(label) > 10 for label in range(3)))
    page.locator(".legend .entry").first.click()  # a hidden class has no name
    until(page, lambda: ink_near(0) == 0)


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
        until(page, lambda wanted=wanted: np.mean(distance(colours_at(page, points, rows), wanted) < 40) > 0.95)
    assert page.evaluate("flights") == [600, 600, 0, 0]
    page.mouse.move(*points.place.middle.round())
    ratio = points.decoded(view, points.place.middle.round())[1]
    expect(page.locator("#panel .honest")).to_contain_text(f"{ratio:.2f} ×")
