"""The figures of a page: a PNG of any size as HTML. The other pieces of pages are macros of pages/elements.html."""

import base64
import re
import struct
from pathlib import Path
from typing import Any

from markupsafe import Markup

from latens.errors import RunDamaged
from latens.pages import HERE, templates

__all__ = ["embedded", "figure", "least_width"]

TELEPHONE = 360  # pixels, the width of a small one
SCROLLS = 760  # pixels, the width from which a figure is moved sideways on a telephone
READABLE = 0.72  # of its width, at which letters of 7.5 points are 9 pixels high
_PNG = b"\x89PNG\r\n\x1a\n"


def least_width(width: int, small_letters: bool) -> int:
    """The least width of a figure on the page, in pixels; 0 if it may shrink to the width of a telephone.

    Args:
        width: of the figure.
        small_letters: see `FigureEntry`.
    """
    least = round(READABLE * width)
    return least if width > SCROLLS or (small_letters and least > TELEPHONE) else 0


def figure(path: Path, name: str, alt: str, caption: str, small_letters: bool = False) -> Markup:
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
    return embedded(content, name, alt, caption, small_letters)


def embedded(content: bytes, name: str, alt: str, caption: str, small_letters: bool = False) -> Markup:
    """The same of the bytes of a PNG."""
    width, height = struct.unpack(">II", content[16:24])
    data, place = base64.b64encode(content).decode("ascii"), re.sub("[^a-z0-9-]", "-", name.lower())
    least = least_width(width, small_letters)
    module: Any = templates(HERE).get_template("elements.html").module
    found: Markup = module.figure(data, width, height, place, name, alt, caption, least)
    return found
