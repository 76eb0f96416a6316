"""The compass of the explorer: directions at a place of the map, as arrows and as pictures, of a server and of a file."""

import numpy as np
import pytest

from browser import PHONE, Points, distance, expect, open_tab, opened, screenshot, shows, until
from latens.errors import UsageError
from latens.explorer import decoding
from latens.interpolation import kept_in_range

INK = (0x1F, 0x23, 0x28)
PICTURES = "section[aria-label=Compass] canvas"


def with_compass(page):
    expect(page.locator(".verdict").first).to_contain_text("usual distance")
    page.get_by_role("button", name="Compass").click()
    return page


def units(points, spot):
    return points.place.in_units(spot) / 65_535 * points.facts["size"] + [points.facts["left"], points.facts["bottom"]]


def shows_all(page, answer):
    """Whether the pictures are those of an answer: of each direction two steps back, the place itself, two steps ahead."""
    made, canvases = answer.arrays["pixels"][:, 0], page.locator(PICTURES)
    order = [k for i in range(len(answer.facts["shares"])) for k in (4 * i + 1, 4 * i + 2, 0, 4 * i + 3, 4 * i + 4)]
    return canvases.count() == len(order) and all(shows(canvases.nth(n), made[k]) for n, k in enumerate(order))


def inked(page, start, end):
    """The share of a line on the screen on which the text's colour lies."""
    seen = screenshot(page)
    spots = np.round(np.linspace(start, end, 30)[4:-4]).astype(int)
    return np.mean([(distance(seen[y - 1 : y + 2, x - 1 : x + 2], INK) < 60).any() for x, y in spots])


def test_the_compass_follows_the_pointer_and_stays_where_a_place_is_held(browser, anywhere, view):
    with opened(browser, anywhere) as page:
        with_compass(page)
        points = Points(page, view)
        for press, row in ((False, points.lonely()[0]), (True, points.lonely()[5])):
            spot = points.spots[row].round()
            (page.mouse.click if press else page.mouse.move)(*spot)
            answer = decoding.compass(view, "tsne", *units(points, spot))
            until(page, lambda a=answer: shows_all(page, a))
            own = answer.arrays["places"][0]
            ends = own + np.reshape(answer.facts["arrows"], (-1, 2))
            longest = ends[np.argmax(np.linalg.norm(ends - own, axis=1))]
            start, end = points.on_map(own), points.on_map(longest)
            assert np.linalg.norm(end - start) > 20
            until(page, lambda s=start, e=end: inked(page, s, e) > 0.8)
        page.locator(PICTURES).first.hover()  # a held place keeps its compass
        until(page, lambda: inked(page, start, end) > 0.8 and shows_all(page, answer))
        page.get_by_role("button", name="Compass").click()
        expect(page.locator(PICTURES).first).to_be_hidden()
        until(page, lambda: inked(page, start, end) < 0.5)


def test_a_step_of_the_compass_is_taken_as_a_latent(browser, anywhere, view):
    with opened(browser, anywhere) as page:
        with_compass(page)
        points = Points(page, view)
        spot = points.spots[points.lonely()[0]].round()
        page.mouse.click(*spot)
        answer = decoding.compass(view, "tsne", *units(points, spot))
        until(page, lambda: shows_all(page, answer))
        page.get_by_role("button", name="direction 1, +2 sd").press("Enter")
        expect(page.get_by_role("tab", name="Image")).to_have_attribute("aria-selected", "true")
        until(page, lambda: shows(page.get_by_label("The decoded image of the latent"), answer.arrays["pixels"][4, 0]))


def test_the_compass_is_in_the_address_and_follows_the_keys(browser, anywhere, view):
    with opened(browser, anywhere) as page:
        with_compass(page)
        until(page, lambda: "compass=on" in page.url)
        page.reload()
        expect(page.get_by_role("button", name="Compass")).to_have_attribute("aria-pressed", "true")
        expect(page.locator(PICTURES)).to_have_count(15)
        page.locator(".map").focus()
        page.keyboard.press("ArrowRight")
        until(page, lambda: page.locator("#status").inner_text().startswith("image "))
        row = (
            view.row_of(None, page.locator("#status").inner_text().split(" · ")[0].removeprefix("image ")) - view.first
        )
        place = view.map("tsne").coordinates[row]
        until(page, lambda: shows_all(page, decoding.compass(view, "tsne", *place)))


def test_the_compass_of_a_place_that_a_finger_holds(browser, anywhere, view):
    with opened(browser, anywhere, **PHONE) as page:
        with_compass(page)
        points = Points(page, view)
        spot = points.spots[np.argmax(points.apart)].round()
        page.touchscreen.tap(*spot)
        until(page, lambda: shows_all(page, decoding.compass(view, "tsne", *units(points, spot))))


def test_on_a_plane_arrows_are_the_directions_themselves(view):
    places = view.map("pca").coordinates
    x, y = (float(one) for one in places[7])
    answer = decoding.compass(view, "pca", x, y)
    centre = view.map("pca").inverse(np.array([[x, y]]))[0]
    near = view.latents[np.argsort(np.linalg.norm(view.latents - centre, axis=1))[:200]].astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(near.T))
    plane = view.map("pca").plane
    for i in range(3):
        direction = vectors[:, -1 - i] * np.sqrt(values[-1 - i])
        direction *= np.sign(direction[np.argmax(np.abs(direction))])
        steps = kept_in_range(centre + np.outer([-2, -1, 1, 2], direction), view.latents)
        np.testing.assert_allclose(answer.arrays["latents"][1 + 4 * i : 5 + 4 * i], steps, atol=2e-3)
        np.testing.assert_allclose(answer.facts["arrows"][2 * i : 2 * i + 2], 2 * direction @ plane[1], atol=1e-3)
        assert answer.facts["shares"][i] == pytest.approx(values[-1 - i] / values.sum(), rel=1e-4)
    np.testing.assert_allclose(answer.arrays["latents"][0], centre, atol=1e-6)


def test_a_place_without_latents_has_no_compass(view):
    with pytest.raises(UsageError, match="unknown map"):
        decoding.compass(view, "nowhere", 0.0, 0.0)


def test_leaving_the_panel_takes_the_arrows_away(browser, address, view):
    with opened(browser, address) as page:
        with_compass(page)
        points = Points(page, view)
        spot = points.spots[points.lonely()[0]].round()
        page.mouse.click(*spot)
        answer = decoding.compass(view, "tsne", *units(points, spot))
        until(page, lambda: shows_all(page, answer))
        own = answer.arrays["places"][0]
        ends = own + np.reshape(answer.facts["arrows"], (-1, 2))
        end = points.on_map(ends[np.argmax(np.linalg.norm(ends - own, axis=1))])
        until(page, lambda: inked(page, points.on_map(own), end) > 0.8)
        open_tab(page, "Run")
        until(page, lambda: inked(page, points.on_map(own), end) < 0.5)
