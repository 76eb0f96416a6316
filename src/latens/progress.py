"""Progress of long work: a bar in a terminal, a line every few seconds elsewhere, nothing for programs.

Functions that take long get a `Progress` and call it with numbers; how these are shown is decided here.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from latens.text import shown_lines

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

__all__ = ["Lines", "Progress", "Silent", "Terminal", "Tick", "helper_number", "progress_for"]

Tick = Callable[..., None]  # (done, total, text="")
SECONDS_BETWEEN_LINES = 5.0


class Progress(Protocol):
    """Base class that receives the progress of long work."""

    def say(self, text: str) -> None:
        """Print a line that stays."""

    def stage(self, title: str, unit: str = "") -> AbstractContextManager[Tick]:
        """A context manager; its value is called with (done, total, text) while the stage runs."""


class Silent:
    """Shows nothing, for programs and tests."""

    def say(self, text: str) -> None:
        """Print nothing."""

    @contextmanager
    def stage(self, title: str, unit: str = "") -> Iterator[Tick]:
        """A context manager; its value may be called with (done, total, text)."""
        yield lambda done, total, text="": None


class Lines:
    """For a stream that is not a terminal: a line every few seconds while a stage runs, and one when it ends."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def say(self, text: str) -> None:
        """Print the line."""
        print(shown_lines(text), file=self.stream, flush=True)

    @contextmanager
    def stage(self, title: str, unit: str = "") -> Iterator[Tick]:
        """Print (done, total, text) at most every few seconds."""
        began = shown = time.monotonic()
        last = ""
        first: tuple[int, float] | None = None  # resumed work does not start at 0

        def tick(done: int, total: int, text: str = "") -> None:
            nonlocal shown, last, first
            last, now = text, time.monotonic()
            first = first or (done, now)
            if now - shown >= SECONDS_BETWEEN_LINES and done < total:
                shown = now
                count = f"{title}: {done:,} of {total:,} {unit}".rstrip()
                left = f"{(now - first[1]) / (done - first[0]) * (total - done):.0f} s left" if done > first[0] else ""
                self.say("  ".join(part for part in (count, text, left) if part))

        yield tick
        self.say(f"{title}: done in {time.monotonic() - began:.1f} s  {last}".rstrip())


class Terminal:
    """Bars with time left, drawn by rich."""

    def say(self, text: str) -> None:
        """Print the line above the bars."""
        from rich.console import Console

        Console(stderr=True, highlight=False).print(shown_lines(text), markup=False)

    @contextmanager
    def stage(self, title: str, unit: str = "") -> Iterator[Tick]:
        """A bar; it stays when the stage is done."""
        with _bars() as bars:
            task = bars.add_task(title, total=None, text="")

            def tick(done: int, total: int, text: str = "") -> None:
                bars.update(task, completed=done, total=total, text=text)

            yield tick
            total = next(t.total for t in bars.tasks if t.id == task)
            bars.update(task, completed=total or 1, total=total or 1)


def _bars() -> "RichProgress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def helper_number() -> int:
    """The number of this process among those that torchrun has started; 0 for the one that speaks, and for a process alone."""
    return int(os.environ.get("RANK", "0")) if "TORCHELASTIC_RUN_ID" in os.environ else 0


def progress_for(stream: TextIO | None = None) -> Progress:
    """The progress for a stream (stderr by default): bars in a terminal, lines elsewhere, nothing from a helper."""
    if helper_number():
        return Silent()
    stream = stream or sys.stderr
    return Terminal() if stream.isatty() else Lines(stream)
