"""One folder a channel: matching by names, what has no partner, and the options that go with it."""

import numpy as np
import pytest
from PIL import Image

from formats import write_stack, write_tiff
from latens.cli import main
from latens.computed import encode_source
from latens.errors import ImagesEmpty, ImagesError, ImagesNotFound, TableError, UsageError
from latens.images import load_images
from latens.runs import start_run
from latens.training import RECIPES

COUNT, SHAPE = 12, (9, 11)


def numbers(seed, count=COUNT):
    return np.random.default_rng(seed).integers(0, 1 << 16, (count, *SHAPE)).astype(np.uint16)


def write(folder, name, values, **options):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    return write_tiff(folder / name, values, 16, 1, **options)


@pytest.fixture
def dyes(tmp_path):
    """Folders dapi and gfp with the same names; and the values of both."""
    values = {name: numbers(seed) for seed, name in enumerate(["dapi", "gfp"])}
    for name, images in values.items():
        for row, image in enumerate(images):
            write(tmp_path / name, f"{row}.tif", image)
    return tmp_path, values


def by_id(dataset):
    return {
        str(one): pixels
        for part in (dataset.train, dataset.test)
        for one, pixels in zip(part.ids, part.pixels, strict=True)
    }


def check(dataset, values, name="{}.tif", names=("dapi", "gfp")):
    found = by_id(dataset)
    assert dataset.channel_names == names
    assert len(found) == COUNT
    for row in range(COUNT):
        assert (found[name.format(row)] == [values[one][row] for one in names]).all()


def test_the_same_names(dyes, monkeypatch):
    folder, values = dyes
    dataset = load_images(folder, channels=["dapi/", "gfp/"])
    check(dataset, values)
    assert dataset.name == folder.name
    assert dataset.options["channels"] == ["dapi", "gfp"]
    assert "2 channels from the folders dapi, gfp" in dataset.notes
    check(load_images(folder, channels=["gfp", "dapi"]), values, names=("gfp", "dapi"))
    check(load_images(folder, channels=[folder / "dapi", folder / "gfp"]), values)
    monkeypatch.chdir(folder)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    moved = load_images(elsewhere, channels=["dapi", "gfp"])
    check(moved, values)
    assert moved.options["channels"] == [str(folder / "dapi"), str(folder / "gfp")]


@pytest.mark.parametrize("pattern", ["img{}_{}.tif", "{1}-{0}.tif", "plate1 {} {}.tif", "{1}{0}.tif", "a_{}_{}_x.tif"])
def test_names_with_that_of_the_channel(tmp_path, pattern):
    values = {name: numbers(seed) for seed, name in enumerate(["dapi", "gfp"])}
    for name, images in values.items():
        for row, image in enumerate(images):
            write(tmp_path / name, pattern.format(row, name.upper()), image)
    if pattern == "{1}{0}.tif":  # the name of the channel is not set apart: DAPI1 could be a word
        with pytest.raises(
            ImagesError, match=r"no file of dapi has a partner in gfp: they are called like DAPI0\.tif and GFP0"
        ):
            load_images(tmp_path, channels=["dapi", "gfp"])
        return
    check(load_images(tmp_path, channels=["dapi", "gfp"]), values, pattern.format("{}", "DAPI"))


def test_other_endings_and_types(tmp_path):
    values = numbers(0)
    for row, image in enumerate(values):
        write(tmp_path / "deep", f"{row}.tif", image)
        (tmp_path / "flat").mkdir(exist_ok=True)
        Image.fromarray((image >> 8).astype(np.uint8)).save(tmp_path / "flat" / f"{row}.png")
    dataset = load_images(tmp_path, channels=["deep", "flat"])
    assert dataset.train.pixels.dtype == np.uint16
    found = by_id(dataset)
    assert all((found[f"{row}.tif"] == [values[row], values[row] >> 8]).all() for row in range(COUNT))


def test_classes_and_parts_are_those_of_the_first(tmp_path):
    for seed, name in enumerate(["red", "far"]):
        for part, count in (("train", 12), ("test", 4)):
            for kind in ("cat", "dog"):
                for row, image in enumerate(numbers(seed + count, count)):
                    write(tmp_path / name / part / kind, f"{row}.tif", image)
    dataset = load_images(tmp_path, channels=["red", "far"])
    assert (len(dataset.train), len(dataset.test), dataset.class_names) == (24, 8, ("cat", "dog"))
    assert dataset.shape == (2, *SHAPE)


