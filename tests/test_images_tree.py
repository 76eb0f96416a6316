"""Everything in a folder that is not read is named: runs, system folders, pipes, unreadable and other files."""

import errno
import importlib.util
import os
import shutil
import sys
import types

import numpy as np
import pytest
from PIL import Image

from latens.errors import ImagesDamaged, ImagesEmpty, ImagesError, UsageError
from latens.files import write_json
from latens.images import decode, load_images, tree
from latens.images.kinds import picture_format
from latens.images.load import load_again
from pictures import fill, noise, save


def notes(folder, **options):
    return "\n".join(load_images(folder, **options).notes)


def ids(dataset):
    return sorted(str(name) for part in (dataset.train, dataset.test) for name in part.ids)


def test_runs_are_not_read_as_pictures(tmp_path, own_cache):
    fill(tmp_path / "photos", 20, (16, 16))
    first = load_images(tmp_path / "photos")
    for run in ("runs/photos-1", "runs/photos-2", "best"):
        fill(tmp_path / "photos" / run / "figures", 12, (40, 40))
        write_json(tmp_path / "photos" / run / "run.json", {"format": 1})
    comparison = tmp_path / "photos" / "comparisons" / "photos-1"
    fill(comparison / "figures", 5)
    fill(comparison / "runs" / "a" / "figures", 5)
    write_json(comparison / "compare.json", {})
    dataset = load_images(tmp_path / "photos")
    assert dataset.fingerprint == first.fingerprint
    note = next(note for note in dataset.notes if "written by latens" in note)
    for name in ("best", "comparisons/photos-1", "runs/photos-1", "runs/photos-2"):
        assert name in note
    assert "nothing in them" not in "\n".join(dataset.notes), "runs/ is not empty"
    for folder, words in (
        ("runs/photos-1", "a run of latens"),
        ("comparisons/photos-1", "a comparison of latens"),
    ):
        with pytest.raises(ImagesError, match=words):
            load_images(tmp_path / "photos" / folder)
    with pytest.raises(ImagesEmpty, match="written by latens: photos-1, photos-2"):
        load_images(tmp_path / "photos" / "runs")


def test_the_figures_beside_a_report_are_no_pictures(tmp_path, finished_run):
    """As the report of a run is copied to be shown to others: without the run."""
    fill(tmp_path / "pets" / "cat", 10)
    fill(tmp_path / "pets" / "figures", 10, seed=1)
    shutil.copytree(finished_run.path / "figures", tmp_path / "shared" / "figures")
    shutil.copy(finished_run.path / "report.html", tmp_path / "shared" / "report.html")
    dataset = load_images(tmp_path)
    assert dataset.class_names == ("cat", "figures"), "of pets: no report lies beside them"
    assert any("written by latens: shared/figures" in note for note in dataset.notes)
    assert len(ids(dataset)) == 20


def test_a_new_run_costs_no_decoding(tmp_path, own_cache, monkeypatch):
    fill(tmp_path / "photos", 20)
    load_images(tmp_path / "photos")
    write_json(tmp_path / "photos" / "runs" / "photos-1" / "run.json", {})
    (tmp_path / "photos" / "labels.csv").write_text("0,1")
    monkeypatch.setattr("latens.images.folder.decode_picture", None)
    assert "runs/photos-1" in notes(tmp_path / "photos")
    assert "labels.csv" in notes(tmp_path / "photos")


def test_a_refused_run_is_named_as_a_shell_reads_it(tmp_path):
    folder = tmp_path / "my photos"
    write_json(folder / "run.json", {})
    with pytest.raises(ImagesError, match=f"latens explore '{folder}'"):
        load_images(folder)


