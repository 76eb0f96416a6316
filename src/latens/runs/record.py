"""`RunFolder`: a run's folder with its files, their hashes, and the lock of its writers. It alone writes run.json.

A save is one event. The new content is written beside the old, under a name that carries its hash; then run.json is replaced,
which names that hash: this is the moment at which the save counts; then the new file is renamed over the old. A process that
dies before that moment leaves the old content; after it, readers follow run.json to the new content, under whichever of the two
names it has, and the next writer finishes the rename. Several files, entries of run.json and files that are taken out can be
one event, so that what belongs together changes together.

Writers take turns by a lock of the operating system, read run.json before they change it, and keep what others have written.
Readers take no lock: they see the content of before or of after.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from latens.errors import RunDamaged, RunError
from latens.files import (
    Content,
    atomic_write,
    json_content,
    locked,
    npz_content,
    read_json,
    read_npz,
    read_safetensors,
    remove_abandoned,
    safetensors_content,
    sha256_bytes,
    sha256_file,
    sha256_of,
    sync_folder,
)
from latens.text import quoted

__all__ = ["FORMAT", "RECORD", "RunFolder", "check_free", "is_run"]

FORMAT = 1
RECORD = "run.json"
LOCK, WORK_LOCK = ".lock", ".working"  # of one save; of a process that trains and completes the run
SHOWN = 16  # digits of a hash in the name of a staged file
READS = 100  # times that a reader starts again because a writer was faster
ENTRIES = ("status", "created", "data", "recipe", "files")  # what a record has at least


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is a run's."""
    return (Path(path) / RECORD).exists()


def check_free(path: str | os.PathLike[str]) -> None:
    """See that a new run can be made in a folder.

    Raises:
        RunError: it is not empty, or no folder.
    """
    path = Path(path)
    if is_run(path):
        raise RunError(f"{path}: already exists and is a run; choose another --out, or continue it by --resume")
    if path.exists() and not (path.is_dir() and not _contents(path)):
        raise RunError(f"{path}: already exists and is not an empty folder; choose another --out")


