"""The benchmarks' arithmetic against values computed by hand; each script starts."""

import argparse
import gzip
import importlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from latens.images import load_images
from latens.training.recipes import fast
from notebook_oracle import NotebookNet

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(
    path for path in [*BENCHMARKS.glob("*.py"), *BENCHMARKS.glob("*/*.py")] if "__main__" in path.read_text()
)


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS / "peers")
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def common(script):
    return script("common")


HELP = """
import contextlib, io, pathlib, runpy, sys
for path in sys.argv[1:]:
    sys.argv = [path, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            assert not end.code, (path, end.code)
    assert out.getvalue().startswith("usage: " + pathlib.Path(path).name), (path, out.getvalue()[:200])
"""


@pytest.mark.heavy
@pytest.mark.parametrize("folder", sorted({path.parent for path in SCRIPTS}), ids=lambda folder: folder.name)
def test_every_script_answers_help(folder):
    scripts = [str(path) for path in SCRIPTS if path.parent == folder]
    assert scripts
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # In one process for each folder: most of them import torch.
    done = subprocess.run(
        [sys.executable, "-c", HELP, *scripts], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def test_candidates_take_turns_and_a_missing_one_is_asked_once(common):
    asked = []

    def candidate(name):
        def figure():
            asked.append(name)
            if name == "b":
                raise common.Unavailable("no network")
            return len(asked)

        return figure

    measured = common.alternate({name: candidate(name) for name in "abc"}, 3)
    assert asked == ["a", "b", "c", "a", "c", "a", "c"]
    assert measured == {"a": [1, 4, 6], "b": "no network", "c": [3, 5, 7]}


def test_a_table_of_rates(common):
    measured = {"theirs": [900.0, 1000.0, 1300.0], "ours": [2600.0, 2400.0, 2500.0], "other": "no network"}
    text = common.table(measured, "images/s", reference="theirs", ceiling=5000)
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["theirs"][1:] == ["1,000", "900", "to", "1,300", "1.00", "20.0%"]
    assert rows["ours"][1:] == ["2,500", "2,400", "to", "2,600", "2.50", "50.0%"]
    assert "other   not available: no network" in text
    assert "as fast as theirs" in text
    assert "ceiling: 5,000 images/s" in text


def test_a_table_of_times_turns_the_ratio_round(common):
    text = common.table({"theirs": [30.0], "ours": [5.0]}, "s", reference="theirs", lower_is_better=True, digits=1)
    assert text.splitlines()[2].split() == ["ours", "5.0", "5.0", "to", "5.0", "6.00"]
    assert "ceiling" not in text


def test_a_table_without_its_reference(common):
    text = common.table({"theirs": "no network", "ours": [5.0]}, "s", reference="theirs")
    assert text.splitlines()[-1] == "no ratios: theirs is not available"
    assert text.splitlines()[2].split() == ["ours", "5", "5", "to", "5"]


def test_the_matrix_product_rate(common, monkeypatch):
    seconds = iter(range(100))
    monkeypatch.setattr(common.time, "perf_counter", lambda: next(seconds))
    assert common.gemm_rate(50, repeats=3) == pytest.approx(2 * 50**3 / 1e9)


def test_the_ceiling_is_that_of_the_faster_product(common):
    slow, quick = common.gemm_candidates()
    measured = {slow: [90.0, 100.0, 110.0], "ours": [1.0], quick: [200.0, 190.0, 300.0]}
    assert common.ceiling_of(measured, 4e6) == 50_000
    assert measured == {"ours": [1.0]}


def test_floating_point_operations_of_an_image(script):
    encoder, decoder = script("setting").build_network()
    with FlopCounterMode(display=False) as count:
        z = encoder(torch.rand(1, 1, 28, 28))
    assert count.get_total_flops() == script("encoding").FLOP_AN_IMAGE
    with FlopCounterMode(display=False) as count:
        decoder(encoder(torch.rand(1, 1, 28, 28))).sum().backward()
    assert count.get_total_flops() == script("training").FLOP_AN_IMAGE
    assert z.shape == (1, 64, 1, 1)


def test_a_program_answers_with_its_last_line(common):
    assert common.run_json([sys.executable, "-c", "print('hello'); print('{\"a\": 1}')"]) == {"a": 1}
    with pytest.raises(common.Unavailable, match="ValueError: broken"):
        common.run_json([sys.executable, "-c", "raise ValueError('broken')"])
    with pytest.raises(common.Unavailable, match="nowhere"):
        common.run_json([BENCHMARKS / "nowhere"])


def test_an_environment_is_made_once(common, monkeypatch, tmp_path):
    commands, failing = [], []

    def run(command, timeout):
        commands.append([str(part) for part in command])
        (tmp_path / "peer").mkdir(exist_ok=True)
        if failing and "pip" in command:
            raise common.Unavailable("no network")

    monkeypatch.setattr(common, "PEERS", tmp_path)
    monkeypatch.setattr(common, "_run", run)
    failing.append(True)
    with pytest.raises(common.Unavailable, match="no network"):
        common.peer_environment("peer", ["torch", "this==1"])
    failing.clear()
    for _ in range(2):  # an incomplete environment is made again, a complete one is kept
        python = common.peer_environment("peer", ["torch", "this==1"])
    assert ["venv" in command for command in commands] == [True, False, True, False]
    assert commands[-1][0] == python
    assert commands[-1][-2:] == ["torch", "this==1"]
    assert (tmp_path / "peer" / "constraints.txt").read_text() == f"torch=={torch.__version__.partition('+')[0]}\n"
    common.peer_environment("peer", ["torch", "this==2"])
    assert len(commands) == 6


def test_json_has_the_machine(common, tmp_path):
    common.write_json(tmp_path / "deep" / "a.json", {"figure": 1})
    written = json.loads((tmp_path / "deep" / "a.json").read_text())
    assert written["figure"] == 1
    assert written["machine"]["torch"] == torch.__version__
    assert torch.__version__ in common.machine_line(written["machine"])
    common.write_json(None, {"figure": object()})


def test_time_to_quality_by_hand(script):
    training = script("training")
    rows = [
        {"seed": i, "seconds": s, "test_mse": mse} for i, (s, mse) in enumerate([(5, 0.0026), (6, 0.0028), (9, 0.0027)])
    ]
    epochs = {training.notebook_name(0): [7.0, 6.0, 6.0], training.notebook_name(2): [8.0, 9.0, 8.0]}
    text = training.quality_text(fast_for_digits(), rows, epochs, 1)
    assert "2 of 3 seeds reach the goal; training took 6.00 s (5.00 to 9.00)" in text
    assert [line.split()[-1] for line in text.splitlines()[3:6]] == ["reached", "missed", "reached"]
    assert "notebook, 0 workers: 6.00 s an epoch (6.00 to 7.00; 3 measured)" in text
    assert "extrapolated: 1,800 s; ratio 300 by the medians, 200 for the slowest seed" in text
    without = training.quality_text(fast_for_digits(), rows, dict.fromkeys(epochs, "it broke"), 1)
    assert without.endswith("is not available: it broke")


def fast_for_digits():
    return fast(load_images("mnist"))


def test_the_peers_network_is_the_notebooks(script):
    network = script("setting").build_network()
    ours = [tuple(parameter.shape) for parameter in network.parameters()]
    assert ours == [tuple(parameter.shape) for parameter in NotebookNet().parameters()]
    assert sum(parameter.numel() for parameter in network.parameters()) == 210_369


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (24, 1, 28, 28), dtype=np.uint8)


