"""Arrays, folders and tables of any shape, by hypothesis: each is read with the right values, or refused in one line."""

import io
import os
import tempfile
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from latens.errors import LatensError
from latens.images import load_images
from latens.images.assemble import MINIMUM_TRAIN
from latens.text import shown

CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


def cases(count):
    """The same cases each time, without a limit of time; nothing is kept between runs."""
    return settings(max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=CHECKS)


def loaded(source, **options):
    """A data set, or the one line of its error."""
    return result_of(lambda: load_images(source, **options))


def result_of(work):
    """What is given back, or the one line of the error."""
    try:
        return work()
    except LatensError as error:
        said = str(error)
    assert said
    assert "\n" not in said
    return said


def by_id(dataset):
    """Each image by its id, as it is kept."""
    parts = (dataset.train, dataset.test)
    found = {str(id): part.pixels[row] for part in parts for row, id in enumerate(part.ids)}
    assert len(found) == sum(len(part.ids) for part in parts)
    return found


# ---- arrays

NUMBERS = [*"?bBhHiIqQ", "e", "f", "d"]
OTHERS = ["F", "U3", "S3", "M8[s]", "O"]
ORDERS = ["=", ">", "<"]
# Most are images, some are not.
FEW = st.sampled_from([9, 10, 11, 12, 12, 9, 10, 11, 12, 8, 1, 0])
CHANNELS = st.sampled_from([1, 3, 3, 1, 3, 2, 5, 8, 0])
SIDES = st.sampled_from([9, 8, 9, 10, 12, 12, 13, 20, 8, 10, 11, 12, 16, 7, 0])
RARELY = st.sampled_from([False] * 9 + [True])
AXES = ["nhw", "nhw", "nhw", "nchw", "nchw", "nchw", "nhwc", "nhwc", "nhwc", "hw", "n", "", "n1chw"]


@st.composite
def shapes(draw):
    """Shapes of images in each layout, and of what are none."""
    sides = {"n": draw(FEW), "c": draw(CHANNELS), "h": draw(SIDES), "w": draw(SIDES), "1": 1}
    return tuple(sides[axis] for axis in draw(st.sampled_from(AXES)))


@st.composite
def arrays(draw, kinds, shapes):
    """Arrays of any type, byte order and strides."""
    shape = draw(shapes)
    dtype = np.dtype(draw(st.sampled_from(kinds)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    step = draw(st.sampled_from([1, 1, 2]))
    array = values(draw, rng, tuple(step * side for side in shape), dtype)
    array = array[(..., *(slice(None, None, step * draw(st.sampled_from([1, -1]))) for _ in shape))]
    if dtype.kind not in "OUS":
        array = array.astype(array.dtype.newbyteorder(draw(st.sampled_from(ORDERS))), copy=False)
    order = draw(st.permutations(range(array.ndim)))
    array = np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order)) if array.ndim else array
    if array.size and draw(RARELY):
        array = np.broadcast_to(array[:1], array.shape) if array.ndim else array
    return array


def values(draw, rng, shape, dtype):
    """All numbers of a type, or few of them; floats may be none."""
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        low, high = draw(st.sampled_from([(info.min, info.max), (0, 1), (0, 100), (max(info.min, -5), 5), (7, 7)]))
        return rng.integers(low, high, shape, dtype=dtype, endpoint=True)
    if dtype.kind == "f":
        scale = draw(st.sampled_from([1.0, 1.0, 300.0, 6e4, 1e300 if dtype.itemsize == 8 else 1.0]))
        array = (rng.random(shape) * scale * draw(st.sampled_from([1, -1]))).astype(dtype)
        if array.size and draw(RARELY):
            array.flat[draw(st.integers(0, array.size - 1))] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
        return array
    return np.full(shape, None, object) if dtype.kind == "O" else rng.integers(0, 9, shape).astype(dtype)


def pictures_of(array, layout):
    """(N, C, H, W) by the rules of `latens.images.layout`; None where they leave it open, or it is no array of images."""
    if array.ndim == 3:
        return array[:, None]
    if array.ndim != 4:
        return None
    _, a, b, c = array.shape
    first = layout == "NCHW" if layout else None
    if first is None and {a, c} & {1, 3}:
        first = None if {a, c} <= {1, 3} else a in (1, 3)
    elif first is None:
        first = True if a < min(b, c) else False if c < min(a, b) else None
    return None if first is None else array if first else array.transpose(0, 3, 1, 2)


