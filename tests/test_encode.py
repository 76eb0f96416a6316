"""Encoding other images with a run: any number and kind, in their own order, with labels numbered as the run's classes."""

import shutil

import numpy as np
import pytest
from PIL import Image

import latens
from conftest import make_blobs
from latens import cli
from latens.computed import encode_source
from latens.errors import ImagesDamaged, RunError, UsageError
from latens.images import load_images
from latens.images.pictures import numbered_by
from latens.progress import Silent
from latens.runs import open_run

SHAPE = (1, 12, 12)
CLASSES = ("cat", "dog", "owl")


def save(path, pixels):
    """One picture (C, H, W) as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(path)


@pytest.fixture(scope="module")
def pets(tmp_path_factory):
    """A folder of three classes and a run on it."""
    folder = tmp_path_factory.mktemp("pets")
    pixels, labels = make_blobs(60, SHAPE)
    for row, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        save(folder / "pets" / CLASSES[label] / f"{row}.png", picture)
    run = latens.run(folder / "pets", out=folder / "run", epochs=1, latent_dim=4, device="cpu", progress=Silent())
    return folder, run


@pytest.fixture(scope="module")
def colour_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colour")
    pixels, _ = make_blobs(40, (3, 12, 12))
    return latens.run(pixels, out=folder / "run", epochs=1, latent_dim=4, device="cpu", progress=Silent())


def test_labels_are_numbered_by_the_classes_of_the_run(pets, tmp_path):
    _, run = pets
    pixels, _ = make_blobs(6, SHAPE, seed=4)
    for row, name in enumerate(("owl", "dog", "owl", "fox", "ant", "dog")):
        save(tmp_path / "new" / name / f"{row}.png", pixels[row])
    encoded = encode_source(run, tmp_path / "new")
    names = encoded.arrays["class_names"]
    assert names.tolist() == [*CLASSES, "ant", "fox"]  # the run's, then those that it does not know
    assert names[encoded.arrays["labels"]].tolist() == [name.split("/")[0] for name in encoded.arrays["ids"]]
    assert any("numbered from 3: ant, fox" in note for note in encoded.notes)
    np.testing.assert_allclose(
        encoded.arrays["latents"],
        run.encode(np.stack([pixels[int(i.split("/")[1][0])] for i in encoded.arrays["ids"]])),
    )


def test_classes_are_found_by_name_for_any_unicode_form_of_their_accents():
    numbers, names = numbered_by(["chat", "e\u0301cu"], ["\u00e9cu", "chat"])
    assert (numbers.tolist(), len(names)) == ([1, 0], 2)


@pytest.mark.parametrize("count", [1, 3])
def test_a_folder_of_few_images(pets, tmp_path, count):
    _, run = pets
    pixels, _ = make_blobs(count, SHAPE, seed=9)
    for row, picture in enumerate(pixels):
        save(tmp_path / "few" / f"{row}.png", picture)
    encoded = encode_source(run, tmp_path / "few")
    assert sorted(encoded.arrays) == ["ids", "latents"]
    np.testing.assert_allclose(encoded.arrays["latents"], run.encode(pixels), atol=1e-6)


def test_one_file(pets):
    folder, run = pets
    path = next((folder / "pets" / "cat").iterdir())
    encoded = encode_source(run, str(path))
    assert encoded.arrays["ids"].tolist() == [path.name]
    pixels = np.asarray(Image.open(path))[None, None]
    np.testing.assert_allclose(encoded.arrays["latents"], run.encode(pixels), atol=1e-6)


def test_equal_images_and_one_class_only(pets, tmp_path):
    _, run = pets
    pixels, _ = make_blobs(1, SHAPE)
    for row in range(4):
        save(tmp_path / "same" / f"{row}.png", pixels[0])
    assert encode_source(run, tmp_path / "same").arrays["latents"].shape == (4, 4)


def test_an_array_comes_back_in_its_own_order(pets, tmp_path):
    _, run = pets
    pixels, _ = make_blobs(50, SHAPE, seed=2)
    np.save(tmp_path / "x.npy", pixels[:, 0])
    np.savez(tmp_path / "x.npz", x_train=pixels[:30, 0], x_test=pixels[30:, 0])
    truth = run.encode(pixels)
    for source in (tmp_path / "x.npy", pixels):
        encoded = encode_source(run, source)
        assert encoded.arrays["ids"].tolist() == [str(row) for row in range(50)]
        np.testing.assert_allclose(encoded.arrays["latents"], truth, atol=1e-6)
    np.testing.assert_allclose(encode_source(run, tmp_path / "x.npz").arrays["latents"], truth, atol=1e-6)
    np.testing.assert_allclose(encode_source(run, tmp_path / "x.npz", "test").arrays["latents"], truth[30:], atol=1e-6)
    with pytest.raises(UsageError, match="not split into train and test"):
        encode_source(run, tmp_path / "x.npy", "test")


def test_grey_and_colour_are_turned_into_each_other(pets, colour_run):
    _, grey_run = pets
    grey, _ = make_blobs(5, SHAPE)
    rgb = np.random.default_rng(0).integers(0, 256, (5, 3, 12, 12)).astype(np.uint8)
    encoded = encode_source(colour_run, grey)
    assert "grey images were turned into colour, as the model takes them" in encoded.notes
    np.testing.assert_allclose(encoded.arrays["latents"], colour_run.encode(np.repeat(grey, 3, 1)), atol=1e-6)
    encoded = encode_source(grey_run, rgb)
    assert "colour images were turned into grey, as the model takes them" in encoded.notes
    # ITU-R 601-2, as the standard has it: an independent truth of what grey is
    luma = np.rint((rgb * np.array([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdims=True)).astype(np.uint8)
    np.testing.assert_allclose(encoded.arrays["latents"], grey_run.encode(luma), atol=0.05)


def test_images_of_another_size_are_resized(pets, tmp_path):
    _, run = pets
    flat = np.full((1, 30, 20), 90, np.uint8)
    save(tmp_path / "large" / "a.png", flat)
    encoded = encode_source(run, tmp_path / "large")
    np.testing.assert_allclose(encoded.arrays["latents"], run.encode(np.full((1, *SHAPE), 90, np.uint8)), atol=1e-6)
    assert any("resized" in note for note in encoded.notes)


def test_unreadable_files_are_said_or_refused(pets, tmp_path):
    _, run = pets
    pixels, _ = make_blobs(3, SHAPE)
    for row, picture in enumerate(pixels):
        save(tmp_path / "some" / f"{row}.png", picture)
    (tmp_path / "some" / "1.png").write_bytes(b"not an image")
    encoded = encode_source(run, tmp_path / "some")
    assert encoded.arrays["ids"].tolist() == ["0.png", "2.png"]
    assert any("1 of 3 files can't be used" in note and "1.png" in note for note in encoded.notes)
    with pytest.raises(ImagesDamaged, match=r"1\.png can't be used"):
        encode_source(run, tmp_path / "some", strict=True)


def test_the_command_says_notes_and_refuses_runs_and_endings(pets, tmp_path, monkeypatch, capsys):
    folder, run = pets
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run.path, "runs/pets-1")

    def code(*words):
        return cli.main(["encode", *map(str, words)])

    assert code("runs/pets-1", "-o", "o.npz") == 2
    assert "a run's folder, not images" in capsys.readouterr().err
    assert code("pets-1", "-o", "o.npz") == 2
    assert "a run's folder, not images" in capsys.readouterr().err
    assert code(run.path, folder / "pets", "-o", "o.png") == 2
    assert "o.png: ends with .png; allowed: .npz" in capsys.readouterr().err
    (tmp_path / "few").mkdir()
    save(tmp_path / "few" / "a.png", make_blobs(1, SHAPE)[0][0])
    (tmp_path / "few" / "b.png").write_bytes(b"")
    assert code(run.path, "few", "-o", "o.npz") == 0
    assert "note: 1 of 2 files can't be used" in capsys.readouterr().err
    assert code(run.path, "few", "-o", "strict.npz", "--strict") == 2
    assert not (tmp_path / "strict.npz").exists()


def test_moved_images_are_pointed_to_and_remembered(pets, tmp_path):
    folder, _ = pets
    shutil.copytree(folder / "pets", tmp_path / "pets")
    made = latens.run(tmp_path / "pets", out=tmp_path / "run", epochs=1, latent_dim=4, device="cpu", progress=Silent())
    (tmp_path / "pets").rename(tmp_path / "animals")
    with pytest.raises(RunError, match=r"no longer at .*--data NEW"):
        _ = open_run(made.path).images
    with pytest.raises(RunError, match=r"not the images that .* was trained on"):
        open_run(made.path, data=make_blobs(20, SHAPE)[0])
    assert cli.main(["review", str(made.path), "--data", str(tmp_path / "animals"), "--json"]) == 0
    again = open_run(made.path)
    assert again.record["data"]["source"] == str(tmp_path / "animals")
    assert again.images.fingerprint == load_images(folder / "pets").fingerprint
    (tmp_path / "animals").rename(tmp_path / "beasts")
    assert latens.resume(made.path, data=tmp_path / "beasts", progress=Silent()).record["status"] == "done"
    (tmp_path / "beasts").rename(tmp_path / "pets")
    assert cli.main(["run", str(tmp_path / "pets"), "--resume", "--out", str(made.path), "--json"]) == 0
    assert cli.main(["score", str(made.path), "--samplers", "gaussian", "--json"]) == 0
    assert cli.main(["explore", str(made.path), "--get", "/api/run", "--data", str(tmp_path / "pets")]) == 0
