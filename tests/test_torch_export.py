"""A run's networks as programs of torch.export: they compute what the model computes, in a process without latens."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import latens
from conftest import make_blobs
from latens.cli import main
from latens.errors import RunError
from latens.exports import write_programs
from latens.models import MODELS
from latens.networks import NETWORKS
from latens.progress import Silent
from test_onnx_export import Fixed, run_of

GUIDE = Path(__file__).parents[1] / "docs" / "ecosystem.md"
BLOCKED = "import sys\nsys.modules['latens'] = None\n"
EACH = """
import numpy as np, torch
from pathlib import Path
for folder in map(Path, sys.argv[1:]):
    encode, decode = (torch.export.load(folder / f"{half}.pt2").module() for half in ("encoder", "decoder"))
    given = np.load(folder / "given.npz")
    made = {}
    for name in given:
        kind, batch = name.split("-")
        assert len(given[name]) == int(batch)
        made[name] = (encode if kind == "x" else decode)(torch.from_numpy(given[name])).detach().numpy()
    np.savez(folder / "made.npz", **made)
"""


def without_latens(code, *arguments, folder=None):
    """Run code in a process that has torch and can't import latens."""
    script = folder / "program.py"
    script.write_text(BLOCKED + code)
    environment = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, script, *arguments], cwd=folder, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("model", MODELS.own)
def test_every_network_runs_without_latens(tmp_path, model):
    random, runs = np.random.default_rng(0), {}
    for network in NETWORKS.own:
        run = runs[network] = run_of(tmp_path / f"run-{network}", model, network)
        write_programs(run, tmp_path / network)
        x = {f"x-{batch}": random.random((batch, 2, 16, 12), dtype=np.float32) for batch in (1, 7, 64)}
        z = {name.replace("x", "z"): run.encode(images) for name, images in x.items()}
        np.savez(tmp_path / network / "given.npz", **x, **z)
    without_latens(EACH, *runs, folder=tmp_path)
    for network, run in runs.items():
        given, made = np.load(tmp_path / network / "given.npz"), np.load(tmp_path / network / "made.npz")
        for name in given:
            if name.startswith("z"):
                np.testing.assert_allclose(made[name], run.decode(given[name]), atol=1e-5)
                continue
            # A number at the border of two levels may go either way.
            agrees = np.abs(made[name] - run.encode(given[name])) < 1e-5
            assert agrees.mean() > 0.98 if model == "quantised" else agrees.all()


def test_the_program_of_the_guide_needs_no_latens(tmp_path, capsys):
    """Its lines as they stand in the guide."""
    run = run_of(tmp_path / "run")
    pixels, _ = make_blobs(9, (2, 16, 12), seed=5)
    assert main(["export", str(run.path), "--torch-export", str(tmp_path / "torch-export")]) == 0
    assert "encoder.pt2: " in capsys.readouterr().out
    np.save(tmp_path / "images.npy", pixels)
    (code,) = (
        code for code in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL) if "torch.export.load" in code
    )
    kept = "\nimport numpy\nnumpy.savez('out.npz', z=z.detach(), rebuilt=rebuilt.detach())\n"
    without_latens(code + kept, folder=tmp_path)
    found = np.load(tmp_path / "out.npz")
    z = run.encode(pixels)
    np.testing.assert_allclose(found["z"], z, atol=1e-5)
    ends = np.array([[10, 200], [0, 255]], np.float32)[:, :, None, None]
    np.testing.assert_allclose(found["rebuilt"], ends[:, 0] + run.decode(z) * (ends[:, 1] - ends[:, 0]), atol=1e-2)


def test_what_has_no_program_is_said(tmp_path):
    run = run_of(tmp_path / "run")
    model = run.model
    model.encoder = Fixed()
    run.model = model
    with pytest.raises(RunError, match=r"the encoder works for 2 images only.*x\.shape\[0\]"):
        write_programs(run, tmp_path / "out")
    pixels, _ = make_blobs(60)
    adopted = latens.adopt(
        lambda x: x.reshape(len(x), -1)[:, :4],
        lambda z: np.zeros((len(z), 1, 12, 12), np.float32),
        pixels,
        out=tmp_path / "adopted",
        progress=Silent(),
    )
    with pytest.raises(RunError, match="was adopted, so its model is no longer one of torch"):
        write_programs(adopted, tmp_path / "out")
    assert not (tmp_path / "out").exists()
