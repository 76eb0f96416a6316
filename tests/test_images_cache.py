"""The cache of decoded pictures."""

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from latens.errors import ImagesDamaged, ImagesError
from latens.images import cache, checksums, folder, load_images
from pictures import fill, noise, save


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
    assert load_images(folder).fingerprint in seen, "the same images, decoded again"
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


def bitmaps(folder, count, seed):
    """Pictures of equal size and date, as an archive unpacks them."""
    arrays = fill(folder, count, (16, 16), seed=seed, suffix=".bmp")
    for path in folder.iterdir():
        os.utime(path, (1_700_000_000,) * 2)
    return arrays


def right(folder):
    """Whether all pictures that are loaded are those in the files."""
    dataset = load_images(folder)
    return all(
        (pixels[0] == np.asarray(Image.open(folder / str(name)))).all()
        for part in (dataset.train, dataset.test)
        for name, pixels in zip(part.ids, part.pixels, strict=True)
    )


def exchange(a, b):
    aside = a.with_name("aside")
    os.rename(a, aside)
    os.rename(b, a)
    os.rename(aside, b)


def swap_folders(root):
    exchange(root / "cat", root / "dog")


def swap_files(root):
    exchange(root / "cat" / "3.bmp", root / "dog" / "3.bmp")


def overwrite(root):
    """Written in place, and the date set back."""
    path = root / "cat" / "3.bmp"
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, (1_700_000_000,) * 2)


def replace_file(root):
    new = save(root.parent / "new.bmp", noise(1, 16, 16, seed=99)[0])
    os.utime(new, (1_700_000_000,) * 2)
    os.replace(new, root / "cat" / "3.bmp")


def replace_folder(root):
    shutil.rmtree(root / "cat")
    bitmaps(root / "cat", 10, seed=98)


def link_elsewhere(root):
    """A link that leads to another folder, whose files have the same names, sizes and dates."""
    shutil.move(root / "cat", root / ".before")
    bitmaps(root / ".after", 10, seed=97)
    os.symlink(root / ".before", root / "cat")
    load_images(root)
    os.remove(root / "cat")
    os.symlink(root / ".after", root / "cat")


@pytest.mark.parametrize("change", [swap_folders, swap_files, overwrite, replace_file, replace_folder, link_elsewhere])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no time of change of an inode")
def test_changes_that_keep_names_sizes_and_dates_are_noticed(tmp_path, own_cache, change):
    root = tmp_path / "mine"
    for number, name in enumerate(("cat", "dog")):
        bitmaps(root / name, 10, seed=number)
    assert right(root)
    change(root)
    assert right(root)


def test_a_class_folder_that_gets_another_name(tmp_path, own_cache):
    for number, name in enumerate(("cat", "dog")):
        bitmaps(tmp_path / "mine" / name, 10, seed=number)
    load_images(tmp_path / "mine")
    os.rename(tmp_path / "mine" / "dog", tmp_path / "mine" / "wolf")
    dataset = load_images(tmp_path / "mine")
    assert dataset.class_names == ("cat", "wolf")
    assert right(tmp_path / "mine")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps no time of change of an inode")
def test_an_array_file_that_is_replaced_and_set_back(tmp_path, own_cache):
    for name in ("a.npy", "a.npz"):
        path = tmp_path / name
        write = np.save if name.endswith("npy") else lambda file, array: np.savez(file, images=array)
        seen = []
        for seed in (0, 1):
            write(path, noise(20, 16, 16, seed=seed))
            os.utime(path, (1_700_000_000,) * 2)
            seen.append(load_images(path).fingerprint)
        assert seen[0] != seen[1]


REFUSALS = [
    PermissionError(errno.EACCES, "Permission denied"),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ESTALE, "Stale file handle"),
    OSError(errno.EMFILE, "Too many open files"),
    FileNotFoundError(errno.ENOENT, "No such file or directory"),
    TimeoutError("timed out"),
    MemoryError(),
]


