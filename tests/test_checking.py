"""Every byte of a run matters or is noticed, and what can be made again is."""

import json
import os
import shutil

import numpy as np
import pytest

from latens import open_run
from latens.cli import main
from latens.errors import RunDamaged, RunError, RunNotFound
from latens.experiment import run as run_all
from latens.progress import Silent
from latens.runs.checking import check_run, forget_damaged
from latens.runs.record import RunFolder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A complete run whose images are kept in it."""
    from conftest import make_blobs

    pixels, _ = make_blobs(60)
    folder = tmp_path_factory.mktemp("small") / "run"
    return run_all(pixels, out=folder, latent_dim=4, epochs=2, device="cpu", progress=Silent()).path


@pytest.fixture
def folder(small, tmp_path):
    return shutil.copytree(small, tmp_path / "run")


def flipped(path, at, bit=0):
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def test_a_whole_run_has_a_hash_of_every_file(small):
    assert check_run(small) == []
    unsealed = {str(path.relative_to(small)) for path in small.rglob("*") if path.is_file()} - set(
        RunFolder(small).files
    )
    assert unsealed <= {"run.json", ".lock", ".working"}


def test_a_changed_byte_of_any_file_is_found(folder):
    random = np.random.default_rng(0)
    for name in RunFolder(folder).files:
        path = folder / name
        before = path.read_bytes()
        flipped(path, int(random.integers(len(before))), int(random.integers(8)))
        assert [damage.name for damage in check_run(folder)] == [name]
        path.write_bytes(before[: int(random.integers(len(before)))])
        assert [damage.name for damage in check_run(folder)] == [name]
        path.write_bytes(before)


def test_each_changed_byte_of_the_record_is_noticed_or_means_the_same(folder):
    """Unnoticed are space between entries, last digits that make the same float, and the name of the seal itself."""
    path = folder / "run.json"
    whole, record = path.read_bytes(), RunFolder(folder).record
    unnoticed = 0
    for at in range(len(whole)):
        for bit in (0, 5):
            flipped(path, at, bit)
            try:
                found = RunFolder(folder).record
            except RunError:
                found = None
            if found is not None:
                unnoticed += 1
                known = {name: found[name] for name in record}
                assert known == record, (at, bit)
            path.write_bytes(whole)
    assert unnoticed  # the space of the indentation
    for length in range(0, len(whole) - 1, 7):  # the last byte is the line's end
        path.write_bytes(whole[:length])
        with pytest.raises(RunDamaged):
            RunFolder(folder)


def test_a_cut_of_the_history_is_noticed(folder):
    path = folder / "history.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0])
    with pytest.raises(RunDamaged, match="not those that were written"):
        _ = open_run(folder).history


def test_a_record_that_was_changed_on_purpose_is_accepted(folder, capsys):
    record = json.loads((folder / "run.json").read_text())
    record["left_out"] = {"map": "nobody asked"}
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(RunDamaged, match=r"seal differs.*--accept"):
        open_run(folder)
    assert main(["check", str(folder)]) == 2
    assert "--accept" in capsys.readouterr().err
    assert main(["check", str(folder), "--accept"]) == 0
    assert open_run(folder).record["left_out"] == {"map": "nobody asked"}


def test_a_record_without_a_seal_is_one_of_an_earlier_version(folder):
    record = json.loads((folder / "run.json").read_text())
    del record["seal"]
    (folder / "run.json").write_text(json.dumps(record))
    assert open_run(folder).latents
    assert check_run(folder) == []


def test_what_can_be_made_again_is_repaired(folder, capsys):
    before = {name: (folder / name).read_bytes() for name in ("latents.npz", "maps/tsne.npz")}
    latents = open_run(folder).latents["latents"].copy()
    broken = ["latents.npz", "maps/tsne.npz", "metrics.json", "report.html", "history.jsonl"]
    for name in broken:
        flipped(folder / name, 40)
    assert main(["check", str(folder)]) == 2
    told = capsys.readouterr().err
    assert all(name in told for name in broken)
    assert "--repair" in told
    assert (
        main(["--json", "check", str(folder), "--repair"]) == 0
        or main(["check", str(folder), "--repair", "--json"]) == 0
    )
    assert check_run(folder) == []
    again = open_run(folder)
    np.testing.assert_array_equal(again.latents["latents"], latents)
    assert set(before) <= set(again.folder.files)
    assert again.scores
    assert (folder / "report.html").exists()


def test_lost_weights_are_no_repair(folder):
    flipped(folder / "model.safetensors", 400)
    flipped(folder / "report.html", 4)
    with pytest.raises(RunError, match="the weights are lost"):
        forget_damaged(folder)
    assert "report.html" in RunFolder(folder).files  # nothing was changed
    with pytest.raises(RunNotFound):
        check_run(folder / "nowhere")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_an_endless_file_and_other_kinds_are_refused_in_one_line(folder):
    path = folder / "run.json"
    whole = path.read_bytes()
    record = json.loads(whole)
    del record["seal"]
    wrong = {"status": 3, "data": {}, "recipe": {}, "files": {"model.safetensors": 3}, "result": [], "created": None}
    wrong["data"] = {**record["data"], "shape": [1, "x", 3]}
    for name, value in wrong.items():
        path.write_text(json.dumps({**record, name: value}))
        with pytest.raises(RunDamaged) as caught:
            open_run(folder)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    path.write_text("[" * 100_000)
    with pytest.raises(RunDamaged, match="nested too deeply"):
        open_run(folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunDamaged, match="not a regular file"):
        open_run(folder)
    path.unlink()
    path.write_bytes(whole)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("/dev/zero")
    with pytest.raises(RunDamaged, match="not a regular file"):
        _ = open_run(folder).model
