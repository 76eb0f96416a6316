"""Reconstructions, images without noise, decoded latents and samples, written as image files and as arrays."""

import io
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

import latens
from conftest import make_blobs
from latens import cli
from latens.errors import RunError
from latens.images.pixels import from_floats, to_uint8
from latens.images.writing import ImagesWriter, file_format, image_bytes, safe_name
from latens.progress import Silent


def trained(folder, source, **options):
    return latens.run(source, out=folder / "run", epochs=1, latent_dim=4, device="cpu", progress=Silent(), **options)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A folder of classes and a run on it that was trained with noise."""
    folder = tmp_path_factory.mktemp("making")
    pixels, labels = make_blobs(60)
    for row, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / "shapes" / "xyz"[label] / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[0]).save(path)
    return folder / "shapes", trained(folder, folder / "shapes", model="autoencoder:noise=0.3")


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A run on 16-bit images of five channels."""
    folder = tmp_path_factory.mktemp("deep")
    pixels = make_blobs(40, (5, 12, 12))[0].astype(np.uint16) * 40 + 100
    np.save(folder / "deep.npy", pixels)
    return folder / "deep.npy", trained(folder, folder / "deep.npy")


def says(capsys, *words):
    code = cli.main([str(word) for word in (*words, "--json")])
    out, error = capsys.readouterr()
    return code, json.loads(out), error


def png(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_reconstructions_have_the_names_of_their_images(shapes, tmp_path, capsys):
    source, run = shapes
    code, answer, _ = says(capsys, "reconstruct", run.path, source, "-o", tmp_path / "out")
    assert (code, answer["images"], answer["format"]) == (0, 60, "png")
    with np.load(tmp_path / "out" / "images.npz") as arrays:
        assert {name: list(arrays[name].shape) for name in arrays.files} == answer["arrays"]
        ids, files, images = arrays["ids"], arrays["files"], arrays["images"]
        assert files.tolist() == ids.tolist()
        assert arrays["class_names"][arrays["labels"]].tolist() == [one[0] for one in ids]
        given = np.stack([png(source / one) for one in ids])[:, None]
        rebuilt = run.reconstruct(given)
        np.testing.assert_array_equal(images, to_uint8(rebuilt))
        np.testing.assert_allclose(arrays["squared_error"], np.square(rebuilt - given / 255).mean((1, 2, 3)), rtol=1e-4)
        for row in (0, 59):
            np.testing.assert_array_equal(png(tmp_path / "out" / files[row]), images[row, 0])


def test_latents_become_images_again(shapes, tmp_path, capsys):
    source, run = shapes
    assert says(capsys, "encode", run.path, source / "x", "-o", tmp_path / "x.npz")[0] == 0
    code, answer, _ = says(capsys, "decode", run.path, tmp_path / "x.npz", "-o", tmp_path / "x.decoded.npz")
    assert code == 0
    assert "files" not in answer["arrays"]
    with np.load(tmp_path / "x.npz") as encoded, np.load(tmp_path / "x.decoded.npz") as made:
        assert made["ids"].tolist() == encoded["ids"].tolist()
        np.testing.assert_array_equal(made["images"], to_uint8(run.decode(encoded["latents"])))
        np.save(tmp_path / "bare.npy", encoded["latents"])
    code, answer, _ = says(capsys, "decode", run.path, tmp_path / "bare.npy", "-o", tmp_path / "bare")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "bare").glob("*.png"))[:2] == ["00.png", "01.png"]


def test_deep_images_are_written_as_tiff(deep, tmp_path, capsys):
    source, run = deep
    code, answer, _ = says(capsys, "reconstruct", run.path, source, "-o", tmp_path / "out")
    assert (code, answer["format"]) == (0, "tif")
    pixels = np.load(source)
    with np.load(tmp_path / "out" / "images.npz") as arrays:
        assert arrays["images"].dtype == np.uint16
        expected = from_floats(run.reconstruct(pixels), "uint16", run.format.value_range)
        np.testing.assert_array_equal(arrays["images"], expected)
        for row in (0, 39):
            np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / arrays["files"][row]), expected[row])
    code, answer, _ = says(capsys, "sample", run.path, "--sampler", "gaussian", "-n", "5", "-o", tmp_path / "sheet.png")
    assert (code, png(tmp_path / "sheet.png").shape) == (0, (12, 5 * 14 - 2, 3))


def test_samples_lie_in_folders_of_their_classes(shapes, tmp_path, capsys):
    _, run = shapes
    code, answer, _ = says(capsys, "sample", run.path, "-n", "12", "-o", tmp_path / "new")
    assert (code, answer["images"]) == (0, 12)
    found = latens.load_images(tmp_path / "new")
    assert found.class_names == run.class_names
    assert len(found.train) + len(found.test) == 12


def test_noise_is_removed_where_the_model_was_trained_to(tmp_path):
    pixels, _ = make_blobs(240)
    model = "autoencoder:noise=0.3"
    run = latens.run(
        pixels, out=tmp_path / "run", model=model, epochs=30, latent_dim=8, device="cpu", progress=Silent()
    )
    clean = pixels[:50] / np.float32(255)
    noisy = clean + np.random.default_rng(0).normal(0, 0.3, clean.shape).astype(np.float32)
    denoised = run.denoise(noisy)
    assert denoised.shape == clean.shape
    assert denoised.min() >= 0
    assert denoised.max() <= 1
    assert np.square(denoised - clean).mean() < 0.25 * np.square(np.clip(noisy, 0, 1) - clean).mean()


