"""Every job of the page by fingers alone, on a phone and a tablet: nothing hovers, and there are no keys but for words."""

import io
import re
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.path import Path
from PIL import Image

from browser import (
    PHONE,
    TABLET,
    Place,
    Points,
    ask,
    class_colours,
    colours_at,
    distance,
    expect,
    finger_slides,
    open_tab,
    opened,
    processed,
    screenshot,
    settled,
    shows,
    status,
    straight,
    swipe,
    until,
)
from latens.explorer import decoding

LEAST = 24  # CSS pixels of a target, each way (WCAG 2.2, 2.5.8)
SMALL = """least => [...document.querySelectorAll('button, select, input, summary, [role=option], .ramp')]
  .filter((one) => one.checkVisibility({visibilityProperty: true}) && !one.closest('.unseen'))
  .map((one) => [one.getAttribute('aria-label') || one.textContent || one.id || one.className, one.getBoundingClientRect()])
  .filter(([, {width, height}]) => width && (width < least || height < least))
  .map(([name, {width, height}]) => `${name}: ${width} x ${height}`)"""


@pytest.fixture(params=[PHONE, TABLET], ids=["phone", "tablet"])
def held(request, browser, address):
    """The page in the hand."""
    with opened(browser, address, **request.param) as page:
        settled(page)
        yield page


@pytest.fixture
def phone(browser, anywhere):
    with opened(browser, anywhere, **PHONE) as page:
        settled(page)
        yield page


def tap(page, name, role="button", exact=True):
    page.get_by_role(role, name=name, exact=exact).tap()


def tap_tab(page, name):
    tap(page, name, "tab")


def tap_map(page, spot):
    page.touchscreen.tap(*(float(one) for one in spot))


def current(page):
    found = re.search(r"image=([^&]+)", page.url)
    return found and found[1]


def choose(page, points, view, row):
    """Tap a point of the map; what the address then names."""
    tap_map(page, points.spots[row])
    until(page, lambda: current(page) == view.ids[row + view.first])


def selected(page):
    found = re.search(r"select=([\d.-]+)", page.url)
    return set(map(int, found[1].split("."))) if found else set()


def within(points, corners):
    return set(np.flatnonzero(Path(corners).contains_points(points.spots)).tolist())


def corners_of(points, rows, room=8):
    """A rectangle around points, as it is drawn: from its first corner to its third."""
    (left, top), (right, bottom) = points.spots[rows].min(0) - room, points.spots[rows].max(0) + room
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def near_to(points, row, count):
    return np.argsort(np.linalg.norm(points.spots - points.spots[row], axis=1))[:count]


# ---- what a finger hits


def test_no_target_is_smaller_than_a_finger_needs(held, view):
    points = Points(held, view)
    choose(held, points, view, int(points.lonely()[0]))
    tap_tab(held, "Image")
    tap(held, "More like this")
    expect(held.locator(".cell").first).to_be_visible()
    held.get_by_label("Colour", exact=True).select_option(label="reconstruction error")
    expect(held.locator(".ramp")).to_be_visible()
    for tab in held.get_by_role("tab").all():
        tab.tap()
        expect(held.locator("#panel [aria-busy=true]")).to_have_count(0)
        processed(held)
        assert not held.evaluate(SMALL, LEAST), tab.inner_text()
    tap_tab(held, "Classes")
    narrowest = held.locator(".confusion").first.evaluate("e => parseFloat(getComputedStyle(e).minWidth)")
    assert narrowest >= LEAST  # also of the 24 classes that a table may have
    tap(held, "save…")
    assert not held.evaluate(SMALL, LEAST)


def test_text_fields_do_not_make_ios_zoom(held):
    tap_tab(held, "Image")
    sizes = held.locator("input:is([type=text], [type=number]), select").evaluate_all(
        "all => all.map((one) => parseFloat(getComputedStyle(one).fontSize))"
    )
    assert min(sizes) >= 16


def test_a_finger_that_trembles_presses_and_does_not_move_the_map(phone, view):
    points = Points(phone, view)
    row = int(points.lonely()[0])
    spot = points.spots[row]
    swipe(phone, [spot, np.add(spot, [4, 3]), np.add(spot, [7, 2])])
    until(phone, lambda: current(phone) == view.ids[row + view.first])
    assert "view=" not in phone.url


