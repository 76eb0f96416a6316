"""One form for a folder: several types and depths in it, values that are not numbers, and sets that are moved between runs."""

import json

import numpy as np
import pytest
from PIL import Image

from formats import write_png, write_tiff
from latens.cli import main
from latens.errors import ImagesError, UsageError
from latens.images import load_images
from latens.images.pictures import read_pictures

COUNT, SHAPE = 12, (9, 11)


def numbers(most, seed=0, count=COUNT):
    values = np.random.default_rng(seed).integers(0, most + 1, (count, *SHAPE))
    values[:, 0, 0] = most
    return values


def by_id(dataset):
    return {
        str(one): pixels
        for part in (dataset.train, dataset.test)
        for one, pixels in zip(part.ids, part.pixels, strict=True)
    }


def fill(folder, values, bits, writer=write_png, prefix="", **options):
    for row, image in enumerate(values):
        writer(folder / f"{prefix}{row}.{'tif' if writer is write_tiff else 'png'}", image, bits, **options)


@pytest.mark.parametrize(("most", "level"), [(900, 1023), (4095, 4095), (20000, 65535)])
def test_8_and_16_bits(tmp_path, most, level):
    """255 becomes the largest number of the depth that the others use, so that white stays white."""
    deep, flat = numbers(most), numbers(255, 1)
    fill(tmp_path, deep, 16, prefix="deep")
    fill(tmp_path, flat, 8, prefix="flat")
    dataset = load_images(tmp_path)
    found = by_id(dataset)
    assert dataset.train.pixels.dtype == np.uint16
    assert all((found[f"deep{row}.png"][0] == deep[row]).all() for row in range(COUNT))
    assert all((found[f"flat{row}.png"][0] == np.rint(flat[row] * level / 255)).all() for row in range(COUNT))
    note = f"12 of 24 images have 8 bits and the others 16: all are kept as uint16, and of 8 bits 255 becomes {level}"
    assert note in dataset.notes
    assert load_images(tmp_path, **dataset.options).fingerprint == dataset.fingerprint


@pytest.mark.parametrize(("scale", "unit"), [(1, True), (7, False)])
def test_whole_numbers_among_floats(tmp_path, scale, unit):
    floats = np.random.default_rng(0).random((COUNT, *SHAPE)).astype("f4") * scale
    fill(tmp_path, floats, 32, write_tiff, "real", form=3)
    flat = numbers(255)
    fill(tmp_path, flat, 8, prefix="flat")
    dataset = load_images(tmp_path)
    found = by_id(dataset)
    assert dataset.train.pixels.dtype == np.float32
    assert all((found[f"real{row}.tif"][0] == floats[row]).all() for row in range(COUNT))
    assert np.allclose(found["flat3.png"][0], flat[3] / 255 if unit else flat[3])
    rule = "are scaled to [0, 1], as the floats are" if unit else "keep their numbers"
    assert any(note.endswith(f"kept as float32, and whole numbers {rule}") for note in dataset.notes)


def test_grey_among_deep_colour(tmp_path):
    fill(tmp_path, np.stack([numbers(4000, seed) for seed in range(3)], -1), 16, prefix="rgb", colour=2)
    grey = numbers(4000, 7)[0]
    write_png(tmp_path / "grey.png", grey, 16)
    dataset = load_images(tmp_path)
    assert (dataset.shape, dataset.train.pixels.dtype) == ((3, *SHAPE), np.uint16)
    assert (by_id(dataset)["grey.png"] == grey).all()
    assert load_images(tmp_path, grey=True).shape == (1, *SHAPE)


def test_signed_numbers_keep_their_values(tmp_path):
    values = numbers(2000) - 1000
    fill(tmp_path, values, 16, write_tiff, form=2)
    dataset = load_images(tmp_path)
    found = by_id(dataset)
    assert all((found[f"{row}.tif"][0] == values[row]).all() for row in range(COUNT))
    low, high = dataset.value_range[0]
    assert low < 0 < high


