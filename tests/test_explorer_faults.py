"""What goes wrong while one works on the page is said there: bookmarks of another run, tags that cannot be written."""

import errno
import os
import re
import shutil

import numpy as np
import pytest

from browser import (
    ask,
    expect,
    learned_run,
    open_tab,
    opened,
    processed,
    second_run,
    served,
    settled,
    status,
    until,
)
from latens.explorer import View, write_html
from latens.runs import journal, open_run


@pytest.fixture
def run(tmp_path_factory, tmp_path):
    return shutil.copytree(learned_run(tmp_path_factory), tmp_path / "run")


def selection(page):
    return page.get_by_role("group", name="Selection", exact=True).locator("strong")


def tag(page, name, on=True):
    page.get_by_label("Tag", exact=True).fill(name)
    page.get_by_role("button", name="Tag" if on else "Untag", exact=True).click()


@pytest.mark.parametrize("kind", ["served", "file"])
def test_a_bookmark_of_a_run_of_other_images_selects_none_by_their_numbers(
    browser, run, tmp_path_factory, tmp_path, kind
):
    with served(run) as address, opened(browser, f"{address}#select=0.1.2&tab=path") as page:
        settled(page)
        expect(page.locator(".strip .step")).to_have_count(13)
        until(page, lambda: "of=" in page.url)
        mark = page.url.partition("#")[2]
        page.reload()
        expect(selection(page)).to_have_text("3 images selected")
        assert "does not have" not in status(page)
    other = second_run(tmp_path_factory)
    if kind == "file":
        there = write_html(open_run(other), tmp_path / "other.html").as_uri()
        with opened(browser, f"{there}#{mark}") as page:
            said_as_lost(page)
        return
    with served(other) as there, opened(browser, f"{there}#{mark}") as page:
        said_as_lost(page)


def said_as_lost(page):
    until(page, lambda: "does not have: the selected images, the images of the path" in status(page))
    expect(selection(page)).to_be_hidden()
    expect(page.get_by_role("tab", name="Path")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".strip .step")).to_have_count(13)  # a path of this run's own images
    assert "select=" not in page.url


def test_a_bookmark_names_a_tag_that_is_gone(browser, run):
    with served(run) as address, opened(browser, f"{address}#tag=blurred") as page:
        until(page, lambda: "does not have: the tag blurred" in status(page))
        expect(selection(page)).to_be_hidden()


def test_an_address_with_another_token_is_refused_in_a_line(browser, run):
    """That of another run at the same port, or of the same run before its token was changed."""
    with served(run) as address:
        *before, token, _ = address.split("/")
        with opened(browser, "/".join([*before, token[::-1], ""])) as page:
            expect(page.locator("body")).to_contain_text("open the address that latens printed")
            page.errors.clear()  # the refusal stands in the console


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS], ids=["full", "read-only"])
def test_tags_that_cannot_be_written_are_said_and_nothing_is_lost(browser, run, monkeypatch, error):
    ids = [str(one) for one in View(open_run(run)).ids[:5]]
    with served(run) as address, opened(browser, f"{address}#select=0.1.2") as page:
        settled(page)
        tag(page, "first")
        until(page, lambda: status(page) == "3 images tagged first.")
        with monkeypatch.context() as patch:

            def fails(*given):
                raise OSError(error, os.strerror(error))

            patch.setattr(journal, "_append", fails)
            tag(page, "second")
            until(page, lambda: os.strerror(error) in status(page) and "tags.jsonl" in status(page))
            tag(page, "first", on=False)
            processed(page)
            until(page, lambda: os.strerror(error) in status(page))
        assert ask(address, "api/tags")["tags"] == {"first": ids[:3]}
        open_tab(page, "Lists")
        expect(page.locator("#panel .tags li")).to_have_count(1)
        expect(page.locator("#panel .tags")).to_contain_text("first 3 images")
        expect(selection(page)).to_have_text("3 images selected")
        tag(page, "second")  # there is room again
        until(page, lambda: status(page) == "3 images tagged second.")
        assert ask(address, "api/tags")["tags"] == {"first": ids[:3], "second": ids[:3]}
        page.get_by_role("button", name="Undo").click()  # of what was done, not of what failed
        until(page, lambda: ask(address, "api/tags")["tags"] == {"first": ids[:3]})
        assert page.errors
        page.errors.clear()  # the refusals stand in the console


