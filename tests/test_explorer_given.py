"""Find by image in the exported file: JavaScript reads, fits and encodes an image file as Python does."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import latens
from browser import expect, open_tab, opened, shows, status, until
from conftest import REFERENCE
from latens.explorer import View, decoding, write_html
from latens.images.fit import FITS, centre_box, inner_size, padded
from latens.images.pixels import from_picture, with_channels
from latens.progress import Silent
from test_explorer_export import ask, in_node
from test_explorer_find import give

# Of latents, by those of Python: PNG is the same bytes, and the networks agree to that; a JPEG is decoded by another library.
CLOSE, CLOSE_JPEG = 1e-3, 0.03
FIT = """
import {readFileSync, writeFileSync} from "node:fs";
import {fitted} from "./fit.js";
const cases = JSON.parse(readFileSync("cases.json"));
writeFileSync("answers.json", JSON.stringify(cases.map(({values, shape, size, fit}) =>
  Array.from(fitted({values: Uint8Array.from(values), shape}, size, fit).values))));
"""
SIZES = [(12, 12), (40, 30), (30, 40), (7, 90), (8, 8), (13, 29), (100, 11), (9, 9), (64, 48)]


def rows_first(picture, size, fit):
    """By Pillow in two steps, since from 13 on it begins with the columns of tall images, and each step rounds."""
    inner = inner_size(picture.height, picture.width, size) if fit == "pad" else size
    left, top, right, bottom = centre_box(*picture.size, size) if fit == "crop" else (0, 0, *picture.size)
    step = picture.resize((inner[1], picture.height), Image.Resampling.BICUBIC, box=(left, 0, right, picture.height))
    step = step.resize(inner[::-1], Image.Resampling.BICUBIC, box=(0, top, inner[1], bottom))
    return padded(from_picture(step), size)


def test_images_are_fitted_to_the_same_bytes(tmp_path):
    rng, cases, expected = np.random.default_rng(0), [], []
    for height, width in SIZES:
        for found, wanted in ((1, 1), (3, 3), (3, 1), (1, 3)):
            for fit in FITS:
                values = rng.integers(0, 256, (height, width, found), np.uint8)
                values[: height // 2] = np.where(values[: height // 2] > 127, 255, 0)  # the filter shoots over edges
                picture = Image.fromarray(values if found == 3 else values[..., 0])
                expected.append(with_channels(rows_first(picture, (12, 17), fit)[None], wanted))
                given = {"values": values.transpose(2, 0, 1).ravel().tolist(), "shape": [found, height, width]}
                cases.append({**given, "size": [wanted, 12, 17], "fit": fit})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    for answer, wanted, case in zip(in_node(tmp_path, FIT), expected, cases, strict=True):
        np.testing.assert_array_equal(answer, wanted.ravel(), err_msg=f"{case['shape']} {case['fit']}")


@pytest.fixture(scope="module")
def file(view):
    return write_html(view.run, view.run.path.parent / "run.html")


@pytest.fixture(scope="module")
def in_colour(tmp_path_factory):
    """The explorer on a run of RGB images that are cropped, and its file."""
    folder = tmp_path_factory.mktemp("colour")
    rng = np.random.default_rng(3)
    images = np.repeat(np.repeat(rng.integers(0, 256, (60, 4, 5, 3), np.uint8), 4, 1), 4, 2)
    np.savez(folder / "rgb.npz", images=images)
    options = {**REFERENCE, "epochs": 1, "size": (12, 14), "fit": "crop"}
    run = latens.run(folder / "rgb.npz", out=folder / "run", **options, device="cpu", progress=Silent())
    return View(run), write_html(run, folder / "run.html")


def encoded(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def photo(height, width, channels):
    """A smooth picture with an edge in it: (H, W) or (H, W, 3)."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    planes = [120 + 100 * np.sin(5 * x + c) * np.cos(4 * y - c) + 30 * (x > 0.4) for c in range(channels)]
    return np.stack(planes, -1).clip(0, 255).astype(np.uint8).squeeze()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("of", ["grey", "colour"])
