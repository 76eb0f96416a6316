"""The order of training where not all images fit into memory: blocks that lie together, shuffled in windows."""

import ctypes
import itertools
import mmap
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import latens
from conftest import make_blobs
from latens import experiment, memory
from latens.arrays import Picked, gather, is_mapped, read_ahead, read_alone
from latens.errors import UsageError
from latens.files import read_safetensors
from latens.images import load_images
from latens.images.pixels import Scaled
from latens.memory import memory_size
from latens.progress import Silent
from latens.report.from_run import command_of
from latens.training import loop, order
from latens.training.loop import build_model, train
from latens.training.order import BLOCKS, batches, window_for
from latens.training.recipes import Recipe, TrainConfig, recipe_for

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as Linux tells it")


def config(**options):
    return TrainConfig(**{"epochs": 3, "batch_size": 32, "learning_rate": 1e-3, **options})


def small_model(images, seed=0):
    return build_model(Recipe("test", "autoencoder", "convolutional", 8, config(seed=seed)), images.shape)


@pytest.fixture
def mapped(tmp_path):
    """Images that are read from a mapped file."""
    pixels, labels = make_blobs(600)
    np.save(tmp_path / "blobs.npy", pixels[:, 0])
    images = load_images(tmp_path / "blobs.npy", labels=labels)
    assert is_mapped(images.train.pixels)
    return images


@pytest.mark.parametrize("num", [1, 100, 5000])
@pytest.mark.parametrize("batch_size", [1, 32, 700])
@pytest.mark.parametrize("window", [0, 1, 100, 512, 1100, 10_000])
def test_each_row_comes_once(num, batch_size, window):
    found = list(batches(num, batch_size, 3, 2, window))
    assert [len(batch) for batch in found] == [min(batch_size, num - at) for at in range(0, num, batch_size)]
    assert sorted(np.concatenate(found)) == list(range(num))
    again = np.concatenate(list(batches(num, batch_size, 3, 2, window)))
    assert (np.concatenate(found) == again).all()
    if num == 5000:
        for seed, epoch in ((3, 1), (2, 2)):
            assert (again != np.concatenate(list(batches(num, batch_size, seed, epoch, window)))).any()


def test_without_a_window_all_are_shuffled():
    found = np.concatenate(list(batches(5000, 64, 3, 2)))
    assert (found == np.random.default_rng((3, 2)).permutation(5000)).all()


