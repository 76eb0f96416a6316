"""The figures. `FIGURES[name](arrays)` draws any arrays and returns a matplotlib `Figure`; `draw` draws one of a run.

A new figure is one file with a `FigureEntry` (see `latens.figures.contract`) and one line of the table.
matplotlib's objects are used directly, without pyplot: no global state, no display, nothing left open.
"""

import warnings
from typing import TYPE_CHECKING

from latens.errors import PluginError
from latens.tables import Table, lazy_names

if TYPE_CHECKING:
    from latens.figures.canvas import png_bytes, save_png
    from latens.figures.contract import FigureEntry

__all__ = ["DEFAULT_PALETTE", "FIGURES", "PALETTES", "png_bytes", "save_png", "usable_figures"]

FIGURES: "Table[FigureEntry]" = Table(
    "figure",
    {
        "contact-sheet": "latens.figures.pictures:CONTACT_SHEET",
        "network": "latens.figures.networks:NETWORK",
        "loss": "latens.figures.curves:LOSS",
        "loss-all": "latens.figures.curves:LOSS_ALL",
        "reconstructions": "latens.figures.pictures:RECONSTRUCTIONS",
        "channels": "latens.figures.channels:CHANNEL_ROWS",
        "worst": "latens.figures.pictures:WORST",
        "class-errors": "latens.figures.bars:CLASS_ERRORS",
        "map": "latens.figures.maps:MAP",
        "probe": "latens.figures.probes:PROBE",
        "probe-noise": "latens.figures.probes:PROBE_NOISE",
        "probe-map": "latens.figures.maps:PROBE_MAP",
        "samples": "latens.figures.pictures:SAMPLES",
        "path": "latens.figures.interpolations:PATH",
        "traversals": "latens.figures.interpolations:TRAVERSALS",
        "arithmetic": "latens.figures.interpolations:ARITHMETIC",
        "review": "latens.figures.findings:REVIEW",
    },
    group="figures",
)
"""Name -> `FigureEntry`. A chapter of the report shows its figures in this order."""


PALETTES: dict[str, tuple[str, ...]] = {
    "distinct": (
        "#42abf7",
        "#af1505",
        "#7800e7",
        "#f68713",
        "#827e6d",
        "#b752b8",
        "#e5440e",
        "#8c28a2",
        "#7575ff",
        "#20615b",
    ),
    "notebook": (
        "#fe7c73",
        "#2471a3",
        "#3498db",
        "#27ae60",
        "#82e0aa",
        "#d35400",
        "#5d6d7e",
        "#e74c3c",
        "#21618c",
        "#b7950b",
    ),
}
"""Name -> ten colours, ordered so that the first few differ as much as possible; "notebook" is the reference experiment's."""


DEFAULT_PALETTE = "distinct"


def usable_figures() -> "dict[str, FigureEntry]":
    """All entries of `FIGURES`, but for plug-ins that can't be loaded, of which a warning tells."""
    found: dict[str, FigureEntry] = {}
    for name in FIGURES:
        try:
            found[name] = FIGURES[name]
        except PluginError as error:
            warnings.warn(str(error), stacklevel=2)
    return found


# The command line reads the names of the figures; that must not import matplotlib.
__getattr__ = lazy_names(__name__, {"png_bytes": "canvas", "save_png": "canvas"})