def kept(pictures):
    """The values that are kept; None where they can't be, or where all images are equal."""
    kind = pictures.dtype.kind
    if kind not in "buif" or pictures.size == 0:
        return None
    numbers = pictures.astype(pictures.dtype.newbyteorder("="))
    if kind == "f" and not np.isfinite(numbers).all():
        return None
    if kind == "b":
        numbers = numbers.astype(np.uint8) * 255
    elif kind == "f":
        with np.errstate(over="ignore"):
            numbers = numbers.astype(np.float32)
        if not np.isfinite(numbers).all():
            return None
    elif kind == "i" or numbers.itemsize > 2:
        low, high = int(numbers.min()), int(numbers.max())
        small = np.uint8 if low >= 0 and high <= 255 else np.uint16 if low >= 0 and high <= 65_535 else np.float32
        numbers = numbers.astype(small)
    if numbers.dtype == np.uint8 and numbers.max() == 1:  # masks
        numbers = numbers * np.uint8(255)
    flat = numbers.reshape(len(numbers), -1)
    return None if (flat == flat[0]).all() else numbers


def is_readable(pictures):
    return (
        pictures is not None
        and len(pictures) > MINIMUM_TRAIN
        and pictures.shape[1] > 0
        and min(pictures.shape[2:]) >= 8
    )


@cases(250)
@given(array=arrays(4 * NUMBERS + OTHERS, shapes()), layout=st.sampled_from([None, "NCHW", "NHWC"]))
def test_arrays_are_read_as_they_are_or_refused(array, layout):
    found = loaded(array, layout=layout)
    pictures = pictures_of(array, layout)
    expected = kept(pictures) if is_readable(pictures) else None
    if expected is None:
        assert isinstance(found, str), (array.shape, array.dtype)
        return
    assert not isinstance(found, str), found
    images = by_id(found)
    assert set(images) == {str(row) for row in range(len(array))}
    for id, image in images.items():
        assert image.dtype == expected.dtype
        np.testing.assert_array_equal(image, expected[int(id)])


@cases(60)
@given(array=arrays(NUMBERS, shapes()), suffix=st.sampled_from(["npy", "npz"]), layout=st.sampled_from([None, "NCHW"]))
def test_files_of_arrays_are_read_as_the_arrays(array, suffix, layout):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"images.{suffix}"
        if suffix == "npy":
            np.save(path, array)
        else:
            np.savez(path, images=array)
        one, other = loaded(array, layout=layout), loaded(path, layout=layout)
        assert isinstance(one, str) == isinstance(other, str), (one, other)
        if not isinstance(one, str):
            assert one.fingerprint == other.fingerprint
            images, again = by_id(one), by_id(other)
            assert set(images) == set(again)
            for id, image in images.items():
                np.testing.assert_array_equal(image, again[id])


LABELS = st.one_of(
    st.integers(-3, 3),
    st.integers(2**62, 2**70),
    st.text(max_size=3),
    st.booleans(),
    st.none(),
    st.floats(allow_nan=True, width=16),
)


@cases(150)
@given(
    labels=st.one_of(
        *(st.lists(kind, min_size=11, max_size=13) for kind in (st.integers(-3, 3), st.text(max_size=2), LABELS))
    )
)
def test_labels_go_with_their_images_or_are_refused(labels):
    pixels = np.arange(12 * 64, dtype=np.uint16).reshape(12, 8, 8)
    found = loaded(pixels, labels=labels)
    if isinstance(found, str):
        assert (
            len(labels) != 12
            or len({type(one) for one in labels}) > 1
            or not isinstance(labels[0], int)
            or len(set(labels)) < 2
        )
        return
    assert len(labels) == 12
    classes = {}
    for part in (found.train, found.test):
        for id, label in zip(part.ids, [] if part.labels is None else part.labels, strict=part.labels is not None):
            classes.setdefault(int(label), set()).add(str(labels[int(id)]).strip())
    names = [frozenset(one) for one in classes.values()]
    assert all(len(one) == 1 for one in names), classes
    assert len(set(names)) == len(names)


OF_A_RUN = st.sampled_from(
    [(3, 12, 12), (2, 1, 12, 12), (1, 12, 12), (4, 12, 12), (2, 12, 12, 1), (2, 14, 10), (12, 12)]
)


