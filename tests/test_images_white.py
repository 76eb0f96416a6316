"""`white`: the number of bytes that becomes 255 (masks), and the upper end of the range where there are more bits."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from formats import write_png, write_tiff
from latens.errors import ImagesError, UsageError
from latens.images import load_images
from latens.images.pictures import read_pictures
from latens.images.pixels import to_floats
from latens.images.white import choose_white

COUNT = 20


def numbers(white, seed=0, dtype=np.uint16):
    """COUNT images of 9 x 8 whole numbers from 0 to white, both of which occur."""
    values = np.random.default_rng(seed).integers(0, white + 1, (COUNT, 9, 8))
    values[3, 0, :2] = 0, white
    return values.astype(dtype)


def truth(values, white):
    """Scaled to 0..255 and rounded, in exact arithmetic."""
    return np.vectorize(lambda value: round(Fraction(int(value) * 255, white)))(values)


def by_row(dataset):
    """All pictures in their first order."""
    order = np.argsort([int(row) for part in (dataset.train, dataset.test) for row in part.ids])
    return np.concatenate([dataset.train.pixels, dataset.test.pixels])[order][:, 0]


@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
def test_white_of_16_bits_is_the_end_of_their_range(white):
    values = numbers(white)
    dataset = load_images(values, white=white)
    assert (by_row(dataset) == values).all()
    assert dataset.value_range == ((0, white),)
    assert dataset.fingerprint == load_images(values, value_range=(0, white)).fingerprint
    again = load_images(values, **dataset.options)
    assert again.fingerprint == dataset.fingerprint
    row = int(dataset.train.ids[0])
    assert (dataset.train.inputs[0, 0] == values[row].astype(np.float32) / np.float32(white)).all()
    with pytest.raises(UsageError, match="say the same"):
        load_images(values, white=white, value_range="type")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_masks_of_0_and_1(dtype):
    values = numbers(1, dtype=dtype)
    dataset = load_images(values)
    assert (by_row(dataset) == 255 * values).all()
    assert "masks" in dataset.notes[0]
    assert dataset.options["white"] == 1
    assert (by_row(load_images(values, white=255)) == values).all()
    assert (by_row(load_images(values.astype(bool))) == 255 * values).all()


def test_ordinary_bytes_are_left_alone():
    values = numbers(2, dtype=np.uint8)
    dataset = load_images(values)
    assert (by_row(dataset) == values).all()
    assert "white" not in dataset.options


def test_both_parts_are_read_alike(tmp_path):
    bright, dark = numbers(4000), numbers(200, seed=1)
    np.savez(tmp_path / "a.npz", x_train=bright, x_test=dark)
    dataset = load_images(tmp_path / "a.npz")
    assert (dataset.test.pixels[:, 0] == dark).all()
    assert dataset.value_range == dataset.test.value_range == ((0, 4000),)
    assert load_images(tmp_path / "a.npz").options == dataset.options, "from the cache"
    assert load_images(tmp_path / "a.npz", white=65535).fingerprint != dataset.fingerprint
    masks = numbers(1, dtype=np.uint8)
    np.savez(tmp_path / "b.npz", x_train=numbers(255, dtype=np.uint8), x_test=masks)
    assert (load_images(tmp_path / "b.npz").test.pixels[:, 0] == masks).all()


def test_white_that_was_asked_for(tmp_path):
    values = numbers(200, dtype=np.int32)
    assert (by_row(load_images(values, white=200)) == truth(values, 200)).all()
    with pytest.raises(ImagesError, match=r"from 0 to 200.*0 to 150"):
        load_images(values, white=150)
    np.save(tmp_path / "a.npy", values)
    assert (by_row(load_images(tmp_path / "a.npy", white=200)) == truth(values, 200)).all()
    note = "white was not used: it is for whole numbers, and these are float64"
    assert note in load_images(values / 700, white=1000).notes


@pytest.mark.parametrize("white", [0, -1, 65536, 2.5, True, "255"])
def test_white_that_is_not_allowed(white):
    with pytest.raises(UsageError, match="white is"):
        load_images(numbers(255), white=white)


def test_no_more_is_read_than_needed():
    def largest():
        yield 7
        pytest.fail("the first block decided")

    assert choose_white(largest(), deep=False) == (None, ())


# Folders


def write_folder(folder, values, bits, writer):
    folder.mkdir()
    for number, picture in enumerate(values):
        writer(folder / f"{number}.{'tif' if writer is write_tiff else 'png'}", picture, bits)
    return folder


def by_name(dataset):
    """All pictures in the order of their numbered files."""
    ids = np.concatenate([dataset.train.ids, dataset.test.ids])
    order = np.argsort([int(name.partition(".")[0]) for name in ids])
    return np.concatenate([dataset.train.pixels, dataset.test.pixels])[order][:, 0]


def write_pgm(path, values, bits):
    """A binary PGM, whose numbers of 16 bits are big-endian."""
    head = f"P5 {values.shape[1]} {values.shape[0]} {(1 << bits) - 1}\n".encode()
    path.with_suffix(".pgm").write_bytes(head + values.astype(">u2").tobytes())


@pytest.mark.parametrize("writer", [write_png, write_tiff, write_pgm])
@pytest.mark.parametrize("white", [255, 1023, 4095, 16383, 65535])
def test_folders_of_16_bits(tmp_path, writer, white):
    values = numbers(white)
    folder = write_folder(tmp_path / "a", values, 16, writer)
    dataset = load_images(folder)
    assert dataset.train.pixels.dtype == np.uint16
    assert (by_name(dataset) == values).all()
    assert "white" not in dataset.options
    assert load_images(folder).options == dataset.options, "from the cache"
    asked = load_images(folder, white=65535)
    assert (by_name(asked) == values).all()
    assert asked.value_range == ((0, 65535),)


@pytest.mark.parametrize("writer", [write_png, write_tiff])
def test_folders_of_masks(tmp_path, writer):
    values = numbers(1)
    folder = write_folder(tmp_path / "a", values, 8, writer)
    dataset = load_images(folder)
    assert (by_name(dataset) == 255 * values).all()
    assert any("masks" in note for note in dataset.notes)
    assert (by_name(load_images(folder, white=255)) == values).all()


@pytest.mark.parametrize(("bits", "white"), [(1, 1), (8, 2), (8, 255)])
def test_folders_that_use_their_range(tmp_path, bits, white):
    values = numbers(white)
    dataset = load_images(write_folder(tmp_path / "a", values, bits, write_png))
    assert (by_name(dataset) == truth(values, (1 << bits) - 1)).all()
    assert "white" not in dataset.options


def test_numbers_beyond_the_white_that_was_asked_for(tmp_path):
    """Of 16 bits they are kept, and clipped for networks; of bytes the image is left out."""
    values = numbers(4095)
    dataset = load_images(write_folder(tmp_path / "a", values, 16, write_png), white=511)
    assert (by_name(dataset) == values).all()
    assert dataset.value_range == ((0, 511),)
    assert any("lie outside and are clipped" in note for note in dataset.notes)
    flat = numbers(255)
    flat[:10] //= 8
    dataset = load_images(write_folder(tmp_path / "b", flat, 8, write_png), white=31)
    assert len(dataset.train) + len(dataset.test) == 10
    assert any("although 31 is said to be white" in note for note in dataset.notes)
    note = "white was not used: no image has numbers above 255"
    assert note in load_images(write_folder(tmp_path / "c", numbers(255), 8, write_png), white=4095).notes


@pytest.mark.parametrize("white", [4095, 65535])
def test_lists_of_pillow_images_of_16_bits(white):
    values = numbers(white)
    images = [Image.fromarray(picture) for picture in values]
    dataset = load_images(images, white=white)
    assert (by_row(dataset) == values).all()
    assert dataset.value_range == ((0, white),)
    mixed = [*images[:10], *(Image.fromarray((picture // 257).astype(np.uint8)) for picture in values[10:])]
    assert (by_row(load_images(mixed, white=white))[:10] == truth(values[:10], white)).all(), (
        "beside bytes they are bytes"
    )


def test_a_white_beyond_the_type_does_nothing():
    values = numbers(255, dtype=np.uint8)
    assert (by_row(load_images(values, white=4095)) == values).all()
    values = numbers(127, dtype=np.int8)
    assert (by_row(load_images(values)) == values).all()
    assert (by_row(load_images(values, white=127)) == truth(values, 127)).all()


def test_later_images_are_read_by_the_white_of_a_run(tmp_path):
    dark = numbers(300)
    folder = write_folder(tmp_path / "a", dark, 16, write_png)
    for source in (dark, folder, [folder / f"{number}.png" for number in range(COUNT)]):
        pictures = read_pictures(source, (1, 9, 8), white=4095)
        (part,) = pictures.parts
        found = np.concatenate([to_floats(block.pixels) for block in pictures.blocks(part)])[:, 0]
        order = np.argsort([int(Path(name).stem) for name in part.ids])
        assert np.abs(found[order] - dark / 4095).max() <= 0.5 / 255
