"""How new images are read for a run: the same options in every job, from the command line."""

import json

import numpy as np
import pytest
import tifffile

import latens
from latens import cli
from latens.computed.given_images import GivenImages
from latens.errors import UsageError
from latens.images import load_images
from latens.progress import Silent

SIDE, NEW = 12, 5
NAMES = ("dapi", "gfp")


def cells(count: int, seed: int) -> np.ndarray:
    """Spots of two sizes in two channels, uint16 (count, 2, SIDE, SIDE) of about 0 to 900."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(3, SIDE - 4, (count, 2, 2, 1, 1))
    y, x = np.mgrid[:SIDE, :SIDE]
    far = np.hypot(y - at[:, :, 0], x - at[:, :, 1])
    spots = 880 * np.exp(-((far / np.array([3.0, 1.5])[None, :, None, None]) ** 2))
    return (spots + rng.uniform(0, 20, spots.shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    np.savez(folder / "cells.npz", x_train=cells(60, 0), x_test=cells(24, 1))
    return latens.run(
        str(folder / "cells.npz"),
        model="autoencoder:noise=0.1",
        network="dense",
        latent_dim=4,
        epochs=1,
        out=folder / "run",
        progress=Silent(),
    )


@pytest.fixture
def call(run, tmp_path, capsys):
    """Call a job on some new images: its answer as JSON, and the exit code."""
    monkey = 0

    def job(name, source, *options):
        nonlocal monkey
        monkey += 1
        out = {"encode": ["-o", tmp_path / f"{monkey}.npz"], "search": ["-k", 2]}.get(
            name, ["-o", tmp_path / f"out-{monkey}"]
        )
        more = ["--device", "cpu", *(["--false-alarms", 0.1] if name == "detect" else [])]
        capsys.readouterr()
        code = cli.main([str(one) for one in (name, run.path, source, *out, *more, *options, "--json")])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return json.loads(printed.out), code

    return job


def count(answer: dict, name: str) -> int:
    """How many images a job has read."""
    if name == "encode":
        return answer["arrays"]["latents"][0]
    if name == "review":
        return answer["num_images"]
    return len(answer["queries"]) if name == "search" else answer["images"]


JOBS = ("encode", "reconstruct", "denoise", "detect", "review", "search")
each_job = pytest.mark.parametrize("name", JOBS)


@each_job
def test_channels_in_folders_of_their_own(name, call, tmp_path):
    pixels = cells(NEW, 2)
    for channel, folder in enumerate(NAMES):
        (tmp_path / "plate" / folder).mkdir(parents=True)
        for row in range(NEW):
            tifffile.imwrite(tmp_path / "plate" / folder / f"{row}_{folder}.tif", pixels[row, channel])
    answer, code = call(name, tmp_path / "plate", "--channels", "dapi", "gfp")
    assert (code, count(answer, name)) == (0, NEW)


@each_job
def test_all_pages(name, call, tmp_path):
    tifffile.imwrite(tmp_path / "z.tif", cells(NEW, 2), imagej=True, metadata={"axes": "ZCYX"})
    assert count(call(name, tmp_path / "z.tif")[0], name) == 1
    answer, code = call(name, tmp_path / "z.tif", "--pages", "all")
    assert (code, count(answer, name)) == (0, NEW)


@each_job
def test_an_array_whose_channels_are_last(name, call, tmp_path):
    """One row of two channels could be two rows of as many columns: the option says which axis is which."""
    pixels = cells(NEW, 2)
    np.save(tmp_path / "last.npy", np.moveaxis(pixels, 1, 3))
    np.save(tmp_path / "first.npy", pixels)
    answers = [
        call(name, tmp_path / file, "--layout", layout)
        for file, layout in (("last.npy", "nhwc"), ("first.npy", "nchw"))
    ]
    assert [(code, count(answer, name)) for answer, code in answers] == [(0, NEW)] * 2
    told = {"detect": "detections", "review": "images", "search": "queries"}
    if name in told:
        first, last = (answer[told[name]] for answer, _ in answers)
        keys = {"detect": "score", "review": "odd_score", "search": "neighbours"}
        assert [one[keys[name]] for one in first] == [one[keys[name]] for one in last]
    answer, code = call(name, tmp_path / "last.npy", "--layout", "nchw")
    assert code == 2
    assert f"{SIDE} channels" in answer["error"]


@each_job
def test_masks_beside_the_images(name, call, tmp_path):
    (tmp_path / "plate").mkdir()
    for row, pixels in enumerate(cells(NEW, 2)):
        tifffile.imwrite(tmp_path / "plate" / f"{row}.tif", pixels, photometric="minisblack", planarconfig="separate")
        tifffile.imwrite(tmp_path / "plate" / f"{row}_mask.tif", 255 * (pixels[0] > 300).astype(np.uint8))
    answer, code = call(name, tmp_path / "plate")
    assert (code, count(answer, name)) == (0, NEW)
    answer, code = call(name, tmp_path / "plate", "--masks", "keep")
    assert code == 2  # the masks have one channel
    assert "images of 1 channel; the model takes 2" in answer["error"]


@each_job
def test_values_that_are_no_numbers(name, call, tmp_path):
    pixels = cells(NEW, 2).astype(np.float32)
    pixels[3, 0, 2, 2] = np.nan
    np.save(tmp_path / "holes.npy", pixels)
    answer, code = call(name, tmp_path / "holes.npy")
    assert code == 2
    assert "nan" in answer["error"].lower()
    answer, code = call(name, tmp_path / "holes.npy", "--nan", 0)
    assert (code, count(answer, name)) == (0, NEW)


@each_job
def test_a_table_names_classes_and_leaves_out(name, call, tmp_path):
    (tmp_path / "new").mkdir()
    for row, pixels in enumerate(cells(NEW, 2)):
        tifffile.imwrite(tmp_path / "new" / f"{row}.tif", pixels, photometric="minisblack", planarconfig="separate")
    lines = ["file;species;age", *(f"{row}.tif;{'ab'[row % 2]};{20 + row}" for row in range(NEW - 1))]
    (tmp_path / "told.csv").write_text("\n".join(lines))
    answer, code = call(name, tmp_path / "new", "--table", tmp_path / "told.csv")
    assert (code, count(answer, name)) == (0, NEW - 1)
    if name == "detect":
        assert {one["class"] for one in answer["detections"]} == {"a", "b"}
    if name == "review":
        assert {one["label"] for one in answer["images"]} == {"a", "b"}
    if name in ("encode", "reconstruct", "denoise"):
        assert answer["arrays"]["column:age"] == [NEW - 1]
    answer, code = call(name, tmp_path / "new", "--table", "none", "--label-column", "species")
    assert code == 2
    assert "table" in answer["error"]


@each_job
def test_the_range_of_another_instrument(name, call, run, tmp_path):
    """Twice the numbers in twice the range are the same images."""
    pixels = cells(NEW, 2)
    np.save(tmp_path / "same.npy", pixels)
    np.save(tmp_path / "twice.npy", 2 * pixels)
    ends = [2 * one for one in run.format.value_range[0]]
    # One range for both channels: the run's own are nearly the same.
    same, _ = call(name, tmp_path / "same.npy", "--range", ends[0] / 2, ends[1] / 2)
    twice, code = call(name, tmp_path / "twice.npy", "--range", *ends)
    assert (code, count(twice, name)) == (0, NEW)
    if name == "detect":
        assert [one["score"] for one in twice["detections"]] == pytest.approx(
            [one["score"] for one in same["detections"]], rel=1e-4
        )
    if name == "search":
        near = [[one["distance"] for one in query["neighbours"]] for query in twice["queries"]]
        assert near == [pytest.approx([one["distance"] for one in q["neighbours"]]) for q in same["queries"]]
    for ends, word in ((("900", "0"), "inverted"), (("5", "5"), "empty"), (("data",), "data set")):
        answer, code = call(name, tmp_path / "same.npy", "--range", *ends)
        assert code == 2
        assert word in answer["error"]


def test_the_range_of_the_type_and_of_each_channel(run):
    pixels = cells(NEW, 2)

    def read(array, value_range):
        given = GivenImages(run, array, value_range=value_range)
        return np.concatenate([block.pixels for block in given.blocks()])

    np.testing.assert_allclose(read(pixels, "type"), pixels / 65535, atol=1e-6)
    ends = ((0, 900), (100, 500))
    expected = np.stack([pixels[:, 0] / 900, (pixels[:, 1].astype(float) - 100) / 400], 1).clip(0, 1)
    np.testing.assert_allclose(read(pixels, ends), expected, atol=1e-6)
    with pytest.raises(UsageError, match="3 pairs for 2 channels"):
        read(pixels, ((0, 1), (0, 1), (0, 1)))
    with pytest.raises(UsageError, match="masks, nan"):
        GivenImages(run, load_images(pixels.repeat(4, axis=0)).train, nan=0, masks="keep")


def test_a_folder_that_holds_something_is_kept(call, run, tmp_path, capsys):
    np.save(tmp_path / "new.npy", cells(NEW, 2))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    words = {"review": [tmp_path / "new.npy"], "detect": [tmp_path / "new.npy", "--false-alarms", 0.1]}
    words |= {"reconstruct": [tmp_path / "new.npy"], "denoise": [tmp_path / "new.npy"], "sample": ["-n", 2]}
    np.save(tmp_path / "z.npy", np.zeros((2, 4), np.float32))
    words["decode"] = [tmp_path / "z.npy"]
    for name, more in words.items():
        every = [str(one) for one in (name, run.path, *more, "-o", tmp_path / "mine")]
        assert cli.main(every) == 2
        assert "--overwrite" in capsys.readouterr().err
        assert [one.name for one in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    assert cli.main([*every, "--overwrite"]) == 0
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    assert cli.main(["review", str(run.path), "--nan", "0"]) == 2
    assert "--nan" in capsys.readouterr().err


def test_values_that_are_no_numbers_are_said_in_python_too(run):
    pixels = np.zeros((3, 2, SIDE, SIDE), np.float32)
    pixels[1, 0, :2, 0] = np.nan, np.inf
    with pytest.raises(UsageError, match="images have 2 of 864 values that are not numbers"):
        run.encode(pixels)


def test_one_file_that_is_no_image(call, tmp_path):
    (tmp_path / "text.png").write_bytes(b"a text")
    answer, code = call("detect", tmp_path / "text.png")
    assert code == 2
    assert answer["error"] == f"{tmp_path / 'text.png'}: can't be used (not an image that Pillow knows)"
