"""Runs: recorded, opened, resumed, damaged."""

import itertools
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

import latens
from conftest import make_blobs
from latens import experiment
from latens.errors import RunDamaged, RunError, RunNotFound, TrainingDiverged, UsageError
from latens.images import load_images
from latens.models.autoencoder import AutoencoderModel
from latens.progress import Silent
from latens.report.from_run import command_of
from latens.runs import latest_run, list_runs, open_run, record, start_run
from latens.runs.record import RunFolder
from latens.runs.recording import last_state
from latens.training.loop import train
from latens.training.recipes import RECIPES
from records import read_record, write_record


def recipe_for(images, **options):
    return RECIPES["fast"](images).with_options(**{"latent_dim": 8, "epochs": 3, **options})


def weights_of(run):
    return {name: tensor.clone() for name, tensor in open_run(run.path).model.state_dict().items()}


def equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_recording_completes_a_run(blobs, tmp_path):
    run = start_run(blobs, recipe_for(blobs), tmp_path / "run")
    steps = list(record(run, train(run.model, blobs, run.recipe.config), blobs))
    opened = open_run(run.path)
    assert opened.record["status"] == "trained"
    assert [line["epoch"] for line in opened.history] == [1, 2, 3]
    assert list(opened.history[0]) == [
        *("epoch", "step", "train_loss", "train_mse", "test_mse", "learning_rate", "elapsed")
    ]
    assert opened.history[0]["train_mse"] == opened.history[0]["train_loss"]  # of a plain autoencoder
    assert opened.record["result"]["test_mse"] == steps[-1].test_mse
    assert equal(weights_of(run), run.model.state_dict())
    assert not (run.path / "checkpoint.safetensors").exists()
    assert len(list((run.path / "snapshots").iterdir())) == 3
    assert not list(run.path.rglob("*.tmp"))


def test_at_most_thirty_snapshots(blobs, tmp_path):
    run = start_run(blobs, recipe_for(blobs, epochs=70), tmp_path / "run")
    list(record(run, train(run.model, blobs, run.recipe.config), blobs))
    names = sorted(path.stem for path in (run.path / "snapshots").iterdir())
    assert len(names) <= 30
    assert names[-1] == "00070"


def test_a_stopped_run_opens_and_resumes_bit_for_bit(blobs, tmp_path):
    whole = start_run(blobs, recipe_for(blobs), tmp_path / "whole")
    list(record(whole, train(whole.model, blobs, whole.recipe.config)))
    stopped = start_run(blobs, recipe_for(blobs), tmp_path / "stopped")
    for _ in itertools.islice(record(stopped, train(stopped.model, blobs, stopped.recipe.config)), 2):
        pass
    opened = open_run(stopped.path)
    assert opened.record["status"] == "stopped"
    assert opened.encode(blobs.test).shape == (len(blobs.test), 8)
    list(record(opened, train(opened.model, blobs, opened.recipe.config, last_state(opened))))
    assert equal(weights_of(opened), weights_of(whole))
    drop_time = lambda history: [{k: v for k, v in line.items() if k != "elapsed"} for line in history]  # noqa: E731
    assert drop_time(open_run(opened.path).history) == drop_time(whole.history)


@pytest.mark.parametrize("at_step", [3, 10])
def test_a_run_interrupted_in_the_middle_of_an_epoch_resumes(at_step, blobs, tmp_path):
    run = start_run(blobs, recipe_for(blobs, epochs=4), tmp_path / "run")

    def interrupt(epoch, step, loss):
        if step == at_step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(record(run, train(run.model, blobs, run.recipe.config, on_batch=interrupt)))
    opened = open_run(run.path)
    assert opened.record["status"] == "stopped"
    opened.reconstruct(blobs.test)
    resumed = latens.resume(run.path, device="cpu", progress=Silent())
    whole = start_run(blobs, recipe_for(blobs, epochs=4), tmp_path / "whole")
    list(record(whole, train(whole.model, blobs, whole.recipe.config)))
    assert equal(weights_of(resumed), weights_of(whole))


