"""A run's results in the formats of other tools."""

from typing import TYPE_CHECKING

from latens.tables import lazy_names

if TYPE_CHECKING:
    from latens.exports.anndata_file import as_anndata as as_anndata
    from latens.exports.anndata_file import write_anndata as write_anndata
    from latens.exports.latents_file import write_latents as write_latents
    from latens.exports.onnx_detector import write_onnx_detector as write_onnx_detector
    from latens.exports.onnx_pair import write_onnx as write_onnx
    from latens.exports.programs import write_programs as write_programs

_HOMES = {
    "as_anndata": "anndata_file",
    "write_anndata": "anndata_file",
    "write_latents": "latents_file",
    "write_onnx": "onnx_pair",
    "write_onnx_detector": "onnx_detector",
    "write_programs": "programs",
}

__all__ = ["as_anndata", "write_anndata", "write_latents", "write_onnx", "write_onnx_detector", "write_programs"]

__getattr__ = lazy_names(__name__, _HOMES)
