"""`RunFolder`: a run's folder with its files, their hashes and the writers' lock. Only this module writes run.json.

A save is one event, in three steps:

1. The new content is staged: written beside the old file, under a name that contains its hash.
2. run.json, which contains the hash of every file, is replaced atomically. This commits the save.
3. The staged file is renamed to its proper name.

A process that dies before step 2 leaves the old content. If it dies after step 2, readers find the committed hash under the
staged name, and the next writer does step 3. One event can change several files and entries of run.json together.

Writers take turns: they hold a lock of the operating system, read run.json again before they change it, and keep the changes of
others. Readers take no lock: they see the content before a save or after it.
"""

import json
import os
import re
import threading
import time
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from latens.errors import RunDamaged, RunError, UsageError
from latens.files import (
    DAMAGED_ARRAY,
    MAX_JSON,
    Content,
    atomic_write,
    json_content,
    locked,
    map_npz,
    name_the_file,
    npz_content,
    open_regular,
    read_json,
    read_npz,
    read_safetensors,
    read_some,
    remove_abandoned,
    safetensors_content,
    sha256_bytes,
    sha256_file,
    sha256_of,
    sync_folder,
)
from latens.images.plan import is_bomb
from latens.runs.forms import problem_of
from latens.text import bytes_text, quoted, shown

__all__ = [
    "FORMAT",
    "RECORD",
    "RunFolder",
    "accept_record",
    "check_free",
    "inside",
    "is_run",
    "locked_for_writing",
    "own_file",
]