def test_what_is_left_out_is_said_by_ending(tmp_path):
    fill(tmp_path, 12)
    for k in range(100):
        (tmp_path / f"IMG_{k}.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    for name in ("labels.csv", "notes.csv", "a.txt", "b.txt", "c.mp4", "README"):
        (tmp_path / name).write_text("0.png,cat\n")
    said = notes(tmp_path)
    if importlib.util.find_spec("pillow_heif") is None:
        assert "100 .heic (IMG_0.HEIC, IMG_1.HEIC and 98 more); `pip install pillow-heif`" in said
    assert "2 .txt (a.txt, b.txt), 1 without ending (README), 1 .csv (notes.csv), 1 .mp4 (c.mp4)" in said
    assert "a table beside the images was not used: " in said
    assert "labels.csv" in said
    assert "labels are taken from the names of folders, or from a table (table, --table)" in said
    if importlib.util.find_spec("pillow_heif") is None:
        with pytest.raises(ImagesDamaged, match=r"100 \.heic.*strict"):
            load_images(tmp_path, strict=True)


def test_a_folder_of_other_files_only(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    (tmp_path / "b.csv").write_bytes(b"x")
    with pytest.raises(ImagesEmpty, match=r"no images.*1 \.heic.*1 \.csv"):
        load_images(tmp_path)


def test_too_few_pictures_say_what_was_left_out(tmp_path):
    fill(tmp_path, 3)
    for k in range(30):
        (tmp_path / f"{k}.heic").write_bytes(b"x")
    with pytest.raises(ImagesEmpty, match=r"at least 8 are needed.*30 \.heic"):
        load_images(tmp_path)
    for k in range(3):
        (tmp_path / f"{k}.png").write_bytes(b"x")
    with pytest.raises(ImagesDamaged, match=r"none of its 3 images.*30 \.heic"):
        load_images(tmp_path)


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path, monkeypatch):
    """By a stand-in that registers itself as the real one does: a reader for Pillow, and its endings."""
    calls = []
    stand_in = types.SimpleNamespace(register_heif_opener=lambda: calls.append(1))
    monkeypatch.setitem(sys.modules, "pillow_heif", stand_in)
    try:
        decode.picture_formats.cache_clear()
        decode.picture_formats()
    finally:
        decode.picture_formats.cache_clear()
    assert calls == [1]


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000"])
def test_a_file_without_ending_is_known_by_its_content(tmp_path, form):
    arrays = fill(tmp_path, 12)
    for name in ("noending", "scan.2024.05.01", "photo.jpg_large"):
        Image.fromarray(arrays[0] ^ 255).save(tmp_path / name, format=form)
        assert picture_format((tmp_path / name).read_bytes()[:64]) is not None
    (tmp_path / "LICENSE").write_text("BMW and PNG are words. P6 is a name.")
    dataset = load_images(tmp_path)
    assert {"noending", "scan.2024.05.01", "photo.jpg_large"} <= set(ids(dataset))
    assert "LICENSE" in "\n".join(dataset.notes)


def test_a_picture_under_another_name_is_pointed_out(tmp_path):
    fill(tmp_path, 12)
    save(tmp_path / "x.png", noise(1, 16, 16, 3, seed=5)[0])
    os.rename(tmp_path / "x.png", tmp_path / "x.dat")
    said = notes(tmp_path)
    assert "1 .dat (x.dat)" in said
    assert "x.dat is a PNG image by its content" in said


def test_of_an_mpo_the_first_picture(tmp_path):
    fill(tmp_path, 12)
    first, second = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.mpo", save_all=True, append_images=[second])
    dataset = load_images(tmp_path)
    (pixels,) = (
        p for part in (dataset.train, dataset.test) for i, p in zip(part.ids, part.pixels, strict=True) if i == "a.mpo"
    )
    assert np.abs(pixels.mean(axis=(1, 2)) - [254, 0, 0]).max() < 3


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "$RECYCLE.BIN", "$Recycle.Bin", ".Trash-1000", ".Trashes", ".git", "__MACOSX", "lost+found"),
        *("System Volume Information", ".ipynb_checkpoints", ".thumbnails", "#recycle", "@Recycle", "__pycache__"),
    ],
)
def test_folders_of_the_system(tmp_path, name):
    for label in ("cat", "dog"):
        fill(tmp_path / label, 8, (64, 64), seed=ord(label[0]))
        fill(tmp_path / label / name / "deeper", 9, (16, 16), seed=1)
    fill(tmp_path / name, 30, (16, 16), seed=2)
    dataset = load_images(tmp_path)
    assert (dataset.class_names, dataset.shape) == (("cat", "dog"), (1, 64, 64))
    assert len(dataset.train) + len(dataset.test) == 16
    (note,) = (note for note in dataset.notes if "hidden" in note)
    assert f"{name} (3 times)" in note


