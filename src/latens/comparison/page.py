"""compare.html: the comparison as one self-contained page."""

from latens.comparison.cells import Sheet
from latens.comparison.result import Comparison
from latens.files import atomic_write
from latens.progress import Progress
from latens.report.elements import esc, table
from latens.report.page import lay_out

__all__ = ["write_page"]


def write_page(compared: Comparison, progress: Progress) -> None:
    """Draw the figures and write compare.html into the comparison's folder.

    Args:
        compared: with at least one complete run.
        progress: shows how far it is.
    """
    chapters = [("tables", "The scores", "".join(_table(sheet) for sheet in compared.sheets()))]
    text = lay_out("Comparison", "", "", chapters)
    atomic_write(compared.path / "compare.html", text.encode("utf-8"))


def _table(sheet: Sheet) -> str:
    rows = [
        [f"<strong>{esc(c)}</strong>" if (i, j) in sheet.best else esc(c) for j, c in enumerate(cells)]
        for i, cells in enumerate(sheet.rows)
    ]
    return table(sheet.title, sheet.headings, rows)