@pytest.mark.parametrize("place", ["look_at", "decode_picture"])
@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
def test_what_the_system_refused_is_tried_again(tmp_path, own_cache, monkeypatch, place, refusal):
    fill(tmp_path / "mine", 20)
    real, refused, calls = getattr(folder, place), {"3.png"}, []

    def refusing(path, *rest):
        calls.append(path.name)
        if path.name in refused:
            raise refusal
        return real(path, *rest)

    monkeypatch.setattr(folder, place, refusing)
    first = load_images(tmp_path / "mine")
    assert len(first.train) + len(first.test) == 19
    assert any("1 of 20 files can't be used" in note and "3.png" in note for note in first.notes)
    with pytest.raises(ImagesDamaged, match=r"3\.png.*strict"):
        load_images(tmp_path / "mine", strict=True)
    calls.clear()
    assert load_images(tmp_path / "mine").notes == first.notes
    assert set(calls) == {"3.png"}, "only what was refused is tried again"
    refused.clear()
    again = load_images(tmp_path / "mine")
    assert len(again.train) + len(again.test) == 20
    assert not any("can't be used" in note for note in again.notes)
    assert len(load_images(tmp_path / "mine", strict=True).train) == len(again.train)
    calls.clear()
    load_images(tmp_path / "mine")
    assert calls == []


def test_what_is_broken_is_tried_again_by_another_version_of_the_decoders_only(tmp_path, own_cache, monkeypatch):
    fill(tmp_path / "mine", 20)
    (tmp_path / "mine" / "3.png").write_bytes(b"x")
    load_images(tmp_path / "mine")
    calls, real = [], folder.look_at
    monkeypatch.setattr(folder, "look_at", lambda path: calls.append(path.name) or real(path))
    load_images(tmp_path / "mine")
    assert calls == []
    monkeypatch.setattr(cache, "decoders", lambda: "another version")
    load_images(tmp_path / "mine")
    assert calls == ["3.png"]


def test_a_file_that_vanishes_meanwhile(tmp_path, own_cache, monkeypatch):
    fill(tmp_path / "mine", 20)
    real = folder.decode_picture

    def decode(path, *rest):
        (tmp_path / "mine" / "7.png").unlink(missing_ok=True)
        return real(path, *rest)

    monkeypatch.setattr(folder, "decode_picture", decode)
    monkeypatch.setattr(folder, "CHUNK", 1)
    dataset = load_images(tmp_path / "mine")
    assert len(dataset.train) + len(dataset.test) in (19, 20), "it may have been decoded before"
    dataset = load_images(tmp_path / "mine")
    assert len(dataset.train) + len(dataset.test) == 19
    assert not any("can't be used" in note for note in dataset.notes)


def test_large_entries_are_read_through_once_a_day(tmp_path, own_cache, monkeypatch):
    monkeypatch.setattr(cache, "LARGE", 0)
    fill(tmp_path / "mine", 20)
    before = load_images(tmp_path / "mine").fingerprint
    sums, calls = cache.block_sums, []
    monkeypatch.setattr(cache, "block_sums", lambda *args: calls.append(args) or sums(*args))
    load_images(tmp_path / "mine")
    assert calls == []
    (entry,) = entries(own_cache)
    for part in ("train", "test"):
        os.utime(entry / f"{part}.checked", (1_700_000_000,) * 2)
    load_images(tmp_path / "mine")
    assert len(calls) == 2, "a day has passed"
    flipped("train.npy", -1)(entry)
    assert load_images(tmp_path / "mine").fingerprint == before
    pixels = load_images(tmp_path / "mine").train
    assert pixels.take(slice(None)).fingerprint == pixels.fingerprint


@pytest.mark.parametrize("length", [1, checksums.BLOCK - 1, checksums.BLOCK, 9 * checksums.BLOCK + 7])
def test_check_sums_are_those_of_zlib(tmp_path, length):
    content = np.random.default_rng(0).integers(0, 256, length, dtype=np.uint8)
    sums = checksums.BlockSums()
    for piece in np.array_split(content, 3):
        sums.update(piece)
    expected = [zlib.crc32(content[start : start + checksums.BLOCK]) for start in range(0, length, checksums.BLOCK)]
    assert sums.result() == expected
    (tmp_path / "file").write_bytes(b"header" + content.tobytes())
    assert checksums.block_sums(tmp_path / "file", 6) == expected


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
