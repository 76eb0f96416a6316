"""The data sets with a name, arrays, the contract of `Images`, splitting and describing."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import latens.images
from latens.errors import ImagesEmpty, ImagesError, ImagesNotFound, UsageError
from latens.images import SOURCES, contact_sheet, load_images, summary
from latens.images.contract import make_images
from latens.images.idx import IdxFile
from latens.images.split import content_hashes, split_by_class, split_by_content
from pictures import noise

FOLDER = Path(latens.images.__file__).parent / "mnist"


@pytest.fixture(scope="module")
def mnist():
    return load_images("mnist")


def test_mnist_is_mnist(mnist):
    assert (len(mnist.train), len(mnist.test), mnist.shape) == (60_000, 10_000, (1, 28, 28))
    assert mnist.class_names == tuple("0123456789")
    # the first labels and the counts of the test part, from the literature
    assert mnist.train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert np.bincount(mnist.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.train.pixels.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert mnist.train.pixels.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    assert len(set(mnist.train.ids) | set(mnist.test.ids)) == 70_000


def test_shipped_files_have_the_hashes_that_lie_beside_them():
    lines = (FOLDER / "SHA256SUMS").read_text().split("\n")
    expected = {name: digest for digest, name in (line.split() for line in lines if line)}
    assert len(expected) == 4
    for name, digest in expected.items():
        file = IdxFile.open(FOLDER / f"{name}.gz")
        header = bytes([0, 0, 8, len(file.shape)]) + b"".join(n.to_bytes(4, "big") for n in file.shape)
        assert hashlib.sha256(header + file.array().tobytes()).hexdigest() == digest


def test_no_torch():
    code = "import sys; from latens.images import load_images; load_images('mnist'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_source_in_the_table_can_be_asked():
    for name, source in SOURCES.items():
        assert source.accepts("nothing of this name") is False, name
        assert source.accepts(3.5) is False, name


def test_array_layouts_and_types_give_the_same_pictures():
    grey, colour = noise(30, 10, 12), noise(30, 10, 12, 3)
    first = load_images(grey)
    assert (first.shape, first.name, first.class_names) == ((1, 10, 12), "array", ())
    for other in (grey[..., None], grey[:, None], grey.astype(np.int64), grey.astype(np.int16), grey.astype(">u4")):
        assert load_images(other).fingerprint == first.fingerprint
    assert load_images(list(grey)).fingerprint == first.fingerprint
    floats = load_images(grey / 255.0)
    assert floats.fingerprint == load_images((grey / 255).astype(np.float32)).fingerprint != first.fingerprint
    assert floats.train.pixels.dtype == np.float32
    row = int(floats.train.ids[0])
    assert (floats.train.inputs[0, 0] == (grey[row] / 255).astype(np.float32)).all()
    last, front = load_images(colour), load_images(colour.transpose(0, 3, 1, 2))
    assert last.shape == (3, 10, 12)
    assert last.fingerprint == front.fingerprint != first.fingerprint
    row = int(last.train.ids[4])
    assert (last.train.pixels[4].transpose(1, 2, 0) == colour[row]).all()


def test_bool_is_black_and_white():
    dataset = load_images(noise(20, 8, 8) > 127)
    assert np.unique(dataset.train.pixels).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((20, 784), np.uint8), "reshape"),
        (np.zeros((20, 3, 12, 3), np.uint8), "two axes"),
        (np.zeros((20, 12, 12, 12), np.uint8), "leaves open.*--layout"),
        (np.zeros((20, 65, 80, 90), np.uint8), "at most 64"),
        (np.full((20, 12, 12), np.nan), "NaN"),
        (np.full((20, 12, 12), 1e300), "more than float32"),
        (np.zeros((20, 12, 12), complex), "complex"),
        (np.zeros((20, 12, 12), [("a", "u1")]), "type"),
        (np.zeros((20, 12, 12), object), "never unpickled"),
        (np.zeros((20, 5, 12), np.uint8), "too small"),
        (np.zeros((20, 12, 513), np.uint8), "too large.*--size"),
        (np.zeros((20, 12, 12), np.uint8), "are equal"),
        ([np.zeros((9, 9)), np.zeros((9, 8))], "row 1"),
    ],
)
def test_arrays_that_are_no_pictures(array, words):
    with pytest.raises(ImagesError, match=words) as caught:
        load_images(array)
    assert "\n" not in str(caught.value)


def test_the_row_of_a_bad_value_is_named():
    array = noise(40, 8, 8) / 255
    array[33, 2, 2] = np.inf
    with pytest.raises(ImagesError, match="row 33"):
        load_images(array)


@pytest.mark.parametrize("source", [[], np.zeros((0, 8, 8), np.uint8), noise(7, 8, 8)])
def test_nothing_or_too_little(source):
    with pytest.raises(ImagesEmpty):
        load_images(source)


def test_labels_of_arrays():
    array = noise(60, 8, 8)
    text = load_images(array, labels=np.array(["dog", "cat", "ape"] * 20))
    assert text.class_names == ("ape", "cat", "dog")
    assert [text.class_names[k] for k in text.train.labels[:3]] == [
        ["dog", "cat", "ape"][int(row) % 3] for row in text.train.ids[:3]
    ]
    numbers = load_images(array, labels=[[7], [3], [9]] * 20)
    assert (numbers.class_names, numbers.train.labels.dtype) == (("3", "7", "9"), np.int64)
    for wrong in (np.zeros(59), np.zeros((60, 10)), np.full(60, 0.5), np.full(60, None)):
        with pytest.raises(ImagesError):
            load_images(array, labels=wrong)
    with pytest.raises(UsageError, match="labels"):
        load_images("mnist", labels=[1])


def test_size_of_arrays():
    ramp = np.broadcast_to(np.linspace(0, 1, 40)[:, None], (20, 40, 20)) * np.linspace(0.1, 1, 20)[:, None, None]
    dataset = load_images(ramp, size=(10, 10), fit="crop")
    assert dataset.shape == (1, 10, 10)
    assert "40 x 20 to 10 x 10" in dataset.notes[0]
    # the centre 20 x 20 of the ramp, in steps of two rows; each output row is their mean but for rounding and the filter's reach
    brightest = dataset.train.pixels.max(axis=(1, 2, 3)).argmax()
    scale = np.linspace(0.1, 1, 20)[int(dataset.train.ids[brightest])]
    expected = np.linspace(0, 1, 40)[10:30].reshape(10, 2).mean(1) * scale
    assert np.abs(dataset.train.pixels[brightest, 0, 2:-2, 5] - expected[2:-2]).max() <= 2 / 255
    assert load_images(noise(20, 600, 600), size=16).options == {"size": 16, "strict": False}
    assert load_images(noise(20, 4, 4), size=16).shape == (1, 16, 16)


@pytest.mark.parametrize("size", [7, 513, 32.5, True, (32,), (32, 32, 3), "64", (8, 600)])
def test_sizes_that_are_not_allowed(size):
    with pytest.raises(UsageError, match="size"):
        load_images(noise(20, 8, 8), size=size)


@pytest.mark.parametrize(("source", "words"), [("mnsit", "did you mean 'mnist'"), ("fashion_mnist", "'fashion-mnist'")])
def test_not_found(source, words):
    with pytest.raises(ImagesNotFound, match=words):
        load_images(source)


def test_not_found_near_a_file(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ImagesNotFound, match="did you mean 'pictures'"):
        load_images(tmp_path / "picturs")


def test_what_is_no_source(tmp_path):
    with pytest.raises(UsageError, match="empty"):
        load_images("")
    with pytest.raises(UsageError, match="float"):
        load_images(3.5)
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(ImagesError, match="unpack"):
        load_images(tmp_path / "a.zip")


def test_split_depends_on_content_only():
    array = noise(105, 8, 8)
    order = np.random.default_rng(1).permutation(105)
    one, other = load_images(array), load_images(array[order])
    assert len(one.test) == 11  # a tenth, rounded up
    assert {p.tobytes() for p in one.test.pixels} == {p.tobytes() for p in other.test.pixels}
    smallest = sorted(hashlib.blake2b(p.tobytes(), digest_size=16).digest() for p in array)[:11]
    assert {hashlib.blake2b(p.tobytes(), digest_size=16).digest() for p in one.test.pixels} == set(smallest)


def test_split_keeps_equal_pictures_together():
    array = np.concatenate([noise(30, 8, 8)] * 3 + [np.zeros((60, 8, 8), np.uint8)])
    dataset = load_images(array)
    train, test = ({p.tobytes() for p in part.pixels} for part in (dataset.train, dataset.test))
    assert not train & test
    assert bytes(64) in train, "the many blank images stay in the train part"
    assert len(dataset.train) + len(dataset.test) == 150
    assert 15 <= len(dataset.test) <= 30


@pytest.mark.parametrize("counts", [[1] * 10, [5, 5], [100, 1], [3, 3, 3], [1]])
def test_split_of_few(counts):
    hashes = [bytes([k]) for k, count in enumerate(counts) for _ in range(count)]
    train, test = split_by_content(hashes)
    assert sorted([*train, *test]) == list(range(len(hashes)))
    assert (min(len(train), len(test)) > 0) == (len(counts) > 1)
    assert not {hashes[k] for k in train} & {hashes[k] for k in test}


def test_images_take_and_fingerprint():
    pixels, labels = noise(20, 3, 8, 8), np.arange(20) % 2
    images = make_images(pixels, np.arange(20).astype(str), labels, ("a", "b"))
    some = images.take([3, 1])
    assert (len(some), some.ids.tolist(), some.labels.tolist(), some.num_classes) == (2, ["3", "1"], [1, 1], 2)
    assert len(images.take([])) == 0
    assert images.take(np.arange(20) >= 10).fingerprint == images.take(slice(10, None)).fingerprint
    same = make_images(pixels.copy(), np.arange(20, 40).astype(str), labels, ("a", "b"))
    assert same.fingerprint == images.fingerprint
    changed = pixels.copy()
    changed[7, 1, 2, 3] ^= 1
    others = [
        make_images(changed, images.ids, labels, ("a", "b")),
        make_images(pixels, images.ids, 1 - labels, ("a", "b")),
        make_images(pixels, images.ids, labels, ("a", "c")),
        make_images(pixels, images.ids, None),
        make_images(pixels.reshape(20, 3, 4, 16), images.ids, labels, ("a", "b")),
    ]
    assert len({images.fingerprint, *(other.fingerprint for other in others)}) == 6


def test_summary_counts_what_is_there():
    array = noise(50, 8, 8)
    array[10] = array[11] = array[12]
    dataset = load_images(array, labels=np.arange(50) % 2)
    found = summary(dataset)
    assert (found["num_train"] + found["num_test"], found["shape"], found["duplicates"]) == (50, [1, 8, 8], 2)
    assert found["duplicates_across"] == 0
    assert [sum(c[part] for c in found["classes"]) for part in ("train", "test")] == [
        found["num_train"],
        found["num_test"],
    ]
    assert found["pixel_mean"] == pytest.approx(dataset.train.pixels.mean() / 255)
    assert found["pixel_std"] == pytest.approx((dataset.train.pixels / 255).std())
    assert (
        content_hashes(dataset.train.pixels[:1])[0] == hashlib.blake2b(dataset.train.pixels[0], digest_size=16).digest()
    )


def test_contact_sheet_shows_every_class_equally():
    array = np.repeat(np.arange(1, 101, dtype=np.uint8), 64).reshape(100, 8, 8)
    labels = np.array([0] * 90 + [1] * 10)
    images = make_images(array[:, None], np.arange(100).astype(str), labels, ("many", "few"))
    sheet = contact_sheet(images, rows=2, columns=4, seed=3)
    assert (sheet.shape, sheet.dtype) == ((18, 38, 1), np.uint8)
    shown = sheet[::10, ::10, 0]
    assert (shown[0] <= 90).all()
    assert (shown[1] > 90).all()
    assert len(np.unique(shown)) == 8
    assert (contact_sheet(images, 2, 4, 3) == sheet).all()
    assert (contact_sheet(images, 2, 4, 4) != sheet).any()
    few = contact_sheet(images.take([0, 1]), 1, 4)
    assert (few[:, 20:] == 128).all(), "places without an image are grey"
    colour = make_images(noise(9, 3, 8, 8), np.arange(9).astype(str), None)
    assert contact_sheet(colour, 1, 2).shape == (8, 18, 3)
    with pytest.raises(UsageError):
        contact_sheet(images, 0, 4)


def plain_split_of_classes(hashes, labels):
    """The rule of `split_by_class` in plain words: classes of images, groups of equal ones, quotas."""
    rows = {}
    for row, digest in enumerate(hashes):
        rows.setdefault(digest, []).append(row)
    classes = {}
    for digest in sorted(rows):
        classes.setdefault(min(labels[row] for row in rows[digest]), []).append(rows[digest])
    return classes


@pytest.mark.parametrize("seed", range(20))
def test_each_class_has_a_test_image(seed):
    random = np.random.default_rng(seed)
    num_classes = int(random.integers(1, 12))
    labels = random.integers(0, num_classes, int(random.integers(12, 300)))
    values = random.integers(0, int(random.integers(5, 400)), len(labels))
    hashes = [hashlib.blake2b(bytes(str(value), "ascii"), digest_size=16).digest() for value in values]
    train, test = split_by_class(hashes, labels)
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert not {hashes[row] for row in train} & {hashes[row] for row in test}, "equal images stay together"
    chosen = set(test.tolist())
    for groups in plain_split_of_classes(hashes, labels.tolist()).values():
        in_test = [group for group in groups if group[0] in chosen]
        assert bool(in_test) == (len(groups) > 1)
        assert len(in_test) < len(groups)
        if all(len(group) == 1 for group in groups):
            assert in_test == groups[: len(in_test)], "the first by their hashes"
    order = random.permutation(len(labels))
    again = split_by_class([hashes[row] for row in order], labels[order])[1]
    assert {order[row] for row in again} == chosen, "the order does not matter"


def test_of_forty_people_with_ten_images_each_has_one_to_test():
    labels = np.repeat(np.arange(40), 10)
    dataset = load_images(noise(400, 8, 8), labels=labels)
    assert np.bincount(dataset.test.labels).tolist() == [1] * 40
    assert any("40 of 400 images, chosen in each class by content" in note for note in dataset.notes)
    uneven = load_images(noise(105, 8, 8), labels=np.repeat([0, 1, 2], [70, 33, 2]))
    assert np.bincount(uneven.test.labels).tolist() == [7, 3, 1]  # 11 of 105: 7.3, 3.5 and 0.2, at least one


def test_many_classes_of_few_images_leave_enough_to_train_on():
    dataset = load_images(noise(10, 8, 8), labels=np.arange(10) // 2)
    assert (len(dataset.train), len(dataset.test)) == (9, 1)


def test_columns_go_with_their_images():
    columns = {"age": np.arange(20.0), "place": np.array(list("abcde") * 4)}
    images = make_images(noise(20, 1, 8, 8), np.arange(20).astype(str), None, columns=columns)
    some = images.take([3, 1])
    assert (some.columns["age"].tolist(), some.columns["place"].tolist()) == ([3.0, 1.0], ["d", "b"])
    assert images[5:7].columns["age"].tolist() == [5.0, 6.0]
    assert images.fingerprint == make_images(images.pixels, images.ids, None).fingerprint
