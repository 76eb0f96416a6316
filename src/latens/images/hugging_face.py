"""Hugging Face's `Dataset`, `IterableDataset` and dicts of them, with a column of images: what their Parquet files would be.

Their images are written as files into the cache, one at a time, so that a stream of any length takes no memory. They are found
again by their content: an object has no file by which the cache could know it.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from latens.errors import ImagesError
from latens.files import cache_folder
from latens.images.arrays import refuse_labels
from latens.images.contract import Dataset
from latens.images.folder import FOLDER
from latens.images.folder_parts import read_name
from latens.images.opening import open_regular
from latens.images.packed_rows import PackedRow, first_images, plain_values, write_rows
from latens.images.plan import Options, Plan
from latens.images.unpacked import publish, unfinished_folder
from latens.text import shown

__all__ = ["HUGGING_FACE", "HuggingFaceSource"]

NUMBERS_AND_TEXT = ("Value", "ClassLabel")  # features whose values fit into a table


class HuggingFaceSource:
    """A data set of the package `datasets`, or a dict of them by split."""

    def accepts(self, source: Any) -> bool:
        """Whether all of it are such data sets. One without a column of images, or with a transform, is read by its samples."""
        parts = list(source.values()) if isinstance(source, Mapping) else [source]
        return bool(parts) and all(map(_is_ours, parts))

    def read(self, source: Any, options: Options) -> Dataset:
        """The data set; where it comes from is an object, so a run keeps its images.

        Raises:
            ImagesError: a stream does not say which column holds images, or a row has no image.
        """
        folder = _written(source, options)
        dataset: Dataset = FOLDER.read(folder, options)
        return replace(dataset, source="array")

    def plan(self, source: Any, options: Options) -> Plan:
        """As of a folder."""
        return replace(FOLDER.plan(_written(source, options), options), source="array")


HUGGING_FACE = HuggingFaceSource()


def _is_ours(part: Any) -> bool:
    datasets = sys.modules.get("datasets")  # who has such an object has imported it
    if datasets is None:
        return False
    if isinstance(part, datasets.IterableDataset):
        return True
    if not isinstance(part, datasets.Dataset) or part.format["type"] == "custom":
        return False
    return bool(_image_columns(part.features))


def _image_columns(features: Mapping[str, Any]) -> list[str]:
    return [name for name, kind in features.items() if _kind(kind) == "Image"]


def _kind(feature: Any) -> str:
    return str(getattr(feature, "_type", ""))  # as in the schema of its Parquet files


def _written(source: Any, options: Options) -> Path:
    """The folder of its images in the cache."""
    refuse_labels(options, f"the {type(source).__name__}")
    entries = cache_folder() / "unpacked"
    first = next(iter(source.values())) if isinstance(source, Mapping) else source
    name = shown(getattr(first.info, "dataset_name", None) or "dataset").replace("/", "-").replace("\\", "-").strip(".")
    with unfinished_folder(entries) as unfinished:
        folder = unfinished / (name or "dataset")
        folder.mkdir()
        entry = entries / f"rows-{write_rows(folder, _rows(source))[:32]}"
        if not entry.is_dir():
            publish(unfinished, entry)
    return entry / folder.name


def _rows(source: Any) -> Iterator[PackedRow]:
    if not isinstance(source, Mapping):
        yield from _rows_of(source, "", "")
        return
    kinds = {name: read_name(str(name)) for name in source}
    unknown = [name for name, kind in kinds.items() if kind is None]
    if unknown:
        raise ImagesError(
            f"splits {', '.join(shown(name) for name in source)}; train, test and validation are known: give one of them"
        )
    for name, part in source.items():
        kind = kinds[name]
        yield from _rows_of(part, kind.kind if kind is not None else "", f"{name}-")


def _rows_of(part: Any, kind: str, start: str) -> Iterator[PackedRow]:
    import datasets

    features = part.features
    if not features:
        raise ImagesError(
            f"the {type(part).__name__} does not say what its columns are; say it: dataset.cast(datasets.Features(…)), or"
            " map(…, features=…)"
        )
    images = _image_columns(features)
    if not images:
        raise ImagesError(
            f"the {type(part).__name__} has no column of images among {', '.join(map(shown, features))}; say which one is:"
            " dataset.cast_column(NAME, datasets.Image())"
        )
    image = first_images(images)
    others = [name for name, feature in features.items() if _kind(feature) in NUMBERS_AND_TEXT]
    names = {name: list(features[name].names) for name in others if _kind(features[name]) == "ClassLabel"}
    plain = part.with_format(None).select_columns([image, *others]).cast_column(image, datasets.Image(decode=False))
    try:
        for number, row in enumerate(plain):
            content = _bytes_of(row.pop(image), f"row {number} of the {type(part).__name__}")
            yield PackedRow(f"{start}{number:07}", content, kind, plain_values(row, names))
    except OSError as error:  # of a stream; what the writer of the rows raises does not come here
        raise ImagesError(f"the {type(part).__name__} can't be read on ({shown(error)}); try again later") from None


def _bytes_of(value: Mapping[str, Any] | None, where: str) -> bytes:
    """The file of an image: its bytes, or what lies at its path, which may be an address."""
    content, path = (value.get("bytes"), value.get("path")) if value else (None, None)
    if content is not None:
        return bytes(content)
    if not path:
        raise ImagesError(f"{where}: no image; leave such rows out: dataset.filter(…)")
    try:
        if "://" in path:
            import fsspec  # which `datasets` needs itself

            with fsspec.open(path, "rb") as remote:
                return bytes(remote.read())
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise ImagesError(f"{where}: {shown(path)} can't be read ({error.strerror or shown(error)})") from None