def test_a_model_that_was_not_trained_to_remove_noise(finished_run, tmp_path, capsys):
    with pytest.raises(RunError, match="not trained to remove noise"):
        finished_run.denoise(np.zeros((1, 1, 12, 12), np.uint8))
    code, _, error = says(capsys, "denoise", finished_run.path, "x.png", "-o", tmp_path / "out")
    assert code == 2
    assert "autoencoder:noise=0.2" in error
    assert not (tmp_path / "out").exists()


def test_the_command_removes_noise(shapes, tmp_path, capsys):
    source, run = shapes
    code, answer, _ = says(capsys, "denoise", run.path, source / "x", "-o", tmp_path / "clean")
    assert (code, answer["images"]) == (0, 20)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["reconstruct", "DATA", "-o", "out.jpg"], "out.jpg: ends with .jpg; allowed: .npz, .png, or a folder"),
        (["reconstruct", "DATA", "-o", "full"], "full: the folder is not empty"),
        (["reconstruct", "DATA", "-o", "file"], "file is a file; the name of a folder is needed"),
        (["reconstruct", "DATA", "-o", "file/out"], "file is a file; the name of a folder is needed"),
        (["reconstruct", "nowhere", "-o", "out"], "nowhere: no data set, folder or file"),
        (["decode", "none.npz", "-o", "out"], "none.npz: no such file"),
        (["decode", "wide.npy", "-o", "out"], "wide.npy: latents of 9 numbers; the model of"),
        (["decode", "nan.npy", "-o", "out"], "latents hold NaN or infinity"),
        (["decode", "text.npy", "-o", "out"], "text.npy: a file of latents (N, D) with numbers is needed"),
    ],
)
def test_each_wrong_word_is_one_line(shapes, tmp_path, capsys, monkeypatch, words, message):
    source, run = shapes
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    for name in ("file", "full/file"):
        (tmp_path / name).touch()
    np.save("wide.npy", np.zeros((2, 9)))
    np.save("nan.npy", np.full((2, 4), np.nan))
    np.save("text.npy", np.array(["a", "b"]))
    words = [str(source) if word == "DATA" else word for word in words]
    assert cli.main([words[0], str(run.path), *words[1:]]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("latens: ")
    if words[1] != "text.npy":
        assert message in error


def test_a_folder_is_written_to_again_when_asked(shapes, tmp_path, capsys):
    source, run = shapes
    words = ["reconstruct", run.path, source / "x", "-o", tmp_path / "out"]
    assert says(capsys, *words)[0] == 0
    assert says(capsys, *words)[0] == 2
    assert says(capsys, *words, "--overwrite")[0] == 0


# ---- names and files


@pytest.mark.parametrize(
    ("id", "name"),
    [
        ("a/b.jpeg", "a/b"),
        ("a/b", "a/b"),
        ("scan.2024", "scan.2024"),
        ("/etc/passwd", "etc/passwd"),
        ("../../x.png", "_/_/x"),
        ("a/../../x.png", "a/_/_/x"),
        ("..", "_"),
        ("", "_"),
        ("C:\\windows\\x.png", "C__windows_x"),
        ("con.png", "_con"),
        (".hidden.png", "_.hidden"),
        ("a\nb\x1b\udce9.png", "a_b__"),
        ("stack.tif#3", "stack.tif#3"),
        ("end. ", "end"),
        ("猫/é.png", "猫/é"),
    ],
)
def test_names_stay_below_the_folder_on_every_system(id, name):
    assert safe_name(id) == name


def test_long_names_are_cut_and_stay_apart():
    first, second = safe_name("x" * 300 + "1.png"), safe_name("x" * 300 + "2.png")
    assert first != second
    assert len(first) < 80
    assert len(safe_name("猫" * 100).encode()) < 250


def test_names_that_would_be_one_are_kept_apart(tmp_path):
    ids = ["cat.jpg", "cat.png", "CAT.png", "cat", "cat.jpg", "dog.png/a.png", "dog"]
    pixels = np.arange(len(ids), dtype=np.uint8)[:, None, None, None] + np.zeros((1, 1, 8, 8), np.uint8)
    with ImagesWriter(tmp_path) as writer:
        writer.add(pixels[:3], ids[:3])
        writer.add(pixels[3:], ids[3:])
        writer.finish()
    with np.load(tmp_path / "images.npz") as arrays:
        files = arrays["files"].tolist()
        np.testing.assert_array_equal(arrays["images"], pixels)
    assert len({name.casefold() for name in files}) == len(ids)
    assert [int(png(tmp_path / name)[0, 0]) for name in files] == list(range(len(ids)))
    assert files[:2] == ["cat.png", "cat.png.png"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 64])
def test_every_kind_of_pixels_comes_back_from_its_file(dtype, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (channels, 9, 11)).astype(dtype) / (
        3 if dtype == "float32" else 1
    )
    pixels = pixels.astype(dtype)
    content = image_bytes(pixels, [f"c{number}" for number in range(channels)])
    if file_format(pixels.dtype, channels) == ".png":
        with Image.open(io.BytesIO(content)) as picture:
            found = np.asarray(picture)
        found = found[None] if channels == 1 else found.transpose(2, 0, 1)
    else:
        found = tifffile.imread(io.BytesIO(content)).reshape(pixels.shape)
    np.testing.assert_array_equal(found, pixels)
