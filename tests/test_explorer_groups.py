"""A direction between two groups of images in the Image panel, in a real browser, of a server and of a file."""

import numpy as np
import pytest

from browser import Points, expect, open_tab, opened, shows, slide, until
from latens.errors import UsageError
from latens.explorer import decoding
from latens.explorer.one_file import write_html
from latens.images.pixels import to_uint8

LATENT = "The decoded image of the latent"


@pytest.fixture(params=["served", "file"])
def shown(request, browser, view, address, tmp_path):
    """The Image panel of one image, and its row."""
    if request.param == "file":
        address = write_html(view.run, tmp_path / "explorer.html").as_uri()
    with opened(browser, address) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        open_tab(page, "Image")
        points = Points(page, view)
        row = points.lonely()[0]
        page.mouse.click(*points.spots[row])
        until(page, lambda: shows(page.get_by_label(LATENT), to_uint8(view.run.decode(view.latents[[row]]))[0, 0]))
        yield page, row


def choose(page, start, end):
    section = page.get_by_role("region", name="Direction between two groups")
    section.get_by_label("From", exact=True).select_option(label=start)
    section.get_by_label("To", exact=True).select_option(label=end)
    return section


def test_an_image_is_moved_from_a_class_to_another(shown, view):
    page, row = shown
    section = choose(page, *view.run.class_names[:2])
    amount = section.get_by_label("Amount", exact=True)
    expect(amount).to_be_enabled()
    slide(amount, 1)
    means = [view.latents[view.labels == label].mean(0) for label in (0, 1)]
    about = decoding.directions(view, int(row)).arrays
    moved = np.clip(view.latents[row] + means[1] - means[0], about["lowest"], about["highest"]).astype(np.float32)
    until(page, lambda: shows(page.get_by_label(LATENT), to_uint8(view.run.decode(moved[None]))[0, 0]))
    assert not shows(page.get_by_label(LATENT), to_uint8(view.run.decode(view.latents[[row]]))[0, 0])
    page.get_by_role("button", name="Back to the latent of this image").click()
    expect(amount).to_have_value("0")
    until(page, lambda: shows(page.get_by_label(LATENT), to_uint8(view.run.decode(view.latents[[row]]))[0, 0]))


def test_the_same_group_twice_is_no_direction(shown, view):
    page, _ = shown
    section = choose(page, view.run.class_names[0], view.run.class_names[0])
    expect(section).to_contain_text("Both groups have the same mean.")
    expect(section.get_by_label("Amount", exact=True)).to_be_disabled()


def test_tags_and_the_selection_are_groups(browser, address, view):
    with opened(browser, address) as page:
        points = Points(page, view)
        rows = points.lonely()[:2]
        for row in rows:
            page.mouse.click(*points.spots[row])
            until(
                page,
                lambda row=row: page.url.endswith(f"image={view.ids[row]}") or f"image={view.ids[row]}&" in page.url,
            )
            page.locator(".map").focus()
            page.keyboard.press("s")
        page.get_by_label("Tag", exact=True).fill("left")
        page.get_by_role("button", name="Tag", exact=True).click()
        open_tab(page, "Image")
        section = choose(page, "tag: left", view.run.class_names[1])
        amount = section.get_by_label("Amount", exact=True)
        expect(amount).to_be_enabled()
        slide(amount, 2)
        wanted = view.latents[view.labels == 1].mean(0) - view.latents[rows].mean(0)
        about = decoding.directions(view, int(rows[-1])).arrays
        moved = np.clip(view.latents[rows[-1]] + 2 * wanted, about["lowest"], about["highest"]).astype(np.float32)
        until(page, lambda: shows(page.get_by_label(LATENT), to_uint8(view.run.decode(moved[None]))[0, 0]))
        options = section.get_by_label("From", exact=True).locator("option").all_inner_texts()
        assert "the selection" in options
        page.get_by_role("button", name="Clear").click()
        options = section.get_by_label("From", exact=True).locator("option").all_inner_texts()
        assert "the selection" not in options


def test_the_mean_of_no_image_is_refused(view):
    with pytest.raises(UsageError, match="at least one image"):
        decoding.mean(view, [])
