"""Two runs on one page: one selection, one current image, one colour, one view and one playback over both maps."""

import json
import shutil

import numpy as np
import pytest

from browser import (
    Place,
    distance,
    drag,
    expect,
    open_tab,
    opened,
    pixels,
    screenshot,
    slide,
    status,
    until,
)
from latens.explorer import decoding, following, write_html
from latens.explorer.one_file import MOST_EPOCHS
from latens.explorer.pair import NONE, SHARED
from latens.runs import open_run


class Spots:
    """Where the points of both maps lie on the screen."""

    def __init__(self, page, views, name="tsne"):
        self.places = [Place(page, which) for which in (0, 1)]
        self.points = [view.map_points(name)[1] for view in views]
        self.of = [
            place.on_screen(points["x"], points["y"]) for place, points in zip(self.places, self.points, strict=True)
        ]
        self.there = views[0].pair.rows(views[0])
        self.back = views[0].pair.rows(views[1])

    def lonely(self, which):
        apart = np.linalg.norm(self.of[which][:, None] - self.of[which], axis=-1)
        apart = (apart + np.diag(np.full(len(apart), np.inf))).min(1)
        return [int(row) for row in np.argsort(-apart) if apart[row] > 9]


def around(page, spot):
    x, y = (int(one) for one in spot)
    return screenshot(page)[y - 12 : y + 12, x - 12 : x + 12]


def strip(page):
    return page.locator(".beside-pair")


def decoded(page, name):
    return page.get_by_role("img", name=f"decoded by {name}")


def close(canvas, wanted):
    return np.abs(pixels(canvas)[..., 0].astype(int) - wanted).max() <= 1


def test_the_same_image_is_marked_in_both_maps_and_decoded_by_both(linked, views):
    spots = Spots(linked, views)
    expect(linked.locator(".map-name").first).to_have_text(views[0].run.name)
    row = spots.lonely(0)[0]
    twin = spots.there[row]
    before = around(linked, spots.of[1][twin])
    linked.mouse.move(*spots.of[0][row])
    expect(strip(linked)).to_contain_text(f"image {views[0].ids[row]} ")
    until(linked, lambda: np.abs(around(linked, spots.of[1][twin]) - before).max() > 60)
    for view, point in zip(views, (row, twin), strict=True):
        picture = view.image(int(point)).arrays["reconstruction"][0]
        until(linked, lambda view=view, picture=picture: close(decoded(linked, view.run.name), picture))
    linked.mouse.move(5, 5)
    twin = next(one for one in spots.lonely(1) if spots.back[one] != NONE)
    linked.mouse.move(*spots.of[1][twin])
    expect(strip(linked)).to_contain_text(f"image {views[1].ids[twin]} ")
    expect(linked.locator(".map-box").nth(1).locator(".hover")).to_contain_text(str(views[1].ids[twin]))


def test_the_same_place_is_decoded_by_both(linked, views):
    spots = Spots(linked, views)
    facts = [view.map_points("tsne")[0] for view in views]
    laid = views[0].pair.alignment("tsne")
    for which in (0, 1):
        middle = np.round(spots.places[which].middle)
        spot = max(
            (middle - (dx, dy) for dx in range(-80, 81, 20) for dy in range(-80, 81, 20)),
            key=lambda one: np.linalg.norm(spots.of[which] - one, axis=1).min(),
        )
        linked.mouse.move(*spot)
        expect(strip(linked)).to_contain_text("The same place, decoded by both")
        place = spots.places[which].in_units(spot) / 65_535 * facts[0]["size"] + [facts[0]["left"], facts[0]["bottom"]]
        own = [place, laid.undo(place[None])[0]]
        for view, (x, y) in zip(views, own, strict=True):
            arrays = decoding.decode_at(view, "tsne", float(x), float(y)).arrays
            until(linked, lambda v=view, a=arrays: close(decoded(linked, v.run.name), a["pixels"][0, 0]))


