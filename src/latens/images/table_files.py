"""Reading a table: CSV of any usual form, TSV, JSON lines, Parquet, a data frame or columns in memory; all of it as text."""

import csv
import hashlib
import io
import itertools
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latens.errors import ImagesNotFound, TableError, UsageError
from latens.images.opening import open_regular
from latens.isolated import isolated
from latens.text import listed, shown

__all__ = ["TABLE_SUFFIXES", "ImageTable", "read_table", "try_by_polars"]

SEPARATORS = (",", ";", "\t", "|", " ")  # of equally good ones the first
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".parquet", ".pq")
DECIMAL = re.compile(r"[+-]?\d*(,\d+)?([eE][+-]?\d+)?")
MEMORY, COPIES = 1 << 30, 20  # bytes that polars may take for a Parquet file: so many, and so many times the file
TRIED = 200  # records that are compared to find the separator
MISSING = {"nan", "nat", "<na>", "none"}  # what libraries make of a value that is not there


@dataclass(frozen=True, eq=False)
class ImageTable:
    """A table of images.

    Args:
        where: the file, or what it was, for messages.
        columns: by their names, each a list of text of one length; "" where there is no value.
        digest: changes when the content does.
        path: the file, or None.
        header: whether its first line was taken as the names of the columns, which may be wrong.
    """

    where: str
    columns: Mapping[str, list[str]]
    digest: str
    path: Path | None = None
    header: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def without_header(self) -> "ImageTable":
        """The same with its first line as values; the columns are called column 1, column 2, …"""
        columns = {f"column {k}": [name, *self.columns[name]] for k, name in enumerate(self.columns, 1)}
        return ImageTable(self.where, columns, self.digest, self.path)


def read_table(source: Any) -> ImageTable:
    """A table from a file, or of objects in memory.

    Args:
        source: a path of .csv, .tsv, .txt, .jsonl or .parquet; a data frame of pandas or polars, a table of pyarrow; a mapping
            of names to columns; or a list of dicts, one a row.

    Raises:
        ImagesNotFound: there is no such file.
        TableError: it can't be read as a table.
        UsageError: a kind of object that is no table.
    """
    if isinstance(source, ImageTable):
        return source
    if isinstance(source, str | os.PathLike):
        return _of_file(Path(source).expanduser())
    columns = _of_object(source)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise TableError(f"the table: columns of different lengths: {listed(f'{n} {k}' for n, k in lengths.items())}")
    return _checked("the table", columns, hashlib.sha256(repr(columns).encode("utf-8", "replace")).hexdigest())


def _checked(where: str, columns: Mapping[str, list[str]], digest: str, path: Path | None = None) -> ImageTable:
    if not columns or not next(iter(columns.values())):
        raise TableError(f"{where}: has no rows; a table has a line of names and one line an image")
    return ImageTable(where, columns, digest, path, header=path is not None and path.suffix.lower() in _TEXT)


_TEXT = (".csv", ".tsv", ".txt")


def _of_file(path: Path) -> ImageTable:
    suffix = path.suffix.lower()
    if suffix not in TABLE_SUFFIXES:
        raise UsageError(f"{path}: not a table by its name; allowed are {', '.join(TABLE_SUFFIXES)}")
    try:
        with open_regular(path) as file:
            content = file.read()
    except FileNotFoundError:
        raise ImagesNotFound(f"{path}: no such table; check the name (table, --table)") from None
    except OSError as error:
        raise TableError(f"{path}: the table can't be opened ({error.strerror or error})") from None
    if suffix in (".parquet", ".pq"):
        columns = _of_parquet(path)
    elif suffix in (".jsonl", ".ndjson"):
        columns = _of_lines_of_json(path, _decoded(path, content))
    else:
        columns = _of_text(path, _decoded(path, content))
    return _checked(str(path), columns, hashlib.sha256(content).hexdigest(), path)


def _decoded(path: Path, content: bytes) -> str:
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise TableError(f"{path}: not a table of text; save it as CSV in UTF-8")


def _of_text(path: Path, text: str) -> dict[str, list[str]]:
    first, _, rest = text.partition("\n")
    told = first.strip().lower()
    if told.startswith("sep=") and len(told) == 5:  # the line that Excel writes
        text, separators = rest, told[4]
    else:
        separators = "".join(SEPARATORS)
    separator = max(separators, key=lambda one: (_fitness(text, one), -separators.index(one)))
    try:
        records = [record for record in _records(text, separator) if any(cell.strip() for cell in record)]
    except csv.Error as error:
        raise TableError(f"{path}: not readable as CSV ({error})") from None
    if not records:
        return {}
    names = _named(records[0])
    for line, record in enumerate(records[1:], 2):
        if len(record) > len(names) and any(cell.strip() for cell in record[len(names) :]):
            raise TableError(
                f"{path}: record {line} has {len(record)} values, the first line {len(names)} names; put values that hold "
                f"the separator {separator!r} into quotes"
            )
    rows = [[*record, *[""] * (len(names) - len(record))] for record in records[1:]]
    columns = {name: [row[k].strip() for row in rows] for k, name in enumerate(names)}
    return columns if separator == "," else {name: _with_points(values) for name, values in columns.items()}


