"""`latens run --watch`: the page of a run while it trains, by the command that people type."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest

import latens
from browser import ask, chromium, expect, opened, until
from conftest import REFERENCE, make_blobs
from latens.errors import UsageError
from latens.explorer import View
from latens.explorer.phase import phase, stop
from latens.explorer.work import Both, Work
from latens.progress import Silent
from latens.runs import Run, open_run

LONG = 300_000  # milliseconds in which anything happens
ORDER = ["training", "latents", "maps", "scores", "report", "done"]


@pytest.fixture(scope="module")
def blobs_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watch")
    pixels, labels = make_blobs(240)
    np.savez(folder / "blobs.npz", images=pixels[:, 0], labels=labels)
    return folder


@contextmanager
def watching(folder, out, epochs):
    """The process of a run that is watched, and the address of its page."""
    command = [sys.executable, "-m", "latens", "run", "blobs.npz", "--out", out, "--latent-dim", "8"]
    process = subprocess.Popen(
        [*command, "--epochs", str(epochs), "--watch", "--no-open", "--device", "cpu"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        yield process, re.search(r"http://127\.0\.0\.1:\d+/\S+/", process.stdout.readline())[0]
    finally:
        process.kill()
        process.communicate()


class Asking(Silent):
    """A progress that asks the training to stop while its second epoch is under way."""

    def __init__(self, path):
        self.path = path

    @contextmanager
    def stage(self, title, unit=""):
        def tick(done, total, text=""):
            if title == "training" and text.startswith("epoch 2"):
                Run(self.path).folder.ask_to_stop()

        yield tick


@pytest.fixture(scope="module")
def stopped_run(blobs_folder):
    path = blobs_folder / "stopped"
    options = {**REFERENCE, "epochs": 4, "device": "cpu"}
    return latens.run(blobs_folder / "blobs.npz", out=path, progress=Asking(path), **options)


def test_a_training_that_is_asked_to_stop_ends_with_its_epoch_and_the_run_is_whole(stopped_run):
    run = open_run(stopped_run.path)
    assert run.record["status"] == "stopped"
    assert [line["epoch"] for line in run.history] == [1, 2]
    assert {"checkpoint.safetensors", "latents.npz", "maps/tsne.npz", "metrics.json"} <= set(run.record["files"])
    assert "Training was stopped after epoch 2 of 4" in (run.path / "report.html").read_text()
    np.testing.assert_allclose(run.encode(run.images.test), run.of_part("latents", 1), atol=1e-5)
    assert not run.folder.stop_asked
    assert phase(View(run)).facts["phase"] == "stopped"
    with pytest.raises(UsageError, match="not being trained"):
        stop(View(run))


def test_a_stopped_run_trains_on_and_keeps_nothing_of_what_was_computed_before(stopped_run, blobs_folder):
    options = {**REFERENCE, "epochs": 4, "device": "cpu"}
    whole = latens.run(blobs_folder / "blobs.npz", out=blobs_folder / "whole", progress=Silent(), **options)
    before = dict(stopped_run.record["files"])
    assert any(name.startswith("samplers/") for name in before)
    done = latens.resume(stopped_run.path, device="cpu", progress=Silent())
    assert done.record["status"] == "done"
    assert [line["epoch"] for line in done.history] == [1, 2, 3, 4]
    for name, digest in whole.record["files"].items():
        if name.startswith(("samplers/", "maps/", "latents", "model")):
            assert done.record["files"][name] == digest != before[name], name
    assert "was stopped" not in (done.path / "report.html").read_text()


def test_a_page_of_a_run_that_trains_on_does_not_show_its_old_map(finished_run):
    run = Run(finished_run.path)
    assert View(run).ready
    assert View(run, watched=True).ready  # it is done
    view = View(run, watched=True)
    run.record["status"] = "stopped"  # in memory alone
    assert not view._has_map(run)


def test_what_a_run_is_at_is_told_by_its_folder(finished_run, tmp_path):
    import shutil

    shutil.copytree(finished_run.path, tmp_path / "copy")
    run = Run(tmp_path / "copy")
    said = lambda: phase(View(Run(run.path))).facts["phase"]  # noqa: E731
    assert said() == "done"
    run.update(status="trained")
    assert said() == "broken off"
    with run.folder.working():
        assert said() == "report"
        run.forget("metrics.json")
        assert said() == "scores"
        run.forget("maps/tsne.npz")
        assert said() == "maps"
        assert not View(Run(run.path)).ready  # the process that works on it makes the map
        run.forget("latents.npz")
        assert said() == "latents"
        run.update(status="training")
        assert said() == "training"
        assert stop(View(run)).facts["stopping"]
    run.update(status="diverged", error="not finite")
    assert said() == "diverged"


def test_both_progresses_are_told():
    one, other = Work(), Work()
    with Both(one, other).stage("map tsne") as tick:
        tick(3, 10)
        assert one.as_json() == other.as_json() == [{"title": "map tsne", "done": 3, "total": 10}]
    assert one.as_json() == other.as_json() == []


def test_the_training_is_stopped_on_the_page_and_the_page_leads_over_into_the_map(blobs_folder):
    with watching(blobs_folder, "by-button", 3000) as (process, address), chromium() as browser:
        with opened(browser, address) as page:
            page.set_default_timeout(60_000)
            note = page.locator(".phase")
            expect(note).to_contain_text(re.compile(r"Training: epoch \d+ of 3000, \d+ %"), timeout=LONG)
            until(page, lambda: ask(address, "api/history")["history"], 60)
            note.get_by_role("button").click()
            expect(page.get_by_role("tab", name="Decode")).to_be_visible(timeout=LONG)  # without anyone's doing
            assert ask(address, "api/run")["count"] == 240
            # On a quick machine the scoring of so few images is over before the page asks again.
            told = re.compile("Fitting samplers and scoring|The training was stopped after epoch")
            expect(note).to_contain_text(told, timeout=LONG)
            expect(note).to_contain_text("The training was stopped after epoch", timeout=LONG)
            expect(note).to_contain_text("latens run --resume")
            expect(note.get_by_role("button")).to_be_hidden()
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=300)
        assert "the page stays open" in printed
    run = open_run(blobs_folder / "by-button")
    assert run.record["status"] == "stopped"
    assert 1 <= len(run.history) < 3000


def test_a_run_is_watched_from_its_start_to_its_map(blobs_folder):
    with watching(blobs_folder, "run", 3) as (process, address):
        watched_to_its_end(process, address)


def watched_to_its_end(process, address):
    statuses, counts, phases = [], [], []
    end = time.monotonic() + 300
    while "done" not in statuses:
        assert time.monotonic() < end
        phases.append(ask(address, "api/phase")["phase"])
        statuses.append(ask(address, "api/history")["status"])
        counts.append(ask(address, "api/run")["count"])
        time.sleep(0.05)
    phases.append(ask(address, "api/phase")["phase"])
    seen = list(dict.fromkeys(phases))
    assert seen == [name for name in ORDER if name in seen]  # each in its turn
    assert {"training", "scores", "done"} <= set(seen)
    assert counts[0] == 0  # a run that trains has no map yet
    assert counts[phases.index("scores") + 1] > 0 or phases[phases.index("scores") + 1] != "scores"
    history = ask(address, "api/history")
    assert [line["epoch"] for line in history["history"]] == [1, 2, 3]
    assert history["verdict"] is not None
    assert ask(address, "api/run")["count"] > 0
    assert len(ask(address, "api/snapshot?epoch=1")["x"]) == 24
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "the page stays open" in printed
    assert "Traceback" not in errors
