"""The choice of the fastest form of a network on this machine, measured once and stored."""

import copy
import hashlib
import time
from math import prod
from pathlib import Path
from typing import Any

import torch

from latens.device import processor_name
from latens.errors import RunDamaged
from latens.files import cache_folder, read_json, write_json
from latens.networks.half import Half

__all__ = ["fastest_form"]

ROUNDS = 7


def fastest_form(half: Half, shape: tuple[int, ...], batch_size: int, learning: bool = True) -> str:
    """The form that takes the least time for a batch on this machine.

    Args:
        half: an encoder or a decoder; a copy of it is measured.
        shape: of its input without the batch: (C, H, W) or (F,).
        batch_size: B.
        learning: forward and backward; else forward alone.

    Returns:
        One of the half's `forms()`, measured only where there are several. The result is stored in the cache folder by processor,
        number of threads, version of torch, half and batch size, so that a repeated run uses the same form.
    """
    if len(half.forms()) == 1:
        return half.forms()[0]
    file = cache_folder() / "forms" / f"{_key(half, shape, batch_size, learning)}.json"
    form = _remembered(file)
    if form in half.forms():
        return form
    seconds = _seconds(half, shape, batch_size, learning)
    fastest = min(seconds, key=lambda name: seconds[name])
    _remember(file, {"form": fastest, "seconds": seconds})
    return fastest


def _key(half: Half, shape: tuple[int, ...], batch_size: int, learning: bool) -> str:
    what = (
        processor_name(),
        torch.get_num_threads(),
        torch.__version__,
        half.forms(),
        str(half),
        shape,
        batch_size,
        learning,
    )
    return hashlib.sha256(repr(what).encode()).hexdigest()[:16]


def _remembered(file: Path) -> str:
    try:
        answer = read_json(file)
    except RunDamaged:  # missing or not readable: measure again
        return ""
    form = answer.get("form") if isinstance(answer, dict) else None
    return form if isinstance(form, str) else ""


def _remember(file: Path, answer: dict[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, answer)
    except OSError:
        pass  # a cache that can't be written costs a tenth of a second at each start only


def _seconds(half: Half, shape: tuple[int, ...], batch_size: int, learning: bool) -> dict[str, float]:
    """The least time of each form. They are measured in turn, so that a slow moment affects both."""
    halves = {form: copy.deepcopy(half).use(form) for form in half.forms()}
    x = torch.linspace(0, 1, batch_size * prod(shape)).view(batch_size, *shape)
    x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
    seconds = dict.fromkeys(halves, float("inf"))
    for _ in range(ROUNDS):
        for form, each in halves.items():
            began = time.perf_counter()
            with torch.set_grad_enabled(learning):
                y = each(x)
                if learning:
                    torch.autograd.grad(y.sum(), list(each.parameters()))
            seconds[form] = min(seconds[form], time.perf_counter() - began)
    return seconds
