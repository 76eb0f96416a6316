"""Files: the atomic writer, a lock, hashes, and strict readers for JSON, npz and safetensors.

Every file that latens writes goes through `atomic_write`: a reader finds the old or the new file, never a partial one, even
if the process is killed (POSIX rename(2); Windows: os.replace).
"""

import errno
import glob
import hashlib
import io
import json
import math
import os
import stat
import struct
import time
import tokenize
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
import platformdirs

from latens.errors import RunDamaged, UsageError

if TYPE_CHECKING:
    import torch

__all__ = [
    "DAMAGED_ARRAY",
    "Content",
    "atomic_write",
    "cache_folder",
    "json_content",
    "locked",
    "map_npy",
    "map_npz",
    "name_the_file",
    "npz_content",
    "open_regular",
    "read_json",
    "read_npz",
    "read_safetensors",
    "read_some",
    "remove_abandoned",
    "safetensors_content",
    "sha256_bytes",
    "sha256_file",
    "sha256_of",
    "sync_folder",
    "write_json",
    "write_npz",
    "write_safetensors",
]

Content = bytes | Callable[[BinaryIO], object]  # bytes, or a function that writes them to an open binary file

MAX_JSON = 1 << 26  # bytes; the largest of ours, the scores and records of runs with thousands of classes, are a few MB
MAX_SAFETENSORS_HEADER = 1 << 20  # bytes; ours are a few kB
LOCAL_HEADER = 30  # bytes of a member's header in a zip, before its name
LONGEST_SHOWN = 200  # bytes of a file's name that its temporary file has too
SECONDS_PER_DAY = 86_400.0
DAMAGED_ARRAY = (  # what numpy and the standard library raise for a damaged .npy or .npz
    *(OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, OverflowError, RuntimeError, MemoryError),
    *(SyntaxError, struct.error, tokenize.TokenError, zlib.error, zipfile.BadZipFile),
)
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}  # errors of file systems without locks


def cache_folder() -> Path:
    """The folder for data that can be computed again: LATENS_CACHE, or the user's cache folder."""
    chosen = os.environ.get("LATENS_CACHE")
    return (
        Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("latens", appauthor=False))
    )


def atomic_write(path: str | os.PathLike[str], content: Content, *, durable: bool = True) -> None:
    """Write a file as a whole or not at all: temporary name, fsync, rename, fsync of the folder.

    What killed processes left of the same file is deleted.

    Args:
        path: the file; missing parent folders are created.
        content: the bytes, or a function that writes them to an open binary file.
        durable: wait until the disk has it. Without that, a killed process still leaves no half of it, and a power cut may; for
            the many pictures of a folder, whose caller calls `remove_abandoned` once.

    Raises:
        UsageError: the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{path}: a folder; the name of a file is needed")
    path.parent.mkdir(parents=True, exist_ok=True)
    if durable:
        remove_abandoned(path.parent, path.name)
    try:
        file, temporary = _new_temporary(path)
    except OSError as error:
        name_the_file(error, path)
        raise
    try:
        with file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
            if os.name != "nt":  # renamed while open and locked, so that `remove_abandoned` leaves it alone
                os.replace(temporary, path)
        if os.name == "nt":  # Windows can't rename an open file
            os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        name_the_file(error, path)
        raise
    if durable:
        sync_folder(path.parent)


def name_the_file(error: BaseException, path: str | os.PathLike[str]) -> None:
    """Let an error of the system name a file: a full disk names none, and users don't know temporary names."""
    if isinstance(error, OSError) and error.errno is not None:
        error.filename, error.filename2 = os.fspath(path), None


def _short(name: str) -> str:
    """A file name that leaves room for a temporary one's ending: file systems take 255 bytes."""
    content = os.fsencode(name)
    return name if len(content) <= LONGEST_SHOWN else sha256_bytes(content)


