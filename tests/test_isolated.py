"""Files of others are read in a process that may do nothing but read."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import latens
from conftest import make_blobs
from latens.adapters.trial import try_files
from latens.errors import ImagesDamaged, UsageError
from latens.isolated import isolated
from latens.runs.importing import read_weights


@pytest.fixture(autouse=True)
def found(monkeypatch):
    """The process finds the tasks, and the same latens as this one."""
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parent}:{Path(latens.__file__).parents[1]}")


def work(task, *words, memory=1 << 30):
    isolated(f"tasks_apart:{task}", *map(str, words), path="a.file", memory=memory)


def test_it_works_with_what_it_is_given(tmp_path):
    work("write", tmp_path / "a", "x y")
    assert (tmp_path / "a").read_text() == "x y"


@pytest.mark.parametrize(
    ("task", "tried"),
    [
        ("connect", "to open a connection"),
        ("connect_quietly", "to open a connection"),
        ("look_up", "to open a connection"),
        ("start_a_program", r"to start a program \(true\)"),
        ("run_in_a_shell", r"to start a program \(true\)"),
    ],
)
def test_what_it_may_not_do_is_said(task, tried):
    with pytest.raises(UsageError, match=rf"^a\.file: refused, since reading it tried {tried}$"):
        work(task)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("crash", "it was ended by signal 11"),
        ("end", "it ended with status 7"),
        ("fail", "it failed: ValueError: two lines"),
    ],
)
def test_how_it_ended_is_said(task, reason):
    with pytest.raises(UsageError, match=rf"^a\.file: can't be read: in a process of its own {reason}$"):
        work(task)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep to no limit of memory")
@pytest.mark.parametrize("task", ["take_memory", "take_memory_by_torch"])
def test_its_memory_is_limited(task):
    with pytest.raises(UsageError, match="it needed more than 64 MB of memory"):
        work(task, memory=64 << 20)


def test_errors_of_latens_are_handed_on():
    with pytest.raises(ImagesDamaged, match=r"^x\.png: broken$"):
        work("refuse")


def test_what_python_asks_the_machine_is_no_sign_of_harm(tmp_path):
    work("ask_the_machine", tmp_path / "a")
    assert (tmp_path / "a").exists()


def test_it_reaches_no_network(tmp_path):
    words = ["unshare", "--user", "--net", "true"]
    if sys.platform != "linux" or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("this system allows no networks of one's own")
    work("interfaces", tmp_path / "a")
    assert (tmp_path / "a").read_text() == "lo"


def test_a_folder_of_our_name_is_not_ours(tmp_path, monkeypatch):
    (tmp_path / "latens").mkdir()
    (tmp_path / "latens" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    work("where", tmp_path / "a")
    assert Path((tmp_path / "a").read_text()) == Path(latens.__file__)


def test_weights_are_handed_over_as_numbers(tmp_path):
    weights = {"module.a": torch.arange(6.0).reshape(2, 3).t(), "b": torch.tensor(3), "c": torch.ones(2).half()}
    torch.save(weights, tmp_path / "state.pt")
    read = read_weights(tmp_path / "state.pt")
    assert sorted(read) == ["a", "b", "c"]
    assert torch.equal(read["a"], weights["module.a"])
    assert all(torch.equal(read[name], weights[name]) for name in ("b", "c"))


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    torch.save({"a": torch.ones(3).to_sparse()}, tmp_path / "state.pt")
    with pytest.raises(UsageError, match=r"state\.pt: holds tensors of a kind that is no weight"):
        read_weights(tmp_path / "state.pt")


def test_weights_that_ask_for_much_more_memory_than_their_file_are_refused(tmp_path):
    torch.save({"decoder.0.weight": torch.zeros(1).expand(40_000, 40_000)}, tmp_path / "state.pt")
    with pytest.raises(UsageError, match=r"state\.pt: can't be read: .* it needed more than 1,024 MB of memory"):
        read_weights(tmp_path / "state.pt")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep to no limit of memory")
def test_a_file_with_holes_does_not_raise_the_limit(monkeypatch):
    monkeypatch.setattr("latens.isolated.memory_size", lambda: 64 << 20)
    with pytest.raises(UsageError, match="it needed more than 64 MB of memory"):
        work("take_memory", memory=1 << 50)


def scripted(folder, module):
    folder.mkdir()
    for name in ("encoder.pt", "decoder.pt"):
        torch.jit.script(module).save(str(folder / name))
    return folder


class Bomb(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(60_000, 60_000).sum() + x


class Plain(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1)[:, :3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_in_files_is_tried_before_it_is_read(tmp_path):
    pixels, _ = make_blobs(60, (1, 8, 8))
    bomb = scripted(tmp_path / "bomb", Bomb())
    with pytest.raises(UsageError, match=r"bomb: can't be read: .* it needed more than 2,048 MB of memory"):
        latens.adopt(bomb, images=pixels, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    try_files(scripted(tmp_path / "plain", Plain()), (1, 8, 8))


def test_what_is_no_model_is_refused_before_the_images_are_read(tmp_path):
    with pytest.raises(UsageError, match="not a model that is known"):
        latens.adopt(str(tmp_path), images="no-such-images")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no limit of processor time")
def test_its_time_is_limited(monkeypatch):
    monkeypatch.setattr("latens.isolated.SECONDS", 1)
    with pytest.raises(UsageError, match=r"^a\.file: can't be read: .* it did not end within 1 s of processor time$"):
        work("work_for_ever")
