"""The device: its choice, its name, threads, seeds and denormal numbers."""

import os
import platform
import threading
import time
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
    "seeded_weights",
    "yielding_threads",
]

DEVICES = ("auto", "cpu", "cuda", "mps")
# Most images, and most pixels, in a batch without training; layers hold up to ten times as many numbers as there are pixels.
READING = {"cuda": (1 << 14, 1 << 24)}
READING_ELSEWHERE = (1000, 1 << 20)
BUSY = 0.5  # processors that others use, from which on threads should not spin
SAMPLE, MEMORY_OF_LOAD = 0.05, 30.0  # seconds: the shortest time over which load is measured, and the longest


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
    """The device as text, with the processor's or the card's name."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return f"mps ({platform.processor() or platform.machine()})"
    return f"cpu ({processor_name()}, {torch.get_num_threads()} threads)"


def processor_name() -> str:
    """The name of the processor; on Linux from /proc/cpuinfo."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or os.name


def generator(*numbers: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator that depends only on some non-negative numbers, always equally many, such as (seed, epoch)."""
    import numpy as np

    (seed,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(seed) & (2**63 - 1))


@contextmanager
def seeded_weights(seed: int) -> Iterator[None]:
    """Weights made inside depend on the seed alone; what the user has set for torch neither matters nor changes."""
    default = torch.get_default_dtype()
    # Of all generators only the CPU's is seeded: `torch.manual_seed` would seed those of every device.
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad(), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


def images_at_once(image_shape: tuple[int, int, int], device: torch.device | str = "cpu") -> int:
    """Number of images (C, H, W) in a batch without training: enough to use the device, few enough for the memory.

    >>> images_at_once((1, 28, 28)), images_at_once((1, 28, 28), "cuda")
    (1000, 16384)
    """
    images, pixels = READING.get(torch.device(device).type, READING_ELSEWHERE)
    return max(1, min(images, pixels // prod(image_shape)))


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as zero inside; afterwards the setting is what it was.

    Adam's decaying moments of weights that see only black pixels become denormal, and each costs a hundred cycles.
    """
    before = _flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _flushes_denormals() -> bool:
    """Whether this thread treats denormal numbers as zero; torch can set that, but not say it."""
    return not bool(torch.full((), 1e-40, dtype=torch.float32, device="cpu").mul(1).double().ne(0))


@contextmanager
def yielding_threads() -> Iterator[None]:
    """On a busy machine, let OpenMP's threads sleep soon while they wait for each other; afterwards all is as it was.

    A thread that waits spins 300,000 times before it sleeps, and takes the processor from those it waits for where other
    programs run too. GNU's OpenMP spins 1,000 times only while it has more threads than there are processors, also where the
    additional ones sleep. So a second team of threads is started here, which does nothing. The threads that compute are as many
    as before, and results are the same bits (docs/decisions/0004-waiting-threads.md).

    Nothing is done where the user has chosen a policy (`OMP_WAIT_POLICY`, `GOMP_SPINCOUNT`), where torch has one thread, or where
    the system does not tell how busy it is.
    """
    chosen = any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"))
    threads = torch.get_num_threads()
    if chosen or threads < 2 or _LOAD.of_others() < BUSY:
        yield
        return
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    done = threading.Event()
    # A team has one thread of its own and those that it starts; two teams of all processors are always more.
    teams = [_IdleTeam(threads, done) for _ in range(-(-processors // (threads - 1)))]
    try:
        for team in teams:
            team.started.wait()
        yield
    finally:
        done.set()
        for team in teams:
            team.join()


class _IdleTeam(threading.Thread):
    """A thread that lets OpenMP start a team for it, and keeps the team until it is done."""

    def __init__(self, threads: int, done: threading.Event) -> None:
        super().__init__(name="latens idle team", daemon=True)
        self.threads, self.done, self.started = threads, done, threading.Event()
        self.start()

    def run(self) -> None:
        try:
            torch.zeros(self.threads << 15, device="cpu").add_(1)  # enough for every thread to get a part
        finally:
            self.started.set()
        self.done.wait()


class _Load:
    """How many processors other processes keep busy, as Linux counts it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.last: tuple[float, float] | None = None  # when, and the seconds of others until then
        self.answer = 0.0

    def of_others(self) -> float:
        """The mean since the last call, or over a twentieth of a second where that was long ago; 0 where it is not known."""
        with self.lock:
            now = self._others()
            if now is None:
                return 0.0
            if self.last is None or now[0] - self.last[0] > MEMORY_OF_LOAD:
                self.last = now
                time.sleep(SAMPLE)
                now = self._others() or now
            if now[0] - self.last[0] >= SAMPLE:
                self.answer = (now[1] - self.last[1]) / (now[0] - self.last[0])
                self.last = now
            return self.answer

    @staticmethod
    def _others() -> tuple[float, float] | None:
        try:
            words = Path("/proc/stat").read_text().split(maxsplit=9)
            user, nice, system, _, _, irq, softirq, steal = (int(word) for word in words[1:9])
            seconds = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError):
            return None
        own = os.times()
        return time.monotonic(), seconds - own.user - own.system


_LOAD = _Load()