class RunFolder:
    """The folder of a run.

    Args:
        path: it holds a run.json.

    Raises:
        RunDamaged: run.json is missing or not valid.
        RunError: it was written by a later latens.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._seen: tuple[tuple[int, ...], dict[str, Any]] | None = None  # run.json's state on disk, and its content
        self._read_record()

    @classmethod
    def create(cls, path: str | os.PathLike[str], record: Mapping[str, Any]) -> "RunFolder":
        """Make a new run's folder.

        Args:
            path: the folder; not there yet, or empty.
            record: what run.json holds at first.

        Raises:
            RunError: the folder is not free, maybe because another process has just made a run of it.
        """
        path = Path(path)
        check_free(path)
        content = json_content({**record, "files": {}})
        path.mkdir(parents=True, exist_ok=True)
        with _locked_for_writing(path):  # of two processes the second finds the run.json of the first
            check_free(path)
            atomic_write(path / RECORD, content)
        return cls(path)

    @property
    def record(self) -> dict[str, Any]:
        """The content of run.json as it is on disk now; not to be changed in place, see `commit`."""
        if self._seen is not None:
            with suppress(OSError):
                if _signature(os.stat(self.path / RECORD)) == self._seen[0]:
                    return self._seen[1]
        return self._read_record()

    @property
    def files(self) -> dict[str, str]:
        """The names of the run's files, relative to the folder, and their SHA-256."""
        files: dict[str, str] = self.record["files"]
        return files

    def _read_record(self) -> dict[str, Any]:
        path = self.path / RECORD
        try:
            with open(path, "rb") as file:
                signature, record = _signature(os.fstat(file.fileno())), read_json(file)
        except FileNotFoundError:
            raise RunDamaged(f"{path}: the file is missing") from None
        except OSError as error:
            raise RunDamaged(f"{path}: not readable ({error.strerror})") from None
        record = _checked_record(record, path)
        self._seen = signature, record
        return record

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep all other writers out, of this process too, so that what is read inside still holds when it is written.

        Locks of one folder may be nested in one thread.
        """
        with _locked_for_writing(self.path):
            yield

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be the one process that trains and completes this run. Others may still read it, and save maps, samplers or scores.

        Raises:
            RunError: another process is.
        """
        with locked(self.path / WORK_LOCK, wait=False) as alone:
            if not alone:
                raise RunError(
                    f"{self.path}: another process is training or completing this run; wait until it ends, or choose another"
                    " --out"
                )
            yield

    def save(self, name: str, content: Any) -> None:
        """Save one file, see `commit`."""
        self.commit({name: content})

    def update(self, **entries: Any) -> None:
        """Change entries of run.json, see `commit`."""
        self._commit({}, (), entries)

    def forget(self, *names: str) -> None:
        """Take files out of the run and delete them; names that it does not have are passed over."""
        self.commit(forget=names)

    def commit(self, files: Mapping[str, Any] | None = None, *, forget: Iterable[str] = (), **entries: Any) -> None:
        """Change the run in one event: after an error or a sudden end all of it has happened, or nothing.

        Args:
            files: the name of each file, relative to the folder, and its content: for `.npz` arrays by name, for `.safetensors`
                tensors by name, for `.json` what JSON has a form for; for any other bytes, or a function that writes them to an
                open binary file.
            forget: names of files to take out of the run.
            **entries: of run.json, to set; others stay as they are on disk.

        Raises:
            OSError: the disk is full, or the folder can't be written to.
            ValueError: NaN or infinity in an entry or a `.json` file.
        """
        self._commit(files or {}, tuple(forget), entries)

    def _commit(self, files: Mapping[str, Any], forget: tuple[str, ...], entries: Mapping[str, Any]) -> None:
        with self.lock():
            before = self._read_record()
            self._settle(before)
            staged: dict[str, str] = {}
            try:
                for name, content in files.items():
                    staged[name] = self._stage(name, _encoded(name, content))
                record = _with(before, entries, staged, forget)
                encoded = json_content(record)
            except BaseException:
                self._settle(before)
                raise
            try:
                atomic_write(self.path / RECORD, encoded)
            except BaseException:
                # It may have come after the replacement, when the new content already counts.
                with suppress(RunError):
                    self._settle(self._read_record())
                raise
            self._settle(self._read_record())
            for name in forget:
                if name not in staged:
                    (self.path / name).unlink(missing_ok=True)

    def seal(self, *names: str) -> None:
        """Note the hashes of files that were written into the folder by other means; a later change of a byte is noticed."""
        with self.lock():
            self._commit({}, (), {"files": {name: sha256_file(self.path / name) for name in names}})

    def _stage(self, name: str, content: Content) -> str:
        """Write a file's new content beside it, under a name that carries its hash; returns the hash."""
        if isinstance(content, bytes):
            digest = sha256_bytes(content)
            atomic_write(self._staged(name, digest), content)
            return digest
        fresh = self._staged(name, "fresh")  # its hash is known once it is written
        atomic_write(fresh, content)
        digest = sha256_file(fresh)
        os.replace(fresh, self._staged(name, digest))
        sync_folder(fresh.parent)
        return digest

    def _staged(self, name: str, digest: str) -> Path:
        path = self.path / name
        return path.with_name(f".{path.name}.{digest[:SHOWN]}.new")

    def _settle(self, record: Mapping[str, Any]) -> None:
        """Give saved files their names, and delete what dead processes left. Only with the lock held.

        A rename that fails is no harm: readers find the file under its other name, and the next writer tries again.
        """
        current = {self._staged(name, digest): self.path / name for name, digest in record["files"].items()}
        for folder in [self.path, *(path for path in self.path.iterdir() if path.is_dir())]:
            for path in folder.glob(".*.new"):
                with suppress(OSError):
                    if path in current:
                        os.replace(path, current[path])
                    else:
                        path.unlink()
            remove_abandoned(folder)

    def open(self, name: str) -> BinaryIO:
        """A file of the run, open for reading, its hash compared; whoever reads it sees the content that was compared.

        Raises:
            RunError: the run has no such file yet.
            RunDamaged: it is missing, or its bytes are not those that were written.
        """
        damage = ""
        for _ in range(READS):
            record = self.record
            digest = self._digest(record, name)
            # In this order: a staged file that is gone has been renamed, unless run.json has changed by now.
            for path in (self._staged(name, digest), self.path / name):
                try:
                    file = open(path, "rb")  # noqa: SIM115 - the caller closes it
                except FileNotFoundError:
                    damage = damage or f"{self.path / name}: the file is missing"
                    continue
                except OSError as error:
                    raise RunDamaged(f"{self.path / name}: not readable ({error.strerror})") from None
                try:
                    if _hash_of(file) == digest:
                        return file
                except BaseException:
                    file.close()
                    raise
                file.close()
                damage = f"{self.path / name}: its bytes are not those that were written (SHA-256 differs)"
            if self._read_record() == record:
                raise RunDamaged(damage)
            damage = ""
        raise RunDamaged(f"{self.path / name}: is written again and again; it could not be read in {READS} attempts")

    def load(self, name: str, required: tuple[str, ...] = ()) -> Any:
        """The content of a file, as `commit` takes it; of other files than .npz, .safetensors and .json the bytes.

        Args:
            name: relative to the folder.
            required: names of arrays that an .npz must have.

        Raises:
            RunError: the run has no such file yet.
            RunDamaged: it is missing, not valid, or was changed.
        """
        with self.open(name) as file:
            if name.endswith(".npz"):
                return read_npz(file, required)
            reader = _READERS.get(Path(name).suffix)
            return file.read() if reader is None else reader(file)

    def checked(self, name: str) -> Path:
        """The path of a file of the run, its hash compared; `open` and `load` are safe from later changes too.

        Raises:
            RunError: the run has no such file yet.
            RunDamaged: it is missing, or its bytes are not those that were written.
        """
        with self.open(name) as file:
            return Path(file.name)

    def _digest(self, record: Mapping[str, Any], name: str) -> str:
        files: dict[str, str] = record["files"]
        if name not in files:
            raise RunError(
                f"{self.path}: has no {name} yet; `latens run --resume --out {quoted(self.path)}` completes it"
            )
        return files[name]


