"""Five channels of 16 bits in the explorer: channels, contrast, the table's columns and odd images, served and as one file."""

import io
import re
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image

import latens
from browser import (
    Points,
    colours_at,
    distance,
    expect,
    learned_run,
    open_tab,
    opened,
    pixels,
    screenshot,
    served,
    slide,
    until,
)
from latens.errors import ImagesError, UsageError
from latens.explorer import View, answer, decoding, write_html
from latens.explorer.looks import auto_ranges, looked_at
from latens.images.pixels import to_floats, to_uint8
from latens.progress import Silent

COUNT, SIDE = 200, 12
DARK = np.array([100, 200, 300, 400, 500])
BRIGHT = np.array([1000, 4000, 900, 60_000, 20_000])
STRANGE = 3  # of the test images: bright where no other is


def cells():
    """Channel c has a bright square whose row is c's own and whose column is the class's."""
    rng = np.random.default_rng(0)
    labels = np.arange(COUNT) % 2
    images = DARK[None, :, None, None] + rng.integers(0, 5, (COUNT, 5, SIDE, SIDE))
    for number, label in enumerate(labels):
        for channel in range(5):
            row, column = 2 * channel, 1 + 6 * label + int(rng.integers(0, 2))
            share = rng.uniform(0.8, 1)
            images[number, channel, row : row + 2, column : column + 3] = (
                DARK[channel] + share * (BRIGHT - DARK)[channel]
            )
    return images.astype(np.uint16), labels


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("channels")
    (train, train_labels), (test, test_labels) = ([part[k : k + 100] for part in cells()] for k in (0, 100))
    test[STRANGE, :, 10:] = BRIGHT[:, None, None]
    np.savez(folder / "five.npz", x_train=train, y_train=train_labels, x_test=test, y_test=test_labels)
    numbers = ["" if k == 105 else f"{1.5 * k}" for k in range(COUNT)]
    table = {
        "area (µm²)": numbers,
        "stain": [("weak", "strong")[k // 2 % 2] for k in range(COUNT)],
        "note": [f"cell {k}" for k in range(COUNT)],
    }
    options = {"epochs": 20, "latent_dim": 4, "network": "dense", "show": "red=5,green=2,blue=1", "table": table}
    options["value_range"] = tuple(zip(DARK.tolist(), BRIGHT.tolist(), strict=True))
    made = latens.run(folder / "five.npz", out=folder / "run", device="cpu", progress=Silent(), **options)
    return made


@pytest.fixture(scope="module")
def view(run):
    return View(run)


@pytest.fixture(scope="module", params=["served", "file"])
def address(request, run):
    if request.param == "file":
        yield write_html(run, run.path.parent / "run.html").as_uri()
    else:
        with served(run.path) as found:
            yield found


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        yield page


def given(view, point):
    """An image and its reconstruction as floats, (5, H, W) each."""
    rows = np.array([point + view.first])
    return to_floats(view.inputs(rows))[0], view.run.decode(view.run.latents["latents"][rows])[0]


def stretched(values, low=0.0, high=1.0):
    return to_uint8((values - low) / (high - low))


def alike(canvas, wanted, most=2):
    """Whether a canvas shows red, green and blue (3, H, W); the file holds the root of the values in 8 bits."""
    return np.abs(pixels(canvas).transpose(2, 0, 1).astype(int) - np.array(wanted)).max() <= most


def open_image(page, view, point):
    """An image on the panel, with the controls of its channels."""
    open_tab(page, "Image")
    spot = Points(page, view).spots[point]
    page.mouse.click(*spot)
    expect(page.locator("#panel .facts")).to_contain_text(str(view.ids[point]))
    if page.locator(".channels select").count() == 0:
        page.get_by_text("Channels and contrast").click()
    expect(page.get_by_label("Show", exact=True)).to_be_visible()
    return page.locator("#panel .three canvas"), page.get_by_label("The decoded image of the latent below")


def test_one_channel_is_shown_in_grey_and_between_chosen_values(page, view):
    point = int(Points(page, view).lonely()[0])
    three, decoded = open_image(page, view, point)
    image, rebuilt = given(view, point)
    until(page, lambda: alike(three.nth(0), stretched(image[[4, 1, 0]])))
    page.get_by_label("Show", exact=True).select_option(label="only 4, in grey")
    until(page, lambda: alike(three.nth(0), [stretched(image[3])] * 3))
    until(page, lambda: alike(three.nth(1), [stretched(rebuilt[3])] * 3))
    until(page, lambda: alike(decoded, [stretched(rebuilt[3])] * 3))
    for end, value in (("black at", 200), ("full colour at", 700)):
        slide(page.get_by_label(f"4 · grey: {end}"), value)
    until(page, lambda: alike(three.nth(0), [stretched(image[3], 0.2, 0.7)] * 3, most=4))
    until(page, lambda: alike(decoded, [stretched(rebuilt[3], 0.2, 0.7)] * 3, most=4))
    said = page.get_by_role("group", name="Contrast of 4 · grey").locator("output")
    expect(said).to_have_text("12,320 to 42,120")  # of 400 to 60,000
    page.get_by_role("button", name="Auto contrast").click()
    low, high = view.channels[3]["auto"]
    until(page, lambda: alike(three.nth(0), [stretched(image[3], low, high)] * 3, most=4))
    page.get_by_role("button", name="Whole range").click()
    until(page, lambda: alike(three.nth(0), [stretched(image[3])] * 3))
    page.get_by_label("Show", exact=True).select_option(label="as the run shows them")
    until(page, lambda: alike(three.nth(0), stretched(image[[4, 1, 0]])))


def test_channels_are_chosen_as_red_green_and_blue_on_every_panel(page, view):
    point = int(Points(page, view).lonely()[0])
    three, _ = open_image(page, view, point)
    image, _ = given(view, point)
    page.get_by_label("Show", exact=True).select_option(label="channels as red, green and blue")
    until(page, lambda: alike(three.nth(0), stretched(image[[0, 1, 2]])))
    page.get_by_label("channel shown in red").select_option(label="3")
    page.get_by_label("channel shown in blue").select_option(label="none")
    wanted = [stretched(image[2]), stretched(image[1]), np.zeros((SIDE, SIDE))]
    until(page, lambda: alike(three.nth(0), wanted))
    slide(page.get_by_label("3 · red: full colour at"), 500)
    wanted[0] = stretched(image[2], 0, 0.5)
    until(page, lambda: alike(three.nth(0), wanted, most=4))
    neighbour = page.locator("#panel .grid.small canvas").first
    near = given(view, int(view.image(point).arrays["neighbours"][0]))[0]
    until(page, lambda: alike(neighbour, [stretched(near[2], 0, 0.5), stretched(near[1]), 0 * near[0]], most=4))
    open_tab(page, "Decode")
    page.mouse.move(*Points(page, view).spots[point])
    x, y = view.map("tsne").coordinates[point]
    made = view.run.decode(view.map("tsne").inverse(np.array([[x, y]])))[0]
    canvas = page.get_by_label("The decoded image of the place under the pointer")
    until(page, lambda: alike(canvas, [stretched(made[2], 0, 0.5), stretched(made[1]), 0 * made[0]], most=12))
    open_tab(page, "Path")
    strip = page.locator(".strip canvas")
    expect(strip).to_have_count(13)
    until(page, lambda: not pixels(strip.first)[..., 2].any())


def test_thumbnails_are_in_the_look(page, view):
    point = int(Points(page, view).lonely()[0])
    open_image(page, view, point)
    page.get_by_label("Show", exact=True).select_option(label="only 1, in grey")
    box = page.locator(".map").bounding_box()
    page.mouse.move(*Points(page, view).spots[point])
    page.mouse.wheel(0, -2400)
    image, _ = given(view, point)

    def grey_square():
        """The class's bright square of channel 1 is in the first rows: it is white there in grey, and blue in the run's rule."""
        seen = screenshot(page)[
            int(box["y"]) : int(box["y"] + box["height"]), int(box["x"]) : int(box["x"] + box["width"])
        ]
        return (distance(seen, (255, 255, 255)) < 90).mean() > 0.001 and not (distance(seen, (0, 0, 255)) < 90).any()

    assert stretched(image[0]).max() > 180
    until(page, grey_square)


def told(page):
    """Whether the panel lists the values of the image whose id it names."""
    part, _, number = page.locator("#panel .facts strong").inner_text().partition("/")
    row = int(number or 0) + 100 * (part == "test")
    words = [word.strip() for word in page.locator("#panel dl.table").first.inner_text().split("\n") if word.strip()]
    area = "–" if row == 105 else f"{1.5 * row:.3g} µm²"
    return words == ["area", area, "stain", ("weak", "strong")[row // 2 % 2], "note", f"cell {row}"]


def test_the_table_s_columns_of_the_image_are_listed_and_colour_the_map(page, view):
    points = Points(page, view)
    open_tab(page, "Image")
    for point in (105, 106):
        page.mouse.click(*points.spots[point])
        until(page, lambda: told(page))
    page.get_by_label("Colour").select_option(label="stain")
    expect(page.locator(".legend .entry")).to_have_text(["strong", "weak"])
    page.get_by_label("Colour").select_option(label="area")
    expect(page.locator(".legend small")).to_have_text("µm²")
    expect(page.locator(".legend .ramp")).to_be_visible()


def test_odd_images_are_a_list_and_a_colour(page, view):
    open_tab(page, "Lists")
    page.get_by_label("List", exact=True).select_option(label="Odd by the detector")
    cards = page.locator("#panel .grid .bare")
    expect(cards).to_have_count(24)
    found = view.odd.facts()["found"]
    assert found[0]["id"] == f"test/{STRANGE}"
    assert [one.get_attribute("data-row") for one in cards.all()] == [str(one["point"]) for one in found[:24]]
    expect(cards.first).to_contain_text("p 0.01 · odd")
    expect(cards.nth(1)).to_contain_text("p 0.02")
    expect(page.locator("#panel .quiet").first).to_contain_text("100 images that training did not see")
    expect(page.locator("#panel .quiet").first).to_contain_text("1 % false alarms")
    cards.first.click()
    expect(page.locator("#panel .facts")).to_contain_text(f"test/{STRANGE}")
    page.get_by_label("Colour").select_option(label="odd: p-value")
    expect(page.locator(".legend small")).to_have_text("share of normal images that are at least as odd")
    page.get_by_label("Colour").select_option(label="odd: score")
    points = Points(page, view)
    rows = points.lonely()
    rows = rows[rows != 100 + STRANGE]  # the current image, under its cross
    page.mouse.move(5, 5)

    def brighter_where_odder():  # viridis grows brighter
        bright = colours_at(page, points, rows).sum(1)
        return np.corrcoef(bright.argsort().argsort(), view.odd.scores[rows].argsort().argsort())[0, 1] > 0.8

    until(page, brighter_where_odder)


def test_p_values_are_those_of_detect(run, view):
    found = run.detect(run.images.test)
    test = view.run.latents["part"] == 1
    np.testing.assert_allclose(view.odd.p_values[test], found.p_values)
    np.testing.assert_allclose(view.odd.scores[test], found.scores, rtol=1e-5)
    assert np.isnan(view.odd.p_values[~test]).all()
    listed = answer(run, "/api/odd")
    assert listed["odd"] == int(found.odd.sum())
    assert [one["id"] for one in listed["found"]] == found.ids[found.worst_first].tolist()


def test_an_ordinary_grey_run_has_no_such_controls(browser, tmp_path_factory):
    folder = shutil.copytree(learned_run(tmp_path_factory), tmp_path_factory.mktemp("plain") / "run")
    with served(folder) as address, opened(browser, address) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        open_tab(page, "Image")
        page.locator(".map").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator("#panel .facts")).to_contain_text("mean squared error")
        expect(page.locator(".channels")).to_be_hidden()


def test_looks(run):
    images = np.random.default_rng(1).random((3, 5, 4, 4)).astype(np.float32)
    shown = looked_at(images, "magenta=1@0.2:0.4,green=2,blue=3", run)
    assert (shown[:, 0] == stretched(images[:, 0], 0.2, 0.4)).all()
    assert (shown[:, 1] == stretched(images[:, 1])).all()
    assert (shown[:, 2] == to_uint8(((images[:, 0] - 0.2) / 0.2).clip(0, 1) + images[:, 2])).all()
    assert (looked_at(images, "", run) == to_uint8(images[:, [4, 1, 0]])).all()
    assert auto_ranges(np.zeros((2, 1, 4, 4), np.uint8)) == [(0.0, 1.0)]
    for look, words in (
        ("red=9", "there is no channel '9'"),
        ("red", "allowed are colours with channels"),
        ("red=1@0.5:0.2", "two finite shares"),
        ("red=1@nan:1", "two finite shares"),
        ("red=1@0.2", "two finite shares"),
    ):
        with pytest.raises(UsageError, match=re.escape(words)):
            looked_at(images, look, run)
    with pytest.raises(UsageError, match="there is no channel"):
        answer(run, "/api/image?row=0&look=red%3D7")


def test_a_file_of_other_channels_cannot_be_found(view):
    file = io.BytesIO()
    Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(file, "png")
    with pytest.raises(ImagesError, match=r"grey\.png: images of 1 channel; the model takes 5 channels"):
        decoding.encode(view, file.getvalue(), "grey.png")


def test_a_file_of_all_channels_is_read_by_the_range_of_the_run(view):
    stored = cells()[0][105]  # image 5 of the test part, as it was given
    file = io.BytesIO()
    tifffile.imwrite(file, stored, imagej=True, metadata={"axes": "CYX"})
    found = decoding.encode(view, file.getvalue(), "five.tif")
    row = 105 - view.first
    assert found.arrays["neighbours"][0] == row
    np.testing.assert_allclose(found.arrays["latents"], view.latents[row], atol=1e-5)
