"""Folders of pictures: what counts, what it means, and how each kind of file becomes pixels."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from latens.errors import ImagesDamaged, ImagesEmpty, ImagesError, UsageError
from latens.images import load_images
from latens.images.decode import decode_picture, look_at, picture_suffixes, read_values
from latens.images.folder import choose_size
from pictures import fill, noise, save


def decoded(path, channels=3, size=None):
    """One picture by the rules, (H, W) or (H, W, C), in its own size unless told."""
    look = look_at(path)
    pixels = decode_picture(path, size or look.size, channels, fit="crop")
    assert pixels.dtype == np.uint8
    return pixels[0] if channels == 1 else pixels.transpose(1, 2, 0)


def gather(dataset):
    """id -> pixels of all pictures."""
    return {str(i): p for part in (dataset.train, dataset.test) for i, p in zip(part.ids, part.pixels, strict=True)}


def test_flat(tmp_path):
    arrays = fill(tmp_path / "mine", 20)
    dataset = load_images(tmp_path / "mine")
    assert (dataset.name, dataset.shape, dataset.class_names, dataset.train.labels) == ("mine", (3, 16, 16), (), None)
    assert dataset.source == str(tmp_path / "mine")
    found = gather(dataset)
    assert len(found) == 20
    assert all((found[f"{k}.png"].transpose(1, 2, 0) == arrays[k]).all() for k in range(20))
    assert dataset.train.ids.tolist() == sorted(dataset.train.ids, key=lambda name: int(name[:-4])), "2 before 10"
    assert len(dataset.notes) == 1
    assert "2 of 20" in dataset.notes[0]


def test_classes_and_own_test_part(tmp_path):
    for part, count in (("Train", 10), ("TEST", 3)):
        for k, name in enumerate(("cat", "dog 2", "dog 10")):
            fill(tmp_path / part / name, count, (9, 9), seed=k + count)
    save(tmp_path / "Train" / "cat" / "deeper" / "x.png", noise(1, 9, 9, seed=99)[0])
    dataset = load_images(tmp_path)
    assert (len(dataset.train), len(dataset.test), dataset.shape) == (31, 9, (1, 9, 9))
    assert dataset.class_names == ("cat", "dog 2", "dog 10")
    assert np.bincount(dataset.train.labels).tolist() == [11, 10, 10]
    assert "Train/cat/deeper/x.png" in dataset.train.ids
    assert dataset.test.ids[0] == "TEST/cat/0.png"
    assert dataset.notes == ()


def test_validation_is_the_test_part_or_trained_on(tmp_path):
    for part in ("train", "valid"):
        fill(tmp_path / part, 10, seed=len(part))
    save(tmp_path / "loose.png", noise(1, 16, 16, 3)[0])
    dataset = load_images(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (10, 10)
    assert "the test part is the folder valid" in dataset.notes
    assert any("loose.png" in note for note in dataset.notes)
    fill(tmp_path / "test", 4, seed=3)
    dataset = load_images(tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (20, 4)
    assert "the validation part (valid, 10 images) was joined to the train part" in dataset.notes
    before = load_images(tmp_path, rules=1)  # as a run of before was trained
    assert (len(before.train), len(before.test)) == (10, 4)
    assert any("left out" in note and "valid (10 images)" in note for note in before.notes)


def test_train_alone_is_split_and_test_alone_refused(tmp_path):
    fill(tmp_path / "a" / "train", 20)
    assert len(load_images(tmp_path / "a").test) == 2
    fill(tmp_path / "b" / "test", 10)
    fill(tmp_path / "b" / "val", 10)
    with pytest.raises(ImagesError, match="no train"):
        load_images(tmp_path / "b")


def test_a_single_subfolder_is_walked_into(tmp_path):
    for name in ("x", "y"):
        fill(tmp_path / "archive" / "all" / name, 10, seed=ord(name))
    dataset = load_images(tmp_path / "archive")
    assert (dataset.class_names, dataset.name) == (("x", "y"), "archive")
    assert str(dataset.train.ids[0]).startswith("all/x/")


def test_parts_that_do_not_fit(tmp_path):
    for name in ("a", "b"):
        fill(tmp_path / "train" / name, 10, seed=ord(name))
    fill(tmp_path / "test" / "a", 2, seed=5)
    assert any("without a test image: b" in note for note in load_images(tmp_path).notes)
    # training uses no labels: another class in the test part is no reason to stop
    fill(tmp_path / "test" / "c", 2, seed=6)
    dataset = load_images(tmp_path)
    assert dataset.class_names == ("a", "b", "c")
    assert "classes without a train image: c" in dataset.notes
    shutil.rmtree(tmp_path / "test")
    fill(tmp_path / "test", 2, seed=7)
    dataset = load_images(tmp_path)
    assert (len(dataset.train), len(dataset.test), dataset.class_names, dataset.train.labels) == (20, 2, (), None)
    assert any("no labels: most images of the test part" in note for note in dataset.notes)


def test_a_mess(tmp_path):
    for name in ("cat", "dog"):
        fill(tmp_path / name, 15, seed=ord(name[0]))
    (tmp_path / "empty").mkdir()
    save(tmp_path / "beside.png", noise(1, 16, 16, 3, seed=8)[0])
    (tmp_path / "cat" / "broken.png").write_bytes((tmp_path / "cat" / "0.png").read_bytes()[:300])
    (tmp_path / "cat" / "text.jpg").write_text("no image")
    (tmp_path / "cat" / "none.gif").touch()
    save(tmp_path / "dog" / "tiny.png", noise(1, 4, 20)[0])
    for ignored in (".hidden.png", "Thumbs.db", ".DS_Store", "labels.csv"):
        (tmp_path / "dog" / ignored).write_text("x")
    fill(tmp_path / "__MACOSX", 3)
    fill(tmp_path / ".git", 3)
    dataset = load_images(tmp_path)
    assert (dataset.class_names, len(dataset.train) + len(dataset.test)) == (("cat", "dog"), 30)
    notes = "\n".join(dataset.notes)
    assert "folders with nothing in them: empty" in notes
    assert "1 image in no class or part: beside.png" in notes
    assert "1 .csv (dog/labels.csv)" in notes
    assert any(
        note.startswith("left out, hidden or made by the system:") and ".hidden.png" in note for note in dataset.notes
    )
    assert "4 of 34 files can't be used" in notes
    for word in ("cat/broken.png", "cat/none.gif", "cat/text.jpg (not an image that Pillow knows)", "and 1 more"):
        assert word in notes
    for _ in range(2):  # decoded, then from the cache
        with pytest.raises(ImagesDamaged, match=r"cat/broken\.png.*strict"):
            load_images(tmp_path, strict=True)


def test_a_class_of_broken_pictures_only(tmp_path):
    for name in ("a", "b", "c"):
        fill(tmp_path / name, 10, seed=ord(name))
    for path in (tmp_path / "b").iterdir():
        path.write_bytes(b"x")
    dataset = load_images(tmp_path)
    assert dataset.class_names == ("a", "c")
    assert set(dataset.train.labels) == {0, 1}
    assert all(
        (label == 1) == str(name).startswith("c/")
        for name, label in zip(dataset.train.ids, dataset.train.labels, strict=True)
    )
    assert any("classes without an image that can be used were left out: b" in note for note in dataset.notes)


def test_empty_folders(tmp_path):
    with pytest.raises(ImagesEmpty, match="no images"):
        load_images(tmp_path)
    (tmp_path / "data.csv").write_text("1,2")
    (tmp_path / "cat").mkdir()
    with pytest.raises(ImagesEmpty, match=r"1 \.csv \(data\.csv\)"):
        load_images(tmp_path)
    (tmp_path / "cat" / "a.png").write_bytes(b"x")
    with pytest.raises(ImagesDamaged, match=r"cat/a\.png"):
        load_images(tmp_path)
    fill(tmp_path / "cat", 5)
    with pytest.raises(ImagesEmpty, match="at least 8"):
        load_images(tmp_path)


def test_circles_of_links_end(tmp_path):
    fill(tmp_path / "a", 10)
    try:
        os.symlink(tmp_path, tmp_path / "a" / "up")
        os.symlink(tmp_path / "self", tmp_path / "self")
        os.symlink(tmp_path / "gone.png", tmp_path / "a" / "dangling.png")
    except OSError:
        pytest.skip("no symbolic links here")
    dataset = load_images(tmp_path)
    assert len(dataset.train) + len(dataset.test) == 10
    assert any("dangling.png (no such file" in note for note in dataset.notes)


def test_labels_come_from_folders(tmp_path):
    fill(tmp_path, 10)
    with pytest.raises(UsageError, match="labels"):
        load_images(tmp_path, labels=np.zeros(10))


def test_too_few_images_are_counted_and_broken_ones_named(tmp_path):
    fill(tmp_path / "some", 12)
    for number in range(5):
        (tmp_path / "some" / f"{number}.png").write_bytes(b"not an image")
    for strict in (False, True):
        with pytest.raises(
            ImagesEmpty, match=r"6 images to train on; at least 8 .*; 5 of 12 files can't be used .*0\.png \("
        ):
            load_images(tmp_path / "some", strict=strict)
    fill(tmp_path / "one", 1)
    with pytest.raises(ImagesEmpty, match="one: 1 image; at least 9 are needed, 8 to train on and one to test on"):
        load_images(tmp_path / "one")


@pytest.mark.parametrize("largest", [60_000, 4000, 900])
def test_deep_images_of_a_run_of_before_are_found_as_they_were_read(tmp_path, largest):
    """By the first version of the rules 16 bits became 8, by the smallest depth that holds all numbers."""
    level = next(one for one in (1023, 4095, 16383, 65535) if one >= largest)
    rng = np.random.default_rng(0)
    values = {f"{k}.png": rng.integers(0, largest, (12, 16)).astype(np.uint16) for k in range(20)}
    values["0.png"][0, 0] = largest
    for name, one in values.items():
        Image.fromarray(one).save(tmp_path / name)
    for white in (None, level):
        before = load_images(tmp_path, rules=1, white=white)
        assert before.train.pixels.dtype == np.uint8
        assert before.value_range == ((0, 255),)
        for name, pixels in gather(before).items():
            assert (pixels[0] == np.rint(values[name] * 255.0 / level)).all()
    assert load_images(tmp_path).train.pixels.dtype == np.uint16


def test_sizes(tmp_path):
    fill(tmp_path, 12, (20, 30, 3))
    save(tmp_path / "other.png", noise(1, 50, 50, 3)[0])
    dataset = load_images(tmp_path)
    assert dataset.shape == (3, 20, 30)
    assert any("1 of 13 images had other sizes" in note for note in dataset.notes)
    assert load_images(tmp_path, size=8).shape == (3, 8, 8)
    assert load_images(tmp_path, size=(10, 12)).options["size"] == [10, 12]


def test_large_pictures_become_64_on_their_longer_side(tmp_path):
    fill(tmp_path, 9, (40, 140))
    dataset = load_images(tmp_path)
    assert dataset.shape == (1, 18, 64)  # 40 x 140 scaled by 64 / 140: rectangles stay rectangles
    assert "18 x 64" in dataset.notes[0]
    assert "40 x 140" in dataset.notes[0]
    assert choose_size([(128, 128)]) == (128, 128)
    assert choose_size([(128, 129)]) == (64, 64)
    assert choose_size([(9, 9), (10, 10)]) == (10, 10)


def test_resizing_is_the_centre_with_antialiasing(tmp_path):
    stripes = np.zeros((120, 240), np.uint8)
    stripes[:, 60:180:2] = 255  # one pixel wide: without antialiasing they would be all black or all white
    stripes[:, :60] = 90
    stripes[:, 180:] = 90
    pixels = decoded(save(tmp_path / "a.png", stripes), 1, (12, 12))
    assert np.abs(pixels[:, 1:-1].astype(int) - 127).max() <= 3


def test_grey_and_colour(tmp_path):
    grey = fill(tmp_path, 10, (9, 9))
    assert load_images(tmp_path).shape == (1, 9, 9)
    save(tmp_path / "colour.png", noise(1, 9, 9, 3)[0])
    dataset = load_images(tmp_path)
    assert dataset.shape == (3, 9, 9)
    assert any("10 grey images among 11" in note for note in dataset.notes)
    assert (gather(dataset)["3.png"] == grey[3]).all(), "grey in three channels"


def test_transparency_is_laid_on_white(tmp_path):
    rgba = noise(1, 9, 9, 4)[0]
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(decoded(save(tmp_path / "a.png", rgba)) - expected).max() <= 1
    grey = noise(1, 9, 9, 2)[0]
    path = tmp_path / "b.png"
    Image.merge("LA", [Image.fromarray(grey[..., k]) for k in (0, 1)]).save(path)
    alpha = grey[..., 1] / 255
    assert look_at(path).grey
    assert np.abs(decoded(path, 1) - (grey[..., 0] * alpha + 255 * (1 - alpha))).max() <= 1


def test_palettes(tmp_path):
    indices = np.arange(81, dtype=np.uint8).reshape(9, 9) % 3
    picture = Image.fromarray(indices).convert("P")
    picture.putdata(indices.reshape(-1).tolist())
    picture.putpalette([250, 0, 0, 0, 250, 0, 0, 0, 250])
    colours = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250]])
    picture.save(tmp_path / "a.png")
    assert not look_at(tmp_path / "a.png").grey
    assert (decoded(tmp_path / "a.png") == colours[indices]).all()
    colours[1] = 255
    for name, transparency in (("b.png", 1), ("c.png", bytes([255, 0, 255])), ("d.gif", 1)):
        picture.save(tmp_path / name, transparency=transparency)
        assert (decoded(tmp_path / name) == colours[indices]).all(), name


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
@pytest.mark.parametrize("most", [900, 4095, 65535])
def test_sixteen_bit_keeps_its_values(tmp_path, name, most):
    values = np.linspace(0, most, 144).astype(np.uint16).reshape(12, 12)
    if name.endswith("pgm"):
        (tmp_path / name).write_bytes(b"P5 12 12 %d\n" % most + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(tmp_path / name)
    assert look_at(tmp_path / name).dtype == "uint16"
    (found,) = read_values(tmp_path / name)
    assert (found == values).all()


def test_other_modes(tmp_path):
    bits = noise(1, 10, 10)[0] > 127
    Image.fromarray(bits).save(tmp_path / "bits.png")
    assert (decoded(tmp_path / "bits.png", 1) == bits * 255).all()
    floats = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    Image.fromarray(floats).save(tmp_path / "floats.tif")
    Image.fromarray(floats * 9).save(tmp_path / "wide.tif")
    Image.fromarray(np.full((10, 10), 70000, np.int32)).save(tmp_path / "long.tif")
    for name, truth in (("floats.tif", floats), ("wide.tif", floats * 9), ("long.tif", 70000)):
        (found,) = read_values(tmp_path / name)
        assert found.dtype == np.float32
        assert (found[0] == truth).all(), name
    Image.new("CMYK", (10, 10), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
    assert (decoded(tmp_path / "cmyk.tif") == [255, 0, 0]).all()


def test_camera_orientation(tmp_path):
    # a raw picture whose top row and left column tell where it was turned to; what EXIF 1 to 8 mean, from its specification
    array = noise(1, 10, 14)[0]
    upright = {
        1: array,
        2: array[:, ::-1],
        3: array[::-1, ::-1],
        4: array[::-1],
        5: array.T,
        6: np.rot90(array, -1),
        7: np.rot90(array, 2).T,
        8: np.rot90(array),
    }
    for turn, expected in upright.items():
        exif = Image.Exif()
        exif[0x0112] = turn
        for suffix in ("png", "tif"):
            path = save(tmp_path / f"{turn}.{suffix}", array, exif=exif)
            assert look_at(path).size == expected.shape
            assert (decoded(path, 1) == expected).all(), (turn, suffix)


def test_broken_exif_costs_nothing(tmp_path):
    array = noise(1, 10, 14)[0]
    path = save(tmp_path / "a.png", array, exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert (decoded(path, 1) == array).all()


def test_first_frame_of_an_animation(tmp_path):
    first, second = Image.new("L", (9, 9), 10), Image.new("L", (9, 9), 200)
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second], duration=100)
    assert (decoded(tmp_path / "a.gif", 1) == 10).all()


def test_large_jpeg_is_about_what_it_was(tmp_path):
    ramp = np.linspace(0, 255, 800).astype(np.uint8)
    path = save(tmp_path / "a.jpg", np.broadcast_to(ramp, (800, 800)).copy(), quality=95)
    pixels = decoded(path, 1, (32, 32))
    assert np.abs(pixels[:, 2:-2] - ramp.reshape(32, 25).mean(1)[2:-2]).max() <= 3


def test_bombs_and_programs_are_not_opened(tmp_path):
    # a PNG of a few bytes that claims 100,000 x 100,000 pixels
    header = (100_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    fill(tmp_path, 10)
    with open(tmp_path / "bomb.png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        PngImagePlugin.putchunk(file, b"IHDR", header)
        PngImagePlugin.putchunk(file, b"IDAT", b"")
        PngImagePlugin.putchunk(file, b"IEND", b"")
    (tmp_path / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n")
    notes = "\n".join(load_images(tmp_path).notes)
    assert "bomb.png (too large)" in notes
    assert "script.png (not an image that Pillow knows)" in notes
    assert ".eps" not in picture_suffixes()
    assert {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"} <= picture_suffixes()


def test_names_that_are_not_utf8(tmp_path):
    root = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        fill(root / os.fsdecode(b"\xe9t\xe9"), 10)
    except (OSError, UnicodeError):
        pytest.skip("no such names here")
    fill(root / "b", 10, seed=1)
    (root / os.fsdecode(b"\xff")).mkdir()
    for _ in range(2):  # decoded, then from the cache
        dataset = load_images(root)
        assert dataset.class_names == ("b", r"\udce9t\udce9")
        assert str(dataset.train.ids[-1]).startswith(r"\udce9t\udce9/")
        assert any(r"\udcff" in note for note in dataset.notes)
        assert dataset.source == str(root)


def test_progress_reaches_the_end(tmp_path):
    fill(tmp_path, 40)
    (tmp_path / "broken.png").write_bytes(b"x")
    calls = []
    load_images(tmp_path, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (41, 41)
    assert calls == sorted(calls)
