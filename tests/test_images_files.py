"""IDX, .npy and .npz files, and Fashion-MNIST."""

import gzip
import hashlib
import http.server
import io
import re
import threading
import zipfile

import numpy as np
import pytest

from latens.errors import ImagesDamaged, ImagesEmpty, ImagesError, ImagesNotFound, UsageError
from latens.images import fashion, load_images
from latens.images.idx import IdxFile
from pictures import idx_bytes, noise, write_idx, write_pairs

# IDX


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["", "raw", "MNIST/raw"])
def test_idx_folder(tmp_path, packed, place):
    train, labels, test, _ = write_pairs(tmp_path / place, packed)
    dataset = load_images(tmp_path)
    assert (dataset.train.pixels[:, 0] == train).all()
    assert (dataset.test.pixels[:, 0] == test).all()
    assert (dataset.train.labels == labels).all()
    assert (dataset.class_names, dataset.notes) == (("0", "1", "2"), ())


def test_idx_of_one_pair_is_split_and_labels_may_be_missing(tmp_path):
    write_idx(tmp_path / "a" / "emnist-images-idx3-ubyte", noise(30, 8, 8))
    write_idx(tmp_path / "a" / "emnist-labels-idx1-ubyte", np.arange(30, dtype=np.uint8) % 2)
    assert (len(load_images(tmp_path / "a").test), load_images(tmp_path / "a").num_classes) == (3, 2)
    write_idx(tmp_path / "b" / "train-images.idx3-ubyte", noise(30, 8, 8))
    assert load_images(tmp_path / "b").train.labels is None


def test_idx_validation_and_files_without_partner(tmp_path):
    train, labels, _, _ = write_pairs(tmp_path)
    more = noise(9, 9, 8, seed=7)
    write_idx(tmp_path / "val-images-idx3-ubyte", more)
    write_idx(tmp_path / "val-labels-idx1-ubyte", np.arange(9, dtype=np.uint8) % 3)
    write_idx(tmp_path / "extra-labels-idx1-ubyte", np.zeros(9, np.uint8))
    dataset = load_images(tmp_path)
    assert (dataset.train.pixels[:, 0] == np.concatenate([train, more])).all()
    assert dataset.train.labels.tolist() == [*labels, *(np.arange(9) % 3)]
    assert dataset.notes == (
        "the validation part val-images-idx3-ubyte (9 images) was joined to the train part",
        "not used: extra-labels-idx1-ubyte",
    )
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        (tmp_path / name).unlink()
    dataset = load_images(tmp_path)
    assert (dataset.test.pixels[:, 0] == more).all()
    assert "the test part is val-images-idx3-ubyte" in dataset.notes


def replaced(name, change):
    """A change of one file in a folder of four."""

    def apply(folder):
        path = folder / name
        path.write_bytes(change(path.read_bytes()))

    return apply


