"""The folder of a run: a save is one event, writers take turns, readers never see a partial file."""

import errno
import multiprocessing
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from latens import files
from latens.errors import RunDamaged, RunError
from latens.images import load_images
from latens.runs import start_run
from latens.runs.record import RunFolder, is_run
from latens.training.recipes import RECIPES

RECORD = {"format": 1, "status": "training", "created": "2026-01-01T00:00:00+00:00", "data": {}, "recipe": {}}
OLD, NEW = (
    {"a.npz": {"x": np.full(3, n)}, "maps/b.safetensors": {"w": torch.full((2,), n)}, "c.json": [n]} for n in (1, 2)
)


@pytest.fixture
def folder(tmp_path):
    made = RunFolder.create(tmp_path / "run", RECORD)
    made.commit(OLD, result=1)
    return made


def content(folder):
    """The version (1 or 2) of each part of the run."""
    return {
        int(folder.load("a.npz")["x"][0]),
        int(folder.load("maps/b.safetensors")["w"][0]),
        folder.load("c.json")[0],
        folder.record["result"],
    }


def leftovers(folder):
    return [p for p in folder.path.rglob(".*") if p.suffix in (".tmp", ".new")]


class Interrupted:
    """Calls `action` before or after the n-th system call of a save."""

    NAMES = ("replace", "fsync", "open")

    def __init__(self, at, after, action):
        self.at, self.after, self.action, self.seen = at, after, action, 0
        self.real = {name: getattr(os, name) for name in self.NAMES}

    def __enter__(self):
        for name, real in self.real.items():
            setattr(os, name, self.wrapped(real))
        return self

    def __exit__(self, *error):
        for name, real in self.real.items():
            setattr(os, name, real)

    def wrapped(self, real):
        def call(*args, **options):
            self.seen += 1
            now = self.seen == self.at
            if now and not self.after:
                self.action()
            result = real(*args, **options)
            if now and self.after:
                self.action()
            return result

        return call


def fail():
    raise OSError(5, "input/output error")


def new_content():
    """The new content; one file as a function that writes it."""
    return {**NEW, "a.npz": files.npz_content(NEW["a.npz"])}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_error_at_any_step_of_a_save_leaves_old_or_new_content(folder, after):
    found = []
    for at in range(1, 100):
        folder.commit(OLD, result=1)
        with Interrupted(at, after, fail) as steps:
            try:
                folder.commit(new_content(), result=2)
                raised = False
            except (OSError, RunDamaged):  # of a step that reads run.json the latter, in the words of the former
                raised = True
        again = RunFolder(folder.path)
        state = content(again)
        assert state == content(folder)
        assert state in ({1}, {2}), at
        assert raised or state == {2}, at
        found.append(state)
        again.update(result=again.record["result"])
        assert not leftovers(again)
        if steps.seen < at:
            break
    assert len(found) > 8
    assert {1} in found
    assert found[-1] == {2}


