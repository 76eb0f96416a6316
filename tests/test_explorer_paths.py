"""Paths of the explorer: stops on the map by mouse, touch and keys, way points, and kept paths; of a server and of a file."""

import io
import json
import re
import threading

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from browser import PHONE, Points, drag, expect, open_tab, opened, shows, swipe, until
from latens.errors import RunDamaged, UsageError
from latens.explorer import View, create_app, decoding
from latens.explorer.one_file import write_html
from latens.explorer.paths import Paths
from latens.images.pixels import to_uint8
from latens.interpolation.way_points import steps_of_legs

STRIP = "#panel .strip canvas"


@pytest.fixture
def page(browser, anywhere):
    with opened(
        browser, anywhere, permissions=["clipboard-read", "clipboard-write"] if anywhere.startswith("http") else []
    ) as page:
        yield with_path(page)


def with_path(page):
    expect(page.locator(".verdict").first).to_contain_text("usual distance")
    open_tab(page, "Path")
    expect(page.locator(STRIP)).to_have_count(13)
    return page


def stops_of(page):
    """Where the handles are on the screen, (N, 2)."""
    boxes = [one.bounding_box() for one in page.locator(".stop").all()]
    return np.array([(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes])


def empty_spot(points):
    """A place of the screen with no image near it, that lies on the map."""
    grid = points.place.middle + np.stack(np.meshgrid(np.arange(-330, 331, 30), np.arange(-330, 331, 30)), -1).reshape(
        -1, 2
    )
    away = np.linalg.norm(grid[:, None] - points.spots, axis=-1).min(1)
    return grid[np.argmax(away)].round()


def picture(view, latent):
    return to_uint8(view.run.decode(np.asarray(latent, np.float32)[None]))[0, 0]


def place_at(points, spot):
    left, bottom, size = (points.facts[name] for name in ("left", "bottom", "size"))
    x, y = points.place.in_units(spot) / 65_535 * size + [left, bottom]
    return {"map": "tsne", "x": float(x), "y": float(y)}


def first_shows(page, view, latent, index=0):
    wanted = picture(view, latent)
    until(page, lambda: shows(page.locator(STRIP).nth(index), wanted))


def test_an_end_is_dragged_onto_an_image_and_to_an_empty_place(page, view):
    points = Points(page, view)
    row, before = points.lonely()[0], page.locator(".chosen").first.inner_text()
    drag(page, [stops_of(page)[0], points.spots[row] + 60, points.spots[row]])
    expect(page.locator(".chosen").first).to_contain_text(f"{view.ids[row]} ·")
    first_shows(page, view, view.latents[row])
    spot = empty_spot(points)
    drag(page, [stops_of(page)[0], spot + 40, spot])
    expect(page.locator(".chosen").first).to_have_text("a place of the map t-SNE")
    place = place_at(points, spot)
    first_shows(page, view, view.map("tsne").inverse(np.array([[place["x"], place["y"]]]))[0])
    until(page, lambda: np.abs(stops_of(page)[0] - spot).max() < 2)
    page.keyboard.press("Control+z")
    expect(page.locator(".chosen").first).to_contain_text(f"{view.ids[row]} ·")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".chosen").first).to_have_text(before)
    assert page.get_by_role("button", name="Undo").is_disabled()
    page.get_by_role("button", name="Redo").click()
    first_shows(page, view, view.latents[row])


def test_a_way_point_is_pulled_out_of_the_line_and_removed(page, view):
    points = Points(page, view)
    row = next(row for row in points.lonely() if np.linalg.norm(points.spots[row] - stops_of(page), axis=1).min() > 80)
    chosen = page.locator(".chosen")
    ends = [
        view.row_of(None, words.split(" · ")[0].removeprefix("image ")) - view.first
        for words in chosen.all_text_contents()
    ]
    line = decoding.path(view, [[ends[0]], [ends[1]]], "linear", 13, "tsne").arrays["places"]
    spots = np.array([points.on_map(place) for place in line])
    start = spots[6] if np.linalg.norm(spots[6] - stops_of(page), axis=1).min() > 20 else (spots[0] + spots[-1]) / 2
    drag(page, [start, (start + points.spots[row]) / 2, points.spots[row]])
    expect(page.locator(".stop")).to_have_count(3)
    expect(chosen.nth(1)).to_contain_text(f"{view.ids[row]} ·")
    answer = decoding.path(view, [[ends[0]], [int(row)], [ends[1]]], "linear", 13, "tsne")
    step = answer.facts["stops"][1]
    until(page, lambda: all(shows(page.locator(STRIP).nth(k), answer.arrays["pixels"][k, 0]) for k in (0, step, 12)))
    expect(page.locator(".step[data-letter]")).to_have_count(3)
    page.locator(".stop").nth(1).focus()
    page.keyboard.press("Delete")
    expect(page.locator(".stop")).to_have_count(2)
    page.keyboard.press("Control+z")
    expect(page.locator(".stop")).to_have_count(3)
    page.get_by_role("button", name="Remove Way point 1").click()
    expect(page.locator(".stop")).to_have_count(2)
    page.get_by_role("button", name="Add a way point").click()
    expect(page.locator(".stop")).to_have_count(3)


