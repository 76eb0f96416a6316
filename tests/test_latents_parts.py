"""Latents in parts: the same as in one file, by any number of processes, and whole after any of them was killed."""

import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import polars
import pytest
from PIL import Image

import latens
from conftest import make_blobs
from latens import sheets
from latens.cli import main
from latens.computed import encode_source, encoding
from latens.errors import RunError, UsageError
from latens.exports.latents_parts import encode_in_parts
from latens.images import load_images
from latens.parts import Share, share_of_process

ROWS = 7


@pytest.fixture
def folder(tmp_path):
    """Forty-one pictures of three classes; one of them is broken."""
    pixels, labels = make_blobs(41)
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        place = tmp_path / "pictures" / f"class {label}" / f"{number:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(place)
    broken = tmp_path / "pictures" / "class 1" / "004.png"
    broken.write_bytes(broken.read_bytes()[:60])
    return tmp_path / "pictures"


def tables(place):
    files = sorted(place.glob("*.parquet"))
    return files, polars.concat([polars.read_parquet(file) for file in files])


def latents_of(table):
    return np.array(table["latent"].to_list(), np.float32)


@pytest.mark.parametrize("kind", ["folder", "npy", "images", "split"])
def test_parts_together_are_the_whole(finished_run, folder, tmp_path, kind):
    pixels, labels = make_blobs(41, seed=3)
    if kind == "npy":
        np.save(tmp_path / "blobs.npy", pixels[:, 0])
    if kind == "split":
        for name, rows in (("train", slice(0, 30)), ("test", slice(30, None))):
            for number, image in enumerate(pixels[rows]):
                place = tmp_path / "split" / name / f"{number:03}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[0]).save(place)
    source = {
        "folder": folder,
        "npy": tmp_path / "blobs.npy",
        "images": load_images(pixels[:, 0], labels=labels).train,
        "split": tmp_path / "split",
    }[kind]
    whole = encode_source(finished_run, source).arrays
    made = encode_in_parts(finished_run, source, tmp_path / "parts", rows=ROWS)
    files, table = tables(tmp_path / "parts")
    assert made.parts == made.written == len(files) > 4
    assert made.images == len(whole["ids"])
    assert table["id"].to_list() == whole["ids"].tolist()
    np.testing.assert_allclose(
        latents_of(table), whole["latents"], rtol=1e-5, atol=1e-5
    )  # other blocks, other rounding
    if "labels" in whole:
        assert table["label"].to_list() == whole["class_names"][whole["labels"]].tolist()
    if kind == "folder":
        assert [note for note in made.notes if "004.png" in note]


def test_shares_are_disjoint_and_together_all(finished_run, folder, tmp_path):
    encode_in_parts(finished_run, folder, tmp_path / "one", rows=ROWS)
    for index in (2, 0, 1):
        made = encode_in_parts(finished_run, folder, tmp_path / "three", rows=ROWS, share=Share(index, 3))
        assert made.there == 0
        assert made.written in (1, 2)
    one, three = (tables(tmp_path / name) for name in ("one", "three"))
    assert [file.name for file in one[0]] == [file.name for file in three[0]]
    assert [file.read_bytes() for file in one[0]] == [file.read_bytes() for file in three[0]]


def test_parts_that_are_there_are_not_made_again(finished_run, folder, tmp_path, monkeypatch):
    encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS)
    files, _ = tables(tmp_path / "parts")
    lost = files[2].read_bytes()
    files[2].unlink()
    encoded = []
    encode = encoding.encode_images
    monkeypatch.setattr(
        encoding, "encode_images", lambda model, pixels: encoded.append(len(pixels)) or encode(model, pixels)
    )
    made = encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS)
    assert (made.written, made.there) == (1, len(files) - 1)
    assert sum(encoded) == made.images <= ROWS  # nothing else was decoded for it
    assert files[2].read_bytes() == lost


def test_a_folder_of_other_parts_is_refused(finished_run, folder, tmp_path):
    encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS)
    with pytest.raises(RunError, match="other options of reading"):
        encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS, value_range=(0, 100))
    with pytest.raises(RunError, match="other numbers of rows"):
        encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS + 1)
    pixels, _ = make_blobs(41, seed=3)
    with pytest.raises(RunError, match="other images"):
        encode_in_parts(finished_run, load_images(pixels[:, 0]).train, tmp_path / "parts", rows=ROWS)
    plan = json.loads((tmp_path / "parts" / "parts.json").read_text())
    (tmp_path / "parts" / "parts.json").write_text(json.dumps(plan | {"weights": "0" * 64}))
    with pytest.raises(RunError, match="other weights"):
        encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS)
    for content in ("[" * 1000, "{", "[]"):
        (tmp_path / "parts" / "parts.json").write_text(content)
        with pytest.raises(RunError, match="parts"):
            encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("x")
    with pytest.raises(RunError, match="holds other files"):
        encode_in_parts(finished_run, folder, tmp_path / "other", rows=ROWS)
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["letter.txt"]


