"""FITS: files by an independent writer, and astropy's own test files as astropy reads them."""

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from formats import write_fits
from latens.errors import ImagesDamaged, ImagesError
from latens.images import load_images
from latens.images.decode import look_at, read_values

fits = pytest.importorskip("astropy.io.fits")
SHAPE = (12, 20)
RNG = np.random.default_rng(0)


def one(path, page=0):
    (values,) = read_values(path, [page])
    look = look_at(path)
    assert (values.dtype.name, values.shape) == (look.dtype, (look.channels, *look.size))
    return values


@pytest.mark.parametrize(
    ("stored", "cards", "dtype", "truth"),
    [
        (RNG.integers(0, 256, SHAPE).astype("u1"), [], "uint8", lambda a: a),
        (RNG.integers(-9, 9, SHAPE).astype("i2"), [], "float32", lambda a: a),
        (
            RNG.integers(-(1 << 15), 1 << 15, SHAPE).astype("i2"),
            [("BZERO", 32768)],
            "uint16",
            lambda a: a.astype(int) + 32768,
        ),
        (RNG.integers(0, 256, SHAPE).astype("u1"), [("BZERO", -128)], "float32", lambda a: a.astype(int) - 128),
        (RNG.integers(0, 99, SHAPE).astype("i2"), [("BSCALE", 0.5), ("BZERO", 7.0)], "float32", lambda a: 7 + a / 2),
        (RNG.integers(-(1 << 20), 1 << 20, SHAPE).astype("i4"), [], "float32", lambda a: a),
        (RNG.normal(size=SHAPE).astype("f4"), [], "float32", lambda a: a),
        (RNG.normal(size=SHAPE).astype("f8"), [("BSCALE", 3.0)], "float32", lambda a: (3 * a).astype("f4")),
    ],
)
def test_types_and_scales(tmp_path, stored, cards, dtype, truth):
    path = write_fits(tmp_path / "a.fits", stored, cards)
    values = one(path)
    assert values.dtype == dtype
    assert np.allclose(values[0], truth(stored), rtol=1e-6, atol=0)
    assert (one(path)[0] == fits.getdata(path).astype(dtype)).all(), "rows in the order of astropy"


def test_blank_is_not_a_number(tmp_path):
    stored = RNG.integers(0, 99, (12, *SHAPE)).astype("i2")
    for number, image in enumerate(stored):
        if number == 5:
            image[2, 3:6] = -1
        write_fits(tmp_path / f"{number}.fits", image, [("BLANK", -1)])
    with pytest.raises(ImagesError, match=r"5\.fits: 3 of 240 values are not numbers .*nan=0, --nan 0"):
        load_images(tmp_path)
    dataset = load_images(tmp_path, nan=42)
    found = {
        str(one): pixels
        for part in (dataset.train, dataset.test)
        for one, pixels in zip(part.ids, part.pixels, strict=True)
    }
    assert (found["5.fits"][0] == np.where(stored[5] < 0, 42, stored[5])).all()


@pytest.mark.parametrize("name", ["a.fits", "a.fit", "a.fts", "a.fits.gz"])
def test_endings(tmp_path, name):
    images = RNG.normal(size=(12, *SHAPE)).astype("f4")
    ending = name.partition(".")[2]
    for number, image in enumerate(images):
        path = write_fits(tmp_path / f"{number}.{ending}", image)
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    dataset = load_images(tmp_path)
    assert (len(dataset.train) + len(dataset.test), dataset.train.pixels.dtype) == (12, np.float32)


def test_the_first_image_with_data(tmp_path):
    image = RNG.normal(size=SHAPE).astype("f4")
    path = write_fits(tmp_path / "a.fits", None, extensions=[(image[0], []), (image, []), (image + 1, [])])
    assert (one(path)[0] == image).all()
    empty = write_fits(tmp_path / "b.fits", None)
    with pytest.raises(ValueError, match="FITS without an image"):
        look_at(empty)


def test_cubes(tmp_path):
    cube = RNG.integers(0, 255, (2, 3, *SHAPE)).astype("u1")
    path = write_fits(tmp_path / "a.fits", cube)
    assert (look_at(path).pages, look_at(path).word) == (6, "planes")
    assert all((one(path, page)[0] == cube.reshape(6, *SHAPE)[page]).all() for page in range(6))
    (together,) = read_values(path, None)
    assert (together == cube.reshape(6, *SHAPE)).all()
    colour = write_fits(tmp_path / "b.fits", cube, [("CTYPE3", "RGB")])
    assert (look_at(colour).pages, look_at(colour).channels) == (2, 3)
    assert (one(colour, 1) == cube[1]).all()


def test_packed(tmp_path):
    image = RNG.integers(0, 999, SHAPE).astype("i2")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image, compression_type="RICE_1")]).writeto(tmp_path / "a.fz")
    assert (one(tmp_path / "a.fz")[0] == image).all()


OWN = sorted(Path(fits.__file__).parent.rglob("data/*.fits"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_files_of_astropy(path):
    """Each is read as astropy reads it, or refused in one line."""
    try:
        values = one(path)
    except Exception as error:
        assert any(words in str(error) for words in ("without an image", "too small")), error  # noqa: PT017
        return
    with fits.open(path) as parts:
        part = next(part for part in parts if part.is_image and len(part.shape) >= 2)
        truth = part.data.reshape(-1, *part.shape[-2:])[0].astype(values.dtype)
    assert np.array_equal(values[0], truth, equal_nan=True)


def test_without_astropy(tmp_path, monkeypatch):
    for number in range(9):
        write_fits(tmp_path / f"{number}.fits", RNG.normal(size=SHAPE).astype("f4"))
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    with pytest.raises(ImagesDamaged, match=r'0\.fits \(FITS, which needs: pip install "latens\[fits\]"\)'):
        load_images(tmp_path)


def test_damaged(tmp_path):
    (tmp_path / "a.fits").write_text("no FITS, whatever it is called")
    with pytest.raises(ImagesDamaged, match=r"a\.fits: can't be used \("):
        load_images(tmp_path)
    path = write_fits(tmp_path / "a.fits", RNG.normal(size=(40, 50)).astype("f4"))
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(ImagesDamaged, match=r"a\.fits \("):
        load_images(tmp_path)
