"""TIFF and PNG of every kind, written by independent writers and compared with the formats' specifications."""

import contextlib
import os
import socket
import struct
import zlib
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from formats import exif, write_png, write_tiff
from latens.images.decode import decode_picture, look_at, read_values
from latens.images.pixels import with_channels

SHAPE = (13, 21)  # no multiple of 8, of a tile or of a strip


def numbers(bits, *shape, seed=0):
    """Whole numbers of a depth, the smallest and the largest among them."""
    values = np.random.default_rng(seed).integers(0, 1 << bits, shape or SHAPE)
    values.reshape(-1)[:2] = 0, (1 << bits) - 1
    return values


def white(bits):
    """The largest number that is kept: of at most 8 bits that of bytes, otherwise that of the depth."""
    return 255 if bits <= 8 else (1 << bits) - 1


def scaled(values, bits):
    """As they are kept: fewer than 8 bits to 0..255, rounded, in exact arithmetic; others unchanged."""
    if bits >= 8:
        return values
    return np.vectorize(lambda value: round(Fraction(int(value) * 255, (1 << bits) - 1)))(values)


def seen(path, channels=1):
    """What comes of a file, (H, W) or (H, W, C), read at its own size; the header must say the same size and type."""
    look = look_at(path)
    (values,) = read_values(path)
    assert (values.dtype.name, values.shape) == (look.dtype, (look.channels, *look.size))
    values = with_channels(values[None], channels)[0]
    if look.is_plain:
        assert (decode_picture(path, look.size, channels) == values).all()
    values = values if values.dtype.kind == "f" else values.astype(int)
    return values[0] if channels == 1 else values.transpose(1, 2, 0)


def laid_on_white(colours, opacity, bits, premultiplied=False):
    """Exact: each colour under an opacity over white."""
    colours, opacity = colours / ((1 << bits) - 1), opacity[..., None] / ((1 << bits) - 1)
    return np.rint(white(bits) * ((colours if premultiplied else colours * opacity) + 1 - opacity))


# TIFF


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8, 10, 12, 14, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_tiff_of_every_depth(tmp_path, bits, order):
    values = numbers(bits)
    dark = write_tiff(tmp_path / "a.tif", values, bits, 1, order=order)
    light = write_tiff(tmp_path / "b.tif", values, bits, 0, order=order)
    assert (seen(dark) == scaled(values, bits)).all()
    assert (seen(light) == white(bits) - scaled(values, bits)).all()
    assert look_at(dark).grey
    assert look_at(light).grey
    assert look_at(dark).dtype == ("uint8" if bits <= 8 else "uint16")


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("planar", [1, 2])
def test_rgb_tiff(tmp_path, bits, planar):
    values = numbers(bits, *SHAPE, 3)
    path = write_tiff(tmp_path / "a.tif", values, bits, 2, planar=planar)
    assert (seen(path, 3) == scaled(values, bits)).all()
    assert not look_at(path).grey


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", [{"tile": (16, 16)}, {"rows_per_strip": 4}])
@pytest.mark.parametrize("planar", [1, 2])
def test_tiles_strips_and_big_tiff(tmp_path, big, order, layout, planar):
    values = numbers(16, 37, 45, 3)
    path = write_tiff(tmp_path / "a.tif", values, 16, 2, order=order, planar=planar, big=big, **layout)
    assert (seen(path, 3) == scaled(values, 16)).all()


@pytest.mark.parametrize("compression", [5, 8, 32946, 32773])
@pytest.mark.parametrize("bits", [1, 8, 12, 16])
@pytest.mark.parametrize("layout", [{}, {"tile": (16, 16)}, {"rows_per_strip": 5}])
def test_compressed_tiff_needs_no_other_library(tmp_path, compression, bits, layout):
    values = np.sort(numbers(bits, 37, 45), axis=1)
    path = write_tiff(tmp_path / "a.tif", values, bits, 1, compression=compression, **layout)
    assert (seen(path) == scaled(values, bits)).all()


