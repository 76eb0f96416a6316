"""The images of the train part beside another run: placed on both maps, laid onto each other, and linked by their ids."""

import numpy as np
import pytest

from browser import (
    Place,
    ask,
    class_colours,
    distance,
    drag,
    expect,
    open_tab,
    opened,
    pixels,
    screenshot,
    served,
    two_runs_with_train_images,
    until,
)
from latens.errors import UsageError
from latens.explorer import View
from latens.explorer.pair import NONE, SHARED, pair
from latens.runs import open_run
from latens.runs.run import TRAIN


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    with two_runs_with_train_images(tmp_path_factory) as made:
        yield made


def places_of(view, name, part):
    """Places in the units of the first's map."""
    facts, places = view.map_points(name, part)
    step = facts["size"] / 65_535
    return np.stack([facts["left"] + places["x"] * step, facts["bottom"] + places["y"] * step], 1), step


@pytest.mark.parametrize("name", ["tsne", "pca"])
def test_train_images_go_along_with_the_map_that_they_are_placed_on(views, name):
    laid = views[0].pair.alignment(name)
    for view, moved in zip(views, (lambda places: places, laid.apply), strict=True):
        own, train = view.map(name).coordinates, view.placed(name)
        wanted = {"test": moved(own), "train": moved(train), "both": moved(np.concatenate([own, train]))}
        for part, places in wanted.items():
            found, step = places_of(view, name, part)
            np.testing.assert_allclose(found, places, atol=0.51 * step)
    for part in ("test", "train", "both"):
        frames = [view.map_points(name, part)[0] for view in views]
        assert {tuple(frame[side] for side in ("left", "bottom", "size")) for frame in frames[:1]} == {
            tuple(frame[side] for side in ("left", "bottom", "size")) for frame in frames[1:]
        }


def test_the_switch_does_not_change_how_the_maps_are_laid(views):
    (own, _), (both, _) = (views[1].map_points("pca", part) for part in ("test", "both"))
    assert own["laid"] == both["laid"]


def test_the_share_of_neighbours_of_train_images_is_that_of_a_search_written_out(views):
    first, second = views
    mine, theirs = first.pair.points
    known = first.latents[mine].astype(np.float64), second.latents[theirs].astype(np.float64)
    rows = first.pair.rows(first)[: first.first]
    twins = np.where((rows < 0) & (rows != NONE), rows + second.first, NONE)
    assert (twins != NONE).sum() > 100
    wanted = np.full(first.first, np.nan)
    k = min(10, len(mine) - 1)
    for row in np.flatnonzero(twins != NONE):
        each = [
            set(np.argsort(((points - run.of_part("latents", TRAIN)[at].astype(np.float64)) ** 2).sum(1))[:k].tolist())
            for points, run, at in zip(known, (first.run, second.run), (row, twins[row]), strict=True)
        ]
        wanted[row] = len(each[0] & each[1]) / k
    found = first.column(SHARED, "train")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    there = np.isfinite(wanted)
    assert np.mean(np.abs(found[there] - wanted[there]) < 1e-6) > 0.98  # equal distances may be ordered otherwise
    np.testing.assert_array_equal(first.column(SHARED, "both"), np.concatenate([first.column(SHARED), found]))


def test_a_run_whose_map_shows_all_images_lets_none_be_placed(folders):
    first, second = (View(open_run(folder)) for folder in folders)
    second.part = None
    pair(first, second)
    assert first.info()["train"] == second.info()["train"] == 0
    with pytest.raises(UsageError, match="the run beside it shows all its images"):
        first.map_points("pca", "train")


# ---- on the page, as it is served and as one file


def show(page, part):
    page.get_by_label("Part", exact=True).select_option(value=part)
    until(page, lambda: f"part={part}" in page.url if part != "test" else "part=" not in page.url)


def held(page, views):
    """The rows of the second run's train part that the page has: a file has those of the first run alone."""
    first, second = views
    rows = np.arange(-second.first, 0)
    return rows if not page.url.startswith("file:") else rows[first.pair.rows(second)[: second.first] != NONE]


class Spots:
    """Where the images of both parts lie on the screen, as the answers of a server say; rows as `View.row_of` has them."""

    def __init__(self, page, views, name="tsne"):
        trains = [np.arange(views[0].first), held(page, views) + views[1].first]
        each = [
            np.concatenate([view.map(name).coordinates, view.placed(name, rows)])
            for view, rows in zip(views, trains, strict=True)
        ]
        each[1] = views[0].pair.alignment(name).apply(each[1])
        every = np.concatenate(each)
        size = (np.ptp(every, axis=0).max()) * 1.08
        corner = every.min(0) / 2 + every.max(0) / 2 - size / 2
        units = [(one - corner) / size * 65_535 for one in each]
        self.of = [Place(page, which).on_screen(one[:, 0], one[:, 1]) for which, one in enumerate(units)]
        self.rows = [
            np.concatenate([np.arange(view.count), rows - view.first]) for view, rows in zip(views, trains, strict=True)
        ]

    def spot(self, which, row):
        return self.of[which][int(np.flatnonzero(self.rows[which] == row)[0])]

    def lonely(self, which):
        """Rows of images that no other comes near, the loneliest first."""
        apart = np.linalg.norm(self.of[which][:, None] - self.of[which], axis=-1)
        order = np.argsort(-(apart + np.diag(np.full(len(apart), np.inf))).min(1))
        return [int(self.rows[which][at]) for at in order]


def drawn_share(page, view, spots, rows):
    page.mouse.move(3, 3)
    seen = screenshot(page)
    labels = view.run.latents["labels"][np.asarray(rows) + view.first]
    found = np.array([seen[int(y), int(x)] for x, y in spots])
    return (distance(found, class_colours(view)[labels]) < 70).mean()