FORMAT = 1
RECORD = "run.json"
LOCK, WORK_LOCK = ".lock", ".working"  # held during one save; held while a process trains and completes the run
STOP = ".stop"  # there once someone has asked that the training ends after its epoch
STAGED_DIGITS = 16  # of the hash, in the name of a staged file
STAGED = re.compile(rf"\..+\.([0-9a-f]{{{STAGED_DIGITS}}}|fresh)\.new")  # the name of a staged file
SECONDS_OF_A_LOOK = 0.5  # that others may hold the lock of the work for, to look whether someone works
DIGEST = re.compile(r"[0-9a-f]{64}")  # the hash of a file
READS = 100  # attempts of a reader whose file is replaced while it reads
ENTRIES = {"status": str, "created": str, "data": dict, "recipe": dict, "files": dict}  # required in run.json
SEAL = "seal"  # the hash of all other entries; runs of earlier versions have none


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether a folder contains a run."""
    return (Path(path) / RECORD).exists()


def inside(folder: Path, name: str) -> Path:
    """The path of what a name says in a run's folder.

    Raises:
        RunDamaged: a link on the way leads out of the folder: what a run that somebody else made names would be read or changed
            elsewhere.
    """
    path = folder / name
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise RunDamaged(
            f"{path}: a link that leads out of the run's folder; put the file itself there, or delete the link"
        )
    return path


def own_file(folder: Path, name: str) -> Path:
    """As `inside`, of a file without a hash, or of none that is there yet.

    Raises:
        RunDamaged: there is something else than a file, or a link that leads out of the folder.
    """
    path = inside(folder, name)
    if os.path.lexists(path) and not path.is_file():
        raise RunDamaged(f"{path}: not readable (not a regular file)")
    return path


def check_free(path: str | os.PathLike[str]) -> None:
    """Check that a new run can be created in a folder.

    Raises:
        RunError: the path is not a folder, or the folder is not empty.
    """
    path = Path(path)
    if is_run(path):
        raise RunError(f"{path}: already exists and is a run; choose another --out, or continue it by --resume")
    if path.exists() and not (path.is_dir() and not _contents(path)):
        raise RunError(f"{path}: already exists and is not an empty folder; choose another --out")


class RunFolder:
    """The folder of a run.

    Args:
        path: the folder, which contains a run.json.

    Raises:
        RunDamaged: run.json is missing or not valid.
        RunError: it was written by a later latens.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._seen: tuple[tuple[int, ...], dict[str, Any]] | None = None  # run.json's state on disk, and its content
        self._read_record()

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], record: Mapping[str, Any], files: Mapping[str, Any] | None = None
    ) -> "RunFolder":
        """Create the folder of a new run, in one event: it is there with all of these files, or is no run yet.

        Args:
            path: the folder, which must be empty or not exist.
            record: the first content of run.json.
            files: its first files, see `commit`.

        Raises:
            RunError: the folder is not empty, for example because another process has just created a run there.
        """
        path = Path(path)
        check_free(path)
        first = {**record, "files": {}}
        _sealed(first)  # what can't be stored leaves no folder behind
        path.mkdir(parents=True, exist_ok=True)
        made = cls.__new__(cls)
        made.path, made._seen = path, None
        with locked_for_writing(path):  # of two processes, the second finds the run.json of the first
            check_free(path)
            made._settle(first)
            try:
                staged = {name: made._stage(name, _encoded(name, content)) for name, content in (files or {}).items()}
                atomic_write(path / RECORD, _sealed(_with(first, {}, staged, ())))
            finally:
                made._settle(made._read_record() if is_run(path) else first)
        return made

    @property
    def record(self) -> dict[str, Any]:
        """The current content of run.json on disk. Do not change it in place; use `commit`."""
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
            with open_regular(path) as file:
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
        """Exclude all other writers, also those of this process: what is read inside stays valid until it is written.

        Calls can be nested in one thread.
        """
        with locked_for_writing(self.path):
            yield

    @contextmanager
    def working(self, what: str = "training or completing it") -> Iterator[None]:
        """Be the only process that makes the results of this run. Others can read it, and save a map or a sampler that they made.

        Args:
            what: it does, for the message of a process that comes in between.

        Raises:
            RunError: another process is working on the run, or its folder can't be written to.
        """
        path, until = own_file(self.path, WORK_LOCK), time.monotonic() + SECONDS_OF_A_LOOK
        with ExitStack() as held:
            try:
                # A page that looks whether the run is worked on holds the lock for a moment.
                while not held.enter_context(locked(path, wait=False)):
                    if time.monotonic() > until:
                        raise RunError(f"{self.path}: {_holder(path)}; wait until it ends, or choose another --out")
                    held.close()
                    time.sleep(0.02)
            except OSError as error:
                raise RunError(f"{self.path}: the folder can't be written to ({error.strerror})") from None
            with suppress(OSError):  # on a full disk the lock has no name
                path.write_bytes(json_content({"process": os.getpid(), "what": what, "since": _now()}))
            try:
                yield
            finally:
                with suppress(OSError):
                    os.truncate(path, 0)

    @property
    def worked_on(self) -> bool:
        """Whether a process trains or completes the run at the moment; False where the folder can't be written to."""
        try:
            with locked(own_file(self.path, WORK_LOCK), wait=False) as free:
                return not free
        except (OSError, RunDamaged):  # then no lock can be tried, and nobody without more rights trains there
            return False

    @property
    def stop_asked(self) -> bool:
        """Whether someone has asked that the training ends after the epoch under way."""
        return (self.path / STOP).exists()

    def ask_to_stop(self, asked: bool = True) -> None:
        """Ask the process that trains the run to end the training after its epoch and to complete the run; or no longer ask."""
        if asked:
            own_file(self.path, STOP).touch()
        else:
            (self.path / STOP).unlink(missing_ok=True)

    def save(self, name: str, content: Any) -> None:
        """Save one file, see `commit`."""
        self.commit({name: content})

    def update(self, **entries: Any) -> None:
        """Change entries of run.json, see `commit`."""
        self._commit({}, (), entries)

    def forget(self, *names: str) -> None:
        """Remove files from the run and delete them. Unknown names are ignored."""
        self.commit(forget=names)

    def commit(
        self,
        files: Mapping[str, Any] | None = None,
        *,
        forget: Iterable[str] = (),
        made_of: Mapping[str, str] | None = None,
        **entries: Any,
    ) -> None:
        """Change the run in one event: after an error or a crash, either all changes have happened or none.

        Args:
            files: file name (relative to the folder) -> content. `.npz` takes arrays by name, `.safetensors` tensors by name,
                `.json` a JSON value. Any file takes bytes, or a function that writes them to an open binary file.
            forget: names of files to remove from the run.
            made_of: the files from which the new ones were computed, and the hashes that they had then.
            **entries: entries of run.json to set; the others keep their value on disk.

        Raises:
            OSError: the disk is full, or the folder is not writable.
            RunError: another process has changed a file of `made_of` since.
            UsageError: NaN or infinity in a `.json` file.
            ValueError: NaN or infinity in an entry.
        """
        self._commit(files or {}, tuple(forget), entries, made_of or {})

    def _commit(
        self,
        files: Mapping[str, Any],
        forget: tuple[str, ...],
        entries: Mapping[str, Any],
        made_of: Mapping[str, str] | None = None,
    ) -> None:
        with self.lock():
            before = self._read_record()
            for name, digest in (made_of or {}).items():
                if before["files"].get(name) != digest:
                    raise RunError(
                        f"{self.path}: another process has changed {name} in the meantime; what was computed of the"
                        " earlier one is not saved; do it again"
                    )
            self._settle(before)
            staged: dict[str, str] = {}
            try:
                for name, content in files.items():
                    staged[name] = self._stage(name, _encoded(name, content))
                record = _with(before, entries, staged, forget)
                encoded = _sealed(record)
            except BaseException:
                self._settle(before)
                raise
            try:
                atomic_write(self.path / RECORD, encoded)
            except BaseException:
                # The error may have come after the replacement, when the save is already committed.
                with suppress(RunError):
                    self._settle(self._read_record())
                raise
            self._settle(self._read_record())
            for name in forget:
                if name not in staged:
                    (inside(self.path, str(Path(name).parent)) / Path(name).name).unlink(missing_ok=True)

    def seal(self, *names: str) -> None:
        """Record the hashes of files that were written into the folder by other means; later changes of a byte are detected."""
        with self.lock():
            self._commit({}, (), {"files": {name: sha256_file(self.path / name) for name in names}})

    def _stage(self, name: str, content: Content) -> str:
        """Write new content beside the file, under a name that contains its hash. Returns the hash."""
        try:
            return self._write_staged(name, content)
        except OSError as error:
            name_the_file(error, self.path / name)
            raise

    def _write_staged(self, name: str, content: Content) -> str:
        inside(self.path, str(Path(name).parent))
        if isinstance(content, bytes):
            digest = sha256_bytes(content)
            atomic_write(self._staged(name, digest), content)
            return digest
        fresh = self._staged(name, "fresh")  # the hash is known only after writing
        atomic_write(fresh, content)
        digest = sha256_file(fresh)
        os.replace(fresh, self._staged(name, digest))
        sync_folder(fresh.parent)
        return digest

    def _staged(self, name: str, digest: str) -> Path:
        path = self.path / name
        return path.with_name(f".{path.name}.{digest[:STAGED_DIGITS]}.new")

    def _settle(self, record: Mapping[str, Any]) -> None:
        """Rename committed files to their proper names, and delete leftovers of dead processes. Requires the lock.

        A failed rename does no harm: readers find the file under its staged name, and the next writer tries again.
        """
        current = {self._staged(name, digest): self.path / name for name, digest in record["files"].items()}
        for folder in [self.path, *(path for path in self.path.iterdir() if path.is_dir() and not path.is_symlink())]:
            for path in folder.glob(".*.new"):
                with suppress(OSError):
                    if path in current:
                        os.replace(path, current[path])
                    else:
                        path.unlink()
            remove_abandoned(folder)

    def open(self, name: str, *, unchecked: bool = False) -> BinaryIO:
        """Open a file of the run for reading, after checking its hash. Later saves do not change what the open file contains.

        Args:
            name: relative to the folder.
            unchecked: do not read the whole file for its hash; see `glance`.

        Raises:
            RunError: the run has no such file yet.
            RunDamaged: the file is missing, or its bytes are not those that were written.
        """
        damage = ""
        for _ in range(READS):
            record = self.record
            digest = self._digest(record, name)
            # Staged name first: if it is missing, the rename is done, or run.json has changed since it was read.
            for path in (self._staged(name, digest), self.path / name):
                try:
                    file = open_regular(path)
                except FileNotFoundError:
                    damage = damage or f"{self.path / name}: the file is missing"
                    continue
                except OSError as error:
                    raise RunDamaged(f"{self.path / name}: not readable ({error.strerror})") from None
                try:
                    if unchecked:  # what is read before it is compared may not be another's
                        own_file(self.path, os.path.relpath(path, self.path))
                        return file
                    _check_length(file, name, self.path)
                    if _hash_of(file) == digest:
                        return file
                except BaseException:
                    file.close()
                    raise
                file.close()
                damage = f"{self.path / name}: its bytes are not those that were written (SHA-256 differs)"
            if self._read_record() == record:
                raise RunDamaged(f"{damage}; `latens check {quoted(self.path)}` says what to do")
            damage = ""
        raise RunDamaged(
            f"{self.path / name}: was replaced during each of {READS} attempts to read it; try again later"
        )

    def load(self, name: str, required: tuple[str, ...] = ()) -> Any:
        """The content of a file, in the form that `commit` takes; bytes for files other than .npz, .safetensors and .json.

        Args:
            name: relative to the folder.
            required: names of arrays that an .npz must have.

        Raises:
            RunError: the run has no such file yet.
            RunDamaged: the file is missing, not valid, or was changed.
        """
        with self.open(name) as file:
            if name.endswith(".npz"):
                self._check_unpacked(name, file)
                return self._formed(name, read_npz(file, required))
            reader = _READERS.get(Path(name).suffix)
            return file.read() if reader is None else reader(file)

    def glance(self, name: str, arrays: tuple[str, ...]) -> dict[str, Any]:
        """Some arrays of an .npz, those that it has of the names, without reading or hashing all of it.

        For what is shown before all of a large file is read. Each array is checked by the CRC-32 that the file holds of it;
        `load` and `mapped` check the whole file, before anything else is done with it.

        Raises:
            RunError: the run has no such file yet.
            RunDamaged: the file is missing, not valid, or one of the arrays is damaged.
        """
        with self.open(name, unchecked=True) as file:
            self._check_unpacked(name, file)
            return self._formed(name, read_some(file, arrays))

    def mapped(self, name: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
        """The arrays of an .npz, memory-mapped after the file's hash was checked: memory holds what is used of them.

        Later saves do not change them. What is written to them stays in memory. Raises what `load` does.
        """
        with self.open(name) as file:
            self._check_unpacked(name, file)
            return self._formed(name, map_npz(file, required))

    def _check_unpacked(self, name: str, file: BinaryIO) -> None:
        """Refuse an .npz that unpacks to far more than it has, before it does."""
        with suppress(*DAMAGED_ARRAY):  # of what is no archive the reader tells
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(member.file_size for member in archive.infolist())
            file.seek(0)
            if is_bomb(unpacked, os.fstat(file.fileno()).st_size):
                raise RunDamaged(f"{self.path / name}: unpacks to {bytes_text(unpacked)}, far more than it has")
        file.seek(0)

    def _formed(self, name: str, arrays: dict[str, Any]) -> dict[str, Any]:
        problem = problem_of(name, arrays)
        if problem:
            raise RunDamaged(f"{self.path / name}: not what a run has there: {problem}")
        return arrays

    def checked(self, name: str) -> Path:
        """The path of a file of the run, after checking its hash. Unlike `open` and `load`, not safe from later saves.

        Raises:
            RunError: the run has no such file yet.
            RunDamaged: the file is missing, or its bytes are not those that were written.
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


def _check_length(file: BinaryIO, name: str, folder: Path) -> None:
    """Refuse what is far too long for its kind before all of it is read."""
    length = os.fstat(file.fileno()).st_size
    if name.endswith((".json", ".jsonl")) and length > MAX_JSON:
        raise RunDamaged(
            f"{folder / name}: {bytes_text(length)} long; files of its kind have at most {MAX_JSON >> 20} MiB"
        )


def _contents(folder: Path) -> list[str]:
    """The names in a folder, except locks, temporary files and those that a killed process staged for a run that never was."""
    names = [name for name in os.listdir(folder) if name not in (LOCK, WORK_LOCK, STOP) and not name.endswith(".tmp")]
    return [name for name in names if not STAGED.fullmatch(name)]


def _holder(path: Path) -> str:
    """Who holds the lock of a run, and since when, as far as the lock says so."""
    try:
        holder = read_json(path)
        return f"process {int(holder['process'])} is {shown(holder['what'])} since {shown(holder['since'])}"
    except (RunDamaged, ValueError, TypeError, KeyError):  # it has just taken the lock, or could not write to it
        return "another process is working on it"


def _now() -> str:
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _signature(stat: os.stat_result) -> tuple[int, ...]:
    """A value that differs after each replacement of a file."""
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _checked_record(record: Any, path: Path) -> dict[str, Any]:
    if not isinstance(record, dict) or type(record.get("format")) is not int:
        raise RunDamaged(f"{path}: not a run's record")
    if record["format"] > FORMAT:
        raise RunError(f"{path}: written by a later latens (format {record['format']}, this one knows {FORMAT})")
    lacking = [name for name in ENTRIES if name not in record]
    if lacking:
        raise RunDamaged(f"{path}: not a run's record; it has no {', '.join(lacking)}")
    for name, kind in ENTRIES.items():
        if record.get(name) is not None and not isinstance(record[name], kind):
            raise RunDamaged(f"{path}: not a run's record; its {name} is of another kind")
    if any(record[name] is None for name in ENTRIES):
        raise RunDamaged(f"{path}: not a run's record; an entry is empty")
    outside = [name for name in record["files"] if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise RunDamaged(f"{path}: names a file outside of the run's folder: {shown(outside[0])}")
    entries = {name: entry for name, entry in record.items() if name != SEAL}
    hashes = all(isinstance(digest, str) and DIGEST.fullmatch(digest) for digest in record["files"].values())
    if not hashes or not all(name.isprintable() and Path(name).name for name in record["files"]):
        raise RunDamaged(f"{path}: its files are not names and hashes")
    if SEAL in record and record[SEAL] != _seal_of(entries):
        raise RunDamaged(
            f"{path}: an entry is not the one that was written (its seal differs); if you changed it yourself,"
            f" `latens check {quoted(path.parent)} --accept` takes it as it is"
        )
    return entries


def accept_record(folder: str | os.PathLike[str]) -> None:
    """Seal a run.json anew that somebody has changed on purpose.

    Raises:
        RunDamaged: it is missing, or no run's record.
    """
    path = Path(folder) / RECORD
    with locked_for_writing(path.parent):
        record = read_json(path)
        if isinstance(record, dict):
            record.pop(SEAL, None)
        atomic_write(path, _sealed(_checked_record(record, path)))


def _seal_of(entries: Mapping[str, Any]) -> str:
    """The hash of a record's entries, whatever their order and the space between them."""
    return sha256_bytes(json.dumps(entries, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


def _sealed(record: Mapping[str, Any]) -> bytes:
    """A record as it is written, with its seal.

    Raises:
        ValueError: NaN or infinity in an entry.
    """
    plain: dict[str, Any] = json.loads(json_content(record))  # numpy's numbers are plain, and keys are texts
    return json_content({**plain, SEAL: _seal_of(plain)})


def _with(
    record: Mapping[str, Any], entries: Mapping[str, Any], staged: Mapping[str, str], forget: Iterable[str]
) -> dict[str, Any]:
    """A record with some entries and files changed."""
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
        try:
            return json_content(content)
        except ValueError as error:
            raise UsageError(
                f"{name}: NaN and infinity cannot be saved as JSON ({error}); leave them out or write null"
            ) from None
    raise TypeError(f"{name}: bytes or a function that writes them are needed, not {type(content).__name__}")


def _hash_of(file: BinaryIO) -> str:
    """The SHA-256 of an open file; afterwards its position is the beginning."""
    digest = sha256_of(file)
    file.seek(0)
    return digest


class _WriterLock:
    """The lock of one folder's writers: between threads of this process, and through a file between processes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / LOCK
        self.threads = threading.RLock()
        self.depth = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        with self.threads:
            if self.depth:  # this thread already holds it
                yield
                return
            with ExitStack() as held:
                try:
                    held.enter_context(locked(own_file(self.file.parent, LOCK)))
                except OSError as error:  # users know the folder, not the file of the lock
                    name_the_file(error, self.file.parent)
                    raise
                self.depth += 1
                try:
                    yield
                finally:
                    self.depth -= 1


_locks: "weakref.WeakValueDictionary[str, _WriterLock]" = weakref.WeakValueDictionary()
_locks_of_locks = threading.Lock()


@contextmanager
def locked_for_writing(folder: Path) -> Iterator[None]:
    """Exclude all other writers of a folder, see `RunFolder.lock`.

    Raises:
        RunDamaged: there is no such folder.
    """
    with _locks_of_locks:
        lock = _locks.setdefault(os.path.realpath(folder), _WriterLock(folder))
    if not folder.is_dir():
        raise RunDamaged(f"{folder}: the run's folder is missing")
    with lock.held():
        yield
