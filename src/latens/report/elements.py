"""The pieces of HTML that a report is made of. Everything that comes from outside goes through `esc`."""

import base64
import html
import re
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from latens.errors import RunDamaged

__all__ = ["details", "esc", "facts", "figure", "paragraphs", "table"]

# What HTML allows in no text: control characters, surrogates (undecodable file names hold them), non-characters.
_LAST_TWO = "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
_FORBIDDEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_LAST_TWO}]")
SCROLLS = 760  # pixels, the width from which a figure is moved sideways on a telephone
_WHOLE_LINE = ' class="whole-line"'
_PNG = b"\x89PNG\r\n\x1a\n"


def esc(text: object) -> str:
    """Text that is safe in HTML and in a double-quoted attribute.

    >>> esc('<b>&"')
    '&lt;b&gt;&amp;&quot;'
    """
    return html.escape(_FORBIDDEN.sub("\ufffd", str(text)), quote=True)


def paragraphs(*texts: str) -> str:
    """Each text as a paragraph; empty ones are left out. The texts are escaped here."""
    return "".join(f"<p>{esc(text)}</p>\n" for text in texts if text)


def facts(rows: Iterable[tuple[str, object]]) -> str:
    """Names and values, as a description list. Rows without a value are left out."""
    items = "".join(
        f"<div{_WHOLE_LINE * (len(str(v)) > 34)}><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>\n"
        for k, v in rows
        if v not in (None, "")
    )
    return f'<dl class="facts">\n{items}</dl>\n'


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]], css: str = "") -> str:
    """A table in a box that scrolls by itself when it is too wide.

    Args:
        caption: what is in it; escaped here.
        headings: of the columns; escaped here.
        rows: cells as HTML; the first of each row is the row's heading.
        css: a class for it.
    """
    head = "".join(f'<th scope="col">{esc(text)}</th>' for text in headings)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>\n'
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{esc(caption)}"><table class="{css or "plain"}">\n'
        f"<caption>{esc(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def details(summary: str, content: str) -> str:
    """Something to unfold. The content is HTML."""
    return f"<details><summary>{esc(summary)}</summary>\n{content}</details>\n"


def figure(path: Path, name: str, alt: str, caption: str) -> str:
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
    data = base64.b64encode(content).decode("ascii")
    # Not lazily: the picture is in the file already, and printing would find it missing.
    image = (
        f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="{esc(alt)}" loading="eager">'
    )
    if width > SCROLLS:
        least = f"--least: {round(0.72 * width)}px"  # below it the text could not be read
        image = f'<div class="wide" style="{least}" tabindex="0" role="group" aria-label="{esc(name)}">{image}</div>'
    place = re.sub("[^a-z0-9-]", "-", name.lower())
    return f'<figure id="figure-{place}">\n{image}\n<figcaption>{esc(caption)}</figcaption>\n</figure>\n'
