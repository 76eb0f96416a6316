"""The atomic writer and the strict readers."""

import errno
import json
import os
import struct

import numpy as np
import pytest
import torch

from latens import files
from latens.errors import RunDamaged


def test_a_failed_write_leaves_only_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    files.atomic_write(path, b"old")

    def fail(file):
        file.write(b"half")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        files.atomic_write(path, fail)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_order_is_write_sync_rename_sync(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b))[1])
    files.atomic_write(tmp_path / "new" / "a", b"x")
    assert calls[:2] == ["fsync", "rename"]
    assert calls[2:] == (["fsync"] if hasattr(os, "O_DIRECTORY") else [])


def test_a_file_may_have_the_longest_name_of_the_system(tmp_path):
    for name in ("a" * 251 + ".csv", "ü" * 125 + ".csv"):
        files.atomic_write(tmp_path / name, b"x")
    assert len(os.listdir(tmp_path)) == 2


def test_what_a_killed_process_left_of_a_file_goes_with_its_next_write(tmp_path):
    for name in ("page [1].html", "b" * 250):
        left = tmp_path / f".{files._short(name)}.{'0' * 32}.tmp"
        left.write_bytes(b"half")
        files.atomic_write(tmp_path / name, b"whole", durable=False)
        assert left.exists()  # the caller of many files looks once
        files.atomic_write(tmp_path / name, b"whole")
        assert not left.exists()
    assert len(os.listdir(tmp_path)) == 2


def test_without_durability_nothing_waits_for_the_disk(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", calls.append)
    files.atomic_write(tmp_path / "a.png", b"x", durable=False)
    assert not calls
    assert (tmp_path / "a.png").read_bytes() == b"x"


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_the_umask_decides_who_may_read(tmp_path):
    before = os.umask(0o027)
    try:
        files.atomic_write(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_json_round_trip(tmp_path):
    value = {"a": [1, 2.5, None, "ü"], "b": {"c": True}}
    files.write_json(tmp_path / "a.json", value)
    assert files.read_json(tmp_path / "a.json") == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "b.json", float("nan"))


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', "{", "NaN", '{"a": Infinity}', b"\xff"])
def test_invalid_json_is_refused(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RunDamaged, match=r"a\.json: not readable as JSON"):
        files.read_json(path)
    with pytest.raises(RunDamaged, match="missing"):
        files.read_json(tmp_path / "none.json")


def test_npz_round_trip_and_invalid_files(tmp_path):
    arrays = {"x": np.arange(6.0).reshape(2, 3), "ids": np.array(["a", "bc"])}
    for compress in (False, True):
        files.write_npz(tmp_path / "a.npz", arrays, compress)
        got = files.read_npz(tmp_path / "a.npz", ("x",))
        assert all((got[name] == array).all() for name, array in arrays.items())
    with pytest.raises(RunDamaged, match="has no array 'y'; it has ids, x"):
        files.read_npz(tmp_path / "a.npz", ("y",))
    np.savez(tmp_path / "b.npz", x=np.array([{}], dtype=object))
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:40])
    (tmp_path / "d.npz").write_bytes(b"")
    for name in ("b.npz", "c.npz", "d.npz"):
        with pytest.raises(RunDamaged, match=r"not readable as \.npz"):
            files.read_npz(tmp_path / name)


def test_safetensors_are_stored_in_contiguous_layout(tmp_path):
    path = tmp_path / "a.safetensors"
    weight = torch.rand(4, 3, 2, 2)
    tensors = {"w": weight.to(memory_format=torch.channels_last), "same": weight, "scalar": torch.tensor(3.0)}
    files.write_safetensors(path, tensors)
    got = files.read_safetensors(path)
    assert all(torch.equal(got[name], tensor) for name, tensor in tensors.items())
    assert got["w"].is_contiguous()


def test_a_flipped_bit_of_safetensors_is_detected(tmp_path):
    path = tmp_path / "a.safetensors"
    files.write_safetensors(path, {"w": torch.arange(4.0), "n": torch.tensor([1, 2])})
    content = path.read_bytes()
    for position in range(len(content)):
        for bit in (0, 6):
            changed = bytearray(content)
            changed[position] ^= 1 << bit
            path.write_bytes(changed)
            try:
                got = files.read_safetensors(path)
            except RunDamaged:
                continue
            # A few bits of the header have no effect, such as padding.
            assert torch.equal(got["w"], torch.arange(4.0))
            assert torch.equal(got["n"], torch.tensor([1, 2]))


def test_safetensors_with_a_wrong_header_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    headers = {
        "a key occurs twice": f'{{"w":{entry},"w":{entry}}}'.encode(),
        "not those that were written": json.dumps({"w": json.loads(entry)}).encode(),
        "nested too deeply": b'{"w":' + b"[" * 100_000,  # found by benchmarks/faults/guided.py
    }
    for message, header in headers.items():
        path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\0\0")
        with pytest.raises(RunDamaged, match=message):
            files.read_safetensors(path)
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    with pytest.raises(RunDamaged, match="its header claims"):
        files.read_safetensors(path)
    path.write_bytes(b"abc")
    with pytest.raises(RunDamaged, match="not readable as safetensors"):
        files.read_safetensors(path)


@pytest.fixture
def nothing_opens_for_writing(monkeypatch):
    """What the system says to a user who may not write; root may."""
    import builtins

    real = builtins.open

    def refuse(file, mode="r", *arguments, **options):
        if set(mode) & set("wxa+"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
        return real(file, mode, *arguments, **options)

    monkeypatch.setattr(builtins, "open", refuse)


def test_who_may_not_write_is_told_the_file_and_not_a_hidden_one(tmp_path, nothing_opens_for_writing):
    with pytest.raises(PermissionError) as caught:
        files.atomic_write(tmp_path / "a.json", b"{}")
    assert caught.value.filename == str(tmp_path / "a.json")


def test_who_may_not_write_a_run_is_told_its_folder(tmp_path, nothing_opens_for_writing):
    from latens.runs.record import locked_for_writing

    with pytest.raises(PermissionError) as caught, locked_for_writing(tmp_path):
        pass
    assert caught.value.filename == str(tmp_path)
