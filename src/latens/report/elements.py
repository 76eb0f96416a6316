"""The pieces of HTML that pages written in Python are made of; the templates have the same as macros of elements.html."""

import base64
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from latens.errors import RunDamaged
from latens.pages import HERE, clean, templates

__all__ = ["details", "esc", "figure", "paragraphs", "table"]

SCROLLS = 760  # pixels, the width from which a figure is moved sideways on a telephone
READABLE = 0.72  # of its width, below which the text of a wide figure could not be read
_PNG = b"\x89PNG\r\n\x1a\n"


def _macro(name: str) -> Callable[..., Markup]:
    module: Any = templates(HERE).get_template("elements.html").module
    macro: Callable[..., Markup] = getattr(module, name)
    return macro


def esc(text: object) -> str:
    """Text that is safe in HTML and in a double-quoted attribute.

    >>> esc('<b>&"')
    '&lt;b&gt;&amp;&#34;'
    """
    return str(escape(clean(str(text))))


def paragraphs(*texts: str) -> str:
    """Each text as a paragraph; empty ones are left out. The texts are escaped here."""
    return "".join(_macro("paragraph")(text) for text in texts)


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]], css: str = "") -> str:
    """A table in a box that scrolls by itself when it is too wide.

    Args:
        caption: what is in it; escaped here.
        headings: of the columns; escaped here.
        rows: cells as HTML; the first of each row is the row's heading.
        css: a class for it.
    """
    return str(_macro("table")(caption, headings, [[Markup(cell) for cell in row] for row in rows], css or "plain"))


def details(summary: str, content: str) -> str:
    """Something to unfold. The content is HTML."""
    return str(_macro("unfold")(summary, caller=lambda: Markup(content)))


def figure(path: Path, name: str, alt: str, caption: str) -> Markup:
    """A PNG, embedded, with its size so that the page does not jump, its alternative text and its caption.

    Raises:
        RunDamaged: the file is missing or not a PNG.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise RunDamaged(f"{path}: the figure is missing") from None
    if not content.startswith(_PNG) or len(content) < 24:
        raise RunDamaged(f"{path}: not a PNG")
    width, height = struct.unpack(">II", content[16:24])
    data, place = base64.b64encode(content).decode("ascii"), re.sub("[^a-z0-9-]", "-", name.lower())
    least = round(READABLE * width) if width > SCROLLS else 0
    return _macro("figure")(data, width, height, place, name, alt, caption, least)
