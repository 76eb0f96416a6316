"""No figure, map, score or chapter stops a run: what fails is left out, noted, recorded and shown in the report."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import latens
from conftest import make_blobs
from latens import cli
from latens.errors import RunError
from latens.figures import pictures
from latens.left_out import DEBUG, LeftOut
from latens.metrics import Protocol, Score, Scores, representation
from latens.progress import Silent


class Heard(Silent):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def npz_of(path, train, test, labels):
    """A .npz of blobs in two parts, or in one where `test` is 0; `labels` is a function count -> labels, or None."""
    pixels, _ = make_blobs(train + test, seed=5)
    if not test:
        np.savez(path, images=pixels[:, 0], labels=labels(train))
        return path
    arrays = {"x_train": pixels[:train, 0], "x_test": pixels[train:, 0]}
    if labels is not None:
        numbers = labels(train + test)
        arrays |= {"y_train": numbers[:train], "y_test": numbers[train:]}
    np.savez(path, **arrays)
    return path


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("train", "test", "labels"),
    [
        (8, 1, None),
        (8, 2, lambda n: np.arange(n) % 2),
        (9, 1, lambda n: np.arange(n) % 2),
        (9, 1, lambda n: np.zeros(n, int)),
        (12, 0, lambda n: np.arange(n)),
        (10, 5, lambda n: (np.arange(n) == 3).astype(int)),
        (30, 3, lambda n: np.arange(n) % 3),
    ],
    ids=["1 test", "2 test", "ten of two", "one class", "a class each", "a class of one", "thirty"],
)
def test_a_small_set_ends_with_a_report(train, test, labels, tmp_path):
    path = npz_of(tmp_path / "few.npz", train, test, labels)
    heard = Heard()
    run = latens.run(path, out=tmp_path / "run", epochs=1, latent_dim=3, device="cpu", progress=heard)
    assert run.record["status"] == "done"
    assert "<h1>" in (run.path / "report.html").read_text(encoding="utf-8")
    said = [text for text in heard.said if text.startswith("left out: ")]
    assert len(said) == len(run.record["left_out"])
    again = latens.resume(run.path, device="cpu", progress=Silent())
    assert again.record["left_out"] == run.record["left_out"]


def test_pictures_that_are_almost_equal_end_with_a_report(tmp_path):
    pixels = np.full((12, 8, 8), 90, np.uint8)
    pixels[0] = 91
    np.save(tmp_path / "same.npy", pixels)
    run = latens.run(
        tmp_path / "same.npy", out=tmp_path / "run", epochs=1, latent_dim=2, device="cpu", progress=Silent()
    )
    assert run.record["status"] == "done"
    assert (run.path / "report.html").exists()


def test_ten_labelled_pictures_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    npz_of(tmp_path / "ten.npz", 9, 1, lambda n: np.arange(n) % 2)
    assert cli.main(["run", "ten.npz", "--epochs", "1", "--latent-dim", "3", "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    record = json.loads((tmp_path / "runs" / "ten-1" / "run.json").read_text())
    reason = "its test part holds 1 image; a path needs two"
    assert reason in record["left_out"]["figure arithmetic"]
    assert f"left out: figure arithmetic: runs/ten-1: {reason}" in printed.out
    assert reason in (tmp_path / "runs" / "ten-1" / "report.html").read_text(encoding="utf-8")


def broken(*given):
    raise IndexError("list index out of range")


@pytest.fixture
def stages(monkeypatch):
    """Break one part after the other, all at once: a map, the probe, a group of scores, a figure, a chapter."""
    from latens import experiment
    from latens.report import page

    real = experiment.map_run
    monkeypatch.setattr(
        experiment, "map_run", lambda run, name, **rest: broken() if name == "pca" else real(run, name, **rest)
    )
    monkeypatch.setattr(experiment, "probe_run", broken)
    monkeypatch.setattr(representation, "METRIC", replace(representation.METRIC, score=broken))
    monkeypatch.setattr(pictures, "WORST", replace(pictures.WORST, of_run=broken))
    written = page.chapter
    monkeypatch.setattr(page, "chapter", lambda name, story: broken() if name == "network" else written(name, story))


@pytest.mark.usefixtures("stages")
def test_everything_that_fails_is_left_out_by_name(blobs_file, tmp_path):
    heard = Heard()
    run = latens.run(blobs_file, out=tmp_path / "run", epochs=1, latent_dim=4, device="cpu", progress=heard)
    assert run.record["status"] == "done"
    left = run.record["left_out"]
    broke = ("map pca", "probe", "scores representation", "figure worst", "chapter network of the report")
    for what in broke:
        assert left[what] == "IndexError: list index out of range"
        assert any(text.startswith(f"left out: {what}: IndexError") and DEBUG in text for text in heard.said)
    assert "figure probe" in left  # which needs the probe
    assert (run.path / "figures" / "loss.png").exists()
    assert not (run.path / "figures" / "worst.png").exists()
    assert {score["group"] for score in run.scores["scores"]} >= {"reconstruction"}
    assert run.scores["notes"]["representation"] == "left out: IndexError: list index out of range"
    report = (run.path / "report.html").read_text(encoding="utf-8")
    assert "This chapter was left out: IndexError" in report
    assert "figure worst (IndexError" in report


def test_what_is_mended_is_no_longer_left_out(blobs_file, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "WORST", replace(pictures.WORST, of_run=broken))
        run = latens.run(blobs_file, out=tmp_path / "run", epochs=1, latent_dim=4, device="cpu", progress=Silent())
    assert list(run.record["left_out"]) == ["figure worst"]
    again = latens.resume(run.path, device="cpu", progress=Silent())
    assert again.record["left_out"] == {}
    assert "Left out" not in (run.path / "report.html").read_text(encoding="utf-8")


def test_nothing_is_left_out_of_an_ordinary_run(finished_run):
    assert finished_run.record["left_out"] == {}


def test_a_report_that_fails_leaves_no_old_one(finished_run, blobs_file, tmp_path, monkeypatch):
    run = latens.run(blobs_file, out=tmp_path / "run", epochs=1, latent_dim=4, device="cpu", progress=Silent())
    from latens import experiment

    monkeypatch.setattr(experiment, "write_report", broken)
    again = latens.resume(run.path, device="cpu", progress=Silent())
    assert again.record["status"] == "done"
    assert again.record["left_out"] == {"report": "IndexError: list index out of range"}
    assert not (run.path / "report.html").exists()


def test_scores_that_are_not_finite_are_left_out(blobs_file, tmp_path, monkeypatch):
    good, bad = (Score(name, value, "", "lower", Protocol("p")) for name, value in (("good", 1.0), ("bad", np.nan)))
    metric = replace(representation.METRIC, score=lambda inputs: Scores((good, bad)))
    monkeypatch.setattr(representation, "METRIC", metric)
    run = latens.run(blobs_file, out=tmp_path / "run", epochs=1, latent_dim=4, device="cpu", progress=Silent())
    names = [score["name"] for score in run.scores["scores"] if score["group"] == "representation"]
    assert names == ["good"]
    assert run.scores["notes"]["representation"] == "left out, as not finite: bad"


def test_what_a_person_or_the_disk_ends_is_not_caught():
    left = LeftOut()
    for error in (KeyboardInterrupt(), SystemExit(1), OSError(errno.ENOSPC, "No space left on device")):
        with pytest.raises(type(error)), left.attempt("figure map"):
            raise error
    assert left.reasons == {}


def test_reasons_are_one_line_and_the_traceback_is_shown_on_demand(monkeypatch):
    said = []
    left = LeftOut(said.append)
    with left.attempt("a"):
        raise RunError("no\n  such thing")
    with left.attempt("b"):
        raise MemoryError
    with left.attempt("b of torch"):
        torch.empty(1 << 60)
    assert left.reasons == {"a": "no such thing", "b": "not enough memory", "b of torch": "not enough memory"}
    assert not any(DEBUG in text for text in said)
    monkeypatch.setenv(DEBUG, "1")
    with left.attempt("c"):
        broken()
    assert "in broken" in said[-1]
    assert "IndexError" in said[-2]
    assert left.added_to({"a": "old", "z": "kept"}) == {"z": "kept", **left.reasons}
