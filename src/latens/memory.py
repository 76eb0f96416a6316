"""How much memory this process may have."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["memory_size", "take_buffers"]

GROUPS = Path("/sys/fs/cgroup")
OWN_GROUP = Path("/proc/self/cgroup")
BUFFER = 32 << 20  # bytes that OpenBLAS takes for a thread that calls it
STACK = 8 << 20  # of a thread
LIBRARIES = 2  # numpy and scipy have an OpenBLAS each
SECONDS_TO_START = 30.0  # of a thread
SIDE = 256  # of a matrix for which a product takes a buffer


def memory_size() -> int:
    """The bytes of memory that this process may have: the machine's, or less where a limit says so. 0 where nothing says it.

    It does not depend on what other programs hold at the moment, so that the same command has the same answer. Limits are those
    of the control groups (containers, SLURM, Kubernetes) and of `ulimit -d` and `ulimit -v`.
    """
    return min((size for size in (_of_machine(), *_of_groups(), *_of_process()) if size), default=0)


def take_buffers() -> None:
    """Let the libraries of linear algebra take their memory and start their threads now, where `ulimit` bounds this process.

    They take it at their first use. An OpenBLAS that gets none later ends the process or waits for ever, and GNU's OpenMP ends
    it: no exception comes of either. Where there is no room for all of torch's threads, fewer are used from then on. Nothing is
    done where there is no such limit.

    Raises:
        MemoryError: the limit leaves no room for one thread.

    Source: https://github.com/OpenMathLib/OpenBLAS/issues/5289.
    """
    if not any(_of_process()):
        return
    import threading
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import torch
    from scipy.linalg import blas, lapack
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    while not _has_room(threads * (LIBRARIES * BUFFER + 2 * STACK)):
        if threads == 1:
            raise MemoryError
        threads //= 2
    if threads < torch.get_num_threads():
        torch.set_num_threads(threads)
        threadpool_limits(threads, user_api="blas")
    torch.ones(1 << 20).sum()  # OpenMP's threads
    square, all_here = np.eye(SIDE), threading.Barrier(threads, timeout=SECONDS_TO_START)

    def call(_: int) -> None:
        all_here.wait()  # a buffer is of the thread that is calling: all of them call at once
        for _ in range(LIBRARIES):
            square @ square
            np.linalg.cholesky(square)
            blas.dgemm(1.0, square, square)
            lapack.dpotrf(square)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(call, range(threads)))


def _has_room(size: int) -> bool:
    import mmap

    try:
        # Only what is private counts for the limit.
        mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return False
    return True


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
