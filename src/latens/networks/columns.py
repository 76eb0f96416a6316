"""The second exact form of a network's half: a list of matrix products and copies over buffers that are made once.

A map is held as (C, H, W, B), the batch running fastest. What each place of a kernel sees is gathered by copying runs of B
numbers and more, and every layer, forward and backward, is one large matrix product, which a CPU computes near its peak
whatever the number of channels is. The sums are those of the convolutions, in another order.

The form of a layer writes down, once, the calls that compute it over its buffers: `forward` reads `x` and writes `y`; `learn`
reads `x` and `dy` and writes `gradients`, of the weight and of the bias; `backward`, after `learn`, writes `dx`. A ReLU is no
form of its own: it is how one form's `y` comes into the next one's `x`.
"""

from collections.abc import Callable
from functools import partial
from math import prod

import torch
from torch import Tensor, nn

from latens.networks.layers import MapToVector, VectorToMap

__all__ = ["COLUMN_FORMS", "Columns"]

Sizes = tuple[int, ...]
Program = list[Callable[[], object]]


class Scratch:
    """Memory that one form at a time writes and none keeps.

    Args:
        size: in numbers; what asks for more gets memory of its own.
    """

    def __init__(self, size: int) -> None:
        self.memory = torch.empty(size)
        self.wanted = 0  # the most that anybody asked for

    def matrix(self, rows: int, columns: int) -> Tensor:
        """An uninitialised matrix."""
        size = rows * columns
        self.wanted = max(self.wanted, size)
        return (self.memory if size <= len(self.memory) else torch.empty(size))[:size].view(rows, columns)