def test_a_drag_that_is_not_meant_changes_nothing(page, view):
    before = page.url
    page.mouse.move(*stops_of(page)[0])
    page.mouse.down()
    page.mouse.move(*(stops_of(page)[0] + 90), steps=4)
    page.keyboard.press("Escape")
    page.mouse.up()
    until(page, lambda: page.url == before)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    ends = page.locator(".chosen").all_text_contents()
    row = view.row_of(None, ends[0].split(" · ")[0].removeprefix("image ")) - view.first
    first_shows(page, view, view.latents[row])


def test_an_end_is_moved_by_keys(page, view):
    first = page.locator(".stop").first
    before = page.locator(".chosen").first.inner_text()
    spot = stops_of(page)[0]
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".chosen").first).not_to_have_text(before)
    words = page.locator(".chosen").first.inner_text()
    assert words.startswith("image ")
    assert stops_of(page)[0][0] > spot[0]
    expect(first).to_have_attribute("aria-label", f"From of the path: {words}")
    expect(first).to_be_focused()
    page.keyboard.press("Shift+ArrowUp")
    expect(page.locator(".chosen").first).to_have_text("a place of the map t-SNE")
    page.keyboard.press("Delete")  # an end stays
    expect(page.locator(".stop")).to_have_count(2)


def test_an_end_is_picked_on_the_map_by_keys(page, view):
    page.get_by_role("button", name="Pick on the map").first.press("Enter")
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")
    until(page, lambda: page.locator("#status").inner_text().startswith("image "))
    name = page.locator("#status").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator(".chosen").first).to_have_text(name)


def test_an_end_is_dragged_by_a_finger(browser, anywhere, view):
    with opened(browser, anywhere, **PHONE) as page:
        with_path(page)
        points = Points(page, view)
        row = next(
            row
            for row in np.argsort(-points.apart)
            if np.linalg.norm(points.spots[row] - stops_of(page), axis=1).min() > 50
        )
        target = points.spots[row]
        swipe(page, [stops_of(page)[0], stops_of(page)[0] + 12, (stops_of(page)[0] + target) / 2, target])
        expect(page.locator(".chosen").first).to_contain_text(f"{view.ids[row]} ·")
        first_shows(page, view, view.latents[row])


def test_a_path_is_in_the_address(page, view):
    points = Points(page, view)
    spot = empty_spot(points)
    drag(page, [stops_of(page)[0], spot + 9, spot])
    expect(page.locator(".chosen").first).to_have_text("a place of the map t-SNE")
    page.get_by_label("Kind of path", exact=True).select_option("spherical")
    until(page, lambda: re.search(r"path=[-\d.]+\*[-\d.]+\*tsne_\d+_spherical", page.url))
    end = (
        view.row_of(None, page.locator(".chosen").last.inner_text().split(" · ")[0].removeprefix("image ")) - view.first
    )
    wanted = decoding.path(view, [place_at(points, spot), [end]], "spherical", 13, "tsne").arrays["pixels"][:, 0]
    for _ in range(2):
        until(page, lambda: all(shows(page.locator(STRIP).nth(k), wanted[k]) for k in (0, 6, 12)))
        page.reload()
        expect(page.locator(".chosen").first).to_have_text("a place of the map t-SNE")


