"""Files: the one atomic writer, hashes, and strict readers for JSON, npz and safetensors.

Every file that latens writes goes through `atomic_write`: a reader finds the old file or the new one, never half of one,
whatever kills the process (all-or-nothing renames: POSIX rename(2); Windows: os.replace).
"""

import hashlib
import json
import os
import struct
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import platformdirs

from latens.errors import RunDamaged, UsageError

if TYPE_CHECKING:
    import torch

__all__ = [
    "atomic_write",
    "cache_folder",
    "read_json",
    "read_npz",
    "read_safetensors",
    "sha256_bytes",
    "sha256_file",
    "write_json",
    "write_npz",
    "write_safetensors",
]

MAX_SAFETENSORS_HEADER = 1 << 20  # bytes; ours are a few kB


def cache_folder() -> Path:
    """Where latens keeps what can be made again: LATENS_CACHE, or the user's cache folder."""
    chosen = os.environ.get("LATENS_CACHE")
    return (
        Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("latens", appauthor=False))
    )


def atomic_write(path: str | os.PathLike[str], content: bytes | Callable[[BinaryIO], object]) -> None:
    """Write a file so that it is there whole or not at all: temporary name, fsync, rename, fsync of the folder.

    Args:
        path: the file; its folder is made where it is missing.
        content: the bytes, or a function that writes them to an open binary file.

    Raises:
        UsageError: the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(f"{path}: a folder; the name of a file is needed")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Opened like any file, so that the umask decides who may read it (tempfile's 0600 would keep colleagues out of a run).
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable. Windows has no such call: it can't open a folder."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_bytes(content: bytes | memoryview) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write JSON, indented, in UTF-8. NaN and infinity are refused: they are not JSON."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    atomic_write(path, (text + "\n").encode())


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON strictly: UTF-8, no NaN, no key twice.

    Raises:
        RunDamaged: the file is not there or is not that.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        return json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the file is missing") from None
    except (OSError, ValueError) as error:
        raise RunDamaged(f"{path}: not readable as JSON ({error})") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands there twice")
    return result


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def write_npz(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], compress: bool = False) -> None:
    """Write plain arrays as .npz. Object arrays are refused: they would be pickled."""
    for name, array in arrays.items():
        assert array.dtype != object, f"{name} is an object array"
    save = np.savez_compressed if compress else np.savez
    atomic_write(path, lambda file: save(file, allow_pickle=False, **arrays))


def read_npz(path: str | os.PathLike[str], required: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz, never unpickling.

    Args:
        path: the file.
        required: names that must be in it.

    Raises:
        RunDamaged: the file is not there, is not an .npz of plain arrays, or lacks a name.
    """
    try:
        # Opened here: numpy leaves its own handle open where the archive is broken.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the file is missing") from None
    except (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        # numpy's own words may advise to unpickle it.
        raise RunDamaged(f"{path}: not readable as .npz of plain arrays ({type(error).__name__})") from None
    for name in required:
        if name not in arrays:
            raise RunDamaged(f"{path}: has no array {name!r}; it has {', '.join(sorted(arrays)) or 'none'}")
    return arrays


def write_safetensors(
    path: str | os.PathLike[str], tensors: "Mapping[str, torch.Tensor]", metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors, each in its plain (contiguous) layout, from whatever device it lives on.

    The file carries a digest of its own content, which the format lacks: `read_safetensors` notices a flipped bit.
    """
    import torch
    from safetensors.torch import save

    # A channels_last tensor is written in the layout of its shape, and shared memory is written twice rather than refused.
    plain = {n: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for n, tensor in tensors.items()}
    atomic_write(path, save(plain, metadata={**(metadata or {}), "sha256": _digest(plain)}))


def _digest(tensors: "Mapping[str, torch.Tensor]") -> str:
    """SHA-256 over names, types, shapes and values."""
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def read_safetensors(path: str | os.PathLike[str]) -> "dict[str, torch.Tensor]":
    """Read all tensors of a safetensors file, after a look of our own at its header.

    The header is checked first (size, no key twice: the library takes the last of two equal keys), then the digest.

    Raises:
        RunDamaged: the file is not there, is not that, or was changed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the file is missing") from None
    try:
        (size,) = struct.unpack_from("<Q", content)
        if size > MAX_SAFETENSORS_HEADER:
            raise ValueError(f"its header claims {size} bytes; at most {MAX_SAFETENSORS_HEADER} are allowed")
        header = json.loads(content[8 : 8 + size], object_pairs_hook=_no_key_twice)
        tensors: dict[str, torch.Tensor] = load(content)
        if _digest(tensors) != header.get("__metadata__", {}).get("sha256"):
            raise ValueError("its bytes are not those that were written")
    except (struct.error, ValueError, SafetensorError) as error:
        raise RunDamaged(f"{path}: not readable as safetensors ({error})") from None
    return tensors
