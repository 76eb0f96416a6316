"""Tables of columns as files for spreadsheets and data frames: CSV and Parquet."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.errors import MissingExtra, UsageError

__all__ = [
    "as_csv",
    "as_parquet",
    "check_parquet",
    "is_whole_parquet",
    "no_formula",
    "parquet_columns",
    "parquet_library",
    "parquet_rows",
]

FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # what formulas begin with
# That read and write Parquet; the first that is installed does. A damaged file ends the process of polars 2.1.
LIBRARIES = ("pyarrow", "polars")
PARQUET = b"PAR1"  # what a Parquet file begins and ends with
END = 8  # bytes: the length of the description before them, and PARQUET


def as_csv(columns: Mapping[str, NDArray[Any]]) -> bytes:
    r"""A line of names and one line a row, in UTF-8. Numbers are written so that they read back the same; NaN is an empty cell.

    Args:
        columns: by name, (N,) each, of numbers or texts.

    >>> as_csv({"id": np.array(["a"]), "x": np.array([0.5])})
    b'id,x\na,0.5\n'
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(map(no_formula, columns))
    table.writerows(zip(*map(_cells, columns.values()), strict=True))
    return text.getvalue().encode()


def no_formula(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: an apostrophe goes before a text that begins like one.

    Names of files and tags may come from others. Source: OWASP, CSV Injection.

    >>> no_formula("=1+1"), no_formula("a.png"), no_formula(-1)
    ("'=1+1", 'a.png', -1)
    """
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell


def _cells(column: NDArray[Any]) -> list[Any]:
    # float32 by its own digits: 0.1 and not 0.10000000149011612.
    if column.dtype.kind == "f":
        return ["" if v != v else str(v) for v in column]
    return [no_formula(cell) for cell in column.tolist()]


def parquet_library() -> str | None:
    """The installed library that writes Parquet; None where there is none."""
    for name in LIBRARIES:
        try:
            import_module(name)
        except ImportError:
            continue
        return name
    return None


def check_parquet() -> None:
    """Check that a library is there that writes Parquet.

    Raises:
        MissingExtra: there is none.
    """
    if parquet_library() is None:
        raise MissingExtra('a .parquet file needs polars or pyarrow: pip install "latens[parquet]"')


def is_whole_parquet(path: str | os.PathLike[str]) -> bool:
    """Whether a Parquet file is there up to its end, where its description stands; its rows are not read."""
    try:
        with open(path, "rb") as file:
            begin, size = file.read(len(PARQUET)), file.seek(0, os.SEEK_END)
            if size < len(PARQUET) + END:
                return False
            file.seek(-END, os.SEEK_END)
            length, end = int.from_bytes(file.read(END - len(PARQUET)), "little"), file.read()
    except FileNotFoundError:
        return False
    return begin == end == PARQUET and length <= size - len(PARQUET) - END


def parquet_rows(path: str | os.PathLike[str]) -> int:
    """How many rows a Parquet file has; only its description is read.

    Raises:
        MissingExtra: neither polars nor pyarrow is installed.
    """
    check_parquet()
    if parquet_library() == "polars":
        import polars

        return int(polars.scan_parquet(os.fspath(path)).select(polars.len()).collect().item())
    from pyarrow import parquet

    return int(parquet.read_metadata(path).num_rows)


def parquet_columns(path: str | os.PathLike[str], names: Sequence[str] | None) -> dict[str, NDArray[Any]]:
    """Columns of a Parquet file that `as_parquet` wrote: numbers and texts (N,), lists of fixed size (N, D).

    Args:
        path: the file.
        names: of the columns that are read; None reads their names alone, and gives empty columns.

    Raises:
        MissingExtra: neither polars nor pyarrow is installed.
    """
    check_parquet()
    if parquet_library() == "polars":
        import polars

        if names is None:
            return {name: np.empty(0) for name in polars.read_parquet_schema(os.fspath(path))}
        frame = polars.read_parquet(os.fspath(path), columns=list(names))
        return {name: frame[name].to_numpy() for name in names}
    from pyarrow import parquet, types

    if names is None:
        return {name: np.empty(0) for name in parquet.read_schema(path).names}
    table = parquet.read_table(path, columns=list(names))
    found = {}
    for name in names:
        column = table[name].combine_chunks()
        lists = types.is_fixed_size_list(column.type)
        flat = (column.flatten() if lists else column).to_numpy(zero_copy_only=False)
        found[name] = flat.reshape(len(column), column.type.list_size) if lists else flat
    return found


def as_parquet(columns: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """The same table as a Parquet file.

    Args:
        columns: as for `as_csv`; also (N, D), whose rows become lists of fixed size.
        metadata: of the file, texts by name.

    Raises:
        UsageError: neither polars nor pyarrow is installed.
    """
    library = parquet_library()
    file = io.BytesIO()
    if library == "polars":
        import polars

        frame = polars.DataFrame({name: _plain(column) for name, column in columns.items()})
        frame.write_parquet(file, metadata=dict(metadata) if metadata else None)
    elif library == "pyarrow":
        from pyarrow import parquet, table

        made = table({name: _arrow(column) for name, column in columns.items()})
        parquet.write_table(made.replace_schema_metadata(dict(metadata or {})), file)
    else:
        raise UsageError("Parquet needs polars or pyarrow: `pip install polars`, or save the table as CSV")
    return file.getvalue()


def _arrow(column: NDArray[Any]) -> Any:
    """A column as pyarrow takes it; rows of numbers as lists of fixed size."""
    if column.ndim == 1:
        return _plain(column)
    from pyarrow import FixedSizeListArray, array

    return FixedSizeListArray.from_arrays(array(np.ascontiguousarray(column).reshape(-1)), column.shape[1])


def _plain(column: NDArray[Any]) -> Any:
    """Texts as a list, which both libraries take; numbers as they are."""
    return column.tolist() if column.dtype.kind in "UO" else np.ascontiguousarray(column)