def test_a_process_that_finds_no_run_fails_also_where_it_is_not_the_first(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr("latens.cli.SECONDS_FOR_PROCESS_0", 0)
    assert main(["encode", str(tmp_path / "nowhere"), "mnist", "-o", f"{tmp_path}/parts"]) == 2
    assert "latens: process 1: " in capsys.readouterr().err


def test_launchers_say_the_share(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    assert share_of_process() == Share(0, 1)
    monkeypatch.setenv("SLURM_PROCID", "5")
    assert share_of_process() == Share(0, 1)
    monkeypatch.setenv("SLURM_NTASKS", "6")
    assert share_of_process() == Share(5, 6)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert share_of_process() == Share(1, 2)


@pytest.mark.parametrize("text", ["", "3", "1/0", "2/2", "-1/3", "a/b", "1/2/3"])
def test_wrong_shares_are_refused(text):
    with pytest.raises(UsageError, match="share"):
        Share.from_text(text)


def test_the_command_writes_a_folder(finished_run, folder, tmp_path, capsys):
    words = ["encode", str(finished_run.path), str(folder), "-o", f"{tmp_path}/parts", "--rows", str(ROWS)]
    assert main([*words, "--share", "1/2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["parts"] == 6
    assert told["written"] == 3
    assert main(words) == 0
    assert "3 parts of 6 written" in capsys.readouterr().out
    assert main([*words[:-2], "--share", "3/2"]) == 2
    assert "share 3/2: the first number is one of 0 to 1" in capsys.readouterr().err
    assert main([*words[:-2], "--rows", "0"]) == 2
    assert "0 images a part; at least 1 is needed" in capsys.readouterr().err
    assert main([*words[:4], f"{tmp_path}/z.npz", "--share", "0/2"]) == 2
    assert "only with a folder" in capsys.readouterr().err


@pytest.mark.heavy
def test_torchrun_shares_the_parts_and_a_killed_process_loses_nothing(finished_run, folder, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal, sys\n"
        "from latens.cli import main\n"
        "from latens.parts.folder import PartsFolder\n"
        "make, seen = PartsFolder.make, []\n"
        "def once(*given):\n"
        "    seen.append(1)\n"
        "    if os.environ['RANK'] == '1' and len(seen) == 2 and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return make(*given)\n"
        "PartsFolder.make = once\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=2"]
    words = ["encode", finished_run.path, folder, "-o", tmp_path / "parts", "--rows", str(ROWS)]
    done = subprocess.run(
        [*command, script, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert f"exitcode: -{int(signal.SIGKILL)}" in done.stderr  # it was killed
    encode_in_parts(finished_run, folder, tmp_path / "alone", rows=ROWS)
    together, alone = (tables(tmp_path / name) for name in ("parts", "alone"))
    assert [file.name for file in together[0]] == [file.name for file in alone[0]]
    assert together[1]["id"].to_list() == alone[1]["id"].to_list()
    np.testing.assert_allclose(latents_of(together[1]), latents_of(alone[1]), rtol=1e-5, atol=1e-5)
    assert not [one for one in (tmp_path / "parts").iterdir() if one.name.endswith(".tmp")]


def test_a_part_that_was_cut_is_made_again(finished_run, folder, tmp_path, monkeypatch):
    encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS)
    files, _ = tables(tmp_path / "parts")
    whole = [file.read_bytes() for file in files]
    made_at = [file.stat().st_mtime_ns for file in files]
    for number, length in ((0, 0), (2, 5), (3, len(whole[3]) // 2), (4, len(whole[4]) - 1)):
        files[number].write_bytes(whole[number][:length])
    made = encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS)
    assert (made.written, made.there) == (4, 2)
    assert len([note for note in made.notes if note.endswith("was cut, and is made again")]) == 4
    assert any(note.startswith(f"{files[3]} was cut") for note in made.notes)
    assert [file.read_bytes() for file in files] == whole
    assert files[1].stat().st_mtime_ns == made_at[1]


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_rows_and_ends_of_files_of_both_libraries(tmp_path, monkeypatch, library):
    monkeypatch.setattr(sheets, "LIBRARIES", (library,))
    path = tmp_path / "x.parquet"
    path.write_bytes(sheets.as_parquet({"id": np.array(["a", "b", "c"])}))
    assert sheets.is_whole_parquet(path)
    assert sheets.parquet_rows(path) == 3
    path.write_bytes(path.read_bytes()[:-1])
    assert not sheets.is_whole_parquet(path)


def test_a_missing_part_is_said(finished_run, folder, tmp_path, capsys):
    words = ["encode", str(finished_run.path), str(folder), "-o", f"{tmp_path}/parts", "--rows", str(ROWS)]
    assert main([*words, "--share", "0/3"]) == 0
    assert "4 parts of other shares not there yet" in capsys.readouterr().out
    assert main([*words, "--share", "1/3"]) == 0
    assert main([*words, "--share", "2/3"]) == 0
    assert "not there yet" not in capsys.readouterr().out.splitlines()[-1]
    tables(tmp_path / "parts")[0][0].unlink()  # lost afterwards
    assert main([*words, "--share", "1/3"]) == 0
    assert "1 part of other shares not there yet" in capsys.readouterr().out
    assert main(words) == 0
    assert "1 part of 6 written" in capsys.readouterr().out


def test_a_shard_of_the_source_that_a_process_does_not_see_is_refused(finished_run, folder, tmp_path):
    encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS, share=Share(0, 2))
    gone = next((folder / "class 2").iterdir())
    gone.rename(tmp_path / "elsewhere.png")
    with pytest.raises(RunError, match="its parts are of other images than asked for now"):
        encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS, share=Share(1, 2))
    assert len(tables(tmp_path / "parts")[0]) == 3


def test_workers_of_mixed_versions_are_refused(finished_run, folder, tmp_path, monkeypatch):
    encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS, share=Share(0, 2))
    monkeypatch.setattr("latens.parts.folder.__version__", "0.0.9")
    with pytest.raises(RunError, match="other versions of latens than asked for now"):
        encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS, share=Share(1, 2))
    assert len(tables(tmp_path / "parts")[0]) == 3


def test_of_processes_that_begin_at_once_with_other_plans_one_wins(finished_run, folder, tmp_path, monkeypatch):
    place = tmp_path / "parts"

    @contextmanager
    def late(path):
        """The other process was quicker."""
        plan = {"format": 2, "latens": latens.__version__, "holds": "latents", "weights": "0" * 64}
        (place / "parts.json").write_text(json.dumps(plan))
        yield True

    monkeypatch.setattr("latens.parts.folder.locked", late)
    with pytest.raises(RunError, match="other weights"):
        encode_in_parts(finished_run, folder, place, rows=ROWS)
    assert not list(place.glob("*.parquet"))


def test_a_full_disk_is_said_and_what_was_written_stays(finished_run, folder, tmp_path, monkeypatch, capsys):
    words = ["encode", str(finished_run.path), str(folder), "-o", f"{tmp_path}/parts", "--rows", str(ROWS)]
    sync, calls = os.fsync, []

    def full(descriptor):
        calls.append(1)
        if len(calls) > 6:  # the plan and two parts, each with its folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert main(words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("latens: ")]
    assert lines == [f"latens: {tmp_path}/parts/latents-00002-of-00006.parquet: No space left on device"]
    monkeypatch.undo()
    files, _ = tables(tmp_path / "parts")
    assert [file.name[:13] for file in files] == ["latents-00000", "latents-00001"]
    assert not list((tmp_path / "parts").glob(".*.tmp"))
    assert main(words) == 0
    assert "4 parts of 6 written" in capsys.readouterr().out


@pytest.mark.heavy
def test_a_full_disk_of_one_worker_is_said_once(finished_run, folder, tmp_path):
    script = tmp_path / "full.py"
    script.write_text(
        "import resource, os, sys\n"
        "from latens import cli\n"
        "cli.SECONDS_FOR_PROCESS_0 = 0\n"
        "if os.environ['RANK'] == '1':\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"  # no file of this process may be longer
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    words = ["encode", finished_run.path, folder, "-o", tmp_path / "parts", "--rows", str(ROWS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, script, *map(str, words)], capture_output=True, text=True, timeout=200, env=environment
    )
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("latens: ")]
    assert said == [f"latens: process 1: {tmp_path}/parts/latents-00001-of-00006.parquet: File too large"]
    for file in tables(tmp_path / "parts")[0]:
        assert file.name[:13] in ("latents-00000", "latents-00002", "latents-00004")
    assert encode_in_parts(finished_run, folder, tmp_path / "parts", rows=ROWS).missing == 0
    assert tables(tmp_path / "parts")[1].height == 40
