"""How much memory this process may have."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["memory_size"]

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")


def memory_size() -> int:
    """The bytes of memory that this process may have: the machine's, or less where a limit says so. 0 where nothing says it.

    It does not depend on what other programs hold at the moment, so that the same command has the same answer. Limits are those
    of the control groups (containers, SLURM, Kubernetes) and of `ulimit -d` and `ulimit -v`.
    """
    return min((size for size in (_of_machine(), *_of_groups(), *_of_process()) if size), default=0)


def _of_machine() -> int:
    if sys.platform == "win32":
        return _of_windows()
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def _of_windows() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "paged", "unpaged", "space", "left", "more")),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - which only Windows has
    return int(status.total) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else 0


def _of_groups() -> Iterator[int]:
    """The limits of the control groups that this process is in, of both versions; of a group and of all above it."""
    try:
        lines = OWN_GROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, name = (GROUPS / "memory", "memory.limit_in_bytes") if controllers else (GROUPS, "memory.max")
        own = top / path.lstrip("/")
        for folder in (own, *own.parents):
            yield _number_in(folder / name)
            if folder == top:
                break


def _number_in(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # a container does not see its own path; or it is "max"
        return 0


def _of_process() -> Iterator[int]:
    if sys.platform == "win32":
        return
    import resource

    for kind in (resource.RLIMIT_DATA, resource.RLIMIT_AS):
        limit = resource.getrlimit(kind)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit
