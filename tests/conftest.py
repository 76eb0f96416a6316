"""Shared by all tests: one small run, made once, and folders that keep tests away from the user's own."""

import importlib
import importlib.util
import os
import shutil

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does; before torch is loaded

import numpy as np
import pytest
import torch

import latens
from latens.images import load_images


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory):
    """A cache of their own, also for the fixtures of the session, which are made before any test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LATENS_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(autouse=True)
def _threads_as_before():
    """Commands under a launcher share the processors among processes, here for all later tests: sums come in another order."""
    before = torch.get_num_threads()
    yield
    if torch.get_num_threads() != before:
        torch.set_num_threads(before)


def from_test_all(name):
    """A package that `make test-all` installs beside the others: without it a test is skipped, or fails where CI asks for it."""
    if os.environ.get("LATENS_PRETRAINED_TESTS") == "required":
        return importlib.import_module(name)
    return pytest.importorskip(name)


def found_by_test_all(name):
    """The same for a package that these tests must not import: another process does."""
    if importlib.util.find_spec(name) is None:
        assert os.environ.get("LATENS_PRETRAINED_TESTS") != "required", f"{name} is not installed"
        pytest.skip(f"{name} is not installed")


def make_blobs(count=120, shape=(1, 12, 12), classes=3, seed=0):
    """Pictures that a network can learn: one soft blob each, its place decided by the class."""
    rng = np.random.default_rng(seed)
    channels, height, width = shape
    labels = np.arange(count) % classes
    row = height * (0.3 + 0.4 * labels / max(1, classes - 1)) + rng.normal(0, 0.5, count)
    column = width * (0.3 + 0.4 * rng.random(count))
    y, x = np.mgrid[:height, :width]
    distance = (y - row[:, None, None]) ** 2 + (x - column[:, None, None]) ** 2
    picture = 255 * np.exp(-distance / (0.02 * height * width))
    pixels = np.repeat(picture[:, None], channels, 1) * rng.uniform(0.5, 1, (count, channels, 1, 1))
    return pixels.astype(np.uint8), labels.astype(np.int64)


@pytest.fixture
def blobs_file(tmp_path):
    """A .npz with 120 labelled grey pictures of 12 x 12."""
    pixels, labels = make_blobs()
    path = tmp_path / "blobs.npz"
    np.savez(path, images=pixels[:, 0], labels=labels)
    return path


@pytest.fixture
def blobs(blobs_file):
    return load_images(blobs_file)


# The network of the reference experiment with its ReLU latent, which after two epochs is a poor model, as some tests want; on a
# set of this size the default recipe starts as PCA.
REFERENCE = {"model": "autoencoder", "network": "convolutional", "latent_dim": 8}


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """A complete run of two epochs on the blobs; tests read it, and copy it where they change something."""
    folder = tmp_path_factory.mktemp("finished")
    pixels, labels = make_blobs(240)
    np.savez(folder / "blobs.npz", images=pixels[:, 0], labels=labels)
    from latens.progress import Silent

    return latens.run(folder / "blobs.npz", out=folder / "run", epochs=2, **REFERENCE, device="cpu", progress=Silent())


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LATENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def instruction_sets():
    """A function that keeps the kernels in C to vectors of at most so many numbers, for one test."""
    import ctypes

    from latens.native import library

    if library() is None:
        pytest.skip("the kernels were not built")
    most = ctypes.c_long.in_dll(library(), "latens_most_lanes")
    before = most.value

    def limit(lanes):
        most.value = lanes

    yield limit
    most.value = before


# ---- the explorer's page


@pytest.fixture(scope="module")
def browser():
    from browser import chromium

    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that tells its images apart; a copy, since tags are written to it."""
    from browser import learned_run

    return shutil.copytree(learned_run(tmp_path_factory), tmp_path_factory.mktemp("page") / "run")


@pytest.fixture(scope="module")
def view(run):
    """The same run asked without a server."""
    from latens.explorer import View

    return View(latens.open_run(run))


@pytest.fixture(scope="module")
def address(run):
    from browser import served

    with served(run) as found:
        yield found


@pytest.fixture(scope="module", params=["served", "file"])
def anywhere(request, run, address, tmp_path_factory):
    """The address of the page: a server's, or a file's."""
    from browser import served_or_file

    if request.param == "served":
        yield address
    else:
        with served_or_file("file", run, tmp_path_factory.mktemp("file")) as found:
            yield found


@pytest.fixture
def page(browser, address):
    from browser import opened, settled

    with opened(browser, address) as page:
        settled(page)
        yield page


# ---- the page with two runs


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two runs, the second of which has images that the first does not have; a file of tests may have others."""
    from browser import two_runs

    return two_runs(tmp_path_factory)


@pytest.fixture(scope="module")
def views(folders):
    """The same runs asked without a page."""
    from latens.explorer import View
    from latens.explorer.pair import pair

    first, second = (View(latens.open_run(folder)) for folder in folders)
    pair(first, second)
    return first, second


@pytest.fixture(scope="module", params=["served", "file"])
def linked_address(request, folders, tmp_path_factory):
    from browser import served_or_file

    with served_or_file(request.param, folders[0], tmp_path_factory.mktemp("file"), folders[1]) as found:
        yield found


@pytest.fixture
def linked(browser, linked_address):
    from browser import both_settled, opened

    with opened(browser, linked_address, width=2300, height=1100) as page:
        both_settled(page)
        yield page
