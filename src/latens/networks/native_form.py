"""The second exact form of a network's half: kernels in C (`latens.native`) instead of torch's layers.

A layer of any kind is a kernel between a large map and a small one: a convolution maps the large one to the small one, a
transposed convolution the small one to the large one, and a dense layer is one of the two whose small map is a single place.
"""

import ctypes
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from latens.native import HalfLayer, library
from latens.networks.layers import MapToVector, VectorToMap

__all__ = ["NATIVE_KINDS", "NativeForm", "has_native_form"]

KEPT = 16  # pieces of memory of one size
NATIVE_KINDS = (nn.Conv2d, nn.ConvTranspose2d, MapToVector, VectorToMap, nn.ReLU)  # of the LAYER_KINDS
MOST_LAYERS = 64  # that half.c has room for


def has_native_form(layers: nn.Sequential) -> bool:
    """Whether a half can be computed by the kernels: they were built, and they support every layer."""
    kinds = [type(layer) for layer in layers]
    known = all(type(layer) in NATIVE_KINDS and _is_plain(layer) for layer in layers)
    relus = [index for index, kind in enumerate(kinds) if kind is nn.ReLU]
    between = all(0 < index < len(kinds) - 1 and index - 1 not in relus for index in relus)
    return library() is not None and known and between and 0 < len(kinds) <= MOST_LAYERS


def _is_plain(layer: nn.Module) -> bool:
    return isinstance(layer, nn.ReLU) or (
        isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
        and isinstance(layer.padding, tuple)
        and layer.groups == 1
        and set(layer.dilation) == {1}
        and layer.bias is not None
        and layer.padding_mode == "zeros"
    )


class _Sizes(NamedTuple):
    maps: int  # numbers, of one chunk
    gradients: int  # numbers, of one chunk
    chunk: int  # images
    group: int  # chunks whose gradients are held at a time


class NativeForm:
    """A half for one input shape: its layers in the format of the kernels, and the memory that they use.

    Args:
        layers: the half, with weights in channels_last order; they are read in place.
        shape: of the input without the batch: (C, H, W), or (F,).
    """

    def __init__(self, layers: nn.Sequential, shape: tuple[int, ...]) -> None:
        self.convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)]
        self.program = (HalfLayer * len(self.convolutions))()
        self.input_shape = map_shape = (*shape, 1, 1)[:3]
        for entry, layer in zip(self.program, self.convolutions, strict=True):
            map_shape = _describe(entry, layer, map_shape)
        kinds = [*(type(layer) for layer in layers), None]
        followers = [after for kind, after in pairwise(kinds) if kind is not nn.ReLU]
        for entry, follower in zip(self.program, followers, strict=True):
            entry.relu = follower is nn.ReLU
        self.output_shape = map_shape
        kernels = library()
        assert kernels is not None
        self.kernels = kernels
        numbers = (ctypes.c_long * 4)()
        failed = kernels.latens_half_sizes(self.program, len(self.program), numbers)
        assert not failed, "has_native_form was not asked"
        self.sizes = _Sizes(*numbers)
        self.memory = _Memory()

    def forward(self, x: Tensor, weights: Sequence[Tensor], keep: bool) -> tuple[Tensor, Tensor]:
        """The output of a batch, and the memory of its maps, which `backward` needs.

        Args:
            x: (B, C, H, W) in channels_last order, or (B, F); float32, B at least 1.
            weights: weight and bias of each layer.
            keep: the maps of all images, for `backward`; otherwise only those in work.
        """
        threads = torch.get_num_threads()
        maps = self.memory.take(self.sizes.maps * (-(-len(x) // self.sizes.chunk) if keep else threads))
        y = torch.empty(len(x), *self.output_shape, memory_format=torch.channels_last)
        program = self._with(weights, ())
        self.kernels.latens_half_forward(
            program, len(program), x.data_ptr(), y.data_ptr(), len(x), maps.data_ptr(), keep, threads
        )
        return y, maps

    def backward(
        self, dy: Tensor, weights: Sequence[Tensor], maps: Tensor, dx: Tensor | None
    ) -> list[Tensor]:  # as many as weights
        """The gradients of all weights and biases; that of the input is written to `dx`, if given."""
        gradients = [torch.empty_like(weight) for weight in weights]
        scratch = self.memory.take(self.sizes.gradients * min(self.sizes.group, -(-len(dy) // self.sizes.chunk)))
        program = self._with(weights, gradients)
        self.kernels.latens_half_backward(
            program,
            len(program),
            dy.data_ptr(),
            None if dx is None else dx.data_ptr(),
            len(dy),
            maps.data_ptr(),
            scratch.data_ptr(),
            torch.get_num_threads(),
        )
        self.memory.give_back(scratch)
        return gradients

    def _with(self, weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Any:
        """A copy of the program for one call, so that several threads can call at the same time."""
        program = type(self.program).from_buffer_copy(self.program)
        for entry, weight, bias in zip(program, weights[::2], weights[1::2], strict=True):
            entry.weight, entry.bias = weight.data_ptr(), bias.data_ptr()
        for entry, weight, bias in zip(program, gradients[::2], gradients[1::2], strict=False):
            entry.weight_gradient, entry.bias_gradient = weight.data_ptr(), bias.data_ptr()
        return program


def _describe(entry: HalfLayer, layer: nn.Conv2d | nn.ConvTranspose2d, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Describe a layer, given the shape of its input; returns the shape (C, H, W) of its output."""
    assert isinstance(layer.padding, tuple)
    geometry = zip(shape[1:], layer.kernel_size, layer.stride, layer.padding, strict=True)
    up = isinstance(layer, nn.ConvTranspose2d)
    if up:
        more = layer.output_padding
        out = [(size - 1) * s - 2 * p + k + q for (size, k, s, p), q in zip(geometry, more, strict=True)]
    else:
        out = [(size + 2 * p - k) // s + 1 for size, k, s, p in geometry]
    result = (layer.out_channels, out[0], out[1])
    large, small = (result, shape) if up else (shape, result)
    entry.up = up
    entry.large_c, entry.large_h, entry.large_w = large
    entry.small_c, entry.small_h, entry.small_w = small
    entry.kernel_h, entry.kernel_w = layer.kernel_size
    entry.stride_h, entry.stride_w = layer.stride
    entry.padding_h, entry.padding_w = layer.padding
    return result


class _Memory:
    """Pieces of memory that are not in use, by size: allocating them again takes as long as computing a small batch.

    Safe for several threads: pieces are taken and given back by single list operations, so that none is used twice at a time.
    """

    def __init__(self) -> None:
        self.free: dict[int, list[Tensor]] = {}

    def take(self, numbers: int) -> Tensor:
        try:
            return self.free[numbers].pop()
        except (KeyError, IndexError):  # none made yet, or all in use
            with torch.inference_mode(False):  # a tensor made inside could not be written to outside
                return torch.empty(numbers)

    def give_back(self, piece: Tensor) -> None:
        pieces = self.free.setdefault(len(piece), [])
        if len(pieces) < KEPT:
            pieces.append(piece)
        for oldest in list(self.free)[:-KEPT]:
            self.free.pop(oldest, None)