def test_small_files_of_the_system_are_not_worth_a_word(tmp_path):
    fill(tmp_path, 12)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", ".gitignore", ".nomedia"):
        (tmp_path / name).write_bytes(b"x")
    assert load_images(tmp_path).notes == ("no test part: 2 of 12 images, chosen by content, were set aside as one",)
    shutil.copy(tmp_path / "0.png", tmp_path / ".secret.png")
    assert ".secret.png" in notes(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_neither_opened_nor_waited_for(tmp_path):
    fill(tmp_path, 12)
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe")
    os.symlink(tmp_path / "pipe", tmp_path / "link.jpg")
    assert "pipes, sockets and devices: link.jpg, pipe, pipe.png" in notes(tmp_path)
    for name in ("pipe", "pipe.png"):
        with pytest.raises(ImagesError, match="neither a folder nor a file"):
            load_images(tmp_path / name)
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ImagesError, match="neither a folder nor a file"):
        load_images(tmp_path / "pipe.npz")


def refusing(monkeypatch, refused, error):
    """The system refuses to list these folders."""
    real = os.scandir

    def scandir(path):
        if os.path.basename(path) in refused:
            raise error
        return real(path)

    monkeypatch.setattr(tree.os, "scandir", scandir)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENOENT])
def test_a_folder_that_the_system_refuses_is_left_out(tmp_path, monkeypatch, number):
    for name in ("a", "b", "private"):
        fill(tmp_path / name, 10, seed=ord(name[0]))
    with monkeypatch.context() as patch:
        refusing(patch, {"private"}, OSError(number, os.strerror(number)))
        dataset = load_images(tmp_path)
        assert dataset.class_names == ("a", "b")
        assert any(f"private ({os.strerror(number).lower()})" in note for note in dataset.notes)
        assert "nothing in them" not in "\n".join(dataset.notes)
        with pytest.raises(ImagesDamaged, match="private"):
            load_images(tmp_path, strict=True)
    assert load_images(tmp_path).class_names == ("a", "b", "private"), "nothing of it is kept"


def test_a_root_that_the_system_refuses(tmp_path, monkeypatch):
    fill(tmp_path / "mine", 10)
    refusing(monkeypatch, {"mine"}, PermissionError(errno.EACCES, "Permission denied"))
    with pytest.raises(ImagesDamaged, match=r"mine: the folder can't be listed \(Permission denied\)"):
        load_images(tmp_path / "mine")


def test_permissions(tmp_path):
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        pytest.skip("the owner of all may read everything")
    for name in ("a", "b", "c"):
        fill(tmp_path / name, 10, seed=ord(name))
    (tmp_path / "a" / "0.png").chmod(0)
    (tmp_path / "c").chmod(0)
    try:
        said = notes(tmp_path)
        assert "a/0.png (permission denied)" in said
        assert "c (permission denied)" in said
    finally:
        (tmp_path / "c").chmod(0o755)
        (tmp_path / "a" / "0.png").chmod(0o644)
    assert len(ids(load_images(tmp_path))) == 30


def test_folders_that_are_too_deep(tmp_path):
    fill(tmp_path, 10)
    deep = tmp_path / os.path.join(*["d"] * 120)
    fill(deep, 2)
    assert "100 folders deep" in notes(tmp_path)


def test_links_in_circles_are_said(tmp_path):
    fill(tmp_path / "a", 10)
    try:
        os.symlink(tmp_path, tmp_path / "a" / "up")
    except OSError:
        pytest.skip("no symbolic links here")
    assert "links to a folder above them: a/up" in notes(tmp_path)