def test_a_finger_that_misses_a_point_by_a_little_finds_it(phone, view):
    points = Points(phone, view)
    row = int(points.lonely()[0])
    away = [(18 * np.cos(turn), 18 * np.sin(turn)) for turn in np.linspace(0, 2 * np.pi, 16, endpoint=False)]
    others = [np.linalg.norm(points.spots - points.spots[row] - one, axis=1) for one in away]
    aim = next(one for one, far in zip(away, others, strict=True) if np.argmin(far) == row)
    tap_map(phone, points.spots[row] + aim)
    until(phone, lambda: current(phone) == view.ids[row + view.first])


def test_the_page_scrolls_beside_the_map_and_not_on_it(held):
    open_tab(held, "Run")
    expect(held.locator("#panel summary").first).to_be_visible()
    scroller = "() => document.querySelector('#panel').scrollTop + scrollY"
    box = held.locator(".map").bounding_box()
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    swipe(held, straight(middle, middle - [0, 90]))
    until(held, lambda: "view=" in held.url)  # that moved the map
    assert held.evaluate(scroller) == 0
    panel = held.locator("#panel").bounding_box()
    beside = np.array([panel["x"] + panel["width"] / 2, min(held.viewport_size["height"] - 60, panel["y"] + 400)])
    swipe(held, straight(beside, beside - [0, 150], 12))
    until(held, lambda: held.evaluate(scroller) > 50)


def test_what_is_gone_to_is_not_behind_the_map(browser, address):
    with opened(browser, address, **PHONE) as page:
        settled(page)
        open_tab(page, "Run")
        expect(page.locator("#panel summary").first).to_be_visible()
        page.locator("#panel summary").last.evaluate("e => e.scrollIntoView({block: 'end'})")
        first = page.locator("#panel summary").first
        first.focus()
        below = page.locator("#maps").bounding_box()
        assert first.bounding_box()["y"] >= below["y"] + below["height"] - 1


# ---- the selection and its grid


def test_a_selection_is_drawn_joined_and_undone(held, view):
    points = Points(held, view)
    one, other = (near_to(points, row, 6) for row in points.lonely()[:2])
    first = corners_of(points, one)
    tap(held, "box")
    swipe(held, straight(first[0], first[2]))
    until(held, lambda: selected(held) == within(points, first))
    points = Points(held, view)  # on a phone the bar of the selection takes some of the map's room
    processed(held)
    had, second = selected(held), corners_of(points, other)
    joining = held.get_by_role("group", name="Selection", exact=True).get_by_label("Next")
    joining.select_option("add")
    swipe(held, straight(second[0], second[2]))
    until(held, lambda: selected(held) == had | within(points, second))
    both, first = selected(held), corners_of(points, one)
    joining.select_option("subtract")
    tap(held, "lasso")
    swipe(held, [*straight(first[0], first[1]), *straight(first[1], first[2]), *straight(first[2], first[3])])
    until(held, lambda: selected(held) == both - within(points, first))
    assert len(selected(held)) < len(both)
    held.get_by_role("button", name="Undo").tap()
    until(held, lambda: selected(held) == both)
    held.get_by_role("button", name="Redo").tap()
    until(held, lambda: selected(held) == both - within(points, first))


def test_images_of_the_grid_are_marked_taken_out_and_kept(phone, view):
    points = Points(phone, view)
    choose(phone, points, view, int(points.lonely()[0]))
    tap_tab(phone, "Image")
    tap(phone, "More like this")
    facts = phone.locator("#panel .facts strong")
    expect(facts).to_have_text("50 images selected")
    order = list(map(int, re.search(r"select=([\d.-]+)", phone.url)[1].split(".")))
    cells = phone.locator(".cell")
    cells.nth(1).tap()  # the current one
    until(phone, lambda: current(phone) == view.ids[order[1] + view.first])
    tap(phone, "Mark")
    for at in (1, 3, 4, 3):
        phone.locator(f"#cell-{at}").tap()
    expect(phone.locator(".cell[aria-selected=true]")).to_have_count(2)
    tap(phone, "Take out 2 images")
    until(phone, lambda: selected(phone) == set(order) - {order[1], order[4]})
    phone.locator("#cell-0").tap()
    tap(phone, "Keep only 1 image")
    until(phone, lambda: selected(phone) == {order[0]})
    phone.get_by_role("button", name="Undo").tap()
    expect(facts).to_have_text("48 images selected")
    tap(phone, "Mark")
    phone.locator("#cell-2").tap()
    expect(phone.locator(".cell[aria-selected=true]")).to_have_count(0)
    counts = [int(one) for one in phone.locator(".class-row .count").all_inner_texts()]
    phone.get_by_role("button", name=re.compile("^Take out ")).first.tap()
    until(phone, lambda: len(selected(phone)) == 48 - counts[0])