def test_a_table_beside_the_folders(dyes):
    folder, _ = dyes
    rows = "".join(f"{row}.tif,{'even' if row % 2 == 0 else 'odd'}\n" for row in range(COUNT))
    (folder / "labels.csv").write_text(f"file,label\n{rows}")
    dataset = load_images(folder, channels=["dapi", "gfp"])
    assert dataset.class_names == ("even", "odd")
    for part in (dataset.train, dataset.test):
        assert [int(str(one).partition(".")[0]) % 2 for one in part.ids] == part.labels.tolist()


@pytest.mark.parametrize("pattern", ["{}.tif", "img{}_{}.tif"])
@pytest.mark.parametrize(("first", "second"), [("train", "test"), ("control", "treated")])
def test_folders_of_channels_in_each_part_or_class(tmp_path, first, second, pattern):
    values = {}
    for seed, name in enumerate(["dapi", "gfp"]):
        for place, count in ((first, 12), (second, 9)):
            values[place, name] = numbers(seed + count, count)
            for row, image in enumerate(values[place, name]):
                write(tmp_path / place / name, pattern.format(row, name), image)
    write(tmp_path / "test" / "bright", "0.tif", numbers(0)[0])  # of neither channel
    dataset = load_images(tmp_path, channels=["dapi", "gfp"])
    assert dataset.channel_names == ("dapi", "gfp")
    if first == "train":
        assert (len(dataset.train), len(dataset.test), dataset.class_names) == (12, 9, ())
    else:
        assert (len(dataset.train) + len(dataset.test), dataset.class_names) == (21, ("control", "treated"))
    found = by_id(dataset)
    for place in (first, second):
        for row in range(len(values[place, "dapi"])):
            (key,) = (one for one in found if f"/{one}".endswith("/" + pattern.format(row, "dapi")) and place in one)
            assert (found[key] == [values[place, "dapi"][row], values[place, "gfp"][row]]).all()
    with pytest.raises(ImagesNotFound, match="channel 'cy5': no such folder"):
        load_images(tmp_path, channels=["dapi", "cy5"])


def test_a_run_reads_folders_of_channels_in_each_part_again(tmp_path):
    for seed, name in enumerate(["dapi", "gfp"]):
        for place, count in (("train", 12), ("test", 9), ("new", 5)):
            for row, image in enumerate(numbers(seed + count, count)):
                write(tmp_path / ("other" if place == "new" else "plate") / place / name, f"{row}.tif", image)
    images = load_images(tmp_path / "plate", channels=["dapi", "gfp"])
    run = start_run(images, RECIPES["fast"](images).with_options(latent_dim=2), tmp_path / "run", "cpu")
    assert run.images.fingerprint == images.fingerprint
    assert len(encode_source(run, tmp_path / "plate").arrays["ids"]) == 21
    assert len(encode_source(run, tmp_path / "other").arrays["ids"]) == 5


@pytest.mark.parametrize("name", ["img{}", "IMG{}", "img{}.tif", "img{}_dapi.tif"])
def test_a_table_that_names_images_without_their_channel(tmp_path, name):
    for channel in ("dapi", "gfp"):
        for row, image in enumerate(numbers(0)):
            write(tmp_path / channel, f"img{row}_{channel}.tif", image)
    rows = "".join(f"{name.format(row)},{'even' if row % 2 == 0 else 'odd'},{row}\n" for row in range(COUNT))
    (tmp_path / "labels.csv").write_text(f"image,label,well\n{rows}")
    for table in (None, tmp_path / "labels.csv"):
        dataset = load_images(tmp_path, channels=["dapi", "gfp"], table=table)
        assert dataset.class_names == ("even", "odd")
        for part in (dataset.train, dataset.test):
            assert [f"img{well}_dapi.tif" for well in part.columns["well"]] == part.ids.tolist()
    (tmp_path / "labels.csv").write_text("image,label\nnix,a\nnax,b\n")
    with pytest.raises(TableError, match=r"called like 'img0_dapi\.tif'"):
        load_images(tmp_path, channels=["dapi", "gfp"], table=tmp_path / "labels.csv")


def test_files_without_a_partner_are_left_out_and_said(dyes):
    folder, _ = dyes
    (folder / "gfp" / "3.tif").unlink()
    write(folder / "gfp", "more.tif", numbers(9)[0])
    dataset = load_images(folder, channels=["dapi", "gfp"])
    assert set(by_id(dataset)) == {f"{row}.tif" for row in range(COUNT) if row != 3}
    assert "left out, 1 file of dapi without a partner in each channel: 3.tif" in dataset.notes
    assert "left out, 1 file of gfp without a partner in each channel: more.tif" in dataset.notes
    write(folder / "gfp", "3.tif", numbers(1)[3])
    assert len(by_id(load_images(folder, channels=["dapi", "gfp"]))) == COUNT, "the cache notices"


