"""Names, lists, numbers and sizes in text that people read: safe for a terminal, one line each.

File names come from unknown sources: one can hold a line break, a code that clears the screen, or bytes that are no UTF-8.
Every message, note and suggested command shows names through this file.
"""

import math
import re
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Iterable

__all__ = [
    "bytes_of",
    "bytes_text",
    "counted",
    "listed",
    "natural_key",
    "number",
    "quoted",
    "seconds_in_words",
    "shown",
    "shown_lines",
]

# Marks that turn the direction of writing: they can make a name look like another.
DIRECTIONS = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
UNSAFE = {"Cc", "Cs", "Zl", "Zp"}  # control characters, lone surrogates, separators of lines and paragraphs
NUMBERS = re.compile(r"([0-9]+)")
UNITS = ("B", "kB", "MB", "GB", "TB")


def shown(name: object) -> str:
    r"""A name as it may be printed: control characters and what is not valid Unicode as backslash escapes.

    >>> print(shown("a\x1b[2J b\n"), shown("café 猫"))
    a\x1b[2J b\n café 猫
    """
    text = str(name)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(c) if unicodedata.category(c) in UNSAFE or ord(c) in DIRECTIONS else c for c in text)


def shown_lines(text: str) -> str:
    """A text of several lines as it may be printed: `shown` for each line."""
    return "\n".join(map(shown, text.split("\n")))


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def quoted(name: object) -> str:
    """A file name as one word of a suggested command.

    >>> quoted("photos"), quoted("my photos"), quoted("-x")
    ('photos', "'my photos'", './-x')
    """
    text = str(name)
    if text.startswith("-"):
        text = f"./{text}"
    return shown(subprocess.list2cmdline([text]) if sys.platform == "win32" else shlex.quote(text))


def listed(names: Iterable[object], limit: int = 5) -> str:
    """Names in one line; a list that is cut says how many it leaves out.

    >>> listed("abcd"), listed("abcdefg")
    ('a, b, c, d', 'a, b, c, d, e and 2 more')
    """
    every = [shown(name) for name in names]
    more = f" and {len(every) - limit:,} more" if len(every) > limit else ""
    return ", ".join(every[:limit]) + more


def counted(count: int, singular: str, plural: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "picture"), counted(2000, "picture"), counted(2, "class", "classes")
    ('1 picture', '2,000 pictures', '2 classes')
    """
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def bytes_text(count: float) -> str:
    """A number of bytes in the unit that suits it (1 kB is 1000 bytes).

    >>> bytes_text(0), bytes_text(34_000), bytes_text(2_150_000_000)
    ('0 B', '34.0 kB', '2.1 GB')
    """
    power = 0
    while count >= 999.95 and power < len(UNITS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:.1f} {UNITS[power]}" if power else f"{count:.0f} B"


def bytes_of(text: str) -> int:
    """The bytes of a size with its unit: the other way of `bytes_text`, which also takes units of 1024.

    >>> bytes_of("20MB"), bytes_of("1.5 kB"), bytes_of("2MiB")
    (20000000, 1500, 2097152)

    Raises:
        ValueError: it is no such size.
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kKMGT]?)(i?)B", text.strip())
    if not found or (found[3] and not found[2]) or not float(found[1]):
        raise ValueError(f"{text!r} is not a size with its unit, such as 20MB or 500kB")
    unit: int = (1024 if found[3] else 1000) ** " KMGT".index(found[2].upper() or " ")
    return round(float(found[1]) * unit)


def number(value: float | None) -> str:
    """A number for reading: four significant digits, thousands separated, an en dash for none.

    >>> number(210369), number(0.0023412), number(0.97), number(None), number(1e-7)
    ('210,369', '0.002341', '0.97', '–', '1e-07')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == int(value) or abs(value) >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def seconds_in_words(seconds: float) -> str:
    """A length of time for reading.

    >>> seconds_in_words(20.31), seconds_in_words(192), seconds_in_words(7300)
    ('20.3 s', '3 min 12 s', '2 h 1 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """A key for sorting by which img2 comes before img10, ignoring case and the Unicode form of accents.

    >>> sorted(["img10", "IMG2", "img1"], key=natural_key)
    ['img1', 'IMG2', 'img10']
    """
    folded = unicodedata.normalize("NFC", name).casefold()
    pieces = NUMBERS.split(folded)
    return [(int(piece), "") if piece.isdecimal() and piece.isascii() else (-1, piece) for piece in pieces], name