def _new_temporary(path: Path) -> tuple[BinaryIO, Path]:
    """An empty file beside `path`, locked while it is open."""
    while True:
        # Opened like any file, so that the umask decides who may read it (tempfile's 0600 would lock colleagues out of a run).
        temporary = path.with_name(f".{_short(path.name)}.{uuid.uuid4().hex}.tmp")
        file = open(temporary, "xb")  # noqa: SIM115 - the caller closes it
        mine = True
        with suppress(OSError):  # a file system without locks: there `remove_abandoned` checks the age
            mine = _lock(file, wait=False)
        # Before it was locked, `remove_abandoned` may have deleted it as the file of a dead process.
        if mine and temporary.exists():
            return file, temporary
        file.close()


def remove_abandoned(folder: str | os.PathLike[str], name: str | None = None) -> None:
    """Delete temporary files that `atomic_write` left in a folder because its process was killed; of all files, or of one name.

    A running writer holds a lock on its file. Where locks are not available, a file counts as abandoned after a day.
    """
    for path in Path(folder).glob(f".{'*' if name is None else glob.escape(_short(name))}.*.tmp"):
        with suppress(OSError):
            old = time.time() - path.stat().st_mtime > SECONDS_PER_DAY
            if os.name == "nt":
                if old:
                    path.unlink()
                continue
            with open(path, "rb") as file:
                if _lock(file, wait=False) or old:
                    path.unlink()


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make renames in a folder durable. Not possible on Windows, which can't open a folder."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        name_the_file(error, folder)
        raise
    finally:
        os.close(handle)


@contextmanager
def locked(path: str | os.PathLike[str], *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock on a file. The operating system releases it when the process ends, even if it is killed.

    The file is created and never deleted: otherwise two processes could lock two files of the same name. Each call opens the file
    again, so two threads of one process exclude each other as well.

    Args:
        path: the file to lock.
        wait: wait until the lock is free.

    Yields:
        Whether the lock is held; also True on a file system without locks.
    """
    with open(path, "ab") as file:
        try:
            held = _lock(file, wait)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            held = True
        try:
            yield held
        finally:
            if held:
                with suppress(OSError):
                    _unlock(file)


if os.name == "nt":  # pragma: no cover - the tests run on POSIX
    import msvcrt

    def _lock(file: IO[bytes], wait: bool) -> bool:
        while True:
            try:
                file.seek(0)
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
                return True
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EDEADLK):
                    raise
                if not wait:
                    return False
                time.sleep(0.05)

    def _unlock(file: IO[bytes]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]

else:
    import fcntl

    def _lock(file: IO[bytes], wait: bool) -> bool:
        """Lock an open file. Returns False if another process holds the lock and `wait` is False."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading. Pipes, devices and folders are refused: they can be endless, or never answer.

    Raises:
        OSError: there is no such file, it may not be read, or it is no regular file.
    """
    file = open(path, "rb", opener=_opened_at_once)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return file


def _opened_at_once(path: str, flags: int) -> int:
    """Without waiting for the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def sha256_bytes(content: bytes | memoryview) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open_regular(path) as file:
        return sha256_of(file)


def sha256_of(file: BinaryIO) -> str:
    """The SHA-256 of an open file, from its current position to its end, in hexadecimal."""
    return hashlib.file_digest(cast(io.BufferedReader, file), "sha256").hexdigest()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON, see `json_content`."""
    atomic_write(path, json_content(value))


def json_content(value: Any) -> bytes:
    """A value as indented JSON in UTF-8. Numbers and arrays of numpy become plain numbers and lists.

    Raises:
        ValueError: NaN or infinity, which are not JSON.
        TypeError: an object that JSON can't represent.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    return (text + "\n").encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} can't be represented in JSON")


def read_json(source: str | os.PathLike[str] | IO[bytes]) -> Any:
    """Read JSON strictly: UTF-8, no NaN or infinity, no duplicate keys, no halves of characters.

    Args:
        source: the file, by its path or open.

    Raises:
        RunDamaged: the file is missing or not valid.
    """
    path = _path_of(source)
    try:
        with _opened(source) as file:
            content = file.read(MAX_JSON + 1)
        if len(content) > MAX_JSON:
            raise ValueError(f"longer than {MAX_JSON >> 20} MiB")
        text = content.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant, parse_float=_finite)
        if "\\u" in text:  # half of a pair of them is no character, and could not be written again
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the file is missing") from None
    except RecursionError:
        raise RunDamaged(f"{path}: not readable as JSON (nested too deeply)") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunDamaged(f"{path}: not readable as JSON ({reason})") from None


