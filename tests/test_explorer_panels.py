"""The panels of the explorer's page in a real browser: what each shows of the run, compared with the run's arrays."""

import re

import numpy as np

from browser import (
    Points,
    class_colours,
    colours_at,
    distance,
    drag,
    expect,
    open_tab,
    opened,
    screenshot,
    served,
    shows,
    slide,
    status,
    until,
)
from latens.explorer import decoding
from latens.images.pixels import to_uint8

DECODED = "The decoded image of the place under the pointer"
ACCENT = (0x1A, 0x5F, 0x96)


def point_of(view, words):
    """The point that "image ID · CLASS" names."""
    return view.row_of(None, words.split(" · ")[0].removeprefix("image ")) - view.first


def covers(seen, spot):
    """Whether a disc in the colour of the handle lies at a place; the name of a class may be written over its middle."""
    x, y = (int(value) for value in spot)
    return (distance(seen[y - 4 : y + 5, x - 4 : x + 5], ACCENT) < 10).mean() > 0.5


def test_a_path_is_there_at_once_and_followed_by_the_handle(page, view):
    open_tab(page, "Path")
    strip = page.locator(".strip .step")
    expect(strip).to_have_count(13)
    ends = [point_of(view, words) for words in page.locator(".chosen").all_text_contents()]
    arrays = decoding.path(view, [[ends[0]], [ends[1]]], "linear", 13, "tsne").arrays
    assert [view.labels[one] for one in ends] == [2, 1]
    points = Points(page, view)
    for step in (0, 6, 12):
        slide(page.get_by_label("Along the path", exact=True), step)
        until(page, lambda k=step: shows(page.get_by_label("The decoded image at the handle"), arrays["pixels"][k, 0]))
        expect(page.locator("#panel .honest")).to_contain_text(f"{arrays['ratio'][step]:.2f} ×")
        assert shows(strip.nth(step).locator("canvas"), arrays["pixels"][step, 0])
        expect(strip.nth(step)).to_have_attribute("aria-current", "true")
        spot = points.on_map(arrays["places"][step])
        until(page, lambda at=spot: covers(screenshot(page), at))
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
        page.get_by_label("Kind of path", exact=True).select_option(label=words)
        answer = decoding.path(view, [[ends[0]], [ends[1]]], way, 13, "tsne")
        middles.append(answer.arrays["pixels"][6, 0])
        until(page, lambda: shows(strip.nth(6), middles[-1]))
        off = [answer.arrays["ratio"], answer.arrays["moved"], 6 * answer.arrays["round_trip"]]
        kinds = ["good" if most <= 1.5 else "fair" if most <= 2.5 else "bad" for most in np.max(off, axis=0)]
        assert [one.get_attribute("data-kind") for one in page.locator(".step").all()] == kinds
    assert np.abs(middles[0].astype(int) - middles[1]).max() > 3
    row = points.lonely()[0]
    page.get_by_role("button", name="Pick on the map").first.click()
    page.mouse.click(*points.spots[row])
    expect(page.locator(".chosen").first).to_contain_text(f"{view.ids[row]} ·")
    until(page, lambda: shows(strip.first, to_uint8(view.run.decode(view.latents[row : row + 1]))[0, 0]))
    page.get_by_role("button", name="Swap").click()
    expect(page.locator(".chosen").last).to_contain_text(f"{view.ids[row]} ·")


