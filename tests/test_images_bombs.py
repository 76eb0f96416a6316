"""Files that claim, or unpack to, far more than images have are refused by their headers."""

import gzip
import struct
import sys
import types
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from latens.computed.mapping import map_run
from latens.errors import ImagesDamaged, RunDamaged, TableError, UsageError
from latens.files import map_npy, map_npz, read_npz, read_some
from latens.images import decode, load_images, pixels, plan, samples, tiff_pages
from latens.images.masks import few_values
from latens.images.opening import MOST_DECODED
from latens.images.table_files import read_table
from pictures import fill

# Pillow warns of what latens refuses a moment later.
pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")


def png_head(height, width, colour=2):
    """A PNG that says its sides, and has one row of pixels."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1 + 3 * width))) + chunk(b"IEND", b"")


def webp_heads(side):
    """The three kinds of WebP, each saying that its sides are `side`."""
    bits = (side - 1) | (side - 1) << 14
    for name, body in (
        (b"VP8X", bytes(4) + (side - 1).to_bytes(3, "little") * 2),
        (b"VP8L", b"\x2f" + struct.pack("<I", bits) + bytes(5)),
        (b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + struct.pack("<HH", side, side)),
    ):
        content = b"WEBP" + name + struct.pack("<I", len(body)) + body
        yield b"RIFF" + struct.pack("<I", len(content)) + content + bytes(200)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", png_head(13_000, 13_000)),
        *((f"{i}.webp", head) for i, head in enumerate(webp_heads(16_383))),
        ("a.pgm", b"P6\n13000 13000\n65535\n" + bytes(99)),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_pictures_of_absurd_sides_are_refused_before_they_are_decoded(tmp_path, name, content, monkeypatch):
    path = tmp_path / name
    path.write_bytes(content)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda picture: pytest.fail("decoded"))
    for read in (decode.look_at, lambda path: decode.decode_picture(path, (16, 16), 1)):
        with pytest.raises(ValueError, match=r"too large: \d+ x \d+ pixels take more than 512 MiB"):
            read(path)
    assert not few_values(path)


def test_the_limit_is_of_bytes_in_memory(tmp_path):
    side = int((MOST_DECODED / 4) ** 0.5)
    for height, refused in ((side, False), (side + 1, True)):
        (tmp_path / "a.png").write_bytes(png_head(height, side + 1 if refused else side))
        if refused:
            with pytest.raises(ValueError, match="too large"):
                decode.look_at(tmp_path / "a.png")
        else:
            assert decode.look_at(tmp_path / "a.png").size == (side, side)


def test_what_a_palette_becomes_counts_too(tmp_path):
    """One byte a pixel in its file, one as it is decoded, four in colours: a GIF of 135 million pixels took 1.9 s and 516 MB."""
    path = tmp_path / "a.gif"
    fill(tmp_path, 1)
    Image.new("P", (9, 9)).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:6] + struct.pack("<HH", 11_320, 11_834) + content[10:])
    with pytest.raises(ValueError, match="too large: 11834 x 11320 pixels"):
        decode.look_at(path)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "La", "CMYK", "YCbCr", "HSV", "I;16"]
)
@pytest.mark.parametrize("transparent", [False, True])
def test_strips_are_converted_as_the_whole_picture_is(mode, transparent, monkeypatch):
    random = np.random.default_rng(0)
    colours = Image.fromarray(random.integers(0, 256, (23, 17, 4), np.uint8))
    picture = Image.fromarray(random.integers(0, 60_000, (23, 17), np.uint16)) if mode == "I;16" else None
    first = {"RGBA": "RGBA", "RGBa": "RGBA", "LA": "LA", "La": "LA", "PA": "LA", "P": "RGB"}.get(mode, "RGB")
    picture = picture or colours.convert(first).convert(mode)
    if transparent and mode in ("L", "P", "RGB"):
        picture.info["transparency"] = (3, 3, 3) if mode == "RGB" else 3
    for channels in (1, 3):
        whole = np.asarray(decode.plain_picture(picture.copy(), channels))
        monkeypatch.setattr(decode, "STRIP", 40)
        assert np.array_equal(np.asarray(decode.plain_picture(picture.copy(), channels)), whole)
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("kind", "alpha", "bits"), [("cmyk", "none", 8), ("rgb", "straight", 16), ("inverted", "none", 4)]
)
def test_blocks_of_samples_are_computed_as_all_of_them_are(kind, alpha, bits, monkeypatch):
    count = {"cmyk": 4, "rgb": 4, "inverted": 1}[kind]
    drawn = np.random.default_rng(0).integers(0, 1 << bits, (23, 17, count), np.uint16 if bits > 8 else np.uint8)
    whole = samples.values_of_samples(drawn, bits, kind, alpha)
    monkeypatch.setattr(samples, "AT_ONCE", 99)
    monkeypatch.setattr(pixels, "AT_ONCE", 99)
    assert np.array_equal(samples.values_of_samples(drawn, bits, kind, alpha), whole)


def test_a_large_picture_is_left_out_and_named(tmp_path):
    fill(tmp_path, 10)
    (tmp_path / "large.png").write_bytes(png_head(20_000, 13_000))
    assert any("large.png" in note and "too large" in note for note in load_images(tmp_path).notes)


def test_packed_arrays_that_unpack_to_far_too_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "BOMB_BYTES", 1 << 20)
    zeros = np.zeros((2_000, 40, 40), np.uint8)
    np.savez_compressed(tmp_path / "bomb.npz", images=zeros)
    with pytest.raises(ImagesDamaged, match=r"bomb\.npz: images: claims 3200000 unpacked bytes, more than the"):
        load_images(tmp_path / "bomb.npz")
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", *zeros.shape)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + zeros.tobytes()))
    with pytest.raises(ImagesDamaged, match="its header states 3200016 bytes"):
        load_images(tmp_path)


def damaged_headers():
    """Headers of .npy for which numpy and the standard library raise different errors."""
    for text in (
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2,",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 3), }\n\x00",
        "{'descr': '(0)u1', 'fortran_order': False, 'shape': (2, 3, 3), }",
        "[" * 500,
        "{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999, 99999999999, 3), }",
    ):
        yield b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.parametrize("head", list(damaged_headers()))
def test_damaged_headers_of_arrays_are_errors_of_latens(finished_run, tmp_path, head):
    (tmp_path / "a.npy").write_bytes(head + bytes(18))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", head + bytes(18))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(ImagesDamaged, match=rf"{name}: .*get"):
            load_images(tmp_path / name)
    with pytest.raises(UsageError, match=r"not readable as \.npy"):
        map_run(finished_run, coordinates=tmp_path / "a.npy")
    for read, name in ((read_npz, "a.npz"), (map_npz, "a.npz"), (map_npy, "a.npy")):
        with pytest.raises(RunDamaged, match="not readable"):
            read(tmp_path / name)
    with pytest.raises(RunDamaged, match="not readable"):
        read_some(tmp_path / "a.npz", ("images",))


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_whose_directories_overlap_is_refused(tmp_path, big):
    """Each of them has to be read, and they could be many times as long as the file."""
    number, count, head = ("Q", "Q", b"II+\0\x08\0\0\0") if big else ("I", "H", b"II*\0")
    first = 16 if big else 8
    content = bytearray(head + struct.pack(f"<{number}", first) + bytes(2_000))
    content[first : first + struct.calcsize(f"<{count}")] = struct.pack(f"<{count}", 60_000)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ValueError, match="its directories claim more than the file has"):
        decode.look_at(tmp_path / "a.tif")


def test_metadata_with_entities_names_no_channels():
    """Entities of entities could fill the memory, and those of the system read other files."""
    xml = '<OME><Image><Pixels><Channel Name="{}"/></Pixels></Image></OME>'
    for before, name, found in (("", "a", ("a",)), ('<!DOCTYPE OME [<!ENTITY e "a">]>', "&e;", ())):
        tiff = types.SimpleNamespace(is_ome=True, ome_metadata=before + xml.format(name))
        assert tiff_pages._names(tiff, np.zeros((1, 1), int)) == found


@pytest.fixture(params=["pyarrow", "polars"])
def reading_parquet(request, monkeypatch):
    """Lets the library that reads Parquet do something else; polars reads where pyarrow is not installed."""
    if request.param == "pyarrow":
        return lambda function: monkeypatch.setattr("pyarrow.parquet.read_table", function)
    monkeypatch.setattr("latens.images.table_files.isolated", lambda *words, **limits: None)
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    return lambda function: monkeypatch.setattr("polars.read_parquet", function)


@pytest.mark.parametrize("error", [type("PanicException", (BaseException,), {}), struct.error, zlib.error])
def test_whatever_a_library_raises_for_a_damaged_table_is_an_error_of_latens(tmp_path, reading_parquet, error):
    """A panic of polars is no Exception."""

    def fails(path):
        raise error("damaged\nin many lines")

    reading_parquet(fails)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(TableError, match=r"a\.parquet: not readable as Parquet \(damaged\)"):
        read_table(tmp_path / "a.parquet")


def test_ctrl_c_while_a_table_is_read_is_no_damage(tmp_path, reading_parquet):
    def stopped(path):
        raise KeyboardInterrupt

    reading_parquet(stopped)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(KeyboardInterrupt):
        read_table(tmp_path / "a.parquet")


@pytest.mark.parametrize("error", [ValueError, KeyError, struct.error, OverflowError, MemoryError])
def test_whatever_is_raised_for_a_damaged_archive_is_an_error_of_latens(tmp_path, monkeypatch, error):
    def fails(path):
        raise error("damaged")

    monkeypatch.setattr("tarfile.open", fails)
    (tmp_path / "a.tar").write_bytes(b"x")
    with pytest.raises(ImagesDamaged, match=r"a\.tar: not readable as an archive"):
        load_images(tmp_path / "a.tar")
