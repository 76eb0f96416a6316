"""The precision of training: what each allows, and a check that bfloat16 works here before it is trusted."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latens.errors import DeviceUnavailable

__all__ = ["allowed_precision", "bfloat16_error", "check_bfloat16", "lowered"]

MOST_ERROR = 0.25  # of a gradient; sound arithmetic leaves 0.02 to 0.1


@dataclass
class _Allowed:
    """Who is inside `allowed_precision`, over all threads: torch's settings are the process's."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    names: list[str] = field(default_factory=list)
    before: tuple[str, bool] = ("highest", True)  # matrix products and convolutions as they were before the first came

    def change(self, change: Callable[[], None]) -> None:
        """Let somebody in or out, and set what all that are then inside allow."""
        with self.lock:
            if not self.names:
                self.before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
            change()
            products, convolutions = self.before
            if self.names:
                products = "high" if set(self.names) == {"tf32"} else products
                convolutions = products != "highest"
            torch.set_float32_matmul_precision(products)
            torch.backends.cudnn.allow_tf32 = convolutions


_ALLOWED = _Allowed()


@contextmanager
def allowed_precision(name: str) -> Iterator[None]:
    """Allow TF32 on CUDA inside, in matrix products and in convolutions, if that is the precision.

    The two others leave matrix products as they are set, which without a word from the user is float32, and treat convolutions
    alike: for those torch allows TF32 by itself. Where several threads are inside, TF32 is allowed while all of them allow it;
    when the last has left, the settings are what they were before the first came.
    """
    _ALLOWED.change(lambda: _ALLOWED.names.append(name))
    try:
        yield
    finally:
        _ALLOWED.change(lambda: _ALLOWED.names.remove(name))


def lowered(name: str, device: torch.device) -> torch.autocast:
    """Where a loss is computed in bfloat16, if that is the precision; weights and their updates stay float32."""
    # No weight is used twice, and one that was cast for a CUDA graph would stay as it was when that was captured.
    return torch.autocast(device.type, torch.bfloat16, enabled=name == "bfloat16", cache_enabled=False)


def bfloat16_error(loss: Callable[[], Tensor], parameters: Sequence[Tensor], device: torch.device) -> float:
    """How far bfloat16 is from float32: the largest relative error of a loss and of its gradients, in the norm.

    Args:
        loss: the same at each call.
        parameters: that it depends on.
        device: where it is computed.
    """
    found = []
    for precision in ("float32", "bfloat16"):
        with lowered(precision, device):
            value = loss()
        found.append([value.detach(), *torch.autograd.grad(value, list(parameters), allow_unused=True)])
    errors = [
        float((half.float() - full).norm() / full.norm().clamp(min=1e-20))
        for full, half in zip(*found, strict=True)
        if full is not None and half is not None
    ]
    return max(error if error == error else float("inf") for error in errors)


def check_bfloat16(loss: Callable[[], Tensor], parameters: Sequence[Tensor], device: torch.device) -> None:
    """Look whether bfloat16 gives what it should on this machine: some convolutions of some releases do not.

    Args:
        loss: the same at each call; see `bfloat16_error`.
        parameters: that it depends on.
        device: where it is computed.

    Raises:
        DeviceUnavailable: the gradients are wrong.
    """
    error = bfloat16_error(loss, parameters, device)
    if error > MOST_ERROR:
        raise DeviceUnavailable(
            f"bfloat16 gives wrong gradients on {device} with torch {torch.__version__}: {error:.0%} from float32's where"
            f" {MOST_ERROR:.0%} is allowed; use --precision float32"
        )
