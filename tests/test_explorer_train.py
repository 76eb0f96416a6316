"""The images of the train part on a map of the test part: placed when they are asked for, and then images like all others."""

import csv
import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import latens.neighbours
from browser import (
    Place,
    Points,
    ask,
    class_colours,
    distance,
    drag,
    expect,
    learned_run,
    map_the_test_part,
    open_tab,
    opened,
    processed,
    screenshot,
    served,
    settled,
    slide,
    status,
    until,
)
from latens.computed.review import kept_neighbours
from latens.errors import UsageError
from latens.explorer import View, decoding, following, placing
from latens.explorer import view as views
from latens.explorer.columns import read_columns
from latens.explorer.routes import ROUTES
from latens.explorer.routes import ask as ask_route
from latens.explorer.table import table_of
from latens.neighbours import Neighbours
from latens.runs import Run, open_run
from latens.runs.run import TEST, TRAIN

K = 10  # neighbours by which the trust in a place is measured


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose map shows the test part, as that of many images does."""
    folder = shutil.copytree(learned_run(tmp_path_factory), tmp_path_factory.mktemp("train") / "run")
    with pytest.MonkeyPatch.context() as patch:
        run = map_the_test_part(folder, patch)
        for name in ("tsne", "pca"):
            run.map(name)
        yield folder


@pytest.fixture
def fresh(run):
    return View(open_run(run))


def brute(points, queries, k):
    """The k nearest points of each query, and the squared distances of all: written out."""
    squares = ((queries[:, None].astype(np.float64) - points) ** 2).sum(2)
    return np.argsort(squares, axis=1, kind="stable")[:, :k], squares


def in_units(facts, arrays):
    """Places of an answer in the map's own units, and how long a step of them is."""
    step = facts["size"] / 65_535
    return np.stack([facts["left"] + arrays["x"] * step, facts["bottom"] + arrays["y"] * step], 1), step


@pytest.mark.parametrize("name", ["tsne", "pca"])
def test_each_train_image_lies_where_the_map_places_it_with_its_own_trust(fresh, name):
    train = fresh.run.of_part("latents", TRAIN).astype(np.float32)
    placed, made = fresh.placed(name), fresh.map(name)
    if name == "pca":
        mean = fresh.latents.mean(0, dtype=np.float64)
        axes = np.linalg.svd(fresh.latents - mean, full_matrices=False)[2][:2]
        expected = (train - mean) @ axes.T
        np.testing.assert_allclose(np.abs(placed), np.abs(expected), atol=1e-4)  # an axis may point the other way
    else:
        one_by_one = np.concatenate([made.place(z[None]) for z in train])
        np.testing.assert_allclose(placed, one_by_one, atol=1e-5)
    on_map, _ = brute(made.coordinates, placed, K)
    _, squares = brute(fresh.latents, train, K)
    kth = np.sort(squares, axis=1)[:, K - 1]
    expected = (np.take_along_axis(squares, on_map, 1) <= kth[:, None] * (1 + 1e-12)).mean(1)
    np.testing.assert_allclose(fresh.column(f"trust:{name}", "train"), expected, atol=1e-6)
    assert 0.2 < expected.mean() < 1


@pytest.mark.parametrize("name", ["tsne", "pca"])
def test_the_frame_holds_the_images_of_both_parts(fresh, name):
    (own_facts, own), (facts, both) = fresh.map_points(name), fresh.map_points(name, "both")
    train_facts, train = fresh.map_points(name, "train")
    assert train_facts == facts
    num = fresh.count
    assert len(both["x"]) == num + fresh.num_train == len(fresh.run.latents["part"])
    for axis in "xy":
        np.testing.assert_array_equal(both[axis][num:], train[axis])
    places, step = in_units(facts, both)
    wanted = np.concatenate([fresh.map(name).coordinates, fresh.placed(name)])
    np.testing.assert_allclose(places, wanted, atol=0.51 * step)
    if name == "tsne":  # medians of places lie among them: nothing moves when the switch is used
        assert facts == own_facts
        np.testing.assert_array_equal(both["x"][:num], own["x"])