def test_paths_are_kept_listed_opened_and_removed(page, view):
    points = Points(page, view)
    drag(page, [stops_of(page)[1], empty_spot(points) + 9, empty_spot(points)])
    expect(page.locator(".chosen").last).to_have_text("a place of the map t-SNE")
    kept = page.get_by_role("region", name="Kept paths")
    kept.get_by_label("Name of the path").fill("to <nowhere>")
    kept.get_by_role("button", name="Keep this path").click()
    entry = kept.get_by_role("button", name="Open the path to <nowhere>")
    expect(entry).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="Swap").click()
    expect(page.locator(".chosen").first).to_have_text("a place of the map t-SNE")
    kept.get_by_role("button", name="Keep this path").click()
    expect(page.locator("#status")).to_contain_text("another path named")
    page.errors.clear()  # that it was refused stands in the console
    page.reload()
    entry.click()
    expect(page.locator(".chosen").last).to_have_text("a place of the map t-SNE")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as JSON").click()
    assert download.value.suggested_filename.endswith("to -nowhere-.json")
    saved = json.loads(download.value.path().read_text())
    assert (saved["name"], saved["way"]) == ("to <nowhere>", "linear")
    assert [sorted(stop) for stop in saved["stops"]] == [["ids", "step"], ["map", "step", "x", "y"]]
    row = view.row_of(None, saved["stops"][0]["ids"][0]) - view.first
    np.testing.assert_allclose(saved["latents"][0], view.latents[row], atol=1e-3)
    kept.get_by_role("button", name="Remove the path to <nowhere>").click()
    expect(entry).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(entry).to_be_visible()
    page.get_by_role("button", name="Redo").click()
    expect(entry).to_have_count(0)
    page.reload()
    expect(page.locator(STRIP)).to_have_count(13)
    expect(entry).to_have_count(0)


def test_two_tabs_that_keep_paths_lose_nothing(browser, anywhere, page):
    other = page.context.new_page()
    other.goto(anywhere)
    with_path(other)
    for one, name in ((page, "first"), (other, "second")):
        one.get_by_label("Name of the path").fill(name)
        one.get_by_role("button", name="Keep this path").click()
        expect(one.get_by_role("button", name=f"Open the path {name}")).to_be_visible()
    expect(other.get_by_role("button", name="Open the path first")).to_be_visible()
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.get_by_role("button", name="Open the path second")).to_be_visible()
    for name in ("first", "second"):
        page.get_by_role("button", name=f"Remove the path {name}").click()
        expect(page.get_by_role("button", name=f"Open the path {name}")).to_have_count(0)


def test_a_strip_between_two_classes_is_saved_within_four_clicks(browser, anywhere, view):
    with opened(browser, anywhere) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        clicks = 0

        def click(press):
            nonlocal clicks
            clicks += 1
            return press()

        click(lambda: open_tab(page, "Path"))
        for which, label in (("From", 0), ("To", 2)):
            click(lambda which=which, label=label: page.get_by_label(which, exact=True).select_option(str(label)))
        with page.expect_download() as download:
            click(lambda: page.get_by_role("button", name="Save strip").click())
        assert clicks <= 4
        seen = np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("L")).astype(int)
        ids = [words.split(" · ")[0].removeprefix("image ") for words in page.locator(".chosen").all_text_contents()]
        rows = [view.row_of(None, one) - view.first for one in ids]
        assert [view.labels[row] for row in rows] == [0, 2]
        wanted = decoding.path(view, [[row] for row in rows], "linear", 13, "tsne").arrays["pixels"][:, 0]
        for step in (0, 12):
            left = 4 + step * 76
            assert np.abs(seen[24 : 24 + 72 : 6, left : left + 72 : 6] - wanted[step]).max() <= 1


def test_a_run_s_paths_are_in_the_exported_file(browser, view, tmp_path):
    paths = Paths(view.run.path)
    paths.keep("mine", "linear", [{"ids": [str(view.ids[3])]}, {"ids": [str(view.ids[9])]}])
    paths.keep("of another run", "linear", [{"ids": ["no such image"]}, {"ids": [str(view.ids[9])]}])
    try:
        file = write_html(view.run, tmp_path / "explorer.html").as_uri()
    finally:
        paths.remove("mine")
        paths.remove("of another run")
    with opened(browser, file) as page:
        with_path(page)
        page.get_by_role("button", name="Open the path mine").click()
        expect(page.locator(".chosen").first).to_contain_text(f"{view.ids[3]} ·")
        expect(page.get_by_role("button", name="Open the path of another run")).to_have_count(0)


def test_a_browser_that_keeps_nothing_says_so(browser, view, tmp_path):
    file = write_html(view.run, tmp_path / "explorer.html").as_uri()
    with opened(browser, file) as page:
        page.add_init_script(
            "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no', 'SecurityError'); }})"
        )
        page.reload()
        with_path(page)
        page.get_by_label("Name of the path").fill("lost")
        page.get_by_role("button", name="Keep this path").click()
        expect(page.locator("#status")).to_contain_text("keeps nothing for this page")


