"""Images at addresses of fsspec: fetched once, read as what they are, and never reached without being asked."""

import http.server
import io
import json
import os
import shutil
import sys
import threading
import zipfile
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

import latens
from conftest import from_test_all, make_blobs
from latens.cli import main
from latens.errors import ImagesDamaged, ImagesError, ImagesNotFound, MissingExtra, RunError, UsageError
from latens.images import load_images
from latens.images.remote import _pieces
from latens.runs import start_run

fsspec = pytest.importorskip("fsspec")  # comes with torch

PIXELS, LABELS = make_blobs(45)
CLASSES = ["zebra", "ant", "bee"]


def png(picture):
    file = io.BytesIO()
    Image.fromarray(picture[0]).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of its own for each test."""
    monkeypatch.setenv("LATENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path):
    for number, (picture, label) in enumerate(zip(PIXELS, LABELS, strict=True)):
        home = tmp_path / "animals" / CLASSES[label]
        home.mkdir(parents=True, exist_ok=True)
        (home / f"{number:02}.png").write_bytes(png(picture))
    return tmp_path / "animals"


@pytest.fixture
def memory(folder):
    """The folder, its archive and one image in the file system `memory://`."""
    system = fsspec.filesystem("memory")
    for path in folder.rglob("*.png"):
        system.pipe(f"/pets/{path.relative_to(folder.parent)}", path.read_bytes())
    with open(shutil.make_archive(str(folder), "zip", folder.parent, folder.name), "rb") as file:
        system.pipe("/pets/animals.zip", file.read())
    yield system
    system.rm("/", recursive=True)


@pytest.fixture
def reads(monkeypatch):
    """How many files were read on the other side."""
    from latens.images import remote

    seen = []
    monkeypatch.setattr(
        remote, "_pieces", lambda address, file: (seen.append(file.relative), _pieces(address, file))[1]
    )
    return seen


@pytest.mark.parametrize(
    ("address", "count"),
    [
        ("memory://pets/animals", 45),
        ("memory://pets/animals/", 45),
        ("memory://pets/animals/*/*.png", 45),
        ("memory://pets/animals/{ant,bee,zebra}/*.png", 45),
        ("memory://pets/animals.zip", 1),
    ],
)
def test_an_address_is_what_lies_there(folder, memory, reads, address, count):
    expected = load_images(folder)
    said = []
    found = load_images(address, progress=lambda done, total, text="": said.append((done, total, text)))
    assert found.fingerprint == expected.fingerprint
    assert found.class_names == expected.class_names == ("ant", "bee", "zebra")
    assert (found.name, found.source) == ("animals", address)
    assert said[0][:2] == (0, count)
    assert "fetched" in said[0][2]
    assert len(reads) == count
    assert load_images(address).fingerprint == expected.fingerprint
    assert len(reads) == count  # from the cache


def test_one_of_several_processes_fetches(folder, memory, reads):
    found = []
    threads = [threading.Thread(target=lambda: found.append(load_images("memory://pets/animals"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.fingerprint for one in found}) == 1
    assert (len(found), len(reads)) == (3, 45)


def test_a_file_of_this_machine_by_its_address(folder, memory):
    expected = load_images(folder)
    assert load_images(folder.as_uri()).fingerprint == expected.fingerprint


def test_what_has_changed_is_fetched_again(memory, reads, cache):
    before = load_images("memory://pets/animals")
    memory.pipe("/pets/animals/bee/new.png", png(255 - PIXELS[0]))
    after = load_images("memory://pets/animals")
    assert len(after.train) + len(after.test) == len(before.train) + len(before.test) + 1
    assert len(list((cache / "remote").glob("[!.]*"))) == 1  # of the earlier state nothing is kept


def test_shards_at_an_address(memory):
    import tarfile

    for number in range(3):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w") as archive:
            for row in range(number, 45, 3):
                for name, content in (
                    (f"{row:03}.png", png(PIXELS[row])),
                    (f"{row:03}.cls", str(LABELS[row]).encode()),
                ):
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
        memory.pipe(f"/wds/a-{number:06}.tar", file.getvalue())
    found = load_images("memory://wds/a-{000000..000002}.tar")
    assert found.name == "wds"
    np.testing.assert_array_equal(found.train.labels, LABELS[found.train.ids.astype(int)])
    with pytest.raises(ImagesNotFound, match=r"memory://wds/a-000003.tar: nothing is there"):
        load_images("memory://wds/a-{000000..000003}.tar")


def test_encode_takes_an_address(finished_run, memory, tmp_path):
    for address, count in (("memory://pets/animals.zip", 45), ("memory://pets/animals/ant/01.png", 1)):
        assert main(["encode", str(finished_run.path), address, "-o", str(tmp_path / "z.npz")]) == 0
        assert len(np.load(tmp_path / "z.npz")["latents"]) == count


def test_a_run_reaches_no_address_by_itself(memory, tmp_path, reads, cache):
    images = load_images("memory://pets/animals")
    run = start_run(images, latens.RECIPES["notebook"](images), tmp_path / "run", "cpu")
    assert "images.npz" not in run.folder.files
    memory.rm("/pets/animals/ant", recursive=True)  # what is there now does not matter
    assert latens.open_run(run.path).images.fingerprint == images.fingerprint
    assert len(reads) == 45
    shutil.rmtree(cache)
    opened = latens.open_run(run.path)
    with pytest.raises(
        RunError, match=r"its images are at memory://pets/animals and not in the cache.* --data memory://pets"
    ):
        opened.images  # noqa: B018
    assert len(reads) == 45
    with pytest.raises(RunError, match="not the images that"):
        latens.open_run(run.path, data="memory://pets/animals")  # asked for
    for row in np.flatnonzero(np.array(CLASSES)[LABELS] == "ant"):
        memory.pipe(f"/pets/animals/ant/{row:02}.png", png(PIXELS[row]))
    assert latens.open_run(run.path, data="memory://pets/animals").images.fingerprint == images.fingerprint


def test_a_run_that_others_made_reaches_nothing(memory, tmp_path, reads, cache):
    images = load_images("memory://pets/animals")
    run = start_run(images, latens.RECIPES["notebook"](images), tmp_path / "run", "cpu")
    shutil.rmtree(cache)
    record = json.loads((run.path / "run.json").read_text())
    assert "memory://pets/animals" in json.dumps(record)
    assert main(["runs", str(run.path)]) == 0
    assert len(reads) == 45


def test_errors_at_addresses(memory, monkeypatch, tmp_path, capsys):
    memory.pipe("/pets/cut.zip", memory.cat("/pets/animals.zip")[:2000])
    memory.pipe("/pets/page", b"<html>")
    memory.pipe("/pets/.hidden", b"x")
    said = {
        "memory://pets/nothing": (ImagesNotFound, "memory://pets/nothing: nothing is there"),
        "memory://pets/*.tar": (ImagesNotFound, r"memory://pets/\*.tar: no files are there"),
        "memory://pets/.hidden": (ImagesNotFound, "no files with a name"),
        "memory://pets/cut.zip": (ImagesDamaged, "^memory://pets/cut.zip: not readable as an archive"),
        "memory://pets/page": (ImagesError, "^memory://pets/page: not a file of many images"),
        "nonsense://a/b": (UsageError, "no address that fsspec can open .Protocol not known: nonsense"),
        "https://me:secret@example.org/a.zip": (UsageError, "^the address holds a password"),
    }
    for address, (kind, words) in said.items():
        with pytest.raises(kind, match=words) as caught:
            load_images(address)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    assert main(["run", "memory://pets/nothing", "--out", str(tmp_path / "run")]) == 2
    assert "nothing is there" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtra, match=r"s3://bucket/a.zip: Install s3fs"):
        load_images("s3://bucket/a.zip")
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(MissingExtra, match=r'pip install "latens\[remote\]"'):
        load_images("https://example.org/a.zip")
    for module in [name for name in sys.modules if name.partition(".")[0] == "fsspec"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r'addresses need fsspec: pip install "latens\[remote\]"'):
        load_images("memory://pets/animals")


def test_too_little_and_too_much_is_said(memory, monkeypatch, cache):
    real = type(memory).info
    size = len(memory.cat("/pets/animals.zip"))
    for told, words in ((size + 7, f"only {size:,} of {size + 7:,} bytes came"), (size - 7, "more of")):
        monkeypatch.setattr(type(memory), "info", lambda self, path, told=told: {**real(self, path), "size": told})
        with pytest.raises(ImagesDamaged, match=words):
            load_images("memory://pets/animals.zip")
    monkeypatch.setattr(type(memory), "info", lambda self, path: {**real(self, path), "size": 1 << 60})
    with pytest.raises(ImagesError, match=r"holds .* TB, and .* are free in the cache"):
        load_images("memory://pets/animals.zip")
    assert not list((cache / "remote").glob("[!.]*")) + list((cache / "remote").glob(".*.tmp"))  # nothing that is half


def test_no_name_leads_out_of_the_cache(memory, tmp_path, cache):
    from fsspec.implementations.memory import MemoryFile

    for name in ("../../../../../led-outside.png", "..\\..\\led-outside.png", "bee/\x1b[2J.png", "C:\\led-outside.png"):
        path = f"/pets/animals/{name}"
        memory.store[path] = MemoryFile(memory, path, png(255 - PIXELS[0]))
    found = load_images("memory://pets/animals")
    ids = [*found.train.ids, *found.test.ids]
    assert len(ids) == 47  # two of them become one file beside the folders of the classes, which is left out
    assert any("led-outside.png" in note for note in found.notes)
    assert all(one.isprintable() for one in ids)
    assert all(cache in path.parents for path in tmp_path.parent.rglob("*led-outside.png"))


# ---- HTTP


class Handler(http.server.SimpleHTTPRequestHandler):
    asked: ClassVar[list[str]] = []
    silent = False

    def do_GET(self):
        self.asked.append(f"GET {self.path}")
        if self.path.startswith("/cut"):
            self.send_response(200)
            self.send_header("Content-Length", "5000")
            self.end_headers()
            self.wfile.write(b"PK")
            self.close_connection = True
        elif self.path.startswith("/closed"):
            self.send_error(403)
        else:
            super().do_GET()

    def do_HEAD(self):
        self.asked.append(f"HEAD {self.path}")
        if self.path.startswith("/cut"):
            self.send_response(200)
            self.send_header("Content-Length", "5000")
            self.end_headers()
        elif self.path.startswith("/closed"):
            self.send_error(403)
        else:
            super().do_HEAD()

    def send_header(self, keyword, value):
        if not (keyword == "Last-Modified" and Handler.silent):
            super().send_header(keyword, value)

    def log_message(self, *rest):
        pass


@pytest.fixture
def web(folder):
    from_test_all("aiohttp")
    shutil.make_archive(str(folder), "zip", folder.parent, folder.name)
    Handler.asked.clear()
    Handler.silent = False
    home = str(folder.parent)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *rest: Handler(*rest, directory=home))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", server
    server.shutdown()
    server.server_close()
    thread.join()


def gets():
    return sum(one.startswith("GET") for one in Handler.asked)


@pytest.mark.pretrained
def test_an_archive_by_http(folder, web):
    home, server = web
    address = f"{home}/animals.zip?token=1"
    expected = load_images(folder)
    found = load_images(address)
    assert (found.fingerprint, found.name, found.source) == (expected.fingerprint, "animals", address)
    assert gets() == 1
    load_images(address)
    assert gets() == 1  # it was asked whether it has changed, and has not
    with zipfile.ZipFile(folder.parent / "animals.zip", "a") as archive:
        archive.writestr("animals/bee/new.png", png(255 - PIXELS[0]))
    os.utime(folder.parent / "animals.zip", (2_000_000_000, 2_000_000_000))
    newer = load_images(address)
    assert len(newer.train) + len(newer.test) == 46
    assert gets() == 2
    server.shutdown()
    server.server_close()
    again = load_images(address)
    assert any("taken from the cache, since it can't be reached now" in note for note in again.notes)
    with pytest.raises(ImagesError, match=r"other.zip: can't be fetched .*Cannot connect to host"):
        load_images(f"{home}/other.zip")


@pytest.mark.pretrained
def test_a_server_that_says_nothing_of_changes(web):
    Handler.silent = True
    home, _ = web
    load_images(f"{home}/animals.zip")
    found = load_images(f"{home}/animals.zip")
    assert gets() == 1
    assert any(
        "the server does not say whether it has changed; to fetch it again, remove" in note for note in found.notes
    )


@pytest.mark.pretrained
def test_a_run_asks_no_server(web, tmp_path, cache):
    home, _ = web
    images = load_images(f"{home}/animals.zip")
    run = start_run(images, latens.RECIPES["notebook"](images), tmp_path / "run", "cpu")
    asked = len(Handler.asked)
    assert latens.open_run(run.path).images.fingerprint == images.fingerprint
    shutil.rmtree(cache)
    with pytest.raises(RunError, match="not in the cache"):
        latens.open_run(run.path).images  # noqa: B018
    assert len(Handler.asked) == asked
    assert latens.open_run(run.path, data=f"{home}/animals.zip").images.fingerprint == images.fingerprint


@pytest.mark.pretrained
def test_errors_by_http(web):
    home, _ = web
    with pytest.raises(ImagesNotFound, match=r"nothing.zip: nothing is there"):
        load_images(f"{home}/nothing.zip")
    with pytest.raises(ImagesError, match=r"closed.zip: can't be fetched .403"):
        load_images(f"{home}/closed.zip")
    with pytest.raises(ImagesError, match=r"cut.zip.*(can't be fetched|only 2 of 5,000 bytes came)"):
        load_images(f"{home}/cut.zip")
    with pytest.raises(ImagesError, match=r"/: no files are there"):
        load_images(f"{home}/")
