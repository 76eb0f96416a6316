"""Shared code of all figures: the white sheet, its text, and the PNG file."""

import io
import os
import textwrap
from functools import lru_cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

from latens.files import atomic_write

__all__ = [
    "DPI",
    "INK",
    "MUTED",
    "TEXT",
    "TITLE",
    "WIDTH",
    "fit",
    "font",
    "letter",
    "new_figure",
    "pixel_axes",
    "png_bytes",
    "printable",
    "renderer_of",
    "save_png",
    "shorten",
    "soften",
    "width_of",
    "wrap",
]

DPI = 120
# Of a figure with text in it. A telephone shows it at half its size, where the smallest text, TEXT, is nine pixels high.
WIDTH = 720
TEXT, TITLE = 11, 13  # points
INK = "#1f2328"
MUTED = "#5f6772"

# Names of pictures come in every script; DejaVu, which matplotlib ships, has no Chinese, Japanese or Korean.
FALLBACKS = (
    "Noto Sans CJK KR",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Apple SD Gothic Neo",
    "Hiragino Sans",
    "PingFang SC",
    "Malgun Gothic",
    "Yu Gothic",
    "Microsoft YaHei",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
)


def new_figure(width: float, height: float) -> Figure:
    """A white figure without global state.

    Args:
        width: in pixels of the saved picture.
        height: in pixels of the saved picture.
    """
    figure = _Shown(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def renderer_of(figure: Figure) -> RendererAgg:
    """The renderer that measures text on a figure made by `new_figure`."""
    assert isinstance(figure.canvas, FigureCanvasAgg)
    canvas: Any = figure.canvas  # matplotlib leaves this method untyped
    renderer: RendererAgg = canvas.get_renderer()
    return renderer


def pixel_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given in pixels from the upper left corner, so that a picture of that size is shown 1:1."""
    total_width, total_height = figure.get_size_inches() * figure.dpi
    box = (left / total_width, 1 - (top + height) / total_height, width / total_width, height / total_height)
    return figure.add_axes(box)


def letter(figure: Figure, x: float, y: float, text: str, size: float = 9, **style: Any) -> Text:
    """Write text at a place given in pixels from the upper left corner; `y` is its upper edge unless `va` says other.

    Args:
        figure: the sheet.
        x: pixels from the left.
        y: pixels from the top.
        text: shown as it is: a `$` starts no formula.
        size: in points.
        style: more properties of a matplotlib Text.
    """
    total_width, total_height = figure.get_size_inches() * figure.dpi
    weight = style.pop("weight", "normal")
    settings = {"va": "top", "ha": "left", "color": INK, "parse_math": False, "linespacing": 1.3, **style}
    place = (x / total_width, 1 - y / total_height)
    return figure.text(*place, printable(text), fontproperties=font(size, weight), **settings)


def soften(axes: Axes) -> None:
    """Quiet axes: thin grey frame on two sides, small grey numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#aab1ba")
    axes.tick_params(which="both", labelsize=TEXT, color="#aab1ba", labelcolor=MUTED)


@lru_cache
def _families() -> tuple[str, ...]:
    known = set(fontManager.get_font_names())
    return ("DejaVu Sans", *(name for name in FALLBACKS if name in known))


def font(size: float, weight: str = "normal") -> FontProperties:
    """The lettering of all figures: DejaVu Sans, then what the system has for other scripts."""
    return FontProperties(family=list(_families()), size=size, weight=weight)


@lru_cache
def _glyphs() -> frozenset[int]:
    return frozenset().union(*(get_font(findfont(FontProperties(family=name))).get_charmap() for name in _families()))


def printable(text: str) -> str:
    """The text with white space made plain (line breaks stay) and a box for each character that no font here has."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join("".join(c if ord(c) in _glyphs() else "□" for c in line) for line in lines)


def shorten(text: str, length: int) -> str:
    """At most `length` characters: the middle goes, because file names differ at both ends.

    >>> shorten("holiday/2019/IMG_0001.jpg", 15)
    'holiday…001.jpg'
    """
    text = " ".join(text.split())
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def wrap(text: str, width: int, lines: int = 2) -> str:
    """The text in at most some lines of at most `width` characters."""
    parts = textwrap.wrap(" ".join(text.split()), max(width, 2), max_lines=lines, placeholder="…")
    return "\n".join(parts)


def fit(text: str, width: float, size: float = TEXT, lines: int = 1) -> str:
    """The text in at most some lines that are at most so many pixels wide; what is too long loses its middle.

    Args:
        text: a name, or a sentence; a line is broken where it is full, near there at a space or behind a path's / if it can be.
        width: in pixels.
        size: of the letters, in points.
        lines: at most.
    """
    text = printable(" ".join(text.split()))
    length = len(text)
    while length > 1:
        parts = _broken(text if length == len(text) else shorten(text, length), width, size)
        if len(parts) <= lines:
            return "\n".join(parts)
        length = min(length - 1, int(0.97 * length))
    return text[:1]


def _broken(text: str, width: float, size: float) -> list[str]:
    parts = []
    while text:
        wide, most = 0.0, 0
        while most < len(text) and (wide := wide + _advance(text[most]) * size) <= width:
            most += 1
        most = max(most, 1)
        if most < len(text):
            place = max(text.rfind(" ", 0, most + 1), text.rfind("/", 0, most) + 1)
            most = place if place > 0.6 * most else most
        parts.append(text[:most].strip())
        text = text[most:].strip()
    return parts


def width_of(text: str, size: float) -> float:
    """How many pixels wide a line of text is, without kerning, which is about a pixel."""
    return sum(_advance(character) for character in text) * size


@lru_cache(maxsize=4096)
def _advance(character: str) -> float:
    """Pixels that a character takes for each point of size."""
    measure: Any = renderer_of(_ruler())  # matplotlib leaves the method untyped; False: "$" starts no formula
    with_it, without = (
        measure.get_text_width_height_descent(text, font(30), False)[0] for text in (f"|{character}|", "||")
    )
    return float(with_it - without) / 30


@lru_cache(maxsize=1)
def _ruler() -> Figure:
    return new_figure(DPI, DPI)


class _Shown(Figure):
    """A figure that a notebook shows; of a plain one it shows the name alone, unless pyplot was imported."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self)


def png_bytes(figure: Figure) -> bytes:
    """The figure as PNG: the same bytes for the same figure, since nothing in it tells the time or the program."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def save_png(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write the figure to a PNG file, whole or not at all."""
    atomic_write(path, png_bytes(figure))