@pytest.mark.parametrize("size", [8, (12, 16)])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_resized_in_its_own_depth(tmp_path, size, fit):
    fill(tmp_path, numbers(900), 16)
    dataset = load_images(tmp_path, size=size, fit=fit)
    assert dataset.train.pixels.dtype == np.uint16
    assert dataset.shape[1:] == ((8, 8) if size == 8 else size)
    assert len(np.unique(dataset.train.pixels)) > 256, "not through 8 bits"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number(tmp_path, bad):
    values = np.random.default_rng(0).normal(size=(COUNT, *SHAPE)).astype("f4")
    values[5, 2, 3:6] = bad
    fill(tmp_path, values, 32, write_tiff, form=3)
    with pytest.raises(
        ImagesError, match=r"5\.tif: 3 of 99 values are not numbers \(NaN or infinite\); .*nan=0, --nan 0"
    ):
        load_images(tmp_path)
    dataset = load_images(tmp_path, nan=-1.5)
    expected = np.where(np.isfinite(values[5]), values[5], np.float32(-1.5))
    assert (by_id(dataset)["5.tif"][0] == expected).all()
    assert dataset.options["nan"] == -1.5
    assert load_images(tmp_path, **dataset.options).fingerprint == dataset.fingerprint
    assert load_images(tmp_path, nan=0).fingerprint != dataset.fingerprint


def test_masked_before_it_is_resized(tmp_path):
    values = np.full((COUNT, 16, 16), 2, "f4") + np.arange(COUNT, dtype="f4")[:, None, None]
    values[:, 0, 0] = np.nan
    fill(tmp_path, values, 32, write_tiff, form=3)
    assert np.isfinite(load_images(tmp_path, size=8, nan=0).train.pixels).all()


@pytest.mark.parametrize("value", ["x", np.nan, np.inf, 1e39, [0]])
def test_values_for_nan_that_are_not_allowed(value):
    with pytest.raises(UsageError, match="nan is"):
        load_images(np.zeros((COUNT, *SHAPE), "f4"), nan=value)


def test_arrays_with_nan(tmp_path):
    values = np.random.default_rng(0).normal(size=(COUNT, 3, *SHAPE))
    values[4, 1, 0, :2] = np.nan
    np.save(tmp_path / "a.npy", values)
    for source in (values, tmp_path / "a.npy"):
        with pytest.raises(ImagesError, match=r"row 4 has 2 of 297 values that are not numbers .*nan=0, --nan 0"):
            load_images(source)
        found = by_id(load_images(source, nan=9))
        assert (found["4"] == np.where(np.isnan(values[4]), 9, values[4]).astype("f4")).all()


def test_later_images_are_read_by_the_range_of_a_run(tmp_path):
    """A folder of 16 bits, a file of it, and files that need --nan and --pages."""
    values = numbers(900)
    (tmp_path / "a").mkdir()
    fill(tmp_path / "a", values, 16)
    dataset = load_images(tmp_path / "a")
    for source, rows in ((tmp_path / "a", range(COUNT)), (tmp_path / "a" / "7.png", [7])):
        pictures = read_pictures(source, dataset.shape, read_by=dataset.format)
        (part,) = pictures.parts
        found = np.concatenate([block.pixels for block in pictures.blocks(part)])[:, 0]
        low, high = dataset.value_range[0]
        order = np.argsort([int(str(one).partition(".")[0]) for one in part.ids])
        assert np.allclose(found[order], np.clip((values[list(rows)] - low) / (high - low), 0, 1), atol=1e-6)


def test_five_channels_of_16_bits_from_the_command_line(tmp_path, capsys):
    tifffile = pytest.importorskip("tifffile")
    (tmp_path / "cells").mkdir()
    for row in range(16):
        values = np.random.default_rng(row).integers(0, 900, (5, 16, 16)).astype(np.uint16)
        metadata = {"axes": "CYX", "Channel": {"Name": ["dapi", "gfp", "rfp", "cy5", "bf"]}}
        tifffile.imwrite(tmp_path / "cells" / f"{row}.ome.tif", values, ome=True, metadata=metadata)
    assert main(["data", str(tmp_path / "cells"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["shape"], told["dtype"]) == ([5, 16, 16], "uint16")
    assert told["channel_names"] == ["dapi", "gfp", "rfp", "cy5", "bf"]
    assert main(["data", str(tmp_path / "cells"), "--pages", "all"]) == 0
    Image.new("RGB", (16, 16)).save(tmp_path / "cells" / "photo.png")
    assert main(["data", str(tmp_path / "cells"), "--strict"]) == 2
    assert "photo.png (3 channels, where most have 5)" in capsys.readouterr().err
