"""Images in memory of every type and mode, labels of every kind. Expected values are computed without latens."""

import colorsys
import unicodedata

import numpy as np
import pytest
import torch
from PIL import Image

from latens.errors import ImagesError, UsageError
from latens.images import load_images
from latens.images.given import as_array, label_array
from latens.latents import as_pixels
from pictures import noise, save

COUNT = 20


def by_row(dataset):
    """All pictures in their first order, (N, C, H, W), and their classes by name."""
    order = np.argsort([int(row) for part in (dataset.train, dataset.test) for row in part.ids])
    pixels = np.concatenate([dataset.train.pixels, dataset.test.pixels])[order]
    if dataset.train.labels is None:
        return pixels, None
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])[order]
    return pixels, [dataset.class_names[label] for label in labels]


# Arrays and tensors


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_tensors_of_every_float(dtype):
    values = torch.rand(COUNT, 9, 8, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    pixels, _ = by_row(load_images(values))
    assert pixels.dtype == np.float32
    assert (pixels[:, 0] == values.detach().double().numpy().astype(np.float32)).all()


def test_odd_tensors():
    bytes_ = torch.from_numpy(noise(COUNT, 9, 8))
    assert (by_row(load_images(bytes_))[0][:, 0] == bytes_.numpy()).all()
    sparse = (bytes_ * (bytes_ > 200)).to_sparse()
    assert (by_row(load_images(sparse))[0][:, 0] == (bytes_ * (bytes_ > 200)).numpy()).all()
    turned = bytes_.transpose(1, 2)
    assert (by_row(load_images(turned))[0][:, 0] == bytes_.numpy().transpose(0, 2, 1)).all()
    assert (by_row(load_images(list(bytes_)))[0][:, 0] == bytes_.numpy()).all()
    with pytest.raises(UsageError, match="Tensor can't be read as an array"):
        load_images(torch.zeros(COUNT, 9, 8, device="meta"))


def test_a_model_is_given_the_same_types():
    values = torch.rand(3, 1, 9, 8, requires_grad=True)
    assert np.allclose(as_pixels(values.to(torch.bfloat16), (1, 9, 8)), values.detach().numpy(), atol=0.01)


class Stubborn:
    """An array of another library that doesn't give its content away."""

    def __array__(self, *arguments, **options):
        raise TypeError("Implicit conversion to a host array is not allowed.\nUse .get()")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Stubborn(), "Implicit conversion"),
        (np.ma.masked_equal(noise(COUNT, 9, 8), 7), "masked"),
        ([[1, 2], [3]], r"\(2,\) in row 0, \(1,\) in row 1"),
        ([[[1, 2], [3]]], "row 0 of the list"),
        ([noise(9, 8), Image.new("L", (8, 9))], "mixes"),
        ([noise(1, 9, 8)[0], noise(1, 9, 8)[0] / 255], "different types"),
        ([(noise(1, 9, 8)[0], 3)], "row 0 of the list"),
        (["a.png", "b.png"], "2 of 2 files that are not there, 'a.png' first"),
        (np.array(["a.png", "b.png"]), "2 of 2 files"),
        ([None] * 9, "row 0.*NoneType"),
        (iter([1]), r"list_iterator: an array of shape \(1,\)"),
        ([{}] * 9, "row 0.*dict"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(source, words):
    with pytest.raises((ImagesError, UsageError), match=words) as caught:
        load_images(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", [{1, 2}, {"a": 1}, 3, object()])
def test_what_is_no_source_at_all(source):
    with pytest.raises(UsageError, match="a source of type"):
        load_images(source)


# Pillow images


def colours(mode):
    """20 images in a mode of Pillow's, and what they show: (H, W) or (H, W, 3)."""
    images, truth = [], []
    for number in range(COUNT):
        base = noise(1, 9, 8, 3, seed=number)[0]
        if mode == "P":
            palette, indices = noise(1, 256, 3, seed=number)[0], base[..., 0]
            image = Image.fromarray(indices)
            image.putpalette(palette.tobytes())
            truth.append(palette[indices])
        elif mode == "HSV":
            image = Image.frombytes("HSV", (8, 9), base.tobytes())
            truth.append([[[255 * v for v in colorsys.hsv_to_rgb(*(pixel / 255))] for pixel in row] for row in base])
        elif mode == "CMYK":
            inks = noise(1, 9, 8, 4, seed=number)[0]
            image = Image.frombytes("CMYK", (8, 9), inks.tobytes())
            truth.append(255 * (1 - inks[..., :3] / 255) * (1 - inks[..., 3:] / 255))
        elif mode == "YCbCr":
            image = Image.frombytes("YCbCr", (8, 9), base.tobytes())
            y, cb, cr = (base[..., i].astype(float) - (0, 128, 128)[i] for i in range(3))
            rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=2)
            truth.append(rgb.clip(0, 255))
        elif mode == "RGBA":
            alpha = noise(1, 9, 8, seed=number + 100)[0]
            image = Image.fromarray(np.dstack([base, alpha]))
            truth.append(base * (alpha[..., None] / 255) + 255 - alpha[..., None])
        elif mode == "LA":
            image = Image.merge("LA", [Image.fromarray(base[..., i]) for i in (0, 1)])
            truth.append(base[..., 0] * (base[..., 1] / 255) + 255 - base[..., 1])
        elif mode == "1":
            image = Image.fromarray(base[..., 0] > 127)
            truth.append(255 * (base[..., 0] > 127))
        elif mode == "I;16":
            deep = base[..., 0].astype(np.uint16) * 256 + base[..., 1]
            image = Image.fromarray(deep)
            truth.append(deep / 257)
        elif mode == "F":
            floats = (base[..., 0] / 255).astype(np.float32)
            image = Image.fromarray(floats)
            truth.append(floats * 255)
        else:
            image = Image.fromarray(base if mode == "RGB" else base[..., 0])
            truth.append(base if mode == "RGB" else base[..., 0])
        assert image.mode == mode
        images.append(image)
    return images, np.array(truth)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "F", "RGB", "RGBA", "P", "HSV", "YCbCr", "CMYK"])