def test_one_selection_over_both_from_either_map(linked, views):
    spots = Spots(linked, views)
    middle = spots.places[1].middle
    linked.keyboard.down("Shift")
    corner, end = middle - (300, 300), middle - (-90, -90)
    drag(linked, [corner, middle, end])
    linked.keyboard.up("Shift")
    inside = np.flatnonzero(((spots.of[1] > corner) & (spots.of[1] < end)).all(1))
    shared = [one for one in inside if spots.back[one] != NONE]
    assert 10 < len(shared) < len(inside)
    expect(linked.get_by_role("group", name="Selection").locator("strong")).to_have_text(
        f"{len(shared)} images selected"
    )
    alone = len(inside) - len(shared)
    assert f"{alone} image" in status(linked)
    assert "in one of the two runs only" in status(linked)
    rows = sorted(int(spots.back[one]) for one in shared)
    assert sorted(map(int, linked.url.partition("select=")[2].partition("&")[0].split("."))) == rows
    open_tab(linked, "Selection")
    expect(linked.locator("#panel .facts")).to_have_text(f"{len(shared)} images selected")
    colours = [np.array([list(bytes.fromhex(one[1:])) for one in view.info()["colours"]]) for view in views]

    def drawn(which, points):
        seen = screenshot(linked)
        labels = views[which].labels[points]
        found = np.array([seen[int(y), int(x)] for x, y in spots.of[which][points]])
        return distance(found, colours[which][labels]) < 60

    below = spots.lonely(1)
    kept = np.isin(below, shared)
    until(linked, lambda: drawn(1, below)[kept].mean() > 0.9 > 0.1 > drawn(1, below)[~kept].mean())
    below = [one for one in spots.lonely(0) if spots.of[0][one][1] > spots.places[0].middle[1]]  # beyond the bar
    kept = np.isin(below, rows)
    until(linked, lambda: drawn(0, below)[kept].mean() > 0.9 > 0.1 > drawn(0, below)[~kept].mean())


def test_an_image_of_the_second_map_becomes_the_current_one(linked, views):
    spots = Spots(linked, views)
    twin = next(one for one in spots.lonely(1) if spots.back[one] != NONE)
    open_tab(linked, "Image")
    linked.mouse.click(*spots.of[1][twin])
    expect(linked.locator("#panel .facts strong")).to_have_text(f"{views[1].ids[twin]}")
    linked.locator(".map").nth(1).focus()
    before = linked.url
    linked.keyboard.press("ArrowRight")
    until(linked, lambda: linked.url != before and "image=" in linked.url)
    linked.keyboard.press("s")
    expect(linked.get_by_role("group", name="Selection").locator("strong")).to_have_text("1 image selected")


def test_an_image_of_the_second_run_only_is_shown_but_not_chosen(linked, views):
    spots = Spots(linked, views)
    twin = next(one for one in spots.lonely(1) if spots.back[one] == NONE)
    linked.mouse.move(*spots.of[1][twin])
    expect(strip(linked)).to_contain_text(f"It is in {views[1].run.name} only.")
    linked.mouse.click(*spots.of[1][twin])
    until(linked, lambda: "in one of the two runs only" in status(linked))
    assert "image=" not in linked.url


def test_one_view_over_both(linked, views):
    spots = Spots(linked, views)
    inner = [one for one in spots.lonely(1) if 30 < np.linalg.norm(spots.of[1][one] - spots.places[1].middle) < 250]
    twin = inner[0]
    wanted = list(bytes.fromhex(views[1].info()["colours"][views[1].labels[twin]][1:]))
    for which, other in ((0, 1), (1, 0)):
        start = spots.places[which].middle + spots.places[which].scale * np.array(
            [20_000.0, 31_000.0]
        )  # where no image is
        drag(linked, [start, start - [20, 0], start - [80, 60]])
        until(linked, lambda: distance(colour_at(linked, spots.of[1][twin] - [80, 60]), wanted) < 60)
        until(linked, lambda: "view=" in linked.url)
        linked.locator(".map").nth(other).focus()
        linked.keyboard.press("0")
        until(linked, lambda: distance(colour_at(linked, spots.of[1][twin]), wanted) < 60)
        until(linked, lambda: "view=" not in linked.url)


