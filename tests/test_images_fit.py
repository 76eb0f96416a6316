"""How images of another shape come to a size, and what of it is kept for a run."""

import numpy as np
import pytest
from PIL import Image

from latens import load_images
from latens.errors import UsageError
from latens.images.fit import FITS, centre_box, fit_note, fit_picture, fit_pixels, inner_size, padded, share_lost
from latens.images.folder import choose_size
from latens.images.load import load_again
from latens.images.pictures import read_pictures
from pictures import fill, noise, save


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(30, 20), (20, 30, 3), (9, 40)])
def test_an_image_comes_to_the_size(fit, shape):
    picture = Image.fromarray(noise(1, *shape)[0])
    assert fit_picture(picture, (16, 12), fit).size == (12, 16)


@pytest.mark.parametrize("fit", FITS)
def test_an_image_of_the_same_shape_is_resized_the_same_by_each_rule(fit):
    picture = Image.fromarray(noise(1, 40, 30, 3)[0])
    found = np.asarray(fit_picture(picture, (20, 15), fit))
    np.testing.assert_array_equal(found, np.asarray(picture.resize((15, 20), Image.Resampling.BICUBIC)))


def test_padding_keeps_all_of_the_image_and_takes_the_colour_of_its_border():
    pixels = np.full((20, 40, 3), (10, 60, 200), np.uint8)
    pixels[8:12, 0:3] = 255  # at the edge, where a crop to the centre would cut it off
    found = np.asarray(fit_picture(Image.fromarray(pixels), (40, 40), "pad"))
    np.testing.assert_array_equal(found[10:30], pixels)
    assert np.unique(found[:10].reshape(-1, 3), axis=0).tolist() == [[10, 60, 200]]
    np.testing.assert_array_equal(found[:10], found[30:])


def test_cropping_is_the_centre_and_stretching_is_everything():
    pixels = np.zeros((20, 40), np.uint8)
    pixels[:, :10] = 255  # only outside the centre
    picture = Image.fromarray(pixels)
    cropped, stretched = (np.asarray(fit_picture(picture, (20, 20), fit)) for fit in ("crop", "stretch"))
    assert cropped.max() == 0
    assert stretched[:, :4].min() > 200
    assert centre_box(40, 20, (20, 20)) == (10, 0, 30, 20)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_border_has_its_median_in_each_channel_and_no_new_value(dtype):
    pixels = np.random.default_rng(0).integers(0, 200, (5, 6, 9)).astype(dtype)
    found = padded(pixels, (10, 11))
    assert (found.shape, found.dtype) == ((5, 10, 11), dtype)
    for channel in range(5):
        edges = np.concatenate([pixels[channel][0], pixels[channel][-1], pixels[channel][:, 0], pixels[channel][:, -1]])
        assert found[channel, 0, 0] in edges
        assert (edges <= found[channel, 0, 0]).mean() >= 0.5 <= (edges >= found[channel, 0, 0]).mean()


def test_arrays_are_fitted_as_files_are():
    pixels = noise(3, 3, 20, 30)
    for fit in FITS:
        found = fit_pixels(pixels, (16, 16), fit)
        for one, image in zip(found, pixels, strict=True):
            expected = fit_picture(Image.fromarray(image.transpose(1, 2, 0)), (16, 16), fit)
            np.testing.assert_array_equal(one.transpose(1, 2, 0), np.asarray(expected))


@pytest.mark.parametrize(
    ("height", "width", "crop", "pad"),
    [(50, 50, 0, 0), (100, 200, 0.5, 0.5), (64, 48, 0.25, 0.25), (30, 10, 2 / 3, 0.65625)],  # 10 of 30: 21.3 is 21 px
)
def test_what_a_rule_costs(height, width, crop, pad):
    assert share_lost(height, width, (64, 64), "crop") == pytest.approx(crop)
    inner = inner_size(height, width, (64, 64))
    assert share_lost(height, width, (64, 64), "pad") == pytest.approx(1 - inner[0] * inner[1] / 64**2)
    assert share_lost(height, width, (64, 64), "pad") == pytest.approx(pad, abs=0.02)


def test_the_note_says_how_much():
    sizes = [(64, 64)] * 3 + [(100, 200)] * 2
    assert fit_note([(64, 64)], (32, 32), "crop") == ""
    assert "a median 50% of the 2 images of another shape is cut off" in fit_note(sizes, (64, 64), "crop")
    assert "50% of each is padding" in fit_note(sizes[3:], (64, 64), "pad")
    assert "stretched" in fit_note(sizes, (64, 64), "stretch")


