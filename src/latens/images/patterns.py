"""A pattern of file names, such as `photos/**/*.png` or `train-{0000..0123}.tar`: the files that match, in natural order."""

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latens.errors import ImagesNotFound, UsageError
from latens.images.archives import TAR, of_archives, plan_of_archives
from latens.images.arrays import refuse_labels
from latens.images.cache import cached_dataset
from latens.images.contract import Dataset
from latens.images.folder import plan_files
from latens.images.parquet import SUFFIXES, of_files, plan_of_files
from latens.images.plan import Options, Plan
from latens.images.table_of_arrays import with_table
from latens.text import listed, natural_key, shown

__all__ = ["PATTERN", "PatternSource", "expanded", "is_pattern"]

BRACES = re.compile(r"\{([^{}]*)\}")
RANGE = re.compile(r"(\d{1,12})\.\.(\d{1,12})")
MOST = 100_000  # names that braces stand for


class PatternSource:
    """A pattern with `*`, `?` or `[…]`; `**` is any number of folders; braces are ranges or lists, as WebDataset has them.

    Parquet files and .tar are read as the folder that holds nothing else is. Image files have no classes, unless a table gives
    them.
    """

    def accepts(self, source: Any) -> bool:
        """Whether it is a pattern and no file or folder of that very name."""
        return isinstance(source, str | os.PathLike) and is_pattern(os.fspath(source)) and not os.path.exists(source)

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set, from the cache where it was decoded before.

        Raises:
            ImagesNotFound: nothing matches.
            ImagesError: the files can't be used.
        """
        pattern, files = _matches(source)
        if _all_are(files, SUFFIXES):
            return of_files(pattern, _name(pattern), files, options)
        if _all_are(files, TAR):
            return of_archives(pattern, _name(pattern), files, options)
        return cached_dataset(Path(pattern), files, options, lambda: self.plan(source, options))

    def plan(self, source: Any, options: Options) -> Plan:
        """The files as one part."""
        pattern, files = _matches(source)
        if _all_are(files, SUFFIXES):
            return plan_of_files(pattern, _name(pattern), files, options)
        if _all_are(files, TAR):
            return plan_of_archives(pattern, _name(pattern), files, options)
        refuse_labels(options, pattern)
        root = Path(os.path.commonpath([file.parent for file in files]))
        plan = plan_files([str(file) for file in files], root, options)
        (part,) = plan.parts
        ids = [shown(file.relative_to(root).as_posix()) for file in files]
        part = replace(part, ids=part.ids if len(ids) != len(part.ids) else _unique(ids), where=pattern)
        plan = replace(plan, name=shown(_name(pattern)), source=pattern, parts=(part,))
        return with_table(plan, options, in_order=False)


PATTERN = PatternSource()


def is_pattern(text: str) -> bool:
    """Whether a name stands for several.

    >>> is_pattern("a/*.png"), is_pattern("a-{00..07}.tar"), is_pattern("{a,b}.tar"), is_pattern("{a}.tar")
    (True, True, True, False)
    """
    return glob.has_magic(text) or any(_meant(found[1]) for found in BRACES.finditer(text))


def _meant(inside: str) -> bool:
    return "," in inside or RANGE.fullmatch(inside) is not None


def expanded(pattern: str) -> list[str]:
    """The names or patterns that braces stand for, as a shell has them.

    Raises:
        UsageError: they are more than `MOST`.

    >>> expanded("a-{08..10}.tar"), expanded("{a,b}/{1..2}")
    (['a-08.tar', 'a-09.tar', 'a-10.tar'], ['a/1', 'a/2', 'b/1', 'b/2'])
    """
    made, waiting = [], [pattern]
    while waiting:
        one = waiting.pop()
        braces = next((found for found in BRACES.finditer(one) if _meant(found[1])), None)
        if braces is None:
            made.append(one)
        else:
            words = _words(braces[1], pattern)
            waiting += [f"{one[: braces.start()]}{word}{one[braces.end() :]}" for word in reversed(words)]
        if len(made) + len(waiting) > MOST:
            raise UsageError(f"{shown(pattern)}: stands for more than {MOST:,} names; give the folder")
    return made


def _words(inside: str, pattern: str) -> list[str]:
    ends = RANGE.fullmatch(inside)
    if ends is None:
        return inside.split(",")
    first, last = int(ends[1]), int(ends[2])
    if abs(last - first) >= MOST:
        raise UsageError(f"{shown(pattern)}: stands for more than {MOST:,} names; give the folder")
    # One end with leading zeros makes all names as long.
    width = max(map(len, ends.groups())) if any(end[0] == "0" and len(end) > 1 for end in ends.groups()) else 0
    step = 1 if last >= first else -1
    return [str(number).zfill(width) for number in range(first, last + step, step)]


def _all_are(files: Sequence[Path], endings: Sequence[str]) -> bool:
    return all(file.name.lower().endswith(tuple(endings)) for file in files)


def _matches(source: Any) -> tuple[str, list[Path]]:
    """The pattern from the root of the file system, and the files that match it."""
    pattern = os.path.abspath(os.fspath(source))
    found: set[str] = set()
    missing = []
    for one in expanded(pattern):
        those = [file for file in glob.iglob(one, recursive=True) if os.path.isfile(file)]
        found.update(those)
        if not those and not glob.has_magic(one):
            missing.append(one)
    if missing:
        raise ImagesNotFound(f"{source}: {len(missing)} of its files are not there: {listed(missing, 3)}")
    if not found:
        raise ImagesNotFound(f"{source}: no file matches this pattern; ** stands for any number of folders")
    return pattern, [Path(file) for file in sorted(found, key=natural_key)]


def _name(pattern: str) -> str:
    """The last folder or file name of a pattern that has no wild card."""
    plain = [part for part in Path(pattern).parts[1:] if not is_pattern(part)]
    return plain[-1] if plain else "images"


def _unique(ids: list[str]) -> Any:
    import numpy as np

    return np.array(ids, dtype=str)
