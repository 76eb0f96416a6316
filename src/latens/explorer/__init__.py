"""The explorer: a local web page on which a run's images are a map, and any point of the map is decoded.

`explore` opens it, `watch` shows a run while it trains, `answer` asks one of its routes without a server, `write_html` makes one
file of it that works offline.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latens.explorer.app import create_app as create_app
    from latens.explorer.exploring import answer as answer
    from latens.explorer.exploring import explore as explore
    from latens.explorer.exploring import watch as watch
    from latens.explorer.one_file import write_html as write_html
    from latens.explorer.view import View as View

_HOMES = {
    "View": "view",
    "answer": "exploring",
    "create_app": "app",
    "explore": "exploring",
    "watch": "exploring",
    "write_html": "one_file",
}

__all__ = ["View", "answer", "create_app", "explore", "watch", "write_html"]


def __getattr__(name: str) -> object:
    # A program that only trains needs no web server.
    if name in _HOMES:
        return getattr(import_module(f"latens.explorer.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
