"""The descent of t-SNE by kernels in C, where they were built: what `latens.maps.descent` does in torch, on the CPU."""

import ctypes
import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from latens.maps.affinities import negative_entropy
from latens.maps.repulsion import EXACT_UP_TO, MOST_CELLS, kernel_spectra, smooth_number, spacing_for
from latens.native import Convolution, Embedding, library

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

__all__ = ["FARTHEST", "CompiledDescent"]

SPACING = 1.0  # of the grid where near pairs are summed one by one
FINE = 0.5  # and where there are too many of them
REACH = 3  # spacings, within which a pair is near
CROWDED = 2.0  # points a unit square, from which on the near ones are too many
ROOM = 1.1  # for the map to grow, before its grid is made again
LANES = 16  # of the widest vectors
FARTHEST = 5.0  # step of an iteration


class CompiledDescent:
    """Positions, velocities and gains of the points."""

    def __init__(self, affinities: "csr_matrix", start: "NDArray[np.float64]") -> None:
        kernels = library()
        assert kernels is not None, "ask latens.native.library() first"
        self.kernels, self.num, self.threads = kernels, len(start), torch.get_num_threads()
        self.points = np.array(start, np.float32)
        self.negative_entropy = negative_entropy(affinities.data)
        self.side, self.spacing, self.near = 0, 0.0, 0.0
        self.arrays = {
            "starts": affinities.indptr.astype(np.int64),
            "targets": np.pad(affinities.indices.astype(np.int32, copy=False), (0, LANES)),
            "affinities": np.pad(affinities.data.astype(np.float32, copy=False), (0, LANES)),
            "y": self.points,
            **{name: np.zeros((self.num, 2), np.float32) for name in ("attraction", "repulsion", "velocity", "gains")},
            **{name: np.zeros(self.num, np.int32) for name in ("order", "cell_of")},
            "sorted": np.zeros((self.num, 2), np.float32),
            "bounds": np.zeros(4, np.float32),
            "sums": np.zeros(2 * self.num + 4 * MOST_CELLS),
        }
        self.embedding, self.convolution = Embedding(num=self.num), Convolution()
        _point(self.embedding, self.arrays)
        self.rest()

    @property
    def y(self) -> torch.Tensor:
        """Where the points are: (N, 2)."""
        return torch.from_numpy(self.points)

    def rest(self) -> None:
        """Reset velocities and gains, because the forces change."""
        self.arrays["velocity"].fill(0)
        self.arrays["gains"].fill(1)

    def run(self, iterations: int, exaggeration: float, momentum: float, rate: float) -> None:
        """Move all points; `rate` is the learning rate divided by the number of points, of which there are at least 200."""
        rate *= max(200, self.num)
        here = ctypes.byref(self.embedding)
        for _ in range(iterations):
            total = self.repel()
            self.kernels.latens_embedding_attract(here, self.threads)
            push = 1 / max(total, 1e-12)
            self.kernels.latens_embedding_move(here, exaggeration, push, momentum, rate, FARTHEST, self.threads)

    def divergence(self) -> float:
        """The Kullback-Leibler divergence, up to the approximation of the repulsion."""
        entropy: float = self.kernels.latens_embedding_entropy(ctypes.byref(self.embedding), self.threads)
        return self.negative_entropy + entropy + math.log(max(self.repel(), 1e-12))

    def repel(self) -> float:
        """Compute the repulsion of all points; returned is its normalisation."""
        here = ctypes.byref(self.embedding)
        bounds = self.arrays["bounds"]
        self.kernels.latens_embedding_bounds(here, bounds.ctypes.data)
        reach = float((bounds[2:] - bounds[:2]).max())
        if not math.isfinite(reach):
            return math.nan
        if self.num <= EXACT_UP_TO:
            return float(self.kernels.latens_embedding_pairs(here, self.threads))
        self._fit_grid(reach)
        self.embedding.corner[0], self.embedding.corner[1] = float(bounds[0]), float(bounds[1])
        self.kernels.latens_embedding_spread(here, self.threads)
        total = self.kernels.latens_convolve(ctypes.byref(self.convolution), self.threads)
        return float(total + self.kernels.latens_embedding_read(here, self.threads) - self.num)

    def _fit_grid(self, reach: float) -> None:
        """Make the grid again if the map has outgrown it, or has become much smaller or less crowded."""
        crowded = self.num > CROWDED * reach**2
        spacing = spacing_for(reach, FINE if crowded else SPACING)
        needed = math.ceil(reach / spacing) + 5
        if spacing != self.spacing or not 0.7 * self.side < needed <= self.side:
            side = smooth_number(max(2 * LANES, math.ceil(ROOM * reach / spacing) + 5), (2, 3, 5))
            self._make_grid(side, spacing, 0.0 if crowded else 1 + (REACH * spacing) ** 2)

    def _make_grid(self, side: int, spacing: float, near: float) -> None:
        self.side, self.spacing, self.near = side, spacing, near
        pitch, rows = _whole(side, 2 * LANES), _whole(side + 1, LANES)
        even, odd = kernel_spectra(side, spacing, near)
        angle = math.pi / side * np.arange(2 * side)
        self.arrays |= {
            "grid": np.zeros((side, pitch), np.float32),
            "fields": np.zeros((2, side, pitch), np.float32),
            "even": _in_blocks(even, rows),
            # A kernel of one axis is that of the other, turned.
            "odd": np.stack([_in_blocks(one / (2 * side) ** 2, rows) for one in odd.flip(0)]),
            "turns": np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32),
            "spectra": np.zeros((2, 2, rows, pitch), np.float32),
            "scratch": np.zeros((self.threads, 12 * side * LANES), np.float32),
            "cells": np.zeros(side**2 + 1, np.int32),
        }
        embedding, convolution = self.embedding, self.convolution
        embedding.side = convolution.side = side
        embedding.pitch = convolution.pitch = pitch
        embedding.spacing, embedding.near, convolution.size = spacing, near, 2 * side
        _point(embedding, self.arrays)
        _point(convolution, self.arrays)


def _point(structure: ctypes.Structure, arrays: "dict[str, NDArray[np.generic]]") -> None:
    """Set the pointers of a structure to the arrays of their names."""
    for field in structure._fields_:
        if field[1] is ctypes.c_void_p and field[0] in arrays:
            setattr(structure, field[0], arrays[field[0]].ctypes.data)


def _whole(number: int, parts: int) -> int:
    """The next multiple."""
    return -(-number // parts) * parts


def _in_blocks(spectrum: torch.Tensor, rows: int) -> "NDArray[np.float32]":
    """A half spectrum (size, rows), with zeros up to whole blocks of rows, as (blocks, size, rows of a block)."""
    padded = np.zeros((rows, len(spectrum)), np.float32)
    padded[: spectrum.shape[1]] = spectrum.T
    return np.ascontiguousarray(padded.reshape(rows // LANES, LANES, -1).transpose(0, 2, 1))
