"""The latents of images as a table: for data frames and for Parquet files."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.frames import pandas_frame

__all__ = ["COLUMN", "LatentArrays", "latent_columns"]

COLUMN = "column:"  # what the names of a table's columns begin with among the arrays of latents
PARTS = np.array(["train", "test"])


class LatentArrays(dict[str, NDArray[Any]]):
    """The arrays of latents.npz by name, which are also a table.

    Args:
        arrays: `latents` (N, D) and others, (N,) each.
        class_names: of the labels.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], class_names: Sequence[str] = ()) -> None:
        super().__init__(arrays)
        self.class_names = tuple(class_names)

    def columns(self) -> dict[str, NDArray[Any]]:
        """See `latent_columns`; `polars.DataFrame(run.latents.columns())` takes it."""
        return latent_columns(self, self.class_names)

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a column for each number of a latent: `latent0`, `latent1`, …

        Raises:
            MissingExtra: pandas is not installed.
        """
        columns = self.columns()
        latents = columns.pop("latent")
        return pandas_frame(columns | {f"latent{number}": latents[:, number] for number in range(latents.shape[1])})


def latent_columns(arrays: Mapping[str, NDArray[Any]], class_names: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """The columns of a table of latents.

    Args:
        arrays: as `latens encode` and latents.npz have them: `latents` (N, D), `ids`, perhaps `part`, `labels`, `squared_error`
            and `column:NAME`.
        class_names: the names of the labels.

    Returns:
        `id`, `part` ("train" or "test"), `label` (the name of the class), `squared_error`, the images' own columns, and `latent`
        float32 (N, D). An own column whose name is one of these is called `column:NAME`.

    >>> latent_columns({"latents": np.zeros((1, 2)), "ids": np.array(["a"]), "labels": np.array([1])}, ["no", "yes"])["label"]
    array(['yes'], dtype='<U3')
    """
    columns: dict[str, NDArray[Any]] = {"id": np.asarray(arrays["ids"]).astype(str)}
    if "part" in arrays:
        columns["part"] = PARTS[arrays["part"]]
    if "labels" in arrays:
        columns["label"] = np.array(class_names, dtype=str)[arrays["labels"]] if len(class_names) else arrays["labels"]
    if "squared_error" in arrays:
        columns["squared_error"] = np.asarray(arrays["squared_error"])
    for name, column in arrays.items():
        if name.startswith(COLUMN):
            own = name.removeprefix(COLUMN)
            columns[name if own in columns or own == "latent" else own] = np.asarray(column)
    columns["latent"] = np.asarray(arrays["latents"], dtype=np.float32)
    return columns
