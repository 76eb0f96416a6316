"""Layouts of folders: parts by folder names at any level, classes, masks; nothing is mixed without a note."""

import os
import random
import unicodedata

import numpy as np
import pytest

from latens.errors import ImagesError
from latens.images import load_images
from latens.images.folder import FOLDER
from latens.images.folder_layout import lay_out
from latens.images.folder_parts import partners, read_name
from latens.images.plan import Options
from latens.images.tree import Node, Tree
from pictures import noise, save


def made(root, counts):
    """A folder of different small pictures: of each subfolder so many ("." is the folder itself)."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True, exist_ok=True)
        for k, array in enumerate(noise(count, 9, 9, seed=number)):
            save(root / name / f"{k}.png", array)
    return root


def folders(images):
    """The folders of its pictures, in order, each once."""
    return list(dict.fromkeys(os.path.dirname(str(name)) for name in images.ids))


def read(root, counts):
    dataset = load_images(made(root, counts))
    return dataset, folders(dataset.train), folders(dataset.test)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Train", "TEST"),
        ("training", "testing"),
        ("training_set", "test_set"),
        ("Training Set", "Test Set"),
        ("trainset", "testset"),
        ("trainA", "testA"),
        ("seg_train", "seg_test"),
        ("train_images", "test_images"),
        ("train-images", "validation-images"),
        ("images_train", "images_val"),
        ("train2017", "val2017"),
        ("train_1", "test_1"),
        ("TrainImages", "TestImages"),
        ("train", "val"),
        ("train", "valid"),
        ("train", "validation"),
        ("train", "dev"),
        ("train", "eval"),
        ("train", "hold-out"),
        ("train_data", "holdout_data"),
        ("chest_xray_train", "chest_xray_test"),
        ("train", "my_own_test"),
        ("Training", "PublicTest"),
    ],
)
@pytest.mark.parametrize("above", ["", "dataset/v1/"])
@pytest.mark.parametrize("loose", [0, 1])
def test_parts_by_the_words_of_their_names(tmp_path, train, test, above, loose):
    counts = {f"{above}{part}/{label}": 6 for part in (train, test) for label in "ab"}
    dataset, of_train, of_test = read(tmp_path, counts | ({".": loose} if loose else {}))
    assert dataset.class_names == ("a", "b")
    assert of_train == [f"{above}{train}/a", f"{above}{train}/b"]
    assert of_test == [f"{above}{test}/a", f"{above}{test}/b"]
    assert (len(dataset.train), len(dataset.test)) == (12, 12)
    assert any("1 image in no class or part: 0.png" in note for note in dataset.notes) == bool(loose)


@pytest.mark.parametrize(
    "names",
    [
        ("car", "bus", "boat", "train"),
        ("train station", "bus stop", "airport"),
        ("valid", "invalid"),
        ("latest", "contest", "protest"),
        ("dev", "ops"),
        ("mask", "no mask"),
        ("labels", "boxes"),
    ],
)
def test_classes_that_only_sound_like_parts(tmp_path, names):
    dataset, _, _ = read(tmp_path, dict.fromkeys(names, 8))
    assert dataset.class_names == tuple(sorted(names))
    assert len(dataset.train) + len(dataset.test) == 8 * len(names)


@pytest.mark.parametrize(
    ("counts", "classes", "train", "test"),
    [
        # each class sorted into parts
        (
            {"cat/train": 9, "cat/test": 3, "dog/train": 9, "dog/test": 3},
            ("cat", "dog"),
            ["cat/train", "dog/train"],
            ["cat/test", "dog/test"],
        ),
        # and one of them without a test part
        ({"cat/train": 9, "cat/test": 3, "dog/train": 9}, ("cat", "dog"), ["cat/train", "dog/train"], ["cat/test"]),
        # a folder within itself, as some archives unpack
        (
            {
                "seg_train/seg_train/a": 9,
                "seg_train/seg_train/b": 9,
                "seg_test/seg_test/a": 3,
                "seg_test/seg_test/b": 3,
            },
            ("a", "b"),
            ["seg_train/seg_train/a", "seg_train/seg_train/b"],
            ["seg_test/seg_test/a", "seg_test/seg_test/b"],
        ),
        # two domains
        ({"trainA": 9, "trainB": 9, "testA": 3, "testB": 3}, ("A", "B"), ["trainA", "trainB"], ["testA", "testB"]),
        (
            {"cats_train": 9, "cats_test": 3, "dogs_train": 9, "dogs_test": 3},
            ("cats", "dogs"),
            ["cats_train", "dogs_train"],
            ["cats_test", "dogs_test"],
        ),
        # a test folder beside class folders or pictures: these are trained on
        ({"cat": 9, "dog": 9, "test/cat": 3, "test/dog": 3}, ("cat", "dog"), ["cat", "dog"], ["test/cat", "test/dog"]),
        ({".": 20, "test": 5}, (), [""], ["test"]),
        ({".": 20, "archive/test": 5}, (), [""], ["archive/test"]),
        # of several test parts the first kind; validation parts beside it are trained on
        ({"train": 9, "dev": 3, "val": 3, "test": 3}, (), ["train", "val", "dev"], ["test"]),
        ({"train": 9, "dev": 3, "val": 3}, (), ["train", "dev"], ["val"]),
        (
            {"training/train/a": 9, "training/train/b": 9, "training/val/a": 3, "testing/a": 3},
            ("a", "b"),
            None,
            ["testing/a"],
        ),
        # the pictures of a part in a folder of that name
        ({"train/images/a": 9, "train/images/b": 9, "test/a": 3, "test/b": 3}, ("a", "b"), None, ["test/a", "test/b"]),
        # several products, each in parts
        (
            {
                f"{name}/{part}": 6
                for name in ("bottle", "cable")
                for part in ("train/good", "test/good", "test/broken")
            },
            ("bottle", "cable"),
            ["bottle/train/good", "cable/train/good"],
            ["bottle/test/broken", "bottle/test/good", "cable/test/broken", "cable/test/good"],
        ),
    ],
)
def test_layouts(tmp_path, counts, classes, train, test):
    dataset, of_train, of_test = read(tmp_path, counts)
    assert dataset.class_names == classes
    assert of_test == test
    if train is not None:
        assert of_train == train
    used = len(dataset.train) + len(dataset.test)
    left = sum(counts.values()) - used
    assert (left > 0) == any(note.startswith("left out") for note in dataset.notes), "what is left out is said"


def test_masks_are_no_pictures(tmp_path):
    dataset, _, of_test = read(
        tmp_path / "mvtec",
        {"train/good": 20, "test/good": 6, "test/broken": 6, "test/scratch": 6, "ground_truth/broken": 6},
    )
    assert dataset.class_names == ("broken", "good", "scratch")
    assert (len(dataset.train), len(dataset.test)) == (18, 20)  # two of the train part are kept unseen, for detection
    assert of_test == ["test/broken", "test/good", "test/scratch", "train/good"]
    assert any("ground_truth (6 images)" in note for note in dataset.notes)
    assert any(note == "classes without a train image: broken, scratch" for note in dataset.notes)
    for number, counts in enumerate(
        (
            {"images": 12, "masks": 12},
            {"JPEGImages": 12, "SegmentationClass": 4, "SegmentationObject": 4},
            {"images/train": 12, "images/val": 6, "labels/train": 12, "labels/val": 6},
            {"train/images": 12, "train/masks": 12, "test/images": 6, "test/masks": 6},
            {"train_images": 12, "train_masks": 12, "test_images": 6, "test_masks": 6},
            {"a/img": 6, "a/gt": 6, "b/img": 6, "b/gt": 6},
        )
    ):
        dataset, *found = read(tmp_path / str(number), counts)
        assert not any(
            word in name.lower() for names in found for name in names for word in ("mask", "label", "segm", "gt")
        )
        assert len(dataset.train) + len(dataset.test) == sum(
            n for name, n in counts.items() if "mage" in name or "img" in name
        )
        assert any("masks" in note for note in dataset.notes)


def test_masks_are_read_where_there_is_nothing_else(tmp_path):
    dataset, _, _ = read(tmp_path, {"ground_truth/broken": 6, "ground_truth/scratch": 6})
    assert dataset.class_names == ("broken", "scratch")


def test_a_part_without_class_folders_costs_the_labels_and_not_the_run(tmp_path):
    """Tiny ImageNet: train/CLASS/images, and val/images for all classes."""
    dataset, _, of_test = read(
        tmp_path, {"train/n0/images": 6, "train/n1/images": 6, "train/n2/images": 6, "val/images": 6}
    )
    assert (dataset.class_names, dataset.train.labels, dataset.test.labels) == ((), None, None)
    assert (len(dataset.train), len(dataset.test), of_test) == (18, 6, ["val/images"])
    assert any(note.startswith("no labels: ") for note in dataset.notes)


def test_one_class_for_any_unicode_form_of_its_accents(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    made(tmp_path, {f"train/{composed}": 8, "train/tea": 8, "test/tea": 3, f"test/{decomposed}": 3})
    dataset = load_images(tmp_path)
    assert dataset.class_names == (composed, "tea")
    assert np.bincount(dataset.test.labels).tolist() == [3, 3]


def test_one_class_ignoring_capitals(tmp_path):
    dataset, _, _ = read(tmp_path / "a", {"train/Cat": 8, "train/Dog": 8, "test/cat": 3, "test/DOG": 3})
    assert dataset.class_names == ("Cat", "Dog")
    assert np.bincount(dataset.test.labels).tolist() == [3, 3]
    assert any("DOG is Dog, cat is Cat" in note for note in dataset.notes)
    if (tmp_path / "a" / "TRAIN").exists():
        pytest.skip("names that differ in capitals only can't lie beside each other here")
    dataset, _, _ = read(tmp_path / "b", {"a": 8, "A": 8})
    assert dataset.class_names == ("A", "a"), "beside each other they are meant"


def test_a_test_part_alone_is_refused(tmp_path):
    made(tmp_path, {"x/test/a": 8, "x/val/a": 8})
    with pytest.raises(ImagesError, match=r"has x/test, x/val but no train folder"):
        load_images(tmp_path)
    # a trained model encodes it all the same, and what is left out is said
    (tmp_path / "x" / "labels.csv").write_text("a")
    plan = FOLDER.plan(tmp_path, Options())
    ((name, ids),) = ((part.name, part.ids.tolist()) for part in plan.parts)
    assert name == "all"
    assert {os.path.dirname(file) for file in ids} == {"x/test/a", "x/val/a"}
    assert any("labels.csv" in note for note in plan.notes)


def test_every_picture_is_used_or_left_out(tmp_path):
    """Random folders of names that mean parts, classes and masks: no picture is lost, none is used twice."""
    names = (
        *("train", "test", "val", "Test Set", "seg_train", "seg_test", "trainA", "trainB", "testA", "images", "masks"),
        *(
            "ground_truth",
            "cat",
            "dog",
            "Cat",
            "a",
            "valid",
            "dev",
            "labels",
            "cats_train",
            "cats_test",
            "café",
            "cafe\u0301",
        ),
    )

    def grow(rng, node, depth):
        if rng.random() < 0.5:
            node.pictures = [f"{k}.png" for k in range(rng.randint(1, 4))]
            node.states = ["-"] * len(node.pictures)
        for name in rng.sample(names, rng.choice([0, 1, 1, 2, 2, 3, 4])) if depth else []:
            node.folders.append(grow(rng, Node(node.path / name, node.inside(name)), depth - 1))
        node.total = len(node.pictures) + sum(folder.total for folder in node.folders)
        return node

    def below(node):
        return [node.inside(name) for name in node.pictures] + [
            file for folder in node.folders for file in below(folder)
        ]

    refused = 0
    for seed in range(1500):
        root = grow(random.Random(seed), Node(tmp_path, ""), depth=4)
        if not root.total:
            continue
        try:
            layout = lay_out(Tree(root))
        except ImagesError:  # a test part alone
            refused += 1
            continue
        used = [file for part in layout.parts for file in part.files]
        assert len(set(used)) == len(used)
        assert set(used) <= set(below(root))
        assert len(used) == root.total or any(note.startswith("left out") for note in layout.notes), seed
        for part in layout.parts:
            assert part.files, seed
            assert len(part.states) == len(part.files)
            assert part.labels is None or len(part.labels) == len(part.files)
            truth = ["ground_truth" in file for file in part.files]
            assert not any(truth) or all("ground_truth" in file for file in below(root)), seed
    assert refused < 200


def test_pictures_in_both_parts_are_named(tmp_path):
    train, test = noise(20, 9, 9), noise(8, 9, 9, seed=1)
    test[2:7] = train[10:15]
    for name, arrays in (("train", train), ("test", test)):
        for k, array in enumerate(arrays):
            save(tmp_path / name / f"{k}.png", array)
    (note,) = load_images(tmp_path).notes
    assert note.startswith("5 of 8 test images are in the train part too")
    assert "test/2.png is train/10.png, test/3.png is train/11.png, test/4.png is train/12.png and 2 more" in note
    np.savez(tmp_path / "a.npz", x_train=train, x_test=test)
    assert any("test/2 is train/10" in note for note in load_images(tmp_path / "a.npz").notes)


@pytest.mark.parametrize(
    "name", ["train", "TRAINING_set", "trainA", "seg_train", "train 2017", "Train.Images", "trainval"]
)
def test_names_of_the_train_part(name):
    assert read_name(name).kind == "train"
    assert read_name(name).own == ()


@pytest.mark.parametrize(
    "name", ["trains", "strain", "train_test_split", "cat", "2017", "", "detest", "training-testing"]
)
def test_names_of_no_part(name):
    assert read_name(name) is None


def test_partners_share_their_other_words():
    assert partners(["bullet train", "steam train", "test tube"]) == {}
    assert set(partners(["x_train", "x_test", "y_other"])) == {"x_train", "x_test"}
    assert set(partners(["ct_train", "ct_test", "mr_test"])) == {"ct_train", "ct_test"}