def test_pillow_images_of_every_mode(mode):
    images, truth = colours(mode)
    pixels, _ = by_row(load_images(images))
    assert pixels.shape[1] == (1 if truth.ndim == 3 else 3)
    shown = pixels[:, 0] if truth.ndim == 3 else pixels.transpose(0, 2, 3, 1)
    shown = shown * {"I;16": 1 / 257, "F": 255}.get(mode, 1)  # the numbers of these are kept as they are
    assert np.abs(shown - truth).max() <= (4 if mode == "HSV" else 1.5)


def test_lab_is_colour():
    """L* of 100 is white, of 0 black; a* of +60 is red, of -60 green (a* and b* are signed bytes)."""
    lab = [[255, 0, 0], [0, 0, 0], [136, 60, 0], [136, 256 - 60, 0]]
    images = [Image.frombytes("LAB", (8, 8), bytes(colour) * 64) for colour in lab] * 5
    pixels, _ = by_row(load_images(images))
    white, black, red, green = pixels[:4, :, 4, 4].astype(int)
    assert white.min() >= 250
    assert black.max() <= 5
    assert red[0] > red[1] + 60
    assert green[1] > green[0] + 60


def test_grey_and_colour_images_in_one_list():
    images = [Image.fromarray(picture) for picture in noise(10, 9, 8)]
    images += [Image.fromarray(picture) for picture in noise(10, 9, 8, 3, seed=1)]
    dataset = load_images(images)
    assert dataset.shape == (3, 9, 8)
    assert dataset.notes[0] == "10 grey images among 20 were turned into RGB"
    assert (by_row(dataset)[0][:10, 2] == noise(10, 9, 8)).all()


def test_pillow_images_of_several_sizes_need_a_size():
    images = [Image.fromarray(noise(1, 20 + n % 2, 30, seed=n)[0]) for n in range(COUNT)]
    with pytest.raises(ImagesError, match=r"20 x 30 in row 0, 21 x 30 in row 1.*size=64"):
        load_images(images)
    assert load_images(images, size=16).shape == (1, 16, 16)
    assert load_images([image.resize((30, 20)) for image in images]).shape == (1, 20, 30)


def test_an_opened_photograph_is_turned_as_its_camera_says(tmp_path):
    tag = Image.Exif()
    tag[0x112] = 6
    for number, picture in enumerate(noise(COUNT, 9, 12)):
        save(tmp_path / f"{number}.png", picture, exif=tag)
    dataset = load_images([Image.open(tmp_path / f"{number}.png") for number in range(COUNT)])
    assert (by_row(dataset)[0][:, 0] == np.rot90(noise(COUNT, 9, 12), -1, axes=(1, 2))).all()