def colour_at(page, spot):
    x, y = (int(one) for one in spot)
    return screenshot(page)[y, x]


def test_one_colour_and_one_filter_over_both(linked, views):
    spots = Spots(linked, views)
    colours = np.array([list(bytes.fromhex(one[1:])) for one in views[1].info()["colours"]])
    rows = spots.lonely(1)

    def there():
        seen = screenshot(linked)
        found = np.array([seen[int(y), int(x)] for x, y in spots.of[1][rows]])
        return distance(found, colours[views[1].labels[rows]]) < 60

    until(linked, lambda: there().mean() > 0.95)
    linked.locator(".legend .entry").first.click()
    hidden = views[1].labels[rows] == 0
    until(linked, lambda: there()[~hidden].mean() > 0.95 and not there()[hidden].any())
    linked.get_by_label("Colour").select_option(label=f"neighbours shared with {views[1].run.name}")
    expect(linked.locator(".legend")).to_contain_text("of its 10 nearest")
    until(linked, lambda: there().mean() < 0.2)
    assert "colour=shared" in linked.url
    assert "hide.label=0" in linked.url


def test_two_runs_are_compared_on_a_selection_in_two_steps(linked, views):
    """A box by Shift and drag, and a press on Compare; `docs/explorer.md` allows three."""
    spots = Spots(linked, views)
    middle = spots.places[0].middle
    corner, end = middle - (200, 0), middle - (-60, -250)
    linked.keyboard.down("Shift")
    drag(linked, [corner, middle, end])
    linked.keyboard.up("Shift")
    open_tab(linked, "Compare")
    rows = np.flatnonzero(((spots.of[0] > corner) & (spots.of[0] < end)).all(1))
    assert len(rows) > 10
    panel = linked.locator("#panel")
    expect(panel.locator("caption").first).to_have_text(f"{len(rows)} images selected")
    twins = spots.there[rows]
    line = panel.get_by_role("row", name="mean reconstruction error")
    means = [view.column("error")[some].mean() for view, some in zip(views, (rows, twins), strict=True)]
    shown = [float(text.split()[0]) for text in line.locator("td").all_text_contents()]
    assert shown == pytest.approx(means, rel=1e-3)
    assert ["best" in (cell.get_attribute("class") or "") for cell in line.locator("td").all()] == [
        means[0] < means[1],
        means[1] < means[0],
    ]
    right = [
        np.mean(v.column("predicted")[some] == v.labels[some]) for v, some in zip(views, (rows, twins), strict=True)
    ]
    line = panel.get_by_role("row", name="class of the neighbours is right")
    shown = [float(text.split()[0]) for text in line.locator("td").all_text_contents()]
    assert shown == pytest.approx([100 * one for one in right], abs=0.06)
    mean = 10 * views[0].column(SHARED)[rows].mean()
    expect(panel).to_contain_text(f"{float(f'{mean:.2g}'):g} on average")
    expect(panel.get_by_text("no score is called better")).to_be_visible()


def test_nearest_images_in_both_runs(linked, views):
    spots = Spots(linked, views)
    row = next(one for one in spots.lonely(0) if spots.there[one] != NONE)
    open_tab(linked, "Compare")
    linked.mouse.click(*spots.of[0][row])
    near = [
        view.image(int(one)).arrays["neighbours"][:10] for view, one in zip(views, (row, spots.there[row]), strict=True)
    ]
    both = [one for one in near[0] if spots.there[one] in near[1]]
    expect(linked.locator("#panel")).to_contain_text(f"{len(both)} of 10 are near in both runs")
    strips = linked.locator("#panel .nearest")
    expect(strips).to_have_count(2)
    for which in (0, 1):
        expect(strips.nth(which).locator(".both")).to_have_count(len(both))
    second = [one for one in near[1] if spots.back[one] != NONE]
    strips.nth(1).locator("button").nth(list(near[1]).index(second[0])).click()
    chosen = views[1].ids[second[0]]
    until(linked, lambda: f"image={chosen}" in linked.url)


