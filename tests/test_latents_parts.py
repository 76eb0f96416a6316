"""Latents in parts: the same as in one file, by any number of processes, and whole after any of them was killed."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import polars
import pytest
from PIL import Image

from conftest import make_blobs
from latens.cli import main
from latens.computed import encode_source, encoding
from latens.errors import RunError, UsageError
from latens.exports.latents_parts import Share, encode_in_parts, share_of_process
from latens.images import load_images

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
    assert "go with a folder" in capsys.readouterr().err


def test_torchrun_shares_the_parts_and_a_killed_process_loses_nothing(finished_run, folder, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal, sys\n"
        "from latens.cli import main\n"
        "from latens.exports import latents_parts\n"
        "write, seen = latents_parts.write_latents, []\n"
        "def once(*given):\n"
        "    seen.append(1)\n"
        "    if os.environ['RANK'] == '1' and len(seen) == 2 and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    write(*given)\n"
        "latents_parts.write_latents = once\n"
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
