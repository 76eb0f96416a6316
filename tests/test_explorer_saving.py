"""What the explorer's page saves, in a real browser, of a server and of a file: pictures, strips, sheets, tables."""

import csv
import io
import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import polars
import pytest
from PIL import Image

from browser import (
    Points,
    class_colours,
    distance,
    drag,
    expect,
    open_tab,
    opened,
    pixels,
    until,
)
from latens.errors import UsageError
from latens.explorer import View, decoding
from latens.explorer.table import table_of
from latens.explorer.tags import Tags
from latens.runs.run import TEST
from latens.sheets import as_csv, as_parquet, parquet_library

DECODED = "The decoded image of the place under the pointer"


@pytest.fixture
def page(browser, anywhere):
    permissions = ["clipboard-read", "clipboard-write"] if anywhere.startswith("http") else []
    with opened(browser, anywhere, permissions=permissions) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        yield page


def saved(page, press):
    """Name and bytes of the file that something saves."""
    with page.expect_download() as download:
        press()
    return download.value.suggested_filename, download.value.path().read_bytes()


def save_map(page, kind="png", width=1000, legend=True):
    page.get_by_role("button", name="save…").click()
    page.get_by_label("Format", exact=True).select_option(kind)
    page.get_by_label("Width").fill(str(width))
    page.get_by_role("checkbox", name="Legend").set_checked(legend)
    return saved(page, lambda: page.get_by_role("button", name="Save", exact=True).click())