def test_the_images_whose_neighbours_differ_most(linked, views):
    open_tab(linked, "Compare")
    linked.get_by_role("button", name="List the images whose neighbours differ most").click()
    wanted = views[0].pair.differing(views[0])
    cards = linked.locator("#panel .grid .bare")
    expect(cards).to_have_count(24)
    for card, one in zip(cards.all()[:5], wanted, strict=False):
        expect(card).to_contain_text(one["id"])
        expect(card).to_contain_text(f"{100 * one['score']:.0f} % shared")
    assert "list=other-neighbours" in linked.url
    cards.first.click()
    until(linked, lambda: f"image={wanted[0]['id']}" in linked.url)


def test_the_address_shows_a_colleague_the_state_of_both(browser, linked_address, linked, views):
    linked.get_by_label("Map", exact=True).select_option("pca")
    open_tab(linked, "Compare")
    spots = Spots(linked, views, "pca")
    linked.locator(".map").nth(1).focus()
    linked.keyboard.press("ArrowRight")
    until(linked, lambda: "image=" in linked.url)
    linked.keyboard.press("s")
    until(linked, lambda: "select=" in linked.url)
    linked.mouse.move(5, 5)
    words = until(linked, lambda: (found := strip(linked).text_content()) and "image " in found and found)
    with opened(browser, linked.url, width=2300, height=1100) as other:
        expect(other.locator(".map-name").nth(1)).to_contain_text("PCA", timeout=15_000)
        expect(other.get_by_role("tab", name="Compare")).to_have_attribute("aria-selected", "true")
        expect(strip(other)).to_have_text(words)
        expect(other.locator("#panel caption").first).to_have_text("1 image selected")
        assert len(spots.of[1]) == 280


def test_a_file_of_two_runs_holds_shared_pictures_once(views, tmp_path):
    """The same run twice: the file grows by latents and networks, not by pictures."""
    run = views[0].run
    again = open_run(shutil.copytree(run.path, tmp_path / "again"))
    alone, both = (write_html(run, tmp_path / f"{k}.html", beside=other) for k, other in enumerate((None, again)))
    text = both.read_text()
    facts = json.loads(text.partition('id="latens-data">')[2].partition("</script>")[0])
    assert facts["beside"]["arrays"]["cells"]["offset"] == facts["arrays"]["cells"]["offset"]
    assert facts["beside"]["arrays"]["latents"]["offset"] > facts["arrays"]["latents"]["offset"]
    assert facts["run"]["beside"] == "again"
    assert both.stat().st_size < 2 * alone.stat().st_size


def test_one_playback_over_both(linked, views):
    open_tab(linked, "Run")
    most = MOST_EPOCHS if linked.url.startswith("file:") else None
    epochs = [following.epochs_of(view.run, most) for view in views]
    assert len(epochs[0]) == (most or 30)
    assert epochs[0][-1] > epochs[1][-1]
    slider = linked.get_by_label("Epoch", exact=True)
    both = sorted({*epochs[0], *epochs[1]})
    expect(slider).to_have_attribute("max", str(len(both) - 1))
    for epoch in (both[0], both[-1], epochs[1][-1]):
        slide(slider, both.index(epoch))
        for which, view in enumerate(views):
            kept = [one for one in epochs[which] if one <= epoch] or epochs[which][:1]
            arrays = following.snapshot(view, kept[-1]).arrays
            spots = Place(linked, which).on_screen(arrays["x"].astype(int), arrays["y"].astype(int))
            colours = np.array([list(bytes.fromhex(one[1:])) for one in view.info()["colours"]])[arrays["labels"]]
            inside = np.abs(spots - Place(linked, which).middle).max(1) < 420

            def drawn(spots=spots[inside], colours=colours[inside]):
                seen = screenshot(linked)
                there = np.array([seen[int(y), int(x)] for x, y in spots])
                return np.mean(distance(there, colours) < 60) > 0.7

            until(linked, drawn)
