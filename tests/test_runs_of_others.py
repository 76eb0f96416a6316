"""What somebody else's run may hold under hashes that fit: it is refused where it is read, in one line."""

import hashlib
import io
import json
import os
import shutil

import numpy as np
import pytest
import torch

from conftest import make_blobs
from latens import load_images, open_run
from latens.errors import LatensError, RunDamaged
from latens.experiment import run as run_all
from latens.explorer.tags import Tags
from latens.files import read_npz, read_safetensors, safetensors_content
from latens.progress import Silent
from latens.runs.forms import problem_of
from latens.runs.journal import TAGS
from records import read_record, write_record


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    pixels, _ = make_blobs(60)
    folder = tmp_path_factory.mktemp("others") / "run"
    return run_all(pixels, out=folder, latent_dim=4, epochs=1, device="cpu", progress=Silent()).path


@pytest.fixture
def folder(small, tmp_path):
    return shutil.copytree(small, tmp_path / "run")


def sealed(folder, name, content):
    """Give a file another content, and the hash that fits."""
    (folder / name).write_bytes(content)
    record = read_record(folder)
    record["files"][name] = hashlib.sha256(content).hexdigest()
    write_record(folder, record)


def with_array(folder, name, **arrays):
    out = io.BytesIO()
    np.savez(out, **{**read_npz(folder / name), **arrays})
    sealed(folder, name, out.getvalue())


def refused(read, folder, message):
    with pytest.raises(RunDamaged, match=message) as found:
        read(open_run(folder))
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("name", "array", "value", "message"),
    [
        ("latents.npz", "latents", np.zeros(()), r"its latents have the shape \(\)"),
        ("latents.npz", "latents", np.full((60, 4), "x"), "its latents are of type"),
        ("latents.npz", "latents", np.full((60, 4), np.nan, np.float32), "its latents hold NaN or infinity"),
        ("latents.npz", "latents", np.full((60, 4), 1e308), "its latents hold NaN or infinity"),
        ("latents.npz", "latents", np.zeros((59, 4), np.float32), "the shape"),
        ("latents.npz", "part", np.full(60, 7), "its part is neither 0 nor 1"),
        ("latents.npz", "part", np.full(60, b"\xff"), "its part are of type"),
        ("latents.npz", "labels", np.array(3), r"its labels have the shape \(\)"),
        ("latents.npz", "labels", np.full(60, "\ud800"), "its labels are of type"),
        ("latents.npz", "labels", np.full(60, 3), "its labels are none of its classes"),
        ("latents.npz", "labels", np.full(60, -2), "its labels are none of its classes"),
        ("latents.npz", "ids", np.zeros(60), "its ids are of type"),
    ],
)
def test_latents_that_are_none(name, array, value, message, folder):
    with_array(folder, name, **{array: value})
    refused(lambda run: (run.part, run.labels_of(None), run.latents), folder, message)


def test_what_is_read_at_a_glance_is_looked_at_as_well(folder):
    with_array(folder, "latents.npz", part=np.full(60, -1))
    refused(lambda run: run.part, folder, "neither 0 nor 1")


