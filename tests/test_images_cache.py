"""The cache of decoded pictures."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from latens.errors import ImagesError
from latens.images import cache, load_images
from pictures import fill


def entries(folder):
    return sorted(path for path in (folder / "images").iterdir())


def test_second_load_decodes_nothing(tmp_path, own_cache, monkeypatch):
    fill(tmp_path / "mine", 20)
    first = load_images(tmp_path / "mine")
    for part in (first.train, first.test):
        assert isinstance(part.pixels, np.memmap)
        assert part.pixels.mode == "r"
        assert not part.pixels.flags.writeable
    monkeypatch.setattr("latens.images.folder.decode_picture", None)
    monkeypatch.setattr("latens.images.folder.look_at", None)
    calls = []
    second = load_images(tmp_path / "mine", progress=lambda *numbers: calls.append(numbers))
    assert calls == []
    assert (second.fingerprint, second.notes, second.name) == (first.fingerprint, first.notes, first.name)
    assert (second.train.ids == first.train.ids).all()
    assert second.train.ids.dtype.kind == "U"


def test_stored_fingerprint_is_that_of_the_pixels(tmp_path, own_cache):
    for name in ("a", "b"):
        fill(tmp_path / "mine" / name, 20, seed=ord(name))
    dataset = load_images(tmp_path / "mine")
    for part in (dataset.train, dataset.test):
        assert part.take(np.arange(len(part))).fingerprint == part.fingerprint


def test_changes_are_noticed_and_old_entries_go(tmp_path, own_cache):
    fill(tmp_path / "mine", 20)
    seen = {load_images(tmp_path / "mine").fingerprint}
    folder = tmp_path / "mine"
    os.utime(folder / "3.png", ns=(1, 1))
    assert load_images(folder).fingerprint in seen, "the same pictures, decoded again"
    (folder / "20.png").write_bytes((folder / "3.png").read_bytes())
    seen.add(load_images(folder).fingerprint)
    (folder / "4.png").unlink()
    seen.add(load_images(folder).fingerprint)
    fill(folder, 1, seed=9)
    seen.add(load_images(folder).fingerprint)
    assert len(seen) == 4
    assert len(entries(own_cache)) == 1
    load_images(folder, size=8)
    load_images(folder)
    assert len(entries(own_cache)) == 2, "another size is another entry"


def cut(name, keep):
    return lambda entry: (entry / name).write_bytes((entry / name).read_bytes()[:keep])


def rewritten(change):
    """An entry that is changed and sealed again, as another version of latens could leave it."""

    def apply(entry):
        value = json.loads((entry / "entry.json").read_text())["entry"]
        change(value)
        sealed = {"entry": value, "sha256": hashlib.sha256(json.dumps(value).encode()).hexdigest()}
        (entry / "entry.json").write_text(json.dumps(sealed))

    return apply


def flipped(name, place):
    """One bit of a file is another one."""

    def apply(entry):
        content = bytearray((entry / name).read_bytes())
        content[place if place >= 0 else len(content) + place] ^= 4
        (entry / name).write_bytes(content)

    return apply


@pytest.mark.parametrize(
    "spoil",
    [
        cut("train.npy", -1),
        cut("train.npy", 50),
        cut("test.npy", 0),
        cut("rows.npz", 100),
        cut("entry.json", 40),
        cut("entry.json", 0),
        lambda entry: (entry / "train.npy").unlink(),
        lambda entry: (entry / "rows.npz").unlink(),
        rewritten(lambda value: value.update(version=0)),
        rewritten(lambda value: value.update(parts=[])),
        rewritten(lambda value: value.pop("notes")),
        rewritten(lambda value: value["parts"]["train"].update(crc32=[])),
        flipped("train.npy", -1),
        flipped("train.npy", 128),
        flipped("train.npy", 40),
        flipped("test.npy", 1000),
        flipped("rows.npz", 100),
        flipped("rows.npz", -300),
        flipped("entry.json", 200),
        flipped("entry.json", -200),
    ],
)
def test_a_damaged_entry_is_made_again(tmp_path, own_cache, spoil):
    for name in ("a", "b"):
        fill(tmp_path / "mine" / name, 20, seed=ord(name))
    before = load_images(tmp_path / "mine").fingerprint
    (entry,) = entries(own_cache)
    spoil(entry)
    assert load_images(tmp_path / "mine").fingerprint == before
    assert entries(own_cache) == [entry]


def test_failure_leaves_nothing(tmp_path, own_cache):
    np.save(tmp_path / "a.npy", np.full((20, 9, 9), np.nan))
    with pytest.raises(ImagesError):
        load_images(tmp_path / "a.npy")
    assert entries(own_cache) == []


def test_interrupting_leaves_nothing(tmp_path, own_cache):
    fill(tmp_path / "mine", 60)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_images(tmp_path / "mine", progress=interrupt)
    assert entries(own_cache) == []


def test_a_cache_that_can_not_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LATENS_CACHE", str(tmp_path / "file"))
    fill(tmp_path / "mine", 20)
    with pytest.raises(ImagesError, match="LATENS_CACHE"):
        load_images(tmp_path / "mine")


def test_a_full_disk(tmp_path, own_cache, monkeypatch):
    fill(tmp_path / "mine", 20)
    usage = cache.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(ImagesError, match=r"15\.4 kB, 100 B are free"):
        load_images(tmp_path / "mine")
    assert entries(own_cache) == []


def test_two_processes_at_once(tmp_path, own_cache):
    fill(tmp_path / "mine", 200)
    code = (
        "import sys; from latens.images import load_images; sys.stdin.readline();"
        "d = load_images(sys.argv[1]); print(d.fingerprint, int(d.train.pixels.sum()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "mine")]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(set(answers)) == 1
    assert len(entries(own_cache)) == 1


def test_memory_stays_flat(tmp_path, own_cache):
    """200 MB of pixels pass through a process that gets 100 MB more than it has after its imports."""
    if not sys.platform.startswith("linux"):
        pytest.skip("peak memory is read from /proc")
    big = np.lib.format.open_memmap(tmp_path / "big.npy", "w+", np.uint8, (4000, 128, 128, 3))
    big[:, :3, :3, 0] = np.arange(4000, dtype=np.uint32).view(np.uint8).reshape(4000, 1, 4)[..., :3]
    big.flush()
    del big
    code = (
        "import sys, re; from latens.images import load_images\n"
        "def anonymous(): return int(re.search(r'RssAnon:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024\n"
        "before = anonymous(); peak = [0]\n"
        "def progress(*_): peak.append(anonymous())\n"
        "d = load_images(sys.argv[1], progress=progress); print(len(d.train), max(peak) - before)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "big.npy")], capture_output=True, text=True, check=True
    )
    count, megabytes = map(int, answer.stdout.split())
    assert count == 3600
    assert megabytes < 100
