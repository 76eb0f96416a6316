"""Five channels of 16 bits, each with known content, through run, figures, report, explorer and exported file."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text
from PIL import Image

import latens
from latens.cli import main
from latens.computed import encode_source
from latens.explorer import View, decoding, following, write_html
from latens.images.pixels import from_floats, to_uint8
from latens.latents import reconstruct_images
from latens.progress import Silent
from latens.runs import open_run

COUNT, SIDE = 80, 12
DARK = np.array([100, 200, 300, 400, 500])  # of each channel
BRIGHT = np.array([1000, 4000, 900, 60_000, 20_000])
SHOW = "red=5,green=2,blue=1"


def five_channels():
    """Channel c has a bright square whose row is c's own and whose column is the class's."""
    labels = np.arange(COUNT) % 2
    rng = np.random.default_rng(0)
    images = DARK[None, :, None, None] + rng.integers(0, 5, (COUNT, 5, SIDE, SIDE))
    for number, label in enumerate(labels):
        for channel in range(5):
            row, column = 2 * channel, 1 + 6 * label + int(rng.integers(0, 2))
            share = rng.uniform(0.8, 1)
            images[number, channel, row : row + 2, column : column + 3] = (
                DARK[channel] + share * (BRIGHT - DARK)[channel]
            )
    return images.astype(np.uint16), labels


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("five")
    images, labels = five_channels()
    np.savez(folder / "five.npz", images=images, labels=labels)
    options = {"epochs": 2, "latent_dim": 4, "device": "cpu", "network": "dense", "show": SHOW}
    return latens.run(folder / "five.npz", out=folder / "run", progress=Silent(), **options)


def test_the_run_is_complete_and_nothing_is_left_out(run):
    assert run.record["status"] == "done"
    assert not run.record.get("left_out")
    assert run.image_shape == (5, SIDE, SIDE)
    lows, highs = np.array(run.format.value_range).T
    assert (lows == DARK).all()
    assert (np.abs(highs / BRIGHT - 1) < 0.02).all()
    mse = next(one.value for one in run.scores if one.name == "mse")
    assert mse == pytest.approx(run.of_part("squared_error", 1).mean(), rel=1e-4)


def test_errors_are_those_of_the_range(run):
    images, (low, high) = run.images, np.array(run.format.value_range).T[:, :, None, None]
    truth = ((images.test.pixels - low) / (high - low)).clip(0, 1)
    errors = np.square(run.reconstruct(images.test) - truth).mean((1, 2, 3))
    assert np.allclose(run.of_part("squared_error", 1), errors, atol=1e-5)
    stored = from_floats(run.reconstruct(images.test), *_of(run))
    assert (stored.dtype, stored.shape) == (np.uint16, images.test.pixels.shape)


def _of(run):
    return run.format.dtype, run.format.value_range


def test_everything_shows_what_the_rule_says(run):
    view = View(run)
    images, rows = run.images, np.array([0, 3, len(run.images.train)])
    given = np.concatenate([images.train.inputs[[0, 3]], images.test.inputs[:1]])
    assert (view.pixels(rows) == to_uint8(given[:, [4, 1, 0]])).all()
    info = view.info()
    assert (info["shape"], info["network_shape"], info["mix"]) == ([3, SIDE, SIDE], [5, SIDE, SIDE], [[4], [1], [0]])
    assert view.thumbnails(0)[:4] == b"\x89PNG"
    decoded = decoding.decode(view, run.latents["latents"][:2].tolist())
    rebuilt = to_uint8(run.decode(run.latents["latents"][:2])[:, [4, 1, 0]])
    assert (decoded.arrays["pixels"] == rebuilt).all()
    assert (view.image(0).arrays["reconstruction"] == to_uint8(run.decode(view.latents[:1])[0, [4, 1, 0]])).all()
    live = following.live(view)
    assert (
        live.arrays["reconstructions"] == to_uint8(reconstruct_images(run.model, images.test)[:10, [4, 1, 0]])
    ).all()


def test_figures_and_report_are_there(run):
    names = {path.stem for path in (run.path / "figures").glob("*.png")}
    assert {"contact-sheet", "reconstructions", "worst", "path", "traversals", "probe", "review"} <= names
    report = (run.path / "report.html").read_text()
    assert "5 × 12 × 12" in report or "5 x 12 x 12" in report
    assert "uint16 pixels are read by the range" in report
    sheet = np.asarray(run.figure("contact-sheet").axes[0].images[0].get_array())
    assert (sheet[..., 0] != sheet[..., 1]).any(), "in colours"


def test_the_exported_file_has_the_networks_of_all_channels_and_images_of_three(run, tmp_path):
    page = write_html(run, tmp_path / "run.html").read_text()
    facts = json.loads(re.search(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    assert facts["run"]["mix"] == [[4], [1], [0]]
    assert facts["cell"] == [3, SIDE, SIDE]
    assert facts["decoder"]


def test_later_images_and_resuming_keep_the_range(run, tmp_path):
    images, _ = five_channels()
    np.save(tmp_path / "half.npy", images[:6] // 2)
    encoded = encode_source(run, tmp_path / "half.npy")
    assert np.allclose(encoded.arrays["latents"], run.encode(images[:6] // 2), atol=1e-5)
    again = open_run(run.path)
    assert again.images.format == run.format
    assert again.images.fingerprint == run.record["data"]["fingerprint"]


def test_the_lines_of_the_page_on_ranges_run(run, tmp_path, monkeypatch):
    images, _ = five_channels()
    np.save(tmp_path / "cells.npy", images)
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parent.parent / "docs" / "ranges.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    assert "latens.run(images)" in code
    names = {"latens": latens, "trained": run, "new": images[:3]}
    exec(compile(code.replace("latens.run(images)", "trained"), "ranges.md", "exec"), names)
    assert names["images"].value_range == ((0, 4095),) * 5
    assert names["rebuilt"].shape == (3, 5, SIDE, SIDE)


def test_a_defect_in_one_channel_is_found_and_located(run, tmp_path, capsys):
    images, _ = five_channels()
    new = images[:12].copy()
    new[5, 3, 8:11, 8:11] = 60_000  # where channel 4 is always dark; elsewhere it is bright itself
    np.save(tmp_path / "new.npy", new)
    out = tmp_path / "found"
    words = ["detect", run.path, tmp_path / "new.npy", "-o", out, "--method", "reconstruction", "--maps", "all"]
    assert main([str(one) for one in (*words, "--false-alarms", 0.2)]) == 0
    found = run.detect(new, method="reconstruction", false_alarms=0.2)
    assert int(found.scores.argmax()) == 5
    row, column = np.unravel_index(found.maps[5].argmax(), (SIDE, SIDE))
    assert row in range(8, 11)
    assert column in range(8, 11)
    with Image.open(out / "overlays" / "5.png") as overlay:
        assert overlay.mode == "RGB"
    assert "detections.html" in capsys.readouterr().out


def test_captions_name_the_channels_that_are_shown(run):
    texts = " ".join(one.get_text() for one in run.figure("reconstructions").findobj(Text))
    assert "Shown: red 5, green 2, blue 1, each from 0 to 1 of its range." in texts
