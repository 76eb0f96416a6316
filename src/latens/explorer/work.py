"""The long-running work of the explorer and its progress, for a page that waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager

from latens.progress import Progress, Tick

__all__ = ["Both", "Work"]


class Work:
    """A `latens.progress.Progress` that can be read: the stages under way, over all threads."""

    def __init__(self) -> None:
        self._stages: dict[str, tuple[int, int]] = {}

    def say(self, text: str) -> None:
        """Say nothing: there is no terminal to say it on."""

    @contextmanager
    def stage(self, title: str, unit: str = "") -> Iterator[Tick]:
        """A context whose value is called with (done, total, text) as the stage goes on."""

        def tick(done: int, total: int, text: str = "") -> None:
            self._stages[title] = (int(done), int(total))

        self._stages[title] = (0, 0)
        try:
            yield tick
        finally:
            self._stages.pop(title, None)

    def as_json(self) -> list[dict[str, str | int]]:
        """The stages under way; `total` is 0 until it is known."""
        return [{"title": title, "done": done, "total": total} for title, (done, total) in list(self._stages.items())]


class Both:
    """A `latens.progress.Progress` that tells two others."""

    def __init__(self, first: Progress, second: Progress) -> None:
        self.first, self.second = first, second

    def say(self, text: str) -> None:
        """Tell both."""
        self.first.say(text)
        self.second.say(text)

    @contextmanager
    def stage(self, title: str, unit: str = "") -> Iterator[Tick]:
        """A stage of both."""
        with self.first.stage(title, unit) as one, self.second.stage(title, unit) as other:

            def tick(done: int, total: int, text: str = "") -> None:
                one(done, total, text)
                other(done, total, text)

            yield tick
