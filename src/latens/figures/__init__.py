"""The pictures: each function draws one figure from arrays and returns a matplotlib `Figure`; `FIGURES` holds them.

matplotlib's objects are used directly, without pyplot: no global state, no display, nothing left open.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from latens.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from latens.figures.canvas import png_bytes, save_png

__all__ = ["FIGURES", "png_bytes", "save_png"]

FIGURES: "Table[Callable[..., Figure]]" = Table(
    "figure",
    {
        "loss": "latens.figures.curves:loss",
        "loss-all": "latens.figures.curves:loss_all",
        "reconstructions": "latens.figures.pictures:reconstructions",
        "worst": "latens.figures.pictures:worst",
        "review": "latens.figures.findings:review",
        "class-errors": "latens.figures.bars:class_errors",
        "map": "latens.figures.maps:latent_map",
        "probe": "latens.figures.probes:probe",
        "probe-noise": "latens.figures.probes:probe_noises",
        "probe-map": "latens.figures.maps:probe_map",
        "network": "latens.figures.networks:network",
        "samples": "latens.figures.pictures:samples",
        "path": "latens.figures.interpolations:path",
        "traversals": "latens.figures.interpolations:traversals",
        "arithmetic": "latens.figures.interpolations:arithmetic",
    },
    group="figures",
)


def __getattr__(name: str) -> object:
    # The command line reads the names of the figures; that must not cost the import of matplotlib.
    if name in {"png_bytes", "save_png"}:
        from latens.figures import canvas

        return getattr(canvas, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
