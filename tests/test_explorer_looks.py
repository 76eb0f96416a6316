"""The explorer's page for users: readable for all, on small screens, and with odd, missing or hostile data."""

import csv
import io
import os
import re
import shutil
import subprocess
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from browser import (
    Place,
    Points,
    colours_at,
    distance,
    expect,
    learned_run,
    map_the_test_part,
    missing,
    open_tab,
    opened,
    pixels,
    processed,
    screenshot,
    second_run,
    served,
    settled,
    slide,
    status,
    until,
)
from latens.explorer import View
from latens.explorer.columns import read_columns
from latens.explorer.tags import Tags
from latens.files import atomic_write
from latens.runs import Run, open_run
from latens.runs import run as view_of_run
from records import read_record, write_record

TABS = ["Decode", "Probe", "Path", "Image", "Selection", "Classes", "Lists", "Run"]
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
HOSTILE = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    return learned_run(tmp_path_factory)


@pytest.fixture(scope="module")
def address(learned, tmp_path_factory):
    with served(shutil.copytree(learned, tmp_path_factory.mktemp("looks") / "run")) as found:
        yield found


@pytest.fixture
def copy(learned, tmp_path):
    return shutil.copytree(learned, tmp_path / "run")


def change(run, **entries):
    """Write entries of a run's record; those of `data` are put into what is there."""
    record = read_record(run)
    record["data"].update(entries.pop("data", {}))
    record.update(entries)
    write_record(run, record)


def fill_tab(page, name):
    """Open a tab, and wait for what it shows last."""
    open_tab(page, name)
    if name == "Image":
        page.locator(".map").focus()
        page.keyboard.press("ArrowRight")
    if name == "Selection":
        page.locator(".map").focus()
        page.keyboard.press("s")  # the current image, of the panel before
    last = {"Probe": ".scores dd", "Path": ".step", "Image": ".bar-of", "Lists": "#panel .bare", "Run": ".chart"}
    last |= {"Selection": "#panel .class-row", "Classes": "#panel table"}
    expect(page.locator(last.get(name, ".verdict")).first).to_be_visible()


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The text of axe-core, which finds what keeps people out; fetched once, and kept by pytest."""
    npm = shutil.which("npm")
    if npm is None:
        missing("there is no npm")
    where = tmp_path_factory.getbasetemp() / "axe"
    command = [npm, "install", "--prefix", str(where), "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run([*command, "axe-core@4"], capture_output=True, text=True, env={**os.environ, "CI": "1"})
    if done.returncode:
        missing(f"axe-core can't be fetched: {done.stderr[:200]}")
    return (where / "node_modules" / "axe-core" / "axe.min.js").read_text()


def faults(page):
    """What axe finds: the rule, and where."""
    found = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})"
        ".then(({violations}) => violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.html} ${n.any[0]?.message}`)))",
        RULES,
    )
    return sorted(set(found))


@pytest.mark.heavy
@pytest.mark.parametrize("width", [1400, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_on_any_tab(browser, address, axe, scheme, width):
    with opened(browser, address, width, color_scheme=scheme, reduced_motion="reduce") as page:
        settled(page)
        page.evaluate(axe + "; 0")
        found = {}
        for name in TABS:
            fill_tab(page, name)
            found[name] = faults(page)
        page.evaluate("() => document.querySelector('#top .bar').insertAdjacentHTML('beforeend', '<button></button>')")
        assert faults(page)  # it does see
        assert found == {name: [] for name in TABS}


@pytest.mark.heavy
@pytest.mark.parametrize("width", [1400, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_while_one_works(browser, copy, axe, monkeypatch, scheme, width):
    """The compass, the legend of a number, filters, a selection, tags, kept paths, an image of one's own, saving."""
    map_the_test_part(copy, monkeypatch)
    Tags(copy).change("odd", [str(one) for one in Run(copy).latents["ids"][-3:]])
    with served(copy) as address, opened(browser, address, width, color_scheme=scheme, reduced_motion="reduce") as page:
        settled(page)
        page.evaluate(axe + "; 0")
        found = {}

        def look(name):
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            found[name] = faults(page)

        page.get_by_role("button", name="Compass").click()
        expect(page.locator(".compass-row").first).to_be_visible()
        look("compass")
        page.get_by_label("Part", exact=True).select_option(label="both")
        until(page, lambda: "part=both" in page.url)
        page.locator(".legend .entry").first.click()
        page.get_by_label("Colour").select_option(label="reconstruction error")
        expect(page.get_by_role("slider", name="Filter reconstruction error: lowest")).to_be_visible()
        page.get_by_role("slider", name="Filter reconstruction error: lowest").press("PageUp")
        expect(page.locator(".chip")).to_have_count(2)
        look("a number and two filters")
        open_tab(page, "Lists")
        page.get_by_role("button", name="Select the images tagged odd").click()
        page.get_by_label("Colour").select_option(label="tag")
        expect(page.locator(".selection")).to_be_visible()
        look("tags and a selection")
        open_tab(page, "Path")
        page.get_by_placeholder("name").fill("one")
        page.get_by_role("button", name="Keep this path").click()
        expect(page.locator(".kept li")).to_have_count(1)
        look("a kept path")
        open_tab(page, "Image")
        page.locator("input[type=file]").set_input_files(
            {"name": "mine.png", "mimeType": "image/png", "buffer": picture_file()}
        )
        expect(page.locator(".given-one")).to_be_visible()
        look("an image of one's own")
        page.get_by_role("button", name="save…").click()
        expect(page.locator("dialog")).to_be_visible()
        look("saving the map")
        assert [fault for faults in found.values() for fault in faults] == []
        assert len(found) == 6