def _with_points(values: list[str]) -> list[str]:
    """Decimal commas as points, in a column that holds nothing else but whole numbers."""
    if not all(DECIMAL.fullmatch(value) for value in values if value):
        return values
    return [value.replace(",", ".") for value in values]


def _records(text: str, separator: str) -> Iterable[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)


def _fitness(text: str, separator: str) -> tuple[bool, float, int]:
    """How well a separator divides a text into columns: whether it does, how evenly, into how many."""
    try:
        some = [record for record in itertools.islice(_records(text, separator), TRIED) if any(record)]
    except csv.Error:
        return False, 0, 0
    width = len(some[0]) if some else 0
    even = sum(len(record) == width for record in some) / max(1, len(some))
    return width > 1 and (separator != " " or even > 0.5), even, width


def _named(cells: Sequence[str]) -> list[str]:
    """Names of columns, each once; an empty one gets its number."""
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = shown(cell.strip()) or f"column {number}"
        names.append(name if name not in names else f"{name} {number}")
    return names


def _of_lines_of_json(path: Path, text: str) -> dict[str, list[str]]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TableError(f"{path}: line {number} is no JSON ({error})") from None
        if not isinstance(row, dict):
            raise TableError(f"{path}: line {number} is no JSON object; each line is one image with its values by name")
        rows.append(row)
    return _of_rows(rows)


def _of_parquet(path: Path) -> dict[str, list[str]]:
    for library, read in (("pyarrow.parquet", "read_table"), ("polars", "read_parquet"), ("pandas", "read_parquet")):
        try:
            module = __import__(library, fromlist=[read])
            if library == "polars":  # damaged files end its process: it asks for the memory that they claim to need
                task = f"{__name__}:try_by_polars"
                isolated(task, os.fspath(path), path=path, memory=MEMORY + COPIES * path.stat().st_size)
            return _of_object(getattr(module, read)(path))
        except ImportError:
            continue
        except BaseException as error:  # each library raises errors of its own; a panic of polars is no Exception
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            reason = str(error).removeprefix(f"{path}: ").partition("\n")[0][:100]
            raise TableError(f"{path}: not readable as Parquet ({reason})") from None
    raise TableError(f"{path}: Parquet needs polars or pyarrow: `pip install polars`, or save the table as CSV")


def try_by_polars(path: str) -> None:
    """Read a Parquet file by polars, in a process that may end by it (`latens.isolated`)."""
    import polars

    polars.read_parquet(path)


def _of_rows(rows: Sequence[Mapping[Any, Any]]) -> dict[str, list[str]]:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    names = _named([str(key) for key in keys])
    return {name: [_as_text(row.get(key)) for row in rows] for name, key in zip(names, keys, strict=True)}


def _of_object(table: Any) -> dict[str, list[str]]:
    if isinstance(table, Mapping):
        named = {str(name): list(values) for name, values in table.items()}
    elif hasattr(table, "column_names") and hasattr(table, "column"):  # pyarrow
        named = {name: table.column(name).to_pylist() for name in table.column_names}
    elif hasattr(table, "columns") and hasattr(table, "__getitem__"):  # pandas, polars
        if hasattr(table, "reset_index") and type(table.index).__name__ != "RangeIndex":
            table = table.reset_index()  # names of files are often the index
        named = {str(name): _column(table[name]) for name in table.columns}
    elif isinstance(table, list | tuple) and table and all(isinstance(row, Mapping) for row in table):
        return _of_rows(table)
    else:
        raise UsageError(
            f"a table of type {type(table).__name__}; allowed are a file, a data frame, a dict of columns or a list of dicts"
        )
    names = _named(list(named))
    return {name: [_as_text(value) for value in values] for name, values in zip(names, named.values(), strict=True)}


def _column(values: Any) -> list[Any]:
    listing: list[Any] = values.to_list() if hasattr(values, "to_list") else list(values)
    return listing


def _as_text(value: Any) -> str:
    if value is None or str(value).lower() in MISSING:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) or (hasattr(value, "dtype") and getattr(value.dtype, "kind", "") == "f"):
        number = float(value)
        return str(int(number)) if math.isfinite(number) and number.is_integer() else repr(number)
    return str(value).strip()
