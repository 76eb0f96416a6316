"""The page on runs that lack files, as older versions left them: each panel works, or says plainly why not."""

import json
import shutil

import numpy as np
import pytest

from browser import Points, class_colours, colours_at, distance, expect, learned_run, open_tab, opened, served, until
from latens.explorer import View
from latens.runs import Run, open_run


@pytest.fixture
def without(tmp_path_factory, tmp_path):
    """A function that gives the folder of a run, less some files and those of some folders."""

    def less(*names):
        folder = shutil.copytree(learned_run(tmp_path_factory), tmp_path / "run")
        run = Run(folder)
        run.forget(*(one for one in list(run.record["files"]) if one.startswith(names)))
        return folder

    return less


def test_neighbours_are_searched_for_where_none_are_kept(browser, without):
    folder = without("neighbours.npz")
    view = View(open_run(folder))
    row = 30
    far = np.linalg.norm(view.latents - view.latents[row], axis=1)
    wanted = [str(view.ids[one]) for one in np.argsort(far)[1:13]]
    with served(folder) as address, opened(browser, f"{address}#image={view.ids[row]}&tab=image") as page:
        near = page.locator("#panel .grid.small").first.locator("button")
        expect(near).to_have_count(12)
        names = [one.get_attribute("title").removeprefix("go to ") for one in near.all()]
        assert set(names) == set(wanted)
        open_tab(page, "Lists")
        for kind in ("Far from all others", "Near-duplicates", "Contradicted by their neighbours", "Doubtful labels"):
            page.get_by_label("List", exact=True).select_option(label=kind)
            expect(page.locator("#panel .grid .bare, #panel p:has-text('There are none')").first).to_be_visible()


def test_maps_are_made_where_none_are_kept(browser, without):
    folder = without("maps/")
    with served(folder) as address, opened(browser, address) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        view = View(open_run(folder))
        points = Points(page, view, page.get_by_label("Map", exact=True).input_value())
        rows = points.lonely()
        wanted = class_colours(view)[view.labels[rows]]
        until(page, lambda: (distance(colours_at(page, points, rows), wanted) < 60).mean() > 0.9)


def test_what_is_not_known_of_the_training_is_said(browser, without):
    folder = without("history.jsonl")
    with served(folder) as address, opened(browser, f"{address}#tab=run") as page:
        expect(page.locator("#panel .facts")).to_have_text("Complete · no losses of its training are kept")
        expect(page.get_by_label("Epoch", exact=True)).to_be_visible()  # its latents are kept all the same


def test_a_run_without_latents_of_its_epochs_says_so(browser, without):
    folder = without("snapshots/")
    with served(folder) as address, opened(browser, f"{address}#tab=run") as page:
        expect(page.get_by_text("there is no playback")).to_be_visible()
        expect(page.locator("#panel .chart")).to_be_visible()


def test_without_a_model_latents_are_shown_and_copied_but_not_changed(browser, without):
    folder = without("model.safetensors")
    view = View(open_run(folder))
    with served(folder) as address:
        clipboard = {"permissions": ["clipboard-read", "clipboard-write"]}
        with opened(browser, f"{address}#image={view.ids[7]}&tab=image", **clipboard) as page:
            expect(page.get_by_text("this latent cannot be changed and decoded")).to_be_visible()
            expect(page.locator("#panel .grid.small button").first).to_be_visible()
            assert page.locator("#panel input[type=range]:visible").count() == 0
            assert page.locator("#panel .gauge:visible").count() == 0
            page.get_by_role("button", name="Copy latent (JSON)").click()
            copied = until(page, lambda: page.evaluate("() => navigator.clipboard.readText()"))
            assert json.loads(copied)["latent"] == pytest.approx(view.latents[7 + view.first].tolist(), rel=1e-5)
            tabs = page.get_by_role("tab").all_inner_texts()
            assert "Probe" not in tabs
            assert "Path" not in tabs
            open_tab(page, "Decode")
            expect(page.get_by_text("The map and the lists work without it.")).to_be_visible()


def test_a_run_without_its_review_says_how_it_is_made(browser, without):
    folder = without("review.csv", "neighbours.npz")
    with served(folder) as address, opened(browser, f"{address}#tab=lists") as page:
        expect(page.locator("#panel")).to_contain_text("has no review.csv yet; `latens run --resume --out")
        open_tab(page, "Classes")
        expect(page.locator(".confusion").first).to_be_visible()
        page.errors[:] = [one for one in page.errors if "404" not in one]  # the list, which is said
