"""Pages, z-slices, frames and channels of one file: which are images and which are channels."""

import numpy as np
import pytest
from PIL import Image

from formats import write_stack, write_tiff
from latens.errors import ImagesDamaged, ImagesEmpty, ImagesError, UsageError
from latens.images import load_images
from latens.images.decode import look_at, read_values
from pictures import fill

SHAPE = (12, 20)
OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
    'ID="Pixels:0" DimensionOrder="{order}" Type="uint16" SizeX="20" SizeY="12" SizeC="{C}" SizeZ="{Z}" SizeT="{T}" '
    'BigEndian="false">{channels}<TiffData/></Pixels></Image></OME>'
)


def planes(*shape, seed=0):
    """uint16 (*shape, 12, 20), no two planes alike."""
    return np.random.default_rng(seed).integers(0, 1 << 16, (*shape, *SHAPE)).astype(np.uint16)


def images(path):
    """All images of a file, (n, C, H, W)."""
    return np.stack(list(read_values(path, range(look_at(path).pages))))


@pytest.mark.parametrize("order", ["<", ">"])
def test_pages_of_a_plain_tiff_are_images(tmp_path, order):
    values = planes(5)
    path = write_stack(tmp_path / "a.tif", values, order=order)
    assert (look_at(path).pages, look_at(path).channels, look_at(path).word) == (5, 1, "pages")
    assert (images(path) == values[:, None]).all()
    (together,) = read_values(path, None)
    assert (together == values).all()


def test_pages_of_another_shape_are_none(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    values = planes(3)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(values[0], metadata=None)
        file.write(values[1][:8, :8], metadata=None)
        file.write(values[2][:8, :8], metadata=None, subfiletype=1)
        file.write(values[2], metadata=None)
    assert (images(tmp_path / "a.tif")[:, 0] == values[[0, 2]]).all()


@pytest.mark.parametrize("order", ["XYCZT", "XYZCT", "XYTCZ", "XYZTC"])
@pytest.mark.parametrize("named", [True, False])
def test_ome_by_hand(tmp_path, order, named):
    """The dimension order says which page is which: the first letter behind XY counts fastest."""
    lengths = {"C": 3, "Z": 2, "T": 4}
    values = planes(4, 2, 3)  # T, Z, C
    axes = order[:1:-1]  # the slowest first
    stored = values.transpose([{"T": 0, "Z": 1, "C": 2}[axis] for axis in axes] + [3, 4]).reshape(-1, *SHAPE)
    names = "".join(
        f'<Channel ID="Channel:0:{number}" SamplesPerPixel="1"{f" Name={chr(34)}{name}{chr(34)}" if named else ""}/>'
        for number, name in enumerate(["DAPI", "GFP", "Cy5"])
    )
    path = write_stack(tmp_path / "a.ome.tif", stored, OME.format(order=order, channels=names, **lengths))
    look = look_at(path)
    assert (look.channels, look.pages, look.names) == (3, 8, ("DAPI", "GFP", "Cy5") if named else ())
    # Images are counted with the slowest of their axes first, as they lie in the file.
    expected = values if axes.index("T") < axes.index("Z") else values.swapaxes(0, 1)
    assert (images(path) == expected.reshape(8, 3, *SHAPE)).all()


@pytest.mark.parametrize(("z", "t", "word"), [(3, 1, "z-slices"), (1, 3, "frames"), (3, 2, "pages")])
def test_imagej_by_hand(tmp_path, z, t, word):
    count = 2 * z * t
    text = f"ImageJ=1.53t\nimages={count}\nchannels=2\nslices={z}\nframes={t}\nhyperstack=true\nmode=composite\n"
    values = planes(t, z, 2)
    path = write_stack(tmp_path / "a.tif", values.reshape(-1, *SHAPE), text, order=">")
    look = look_at(path)
    assert (look.channels, look.pages, look.word) == (2, z * t, word)
    assert (images(path) == values.reshape(-1, 2, *SHAPE)).all()


def test_imagej_with_one_directory(tmp_path):
    """Stacks beyond 4 GB have only the first directory; all planes follow each other."""
    values = planes(6)
    text = "ImageJ=1.53t\nimages=6\nslices=6\n"
    path = write_stack(tmp_path / "a.tif", values, text, order=">", directories=1)
    assert look_at(path).pages == 6
    assert (images(path)[:, 0] == values).all()


def test_labels_of_imagej_are_names(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    metadata = {"axes": "CYX", "Labels": ["nucleus", "actin", "tubulin"]}
    tifffile.imwrite(tmp_path / "a.tif", planes(3), imagej=True, metadata=metadata)
    assert look_at(tmp_path / "a.tif").names == ("nucleus", "actin", "tubulin")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((4, *SHAPE), {}, (4, 1)),
        ((4, *SHAPE), {"metadata": {"axes": "CYX"}}, (1, 4)),
        ((4, *SHAPE), {"metadata": {"axes": "ZYX"}, "imagej": True}, (4, 1)),
        ((5, *SHAPE), {"planarconfig": "separate", "photometric": "minisblack"}, (1, 5)),
        ((3, 2, *SHAPE), {"metadata": {"axes": "ZCYX"}}, (3, 2)),
        ((2, 3, *SHAPE), {"metadata": {"axes": "CZYX"}, "ome": True}, (3, 2)),
        ((3, 2, *SHAPE), {"metadata": {"axes": "TCYX"}, "ome": True, "compression": "zlib"}, (3, 2)),
        ((4, *SHAPE), {"metadata": {"axes": "CYX"}, "tile": (16, 16)}, (1, 4)),
    ],
)
def test_what_tifffile_writes(tmp_path, dtype, shape, options, expected):
    tifffile = pytest.importorskip("tifffile")
    values = (np.random.default_rng(0).random(shape) * 255).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, **{"photometric": "minisblack", **options})
    found = images(tmp_path / "a.tif")
    axes = (options.get("metadata") or {}).get("axes", "")
    truth = values.swapaxes(0, 1) if axes == "CZYX" else values
    assert found.shape == (*expected, *SHAPE)
    assert found.dtype == dtype
    assert (found == truth.reshape(found.shape)).all()