def _contents(folder: Path) -> list[str]:
    """What is in a folder, but for locks and temporary files."""
    return [name for name in os.listdir(folder) if name not in (LOCK, WORK_LOCK) and not name.endswith(".tmp")]


def _signature(stat: os.stat_result) -> tuple[int, ...]:
    """Another one after each replacement of a file."""
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _checked_record(record: Any, path: Path) -> dict[str, Any]:
    if not isinstance(record, dict) or type(record.get("format")) is not int:
        raise RunDamaged(f"{path}: not a run's record")
    if record["format"] > FORMAT:
        raise RunError(f"{path.parent}: written by a later latens (format {record['format']}, this one knows {FORMAT})")
    lacking = [name for name in ENTRIES if name not in record]
    if lacking:
        raise RunDamaged(f"{path}: not a run's record; it has no {', '.join(lacking)}")
    outside = [name for name in record["files"] if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise RunDamaged(f"{path}: names a file outside of the run's folder: {outside[0]}")
    return record


def _with(
    record: Mapping[str, Any], entries: Mapping[str, Any], staged: Mapping[str, str], forget: Iterable[str]
) -> dict[str, Any]:
    """A record with entries and files of it changed."""
    gone = set(forget)
    files = {name: digest for name, digest in record["files"].items() if name not in gone}
    return {**record, **entries, "files": {**files, **entries.get("files", {}), **staged}}


_READERS: dict[str, Callable[[BinaryIO], Any]] = {".safetensors": read_safetensors, ".json": read_json}


def _encoded(name: str, content: Any) -> Content:
    if isinstance(content, bytes):
        return content
    if callable(content):
        return cast(Content, content)
    suffix = Path(name).suffix
    if suffix == ".npz":
        return npz_content(content)
    if suffix == ".safetensors":
        return safetensors_content(content)
    if suffix == ".json":
        return json_content(content)
    raise TypeError(f"{name}: bytes or a function that writes them are needed, not {type(content).__name__}")


def _hash_of(file: BinaryIO) -> str:
    """The SHA-256 of an open file, which is left at its beginning."""
    digest = sha256_of(file)
    file.seek(0)
    return digest


class _WriterLock:
    """The lock of one folder's writers in this process: between threads, and through a file between processes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / LOCK
        self.threads = threading.RLock()
        self.depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        with self.threads:
            if self.depth:  # this thread has it already
                yield
                return
            with locked(self.file):
                self.depth += 1
                try:
                    yield
                finally:
                    self.depth -= 1


_locks: "weakref.WeakValueDictionary[str, _WriterLock]" = weakref.WeakValueDictionary()
_locks_of_locks = threading.Lock()


@contextmanager
def _locked_for_writing(folder: Path) -> Iterator[None]:
    with _locks_of_locks:
        lock = _locks.setdefault(os.path.realpath(folder), _WriterLock(folder))
    if not folder.is_dir():
        raise RunDamaged(f"{folder}: the run's folder is missing")
    with lock.held():
        yield