def test_every_column_has_values_of_the_train_part(fresh, tmp_path):
    latents = fresh.run.latents
    is_train = latents["part"] == TRAIN
    ids = [str(one) for one in latents["ids"]]
    (tmp_path / "own.csv").write_text(
        "id,number,word\n" + "".join(f"{one},{i},{'ab'[i % 2]}\n" for i, one in enumerate(ids))
    )
    first = int(is_train.sum())
    fresh.columns = read_columns(tmp_path / "own.csv", ids[first:], ids[:first])
    for column in fresh.all_columns:
        if column.name.startswith("odd:"):
            continue  # needs the detector, which says nothing of what it was trained on
        train, both = fresh.column(column.name, "train"), fresh.column(column.name, "both")
        np.testing.assert_array_equal(both, np.concatenate([fresh.column(column.name), train]))
    np.testing.assert_array_equal(fresh.column("label", "train"), latents["labels"][is_train])
    np.testing.assert_array_equal(fresh.column("error", "train"), latents["squared_error"][is_train])
    np.testing.assert_array_equal(fresh.column("own:number", "train"), np.arange(first))
    np.testing.assert_array_equal(fresh.column("own:word", "train"), np.arange(first) % 2)
    train = fresh.run.of_part("latents", TRAIN).astype(np.float64)
    _, squares = brute(train, train, 1)
    np.fill_diagonal(squares, np.inf)
    near = np.argsort(squares, axis=1, kind="stable")[:, :5]
    labels = latents["labels"][is_train]
    np.testing.assert_array_equal(fresh.column("contradicted", "train"), (labels[near] != labels[:, None]).sum(1))
    clusters = fresh.column("cluster")
    centres = np.stack([fresh.latents[clusters == k].mean(0) for k in range(clusters.max() + 1)])
    np.testing.assert_array_equal(fresh.column("cluster", "train"), brute(centres, train, 1)[0][:, 0])
    assert fresh.image(-1).facts["columns"][-2:] == [
        {"title": "number", "value": float(first - 1), "unit": ""},
        {"title": "word", "value": "ab"[(first - 1) % 2], "unit": ""},
    ]


def test_a_column_that_says_nothing_of_the_train_part_has_no_value_there(fresh, tmp_path):
    (tmp_path / "own.csv").write_text("id,number,word\n" + "".join(f"{one},1,a\n" for one in fresh.ids))
    fresh.columns = read_columns(tmp_path / "own.csv", [str(one) for one in fresh.ids])
    assert np.isnan(fresh.column("own:number", "train")).all()
    assert (fresh.column("own:word", "train") == 65_535).all()
    assert len(fresh.column("own:word", "train")) == fresh.num_train
    assert fresh.image(-1).facts["columns"] == fresh.image(-2).facts["columns"] == []


def test_thumbnails_of_both_parts_follow_the_order_of_the_points(fresh):
    layout = fresh.sprites
    size, across = layout["size"], layout["across"]
    sheet = np.asarray(Image.open(io.BytesIO(fresh.thumbnails(0, part="both"))))
    for point in (0, fresh.count - 1, fresh.count, fresh.count + 7):
        row = fresh.first + point if point < fresh.count else point - fresh.count
        top, left = point // across * size, point % across * size
        np.testing.assert_array_equal(sheet[top : top + size, left : left + size], fresh.pixels(np.array([row]))[0, 0])
    with pytest.raises(UsageError, match=r"page 1 of thumbnails; there are 1"):
        fresh.thumbnails(1, part="both")


def test_nothing_is_placed_before_it_is_asked_for_and_then_once(fresh, monkeypatch):
    calls = []

    def noted(*given):
        calls.append(given[0])
        return placing.places_on(*given)

    monkeypatch.setattr(views, "places_on", noted)
    fresh.info(), fresh.opening(), fresh.map_points("tsne"), fresh.column("trust:tsne"), fresh.image(-1)
    assert calls == []
    fresh.map_points("tsne", "both"), fresh.map_points("tsne", "train"), fresh.column("trust:tsne", "both")
    assert calls == [fresh.map("tsne")]


def test_progress_is_told_block_by_block(fresh, monkeypatch):
    monkeypatch.setattr(placing, "ROWS", 100)
    told, train = [], fresh.run.of_part("latents", TRAIN)
    some = fresh.map("tsne")
    places = placing.places_on(some, train, lambda done, total, text="": told.append((done, total)))
    num = len(train)
    assert told == [(min(start + 100, num), num) for start in range(0, num, 100)]
    np.testing.assert_allclose(places, fresh.placed("tsne"), atol=1e-5)