def test_a_window_is_read_from_few_places_and_well_mixed():
    num, length = 20 * 256 * 20, 20
    window = BLOCKS * length
    rows = np.concatenate(list(batches(num, 64, 0, 1, window)))
    for first in range(0, num, window):
        places, counts = np.unique(rows[first : first + window] // length, return_counts=True)
        assert (counts == length).all()  # whole blocks, so that each is read once
        assert len(places) <= BLOCKS
        assert np.ptp(places) > 0.9 * num / length  # from all over the file, as one class may fill a part of it
        shares = [
            len(np.unique(batch)) / 64 for batch in np.split(rows[first : first + window] // length, window // 64)
        ]
        assert np.mean(shares) > 0.85  # of a batch, that come from places of their own: of 64 drawn of 256 it is 0.88


def test_blocks_are_asked_for_before_their_window():
    num, window = 10_000, 512
    asked = []
    seen = np.zeros(num, bool)
    for batch in batches(num, 64, 0, 1, window, asked.append):
        seen[batch] = True
        known = np.zeros(num, bool)
        for rows in asked:
            known[rows] = True
        assert known[batch].all()
        assert known.sum() <= seen.sum() + 2 * window  # and no more than the next window beside this one
    assert sum(rows.stop - rows.start for rows in asked) == num


def test_the_window_is_an_eighth_of_the_memory(mapped, monkeypatch):
    size, image = mapped.train.pixels.nbytes, mapped.train.pixels[0].nbytes
    for limit, expected in ((0, 0), (2 * size, 0), (2 * size - 2, BLOCKS)):
        monkeypatch.setattr(order, "memory_size", lambda limit=limit: limit)
        assert window_for(mapped) == expected
    monkeypatch.setattr(order, "FITS", 0.01)
    monkeypatch.setattr(order, "memory_size", lambda: 8 * 400 * image)
    assert window_for(mapped) == 400
    in_memory = load_images(np.array(mapped.train.pixels))
    assert window_for(in_memory) == 0
    assert recipe_for("notebook", mapped).config.window == 400
    assert recipe_for("notebook", mapped).with_options(window=0).config.window == 0


@pytest.mark.parametrize("holdout", [0.0, 0.1])
def test_a_mapped_file_trains_as_the_same_in_memory(mapped, holdout):
    settings = config(window=300, holdout=holdout)
    in_memory = replace(mapped, train=replace(mapped.train, pixels=np.array(mapped.train.pixels)))
    assert not is_mapped(in_memory.train.pixels)
    (*_, one), (*_, two) = (train(small_model(images), images, settings) for images in (mapped, in_memory))
    first, second = one.state(), two.state()
    assert all(torch.equal(first[name], second[name]) for name in first if name != "elapsed")
    *_, other = train(small_model(mapped), mapped, config(holdout=holdout))
    assert not torch.equal(other.state()["model.encoder.0.weight"], first["model.encoder.0.weight"])


@pytest.mark.parametrize("holdout", [0.0, 0.1])
def test_a_training_goes_on_bit_for_bit(mapped, holdout):
    settings = config(window=256, holdout=holdout)
    *_, last = train(small_model(mapped), mapped, settings)
    first = small_model(mapped)
    state = [step.state() for step in itertools.islice(train(first, mapped, settings), 2)][-1]
    *_, resumed = train(small_model(mapped, seed=9), mapped, settings, state)
    expected, got = last.state(), resumed.state()
    assert all(torch.equal(expected[name], got[name]) for name in expected if name != "elapsed")


def test_a_run_keeps_its_window(mapped, tmp_path, monkeypatch):
    """Also where it is continued on a machine with more memory."""

    def only_trained(run, images, progress, *_):
        experiment.train_run(run, images, progress)
        return run

    def stopped(*args):
        yield next(train(*args))
        raise KeyboardInterrupt

    settings = {"recipe": "notebook", "epochs": 2, "latent_dim": 4, "device": "cpu", "progress": Silent()}
    monkeypatch.setattr(experiment, "_complete", only_trained)
    monkeypatch.setattr(order, "memory_size", lambda: mapped.train.pixels.nbytes)
    whole = latens.run(mapped, out=tmp_path / "whole", **settings)
    assert whole.recipe.config.window == BLOCKS
    assert "window=256" in command_of(whole, mapped)
    monkeypatch.setattr(experiment, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        latens.run(mapped, out=tmp_path / "stopped", **settings)
    monkeypatch.setattr(experiment, "train", train)
    monkeypatch.setattr(order, "memory_size", lambda: 1 << 40)
    with pytest.raises(UsageError, match="window 256, not 300"):
        experiment.resume(tmp_path / "stopped", images=mapped, window=300)
    again = experiment.resume(tmp_path / "stopped", images=mapped, device="cpu", progress=Silent())
    assert len(again.history) == len(whole.history) == 2
    one, two = (read_safetensors(run.path / "model.safetensors") for run in (whole, again))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_window_is_a_number():
    with pytest.raises(UsageError, match="window is -1; at least 0"):
        config(window=-1)


def test_rows_that_are_read_when_asked_for_are_the_rows(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (50, 2, 3, 4), np.uint8)
    np.save(tmp_path / "array.npy", array)
    rows = np.arange(0, 50, 3)
    for given in (array, np.load(tmp_path / "array.npy", mmap_mode="r")):
        picked = Picked(given, rows)
        assert (len(picked), picked.shape, picked.nbytes) == (17, (17, 2, 3, 4), 17 * 24)
        np.testing.assert_array_equal(picked[3:9], array[rows][3:9])
        np.testing.assert_array_equal(picked[np.array([5, 0])], array[rows][[5, 0]])
        np.testing.assert_array_equal(loop._copied(picked, torch.device("cpu")).numpy(), array[rows])
    scaled = Picked(Scaled(array, ((0, 200),) * 2), rows)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled[:], (array[rows] / np.float32(200)).clip(0, 1))


def test_a_copy_on_a_device_is_made_block_by_block(monkeypatch):
    monkeypatch.setattr(loop, "AT_ONCE", 60)
    array = np.arange(10 * 24, dtype=np.float32).reshape(10, 2, 3, 4)
    assert torch.equal(loop._copied(array, torch.device("cpu")), torch.from_numpy(array))


def cached(file, start, size):
    """Whether bytes of a file are in the system's memory. Only looks: a read that must not wait may begin to read ahead."""
    with mmap.mmap(file, 0, prot=mmap.PROT_READ) as mapped:
        pages = np.frombuffer(mapped, np.uint8)
        first = start // mmap.PAGESIZE * mmap.PAGESIZE
        told = np.zeros(-(-(start + size - first) // mmap.PAGESIZE), np.uint8)
        mincore = ctypes.CDLL(None, use_errno=True).mincore
        failed = mincore(
            ctypes.c_void_p(pages.ctypes.data + first),
            ctypes.c_size_t(start + size - first),
            ctypes.c_void_p(told.ctypes.data),
        )
        del pages  # the file stays mapped as long as an array is of it
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return bool((told & 1).all())


@LINUX
@pytest.mark.parametrize("how", ["plain", "scaled", "picked"])
def test_what_is_asked_for_ahead_comes_into_memory(tmp_path, how):
    array = np.random.default_rng(0).integers(0, 256, (40_000, 1024), np.uint8)[:, None, None]
    np.save(tmp_path / "array.npy", array)
    mapped = np.load(tmp_path / "array.npy", mmap_mode="r")
    start = mapped.offset + 10_000 * 1024
    file = os.open(tmp_path / "array.npy", os.O_RDONLY)
    try:
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            if any(cached(file, start + (there << 20), 4096) for there in (2, 20)):
                pytest.skip("this file system keeps all in memory")
        except OSError:
            pytest.skip("this file system does not tell what is in memory")
        if how == "scaled":
            mapped = Scaled(mapped, ((0, 100),))
        if how == "picked":  # every second row, so half as many numbers
            read_ahead(Picked(mapped, np.arange(0, 40_000, 2)), slice(5000, 7048))
        else:
            read_ahead(mapped, slice(10_000, 14_096))
        until = time.monotonic() + 15
        while not (there := cached(file, start, 4096 * 1024 - 4096)) and time.monotonic() < until:
            time.sleep(0.01)
        assert there
        assert not cached(file, start + (20 << 20), 4096)  # and no more
    finally:
        os.close(file)
    np.testing.assert_array_equal(gather(mapped, np.array([3, 39_999])), mapped[np.array([3, 39_999])])


def test_the_last_rows_can_be_asked_for(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros((1000, 1, 7, 9), np.uint8))
    read_ahead(np.load(tmp_path / "array.npy", mmap_mode="r"), slice(990, 1000))
    read_ahead(np.zeros((5, 1, 2, 2)), slice(0, 5))  # in memory: nothing to do


@LINUX
def test_a_missing_page_is_read_alone_while_that_is_asked_for(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros((40_000, 1, 1, 1024), np.uint8))
    mapped = np.load(tmp_path / "array.npy", mmap_mode="r")

    def advised():
        """Whether the map is marked for random reading (flag `rr` of the kernel)."""
        ours = Path("/proc/self/smaps").read_text().partition("array.npy")[2]
        return "rr" in ours.partition("VmFlags:")[2].splitlines()[0].split()

    assert not advised()
    with read_alone(Picked(mapped, np.arange(9))):
        assert advised()
    assert not advised()
    with read_alone(np.zeros(3)):  # in memory: nothing to do
        pass


@pytest.mark.heavy
@LINUX
@pytest.mark.parametrize("holdout", [0, 0.4])
def test_memory_of_training_stays_flat(tmp_path, holdout, own_cache):
    """An epoch over 270 MB takes less than 60 MB more than an epoch over 9 MB has taken: the blocks that are read ahead."""
    for name, num in (("small.npy", 200), ("big.npy", 6000)):
        pixels = np.lib.format.open_memmap(tmp_path / name, "w+", np.uint8, (num, 128, 128, 3))
        pixels[:, :3, :3, 0] = np.arange(num, dtype=np.uint32).view(np.uint8).reshape(num, 1, 4)[..., :3]
        pixels.flush()
    code = (
        "import sys, re; from latens.images import load_images\n"
        "from latens.models.autoencoder import AutoencoderModel\n"
        "from latens.training.loop import train; from latens.training.recipes import TrainConfig\n"
        "from latens.losses import Losses; import torch\n"
        "class Small(AutoencoderModel):\n"  # whose arithmetic takes no time
        "    def __init__(self, shape):\n"
        "        super().__init__(shape, 2, 'dense'); self.weight = torch.nn.Parameter(torch.ones(()))\n"
        "    def encode(self, x): return x.flatten(1)[:, :2]\n"
        "    def decode(self, z): return (z[:, :1, None, None] * self.weight).expand(-1, 3, 128, 128)\n"
        "    def loss(self, x, generator=None):\n"
        "        return Losses((self.decode(self.encode(x)) - x).square().flatten(1).mean(1), {})\n"
        "def anonymous(): return int(re.search(r'RssAnon:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024\n"
        "def epoch(path):\n"
        "    images = load_images(path); model = Small(images.shape)\n"
        "    settings = TrainConfig(epochs=1, batch_size=16, window=int(sys.argv[4]), holdout=float(sys.argv[3]))\n"
        "    peak = [0]; on = lambda *_: peak.append(anonymous())\n"
        "    list(train(model, images, settings, on_batch=on)); return max(peak)\n"
        "first = epoch(sys.argv[1]); print(epoch(sys.argv[2]) - first)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "small.npy"), str(tmp_path / "big.npy"), str(holdout), "400"]
    assert int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) < 60


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/box/inner\n", {"box/memory.max": "1000", "box/inner/memory.max": "max"}, 1000),
        ("0::/box/inner\n", {"box/memory.max": "1000", "box/inner/memory.max": "70"}, 70),
        ("0::/elsewhere\n", {"memory.max": "900"}, 900),  # in a container, which sees its own group as the top
        ("5:cpu:/a\n4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "800", "cpu/a/memory.limit_in_bytes": "1"}, 800),
        ("0::/\n", {}, None),
    ],
)
def test_the_limit_of_a_control_group_counts(groups, files, expected, tmp_path, monkeypatch):
    (tmp_path / "own").write_text(groups)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(memory, "OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    without = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert memory_size() == (without if expected is None else expected)


@LINUX
@pytest.mark.parametrize("option", ["-d", "-v"])
def test_the_limit_of_a_process_counts(option):
    code = "from latens.memory import memory_size; print(memory_size())"
    command = f"ulimit {option} 3000000; {sys.executable} -c '{code}'"
    assert (
        int(subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout) <= 3000000 * 1024
    )
