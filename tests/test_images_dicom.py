"""DICOM: files by an independent writer, and pydicom's own test files as pydicom reads them."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from formats import write_dicom
from latens.errors import ImagesDamaged
from latens.images import load_images
from latens.images.decode import look_at, read_values

pydicom = pytest.importorskip("pydicom")
SHAPE = (12, 20)
RNG = np.random.default_rng(0)
OWN = Path(pydicom.__file__).parent / "data" / "test_files"


def one(path, page=0):
    (values,) = read_values(path, [page])
    look = look_at(path)
    assert (values.dtype.name, values.shape) == (look.dtype, (look.channels, *look.size))
    return values


def rescale(slope, intercept):
    return [(0x28, 0x1052, "DS", str(intercept)), (0x28, 0x1053, "DS", str(slope))]


def window(centre, width, function=""):
    found = [(0x28, 0x1050, "DS", str(centre)), (0x28, 0x1051, "DS", str(width))]
    return [*found, (0x28, 0x1056, "CS", function)] if function else found


@pytest.mark.parametrize(("bits", "dtype"), [(8, "uint8"), (10, "uint16"), (12, "uint16"), (16, "uint16")])
def test_grey_keeps_its_numbers(tmp_path, bits, dtype):
    stored = RNG.integers(0, 1 << bits, (1, *SHAPE)).astype("u1" if bits == 8 else "u2")
    assert (one(write_dicom(tmp_path / "a.dcm", stored, stored=bits)) == stored).all()
    assert look_at(tmp_path / "a.dcm").dtype == dtype
    turned = one(write_dicom(tmp_path / "b.dcm", stored, "MONOCHROME1", stored=bits))
    assert (turned == (1 << bits) - 1 - stored.astype(int)).all()


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("signed", [False, True])
def test_rescale(tmp_path, photometric, signed):
    stored = RNG.integers(-999 if signed else 0, 1000, (1, *SHAPE)).astype("i2" if signed else "u2")
    path = write_dicom(tmp_path / "a.dcm", stored, photometric, signed=signed, more=rescale(0.5, -1024))
    whole = -1 if signed else 65535  # what a number and its counterpart add up to
    meant = stored.astype(int) if photometric == "MONOCHROME2" else whole - stored.astype(int)
    assert one(path).dtype == np.float32
    assert (one(path) == (meant * 0.5 - 1024).astype("f4")).all()


@pytest.mark.parametrize(
    ("function", "low", "high"),
    [
        ("", 40 - 0.5 - 399 / 2, 40 - 0.5 + 399 / 2),
        ("LINEAR", -160, 239),
        ("LINEAR_EXACT", -160, 240),
        ("SIGMOID", -160, 240),
    ],
)
def test_the_window_is_the_range(tmp_path, function, low, high):
    """PS3.3 C.11.2.1.2: of LINEAR the ends lie at c - 0.5 ± (w - 1) / 2, of the others at c ± w / 2."""
    stored = RNG.integers(0, 3000, (12, *SHAPE)).astype("u2")
    for number, image in enumerate(stored):
        write_dicom(tmp_path / f"{number}.dcm", image[None], more=[*rescale(1, -1024), *window(40, 400, function)])
    dataset = load_images(tmp_path)
    assert dataset.value_range == ((low, high),)
    assert any("the range is the window of the files" in note for note in dataset.notes)
    assert (dataset.train.inputs[0] == np.clip((dataset.train.pixels[0] - low) / (high - low), 0, 1).astype("f4")).all()
    assert load_images(tmp_path, value_range=(0, 100)).value_range == ((0, 100),)
    assert load_images(tmp_path, **dataset.options).fingerprint == dataset.fingerprint


def test_the_window_of_a_turned_image(tmp_path):
    """What was at the low end of the window is at the high end now."""
    stored = RNG.integers(0, 4096, (1, *SHAPE)).astype("u2")
    more = [*rescale(2, -100), *window(1000, 501, "LINEAR_EXACT")]
    path = write_dicom(tmp_path / "a.dcm", stored, "MONOCHROME1", stored=12, more=more)
    low, high = look_at(path).window
    plain = stored * 2.0 - 100
    assert np.allclose((one(path) - low) / (high - low), 1 - (plain - (1000 - 250.5)) / 501, atol=1e-5)


def test_windows_that_differ_are_joined(tmp_path):
    for number in range(12):
        stored = RNG.integers(0, 3000, (1, *SHAPE)).astype("u2")
        write_dicom(tmp_path / f"{number}.dcm", stored, more=window(100 * number, 50, "LINEAR_EXACT"))
    dataset = load_images(tmp_path)
    assert dataset.value_range == ((-25, 1125),)
    assert any("all 12 windows of the files together" in note for note in dataset.notes)


def test_frames_and_colours(tmp_path):
    grey = RNG.integers(0, 256, (5, *SHAPE)).astype("u1")
    path = write_dicom(tmp_path / "a.dcm", grey)
    assert (look_at(path).pages, look_at(path).word) == (5, "frames")
    assert all((one(path, frame)[0] == grey[frame]).all() for frame in range(5))
    (together,) = read_values(path, None)
    assert (together == grey).all()
    colour = RNG.integers(0, 256, (3, *SHAPE, 3)).astype("u1")
    path = write_dicom(tmp_path / "b.dcm", colour, "RGB")
    assert not look_at(path).grey
    assert (one(path, 2) == colour[2].transpose(2, 0, 1)).all()


@pytest.mark.parametrize("name", ["a.dcm", "a.DCM", "a.ima", "IM000001", "1.2.840.113"])
def test_names_and_preambles(tmp_path, name):
    """Files of scanners have no ending, or numbers for one; some are a TIFF by their first bytes as well."""
    images = RNG.integers(0, 256, (12, *SHAPE)).astype("u1")
    for number, image in enumerate(images):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_dicom(folder / name, image[None], preamble=b"II*\0" if number % 2 else b"")
    dataset = load_images(tmp_path)
    assert len(dataset.train) + len(dataset.test) == 12


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", sorted(OWN.glob("*.dcm")), ids=lambda path: path.name)
def test_files_of_pydicom(path):
    """Each is read as pydicom reads it, or refused in one line."""
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    try:
        values = one(path, last := look_at(path).pages - 1)
    except Exception as error:
        known = ("without an image", "too small", "damaged DICOM", "which needs: pip install", "invalid literal")
        assert any(words in str(error) for words in known), error  # noqa: PT017
        return
    data = pydicom.dcmread(path, force=True)
    stored = data.pixel_array
    stored = stored if look_at(path).pages == 1 else stored[last]
    if data.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, data)
    truth = np.atleast_3d(apply_modality_lut(stored, data)).transpose(2, 0, 1)
    assert np.allclose(values, truth * (255 if data.BitsStored == 1 else 1), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "MR_small_jpeg_ls_lossless.dcm",
            r"compressed by JPEG-LS Lossless, which needs: pip install pylibjpeg pylibjpeg-libjpeg",
        ),
        ("SC_rgb_jpeg_gdcm.dcm", r"compressed by JPEG Lossless, which needs: pip install pylibjpeg pylibjpeg-libjpeg"),
        ("JPEG-lossy.dcm", r"compressed by JPEG Extended, which needs: pip install pylibjpeg pylibjpeg-libjpeg"),
        ("MR_truncated.dcm", "damaged DICOM"),
        ("rtplan.dcm", r"DICOM without an image \(RTPLAN\)"),
    ],
)
def test_what_is_refused_says_why(tmp_path, name, words):
    content = (OWN / name).read_bytes()
    (tmp_path / name).write_bytes(content)
    if "which needs" in words:
        pytest.importorskip("pydicom")
        for package in ("pylibjpeg", "gdcm", "jpeg_ls"):
            if package in sys.modules:
                pytest.skip(f"{package} is installed here")
    with pytest.raises(ImagesDamaged, match=words):
        load_images(tmp_path)


def test_without_pydicom(tmp_path, monkeypatch):
    for number in range(9):
        write_dicom(tmp_path / f"{number}.dcm", RNG.integers(0, 256, (1, *SHAPE)).astype("u1"))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ImagesDamaged, match=r'0\.dcm \(DICOM, which needs: pip install "latens\[dicom\]"\)'):
        load_images(tmp_path)


@pytest.mark.parametrize("kind", ["modality", "voi"])
def test_tables(tmp_path, kind):
    """A table of 256 entries of 12 bits, in a sequence of one item."""
    stored = np.arange(240, dtype="u1").reshape(1, *SHAPE)
    entries = (np.arange(256) ** 2 % 4096).astype("<u2")

    def element(group, number, letters, value):
        long = letters == "OW"
        size = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
        return struct.pack("<HH", group, number) + letters.encode() + size + value

    item = element(0x28, 0x3002, "US", struct.pack("<HHH", 256, 0, 12))
    item += element(0x28, 0x3004, "LO", b"US") if kind == "modality" else b""
    item += element(0x28, 0x3006, "OW", entries.tobytes())
    sequence = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
    more = [(0x28, 0x3000 if kind == "modality" else 0x3010, "SQ", sequence)]
    path = write_dicom(tmp_path / "a.dcm", stored, more=more)
    assert (one(path) == entries[stored]).all()
    assert look_at(path).window == (None if kind == "modality" else (0, 4095))
    turned = write_dicom(tmp_path / "b.dcm", stored, "MONOCHROME1", more=more)
    assert (one(turned) == 4095 - entries[stored].astype(int)).all()