def test_a_table_of_train_images_has_their_places_and_trust(fresh):
    points = [0, -1, -fresh.first]
    table = table_of(fresh, points, "tsne", "both")
    assert table["part"].tolist() == ["test", "train", "train"]
    wanted = [fresh.map("tsne").coordinates[0], fresh.placed("tsne")[-1], fresh.placed("tsne")[0]]
    np.testing.assert_array_equal(np.stack([table["x"], table["y"]], 1), np.array(wanted))
    trust = fresh.column("trust:tsne", "train")
    np.testing.assert_array_equal(table["trust of the place"][1:], trust[[-1, 0]])
    cluster = fresh.column("cluster", "train")
    assert table["cluster"][1:].tolist() == [f"cluster {cluster[-1] + 1}", f"cluster {cluster[0] + 1}"]
    assert np.isnan(table_of(fresh, points, "tsne")["x"][1:]).all()  # while they are not on the map


@pytest.mark.parametrize("part", ["train", "both"])
def test_neighbours_are_of_the_images_that_are_on_the_map(fresh, part):
    latents = fresh.run.latents["latents"].astype(np.float64)
    rows = np.arange(len(latents)) - fresh.first
    among = rows if part == "both" else rows[: fresh.first]
    for row in (3, -5):
        squares = ((latents[among + fresh.first] - latents[row + fresh.first]) ** 2).sum(1)
        wanted = among[np.argsort(squares, kind="stable")]
        wanted = wanted[wanted != row]
        near = fresh.image(row, part=part).arrays["neighbours"]
        np.testing.assert_array_equal(near, wanted[: len(near)])
        assert (near < 0).any()
    answer = decoding.nearest(fresh, latents[fresh.first + 3].tolist(), 20, part)
    squares = ((latents[among + fresh.first] - latents[fresh.first + 3]) ** 2).sum(1)
    np.testing.assert_array_equal(answer.arrays["rows"], among[np.argsort(squares, kind="stable")][:20])


@pytest.mark.parametrize("reviewed", [True, False])
def test_the_search_for_the_classes_of_train_images_tells_its_progress(fresh, monkeypatch, reviewed):
    monkeypatch.setattr(views, "ROWS", 100)
    told = []

    def noted(*given):
        told.extend(one for one in fresh.work.as_json() if one not in told)
        return found(*given)

    if reviewed:
        found = latens.neighbours.nearest_of_known
        monkeypatch.setattr("latens.neighbours.nearest_of_known", noted)
    else:
        found = Neighbours.nearest
        monkeypatch.setattr("latens.computed.review.kept_neighbours", lambda run: None)
        monkeypatch.setattr(Neighbours, "nearest", noted)
    fresh.column("contradicted", "train")
    assert {one["title"] for one in told} == {"column predicted"}
    assert [one["done"] for one in told] == list(range(0, fresh.first, 100))


def test_what_the_review_kept_gives_the_classes_of_an_exact_search(fresh, run, monkeypatch):
    near, _ = kept_neighbours(fresh.run)
    assert near.shape == (len(fresh.run.latents["part"]), 16)
    names = ("predicted", "contradicted")
    known = [fresh.column(name, "both") for name in names]
    monkeypatch.setattr("latens.computed.review.kept_neighbours", lambda run: None)
    other = View(open_run(run))
    for name, values in zip(names, known, strict=True):
        np.testing.assert_array_equal(values, other.column(name, "both"))


def test_neighbours_of_other_latents_are_not_taken(run, tmp_path):
    copy = open_run(shutil.copytree(run, tmp_path / "run"))
    arrays = {name: np.array(array) for name, array in copy.latents.items()}
    copy.write_arrays("latents.npz", {**arrays, "latents": -arrays["latents"]})
    assert kept_neighbours(open_run(run)) is not None
    assert kept_neighbours(open_run(copy.path)) is None


def test_a_map_of_all_images_has_no_others_to_place(view, tmp_path_factory):
    whole = View(Run(learned_run(tmp_path_factory)))
    whole.part = None
    assert whole.info()["train"] == 0
    routes = {route.path: route for route in ROUTES if route.method == "GET"}
    for path, given in (
        ("/api/map", {"name": "pca"}),
        ("/api/column", {"name": "label"}),
        ("/api/thumbnails", {"page": "0"}),
    ):
        with pytest.raises(UsageError, match="it shows all images already"):
            ask_route(routes[path], whole, {**given, "part": "both"})
        with pytest.raises(UsageError, match="known: test, train, both"):
            ask_route(routes[path], whole, {**given, "part": "all"})


# ---- on the page, as it is served and as one file, which holds all images of so small a run


served_only = pytest.mark.parametrize("anywhere", ["served"], indirect=True)


@pytest.fixture
def page(browser, anywhere):
    with opened(browser, anywhere) as page:
        settled(page)
        yield page