def opened_picture(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


def select(page, points, rows):
    """Select by a box all points around some."""
    spots = points.spots[rows]
    page.keyboard.down("Shift")
    drag(page, [spots.min(0) - 6, spots.max(0) + 6])
    page.keyboard.up("Shift")
    expect(page.locator(".selection strong")).to_contain_text("selected")


def test_the_map_is_saved_as_it_is_seen_at_any_size(page, view):
    points = Points(page, view)
    box = page.locator(".map").bounding_box()
    for width in (1000, 2400):
        name, content = save_map(page, width=width, legend=False)
        assert name == f"{view.run.name}-tsne.png"
        seen = opened_picture(content)
        assert seen.shape[:2] == (round(round(box["height"]) * width / box["width"]), width)
        rows = points.lonely()
        places = ((points.spots[rows] - [box["x"], box["y"]]) * width / box["width"]).astype(int)
        found = seen[places[:, 1], places[:, 0]]
        assert np.mean(distance(found, class_colours(view)[view.labels[rows]]) < 60) > 0.9


def test_a_vector_map_holds_all_points_the_names_and_the_legend(page, view):
    name, content = save_map(page, kind="svg", width=1500)
    assert name.endswith(".svg")
    root = ElementTree.fromstring(content)
    assert root.attrib["width"] == "1500"
    space = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{space}title").text.startswith(f"{view.run.name} · t-SNE of")
    fills = {}
    for one in root.iter(f"{space}path"):
        fills[one.get("fill")] = fills.get(one.get("fill"), 0) + one.get("d").count("M")
    names, counts = np.unique(view.labels, return_counts=True)
    colours = view.info()["colours"]
    assert [fills[colours[label]] for label in names] == counts.tolist()
    texts = [one.text for one in root.iter(f"{space}text")]
    assert all(texts.count(name) == 3 for name in view.run.class_names)  # on the map with an edge, and in the legend
    without = ElementTree.fromstring(save_map(page, kind="svg", legend=False)[1])
    assert int(without.attrib["height"]) < int(root.attrib["height"]) * 1000 / 1500


def test_hidden_classes_are_not_in_the_picture_and_others_fade(page, view):
    page.locator(".entry").first.click()
    points = Points(page, view)
    rows = [row for row in points.lonely() if view.labels[row] == 1][:1]
    select(page, points, rows)
    root = ElementTree.fromstring(save_map(page, kind="svg")[1])
    paths = [one for one in root.iter("{http://www.w3.org/2000/svg}path") if one.get("stroke") is None]
    colours = view.info()["colours"]
    assert colours[0] not in {one.get("fill") for one in paths}
    opacities = {float(one.get("opacity")) for one in paths if one.get("fill") == colours[1]}
    assert opacities == {0.22, 0.85}  # as on the page


def test_a_numbers_scale_is_in_the_legend(page):
    page.get_by_label("Colour", exact=True).select_option(label="reconstruction error")
    expect(page.locator(".ramp")).to_be_visible()
    low, high = (field.input_value() for field in page.locator(".legend input").all())
    root = ElementTree.fromstring(save_map(page, kind="svg")[1])
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    *_, least, most = texts
    assert (float(least), float(most.removesuffix(" mse"))) == (
        float(low),
        float(high),
    )  # a field has room for fewer digits
    assert most.endswith(" mse")


def test_a_strip_is_saved_with_the_distance_of_each_image(page, view):
    open_tab(page, "Path")
    expect(page.locator(".strip .step")).to_have_count(13)
    name, content = saved(page, lambda: page.get_by_role("button", name="Save strip").click())
    assert name == f"{view.run.name}-path.png"
    seen = opened_picture(content)
    side = 72  # 12 pixels, six times as large
    top = 16 + 2 * 4
    for step in (0, 6, 12):
        left = 4 + step * (side + 4)
        shown = seen[top : top + side, left : left + side, 0]
        wanted = pixels(page.locator(".strip canvas").nth(step))[..., 0].astype(int)
        assert np.abs(shown - wanted.repeat(6, 0).repeat(6, 1)).max() <= 1


def test_the_decoded_image_is_saved_and_copied(page, view):
    shown = pixels(page.get_by_label(DECODED))[..., 0].astype(int)
    name, content = saved(page, lambda: page.get_by_role("button", name="Save image").click())
    assert name == f"{view.run.name}-decoded.png"
    seen = opened_picture(content)[..., 0]
    assert seen.shape == (264, 264)
    assert np.abs(seen[::22, ::22] - shown).max() <= 1
    page.get_by_role("button", name="Copy as JSON").click()
    until(page, lambda: "clipboard" in page.locator("#status").inner_text())
    if page.url.startswith("http"):
        copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
        assert copied["map"] == "tsne"
        wanted = decoding.decode_at(view, "tsne", copied["x"], copied["y"]).arrays
        assert np.allclose(copied["latent"], wanted["latents"][0], atol=1e-5)
        assert copied["nearest"] == wanted["nearest"][0]


def test_a_selection_is_saved_as_table_and_sheet(page, view):
    points = Points(page, view)
    select(page, points, points.lonely()[:3])
    page.get_by_role("button", name="Look at them").click()
    name, content = saved(page, lambda: page.get_by_role("button", name="Save CSV").click())
    assert name == f"{view.run.name}-selection.csv"
    table = list(csv.DictReader(io.StringIO(content.decode())))
    rows = [view.row_of(None, line["id"]) - view.first for line in table]
    assert len(rows) >= 3
    assert [line["class"] for line in table] == [view.run.class_names[view.labels[row]] for row in rows]
    places = view.map("tsne").coordinates[rows]
    assert np.allclose([[float(line["x"]), float(line["y"])] for line in table], places, atol=1e-4)
    assert np.allclose(
        [float(line["reconstruction error"]) for line in table], view.run.of_part("squared_error", view.part)[rows]
    )
    assert np.allclose([float(line["trust of the place"]) for line in table], view.map("tsne").trust[rows])
    if page.url.startswith("http"):
        name, content = saved(page, lambda: page.get_by_role("button", name="Save Parquet").click())
        assert polars.read_parquet(io.BytesIO(content))["id"].to_list() == [line["id"] for line in table]
    name, content = saved(page, lambda: page.get_by_role("button", name="Save sheet").click())
    assert name == f"{view.run.name}-selection.png"
    seen = opened_picture(content)
    wanted = view.pixels(np.array(rows[:1]) + view.first)[0, 0].astype(int)
    assert np.abs(seen[24 : 24 + 72 : 6, 4 : 4 + 72 : 6, 0] - wanted).max() <= 1


def test_a_list_is_saved(browser, address, view):
    with opened(browser, address) as page:
        open_tab(page, "Lists")
        expect(page.locator("#panel .bare").first).to_be_visible()
        name, content = saved(page, lambda: page.get_by_role("button", name="Save list (CSV)").click())
        table = list(csv.DictReader(io.StringIO(content.decode())))
        assert name == f"{view.run.name}-worst-rebuilt.csv"
        shown = page.locator("#panel .bare small").all_inner_texts()
        assert [line["id"] for line in table][: len(shown)] == shown


def test_the_table_knows_tags_and_images_that_are_not_on_the_map(view):
    tests_alone = View(view.run)
    tests_alone.part = TEST  # as where there are a thousand test images and more
    assert tests_alone.first > 0
    Tags(view.run.path).change("odd, or not", [str(tests_alone.ids[0])])
    columns = table_of(tests_alone, [0, -1], "")
    assert columns["tags"].tolist() == ["odd, or not", ""]
    assert columns["part"].tolist() == ["test", "train"]
    assert np.isfinite(columns["reconstruction error"]).all()
    assert columns["cluster"][0].startswith("cluster ")
    assert columns["cluster"][1] == ""
    columns = table_of(view, [0, 3], "pca")
    read = polars.read_parquet(io.BytesIO(as_parquet(columns)))
    assert read.columns == list(columns)
    again = list(csv.reader(io.StringIO(as_csv(columns).decode())))
    assert again[0] == list(columns)
    assert float(again[1][again[0].index("x")]) == columns["x"][0]


def test_parquet_without_a_library_says_what_to_install(monkeypatch):
    monkeypatch.setattr("latens.sheets.LIBRARIES", ("no_such_library",))
    assert parquet_library() is None
    with pytest.raises(UsageError, match="pip install polars"):
        as_parquet({"a": np.arange(2)})
