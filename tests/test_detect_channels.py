"""Detection on images of 16 bits and five channels, and what of new images' reading is said: table, pages, channels, NaN."""

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image
from sklearn.metrics import roc_auc_score

import latens
from latens.cli import main
from latens.computed import encode_run
from latens.experiment import train_run
from latens.progress import Silent
from latens.runs import start_run

SIDE, CHANNELS = 16, ("dapi", "gfp", "rfp", "cy5", "er")


def stains(count, seed, spots=False):
    """uint16 (N, 5, H, W) up to about 900 of 65,535; with spots: of every second image one in channel 4, which is not shown."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(SIDE) / 3 + rng.uniform(0, 6.28, (count, 5, 1)))[:, :, None, :]
    pixels = 500 + 200 * waves + rng.normal(0, 20, (count, 5, SIDE, SIDE))
    places = rng.integers(2, SIDE - 5, (count, 2))
    if spots:
        for row in range(0, count, 2):
            y, x = places[row]
            pixels[row, 3, y : y + 3, x : x + 3] += 250
    return pixels.round().astype(np.uint16), places


def write(folder, pixels):
    folder.mkdir(parents=True)
    for number, image in enumerate(pixels):
        tifffile.imwrite(folder / f"{number:03}.ome.tif", image, metadata={"axes": "CYX"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """good/: normal images. new/: every second one with a spot, and a table that says which."""
    root = tmp_path_factory.mktemp("stains")
    write(root / "good", stains(150, 1)[0])
    pixels, _ = stains(40, 2, spots=True)
    write(root / "new", pixels)
    for channel, name in enumerate(CHANNELS):
        (root / "apart" / name).mkdir(parents=True)
        for number, image in enumerate(pixels):
            tifffile.imwrite(root / "apart" / name / f"{number:03}.tif", image[channel])
    rows = [f"{k:03}.ome.tif,{'spot' if k % 2 == 0 else 'good'},{k * 1.5},{k}" for k in range(40)]
    (root / "truth.csv").write_text("\n".join(["file,label,exposure,score", *rows]))
    return root


def trained(source, out, **reading):
    """A run with its latents, without maps, scores and report."""
    images = latens.load_images(source, **reading)
    run = start_run(images, latens.RECIPES["fast"](images).with_options(epochs=3, latent_dim=8), out, "cpu")
    run.images = images
    with run.folder.working():
        train_run(run, images, Silent())
        encode_run(run, images)
    run.update(status="done")
    return latens.open_run(out)


@pytest.fixture(scope="module")
def run(folder):
    reading = {"value_range": (0, 1000), "show": "red=3,green=2,blue=1"}
    return trained(folder / "good", folder / "run", **reading)


def detections(out):
    return list(csv.DictReader((out / "detections.csv").read_text().splitlines()))


def test_a_spot_in_a_channel_that_is_not_shown_is_found_by_the_run_s_range(run, folder, tmp_path, capsys):
    table = ["--table", str(folder / "truth.csv")]
    assert main(["detect", str(run.path), str(folder / "new"), "-o", str(tmp_path / "a"), *table]) == 0
    assert "AUROC" in capsys.readouterr().out
    rows = detections(tmp_path / "a")
    assert list(rows[0]) == ["id", "score", "p_value", "odd", "class", "exposure", "table_score"]
    assert [float(row["exposure"]) for row in rows] == [1.5 * k for k in range(40)]
    truth = [row["class"] == "spot" for row in rows]
    assert truth == [k % 2 == 0 for k in range(40)]
    assert roc_auc_score(truth, [float(row["score"]) for row in rows]) > 0.95
    places = stains(40, 2, spots=True)[1]
    near = 0
    for row in range(0, 40, 2):
        with Image.open(tmp_path / "a" / "maps" / f"{row:03}.ome.png") as picture:
            heat = np.asarray(picture)
        y, x = np.unravel_index(heat.argmax(), heat.shape)
        near += bool((np.abs(places[row] + 1 - (y, x)) <= 3).all())
    assert near >= 16
    with Image.open(tmp_path / "a" / "overlays" / "001.ome.png") as picture:
        assert picture.mode == "RGB"
        assert np.asarray(picture).mean() > 60  # 500 of 1,000, not of 65,535


def test_one_folder_a_channel_gives_the_same(run, folder, tmp_path):
    command = ["detect", str(run.path), str(folder / "apart"), "-o", str(tmp_path / "b")]
    assert main([*command, "--channels", *CHANNELS]) == 0
    apart = [float(row["score"]) for row in detections(tmp_path / "b")]
    assert np.allclose(apart, run.detect(folder / "new").scores, rtol=1e-4)


def test_other_channels_and_sizes_are_told(run, folder, tmp_path, capsys):
    write(tmp_path / "three", stains(3, 5)[0][:, :3])
    assert main(["detect", str(run.path), str(tmp_path / "three"), "-o", str(tmp_path / "c")]) == 2
    message = capsys.readouterr().err
    assert "channels" in message
    assert "Traceback" not in message
    (tmp_path / "none").mkdir()
    assert main(["detect", str(run.path), str(tmp_path / "none"), "-o", str(tmp_path / "d")]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture(scope="module")
def floats(tmp_path_factory):
    """A run on float32 images of one channel."""
    folder = tmp_path_factory.mktemp("floats")
    np.save(folder / "good.npy", stains(120, 7)[0][:, :1].astype(np.float32) / 7)
    return trained(folder / "good.npy", folder / "run")


def test_nan_is_an_error_or_the_number_that_is_said(floats, tmp_path, capsys):
    pixels = stains(6, 8)[0][:, :1].astype(np.float32) / 7
    pixels[2, 0, 5:9, 5:9] = np.nan
    np.save(tmp_path / "new.npy", pixels)
    command = ["detect", str(floats.path), str(tmp_path / "new.npy"), "-o"]
    assert main([*command, str(tmp_path / "a")]) == 2
    message = capsys.readouterr().err
    assert "NaN" in message
    assert "--nan" in message
    assert not (tmp_path / "a" / "detections.csv").exists()
    assert main([*command, str(tmp_path / "b"), "--nan", "0", "--overwrite"]) == 0
    scores = [float(row["score"]) for row in detections(tmp_path / "b")]
    assert len(scores) == 6
    assert np.argmax(scores) == 2


def test_pages_are_images_on_request(floats, tmp_path):
    pages = (stains(3, 9)[0][:, 0] / 7).astype(np.float32)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    command = ["detect", str(floats.path), str(tmp_path / "stack.tif"), "-o"]
    assert main([*command, str(tmp_path / "first")]) == 0
    assert len(detections(tmp_path / "first")) == 1
    assert main([*command, str(tmp_path / "all"), "--pages", "all"]) == 0
    rows = detections(tmp_path / "all")
    assert len(rows) == len({row["id"] for row in rows}) == 3
    assert len(list((tmp_path / "all" / "maps").rglob("*.png"))) == 3


def test_a_broken_file_is_left_out_and_listed_or_refused(run, folder, tmp_path, capsys):
    write(tmp_path / "new", stains(4, 6)[0])
    (tmp_path / "new" / "002.ome.tif").write_bytes(b"II*\0 cut off")
    command = ["detect", str(run.path), str(tmp_path / "new"), "-o"]
    assert main([*command, str(tmp_path / "a")]) == 0
    told = capsys.readouterr()
    assert "002.ome.tif" in told.err + told.out
    assert len(detections(tmp_path / "a")) == 3
    assert "002.ome.tif" in (tmp_path / "a" / "detections.html").read_text()
    assert main([*command, str(tmp_path / "b"), "--strict"]) == 2
    assert "002.ome.tif" in capsys.readouterr().err
