"""Parts made by Ray: the files of one process; a killed actor loses nothing; what an actor meets is said in one line."""

import errno
import importlib
import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import polars
import pytest

from latens.cli import main
from latens.errors import ClusterUnavailable, MissingExtra, RunError
from latens.parts import Work, write_parts

TOTAL, ROWS = 40, 6  # seven parts


class Numbers(Work):
    """The numbers of rows; each table that is asked for is noted in a file. What `happens` comes where an actor makes it."""

    holds = "numbers"
    total, takes_gpu = TOTAL, False
    agreed, metadata = {"total": TOTAL}, {}
    notes = ()

    def __init__(self, notes, driver, happens=None):
        self.path, self.away, self.happens = notes, os.getpid() != driver, happens
        if self.away and happens == "other version":
            from latens.parts import folder

            folder.__version__ = "0.0.9"

    def first_time(self, event):
        try:
            os.close(os.open(self.path / event, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def table(self, rows):
        number = rows.start // ROWS
        (self.path / f"{number}-{os.getpid()}-{time.monotonic_ns()}").touch()
        if self.away and self.happens == "full disk" and number == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a-part")
        if self.away and self.happens == "kill" and number == 2 and self.first_time("kill before"):
            os.kill(os.getpid(), signal.SIGKILL)
        return {"id": np.array([str(row) for row in rows]), "row": np.array(rows)}

    @property
    def left_out(self):  # asked for after a part was written, too
        fifth = self.away and self.happens == "kill" and list(self.path.parent.glob("parts/numbers-00004*"))
        if fifth and self.first_time("kill after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return ()


class Elsewhere:
    """What a machine without latens makes of us."""

    def __call__(self):
        return Numbers(Path(), os.getpid())

    def __reduce__(self):
        return importlib.import_module, ("no_such_latens",)


@pytest.fixture(scope="module")
def cluster():
    """A Ray of one processor and a small store, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_BACKEND_LOG_LEVEL", "fatal")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.delenv("RAY_ADDRESS", raising=False)
        ray = pytest.importorskip("ray")
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # its processes can't import this file
        ray.init(
            address="local",
            num_cpus=1,
            object_store_memory=100 << 20,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="error",
        )
        yield ray
        ray.shutdown()


@pytest.fixture
def asked(tmp_path):
    (tmp_path / "asked").mkdir()
    return tmp_path / "asked"


def counts(asked):
    return [len(list(asked.glob(f"{number}-*"))) for number in range(7)]


def rows_in(place):
    return polars.concat([polars.read_parquet(file) for file in sorted(place.glob("*.parquet"))])["row"].to_list()


@pytest.mark.filterwarnings("default")
@pytest.mark.pretrained
def test_a_killed_actor_loses_nothing_and_writes_nothing_twice(cluster, asked, tmp_path, capsys):
    work = partial(Numbers, asked, os.getpid(), "kill")
    made = write_parts(work, tmp_path / "parts", rows=ROWS, engine="ray")
    assert (asked / "kill before").exists()
    assert (asked / "kill after").exists()
    assert (made.parts, made.written, made.images, made.missing) == (7, 7, TOTAL, 0)
    assert rows_in(tmp_path / "parts") == list(range(TOTAL))
    assert counts(asked) == [1, 1, 2, 1, 1, 1, 1]  # the third again, which was not written when its actor was killed
    assert not list((tmp_path / "parts").glob(".*.tmp"))
    assert capsys.readouterr().out == ""  # where the command's JSON goes; Ray tells of lost actors
    again = write_parts(work, tmp_path / "parts", rows=ROWS, engine="ray")
    assert (again.written, again.there) == (0, 7)
    assert sum(counts(asked)) == 8


@pytest.mark.filterwarnings("default")
@pytest.mark.pretrained
def test_what_an_actor_meets_is_raised_here(cluster, asked, tmp_path):
    with pytest.raises(OSError, match="No space left") as caught:
        write_parts(partial(Numbers, asked, os.getpid(), "full disk"), tmp_path / "parts", rows=ROWS, engine="ray")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, "a-part")
    there = {int(file.name.split("-")[1]) for file in (tmp_path / "parts").glob("*.parquet")}
    assert {0, 1, 2} <= there
    assert 3 not in there
    with pytest.raises(RunError, match="other versions of latens than asked for now") as refused:
        write_parts(partial(Numbers, asked, os.getpid(), "other version"), tmp_path / "parts", rows=ROWS, engine="ray")
    assert "\n" not in str(refused.value)
    with pytest.raises(ClusterUnavailable, match="No module named 'no_such_latens'") as gone:
        write_parts(Elsewhere(), tmp_path / "parts", rows=ROWS, engine="ray")
    assert "\n" not in str(gone.value)
    made = write_parts(partial(Numbers, asked, os.getpid()), tmp_path / "parts", rows=ROWS, engine="ray")
    assert (made.written, made.there) == (7 - len(there), len(there))
    assert rows_in(tmp_path / "parts") == list(range(TOTAL))


@pytest.mark.filterwarnings("default")
@pytest.mark.pretrained
@pytest.mark.parametrize("command", ["encode", "detect"])
def test_the_files_are_those_of_one_process(cluster, finished_run, tmp_path, capfd, monkeypatch, command):
    monkeypatch.chdir(tmp_path)  # names may be relative
    source = finished_run.record["data"]["source"]
    words = [command, str(finished_run.path), source, "--rows", "50", "--device", "cpu"]
    words += ["--parts", "--false-alarms", "0.1"] if command == "detect" else []
    assert main([*words, "-o", "ray", "--engine", "ray"]) == 0
    said = capfd.readouterr()
    assert "5 parts of 5 written, 240 images" in said.out
    assert len(said.out.splitlines()) == 1  # Ray says nothing there
    assert main([*words, "-o", "here"]) == 0
    ray, here = (sorted((tmp_path / name).glob("[!.]*")) for name in ("ray", "here"))
    assert len(here) == 6
    assert [file.name for file in ray] == [file.name for file in here]
    assert [file.read_bytes() for file in ray] == [file.read_bytes() for file in here]


@pytest.mark.filterwarnings("default")
@pytest.mark.pretrained
def test_a_cluster_that_does_not_answer_is_said(asked, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(ClusterUnavailable, match=f"no Ray cluster at 127.0.0.1:{port}") as caught:
        write_parts(partial(Numbers, asked, os.getpid()), tmp_path / "parts", rows=ROWS, engine="ray")
    assert "\n" not in str(caught.value)


def test_without_ray_one_line_says_what_to_install(asked, tmp_path, monkeypatch):
    monkeypatch.setattr("latens.parts.on_ray.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "latens\[ray\]"'):
        write_parts(partial(Numbers, asked, os.getpid()), tmp_path / "parts", rows=ROWS, engine="ray")
