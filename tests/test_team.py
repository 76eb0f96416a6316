"""Training in several processes, started by torchrun, against one process with the same batches."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import latens
import latens.cli
import latens.experiment
from conftest import make_blobs
from latens.cli import main
from latens.errors import ProcessLost, RunElsewhere, RunNotFound, UsageError
from latens.files import read_safetensors
from latens.images import load_images
from latens.models import MODELS
from latens.progress import Silent, helper_number
from latens.training import team as teams
from latens.training.loop import train
from latens.training.recipes import TrainConfig
from latens.training.team import Team, join_team, noticing_loss, team_of_process

pytestmark = pytest.mark.heavy  # each starts processes that import torch

SETTINGS = {"epochs": 3, "batch_size": 37, "seed": 1}  # the last batch of an epoch is a smaller one

LOSSES = """
import json, sys
from latens.images import load_images
from latens.training.loop import build_model, train
from latens.training.recipes import RECIPES
from latens.training.team import end_process, join_team
team = join_team()
images, losses = load_images(sys.argv[1]), []
options = {"model": "autoencoder", "network": "convolutional", "latent_dim": 8, **json.loads(sys.argv[3])}
recipe = RECIPES[sys.argv[2]](images).with_options(**options)
model = build_model(recipe, images.shape)
steps = list(train(model, images, recipe.config, on_batch=lambda epoch, step, loss: losses.append(loss)))
weights = sum(float(tensor.double().abs().sum()) for tensor in model.state_dict().values())
told = {"losses": losses, "train": [s.train_loss for s in steps], "test": [s.test_mse for s in steps], "weights": weights}
with open(f"{sys.argv[4]}-{team.rank if team else 'alone'}.json", "w") as file:
    json.dump(told, file)
end_process(0)
"""

LOST = """
import os, signal, sys
import latens
from latens.runs import recording
from latens.training import team as teams
recording.SECONDS_BETWEEN_CHECKPOINTS = 0
lost, seen, mean = int(sys.argv[3]), [], teams.Team.mean
def counted(self, value):
    seen.append(1)
    if self.rank == lost and len(seen) == 7 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return mean(self, value)
teams.Team.mean = counted
run = latens.run(sys.argv[1], out=sys.argv[2], recipe="notebook", epochs=4, batch_size=64, latent_dim=8, samplers=())
with open(f"{sys.argv[2]}-{os.environ['RANK']}.txt", "w") as file:
    file.write(run.record["status"])
teams.end_process(0)
"""


@pytest.fixture(scope="module")
def blobs(tmp_path_factory):
    pixels, labels = make_blobs(200)
    path = tmp_path_factory.mktemp("team") / "blobs.npz"
    np.savez(path, images=pixels[:, 0], labels=labels)
    return path


def torchrun(*words, processes=2, restarts=0, cwd=None):
    """What torchrun does with a program and its arguments."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, f"--max-restarts={restarts}", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=cwd,
    )


@pytest.mark.parametrize(("recipe", "window"), [("notebook", 0), ("notebook", 60), ("fast", 0)])
def test_two_processes_take_the_steps_of_one(blobs, tmp_path, recipe, window):
    script = tmp_path / "losses.py"
    script.write_text(LOSSES)
    words = [script, blobs, recipe, json.dumps({**SETTINGS, "window": window}), tmp_path / "told"]
    subprocess.run([sys.executable, *map(str, words)], capture_output=True, check=True, timeout=200)
    together = torchrun(*words)
    assert together.returncode == 0, together.stderr
    alone, first, second = (json.loads((tmp_path / f"told-{who}.json").read_text()) for who in ("alone", 0, 1))
    assert first == second  # all take the same steps, bit for bit
    assert len(first["losses"]) > 10
    for name, values in alone.items():
        # Sums come in another order, which a few steps of Muon enlarge.
        np.testing.assert_allclose(first[name], values, rtol=1e-5 if recipe == "notebook" else 1e-2)


def test_torchrun_makes_one_run(blobs, tmp_path):
    words = ["-m", "latens", "run", blobs, "--recipe", "notebook", "--epochs", "2", "--latent-dim", "8"]
    done = torchrun(*words, "--out", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)  # of one process only
    run = latens.open_run(tmp_path / "run")
    assert run.record["status"] == "done"
    assert len(run.history) == 2
    assert "metrics.json" in run.record["files"]
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize("lost", [0, 1])
def test_a_training_that_lost_a_process_goes_on(blobs, tmp_path, lost):
    script = tmp_path / "lost.py"
    script.write_text(LOST)
    done = torchrun(script, blobs, tmp_path / "run", lost, restarts=3)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / f"run-{rank}.txt").read_text() for rank in range(2)] == ["done", "done"]
    whole = torchrun(script, blobs, tmp_path / "whole", -1)
    assert whole.returncode == 0, whole.stderr
    runs = [latens.open_run(tmp_path / name) for name in ("run", "whole")]
    assert [len(run.history) for run in runs] == [4, 4]
    one, other = (read_safetensors(run.path / "model.safetensors") for run in runs)
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_what_is_wrong_is_said_once(blobs, tmp_path):
    done = torchrun("-m", "latens", "run", blobs, "--epochs", "0", "--out", tmp_path / "run")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("latens: ")]
    assert len(said) == 1
    assert "process" not in said[0]
    assert not (tmp_path / "run").exists()


