"""Latents of very many images in parts, see `latens.parts`."""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from numpy.typing import NDArray

from latens.computed.encoding import encode_given
from latens.computed.given_images import GivenImages
from latens.computed.in_parts import WorkOnImages
from latens.exports.latents_file import class_names_of
from latens.parts import ROWS, Share, WrittenParts, write_parts
from latens.progress import Progress
from latens.runs import Run
from latens.runs.tables import latent_columns

__all__ = ["encode_in_parts"]


class LatentsOfImages(WorkOnImages):
    """The shard function of encoding, see `encode_in_parts`."""

    holds: ClassVar[str] = "latents"

    def __init__(self, run: Run, source: Any, part: str, reading: Mapping[str, Any]) -> None:
        super().__init__(run, GivenImages(run, source, part, **reading), reading, part)

    def table(self, rows: range) -> Mapping[str, NDArray[Any]]:
        """See `latent_columns`."""
        arrays = encode_given(self.run, self.given, rows)
        return latent_columns(arrays, class_names_of(arrays, self.run))


def encode_in_parts(
    run: Run,
    source: Any,
    folder: str | os.PathLike[str],
    part: str = "all",
    *,
    share: Share | None = None,
    rows: int = ROWS,
    engine: str = "here",
    progress: Progress | None = None,
    **reading: Any,
) -> WrittenParts:
    """Encode images into `latents-NNNNN-of-NNNNN.parquet`, each of so many images in the source's order.

    Args:
        run: whose model encodes.
        source: as for `encode_source`.
        folder: made where it is not there.
        part: as for `encode_source`.
        share: which of the parts this process writes, see `latens.parts.write_parts`.
        rows: images of a part.
        engine: who writes them, a name of `latens.parts.ENGINES`.
        progress: shows the progress.
        **reading: as for `encode_source`.

    Raises:
        UsageError: rows below 1; or as `encode_source`.
        RunError: the folder holds parts of other weights, images, options or versions of latens.
        MissingExtra: neither polars nor pyarrow is installed, or what the engine needs is not.
        ImagesError: the images can't be read.
    """
    work = partial(LatentsOfImages, run, source, part, reading)
    return write_parts(work, folder, share=share, rows=rows, engine=engine, progress=progress)