@contextmanager
def _opened(source: str | os.PathLike[str] | IO[bytes]) -> Iterator[IO[bytes]]:
    """An open file. A file that was given open is not closed."""
    if isinstance(source, str | os.PathLike):
        with open_regular(source) as file:
            yield file
    else:
        yield source


def _path_of(source: str | os.PathLike[str] | IO[bytes]) -> str:
    """The name of a file, for messages."""
    return os.fspath(source) if isinstance(source, str | os.PathLike) else str(getattr(source, "name", "a file"))


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:20]} is too large")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], compress: bool = False) -> None:
    """Write plain arrays as .npz, see `npz_content`."""
    atomic_write(path, npz_content(arrays, compress))


def npz_content(arrays: Mapping[str, np.ndarray], compress: bool = False) -> Callable[[BinaryIO], object]:
    """Arrays as an .npz. Object arrays are refused: they would be pickled."""
    for name, array in arrays.items():
        assert array.dtype != object, f"{name} is an object array"
    save = np.savez_compressed if compress else np.savez
    return lambda file: save(file, allow_pickle=False, **arrays)


def read_npz(source: str | os.PathLike[str] | IO[bytes], required: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz, without pickle.

    Args:
        source: the file, by its path or open.
        required: names that must be in it.

    Raises:
        RunDamaged: the file is missing, is not an .npz of plain arrays, or lacks a name.
    """
    path = _path_of(source)
    try:
        # Opened here, because numpy does not close its own handle if the archive is broken.
        with _opened(source) as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the file is missing") from None
    except DAMAGED_ARRAY as error:
        # Without numpy's message, which may advise to unpickle the file.
        raise RunDamaged(f"{path}: not readable as .npz of plain arrays ({type(error).__name__})") from None
    for name in required:
        if name not in arrays:
            raise RunDamaged(f"{path}: has no array {name!r}; it has {', '.join(sorted(arrays)) or 'none'}")
    return arrays


def read_some(source: str | os.PathLike[str] | IO[bytes], names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Some arrays of an .npz, those of the names that it has, without reading the others.

    Each is checked by its CRC-32, which the archive holds: that finds damage, but no other file in its place.

    Args:
        source: the file, by its path or open.
        names: of the arrays.

    Raises:
        RunDamaged: the file is missing, is not an .npz of plain arrays, or one of them is damaged.
    """
    path = _path_of(source)
    try:
        with _opened(source) as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in names if name in archive.files}
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the file is missing") from None
    except DAMAGED_ARRAY as error:
        raise RunDamaged(f"{path}: not readable as .npz of plain arrays ({type(error).__name__})") from None


def map_npy(path: str | os.PathLike[str]) -> np.ndarray:
    """The array of an .npy, memory-mapped: nothing is read before it is used. What is written to it stays in memory.

    Raises:
        RunDamaged: the file is missing, or is not an .npy of a plain array.
    """
    try:
        with open_regular(path) as file:
            return _mapped(file)
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the file is missing") from None
    except DAMAGED_ARRAY as error:
        raise RunDamaged(f"{path}: not readable as .npy of a plain array ({type(error).__name__})") from None