def test_two_windows_that_tag_at_once_lose_nothing(browser, run):
    ids = np.array([str(one) for one in View(open_run(run)).ids])
    with (
        served(run) as address,
        opened(browser, f"{address}#select=0.1.2.3") as one,
        opened(browser, f"{address}#select=2.3.4.5") as other,
    ):
        for page in (one, other):
            settled(page)
            expect(selection(page)).to_have_text("4 images selected")
        for page in (one, other):
            page.get_by_label("Tag", exact=True).fill("odd")
        for page in (one, other):  # sent before either has an answer
            page.evaluate("() => void document.querySelector('.tagging').requestSubmit()")
        until(one, lambda: "tagged odd" in status(one))
        until(other, lambda: "tagged odd" in status(other))
        assert set(ask(address, "api/tags")["tags"]["odd"]) == set(ids[:6])
        one.get_by_role("button", name="Undo").click()
        until(one, lambda: set(ask(address, "api/tags")["tags"]["odd"]) == set(ids[2:6]))
        other.bring_to_front()
        other.evaluate("() => dispatchEvent(new Event('focus'))")
        open_tab(other, "Lists")
        expect(other.locator("#panel .tags")).to_contain_text("odd 4 images")


# ---- what is pressed before there is what it is for


def held_back(page, pattern):
    """Requests that wait until they are let go."""
    held = []
    page.route(pattern, lambda route: held.append(route))
    return held


def test_a_panel_takes_no_press_before_the_map_is_there(browser, run):
    open_run(run).forget("maps/pca.npz", "maps/pca.json")
    with served(run) as address, opened(browser, address) as page:
        settled(page)
        held = held_back(page, re.compile("api/map.name=pca"))
        page.goto("about:blank")
        page.goto(f"{address}#map=pca")
        page.get_by_role("tab", name="Probe", exact=True).click()
        until(page, lambda: bool(held))
        draw = page.get_by_role("button", name="Draw again", include_hidden=True)
        assert draw.evaluate("one => one.closest('[inert]') !== null")
        held[0].abort()
        until(page, lambda: "does not answer" in status(page))
        page.get_by_label("Map", exact=True).select_option("tsne")
        expect(page.locator("#panel .grid canvas")).to_have_count(3)
        assert draw.evaluate("one => one.closest('[inert]') === null")
        page.errors.clear()  # that it did not answer stands in the console


def test_a_list_is_saved_only_once_it_is_known(browser, run):
    with served(run) as address, opened(browser, address) as page:
        settled(page)
        held = held_back(page, "**/api/list?**")
        open_tab(page, "Lists")
        until(page, lambda: bool(held))
        saves = [page.get_by_role("button", name=name) for name in ("Save list (CSV)", "Save sheet")]
        for one in saves:
            expect(one).to_be_disabled()
        held[0].continue_()
        for one in saves:
            expect(one).to_be_enabled()


def test_what_is_done_to_a_path_waits_for_the_path(browser, run):
    with served(run) as address, opened(browser, address) as page:
        settled(page)
        held = held_back(page, "**/api/path")
        open_tab(page, "Path")
        until(page, lambda: bool(held))
        page.get_by_role("button", name="Add a way point").click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Save strip").click()
            first = held.copy()
            page.route("**/api/path", lambda route: route.continue_())  # before the one that holds back
            for one in first:
                one.continue_()
        assert download.value.suggested_filename == "run-path.png"
        expect(page.get_by_role("button", name="Remove Way point 1")).to_be_visible()
