"""The explorer: a local web page on which a run's images are a map, and any point of the map is decoded.

`explore` opens it, `watch` shows a run while it trains, `answer` asks one of its routes without a server, `write_html` makes one
file of it that works offline.
"""

from typing import TYPE_CHECKING

from latens.tables import lazy_names

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


# A program that only trains needs no web server.
__getattr__ = lazy_names(__name__, _HOMES)