def test_a_path_passes_its_way_points(view):
    for way in ("linear", "spherical", "graph"):
        place = {"map": "pca", "x": 0.1, "y": -0.2}
        answer = decoding.path(view, [[0], [4, 5], place, [9]], way, 13, "pca")
        wanted = [
            view.latents[0],
            view.latents[4:6].mean(0),
            view.map("pca").inverse(np.array([[0.1, -0.2]]))[0],
            view.latents[9],
        ]
        np.testing.assert_allclose(answer.arrays["latents"][answer.facts["stops"]], wanted, atol=1e-5)
        assert answer.facts["stops"][0] == 0
        assert answer.facts["stops"][-1] == 12
        if way == "linear":
            lengths = np.linalg.norm(np.diff(answer.arrays["latents"], axis=0), axis=1)
            for a, b in zip(answer.facts["stops"], answer.facts["stops"][1:], strict=False):
                np.testing.assert_allclose(lengths[a:b], lengths[a], rtol=1e-3)


@pytest.mark.parametrize(
    ("lengths", "steps", "wanted"),
    [([1.0], 13, [12]), ([2.0, 1.0, 1.0], 13, [6, 3, 3]), ([0.0, 0.0], 5, [2, 2]), ([1e9, 1.0, 1.0], 4, [1, 1, 1])],
)
def test_steps_are_shared_by_length_and_each_leg_has_one(lengths, steps, wanted):
    given = steps_of_legs(lengths, steps)
    assert given == wanted
    assert sum(given) == steps - 1


@pytest.mark.parametrize(
    ("stops", "said"),
    [
        ([[0]], "1 stops"),
        ([[0], [1]] * 9, "18 stops"),
        ([[0], "x"], "no stop of a path"),
        ([[0], {"map": "pca", "x": 0.0}], "no stop of a path"),
        ([[0], {"map": "pca", "x": float("nan"), "y": 0.0}], "two finite numbers"),
        ([[0], {"map": "nowhere", "x": 0.0, "y": 0.0}], "nowhere"),
        ([[0], [1], [1], [2]], "from a place to itself"),
    ],
)
def test_stops_that_are_none(view, stops, said):
    with pytest.raises(UsageError, match=said):
        decoding.path(view, stops, "linear", 13, "pca")


def test_kept_paths_are_a_journal(tmp_path):
    one, two = Paths(tmp_path), Paths(tmp_path)
    stops = [{"ids": ["a"]}, {"map": "tsne", "x": 1.5, "y": -2.0}]
    one.keep("x", "linear", stops)
    two.keep("y", "graph", stops)
    two.keep("x", "linear", stops)  # the same again is no change
    assert one.read() == {"x": {"way": "linear", "stops": stops}, "y": {"way": "graph", "stops": stops}}
    assert (tmp_path / "paths.jsonl").read_text().count("\n") == 2
    with pytest.raises(UsageError, match="another path named 'x'"):
        two.keep("x", "graph", stops)
    threads = [threading.Thread(target=Paths(tmp_path).keep, args=(f"n{i}", "linear", stops)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(one.read()) == 22
    one.remove("x")
    one.remove("no such path")
    assert "x" not in two.read()
    for bad in ("", " ", "n" * 61, "a\nb"):
        with pytest.raises(UsageError, match="name of a path"):
            one.keep(bad, "linear", stops)
    with (tmp_path / "paths.jsonl").open("a") as file:
        file.write('{"path": "z", "way": "linear", "stops": [3]}\n')
    with pytest.raises(RunDamaged, match="line 24 is not a change of paths"):
        one.read()


def test_a_kept_path_by_the_routes(view):
    app = create_app(View(view.run), token="token")
    client = TestClient(app, base_url="http://127.0.0.1:8000", headers={"x-latens-token": "token"})
    place = {"map": "tsne", "x": 0.5, "y": 1.0}
    kept = client.post("/api/paths", json={"name": "a", "stops": [[0, 2], place], "way": "graph"}).json()
    assert kept == {"paths": [{"name": "a", "way": "graph", "stops": [[0, 2], place], "lost": 0}]}
    assert Paths(view.run.path).read()["a"]["stops"][0] == {"ids": [str(view.ids[0]), str(view.ids[2])]}
    refused = client.post("/api/paths", json={"name": "b", "stops": [[0], [10**6]]})
    assert (refused.status_code, "no point of the map" in refused.json()["error"]) == (400, True)
    assert client.post("/api/paths", json={"name": "a", "stops": []}).json() == {"paths": []}
    (view.run.path / "paths.jsonl").unlink()