def test_a_killed_run_opens_and_resumes(blobs_file, tmp_path):
    code = f"""
import os, signal, latens
from latens.progress import Silent
from latens.report.from_run import command_of
from latens.training.recipes import RECIPES
from latens.runs import recording
recording.SECONDS_BETWEEN_CHECKPOINTS = 0
images = latens.load_images({str(blobs_file)!r})
run = recording.start_run(images, RECIPES["fast"](images).with_options(latent_dim=8, epochs=3), {str(tmp_path / "run")!r})
for step in recording.record(run, latens.train(run.model, images, run.recipe.config)):
    if step.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == -9, process.stderr
    images = load_images(blobs_file)
    assert open_run(tmp_path / "run").encode(images.test).shape == (len(images.test), 8)
    resumed = latens.resume(tmp_path / "run", device="cpu", progress=Silent())
    whole = start_run(images, recipe_for(images), tmp_path / "whole")
    list(record(whole, train(whole.model, images, whole.recipe.config)))
    assert equal(weights_of(resumed), weights_of(whole))


class Diverging(AutoencoderModel):
    calls = 0

    def loss(self, x, generator=None):
        self.calls += self.training  # the loss on images held out is no step
        losses = super().loss(x, generator)
        return losses if self.calls < 6 else type(losses)(losses.total / 0, losses.parts)


def test_a_diverged_run_keeps_the_last_good_weights(blobs, tmp_path):
    recipe = recipe_for(blobs, model="autoencoder", network="convolutional")
    run = start_run(blobs, recipe, tmp_path / "run")
    torch.manual_seed(0)
    run.model = Diverging(blobs.shape, 8)
    with pytest.raises(TrainingDiverged, match="epoch 2, step 6"):
        list(record(run, train(run.model, blobs, run.recipe.config)))
    opened = open_run(run.path)
    assert opened.record["status"] == "diverged"
    assert all(torch.isfinite(tensor).all() for tensor in opened.model.state_dict().values())
    with pytest.raises(RunError, match="would diverge again"):
        latens.resume(run.path)


def test_a_changed_byte_of_a_sealed_file_is_detected(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run.path, folder)
    reads = {
        "model.safetensors": lambda run: run.model,
        "latents.npz": lambda run: run.latents,
        "maps/tsne.npz": lambda run: run.map("tsne"),
        "metrics.json": lambda run: run.scores,
    }
    for name in reads:
        path = folder / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        run = open_run(folder)
        with pytest.raises(RunDamaged, match="not those that were written"):
            reads[name](run)
        shutil.copy(finished_run.path / name, path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(RunDamaged, match="missing"):
        _ = open_run(folder).model


def test_wrong_records_are_refused(finished_run, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(RunNotFound, match="no run there"):
        open_run(folder)
    (folder / "run.json").write_text("[]")
    with pytest.raises(RunDamaged, match="not a run's record"):
        open_run(folder)
    write_record(folder, {**finished_run.record, "format": 99})
    with pytest.raises(RunError, match="later latens"):
        open_run(folder)
    write_record(folder, {**finished_run.record, "files": {}})
    with pytest.raises(RunError, match=r"has no latents\.npz yet"):
        _ = open_run(folder).latents


def test_images_that_have_changed_are_refused(finished_run, tmp_path):
    pixels, labels = make_blobs(240, seed=5)
    np.savez(tmp_path / "blobs.npz", images=pixels[:, 0], labels=labels)
    folder = tmp_path / "run"
    folder.mkdir()
    data = {**finished_run.record["data"], "source": str(tmp_path / "blobs.npz")}
    write_record(folder, {**finished_run.record, "data": data})
    with pytest.raises(RunError, match="fingerprint differs"):
        _ = open_run(folder).images


def test_folders_are_not_overwritten_and_get_the_next_number(blobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunNotFound, match="latens run mnist"):
        latest_run()
    first, second = start_run(blobs, recipe_for(blobs)), start_run(blobs, recipe_for(blobs))
    assert (first.path.as_posix(), second.path.as_posix()) == ("runs/blobs-1", "runs/blobs-2")
    assert [run.name for run in list_runs()] == ["blobs-1", "blobs-2"]
    assert latest_run().name == "blobs-2"
    assert open_run("blobs-1").name == "blobs-1"
    with pytest.raises(RunError, match="already exists"):
        start_run(blobs, recipe_for(blobs), first.path)
    with pytest.raises(RunNotFound, match="known: blobs-1, blobs-2"):
        open_run("blobs-3")


def test_encode_accepts_images_in_every_form(finished_run):
    run = open_run(finished_run.path)
    images = run.images.test
    z = run.encode(images)
    floats = images.pixels.astype(np.float32) / 255
    for form in (images.pixels, floats, torch.from_numpy(floats), floats.astype(np.float64), images.pixels[:, 0]):
        np.testing.assert_allclose(run.encode(form), z, atol=1e-6)
    np.testing.assert_allclose(run.encode(images.pixels[0]), z[:1], atol=1e-6)
    np.testing.assert_allclose(run.decode(torch.from_numpy(z)), run.reconstruct(images), atol=1e-6)
    assert run.encode(images.pixels[:0]).shape == (0, 8)
    for wrong, message in [
        (images.pixels[:, :, :5], "this model takes N x 1 x 12 x 12"),
        (images.pixels.astype(np.int64), "int64"),
        (floats * 255, "divide by 255"),
        (floats * np.nan, "values that are not numbers"),
        (run.images, "two parts"),
    ]:
        with pytest.raises(UsageError, match=message):
            run.encode(wrong)
    with pytest.raises(UsageError, match="takes N x 8"):
        run.decode(np.zeros((2, 9)))
    with pytest.raises(UsageError, match="NaN"):
        run.decode(np.full((2, 8), np.nan))


def test_samples_depend_on_the_seed_only_and_samplers_are_stored(finished_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished_run.path, folder)
    run = open_run(folder)
    first = run.sample(7, "gaussian", seed=3)
    assert (folder / "samplers" / "gaussian.safetensors").exists()
    again = open_run(folder).sample(7, "gaussian", seed=3)
    np.testing.assert_array_equal(first.latents, again.latents)
    assert first.images.shape == (7, 1, 12, 12)
    assert first.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert not np.array_equal(first.latents, run.sample(7, "gaussian", seed=4).latents)
    with pytest.raises(UsageError, match="0 samples"):
        run.sample(0)


def test_a_reopened_map_places_new_latents_equally(finished_run):
    run, again = open_run(finished_run.path), open_run(finished_run.path)
    new = run.encode(run.images.train)[:20]
    np.testing.assert_array_equal(run.map("tsne").coordinates, again.map("tsne").coordinates)
    np.testing.assert_array_equal(run.map("tsne").place(new), again.map("tsne").place(new))


def test_maps_show_all_images_if_the_test_part_is_small(finished_run, monkeypatch):
    run = open_run(finished_run.path)
    assert run.mapped_part is None
    assert len(run.map("tsne").coordinates) == len(run.labels_of(None)) == 240
    assert run.map_scores("tsne").scores[0].protocol.split == "train and test"
    monkeypatch.setattr("latens.runs.run.ENOUGH_FOR_A_MAP", 24)
    assert run.mapped_part == 1
    assert len(run.labels_of(run.mapped_part)) == 24


def test_threads_that_save_at_the_same_time_lose_nothing(finished_run, tmp_path):
    run = open_run(shutil.copytree(finished_run.path, tmp_path / "run"))
    names = [f"maps/{i}.npz" for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: run.write_arrays(name, {"x": np.zeros(3)}), names))
    assert set(names) <= set(open_run(run.path).record["files"])


# ---- refused input, and images stored in a run


def small_run(images, out, **options):
    return latens.run(images, out=out, progress=Silent(), **{"epochs": 1, "latent_dim": 4, "device": "cpu", **options})


def stopped_run(images, out, epochs=3):
    run = start_run(images, recipe_for(images, epochs=epochs), out)
    for _ in itertools.islice(record(run, train(run.model, images, run.recipe.config)), 1):
        pass
    return run


def test_resuming_with_other_images_is_refused(blobs, tmp_path):
    run = stopped_run(blobs, tmp_path / "run")
    pixels, labels = make_blobs(seed=9)
    other = load_images(pixels, labels=labels)
    before = (run.path / "run.json").read_bytes()
    with pytest.raises(RunError, match="fingerprint differs"):
        latens.resume(run.path, images=other, device="cpu", progress=Silent())
    with pytest.raises(RunError, match="fingerprint differs"):
        run.images = other
    assert (run.path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"recipe": "best"}, "recipe 'fast', not 'best'"),
        ({"epochs": 5}, "epochs 3, not 5"),
        ({"seed": 1, "latent_dim": 9}, "latent_dim 8, not 9; seed 0, not 1"),
        ({"recipe": "slow"}, "unknown recipe 'slow'"),
    ],
)
def test_resuming_with_another_recipe_is_refused(asked, message, blobs, tmp_path):
    run = stopped_run(blobs, tmp_path / "run")
    with pytest.raises(UsageError, match=message):
        latens.resume(run.path, device="cpu", progress=Silent(), **asked)
    assert open_run(run.path).record["status"] == "stopped"


@pytest.mark.parametrize("form", ["array", "list", "tensor", "npy with labels"])
def test_a_run_of_an_array_stores_its_images(form, tmp_path):
    pixels, labels = make_blobs(60)
    np.save(tmp_path / "x.npy", pixels)
    source = {
        "array": pixels,
        "list": list(pixels[:, 0]),
        "tensor": torch.from_numpy(pixels),
        "npy with labels": tmp_path / "x.npy",
    }[form]
    images = load_images(source, labels=labels)
    again = open_run(stopped_run(images, tmp_path / "run").path)
    assert again.images.fingerprint == images.fingerprint
    np.testing.assert_array_equal(again.images.test.pixels, images.test.pixels)
    assert again.images.train.ids.tolist() == images.train.ids.tolist()
    assert again.images.class_names == images.class_names
    if form == "array":
        resumed = latens.resume(again.path, device="cpu", progress=Silent())
        assert command_of(resumed, resumed.images).startswith("latens.run(images, latent_dim=8")
        experiment.review(open_run(resumed.path), progress=Silent())
        experiment.score(open_run(resumed.path), ["gaussian"], progress=Silent())


def test_images_that_can_be_loaded_again_are_not_stored(finished_run):
    assert not (finished_run.path / "images.npz").exists()


def test_images_above_the_limit_are_not_stored_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr("latens.runs.kept_images.MOST_BYTES", 1000)
    images = load_images(make_blobs(60)[0])
    with pytest.warns(UserWarning, match=r"array of 8.6 kB, and a run stores at most 1.0 kB"):
        start_run(images, recipe_for(images), tmp_path / "run")
    with pytest.raises(RunError, match="were given as an array and are not kept in the run"):
        _ = open_run(tmp_path / "run").images
    assert open_run(tmp_path / "run").folder.files == {}
    resumed = latens.resume(tmp_path / "run", images=images, device="cpu", progress=Silent(), recipe="fast", epochs=3)
    assert resumed.record["status"] == "done"


def test_missing_weights_are_an_error(blobs, tmp_path):
    new = start_run(blobs, recipe_for(blobs), tmp_path / "run")
    assert new.model is not None  # to be trained
    with pytest.raises(
        RunError, match=r"has no weights, since no epoch was completed; .*--resume --out .* starts again"
    ):
        _ = open_run(new.path).model
    new.update(status="diverged")
    with pytest.raises(RunError, match="start a new run"):
        _ = open_run(new.path).model


def test_a_run_killed_after_resuming_has_its_latest_weights(blobs, tmp_path):
    """model.safetensors of the first stop is older than the checkpoint after resuming."""
    run = stopped_run(blobs, tmp_path / "run")
    first = weights_of(run)
    again = open_run(run.path)
    again.model = again.untrained_model()
    again.update(status="training")
    (step,) = itertools.islice(train(again.model, blobs, again.recipe.config, last_state(again)), 1)
    again.save("checkpoint.safetensors", step.state())
    assert not equal(weights_of(run), first)
    assert equal(weights_of(run), again.model.state_dict())


def steps_with_nan(run, images, epoch, how):
    """Training steps in which a value is not finite at the end of one epoch."""
    for step in train(run.model, images, run.recipe.config):
        if step.epoch < epoch:
            yield step
        elif how == "test error":
            yield replace(step, test_mse=float("nan"))
        else:
            with torch.no_grad():
                next(run.model.parameters()).fill_(float("inf"))
            yield step


@pytest.mark.parametrize("how", ["test error", "weights"])
@pytest.mark.parametrize("epoch", [1, 2])
def test_an_epoch_that_ends_in_nan_is_not_recorded(how, epoch, blobs, tmp_path):
    run = start_run(blobs, recipe_for(blobs), tmp_path / "run")
    with pytest.raises(TrainingDiverged, match=f"not finite after epoch {epoch}"):
        list(record(run, steps_with_nan(run, blobs, epoch, how)))
    opened = open_run(run.path)
    assert opened.record["status"] == "diverged"
    assert "not finite" in opened.record["error"]
    assert [line["epoch"] for line in opened.history] == list(range(1, epoch))
    if how == "weights" and epoch == 1:
        with pytest.raises(RunError, match="has no weights"):
            _ = opened.model
    else:
        assert all(torch.isfinite(tensor).all() for tensor in opened.model.state_dict().values())


def test_numpy_scalars_are_stored_as_plain_numbers(blobs, tmp_path):
    options = {
        "epochs": np.int64(1),
        "latent_dim": np.int32(4),
        "batch_size": np.uint8(32),
        "seed": np.int64(7),
        "learning_rate": np.float32(0.01),
        "model": "variational",
        "model_options": {"beta": np.float64(0.5)},
    }
    run = start_run(blobs, RECIPES["fast"](blobs).with_options(**options), tmp_path / "run")
    stored = read_record(run.path)["recipe"]
    assert [stored["latent_dim"], stored["model_options"]] == [4, {"beta": 0.5}]
    assert [stored["config"][name] for name in ("epochs", "batch_size", "seed")] == [1, 32, 7]
    assert open_run(run.path).recipe == run.recipe


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"epochs": 2.5}, "epochs is 2.5; a whole number is needed"),
        ({"epochs": "3"}, "epochs is '3'; a whole number is needed"),
        ({"epochs": True}, "epochs is True; a whole number is needed"),
        ({"batch_size": np.float64(2)}, "batch_size is .*; a whole number is needed"),
        ({"latent_dim": [4]}, r"latent dimension is \[4\]; a whole number is needed"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'; a number is needed"),
        ({"seed": -1}, "seed is -1; at least 0 is needed"),
        ({"seed": 2**32}, "seed is 4294967296; at most 4294967295 is allowed"),
        ({"network": object()}, "network is an object of type object; the name of one of NETWORKS is needed"),
        ({"model_options": {"x": object()}}, "stored as JSON|unknown option"),
    ],
)
def test_wrong_options_are_refused_before_a_folder_is_created(option, message, blobs, tmp_path):
    with pytest.raises(UsageError, match=message):
        latens.run(blobs, out=tmp_path / "run", device="cpu", progress=Silent(), **option)
    assert not (tmp_path / "run").exists()


def test_the_largest_seed_works_in_a_complete_run(blobs, tmp_path):
    assert small_run(blobs, tmp_path / "run", seed=2**32 - 1).record["status"] == "done"
    run = open_run(tmp_path / "run")
    for call in (lambda: run.sample(2, seed=2**32), lambda: run.map("tsne", seed=-1)):
        with pytest.raises(UsageError, match="seed is"):
            call()


def test_cached_files_are_read_again_after_another_process_changed_them(finished_run, tmp_path):
    folder = shutil.copytree(finished_run.path, tmp_path / "run")
    run, other = open_run(folder), open_run(folder)
    latents, model = run.latents, run.model
    assert run.latents is latents
    assert run.model is model
    other.write_arrays("latents.npz", {**other.latents, "latents": latents["latents"] * 2})
    other.save("model.safetensors", {name: tensor * 2 for name, tensor in model.state_dict().items()})
    np.testing.assert_array_equal(run.latents["latents"], latents["latents"] * 2)
    assert equal(run.model.state_dict(), {name: tensor * 2 for name, tensor in model.state_dict().items()})


def test_two_processes_can_not_complete_one_run(blobs, tmp_path):
    run = stopped_run(blobs, tmp_path / "run")
    with run.folder.working(), pytest.raises(RunError, match=r"process \d+ is training or completing it since 20"):
        latens.resume(run.path, device="cpu", progress=Silent())


@pytest.mark.parametrize(
    "command", [experiment.score, experiment.make_map, experiment.review], ids=lambda command: command.__name__
)
def test_a_second_command_is_told_who_works_on_the_run(finished_run, command):
    before = dict(finished_run.folder.files)
    with (
        finished_run.folder.working("scoring it"),
        pytest.raises(RunError, match=r"process \d+ is scoring it since 20"),
    ):
        command(open_run(finished_run.path), progress=Silent())
    assert finished_run.folder.files == before


@pytest.mark.parametrize("fit", [lambda run: run.map("pca", seed=1), lambda run: run.sampler("gaussian")])
def test_what_is_fitted_to_earlier_latents_is_not_saved(finished_run, tmp_path, monkeypatch, fit):
    run, other = (open_run(shutil.copytree(finished_run.path, tmp_path / "run")), open_run(tmp_path / "run"))
    run.forget("samplers/gaussian.safetensors")
    commit = RunFolder.commit

    def late(folder, *args, **options):
        monkeypatch.setattr(RunFolder, "commit", commit)
        other.write_arrays("latents.npz", {**other.latents, "latents": other.latents["latents"] * 2})
        before.update(other.folder.files)
        commit(folder, *args, **options)

    before = {}
    monkeypatch.setattr(RunFolder, "commit", late)
    with pytest.raises(RunError, match=r"another process has changed latents\.npz in the meantime"):
        fit(run)
    assert run.folder.files == before


def test_a_run_of_the_previous_version_can_be_resumed(blobs, tmp_path):
    """Its checkpoint had no hash in run.json, and history could be one epoch ahead."""
    run = stopped_run(blobs, tmp_path / "run")
    old = read_record(run.path)
    for name in ("checkpoint.safetensors", "history.jsonl"):
        del old["files"][name]
    write_record(run.path, old)
    lines = (run.path / "history.jsonl").read_text()
    (run.path / "history.jsonl").write_text(lines + lines.replace('"epoch": 1', '"epoch": 2'))
    resumed = latens.resume(run.path, device="cpu", progress=Silent())
    assert [line["epoch"] for line in resumed.history] == [1, 2, 3]
    whole = start_run(blobs, recipe_for(blobs), tmp_path / "whole")
    list(record(whole, train(whole.model, blobs, whole.recipe.config)))
    assert equal(weights_of(resumed), weights_of(whole))
    assert not (run.path / "checkpoint.safetensors").exists()


def test_nan_in_a_json_file_is_refused_in_one_line_and_the_run_stays(blobs, tmp_path):
    run = start_run(blobs, recipe_for(blobs), tmp_path / "run")
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(UsageError, match="NaN and infinity cannot be saved"):
        run.save("metrics.json", {"scores": [{"value": float("nan")}]})
    assert (tmp_path / "run" / "run.json").read_bytes() == before
