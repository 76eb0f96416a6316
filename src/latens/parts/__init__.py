"""Tables of very many images in parts: one Parquet file for so many rows, written by any number of processes or by a cluster."""

from typing import TYPE_CHECKING

from latens.tables import Table, lazy_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from latens.parts.contract import Made as Made
    from latens.parts.contract import Work as Work
    from latens.parts.folder import PartsFolder as PartsFolder
    from latens.parts.shares import Share as Share
    from latens.parts.shares import share_of_process as share_of_process
    from latens.parts.writing import WrittenParts as WrittenParts
    from latens.parts.writing import write_parts as write_parts

__all__ = ["ENGINES", "ROWS", "Made", "PartsFolder", "Share", "Work", "WrittenParts", "share_of_process", "write_parts"]

ROWS = 10_000  # images of a part

ENGINES: "Table[Callable[[PartsFolder, Sequence[int]], Iterator[Made]]]" = Table(
    "engine", {"here": "latens.parts.folder:made_here", "ray": "latens.parts.on_ray:made_on_ray"}
)
"""Name -> function that makes parts by their numbers; "here" is this process."""

# The command line reads the names of the engines; that must not import numpy.
__getattr__ = lazy_names(
    __name__,
    {
        "Made": "contract",
        "PartsFolder": "folder",
        "Share": "shares",
        "Work": "contract",
        "WrittenParts": "writing",
        "share_of_process": "shares",
        "write_parts": "writing",
    },
)