def test_five_interleaved_channels(tmp_path):
    values = planes(5)
    path = write_tiff(tmp_path / "a.tif", values.transpose(1, 2, 0), 16, 1, extra=[(338, 3, [0] * 4)])
    assert (images(path) == values).all()


def test_a_wrong_description_costs_no_pages(tmp_path):
    values = planes(4)
    for number, text in enumerate(["ImageJ=1.53t\nimages=9\nchannels=3\n", OME[:200], '{"shape": [7, 7]}']):
        path = write_stack(tmp_path / f"{number}.tif", values, text)
        assert (images(path)[0, 0] == values[0]).all()


def test_planes_that_lie_in_other_files_are_not_asked_for(tmp_path):
    """Each file of an OME-TIFF in several files describes all of them."""
    values = planes(1)
    text = OME.format(order="XYCZT", C=3, Z=1, T=1, channels="").replace(
        "<TiffData/>", '<TiffData IFD="0" FirstC="1" FirstZ="0" FirstT="0" PlaneCount="1"/>'
    )
    path = write_stack(tmp_path / "a.ome.tif", values, text)
    assert (look_at(path).channels, look_at(path).pages) == (1, 1)
    assert (images(path) == values).all()


@pytest.mark.parametrize("ending", ["lsm", "stk", "btf", "flex"])
def test_other_endings_of_tiff(tmp_path, ending):
    values = planes(12)
    for row in range(12):
        write_stack(tmp_path / f"{row}.{ending}", values[row : row + 1])
    found = by_id(load_images(tmp_path))
    assert all((found[f"{row}.{ending}"][0] == values[row]).all() for row in range(12))


# Folders


@pytest.fixture
def stacks(tmp_path):
    """Ten files of three pages, and one of one page; and all pages by id."""
    truth = {}
    for number in range(10):
        values = planes(3, seed=number)
        write_stack(tmp_path / f"{number}.tif", values)
        truth |= {f"{number}.tif#{page + 1}": values[page] for page in range(3)}
    alone = planes(1, seed=99)
    write_stack(tmp_path / "alone.tif", alone)
    return tmp_path, {**truth, "alone.tif": alone[0]}


def by_id(dataset):
    return {
        str(one): pixels
        for part in (dataset.train, dataset.test)
        for one, pixels in zip(part.ids, part.pixels, strict=True)
    }


def test_the_first_page_is_taken_and_said(stacks):
    folder, truth = stacks
    dataset = load_images(folder)
    found = by_id(dataset)
    assert set(found) == {f"{number}.tif" for number in range(10)} | {"alone.tif"}
    assert (found["3.tif"][0] == truth["3.tif#1"]).all()
    note = (
        "10 of 11 files hold several pages (up to 3), of which the first was taken (pages, --pages all: one image each)"
    )
    assert note in dataset.notes


def test_all_pages(stacks):
    folder, truth = stacks
    dataset = load_images(folder, pages="all")
    found = by_id(dataset)
    assert set(found) == set(truth)
    assert all((found[name][0] == truth[name]).all() for name in truth)
    assert dataset.options["pages"] == "all"
    assert dataset.fingerprint == load_images(folder, **dataset.options).fingerprint
    assert dataset.fingerprint != load_images(folder).fingerprint


def test_pages_as_channels(stacks):
    folder, truth = stacks
    dataset = load_images(folder, pages="channels")
    found = by_id(dataset)
    assert dataset.shape == (3, *SHAPE)
    assert dataset.channel_names == ("1", "2", "3")
    assert all((found["4.tif"][page] == truth[f"4.tif#{page + 1}"]).all() for page in range(3))
    assert any("alone.tif (1 channel, where most have 3)" in note for note in dataset.notes)


