"""A training on two hosts: network namespaces with their own addresses, one of which is cut off and brought back.

Linux only, and only where namespaces may be made (root).
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import latens
from conftest import make_blobs
from latens.files import read_safetensors

pytestmark = pytest.mark.heavy
HOSTS = ("10.77.0.1", "10.77.0.2")
TRAIN = """
import os, sys
import latens
from latens.training import team
run = latens.run(sys.argv[1], out=sys.argv[2], recipe="notebook", epochs=30, batch_size=64, latent_dim=8, samplers=())
with open(f"{sys.argv[2]}-{os.environ['RANK']}.txt", "w") as file:
    file.write(run.record["status"])
team.end_process(0)
"""


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True, timeout=20)


@pytest.fixture
def hosts():
    """The names of two namespaces, joined by a link whose ends are called `link0`."""
    names = [f"latens{os.getpid()}{letter}" for letter in "ab"]
    if shutil.which("ip") is None:
        pytest.skip("there is no `ip` here")
    try:
        ip("netns", "add", names[0])
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces may not be made here: {error.stderr.strip()}")
    try:
        ip("netns", "add", names[1])
        ip("link", "add", "link0", "netns", names[0], "type", "veth", "peer", "name", "link0", "netns", names[1])
        for name, address in zip(names, HOSTS, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "link0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "link0", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, timeout=20, check=False)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The words of a program that trains, but for its folder."""
    folder = tmp_path_factory.mktemp("hosts")
    pixels, labels = make_blobs(2000)
    np.savez(folder / "blobs.npz", images=pixels[:, 0], labels=labels)
    (folder / "train.py").write_text(TRAIN)
    return folder / "train.py", folder / "blobs.npz"


def agent(hosts, number, words, log):
    """torchrun on one of the hosts, with one process."""
    torchrun = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=3"),
        *("--rdzv-backend=c10d", f"--rdzv-endpoint={HOSTS[0]}:29511", "--rdzv-id=two", f"--local-addr={HOSTS[number]}"),
        f"--rdzv-conf=is_host={'false' if number else 'true'},join_timeout=200",
    ]
    settings = {"GLOO_SOCKET_IFNAME": "link0", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        ["ip", "netns", "exec", hosts[number], *torchrun, *map(str, words)],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **settings},
    )


def epochs(folder):
    history = folder / "history.jsonl"
    return len(history.read_text().splitlines()) if history.exists() else 0


def lose(host):
    """Kill all that runs on a host."""
    for process in ip("netns", "pids", host).stdout.split():
        os.kill(int(process), signal.SIGKILL)


@contextmanager
def training(hosts, program, out, log):
    """Both agents; they are ended in any case."""
    agents = [agent(hosts, number, [*program, out], log) for number in range(2)]
    try:
        yield agents
    finally:
        for host in hosts:
            lose(host)
        for one in agents:
            one.wait(60)


def wait_for(what, process, seconds=240):
    end = time.monotonic() + seconds
    while not what():
        assert process.poll() in (None, 0), "torchrun on the first host has failed"
        assert time.monotonic() < end, "nothing more happens"
        time.sleep(0.1)


@pytest.mark.parametrize("loss", ["the link for a while", "the host"])
def test_a_host_that_is_cut_off_and_brought_back(hosts, program, tmp_path, loss):
    out = tmp_path / "run"
    with (tmp_path / "log.txt").open("w") as log, training(hosts, program, out, log) as agents:
        wait_for(lambda: epochs(out) >= 2, agents[0])
        ip("-n", hosts[0], "link", "set", "link0", "down")
        time.sleep(3)
        if loss == "the host":
            lose(hosts[1])
            time.sleep(20)  # torchrun takes a host that says nothing for 15 s for lost
        reached = epochs(out)
        assert reached < 30, "the training had ended before the cut"
        time.sleep(2)
        assert epochs(out) == reached, "a host trained on alone"
        ip("-n", hosts[0], "link", "set", "link0", "up")
        if loss == "the host":
            agents.append(agent(hosts, 1, [*program, out], log))
        told = [tmp_path / f"run-{rank}.txt" for rank in range(2)]
        wait_for(lambda: all(one.exists() for one in told), agents[0])
        assert agents[0].wait(60) == 0, (tmp_path / "log.txt").read_text()
    assert [one.read_text() for one in told] == ["done", "done"]
    with (tmp_path / "whole.txt").open("w") as log, training(hosts, program, tmp_path / "whole", log) as agents:
        assert [one.wait(240) for one in agents] == [0, 0], (tmp_path / "whole.txt").read_text()
    runs = [latens.open_run(tmp_path / name) for name in ("run", "whole")]
    assert [len(run.history) for run in runs] == [30, 30]
    one, other = (read_safetensors(run.path / "model.safetensors") for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in other)
