"""Latents as an .h5ad file, which anndata and scanpy read."""

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latens.computed.in_parts import run_facts
from latens.errors import MissingExtra
from latens.exports.latents_file import class_names_of
from latens.files import atomic_write
from latens.runs import Run
from latens.runs.tables import latent_columns
from latens.text import natural_key

__all__ = ["as_anndata", "check_anndata", "write_anndata"]


def write_anndata(run: Run, arrays: Mapping[str, NDArray[Any]], path: str | os.PathLike[str]) -> None:
    """Write latents as .h5ad, see `as_anndata`.

    Args:
        run: whose model encoded them.
        arrays: of `encode_source`, or `run.latents`.
        path: the file.

    Raises:
        MissingExtra: anndata is not installed.
    """
    made = as_anndata(run, arrays)
    import h5py
    from anndata.io import write_elem

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        write_elem(file, "/", made)
    atomic_write(path, content.getvalue())


def as_anndata(run: Run, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Latents as an `anndata.AnnData`.

    `X` is float32 (N, D); `obs` holds `label` (categories), `part`, `squared_error` and the images' own columns, by the ids of
    the images; `uns["latens"]` names the run, the fingerprint of its images, the SHA-256 of its weights, its model and the
    version of latens.

    Args:
        run: whose model encoded them.
        arrays: of `encode_source`, or `run.latents`.

    Raises:
        MissingExtra: anndata is not installed.
    """
    check_anndata()
    import anndata
    import pandas

    columns = latent_columns(arrays, class_names_of(arrays, run))
    latents, ids = columns.pop("latent"), columns.pop("id")
    # Texts as objects: pandas has a type of its own for them, which anndata 0.12 does not write.
    index = pandas.Index(_texts(ids), dtype=object)
    frame: dict[str, Any] = {}
    for name, column in columns.items():
        known = _key(name)
        known = f"{known} {len(frame)}" if known in frame else known
        if name in ("label", "part"):
            categories = pandas.Index(sorted(set(_texts(column)), key=natural_key), dtype=object)
            frame[known] = pandas.Categorical(_texts(column), categories=categories)
        elif column.dtype.kind in "UO":
            frame[known] = pandas.Series(_texts(column), index=index, dtype=object)
        else:
            frame[known] = column
    names = [f"latent{number}" for number in range(latents.shape[1])]
    return anndata.AnnData(
        latents,
        obs=pandas.DataFrame(frame, index=index),
        var=pandas.DataFrame(index=pandas.Index(names, dtype=object)),
        uns={"latens": run_facts(run)},
    )


def check_anndata() -> None:
    """Check that anndata is there.

    Raises:
        MissingExtra: it is not.
    """
    try:
        import anndata  # noqa: F401
    except ImportError:
        raise MissingExtra('an .h5ad file needs anndata: pip install "latens[anndata]"') from None


def _key(name: str) -> str:
    """The name of a column in HDF5, where / divides groups and anndata has one name of its own."""
    plain = _text(name).replace("/", "_")
    return f"column:{plain}" if plain == "_index" else plain


def _texts(column: NDArray[Any]) -> NDArray[Any]:
    texts = np.empty(len(column), dtype=object)
    texts[:] = [_text(value) for value in column.tolist()]
    return texts


def _text(value: Any) -> str:
    """A text as HDF5 holds it: without zero bytes and what is no Unicode."""
    return str(value).replace("\0", "").encode("utf-8", "replace").decode()
