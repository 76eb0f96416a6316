"""The size of the exported file: at most what was asked for, close to it, and what it leaves out is said."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import latens
from conftest import REFERENCE
from latens.cli import main
from latens.errors import UsageError
from latens.explorer import write_html
from latens.explorer.choosing import CLOSE, Content, Costs, evenly, fitted, ladder, left_out
from latens.progress import Silent
from latens.text import bytes_of

COUNT, SIDE = 240, 40
FULL = Content(images=10_000, side=64, layers=True, encoder=True, train=5_000)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Images of noise, which no compression makes smaller: nearly all of the file is pictures."""
    folder = tmp_path_factory.mktemp("noise")
    noise = np.random.default_rng(0).integers(0, 256, (COUNT, 3, SIDE, SIDE), np.uint8)
    np.savez(folder / "noise.npz", images=noise.transpose(0, 2, 3, 1))
    return latens.run(folder / "noise.npz", out=folder / "run", epochs=1, **REFERENCE, device="cpu", progress=Silent())


def exported(run, folder, size):
    said = []
    path = write_html(run, folder / "run.html", size, say=said.append)
    return path.stat().st_size, json.loads(re.search(r'id="latens-data">([^<]*)<', path.read_text())[1]), said


def test_each_step_of_the_ladder_is_less_than_the_one_before():
    steps = ladder(FULL)
    assert steps[0] == FULL
    for before, after in pairwise(steps):
        if before.encoder != after.encoder:  # all others begin again
            continue
        kept = (
            after.train <= before.train,
            after.images <= before.images,
            after.side <= before.side,
            after.layers <= before.layers,
        )
        assert (all(kept) and after != before) or (before.layers and not after.layers)
    assert all(one == replace(FULL, train=one.train) for one in steps if one.train)  # train images are given up first
    assert (
        max(one.side for one in steps if one.images < FULL.images) <= 24
    )  # fine pictures are given up before images are
    assert [one.encoder for one in steps] == sorted((one.encoder for one in steps), reverse=True)


@pytest.mark.parametrize("error", [1.0, 0.7, 1.4])  # of the estimates
@pytest.mark.parametrize("size", [300_000, 1_000_000, 5_000_000, 20_000_000, 10**10])
def test_what_is_made_is_close_to_the_size_even_where_estimates_are_wrong(size, error):
    true = Costs(200_000, 50_000, 150, 120, lambda side, layers: (1 + layers) * side**2)
    wrong = Costs(200_000, 50_000, 150 * error, 120 * error, lambda side, layers: error * true.picture(side, layers))
    steps, made = ladder(FULL), []

    def make(step):
        made.append(step)
        return step

    found = fitted(steps, wrong, make, lambda step: round(true.of(step)), size)
    assert true.of(found) <= size
    fits = [step for step in steps if true.of(step) <= size]
    assert true.of(found) >= min(CLOSE * size, 0.9 * true.of(fits[0]))
    assert len(made) <= 8


def test_a_size_that_is_too_small_says_what_is_needed(run, tmp_path):
    with pytest.raises(
        UsageError, match=r"50\.0 kB are too few for this run: with 100 images and without the encoder .* \d+\.\d kB"
    ):
        write_html(run, tmp_path / "run.html", 50_000)
    assert not (tmp_path / "run.html").exists()


@pytest.mark.heavy
def test_files_are_at_most_of_the_size_and_close_to_it(run, tmp_path):
    full, facts, said = exported(run, tmp_path, 10**8)
    assert (facts["cell"], said) == ([3, SIDE, SIDE], [])
    for share in (0.8, 0.6):
        size, facts, said = exported(run, tmp_path, int(full * share))
        assert 0.9 * share * full <= size <= share * full
        assert facts["encoder"]
        assert facts["run"]["count"] == COUNT
        side = facts["cell"][1]
        assert said == [f"pictures of {side} × {side} pixels in place of {SIDE} × {SIDE}"]
        assert facts["run"]["note"] == said[0]


@pytest.mark.heavy
def test_images_go_and_the_encoder_last(run, tmp_path):
    *_, bare = ladder(Content(COUNT, SIDE, False, True))
    least, facts, said = exported(run, tmp_path, exported(run, tmp_path, 10**8)[0] // 3)
    assert facts["run"]["count"] < COUNT
    assert bare.images == 100
    assert any(line.endswith("of 240 images, evenly spaced; distances are among these") for line in said)
    assert (facts["encoder"] is None) == any(line.startswith("no encoder") for line in said)
    assert least > 0


def test_what_is_left_out_in_words():
    assert left_out(Content(10, 64, True, True, 20), 10, 20, (64, 48), True) == []
    assert left_out(Content(10, 64, True, True, 1_200), 10, 60_000, (64, 48), True) == [
        "1,200 of 60,000 train images, evenly over the classes"
    ]
    assert left_out(Content(2_000, 24, False, False), 10_000, 60_000, (64, 48), True) == [
        "2,000 of 10,000 images, evenly spaced; distances are among these",
        "none of 60,000 train images",
        "pictures of 18 × 24 pixels in place of 48 × 64",
        "other channels and contrasts of decoded images only",
        "no encoder: no round trip, and no images found by a picture",
    ]


@pytest.mark.parametrize("labels", [None, [0] * 7 + [1] * 50 + [-1] * 20 + [3] * 3])
def test_each_beginning_of_the_order_is_spread_evenly_over_the_classes(labels):
    num = 80
    labels = None if labels is None else np.random.default_rng(1).permutation(labels)
    order = evenly(labels, num)
    assert sorted(order.tolist()) == list(range(num))
    assert np.abs(np.diff(order)).mean() > 10  # from all over the part
    for count in range(1, num) if labels is not None else ():
        taken = [(labels[order[:count]] == label).sum() for label in (-1, 0, 1, 3)]
        there = [(labels == label).sum() for label in (-1, 0, 1, 3)]
        wanted = max(taken)
        assert all(wanted - 1 <= some or some == all_ for some, all_ in zip(taken, there, strict=True))


@pytest.mark.parametrize(
    "text", ["", "3", "20", "MB", "0MB", "-3MB", "1e6B", "20MB5", "20 XB", "iB", "nan MB", "20mib"]
)
def test_sizes_that_are_none_are_refused_in_a_line(text, capsys):
    with pytest.raises(ValueError, match="is not a size with its unit"):
        bytes_of(text)
    assert main(["export", "nowhere", "--html", "a.html", f"--size={text}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "such as 20MB" in line
