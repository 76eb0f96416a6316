"""The device: which one, what it is called, threads, seeds, and denormal numbers."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import torch

from latens.errors import DeviceUnavailable, UsageError

__all__ = [
    "DEVICES",
    "choose_device",
    "describe_device",
    "flushed_denormals",
    "generator",
    "images_at_once",
    "processor_name",
]

DEVICES = ("auto", "cpu", "cuda", "mps")
# Images, and pixels, that a network reads at once; its layers hold up to ten times as many numbers as there are pixels.
READING = {"cuda": (1 << 14, 1 << 24)}
READING_ELSEWHERE = (1000, 1 << 20)


def choose_device(name: str = "auto") -> torch.device:
    """The device to work on.

    Args:
        name: `"auto"` takes CUDA, then MPS, then the CPU; `"cpu"`, `"cuda"` (or `"cuda:1"`), `"mps"` that one.

    Raises:
        UsageError: there is no device of that name.
        DeviceUnavailable: this machine or this build of torch does not have it.
    """
    kind = name.partition(":")[0]
    if kind not in DEVICES:
        raise UsageError(f"unknown device {name!r}; known: {', '.join(DEVICES)}")
    if kind == "auto":
        kind = name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[kind]:
        raise DeviceUnavailable(
            f"device {name!r} is not available to torch {torch.__version__} here; use --device auto or cpu"
        )
    return torch.device(name)


def describe_device(device: torch.device) -> str:
    """The device in words, with the processor's or the card's name."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return f"mps ({platform.processor() or platform.machine()})"
    return f"cpu ({processor_name()}, {torch.get_num_threads()} threads)"


def processor_name() -> str:
    """The processor's name as the system tells it; Linux hides it in a file."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or os.name


def generator(*numbers: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator that is a pure function of some non-negative numbers, such as (seed, epoch), always as many."""
    import numpy as np

    (seed,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(seed) & (2**63 - 1))


def images_at_once(image_shape: tuple[int, int, int], device: torch.device | str = "cpu") -> int:
    """How many images (C, H, W) a network that only reads takes at once: enough to be busy, few enough for the memory.

    >>> images_at_once((1, 28, 28)), images_at_once((1, 28, 28), "cuda")
    (1000, 16384)
    """
    images, pixels = READING.get(torch.device(device).type, READING_ELSEWHERE)
    return max(1, min(images, pixels // prod(image_shape)))


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as zero inside.

    Adam's decaying moments of weights that see only black pixels become denormal, and each costs a hundred cycles.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