def test_the_notebook_trains_and_encodes(script, pixels):
    notebook = script("notebook")
    picture, _ = notebook.Pictures(pixels)[3]
    assert torch.equal(picture, torch.from_numpy(pixels[3]) / 255)

    torch.manual_seed(5)
    network, x = script("setting").build_network(), torch.from_numpy(pixels) / 255
    before = (network(x) - x).square().mean().item()
    torch.manual_seed(5)
    args = argparse.Namespace(batch=24, workers=0)
    seconds, loss, reconstruct = notebook.train(pixels, 2, args)
    assert len(seconds) == 2
    assert 0.9 * before < loss < before
    assert reconstruct(x.numpy()).shape == pixels.shape

    torch.manual_seed(5)
    one_by_one = notebook.encode(pixels, 1)
    torch.manual_seed(5)
    np.testing.assert_allclose(notebook.encode(pixels, 10), one_by_one, rtol=1e-4, atol=1e-6)
    assert one_by_one.shape == (24, 64)


def test_what_a_peer_prints(script, pixels, tmp_path, capsys):
    setting = script("setting")
    np.save(tmp_path / "a.npy", pixels)
    calls = []

    def train(pixels, epochs, args):
        calls.append((len(pixels), epochs))
        return [2.0, 4.0, 3.0], 0.5, np.zeros_like

    args = setting.peer_parser(None).parse_args(
        [str(tmp_path / "a.npy"), "--epochs", "3", "--test", str(tmp_path / "a.npy")]
    )
    setting.measure("peer 1", args, train)
    line = json.loads(capsys.readouterr().out)
    assert calls == [(24, 1), (24, 3)]
    assert line["images_per_second"] == 24 / 3
    assert line["seconds_per_epoch"] == [2, 4, 3]
    assert line["test_mse"] == pytest.approx(((pixels / 255) ** 2).mean(), abs=1e-6)


def test_a_rate_leaves_the_first_epochs_out(script):
    gpu = script("gpu")
    assert gpu.FIRST == 2
    assert gpu.rate([100.0, 150.0, 152.0, 158.0, 161.0], 60) == 60 / 3


