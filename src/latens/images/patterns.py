"""A pattern of file names, such as `photos/**/*.png`: the files that match, in natural order."""

import glob
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from latens.errors import ImagesNotFound
from latens.images.arrays import refuse_labels
from latens.images.cache import cached_dataset
from latens.images.contract import Dataset
from latens.images.folder import plan_files
from latens.images.parquet import SUFFIXES, of_files
from latens.images.plan import Options, Plan
from latens.images.table_of_arrays import with_table
from latens.text import natural_key, shown

__all__ = ["PATTERN", "PatternSource"]


class PatternSource:
    """A pattern with `*`, `?` or `[…]`; `**` is any number of folders. Its images have no classes, unless a table gives them."""

    def accepts(self, source: Any) -> bool:
        """Whether it is a pattern and no file or folder of that very name."""
        return (
            isinstance(source, str | os.PathLike) and glob.has_magic(os.fspath(source)) and not os.path.exists(source)
        )

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, from the cache where it was decoded before.

        Raises:
            ImagesNotFound: nothing matches.
            ImagesError: the files can't be used.
        """
        pattern, files = _matches(source)
        if all(file.suffix.lower() in SUFFIXES for file in files):
            return of_files(pattern, _name(pattern), files, options)
        return cached_dataset(Path(pattern), files, options, lambda: self.plan(source, options))

    def plan(self, source: Any, options: Options) -> Plan:
        """The files as one part."""
        pattern, files = _matches(source)
        refuse_labels(options, pattern)
        root = Path(os.path.commonpath([file.parent for file in files]))
        plan = plan_files([str(file) for file in files], root, options)
        (part,) = plan.parts
        ids = [shown(file.relative_to(root).as_posix()) for file in files]
        part = replace(part, ids=part.ids if len(ids) != len(part.ids) else _unique(ids), where=pattern)
        plan = replace(plan, name=shown(_name(pattern)), source=pattern, parts=(part,))
        return with_table(plan, options, in_order=False)


PATTERN = PatternSource()


def _matches(source: Any) -> tuple[str, list[Path]]:
    """The pattern from the root of the file system, and the files that match it."""
    pattern = os.path.abspath(os.fspath(source))
    found = [Path(file) for file in glob.iglob(pattern, recursive=True) if os.path.isfile(file)]
    if not found:
        raise ImagesNotFound(f"{source}: no file matches this pattern; ** stands for any number of folders")
    return pattern, sorted(found, key=lambda file: natural_key(str(file)))


def _name(pattern: str) -> str:
    """The last folder or file name of a pattern that has no wild card."""
    plain = [part for part in Path(pattern).parts[1:] if not glob.has_magic(part)]
    return plain[-1] if plain else "images"


def _unique(ids: list[str]) -> Any:
    import numpy as np

    return np.array(ids, dtype=str)
