"""Latents as a Parquet file, which polars, pandas, DuckDB and Hugging Face's `datasets` read."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from latens.computed.in_parts import run_facts
from latens.files import atomic_write
from latens.runs import Run
from latens.runs.tables import latent_columns
from latens.sheets import as_parquet, check_parquet

__all__ = ["class_names_of", "write_latents"]


def write_latents(run: Run, arrays: Mapping[str, NDArray[Any]], path: str | os.PathLike[str]) -> None:
    """Write latents as Parquet: one row an image, see `latent_columns`; a latent is a list of D float32 of fixed size.

    Args:
        run: whose model encoded them; it is named in the file's metadata: `latens.run`, `latens.fingerprint` (of its images),
            `latens.weights` (SHA-256 of its weights, where it has some), `latens.model`, `latens.latent_shape`, `latens.version`.
        arrays: of `encode_source`, or `run.latents`.
        path: the file.

    Raises:
        MissingExtra: neither polars nor pyarrow is installed.
    """
    check_parquet()
    metadata = {f"latens.{name}": value for name, value in run_facts(run).items()}
    atomic_write(path, as_parquet(latent_columns(arrays, class_names_of(arrays, run)), metadata))


def class_names_of(arrays: Mapping[str, NDArray[Any]], run: Run) -> Sequence[str]:
    """The names of the labels of some latents: their own, or those of the run."""
    return arrays["class_names"].tolist() if "class_names" in arrays else run.class_names