def test_the_grid_scrolls_under_a_finger(phone, view):
    points = Points(phone, view)
    corners = corners_of(points, np.arange(len(points.spots)))
    tap(phone, "box")
    swipe(phone, straight(np.maximum(corners[0], points.place.middle - 185), corners[2]))
    tap(phone, "Look at them")
    grid = phone.locator(".many")
    expect(phone.locator("#cell-0")).to_be_visible()
    grid.evaluate("e => e.scrollIntoView({block: 'end'})")
    box = grid.bounding_box()
    x = box["x"] + box["width"] / 2
    swipe(phone, straight((x, box["y"] + box["height"] - 40), (x, box["y"] + box["height"] - 240), 10))
    until(phone, lambda: grid.evaluate("e => e.scrollTop") > 100)


# ---- the current image


def test_images_are_stepped_selected_and_tagged(browser, address, view):
    with opened(browser, address, **PHONE) as page:
        settled(page)
        points = Points(page, view)
        row = int(points.lonely()[0])
        choose(page, points, view, row)
        tap_tab(page, "Image")
        expect(page.locator("#panel .facts strong")).to_have_text(str(view.ids[row + view.first]))
        select = page.get_by_role("button", name="Select", exact=True)
        select.tap()
        expect(select).to_have_attribute("aria-pressed", "true")
        assert selected(page) == {row}
        page.get_by_label("Tag", exact=True).tap()
        page.keyboard.type("by hand")
        tap(page, "Tag")
        until(page, lambda: ask(address, "api/tags")["tags"].get("by hand") == [str(view.ids[row + view.first])])
        page.get_by_role("button", name="Undo").tap()
        until(page, lambda: "by hand" not in ask(address, "api/tags")["tags"])
        select.tap()
        expect(page.locator(".selection")).to_be_hidden()
        tap_tab(page, "Lists")
        page.locator("#panel .grid button").nth(1).tap()
        tap(page, "The next one")
        expect(page.locator(".steps")).to_contain_text("3 of ")
        tap(page, "The one before")
        expect(page.locator(".steps")).to_contain_text("2 of ")


# ---- find


def test_an_image_is_found_by_its_id_and_by_a_file(phone, view):
    tap_tab(phone, "Image")
    phone.get_by_label("Find", exact=True).tap()
    phone.keyboard.type(str(view.ids[17]))
    phone.keyboard.press("Enter")  # "Go" of a keyboard on glass
    until(phone, lambda: current(phone) == view.ids[17])
    file = io.BytesIO()
    Image.fromarray(view.pixels(np.array([view.first]))[0, 0]).save(file, "png")
    with phone.expect_file_chooser() as chooser:
        tap(phone, "By image…")
    chooser.value.set_files({"name": "mine.png", "mimeType": "image/png", "buffer": file.getvalue()})
    expect(phone.locator("#panel .facts strong")).to_have_text("mine.png")
    points = Points(phone, view)
    spot = points.spots[0]  # it is the first image, and lies there
    choose(phone, points, view, int(points.lonely()[0]))
    tap_map(phone, spot)
    expect(phone.locator("#panel .facts strong")).to_have_text("mine.png")
    tap(phone, "Take mine.png off the map")
    expect(phone.get_by_role("button", name="mine.png")).to_have_count(0)


# ---- colours, filters, judgements


def test_classes_are_hidden_shown_alone_and_their_numbers_told(held, view):
    points = Points(held, view)
    rows = points.lonely()
    of_first = rows[view.labels[rows] == 0]
    colours = class_colours(view)
    assert (distance(colours_at(held, points, of_first), colours[0]) < 60).mean() > 0.8
    name, count = view.run.class_names[0], int((view.labels == 0).sum())
    entry = held.locator(".legend .entry").first
    entry.tap()
    until(held, lambda: status(held) == f"{name}: {count} images are hidden.")
    until(held, lambda: (distance(colours_at(held, points, of_first), colours[0]) < 60).mean() < 0.2)
    held.locator(".chip").tap()
    until(held, lambda: (distance(colours_at(held, points, of_first), colours[0]) < 60).mean() > 0.8)
    box = entry.bounding_box()
    for _ in range(2):  # a double tap
        held.touchscreen.tap(box["x"] + 12, box["y"] + 12)
    until(held, lambda: status(held) == f"Shown alone: {name}: {count} images.")
    assert held.evaluate("visualViewport.scale") == 1
    expect(held.locator(".legend .entry[aria-pressed=true]")).to_have_count(1)


