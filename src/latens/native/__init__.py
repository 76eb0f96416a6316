"""Kernels in C, for what torch's operators are slow at: loaded where they were built, done without where they were not.

They are built when latens is installed, by whatever C compiler is there (gcc or clang; Linux is what is tested). Everything
that they compute, plain torch computes too; nothing but speed is lost without them.
"""

import ctypes
import functools
import importlib.machinery
from pathlib import Path

__all__ = ["HalfLayer", "MuonMatrix", "library"]


class HalfLayer(ctypes.Structure):
    """`Layer` of half.c: a kernel between a large map and a small one. Maps are (H, W, C), weights (small C, KH, KW, large C)."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("up", "large_c", "large_h", "large_w", "small_c", "small_h", "small_w")),
        *(
            (name, ctypes.c_int64)
            for name in ("kernel_h", "kernel_w", "stride_h", "stride_w", "padding_h", "padding_w")
        ),
        ("relu", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("weight", "bias", "weight_gradient", "bias_gradient")),
    ]


class MuonMatrix(ctypes.Structure):
    """`Matrix` of muon.c: a weight (rows, columns), rows <= columns, with its gradient, its momentum and memory to work in."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "columns", "row_step", "column_step")),
        ("scale", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("weight", "gradient", "moment", "direction")),
    ]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The kernels, their threads being those of torch; None where they were not built."""
    here = Path(__file__).parent
    built = [here / f"_kernels{suffix}" for suffix in importlib.machinery.EXTENSION_SUFFIXES]
    file = next((path for path in built if path.exists()), None)
    if file is None:
        return None
    kernels = ctypes.CDLL(str(file))
    _declare(kernels)
    kernels.latens_use_threads(*_threads_of_torch())
    return kernels


def _declare(kernels: ctypes.CDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_long
    kernels.latens_use_threads.argtypes = [pointer, pointer, pointer]
    kernels.latens_muon_numbers.argtypes = [number, number]
    kernels.latens_muon_numbers.restype = number
    real = ctypes.c_float
    kernels.latens_muon_step.argtypes = [pointer, number, real, real, pointer, number, number]
    kernels.latens_half_sizes.argtypes = [pointer, number, pointer]
    kernels.latens_half_forward.argtypes = [pointer, number, pointer, pointer, number, pointer, ctypes.c_int, number]
    kernels.latens_half_backward.argtypes = [pointer, number, pointer, pointer, number, pointer, pointer, number]


def _threads_of_torch() -> list[ctypes.c_void_p | None]:
    """What starts and counts threads in the OpenMP runtime that torch is linked to; nothing where GNU's programs can't use it."""
    import torch

    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
    libraries = [Path(torch.__file__).parent / "lib" / name for name in ("libtorch_cpu.so", "libtorch_cpu.dylib")]
    for path in libraries:
        if path.exists():
            runtime = ctypes.CDLL(str(path))  # a symbol is looked up in a library and then in those that it needs
            if all(hasattr(runtime, name) for name in names):
                return [ctypes.cast(getattr(runtime, name), ctypes.c_void_p) for name in names]
    return [None] * len(names)