def test_the_probe_draws_about_the_means_of_the_classes(page, view):
    open_tab(page, "Probe")
    cards = page.locator("#panel .grid canvas")
    expect(cards).to_have_count(3)
    means = to_uint8(view.run.decode(view.run.sampler("class-means").means))[:, 0]
    noise = page.get_by_label("Noise", exact=True)
    slide(noise, 0)
    until(page, lambda: all(shows(one, mean) for one, mean in zip(cards.all(), means, strict=True)))
    slide(noise, 2)
    until(page, lambda: not shows(cards.first, means[0]))
    expect(page.locator("#panel output").first).to_have_text("2.00 × spread")
    drawn = decoding.probe(view, noise=2.0, seed=0, map="tsne", unit="spread").arrays
    until(page, lambda: shows(cards.first, drawn["pixels"][0, 0]))
    page.get_by_label("Unit of the noise").select_option(label="latent units")
    expect(page.locator("#panel output").first).to_have_text("2.00")
    before = decoding.probe(view, noise=2.0, seed=0, map="tsne", unit="latent").arrays["pixels"][:, 0]
    assert np.abs(before.astype(int) - drawn["pixels"][:, 0]).max() > 3
    until(page, lambda: shows(cards.first, before[0]))
    page.get_by_role("button", name="Draw again").click()
    until(
        page,
        lambda: cards.count() == 3 and not any(shows(cards.nth(k), old) for k, old in enumerate(before)),
    )
    expect(page.locator(".scores")).to_contain_text("distance from the data")


def test_a_latent_is_pulled_at_number_by_number_and_along_directions(page, view):
    open_tab(page, "Image")
    points = Points(page, view)
    row = points.lonely()[0]
    page.mouse.click(*points.spots[row])
    bars, canvas = (
        page.get_by_label(re.compile(r"^latent \d+$")),
        page.get_by_label("The decoded image of the latent"),
    )
    expect(bars).to_have_count(8)
    expect(
        page.get_by_label(re.compile("of their variance")).first
    ).to_be_visible()  # nothing comes later and moves the bars
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
    page.get_by_role("button", name="Back to the latent of this image").click()
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
    until(page, lambda: shows(page.get_by_label("The decoded image of the latent"), picture))


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
    places = decoding.path(view, [[ends[0]], [ends[1]]], "linear", 13, "tsne").arrays["places"]
    points = Points(page, view)
    handle = page.get_by_label("Along the path", exact=True)
    page.mouse.move(*points.on_map(places[12]))
    expect(handle).to_have_value("12")


def away(spot, along):
    """How far a place (2,) lies from a line through places (N, 2)."""
    start, step = along[:-1], np.diff(along, axis=0)
    share = ((spot - start) * step).sum(1) / np.maximum((step**2).sum(1), 1e-9)
    return np.linalg.norm(start + step * np.clip(share, 0, 1)[:, None] - spot, axis=1).min()


def test_the_handle_is_dragged_and_stands_between_pictures(page, view):
    open_tab(page, "Path")
    expect(page.locator(".strip .step")).to_have_count(13)
    ends = [point_of(view, words) for words in page.locator(".chosen").all_text_contents()]
    arrays = decoding.path(view, [[ends[0]], [ends[1]]], "linear", 13, "tsne").arrays
    handle, large = (
        page.get_by_label("Along the path", exact=True),
        page.get_by_label("The decoded image at the handle"),
    )
    slide(handle, 5.5)
    between = decoding.decode(view, arrays["latents"][5:7].mean(0, keepdims=True)).arrays
    until(page, lambda: shows(large, between["pixels"][0, 0]))
    expect(page.locator("#panel .honest")).to_contain_text(f"{between['ratio'][0]:.2f} ×")
    slide(handle, 3)
    points = Points(page, view)
    along = np.array([points.on_map(place) for place in arrays["places"]])
    drag(page, [along[3], along[12]])  # at the ends of the line the ends themselves are dragged
    expect(handle).to_have_value("12")
    handle.hover()  # off the map: the card of the hovered image would hide points
    rows = np.array(
        [row for row in points.lonely() if away(points.spots[row], along) > 14]
    )  # the path hides points too
    wanted = class_colours(view)[view.labels[rows]]
    until(page, lambda: np.mean(distance(colours_at(page, points, rows), wanted) < 60) > 0.9)  # the map stayed
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
        far, spots = distance(screenshot(page), (0x1F, 0x23, 0x28)), [(x + 6, y), (x - 6, y), (x, y + 6), (x, y - 6)]
        return all(far[v - 1 : v + 2, u - 1 : u + 2].min() < 90 for u, v in spots)  # the place lies between pixels

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
        expect(note).to_contain_text("has stopped: start it again")
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