@pytest.mark.parametrize(
    ("packed", "spoil", "error", "words"),
    [
        (False, replaced("train-images-idx3-ubyte", lambda b: b[:-1]), ImagesDamaged, "train-images.*cut off"),
        (False, replaced("train-images-idx3-ubyte", lambda b: b + b"x"), ImagesDamaged, "train-images.*goes on"),
        (False, replaced("t10k-labels-idx1-ubyte", lambda b: b[:-1]), ImagesDamaged, "t10k-labels.*cut off"),
        (False, replaced("train-images-idx3-ubyte", lambda b: b"\1" + b[1:]), ImagesDamaged, "magic number 01000803"),
        (False, replaced("train-images-idx3-ubyte", lambda b: b[:2] + b"\x0d" + b[3:]), ImagesDamaged, "magic"),
        (False, replaced("train-images-idx3-ubyte", lambda b: b[:3]), ImagesDamaged, "ends too early"),
        (False, replaced("train-images-idx3-ubyte", lambda b: b""), ImagesDamaged, "ends too early"),
        (True, replaced("train-images-idx3-ubyte.gz", lambda b: b[: len(b) // 2]), ImagesDamaged, "not readable|ends"),
        (True, replaced("train-images-idx3-ubyte.gz", lambda b: b[:-6] + b"xxxxxx"), ImagesDamaged, "not readable"),
        (True, replaced("train-images-idx3-ubyte.gz", lambda b: b"no gzip"), ImagesDamaged, "not readable"),
        (
            False,
            lambda folder: write_idx(folder / "train-labels-idx1-ubyte", np.zeros(19, np.uint8)),
            ImagesError,
            "19 labels.*20 images",
        ),
        (
            False,
            lambda folder: write_idx(folder / "train-images-idx3-ubyte", np.zeros(20, np.uint8)),
            ImagesDamaged,
            "1 axes",
        ),
        (False, lambda folder: write_idx(folder / "train-labels-idx1-ubyte", noise(20, 2, 2)), ImagesDamaged, "3 axes"),
        (
            False,
            lambda folder: write_idx(folder / "t10k-images-idx3-ubyte", noise(10, 9, 9)),
            ImagesError,
            "both must be the same",
        ),
        (
            False,
            lambda folder: write_idx(folder / "x-train-images-idx3-ubyte", noise(9, 9, 8)),
            ImagesError,
            "one pair",
        ),
        (
            False,
            lambda folder: write_idx(folder / "x-images-idx3-ubyte", noise(9, 9, 8)),
            ImagesError,
            "train and t10k",
        ),
    ],
)
def test_idx_damage(tmp_path, packed, spoil, error, words):
    write_pairs(tmp_path, packed)
    spoil(tmp_path)
    with pytest.raises(error, match=words) as caught:
        load_images(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_idx_whose_header_claims_too_much(tmp_path):
    content = bytes([0, 0, 8, 3]) + (2**31).to_bytes(4, "big") + (28).to_bytes(4, "big") * 2
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(content + bytes(1000)))
    with pytest.raises(ImagesDamaged, match="header states"):
        load_images(tmp_path)
    # a file that holds more than its header states is read no further than that
    path.write_bytes(gzip.compress(idx_bytes(noise(20, 8, 8)) + bytes(10_000_000)))
    with pytest.raises(ImagesDamaged, match="goes on"):
        list(IdxFile.open(path).read(8))


def test_idx_labels_without_images(tmp_path):
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(9, np.uint8))
    with pytest.raises(ImagesError, match="without images"):
        load_images(tmp_path)


# .npy and .npz


def test_npy(tmp_path):
    array = noise(30, 10, 12, 3)
    np.save(tmp_path / "mine.npy", array)
    dataset = load_images(str(tmp_path / "mine.npy"), labels=np.arange(30) % 3)
    assert (dataset.name, dataset.shape, dataset.num_classes) == ("mine", (3, 10, 12), 3)
    assert dataset.fingerprint == load_images(array, labels=np.arange(30) % 3).fingerprint
    assert load_images(tmp_path / "mine.npy", labels=np.arange(30) % 2).num_classes == 2, "labels are part of the key"
    np.save(tmp_path / "columns.npy", np.asfortranarray(array))
    assert load_images(tmp_path / "columns.npy").fingerprint == load_images(array).fingerprint


def test_npy_damage(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, noise(30, 10, 12))
    whole = path.read_bytes()
    for content in (whole[:-1], whole[:40], b"", b"text", whole[:-1].replace(b"(30,", b"(99,")):
        path.write_bytes(content)
        with pytest.raises(ImagesDamaged, match=r"a\.npy"):
            load_images(path)
    np.save(path, np.array([{"a": 1}] * 20, dtype=object), allow_pickle=True)
    with pytest.raises(ImagesError, match="never unpickled"):
        load_images(path)
    np.save(path, np.empty((0, 9, 9), np.uint8))
    with pytest.raises(ImagesEmpty):
        load_images(path)
    np.save(path, np.full((20, 9, 9), np.nan))
    with pytest.raises(ImagesError, match=r"a\.npy.*NaN"):
        load_images(path)


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "names", ["x_train y_train x_test y_test", "train_images train_labels test_images test_labels"]
)
def test_npz_as_keras_has_it(tmp_path, write, names):
    train, test = noise(30, 9, 8), noise(10, 9, 8, seed=1)
    labels = [np.arange(n, dtype=np.uint8) % 4 for n in (30, 10)]
    write(tmp_path / "mnist.npz", **dict(zip(names.split(), (train, labels[0], test, labels[1]), strict=True)))
    dataset = load_images(tmp_path / "mnist.npz")
    assert (dataset.train.pixels[:, 0] == train).all()
    assert (dataset.test.pixels[:, 0] == test).all()
    assert (dataset.test.labels == labels[1]).all()
    assert (dataset.class_names, dataset.notes, dataset.name) == (("0", "1", "2", "3"), (), "mnist")


@pytest.mark.parametrize("names", ["images labels", "X y", "x Y", "images targets", "arr_0 arr_1"])
def test_npz_of_one_part(tmp_path, names):
    images, labels = names.split()
    array = noise(40, 3, 9, 8) / 255
    np.savez(
        tmp_path / "a.npz",
        **{images: np.asfortranarray(array), labels: np.array(["b", "a"] * 20), "latents": np.zeros(3)},
    )
    dataset = load_images(tmp_path / "a.npz")
    assert (len(dataset.train), len(dataset.test), dataset.class_names) == (36, 4, ("a", "b"))
    assert dataset.fingerprint == load_images(array, labels=["b", "a"] * 20).fingerprint


def member(archive, name, array=None, content=None):
    if content is None:
        file = io.BytesIO()
        np.lib.format.write_array(file, array, allow_pickle=True)
        content = file.getvalue()
    archive.writestr(f"{name}.npy", content)


def test_npz_damage(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=noise(30, 9, 8))
    whole = path.read_bytes()
    middle = len(whole) // 2
    for content in (whole[:middle], b"", b"text", whole[:middle] + b"x" * 40 + whole[middle + 40 :]):
        path.write_bytes(content)
        with pytest.raises(ImagesDamaged, match=r"a\.npz"):
            load_images(path)
    file = io.BytesIO()
    np.save(file, noise(30, 9, 8))
    for content in (
        file.getvalue()[:-5],
        file.getvalue().replace(b"(30,", b"(9999999999999,"),
        b"\x93NUMPY\1\0\x02\0{(",
    ):
        with zipfile.ZipFile(path, "w") as archive:
            member(archive, "images", content=content)
        with pytest.raises(ImagesDamaged, match=r"a\.npz"):
            load_images(path)


def test_npz_whose_header_claims_too_much(tmp_path):
    path = tmp_path / "a.npz"
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (50_000_000, 9, 8)}
    np.lib.format.write_array_header_1_0(file, header)
    liar, promised = file.getvalue() + bytes(1000), 50_000_000 * 72 + file.tell()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", liar)
    size, claimed = len(liar).to_bytes(4, "little"), promised.to_bytes(4, "little")
    whole = path.read_bytes()
    assert whole.count(size + size) == 2, "packed and unpacked size, in both headers of the member"
    path.write_bytes(whole.replace(size + size, size + claimed))
    with pytest.raises(ImagesDamaged, match="more than the file can hold"):
        load_images(path)


