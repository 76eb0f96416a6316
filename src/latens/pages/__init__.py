"""Shared code of all pages: templates with automatic escaping, the page around the chapters, and the style.

`page.html` is the frame, `elements.html` holds the macros, `tokens.css` the colours and fonts (the explorer's page has it too),
`page.css` the style of the report and of the comparison.
"""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from latens.text import number, seconds_in_words

if TYPE_CHECKING:
    # The explorer takes only the colours from here, and its first picture does not wait for templates.
    from jinja2 import Environment

__all__ = ["clean", "style", "templates", "tokens"]

HERE = Path(__file__).parent
# What HTML allows in no text: control characters, surrogates (undecodable file names hold them), non-characters.
_LAST_TWO = "".join(chr(plane << 16 | 0xFFFE) + chr(plane << 16 | 0xFFFF) for plane in range(17))
_FORBIDDEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_LAST_TWO}]")


def clean(value: object) -> object:
    """Text without the characters that HTML does not allow; HTML and all else as it is."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _FORBIDDEN.sub("\ufffd", value)


@cache
def templates(folder: Path) -> "Environment":
    """The templates of a folder and the shared ones. All values are escaped, except those that are marked as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Any] = {"number": number, "seconds_in_words": seconds_in_words, "with_code": _with_code}
    environment.filters.update(filters)
    return environment


def _with_code(text: str) -> Markup:
    """A sentence with what stands between backticks as code."""
    forms = Markup("{}"), Markup("<code>{}</code>")
    parts = (forms[i % 2].format(clean(part)) for i, part in enumerate(text.split("`")))
    return Markup("").join(parts)


def tokens() -> str:
    """The colours of all pages, light and dark, as CSS."""
    return (HERE / "tokens.css").read_text(encoding="utf-8")


def style() -> str:
    """The style of the report and of the comparison, as CSS."""
    return tokens() + (HERE / "page.css").read_text(encoding="utf-8")
