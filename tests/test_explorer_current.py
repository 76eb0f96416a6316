"""There is one current image: every panel, key and list of the page uses it, whether it is on the map or not."""

import shutil

import numpy as np
import pytest

from browser import (
    Points,
    ask,
    expect,
    learned_run,
    map_the_test_part,
    open_tab,
    opened,
    served,
    settled,
    shows,
    status,
    until,
)
from latens.explorer import View, decoding
from latens.images.pixels import to_uint8
from latens.runs import Run, open_run
from latens.runs import run as view_of_run

DECODED = "The decoded image of the place under the pointer"


@pytest.fixture
def copy(tmp_path_factory, tmp_path):
    return shutil.copytree(learned_run(tmp_path_factory), tmp_path / "run")


@pytest.fixture
def test_part(copy, monkeypatch):
    """A run whose map shows the test part, as those of many images do: images of the train part are not on the map."""
    map_the_test_part(copy, monkeypatch)
    return copy


def test_an_image_of_a_list_is_the_current_one_though_it_is_not_on_the_map(browser, test_part):
    run = Run(test_part)
    train = {str(one) for one in run.latents["ids"][run.latents["part"] == view_of_run.TRAIN]}
    with served(test_part) as address, opened(browser, address) as page:
        settled(page)
        page.locator(".map").focus()
        page.keyboard.press("ArrowRight")  # an image of the map was the current one before
        until(page, lambda: status(page).startswith("image "))
        open_tab(page, "Lists")
        cards = page.locator("#panel .bare")
        expect(cards.first).to_be_visible()
        shown = [one.locator("small").text_content() for one in cards.all()]
        at = next(k for k, one in enumerate(shown) if one in train)
        cards.nth(at).click()
        expect(page.locator("#panel .facts")).to_contain_text(f"{shown[at]} ")
        expect(page.locator("#panel .facts")).to_contain_text("not on the map")
        page.locator(".map").focus()
        page.keyboard.press("s")
        expect(page.get_by_role("group", name="Selection").locator("strong")).to_have_text("1 image selected")
        page.get_by_label("Tag", exact=True).fill("seen")
        page.get_by_role("button", name="Tag", exact=True).click()
        until(page, lambda: ask(address, "api/tags")["tags"] == {"seen": [shown[at]]})
        open_tab(page, "Lists")
        expect(page.locator("#panel .bare[aria-current=true] small")).to_have_text(shown[at])
        page.get_by_role("button", name="Clear").click()
        page.get_by_role("button", name="Select the images tagged seen").click()
        expect(page.get_by_role("group", name="Selection").locator("strong")).to_have_text("1 image selected")
        open_tab(page, "Path")
        page.get_by_role("button", name="Current image").first.click()
        expect(page.locator(".chosen").first).to_contain_text(shown[at])
        row = View(open_run(test_part)).row_of(None, shown[at])
        own = to_uint8(run.decode(run.latents["latents"][row][None]))[0, 0]
        until(page, lambda: shows(page.locator(".strip canvas").first, own))


def test_rows_below_0_are_images_that_are_not_on_the_map(test_part):
    view = View(open_run(test_part))
    latents = view.run.latents
    assert view.first > 0
    for row in (-view.first, -1, 0, len(view.latents) - 1):
        answer = view.image(row)
        assert answer.facts["row"] == row
        assert answer.facts["id"] == str(latents["ids"][row + view.first])
        np.testing.assert_array_equal(answer.arrays["latents"], latents["latents"][row + view.first])
    with pytest.raises(Exception, match=f"from -{view.first} to -1"):
        view.image(-view.first - 1)
    ends = decoding.path(view, [[-1], [0]], "graph", 5, "pca").arrays["latents"][[0, -1]]
    np.testing.assert_allclose(ends, latents["latents"][[view.first - 1, view.first]], atol=1e-5)
    about = decoding.directions(view, -1).arrays["mean"]
    near = view.near.nearest(latents["latents"][view.first - 1][None], min(200, len(view.latents)))[1][0]
    np.testing.assert_allclose(about, view.latents[near].mean(0), atol=1e-4)


def test_a_latent_that_was_taken_is_shown_under_no_image(browser, copy):
    with served(copy) as address, opened(browser, address) as page:
        settled(page)
        view = View(open_run(copy))
        points = Points(page, view)
        row = points.lonely()[0]
        open_tab(page, "Image")
        page.mouse.click(*points.spots[row])
        expect(page.locator("#panel .three canvas")).to_have_count(3)
        open_tab(page, "Decode")
        spot = points.place.middle.round() + 40
        page.mouse.click(*spot)
        expect(page.get_by_text("Held here.")).to_be_visible()
        picture = points.decoded(view, spot)[0]
        until(page, lambda: shows(page.get_by_label(DECODED), picture))
        page.get_by_role("button", name="Take this latent").click()
        expect(page.locator("#panel .facts")).to_contain_text("it belongs to no image")
        until(page, lambda: shows(page.get_by_label("The decoded image of the latent"), picture))
        expect(page.locator("#panel .three canvas")).to_have_count(0)
        expect(page.locator("#panel .facts")).not_to_contain_text(str(view.ids[row]))
        page.locator(".map").focus()
        page.keyboard.press("s")  # there is no current image that could be selected
        until(page, lambda: "no current image" in status(page))
        page.mouse.click(*points.spots[row])
        expect(page.locator("#panel .facts")).to_contain_text(str(view.ids[row]))
        expect(page.locator("#panel .three canvas")).to_have_count(3)


def test_a_step_of_the_keyboard_is_decoded_at_once(browser, copy):
    with served(copy) as address, opened(browser, address) as page:
        settled(page)
        view = View(open_run(copy))
        _, places = view.map_points("tsne")
        canvas = page.get_by_label(DECODED)
        page.locator(".map").focus()
        for key in ("ArrowRight", "ArrowUp"):
            before = status(page)
            page.keyboard.press(key)
            until(page, lambda before=before: status(page) not in ("", before))
            row = view.row_of(None, status(page).split(" · ")[0].removeprefix("image ")) - view.first
            facts, _ = view.map_points("tsne")
            place = [
                facts[corner] + places[axis][row] / 65_535 * facts["size"]
                for axis, corner in (("x", "left"), ("y", "bottom"))
            ]
            wanted = decoding.decode_at(view, "tsne", *place).arrays["pixels"][0, 0]
            until(page, lambda wanted=wanted: shows(canvas, wanted))


def test_quick_steps_of_the_keyboard_are_all_taken(browser, copy):
    with served(copy) as address, opened(browser, address) as page:
        settled(page)
        page.locator(".map").focus()
        for _ in range(4):
            before = status(page)
            page.keyboard.press("ArrowRight")
            until(page, lambda before=before: status(page) not in ("", before))
        fourth = status(page)
        page.goto(address)  # without what the address holds meanwhile
        settled(page)
        page.locator(".map").focus()
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        until(page, lambda: status(page) == fourth)