def show(page, part):
    page.get_by_label("Part", exact=True).select_option(label=part)


def spots_of(view, part, page, name="tsne"):
    _, places = view.map_points(name, part)
    return Place(page).on_screen(places["x"].astype(int), places["y"].astype(int))


def lonely(spots, others):
    """The one of these spots that no other comes near."""
    far = np.linalg.norm(spots[:, None] - others, axis=-1)
    return int(np.argmax(np.sort(far, axis=1)[:, 1]))


def drawn_share(page, view, spots, labels):
    page.mouse.move(3, 3)
    seen = screenshot(page)
    colours = np.array([seen[int(y), int(x)] for x, y in spots])
    return (distance(colours, class_colours(view)[labels]) < 70).mean()


def test_the_switch_shows_train_images_test_images_or_both(page, view):
    train, own = spots_of(view, "train", page), spots_of(view, "test", page)
    alone = np.linalg.norm(train[:, None] - own, axis=-1).min(1) > 9  # train images where no test image lies
    labels = view.run.labels_of(TRAIN)
    assert alone.sum() > 10
    assert drawn_share(page, view, train[alone], labels[alone]) < 0.1
    show(page, "both")
    until(page, lambda: drawn_share(page, view, train[alone], labels[alone]) > 0.8)
    apart = np.linalg.norm(own[:, None] - train, axis=-1).min(1) > 7
    assert drawn_share(page, view, own[apart], view.labels[apart]) > 0.8
    show(page, "train images")
    until(page, lambda: drawn_share(page, view, own[apart], view.labels[apart]) < 0.2)
    assert drawn_share(page, view, train[alone], labels[alone]) > 0.8
    show(page, "test images")
    until(page, lambda: drawn_share(page, view, train[alone], labels[alone]) < 0.1)


def test_a_train_image_on_the_map_is_an_image_like_others(page, view):
    show(page, "both")
    train, every = spots_of(view, "train", page), spots_of(view, "both", page)
    row = lonely(train, every) - view.first
    spot = train[row + view.first]
    name = str(view.run.latents["ids"][row + view.first])
    until(page, lambda: "part=both" in page.url)
    page.mouse.move(*spot)
    expect(page.locator(".hover")).to_contain_text(name)
    page.mouse.click(*spot)
    open_tab(page, "Image")
    expect(page.locator("#panel .facts strong")).to_have_text(name)
    trust = view.column("trust:tsne", "train")[row]
    expect(page.locator("#panel .facts")).to_contain_text(
        f"a train image, placed on the map (trust of its place {trust:.2g}"
    )
    assert f"image={name.replace('/', '%2F')}" in page.url
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")  # to the nearest image on the right, of whichever part
    until(page, lambda: page.locator("#panel .facts strong").text_content() != name)
    show(page, "test images")
    until(page, lambda: "part=" not in page.url)
    page.get_by_label("Find", exact=True).fill(name)
    page.keyboard.press("Enter")
    expect(page.locator("#panel .facts")).to_contain_text(f"{name} ")
    expect(page.locator("#panel .facts")).to_contain_text("not on the map")


def boxed(page, view, part):
    """Select the left half of the map by a box; the rows that lie there, by the answer of the server."""
    place = Place(page)
    left, top = place.middle - [0.47 * 65_536 * place.scale] * 2
    right, bottom = place.middle + np.array([0, 0.47 * 65_536 * place.scale])
    page.get_by_role("button", name="box").click()
    drag(page, [(left - 4, top - 4), ((left + right) / 2, bottom), (right, bottom + 4)])
    page.get_by_role("button", name="pan").click()
    spots = spots_of(view, part, page)
    inside = (spots[:, 0] < right) & (spots[:, 0] > left - 4)
    points = np.flatnonzero(inside)
    return np.where(points < view.count, points, points - view.count - view.first)


