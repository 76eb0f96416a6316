"""Parquet with a column of images, as Hugging Face writes it: a struct of `bytes` and `path`, or bytes alone.

The other columns are the images' table. A column whose type is `ClassLabel` in the schema's metadata has the names of its
classes; several files `train-…`, `test-…`, `validation-…` are the parts.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from latens.errors import ImagesDamaged, ImagesError, MissingExtra
from latens.images.arrays import refuse_labels
from latens.images.contract import Dataset
from latens.images.packed_rows import PackedRow, first_images, part_of, plain_values, write_rows
from latens.images.plan import Options, Plan
from latens.images.unpacked import files_of, plan_unpacked, read_unpacked
from latens.text import listed

__all__ = ["PARQUET", "SUFFIXES", "ParquetSource", "of_files", "plan_of_files"]

SUFFIXES = (".parquet", ".pq")
ROWS = 256  # at a time: pictures are in memory while they are written


class ParquetSource:
    """A Parquet file with images, or a folder of nothing but such files."""

    def accepts(self, source: Any) -> bool:
        """Whether it is one of these, by the names alone."""
        return isinstance(source, str | os.PathLike) and bool(_files(Path(source)))

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set.

        Raises:
            MissingExtra: pyarrow is not installed.
            ImagesError: a file can't be read, or has no column of images.
        """
        path = Path(source).absolute()
        return of_files(path, path.stem, _files(path), options)

    def plan(self, source: Any, options: Options) -> Plan:
        """As of a folder."""
        path = Path(source).absolute()
        return plan_of_files(path, path.stem, _files(path), options)


PARQUET = ParquetSource()


def of_files(source: Path | str, name: str, files: Sequence[Path], options: Options) -> Dataset:
    """The data set of several Parquet files with images."""
    refuse_labels(options, str(source))
    return read_unpacked(source, name, files, lambda folder: _unpack(files, folder), options)


def plan_of_files(source: Path | str, name: str, files: Sequence[Path], options: Options) -> Plan:
    """Its plan, see `Source.plan`."""
    refuse_labels(options, str(source))
    return plan_unpacked(source, name, files, lambda folder: _unpack(files, folder), options)


def _files(path: Path) -> list[Path]:
    return files_of(path, SUFFIXES)


def _unpack(files: Sequence[Path], folder: Path) -> None:
    """Write the images of all files as files, and a table of their other columns."""
    write_rows(folder, (row for file in files for row in _rows_of(file, several=len(files) > 1)))


def _rows_of(file: Path, several: bool) -> Iterator[PackedRow]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise MissingExtra(f'{file}: images in Parquet need pyarrow: pip install "latens[parquet]"') from None
    stem, part = f"{file.stem}-" if several else "", part_of(file.stem)
    try:
        opened = parquet.ParquetFile(file)
        schema = opened.schema_arrow
        image, names = _image_column(file, schema), _class_names(schema.metadata or {})
        rows = (row for batch in opened.iter_batches(batch_size=ROWS) for row in batch.to_pylist())
        for number, row in enumerate(rows):
            content = _bytes_of(file, row.pop(image), number)
            yield PackedRow(f"{stem}{number:07}", content, part, plain_values(row, names))
    except (ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0][:100]
        raise ImagesDamaged(f"{file}: not readable as Parquet ({reason}); save or get the file again") from None


def _image_column(file: Path, schema: Any) -> str:
    """The name of the column of images."""
    found: list[str] = [field.name for field in schema if _holds_images(field.type)]
    if not found:
        raise ImagesError(
            f"{file}: no column of images among {listed([field.name for field in schema])}; one of bytes, or of a struct of bytes"
            " and path, is needed. A table about images beside them goes with a folder: table=… (--table)"
        )
    return first_images(found)


def _holds_images(kind: Any) -> bool:
    from pyarrow import types

    def is_bytes(one: Any) -> bool:
        return bool(types.is_binary(one) or types.is_large_binary(one))

    if types.is_struct(kind):
        fields = [kind.field(number) for number in range(kind.num_fields)]
        return any(field.name == "bytes" and is_bytes(field.type) for field in fields)
    return is_bytes(kind)


def _bytes_of(file: Path, value: Any, row: int) -> bytes:
    content = value.get("bytes") if isinstance(value, dict) else value
    if content is None:
        raise ImagesError(f"{file}: row {row} has no bytes of an image; embed the images when you save the file")
    return bytes(content)


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """The names of the classes of each column that is a `ClassLabel`, as Hugging Face stores them in the schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: [str(one) for one in kind["names"]]
            for name, kind in features.items()
            if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" and "names" in kind
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
