"""A pair of ONNX files: a folder with encoder.onnx and decoder.onnx."""

from typing import Any

from latens.adapters.contract import Adapted, Adapter, folder_of
from latens.models.onnx_pair import OnnxPair, onnx_function

__all__ = ["ADAPTER"]

FILES = ("encoder.onnx", "decoder.onnx")


def _adapt(model: Any) -> Adapted:
    folder = folder_of(model, *FILES)
    assert folder is not None
    pair = OnnxPair(*((folder / file).read_bytes() for file in FILES))
    encode, decode = onnx_function(FILES[0], pair.encoder), onnx_function(FILES[1], pair.decoder)
    return Adapted(encode, decode, folder.resolve().name, pair=pair)


ADAPTER = Adapter(
    "a folder with encoder.onnx and decoder.onnx", lambda model: folder_of(model, *FILES) is not None, _adapt
)