@pytest.mark.heavy
@pytest.mark.parametrize("width", [1400, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault_with_two_runs(browser, learned, axe, tmp_path_factory, scheme, width):
    name = quote(str(View(open_run(learned)).ids[3]), safe="")
    state = f"#select=1.2.3&image={name}&tab=compare"
    with (
        served(learned, second_run(tmp_path_factory)) as address,
        opened(
            browser,
            address + state,
            width,
            color_scheme=scheme,
            reduced_motion="reduce",
        ) as page,
    ):
        expect(page.get_by_role("heading", name="The selection")).to_be_visible()
        expect(page.locator(".nearest")).to_have_count(2)
        page.evaluate(axe + "; 0")
        assert faults(page) == []


def picture_file():
    file = io.BytesIO()
    Image.new("L", (12, 12), 90).save(file, "png")
    return file.getvalue()


def test_the_gauge_of_a_poor_model_is_never_green(browser, finished_run, tmp_path):
    copy = shutil.copytree(finished_run.path, tmp_path / "run")
    with served(copy) as address, opened(browser, address) as page:
        settled(page)
        view, place = View(open_run(copy)), Place(page)
        _, points = view.map_points("tsne")
        spots = place.on_screen(points["x"], points["y"])[::40].round()
        gauge = page.locator("#panel .honest")
        for spot in [*spots, place.middle.round()]:
            with page.expect_response(lambda response: "/api/decode" in response.url):
                page.mouse.move(*spot)
            processed(page)
            assert gauge.get_attribute("data-kind") in ("fair", "bad")
        open_tab(page, "Path")
        expect(page.locator(".strip .step")).to_have_count(13)
        assert page.locator(".step[data-kind=good]").count() == 0


def test_the_dark_theme_is_dark_all_over(browser, address):
    with opened(browser, address, color_scheme="dark") as page:
        settled(page)
        seen = screenshot(page)
        assert (seen.max(-1) < 60).mean() > 0.8


def test_what_is_not_selected_can_still_be_seen_in_the_dark(browser, address, learned):
    view = View(open_run(learned))
    with opened(browser, f"{address}#select=0", color_scheme="dark") as page:
        settled(page)
        points = Points(page, view)
        rows = [row for row in points.lonely() if view.labels[row] == 2]  # of a dark colour
        paper = screenshot(page)[-200, 5]
        until(page, lambda: np.median(distance(colours_at(page, points, rows), paper)) > 60)


@pytest.mark.parametrize("width", [360, 800])
def test_a_narrow_page_scrolls_only_down(browser, address, width):
    with opened(browser, address, width, 740, has_touch=True) as page:
        settled(page)
        for name in TABS:
            fill_tab(page, name)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            for each in page.locator("#panel button:visible, #panel select:visible").all():
                box = each.bounding_box()
                assert box["x"] >= 0, name
                assert box["x"] + box["width"] <= width + 1, name
        assert page.locator(".map").bounding_box()["height"] > 200


def test_the_policy_is_strict_and_the_page_obeys_it(browser, address):
    with opened(browser, address) as page:
        settled(page)
        policy = page.request.get(address).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        page.errors.clear()
        page.evaluate(
            "() => { const s = document.createElement('script'); s.text = 'window.ran = 1'; document.body.append(s); }"
        )
        until(page, lambda: any("policy: script-src" in one for one in page.errors))  # a breach would be noticed
        assert page.evaluate("window.ran") is None
        page.errors.clear()
        assert page.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
        until(page, lambda: any("policy: connect-src" in one for one in page.errors))
        processed(page)  # what Chromium says of it has come too
        page.errors.clear()


def test_a_wrong_token_is_told(browser, address):
    *start, _, _ = address.split("/")
    with opened(browser, address) as page:
        settled(page)
        page.goto("/".join([*start, "guess", ""]))
        expect(page.locator("body")).to_contain_text("open the address that latens printed")
        assert all("403" in one for one in page.errors)
        page.errors.clear()
        page.route(
            "**/api/run", lambda route: route.continue_(headers={**route.request.headers, "x-latens-token": "x"})
        )
        page.goto(address)
        expect(page.locator(".failed")).to_have_text(
            "the token is missing or wrong; open the address that latens printed"
        )
        assert all("403" in one for one in page.errors)
        page.errors.clear()


def test_a_server_that_has_gone_is_told(browser, learned):
    with served(learned) as address, opened(browser, address) as page:
        settled(page)
        page.route("**/api/**", lambda route: route.abort())
        page.mouse.move(300, 300)
        until(page, lambda: status(page) == "The server of the explorer does not answer; has it been stopped?")
        expect(page.locator("#status")).to_have_class("said")
        page.errors.clear()


def test_names_from_the_data_are_only_text(browser, copy, tmp_path):
    run = Run(copy)
    latents = {name: run.latents[name] for name in run.latents}
    ids = [f"{HOSTILE}{number}" for number in range(len(latents["ids"]))]
    run.write_arrays("latents.npz", {**latents, "ids": np.array(ids)})
    rows = list(csv.DictReader((copy / "review.csv").read_text().splitlines()))
    with (copy / "review.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "id": ids[int(row["row"])]} for row in rows)
    run.seal("review.csv")
    change(copy, data={"class_names": [f"{HOSTILE}{k}" for k in range(3)], "name": HOSTILE})
    own = tmp_path / "own.csv"
    with own.open("w", newline="") as file:
        csv.writer(file).writerows(
            [("id", HOSTILE), *((one, ("even", "<b>odd</b>")[k % 2]) for k, one in enumerate(ids))]
        )
    named = copy.rename(copy.parent / "<b>run<b>")
    with served(named, columns=read_columns(own, ids)) as address, opened(browser, address) as page:
        settled(page)
        title = page.title()
        assert title == "<b>run<b> · latens"
        expect(page.locator("h1")).to_contain_text("<b>run<b>")
        page.get_by_label("Colour").select_option(label=HOSTILE)
        expect(page.locator(".legend .entry").first).to_have_text("<b>odd</b>")
        for name in TABS:
            fill_tab(page, name)
            if name != "Run":
                expect(page.locator("#panel")).to_contain_text(HOSTILE)
        place = Place(page)
        _, points = View(open_run(named)).map_points("tsne")
        page.mouse.move(*place.on_screen(points["x"], points["y"])[0])
        expect(page.locator(".hover")).to_contain_text(HOSTILE)
        assert page.locator("img, b, i").count() == 0
        assert page.title() == title


def test_a_run_whose_images_have_gone_still_decodes(browser, copy):
    change(copy, data={"source": str(copy / "gone.npz")})
    with served(copy) as address, opened(browser, address) as page:
        until(page, lambda: "cannot be found" in status(page))
        settled(page)
        expect(page.locator("#panel")).to_contain_text("image, reconstructed")
        place = Place(page)
        before = pixels(page.locator("#panel canvas").first)
        page.mouse.move(*np.round(place.middle - (80, 60)))
        until(page, lambda: (pixels(page.locator("#panel canvas").first) != before).any())
        fill_tab(page, "Image")
        expect(page.locator(".three canvas")).to_have_count(1)


def in_training(run):
    """What of a run is there while it trains; what was taken away is given back."""
    record = read_record(run)
    files = {name: digest for name, digest in record["files"].items() if name.startswith(("model", "snapshots"))}
    change(run, status="training", files=files, result={})
    return lambda: change(run, status="done", files=record["files"], result=record["result"])


def test_a_run_that_trains_is_followed_until_it_has_a_map(browser, copy):
    finish = in_training(copy)
    lines = (copy / "history.jsonl").read_text().splitlines(keepends=True)
    atomic_write(copy / "history.jsonl", "".join(lines[:2]).encode())
    with served(copy) as address, opened(browser, address) as page:
        expect(page.get_by_role("tab")).to_have_text(["Run"])
        expect(page.locator("#panel .facts")).to_contain_text("training · epoch 2")
        expect(page.locator("#panel .grid canvas").first).to_be_visible()
        atomic_write(copy / "history.jsonl", "".join(lines[:5]).encode())
        expect(page.locator("#panel .facts")).to_contain_text("training · epoch 5")
        atomic_write(copy / "history.jsonl", "".join(lines).encode())
        finish()
        expect(page.get_by_role("tab")).to_have_text(TABS)  # by itself
        settled(page)


def test_the_latents_are_played_back_epoch_by_epoch(browser, copy, monkeypatch):
    map_the_test_part(copy, monkeypatch)
    with served(copy) as address, opened(browser, address, reduced_motion="reduce") as page:
        settled(page)
        page.get_by_label("Colour").select_option(label="reconstruction error")
        expect(page.locator(".legend .ramp")).to_be_visible()
        fill_tab(page, "Run")
        at, host = page.get_by_label("Epoch", exact=True), page.locator(".map")

        def picture():
            return screenshot(host)

        the_map = picture()
        last = int(at.get_attribute("max"))
        assert last > 1
        slide(at, 0)
        until(page, lambda: np.abs(picture() - the_map).max() > 100)
        first = picture()
        slide(at, last)
        until(page, lambda: np.abs(picture() - first).max() > 100)
        page.get_by_role("button", name="Back to the map").click()
        until(page, lambda: np.mean(np.abs(picture() - the_map).max(-1) > 30) < 0.001)


def test_a_list_opens_an_image_that_is_not_on_the_map(browser, copy, monkeypatch):
    run = map_the_test_part(copy, monkeypatch)
    with served(copy) as address, opened(browser, address) as page:
        settled(page)
        fill_tab(page, "Image")  # of the map
        fill_tab(page, "Lists")
        view = View(open_run(copy))
        parts = {str(one): part for one, part in zip(run.latents["ids"], run.latents["part"], strict=True)}
        cards = page.locator("#panel .bare")
        shown = [one.locator("small").text_content() for one in cards.all()]
        at = next(k for k, one in enumerate(shown) if parts[one] == view_of_run.TRAIN)
        assert shown[at] not in {str(one) for one in view.ids}
        cards.nth(at).click()
        expect(page.locator("#panel .facts")).to_contain_text(shown[at])
        page.wait_for_load_state("networkidle")  # what else was asked for has come
        expect(page.locator("#panel .facts")).to_contain_text(shown[at])


def test_the_run_tab_shows_what_became_of_it(browser, address, learned):
    run = open_run(learned)
    with opened(browser, address) as page:
        settled(page)
        open_tab(page, "Run")
        history = run.history
        chart = page.locator("svg.chart")
        expect(chart).to_have_attribute("aria-label", re.compile(f"over {len(history)} epochs"))
        lines = chart.locator("polyline")
        expect(lines).to_have_count(2)
        drawn = [float(pair.split(",")[1]) for one in lines.all() for pair in one.get_attribute("points").split()]
        losses = np.log10([line[name] for name in ("train_mse", "test_mse") for line in history])
        slope, start = np.polyfit(losses, drawn, 1)  # one logarithmic scale for both
        assert slope < 0
        assert drawn == pytest.approx(slope * losses + start, abs=0.1)
        panel = page.locator("#panel")
        for words in ("Complete", run.verdict.headline, "Can it generate?", "muon", "216 train, 24 test"):
            expect(panel).to_contain_text(words)


def test_the_tabs_by_the_keyboard_alone(browser, address):
    with opened(browser, address) as page:
        settled(page)
        expect(page.get_by_role("tab")).to_have_text(TABS)
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        expect(focused).to_have_text("Skip the map")
        page.keyboard.press("Enter")
        expect(page.locator("#panel")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        for name in [*TABS, TABS[0]]:
            expect(focused).to_have_text(name)
            expect(focused).to_have_attribute("aria-selected", "true")
            assert page.locator("[role=tab][tabindex='0']").count() == 1
            expect(page.get_by_role("tabpanel", name=name)).not_to_be_empty()
            page.keyboard.press("ArrowRight")