@pytest.mark.parametrize("compression", [1, 5, 8])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_differences_are_undone(tmp_path, compression, bits, order):
    values = numbers(bits, *SHAPE, 3)
    path = write_tiff(tmp_path / "a.tif", values, bits, 2, compression=compression, predictor=2, order=order)
    assert (seen(path, 3) == scaled(values, bits)).all()


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("compression", "predictor"), [(1, 1), (8, 3), (5, 3)])
def test_floats(tmp_path, bits, order, compression, predictor):
    values = np.random.default_rng(0).random(SHAPE).astype(f"f{bits // 8}")
    options = {"order": order, "compression": compression, "predictor": predictor}
    dark = write_tiff(tmp_path / "a.tif", values, bits, 1, 3, **options)
    light = write_tiff(tmp_path / "b.tif", values, bits, 0, 3, **options)
    assert (seen(dark) == values.astype(np.float32)).all()
    assert (seen(light) == (1 - values.astype(float)).astype(np.float32)).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("bits", "form", "values"),
    [
        (32, 1, numbers(24)),
        (16, 2, numbers(15) - 9000),
        (8, 2, numbers(7) - 64),
        (32, 2, numbers(23) - (1 << 22)),
        (32, 3, np.linspace(-7, 1e9, 273).reshape(SHAPE)),
    ],
)
def test_signed_and_long_numbers_are_floats(tmp_path, order, bits, form, values):
    path = write_tiff(tmp_path / "a.tif", values, bits, 1, form, order=order)
    assert look_at(path).dtype == "float32"
    assert (seen(path) == values.astype(np.float32)).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize(("kind", "premultiplied"), [(1, True), (2, False)])
def test_alpha_is_laid_on_white(tmp_path, bits, planar, kind, premultiplied):
    values, opacity = numbers(bits, *SHAPE, 3), numbers(bits, seed=1)
    if premultiplied:
        values = values * opacity[..., None] // ((1 << bits) - 1)
    rgba = np.concatenate([values, opacity[..., None]], axis=2)
    path = write_tiff(tmp_path / "a.tif", rgba, bits, 2, planar=planar, extra=[(338, 3, [kind])])
    assert (seen(path, 3) == laid_on_white(values, opacity, bits, premultiplied)).all()
    grey = write_tiff(tmp_path / "b.tif", rgba[..., [0, 3]], bits, 1, planar=planar, extra=[(338, 3, [kind])])
    assert (seen(grey)[..., None] == laid_on_white(values[..., :1], opacity, bits, premultiplied)).all()


@pytest.mark.parametrize("planar", [1, 2])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize(("photometric", "extra"), [(2, 2), (1, 4), (1, 63)])
def test_other_extra_samples_are_channels(tmp_path, planar, bits, photometric, extra):
    count = {1: 1, 2: 3}[photometric] + extra
    values = numbers(bits, *SHAPE, count)
    path = write_tiff(tmp_path / "a.tif", values, bits, photometric, planar=planar, extra=[(338, 3, [0] * extra)])
    assert look_at(path).channels == count
    assert (seen(path, count) == values).all()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("scale", [1, 256, 257])
def test_palette_tiff(tmp_path, bits, scale):
    """Colours of 16 bits in the two ways that are in use, or of 8 bits as some programs write them by mistake."""
    values, colours = numbers(bits), numbers(8, 3, 1 << bits)
    path = write_tiff(tmp_path / "a.tif", values, bits, 3, extra=[(320, 3, (colours * scale).reshape(-1))])
    assert (seen(path, 3) == colours.T[values]).all()


def test_alpha_beside_a_palette_and_beside_floats(tmp_path):
    values, opacity, colours = numbers(8), numbers(8, seed=1), numbers(8, 3, 256, seed=2)
    extra = [(320, 3, (colours * 257).reshape(-1)), (338, 3, [2])]
    path = write_tiff(tmp_path / "a.tif", np.dstack([values, opacity]), 8, 3, extra=extra)
    assert (seen(path, 3) == laid_on_white(colours.T[values], opacity, 8)).all()
    floats = np.dstack([values, opacity, 999 * values]) / 255
    path = write_tiff(tmp_path / "b.tif", floats.astype("f8"), 64, 1, 3, extra=[(338, 3, [2, 0])])
    assert np.allclose(255 * seen(path)[..., None], laid_on_white(values[..., None], opacity, 8), atol=0.501)
    half = floats[..., :2].astype("f2")
    path = write_tiff(tmp_path / "c.tif", half, 16, 1, 3, extra=[(338, 3, [2])])
    exact = half.astype(float)
    assert np.allclose(seen(path), exact[..., 0] * exact[..., 1] + 1 - exact[..., 1], atol=1e-6)


@pytest.mark.parametrize("bits", [8, 16])
def test_cmyk_tiff(tmp_path, bits):
    values = numbers(bits, *SHAPE, 4)
    inks = values / ((1 << bits) - 1)
    path = write_tiff(tmp_path / "a.tif", values, bits, 5)
    assert (seen(path, 3) == np.rint(white(bits) * (1 - inks[..., :3]) * (1 - inks[..., 3:]))).all()


UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_tiff_orientation(tmp_path, orientation):
    values = numbers(16)
    path = write_tiff(tmp_path / "a.tif", values, 16, 1, extra=[(274, 3, [orientation])])
    assert (seen(path) == UPRIGHT[orientation](scaled(values, 16))).all()


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw"])
def test_tiff_orientation_of_pillow_s_files(tmp_path, orientation, compression):
    smooth = np.linspace(0, 255, 16 * 24).reshape(16, 24).astype(np.uint8)
    path = tmp_path / "a.tif"
    quality = {"quality": 95} if compression == "jpeg" else {}
    Image.fromarray(smooth).save(path, compression=compression, tiffinfo={274: orientation}, **quality)
    assert np.abs(seen(path) - UPRIGHT[orientation](smooth.astype(int))).max() <= 12


