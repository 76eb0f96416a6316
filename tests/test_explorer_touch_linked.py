"""Two runs beside each other by fingers alone: what is tapped on one map is chosen on both, and both move together."""

import re

import numpy as np
import pytest

from browser import (
    PHONE,
    TABLET,
    Place,
    both_settled,
    distance,
    expect,
    finger_slides,
    opened,
    pixels,
    screenshot,
    served,
    status,
    straight,
    swipe,
    two_runs_with_train_images,
    until,
)
from latens.explorer.pair import NONE


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    with two_runs_with_train_images(tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def address(folders):
    with served(*folders) as found:
        yield found


@pytest.fixture(params=[PHONE, TABLET], ids=["phone", "tablet"])
def held(request, browser, address):
    with opened(browser, address, **request.param) as page:
        both_settled(page)
        yield page


class Maps:
    """Where the test images of both runs lie on the screen."""

    def __init__(self, page, views):
        places = [view.map_points("tsne")[1] for view in views]
        self.places = [Place(page, which) for which in (0, 1)]
        self.spots = [place.on_screen(at["x"], at["y"]) for place, at in zip(self.places, places, strict=True)]
        self.there, self.back = (views[0].pair.rows(view)[view.first :] for view in views)

    def lonely(self, which, wanted=lambda row: True):
        spots = self.spots[which]
        apart = np.linalg.norm(spots[:, None] - spots, axis=-1) + np.diag(np.full(len(spots), np.inf))
        return next(int(row) for row in np.argsort(-apart.min(1)) if wanted(row))


def strip(page):
    return page.locator(".beside-pair")


def close(canvas, wanted):
    return np.abs(pixels(canvas)[..., 0].astype(int) - wanted).max() <= 1


def test_an_image_is_tapped_on_either_map_and_decoded_by_both(held, views):
    first, second = views
    maps = Maps(held, views)
    rows = maps.lonely(0), maps.lonely(1, lambda one: maps.back[one] not in (NONE, maps.lonely(0)))
    chosen = [(rows[0], maps.there[rows[0]]), (maps.back[rows[1]], rows[1])]
    for which, (row, twin) in enumerate(chosen):
        name = first.run.latents["ids"][row + first.first]
        held.touchscreen.tap(*maps.spots[which][(row, twin)[which]])
        until(held, lambda name=name: f"image={name}" in held.url)
        expect(strip(held)).to_contain_text(f"image {name} ")
        for view, at in ((first, row), (second, twin)):
            picture = view.image(int(at)).arrays["reconstruction"][0]
            made = held.get_by_role("img", name=f"decoded by {view.run.name}")
            until(held, lambda made=made, picture=picture: close(made, picture))
        held.wait_for_timeout(300)  # what is decoded at the place does not take its place later
        expect(strip(held)).to_contain_text(f"image {name} ")
    x, y = maps.spots[0][chosen[1][0]].astype(int)  # the ring is also on the map that was not touched
    accent = held.evaluate("getComputedStyle(document.body).getPropertyValue('--accent').trim()")

    def ring():
        around = screenshot(held)[y - 11 : y + 12, x - 11 : x + 12].reshape(-1, 3)
        return (distance(around, list(bytes.fromhex(accent[1:]))) < 40).sum() > 30

    until(held, ring)


def test_a_tap_beside_all_images_is_a_place_of_both(held, views):
    maps = Maps(held, views)
    rooms = [held.locator(".map").nth(which).bounding_box() for which in (0, 1)]
    held.touchscreen.tap(*maps.spots[0][maps.lonely(0)])
    expect(strip(held)).to_contain_text("image ")
    middle = maps.places[1].middle
    reach = np.array([(dx, dy) for dx in range(-60, 61, 10) for dy in range(-60, 61, 10)])
    free = [np.linalg.norm(maps.spots[1] - middle - away, axis=1).min() for away in reach]
    assert max(free) > 24
    held.touchscreen.tap(*(middle + reach[np.argmax(free)]))
    expect(strip(held)).to_contain_text("The same place, decoded by both")
    assert rooms == [held.locator(".map").nth(which).bounding_box() for which in (0, 1)]  # other words move nothing


def test_an_image_of_the_second_run_only_is_shown_but_not_chosen(held, views):
    maps = Maps(held, views)
    alone = maps.lonely(1, lambda one: maps.back[one] == NONE)
    held.touchscreen.tap(*maps.spots[1][alone])
    expect(strip(held)).to_contain_text(f"It is in {views[1].run.name} only.")
    assert "in one of the two runs only" in status(held)
    assert "image=" not in held.url


def drawn(page, views, maps, moved):
    """On each map, the share of the images that are seen where they should have moved."""
    seen = screenshot(page)
    shares = []
    for which, view in enumerate(views):
        spots = moved(maps.spots[which], maps.places[which])
        box = np.abs(spots - maps.places[which].middle)
        half = maps.places[which].scale * 65_535 / 2 - 8
        inside = (box < half).all(1)
        colours = np.array([list(bytes.fromhex(one[1:])) for one in view.info()["colours"]])[view.labels[inside]]
        found = np.array([seen[int(y), int(x)] for x, y in spots[inside]])
        shares.append((distance(found, colours) < 70).mean())
    return shares


def test_both_maps_are_moved_and_pinched_by_fingers_on_one(held, views):
    maps = Maps(held, views)
    until(held, lambda: min(drawn(held, views, maps, lambda spots, _: spots)) > 0.6)
    middle = maps.places[1].middle
    swipe(held, straight(middle - [0, 40], middle - [0, 10], 8))
    until(held, lambda: "view=" in held.url)
    shift = np.array([0, 30]) / maps.places[1].scale  # the maps need not have the same size
    until(held, lambda: min(drawn(held, views, maps, lambda spots, place: spots + shift * place.scale)) > 0.5)
    held.get_by_role("button", name="whole map").tap()
    until(held, lambda: min(drawn(held, views, maps, lambda spots, _: spots)) > 0.6)  # it glides there
    until(held, lambda: "view=" not in held.url)
    near, far = np.array([40, 0]), np.array([60, 0])
    swipe(held, straight(middle - near, middle - far, 8), straight(middle + near, middle + far, 8))
    until(held, lambda: "view=" in held.url)
    scale = float(until(held, lambda: re.search(r"view=[-\d]+_[-\d]+_([\d.]+)", held.url))[1])
    assert scale == pytest.approx(1.5, rel=0.05)

    def larger(spots, place):
        return place.middle + scale * (spots - place.middle)

    until(held, lambda: min(drawn(held, views, maps, larger)) > 0.5)


def test_a_box_on_the_second_map_selects_on_both_and_is_compared(held, views):
    maps = Maps(held, views)
    held.get_by_role("button", name="box", exact=True).tap()
    near = np.argsort(np.linalg.norm(maps.spots[1] - maps.spots[1][maps.lonely(1)], axis=1))[:12]
    corner, end = maps.spots[1][near].min(0) - 5, maps.spots[1][near].max(0) + 5
    swipe(held, straight(corner, end))
    inside = np.flatnonzero(((maps.spots[1] > corner) & (maps.spots[1] < end)).all(1))
    wanted = {int(maps.back[one]) for one in inside if maps.back[one] != NONE}
    until(held, lambda: "select=" in held.url)
    assert set(map(int, held.url.partition("select=")[2].partition("&")[0].split("."))) == wanted
    held.get_by_role("tab", name="Compare", exact=True).tap()
    expect(held.locator("#panel caption").first).to_contain_text("selected")
    held.get_by_role("button", name="Colour by shared neighbours").tap()
    until(held, lambda: "colour=shared" in held.url)


def test_what_a_score_means_is_read_by_a_tap_or_a_key(held, views):
    held.get_by_role("tab", name="Compare", exact=True).tap()
    one = views[0].pair.scores[0]
    name = held.locator(".compared summary").first
    expect(name).to_contain_text(one["name"].replace("_", " "))
    meaning = held.locator(".compared .meaning").first
    expect(meaning).to_be_hidden()
    name.tap()
    expect(meaning).to_be_visible()
    expect(meaning).to_contain_text(one["meaning"])
    assert all(one["protocols"])
    for protocol in one["protocols"]:
        expect(meaning).to_contain_text(protocol)
    assert name.bounding_box()["height"] >= 24
    name.press("Enter")
    expect(meaning).to_be_hidden()
    held.get_by_role("tab", name="Run", exact=True).tap()
    group = held.locator("#panel details", has=held.locator(".meaning")).first
    group.locator("summary").tap()
    own = next(
        score
        for score in views[0].run.scores
        if score.name == group.locator("dt").first.text_content().replace(" ", "_")
    )
    expect(group.locator(".meaning").first).to_contain_text(str(own.protocol))


def test_train_images_are_put_on_both_maps_and_tapped(held, views):
    held.get_by_label("Part", exact=True).select_option("train")
    until(held, lambda: "part=train" in held.url)
    first = views[0]
    place, (_, at) = Place(held), first.map_points("tsne", "train")
    spots = place.on_screen(at["x"].astype(int), at["y"].astype(int))
    apart = np.linalg.norm(spots[:, None] - spots, axis=-1) + np.diag(np.full(len(spots), np.inf))
    point = int(np.argmax(apart.min(1)))
    held.touchscreen.tap(*spots[point])
    held.get_by_role("tab", name="Image", exact=True).tap()
    expect(held.locator("#panel .facts")).to_contain_text("a train image, placed on the map")
    expect(held.locator("#panel .facts strong")).to_have_text(str(first.run.latents["ids"][point]))


def test_the_epochs_of_both_are_dragged(held):
    held.get_by_role("tab", name="Run", exact=True).tap()
    epoch = held.get_by_label("Epoch", exact=True)
    expect(epoch).to_be_visible()
    finger_slides(held, epoch, 0.1)
    expect(held.locator("body")).to_have_class(re.compile("playing"))
    before = [screenshot(held.locator(".map").nth(which)) for which in (0, 1)]
    finger_slides(held, epoch, 0.9)
    until(held, lambda: all(changed(held, which, before[which]) for which in (0, 1)))
    held.get_by_role("button", name="Back to the map").tap()
    expect(held.locator("body")).not_to_have_class(re.compile("playing"))


def changed(page, which, before):
    now = screenshot(page.locator(".map").nth(which))
    return now.shape == before.shape and np.abs(now - before).max() > 60