def test_an_npy_file_that_ends_too_early(tmp_path):
    np.save(tmp_path / "half.npy", noise(40, 12, 12))
    whole = (tmp_path / "half.npy").read_bytes()
    (tmp_path / "half.npy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImagesDamaged, match=r"half\.npy: ends too early: [\d.]+ kB of about [\d.]+ kB; save or get"):
        load_images(tmp_path / "half.npy")


def test_npz_that_is_no_pictures(tmp_path):
    path = tmp_path / "a.npz"
    objects = np.array([noise(1, 9, 8), None] * 10, dtype=object)
    for arrays, words in (
        ({"latents": np.zeros(3)}, "latents"),
        ({"images": noise(20, 9, 8), "x": noise(20, 9, 8)}, "images and x"),
        ({"x_test": noise(20, 9, 8)}, "x_train"),
        ({"images": noise(20, 9, 8), "labels": np.zeros(19)}, "19 labels for 20"),
        ({"x_train": noise(20, 9, 8), "x_test": noise(9, 9, 9)}, "both must be the same"),
        ({"images": objects}, "never unpickled"),
        ({"images": noise(20, 9, 8), "labels": objects}, "never unpickled"),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            for name, array in arrays.items():
                member(archive, name, np.asarray(array))
        with pytest.raises(ImagesError, match=words):
            load_images(path)
    with pytest.raises(UsageError, match="labels"):
        load_images(path, labels=[1])


@pytest.mark.parametrize(
    "names",
    [
        "X_train Y_train X_test Y_test",
        "trainImages trainLabels testImages testLabels",
        "training/images training/labels testing/images testing/labels",
        "train_x train_targets test_x test_targets",
        "images_train target_train images_test target_test",
        "xtrain ytrain xtest ytest",
        "train train_label test test_label",
    ],
)
def test_npz_names_of_the_field(tmp_path, names):
    train, test = noise(30, 9, 8), noise(10, 9, 8, seed=1)
    labels = [np.arange(n) % 4 for n in (30, 10)]
    np.savez(tmp_path / "a.npz", **dict(zip(names.split(), (train, labels[0], test, labels[1]), strict=True)))
    dataset = load_images(tmp_path / "a.npz")
    assert (dataset.train.pixels[:, 0] == train).all()
    assert (dataset.test.pixels[:, 0] == test).all()
    assert (dataset.test.labels == labels[1]).all()
    assert dataset.notes == ()


def test_labels_of_one_part_only_stop_nothing(tmp_path):
    """Training needs no labels, and a test part without them is common."""
    write_pairs(tmp_path / "idx", packed=False)
    (tmp_path / "idx" / "t10k-labels-idx1-ubyte").unlink()
    arrays = {"x_train": noise(20, 9, 8), "x_test": noise(9, 9, 8, seed=1)}
    np.savez(tmp_path / "one.npz", **arrays, y_train=np.arange(20) % 2)
    np.savez(tmp_path / "mixed.npz", **arrays, y_train=np.arange(20) % 2, y_test=np.array(["a"] * 9))
    for name, words in (
        ("idx", "has some and .*t10k.* has none"),
        ("one.npz", "x_test has none"),
        ("mixed.npz", "one are text"),
    ):
        dataset = load_images(tmp_path / name)
        assert (dataset.class_names, dataset.train.labels) == ((), None)
        assert any(re.search(f"labels were not used: .*{words}", note) for note in dataset.notes), name


@pytest.mark.parametrize("labels", ["label", "target", "targets", "classes", "class", "y", "Y", "category"])
def test_npz_names_of_labels(tmp_path, labels):
    np.savez(tmp_path / "a.npz", data=noise(30, 9, 8), **{labels: np.arange(30)[:, None] % 3})
    assert load_images(tmp_path / "a.npz").class_names == ("0", "1", "2")


@pytest.mark.parametrize("word", ["val", "valid", "validation", "dev"])
@pytest.mark.parametrize("labelled", [True, False])
def test_npz_validation_joins_train_beside_a_test_part(tmp_path, word, labelled):
    arrays = {"x_train": noise(20, 9, 8), f"x_{word}": noise(9, 9, 8, seed=1), "x_test": noise(10, 9, 8, seed=2)}
    labels = {f"y_{part}": np.arange(n) % 3 for part, n in (("train", 20), (word, 9), ("test", 10))}
    np.savez(tmp_path / "a.npz", **arrays, **(labels if labelled else {}))
    dataset = load_images(tmp_path / "a.npz")
    assert (dataset.train.pixels[:, 0] == np.concatenate([arrays["x_train"], arrays[f"x_{word}"]])).all()
    assert (dataset.test.pixels[:, 0] == arrays["x_test"]).all()
    assert (dataset.train.ids[0], dataset.train.ids[19], dataset.train.ids[20]) == (
        "train/0",
        "train/19",
        "validation/0",
    )
    assert dataset.notes == (f"the validation part x_{word} (9 images) was joined to the train part",)
    if labelled:
        assert dataset.train.labels.tolist() == [*(np.arange(20) % 3), *(np.arange(9) % 3)]


def test_npz_validation_alone_is_the_test_part(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=noise(20, 9, 8), x_val=noise(9, 9, 8, seed=1))
    dataset = load_images(tmp_path / "a.npz")
    assert (len(dataset.train), len(dataset.test), dataset.notes) == (20, 9, ("the test part is x_val",))


@pytest.mark.parametrize(
    ("validation", "labels", "words"),
    [
        (noise(9, 9, 9), np.arange(9) % 2, r"x_val .9 images., since its images have the shape \(9, 9\)"),
        (noise(9, 9, 8), None, "since it has no labels"),
        (noise(9, 9, 8), np.array(["a"] * 9), "another kind"),
    ],
)
def test_npz_validation_that_does_not_fit_is_said(tmp_path, validation, labels, words):
    arrays = {"x_train": noise(20, 9, 8), "y_train": np.arange(20) % 2, "x_val": validation}
    arrays |= {"x_test": noise(9, 9, 8, seed=3), "y_test": np.arange(9) % 2} | (
        {} if labels is None else {"y_val": labels}
    )
    np.savez(tmp_path / "a.npz", **arrays)
    dataset = load_images(tmp_path / "a.npz")
    assert len(dataset.train) == 20
    assert re.search(words, dataset.notes[0])


def test_npz_every_array_is_used_or_named(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(
        path,
        images=noise(20, 9, 8),
        labels=np.arange(20) % 2,
        latents=np.zeros((20, 3)),
        seed=np.array(7),
        test_labels=np.arange(5),
        info=np.array([{}], dtype=object),
    )
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("README.txt", "made by hand")
    (note,) = [note for note in load_images(path).notes if note.startswith("not used")]
    for words in (
        *("latents (20 x 3, float64)", "seed (one value, int64)", "test_labels (5, int64)"),
        *("info (1, Python objects)", "README.txt"),
    ):
        assert words in note


def test_npz_class_names_name_the_numbers(tmp_path):
    arrays = {"images": noise(30, 9, 8), "labels": np.arange(30) % 3}
    for names in ("class_names", "label_names", "target_names", "classes"):
        np.savez(tmp_path / "a.npz", **arrays, **{names: np.array(["plane", "car", "bird"])})
        dataset = load_images(tmp_path / "a.npz")
        assert dataset.class_names == ("plane", "car", "bird"), names
        assert not any("not used" in note for note in dataset.notes)
    np.savez(tmp_path / "a.npz", **arrays, class_names=np.array(["plane", "car"]))
    dataset = load_images(tmp_path / "a.npz")
    assert dataset.class_names == ("0", "1", "2")
    assert any("not used: class_names" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "labels", [np.zeros((20, 9, 8), int), np.random.default_rng(0).random(20), np.ones((20, 3), int)]
)
def test_npz_targets_that_are_no_classes_stop_nothing(tmp_path, labels):
    np.savez(tmp_path / "a.npz", images=noise(20, 9, 8), target=labels)
    dataset = load_images(tmp_path / "a.npz")
    assert dataset.class_names == ()
    assert dataset.notes[0].startswith("labels were not used: target: ")
    assert "not used: target (" in dataset.notes[1]


def test_npz_one_hot_labels(tmp_path):
    np.savez(tmp_path / "a.npz", x=noise(20, 9, 8), y=np.eye(4)[np.arange(20) % 4])
    assert load_images(tmp_path / "a.npz").class_names == ("0", "1", "2", "3")


def test_npz_images_under_another_name(tmp_path):
    np.savez(tmp_path / "a.npz", faces=noise(20, 9, 8), ids=np.arange(20))
    dataset = load_images(tmp_path / "a.npz")
    assert "faces was taken as the images" in dataset.notes[0]
    assert "not used: ids" in dataset.notes[1]
    np.savez(tmp_path / "a.npz", faces=noise(20, 9, 8), masks=noise(20, 9, 8))
    with pytest.raises(ImagesError, match="faces, masks"):
        load_images(tmp_path / "a.npz")


# Fashion-MNIST


@pytest.fixture
def pocket_fashion(tmp_path, own_cache, monkeypatch):
    """Four small files behind a server of our own, in place of the real ones."""
    write_pairs(tmp_path / "served", shape=(28, 28))
    (tmp_path / "served" / "log").touch()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "served"))

        def log_message(self, *arguments):
            pass

    digests = {
        name: hashlib.sha256(gzip.decompress((tmp_path / "served" / f"{name}.gz").read_bytes())).hexdigest()
        for name in fashion.SHA256
    }
    monkeypatch.setattr(fashion, "DEBIAN", tmp_path / "nowhere")
    monkeypatch.setattr(fashion, "SHA256", digests)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(fashion, "HOME", f"http://127.0.0.1:{server.server_port}/")
        yield tmp_path / "served"
        server.shutdown()


def test_fashion_is_fetched_once(pocket_fashion, own_cache):
    dataset = load_images("fashion-mnist")
    assert (dataset.source, dataset.class_names[2], len(dataset.train)) == ("fashion-mnist", "Pullover", 20)
    assert len(list((own_cache / "fashion-mnist").iterdir())) == 4
    for path in pocket_fashion.iterdir():
        path.unlink()
    assert load_images("fashion-mnist").fingerprint == dataset.fingerprint


def test_fashion_that_is_something_else(pocket_fashion, own_cache):
    write_idx(pocket_fashion / "t10k-images-idx3-ubyte.gz", noise(10, 28, 28, seed=77))
    with pytest.raises(ImagesDamaged, match="SHA-256"):
        load_images("fashion-mnist")
    (pocket_fashion / "t10k-images-idx3-ubyte.gz").write_bytes(b"<html>")
    with pytest.raises(ImagesDamaged, match="SHA-256"):
        load_images("fashion-mnist")
    (pocket_fashion / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(ImagesNotFound, match="apt install dataset-fashion-mnist") as caught:
        load_images("fashion-mnist")
    assert str(own_cache / "fashion-mnist") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fashion_without_a_network(pocket_fashion, monkeypatch):
    monkeypatch.setattr(fashion, "HOME", "http://127.0.0.1:9/")
    with pytest.raises(ImagesNotFound, match="apt install"):
        load_images("fashion-mnist")


def test_fashion_of_debian(own_cache):
    if not fashion.DEBIAN.is_dir():
        pytest.skip("dataset-fashion-mnist is not installed")
    dataset = load_images("fashion-mnist")
    assert (len(dataset.train), len(dataset.test), dataset.shape) == (60_000, 10_000, (1, 28, 28))
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    assert dataset.train.pixels.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