def test_latents_are_those_of_python(view, file, in_colour, tmp_path, of, channels):
    view, file = (view, file) if of == "grey" else in_colour
    pixels = photo(50, 37, channels)
    picture = {"values": np.atleast_3d(pixels).transpose(2, 0, 1).ravel().tolist(), "shape": [channels, 50, 37]}
    (answer,) = ask(tmp_path, file.read_text(), [["encode", picture, "mine.png", "tsne"]])
    expected = decoding.encode(view, encoded(pixels, "png"), "mine.png", "tsne")
    assert "failed" not in answer, answer
    for key in ("pixels", "reconstruction"):
        assert np.abs(np.array(answer[key]) - expected.arrays[key].ravel()).max() <= 1, key
    for key in ("latents", "distances", "ratio", "round_trip", "places"):
        wanted = expected.arrays[key].ravel()
        np.testing.assert_allclose(answer[key], wanted, atol=CLOSE * max(1, np.abs(wanted).max()), err_msg=key)
    assert answer["id"] == "mine.png"
    assert expected.facts["note"].endswith(answer["note"])
    assert bool(answer["note"]) == (channels != view.run.image_shape[0])
    assert answer["error"] == pytest.approx(expected.facts["error"], rel=1e-3)
    assert answer["neighbours"] == expected.arrays["neighbours"].tolist()


def latents_on(page):
    """The latent that the page shows, read where a person copies it."""
    page.evaluate("() => { navigator.clipboard.writeText = async (text) => { document.body.dataset.copied = text; }; }")
    page.get_by_role("button", name="Copy latent").first.click()
    text = until(page, lambda: page.evaluate("() => document.body.dataset.copied ?? ''"))
    page.evaluate("() => { delete document.body.dataset.copied; }")
    return np.array(json.loads(text)["latent"])


@pytest.mark.parametrize(
    ("name", "channels", "kind", "options", "close"),
    [
        ("grey.png", 1, "png", {}, CLOSE),
        ("colour.png", 3, "png", {}, CLOSE),
        ("grey.jpg", 1, "jpeg", {"quality": 92}, CLOSE_JPEG),
        ("colour.jpg", 3, "jpeg", {"quality": 92}, CLOSE_JPEG),
        (
            "turned.jpg",
            3,
            "jpeg",
            {"quality": 92, "exif": b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
            CLOSE_JPEG,
        ),
    ],
)
def test_a_dropped_file_has_the_latents_that_python_gives_it(browser, view, file, name, channels, kind, options, close):
    if "exif" in options:
        options = {**options, "exif": b"Exif\0\0" + options["exif"]}
    content = encoded(photo(60, 44, channels), kind, **options)
    with opened(browser, file.as_uri()) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        give(page, (name, content))
        expect(page.locator(".given-one")).to_have_count(1)
        expected = decoding.encode(view, content, name, "tsne")
        pixels = page.locator(".three canvas").first
        until(page, lambda: shows(pixels, expected.arrays["pixels"][0]) or kind == "jpeg")
        wanted = expected.arrays["latents"]
        np.testing.assert_allclose(latents_on(page), wanted, atol=close * max(1, np.abs(wanted).max()))


def test_transparency_is_laid_on_white(browser, view, file):
    pixels = np.dstack([photo(60, 44, 3), np.tile(np.linspace(0, 255, 44).astype(np.uint8), (60, 1))])
    content = encoded(pixels, "png")
    with opened(browser, file.as_uri()) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        give(page, ("clear.png", content))
        expect(page.locator(".given-one")).to_have_count(1)
        wanted = decoding.encode(view, content, "clear.png").arrays["pixels"][0]
        canvas = page.locator(".three canvas").first
        script = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).filter((_, i) => i % 4 == 0)"
        until(page, lambda: np.abs(np.array(canvas.evaluate(script)).reshape(wanted.shape) - wanted).max() <= 2)


def test_what_can_not_be_read_is_refused_in_a_line(browser, view, file):
    deep = encoded(np.full((20, 20), 40_000, np.uint16), "png")
    inks = io.BytesIO()
    Image.new("CMYK", (20, 20)).save(inks, "jpeg")
    cases = [
        ("note.txt", b"hello", "note.txt: is no PNG or JPEG"),
        ("page.tif", encoded(photo(20, 20, 1), "tiff"), "page.tif: is no PNG or JPEG"),
        ("deep.png", deep, "deep.png: has 16 bits a channel"),
        ("inks.jpg", inks.getvalue(), "inks.jpg: has 4 channels"),
        ("torn.png", encoded(photo(20, 20, 1), "png")[:60], "torn.png: can't be read"),
        ("torn.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF", "torn.jpg: is damaged"),
        ("empty.png", b"", "empty.png: is empty"),
    ]
    with opened(browser, file.as_uri()) as page:
        expect(page.locator(".verdict").first).to_contain_text("usual distance")
        for name, content, words in cases:
            give(page, (name, content))
            until(page, lambda words=words: words in status(page))
        expect(page.locator(".given-one")).to_have_count(0)
        open_tab(page, "Image")
        expect(page.get_by_role("button", name="By image…")).to_be_visible()
