"""Addresses that fsspec knows, such as s3://, gs:// and https://: fetched into the cache, then read as what they are.

What was fetched is found again by the address and by what the server says of its files: size, check sum, time of change. Where
it says nothing of the kind, or can't be reached, the cache is taken, and a note says so.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from latens.errors import ImagesDamaged, ImagesError, ImagesNotFound, LatensError, MissingExtra, UsageError
from latens.files import cache_folder
from latens.images.archives import place_of
from latens.images.contract import Dataset, Progress
from latens.images.folder import plan_file
from latens.images.kinds import is_picture
from latens.images.patterns import expanded, is_pattern
from latens.images.plan import Options, Plan
from latens.images.unpacked import entry_of, make_entry
from latens.text import bytes_text, natural_key, shown

__all__ = ["REMOTE", "RemoteSource", "is_remote", "read_kept"]

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+(://|::)", re.IGNORECASE)
HTTP = ("http", "https")
PIECE = 1 << 20  # bytes that are read at a time
CONNECTING, SILENT = 30, 120  # seconds until a server counts as gone: before it answers, and between two pieces
# What file systems say of a file that changes when its content does.
MARKS = {
    *("etag", "lastmodified", "mtime", "modified", "modify", "updated", "created", "generation", "versionid", "ino"),
    *("checksum", "contentmd5", "crc32c", "digest", "md5", "md5hash", "sha", "sha256", "blobid", "revision"),
}
LONGEST_REASON = 160  # letters

T = TypeVar("T", Dataset, Plan)


class RemoteSource:
    """An address of a file, of a folder, or of several files: braces and `*` as for files."""

    def accepts(self, source: Any) -> bool:
        """Whether it is an address; nothing is reached."""
        return isinstance(source, str) and is_remote(source)

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, fetched before where the cache has not all of it.

        Raises:
            MissingExtra: a package for this kind of address is not installed.
            ImagesNotFound: nothing is there.
            ImagesError: it can't be fetched, or as for what it is.
        """
        local, notes = _fetched(source, options.progress)
        dataset: Dataset = _read(source, local, lambda: _reader_of(local).read(local, options))
        return replace(dataset, notes=(*notes, *dataset.notes))

    def plan(self, source: Any, options: Options) -> Plan:
        """As of what it is; one image file will do."""
        local, notes = _fetched(source, options.progress)

        def planned() -> Plan:
            if local.is_file() and is_picture(str(local), local.name):
                return plan_file(local, options)
            plan: Plan = _reader_of(local).plan(local, options)
            return plan

        plan = _read(source, local, planned)
        return replace(plan, notes=(*notes, *plan.notes))


REMOTE = RemoteSource()


def is_remote(source: str) -> bool:
    """Whether a source is an address.

    >>> is_remote("s3://bucket/a.zip"), is_remote("simplecache::https://a.org/b.zip"), is_remote("C:/a.zip")
    (True, True, False)
    """
    return ADDRESS.match(source) is not None and "://" in source


def read_kept(address: str, read: Callable[[Path], Dataset]) -> Dataset:
    """The data set of an address that was fetched before; nothing is reached.

    Args:
        address: of `RemoteSource`.
        read: reads what was fetched.

    Raises:
        ImagesNotFound: it is not in the cache.
        ImagesError: of `read`.
    """
    local = _kept(address)
    if local is None:
        raise ImagesNotFound(f"{shown(address)}: not in the cache")
    return _read(address, local, lambda: read(local))


def _reader_of(local: Path) -> Any:
    from latens.images.load import reader_of  # whose table names this file

    return reader_of(local)


def _read(address: str, local: Path, read: Callable[[], T]) -> T:
    """What was read of the files in the cache, as of the address."""
    try:
        return replace(read(), source=address)
    except (ImagesError, MissingExtra) as error:
        raise type(error)(str(error).replace(str(local), shown(address))) from None