@pytest.mark.parametrize(("dtype", "kept"), [(np.int32, np.float32), (np.uint16, np.uint16), (np.float32, np.float32)])
def test_deep_pillow_images_keep_their_numbers(dtype, kept):
    values = noise(COUNT, 9, 8).astype(dtype) * dtype(257) + dtype(1)
    values[0, 0, 0] = 70000 if dtype != np.uint16 else 65535
    pixels, _ = by_row(load_images([Image.fromarray(one) for one in values]))
    assert pixels.dtype == kept
    assert (pixels[:, 0] == values).all()
    small = load_images([Image.fromarray(one[: 8 + row % 2]) for row, one in enumerate(values)], size=8)
    assert small.train.pixels.dtype == kept
    assert any("10 of 20" in note for note in small.notes)


def test_pillow_images_that_can_not_be_used(tmp_path):
    path = save(tmp_path / "a.png", noise(1, 40, 40)[0])
    path.write_bytes(path.read_bytes()[:-200])
    with Image.open(path) as broken, pytest.raises(ImagesError, match="row 0"):
        load_images([broken] * 9)
    with pytest.raises(ImagesError):
        load_images(Image.new("L", (9, 9)))


# Paths


@pytest.mark.parametrize(
    "as_list", [list, lambda paths: [str(path) for path in paths], lambda paths: np.array(paths, dtype=str)]
)
def test_lists_of_paths_keep_their_order_and_labels(tmp_path, as_list):
    pictures = noise(COUNT, 9, 8)
    paths = [save(tmp_path / "ab"[n % 2] / f"{n}.png", picture) for n, picture in enumerate(pictures)]
    paths = paths[::-1]
    names = [f"k{n}" for n in range(COUNT - 1, -1, -1)]
    dataset = load_images(as_list(paths), labels=names)
    found = {}
    for part in (dataset.train, dataset.test):
        for row, name in enumerate(part.ids):
            found[str(name)] = (part.pixels[row, 0], dataset.class_names[part.labels[row]])
    assert set(found) == {str(path) for path in paths}
    for n, picture in enumerate(pictures):
        pixels, label = found[str(tmp_path / "ab"[n % 2] / f"{n}.png")]
        assert (pixels == picture).all()
        assert label == f"k{n}"
    assert dataset.class_names == tuple(f"k{n}" for n in range(COUNT))


def test_lists_of_paths_by_the_rules_for_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n in range(COUNT):
        save(f"{n}.png", noise(1, 20 + n % 2, 30, 3, seed=n)[0])
    (tmp_path / "0.png").write_bytes(b"broken")
    dataset = load_images([f"{n}.png" for n in range(COUNT)] + ["1.png"], size=16)
    assert dataset.shape == (3, 16, 16)
    assert len(dataset.train) + len(dataset.test) == COUNT
    assert any("0.png" in note for note in dataset.notes)


# Labels

TEXT = [f"class {number % 11}" for number in range(22)]


def text_labels():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    yield "list", TEXT
    yield "tuple", tuple(TEXT)
    yield "array", np.array(TEXT)
    yield "column", np.array(TEXT)[:, None]
    yield "objects", np.array(TEXT, dtype=object)
    yield "bytes", np.array([text.encode() for text in TEXT])
    yield "list of bytes", [text.encode() for text in TEXT]
    yield "StringDType", np.array(TEXT, dtype=np.dtypes.StringDType())
    yield "list of np.str_", list(np.array(TEXT))
    yield "Series", pandas.Series(TEXT)
    yield "Series of objects", pandas.Series(TEXT, dtype=object)
    yield "Series of string", pandas.Series(TEXT, dtype="string")
    yield "Series with another index", pandas.Series(TEXT, index=range(100, 122))
    yield "Index", pandas.Index(TEXT)
    yield "Categorical", pandas.Categorical(TEXT)
    yield "category", pandas.Series(TEXT, dtype="category")
    yield "DataFrame of one column", pandas.DataFrame({"label": TEXT})
    yield "polars", polars.Series(TEXT)
    yield "polars category", polars.Series(TEXT).cast(polars.Categorical)


def test_text_labels_of_every_kind_sort_as_folders_do():
    array = noise(22, 8, 8)
    for name, labels in text_labels():
        dataset = load_images(array, labels=labels)
        assert dataset.class_names == tuple(f"class {number}" for number in range(11)), name
        assert by_row(dataset)[1] == TEXT, name