class Windows:
    """The places of a kernel over a map.

    Args:
        large: (C, H, W), the map that the kernel moves over.
        small: (H', W'), how often it fits.
        layer: its kernel, stride and padding; no dilation, no groups.
        batch: B.
    """

    def __init__(self, large: Sizes, small: Sizes, layer: nn.Conv2d | nn.ConvTranspose2d, batch: int) -> None:
        assert isinstance(layer.padding, tuple)
        assert layer.groups == 1
        assert set(layer.dilation) == {1}
        self.large, self.small, self.batch = large, small, batch
        self.kernel, self.stride, self.padding = layer.kernel_size, layer.stride, layer.padding
        # The padded map is a whole number of cells of a stride's size, as many as its border and every place need.
        self.cells = tuple(
            -(-max(size + 2 * p, (n - 1) * s + k) // s)
            for size, n, k, s, p in zip(large[1:], small, self.kernel, self.stride, self.padding, strict=True)
        )
        self.rows, self.places = large[0] * prod(self.kernel), prod(small) * batch

    def padded(self) -> tuple[Tensor, Tensor]:
        """A map of zeros with its border, and the view of what lies inside the border: (C, H, W, B)."""
        high, wide = (n * s for n, s in zip(self.cells, self.stride, strict=True))
        whole = torch.zeros(self.large[0], high, wide, self.batch)
        (top, left), (_, height, width) = self.padding, self.large
        return whole, whole[:, top : top + height, left : left + width]

    def gather(self, whole: Tensor, columns: Tensor) -> Program:
        """Copy what each place of the kernel sees of a padded map into columns (C * KH * KW, H' * W' * B)."""
        channel, row, column, one = whole.stride()
        strides = (channel, row, column, row * self.stride[0], column * self.stride[1], one)
        windows = whole.as_strided((self.large[0], *self.kernel, *self.small, self.batch), strides)
        return [partial(columns.view(windows.shape).copy_, windows)]

    def scatter(self, columns: Tensor, whole: Tensor) -> Program:
        """Add columns (C * KH * KW, H' * W' * B) to the places of a padded map that they came from.

        Points of the kernel less than a stride apart never meet, so that a stride's worth of them is one addition.
        """
        (high, wide), (kh, kw), (sh, sw) = self.small, self.kernel, self.stride
        cells = whole.view(self.large[0], self.cells[0], sh, self.cells[1], sw, self.batch)
        points = columns.view(self.large[0], kh, kw, high, wide, self.batch)
        program: Program = []
        for i in range(0, kh, sh):
            for j in range(0, kw, sw):
                part = points[:, i : i + sh, j : j + sw].permute(0, 3, 1, 4, 2, 5)  # (C, H', <= SH, W', <= SW, B)
                place = cells[:, i // sh :, : part.shape[2], j // sw :, : part.shape[4]]
                program.append(partial(place[:, :high, :, :wide].add_, part))
        return program


class Form:
    """A layer for one batch size: its buffers, and the calls over them."""

    x: Tensor  # (C, H, W, B) or (F, B), as are y and the two gradients
    y: Tensor
    dy: Tensor
    dx: Tensor
    forward: Program
    learn: Program
    backward: Program
    gradients: tuple[Tensor, Tensor]


class ConvolutionForm(Form):
    """`Conv2d`: gather the columns, multiply. A row of ones below the columns carries the bias and its gradient."""

    def __init__(self, layer: nn.Conv2d, shape: Sizes, batch: int, scratch: Scratch) -> None:
        assert isinstance(layer.padding, tuple)
        small = tuple(
            (size + 2 * p - k) // s + 1
            for size, k, s, p in zip(shape[1:], layer.kernel_size, layer.stride, layer.padding, strict=True)
        )
        windows = Windows(shape, small, layer, batch)
        weight, bias = _flat(layer.weight), _bias(layer)
        whole, self.x = windows.padded()
        self.y = self.dy = torch.empty(len(weight), *small, batch)
        columns = torch.ones(windows.rows + 1, windows.places)
        matrix = torch.empty(len(weight), windows.rows + 1)
        gradient = torch.empty(windows.rows + 1, len(weight))
        self.forward = [
            partial(torch.cat, (weight, bias[:, None]), 1, out=matrix),
            *windows.gather(whole, columns[:-1]),
            partial(torch.mm, matrix, columns, out=_flat(self.y)),
        ]
        self.learn = [partial(torch.mm, columns, _flat(self.dy).t(), out=gradient)]
        self.gradients = (gradient[:-1].t().view(layer.weight.shape), gradient[-1])
        dwhole, self.dx = windows.padded()
        dcolumns = scratch.matrix(windows.rows, windows.places)
        self.backward = [
            partial(torch.mm, matrix[:, :-1].t(), _flat(self.dy), out=dcolumns),
            dwhole.zero_,
            *windows.scatter(dcolumns, dwhole),
        ]


class TransposedForm(Form):
    """`ConvTranspose2d`: multiply, then add the columns to the places that they belong to."""

    def __init__(self, layer: nn.ConvTranspose2d, shape: Sizes, batch: int, scratch: Scratch) -> None:
        assert isinstance(layer.padding, tuple)
        geometry = (layer.kernel_size, layer.stride, layer.padding, layer.output_padding)
        large = ((size - 1) * s - 2 * p + k + q for size, k, s, p, q in zip(shape[1:], *geometry, strict=True))
        windows = Windows((layer.out_channels, *large), shape[1:], layer, batch)
        weight, bias = _flat(layer.weight), _bias(layer)
        self.x, self.dx = torch.empty(*shape, batch), torch.empty(*shape, batch)
        whole, self.y = windows.padded()
        dwhole, self.dy = windows.padded()
        columns = scratch.matrix(windows.rows, windows.places)
        gradient, bias_gradient = torch.empty(windows.rows, len(weight)), torch.empty(layer.out_channels)
        self.forward = [
            partial(torch.mm, weight.t(), _flat(self.x), out=columns),
            partial(whole.copy_, bias[:, None, None, None].expand_as(whole)),
            *windows.scatter(columns, whole),
        ]
        self.learn = [
            *windows.gather(dwhole, columns),
            partial(torch.mm, columns, _flat(self.x).t(), out=gradient),
            partial(torch.sum, _flat(dwhole), 1, out=bias_gradient),
        ]
        self.backward = [partial(torch.mm, weight, columns, out=_flat(self.dx))]
        self.gradients = (gradient.t().view(layer.weight.shape), bias_gradient)


class ToVectorForm(Form):
    """`MapToVector`: one product with the whole map."""

    def __init__(self, layer: MapToVector, shape: Sizes, batch: int, scratch: Scratch) -> None:
        weight, bias = _flat(layer.weight), _bias(layer)
        self.x, self.dx = torch.empty(*shape, batch), torch.empty(*shape, batch)
        self.y = self.dy = torch.empty(len(weight), batch)
        rows, drows = self.x.view(-1, batch), self.dx.view(-1, batch)
        gradient, bias_gradient = torch.empty_like(weight), torch.empty_like(bias)
        self.forward = [partial(torch.addmm, bias[:, None], weight, rows, out=self.y)]
        self.learn = [
            partial(torch.mm, self.dy, rows.t(), out=gradient),
            partial(torch.sum, self.dy, 1, out=bias_gradient),
        ]
        self.backward = [partial(torch.mm, weight.t(), self.dy, out=drows)]
        self.gradients = (gradient.view(layer.weight.shape), bias_gradient)


class ToMapForm(Form):
    """`VectorToMap`: one product that makes the whole map."""

    def __init__(self, layer: VectorToMap, shape: Sizes, batch: int, scratch: Scratch) -> None:
        weight, bias = _flat(layer.weight), _bias(layer)
        self.x, self.dx = torch.empty(*shape, batch), torch.empty(*shape, batch)
        self.y = self.dy = torch.empty(layer.out_channels, *layer.kernel_size, batch)
        rows = self.y.view(-1, batch)
        everywhere = torch.empty(layer.out_channels, prod(layer.kernel_size))  # the bias, at each point of the map
        gradient, bias_gradient = torch.empty_like(weight), torch.empty_like(bias)
        self.forward = [
            partial(everywhere.copy_, bias[:, None].expand_as(everywhere)),
            partial(torch.addmm, everywhere.view(-1, 1), weight.t(), self.x, out=rows),
        ]
        self.learn = [
            partial(torch.mm, self.x, rows.t(), out=gradient),
            partial(torch.sum, _flat(self.dy), 1, out=bias_gradient),
        ]
        self.backward = [partial(torch.mm, weight, rows, out=self.dx)]
        self.gradients = (gradient.view(layer.weight.shape), bias_gradient)


COLUMN_FORMS: dict[type[nn.Module], Callable[..., Form]] = {
    nn.Conv2d: ConvolutionForm,
    nn.ConvTranspose2d: TransposedForm,
    MapToVector: ToVectorForm,
    VectorToMap: ToMapForm,
}


class Columns:
    """A half of a network for one batch size, forward and backward, over buffers of its own.

    Args:
        layers: the half; its weights, contiguous float32 on the CPU, are read where they lie.
        shape: of the input without the batch: (C, H, W) or (F,).
        batch: B.
        scratch: see `Scratch`.

    Write `x` (C, H, W, B), call `forward`, read `y`; write `dy`, call `backward`, read `gradients`, one a parameter, and `dx`.
    """

    def __init__(self, layers: nn.Sequential, shape: Sizes, batch: int, scratch: Scratch) -> None:
        forms: list[Form] = []
        rectified = [False]
        for layer in layers:
            if isinstance(layer, nn.ReLU):
                rectified[-1] = True
                continue
            forms.append(COLUMN_FORMS[type(layer)](layer, shape, batch, scratch))
            rectified.append(False)
            shape = tuple(forms[-1].y.shape[:-1])
        assert not rectified[0]
        assert not rectified[-1]
        self.x, self.dx, self.y, self.dy = forms[0].x, forms[0].dx, forms[-1].y, forms[-1].dy
        self.gradients = [gradient for form in forms for gradient in form.gradients]
        self._forward, self._backward = list(forms[0].forward), list(forms[0].learn)
        self._first = forms[0].backward
        for before, after, relu in zip(forms, forms[1:], rectified[1:], strict=False):
            self._forward += [_pass_on(before, after, relu), *after.forward]
            self._backward = [*after.learn, *after.backward, _pass_back(before, after, relu), *self._backward]

    def forward(self) -> None:
        """Compute `y` from `x`."""
        for call in self._forward:
            call()

    def backward(self, wanted: bool) -> None:
        """Compute `gradients` from `dy` and, where wanted, `dx`; may be repeated after one `forward`."""
        for call in self._backward:
            call()
        for call in self._first if wanted else ():
            call()


def _pass_on(before: Form, after: Form, relu: bool) -> Callable[[], object]:
    if relu:
        return partial(torch.clamp_min, before.y, 0, out=after.x)
    return partial(after.x.copy_, before.y)


def _pass_back(before: Form, after: Form, relu: bool) -> Callable[[], object]:
    # The rectified copy tells where the gradient goes on; `before.y` may share its memory with `before.dy`.
    if relu:
        return partial(torch.ops.aten.threshold_backward.grad_input, after.dx, after.x, 0, grad_input=before.dy)
    return partial(before.dy.copy_, after.dx)


def _flat(x: Tensor) -> Tensor:
    """A view as a matrix (first axis, all others); not of the graph."""
    return x.detach().view(len(x), -1)


def _bias(layer: nn.Conv2d | nn.ConvTranspose2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias.detach()
