"""The precision of training, and a check that bfloat16 works on this machine."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latens.errors import DeviceUnavailable

__all__ = ["allowed_precision", "bfloat16_error", "check_bfloat16", "lowered"]

MOST_ERROR = 0.25  # relative, of a gradient; correct arithmetic gives 0.02 to 0.1


@dataclass
class _Allowed:
    """The precisions in use in `allowed_precision`, over all threads: torch's settings belong to the process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    names: list[str] = field(default_factory=list)
    before: tuple[str, bool] = ("highest", True)  # of matrix products and convolutions, before the first entry

    def change(self, change: Callable[[], None]) -> None:
        """Add or remove a precision, and set what all that are then in use allow."""
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

    The other two leave matrix products as the user has set them, by default float32, and set convolutions alike: for those torch
    allows TF32 by default. With several threads inside, TF32 is allowed while all of them allow it. When the last has left, the
    settings are what they were before the first.
    """
    _ALLOWED.change(lambda: _ALLOWED.names.append(name))
    try:
        yield
    finally:
        _ALLOWED.change(lambda: _ALLOWED.names.remove(name))


def lowered(name: str, device: torch.device) -> torch.autocast:
    """The context that computes a loss in bfloat16, if that is the precision; weights and their updates stay float32."""
    # No cache: no weight is used twice, and a CUDA graph would keep the cast weight of the time of its capture.
    return torch.autocast(device.type, torch.bfloat16, enabled=name == "bfloat16", cache_enabled=False)


def bfloat16_error(loss: Callable[[], Tensor], parameters: Sequence[Tensor], device: torch.device) -> float:
    """The difference of bfloat16 from float32: the largest relative error of a loss and of its gradients, in the norm.

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
    """Check that bfloat16 is correct on this machine: some convolutions of some releases are not.

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
