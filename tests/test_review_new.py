"""Review of new images: near-duplicates of the run's, odd ones, doubtful labels, each with a known truth."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import latens
from conftest import make_blobs
from latens import cli
from latens.computed.review import review_new
from latens.errors import UsageError
from latens.progress import Silent

RUN, NEW = slice(0, 240), slice(240, 280)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """A run on blobs of three classes, and a folder of new ones: usual, copied, odd and of a wrong class."""
    folder = tmp_path_factory.mktemp("review")
    pixels, labels = make_blobs(280, (1, 16, 16), seed=3)
    for row in range(280):
        part = "data" if row < RUN.stop else "new"
        save(folder / part / "abc"[labels[row]] / f"{row}.png", pixels[row, 0])
    run = latens.run(folder / "data", out=folder / "run", epochs=20, latent_dim=4, device="cpu", progress=Silent())
    for row in (3, 10):
        save(folder / "new" / "abc"[labels[row]] / f"copy-{row}.png", pixels[row, 0])
    brighter = np.clip(pixels[5, 0].astype(int) + 2, 0, 255).astype(np.uint8)
    save(folder / "new" / "abc"[labels[5]] / "bright-5.png", brighter)
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    save(folder / "new" / "a" / "noise.png", noise)
    save(folder / "new" / "a" / "wrong.png", pixels[np.flatnonzero(labels == 2)[-1], 0][:, ::-1])  # from the class c
    return folder, run


def test_copies_odd_images_and_wrong_labels_are_found(new):
    folder, run = new
    found = review_new(run, folder / "new")
    by_id = {one.id: one for one in found.images}
    assert len(found.images) == 45
    copies = {one.id.split("/")[1]: one.duplicate_of.split("/")[1] for one in found.images if one.duplicate_of}
    assert copies.items() >= {("copy-3.png", "3.png"), ("copy-10.png", "10.png"), ("bright-5.png", "5.png")}
    assert all(one.duplicate_part in ("train", "test") for one in found.images if "copy" in one.id)
    assert by_id["a/noise.png"].odd
    assert by_id["a/noise.png"].p_value == min(one.p_value for one in found.images)
    assert sum(one.odd for one in found.images) <= 6
    assert by_id["a/wrong.png"].doubtful
    assert by_id["a/wrong.png"].suggested == "c"
    assert found.rows_of("odd")[0] == [one.id for one in found.images].index("a/noise.png")


def test_p_values_are_shares_of_the_test_images(new):
    _, run = new
    found = review_new(run, run.images.test)  # themselves: as odd as they are
    num = len(run.images.test)
    p = np.array([one.p_value for one in found.images])
    np.testing.assert_allclose(np.sort(p)[-1], 1, atol=1e-9)
    np.testing.assert_allclose(p * (num + 1), np.rint(p * (num + 1)))
    assert all(one.duplicate_of == one.id for one in found.images)


def test_the_command_writes_table_json_and_sheet(new, tmp_path, capsys):
    folder, run = new
    words = ["review", str(run.path), str(folder / "new"), "-o", str(tmp_path / "out")]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert "45 new images compared with 240 of the run" in text
    with open(tmp_path / "out" / "review.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 45
    kept = json.loads((tmp_path / "out" / "review.json").read_text())
    assert [row["id"] for row in rows] == [one["id"] for one in kept["images"]]
    assert kept["near-duplicate"] >= 3
    with Image.open(tmp_path / "out" / "review.png") as sheet:
        assert sheet.size[0] == 720
    assert not (run.path / "review.csv").samefile(tmp_path / "out" / "review.csv")


def test_new_images_without_labels_have_no_doubt(new, tmp_path):
    folder, run = new
    pixels, _ = make_blobs(3, (1, 16, 16), seed=8)
    np.save(tmp_path / "bare.npy", pixels)
    found = review_new(run, tmp_path / "bare.npy")
    assert not any(one.doubtful or one.label for one in found.images)
    assert "nan" not in found.as_csv()
    assert found.as_json()["images"][0]["doubt"] is None
    assert len(run.review(folder / "new" / "a" / "noise.png").images) == 1


def test_wrong_words_are_one_line(new, tmp_path, capsys):
    folder, run = new
    for words in ([str(tmp_path / "none")], ["-o", str(tmp_path)], [str(folder / "run")]):
        assert cli.main(["review", str(run.path), *words]) == 2
        assert capsys.readouterr().err.count("\n") <= 2


def test_a_run_with_few_test_images_is_refused(tmp_path):
    run = latens.run(make_blobs(40)[0], out=tmp_path / "run", epochs=1, latent_dim=2, device="cpu", progress=Silent())
    with pytest.raises(UsageError, match=r"4 test images; what is usual is learned from at least 10"):
        review_new(run, make_blobs(3)[0])