def test_pages_keep_the_class_of_their_file(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(2):
            write_stack(tmp_path / name / f"{number}.tif", planes(8, seed=ord(name[0]) + number))
    dataset = load_images(tmp_path, pages="all")
    for part in (dataset.train, dataset.test):
        assert [dataset.class_names[label] for label in part.labels] == [str(one)[:3] for one in part.ids]
    assert len(dataset.train) + len(dataset.test) == 32


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_frames(tmp_path, suffix):
    frames = np.random.default_rng(0).integers(0, 4, (12, 4, 4)).repeat(4, 1).repeat(4, 2).astype(np.uint8) * 85
    first, *others = (Image.fromarray(frame) for frame in frames)
    lossless = {"lossless": True} if suffix == ".webp" else {}
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=others, **lossless)
    look = look_at(tmp_path / f"a{suffix}")
    assert (look.pages, look.word) == (12, "frames")
    with pytest.raises(
        ImagesEmpty,
        match=r"1 image; at least 9 are needed, .*; 1 of 1 files hold several frames \(up to 12\), .*--pages all",
    ):
        load_images(tmp_path)
    found = by_id(load_images(tmp_path, pages="all"))
    assert all((found[f"a{suffix}#{row + 1}"] == frames[row]).all() for row in range(12))


def test_one_broken_page_costs_no_other(tmp_path):
    values = planes(12).astype(np.uint8)
    path = write_stack(tmp_path / "a.tif", values)
    content = bytearray(path.read_bytes())
    size = values[0].nbytes
    start = int.from_bytes((8 + 4 * size).to_bytes(4, "little"), "little")
    place = content.index((8 + 4 * size).to_bytes(4, "little"), start)  # the offset of the fifth page
    content[place : place + 4] = (len(content) - 3).to_bytes(4, "little")
    path.write_bytes(bytes(content))
    dataset = load_images(tmp_path, pages="all")
    assert set(by_id(dataset)) == {f"a.tif#{page + 1}" for page in range(12) if page != 4}
    assert any("1 of 12 files can't be used" in note and "a.tif#5 (ends too early)" in note for note in dataset.notes)


def test_refusals(tmp_path):
    with pytest.raises(UsageError, match="pages 'second'; allowed are first, all, channels"):
        load_images(tmp_path, pages="second")
    write_stack(tmp_path / "a.tif", planes(65))
    with pytest.raises(ImagesDamaged, match=r"65 channels; allowed are up to 64"):
        load_images(tmp_path, pages="channels")


def test_channels_in_another_number_are_left_out(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    for number in range(10):
        values = planes(4, seed=number)
        tifffile.imwrite(tmp_path / f"{number}.tif", values, photometric="minisblack", metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "two.tif", planes(2), photometric="minisblack", metadata={"axes": "CYX"})
    fill(tmp_path / "more", 1, (*SHAPE, 3))
    dataset = load_images(tmp_path)
    assert dataset.shape == (4, *SHAPE)
    assert len(dataset.train) + len(dataset.test) == 10
    told = "\n".join(dataset.notes)
    assert "2 of 12 files can't be used" in told
    assert "two.tif (2 channels, where most have 4)" in told
    assert "more/0.png (3 channels, where most have 4)" in told
    with pytest.raises(ImagesError, match=r"two\.tif"):
        load_images(tmp_path, strict=True)
    with pytest.raises(UsageError, match=r"grey \(--grey\) goes with colour images; these are 4-channel images"):
        load_images(tmp_path, grey=True)


def test_names_of_most_files_count(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    for number in range(10):
        names = ["gfp", "dapi"] if number == 7 else ["dapi", "gfp"]
        metadata = {"axes": "CYX", "Channel": {"Name": names}}
        tifffile.imwrite(tmp_path / f"{number}.ome.tif", planes(2, seed=number), ome=True, metadata=metadata)
    dataset = load_images(tmp_path)
    assert dataset.channel_names == ("dapi", "gfp")
    assert any("other names in 1 of 10 files, such as gfp, dapi" in note for note in dataset.notes)


def test_a_file_of_pages_is_a_data_set(tmp_path):
    values = planes(24)
    path = write_stack(tmp_path / "cells.tif", values)
    with pytest.raises(ImagesError, match=r"one file of 24 pages; to make each an image: pages='all' \(--pages all\)"):
        load_images(path)
    dataset = load_images(path, pages="all")
    found = by_id(dataset)
    assert dataset.name == "cells"
    assert all((found[f"cells.tif#{page + 1}"][0] == values[page]).all() for page in range(24))
    assert load_images(dataset.source, **dataset.options).fingerprint == dataset.fingerprint
    write_stack(path, values[:, ::-1])
    assert load_images(path, pages="all").fingerprint != dataset.fingerprint
    one = write_stack(tmp_path / "one.tif", values[:1])
    with pytest.raises(ImagesError, match="not a file of many images"):
        load_images(one)
