"""A half of a network: a flat sequence of layers that knows two exact ways to compute itself.

| form | what it is | weights lie |
|---|---|---|
| `torch` | torch's own layers: any device, any type, twice differentiable | channels_last |
| `columns` | see `latens.networks.columns`: float32 on a CPU | as their shape says |

Both give the same numbers but for the order of their sums. Which one runs is the concern of `latens.networks.forms`; weights on
disk are the same.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from latens.networks.columns import COLUMN_FORMS, Columns, Scratch

__all__ = ["FORMS", "Half"]

FORMS = ("torch", "columns")
CHUNK = 64  # images
CHUNK_BYTES = 2 << 20  # of the largest buffer: what several of fit into a cache
KEPT = 8  # kinds of buffers (by weights and batch size), and sets of each


class Half(nn.Sequential):
    """An encoder or a decoder: a `torch.nn.Sequential` of layer kinds, in one of the `FORMS`."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.form = self.reading = "torch"
        self._buffers_of_form = _Pool()

    def use(self, form: str, reading: str | None = None) -> Self:
        """Compute in this form from now on, and in another, if given, where no gradients are asked for.

        `"columns"` only where every layer has such a form.
        """
        self.form, self.reading = form, reading or form
        used = {self.form, self.reading}
        assert used <= set(FORMS)
        assert used == {"torch"} or all(type(layer) in COLUMN_FORMS or isinstance(layer, nn.ReLU) for layer in self)
        layout = torch.channels_last if used == {"torch"} else torch.contiguous_format
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=layout)
        self._buffers_of_form.clear()
        return self

    def _form_now(self) -> str:
        return self.form if torch.is_grad_enabled() else self.reading

    def lay_out(self, x: Tensor) -> Tensor:
        """The same images (B, C, H, W), of any type, in the order in memory that the form reads fastest."""
        if self._form_now() == "torch":
            return x.contiguous(memory_format=torch.channels_last)
        return x.flatten(1).t().contiguous().t().view(x.shape)  # the batch runs fastest

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, F), or the other way round
        """Compute in the form that was chosen, or in torch's where that one can't."""
        if self._form_now() == "torch" or not _plain(x):
            for layer in self:
                x = layer(x)
            return x
        y: Tensor = _InColumns.apply(self, x, *self.parameters())  # type: ignore[no-untyped-call]  # torch has no types for it
        return y


def _plain(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and len(x) > 0 and not torch.is_autocast_enabled("cpu")


class _Pool:
    """Sets of buffers that are not in use, by weights and batch size.

    Threads may share it: sets come and go by single operations on lists, so that none is ever in two hands.
    """

    def __init__(self) -> None:
        self.free: dict[Any, list[Columns]] = {}
        self.an_image: dict[tuple[int, ...], int] = {}  # numbers that the largest columns of one image take

    def clear(self) -> None:
        self.free.clear()
        self.an_image.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Pool":
        return _Pool()  # buffers are bound to the weights of one module

    def __reduce__(self) -> tuple[type["_Pool"], tuple[()]]:
        return (_Pool, ())

    def chunk(self, half: Half, shape: tuple[int, ...]) -> int:
        """How many images at a time."""
        if shape not in self.an_image:
            scratch = Scratch(0)
            with torch.inference_mode(False):
                Columns(half, shape, 1, scratch)
            self.an_image[shape] = scratch.wanted
        return max(1, min(CHUNK, CHUNK_BYTES // 4 // max(1, self.an_image[shape])))

    def take(self, half: Half, shape: tuple[int, ...], batch: int) -> "_Lease":
        key = (shape, batch, *(parameter.data_ptr() for parameter in half.parameters()))
        try:
            return _Lease(self, key, self.free[key].pop())
        except (KeyError, IndexError):  # none made yet, or all in use
            with torch.inference_mode(False):  # what is made inside could never be written to outside
                return _Lease(self, key, Columns(half, shape, batch, Scratch(self.an_image[shape] * batch)))

    def give_back(self, key: Any, columns: Columns) -> None:
        sets = self.free.setdefault(key, [])
        if len(sets) < KEPT:
            sets.append(columns)
        for oldest in list(self.free)[:-KEPT]:
            self.free.pop(oldest, None)


class _Lease:
    """A set of buffers in use; it goes back to its pool with the graph that needs what it holds."""

    def __init__(self, pool: _Pool, key: Any, columns: Columns) -> None:
        self.pool, self.key, self.columns = pool, key, columns

    def __del__(self) -> None:
        self.pool.give_back(self.key, self.columns)


class _InColumns(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, half: Half, x: Tensor, *parameters: Tensor) -> Tensor:
        pool, shape = half._buffers_of_form, tuple(x.shape[1:])
        chunk = pool.chunk(half, shape)
        rows = x.flatten(1)
        leases, y = [], x
        for start in range(0, len(x), chunk):
            # A plain transposition, then a copy into the border: quicker than both at once.
            part = rows[start : start + chunk].t().contiguous()
            lease = pool.take(half, shape, part.shape[-1])
            lease.columns.x.copy_(part.view(lease.columns.x.shape))
            lease.columns.forward()
            if start == 0:
                y = x.new_empty(*lease.columns.y.shape[:-1], len(x))
            y[..., start : start + chunk] = lease.columns.y
            if any(ctx.needs_input_grad):
                leases.append(lease)
            del lease  # back to the pool, if nobody keeps it, before the next is taken: the same memory serves again
        ctx.leases = leases
        ctx.save_for_backward(*parameters)
        return y.movedim(-1, 0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        _ = ctx.saved_tensors  # raises where the weights have changed since: the buffers read them where they lie
        dy = dy.movedim(0, -1)
        wanted = ctx.needs_input_grad[1]
        gradients: list[Tensor] = []
        parts, start = [], 0
        for lease in ctx.leases:
            columns = lease.columns
            columns.dy.copy_(dy[..., start : start + columns.dy.shape[-1]])
            columns.backward(wanted)
            start += columns.dy.shape[-1]
            parts += [columns.dx.clone()] if wanted else []
            if gradients:
                torch._foreach_add_(gradients, columns.gradients)
            else:
                gradients = [gradient.clone(memory_format=torch.contiguous_format) for gradient in columns.gradients]
        dx = torch.cat(parts, -1).movedim(-1, 0) if wanted else None
        return None, dx, *gradients