def test_a_selection_takes_train_images_along(page, view):
    show(page, "both")
    until(page, lambda: "part=both" in page.url)
    processed(page)
    rows = boxed(page, view, "both")
    assert (rows < 0).sum() > 20
    assert (rows >= 0).any()
    count = page.get_by_role("group", name="Selection", exact=True).locator("strong")
    expect(count).to_have_text(re.compile(f"^{len(rows)} images"))
    open_tab(page, "Selection")
    labels = view.run.latents["labels"][rows + view.first]
    for label in np.unique(labels):
        name, num = view.run.class_names[label], int((labels == label).sum())
        expect(page.get_by_role("button", name=f"Keep only {name}: {num} image")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save CSV").click()
    saved = list(csv.DictReader(io.StringIO(download.value.path().read_text())))
    places = np.concatenate([view.map("tsne").coordinates, view.placed("tsne")])
    assert {one["id"] for one in saved} == set(view.run.latents["ids"][rows + view.first].tolist())
    trust = view.column("trust:tsne", "both")
    for one in saved:
        row = view.row_of_id[one["id"]] - view.first
        assert one["part"] == ("train" if row < 0 else "test")
        assert float(one["trust of the place"]) == pytest.approx(trust[row])
        assert float(one["x"]) == pytest.approx(places[row, 0], abs=0.01)


@served_only
def test_train_images_get_a_tag(page, view, address):
    show(page, "both")
    until(page, lambda: "part=both" in page.url)
    processed(page)
    rows = boxed(page, view, "both")
    expect(page.get_by_role("group", name="Selection", exact=True).locator("strong")).to_contain_text("images")
    page.get_by_label("Tag", exact=True).fill("left")
    page.get_by_role("button", name="Tag", exact=True).click()
    until(page, lambda: len(ask(address, "api/tags")["tags"].get("left", ())) == len(rows))
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Colour").select_option(label="tag")
    entry = page.locator(".legend .entry").first
    expect(entry).to_have_attribute("title", re.compile(f"left: {len(rows)} images"))
    for _ in range(2):  # of clearing the selection, and of the tag
        page.get_by_role("button", name="Undo").click()
        processed(page)
    until(page, lambda: "left" not in ask(address, "api/tags")["tags"])


def test_filters_and_colours_are_about_the_images_that_are_shown(page, view):
    show(page, "train images")
    until(page, lambda: "part=train" in page.url)
    train = view.run.labels_of(TRAIN)
    names = view.run.class_names
    entries = page.locator(".legend .entry")
    for label in range(len(names)):
        expect(entries.nth(label)).to_have_attribute(
            "title", re.compile(f"^{names[label]}: {(train == label).sum()} images")
        )
    entries.first.click()
    spots = spots_of(view, "train", page)
    until(page, lambda: drawn_share(page, view, spots[train == 0], train[train == 0]) < 0.1)
    assert drawn_share(page, view, spots[train == 1], train[train == 1]) > 0.7
    page.get_by_label("Colour").select_option(label="reconstruction error")
    expect(page.get_by_label("Highest end")).to_be_visible()
    ends = np.quantile(view.column("error", "train"), [0.01, 0.99], method="nearest")
    for label, wanted in zip(("Lowest end", "Highest end"), ends, strict=True):
        assert float(page.get_by_label(label).input_value()) == pytest.approx(wanted, rel=0.1)


def test_the_address_holds_the_switch_and_back_leads_through_it(page, view, browser):
    show(page, "both")
    until(page, lambda: "part=both" in page.url)
    with opened(browser, page.url) as other:
        expect(other.get_by_label("Part", exact=True)).to_have_value("both")
        spots = spots_of(view, "train", other)
        until(other, lambda: drawn_share(other, view, spots, view.run.labels_of(TRAIN)) > 0.5)
    page.get_by_label("Map", exact=True).select_option(label="PCA")
    until(page, lambda: "map=pca" in page.url)
    expect(page.get_by_label("Part", exact=True)).to_have_value("both")
    page.go_back()
    page.go_back()
    until(page, lambda: "part=" not in page.url)
    expect(page.get_by_label("Part", exact=True)).to_have_value("test")
    points = Points(page, view)
    page.mouse.move(3, 3)
    until(page, lambda: drawn_share(page, view, points.spots, view.labels) > 0.8)


def test_an_address_with_a_part_that_is_not_there_says_so(browser, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latens.runs.run.ENOUGH_FOR_A_MAP", 1000)
        with served(learned_run(tmp_path_factory)) as address, opened(browser, f"{address}#part=both") as page:
            until(page, lambda: "the part both" in status(page))
            expect(page.get_by_label("Part", exact=True)).to_be_hidden()


@served_only
def test_the_page_says_that_images_are_being_placed(page):
    held = []
    page.route(re.compile(r"/api/map\?name=tsne&part=train"), lambda route: held.append(route))
    show(page, "train images")
    until(page, lambda: "Placing 216 train images on the map t-SNE (once)" in status(page))
    until(page, lambda: bool(held))
    show(page, "test images")  # the newest choice wins
    processed(page)
    held[0].continue_()
    processed(page)
    assert "part=" not in page.url


def test_neighbours_and_more_like_this_follow_the_switch(page, view):
    show(page, "both")
    until(page, lambda: "part=both" in page.url)
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")
    open_tab(page, "Image")
    cards = page.locator("#panel .grid.small").first.locator("button")
    expect(cards.first).to_be_visible()
    row = view.row_of_id[page.locator("#panel .facts strong").text_content()] - view.first

    def titles_are_of(part):
        ids = view.run.latents["ids"][view.image(row, part=part).arrays["neighbours"] + view.first]
        return [f"go to {one}" for one in ids] == cards.evaluate_all("all => all.map((one) => one.title)")

    until(page, lambda: titles_are_of("both"))
    page.keyboard.press("m")
    until(page, lambda: "select=" in page.url)
    chosen = [int(one) for one in re.search(r"select=([-\d.]+)", page.url)[1].split(".")]
    latents = view.run.latents["latents"]
    wanted = decoding.nearest(view, latents[row + view.first].tolist(), 50, "both").arrays["rows"]
    found, exact = (
        np.linalg.norm(latents[rows + view.first] - latents[row + view.first], axis=1)
        for rows in (np.array(chosen), wanted)
    )
    np.testing.assert_allclose(found, exact, rtol=1e-4)  # of two that are as near either may come first
    assert min(chosen) < 0
    open_tab(page, "Image")
    show(page, "test images")
    until(page, lambda: titles_are_of("test"))


@served_only
def test_the_page_tells_how_far_the_colour_of_train_images_is(page):
    held = []
    page.route(re.compile(r"/api/column\?name=predicted&part=train"), lambda route: held.append(route))
    work = {"work": [{"title": "column predicted", "done": 54, "total": 216}]}
    page.route("**/api/work", lambda route: route.fulfill(json=work, headers=route.fetch().headers))
    show(page, "train images")
    until(page, lambda: "part=train" in page.url)
    page.get_by_label("Colour").select_option(label="class of its neighbours")
    until(page, lambda: "Computing the colour “class of its neighbours” (once): 25 %" in status(page))
    held[0].continue_()
    until(page, lambda: "colour=predicted" in page.url and status(page) == "")


@served_only
def test_failing_to_place_leaves_what_was_shown(page, view):
    def refuse(route):
        route.fulfill(response=route.fetch(), status=400, json={"error": "no room"})

    page.route(re.compile(r"/api/map\?name=tsne&part=both"), refuse)
    show(page, "both")
    until(page, lambda: "No room" in status(page))
    expect(page.get_by_label("Part", exact=True)).to_have_value("test")
    points = Points(page, view)
    assert drawn_share(page, view, points.spots, view.labels) > 0.8
    page.errors.clear()  # the refusal stands in the console


def test_training_is_played_back_with_the_test_images(page, view):
    show(page, "both")
    until(page, lambda: "part=both" in page.url)
    open_tab(page, "Run")
    expect(page.locator("#panel .facts")).to_contain_text(f"epoch {len(view.run.history)}")
    slider = page.get_by_label("Epoch", exact=True)
    expect(slider).to_be_visible()
    slide(slider, 0)
    arrays = following.snapshot(view, following.epochs_of(view.run)[0]).arrays
    spots = Place(page).on_screen(arrays["x"].astype(int), arrays["y"].astype(int))
    until(page, lambda: drawn_share(page, view, spots, view.labels) > 0.7)
    page.get_by_role("button", name="Back to the map").click()
    train = spots_of(view, "train", page)
    until(page, lambda: drawn_share(page, view, train, view.run.labels_of(TRAIN)) > 0.5)
    scores = page.locator("#panel details", has_text="reconstruction").first
    scores.click()
    expect(scores).to_contain_text("mse")


def test_train_images_can_be_ends_of_a_path_on_the_map(page, view):
    show(page, "train images")
    until(page, lambda: "part=train" in page.url)
    open_tab(page, "Path")
    expect(page.locator(".strip .step")).to_have_count(13)
    spots = spots_of(view, "train", page)
    row = lonely(spots, spots) - view.first
    page.mouse.click(*spots[row + view.first])
    until(page, lambda: re.search(rf"path=[^&]*_{row}_", page.url))
    labels = view.run.labels_of(TRAIN)
    first = int(re.search(r"path=(-?\d+)_", page.url)[1])
    assert labels[first] >= 0
    assert first < 0  # of the images that are shown
    assert view.run.latents["part"][first + view.first] != TEST