def test_a_range_is_dragged_and_the_page_stays(held, view):
    held.get_by_label("Colour", exact=True).select_option(label="reconstruction error")
    box = held.locator(".histogram").bounding_box()
    x = box["x"] + np.array([0, 0.5, 1]) * box["width"]
    y = box["y"] + box["height"] - 3
    swipe(held, [*straight((x[0], y), (x[1], y)), (x[1], y + 60)])  # though the finger leaves the track
    errors = view.column("error")
    bounds = re.compile(r"range\.error=([-\d.e]+)\.\.([-\d.e]+)")
    low, high = map(float, until(held, lambda: bounds.search(held.url)).groups())
    assert errors.min() < low < high
    assert high == pytest.approx(errors.max(), rel=1e-6)
    swipe(held, straight((x[2], y), ((x[1] + x[2]) / 2, y)))
    until(held, lambda: float(bounds.search(held.url)[2]) < errors.max())
    assert held.evaluate("scrollY") == 0

    def still():
        """Whether the last of the drag is shown: until then the chip is drawn anew."""
        before = held.locator(".chip").inner_text()
        held.wait_for_timeout(200)
        return held.locator(".chip").inner_text() == before

    until(held, still)
    held.locator(".chip").tap()
    expect(held.locator(".chip")).to_have_count(0)
    until(held, lambda: "range" not in held.url)


def test_a_number_of_the_table_selects_its_images_and_says_which(phone, view):
    predicted = view.column("predicted")
    tap_tab(phone, "Classes")
    name = view.run.class_names[1]
    of = f"{int(((view.labels == 1) & (predicted == 1)).sum())} images of class {name} with neighbours of class {name}"
    tap(phone, f"Select {of}")
    until(phone, lambda: status(phone) == f"{of} selected.")
    until(phone, lambda: selected(phone) == set(np.flatnonzero((view.labels == 1) & (predicted == 1)).tolist()))
    tap(phone, "Colour by the neighbours' class")
    until(phone, lambda: "colour=predicted" in phone.url)


# ---- decode, probe, compass, path


def test_each_tap_holds_its_own_place(held, view):
    points = Points(held, view)
    picture = held.get_by_label("The decoded image of the place under the pointer")
    for row in points.lonely()[:3]:
        tap_map(held, points.spots[row])
        wanted, *_ = points.decoded(view, points.spots[row])
        until(held, lambda wanted=wanted: shows(picture, wanted))
        expect(held.get_by_text("Held here.")).to_be_visible()
        x, y = points.spots[row].astype(int)
        accent = held.evaluate("getComputedStyle(document.body).getPropertyValue('--accent').trim()")
        accent = list(bytes.fromhex(accent[1:]))
        arms = [(x - 7, y), (x + 7, y), (x, y - 7), (x, y + 7)]  # of the cross, within the ring of the current image

        def crossed(arms=arms, accent=accent):
            seen = screenshot(held)
            return all((distance(seen[b - 1 : b + 2, a - 1 : a + 2], accent) < 60).any() for a, b in arms)

        until(held, crossed)
    tap(held, "Take this latent")
    expect(held.locator("#panel .facts strong")).to_have_text("A latent from the map")


def test_a_step_of_the_compass_is_tapped(phone, view):
    tap(phone, "Compass")
    points = Points(phone, view)
    tap_map(phone, points.spots[points.lonely()[0]])
    step = phone.get_by_role("button", name=re.compile(r"direction 1, \+2 sd"))
    step.tap()
    expect(phone.get_by_role("tab", name="Image")).to_have_attribute("aria-selected", "true")
    expect(phone.locator("#panel .facts strong")).to_have_text("A latent from the map")


def test_the_noise_of_the_probe_is_dragged(phone, view):
    tap_tab(phone, "Probe")
    first = phone.locator("#panel .grid canvas").first
    expect(first).to_be_visible()
    before = first.evaluate("c => c.toDataURL()")
    noise = phone.get_by_label("Noise", exact=True)
    finger_slides(phone, noise, 0.9)
    assert float(noise.input_value()) == pytest.approx(2.7, abs=0.15)
    until(phone, lambda: phone.locator("#panel .grid canvas").first.evaluate("c => c.toDataURL()") != before)