def number_labels():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    numbers = [7, 3, 12] * 7
    yield "list", numbers
    yield "floats", [float(number) for number in numbers]
    yield "column", np.array(numbers)[:, None]
    for dtype in ("u1", "i1", "u8", ">i4", "f2", "f8", object):
        yield str(dtype), np.array(numbers).astype(dtype)
    yield "tensor", torch.tensor(numbers)
    yield "bfloat16", torch.tensor(numbers).bfloat16()
    yield "gradient", torch.tensor(numbers).float().requires_grad_()
    yield "list of tensors", list(torch.tensor(numbers))
    yield "list of numpy", list(np.array(numbers))
    yield "Series", pandas.Series(numbers)
    yield "Int64", pandas.Series(numbers, dtype="Int64")
    yield "polars", polars.Series(numbers)
    yield "one-hot", np.eye(13)[numbers]
    yield "one-hot bools", np.eye(13, dtype=bool)[numbers]
    yield "one-hot tensor", torch.nn.functional.one_hot(torch.tensor(numbers))


def test_numbers_of_every_kind_as_labels():
    for name, labels in number_labels():
        dataset = load_images(noise(21, 8, 8), labels=labels)
        assert dataset.class_names == ("3", "7", "12"), name
        assert by_row(dataset)[1] == ["7", "3", "12"] * 7, name
        assert dataset.train.labels.dtype == np.int64, name


def test_numbers_beyond_int64_are_classes_of_their_own():
    large = [2**63, 2**64 - 1, 5]
    for labels in (np.array(large * 7, dtype=np.uint64), large * 7, np.array(large * 7, dtype=object)):
        dataset = load_images(noise(21, 8, 8), labels=labels)
        assert dataset.class_names == ("5", "9223372036854775808", "18446744073709551615")
        assert by_row(dataset)[1] == [str(number) for number in large] * 7


def test_forms_of_accents_are_one_class():
    names = ["café", unicodedata.normalize("NFD", "café")] * 10
    assert load_images(noise(20, 8, 8), labels=names).class_names == ("café",)


def test_class_names_hold_no_control_characters():
    names = load_images(noise(20, 8, 8), labels=["a\x1b[2J", "\ud800", "b\n"] * 6 + ["c", "c"]).class_names
    assert all(character.isprintable() for name in names for character in name)
    assert len(names) == 4


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", None] * 10, "row 1 has no label"),
        (["a", float("nan")] * 10, "row 1 has no label"),
        ([1, None] * 10, "row 1 has no label"),
        ([1.0, float("nan")] * 10, "row 1 has no label"),
        ([1, 2.5] * 10, "row 1 has the label 2.5"),
        (["a", 1] * 10, r"text \(row 0\) and number \(row 1\)"),
        ([b"\xff"] * 20, "row 0.*UTF-8"),
        (np.array([b"\xff\xfe"] * 20), "row 0.*UTF-8"),
        ([object()] * 20, "labels of type object"),
        (np.full((20, 3), 1), "one-hot"),
        (np.zeros((20, 3)), "one-hot"),
        ([[1, 2], [3]], "array"),
        (np.zeros(20, complex), "complex"),
        (np.zeros(20, "M8[s]"), "datetime"),
        (np.zeros(19, int), "19 labels for 20"),
        ({"a": 1}, "dict"),
        ("cat", "str"),
        (7, "int"),
        (iter([1]), "iterator"),
    ],
)
def test_labels_that_are_none_are_refused_in_one_line(labels, words):
    with pytest.raises((ImagesError, UsageError), match=words) as caught:
        load_images(noise(20, 8, 8), labels=labels)
    assert "\n" not in str(caught.value)


def test_missing_labels_of_pandas():
    pandas = pytest.importorskip("pandas")
    for labels in (
        pandas.Series(["a", None] * 10),
        pandas.Series(["a", None] * 10, dtype="string"),
        pandas.Series([1, None] * 10, dtype="Int64"),
        pandas.Series(["a", None] * 10, dtype="category"),
    ):
        with pytest.raises(ImagesError, match="row 1 has no label"):
            label_array(labels, "labels")


def test_arrays_are_not_copied_for_nothing():
    array = noise(3, 4)
    assert np.shares_memory(as_array(array, "x"), array)