@cases(80)
@given(array=arrays([*"BBBefd?Hi"], OF_A_RUN))
def test_a_run_encodes_arrays_of_any_strides_or_refuses_them(finished_run, array):
    of_images = array.shape[-2:] == (12, 12) and (array.ndim == 3 or (array.ndim == 4 and array.shape[1] == 1))
    of_numbers = array.dtype == np.uint8 or (array.dtype.kind == "f" and bool(((array >= 0) & (array <= 1)).all()))
    latents = result_of(lambda: finished_run.encode(array))
    if isinstance(latents, str):
        assert not (of_images and of_numbers), latents
        return
    assert of_images
    assert of_numbers
    assert (latents.dtype, latents.shape) == (np.float32, (len(array), 8))
    plain = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("=")))
    np.testing.assert_array_equal(latents, finished_run.encode(plain))


# ---- folders

NAMES = st.one_of(
    st.sampled_from(
        [
            "a",
            "b",
            "cats",
            "train",
            "test",
            "val",
            "images",
            "labels",
            "masks",
            ".hidden",
            "A",
            "1",
            "10",
            "é",
            "e\u0301",
        ]
    ),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=6),
)
ENDINGS = st.sampled_from([".png", ".png", ".png", ".PNG", ".bmp", ".txt", ""])
KINDS = st.sampled_from(["good", "good", "good", "good", "good", "wide", "colour", "empty", "noise", "cut"])


@st.composite
def trees(draw):
    """Files by their paths: what each holds."""
    places = draw(st.lists(st.lists(NAMES, max_size=2), min_size=1, max_size=4))
    return {
        "/".join([*draw(st.sampled_from(places)), draw(NAMES) + str(number) + draw(ENDINGS)]): draw(KINDS)
        for number in range(draw(st.integers(9, 16)))
    }


def picture(number, kind):
    """The content of a file, and its image (C, H, W); None where it is none."""
    height, width, channels = 8, 8 + 4 * (kind == "wide"), 3 if kind == "colour" else 1
    pixels = np.random.default_rng(number).integers(0, 255, (height, width, channels), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(file, "PNG")
    content = {"empty": b"", "noise": b"no picture", "cut": file.getvalue()[:40]}.get(kind, file.getvalue())
    return content, pixels.transpose(2, 0, 1) if kind in ("good", "wide", "colour") else None


@cases(120)
@given(tree=trees())
def test_folders_are_read_as_they_are_or_refused(tree):
    with tempfile.TemporaryDirectory() as temporary:
        folder, images = Path(temporary) / "data", {}
        for number, (name, kind) in enumerate(tree.items()):
            path = folder / name
            content, image = picture(number, kind)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            except OSError:  # "." and "..", or a file where a folder is
                continue
            images[shown(os.path.relpath(path, folder))] = image
        found = loaded(folder)
        if isinstance(found, str):
            return
        of_files = by_id(found)
        good = {name: image for name, image in images.items() if image is not None}
        for id, image in of_files.items():
            assert id in good, (id, sorted(good))
            expected = good[id]
            if expected.shape[1:] == image.shape[1:]:
                np.testing.assert_array_equal(
                    image, np.repeat(expected, len(image) // len(expected), 0) if len(expected) == 1 else image
                )
        left_out = {name for name in good if name not in of_files}
        assert not left_out or found.notes, left_out
        for part in (found.train, found.test):
            for id, label in zip(part.ids, [] if part.labels is None else part.labels, strict=part.labels is not None):
                # Forms of accents are one class.
                assert found.class_names[label] in normalize("NFC", str(id)).split("/")[:-1]


# ---- tables

CELLS = st.one_of(
    st.sampled_from(["a", "b", "c"]), st.text(max_size=4), st.integers(-2, 2), st.none(), st.just(float("nan"))
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of 12 images."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        (folder / f"{number}.png").write_bytes(picture(number, "good")[0])
    return folder


@cases(100)
@given(
    rows=st.lists(st.tuples(st.integers(0, 13), CELLS), max_size=16),
    column=st.sampled_from(["label", "class", "x"]),
    as_text=st.booleans(),
)
def test_tables_give_each_image_its_own_cell_or_are_refused(pictures, rows, column, as_text):
    cells = [str(cell) if as_text else cell for _, cell in rows]
    table = {"file_name": [f"{number}.png" for number, _ in rows], column: cells}
    found = loaded(pictures, table=table)
    if isinstance(found, str):
        return
    given = dict(zip(table["file_name"], cells, strict=True))
    for part in (found.train, found.test):
        assert set(map(str, part.ids)) <= {f"{number}.png" for number in range(12)}
        for id, label in zip(part.ids, [] if part.labels is None else part.labels, strict=part.labels is not None):
            if label >= 0:
                assert found.class_names[label] == str(given[str(id)]).strip()