def test_the_default_cuts_nothing_off(tmp_path):
    fill(tmp_path, 12, (20, 30, 3))
    save(tmp_path / "wide.png", np.full((10, 60, 3), 99, np.uint8))
    dataset = load_images(tmp_path)
    assert dataset.shape == (3, 20, 30)
    assert any("is padding" in note for note in dataset.notes)
    cropped = load_images(tmp_path, fit="crop")
    assert any("is cut off" in note for note in cropped.notes)
    assert cropped.options["fit"] == "crop"
    with pytest.raises(UsageError, match=r"fit 'middle'; allowed are pad, crop, stretch"):
        load_images(tmp_path, fit="middle")


@pytest.mark.parametrize(
    ("sizes", "rules", "size"),
    [
        ([(375, 500)], 2, (48, 64)),
        ([(375, 500)], 1, (64, 64)),
        ([(300, 300), (310, 305)], 2, (64, 64)),
        ([(1000, 20)], 2, (64, 8)),
        ([(400, 200), (420, 200), (200, 800)], 2, (64, 32)),  # of the shapes 2, 2.1 and 0.25 the median
        ([(28, 28), (400, 200)], 2, (64, 44)),  # 64 / 1.5 is 42.7
        ([(28, 28), (28, 28), (400, 200)], 2, (28, 28)),
    ],
)
def test_the_size_that_is_chosen(sizes, rules, size):
    assert choose_size(sizes, rules) == size


def test_grey_is_one_channel(tmp_path):
    arrays = fill(tmp_path, 12, (16, 16, 3))
    dataset = load_images(tmp_path, grey=True)
    assert dataset.shape == (1, 16, 16)
    assert any("12 colour images among 12 were turned into grey" in note for note in dataset.notes)
    row = int(np.flatnonzero(dataset.train.ids == "3.png")[0]) if "3.png" in dataset.train.ids else None
    if row is not None:
        expected = np.asarray(Image.fromarray(arrays[3]).convert("L"))
        np.testing.assert_array_equal(dataset.train.pixels[row, 0], expected)
    given = load_images(noise(20, 8, 8, 3), grey=True)
    assert given.shape == (1, 8, 8)
    assert load_images(noise(20, 8, 8), grey=True).shape == (1, 8, 8)


def test_a_run_of_before_is_read_as_it_was(tmp_path):
    """run.json of before has no `rules`: its images are cropped, to a square, and split over all classes."""
    for name in "abcdefghij":
        fill(tmp_path / name, 10, (140, 200), seed=ord(name))
    now = load_images(tmp_path)
    before = load_images(tmp_path, rules=1)
    assert (now.shape, before.shape) == ((1, 45, 64), (1, 64, 64))
    assert np.bincount(now.test.labels).tolist() == [1] * 10
    assert np.bincount(before.test.labels, minlength=10).tolist() != [1] * 10
    again = load_again(str(tmp_path), {"options": before.options})
    assert again.fingerprint == before.fingerprint
    assert load_again(str(tmp_path), {"options": now.options, "rules": now.rules}).fingerprint == now.fingerprint
    with pytest.raises(UsageError, match="rules 4"):
        load_images(tmp_path, rules=4)


@pytest.mark.parametrize("fit", FITS)
def test_new_images_are_fitted_as_they_are_asked_to_be(tmp_path, fit):
    fill(tmp_path, 2, (20, 30))
    pictures = read_pictures(tmp_path, (1, 16, 16), fit=fit)
    (block,) = pictures.blocks(pictures.parts[0])
    expected = fit_pixels(
        np.stack([np.asarray(Image.open(tmp_path / f"{k}.png")) for k in range(2)])[:, None], (16, 16), fit
    )
    np.testing.assert_array_equal(block.pixels, expected)


def test_grey_goes_with_colour_images_only():
    with pytest.raises(UsageError, match=r"grey \(--grey\) goes with colour images; these are 5-channel images"):
        load_images(noise(20, 5, 9, 9), grey=True)
    deep = load_images((noise(20, 9, 9, 3).astype(np.uint16) << 7), grey=True)
    assert (deep.shape, deep.train.pixels.dtype) == ((1, 9, 9), np.uint16)