def test_the_ways_of_training_are_other_ways(script):
    from latens.training import graphs as graphed
    from latens.training import loop as training

    gpu, own = script("gpu"), (graphed.WARM_UP, training._resident)
    found = {}
    for way in gpu.WAYS:
        with gpu.trained(way):
            found[way] = (graphed.WARM_UP, training._resident)
    assert len(set(found.values())) == 3
    assert found["graphs"] == own == (graphed.WARM_UP, training._resident)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_card_nothing_is_measured():
    done = subprocess.run([sys.executable, BENCHMARKS / "gpu.py", "--short"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"gpu.py: torch {torch.__version__} finds no CUDA device here; nothing was measured"
    ]


def test_sets_are_cut_padded_and_sliced_whole(script, tmp_path):
    sets = script("sets")
    image = Image.fromarray(np.arange(5 * 7, dtype=np.uint8).reshape(5, 7))
    cut = sets.tiles(image, 2)
    assert len(cut) == 6
    assert cut[-1].tolist() == [[[18, 19], [25, 26]]]

    Image.new("L", (4, 2)).save(tmp_path / "flat.png")
    (square,) = sets.squares([tmp_path / "flat.png"], 4, "L")
    assert square[0].tolist() == [[255] * 4, [0] * 4, [0] * 4, [255] * 4]

    volume = np.zeros((3, 4, 5), np.uint8)  # z, y, x
    volume[1] = 200
    head = bytearray(352)
    head[42:48], head[108:112] = struct.pack("<3h", 5, 4, 3), struct.pack("<f", 352)
    (tmp_path / "volume.nii.gz").write_bytes(gzip.compress(bytes(head) + volume.tobytes()))
    found = sets.slices(tmp_path / "volume.nii.gz", 5)
    assert found.shape == (1 + 4 + 5, 1, 5, 5)  # one slice of z shows something; each of y and x a third
    assert found[0, 0, :4].min() == 200


def test_a_set_that_cannot_be_had_is_skipped_and_others_are_told(script, monkeypatch, tmp_path, capsys):
    sets = script("sets")

    def missing():
        raise sets.Unavailable("no network")

    def few():
        return np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8)).astype(np.uint8)

    monkeypatch.setattr(sets, "KNOWN", {"a": sets.Set("none", "-", missing), "b": sets.Set("few", "-", few, 4)})
    monkeypatch.setattr(sys, "argv", ["sets.py", "--out", str(tmp_path / "out"), "--write", str(tmp_path / "page.md")])
    (tmp_path / "page.md").write_text("# Results\n\nwords\n")
    monkeypatch.setattr("latens.training.recipes.FEW_STEPS", 3)
    sets.main()
    out, err = capsys.readouterr()
    assert "a: skipped: no network" in out + err
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# Results\n\nwords\n\n<!-- sets -->\n## Never worse than PCA")
    assert "| b: few (-) | 27 + 3 | 8 × 8 | 4 |" in page
    # The row of a set that can't be had now stays as it stands there; that of a measured one is written anew.
    earlier = "| a: none (-) | 90 + 10 | 8 × 8 | 4 | 0.002000 | 0.001000 | 0.50 | 7 |"
    table = [line for line in page.splitlines() if line.startswith("| b: ")]
    (tmp_path / "page.md").write_text(page.replace(table[0], f"{earlier}\n| b: old (-) | - | - | 4 | 1 | 3 | 3 | 7 |"))
    sets.main()
    rows = [line for line in (tmp_path / "page.md").read_text().splitlines() if line.startswith(("| a: ", "| b: "))]
    assert rows == [earlier, table[0]]
    assert "at most 0.85 of its error: 1 of 2." in (tmp_path / "page.md").read_text()


def test_foreign_images_are_counted(script, monkeypatch):
    """Noise among smooth spots is all found."""
    triage = script("triage")
    monkeypatch.setattr("latens.training.recipes.FEW_STEPS", 3)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:12, :12]
    at = rng.uniform(3, 8, (90, 2, 1, 1))
    blobs = 255 * np.exp(-((y - at[:, 0]) ** 2 + (x - at[:, 1]) ** 2) / 8)
    sets = {"blobs": blobs[:, None].astype(np.uint8), "noise": rng.integers(0, 256, (40, 3, 16, 16)).astype(np.uint8)}
    found = triage.foreign_images("blobs", sets, 0)
    assert found == {"blobs: foreign images in the first 16": 16}


def test_a_section_is_replaced_and_the_rest_of_a_page_stays(common, tmp_path):
    path = tmp_path / "page.md"
    path.write_text("# Page\n\n<!-- one -->\nold\n<!-- end of one -->\n\nwords\n")
    common.write_section(path, "one", "new\nlines")
    assert path.read_text() == "# Page\n\n<!-- one -->\nnew\nlines\n<!-- end of one -->\n\nwords\n"
    common.write_section(path, "two", "more")
    assert path.read_text().endswith("words\n\n<!-- two -->\nmore\n<!-- end of two -->\n")
    kept = common.kept_sections(path.read_text())
    assert [part in kept for part in ("new\nlines", "more", "words")] == [True, True, False]