def test_jpeg_in_tiff(tmp_path):
    ramp = np.linspace(0, 255, 16 * 16 * 3).reshape(16, 16, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "rgb.tif", compression="jpeg", quality=95)
    Image.fromarray(ramp).convert("YCbCr").save(tmp_path / "ycc.tif", compression="jpeg", quality=95)
    for name in ("rgb.tif", "ycc.tif"):
        assert np.abs(seen(tmp_path / name, 3) - ramp).max() <= 25, name


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("name", ["group3", "group4"])
def test_fax_in_tiff(tmp_path, photometric, name):
    bits = numbers(1, 16, 24)
    Image.fromarray(bits.astype(bool)).save(tmp_path / "fax.tif", compression=name)
    with Image.open(tmp_path / "fax.tif") as fax:
        tags = dict(fax.tag_v2)
    content = (tmp_path / "fax.tif").read_bytes()[tags[273][0] :][: tags[279][0]]
    extra = [(292, 4, [tags[292]])] if 292 in tags else []
    path = write_tiff(tmp_path / "a.tif", bits, 1, photometric, compression=(tags[259], content), extra=extra)
    meant = bits if tags[262] == photometric else 1 - bits
    assert (seen(path) == 255 * meant).all()


def test_bits_the_other_way_round(tmp_path):
    for compression in (1, 5):
        values = numbers(8)
        path = write_tiff(tmp_path / f"{compression}.tif", values, 8, 1, compression=compression, fill_order=2)
        assert (seen(path) == values).all()


def test_first_page_that_is_no_thumbnail(tmp_path):
    values = numbers(8)
    one = write_tiff(tmp_path / "one.tif", values, 8, 1)
    three = write_tiff(tmp_path / "three.tif", values, 8, 1, pages=3)
    assert (look_at(one).pages, look_at(three).pages) == (1, 3)
    assert (seen(three) == values).all()
    small = Image.fromarray(np.zeros((9, 9), np.uint8))
    small.encoderinfo = {"tiffinfo": {254: 1}}
    large = Image.fromarray(values.astype(np.uint8))
    small.save(tmp_path / "both.tif", save_all=True, append_images=[large], tiffinfo={254: 1})
    assert look_at(tmp_path / "both.tif").size in (SHAPE, (9, 9))


@pytest.mark.parametrize(
    ("compression", "photometric", "words"),
    [((34712, b"x" * 99), 1, "pip install imagecodecs"), ((50002, b"x" * 99), 1, "imagecodecs|jpegxl|50002")],
)
def test_what_needs_imagecodecs_says_so(tmp_path, compression, photometric, words):
    path = write_tiff(tmp_path / "a.tif", numbers(8), 8, photometric, compression=compression)
    with pytest.raises(ValueError, match=words):
        seen(path)


def test_raw_and_other_colours_are_refused(tmp_path):
    path = write_tiff(tmp_path / "a.tif", numbers(8), 8, 32803)
    with pytest.raises(ValueError, match="cfa"):
        seen(path)


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])
def test_broken_tiff_is_an_error_of_ours(tmp_path, compression):
    path = write_tiff(tmp_path / "a.tif", numbers(16, 32, 32), 16, 1, compression=compression, rows_per_strip=8)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for number in range(60):
        spoiled = bytearray(content)
        for place in rng.integers(0, len(content), 6):
            spoiled[place] = rng.integers(256)
        path.write_bytes(bytes(spoiled) if number % 2 else content[: rng.integers(4, len(content))])
        with contextlib.suppress(ValueError, UnidentifiedImageError, Image.DecompressionBombError):
            seen(path)


def test_tiff_whose_header_claims_too_much(tmp_path):
    path = write_tiff(tmp_path / "a.tif", numbers(8), 8, 1)
    with open(path, "rb") as file:
        content = file.read()
    large = content.replace(struct.pack("<HHII", 256, 4, 1, 21), struct.pack("<HHII", 256, 4, 1, 10000))
    large = large.replace(struct.pack("<HHII", 257, 4, 1, 13), struct.pack("<HHII", 257, 4, 1, 10000))
    path.write_bytes(large)
    with pytest.raises(ValueError, match="ends too early"):
        look_at(path)