def test_a_failed_writer_leaves_the_old_content(folder):
    def half(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: .*a\.npz") as error:
        folder.commit({**NEW, "a.npz": half}, result=2)
    assert "a.npz" in str(error.value)
    assert content(folder) == {1}
    assert not leftovers(folder)
    with pytest.raises(ValueError, match="JSON"):
        folder.commit(NEW, result=float("nan"))
    assert content(folder) == content(RunFolder(folder.path)) == {1}
    assert not leftovers(folder)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")


def in_child(action):
    """Run a function in a forked process; returns its exit status."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of threads and fork; the child only writes files
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_that_dies_at_any_step_of_a_save_leaves_old_or_new_content(folder, after):
    found = []
    for at in range(1, 100):
        folder.commit(OLD, result=1)

        def save(at=at):
            with Interrupted(at, after, lambda: os._exit(9)):
                folder.commit(new_content(), result=2, lasting=at)

        died = in_child(save) == 9
        again = RunFolder(folder.path)
        state = content(again)
        assert state == content(folder)
        assert state in ({1}, {2}), at
        assert (again.record.get("lasting") == at) == (state == {2})
        found.append(state)
        # The next writer completes the save, and removes leftovers.
        again.update(result=again.record["result"])
        assert not leftovers(again)
        assert content(RunFolder(folder.path)) == state
        for name, digest in again.files.items():
            assert files.sha256_file(folder.path / name) == digest
        if not died:
            break
    assert len(found) > 8
    assert {1} in found
    assert {2} in found[:-1]


def test_a_stale_record_does_not_overwrite_a_newer_one(folder):
    other = RunFolder(folder.path)
    other.commit({"maps/tsne.npz": {"x": np.ones(2)}}, forget=["c.json"], status="done")
    assert folder.record["status"] == "done"
    folder.save("samplers/gaussian.safetensors", {"w": torch.ones(1)})
    folder.update(result={"epochs": 1})
    for one in (folder, other, RunFolder(folder.path)):
        assert set(one.files) == {"a.npz", "maps/b.safetensors", "maps/tsne.npz", "samplers/gaussian.safetensors"}
        assert one.record["status"] == "done"
        assert one.record["result"] == {"epochs": 1}
    assert not (folder.path / "c.json").exists()


def _add_files(path, worker, count):
    folder = RunFolder(path)
    for i in range(count):
        folder.commit({f"maps/{worker}-{i}.json": [i]}, **{f"entry-{worker}-{i}": i})


def _write_twins(path, count):
    folder = RunFolder(path)
    for i in range(count):
        folder.commit({"a.npz": {"x": np.full(1000, i)}, "c.json": [i]}, result=i)


def _processes(*jobs):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=arguments) for target, *arguments in jobs]
    for process in processes:
        process.start()
    return processes


def test_writers_in_processes_and_threads_lose_nothing(folder):
    processes = _processes((_add_files, folder.path, "p", 25), (_add_files, folder.path, "q", 25))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda worker: _add_files(folder.path, worker, 25), "rst"))
    for process in processes:
        process.join()
        assert process.exitcode == 0
    for worker in "pqrst":
        for i in range(25):
            assert folder.load(f"maps/{worker}-{i}.json") == [i]
            assert folder.record[f"entry-{worker}-{i}"] == i


def test_readers_see_complete_files_while_another_process_writes(folder):
    (process,) = _processes((_write_twins, folder.path, 60))
    reads = 0
    while process.is_alive() or not reads:
        x = RunFolder(folder.path).load("a.npz")["x"]
        assert len(np.unique(x)) == 1
        assert isinstance(folder.load("c.json")[0], int)
        reads += 1
    assert process.exitcode == 0
    assert content(folder) >= {59}


def test_an_open_file_does_not_change(folder):
    with folder.open("c.json") as file:
        folder.save("c.json", [2])
        assert files.read_json(file) == [1]
    assert folder.load("c.json") == [2]


def test_missing_and_changed_files_are_errors(folder):
    with pytest.raises(RunError, match=r"has no d\.json yet"):
        folder.load("d.json")
    (folder.path / "c.json").write_text("[3]")
    for call in (folder.load, folder.checked, folder.open):
        with pytest.raises(RunDamaged, match=r"c\.json: its bytes are not those that were written"):
            call("c.json")
    (folder.path / "c.json").unlink()
    with pytest.raises(RunDamaged, match=r"c\.json: the file is missing"):
        folder.load("c.json")
    folder.save("c.json", [4])
    assert folder.load("c.json") == [4]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([], "not a run's record"),
        ({"format": "1"}, "not a run's record"),
        ({**RECORD, "format": 99, "files": {}}, r"run\.json: written by a later latens"),
        ({"format": 1, "status": "done"}, "it has no created, data, recipe, files"),
        ({**RECORD, "files": {"../x.json": "0"}}, "outside of the run's folder"),
        ({**RECORD, "files": {os.path.abspath("/x.json"): "0"}}, "outside of the run's folder"),
    ],
)
def test_wrong_records_are_refused(record, message, tmp_path):
    files.write_json(tmp_path / "run.json", record)
    with pytest.raises(RunError, match=message):
        RunFolder(tmp_path)


def test_a_deleted_folder_is_not_created_again(folder):
    for path in sorted(folder.path.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.path.rmdir()
    with pytest.raises(RunDamaged, match="missing"):
        folder.update(status="done")
    assert not folder.path.exists()


def test_temporary_files_of_dead_processes_are_deleted_and_others_are_not(folder):
    dead = folder.path / ".model.safetensors.0123.tmp"
    dead.write_bytes(b"half")
    staged = folder.path / "maps" / ".tsne.npz.0123456789abcdef.new"
    staged.write_bytes(b"never counted")
    begun, end = threading.Event(), threading.Event()

    def slow(file):
        file.write(b"whole")
        begun.set()
        assert end.wait(60)

    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(files.atomic_write, folder.path / "report.html", slow)
        assert begun.wait(60)
        folder.update(status="done")
        end.set()
        report.result()
    assert (folder.path / "report.html").read_bytes() == b"whole"
    assert not leftovers(folder)


def _create(path):
    try:
        RunFolder.create(path, {**RECORD, "pid": os.getpid()})
    except RunError:
        os._exit(7)


def test_of_two_processes_that_create_one_run_one_is_refused(tmp_path):
    processes = _processes(*[(_create, tmp_path / "run")] * 2)
    for process in processes:
        process.join()
    assert sorted(process.exitcode for process in processes) == [0, 7]
    assert is_run(tmp_path / "run")
    with pytest.raises(RunError, match="already exists and is a run"):
        RunFolder.create(tmp_path / "run", RECORD)


def test_a_run_is_there_with_its_first_files_or_not_at_all(tmp_path, monkeypatch):
    real = os.replace

    def full(source, to):
        if Path(to).name == "run.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, to)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        RunFolder.create(tmp_path / "run", RECORD, {"a.json": [1]})
    assert not is_run(tmp_path / "run")
    assert not [path for path in (tmp_path / "run").rglob(".*") if path.suffix in (".tmp", ".new")]
    monkeypatch.undo()
    (tmp_path / "run" / ".a.json.0123456789abcdef.new").write_text("of a process that was killed")
    made = RunFolder.create(tmp_path / "run", RECORD, {"a.json": [1]})
    assert (made.load("a.json"), sorted(made.files)) == ([1], ["a.json"])
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.suffix) == ["a.json", "run.json"]


def test_a_folder_with_a_hidden_file_of_the_user_is_not_free(tmp_path):
    (tmp_path / ".settings.new").touch()
    with pytest.raises(RunError, match="not an empty folder"):
        RunFolder.create(tmp_path, RECORD)


def test_images_that_are_given_are_in_the_run_from_its_first_moment(tmp_path, monkeypatch):
    seen = []
    real = files.atomic_write
    images = load_images(np.zeros((60, 1, 8, 8), np.uint8) + np.arange(60, dtype=np.uint8)[:, None, None, None])

    def noted(path, content, **options):
        real(path, content, **options)
        if Path(path).name == "run.json":
            seen.append(sorted(RunFolder(tmp_path / "run").files))

    monkeypatch.setattr(sys.modules[RunFolder.__module__], "atomic_write", noted)
    start_run(images, RECIPES["fast"](images), tmp_path / "run")
    assert seen == [["images.npz"]]


def test_a_folder_that_contains_only_locks_is_free(tmp_path):
    for name in (".lock", ".working"):
        (tmp_path / name).touch()
    RunFolder.create(tmp_path, RECORD)


def test_one_process_works_on_a_run_at_a_time(folder):
    other = RunFolder(folder.path)
    with folder.working():
        with pytest.raises(RunError, match=r"process \d+ is training or completing it since 20"), other.working():
            pass
        other.update(note="small saves are still possible")
    with other.working():
        pass


def test_a_look_at_the_work_does_not_refuse_it_and_a_dead_worker_neither(folder):
    (folder.path / ".working").write_text('{"process": 1, "what": "scoring it", "since": "2026-01-01"}')  # a dead one
    assert not folder.worked_on
    look = files.locked(folder.path / ".working", wait=False)
    look.__enter__()
    end = threading.Timer(0.1, look.__exit__, (None, None, None))
    end.start()
    with folder.working("mapping it"):
        assert folder.worked_on
        with pytest.raises(RunError, match=rf"process {os.getpid()} is mapping it since 20"), folder.working():
            pass
    assert (folder.path / ".working").read_bytes() == b""


def test_a_worker_without_a_name_is_another_process(folder):
    with files.locked(folder.path / ".working"), pytest.raises(RunError, match="another process is working on it"):
        folder.working().__enter__()


def test_a_folder_that_cannot_be_written_to_is_said_before_the_work(folder, monkeypatch):
    def refuse(*args, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(sys.modules["latens.runs.record"], "locked", refuse)
    with pytest.raises(RunError, match=r"run: the folder can't be written to \(Read-only file system\)"):
        folder.working().__enter__()


def test_what_was_computed_of_an_earlier_file_is_not_saved(folder):
    made_of = {"a.npz": folder.files["a.npz"]}
    folder.commit({"maps/x.npz": {"x": np.zeros(1)}}, made_of=made_of)
    folder.commit(NEW)
    with pytest.raises(RunError, match=r"another process has changed a\.npz in the meantime"):
        folder.commit({"maps/y.npz": {"x": np.zeros(1)}}, made_of=made_of)
    folder.forget("a.npz")
    with pytest.raises(RunError, match=r"another process has changed a\.npz in the meantime"):
        folder.commit({"maps/y.npz": {"x": np.zeros(1)}}, made_of=made_of)
    assert "maps/y.npz" not in folder.files
    assert leftovers(folder) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_each_error_of_the_disk_names_the_file_that_a_person_knows(folder, call):
    known = {str(folder.path), *(str(folder.path / name) for name in ("a.npz", "c.json", "run.json"))}
    errors = []
    for at in range(1, 20):
        calls = Interrupted(at, False, fail)
        calls.real = {call: getattr(os, call)}
        with calls:
            try:
                folder.commit({"a.npz": lambda file: file.write(b"x"), "c.json": [3]})
            except OSError as error:
                errors.append(error)
            else:
                if calls.seen < at:
                    break
    assert len(errors) > 3
    assert {error.filename for error in errors} <= known
    assert {error.filename2 for error in errors} == {None}


def test_hashes_that_are_none_and_names_that_cannot_be_read_are_refused(tmp_path):
    for names in (
        {"a.npz": "x"},
        {"a.npz": "../../../etc/pass"},
        {"a\nb.npz": "0" * 64},
        {"": "0" * 64},
        {".": "0" * 64},
    ):
        files.write_json(tmp_path / "run.json", {**RECORD, "files": names})
        with pytest.raises(RunDamaged, match="not names and hashes"):
            RunFolder(tmp_path)


def test_halves_of_characters_and_infinity_are_not_read(tmp_path):
    for text, message in (('{"a": "\\ud800"}', "surrogates"), ('{"a": 1e999}', "too large")):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(RunDamaged, match=rf"a\.json: not readable as JSON \(.*{message}"):
            files.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": "\\ud83d\\ude00"}')
    assert files.read_json(tmp_path / "a.json") == {"a": "😀"}


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
class TestLinks:
    """A run that somebody sent may hold links: nothing outside its folder is changed, or read where no hash says what it is."""

    @pytest.fixture
    def own(self, folder, tmp_path):
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / "letter.txt").write_text("mine")
        return tmp_path / "own"

    @pytest.mark.parametrize("name", [".working", ".stop"])
    def test_locks_and_signs_are_not_written_through_links(self, folder, own, name):
        (folder.path / name).symlink_to(own / "letter.txt")
        with pytest.raises(RunDamaged, match="a link that leads out of the run's folder"), folder.working():
            folder.ask_to_stop()
        assert not folder.worked_on
        assert (own / "letter.txt").read_text() == "mine"

    def test_the_lock_of_writers_is_not_made_elsewhere(self, folder, own):
        (folder.path / ".lock").unlink()
        (folder.path / ".lock").symlink_to(own / "new.txt")
        with pytest.raises(RunDamaged, match="a link that leads out of the run's folder"):
            folder.save("c.json", [2])
        assert not (own / "new.txt").exists()

    def test_folders_that_are_links_are_neither_written_nor_cleaned(self, folder, own):
        left = own / ".letter.txt.0123456789abcdef.new"
        left.write_text("mine")
        (own / "b.safetensors").write_text("mine")
        (folder.path / "maps" / "b.safetensors").unlink()
        (folder.path / "maps").rmdir()
        (folder.path / "maps").symlink_to(own)
        folder.save("c.json", [2])
        with pytest.raises(RunDamaged, match="a link that leads out of the run's folder"):
            folder.save("maps/new.json", [1])
        with pytest.raises(RunDamaged, match="a link that leads out of the run's folder"):
            folder.forget("maps/b.safetensors")
        assert sorted(path.name for path in own.iterdir()) == [left.name, "b.safetensors", "letter.txt"]

    def test_nothing_elsewhere_is_read_before_its_hash(self, folder, own):
        files.write_npz(own / "a.npz", {"x": np.arange(3)})
        (folder.path / "a.npz").unlink()
        (folder.path / "a.npz").symlink_to(own / "a.npz")
        with pytest.raises(RunDamaged, match="a link that leads out of the run's folder"):
            folder.glance("a.npz", ("x",))
        with pytest.raises(RunDamaged, match="SHA-256 differs"):
            folder.load("a.npz")


def test_what_is_far_too_long_for_its_kind_is_not_read(folder):
    os.truncate(folder.path / "c.json", 10_000_000_000)
    with pytest.raises(RunDamaged, match=r"c\.json: 10\.0 GB long; files of its kind have at most 64 MiB"):
        folder.load("c.json")
