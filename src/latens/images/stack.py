"""One file of many images: a TIFF of pages, z-slices or frames, a FITS cube, a DICOM or an animation of frames."""

import contextlib
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from latens.errors import ImagesError
from latens.images.cache import cached_dataset
from latens.images.contract import Dataset
from latens.images.decode import look_at
from latens.images.folder import plan_file
from latens.images.kinds import is_picture
from latens.images.plan import Options, Plan
from latens.text import shown

__all__ = ["STACK", "StackSource"]


class StackSource:
    """A file with several images, each of which counts with `pages="all"`."""

    def accepts(self, source: Any) -> bool:
        """Whether it is an image file with more than one page."""
        if not isinstance(source, str | os.PathLike) or not os.path.isfile(source):
            return False
        path = Path(source)
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return is_picture(str(path), path.name) and look_at(path).pages > 1
        return False

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, from the cache where it was decoded before.

        Raises:
            ImagesError: not all pages were asked for, or they can't be used.
        """
        path = Path(source).absolute()
        if options.pages != "all":
            look = look_at(path)
            raise ImagesError(
                f"{path}: one file of {look.pages} {look.word}; to make each an image: pages='all' (--pages all)"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            return cached_dataset(path, [path], options, lambda: self.plan(path, options))

    def plan(self, source: Any, options: Options) -> Plan:
        """The pages as one part, in their order."""
        path = Path(source).absolute()
        plan = plan_file(path, options)
        parts = tuple(replace(part, where=str(path)) for part in plan.parts)
        return replace(plan, name=shown(path.stem), source=str(path), parts=parts)


STACK = StackSource()