def test_images_maps_and_epochs_that_are_none(folder):
    images, plane = read_npz(folder / "images.npz"), read_npz(folder / "maps/pca.npz")
    with_array(folder, "images.npz", class_names=np.zeros(3, complex))
    refused(lambda run: run.images, folder, "its class_names are of type complex128")
    with_array(folder, "images.npz", class_names=images["class_names"], test_labels=np.array(1))
    refused(lambda run: run.images, folder, "its test_labels have the shape")
    with_array(folder, "maps/pca.npz", mean=np.array(3.0))
    refused(lambda run: run.map("pca"), folder, "its mean have the shape")
    with_array(folder, "maps/pca.npz", mean=np.zeros(5), components=np.zeros((5, 2)))
    with pytest.raises(LatensError, match="the plane of a map lies in"):
        open_run(folder).map("pca")
    with_array(folder, "maps/pca.npz", mean=plane["mean"], components=np.full((4, 2), np.inf))
    refused(lambda run: run.map("pca"), folder, "its components hold NaN or infinity")
    with_array(folder, "snapshots/00001.npz", latents=np.zeros((6, 4, 1)))
    refused(lambda run: run.folder.load("snapshots/00001.npz"), folder, "its latents have the shape")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3", "a line that is no epoch"),
        ('{"epoch": "1"}', "a line that is no epoch"),
        ('{"epoch": 1, "train_loss": "x"}', "train_loss is no number"),
        ('{"epoch": 1, "train_loss": 1e999}', "train_loss is no number"),
        ("[" * 100_000, "recursion|nested"),
    ],
)
def test_a_history_of_something_else(line, message, folder):
    sealed(folder, "history.jsonl", f"{line}\n".encode())
    refused(lambda run: run.history, folder, rf"history\.jsonl: not readable as lines of JSON \(.*({message})")


@pytest.mark.parametrize("value", ["x", [], 3, None, {"scores": [{"protocol": {"what": "x", "settings": True}}]}])
def test_scores_that_are_none(value, folder):
    sealed(folder, "metrics.json", json.dumps(value).encode())
    refused(lambda run: run.scores, folder, r"metrics\.json: not readable as scores")


def test_settings_of_scores_are_names_and_values(folder):
    whole = json.loads((folder / "metrics.json").read_text())
    whole["scores"][0]["protocol"]["settings"] = True
    sealed(folder, "metrics.json", json.dumps(whole).encode())
    refused(lambda run: run.verdict, folder, r"metrics\.json: not readable as scores")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("direction", "x"),
        ("direction", []),
        ("value", "1"),
        ("name", 3),
        ("low", {}),
        ("images", "x"),
        ("split", None),
        ("seed", 0.5),
    ],
)
def test_fields_of_a_score_are_of_their_kind(name, value, folder):
    whole = json.loads((folder / "metrics.json").read_text())
    score = whole["scores"][0]
    (score["protocol"] if name in ("images", "split", "seed") else score)[name] = value
    sealed(folder, "metrics.json", json.dumps(whole).encode())
    refused(lambda run: run.scores, folder, rf"metrics\.json: not readable as scores \({name} of a score is")


def test_maps_of_plug_ins_may_have_arrays_of_any_form():
    places = np.zeros((5, 2), np.float32)
    assert problem_of("maps/own.npz", {"coordinates": places, "mean": np.zeros((1, 3))}) == ""
    assert "its mean have the shape" in problem_of("maps/pca.npz", {"coordinates": places, "mean": np.zeros((1, 3))})
    assert "its coordinates have the shape" in problem_of("maps/own.npz", {"coordinates": places[:, :1]})


def test_neighbours_are_rows(folder):
    near = read_npz(folder / "neighbours.npz")["near"].astype(np.int64)
    for wrong in (-1, len(near), 2**62):
        with_array(folder, "neighbours.npz", near=np.where(np.arange(near.shape[1]) == 0, wrong, near))
        refused(lambda run: run.folder.load("neighbours.npz"), folder, "its near are no rows of it")


def test_labels_that_are_gone_while_there_are_no_clusters(tmp_path):
    pixels, labels = make_blobs(60)
    folder = run_all(
        load_images(pixels, labels=labels),
        out=tmp_path / "run",
        latent_dim=4,
        epochs=1,
        device="cpu",
        progress=Silent(),
    ).path
    out = io.BytesIO()
    np.savez(out, **{name: array for name, array in read_npz(folder / "latents.npz").items() if name != "labels"})
    sealed(folder, "latents.npz", out.getvalue())
    refused(lambda run: run.figure("map"), folder, "its labels are missing")


def test_weights_that_do_not_fit_are_said_in_one_line(folder):
    tensors = read_safetensors(folder / "model.safetensors")
    sealed(folder, "model.safetensors", safetensors_content({name: torch.zeros(3) for name in tensors}))
    refused(lambda run: run.model, folder, "the weights do not fit the model of run.json")