# ---- the cache


def _entries() -> Path:
    return cache_folder() / "remote"


def _kept(address: str) -> Path | None:
    """What was fetched of an address: a file or a folder."""
    place = entry_of(_entries(), address, []).name.partition("-")[0]
    return next((file for entry in _entries().glob(f"{place}-*") for file in entry.iterdir()), None)


def _fetched(address: str, progress: Progress | None) -> tuple[Path, tuple[str, ...]]:
    """The file or folder of an address in the cache, fetched where that is needed; and notes."""
    _refuse_password(address)
    try:
        name, files = _look(address)
    except ImagesNotFound:
        raise
    except ImagesError as error:
        kept = _kept(address)
        if kept is None:
            raise
        return kept, (f"taken from the cache, since it can't be reached now: {error}",)
    entry = entry_of(_entries(), address, [f"{file.relative} {file.size} {file.mark}" for file in files])
    local = entry / name
    if entry.is_dir():
        if all(file.mark for file in files):
            return local, ()
        return local, (
            f"{shown(address)}: taken from the cache, since the server does not say whether it has changed; to fetch it again,"
            f" remove {entry}",
        )
    single = len(files) == 1 and files[0].relative == name
    make_entry(entry, lambda folder: _fetch(address, files, folder if single else folder / name, progress))
    return local, ()


# ---- the other side


@dataclass(frozen=True)
class _File:
    """A file on the other side.

    Args:
        system: of fsspec.
        path: there.
        relative: where it goes in the folder, without anything that leads out of it.
        size: in bytes, None where it is not known.
        mark: changes with its content; "" where nothing says it.
    """

    system: Any
    path: str
    relative: str
    size: int | None
    mark: str


def _look(address: str) -> tuple[str, list[_File]]:
    """The name of what is at an address, and its files in natural order."""
    addresses = expanded(address)
    found: list[tuple[Any, Mapping[str, Any]]] = []
    root: list[str] | None = None
    for one in addresses:
        system, path = _opened(one)
        with _reaching(one):
            if "*" in path:
                infos = list(system.glob(path, detail=True).values())
            elif (info := system.info(path))["type"] == "directory":
                infos = list(system.find(path, detail=True).values())
                root = _parts(path)
            else:
                infos = [info]
        found += [(system, info) for info in infos if info["type"] == "file" and not info["name"].endswith("/")]
        if not found or not infos:
            raise ImagesNotFound(f"{shown(one)}: no files are there; check the address")
    if root is None or len(addresses) > 1:
        root = _common([_parts(info["name"])[:-1] for _, info in found])
    files = []
    for system, info in found:
        target = place_of("/".join(_parts(info["name"])[len(root) :]), Path())
        if target is not None:  # hidden files are left out
            files.append(_File(system, info["name"], target.as_posix(), info.get("size"), _mark(info)))
    if not files:
        raise ImagesNotFound(
            f"{shown(address)}: no files with a name are there; give the address of a file or a folder"
        )
    plain = [part for part in _parts(address)[1:] if not is_pattern(part)]
    name = place_of(plain[-1] if plain else "images", Path()) or Path("images")
    return str(name), sorted(files, key=lambda file: natural_key(file.relative))


def _parts(path: str) -> list[str]:
    """The parts of a path, or of an address without its query."""
    plain = path.partition("?")[0] if "://" in path else path
    return [part for part in plain.split("/") if part]


def _common(paths: list[list[str]]) -> list[str]:
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared


def _mark(info: Mapping[str, Any]) -> str:
    told = {re.sub(r"[^a-z0-9]", "", key.lower()): str(value) for key, value in info.items() if value not in (None, "")}
    return " ".join(f"{key}={told[key]}" for key in sorted(told.keys() & MARKS))


