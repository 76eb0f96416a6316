"""Where answers and errors are printed: any encoding, a reader that has gone away, a full disk."""

import codecs
import json
import os
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any, TextIO

from latens.text import shown, shown_lines

__all__ = ["Output"]

# What stands for a character that the terminal's encoding lacks; any other is shown as a backslash escape.
PLAIN = {
    **{"↑": "^", "↓": "v", "→": "->", "←": "<-", "×": "x", "…": "...", "·": "-", "•": "*"},
    **dict.fromkeys("–—−─━╴╶╸╺", "-"),
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("‘’", "'"),
}
HANDLER = "latens-plain"


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text), error.end


class Output:
    """Standard output and standard error of one command. As a context it makes both print in any encoding.

    Args:
        as_json: whether the answer is printed as JSON.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self._errors: list[tuple[TextIO, str]] = []

    def __enter__(self) -> "Output":
        codecs.register_error(HANDLER, _plain)
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure") and not _is_unicode(stream):
                self._errors.append((stream, stream.errors or "strict"))
                stream.reconfigure(errors=HANDLER)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Say that standard output can't be written, if that is what happened."""
        broken = isinstance(error, OSError) and self.is_broken_by(error)
        if broken:
            assert isinstance(error, OSError)
            _silence(sys.stdout)
            self.say(f"latens: standard output: {error.strerror or error}")
        for stream, errors in self._errors:
            with suppress(ValueError, OSError):
                stream.reconfigure(errors=errors)  # type: ignore[attr-defined]  # checked above
        return broken

    def is_broken_by(self, error: OSError) -> bool:
        """Whether an error came from printing the answer."""
        return getattr(error, "_of_output", False)

    def answer(self, result: Any, text: str) -> None:
        """Print what a command answers, as JSON or as text."""
        # Escapes of JSON are read back as what they stand for; those of another kind are not.
        self._print(
            json.dumps(result, indent=2, ensure_ascii=not _is_unicode(sys.stdout))
            if self.as_json
            else shown_lines(text)
        )

    def fail(self, message: str, kind: str) -> int:
        """Say what is wrong: one line on standard error, and where JSON was asked for, JSON on standard output. Returns 2."""
        if self.as_json:
            self._print(json.dumps({"error": message, "kind": kind}, ensure_ascii=not _is_unicode(sys.stdout)))
        self.say(f"latens: {shown(message)}")
        return 2

    def say(self, text: str) -> None:
        """Print a line on standard error; if that is closed, nothing."""
        with suppress(OSError, ValueError):
            print(text, file=sys.stderr, flush=True)

    def _print(self, text: str) -> None:
        try:
            print(text, flush=True)
        except OSError as error:
            error._of_output = True  # type: ignore[attr-defined]  # tells it from an error of the command's own files
            raise


def _is_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("_", "-").startswith("utf")


def _silence(stream: TextIO) -> None:
    """Send the rest to nowhere: the interpreter flushes once more when it ends, and would print a traceback."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
