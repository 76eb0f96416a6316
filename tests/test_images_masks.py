"""Masks beside images are left out, validation parts are used by one rule, and odd sets are warned of."""

import numpy as np
import pytest
from PIL import Image

from latens import load_images
from latens.errors import UsageError
from latens.images.masks import few_values
from pictures import fill, noise, save


def mask(seed=0, side=16):
    """uint8 (side, side): a disc of 255 on 0."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    row, column = random.integers(4, side - 4, 2)
    return np.where((y - row) ** 2 + (x - column) ** 2 < 9, 255, 0).astype(np.uint8)


@pytest.mark.parametrize(
    "name",
    [
        "{k}_mask.png",
        "{k}-mask.png",
        "{k}_seg.png",
        "{k}_GT.png",
        "{k}_mask_1.png",
        "{k}_segmentation.gif",
        "{k}.mask.png",
        "{k}.png",
        "../masks/{k}.png",
        "../masks/{k}_mask.png",
        "../ground_truth/{k}_gt.png",
        "../Annotations/{k}.bmp",
    ],
)
def test_masks_are_left_out_whatever_they_are_called(tmp_path, name):
    for k, image in enumerate(noise(20, 16, 16, 3)):
        save(tmp_path / "set" / "scans" / f"{k}.jpg", image)
        save(tmp_path / "set" / "scans" / name.format(k=k), mask(k))
    dataset = load_images(tmp_path / "set")
    assert len(dataset.train) + len(dataset.test) == 20
    assert all(id.endswith(".jpg") for id in dataset.train.ids)
    assert dataset.shape == (3, 16, 16)
    assert any("mask" in note and "left out" in note for note in dataset.notes)
    kept = load_images(tmp_path / "set", masks="keep")
    assert len(kept.train) + len(kept.test) == 40
    assert kept.options["masks"] == "keep"
    with pytest.raises(UsageError, match=r"masks 'no'; allowed are leave-out, keep"):
        load_images(tmp_path / "set", masks="no")


def test_masks_beside_some_of_the_images(tmp_path):
    """As of the tiles with defects: a mask only where there is one, in class folders."""
    for name in ("crack", "free"):
        for k, image in enumerate(noise(20, 16, 16, seed=len(name))):
            save(tmp_path / name / f"{k}.jpg", image)
            if name == "crack" and k % 2:
                save(tmp_path / name / f"{k}.png", mask(k))
    dataset = load_images(tmp_path)
    assert (len(dataset.train) + len(dataset.test), dataset.class_names) == (40, ("crack", "free"))
    assert any("left out, 10 masks beside the images: crack/1.png" in note for note in dataset.notes)


def test_what_only_looks_like_masks_by_name_is_kept(tmp_path):
    fill(tmp_path / "people" / "mask", 12, seed=1)
    fill(tmp_path / "people" / "no_mask", 12, seed=2)
    dataset = load_images(tmp_path / "people")
    assert (len(dataset.train) + len(dataset.test), dataset.class_names) == (24, ("mask", "no_mask"))
    for k, image in enumerate(noise(24, 16, 16, 3, seed=3)):
        save(tmp_path / "pairs" / (f"{k}.png" if k < 12 else f"{k - 12}_mask.png"), image)
    dataset = load_images(tmp_path / "pairs")
    assert len(dataset.train) + len(dataset.test) == 24
    for k, image in enumerate(noise(24, 16, 16, 3, seed=4)):
        save(tmp_path / "copies" / (f"{k}.jpg" if k < 12 else f"{k - 12}.png"), image)
    assert len(load_images(tmp_path / "copies").train) + len(load_images(tmp_path / "copies").test) == 24
    for k in range(24):  # drawings of few values, in a class that is called labels, without partners
        save(tmp_path / "signs" / ("labels" if k < 12 else "plates") / f"{k}.png", mask(k))
    assert load_images(tmp_path / "signs").class_names == ("labels", "plates")


def test_few_values(tmp_path):
    assert few_values(save(tmp_path / "a.png", mask()))
    assert few_values(save(tmp_path / "b.jpg", mask(side=64), quality=90)), "black and white but for compression"
    assert not few_values(save(tmp_path / "c.png", noise(1, 16, 16)[0]))
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16) % 5).convert("P").save(tmp_path / "d.png")
    assert few_values(tmp_path / "d.png"), "a palette of five colours, as of segmentations"
    assert not few_values(tmp_path / "none.png")


def test_the_layout_of_mvtec(tmp_path):
    fill(tmp_path / "train" / "good", 20, seed=1)
    for number, kind in enumerate(("good", "crack", "hole")):
        fill(tmp_path / "test" / kind, 4, seed=10 + number)
        if kind != "good":
            for k in range(4):
                save(tmp_path / "ground_truth" / kind / f"{k}_mask.png", mask(k))
    dataset = load_images(tmp_path)
    assert dataset.class_names == ("crack", "good", "hole")
    assert np.bincount(dataset.train.labels, minlength=3).tolist() == [0, 18, 0]
    assert np.bincount(dataset.test.labels).tolist() == [
        4,
        6,
        4,
    ]  # a tenth of the train part is kept unseen, for detection
    assert sorted({id.rpartition("/")[0] for id in dataset.test.ids}) == [
        "test/crack",
        "test/good",
        "test/hole",
        "train/good",
    ]
    assert any("ground_truth" in note or "masks beside" in note for note in dataset.notes)


def test_validation_parts_are_joined_whatever_the_source(tmp_path):
    """One rule: beside a test part a validation part is trained on."""
    pixels = noise(30, 8, 8)
    np.savez(tmp_path / "a.npz", x_train=pixels[:20], x_val=pixels[20:25], x_test=pixels[25:])
    for part, rows in (("train", range(20)), ("val", range(20, 25)), ("test", range(25, 30))):
        for k in rows:
            save(tmp_path / "folder" / part / f"{k}.png", pixels[k])
    table = {"split": ["train"] * 20 + ["val"] * 5 + ["test"] * 5}
    contents = []
    for dataset in (
        load_images(tmp_path / "a.npz"),
        load_images(tmp_path / "folder"),
        load_images(pixels, table=table),
    ):
        assert (len(dataset.train), len(dataset.test)) == (25, 5)
        assert any("joined to the train part" in note for note in dataset.notes)
        contents.append([{one.tobytes() for one in part.pixels} for part in (dataset.train, dataset.test)])
    assert contents[0] == contents[1] == contents[2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: np.where(np.arange(100)[:, None, None] < 60, 7, x), "67% of the images have one value everywhere"),
        (lambda x: x // 40, "100% of the images are nearly black"),
        (lambda x: np.concatenate([x[:30], x[:30], x[:30], x[:10]]), "of the images are equal to another one"),
        (lambda x: x[:1] // 2 + x // 128, "100% of the images are nearly alike"),
        (lambda x: x, ""),
    ],
)
def test_odd_sets_are_warned_of(change, words):
    pixels = change(noise(100, 12, 12)).astype(np.uint8)
    told = [note for note in load_images(pixels).notes if note.startswith("warning")]
    assert len(told) == bool(words), told
    if words:
        assert words in told[0]
