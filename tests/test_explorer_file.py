"""The explorer as one file, opened from the disk: it decodes as the server does, and makes no requests."""

import shutil

import numpy as np
import pytest

from browser import Points, expect, learned_run, open_tab, opened, screenshot, shows, slide, until
from latens.explorer import View, decoding, write_html
from latens.runs import open_run


@pytest.fixture(scope="module")
def view(tmp_path_factory):
    folder = tmp_path_factory.mktemp("file")
    return View(open_run(shutil.copytree(learned_run(tmp_path_factory), folder / "run")))


@pytest.fixture(scope="module")
def address(view):
    return write_html(view.run, view.run.path.parent / "explorer.html").as_uri()


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        yield page


def test_a_place_decodes_to_what_the_server_would_answer(page, view):
    points = Points(page, view)
    for spot in (points.spots[points.lonely()[0]].round(), np.round(points.place.middle + np.array([40, -60]))):
        page.mouse.move(*spot)
        picture, ratio, _ = points.decoded(view, spot)
        until(page, lambda wanted=picture: shows(page.get_by_label("The decoded image of the place"), wanted))
        expect(page.locator("#panel .honest")).to_contain_text(f"{ratio:.2f} × the usual distance")


def test_the_map_is_drawn_by_its_worker(page, view):
    points = Points(page, view)
    spots = points.spots[points.lonely()].astype(int)
    colours = np.array([list(bytes.fromhex(one[1:])) for one in view.info()["colours"]])[view.labels[points.lonely()]]

    def drawn():
        seen = screenshot(page)
        return (
            np.mean([np.abs(seen[y, x] - colour).max() < 60 for (x, y), colour in zip(spots, colours, strict=True)])
            > 0.95
        )

    until(page, drawn)


def test_networks_are_run_out_of_the_page_s_way(page):
    assert len(page.workers) == 2  # the map's, and one for all answers
    assert all(worker.url.startswith("blob:") for worker in page.workers)


def test_a_path_from_the_file(page, view):
    open_tab(page, "Path")
    expect(page.locator(".strip .step")).to_have_count(13)
    ids = [words.split(" · ")[0].removeprefix("image ") for words in page.locator(".chosen").all_text_contents()]
    ends = [view.row_of(None, one) - view.first for one in ids]
    for way, words in (("linear", "straight line"), ("graph", "from neighbour to neighbour")):
        page.get_by_label("Kind of path", exact=True).select_option(label=words)
        arrays = decoding.path(view, [[ends[0]], [ends[1]]], way, 13, "tsne").arrays
        slide(page.get_by_label("Along the path", exact=True), 6)
        until(page, lambda a=arrays: shows(page.get_by_label("The decoded image at the handle"), a["pixels"][6, 0]))


def test_a_probe_without_noise_is_the_class_means(page, view):
    open_tab(page, "Probe")
    slide(page.get_by_label("Noise", exact=True), 0)
    wanted = decoding.probe(view, "class-means", 0.0, map="tsne").arrays["pixels"]
    cards = page.locator("#panel .grid canvas")
    expect(cards).to_have_count(len(wanted))
    for k, picture in enumerate(wanted):
        until(page, lambda k=k, picture=picture: shows(cards.nth(k), picture[0]))


def test_an_image_and_its_reconstruction(page, view):
    points = Points(page, view)
    row = points.lonely()[0]
    open_tab(page, "Image")
    page.mouse.click(*points.spots[row])
    answer = view.image(int(row))
    until(page, lambda: shows(page.locator(".three canvas").first, answer.arrays["pixels"][0]))
    until(page, lambda: shows(page.locator(".three canvas").nth(1), answer.arrays["reconstruction"][0]))


def test_what_only_a_server_can_do_is_not_offered(page):
    names = page.get_by_role("tab").all_text_contents()
    assert names == ["Decode", "Probe", "Path", "Image", "Selection", "Classes", "Lists", "Run"]
    open_tab(page, "Lists")
    expect(page.locator("#panel .bare").first).to_be_visible()
    expect(page.get_by_role("button", name="Download tags")).to_have_count(0)