def test_a_way_point_is_pulled_out_of_the_path_and_removed(phone, view):
    tap_tab(phone, "Path")
    expect(phone.locator(".strip .step")).to_have_count(13)
    stops = phone.locator(".stop")
    expect(stops).to_have_count(2)
    ends = [np.array(one.bounding_box()["x"]) for one in stops.all()]
    assert len(ends) == 2
    until(phone, lambda: on_line(phone, view) is not None)
    start = on_line(phone, view)
    aside = start + np.array([0, 70 if start[1] < Place(phone).middle[1] else -70])
    swipe(phone, straight(start, aside, 10))
    expect(stops).to_have_count(3)
    until(phone, lambda: re.search(r"path=[-\d.]+_[^_]+_[-\d.]+_", phone.url))
    phone.locator(".strip .step").nth(6).tap()
    expect(phone.locator(".strip .step").nth(6)).to_have_attribute("aria-current", "true")
    tap(phone, "Remove Way point 1")
    expect(stops).to_have_count(2)
    tap(phone, "Swap")
    phone.get_by_role("button", name="Undo").tap()


def on_line(page, view):
    """A place of the path's line, far from its ends, as the route says."""
    found = re.search(r"path=(-?\d+)_(-?\d+)_(\w+)", page.url)
    if not found:
        return None
    answer = decoding.path(view, [[int(found[1])], [int(found[2])]], found[3], 13, "tsne")
    points = Points(page, view)
    steps = np.array([points.on_map(place) for place in answer.arrays["places"]])
    spots = np.concatenate([straight(*pair, 20) for pair in pairwise(steps)])
    ends = points.spots[[int(found[1]), int(found[2])]]
    far = np.linalg.norm(spots[:, None] - ends, axis=2).min(1)
    return spots[np.argmax(far)]


# ---- the image's latent, and the run's epochs


def test_sliders_of_the_latent_and_of_directions_follow_a_finger(held, view):
    points = Points(held, view)
    row = int(points.lonely()[0])
    choose(held, points, view, row)
    tap_tab(held, "Image")
    picture = held.get_by_label("The decoded image of the latent")
    bar = held.get_by_label("latent 0", exact=True)
    expect(bar).to_be_visible()
    expect(held.locator("#panel .grid.small button").first).to_be_visible()
    finger_slides(held, bar, 0.95)
    place, value = bar.bounding_box(), float(bar.input_value())
    assert value > 0.8 * float(bar.get_attribute("max"))
    latent = view.latents[row + view.first].copy()
    latent[0] = value
    wanted = decode_one(view, latent)
    until(held, lambda: shows(picture, wanted))
    verdict = held.locator("#panel .verdict")
    expect(verdict).to_contain_text("far from all data")  # longer words than before
    assert bar.bounding_box() == place  # it stays under the finger
    tap(held, "Back to the latent of this image")
    way = held.get_by_label(re.compile("of their variance")).first
    assert way.bounding_box()["width"] >= 100  # enough to be set by a finger
    finger_slides(held, way, 0.8)
    assert float(way.input_value()) > 1
    processed(held)
    until(held, lambda: not shows(picture, wanted))


def decode_one(view, latent):
    return decoding.decode(view, [latent.tolist()], "tsne").arrays["pixels"][0, 0]


def test_epochs_are_dragged_and_played(phone):
    tap_tab(phone, "Run")
    epoch = phone.get_by_label("Epoch", exact=True)
    expect(epoch).to_be_visible()
    finger_slides(phone, epoch, 0)
    expect(phone.locator("body")).to_have_class(re.compile("playing"))
    assert epoch.input_value() == "0"
    tap(phone, "Play")
    until(phone, lambda: int(epoch.input_value()) > 0)
    tap(phone, "Stop")
    tap(phone, "Back to the map")
    expect(phone.locator("body")).not_to_have_class(re.compile("playing"))


def width_of(download):
    with Image.open(download.path()) as picture:
        return picture.width


def test_the_map_a_strip_and_a_table_are_saved(phone, view):
    tap(phone, "save…")
    with phone.expect_download() as download:
        tap(phone, "Save")
    assert width_of(download.value) == 2000
    tap_tab(phone, "Path")
    expect(phone.locator(".strip .step")).to_have_count(13)
    with phone.expect_download() as download:
        tap(phone, "Save strip")
    assert width_of(download.value) > 13 * 12
    points = Points(phone, view)
    choose(phone, points, view, int(points.lonely()[0]))
    tap_tab(phone, "Image")
    tap(phone, "More like this")
    with phone.expect_download() as download:
        tap(phone, "Save CSV")
    assert len(download.value.path().read_text().splitlines()) == 51
