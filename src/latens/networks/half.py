"""A half of a network: a flat sequence of layers with two exact implementations.

| form | implementation |
|---|---|
| `torch` | torch's own layers: any device, any type, twice differentiable |
| `native` | kernels in C, see `latens.networks.native_form`: float32 on a CPU, where they were built |

Both compute the same numbers up to the order of sums, from the same weights. `latens.networks.forms` chooses one.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from latens.errors import UnknownName
from latens.networks.native_form import NativeForm, has_native_form

__all__ = ["FORMS", "Half", "layers_of"]

FORMS = ("torch", "native")


class Half(nn.Sequential):
    """An encoder or a decoder: a `torch.nn.Sequential` of layer kinds, in one of the `FORMS`."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        self.form = self.reading = "torch"
        self._native = _NativeForms()

    def forms(self) -> tuple[str, ...]:
        """Those of the `FORMS` that are available for this half on this machine."""
        return FORMS if has_native_form(self) else FORMS[:1]

    def use(self, form: str, reading: str | None = None) -> Self:
        """Compute in this form from now on, and in `reading`, if given, where no gradients are needed.

        A form of `FORMS` that is not available here, as for a run that was made elsewhere, becomes `"torch"`.

        Raises:
            UnknownName: the name is not in `FORMS`.
        """
        names = (form, form if reading is None else reading)
        for name in names:
            if name not in FORMS:
                raise UnknownName("form", name, FORMS)
        available = self.forms()
        self.form, self.reading = (name if name in available else "torch" for name in names)
        with torch.inference_mode(False):  # inside it, weights would become tensors that cannot be trained
            for parameter in self.parameters():
                if parameter.ndim == 4:
                    parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        return self

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, F), or the other way round
        """Compute in the chosen form, or in torch's where that one can't."""
        form = self.form if torch.is_grad_enabled() else self.reading
        weights = [weight for layer in self for weight in layer._parameters.values() if weight is not None]
        if form == "torch" or not _plain(x, weights):
            for layer in self:
                x = layer(x)
            return x
        y: Tensor = _InNative.apply(self, x, *weights)  # type: ignore[no-untyped-call]  # torch has no types for it
        return y.flatten(1) if y.shape[2:] == (1, 1) else y


def layers_of(half: nn.Module) -> list[nn.Module]:
    """The layers of a half in the order in which they are computed, those of sequences within it too.

    A module whose parts may be computed in any other way is one layer.

    >>> layers_of(nn.Sequential(nn.Linear(3, 2), nn.Sequential(nn.ReLU(), nn.Flatten())))
    [Linear(in_features=3, out_features=2, bias=True), ReLU(), Flatten(start_dim=1, end_dim=-1)]
    """
    plain = isinstance(half, nn.Sequential) and type(half).forward in (nn.Sequential.forward, Half.forward)
    if not plain or half._forward_hooks or half._forward_pre_hooks:
        return [half]
    return [layer for part in half.children() for layer in layers_of(part)]


def _plain(x: Tensor, weights: list[nn.Parameter]) -> bool:
    floats = x.device.type == "cpu" and x.dtype == torch.float32 and len(x) > 0 and not torch.is_autocast_enabled("cpu")
    return floats and all(_read_in_place(weight) for weight in weights)


def _read_in_place(weight: Tensor) -> bool:
    order = torch.channels_last if weight.ndim == 4 else torch.contiguous_format
    return weight.dtype == torch.float32 and weight.is_contiguous(memory_format=order)


class _NativeForms:
    """The native forms of one half, by input shape; a copy of the half starts with none."""

    def __init__(self) -> None:
        self.by_shape: dict[tuple[int, ...], NativeForm] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "_NativeForms":
        return _NativeForms()

    def __reduce__(self) -> tuple[type["_NativeForms"], tuple[()]]:
        return (_NativeForms, ())

    def of(self, half: Half, shape: tuple[int, ...]) -> NativeForm:
        if shape not in self.by_shape:
            self.by_shape[shape] = NativeForm(half, shape)
        return self.by_shape[shape]


class _Lease:
    """Memory of maps in use; it is given back when the graph that needs it is deleted."""

    def __init__(self, form: NativeForm, maps: Tensor) -> None:
        self.form, self.maps = form, maps

    def __del__(self) -> None:
        self.form.memory.give_back(self.maps)


class _InNative(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, half: Half, x: Tensor, *parameters: Tensor) -> Tensor:
        form = half._native.of(half, tuple(x.shape[1:]))
        ctx.laid_out = x.ndim
        learning = any(ctx.needs_input_grad)
        y, maps = form.forward(_in_order(x), parameters, learning)
        ctx.lease = _Lease(form, maps)  # ends with this call unless a backward pass needs it
        if not learning:
            del ctx.lease
        ctx.save_for_backward(*parameters)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Any:
        # Raises where the weights have changed since: the kernels read them where they lie.
        parameters = ctx.saved_tensors
        lease, dx = ctx.lease, None
        if ctx.needs_input_grad[1]:
            shape = (len(dy), *lease.form.input_shape)
            dx = torch.empty(shape, memory_format=torch.channels_last)
        gradients = lease.form.backward(_in_order(dy), parameters, lease.maps, dx)
        if dx is not None and ctx.laid_out == 2:
            dx = dx.flatten(1)
        return None, dx, *gradients


def _in_order(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()
