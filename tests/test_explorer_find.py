"""Find by image: a file of the user's is read as the run's own images, encoded, placed on the map, and its neighbours listed."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from browser import Points, expect, open_tab, opened, screenshot, shows, status, until
from latens.errors import ImagesError, UsageError
from latens.explorer import answer, decoding, packing, write_html
from latens.images.pixels import to_uint8
from latens.neighbours import usual_distance
from latens.runs import open_run

DROP = """([files, kind]) => {
    const moved = new DataTransfer();
    for (const {name, type, content} of files)
        moved.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name, {type}));
    const made = kind === 'paste' ? new ClipboardEvent('paste', {clipboardData: moved, bubbles: true, cancelable: true})
        : null;
    if (made) return !document.body.dispatchEvent(made);
    const over = new DragEvent('dragover', {dataTransfer: moved, bubbles: true, cancelable: true});
    document.body.dispatchEvent(over);
    const seen = !document.querySelector('.drop-hint').hidden;
    document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: moved, bubbles: true, cancelable: true}));
    return seen && over.defaultPrevented;
}"""


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def give(page, *files, kind="drop"):
    """Drop or paste files, (name, content) each, as a browser tells of it."""
    sent = [
        {"name": name, "type": "image/png", "content": base64.b64encode(content).decode()} for name, content in files
    ]
    assert page.evaluate(DROP, [sent, kind])


@pytest.fixture
def own(view):
    """A picture that the run does not have: image 5 of the map, mirrored."""
    return np.ascontiguousarray(view.inputs(np.array([view.first + 5]))[0, 0, :, ::-1])


def at(page, spot):
    """The colour of a place of the screen."""
    return screenshot(page)[int(spot[1]), int(spot[0])]


def encoded(view, pixels):
    """By the model itself."""
    with torch.no_grad():
        given = torch.from_numpy(pixels.astype(np.float32) / 255)[None, None]
        return view.run.model.encode(given).flatten(1).numpy()


def test_a_file_is_encoded_placed_and_has_its_neighbours(view, own):
    found = decoding.encode(view, png(own), "mine.png", "tsne")
    z = encoded(view, own)
    np.testing.assert_allclose(found.arrays["latents"], z[0], atol=1e-4)
    away = np.linalg.norm(view.latents - z, axis=1)
    np.testing.assert_array_equal(found.arrays["neighbours"], np.argsort(away)[:12])
    np.testing.assert_allclose(found.arrays["distances"], np.sort(away)[:12] / usual_distance(view.latents), rtol=1e-3)
    np.testing.assert_array_equal(found.arrays["places"], view.map("tsne").place(z))
    np.testing.assert_array_equal(found.arrays["pixels"][0], own)
    error = np.square(own / 255 - view.run.decode(z)[0, 0].astype(np.float64)).mean()
    assert found.facts["error"] == pytest.approx(error, rel=1e-3)
    assert found.facts["id"] == "mine.png"
    assert found.facts["note"] == ""


def test_an_image_of_the_run_is_found_as_itself(view, tmp_path, run):
    path = tmp_path / "five.png"
    path.write_bytes(png(view.inputs(np.array([view.first + 5]))[0, 0]))
    found = answer(run, f"/api/encode?file={path}&map=pca")
    assert found["id"] == "five.png"
    assert found["neighbours"][0] == 5
    assert found["distances"][0] == pytest.approx(0, abs=1e-3)
    assert found["error"] == pytest.approx(view.image(5).facts["error"], rel=1e-3)
    place = (np.array(found["places"][0]) - view.map("pca").coordinates[5]) / np.ptp(view.map("pca").coordinates)
    assert np.abs(place).max() < 1e-3


def test_files_are_read_by_the_options_of_the_run(view, own):
    large = np.repeat(np.repeat(own, 4, 0), 4, 1)
    colour = decoding.encode(view, png(np.stack([large] * 3, -1)), "large.png")
    assert np.abs(colour.arrays["pixels"][0].astype(int) - own).mean() < 12
    assert "colour images were turned into grey" in colour.facts["note"]
    two = io.BytesIO()
    Image.fromarray(own).save(two, "tiff", save_all=True, append_images=[Image.fromarray(own[::-1])])
    first = decoding.encode(view, two.getvalue(), "two.tiff")
    np.testing.assert_array_equal(first.arrays["pixels"][0], own)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("note.txt", b"hello", "note.txt: is no image that latens reads"),
        ("broken.png", b"\x89PNG\r\n\x1a\nnothing", "broken.png: can't be used"),
        ("empty.png", b"", "empty.png: is empty"),
        ("table.csv", b"id,a\n", "table.csv: is no image"),
        ("../../../etc/passwd", b"root", "is no image"),
        (".hidden", b"GIF89a", "can't be used"),
        ("a" * 5000 + ".png", b"x", "can't be used"),
    ],
)
def test_files_that_are_no_images_are_refused_in_one_line(view, name, content, words):
    with pytest.raises((UsageError, ImagesError)) as caught:
        decoding.encode(view, content, name)
    said = str(caught.value)
    assert words in said
    assert "\n" not in said
    assert "/tmp" not in said


def test_files_that_are_too_large_are_refused(view, own, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_FILE_BYTES", 100)
    with pytest.raises(UsageError, match=r"mine\.png: has 0 MB; at most 0 MB are read"):
        decoding.encode(view, png(own), "mine.png")


def test_a_dropped_file_is_marked_on_the_map_and_its_neighbours_are_listed(page, view, own):
    points = Points(page, view)
    wanted = decoding.encode(view, png(own), "mine.png", "tsne").arrays
    spot = points.on_map(wanted["places"][0])
    give(page, ("mine.png", png(own)))
    expect(page.locator("#panel .facts")).to_contain_text("an image of yours, not of this run")
    expect(page.get_by_role("tab", name="Image")).to_have_attribute("aria-selected", "true")
    assert page.locator(".drop-hint").is_hidden()
    shown = page.locator("#panel .three canvas")
    until(page, lambda: shows(shown.nth(0), own) and shows(shown.nth(1), wanted["reconstruction"][0]))
    cards = page.locator("#panel .grid.small").first.locator("button")
    expect(cards).to_have_count(12)
    assert [one.get_attribute("title") for one in cards.all()] == [
        f"go to {view.ids[row]}" for row in wanted["neighbours"]
    ]
    ink = page.locator("body").evaluate("e => getComputedStyle(e).color.match(/\\d+/g).map(Number)")
    assert all(np.abs(at(page, spot + away) - ink).max() < 12 for away in ([4, 4], [-4, 4], [4, -4]))  # under the cross
    cards.first.click()
    expect(page.locator("#panel .facts strong")).to_have_text(str(view.ids[wanted["neighbours"][0]]))
    page.mouse.click(*spot)  # its mark leads back to it
    expect(page.locator("#panel .facts strong")).to_have_text("mine.png")
    page.get_by_label("Map", exact=True).select_option("pca")
    place = decoding.encode(view, png(own), "mine.png", "pca").arrays["places"][0]
    there = Points(page, view, "pca").on_map(place)
    until(page, lambda: np.abs(at(page, there + 3) - ink).max() < 12)
    page.get_by_role("button", name="Take mine.png off the map").click()
    expect(page.locator("#panel")).to_contain_text("Press an image on the map")
    until(page, lambda: np.abs(at(page, there + 3) - ink).max() > 12)


def test_a_reload_says_that_an_image_of_ones_own_is_gone(page, own):
    give(page, ("mine é.png", png(own)))
    expect(page.locator("#panel .facts strong")).to_have_text("mine é.png")
    until(page, lambda: "yours=mine" in page.url)
    page.locator(".map").focus()
    page.keyboard.press("ArrowRight")
    until(page, lambda: "image=" in page.url and "yours=" not in page.url)
    page.go_back()
    expect(page.locator("#panel .facts strong")).to_have_text("mine é.png")
    page.reload()
    until(page, lambda: "Your image mine é.png is gone" in status(page))
    until(page, lambda: "yours=" not in page.url)


def test_files_come_by_a_button_and_are_pasted_several_at_once(page, own):
    open_tab(page, "Image")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="By image…").click()
    chooser.value.set_files({"name": "chosen.png", "mimeType": "image/png", "buffer": png(own)})
    expect(page.locator("#panel .facts strong")).to_have_text("chosen.png")
    give(page, ("a.png", png(own)), ("b.png", png(own[::-1].copy())), kind="paste")
    expect(page.locator("#panel .facts strong")).to_have_text("a.png")
    expect(page.locator(".given-one")).to_have_count(3)
    page.get_by_role("button", name="b.png", exact=True).click()
    expect(page.locator("#panel .facts strong")).to_have_text("b.png")
    expect(page.get_by_role("button", name="b.png", exact=True)).to_have_attribute("aria-pressed", "true")


def test_what_is_wrong_with_a_file_is_said_on_the_page(browser, page, address, own):
    give(page, ("note.txt", b"hello"))
    until(page, lambda: status(page) == "note.txt: is no image that latens reads")
    assert any("400" in error for error in page.errors)  # the browser's own note of the refusal
    page.errors.clear()
    page.evaluate(
        "() => { const moved = new DataTransfer(); moved.items.add(new File([new Uint8Array(65 << 20)], 'big.png'));"
        " document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: moved, bubbles: true, cancelable: true})); }"
    )
    until(page, lambda: status(page) == "big.png: has 65 MB; at most 64 MB are read")
    expect(page.locator(".given-one")).to_have_count(0)


def test_a_file_without_an_encoder_says_so(browser, run, tmp_path, own, monkeypatch):
    monkeypatch.setattr(packing, "MOST_ENCODER", 0)
    address = write_html(open_run(run), tmp_path / "run.html").as_uri()
    with opened(browser, address) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        give(page, ("mine.png", png(own)))
        until(page, lambda: "cannot encode images" in status(page))
        open_tab(page, "Image")
        expect(page.get_by_role("button", name="By image…")).to_have_count(0)


def test_reconstructions_of_given_images_are_those_of_the_model(view, own):
    made = decoding.encode(view, png(own), "mine.png").arrays["reconstruction"]
    np.testing.assert_array_equal(made[0], to_uint8(view.run.decode(encoded(view, own)))[0, 0])
