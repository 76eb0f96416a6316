"""A model stored as two ONNX files, which are data: their operations are those of the ONNX standard, computed by onnxruntime."""

from typing import Any, NamedTuple

import numpy as np
import torch

from latens.errors import MissingExtra, UsageError, lacks_memory
from latens.models.adopted import AdoptedModel, ArrayFunction

__all__ = ["OnnxPair", "model_of_pair", "onnx_function"]

DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}  # of the operations that onnxruntime itself has
MOST_AT_ONCE = 4_096  # images of a model for one number of images only: the last batch is filled up to it


class OnnxPair(NamedTuple):
    """The content of two ONNX files, each with one input and one output."""

    encoder: bytes
    decoder: bytes


def model_of_pair(image_shape: tuple[int, int, int], latent_shape: tuple[int, ...], pair: OnnxPair) -> AdoptedModel:
    """The model of two ONNX files; it can't be trained.

    Raises:
        MissingExtra: onnx or onnxruntime is not installed.
        UsageError: a file is no such ONNX model.
    """
    encode, decode = onnx_function("encoder", pair.encoder), onnx_function("decoder", pair.decoder)
    return AdoptedModel(image_shape, latent_shape, encode, decode)


def onnx_function(name: str, content: bytes) -> ArrayFunction:
    """A function of float32 arrays (B, ...) from an ONNX model with one input and one output, for any B.

    Raises:
        MissingExtra: onnx or onnxruntime is not installed.
        UsageError: it is no ONNX model, has weights in other files or other operations, or takes more than one input; when it
            is called, also where onnxruntime can't compute it.
        MemoryError: it asks for more memory than there is.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(f'a model stored as ONNX needs {error.name}: pip install "latens[onnx]"') from None
    try:
        proto = onnx.load_model_from_string(content)
    except Exception as error:  # any error of protobuf for bytes that are no model
        raise UsageError(f"{name}: not an ONNX model ({type(error).__name__})") from None
    from onnx.external_data_helper import _get_all_tensors, uses_external_data

    if any(uses_external_data(tensor) for tensor in _get_all_tensors(proto)):
        raise UsageError(f"{name}: its weights lie in other files; save it as one file (external_data=False)")
    others = {one.domain for one in proto.opset_import} - DOMAINS
    if others:
        raise UsageError(
            f"{name}: has operations of {', '.join(sorted(others))}, which onnxruntime does not bring itself"
        )
    if proto.functions:  # a few that call each other twice are more operations than there is memory for
        raise UsageError(f"{name}: has functions of its own; put their operations into the graph (onnx.inliner)")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
    try:
        # Constants are not folded: a small file could ask for more memory than there is, before anything is computed.
        session: Any = onnxruntime.InferenceSession(content, options, disabled_optimizers=["ConstantFolding"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise _failed(f"{name}: onnxruntime can't load it", error) from None
    given, made = session.get_inputs(), session.get_outputs()
    if len(given) != 1 or not made:
        raise UsageError(f"{name}: has {len(given)} inputs and {len(made)} outputs; one of each is needed")
    fixed = given[0].shape[0] if given[0].shape and isinstance(given[0].shape[0], int) else 0
    if not 0 <= fixed <= MOST_AT_ONCE:
        raise UsageError(f"{name}: takes {fixed:,} images at a time; at most {MOST_AT_ONCE:,} are allowed")

    def call(array: np.ndarray) -> np.ndarray:
        if not fixed or len(array) == fixed:
            try:
                return np.asarray(session.run([made[0].name], {given[0].name: array})[0])
            except Exception as error:  # onnxruntime's errors have no common class
                raise _failed(f"{name}: onnxruntime can't compute it", error) from None
        parts = []
        for start in range(0, len(array), fixed):  # a model for one number of images only: the last batch is filled up
            some = array[start : start + fixed]
            full = np.concatenate([some, np.repeat(some[-1:], fixed - len(some), axis=0)])
            parts.append(call(full)[: len(some)])
        return np.concatenate(parts)

    return call


def _failed(what: str, error: Exception) -> UsageError | MemoryError:
    """What an error of onnxruntime becomes: one line, and no memory is no fault of the model's alone."""
    kind = MemoryError if lacks_memory(error) else UsageError
    return kind(f"{what}: {' '.join(str(error).split())[:200]}")
