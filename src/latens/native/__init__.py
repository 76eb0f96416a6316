"""Kernels in C, for operations in which torch is slow. They are optional.

They are built when latens is installed, if there is a C compiler (gcc or clang; tested on Linux). Everything that they
compute, torch computes too: without them latens is slower, and gives the same results.
"""

import ctypes
import functools
import os
from pathlib import Path

__all__ = ["Convolution", "Embedding", "HalfLayer", "MuonMatrix", "Scan", "library"]


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


class Convolution(ctypes.Structure):
    """`Convolution` of convolution.c: a grid, three kernels, and working memory."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("side", "pitch", "size")),
        *((name, ctypes.c_void_p) for name in ("grid", "fields", "even", "odd", "turns", "spectra", "scratch", "sums")),
    ]


class Embedding(ctypes.Structure):
    """`Embedding` of embedding.h: the points of a map, their affinities, and the grid of their repulsion."""

    _fields_ = [
        ("num", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("starts", "targets", "affinities")),
        *((name, ctypes.c_void_p) for name in ("y", "attraction", "repulsion", "velocity", "gains")),
        *((name, ctypes.c_int64) for name in ("side", "pitch")),
        *((name, ctypes.c_void_p) for name in ("grid", "fields", "cells", "order", "cell_of", "sorted")),
        ("corner", ctypes.c_float * 2),
        *((name, ctypes.c_float) for name in ("spacing", "near")),
        ("sums", ctypes.c_void_p),
    ]


class Scan(ctypes.Structure):
    """`Scan` of neighbours.h: queries, points in packs of 32, and memory for the results."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in ("num_points", "width", "num_queries", "candidates", "room", "num_stretches")
        ),
        *((name, ctypes.c_void_p) for name in ("ends", "packed", "rows", "names", "own", "start")),
        *((name, ctypes.c_void_p) for name in ("values", "indices", "keys")),
    ]


class MuonMatrix(ctypes.Structure):
    """`Matrix` of muon.c: a weight (rows, columns), rows <= columns, with its gradient, its momentum and working memory."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "columns", "row_step", "column_step")),
        ("scale", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("weight", "gradient", "moment", "direction")),
    ]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The kernels, which use the threads of torch; None where they were not built, or for an older version than this."""
    file = Path(__file__).parent / ("_kernels.pyd" if os.name == "nt" else "_kernels.so")  # named by setup.py
    if not file.exists():
        return None
    kernels = ctypes.CDLL(str(file))
    if not hasattr(kernels, "latens_nearest"):  # the newest of them: in a checkout they are built by `pip install -e .`
        return None
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
    kernels.latens_nearest.argtypes, kernels.latens_nearest.restype = [pointer, number], None
    if hasattr(kernels, "latens_nearest_among"):  # without it all points are searched
        kernels.latens_nearest_among.argtypes = [pointer, pointer, pointer, number]
        kernels.latens_nearest_among.restype = None
    for name in ("attract", "entropy", "pairs", "spread", "read"):
        function = getattr(kernels, f"latens_embedding_{name}")
        function.argtypes, function.restype = [pointer, number], ctypes.c_double
    kernels.latens_embedding_attract.restype = kernels.latens_embedding_spread.restype = None
    kernels.latens_embedding_bounds.argtypes = [pointer, pointer]
    kernels.latens_embedding_bounds.restype = None
    kernels.latens_embedding_move.argtypes = [pointer, real, real, real, real, real, number]
    kernels.latens_convolve.argtypes, kernels.latens_convolve.restype = [pointer, number], ctypes.c_double


def _threads_of_torch() -> list[ctypes.c_void_p | None]:
    """The functions that start and count threads in torch's OpenMP runtime; None each where it has not GNU's interface."""
    import torch

    names = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
    libraries = [Path(torch.__file__).parent / "lib" / name for name in ("libtorch_cpu.so", "libtorch_cpu.dylib")]
    for path in libraries:
        if path.exists():
            runtime = ctypes.CDLL(str(path))  # a symbol is searched in a library and then in its dependencies
            if all(hasattr(runtime, name) for name in names):
                return [ctypes.cast(getattr(runtime, name), ctypes.c_void_p) for name in names]
    return [None] * len(names)
