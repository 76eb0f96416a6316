"""Memory under `ulimit`: the libraries of linear algebra have theirs before it is short, or one error says that it is."""

import subprocess
import sys

import pytest

from latens.cli import main
from latens.memory import take_buffers

LIMITED = pytest.mark.skipif(
    sys.platform != "linux", reason="the limit of data counts all that is allocated on Linux only"
)
BEGIN = """
import os, re, resource, sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np, scipy.linalg, torch
from latens.memory import take_buffers

def leave(megabytes):
    used = int(re.search(r"VmData:\\s+(\\d+)", open("/proc/self/status").read())[1]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (used + (megabytes << 20),) * 2)

torch.set_num_threads(2)
"""


def told(program):
    return subprocess.run([sys.executable, "-c", BEGIN + program], capture_output=True, text=True, timeout=120)


@LIMITED
def test_what_is_computed_later_needs_no_more_buffers():
    """Without it, an OpenBLAS ends the process here, or waits for ever."""
    ended = told(
        """
leave(2000)
take_buffers()
leave(16)
square = np.eye(64)

def work(_):
    np.linalg.cholesky(square), scipy.linalg.lapack.dpotrf(square), square @ square

with ThreadPoolExecutor(2) as pool:
    list(pool.map(work, range(20)))
print("computed", torch.ones(1 << 20).sum().item())
sys.stdout.flush()
os._exit(0)
"""
    )
    assert ended.stdout == "computed 1048576.0\n", ended.stderr
    assert ended.returncode == 0


@LIMITED
def test_no_room_for_the_buffers_is_a_lack_of_memory():
    ended = told(
        """
leave(40)
try:
    take_buffers()
except MemoryError:
    print("no room")
"""
    )
    assert ended.stdout == "no room\n", ended.stderr


@LIMITED
def test_where_memory_is_short_fewer_threads_are_used():
    assert told("leave(120)\ntake_buffers()\nprint(torch.get_num_threads())").stdout == "1\n"


def test_without_a_limit_nothing_is_done(monkeypatch):
    monkeypatch.setattr("latens.memory._of_process", lambda: iter(()))
    monkeypatch.setitem(sys.modules, "torch", None)  # an import would fail
    take_buffers()


@pytest.mark.parametrize(
    ("words", "computes"), [(["score", "."], True), (["check", ".", "--repair"], True), (["runs", "."], False)]
)
def test_commands_that_compute_take_them_first(words, computes, monkeypatch, tmp_path, capsys):
    def no_room():
        raise MemoryError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("latens.cli.take_buffers", no_room)
    assert main(words) == 2
    assert ("not enough memory" in capsys.readouterr().err) == computes
