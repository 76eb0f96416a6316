"""Memory-mapped pictures leave memory again once they were read."""

import re
import subprocess
import sys

import numpy as np
import pytest

from latens.arrays import blocks, gather, held_out, let_go
from latens.images import load_images
from latens.images.contract import make_images
from latens.images.split import split_by_content

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
READ = (
    "import sys, re; import numpy as np; from latens import arrays\n"
    "def held(): return int(re.search(r'RssFile:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024\n"
    "array = np.load(sys.argv[1], mmap_mode='r')[:, 1:]; before = held(); most = 0\n"
    "for block in {how}: block.sum(); most = max(most, held() - before)\n"
    "print(most)"
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "array.npy"
    np.save(path, np.arange(50 << 20, dtype=np.uint8).reshape(-1, 1024))
    return path


def megabytes_held(how, file):
    done = subprocess.run(
        [sys.executable, "-c", READ.format(how=how), str(file)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@LINUX
def test_blocks_of_a_mapped_file_leave_memory(file):
    assert megabytes_held("arrays.blocks(array, 1024)", file) < 10
    assert megabytes_held("np.split(array, 50)", file) > 40, "what this test would not notice otherwise"


@LINUX
def test_rows_from_all_over_a_mapped_file_leave_memory(file):
    rows = "np.arange(0, len(array), 3)"
    assert megabytes_held(f"[arrays.gather(array, {rows})]", file) < 10
    assert megabytes_held(f"[array[{rows}]]", file) > 40, "what this test would not notice otherwise"


def test_gathered_rows_are_the_rows(tmp_path):
    array = np.arange(600).reshape(200, 3)
    np.save(tmp_path / "array.npy", array)
    rows = np.random.default_rng(0).permutation(200)[:150]
    for given in (array, np.load(tmp_path / "array.npy", mmap_mode="r")):
        found = gather(given, rows)
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, array[rows])


@pytest.mark.parametrize("length", [1, 7, 20, 100])
def test_blocks_are_the_array(tmp_path, length):
    array = np.arange(60).reshape(20, 3)
    np.save(tmp_path / "array.npy", array)
    for given in (array, np.load(tmp_path / "array.npy", mmap_mode="r"), array[:0]):
        found = [block.copy() for block in blocks(given, length)]
        assert all(len(block) == length for block in found[:-1])
        np.testing.assert_array_equal(np.concatenate([np.empty((0, 3), int), *found]), given)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_letting_go_loses_nothing(file, mode):
    array = np.load(file, mmap_mode=mode)
    before = np.array(array[:5])
    if mode != "r":
        array[:5] += 1  # of a private copy, memory is the only place where this is
        before += 1
    let_go(array[2:])
    np.testing.assert_array_equal(array[:5], before)


def plain_split(hashes):
    """The rule, as it is written."""
    groups = {}
    for row, digest in enumerate(hashes):
        groups.setdefault(digest, []).append(row)
    test, wanted = [], -(-len(hashes) // 10)
    for digest in sorted(groups):
        if len(test) < wanted and len(groups[digest]) <= wanted:
            test += groups[digest]
    if not test and len(groups) > 1:
        test = min(groups.values(), key=lambda rows: (len(rows), hashes[rows[0]]))
    return sorted(test)


@pytest.mark.parametrize("seed", range(20))
def test_the_split_is_the_rule(seed):
    random = np.random.default_rng(seed)
    count, values = int(random.integers(1, 200)), int(random.integers(1, 60))
    few = [bytes(random.integers(0, 3, 16, dtype=np.uint8)) for _ in range(values)]  # zeros at the end too
    hashes = [few[index] for index in random.integers(0, values, count)]
    train, test = split_by_content(hashes)
    assert test.tolist() == plain_split(hashes)
    assert sorted([*train, *test]) == list(range(count))
    np.testing.assert_array_equal(split_by_content(np.array(hashes, dtype="S16"))[1], test)


def test_a_mapped_part_has_the_fingerprint_of_the_same_in_memory(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5000, 8, 8), np.uint8)
    np.save(tmp_path / "pictures.npy", pixels)
    part = load_images(tmp_path / "pictures.npy").train
    assert isinstance(part.pixels, np.memmap)
    assert make_images(np.array(part.pixels), part.ids, None).fingerprint == part.fingerprint


@pytest.mark.heavy
@LINUX
@pytest.mark.parametrize(
    "what", ["encode_images(model, pixels)", "decode_latents(model, np.zeros((1000, 8)))[:9].sum()"]
)
def test_batches_of_large_pictures_are_smaller(what):
    """1,000 pictures of 128 x 128 at once would need over a gigabyte."""
    code = (
        "import re, torch, numpy as np; from latens.latents import decode_latents, encode_images\n"
        "from latens.models.autoencoder import AutoencoderModel\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024\n"
        "model = AutoencoderModel((1, 128, 128), 8); pixels = np.zeros((1000, 1, 128, 128), np.uint8)\n"
        f"encode_images(model, pixels[:2]); before = peak(); {what}; print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\s*", done.stdout)
    assert int(done.stdout) < 400


def test_what_is_held_out_is_of_every_kind():
    held = held_out(6000, 10)
    assert held.sum() == 600
    kinds = np.arange(6000) % 2  # as of MNIST, whose images come alternately from two groups of writers
    assert 250 < kinds[held].sum() < 350
    assert (held_out(6000, 10) == held).all()
    assert held_out(6000, 10, most=50).sum() == 50
    assert not held_out(9, 10).any()