def test_control_characters_stay_out_of_what_is_shown(tmp_path):
    nasty = "a\x1b[31m\nb\u202e"
    try:
        for name in (nasty, "other"):
            fill(tmp_path / name, 10, seed=len(name))
        (tmp_path / nasty / f"{nasty}.csv").write_text("x")
        (tmp_path / nasty / f"{nasty}.png").write_bytes(b"x")
    except OSError:
        pytest.skip("no such names here")
    dataset = load_images(tmp_path)
    everything = "".join([*dataset.notes, *dataset.class_names, *ids(dataset)])
    assert not set(everything) & set("\x1b\n\u202e")
    assert r"a\x1b[31m\nb\u202e" in dataset.class_names


def test_the_cache_inside_the_data_is_no_data(tmp_path, monkeypatch):
    fill(tmp_path, 12)
    monkeypatch.setenv("LATENS_CACHE", str(tmp_path / "cache"))
    first = load_images(tmp_path)
    assert load_images(tmp_path).notes == first.notes


def test_a_link_to_a_folder_that_the_root_lies_in_is_not_followed(tmp_path):
    root = tmp_path / "above" / "root"
    root.mkdir(parents=True)
    fill(root / "a", 1)
    for name, to in (("disk", "/"), ("up", tmp_path), ("near", root.parent)):
        os.symlink(to, root / name)
    found = tree.walk(root, follow_links=True)
    assert found.root.total == 1
    assert "left out, links to a folder above them: disk, near, up" in found.notes()


def test_links_between_folders_do_not_multiply_the_images(tmp_path):
    folders = [tmp_path / name for name in "abcdefg"]
    for folder in folders:
        fill(folder, 1)
    for folder in folders:
        for other in folders:
            if other != folder:
                os.symlink(other, folder / f"to-{other.name}")
    found = tree.walk(tmp_path, follow_links=False)
    assert 7 <= found.root.total <= 3 * 7  # each at its own place, and by at most two links
    assert any(note.startswith("left out, links to folders that were read 2 times: ") for note in found.notes())


@pytest.fixture
def linked(tmp_path):
    """A folder of ten images with links to what lies in it and elsewhere."""
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    fill(root / "a", 10)
    fill(elsewhere / "b", 3, seed=5)
    os.symlink("a/0.png", root / "own.png")
    os.symlink(root / "a", root / "again")
    os.symlink(elsewhere / "b", root / "b")
    os.symlink(elsewhere / "b" / "0.png", root / "a" / "other.png")
    os.symlink(tmp_path / "gone", root / "gone.png")
    return root


def test_links_that_lead_out_of_the_folder_are_followed_where_that_is_asked_for(linked):
    found = tree.walk(linked, follow_links=False)
    assert found.outside == ["a/other.png", "again/other.png", "b"]
    assert found.root.total == 10 + 10 + 1
    told = "a/other.png, again/other.png, b; to follow them: links='all' (--links all)"
    assert f"left out, links that lead out of the folder: {told}" in found.notes()
    assert "gone.png (no such file or directory)" in " ".join(found.problems())
    followed = tree.walk(linked, follow_links=True)
    assert not followed.outside
    assert followed.root.total == 10 + 10 + 1 + 3 + 2  # also by the link in the folder that is read again


def test_the_folder_itself_may_be_a_link(linked, tmp_path):
    os.symlink(linked, tmp_path / "link")
    assert tree.walk(tmp_path / "link", follow_links=False).root.total == 21


def test_links_are_kept_with_a_run(linked, tmp_path):
    inside, everything = load_images(linked), load_images(linked, links="all")
    assert "left out, links that lead out of the folder" in " ".join(inside.notes)
    assert len(everything.train) + len(everything.test) > len(inside.train) + len(inside.test)
    assert everything.options["links"] == "all"
    assert "links" not in inside.options
    again = load_again(str(linked), {"options": everything.options, "rules": everything.rules})
    assert again.fingerprint == everything.fingerprint
    # A run of before this rule has followed all.
    assert load_again(str(linked), {"options": {}, "rules": 2}).fingerprint == everything.fingerprint
    with pytest.raises(UsageError, match="links 'some'; allowed are inside, all"):
        load_images(linked, links="some")
    only = tmp_path / "only"
    only.mkdir()
    os.symlink(linked / "a", only / "a")
    with pytest.raises(ImagesEmpty, match=r"links that lead out of the folder: a; .*--links all"):
        load_images(only)