@pytest.mark.parametrize(
    "wrong", [torch.zeros(3, 2, 1), torch.zeros(0), torch.full((10, 4), torch.nan), torch.tensor(3.0)]
)
def test_samplers_that_draw_nothing(wrong, folder):
    name = "samplers/class-means.safetensors"
    sealed(folder, name, safetensors_content({**read_safetensors(folder / name), "means": wrong}))
    refused(lambda run: run.sampler("class-means"), folder, r"class-means\.safetensors: is no sampler of this run")


def test_a_sampler_for_which_there_is_no_memory_is_not_damaged(folder, monkeypatch):
    def draws(*args, **options):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("latens.samplers.class_means.ClassMeansSampler.sample", draws)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        open_run(folder).sampler("class-means")


def test_tags_of_gigabytes_are_not_read(folder):
    (folder / TAGS).touch()
    os.truncate(folder / TAGS, 10_000_000_000)
    for act in (Tags(folder).read, lambda: Tags(folder).change("odd", ["1"])):
        with pytest.raises(RunDamaged, match=r"tags\.jsonl: longer than 256 MiB"):
            act()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_tags_and_figures_of_elsewhere_are_not_shown(folder, tmp_path):
    from latens.report.from_run import story_of

    (tmp_path / "letter.jsonl").write_text('{"tag": "mine", "on": true, "ids": ["0"]}\n')
    (folder / TAGS).symlink_to(tmp_path / "letter.jsonl")
    for act in (Tags(folder).read, lambda: Tags(folder).change("a", ["1"])):
        with pytest.raises(RunDamaged, match="a link that leads out of the run's folder"):
            act()
    assert "even" not in (tmp_path / "letter.jsonl").read_text()
    (folder / "figures" / "more.png").symlink_to(tmp_path / "letter.jsonl")
    run = open_run(folder)
    with pytest.raises(RunDamaged, match=r"more\.png: a link that leads out"):
        story_of(run, run.images)


def test_arrays_that_unpack_to_far_more_than_they_have(folder, monkeypatch):
    monkeypatch.setattr("latens.images.plan.BOMB_BYTES", 1 << 20)
    out = io.BytesIO()
    np.savez_compressed(out, latents=np.zeros((1 << 19, 4), np.float32))
    sealed(folder, "latents.npz", out.getvalue())
    refused(lambda run: run.latents, folder, r"latents\.npz: unpacks to 8\.4 MB, far more than it has")
    sealed(folder, "snapshots/00001.npz", out.getvalue())
    refused(lambda run: run.folder.load("snapshots/00001.npz"), folder, "unpacks to")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("notes", 3, "does not say what its images are: notes"),
        ("notes", [3], "does not say what its images are: notes"),
        ("options", [], "does not say what its images are: options"),
        ("channel_names", -1, "has no valid range or channels"),
        ("value_range", [[[[0.0]]]], "has no valid range or channels"),
        ("dtype", "os.system", "has no valid range or channels"),
        ("show", "../../letter.txt", "has no valid range or channels"),
        ("show", "red=9", "has no valid range or channels"),
        (
            "shape",
            [1, 1_000_000, 1_000_000],
            r"says that its images are \(1, 1000000, 1000000\); they are \(1, 12, 12\)",
        ),
    ],
)
def test_what_is_said_of_the_images_is_of_its_kind(name, value, message, folder):
    record = read_record(folder)
    record["data"][name] = value
    write_record(folder, record)
    refused(lambda run: run.images, folder, message)


@pytest.mark.parametrize("name", ["device", "threads", "versions", "result"])
def test_what_every_run_says_is_there_and_of_its_kind(name, folder):
    record = read_record(folder)
    for wrong in ({name: None}, {name: [1]}, {}):
        write_record(folder, {key: value for key, value in record.items() if key != name} | wrong)
        refused(lambda run: run, folder, f"its {name} is missing or of another kind")