def map_npz(source: str | os.PathLike[str] | IO[bytes], required: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of an .npz, memory-mapped where they are stored as they are, as `write_npz` does. Compressed ones are read.

    Args:
        source: the file, by its path or open; it may be closed or replaced afterwards.
        required: names that must be in it.

    Raises:
        RunDamaged: the file is missing, is not an .npz of plain arrays, or lacks a name.
    """
    path = _path_of(source)
    arrays: dict[str, np.ndarray] = {}
    try:
        with _opened(source) as file, zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if member.compress_type != zipfile.ZIP_STORED:
                    with archive.open(member) as packed:
                        arrays[name] = np.lib.format.read_array(packed, allow_pickle=False)
                    continue
                file.seek(member.header_offset)
                header = file.read(LOCAL_HEADER)
                if header[:4] != b"PK\x03\x04":
                    raise zipfile.BadZipFile(name)
                # The local header has lengths of its own: its extra field differs from that of the directory.
                lengths = struct.unpack_from("<HH", header, 26)
                file.seek(member.header_offset + LOCAL_HEADER + sum(lengths))
                arrays[name] = _mapped(file)
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the file is missing") from None
    except DAMAGED_ARRAY as error:
        raise RunDamaged(f"{path}: not readable as .npz of plain arrays ({type(error).__name__})") from None
    for name in required:
        if name not in arrays:
            raise RunDamaged(f"{path}: has no array {name!r}; it has {', '.join(sorted(arrays)) or 'none'}")
    return arrays


def _mapped(file: IO[bytes]) -> np.ndarray:
    """The array whose .npy begins at the current position of a file."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("an array of objects")
    if not all(shape):
        return np.empty(shape, dtype)
    if math.prod(shape) * dtype.itemsize > os.fstat(file.fileno()).st_size - file.tell():
        raise ValueError("ends too early")
    # Copy on write: torch takes an array without a copy only if it may be written to.
    return np.memmap(file, dtype, "c", file.tell(), shape, "F" if fortran else "C")


def write_safetensors(
    path: str | os.PathLike[str], tensors: "Mapping[str, torch.Tensor]", metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors, see `safetensors_content`."""
    atomic_write(path, safetensors_content(tensors, metadata))


def safetensors_content(tensors: "Mapping[str, torch.Tensor]", metadata: Mapping[str, str] | None = None) -> bytes:
    """Tensors on any device as safetensors, each in contiguous layout.

    The metadata contains a digest of the content, which the format lacks: `read_safetensors` detects a flipped bit.
    """
    import torch
    from safetensors.torch import save

    # Copies: safetensors refuses other layouts (channels_last) and tensors that share memory.
    plain = {n: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for n, tensor in tensors.items()}
    content: bytes = save(plain, metadata={**(metadata or {}), "sha256": _digest(plain)})
    return content


def _digest(tensors: "Mapping[str, torch.Tensor]") -> str:
    """SHA-256 over names, types, shapes and values."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_safetensors(source: str | os.PathLike[str] | IO[bytes]) -> "dict[str, torch.Tensor]":
    """Read all tensors of a safetensors file.

    The header is checked first (size, no duplicate keys: the library takes the last of two), then the digest.

    Args:
        source: the file, by its path or open.

    Raises:
        RunDamaged: the file is missing, not valid, or was changed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = _path_of(source)
    try:
        with _opened(source) as file:
            start = file.read(8)
            (size,) = struct.unpack("<Q", start)
            if size > MAX_SAFETENSORS_HEADER:
                raise ValueError(f"its header claims {size} bytes; at most {MAX_SAFETENSORS_HEADER} are allowed")
            text = file.read(size)
            header = json.loads(text, object_pairs_hook=_no_key_twice)
            written = header["__metadata__"]["sha256"]
            content = start + text + file.read()  # only of what begins as one does
        tensors: dict[str, torch.Tensor] = load(content)
        if _digest(tensors) != written:
            raise ValueError("its bytes are not those that were written")
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the file is missing") from None
    except OSError as error:
        raise RunDamaged(f"{path}: not readable ({error.strerror})") from None
    except RecursionError:
        raise RunDamaged(f"{path}: not readable as safetensors (its header is nested too deeply)") from None
    except (KeyError, TypeError):
        raise RunDamaged(f"{path}: not readable as safetensors (its bytes are not those that were written)") from None
    except (struct.error, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise RunDamaged(f"{path}: not readable as safetensors ({reason})") from None
    return tensors
