"""latens leaves the process as it was: random generators, modes and settings of torch, threads, warning filters, matplotlib."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import warnings

import matplotlib as mpl
import numpy as np
import pytest
import torch

import latens
from latens import device
from latens.device import flushed_denormals, yielding_threads
from latens.figures.of_run import draw
from latens.latents import encode_images
from latens.progress import Silent
from latens.training.loop import build_model
from latens.training.recipes import RECIPES


def state():
    """All that a library could leave changed, as one value that can be compared."""
    name, keys, *rest = np.random.get_state()  # noqa: NPY002  # what a user of the old functions has
    return {
        "torch": torch.random.get_rng_state().tolist(),
        "numpy": (name, keys.tolist(), rest),
        "python": random.getstate(),
        "denormals": (torch.tensor([1e-40]) * 1).item() > 0,
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "warnings": list(warnings.filters),
        "backend": mpl.rcParams._get("backend"),
        "style": {key: value for key, value in dict.items(mpl.rcParams) if not key.startswith("backend")},
        "dtype": torch.get_default_dtype(),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
            torch.get_float32_matmul_precision(),
        ),
        "numpy errors": np.geterr(),
        "folder": os.getcwd(),
        "pyplot": "matplotlib.pyplot" in sys.modules,
    }


@contextlib.contextmanager
def unusual():
    """Settings other than the usual, so that one that is set back to the usual is noticed."""
    torch.manual_seed(7)
    np.random.seed(8)  # noqa: NPY002
    random.seed(9)
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with np.errstate(under="warn"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "of this test alone")
            yield
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_flush_denormal(False)
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.benchmark = before[1]


def do_run(run, folder):
    latens.run(run.images, out=folder / "new", epochs=1, latent_dim=3, samplers=("gaussian",), progress=Silent())


def do_train(run, folder):
    recipe = RECIPES["best"](run.images).with_options(epochs=1, network="convolutional", precision="float32")
    list(latens.train(build_model(recipe, run.image_shape), run.images, recipe.config))


def do_score(run, folder):
    from latens.experiment import score

    score(run, ("flow",), progress=Silent())


WORK = {
    "run": do_run,
    "train": do_train,
    "encode": lambda run, folder: run.encode(run.images.test),
    "decode": lambda run, folder: run.decode(run.latents["latents"][:3]),
    "sample": lambda run, folder: [run.sample(4, name) for name in ("class-means", "mixture", "flow")],
    "map": lambda run, folder: run.map("tsne", seed=3),
    "score": do_score,
    "figure": lambda run, folder: [draw(run, name) for name in ("map", "reconstructions", "network")],
    "review": lambda run, folder: latens.review_run(run, run.images, progress=Silent()),
}


@pytest.fixture
def run(finished_run, tmp_path):
    return latens.open_run(shutil.copytree(finished_run.path, tmp_path / "run"))


@pytest.mark.parametrize("name", WORK)
def test_nothing_that_belongs_to_the_user_changes(name, run, tmp_path):
    with unusual():
        before = state()
        WORK[name](run, tmp_path)
        after = state()
    for part, value in before.items():
        assert after[part] == value, part


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_training_and_encoding_do_not_depend_on_the_mode_of_the_caller(mode, blobs):
    def trained():
        recipe = RECIPES["fast"](blobs).with_options(epochs=2, latent_dim=4)
        model = build_model(recipe, blobs.shape)
        *_, last = latens.train(model, blobs, recipe.config)
        return last.train_loss, encode_images(model, blobs.test)

    expected = trained()
    with mode():
        got = trained()
    assert got[0] == expected[0]
    assert np.array_equal(got[1], expected[1])


def test_models_do_not_depend_on_the_default_type_and_the_users_random_numbers(blobs):
    recipe = RECIPES["fast"](blobs)
    expected = build_model(recipe, blobs.shape).state_dict()
    torch.manual_seed(123)
    torch.set_default_dtype(torch.float64)
    try:
        got = build_model(recipe, blobs.shape).state_dict()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(got[name], tensor) for name, tensor in expected.items())


def test_a_model_is_in_the_mode_in_which_it_was(blobs):
    recipe = RECIPES["fast"](blobs)
    model = build_model(recipe, blobs.shape)
    model.encoder.eval()
    modes = [module.training for module in model.modules()]
    encode_images(model, blobs.test)
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("before", [True, False])
def test_denormals_are_as_they_were_before(before):
    torch.set_flush_denormal(before)
    try:
        with flushed_denormals():
            assert (torch.tensor([1e-40]) * 1).item() == 0
        assert ((torch.tensor([1e-40]) * 1).item() == 0) == before
    finally:
        torch.set_flush_denormal(False)


def os_threads():
    return len(os.listdir("/proc/self/task"))


GNU = pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="only Linux tells how busy it is")


@GNU
@pytest.mark.parametrize("busy", [True, False])
def test_a_second_team_of_threads_sleeps_while_the_machine_is_busy_and_ends(busy, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(device._LOAD, "of_others", lambda: 2.0 * busy)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.ones(1 << 17).add_(1)  # this thread's own team
        before, teams = os_threads(), threading.active_count()
        with yielding_threads():
            assert torch.get_num_threads() == 2
            processors = len(os.sched_getaffinity(0))
            assert (os_threads() > max(before, processors)) == busy
        assert torch.get_num_threads() == 2
        assert threading.active_count() == teams
        until = time.monotonic() + 30
        while os_threads() > before:  # OpenMP's own threads end a moment after that for which they were started
            assert time.monotonic() < until
            os.sched_yield()
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_a_policy_of_the_users_own_stays(name, monkeypatch):
    monkeypatch.setenv(name, "1")
    monkeypatch.setattr(device._LOAD, "of_others", lambda: 1 / 0)
    with yielding_threads():
        pass


@GNU
def test_the_load_of_others_is_without_ones_own():
    load = device._Load()
    load.of_others()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    own = load._others()
    assert load.of_others() <= os.cpu_count()
    program = "import time\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert load._others()[1] - own[1] >= 0.45  # seconds of a processor, as the system counts them


@GNU
def test_training_beside_sleeping_teams_gives_the_same_bits(blobs, monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    threads, losses = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        for busy in (0.0, 2.0):
            monkeypatch.setattr(device._LOAD, "of_others", lambda busy=busy: busy)
            for network in ("convolutional", "residual", "dense"):
                recipe = RECIPES["fast"](blobs).with_options(epochs=1, latent_dim=4, network=network)
                (step,) = latens.train(build_model(recipe, blobs.shape), blobs, recipe.config)
                losses.append(step.train_loss)
    finally:
        torch.set_num_threads(threads)
    assert losses[:3] == losses[3:]