def test_processes_with_other_images_are_refused(tmp_path):
    for rank in range(2):
        pixels, labels = make_blobs(60, seed=rank)
        np.savez(tmp_path / f"{rank}.npz", images=pixels[:, 0], labels=labels)
    script = tmp_path / "other.py"
    script.write_text(
        "import os, sys, latens\nfrom latens.cli import main\n"
        "sys.exit(main(['run', sys.argv[1] + '/' + os.environ['RANK'] + '.npz', '--epochs', '1', '--out', sys.argv[1] + '/run']))"
    )
    done = torchrun(script, tmp_path)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("latens: ")]
    assert said == ["latens: process 1 has other images than process 0; give each of the 2 the same"]


def test_the_shares_of_a_batch_are_the_batch():
    team = [Team(rank, 3) for rank in range(3)]
    rows, values = np.arange(20, 27), torch.arange(7.0) ** 2
    shares = [one.share(rows) for one in team]
    assert sorted(np.concatenate(shares).tolist()) == rows.tolist()
    losses = [one.loss(values[one.share(rows) - 20], rows) for one in team]
    assert float(sum(losses)) / 3 == pytest.approx(float(values.mean()))
    few = np.array([5, 6])
    assert [one.counts(few) for one in team] == [True, True, False]
    assert len(team[2].share(few)) == 1
    assert float(team[2].loss(torch.ones(1), few)) == 0


def test_a_process_alone_has_no_team(monkeypatch):
    assert join_team() is None
    assert team_of_process() is None
    assert helper_number() == 0
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    assert join_team() is None
    assert helper_number() == 0
    monkeypatch.setenv("RANK", "3")
    assert helper_number() == 3


def test_a_group_for_other_work_is_no_team(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(teams.distributed, "is_initialized", lambda: True)
    with pytest.raises(UsageError, match="initialised already"):
        join_team()
    assert team_of_process() is None


def test_more_processes_than_images_are_refused(monkeypatch):
    pixels, labels = make_blobs(12)
    images = load_images(pixels, labels=labels)
    monkeypatch.setattr(teams, "_joined", [Team(0, 20)])
    model = MODELS["autoencoder"](images.shape, 8, "convolutional")
    with pytest.raises(UsageError, match=r"\d+ train images are too few for 20 processes"):
        next(train(model, images, TrainConfig(epochs=1, batch_size=4)))


def test_a_lost_connection_is_one_line(monkeypatch):
    broken = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:5")
    with pytest.raises(RuntimeError, match="closed by peer"), noticing_loss():
        raise broken  # of someone else's group
    monkeypatch.setattr(teams, "_joined", [Team(0, 2)])
    with pytest.raises(ProcessLost, match="another process of this training is gone"), noticing_loss():
        raise broken
    with pytest.raises(RuntimeError, match="shapes"), noticing_loss():
        raise RuntimeError("shapes do not fit")


def test_only_a_process_that_has_helped_needs_no_run(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(latens.cli, "SECONDS_FOR_PROCESS_0", 0)
    for error, code in ((RunElsewhere("elsewhere"), 0), (RunNotFound("nowhere"), 2), (UsageError("no word"), 2)):

        def fails(*given, error=error, **options):
            raise error

        monkeypatch.setattr(latens.experiment, "run", fails)
        assert main(["run", "mnist", "--out", str(tmp_path / "run")]) == code
    assert capsys.readouterr().err == "latens: process 1: nowhere\nlatens: process 1: no word\n"


def test_process_0_says_what_is_wrong_however_slow_it_is(tmp_path):
    """torchrun ends all processes when the first of them has failed."""
    script = tmp_path / "slow.py"
    script.write_text(
        "import os, sys, time\nfrom latens.cli import main\n"
        "time.sleep(3 * (os.environ['RANK'] == '0'))\nsys.exit(main(['run', 'mnist', '--epochs', '0']))"
    )
    done = torchrun(script)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("latens: ")]
    assert len(said) == 1
    assert "process" not in said[0]


def test_a_run_in_a_folder_that_is_not_seen_is_said(monkeypatch, tmp_path):
    class Alone(Team):
        def tell(self, message=None):
            return said.pop(0)

    pixels, labels = make_blobs(12)
    said = [None, str(tmp_path / "run")]  # nothing to help with, and where the run is
    with pytest.raises(RunElsewhere, match="can't see its folder"):
        latens.experiment._helped(load_images(pixels, labels=labels), Alone(1, 2), "cpu")


def test_helpers_are_silent(monkeypatch):
    from latens.progress import progress_for

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("RANK", "1")
    assert isinstance(progress_for(), Silent)
