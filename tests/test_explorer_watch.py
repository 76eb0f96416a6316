"""`latens run --watch`: the page of a run while it trains, by the command that people type."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request

import numpy as np

from conftest import make_blobs


def ask(address, path):
    *_, token, _ = address.split("/")
    asked = urllib.request.Request(address.removesuffix(f"{token}/") + path, headers={"x-latens-token": token})
    with urllib.request.urlopen(asked) as response:
        return json.load(response)


def test_a_run_is_watched_from_its_start_to_its_map(tmp_path):
    pixels, labels = make_blobs(240)
    np.savez(tmp_path / "blobs.npz", images=pixels[:, 0], labels=labels)
    command = [sys.executable, "-m", "latens", "run", "blobs.npz", "--out", "run", "--epochs", "3", "--latent-dim", "8"]
    process = subprocess.Popen(
        [*command, "--watch", "--no-open", "--device", "cpu"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    address = re.search(r"http://127\.0\.0\.1:\d+/\S+/", process.stdout.readline())[0]
    statuses, counts = [], []
    end = time.monotonic() + 60
    while "done" not in statuses:
        assert time.monotonic() < end
        statuses.append(ask(address, "api/history")["status"])
        counts.append(ask(address, "api/run")["count"])
        time.sleep(0.05)
    assert counts[0] == 0  # a run that trains has no map yet
    history = ask(address, "api/history")
    assert [line["epoch"] for line in history["history"]] == [1, 2, 3]
    assert history["verdict"] is not None
    assert ask(address, "api/run")["count"] > 0
    assert len(ask(address, "api/snapshot?epoch=1")["x"]) == 24
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "the page stays open" in printed
    assert "Traceback" not in errors
