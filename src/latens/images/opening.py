"""Opening files from unknown sources: never waiting for a pipe, and separating temporary failures from permanent ones."""

import errno
import os
import stat
from typing import BinaryIO

__all__ = ["MOST_DECODED", "file_state", "first_bytes", "is_passing", "open_regular", "refuse_large"]

MOST_DECODED = 1 << 29  # bytes of one picture in memory
NO_FILE = "is a pipe, socket, device or folder, not a file"


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading bytes.

    Opening a named pipe would wait for a writer for ever, and opening a device can do anything: neither is read.

    Raises:
        OSError: it can't be opened, or is no regular file.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # asked before, since opening alone can make a device act
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    # Asked again of what was opened, which another process may have put there meanwhile.
    file = open(path, "rb", opener=_at_once)  # noqa: SIM115 - closed by the caller
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    return file


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def is_passing(error: BaseException) -> bool:
    """Whether a failure may be over next time: the system refused, and the content of the file is not the reason.

    No permission, an I/O error, a lost connection to a server, too many open files, too little memory. Errors about the
    content (a file that ends too early) have no error number.
    """
    if isinstance(error, MemoryError | TimeoutError | ConnectionError):
        return True
    return isinstance(error, OSError) and error.errno is not None


def file_state(path: str | os.PathLike[str], status: os.stat_result | None = None) -> str:
    """A text that changes when a file changes, found without reading it.

    Size and time of change alone are not enough: archives and copying programs restore dates. The inode and the time of
    its last change can't be set by programs, so a renamed folder, a swapped or a replaced file shows there. The number of
    the device is left out, since network and removable disks get a new one at each start of the system.

    Args:
        path: the file.
        status: what `os.stat` said of it, where that is known.
    """
    try:
        found = status or os.stat(path)
    except OSError as error:  # gone a moment ago; decoding names it
        return f"{os.fspath(path)}: {errno.errorcode.get(error.errno or 0, '?')}"
    if not stat.S_ISREG(found.st_mode):
        return f"{os.fspath(path)}: no file"
    return f"{os.fspath(path)}: {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns} {found.st_ino}"


def first_bytes(path: str | os.PathLike[str], count: int = 64) -> bytes:
    """The first bytes of a regular file.

    Raises:
        OSError: it can't be read.
    """
    with open_regular(path) as file:
        return file.read(count)


def refuse_large(height: int, width: int, each: int) -> None:
    """Refuse a picture that would take more memory than any image of a data set needs; asked before it is decoded.

    Args:
        height: in pixels.
        width: in pixels.
        each: bytes of a pixel in memory.

    Raises:
        ValueError: it is too large.
    """
    if height * width * each > MOST_DECODED:
        raise ValueError(
            f"too large: {height} x {width} pixels take more than {MOST_DECODED >> 20} MiB; save it smaller"
        )