# PNG


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_grey_png_of_every_depth(tmp_path, bits, interlaced):
    values = numbers(bits)
    path = write_png(tmp_path / "a.png", values, bits, interlaced=interlaced)
    assert (seen(path) == scaled(values, bits)).all()
    assert look_at(path).grey
    assert look_at(path).dtype == ("uint8" if bits <= 8 else "uint16")


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_transparent_grey_of_a_png_is_white(tmp_path, bits, interlaced, channels):
    values = numbers(bits)
    key = values[3, 3] = 1 if bits == 1 else (1 << bits) // 3
    values[4, 4] = key
    near = values[5, 5] = (key + 1) % (1 << bits)  # of 16 bits: the same after scaling, yet not transparent
    path = write_png(tmp_path / "a.png", values, bits, key=struct.pack(">H", key), interlaced=interlaced)
    truth = np.where(values == key, white(bits), scaled(values, bits))
    found = seen(path, channels)
    assert (found == (truth if channels == 1 else truth[..., None])).all()
    assert truth[5, 5] == scaled(near, bits)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("interlaced", [False, True])
def test_the_transparent_colour_of_a_png_is_white(tmp_path, bits, interlaced):
    values = numbers(bits, *SHAPE, 3)
    key = values[0, 0] = values[2, 2]
    values[3, 3] = key ^ 1
    path = write_png(
        tmp_path / "a.png", values, bits, 2, key=struct.pack(">HHH", *map(int, key)), interlaced=interlaced
    )
    transparent = (values == key).all(2, keepdims=True)
    assert (seen(path, 3) == np.where(transparent, white(bits), scaled(values, bits))).all()


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("colour", "samples"), [(2, 3), (4, 2), (6, 4)])
def test_deep_png_is_rounded_not_cut(tmp_path, colour, samples, interlaced):
    values = numbers(16, *SHAPE, samples)
    path = write_png(tmp_path / "a.png", values, 16, colour, interlaced=interlaced)
    truth = scaled(values, 16) if colour == 2 else laid_on_white(values[..., :-1], values[..., -1], 16)
    found = seen(path, 1 if colour == 4 else 3)
    assert (found == (truth[..., 0] if colour == 4 else truth)).all()
    assert look_at(path).dtype == "uint16"


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palette_png(tmp_path, bits, interlaced):
    values, colours = numbers(bits), numbers(8, 1 << bits, 3)
    opacity = np.full(1 << bits, 255)
    opacity[0] = 51
    path = write_png(
        tmp_path / "a.png",
        values,
        bits,
        3,
        colours.astype(np.uint8).tobytes(),
        bytes(opacity.tolist()),
        interlaced=interlaced,
    )
    assert np.abs(seen(path, 3) - laid_on_white(colours[values], opacity[values], 8)).max() <= 1


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("place", ["before", "after"])
def test_png_orientation_before_and_behind_the_pixels(tmp_path, orientation, bits, place):
    values = numbers(bits)
    path = write_png(tmp_path / "a.png", values, bits, **{place: [(b"eXIf", exif(orientation))]})
    assert (seen(path) == UPRIGHT[orientation](scaled(values, bits))).all()


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", ["profile", "xmp"])
def test_png_orientation_in_text(tmp_path, kind, place):
    """As ImageMagick wrote EXIF before PNG had a chunk for it, and as XMP has it."""
    if kind == "profile":
        content = b"Exif\0\0" + exif(6)
        text = b"\nexif\n%8d\n%s\n" % (len(content), content.hex().encode())
        item = (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    else:
        xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
        item = (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    values = numbers(8)
    path = write_png(tmp_path / "a.png", values, 8, **{place: [item]})
    assert (seen(path) == np.rot90(values, -1)).all()


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".avif", ".png"])
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_of_other_formats(tmp_path, suffix, orientation):
    ramp = np.add.outer(np.arange(16) * 9, np.arange(24) * 4)[..., None].repeat(3, 2).astype(np.uint8)
    tag = Image.Exif()
    tag[0x112] = orientation
    try:
        Image.fromarray(ramp).save(tmp_path / f"a{suffix}", exif=tag, quality=95)
    except (OSError, KeyError):
        pytest.skip(f"Pillow here writes no {suffix}")
    assert np.abs(seen(tmp_path / f"a{suffix}", 3) - UPRIGHT[orientation](ramp.astype(int))).max() <= 12


# What is no file


def test_pipes_sockets_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    paths = [tmp_path / "pipe.png", "/dev/zero"]
    os.symlink(tmp_path / "pipe.png", tmp_path / "link.png")
    paths.append(tmp_path / "link.png")
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(tmp_path)  # the path of a socket has few letters to spare
    listener.bind("socket.png")
    os.chdir(here)
    for path in [*paths, tmp_path / "socket.png"]:
        with pytest.raises(OSError, match="pipe, socket, device"):
            look_at(path)
        with pytest.raises(OSError, match="pipe, socket, device"):
            decode_picture(path, (8, 8), 1)
    listener.close()