def test_the_switch_shows_the_same_part_on_both_maps(linked, views):
    show(linked, "both")
    spots = Spots(linked, views)
    for which, view in enumerate(views):
        until(linked, lambda w=which, v=view: drawn_share(linked, v, spots.of[w], spots.rows[w]) > 0.85)
    show(linked, "train")
    for which, view in enumerate(views):
        train = spots.rows[which] < 0
        some = spots.of[which], spots.rows[which]
        until(linked, lambda v=view, s=some, t=train: drawn_share(linked, v, s[0][t], s[1][t]) > 0.85)
    show(linked, "test")
    expect(linked.locator(".map-name").nth(1)).to_contain_text("scale")


def test_a_train_image_is_the_same_one_on_both_maps(linked, views):
    first, second = views
    show(linked, "both")
    spots = Spots(linked, views)
    there = first.pair.rows(first)
    row = next(one for one in spots.lonely(0) if one < 0 and NONE < there[one + first.first] < 0)
    twin = int(there[row + first.first])
    name = str(first.run.latents["ids"][row + first.first])
    assert str(second.run.latents["ids"][twin + second.first]) == name
    linked.mouse.move(*spots.spot(0, row))
    strip = linked.locator(".beside-pair")
    expect(strip).to_contain_text(f"image {name} ")
    for view, at in ((first, row), (second, twin)):
        picture = view.image(at).arrays["reconstruction"][0].astype(int)
        made = linked.get_by_role("img", name=f"decoded by {view.run.name}")
        until(linked, lambda m=made, p=picture: np.abs(pixels(m)[..., 0].astype(int) - p).max() <= 2)
    x, y = (int(one) for one in spots.spot(1, twin))

    def around():
        return screenshot(linked)[y - 12 : y + 12, x - 12 : x + 12]

    ringed = around()
    linked.mouse.move(5, 5)
    until(linked, lambda: np.abs(around() - ringed).max() > 60)  # the ring has gone
    back = next(one for one in spots.lonely(1) if one < 0 and first.pair.rows(second)[one + second.first] != NONE)
    linked.mouse.click(*spots.spot(1, back))
    open_tab(linked, "Image")
    expect(linked.locator("#panel .facts strong")).to_have_text(str(second.run.latents["ids"][back + second.first]))
    expect(linked.locator("#panel .facts")).to_contain_text("a train image, placed on the map")


def test_a_selection_of_train_images_is_selected_and_compared_on_both(linked, views):
    first, second = views
    show(linked, "both")
    spots = Spots(linked, views)
    middle = Place(linked).middle
    corner, end = middle - (240, 0), middle - (-60, -300)
    linked.keyboard.down("Shift")
    drag(linked, [corner, middle, end])
    linked.keyboard.up("Shift")
    rows = spots.rows[0][((spots.of[0] > corner) & (spots.of[0] < end)).all(1)]
    assert (rows < 0).sum() > 10
    expect(linked.get_by_role("group", name="Selection", exact=True).locator("strong")).to_have_text(
        f"{len(rows)} images selected"
    )
    twins = first.pair.rows(first)[rows + first.first]
    shown = np.isin(spots.rows[1], twins)
    faded = ~shown
    until(linked, lambda: drawn_share(linked, second, spots.of[1][shown], spots.rows[1][shown]) > 0.8)
    assert drawn_share(linked, second, spots.of[1][faded], spots.rows[1][faded]) < 0.4
    open_tab(linked, "Compare")
    expect(linked.locator("#panel caption").first).to_have_text(f"{len(rows)} images selected")
    errors = [
        view.run.latents["squared_error"][some + view.first].mean()
        for view, some in zip(views, (rows, twins), strict=True)
    ]
    line = linked.locator("#panel").get_by_role("row", name="mean reconstruction error")
    expect(line).to_be_visible()
    found = [float(text.split()[0]) for text in line.locator("td").all_text_contents()]
    assert found == pytest.approx(errors, rel=1e-3)
    mean = 10 * np.nanmean(first.column(SHARED, "both")[rows])
    shared = linked.locator("#panel").get_by_text("on average")
    assert float(shared.text_content().split()[0]) == pytest.approx(mean, rel=0.06)


def test_colours_and_filters_are_of_the_same_part_on_both(linked, views):
    second = views[1]
    show(linked, "train")
    spots = Spots(linked, views)
    train = spots.rows[1] < 0
    rows, places = spots.rows[1][train], spots.of[1][train]
    labels = second.run.latents["labels"][rows + second.first]
    until(linked, lambda: drawn_share(linked, second, places, rows) > 0.85)
    linked.locator(".legend .entry").first.click()
    hidden = labels == 0
    until(linked, lambda: drawn_share(linked, second, places[hidden], rows[hidden]) < 0.2)
    assert drawn_share(linked, second, places[~hidden], rows[~hidden]) > 0.85
    linked.get_by_label("Colour").select_option(label="reconstruction error")
    until(linked, lambda: drawn_share(linked, second, places[~hidden], rows[~hidden]) < 0.3)


def test_the_address_shows_the_part_on_both_maps(browser, linked_address, views):
    with opened(browser, f"{linked_address}#part=both&map=pca", width=2300, height=1100) as page:
        expect(page.locator(".map-name").nth(1)).to_contain_text("PCA")
        expect(page.get_by_label("Part", exact=True)).to_have_value("both")
        spots = Spots(page, views, "pca")
        for which, view in enumerate(views):
            until(page, lambda w=which, v=view: drawn_share(page, v, spots.of[w], spots.rows[w]) > 0.7)


def test_the_second_run_answers_for_its_train_images(folders, views):
    with served(*folders) as address:
        found = ask(address, "beside/api/map?name=pca&part=train")
    assert len(found["x"]) == views[1].first
