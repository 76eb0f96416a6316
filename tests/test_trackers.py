"""What trackers are told, read back by their own readers; the packages are those of `make test-all`."""

import sys

import numpy as np
import pytest

import latens
from conftest import REFERENCE, from_test_all, make_blobs
from latens.cli import main
from latens.errors import MissingExtra, UnknownName, UsageError
from latens.progress import Silent
from latens.trackers import tracker_names


def test_what_cannot_be_tracked_is_said_before_there_is_a_folder(tmp_path, blobs_file, monkeypatch, capsys):
    with pytest.raises(UnknownName, match="unknown tracker 'notebook'; known: tensorboard"):
        tracker_names("notebook")
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match=r'pip install "latens\[tensorboard\]"'):
        tracker_names("tensorboard")
    assert main(["run", str(blobs_file), "--out", str(tmp_path / "run"), "--track", "tensorboard"]) == 2
    assert "--track tensorboard needs tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr("latens.trackers.tensorboard.TensorBoardTracker.check", lambda: None)
    with pytest.raises(UsageError, match="each can be named once"):
        tracker_names("tensorboard, tensorboard")
    assert tracker_names(["tensorboard"]) == ("tensorboard",)


@pytest.mark.pretrained
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_what_a_run_told_it(tmp_path):
    from_test_all("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    pixels, labels = make_blobs(240, (3, 12, 12))
    np.savez(tmp_path / "blobs.npz", images=pixels, labels=labels)
    out = tmp_path / "run"
    run = latens.run(
        tmp_path / "blobs.npz", out=out, epochs=2, **REFERENCE, device="cpu", progress=Silent(), track="tensorboard"
    )
    assert "tracker tensorboard" not in run.record.get("left_out", {})
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