def test_a_changed_file_of_any_channel_is_read_again(dyes):
    folder, values = dyes
    first = load_images(folder, channels=["dapi", "gfp"])
    write(folder / "gfp", "3.tif", values["gfp"][3] ^ 1)
    assert load_images(folder, channels=["dapi", "gfp"]).fingerprint != first.fingerprint


def test_channels_of_colour_images_are_named_apart(tmp_path):
    for row, image in enumerate(numbers(0)):
        write(tmp_path / "grey", f"{row}.tif", image)
        (tmp_path / "photo").mkdir(exist_ok=True)
        Image.fromarray(np.dstack([image >> 8] * 3).astype(np.uint8)).save(tmp_path / "photo" / f"{row}.png")
    dataset = load_images(tmp_path, channels=["grey", "photo"])
    assert dataset.channel_names == ("grey", "photo 1", "photo 2", "photo 3")


def test_other_sizes_are_an_error(dyes):
    folder, _ = dyes
    write(folder / "gfp", "3.tif", numbers(0)[0][:8])
    with pytest.raises(ImagesError, match=r"gfp/3\.tif: 8 x 11 pixels, but .*dapi/3\.tif: 9 x 11; all channels"):
        load_images(folder, channels=["dapi", "gfp"])


def test_a_broken_file_costs_its_image_only(dyes):
    folder, _ = dyes
    (folder / "gfp" / "3.tif").write_bytes(b"II*\0")
    dataset = load_images(folder, channels=["dapi", "gfp"])
    assert len(by_id(dataset)) == COUNT - 1
    assert any("1 of 12 files can't be used" in note and "gfp/3.tif: damaged TIFF" in note for note in dataset.notes)


def test_refusals(dyes):
    folder, _ = dyes
    for channels, error, words in [
        (["dapi", "cy5"], ImagesNotFound, "channel 'cy5': no such folder in .*there are dapi, gfp"),
        (["dapi", "dapi/"], UsageError, "names 'dapi' twice"),
        ([], UsageError, "channels is empty"),
        ([3], UsageError, r"channels \[3\]; give the folders"),
    ]:
        with pytest.raises(error, match=words):
            load_images(folder, channels=channels)
    (folder / "empty").mkdir()
    with pytest.raises(ImagesEmpty, match="empty: no images in this folder of a channel"):
        load_images(folder, channels=["dapi", "empty"])
    with pytest.raises(UsageError, match="goes with a folder"):
        load_images(numbers(0), channels=["dapi"])
    write(folder / "gfp", "3.TIFF", numbers(0)[0])
    with pytest.raises(ImagesError, match=r"gfp: 3\.(tif|TIFF) and 3\.(tif|TIFF) fit the same image"):
        load_images(folder, channels=["dapi", "gfp"])


def test_from_the_command_line(dyes, capsys):
    folder, _ = dyes
    assert main(["data", str(folder), "--channels", "dapi/", "gfp/"]) == 0
    out = capsys.readouterr().out
    assert "each 2 x 9 x 11" in out
    assert "2 channels from the folders dapi, gfp" in out
    assert main(["run", "--channels", str(folder / "dapi"), str(folder / "nix")]) == 2  # DATA is the folder of both
    assert f"channel '{folder / 'nix'}': no such folder in {folder}" in capsys.readouterr().err
    assert main(["data", str(folder), "--channels", "dapi", "nix"]) == 2
    assert "channel 'nix': no such folder" in capsys.readouterr().err


def test_a_run_encodes_channels_of_the_same_and_of_other_folders(dyes, tmp_path):
    """By default new images are read as the run's own were; pages, channels and nan say otherwise."""
    folder, values = dyes
    images = load_images(folder, channels=[folder / "dapi", folder / "gfp"])
    run = start_run(images, RECIPES["fast"](images).with_options(latent_dim=2), tmp_path / "run", "cpu")
    whole = np.stack([values["dapi"], values["gfp"]], axis=1)
    expected = run.encode(whole)
    order = [f"{row}.tif" for row in range(COUNT)]

    def latents(source, **files):
        arrays = encode_source(run, source, **files).arrays
        return arrays["latents"][[arrays["ids"].tolist().index(name) for name in order]]

    assert np.allclose(latents(folder), expected, atol=1e-6)
    assert np.allclose(latents(folder, channels=["dapi", "gfp"]), expected, atol=1e-6)
    assert np.allclose(latents(folder, channels=["gfp", "dapi"]), run.encode(whole[:, ::-1]), atol=1e-6)
    other = tmp_path / "other"
    other.mkdir()
    for row in range(COUNT):
        write_stack(other / f"{row}.tif", whole[row])
    assert np.allclose(latents(other, pages="channels"), expected, atol=1e-6)
    with pytest.raises(ImagesError, match="images of 1 channel; the model takes 2 channels"):
        encode_source(run, other)
