"""What trackers are told, read back by their own readers; the packages are those of `make test-all`."""

import json
import struct
import sys

import numpy as np
import pytest

import latens
from conftest import REFERENCE, from_test_all, make_blobs
from latens.cli import main
from latens.errors import MissingExtra, UnknownName, UsageError
from latens.progress import Silent
from latens.trackers import TRACKERS, tracker_names


def test_what_cannot_be_tracked_is_said_before_there_is_a_folder(tmp_path, blobs_file, monkeypatch, capsys):
    with pytest.raises(UnknownName, match="unknown tracker 'notebook'; known: mlflow, tensorboard, wandb"):
        tracker_names("notebook")
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match=r'pip install "latens\[tensorboard\]"'):
        tracker_names("tensorboard")
    assert main(["run", str(blobs_file), "--out", str(tmp_path / "run"), "--track", "tensorboard"]) == 2
    assert "--track tensorboard needs tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    for name in TRACKERS:
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtra, match=rf'pip install "latens\[{name}\]"'):
            TRACKERS[name].check()
    monkeypatch.setattr("latens.trackers.tensorboard.TensorBoardTracker.check", lambda: None)
    with pytest.raises(UsageError, match="each can be named once"):
        tracker_names("tensorboard, tensorboard")
    assert tracker_names(["tensorboard"]) == ("tensorboard",)


def tracked(folder, monkeypatch, name):
    """A run of two epochs, made in a folder of its own, and told to a tracker."""
    monkeypatch.chdir(folder)
    pixels, labels = make_blobs(240, (3, 12, 12))
    np.savez(folder / "blobs.npz", images=pixels, labels=labels)
    settings = {"out": folder / "run", "epochs": 2, **REFERENCE, "device": "cpu", "progress": Silent(), "track": name}
    run = latens.run(folder / "blobs.npz", **settings)
    assert f"tracker {name}" not in run.record.get("left_out", {})
    return run


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
def test_mlflow_reads_what_a_run_told_it(tmp_path, monkeypatch):
    from_test_all("mlflow")
    run = tracked(tmp_path, monkeypatch, "mlflow")
    from mlflow.tracking import MlflowClient

    client = MlflowClient("sqlite:///mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("latens").experiment_id])
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    assert found.data.params["latent_dim"] == "8"
    for name, told in (("loss/train", "train_loss"), ("loss/test_mse", "test_mse")):
        events = sorted(client.get_metric_history(found.info.run_id, name), key=lambda one: one.step)
        assert [one.step for one in events] == [1, 2]
        assert [one.value for one in events] == [row[told] for row in run.history]
    knn = run.scores.find("knn_accuracy")
    assert found.data.metrics[f"scores/{knn.group}/{knn.name}"] == knn.value
    files = {one.path for one in client.list_artifacts(found.info.run_id, "figures")}
    assert "figures/map-tsne.png" in files
    TRACKERS["mlflow"](run).step(latens.Step(3, 9, 0.5, {}, 0.25, 0.1, 1.0, 1.0, dict))  # as a resumed run does
    (again,) = client.search_runs([found.info.experiment_id])
    assert again.data.metrics["loss/train"] == 0.5


def records(content):
    """The records of a file of wandb, which has the format of LevelDB's log behind a head of 7 bytes."""
    assert content[:4] == b":W&B"
    place, parts = 7, []
    while place + 7 <= len(content):
        if (left := 32768 - place % 32768) < 7:  # the rest of a block is empty
            place += left
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        parts.append(content[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore")
def test_wandb_holds_what_a_run_told_it(tmp_path, monkeypatch):
    from_test_all("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run = tracked(tmp_path, monkeypatch, "wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    history, summary, config = [], {}, {}
    for data in records(file.read_bytes()):
        record = Record.FromString(data)
        history += [{(one.key or "/".join(one.nested_key)): one.value_json for one in record.history.item}]
        summary |= {(one.key or "/".join(one.nested_key)): one.value_json for one in record.summary.update}
        config |= {(one.key or one.nested_key[0]): one.value_json for one in record.run.config.update}
    losses = [json.loads(row["loss/train"]) for row in history if "loss/train" in row]
    assert losses == [row["train_loss"] for row in run.history]
    knn = run.scores.find("knn_accuracy")
    assert json.loads(summary[f"scores/{knn.group}/{knn.name}"]) == knn.value
    assert json.loads(config["latent_dim"]) == 8
    assert list((tmp_path / "wandb").glob("offline-run-*/files/media/images/figures/map-tsne*.png"))


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_what_a_run_told_it(tmp_path, monkeypatch):
    from_test_all("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tracked(tmp_path, monkeypatch, "tensorboard")
    out = run.path
    found = EventAccumulator(str(out / "tensorboard"))
    found.Reload()
    tags = found.Tags()
    for name, told in (("loss/train", "train_loss"), ("loss/test_mse", "test_mse")):
        events = found.Scalars(name)
        assert [one.step for one in events] == [1, 2]
        np.testing.assert_allclose([one.value for one in events], [row[told] for row in run.history], rtol=1e-5)
    knn = run.scores.find("knn_accuracy")
    (scored,) = [one for one in tags["scalars"] if one.endswith(f"{knn.group}/{knn.name}")]
    assert found.Scalars(scored)[0].value == pytest.approx(knn.value, rel=1e-5)
    assert "figures/map-tsne" in tags["images"]
    assert b"latent_dim | 8" in found.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]
    (place,) = (out / "tensorboard").glob("*/latents")
    rows = np.loadtxt(place / "tensors.tsv")
    np.testing.assert_allclose(rows, run.of_part("latents", 1), rtol=1e-3, atol=1e-5)
    names = (place / "metadata.tsv").read_text().split()
    assert names == [run.class_names[label] for label in run.labels_of(1)]
    assert (place / "sprite.png").is_file()
    latens.open_run(out)
    assert main(["check", str(out)]) == 0
