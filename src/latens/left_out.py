"""The one place where a failed figure, map, score or chapter is caught, said and recorded, so that the run goes on.

A run has done its work once the model is trained and the images are encoded. What follows is optional: each part is tried by
itself, and one that fails is left out with its reason, for any kind of error.
"""

import errno
import os
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType

from latens.errors import LatensError, lacks_memory

__all__ = ["DEBUG", "LeftOut", "reason_of"]

DEBUG = "LATENS_DEBUG"  # the environment variable with which the traceback is shown too
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def reason_of(error: Exception) -> str:
    """Why something failed, in one line. An error that latens does not know is named, so that it is not lost."""
    if isinstance(error, LatensError):
        return _one_line(str(error))
    if lacks_memory(error):
        return "not enough memory"
    text = _one_line(str(error))
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _one_line(text: str) -> str:
    return " ".join(text.split())


class LeftOut:
    """Tries optional parts, and keeps the reason of each that failed.

    Args:
        say: called with one line for each failure.

    Errors that pass through: KeyboardInterrupt and SystemExit (a person ends the run), and a full or read-only disk, since
    then nothing can be recorded either. A lack of memory is caught: what needs too much is left out, the rest is not.

    >>> left = LeftOut()
    >>> with left.attempt("figure map"):
    ...     raise ValueError("no points")
    >>> left.reasons
    {'figure map': 'ValueError: no points'}
    """

    def __init__(self, say: Callable[[str], object] | None = None) -> None:
        self.say = say or (lambda text: None)
        self.tried: set[str] = set()
        self.reasons: dict[str, str] = {}

    def attempt(self, what: str) -> "_Attempt":
        """A context for one part: an exception in it is caught, said and kept.

        Args:
            what: the part, such as `"figure map"`; the key of its reason.
        """
        self.tried.add(what)
        return _Attempt(self, what)

    def added_to(self, before: Mapping[str, str]) -> dict[str, str]:
        """The reasons of an earlier record, less those of parts that were tried again, with those of now."""
        return {what: reason for what, reason in before.items() if what not in self.tried} | self.reasons


class _Attempt:
    def __init__(self, left: LeftOut, what: str) -> None:
        self.left, self.what = left, what

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception) or (isinstance(error, OSError) and error.errno in NO_ROOM):
            return False
        reason = reason_of(error)
        self.left.reasons[self.what] = reason
        known = isinstance(error, LatensError) or lacks_memory(error)
        self.left.say(f"left out: {self.what}: {reason}" + ("" if known else f" ({DEBUG}=1 shows the traceback)"))
        if os.environ.get(DEBUG):
            self.left.say("".join(traceback.format_exception(error)))
        return True