def _opened(address: str) -> tuple[Any, str]:
    """The file system of fsspec for an address, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtra(f'{shown(address)}: addresses need fsspec: pip install "latens[remote]"') from None
    options = _of_http(address) if address.partition("://")[0].lower() in HTTP else {}
    with _reaching(address):
        try:
            system, path = url_to_fs(address, **options)
        except ImportError as error:  # fsspec says which package it needs
            raise MissingExtra(f"{shown(address)}: {shown(error)} (pip install)") from None
        except ValueError as error:
            raise UsageError(f"{shown(address)}: no address that fsspec can open ({_reason(error)})") from None
    return system, str(path)


def _of_http(address: str) -> dict[str, Any]:
    """Options of the file system for HTTP: large files may take long, silent servers may not."""
    try:
        from aiohttp import ClientTimeout
    except ImportError:
        raise MissingExtra(f'{shown(address)}: fsspec needs aiohttp for it: pip install "latens[remote]"') from None
    limits = ClientTimeout(total=None, sock_connect=CONNECTING, sock_read=SILENT)
    # Packed files as they are: the size that is said is then that of what comes.
    return {"client_kwargs": {"timeout": limits, "trust_env": True, "headers": {"Accept-Encoding": "identity"}}}


@contextmanager
def _reaching(address: str) -> Iterator[None]:
    """Errors of the other side as ours."""
    try:
        yield
    except LatensError:
        raise
    except Exception as error:  # as above
        cause = error.__cause__ if isinstance(error, FileNotFoundError) else None  # of HTTP, whatever went wrong
        if isinstance(error, FileNotFoundError) and getattr(cause, "status", 404 if cause is None else 0) in (404, 410):
            raise ImagesNotFound(f"{shown(address)}: nothing is there; check the address") from None
        raise ImagesError(
            f"{shown(address)}: can't be fetched ({_reason(cause or error)}); check the address, the connection and your rights"
        ) from None


def _reason(error: BaseException) -> str:
    return shown(str(error).partition("\n")[0][:LONGEST_REASON] or type(error).__name__)


def _refuse_password(address: str) -> None:
    if re.search(r"://[^/@]*:[^/@]*@", address):
        raise UsageError(
            "the address holds a password, and addresses are written into runs and reports: give it by the settings of fsspec"
            " (https://filesystem-spec.readthedocs.io, Configuration)"
        )


def _fetch(address: str, files: list[_File], folder: Path, progress: Progress | None) -> None:
    """Write all files below a folder, one at a time, a piece at a time."""
    folder.mkdir(exist_ok=True)
    known = sum(file.size or 0 for file in files)
    free = shutil.disk_usage(folder).free
    if known > free:
        raise ImagesError(
            f"{shown(address)}: holds {bytes_text(known)}, and {bytes_text(free)} are free in the cache; set LATENS_CACHE to a"
            " folder with room"
        )
    fetched = 0
    for number, file in enumerate(files):
        target = folder / file.relative
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "wb") as written:
            for piece in _pieces(address, file):
                written.write(piece)
                fetched += len(piece)
                if progress is not None:
                    of = f" of {bytes_text(known)}" if known >= fetched else ""
                    progress(number, len(files), f"{bytes_text(fetched)}{of} fetched")


def _pieces(address: str, file: _File) -> Iterator[bytes]:
    """The content of a file.

    Raises:
        ImagesDamaged: it is shorter or longer than was said.
    """
    length = 0
    with _reaching(address):
        # HTTP in one answer: many servers send no parts.
        options = {"block_size": 0, "size": file.size} if file.system.protocol == HTTP else {}
        with file.system.open(file.path, "rb", **options) as stream:
            while piece := stream.read(PIECE):
                length += len(piece)
                if file.size is not None and length > file.size:
                    break
                yield piece
    if file.size is not None and length != file.size:
        more = "more" if length > file.size else f"only {length:,}"
        raise ImagesDamaged(f"{shown(address)}: {shown(file.relative)}: {more} of {file.size:,} bytes came; try again")
